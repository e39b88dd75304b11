/*
 * control_verbs_report - outage-report: what an outage did to the mail, from its record, its samples and the history.
 *
 * Rows: {"sample":...} of the backlog, {"lost":...} recipients that failed at its destinations while it lasted, {"suspect":...} those
 * that its destinations had accepted in the day before it began: a site that dies may have lost what it took last.
 * The history is read an hour at a time, so that a report never holds up the queue; it reaches back as far as
 * queue.history. Each list stops at the limit, its count goes on. A message with recipients that still wait is not in the
 * history yet.
 */
#include <jansson.h>
#include <stdlib.h>

#include "mail/queue_id.h"
#include "relay/control_call.h"
#include "relay/control_json.h"
#include "relay/control_outage.h"

#define SLICE_MS HOUR_MS
#define SUSPECT_MS DAY_MS

enum { REPORT_PAGE = 1000, LIST_LIMIT = 100 };

struct report_list {
	const char *key;
	unsigned states;
	struct wall from, to; /* of a recipient's end: [from, to) */
	uint64_t recipients, shown;
};

struct report_state {
	struct outage_record rec;
	struct wall history_from;
	struct report_list lists[2];
	unsigned list, list_count;
	struct wall slice;
	uint64_t limit, offset;
};

static void report_found(struct verb_call *call);
static void next_list(struct verb_call *call);
static void read_slice(struct verb_call *call);
static void take_slice(struct verb_call *call);
static void take_message(
	struct verb_call *call, struct report_list *list, const struct queued_message *m);
static json_t *json_mention(const struct queued_message *m, const struct queued_recipient *r);
static void report_end(struct verb_call *call);

void verb_outage_report(struct verb_call *call)
{
	struct report_state *state = arena_alloc(&call->arena, sizeof(*state));
	json_int_t id = json_integer_value(json_object_get(call->request, "outage"));
	struct str limit = verb_text(call, "limit");

	call->state = state;
	state->limit = LIST_LIMIT;
	if (limit.len && str_to_u64(limit, &state->limit) != OK) {
		verb_fail(call, VERB_USAGE, "limit: write a number");
		return;
	}
	if (id < 1) {
		verb_fail(call, VERB_USAGE,
			"which outage? 'outlast outages --all' shows their numbers");
		return;
	}
	call->outages.id = (uint64_t)id;
	verb_submit(call, &call->outages.op, STORE_OUTAGES, report_found);
}

static void report_found(struct verb_call *call)
{
	struct report_state *state = call->state;
	const struct store_outages *found = &call->outages;

	if (!found->outage_count) {
		verb_fail(call, VERB_NO_MATCH, "there is no such outage, or it is forgotten");
		return;
	}
	const struct outage_record *rec = &found->outages[0];
	struct wall end = rec->ended.ms != WALL_NONE.ms ? rec->ended : call->now;
	state->rec = *rec;
	state->history_from = (struct wall){ call->now.ms > call->conf->queue.history_ms
						     ? call->now.ms - call->conf->queue.history_ms
						     : 1 };
	for (uint32_t i = 0; i < found->sample_count; i++) {
		json_t *row = json_object(), *sample = json_object();

		json_put_wall(sample, "at", found->samples[i].at);
		json_put_u64(sample, "recipients", found->samples[i].recipients);
		json_put_u64(sample, "bytes", found->samples[i].bytes);
		json_put_u64(sample, "delivered", found->samples[i].delivered);
		json_put(row, "sample", sample);
		verb_row(call, row);
	}
	state->lists[0] = (struct report_list){ .key = "lost",
		.states = RECIPIENT_STATE_BIT(RECIPIENT_FAILED),
		.from = rec->began,
		.to = wall_add(end, 1) };
	state->lists[1] = (struct report_list){ .key = "suspect",
		.states = RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED),
		.from = { rec->began.ms > SUSPECT_MS ? rec->began.ms - SUSPECT_MS : 1 },
		.to = rec->began };
	/* What we took the blame for, no destination lost. */
	state->list_count = rec->kind == OUTAGE_OFFLINE || rec->kind == OUTAGE_STOPPED ? 1 : 2;
	next_list(call);
}

