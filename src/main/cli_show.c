/*
 * cli_show - show, log, cat, explain: one message (or domain) at a time, for each operand or each
 * match of a filter.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"

struct page {
	struct cli *cli;
	int64_t rows;
	bool is_broken;
};

static int show_one(struct cli *cli, const char *id);
static void on_shown(void *user, json_t *row);
static void put_field(struct cli *cli, const char *label, struct str value);
static void put_time(struct cli *cli, const char *label, double seconds);
static void put_recipient(struct cli *cli, const json_t *r);
static int log_one(struct cli *cli, const char *id);
static void on_attempt(void *user, json_t *row);
static int cat_one(struct cli *cli, const char *id);
static void on_content(void *user, json_t *row);
static bool put_base64(struct str text);
static int explain_one(struct cli *cli, const char *target);
static void on_sentence(void *user, json_t *row);
static int ask_about(
	struct cli *cli, const char *key, const char *value, cli_row *on_row, struct page *page);

int cli_show(struct cli *cli)
{
	return cli_each_target(cli, show_one);
}

int cli_log(struct cli *cli)
{
	return cli_each_target(cli, log_one);
}

int cli_cat(struct cli *cli)
{
	return cli_each_target(cli, cat_one);
}

/* A domain is an operand like an id; so operands are taken as they are. */
int cli_explain(struct cli *cli)
{
	return cli_each_target(cli, explain_one);
}

static int show_one(struct cli *cli, const char *id)
{
	struct page page = { .cli = cli };

	return ask_about(cli, "id", id, on_shown, &page);
}

static int ask_about(
	struct cli *cli, const char *key, const char *value, cli_row *on_row, struct page *page)
{
	json_t *request = cli_request(cli, cli->verb);

	json_object_set_new(request, key, json_string(value));
	return cli_ask(cli, request, on_row, page, NULL);
}

static void on_shown(void *user, json_t *row)
{
	struct page *page = user;
	struct cli *cli = page->cli;
	const json_t *recipients = json_object_get(row, "recipients");
	struct str sender = cli_text(row, "reverse_path");
	struct buf text;

	if (cli->format == FORMAT_JSON) {
		cli_put_json(row);
		return;
	}
	buf_init(&text, 4096);
	put_field(cli, "Id", cli_text(row, "queue_id"));
	put_field(cli, "Sender", sender.len ? sender : STR("<>"));
	put_time(cli, "Arrived", cli_seconds(row, "arrival"));
	buf_printf(&text, "%" PRId64 " octets, %s", cli_number(row, "message_size"),
		json_string_value(json_object_get(row, "body")));
	put_field(cli, "Content", buf_str(&text));
	put_field(cli, "Message-ID", cli_text(row, "message_id"));
	put_field(cli, "Client", cli_text(row, "client"));
	put_field(cli, "HELO", cli_text(row, "helo"));
	put_field(cli, "User", cli_text(row, "user"));
	buf_clear(&text);
	buf_printf(&text, "%" PRId64, cli_number(row, "priority"));
	put_field(cli, "Priority", buf_str(&text));
	put_field(cli, "Envelope id", cli_text(row, "envid"));
	if (cli_seconds(row, "hold_until") > 0)
		put_time(cli, "Not before", cli_seconds(row, "hold_until"));
	if (cli_seconds(row, "deliver_by") > 0)
		put_time(cli, "Deliver by", cli_seconds(row, "deliver_by"));
	put_field(cli, "Held", cli_text(row, "hold_reason"));
	if (cli_seconds(row, "finished") > 0)
		put_time(cli, "Finished", cli_seconds(row, "finished"));
	buf_fini(&text);
	for (size_t i = 0; i < json_array_size(recipients); i++)
		put_recipient(cli, json_array_get(recipients, i));
	(void)putchar('\n');
}

static void put_field(struct cli *cli, const char *label, struct str value)
{
	if (!value.len)
		return;
	cli_color(cli, COLOR_BOLD);
	printf("%-13s", label);
	cli_color(cli, COLOR_NONE);
	cli_put_text(value);
	(void)putchar('\n');
}

static void put_time(struct cli *cli, const char *label, double seconds)
{
	struct buf text;

	buf_init(&text, 128);
	cli_append_time(&text, seconds);
	put_field(cli, label, buf_str(&text));
	buf_fini(&text);
}

