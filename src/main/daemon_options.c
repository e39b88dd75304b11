/* daemon_options - the command line of outlastd. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "main/daemon.h"
#include "os/os_env.h"

static const char usage[] =
	"usage: outlastd [-c FILE] [--check-config]\n"
	"                [--clock-rate N] [--fault NAME[:N[:fail]]]\n"
	"\n"
	"Accepts mail over SMTP, keeps it in a durable queue, and delivers it, however\n"
	"long its destination is away. Runs in the foreground and logs as configured.\n"
	"\n"
	"  -c, --config FILE   configuration (default /etc/outlast/outlast.yaml)\n"
	"      --check-config  read the configuration, say what is wrong with it, and exit\n"
	"      --version, --help\n"
	"\n"
	"For demonstrations and tests, on loopback listeners only:\n"
	"      --clock-rate N  schedules, lifetimes and outages run N times faster\n"
	"      --fault SPEC    strike at the N-th passage of a named point\n";

enum { OPT_CHECK = 256, OPT_RATE, OPT_FAULT, OPT_VERSION, OPT_HELP };

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "outlastd: %s: %s\n", what, value);
	return EXIT_USAGE + 1;
}

static int take_rate(struct daemon_options *o, const char *text)
{
	uint64_t n;

	if (str_to_u64(str_from_c(text), &n) != OK || n < 1 || n > OS_ENV_RATE_MAX)
		return bad("--clock-rate takes a whole number from 1 to 1000000, not", text);
	o->clock_rate = (int64_t)n;
	return 0;
}

int daemon_options_read(struct daemon_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "clock-rate", required_argument, NULL, OPT_RATE },
		{ "fault", required_argument, NULL, OPT_FAULT },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ NULL, 0, NULL, 0 },
	};
	int c, status = 0;

	*o = (struct daemon_options){ .config_file = "/etc/outlast/outlast.yaml", .clock_rate = 1 };
	while (status == 0 && (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config_file = optarg;
			break;
		case OPT_CHECK:
			o->only_check = true;
			break;
		case OPT_RATE:
			status = take_rate(o, optarg);
			break;
		case OPT_FAULT:
			if (fault_parse(&o->fault, str_from_c(optarg)) != OK)
				status = bad("--fault: no such fault point", optarg);
			break;
		case OPT_VERSION:
			puts("outlastd " OUTLAST_VERSION);
			return EXIT_SUCCESS + 1;
		case 'h':
		case OPT_HELP:
			fputs(usage, stdout);
			return EXIT_SUCCESS + 1;
		default:
			fputs("Try 'outlastd --help'.\n", stderr);
			return EXIT_USAGE + 1;
		}
	}
	if (status == 0 && optind < argc)
		return bad("unexpected argument", argv[optind]);
	return status;
}
