/* cli_sites - sites: destinations with state, evidence and backlog; probe: try one now. */
#include <inttypes.h>

#include "cli.h"

struct listing {
	struct cli *cli;
	uint64_t sites;
};

static void on_site(void *user, json_t *row);
static void put_heading(struct cli *cli);
static void put_time_cell(struct cli_line *line, double at, int width);
static void put_number_cell(struct cli_line *line, int64_t n, int width);
static struct str evidence(json_t *row);

int cli_sites(struct cli *cli)
{
	struct listing listing = { .cli = cli };
	json_t *request = cli_request(cli, "sites"), *site = json_object_get(cli->filter, "site"),
	       *done;

	if (cli->operand_count > 1) {
		cli_say("sites takes one name or pattern");
		json_decref(request);
		return VERB_USAGE;
	}
	if (cli->operand_count)
		json_object_set_new(request, "site", json_string(cli->operands[0]));
	else if (site)
		json_object_set(request, "site", site);
	if (json_object_get(cli->filter, "hop"))
		json_object_set(request, "hop", json_object_get(cli->filter, "hop"));
	if (cli->state)
		json_object_set_new(request, "state", json_string(cli->state));
	int status = cli_ask(cli, request, on_site, &listing, &done);
	if (status == VERB_DONE && cli->format == FORMAT_COUNT)
		printf("%" PRIu64 "\n", listing.sites);
	if (status == VERB_DONE && json_is_true(json_object_get(done, "partial")))
		cli_say("there are more next hops than were looked at");
	json_decref(done);
	bool is_narrow = cli->operand_count || cli_has_filter(cli);
	return status == VERB_DONE && is_narrow && !listing.sites ? VERB_NO_MATCH : status;
}

static void on_site(void *user, json_t *row)
{
	struct listing *listing = user;
	struct cli *cli = listing->cli;
	struct cli_line line = { .cli = cli };
	struct str state = cli_text(row, "state"), name = cli_text(row, "site");

	if (json_object_get(row, "limited") && str_equal(state, STR("up")))
		state = STR("limited");

	if (cli->format == FORMAT_JSON)
		cli_put_json(row);
	else if (cli->format == FORMAT_IDS)
		printf("%s\n", json_string_value(json_object_get(row, "site")));
	if (cli->format == FORMAT_TEXT || cli->format == FORMAT_MAILQ) {
		if (!listing->sites && cli->is_tty)
			put_heading(cli);
		cli_cell(&line, name.len ? name : STR("(not routed yet)"), 30, COLOR_NONE);
		cli_cell(&line, state, 10, cli_state_color(state));
		put_number_cell(&line, cli_number(row, "ready"), -7);
		put_number_cell(&line, cli_number(row, "waiting"), -7);
		put_number_cell(&line, cli_number(row, "held"), -5);
		put_number_cell(&line, cli_number(row, "hops"), -5);
		put_number_cell(&line, cli_number(row, "window"), -3);
		put_time_cell(&line, cli_seconds(row, "since"), 19);
		put_time_cell(&line, cli_seconds(row, "next_probe"), 19);
		cli_cell(&line, evidence(row), 0, COLOR_DIM);
		cli_line_end(&line);
	}
	listing->sites++;
}

static void put_heading(struct cli *cli)
{
	struct cli_line line = { .cli = cli };

	cli_cell(&line, STR("SITE"), 30, COLOR_BOLD);
	cli_cell(&line, STR("STATE"), 10, COLOR_BOLD);
	cli_cell(&line, STR("READY"), -7, COLOR_BOLD);
	cli_cell(&line, STR("WAITING"), -7, COLOR_BOLD);
	cli_cell(&line, STR("HELD"), -5, COLOR_BOLD);
	cli_cell(&line, STR("HOPS"), -5, COLOR_BOLD);
	cli_cell(&line, STR("WIN"), -3, COLOR_BOLD);
	cli_cell(&line, STR("SINCE"), 19, COLOR_BOLD);
	cli_cell(&line, STR("NEXT PROBE"), 19, COLOR_BOLD);
	cli_cell(&line, STR("LAST REPLY"), 0, COLOR_BOLD);
	cli_line_end(&line);
}

static void put_time_cell(struct cli_line *line, double at, int width)
{
	struct buf text;

	buf_init(&text, 128);
	if (at > 0)
		cli_append_time(&text, at);
	else
		buf_append_char(&text, '-');
	cli_cell(line, buf_str(&text), width, COLOR_NONE);
	buf_fini(&text);
}

static void put_number_cell(struct cli_line *line, int64_t n, int width)
{
	struct buf text;

	buf_init(&text, 64);
	buf_printf(&text, "%" PRId64, n);
	cli_cell(line, buf_str(&text), width, COLOR_NONE);
	buf_fini(&text);
}

/* The site's own last failure, else that of its next hop in the worst state. */
static struct str evidence(json_t *row)
{
	const json_t *hop = json_object_get(row, "worst_hop");

	if (hop && str_equal(cli_text(row, "state"), STR("up")))
		return cli_text(hop, "reply");
	return cli_text(row, "reply");
}

int cli_probe(struct cli *cli)
{
	int status = VERB_DONE;

	if (!cli->operand_count) {
		cli_say("probe: which site or domain? 'outlast sites' shows them");
		return VERB_USAGE;
	}
	for (int i = 0; i < cli->operand_count; i++) {
		json_t *request = cli_request(cli, "probe"), *done;

		json_object_set_new(request, "site", json_string(cli->operands[i]));
		int one = cli_ask(cli, request, NULL, NULL, &done);
		if (one == VERB_DONE && cli->format == FORMAT_JSON) {
			cli_put_json(done);
		} else if (one == VERB_DONE) {
			(void)fputs("Probing ", stdout);
			cli_put_text(cli_text(done, "probing"));
			(void)putchar('\n');
		}
		json_decref(done);
		status = cli_worst(status, one);
	}
	return status;
}