static void next_list(struct verb_call *call)
{
	struct report_state *state = call->state;

	if (state->list == state->list_count) {
		report_end(call);
		return;
	}
	const struct report_list *list = &state->lists[state->list];
	outage_filter(&state->rec, &call->filter);
	call->filter.states = list->states;
	state->slice = list->from.ms > state->history_from.ms ? list->from : state->history_from;
	state->offset = 0;
	read_slice(call);
}

/* A message leaves the queue no earlier than any of its recipients; the last may be much later. */
static void read_slice(struct verb_call *call)
{
	struct report_state *state = call->state;

	if (state->slice.ms > call->now.ms) {
		state->list++;
		verb_continue(call, next_list);
		return;
	}
	call->filter.finished_after = state->slice;
	call->filter.finished_before = wall_add(state->slice, SLICE_MS);
	call->query.filter = &call->filter;
	call->query.sort = SORT_FINISHED;
	call->query.limit = REPORT_PAGE;
	call->query.offset = state->offset;
	verb_submit(call, &call->query.op, STORE_QUERY, take_slice);
}

static void take_slice(struct verb_call *call)
{
	struct report_state *state = call->state;

	for (uint32_t i = 0; i < call->query.message_count; i++)
		take_message(call, &state->lists[state->list], &call->query.messages[i]);
	if (call->query.is_more && call->query.message_count) {
		state->offset += call->query.message_count;
	} else {
		state->slice = wall_add(state->slice, SLICE_MS);
		state->offset = 0;
	}
	verb_continue(call, read_slice);
}

static bool is_in(const struct report_state *state, const struct report_list *list,
	const struct queued_recipient *r)
{
	if (r->finished.ms < list->from.ms || r->finished.ms >= list->to.ms)
		return false;
	/* A pattern on sites was not looked for by the store: the host tells, where there is one. */
	return state->rec.scope != OUTAGE_OF_PATTERN ||
	       outage_is_about(
		       &state->rec, r->rcpt.hop, str_slice(r->host, 0, str_find(r->host, '[')));
}

static void take_message(
	struct verb_call *call, struct report_list *list, const struct queued_message *m)
{
	struct report_state *state = call->state;

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct queued_recipient *r = &m->recipients[i];

		if (!is_in(state, list, r))
			continue;
		list->recipients++;
		if (list->shown >= state->limit)
			continue;
		list->shown++;
		json_t *row = json_object();
		json_put(row, list->key, json_mention(m, r));
		verb_row(call, row);
	}
}

static json_t *json_mention(const struct queued_message *m, const struct queued_recipient *r)
{
	json_t *o = json_object();

	json_put(o, "queue_id", json_string(queue_id_format(m->env.id).text));
	json_put_text(o, "reverse_path", m->env.reverse_path);
	json_put_text(o, "address", r->rcpt.address);
	json_put_text(o, "message_id", m->env.message_id);
	json_put_wall(o, "arrival", m->env.accepted);
	json_put_wall(o, "finished", r->finished);
	json_put_text(o, "host", r->host);
	json_put_u64(o, "code", r->code);
	json_put_status(o, "status", r->status);
	json_put_text(o, "reply", r->text);
	return o;
}

static void report_end(struct verb_call *call)
{
	const struct report_state *state = call->state;
	json_t *done = json_object();

	json_put(done, "outage", json_outage(&state->rec, call->now));
	for (unsigned i = 0; i < state->list_count; i++) {
		const struct report_list *list = &state->lists[i];
		json_t *o = json_object();

		json_put_u64(o, "recipients", list->recipients);
		json_put_u64(o, "shown", list->shown);
		json_put_wall(o, "from", list->from);
		json_put_wall(o, "to", list->to);
		json_put(o, "complete", json_boolean(list->from.ms >= state->history_from.ms));
		json_put(done, list->key, o);
	}
	json_put_wall(done, "history_from", state->history_from);
	json_put_wall(done, "now", call->now);
	verb_done(call, done);
}
