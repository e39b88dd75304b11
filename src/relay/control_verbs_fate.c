/*
 * control_verbs_fate - fate: what another configuration would do to the mail that waits now.
 *
 * The request brings the lifetimes of that configuration: "policy" and "destinations", in file order. A message whose time is
 * over under one of the two and not under the other changes its fate. Only next hops whose lifetimes differ, and
 * only messages older than the shortest of them, are read; time of outages does not count, as for the daemon; after FATE_MESSAGES_MAX messages the counts
 * are said to be partial. A row for each next hop with a change, in order of name.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "relay/control_book.h"
#include "relay/control_json.h"

enum { FATE_HOPS_PAGE = 500, FATE_PAGE = 1000, FATE_MESSAGES_MAX = 500000 };

struct fate {
	uint64_t over, kept; /* recipients: over under the new policy only, under the old only */
};

struct fate_state {
	struct conf *next;
	struct outage_book book;
	uint32_t hop; /* in the page of next hops */
	uint64_t offset;
	struct fate here, all;
	uint64_t hops, messages;
	bool is_partial;
	char after_text[512];
};

static bool read_policies(struct verb_call *call, struct conf *next);
static bool read_policy(struct verb_call *call, const json_t *value, struct conf_policy *out);
static void fate_hops(struct verb_call *call);
static void fate_next_hop(struct verb_call *call);
static bool may_differ(struct verb_call *call, const struct hop_record *hop);
static void fate_query(struct verb_call *call);
static void fate_count(struct verb_call *call);
static void end_hop(struct verb_call *call);
static void fate_next_page(struct verb_call *call);
static void fate_end(struct verb_call *call);
static void fate_fini(void *memory);

static const struct conf_policy *policy_of(
	const struct verb_call *call, const struct conf *conf, uint32_t hop)
{
	return conf_policy_for(conf, call->hops.hops[hop].name, call->hops.hops[hop].site);
}

void verb_fate(struct verb_call *call)
{
	struct fate_state *state = mem_zalloc(sizeof(*state));

	state->next = conf_default();
	call->state = state;
	call->fini = fate_fini;
	if (read_policies(call, state->next))
		book_load(call, &state->book, fate_hops);
}

static bool read_policies(struct verb_call *call, struct conf *next)
{
	const json_t *list = json_object_get(call->request, "destinations");
	size_t count = json_array_size(list);

	if (!read_policy(call, json_object_get(call->request, "policy"), &next->policy))
		return false;
	next->destinations = arena_array(&next->arena, count + 1, sizeof(*next->destinations));
	next->destination_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_array_get(list, i),
			     *match = json_object_get(value, "match");
		struct conf_destination *d = &next->destinations[i];

		d->pattern = json_is_string(match)
				     ? arena_dup(&next->arena, str_of(json_string_value(match),
								       json_string_length(match)))
				     : STR("");
		d->is_mx = json_is_true(json_object_get(value, "mx"));
		d->policy = next->policy;
		if (!read_policy(call, value, &d->policy))
			return false;
	}
	return true;
}

static bool read_policy(struct verb_call *call, const json_t *value, struct conf_policy *out)
{
	json_int_t lifetime = json_integer_value(json_object_get(value, "lifetime_ms"));
	json_int_t most = json_integer_value(json_object_get(value, "lifetime_max_ms"));
	json_int_t bounce = json_integer_value(json_object_get(value, "bounce_lifetime_ms"));

	if (lifetime <= 0 || most <= 0 || bounce <= 0 || lifetime > 3650 * DAY_MS ||
		most > 3650 * DAY_MS || bounce > 3650 * DAY_MS) {
		verb_fail(call, VERB_USAGE,
			"fate needs the lifetimes of each policy, in milliseconds");
		return false;
	}
	out->lifetime_ms = lifetime;
	out->lifetime_max_ms = most;
	out->bounce_lifetime_ms = bounce;
	return true;
}

static void fate_hops(struct verb_call *call)
{
	struct fate_state *state = call->state;

	state->hop = 0;
	call->hops.limit = FATE_HOPS_PAGE;
	call->hops.is_detailed = true;
	verb_submit(call, &call->hops.op, STORE_HOPS, fate_next_hop);
}

static void fate_next_hop(struct verb_call *call)
{
	struct fate_state *state = call->state;

	while (state->hop < call->hops.hop_count &&
		!may_differ(call, &call->hops.hops[state->hop])) {
		state->hop++;
		state->hops++;
	}
	if (state->hop == call->hops.hop_count) {
		fate_next_page(call);
		return;
	}
	state->offset = 0;
	state->here = (struct fate){ 0 };
	call->filter = (struct store_filter){ .hop = call->hops.hops[state->hop].name };
	call->lookup.hop = call->filter.hop;
	call->lookup.site = STR("");
	verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, fate_query);
}

