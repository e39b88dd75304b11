/*
 * control_verbs_message - show, log, cat: one message, queued or in the history.
 *
 * show sends the message with all its recipients; log every attempt, oldest first; cat the content
 * as it is stored, chunk by chunk in base64. The content of a finished message is gone: cat says
 * so.
 */
#include <inttypes.h>
#include <jansson.h>

#include "base/check.h"
#include "mail/queue_id.h"
#include "relay/control_call.h"
#include "relay/control_json.h"

enum { LOG_PAGE = 100, CAT_ROW_BYTES = 48 * 1024 };

struct message_state {
	uint32_t next; /* attempt or chunk */
	uint64_t bytes;
	size_t offset; /* in the chunk */
};

static void ask(struct verb_call *call, verb_step *next);
static void show_answer(struct verb_call *call);
static void log_answer(struct verb_call *call);
static void cat_begin(struct verb_call *call);
static void cat_fetch(struct verb_call *call);
static void cat_rows(struct verb_call *call);
static const struct str *recipient_address(const struct verb_call *call, uint32_t number);

void verb_show(struct verb_call *call)
{
	ask(call, show_answer);
}

void verb_log(struct verb_call *call)
{
	ask(call, log_answer);
}

void verb_cat(struct verb_call *call)
{
	ask(call, cat_begin);
}

static void ask(struct verb_call *call, verb_step *next)
{
	call->state = arena_alloc(&call->arena, sizeof(struct message_state));
	if (verb_read_id(call, &call->show.id))
		verb_submit(call, &call->show.op, STORE_SHOW, next);
}

static void show_answer(struct verb_call *call)
{
	json_t *done = json_object();

	verb_row(call, json_message(&call->show.message, call->now));
	json_put_u64(done, "attempts", call->show.attempt_count);
	verb_done(call, done);
}

static void log_answer(struct verb_call *call)
{
	struct message_state *state = call->state;
	uint32_t end = call->show.attempt_count - state->next > LOG_PAGE ? state->next + LOG_PAGE
									 : call->show.attempt_count;

	for (; state->next < end; state->next++) {
		const struct attempt_record *a = &call->show.attempts[state->next];
		const struct str *address = recipient_address(call, a->recipient);
		json_t *row = json_attempt(a);

		json_put_text(row, "address", address ? *address : STR(""));
		verb_row(call, row);
	}
	if (state->next < call->show.attempt_count) {
		verb_continue(call, log_answer);
		return;
	}
	json_t *done = json_object();
	json_put(done, "message", json_message(&call->show.message, call->now));
	json_put_u64(done, "attempts", call->show.attempt_count);
	verb_done(call, done);
}

static void cat_begin(struct verb_call *call)
{
	if (!call->show.message.chunk_count)
		verb_fail(call, VERB_NO_MATCH,
			"%s is finished: its content was deleted with the last result",
			queue_id_format(call->show.id).text);
	else
		cat_fetch(call);
}

static void cat_fetch(struct verb_call *call)
{
	struct message_state *state = call->state;

	if (state->next == call->show.message.chunk_count) {
		json_t *done = json_object();
		json_put_u64(done, "bytes", state->bytes);
		verb_done(call, done);
		return;
	}
	state->offset = 0;
	call->fetch.id = call->show.id;
	call->fetch.chunk = state->next++;
	verb_submit(call, &call->fetch.op, STORE_FETCH, cat_rows);
}

static void cat_rows(struct verb_call *call)
{
	struct message_state *state = call->state;
	struct str part =
		str_slice(call->fetch.content, state->offset, state->offset + CAT_ROW_BYTES);

	if (part.len) {
		json_t *row = json_object();

		json_put(row, "content", json_base64(part));
		verb_row(call, row);
	}
	state->offset += part.len;
	state->bytes += part.len;
	verb_continue(call, state->offset < call->fetch.content.len ? cat_rows : cat_fetch);
}

static const struct str *recipient_address(const struct verb_call *call, uint32_t number)
{
	const struct queued_message *m = &call->show.message;

	if (number && number <= m->recipient_count &&
		m->recipients[number - 1].rcpt.number == number)
		return &m->recipients[number - 1].rcpt.address;
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].rcpt.number == number)
			return &m->recipients[i].rcpt.address;
	return NULL;
}
