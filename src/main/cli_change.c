/*
 * cli_change - retry, hold, release, delete, revive: preview, ask, act, say what was done.
 *
 * Without a condition or ids: refused, "--all" means everything. hold, delete and revive first count
 * exactly what they would touch: on a terminal they show it and ask, elsewhere they need --yes.
 * --dry-run ends after the count.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct change {
	uint64_t messages, recipients, domains, already_due, told, gone;
	int64_t oldest_age;
	bool is_dry_run;
	bool is_uncounted; /* messages: recipients were changed in several steps */
};

static int run_batch(struct cli *cli, json_t *filter, void *user);
static bool needs_word(const struct cli *cli);
static bool ask_operator(struct cli *cli, const struct change *preview);
static int change_all(struct cli *cli, struct change *change);
static void append_preview(struct buf *out, const struct change *c);
static void put_result(struct cli *cli, const struct change *c);

int cli_change(struct cli *cli)
{
	struct change preview = { .is_dry_run = true }, result = { .is_dry_run = false };
	bool has_stdin = false;

	for (int i = 0; i < cli->operand_count; i++)
		has_stdin |= strcmp(cli->operands[i], "-") == 0;
	if (!cli->operand_count && !cli_has_filter(cli)) {
		cli_say("%s: of what? Give ids or conditions; --all means everything", cli->verb);
		return VERB_USAGE;
	}
	if (!cli->is_dry_run && needs_word(cli) && !cli->is_yes &&
		(has_stdin || !isatty(STDIN_FILENO) || !cli->is_tty)) {
		cli_say("%s needs --yes here: there is nobody to ask", cli->verb);
		return VERB_USAGE;
	}
	if (cli->is_dry_run || (needs_word(cli) && !cli->is_yes)) {
		int status = change_all(cli, &preview);

		if (status != VERB_DONE || cli->is_dry_run) {
			if (status == VERB_DONE)
				put_result(cli, &preview);
			return status == VERB_DONE && !preview.recipients ? VERB_NO_MATCH : status;
		}
		if (!preview.recipients) {
			cli_say("nothing matches");
			return VERB_NO_MATCH;
		}
		if (!ask_operator(cli, &preview))
			return VERB_NO_MATCH;
	}
	int status = change_all(cli, &result);
	if (status != VERB_DONE)
		return status;
	put_result(cli, &result);
	return result.recipients + result.already_due ? VERB_DONE : VERB_NO_MATCH;
}

static bool needs_word(const struct cli *cli)
{
	return strcmp(cli->verb, "delete") == 0 || strcmp(cli->verb, "hold") == 0 ||
	       strcmp(cli->verb, "revive") == 0;
}

static int change_all(struct cli *cli, struct change *change)
{
	return cli_each_batch(cli, run_batch, change);
}

static int run_batch(struct cli *cli, json_t *filter, void *user)
{
	struct change *c = user;
	json_t *request = cli_request(cli, cli->verb), *done;

	json_object_set(request, "filter", filter);
	json_object_set_new(request, "dry_run", json_boolean(c->is_dry_run));
	if (cli->is_untold)
		json_object_set_new(request, "untold", json_true());
	int status = cli_ask(cli, request, NULL, NULL, &done);
	c->recipients += (uint64_t)cli_number(done, "recipients");
	c->messages += (uint64_t)cli_number(done, "messages");
	c->is_uncounted |= json_is_null(json_object_get(done, "messages"));
	c->domains += (uint64_t)cli_number(done, "domains");
	c->already_due += (uint64_t)cli_number(done, "already_due");
	c->told += (uint64_t)cli_number(done, "told");
	c->gone += (uint64_t)cli_number(done, "gone");
	if (cli_number(done, "oldest_age") > c->oldest_age)
		c->oldest_age = cli_number(done, "oldest_age");
	json_decref(done);
	return status;
}

static bool ask_operator(struct cli *cli, const struct change *preview)
{
	struct buf text;
	char answer[16];

	buf_init(&text, 1024);
	append_preview(&text, preview);
	printf("%s\n", buf_cstr(&text));
	buf_fini(&text);
	printf("%c%s them? [y/N] ", cli->verb[0] - 'a' + 'A', cli->verb + 1);
	(void)fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	cli_say("nothing was changed");
	return false;
}

/* "4,210 messages to 3 domains, oldest 3d 2h" */
static void append_preview(struct buf *out, const struct change *c)
{
	cli_append_count(out, c->messages);
	buf_printf(out, " message%s to ", c->messages == 1 ? "" : "s");
	cli_append_count(out, c->domains);
	buf_printf(out, " domain%s, oldest ", c->domains == 1 ? "" : "s");
	cli_append_span(out, c->oldest_age);
	if (c->gone)
		buf_printf(out, "; the content of %" PRIu64 " more is gone", c->gone);
}

static void put_result(struct cli *cli, const struct change *c)
{
	struct buf text;

	if (cli->format == FORMAT_JSON) {
		json_t *o = json_pack("{ss sb sI so sI sI sI}", "verb", cli->verb, "dry_run",
			(int)c->is_dry_run, "recipients", (json_int_t)c->recipients, "messages",
			c->is_uncounted ? json_null() : json_integer((json_int_t)c->messages),
			"already_due", (json_int_t)c->already_due, "told",
			(json_int_t)c->told, "gone", (json_int_t)c->gone);
		cli_put_json(o);
		json_decref(o);
		return;
	}
	if (cli->format == FORMAT_COUNT) {
		printf("%" PRIu64 "\n", c->recipients);
		return;
	}
	buf_init(&text, 1024);
	if (c->is_dry_run) {
		buf_printf(&text, "Would %s ", cli->verb);
		append_preview(&text, c);
	} else {
		buf_append_str(&text, strcmp(cli->verb, "retry") == 0     ? STR("Due now: ")
				      : strcmp(cli->verb, "hold") == 0    ? STR("Held: ")
				      : strcmp(cli->verb, "release") == 0 ? STR("Released: ")
				      : strcmp(cli->verb, "revive") == 0  ? STR("Revived: ")
									  : STR("Deleted: "));
		cli_append_count(&text, c->recipients);
		buf_printf(&text, " recipient%s", c->recipients == 1 ? "" : "s");
		if (!c->is_uncounted) {
			buf_append_str(&text, STR(" of "));
			cli_append_count(&text, c->messages);
			buf_printf(&text, " message%s", c->messages == 1 ? "" : "s");
		}
		if (c->already_due) {
			buf_append_str(&text, STR("; looked at now: "));
			cli_append_count(&text, c->already_due);
			buf_append_str(&text, STR(" that waited for their destination"));
		}
		if (c->told) {
			buf_append_str(&text, STR("; the senders of "));
			cli_append_count(&text, c->told);
			buf_append_str(&text, STR(" had been told of the failure"));
		}
	}
	(void)puts(buf_cstr(&text));
	buf_fini(&text);
}
