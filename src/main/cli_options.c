/*
 * cli_options - the words of the command line become struct cli. The values of conditions are
 * passed on as they are: relay/control_filter.c understands them, once for all clients. An unknown
 * option gets a suggestion and status 64.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum option_id {
	OPTION_CONDITION = 256, /* its name is the key of the filter */
	OPTION_PLAY,            /* of simulate: its name is the key */
	OPTION_ALL,
	OPTION_STATE,
	OPTION_SORT,
	OPTION_LIMIT,
	OPTION_REASON,
	OPTION_JSON,
	OPTION_IDS,
	OPTION_COUNT,
	OPTION_MAILQ,
	OPTION_YES,
	OPTION_DRY_RUN,
	OPTION_KNOWN_GOOD,
	OPTION_UNTOLD,
	OPTION_SINCE,
	OPTION_UNTIL,
	OPTION_NOTE,
	OPTION_MATCH,
	OPTION_FILE,
	OPTION_DELETE,
	OPTION_LIST,
	OPTION_CHECK,
	OPTION_SOCKET,
	OPTION_HELP,
	OPTION_VERSION
};

static const struct option options[] = {
	{ "from", required_argument, NULL, OPTION_CONDITION },
	{ "to", required_argument, NULL, OPTION_CONDITION },
	{ "domain", required_argument, NULL, OPTION_CONDITION },
	{ "site", required_argument, NULL, OPTION_CONDITION },
	{ "hop", required_argument, NULL, OPTION_CONDITION },
	{ "older", required_argument, NULL, OPTION_CONDITION },
	{ "newer", required_argument, NULL, OPTION_CONDITION },
	{ "size", required_argument, NULL, OPTION_CONDITION },
	{ "tries", required_argument, NULL, OPTION_CONDITION },
	{ "code", required_argument, NULL, OPTION_CONDITION },
	{ "user", required_argument, NULL, OPTION_CONDITION },
	{ "priority", required_argument, NULL, OPTION_CONDITION },
	{ "scenario", required_argument, NULL, OPTION_PLAY },
	{ "outage", required_argument, NULL, OPTION_PLAY },
	{ "set", required_argument, NULL, OPTION_PLAY },
	{ "svg", required_argument, NULL, OPTION_PLAY },
	{ "seed", required_argument, NULL, OPTION_PLAY },
	{ "exact", no_argument, NULL, OPTION_PLAY },
	{ "estimate", no_argument, NULL, OPTION_PLAY },
	{ "compare", no_argument, NULL, OPTION_PLAY },
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "state", required_argument, NULL, OPTION_STATE },
	{ "sort", required_argument, NULL, OPTION_SORT },
	{ "limit", required_argument, NULL, OPTION_LIMIT },
	{ "reason", required_argument, NULL, OPTION_REASON },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "ids", no_argument, NULL, OPTION_IDS },
	{ "count", no_argument, NULL, OPTION_COUNT },
	{ "mailq", no_argument, NULL, OPTION_MAILQ },
	{ "yes", no_argument, NULL, OPTION_YES },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "known-good", no_argument, NULL, OPTION_KNOWN_GOOD },
	{ "untold", no_argument, NULL, OPTION_UNTOLD },
	{ "since", required_argument, NULL, OPTION_SINCE },
	{ "until", required_argument, NULL, OPTION_UNTIL },
	{ "note", required_argument, NULL, OPTION_NOTE },
	{ "match", required_argument, NULL, OPTION_MATCH },
	{ "file", required_argument, NULL, OPTION_FILE },
	{ "delete", no_argument, NULL, OPTION_DELETE },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "config", required_argument, NULL, 'c' },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

enum { OPTION_COUNT_MAX = sizeof(options) / sizeof(options[0]), WORD_MAX = 40 };

static void look_at_terminal(struct cli *cli);
static int take_option(struct cli *cli, int c, int index);
static int take_play(struct cli *cli, const char *name, const char *value);
static int refuse_option(char **argv);

int cli_options_read(struct cli *cli, int argc, char **argv)
{
	int c, index = 0, status = 0;

	look_at_terminal(cli);
	cli->filter = json_object();
	cli->play = json_object();
	opterr = 0;
	while (status == 0 && (c = getopt_long(argc, argv, ":c:hy", options, &index)) != -1)
		status = c == '?' || c == ':' ? refuse_option(argv) : take_option(cli, c, index);
	if (status)
		return status;
	if (optind < argc)
		cli->verb = argv[optind++];
	cli->operands = argv + optind;
	cli->operand_count = argc - optind;
	return 0;
}

