/*
 * control_verbs_status - status, metrics, config, version, reload: the relay as a whole.
 *
 * status is totals kept by the store plus the destinations in trouble, from a bounded number of
 * next hops: it costs the same with ten messages as with ten million. What only the daemon knows is
 * left out when none runs.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "queue/health.h"
#include "relay/control_book.h"
#include "relay/control_call.h"
#include "relay/control_json.h"
#include "relay/control_outage.h"
#include "relay/control_survey.h"

enum { STATUS_HOPS_MAX = 10000, STATUS_WORST_MAX = 10, STATUS_OUTAGES_MAX = 20, TEXT_MAX_BYTES = 4 << 20 };

struct status_state {
	struct survey survey;
	struct outage_book book;
};

static void status_outages(struct verb_call *call);
static void status_survey(struct verb_call *call);
static void status_answer(struct verb_call *call);
static void put_daemon(struct verb_call *call, json_t *done);
static void put_queue(struct verb_call *call, json_t *done);
static void status_fini(void *state);
static void metrics_answer(struct verb_call *call);
static void append_gauges(struct verb_call *call, struct buf *text);
static void done_text(struct verb_call *call, struct buf *text);

void verb_status(struct verb_call *call)
{
	struct status_state *state = mem_zalloc(sizeof(*state));

	survey_init(&state->survey, STATUS_HOPS_MAX, false);
	call->state = state;
	call->fini = status_fini;
	verb_submit(call, &call->stats.op, STORE_STATS, status_outages);
}

static void status_outages(struct verb_call *call)
{
	struct status_state *state = call->state;

	book_load(call, &state->book, status_survey);
}

static void status_survey(struct verb_call *call)
{
	struct status_state *state = call->state;

	survey_start(call, &state->survey, status_answer);
}

static void status_answer(struct verb_call *call)
{
	struct status_state *state = call->state;
	struct survey *survey = &state->survey;
	json_t *done = json_object(), *worst = json_array(), *sites = json_object();
	json_t *outages = json_array();

	json_put(done, "version", json_string(OUTLAST_VERSION));
	json_put_text(done, "hostname", call->conf->hostname);
	json_put_wall(done, "now", call->now);
	put_daemon(call, done);
	put_queue(call, done);
	for (unsigned s = 0; s < HEALTH_STATE_COUNT; s++)
		json_put_u64(sites, health_state_name((enum health_state)s), call->stats.sites[s]);
	json_put(done, "sites", sites);
	survey_sort(survey);
	for (size_t i = 0; i < survey->sorted_count && json_array_size(worst) < STATUS_WORST_MAX;
		i++)
		if (survey->sorted[i]->recipients)
			json_array_append_new(worst, survey_json(call, survey->sorted[i]));
	json_put(done, "worst", worst);
	for (uint32_t i = 0; i < state->book.open_count && i < STATUS_OUTAGES_MAX; i++)
		json_array_append_new(outages, json_outage(&state->book.open[i], call->now));
	json_put(done, "outages", outages);
	json_put_u64(done, "outages_open", state->book.open_count);
	json_put(done, "worst_partial", json_boolean(survey->is_partial));
	verb_done(call, done);
}

static void put_daemon(struct verb_call *call, json_t *done)
{
	struct verb_gauges g = { .clock_rate = 1 };

	json_put(done, "running", json_boolean(call->host->daemon));
	if (!call->host->daemon)
		return;
	call->host->daemon->gauges(call->host->user, &g);
	json_put_wall(done, "started", g.started);
	json_put(done, "up", json_integer((call->now.ms - g.started.ms) / 1000));
	json_put(done, "clock_rate", json_integer(g.clock_rate));
	json_put_u64(done, "deliveries", g.deliveries);
	json_put_u64(done, "attempts", g.attempts);
	json_put_u64(done, "sessions", g.sessions);
	json_put(done, "space_low", json_boolean(g.is_space_low));
	json_put(done, "offline", json_boolean(g.is_offline));
	if (g.is_offline)
		json_put(done, "offline_for",
			json_integer((call->now.ms - g.offline_since.ms) / 1000));
	json_put_u64(done, "min_free_bytes", call->conf->queue.min_free_bytes);
}

static void put_queue(struct verb_call *call, json_t *done)
{
	const struct store_stats *st = &call->stats;
	json_t *recipients = json_object();

	for (unsigned s = 0; s < RECIPIENT_STATE_COUNT; s++)
		json_put_u64(recipients, recipient_state_name((enum recipient_state)s),
			st->recipients[s]);
	json_put(done, "recipients", recipients);
	json_put_u64(done, "messages", st->messages);
	json_put_u64(done, "bytes", st->bytes);
	json_put_wall(done, "oldest", st->oldest);
	if (st->oldest.ms)
		json_put(done, "oldest_age", json_integer((call->now.ms - st->oldest.ms) / 1000));
	json_put_u64(done, "disk_free_bytes", st->disk_free_bytes);
	json_put_u64(done, "file_bytes", st->file_bytes);
	json_put_u64(done, "wal_bytes", st->wal_bytes);
	json_put_u64(done, "delivered_total", st->delivered_total);
	json_put_u64(done, "failed_total", st->failed_total);
	json_put_text(done, "directory", call->conf->queue.directory);
}

static void status_fini(void *state)
{
	struct status_state *s = state;

	survey_fini(&s->survey);
	free(s);
}

void verb_metrics(struct verb_call *call)
{
	verb_submit(call, &call->stats.op, STORE_STATS, metrics_answer);
}

/* Prometheus text format 0.0.4. */
static void metrics_answer(struct verb_call *call)
{
	struct buf text;

	buf_init(&text, TEXT_MAX_BYTES);
	for (unsigned i = 0; call->host->metrics && i < METRIC_COUNT; i++) {
		const char *name = metric_name((enum metric)i);
		bool is_counter = str_ends_fold(str_from_c(name), STR("_total"));

		buf_printf(&text, "# TYPE outlast_%s %s\noutlast_%s %" PRIu64 "\n", name,
			is_counter ? "counter" : "gauge", name, call->host->metrics->value[i]);
	}
	append_gauges(call, &text);
	done_text(call, &text);
}

