/*
 * cli_outage - outages: what is out, since when, and what waits for it; outage declare, extend, end: the operator's word.
 *
 * Spans ("2h") are sent as they are: the daemon's clock is what counts. Dates are of this machine's time zone and
 * become seconds here.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/instant.h"
#include "cli.h"

struct listing {
	struct cli *cli;
	uint64_t outages;
};

static int declare(struct cli *cli);
static int extend(struct cli *cli);
static int end(struct cli *cli);
static int act(struct cli *cli, json_t *request, const char *said);
static bool put_id(struct cli *cli, json_t *request);
static bool put_when(json_t *request, const char *key, const char *word);
static bool parse_date(const char *word, int64_t *out);
static void on_outage(void *user, json_t *row);
static void put_heading(struct cli *cli);
static void put_row(struct cli *cli, const json_t *row);
static void put_result(const json_t *outage, const char *said);

static const struct {
	const char *word;
	int (*run)(struct cli *cli);
} words[] = { { "declare", declare }, { "extend", extend }, { "end", end },
	{ "report", cli_report } };

int cli_outage(struct cli *cli)
{
	static const char *const names[] = { "declare", "extend", "end", "report", NULL };
	const char *word = cli->operand_count ? cli->operands[0] : "";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].word) == 0)
			return words[i].run(cli);
	const char *near = *word ? cli_suggest(word, names) : NULL;
	if (near)
		cli_say("outage: there is no '%s'; did you mean '%s'?", word, near);
	else
		cli_say("outage declare DOMAIN, extend ID, end ID, or report ID; 'outlast outages' "
			"lists "
			"them");
	return VERB_USAGE;
}

static int declare(struct cli *cli)
{
	const char *site = json_string_value(json_object_get(cli->filter, "site"));
	const char *domain = cli->operand_count == 2 ? cli->operands[1] : NULL;

	if (cli->operand_count > 2 || !domain + !site + !cli->match != 2) {
		cli_say("outage declare: one DOMAIN, or --site NAME, or --match GLOB");
		return VERB_USAGE;
	}
	json_t *request = cli_request(cli, "outage-declare");
	if (domain)
		json_object_set_new(request, "hop", json_string(domain));
	if (site)
		json_object_set_new(request, "site", json_string(site));
	if (cli->match)
		json_object_set_new(request, "match", json_string(cli->match));
	if (!put_when(request, "since", cli->since) || !put_when(request, "until", cli->until)) {
		json_decref(request);
		return VERB_USAGE;
	}
	return act(cli, request, "declared");
}

static int extend(struct cli *cli)
{
	json_t *request = cli_request(cli, "outage-extend");

	if (cli->since) {
		cli_say("outage extend: when it began stays; --until and --note can change");
		json_decref(request);
		return VERB_USAGE;
	}
	if (!put_id(cli, request) || !put_when(request, "until", cli->until)) {
		json_decref(request);
		return VERB_USAGE;
	}
	return act(cli, request, "extended");
}

static int end(struct cli *cli)
{
	json_t *request = cli_request(cli, "outage-end");

	if (cli->since || cli->until) {
		cli_say("outage end: it ends now; only a --note can be added");
		json_decref(request);
		return VERB_USAGE;
	}
	if (!put_id(cli, request)) {
		json_decref(request);
		return VERB_USAGE;
	}
	return act(cli, request, "ended");
}

static int act(struct cli *cli, json_t *request, const char *said)
{
	json_t *done = NULL;

	if (cli->note)
		json_object_set_new(request, "note", json_string(cli->note));
	int status = cli_ask(cli, request, NULL, NULL, &done);
	if (status == VERB_DONE && cli->format == FORMAT_JSON)
		cli_put_json(done);
	else if (status == VERB_DONE)
		put_result(done, said);
	if (json_is_true(json_object_get(done, "unknown")))
		cli_say("no mail for that name is known so far. If it is a slip: 'outlast outage "
			"end %" PRId64 "'",
			cli_number(done, "outage"));
	json_decref(done);
	return status;
}

bool cli_outage_id(const struct cli *cli, uint64_t *out)
{
	const char *word = cli->operand_count == 2 ? cli->operands[1] : "";

	if (*word && str_to_u64(str_from_c(word), out) == OK && *out > 0 && *out <= INT64_MAX)
		return true;
	cli_say("outage %s: which one? A number that 'outlast outages' shows", cli->operands[0]);
	return false;
}

static bool put_id(struct cli *cli, json_t *request)
{
	uint64_t id;

	if (!cli_outage_id(cli, &id))
		return false;
	json_object_set_new(request, "outage", json_integer((json_int_t)id));
	return true;
}

static bool put_when(json_t *request, const char *key, const char *word)
{
	int64_t at;

	if (!word)
		return true;
	if (instant_parse_span(str_from_c(word), &at) == OK)
		json_object_set_new(request, key, json_string(word));
	else if (parse_date(word, &at))
		json_object_set_new(request, key, json_integer(at));
	else
		cli_say("--%s '%s': write 30m, 2h, 3d, or 2023-01-23T16:00", key, word);
	return json_object_get(request, key) != NULL;
}

/* "2023-01-23", "2023-01-23T16:00", "2023-01-23 16:00:30", with a Z for UTC, else local time. */
static bool parse_date(const char *word, int64_t *out)
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *rest = strptime(word, formats[i], &tm);

		if (rest && strcmp(rest, "Z") == 0)
			*out = (int64_t)timegm(&tm);
		else if (rest && *rest == '\0')
			*out = (int64_t)mktime(&tm);
		else
			continue;
		return *out > 0;
	}
	return false;
}

