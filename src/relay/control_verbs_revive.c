/*
 * control_verbs_revive - revive: mail that failed waits again, as long as its content is kept (outage.keep-failed).
 *
 * As with other changes: a dry run counts, without any condition it is refused, the act goes in steps with an audit row
 * each. A notice that still waits is taken back with all that it names; whose sender has been told already is
 * counted apart, for that sender may have sent again. "untold" leaves those alone.
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
static void revive_applied(struct verb_call *call);
static void revive_end(struct verb_call *call);

void verb_revive(struct verb_call *call)
{
	struct revive_state *state = arena_alloc(&call->arena, sizeof(*state));

	call->state = state;
	if (!verb_read_filter(call))
		return;
	if (verb_filter_is_empty(&call->filter)) {
		verb_fail(call, VERB_USAGE,
			"revive without a condition is refused; \"all\" means everything");
		return;
	}
	state->is_dry_run = verb_flag(call, "dry_run");
	revive_step(call);
}

static void revive_step(struct verb_call *call)
{
	const struct revive_state *state = call->state;
	uint64_t left = call->limit - call->changed_count;

	call->revive.filter = &call->filter;
	call->revive.only_untold = verb_flag(call, "untold");
	call->revive.now = call->host->wall(call->host->user);
	call->revive.actor = call->caller.actor;
	call->revive.reason = str_slice(verb_text(call, "reason"), 0, 1000);
	call->revive.limit = left < REVIVE_STEP ? (uint32_t)left : REVIVE_STEP;
	call->revive.is_dry_run = state->is_dry_run;
	verb_submit(call, &call->revive.op, STORE_REVIVE, revive_applied);
}

static void revive_applied(struct verb_call *call)
{
	struct revive_state *state = call->state;
	const struct store_revive *revive = &call->revive;
	const struct verb_daemon_ops *daemon = call->host->daemon;

	state->messages += revive->message_count;
	state->steps++;
	if (state->is_dry_run) {
		revive_end(call);
		return;
	}
	state->told += revive->told_count;
	call->changed_count += revive->recipient_count;
	for (uint32_t i = 0; daemon && i < revive->hop_count; i++)
		daemon->hop_ready(call->host->user, revive->hops[i], false);
	if (revive->is_more && revive->recipient_count && call->changed_count < call->limit)
		verb_continue(call, revive_step);
	else
		revive_end(call);
}

static void revive_end(struct verb_call *call)
{
	const struct revive_state *state = call->state;
	const struct store_revive *revive = &call->revive;
	json_t *done = json_object();

	json_put(done, "action", json_string("revived"));
	json_put(done, "dry_run", json_boolean(state->is_dry_run));
	json_put_u64(done, "recipients",
		state->is_dry_run ? revive->recipient_count : call->changed_count);
	if (state->steps <= 1)
		json_put_u64(done, "messages", state->messages);
	else
		json_put(done, "messages", json_null());
	if (state->is_dry_run) {
		json_put_u64(done, "domains", revive->domain_count);
		json_put_wall(done, "oldest", revive->oldest);
		json_put(done, "oldest_age",
			json_integer(
				revive->oldest.ms ? (call->now.ms - revive->oldest.ms) / 1000 : 0));
		json_put_u64(done, "gone", revive->gone_count);
	} else {
		json_put_u64(done, "told", state->told);
	}
	if (call->changed_count)
		verb_audit(call,
			"%" PRIu64 " recipients revived, the senders of %" PRIu64 " had been told",
			call->changed_count, state->told);
	verb_done(call, done);
}
