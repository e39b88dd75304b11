/*
 * control_verbs_list - list: the messages that match, a page of the store at a time, never more in
 * memory.
 *
 * The next page is asked for when the reader has taken the last one. By age a page starts at the
 * time of the last message seen, so that the millionth costs no more than the first. In other
 * orders it passes over as many as were seen; mail that leaves the queue meanwhile may let one be
 * missed there: a list is a look, not a snapshot.
 *
 * Mail that waits for its destination has no reply of its own: its reason is the destination's,
 * looked up once per next hop and kept for the pages to come, REASONS_MAX of them at most.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "mail/queue_id.h"
#include "queue/health.h"
#include "relay/control_call.h"
#include "relay/control_json.h"

enum { LIST_PAGE = 100, LIST_COUNT_PAGE = 1000, REASONS_MAX = 1000 };

struct reason {
	struct map_entry entry; /* by next hop */
	struct str text;        /* empty: it is up */
};

struct list_state {
	uint64_t messages, recipients, bytes;
	uint64_t offset; /* of the next page */
	bool is_count;
	struct map reasons;
	struct arena arena;          /* of the reasons */
	uint32_t message, recipient; /* in the page: looked at so far for its reason */
};

static void list_page(struct verb_call *call);
static void list_reasons(struct verb_call *call);
static void list_note_reason(struct verb_call *call);
static void list_rows(struct verb_call *call);
static json_t *row_of(
	const struct list_state *state, const struct queued_message *m, struct wall now);
static void list_advance(struct verb_call *call);
static void list_end(struct verb_call *call);
static void forget_reasons(struct list_state *state);
static void list_fini(void *memory);

void verb_list(struct verb_call *call)
{
	struct list_state *state = mem_zalloc(sizeof(*state));

	/* Next hops are names from outside: the address of the state is a seed they cannot know. */
	map_init(&state->reasons, (uint64_t)(uintptr_t)state * 0x9e3779b97f4a7c15u);
	call->state = state;
	call->fini = list_fini;
	if (!verb_read_filter(call))
		return;
	state->is_count = verb_flag(call, "count");
	list_page(call);
}

static void list_page(struct verb_call *call)
{
	struct list_state *state = call->state;
	uint64_t page = state->is_count ? LIST_COUNT_PAGE : LIST_PAGE,
		 left = call->limit - state->messages;

	if (state->reasons.count >= REASONS_MAX)
		forget_reasons(state);
	state->message = state->recipient = 0;
	call->query.filter = &call->filter;
	call->query.sort = call->sort;
	call->query.limit = (uint32_t)(left < page ? left : page);
	call->query.offset = state->offset;
	verb_submit(call, &call->query.op, STORE_QUERY, state->is_count ? list_rows : list_reasons);
}

/* list_reasons - asks for the next destination of the page whose state is not known yet; then the
 * rows go out. */
static void list_reasons(struct verb_call *call)
{
	struct list_state *state = call->state;

	for (; state->message < call->query.message_count; state->message++, state->recipient = 0) {
		const struct queued_message *m = &call->query.messages[state->message];

		for (; state->recipient < m->recipient_count; state->recipient++) {
			const struct queued_recipient *r = &m->recipients[state->recipient];

			if (r->state != RECIPIENT_READY || state->reasons.count >= REASONS_MAX ||
				map_find(&state->reasons, r->rcpt.hop))
				continue;
			call->lookup.hop = r->rcpt.hop;
			call->lookup.site = STR("");
			verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, list_note_reason);
			return;
		}
	}
	list_rows(call);
}

static void list_note_reason(struct verb_call *call)
{
	struct list_state *state = call->state;
	const struct store_lookup *l = &call->lookup;
	struct reason *reason = arena_alloc(&state->arena, sizeof(*reason));
	const struct health_record *site =
		l->op.err == OK && l->site_out.name.len ? &l->site_out.health : NULL;
	const struct health_record *hop =
		l->op.err == OK && l->hop_out.name.len ? &l->hop_out.health : NULL;

	if (site && site->state != HEALTH_UP &&
		(site->state == HEALTH_DOWN || !hop || hop->state == HEALTH_UP))
		reason->text = arena_printf(&state->arena, "site %.*s is %s: %s",
			STR_FMT(l->site_out.name), health_state_name(site->state), site->text);
	else if (hop && hop->state != HEALTH_UP)
		reason->text = arena_printf(&state->arena, "next hop %.*s is %s: %s",
			STR_FMT(l->hop_out.name), health_state_name(hop->state), hop->text);
	map_insert(&state->reasons, &reason->entry, arena_dup(&state->arena, l->hop));
	list_reasons(call);
}

static void list_rows(struct verb_call *call)
{
	struct list_state *state = call->state;

	for (uint32_t i = 0; i < call->query.message_count; i++) {
		const struct queued_message *m = &call->query.messages[i];

		state->messages++;
		state->recipients += m->recipient_count;
		state->bytes += m->env.size_bytes;
		if (!state->is_count)
			verb_row(call, row_of(state, m, call->now));
	}
	bool is_last = !call->query.is_more || !call->query.message_count ||
		       state->messages >= call->limit;
	if (!is_last)
		list_advance(call);
	verb_continue(call, is_last ? list_end : list_page);
}

static json_t *row_of(
	const struct list_state *state, const struct queued_message *m, struct wall now)
{
	json_t *row = json_message(m, now), *recipients = json_object_get(row, "recipients");

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct queued_recipient *r = &m->recipients[i];
		const struct map_entry *e =
			r->state == RECIPIENT_READY ? map_find(&state->reasons, r->rcpt.hop) : NULL;
		struct str text = e ? CONTAINER_OF(e, struct reason, entry)->text : STR("");

		if (text.len)
			json_put_text(json_array_get(recipients, i), "delay_reason", text);
	}
	return row;
}

static void list_advance(struct verb_call *call)
{
	struct list_state *state = call->state;

	if (call->sort == SORT_AGE)
		verb_next_page(call, &state->offset);
	else
		state->offset += call->query.message_count;
}

void verb_next_page(struct verb_call *call, uint64_t *offset)
{
	const struct store_query *page = &call->query;
	uint32_t same = 0;

	struct wall last = queue_id_time(page->messages[page->message_count - 1].env.id);
	while (same < page->message_count &&
		queue_id_time(page->messages[page->message_count - 1 - same].env.id).ms == last.ms)
		same++;
	if (call->filter.accepted_after.ms == last.ms)
		*offset += page->message_count;
	else
		*offset = same;
	call->filter.accepted_after = last;
}

static void list_end(struct verb_call *call)
{
	const struct list_state *state = call->state;
	json_t *done = json_object();

	json_put_u64(done, "messages", state->messages);
	json_put_u64(done, "recipients", state->recipients);
	json_put_u64(done, "bytes", state->bytes);
	verb_done(call, done);
}

static void forget_reasons(struct list_state *state)
{
	for (struct map_entry *e; (e = map_first(&state->reasons));)
		map_remove(&state->reasons, e);
	arena_fini(&state->arena);
}

static void list_fini(void *memory)
{
	struct list_state *state = memory;

	forget_reasons(state);
	map_fini(&state->reasons);
	free(state);
}
