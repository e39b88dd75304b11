/*
 * outlast - the operator's command line: what waits, where, why, until when; and what to do with
 * it.
 *
 * One verb a call, status without one. It asks the daemon over its control socket; when no daemon
 * runs it works on the queue file itself, under the daemon's lock, and says so. Exit status: see
 * outlast(1).
 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct cli_verb {
	const char *name;
	int (*run)(struct cli *cli);
};

static const struct cli_verb verbs[] = {
	{ "status", cli_status },
	{ "list", cli_list },
	{ "show", cli_show },
	{ "cat", cli_cat },
	{ "log", cli_log },
	{ "explain", cli_explain },
	{ "retry", cli_change },
	{ "hold", cli_change },
	{ "release", cli_change },
	{ "delete", cli_change },
	{ "revive", cli_change },
	{ "sites", cli_sites },
	{ "probe", cli_probe },
	{ "outages", cli_outages },
	{ "outage", cli_outage },
	{ "import", cli_import },
	{ "policy", cli_policy },
	{ "tls", cli_tls },
	{ "metrics", cli_text_verb },
	{ "config", cli_config },
	{ "reload", cli_reload },
	{ "ping", cli_text_verb },
	{ "check-config", cli_check_config },
	{ "salvage", cli_salvage },
	{ "passwd", cli_passwd },
	{ "simulate", cli_simulate },
	{ "version", cli_version },
};

const char *const cli_verb_names[] = { "status", "list", "show", "cat", "log", "explain", "retry",
	"hold", "release", "delete", "revive", "sites", "probe", "outages", "outage", "import", "policy",
	"tls", "metrics", "config", "reload", "ping", "check-config", "salvage", "passwd", "simulate",
	"version",
	"help", NULL };

static int run_verb(struct cli *cli);

int main(int argc, char **argv)
{
	struct cli cli = { .config_file = "/etc/outlast/outlast.yaml", .verb = "status" };

	(void)setlocale(LC_TIME, "");
	(void)signal(SIGPIPE, SIG_DFL);
	int status = cli_options_read(&cli, argc, argv);
	status = status ? status - 1 : run_verb(&cli);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == VERB_DONE)
		status = VERB_TEMPORARY;
	json_decref(cli.filter);
	json_decref(cli.play);
	conf_unref(cli.conf);
	return status;
}

static int run_verb(struct cli *cli)
{
	if (strcmp(cli->verb, "help") == 0) {
		cli_help(stdout);
		return VERB_DONE;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(cli->verb, verbs[i].name) == 0)
			return verbs[i].run(cli);
	const char *near = cli_suggest(cli->verb, cli_verb_names);
	if (near)
		cli_say("there is no verb '%s'; did you mean '%s'?", cli->verb, near);
	else
		cli_say("there is no verb '%s'; try 'outlast help'", cli->verb);
	return VERB_USAGE;
}
