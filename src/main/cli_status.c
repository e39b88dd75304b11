/*
 * cli_status - the whole relay on one screen: is it up, what waits, what is in trouble, what to
 * look at next.
 */
#include <inttypes.h>
#include <string.h>

#include "cli.h"

static void put_daemon(struct cli *cli, const json_t *s);
static void put_queue(struct cli *cli, const json_t *s);
static void put_states(struct cli *cli, const json_t *s);
static void put_disk(struct cli *cli, const json_t *s);
static void put_outages(const struct cli *cli, const json_t *s);
static void put_worst(struct cli *cli, const json_t *s);
static void put_site(struct cli *cli, const json_t *site, double now);
static void put_hint(struct cli *cli, const json_t *s);
static void put_label(const struct cli *cli, const char *label);
static void put_count(uint64_t n);

int cli_status(struct cli *cli)
{
	json_t *s;

	if (cli->operand_count || cli_has_filter(cli)) {
		cli_say("status takes no operands; 'outlast list' and 'outlast sites' take "
			"conditions");
		return VERB_USAGE;
	}
	int status = cli_ask(cli, cli_request(cli, "status"), NULL, NULL, &s);
	if (status != VERB_DONE)
		return status;
	if (cli->format == FORMAT_JSON) {
		cli_put_json(s);
	} else {
		put_daemon(cli, s);
		put_queue(cli, s);
		put_disk(cli, s);
		put_outages(cli, s);
		put_worst(cli, s);
		put_hint(cli, s);
	}
	json_decref(s);
	return VERB_DONE;
}

static void put_daemon(struct cli *cli, const json_t *s)
{
	struct buf text;
	bool is_running = json_is_true(json_object_get(s, "running"));

	buf_init(&text, 4096);
	buf_printf(&text, "Outlast %s on ", json_string_value(json_object_get(s, "version")));
	buf_append_safe(&text, cli_text(s, "hostname"));
	cli_color(cli, COLOR_BOLD);
	(void)fputs(buf_cstr(&text), stdout);
	cli_color(cli, COLOR_NONE);
	buf_clear(&text);
	if (is_running) {
		buf_append_str(&text, STR(", up "));
		cli_append_span(&text, cli_number(s, "up"));
		buf_append_str(&text, STR(" since "));
		cli_append_time(&text, cli_seconds(s, "started"));
	} else {
		cli_color(cli, COLOR_BAD);
		buf_append_str(&text, STR(": NO DAEMON RUNS. Nothing is accepted or delivered"));
	}
	(void)puts(buf_cstr(&text));
	cli_color(cli, COLOR_NONE);
	if (cli_number(s, "clock_rate") > 1) {
		buf_clear(&text);
		cli_append_time(&text, cli_seconds(s, "now"));
		cli_color(cli, COLOR_WARN);
		printf("A FAST CLOCK runs: schedules go %" PRId64 " times faster; it shows %s\n",
			cli_number(s, "clock_rate"), buf_cstr(&text));
		cli_color(cli, COLOR_NONE);
	}
	buf_fini(&text);
}

static void put_queue(struct cli *cli, const json_t *s)
{
	struct buf text;

	buf_init(&text, 4096);
	put_label(cli, "Queue");
	put_count((uint64_t)cli_number(s, "messages"));
	cli_append_size(&text, (uint64_t)cli_number(s, "bytes"));
	printf(" message%s, %s octets", cli_number(s, "messages") == 1 ? "" : "s", buf_cstr(&text));
	if (cli_seconds(s, "oldest") > 0) {
		buf_clear(&text);
		cli_append_span(&text, cli_number(s, "oldest_age"));
		printf(", oldest %s", buf_cstr(&text));
	}
	(void)putchar('\n');
	put_states(cli, s);
	if (json_is_true(json_object_get(s, "running"))) {
		put_label(cli, "Now");
		printf("%" PRId64 " deliveries under way, %" PRId64 " client sessions\n",
			cli_number(s, "attempts"), cli_number(s, "sessions"));
	}
	if (json_is_true(json_object_get(s, "offline"))) {
		buf_clear(&text);
		cli_append_span(&text, cli_number(s, "offline_for"));
		cli_color(cli, COLOR_BAD);
		printf("            OFFLINE for %s: no destination can be reached; mail is accepted and waits\n",
			buf_cstr(&text));
		cli_color(cli, COLOR_NONE);
	}
	put_label(cli, "So far");
	put_count((uint64_t)cli_number(s, "delivered_total"));
	(void)fputs(" recipients delivered, ", stdout);
	put_count((uint64_t)cli_number(s, "failed_total"));
	(void)puts(" failed");
	buf_fini(&text);
}