static void put_recipient(struct cli *cli, const json_t *r)
{
	struct str state = cli_text(r, "state");
	struct buf text;

	buf_init(&text, 4096);
	cli_color(cli, COLOR_BOLD);
	printf("%-13s", "Recipient");
	cli_color(cli, COLOR_NONE);
	cli_put_text(cli_text(r, "address"));
	(void)putchar(' ');
	cli_color(cli, cli_state_color(state));
	cli_put_text(state);
	cli_color(cli, COLOR_NONE);
	buf_printf(&text, ", %" PRId64 " attempt%s", cli_number(r, "attempts"),
		cli_number(r, "attempts") == 1 ? "" : "s");
	if (cli_seconds(r, "next_attempt") > 0) {
		buf_append_str(&text, STR(", next "));
		cli_append_time(&text, cli_seconds(r, "next_attempt"));
	}
	if (json_is_true(json_object_get(r, "in_doubt")))
		buf_append_str(&text, STR(", in doubt"));
	(void)puts(buf_cstr(&text));
	if (cli_text(r, "reply").len) {
		printf("%-13s", "");
		cli_put_text(cli_text(r, "host"));
		(void)fputs(cli_text(r, "host").len ? ": " : "", stdout);
		cli_put_text(cli_text(r, "reply"));
		(void)putchar('\n');
	}
	buf_fini(&text);
}

static int log_one(struct cli *cli, const char *id)
{
	struct page page = { .cli = cli };
	int status = ask_about(cli, "id", id, on_attempt, &page);

	if (status == VERB_DONE && !page.rows && cli->format == FORMAT_TEXT && cli->is_tty)
		(void)puts("No attempt so far.");
	return status;
}

static void on_attempt(void *user, json_t *row)
{
	struct page *page = user;
	struct cli *cli = page->cli;
	struct cli_line line = { .cli = cli };
	struct buf text;

	page->rows++;
	if (cli->format == FORMAT_JSON) {
		cli_put_json(row);
		return;
	}
	buf_init(&text, 4096);
	cli_append_time(&text, cli_seconds(row, "at"));
	cli_cell(&line, buf_str(&text), 19, COLOR_NONE);
	buf_clear(&text);
	buf_printf(&text, "#%" PRId64, cli_number(row, "attempt"));
	cli_cell(&line, buf_str(&text), -4, COLOR_NONE);
	cli_cell(&line, cli_text(row, "address"), 28, COLOR_NONE);
	cli_cell(&line, cli_text(row, "disposition"), 10,
		cli_state_color(cli_text(row, "disposition")));
	cli_cell(&line, cli_text(row, "stage"), 8, COLOR_NONE);
	cli_cell(&line, cli_text(row, "host"), 28, COLOR_NONE);
	cli_cell(&line, cli_text(row, "reply"), 0, COLOR_NONE);
	cli_line_end(&line);
	buf_fini(&text);
}

static int cat_one(struct cli *cli, const char *id)
{
	struct page page = { .cli = cli };

	if (isatty(STDOUT_FILENO) && cli->format == FORMAT_TEXT)
		cli_say("content is shown escaped on a terminal; redirect it to get the file");
	int status = ask_about(cli, "id", id, on_content, &page);
	if (page.is_broken) {
		cli_say("the content did not come over whole");
		status = VERB_BUG;
	}
	return status;
}

static void on_content(void *user, json_t *row)
{
	struct page *page = user;

	if (page->cli->format == FORMAT_JSON)
		cli_put_json(row);
	else
		page->is_broken |= !put_base64(cli_text(row, "content"));
}

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* On a terminal line by line and escaped, else as it is. */
static void put_content(struct str octets)
{
	if (!isatty(STDOUT_FILENO)) {
		(void)fwrite(octets.data, 1, octets.len, stdout);
		return;
	}
	while (octets.len) {
		size_t end = str_find(octets, '\n');
		size_t text =
			end && end < octets.len && octets.data[end - 1] == '\r' ? end - 1 : end;

		cli_put_text(str_slice(octets, 0, text));
		if (end < octets.len)
			(void)putchar('\n');
		octets = str_slice(octets, end + 1, octets.len);
	}
}

static bool put_base64(struct str text)
{
	char *out = mem_alloc(text.len + 1);
	uint32_t group = 0;
	unsigned have = 0;
	size_t len = 0;
	bool is_good = true;

	for (size_t i = 0; i < text.len && text.data[i] != '=' && is_good; i++) {
		int digit = digit_of(text.data[i]);

		is_good = digit >= 0;
		group = group << 6 | (uint32_t)(digit & 63);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[len++] = (char)(group >> have & 0xff);
		}
	}
	put_content(str_of(out, len));
	free(out);
	return is_good;
}

static int explain_one(struct cli *cli, const char *target)
{
	struct page page = { .cli = cli };

	return ask_about(cli, "target", target, on_sentence, &page);
}

static void on_sentence(void *user, json_t *row)
{
	struct page *page = user;

	if (page->cli->format == FORMAT_JSON) {
		cli_put_json(row);
		return;
	}
	(void)fputs(page->rows++ ? "  -> " : "", stdout);
	cli_put_text(cli_text(row, "text"));
	(void)putchar('\n');
}
