/*
 * control_verbs_revive - revive: mail that failed goes back to the queue, while its content is kept (keep-failed).
 *
 * The conditions are those of every verb that acts, on failed recipients. A dry run counts what would be revived, and what
 * cannot be any more. The act goes in steps, each a transaction with an audit row; notices that still wait are taken back
 * with all that they name, so the count may be larger than that of the dry run. Those whose sender has been told are counted.
 */
#include <inttypes.h>
#include <jansson.h>

#include "relay/control_call.h"
#include "relay/control_json.h"

enum { REVIVE_STEP = 1000 };

struct revive_state {
	bool is_dry_run;
	uint64_t messages, told;
	uint32_t steps;
};

static void revive_step(struct verb_call *call);
static void revived(struct verb_call *call);
static void revive_end(struct verb_call *call);

static bool is_filter_empty(const struct store_filter *f)
{
	return !f->is_all && !f->id_count && !f->from.len && !f->to.len && !f->domain.len &&
	       !f->site.len && !f->hop.len && !f->states && !f->accepted_before.ms &&
	       !f->accepted_after.ms && !f->size_min_bytes && !f->size_max_bytes &&
	       !f->attempts_min && !f->status.len && !f->user.len && !f->has_priority;
}

void verb_revive(struct verb_call *call)
{
	struct revive_state *state = arena_alloc(&call->arena, sizeof(*state));

	*state = (struct revive_state){ .is_dry_run = verb_flag(call, "dry_run") };
	call->state = state;
	if (!verb_read_filter(call))
		return;
	if (is_filter_empty(&call->filter)) {
		verb_fail(call, VERB_USAGE,
			"revive without a condition is refused; \"all\" means everything");
		return;
	}
	if (call->filter.states && !(call->filter.states & RECIPIENT_STATE_BIT(RECIPIENT_FAILED))) {
		verb_fail(call, VERB_USAGE, "only what failed can be revived");
		return;
	}
	call->filter.states = RECIPIENT_STATE_BIT(RECIPIENT_FAILED);
	revive_step(call);
}

static void revive_step(struct verb_call *call)
{
	const struct revive_state *state = call->state;
	uint64_t left = call->limit - call->changed_count;

	call->revive.filter = &call->filter;
	call->revive.now = call->host->wall(call->host->user);
	call->revive.actor = call->caller.actor;
	call->revive.reason = str_slice(verb_text(call, "reason"), 0, 1000);
	call->revive.limit = left < REVIVE_STEP ? (uint32_t)left : REVIVE_STEP;
	call->revive.is_dry_run = state->is_dry_run;
	verb_submit(call, &call->revive.op, STORE_REVIVE, revived);
}

static void revived(struct verb_call *call)
{
	struct revive_state *state = call->state;
	const struct store_revive *r = &call->revive;
	const struct verb_daemon_ops *daemon = call->host->daemon;

	state->messages += r->message_count;
	state->told += r->told_count;
	state->steps++;
	if (state->is_dry_run) {
		revive_end(call);
		return;
	}
	call->changed_count += r->recipient_count;
	for (uint32_t i = 0; daemon && i < r->hop_count; i++)
		daemon->hop_ready(call->host->user, r->hops[i], false);
	if (r->is_more && r->recipient_count && call->changed_count < call->limit)
		verb_continue(call, revive_step);
	else
		revive_end(call);
}

static void revive_end(struct verb_call *call)
{
	const struct revive_state *state = call->state;
	const struct store_revive *r = &call->revive;
	json_t *done = json_object();

	json_put_text(done, "action", STR("revived"));
	json_put(done, "dry_run", json_boolean(state->is_dry_run));
	json_put_u64(
		done, "recipients", state->is_dry_run ? r->recipient_count : call->changed_count);
	json_put_u64(done, "messages", state->messages);
	json_put_u64(done, "told", state->told);
	if (state->is_dry_run) {
		json_put_u64(done, "gone", r->gone_count);
		json_put_u64(done, "domains", r->domain_count);
		json_put_wall(done, "oldest", r->oldest);
		json_put(done, "oldest_age",
			json_integer(r->oldest.ms ? (call->now.ms - r->oldest.ms) / 1000 : 0));
	}
	if (!state->is_dry_run && call->changed_count)
		verb_audit(call,
			"%" PRIu64 " recipients revived, senders of %" PRIu64
			" had been told of the failure",
			call->changed_count, state->told);
	verb_done(call, done);
}