static void look_at_terminal(struct cli *cli)
{
	struct winsize size;
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	cli->columns = 80;
	cli->is_tty = isatty(STDOUT_FILENO);
	if (!cli->is_tty)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
		cli->columns = size.ws_col;
	cli->has_color = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

static int take_option(struct cli *cli, int c, int index)
{
	switch (c) {
	case OPTION_CONDITION:
		if (json_object_set_new(cli->filter, options[index].name, json_string(optarg)) !=
			0) {
			cli_say("--%s: the value is not UTF-8 text", options[index].name);
			return VERB_USAGE + 1;
		}
		return 0;
	case OPTION_PLAY:
		return take_play(cli, options[index].name, optarg ? optarg : "yes");
	case OPTION_ALL:
		json_object_set_new(cli->filter, "all", json_true());
		return 0;
	case OPTION_STATE:
		cli->state = optarg;
		return 0;
	case OPTION_SORT:
		cli->sort = optarg;
		return 0;
	case OPTION_LIMIT:
		cli->limit = optarg;
		return 0;
	case OPTION_REASON:
		cli->reason = optarg;
		return 0;
	case OPTION_JSON:
		cli->format = FORMAT_JSON;
		return 0;
	case OPTION_IDS:
		cli->format = FORMAT_IDS;
		return 0;
	case OPTION_COUNT:
		cli->format = FORMAT_COUNT;
		return 0;
	case OPTION_MAILQ:
		cli->format = FORMAT_MAILQ;
		return 0;
	case OPTION_YES:
	case 'y':
		cli->is_yes = true;
		return 0;
	case OPTION_DRY_RUN:
		cli->is_dry_run = true;
		return 0;
	case OPTION_KNOWN_GOOD:
		cli->is_known_good = true;
		return 0;
	case OPTION_UNTOLD:
		cli->is_untold = true;
		return 0;
	case OPTION_SINCE:
		cli->since = optarg;
		return 0;
	case OPTION_UNTIL:
		cli->until = optarg;
		return 0;
	case OPTION_NOTE:
		cli->note = optarg;
		return 0;
	case OPTION_MATCH:
		cli->match = optarg;
		return 0;
	case OPTION_FILE:
		cli->file = optarg;
		return 0;
	case OPTION_DELETE:
		cli->is_delete = true;
		return 0;
	case OPTION_LIST:
		cli->is_list = true;
		return 0;
	case OPTION_CHECK:
		cli->is_check = true;
		return 0;
	case 'c':
		cli->config_file = optarg;
		cli->is_config_given = true;
		return 0;
	case OPTION_SOCKET:
		cli->socket = optarg;
		return 0;
	case OPTION_VERSION:
		(void)puts("outlast " OUTLAST_VERSION);
		return VERB_DONE + 1;
	default:
		cli_help(stdout);
		return VERB_DONE + 1;
	}
}

/* Options of simulate: the last one of a name holds, but for --set. */
static int take_play(struct cli *cli, const char *name, const char *value)
{
	json_t *text = json_string(value), *list = json_object_get(cli->play, name);

	if (!text) {
		cli_say("--%s: the value is not UTF-8 text", name);
		return VERB_USAGE + 1;
	}
	if (strcmp(name, "set") != 0) {
		json_object_set_new(cli->play, name, text);
		return 0;
	}
	if (!list) {
		list = json_array();
		json_object_set_new(cli->play, name, list);
	}
	json_array_append_new(list, text);
	return 0;
}

static int refuse_option(char **argv)
{
	const char *names[OPTION_COUNT_MAX];
	char word[WORD_MAX];
	const char *given = argv[optind - 1];
	size_t len = strcspn(given, "=");

	for (size_t i = 0; i < OPTION_COUNT_MAX; i++)
		names[i] = options[i].name;
	if (strncmp(given, "--", 2) != 0 || len < 3 || len - 2 >= sizeof(word)) {
		cli_say("the option '%s' is not known or lacks its value; try 'outlast help'",
			given);
		return VERB_USAGE + 1;
	}
	memcpy(word, given + 2, len - 2);
	word[len - 2] = '\0';
	const char *near = cli_suggest(word, names);
	if (near && strcmp(near, word) == 0)
		cli_say(given[len] == '=' ? "the option '--%s' takes no value"
					  : "the option '--%s' needs a value",
			word);
	else if (near)
		cli_say("there is no option '--%s'; did you mean '--%s'?", word, near);
	else
		cli_say("there is no option '--%s'; try 'outlast help'", word);
	return VERB_USAGE + 1;
}

/* Edit distance with swaps of neighbours as one; at most a third of the word may differ. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (size_t k = 0; k <= lb; k++)
		row[0][k] = row[1][k] = row[2][k] = k;
	for (size_t i = 1; i <= la; i++) {
		size_t *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (size_t k = 1; k <= lb; k++) {
			size_t best = last[k - 1] + (a[i - 1] != b[k - 1]);

			best = last[k] + 1 < best ? last[k] + 1 : best;
			best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
				before[k - 2] + 1 < best)
				best = before[k - 2] + 1;
			now[k] = best;
		}
	}
	return row[la % 3][lb];
}

const char *cli_suggest(const char *word, const char *const *names)
{
	const char *near = NULL;
	size_t best = strlen(word) / 3 + 1;

	for (; *names; names++) {
		size_t d = distance(word, *names);

		if (d < best || (!near && d == best)) {
			best = d;
			near = *names;
		}
	}
	return near;
}
