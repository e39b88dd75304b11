/*
 * control_verbs_import - import: destinations and mailboxes that another relay has seen to work.
 *
 * "domains" and "mailboxes" are lists of [name, seconds since 1970]. Domains become known good as if we had delivered there then:
 * durable before the answer. Mailboxes go to the daemon, which remembers them in its own compact way; without one,
 * or where it keeps none, they are counted as left out. Nothing is ever made less known; repeating is harmless.
 */
#include <inttypes.h>
#include <jansson.h>

#include "relay/control_call.h"
#include "relay/control_json.h"

enum { IMPORT_NAMES_MAX = 20000, NAME_MAX_BYTES = 255, ADDRESS_MAX_BYTES = 1024 };

struct import_state {
	struct store_success *successes;
	uint32_t count;
	uint64_t mailboxes, left_out;
};

static bool read_pair(
	struct verb_call *call, const json_t *pair, struct str *name, struct wall *at);
static bool read_domains(struct verb_call *call);
static void import_recorded(struct verb_call *call);
static bool take_mailboxes(struct verb_call *call);

void verb_import(struct verb_call *call)
{
	struct import_state *state = arena_alloc(&call->arena, sizeof(*state));

	call->state = state;
	if (json_array_size(json_object_get(call->request, "domains")) > IMPORT_NAMES_MAX ||
		json_array_size(json_object_get(call->request, "mailboxes")) > IMPORT_NAMES_MAX) {
		verb_fail(call, VERB_USAGE, "import takes 20000 domains and mailboxes at once");
		return;
	}
	if (!read_domains(call))
		return;
	if (!state->count) {
		import_recorded(call);
		return;
	}
	call->record.at = call->now;
	call->record.successes = state->successes;
	call->record.success_count = state->count;
	verb_submit(call, &call->record.op, STORE_RECORD, import_recorded);
}

/* A time to come is a clock that runs ahead: now. */
static bool read_pair(struct verb_call *call, const json_t *pair, struct str *name, struct wall *at)
{
	const json_t *text = json_array_get(pair, 0);
	double seconds = json_number_value(json_array_get(pair, 1));

	*name = json_is_string(text) ? str_of(json_string_value(text), json_string_length(text))
				     : STR("");
	if (json_array_size(pair) != 2 || !name->len || str_find(*name, '\0') < name->len ||
		!(seconds >= 1 && seconds < 1e11)) {
		verb_fail(call, VERB_USAGE, "import takes lists of [name, seconds since 1970]");
		return false;
	}
	at->ms = (int64_t)(seconds * 1000.0);
	if (at->ms > call->now.ms)
		*at = call->now;
	return true;
}

static bool read_domains(struct verb_call *call)
{
	struct import_state *state = call->state;
	const json_t *list = json_object_get(call->request, "domains");
	size_t count = json_array_size(list);

	state->successes = arena_array(&call->arena, count + 1, sizeof(*state->successes));
	for (size_t i = 0; i < count; i++) {
		struct store_success *s = &state->successes[state->count];
		struct str name;

		if (!read_pair(call, json_array_get(list, i), &name, &s->at))
			return false;
		if (name.len > NAME_MAX_BYTES) {
			state->left_out++;
			continue;
		}
		s->hop = arena_lower(&call->arena, name);
		state->count++;
	}
	return true;
}

static void import_recorded(struct verb_call *call)
{
	struct import_state *state = call->state;
	const struct verb_daemon_ops *daemon = call->host->daemon;
	json_t *done;

	for (uint32_t i = 0; daemon && daemon->hop_known && i < state->count; i++)
		daemon->hop_known(
			call->host->user, state->successes[i].hop, state->successes[i].at);
	if (!take_mailboxes(call))
		return;
	if (state->count || state->mailboxes)
		verb_audit(call, "%u domains and %" PRIu64 " mailboxes imported as known good",
			state->count, state->mailboxes);
	done = json_object();
	json_put_u64(done, "domains", state->count);
	json_put_u64(done, "mailboxes", state->mailboxes);
	json_put_u64(done, "left_out", state->left_out);
	verb_done(call, done);
}

static bool take_mailboxes(struct verb_call *call)
{
	struct import_state *state = call->state;
	const struct verb_daemon_ops *daemon = call->host->daemon;
	const json_t *list = json_object_get(call->request, "mailboxes");

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct str address;
		struct wall at;

		if (!read_pair(call, json_array_get(list, i), &address, &at))
			return false;
		if (!daemon || !daemon->mailbox_known || address.len > ADDRESS_MAX_BYTES) {
			state->left_out++;
			continue;
		}
		daemon->mailbox_known(call->host->user, address, at);
		state->mailboxes++;
	}
	return true;
}
