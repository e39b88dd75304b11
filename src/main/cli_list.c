/*
 * cli_list - list: a table on a terminal, tab-separated off it, JSON lines, ids, a count, or the
 * look of mailq.
 *
 * Rows are shown as they come; nothing is gathered, so a list of a million messages needs no
 * memory.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "cli.h"

struct listing {
	struct cli *cli;
	uint64_t messages, bytes;
};

static int list_batch(struct cli *cli, json_t *filter, void *user);
static void on_message(void *user, json_t *row);
static void put_heading(struct cli *cli);
static void put_row(struct cli *cli, json_t *row);
static void put_instants(struct cli_line *line, json_t *row, const json_t *first);
static void append_recipients(struct buf *out, const struct cli *cli, const json_t *recipients);
static struct str common_state(const json_t *recipients);
static void put_mailq(const struct cli *cli, json_t *row, bool is_first);

int cli_list(struct cli *cli)
{
	struct listing listing = { .cli = cli };
	int status = cli_each_batch(cli, list_batch, &listing);

	if (status != VERB_DONE)
		return status;
	if (cli->format == FORMAT_COUNT)
		printf("%" PRIu64 "\n", listing.messages);
	else if (cli->format == FORMAT_MAILQ && listing.messages)
		printf("-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n",
			(listing.bytes + 1023) / 1024, listing.messages,
			listing.messages == 1 ? "" : "s");
	else if (cli->format == FORMAT_MAILQ)
		(void)puts("Mail queue is empty");
	else if (!listing.messages && cli->is_tty && cli->format == FORMAT_TEXT)
		(void)puts(cli_has_filter(cli) || cli->operand_count ? "Nothing matches."
								     : "The queue is empty.");
	return !listing.messages && (cli_has_filter(cli) || cli->operand_count) ? VERB_NO_MATCH
										: VERB_DONE;
}

static int list_batch(struct cli *cli, json_t *filter, void *user)
{
	struct listing *listing = user;
	json_t *request = cli_request(cli, "list"), *done;

	json_object_set(request, "filter", filter);
	if (cli->format == FORMAT_COUNT)
		json_object_set_new(request, "count", json_true());
	int status = cli_ask(cli, request, on_message, listing, &done);
	if (cli->format == FORMAT_COUNT)
		listing->messages += (uint64_t)cli_number(done, "messages");
	json_decref(done);
	return status;
}

static void on_message(void *user, json_t *row)
{
	struct listing *listing = user;
	struct cli *cli = listing->cli;

	switch (cli->format) {
	case FORMAT_JSON:
		cli_put_json(row);
		break;
	case FORMAT_IDS:
		(void)puts(json_string_value(json_object_get(row, "queue_id")));
		break;
	case FORMAT_MAILQ:
		put_mailq(cli, row, listing->messages == 0);
		break;
	case FORMAT_COUNT:
		break;
	case FORMAT_TEXT:
		if (listing->messages == 0 && cli->is_tty)
			put_heading(cli);
		put_row(cli, row);
		break;
	}
	listing->messages++;
	listing->bytes += (uint64_t)cli_number(row, "message_size");
}

static void put_heading(struct cli *cli)
{
	struct cli_line line = { .cli = cli };

	cli_cell(&line, STR("ID"), 13, COLOR_BOLD);
	cli_cell(&line, STR("AGE"), -7, COLOR_BOLD);
	cli_cell(&line, STR("SIZE"), -5, COLOR_BOLD);
	cli_cell(&line, STR("STATE"), 8, COLOR_BOLD);
	cli_cell(&line, STR("TRIES"), -5, COLOR_BOLD);
	cli_cell(&line, STR("NEXT"), -7, COLOR_BOLD);
	cli_cell(&line, STR("FROM"), 24, COLOR_BOLD);
	cli_cell(&line, STR("TO"), 28, COLOR_BOLD);
	cli_cell(&line, STR("LAST REPLY"), 0, COLOR_BOLD);
	cli_line_end(&line);
}

static void put_row(struct cli *cli, json_t *row)
{
	struct cli_line line = { .cli = cli };
	const json_t *recipients = json_object_get(row, "recipients"),
		     *first = json_array_get(recipients, 0);
	struct str state = common_state(recipients), sender = cli_text(row, "reverse_path");
	struct buf text;

	buf_init(&text, 1 << 20);
	cli_cell(&line, cli_text(row, "queue_id"), 13, COLOR_NONE);
	put_instants(&line, row, first);
	cli_cell(&line, sender.len ? sender : STR("<>"), 24, COLOR_NONE);
	append_recipients(&text, cli, recipients);
	cli_cell(&line, buf_str(&text), 28, COLOR_NONE);
	cli_cell(&line,
		str_equal(state, STR("held")) ? cli_text(row, "hold_reason")
					      : cli_text(first, "delay_reason"),
		0, COLOR_DIM);
	cli_line_end(&line);
	buf_fini(&text);
}

/* Age, size, state, tries, next attempt: for people on a terminal, plain numbers off it. */
static void put_instants(struct cli_line *line, json_t *row, const json_t *first)
{
	const struct cli *cli = line->cli;
	struct str state = common_state(json_object_get(row, "recipients"));
	double next = cli_seconds(first, "next_attempt");
	int64_t age = cli_number(row, "age");
	struct buf text;

	buf_init(&text, 256);
	if (cli->is_tty)
		cli_append_span(&text, age);
	else
		buf_printf(&text, "%" PRId64, age);
	cli_cell(line, buf_str(&text), -7, COLOR_NONE);
	buf_clear(&text);
	if (cli->is_tty)
		cli_append_size(&text, (uint64_t)cli_number(row, "message_size"));
	else
		buf_printf(&text, "%" PRId64, cli_number(row, "message_size"));
	cli_cell(line, buf_str(&text), -5, COLOR_NONE);
	cli_cell(line, state, 8, cli_state_color(state));
	buf_clear(&text);
	buf_printf(&text, "%" PRId64, cli_number(first, "attempts"));
	cli_cell(line, buf_str(&text), -5, COLOR_NONE);
	buf_clear(&text);
	if (next > 0 && !cli->is_tty)
		buf_printf(&text, "%.0f", next);
	else if (next > 0)
		cli_append_span(&text, (int64_t)(next - cli_seconds(row, "arrival")) - age);
	else
		buf_append_char(&text, '-');
	cli_cell(line, buf_str(&text), -7, COLOR_NONE);
	buf_fini(&text);
}