static void put_result(const json_t *outage, const char *said)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "Outage %" PRId64 " of ", cli_number(outage, "outage"));
	cli_append_outage_name(&text, outage);
	buf_printf(&text, " %s: began ", said);
	cli_append_time(&text, cli_seconds(outage, "began"));
	if (cli_seconds(outage, "ended") > 0) {
		buf_append_str(&text, STR(", lasted "));
		cli_append_span(&text, cli_number(outage, "duration"));
		buf_append_str(&text, STR(". That time counts for no lifetime of its mail."));
	} else {
		if (cli_seconds(outage, "until") > 0) {
			buf_append_str(&text, STR(", expected until "));
			cli_append_time(&text, cli_seconds(outage, "until"));
		}
		buf_append_str(&text, STR(". The time of its mail stands still."));
	}
	(void)puts(buf_cstr(&text));
	buf_fini(&text);
}

void cli_append_outage_name(struct buf *out, const json_t *outage)
{
	struct str scope = cli_text(outage, "scope");

	if (str_equal(scope, STR("all"))) {
		buf_append_str(out, STR("all destinations"));
		return;
	}
	if (str_equal(scope, STR("site")))
		buf_append_str(out, STR("site "));
	buf_append_safe(out, cli_text(outage, "name"));
}

/* ---- the list ---- */

int cli_outages(struct cli *cli)
{
	struct listing listing = { .cli = cli };
	json_t *request = cli_request(cli, "outages"), *done = NULL;

	if (cli->operand_count) {
		cli_say("outages takes no operands; 'outlast outage report ID' tells of one");
		json_decref(request);
		return VERB_USAGE;
	}
	if (json_is_true(json_object_get(cli->filter, "all")))
		json_object_set_new(request, "all", json_true());
	int status = cli_ask(cli, request, on_outage, &listing, &done);
	if (status == VERB_DONE && cli->format == FORMAT_COUNT)
		printf("%" PRIu64 "\n", listing.outages);
	else if (status == VERB_DONE && !listing.outages && cli->format == FORMAT_TEXT &&
		 cli->is_tty)
		(void)puts("No outage is open; --all shows those that ended.");
	json_decref(done);
	return status == VERB_DONE && !listing.outages ? VERB_NO_MATCH : status;
}

static void on_outage(void *user, json_t *row)
{
	struct listing *listing = user;
	struct cli *cli = listing->cli;

	if (cli->format == FORMAT_JSON)
		cli_put_json(row);
	else if (cli->format == FORMAT_IDS)
		printf("%" PRId64 "\n", cli_number(row, "outage"));
	else if (cli->format != FORMAT_COUNT) {
		if (!listing->outages && cli->is_tty)
			put_heading(cli);
		put_row(cli, row);
	}
	listing->outages++;
}

static void put_heading(struct cli *cli)
{
	struct cli_line line = { .cli = cli };

	cli_cell(&line, STR("NO"), -4, COLOR_BOLD);
	cli_cell(&line, STR("KIND"), 8, COLOR_BOLD);
	cli_cell(&line, STR("OF"), 28, COLOR_BOLD);
	cli_cell(&line, STR("BEGAN"), 19, COLOR_BOLD);
	cli_cell(&line, STR("LASTS"), -8, COLOR_BOLD);
	cli_cell(&line, STR("STATE"), 10, COLOR_BOLD);
	cli_cell(&line, STR("PEAK"), -9, COLOR_BOLD);
	cli_cell(&line, STR("DELIVERED"), -9, COLOR_BOLD);
	cli_cell(&line, STR("FAILED"), -6, COLOR_BOLD);
	cli_cell(&line, STR("WHY"), 0, COLOR_BOLD);
	cli_line_end(&line);
}

static void put_number(struct cli_line *line, int64_t n, int width)
{
	struct buf text;

	buf_init(&text, 64);
	buf_printf(&text, "%" PRId64, n);
	cli_cell(line, buf_str(&text), width, COLOR_NONE);
	buf_fini(&text);
}

static void put_row(struct cli *cli, const json_t *row)
{
	struct cli_line line = { .cli = cli };
	bool is_open = json_is_true(json_object_get(row, "open"));
	bool has_answered = cli_seconds(row, "recovered") > 0;
	struct str why = cli_text(row, "note");
	struct buf text;

	buf_init(&text, 4096);
	put_number(&line, cli_number(row, "outage"), -4);
	cli_cell(&line, cli_text(row, "kind"), 8, COLOR_NONE);
	cli_append_outage_name(&text, row);
	cli_cell(&line, buf_str(&text), 28, COLOR_NONE);
	buf_clear(&text);
	cli_append_time(&text, cli_seconds(row, "began"));
	cli_cell(&line, buf_str(&text), 19, COLOR_NONE);
	buf_clear(&text);
	if (cli->is_tty)
		cli_append_span(&text, cli_number(row, "duration"));
	else
		buf_printf(&text, "%" PRId64, cli_number(row, "duration"));
	cli_cell(&line, buf_str(&text), -8, COLOR_NONE);
	cli_cell(&line,
		!is_open       ? STR("ended")
		: has_answered ? STR("recovering")
			       : STR("open"),
		10,
		!is_open       ? COLOR_GOOD
		: has_answered ? COLOR_WARN
			       : COLOR_BAD);
	put_number(&line, cli_number(row, "peak_recipients"), -9);
	put_number(&line, cli_number(row, "delivered"), -9);
	put_number(&line, cli_number(row, "failed"), -6);
	cli_cell(&line, why.len ? why : cli_text(row, "reply"), 0, COLOR_DIM);
	cli_line_end(&line);
	buf_fini(&text);
}