static void put_states(struct cli *cli, const json_t *s)
{
	static const char *const states[] = { "ready", "waiting", "held", "quarantined" };
	const json_t *recipients = json_object_get(s, "recipients");
	bool is_first = true;

	put_label(cli, "Recipients");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		int64_t n = cli_number(recipients, states[i]);

		if (!n && i >= 2)
			continue;
		if (!is_first)
			(void)fputs(", ", stdout);
		cli_color(cli, n ? cli_state_color(str_from_c(states[i])) : COLOR_NONE);
		put_count((uint64_t)n);
		printf(" %s", states[i]);
		cli_color(cli, COLOR_NONE);
		is_first = false;
	}
	(void)putchar('\n');
}

static void put_disk(struct cli *cli, const json_t *s)
{
	struct buf text;

	buf_init(&text, 4096);
	put_label(cli, "Disk");
	cli_append_size(&text, (uint64_t)cli_number(s, "disk_free_bytes"));
	buf_append_str(&text, STR(" free, queue file "));
	cli_append_size(&text, (uint64_t)cli_number(s, "file_bytes"));
	buf_append_str(&text, STR(" in "));
	buf_append_safe(&text, cli_text(s, "directory"));
	(void)puts(buf_cstr(&text));
	if (json_is_true(json_object_get(s, "space_low"))) {
		cli_color(cli, COLOR_BAD);
		(void)puts(
			"            SPACE IS LOW: new mail is answered 452 until there is more");
		cli_color(cli, COLOR_NONE);
	}
	buf_fini(&text);
}

static void put_outages(const struct cli *cli, const json_t *s)
{
	const json_t *outages = json_object_get(s, "outages");
	struct buf text;
	json_t *o;
	size_t i;

	if (!json_array_size(outages))
		return;
	put_label(cli, "Outages");
	printf("%" PRId64 " open\n", cli_number(s, "outages_open"));
	buf_init(&text, 8192);
	json_array_foreach(outages, i, o)
	{
		bool has_answered = cli_seconds(o, "recovered") > 0;
		struct str why = cli_text(o, "note").len ? cli_text(o, "note") : cli_text(o, "reply");

		buf_clear(&text);
		buf_printf(&text, "  %4" PRId64 "  ", cli_number(o, "outage"));
		cli_append_outage_name(&text, o);
		buf_append_str(&text, has_answered ? STR(" answers again, after ") : STR(" for "));
		cli_append_span(&text,
			has_answered ? (int64_t)(cli_seconds(o, "recovered") - cli_seconds(o, "began"))
				     : cli_number(o, "duration"));
		buf_append_str(&text, STR(" ("));
		buf_append_safe(&text, cli_text(o, "kind"));
		buf_append_char(&text, ')');
		if (why.len) {
			buf_append_str(&text, STR(": "));
			buf_append_safe(&text, why);
		}
		cli_color(cli, has_answered ? COLOR_WARN : COLOR_BAD);
		(void)puts(buf_cstr(&text));
		cli_color(cli, COLOR_NONE);
	}
	buf_fini(&text);
}

static void put_worst(struct cli *cli, const json_t *s)
{
	const json_t *worst = json_object_get(s, "worst"), *sites = json_object_get(s, "sites");
	double now = cli_seconds(s, "now");

	put_label(cli, "Sites");
	printf("%" PRId64 " up, %" PRId64 " suspect, %" PRId64 " down, %" PRId64 " recovering\n",
		cli_number(sites, "up"), cli_number(sites, "suspect"), cli_number(sites, "down"),
		cli_number(sites, "recovering"));
	if (!json_array_size(worst))
		return;
	printf("\nMost mail waits for%s:\n", json_is_true(json_object_get(s, "worst_partial"))
						     ? " (of the first next hops by name)"
						     : "");
	for (size_t i = 0; i < json_array_size(worst); i++)
		put_site(cli, json_array_get(worst, i), now);
}

