/*
 * cli_tls - tls: how mail for a domain is secured, on whose word, until when; or all MTA-STS policies that are kept.
 */
#include <string.h>

#include "cli.h"

struct view {
	struct cli *cli;
	bool is_list;
	int64_t rows;
};

static void on_row(void *user, json_t *row);
static void put_line(const json_t *row);
static void put_rule(const struct cli *cli, const json_t *row);
static void put_policy(const struct cli *cli, const json_t *row);
static void put_fetching(const struct cli *cli, const json_t *row);

int cli_tls(struct cli *cli)
{
	struct view view = { .cli = cli, .is_list = cli->operand_count == 0 };
	json_t *request = cli_request(cli, "tls");

	if (cli->operand_count > 1) {
		cli_say("tls takes one domain; 'outlast tls' alone lists the MTA-STS policies that "
			"are kept");
		json_decref(request);
		return VERB_USAGE;
	}
	if (cli->operand_count)
		json_object_set_new(request, "domain", json_string(cli->operands[0]));
	int status = cli_ask(cli, request, on_row, &view, NULL);
	if (status == 0 && view.rows == 0) {
		if (cli->format != FORMAT_JSON)
			cli_say("no MTA-STS policy is kept; 'outlast tls DOMAIN' tells how mail "
				"for a "
				"domain is secured");
		return VERB_NO_MATCH;
	}
	return status;
}

static void on_row(void *user, json_t *row)
{
	struct view *view = user;

	view->rows++;
	if (view->cli->format == FORMAT_JSON) {
		cli_put_json(row);
	} else if (view->is_list) {
		put_line(row);
	} else {
		put_rule(view->cli, row);
		put_policy(view->cli, row);
		put_fetching(view->cli, row);
	}
}

static void append_until(struct buf *out, const json_t *policy)
{
	bool is_over = json_is_true(json_object_get(policy, "over"));

	buf_append_str(out, is_over ? STR("over since ") : STR("until "));
	cli_append_time(out, cli_seconds(policy, "until"));
	if (!is_over)
		return;
	buf_append_str(out, STR(", and binding on while it cannot be renewed, until "));
	cli_append_time(out, cli_seconds(policy, "binds_until"));
}

static void put_line(const json_t *row)
{
	const json_t *policy = json_object_get(row, "policy");
	struct buf text;

	buf_init(&text, 4096);
	buf_append_str(&text, cli_text(row, "domain"));
	buf_append_char(&text, '\t');
	buf_append_str(&text, cli_text(policy, "mode"));
	buf_append_char(&text, '\t');
	append_until(&text, policy);
	cli_put_text(buf_str(&text));
	(void)putchar('\n');
	buf_fini(&text);
}

static void put_rule(const struct cli *cli, const json_t *row)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_append_str(&text, cli_text(row, "tls"));
	if (json_object_get(row, "route")) {
		buf_append_str(&text, STR(", by the route "));
		buf_append_str(&text, cli_text(row, "route"));
	}
	cli_put_line(cli, "configured", &text);
	buf_append_str(&text,
		json_is_true(json_object_get(row, "dane"))
			? STR("TLSA records of its hosts bind, where DNSSEC vouches for them")
			: STR("TLSA records are not heeded"));
	cli_put_line(cli, "DANE", &text);
	buf_fini(&text);
}

static void put_policy(const struct cli *cli, const json_t *row)
{
	const json_t *policy = json_object_get(row, "policy"), *mx;
	struct buf text;
	size_t i;

	buf_init(&text, 65536);
	if (!json_is_true(json_object_get(row, "mta_sts")))
		buf_append_str(&text, STR("not heeded for this domain"));
	else if (!policy)
		buf_append_str(&text, STR("no policy is known"));
	if (text.len > 0)
		cli_put_line(cli, "MTA-STS", &text);
	if (policy) {
		buf_printf(&text, "%s, ", json_string_value(json_object_get(policy, "mode")));
		append_until(&text, policy);
		cli_put_line(cli, "policy", &text);
		json_array_foreach(json_object_get(policy, "mx"), i, mx)
		{
			buf_printf(&text, "%s%s", i > 0 ? ", " : "", json_string_value(mx));
		}
		if (text.len > 0)
			cli_put_line(cli, "hosts", &text);
		buf_printf(
			&text, "id %s, fetched ", json_string_value(json_object_get(policy, "id")));
		cli_append_time(&text, cli_seconds(policy, "fetched"));
		cli_put_line(cli, "version", &text);
	}
	buf_fini(&text);
}

static void put_fetching(const struct cli *cli, const json_t *row)
{
	struct buf text;

	buf_init(&text, 4096);
	if (json_object_get(row, "failure")) {
		buf_append_str(&text, cli_text(row, "failure"));
		buf_append_str(&text, STR(", at "));
		cli_append_time(&text, cli_seconds(row, "failed"));
		cli_put_line(cli, "not fetched", &text);
	}
	if (json_object_get(row, "host_failure")) {
		buf_append_str(&text, cli_text(row, "host_failure"));
		buf_append_str(&text, STR(", at "));
		cli_append_time(&text, cli_seconds(row, "host_failed"));
		cli_put_line(cli, "mail waits", &text);
		buf_append_str(&text, cli_text(row, "remedy"));
		cli_put_line(cli, "remedy", &text);
	}
	if (json_object_get(row, "next_try")) {
		buf_append_str(&text, STR("when mail comes for it, from "));
		cli_append_time(&text, cli_seconds(row, "next_try"));
		buf_append_str(&text, STR(" on"));
		cli_put_line(cli, "looked at", &text);
	}
	buf_fini(&text);
}
