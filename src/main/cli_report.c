/*
 * cli_report - outage report: one outage as a page: what happened when, how the backlog grew and drained, what was
 * delivered, lost, or may have been lost by the other side.
 *
 * The lists come as rows before the sums, so they are gathered; the daemon limits them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli.h"
#include "queue/curve.h"

enum { CURVE_LINES = 24, BAR_COLUMNS = 40 };

struct report {
	struct cli *cli;
	json_t *lost, *suspect;
	struct outage_sample *samples;
	uint32_t sample_count, sample_cap;
};

static void on_row(void *user, json_t *row);
static void put_timeline(struct cli *cli, const json_t *o);
static void put_sums(struct cli *cli, const json_t *o);
static void put_curve(const struct report *r);
static void put_lists(const struct report *r, const json_t *done);
static void put_mention(struct cli *cli, const json_t *m);
static void put_json(const struct report *r, json_t *done);

int cli_report(struct cli *cli)
{
	struct report r = { .cli = cli, .lost = json_array(), .suspect = json_array() };
	json_t *request = cli_request(cli, "outage-report"), *done = NULL;
	uint64_t id;

	if (!cli_outage_id(cli, &id)) {
		json_decref(request);
		json_decref(r.lost);
		json_decref(r.suspect);
		return VERB_USAGE;
	}
	json_object_set_new(request, "outage", json_integer((json_int_t)id));
	int status = cli_ask(cli, request, on_row, &r, &done);
	if (status == VERB_DONE && cli->format == FORMAT_JSON) {
		put_json(&r, done);
	} else if (status == VERB_DONE) {
		const json_t *outage = json_object_get(done, "outage");

		put_timeline(cli, outage);
		put_sums(cli, outage);
		put_curve(&r);
		put_lists(&r, done);
	}
	json_decref(done);
	json_decref(r.lost);
	json_decref(r.suspect);
	free(r.samples);
	return status;
}

static void on_row(void *user, json_t *row)
{
	struct report *r = user;
	const json_t *sample = json_object_get(row, "sample");
	json_t *lost = json_object_get(row, "lost"), *suspect = json_object_get(row, "suspect");

	if (lost)
		json_array_append(r->lost, lost);
	if (suspect)
		json_array_append(r->suspect, suspect);
	if (!sample)
		return;
	if (r->sample_count == r->sample_cap) {
		r->sample_cap = r->sample_cap ? 2 * r->sample_cap : 256;
		r->samples = mem_realloc(r->samples, r->sample_cap * sizeof(*r->samples));
	}
	r->samples[r->sample_count++] = (struct outage_sample){
		.at = { (int64_t)(cli_seconds(sample, "at") * 1000) },
		.recipients = (uint64_t)cli_number(sample, "recipients"),
		.bytes = (uint64_t)cli_number(sample, "bytes"),
		.delivered = (uint64_t)cli_number(sample, "delivered"),
	};
}

static void append_after(struct buf *text, const json_t *o, const char *key)
{
	cli_append_time(text, cli_seconds(o, key));
	buf_append_str(text, STR(", after "));
	cli_append_span(text, (int64_t)(cli_seconds(o, key) - cli_seconds(o, "began")));
}

static void put_timeline(struct cli *cli, const json_t *o)
{
	struct buf text;

	buf_init(&text, 16384);
	buf_printf(&text, "%" PRId64 " of ", cli_number(o, "outage"));
	cli_append_outage_name(&text, o);
	buf_append_str(&text, STR(", kind: "));
	buf_append_safe(&text, cli_text(o, "kind"));
	cli_put_line(cli, "Outage", &text);
	cli_append_time(&text, cli_seconds(o, "began"));
	if (cli_text(o, "reply").len) {
		buf_append_str(&text, STR(", "));
		buf_append_safe(&text, cli_text(o, "stage"));
		if (cli_text(o, "host").len)
			buf_append_char(&text, ' ');
		buf_append_safe(&text, cli_text(o, "host"));
		buf_append_str(&text, STR(": "));
		buf_append_safe(&text, cli_text(o, "reply"));
	}
	cli_put_line(cli, "Began", &text);
	append_after(&text, o, "declared");
	buf_append_str(&text, STR(", by "));
	buf_append_safe(&text, cli_text(o, "actor").len ? cli_text(o, "actor") : STR("the relay"));
	cli_put_line(cli, "Declared", &text);
	if (cli_text(o, "note").len) {
		buf_append_safe(&text, cli_text(o, "note"));
		cli_put_line(cli, "Note", &text);
	}
	if (cli_seconds(o, "until") > 0) {
		cli_append_time(&text, cli_seconds(o, "until"));
		cli_put_line(cli, "Expected end", &text);
	}
	if (cli_seconds(o, "recovered") > 0)
		append_after(&text, o, "recovered");
	else
		buf_append_str(&text, STR("not yet"));
	cli_put_line(cli, "Answered", &text);
	if (cli_seconds(o, "ended") > 0) {
		append_after(&text, o, "ended");
	} else {
		buf_append_str(&text, STR("still open, after "));
		cli_append_span(&text, cli_number(o, "duration"));
	}
	buf_append_str(&text, STR("; this time counts for no lifetime of its mail"));
	cli_put_line(cli, "Ended", &text);
	buf_fini(&text);
}

static void put_sums(struct cli *cli, const json_t *o)
{
	struct buf text;

	buf_init(&text, 4096);
	if (cli_number(o, "failures") > 0) {
		buf_printf(&text, "%" PRId64 " failures in a row, %" PRId64 " probes",
			cli_number(o, "failures"), cli_number(o, "probes"));
		cli_put_line(cli, "Evidence", &text);
	}
	if (cli_number(o, "peak_recipients") > 0) {
		cli_append_count(&text, (uint64_t)cli_number(o, "peak_recipients"));
		buf_append_str(&text, STR(" recipients, "));
		cli_append_size(&text, (uint64_t)cli_number(o, "peak_bytes"));
		buf_append_str(&text, STR(" octets, at "));
		cli_append_time(&text, cli_seconds(o, "peak_at"));
		cli_put_line(cli, "Peak", &text);
	}
	cli_append_count(&text, (uint64_t)cli_number(o, "delivered"));
	buf_append_str(&text, STR(" recipients since it began, "));
	cli_append_count(&text, (uint64_t)cli_number(o, "failed"));
	buf_append_str(&text, STR(" failed"));
	cli_put_line(cli, "Delivered", &text);
	cli_append_count(&text, (uint64_t)cli_number(o, "saved"));
	buf_append_str(&text,
		STR(" of those delivered more than five days after they came: senders that give "
		    "up then would have returned them"));
	cli_put_line(cli, "Saved", &text);
	buf_fini(&text);
}

static void put_curve(const struct report *r)
{
	struct curve_point points[CURVE_LINES];
	uint32_t count = curve_make(r->samples, r->sample_count, points, CURVE_LINES);
	uint64_t most = 0;
	struct buf text;

	for (uint32_t i = 0; i < count; i++)
		most = points[i].recipients > most ? points[i].recipients : most;
	if (!most)
		return;
	(void)puts("\nWaiting, and delivered in each step:");
	buf_init(&text, 4096);
	for (uint32_t i = 0; i < count; i++) {
		struct cli_line line = { .cli = r->cli };
		uint32_t bar = curve_bar(points[i].recipients, most, BAR_COLUMNS);

		buf_clear(&text);
		cli_append_time(&text, (double)points[i].at.ms / 1000);
		cli_cell(&line, buf_str(&text), 19, COLOR_NONE);
		buf_clear(&text);
		while (bar--)
			buf_append_char(&text, '#');
		cli_cell(&line, buf_str(&text), BAR_COLUMNS, COLOR_WARN);
		buf_clear(&text);
		cli_append_count(&text, points[i].recipients);
		cli_cell(&line, buf_str(&text), -11, COLOR_NONE);
		buf_clear(&text);
		cli_append_count(&text, points[i].delivered);
		cli_cell(&line, buf_str(&text), -11, COLOR_GOOD);
		cli_line_end(&line);
	}
	buf_fini(&text);
}

static void put_list(const struct report *r, const json_t *done, const char *key,
	const json_t *rows, const char *what, const char *tail)
{
	const json_t *sums = json_object_get(done, key);
	uint64_t count = (uint64_t)cli_number(sums, "recipients");
	struct buf text;
	json_t *row;
	size_t i;

	buf_init(&text, 4096);
	if (count)
		cli_append_count(&text, count);
	else
		buf_append_str(&text, STR("No"));
	buf_printf(&text, " recipient%s %s%s", count <= 1 ? "" : "s", what, count ? tail : "");
	if (!json_is_true(json_object_get(sums, "complete"))) {
		buf_append_str(&text, STR("; the history reaches back to "));
		cli_append_time(&text, cli_seconds(done, "history_from"));
		buf_append_str(&text, STR(" only"));
	}
	printf("\n%s%s\n", buf_cstr(&text), count ? ":" : ".");
	json_array_foreach(rows, i, row)
	{
		put_mention(r->cli, row);
	}
	if (count > json_array_size(rows))
		printf("  and %" PRIu64 " more; --limit shows them\n",
			count - json_array_size(rows));
	buf_fini(&text);
}

static void put_lists(const struct report *r, const json_t *done)
{
	put_list(r, done, "lost", r->lost, "failed at its destinations while it lasted", "");
	if (!json_object_get(done, "suspect"))
		return;
	put_list(r, done, "suspect", r->suspect, "accepted there in the 24 hours before it began",
		", and may have been lost with it");
}

static void put_mention(struct cli *cli, const json_t *m)
{
	struct cli_line line = { .cli = cli };
	struct buf text;

	buf_init(&text, 128);
	cli_cell(&line, cli_text(m, "queue_id"), 13, COLOR_NONE);
	cli_append_time(&text, cli_seconds(m, "finished"));
	cli_cell(&line, buf_str(&text), 19, COLOR_NONE);
	cli_cell(&line, cli_text(m, "reverse_path").len ? cli_text(m, "reverse_path") : STR("<>"),
		24, COLOR_NONE);
	cli_cell(&line, cli_text(m, "address"), 28, COLOR_NONE);
	cli_cell(&line, cli_text(m, "reply"), 0, COLOR_DIM);
	cli_line_end(&line);
	buf_fini(&text);
}

/* {"outage":{...},"samples":[...],"lost":{...,"recipients":N,"list":[...]},"suspect":{...}} */
static void put_json(const struct report *r, json_t *done)
{
	json_t *samples = json_array();

	for (uint32_t i = 0; i < r->sample_count; i++)
		json_array_append_new(samples,
			json_pack("{sf sI sI sI}", "at", (double)r->samples[i].at.ms / 1000,
				"recipients", (json_int_t)r->samples[i].recipients, "bytes",
				(json_int_t)r->samples[i].bytes, "delivered",
				(json_int_t)r->samples[i].delivered));
	json_object_set_new(done, "samples", samples);
	json_object_set(json_object_get(done, "lost"), "list", r->lost);
	json_object_set(json_object_get(done, "suspect"), "list", r->suspect);
	cli_put_json(done);
}