static void put_site(struct cli *cli, const json_t *site, double now)
{
	const json_t *hop = json_object_get(site, "worst_hop");
	struct str state = cli_text(site, "state"), reply = cli_text(site, "reply"),
		   name = cli_text(site, "site");
	struct buf text;
	bool is_hop = hop && str_equal(state, STR("up"));

	buf_init(&text, 8192);
	buf_printf(&text, "  %7" PRId64 "  ", cli_number(site, "recipients"));
	buf_append_safe(&text, name.len ? str_slice(name, 0, 60) : STR("(not routed yet)"));
	(void)fputs(buf_cstr(&text), stdout);
	buf_clear(&text);
	(void)putchar(' ');
	cli_color(cli, cli_state_color(state));
	cli_put_text(state);
	cli_color(cli, COLOR_NONE);
	if (json_object_get(site, "limited"))
		buf_printf(&text, ", limits us: %.1f a minute",
			json_number_value(json_object_get(site, "limited")));
	if (str_equal(state, STR("down")) && cli_seconds(site, "first_failure") > 0) {
		buf_append_str(&text, STR(" for "));
		cli_append_span(&text, (int64_t)(now - cli_seconds(site, "first_failure")));
		if (cli_seconds(site, "next_probe") > now) {
			buf_append_str(&text, STR(", next probe in "));
			cli_append_span(&text, (int64_t)(cli_seconds(site, "next_probe") - now));
		}
	}
	if (is_hop || (!reply.len && hop)) {
		buf_append_str(&text, STR("; "));
		buf_append_safe(&text, cli_text(hop, "hop"));
		buf_append_str(&text, STR(" is "));
		buf_append_safe(&text, cli_text(hop, "state"));
		reply = cli_text(hop, "reply");
	}
	(void)puts(buf_cstr(&text));
	if (reply.len && !(str_equal(state, STR("up")) && !is_hop)) {
		(void)fputs("           ", stdout);
		cli_color(cli, COLOR_DIM);
		cli_put_text(str_slice(reply, 0, (size_t)cli->columns - 12));
		cli_color(cli, COLOR_NONE);
		(void)putchar('\n');
	}
	buf_fini(&text);
}

static void put_hint(struct cli *cli, const json_t *s)
{
	const json_t *worst = json_array_get(json_object_get(s, "worst"), 0);
	const json_t *recipients = json_object_get(s, "recipients");

	if (!cli->is_tty)
		return;
	cli_color(cli, COLOR_DIM);
	if (!json_is_true(json_object_get(s, "running")))
		(void)puts("\nNext: start the daemon: systemctl start outlastd");
	else if (json_is_true(json_object_get(s, "space_low")))
		(void)puts(
			"\nNext: make room on the disk, or: outlast list --sort size --limit 20");
	else if (cli_number(s, "outages_open") > 0)
		(void)puts("\nNext: outlast outages; outlast explain DOMAIN; outlast outage report NUMBER");
	else if (worst && !str_equal(cli_text(worst, "state"), STR("up")))
		(void)puts("\nNext: outlast sites; outlast explain DOMAIN");
	else if (cli_number(recipients, "held") > 0)
		(void)puts("\nNext: outlast list --state held");
	else if (cli_number(s, "messages") > 0)
		(void)puts("\nNext: outlast list");
	cli_color(cli, COLOR_NONE);
}

static void put_label(const struct cli *cli, const char *label)
{
	cli_color(cli, COLOR_BOLD);
	printf("%-12s", label);
	cli_color(cli, COLOR_NONE);
}

static void put_count(uint64_t n)
{
	struct buf text;

	buf_init(&text, 64);
	cli_append_count(&text, n);
	(void)fputs(buf_cstr(&text), stdout);
	buf_fini(&text);
}
