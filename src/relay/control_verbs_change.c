/*
 * control_verbs_change - retry, hold, release, delete: what an operator does to the mail that
 * matches.
 *
 * A dry run counts exactly and changes nothing. The act goes in steps of at most 1000 recipients,
 * each a transaction of its own with an audit row, so that a million messages neither block the
 * queue nor one long commit. Without any condition it is refused unless "all" says that this is
 * meant. After each step the scheduler hears what moved.
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "relay/control_call.h"
#include "relay/control_json.h"

enum { CHANGE_STEP = 1000, READY_LOOK = 1000, READY_HOPS_MAX = 256 };

struct change_verb {
	const char *name, *past;
	enum modify_action action;
	unsigned states; /* those it can change */
};

struct change_state {
	const struct change_verb *verb;
	bool is_dry_run;
	uint64_t messages; /* of one step: a message may have recipients in several */
	uint32_t steps;
	uint64_t already_due; /* retry: recipients that were ready, and are looked at now */
};

static const struct change_verb change_verbs[] = {
	{ "retry", "made due", MODIFY_RETRY,
		RECIPIENT_STATE_BIT(RECIPIENT_WAITING) | RECIPIENT_STATE_BIT(RECIPIENT_QUARANTINED) },
	{ "hold", "held", MODIFY_HOLD,
		RECIPIENT_QUEUED_BITS & ~RECIPIENT_STATE_BIT(RECIPIENT_HELD) },
	{ "release", "released", MODIFY_RELEASE, RECIPIENT_STATE_BIT(RECIPIENT_HELD) },
	{ "delete", "deleted", MODIFY_DELETE, RECIPIENT_QUEUED_BITS },
};

static void change_step(struct verb_call *call);
static void change_applied(struct verb_call *call);
static void tell_scheduler(struct verb_call *call);
static void look_at_ready(struct verb_call *call);
static void wake_ready(struct verb_call *call);
static void change_end(struct verb_call *call);

void verb_change(struct verb_call *call)
{
	struct change_state *state = arena_alloc(&call->arena, sizeof(*state));
	struct str name = verb_text(call, "verb");

	call->state = state;
	for (size_t i = 0; i < ARRAY_COUNT(change_verbs); i++)
		if (str_equal(name, str_from_c(change_verbs[i].name)))
			state->verb = &change_verbs[i];
	CHECK(state->verb);
	if (!verb_read_filter(call))
		return;
	if (verb_filter_is_empty(&call->filter)) {
		verb_fail(call, VERB_USAGE,
			"%s without a condition is refused; \"all\" means everything",
			state->verb->name);
		return;
	}
	unsigned asked = call->filter.states ? call->filter.states : RECIPIENT_QUEUED_BITS;
	call->filter.states = asked & state->verb->states;
	state->is_dry_run = verb_flag(call, "dry_run");
	if (call->filter.states)
		change_step(call);
	else
		change_end(call);
}

bool verb_filter_is_empty(const struct store_filter *f)
{
	return !f->is_all && !f->id_count && !f->from.len && !f->to.len && !f->domain.len &&
	       !f->site.len && !f->hop.len && !f->states && !f->accepted_before.ms &&
	       !f->accepted_after.ms && !f->finished_after.ms && !f->finished_before.ms &&
	       !f->size_min_bytes && !f->size_max_bytes &&
	       !f->attempts_min && !f->status.len && !f->user.len && !f->has_priority;
}

static void change_step(struct verb_call *call)
{
	const struct change_state *state = call->state;
	uint64_t left = call->limit - call->changed_count;

	call->modify.filter = &call->filter;
	call->modify.action = state->verb->action;
	call->modify.now = call->host->wall(call->host->user);
	call->modify.actor = call->caller.actor;
	call->modify.reason = str_slice(verb_text(call, "reason"), 0, 1000);
	call->modify.limit = left < CHANGE_STEP ? (uint32_t)left : CHANGE_STEP;
	call->modify.is_dry_run = state->is_dry_run;
	verb_submit(call, &call->modify.op, STORE_MODIFY, change_applied);
}

static void change_applied(struct verb_call *call)
{
	struct change_state *state = call->state;

	state->messages = call->modify.message_count;
	state->steps++;
	if (state->is_dry_run) {
		change_end(call);
		return;
	}
	call->changed_count += call->modify.recipient_count;
	tell_scheduler(call);
	if (call->modify.is_more && call->modify.recipient_count &&
		call->changed_count < call->limit)
		verb_continue(call, change_step);
	else if (state->verb->action == MODIFY_RETRY && call->host->daemon)
		look_at_ready(call);
	else
		change_end(call);
}

static void tell_scheduler(struct verb_call *call)
{
	const struct change_state *state = call->state;
	const struct verb_daemon_ops *daemon = call->host->daemon;
	enum modify_action action = state->verb->action;

	if (!daemon || !call->modify.recipient_count)
		return;
	if (action == MODIFY_HOLD || action == MODIFY_DELETE) {
		daemon->forget_pending(call->host->user);
		return;
	}
	for (uint32_t i = 0; i < call->modify.hop_count; i++)
		daemon->hop_ready(call->host->user, call->modify.hops[i], action == MODIFY_RETRY);
}

/* Mail that was READY already waits for its destination only: retry then means a look at that
 * destination now. */
static void look_at_ready(struct verb_call *call)
{
	call->filter.states = RECIPIENT_STATE_BIT(RECIPIENT_READY);
	call->query.filter = &call->filter;
	call->query.sort = SORT_AGE;
	call->query.limit = READY_LOOK;
	call->query.offset = 0;
	verb_submit(call, &call->query.op, STORE_QUERY, wake_ready);
}

static void wake_ready(struct verb_call *call)
{
	struct change_state *state = call->state;
	struct str hops[READY_HOPS_MAX];
	size_t hop_count = 0;

	for (uint32_t i = 0; i < call->query.message_count; i++) {
		const struct queued_message *m = &call->query.messages[i];

		state->already_due += m->recipient_count;
		for (uint32_t k = 0; k < m->recipient_count; k++) {
			struct str hop = m->recipients[k].rcpt.hop;
			size_t at = 0;

			while (at < hop_count && !str_equal(hops[at], hop))
				at++;
			if (at < hop_count || hop_count == READY_HOPS_MAX)
				continue;
			hops[hop_count++] = hop;
			call->host->daemon->hop_ready(call->host->user, hop, true);
		}
	}
	change_end(call);
}

static void change_end(struct verb_call *call)
{
	const struct change_state *state = call->state;
	const struct store_modify *modify = &call->modify;
	json_t *done = json_object();

	json_put_text(done, "action", str_from_c(state->verb->past));
	json_put(done, "dry_run", json_boolean(state->is_dry_run));
	json_put_u64(done, "recipients",
		state->is_dry_run ? modify->recipient_count : call->changed_count);
	if (state->steps <= 1)
		json_put_u64(done, "messages", state->messages);
	else
		json_put(done, "messages", json_null());
	if (state->is_dry_run) {
		json_put_u64(done, "domains", modify->domain_count);
		json_put_wall(done, "oldest", modify->oldest);
		json_put(done, "oldest_age",
			json_integer(
				modify->oldest.ms ? (call->now.ms - modify->oldest.ms) / 1000 : 0));
	}
	json_put_u64(done, "already_due", state->already_due);
	if (!state->is_dry_run && call->changed_count)
		verb_audit(
			call, "%" PRIu64 " recipients %s", call->changed_count, state->verb->past);
	if (state->already_due)
		verb_audit(call,
			"%" PRIu64 " recipients that waited for their destination looked at",
			state->already_due);
	verb_done(call, done);
}