/* On a terminal the first and how many more, else all, comma-separated. */
static void append_recipients(struct buf *out, const struct cli *cli, const json_t *recipients)
{
	size_t count = json_array_size(recipients), shown = cli->is_tty && count > 1 ? 1 : count;

	if (shown < count)
		buf_printf(out, "+%zu ", count - shown);
	for (size_t i = 0; i < shown; i++) {
		if (i)
			buf_append_char(out, ',');
		buf_append_str(out, cli_text(json_array_get(recipients, i), "address"));
	}
}

static struct str common_state(const json_t *recipients)
{
	struct str state = cli_text(json_array_get(recipients, 0), "state");

	for (size_t i = 1; i < json_array_size(recipients); i++)
		if (!str_equal(state, cli_text(json_array_get(recipients, i), "state")))
			return STR("mixed");
	return state;
}

static void put_mailq(const struct cli *cli, json_t *row, bool is_first)
{
	const json_t *recipients = json_object_get(row, "recipients");
	struct str queue = cli_text(row, "queue_name");
	char mark = str_equal(queue, STR("active")) ? '*'
		    : str_equal(queue, STR("hold")) ? '!'
						    : ' ',
	     when[64];
	time_t arrival = (time_t)cli_number(row, "arrival_time");
	struct tm tm;

	(void)cli;
	if (is_first)
		(void)puts("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
	if (!localtime_r(&arrival, &tm) || !strftime(when, sizeof(when), "%a %b %e %H:%M:%S", &tm))
		when[0] = '\0';
	printf("%s%c %8" PRId64 " %s  ", json_string_value(json_object_get(row, "queue_id")), mark,
		cli_number(row, "message_size"), when);
	cli_put_text(cli_text(row, "sender"));
	(void)putchar('\n');
	for (size_t i = 0; i < json_array_size(recipients); i++) {
		const json_t *r = json_array_get(recipients, i);

		if (cli_text(r, "delay_reason").len) {
			printf("%8s(", "");
			cli_put_text(cli_text(r, "delay_reason"));
			(void)puts(")");
		}
		printf("%41s", "");
		cli_put_text(cli_text(r, "address"));
		(void)putchar('\n');
	}
	(void)putchar('\n');
}