static int64_t shortest(const struct conf_policy *p)
{
	int64_t ms = p->lifetime_ms < p->lifetime_max_ms ? p->lifetime_ms : p->lifetime_max_ms;

	return ms < p->bounce_lifetime_ms ? ms : p->bounce_lifetime_ms;
}

static bool may_differ(struct verb_call *call, const struct hop_record *hop)
{
	struct fate_state *state = call->state;
	const struct conf_policy *now = policy_of(call, call->conf, state->hop);
	const struct conf_policy *then = policy_of(call, state->next, state->hop);
	int64_t least_ms = shortest(now) < shortest(then) ? shortest(now) : shortest(then);

	if (now->lifetime_ms == then->lifetime_ms &&
		now->lifetime_max_ms == then->lifetime_max_ms &&
		now->bounce_lifetime_ms == then->bounce_lifetime_ms)
		return false;
	return hop->oldest.ms != 0 && hop->oldest.ms <= call->now.ms - least_ms;
}

static void fate_query(struct verb_call *call)
{
	struct fate_state *state = call->state;
	const struct conf_policy *now = policy_of(call, call->conf, state->hop);
	const struct conf_policy *then = policy_of(call, state->next, state->hop);
	int64_t least_ms = shortest(now) < shortest(then) ? shortest(now) : shortest(then);

	call->filter.accepted_before = wall_add(call->now, 1 - least_ms);
	call->query.filter = &call->filter;
	call->query.sort = SORT_AGE;
	call->query.limit = FATE_PAGE;
	call->query.offset = state->offset;
	verb_submit(call, &call->query.op, STORE_QUERY, fate_count);
}

/* What is held stays however old it is. */
static uint64_t moving_recipients(const struct queued_message *m)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < m->recipient_count; i++)
		count += m->recipients[i].state != RECIPIENT_HELD;
	return count;
}

static bool is_over_under(
	struct verb_call *call, const struct conf_policy *policy, const struct envelope *env)
{
	const struct fate_state *state = call->state;
	int64_t credited_ms;

	return book_gives_up_at(call, &state->book, policy, env, &credited_ms).ms <= call->now.ms;
}

static void fate_count(struct verb_call *call)
{
	struct fate_state *state = call->state;
	const struct store_query *page = &call->query;
	const struct conf_policy *now = policy_of(call, call->conf, state->hop);
	const struct conf_policy *then = policy_of(call, state->next, state->hop);

	for (uint32_t i = 0; i < page->message_count; i++) {
		const struct queued_message *m = &page->messages[i];
		bool is_over = is_over_under(call, now, &m->env);
		bool will_be = is_over_under(call, then, &m->env);

		state->here.over += !is_over && will_be ? moving_recipients(m) : 0;
		state->here.kept += is_over && !will_be ? moving_recipients(m) : 0;
	}
	state->messages += page->message_count;
	if (!page->is_more || !page->message_count) {
		end_hop(call);
	} else if (state->messages >= FATE_MESSAGES_MAX) {
		state->is_partial = true;
		end_hop(call);
	} else {
		verb_next_page(call, &state->offset);
		fate_query(call);
	}
}

static void end_hop(struct verb_call *call)
{
	struct fate_state *state = call->state;
	json_t *row = json_object();

	if (state->here.over || state->here.kept) {
		json_put_text(row, "hop", call->hops.hops[state->hop].name);
		json_put_text(row, "site", call->hops.hops[state->hop].site);
		json_put_u64(row, "over", state->here.over);
		json_put_u64(row, "kept", state->here.kept);
		verb_row(call, json_incref(row));
	}
	json_decref(row);
	state->all.over += state->here.over;
	state->all.kept += state->here.kept;
	state->hop++;
	state->hops++;
	verb_continue(call, state->is_partial ? fate_end : fate_next_hop);
}

static void fate_next_page(struct verb_call *call)
{
	struct fate_state *state = call->state;

	if (!call->hops.is_more || !call->hops.hop_count) {
		fate_end(call);
		return;
	}
	struct str last = call->hops.hops[call->hops.hop_count - 1].name;
	if (last.len > sizeof(state->after_text)) {
		state->is_partial = true;
		fate_end(call);
		return;
	}
	for (size_t i = 0; i < last.len; i++)
		state->after_text[i] = last.data[i];
	call->hops.after = str_of(state->after_text, last.len);
	fate_hops(call);
}

static void fate_end(struct verb_call *call)
{
	const struct fate_state *state = call->state;
	json_t *done = json_object();

	json_put_u64(done, "over", state->all.over);
	json_put_u64(done, "kept", state->all.kept);
	json_put_u64(done, "hops", state->hops);
	json_put_u64(done, "messages", state->messages);
	json_put(done, "partial", json_boolean(state->is_partial));
	verb_done(call, done);
}

static void fate_fini(void *memory)
{
	struct fate_state *state = memory;

	conf_unref(state->next);
	free(state);
}