static void append_gauge(struct buf *text, const char *name, uint64_t value)
{
	buf_printf(text, "# TYPE outlast_%s gauge\noutlast_%s %" PRIu64 "\n", name, name, value);
}

static void append_gauges(struct verb_call *call, struct buf *text)
{
	const struct store_stats *st = &call->stats;
	int64_t age_ms =
		st->oldest.ms && st->oldest.ms < call->now.ms ? call->now.ms - st->oldest.ms : 0;

	buf_append_str(text, STR("# TYPE outlast_queue_recipients gauge\n"));
	for (unsigned s = 0; s <= RECIPIENT_QUARANTINED; s++)
		buf_printf(text, "outlast_queue_recipients{state=\"%s\"} %" PRIu64 "\n",
			recipient_state_name((enum recipient_state)s), st->recipients[s]);
	buf_append_str(text, STR("# TYPE outlast_sites gauge\n"));
	for (unsigned s = 0; s < HEALTH_STATE_COUNT; s++)
		buf_printf(text, "outlast_sites{state=\"%s\"} %" PRIu64 "\n",
			health_state_name((enum health_state)s), st->sites[s]);
	append_gauge(text, "queue_messages", st->messages);
	append_gauge(text, "queue_bytes", st->bytes);
	append_gauge(text, "queue_oldest_age_seconds", (uint64_t)(age_ms / 1000));
	append_gauge(text, "queue_file_bytes", st->file_bytes);
	append_gauge(text, "queue_wal_bytes", st->wal_bytes);
	append_gauge(text, "disk_free_bytes", st->disk_free_bytes);
	buf_printf(text,
		"# TYPE outlast_queue_delivered_total counter\noutlast_queue_delivered_total "
		"%" PRIu64
		"\n# TYPE outlast_queue_failed_total counter\noutlast_queue_failed_total %" PRIu64
		"\n",
		st->delivered_total, st->failed_total);
	if (!call->host->daemon)
		return;
	struct verb_gauges g = { .clock_rate = 1 };
	call->host->daemon->gauges(call->host->user, &g);
	append_gauge(text, "start_time_seconds", (uint64_t)(g.started.ms / 1000));
	append_gauge(text, "clock_rate", (uint64_t)g.clock_rate);
	append_gauge(text, "attempts_active", g.attempts);
	append_gauge(text, "offline", g.is_offline);
	append_gauge(text, "smtpd_sessions", g.sessions);
}

void verb_config(struct verb_call *call)
{
	struct buf text;

	buf_init(&text, TEXT_MAX_BYTES);
	conf_print(&text, call->conf);
	json_t *done = json_object();
	json_put_text(done, "text", buf_str(&text));
	json_put_text(done, "file", str_from_c(call->host->config_file));
	buf_fini(&text);
	verb_done(call, done);
}

static void done_text(struct verb_call *call, struct buf *text)
{
	json_t *done = json_object();

	json_put_text(done, "text", buf_str(text));
	buf_fini(text);
	verb_done(call, done);
}

void verb_version(struct verb_call *call)
{
	json_t *done = json_object();

	json_put(done, "version", json_string(OUTLAST_VERSION));
	json_put(done, "running", json_boolean(call->host->daemon));
	verb_done(call, done);
}

void verb_reload(struct verb_call *call)
{
	struct buf message;

	buf_init(&message, 64 * 1024);
	enum err err = call->host->daemon->reload(call->host->user, &message);
	if (err == OK) {
		verb_audit(call, "configuration reloaded");
		done_text(call, &message);
		return;
	}
	if (err == ERR_UNSUPPORTED)
		verb_fail(call, VERB_USAGE, "this daemon cannot reload");
	else
		verb_fail(call, VERB_DATA, "the old configuration stays:\n%.*s",
			STR_FMT(buf_str(&message)));
	buf_fini(&message);
}
