/*
 * read_claim - CLAIM, FETCH: what to deliver next, and its octets.
 *
 * CLAIM walks recipient_ready from message to message by seeks, one head for each priority, so
 * that neither a message with many recipients nor a long queue costs more than what is returned.
 * Drain order takes the head of the highest priority; the order of expiry takes the oldest head
 * of all.
 */
#include "base/check.h"
#include "mail/queue_id.h"
#include "row.h"
#include "sqlite_engine.h"

enum {
	PRIORITY_COUNT = 2 * PRIORITY_MAX + 1,
	CLAIM_MESSAGES_MAX = 10000,
	CLAIM_RECIPIENTS_MAX = 100000
};

/* Heads are message ids; index 0 is the highest priority. */
struct walk {
	struct sqlite_engine *e;
	uint64_t hop;
	uint64_t id_end; /* ids at or after it do not count */
	bool is_by_age;
	bool is_known[PRIORITY_COUNT];
	uint64_t head[PRIORITY_COUNT]; /* 0: none left */
};

static enum err find_hop(struct sqlite_engine *e, struct str name, uint64_t *out);
static enum err walk_next(struct walk *w, uint64_t *message, int *priority);
static enum err seek_head(struct walk *w, int slot, uint64_t after);
static enum err load_message(struct walk *w, struct store_claim *op, uint64_t id, int priority);
static enum err load_recipients(
	struct walk *w, struct store_claim *op, struct queued_message *message, int priority);

enum err read_claim(struct sqlite_engine *e, struct store_claim *op)
{
	struct walk walk = {
		.e = e, .id_end = INT64_MAX, .is_by_age = op->accepted_before.ms != 0
	};
	uint32_t limit =
		op->message_limit < CLAIM_MESSAGES_MAX ? op->message_limit : CLAIM_MESSAGES_MAX;
	if (op->due_by.ms != WALL_NONE.ms)
		return read_claim_by_time(e, op);
	op->message_count = 0;
	op->is_more = false;
	op->messages = arena_array(&op->op.arena, limit, sizeof(*op->messages));
	if (walk.is_by_age)
		walk.id_end = queue_id_floor(op->accepted_before);
	enum err err = find_hop(e, op->hop, &walk.hop);
	if (err != OK || walk.hop == 0)
		return err;
	for (;;) {
		uint64_t id = 0;
		int priority = 0;
		err = walk_next(&walk, &id, &priority);
		if (err != OK || id == 0)
			return err;
		if (op->message_count == limit) {
			op->is_more = true;
			return OK;
		}
		err = load_message(&walk, op, id, priority);
		if (err != OK)
			return err;
	}
}

enum err read_fetch(struct sqlite_engine *e, struct store_fetch *op)
{
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, op->chunk == 0 ? SQL_CONTENT_FETCH : SQL_CHUNK_FETCH);
	op->content = STR("");
	bind_u64(&q, op->id);
	if (op->chunk > 0)
		bind_u64(&q, op->chunk);
	if (sql_next(&q)) {
		is_found = true;
		op->content = get_blob(&q, &op->op.arena);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_NOT_FOUND;
}

static enum err find_hop(struct sqlite_engine *e, struct str name, uint64_t *out)
{
	struct query q = sql_prepare(&e->sql, SQL_HOP_BY_NAME);
	bind_text(&q, name);
	if (sql_next(&q))
		*out = get_u64(&q);
	return sql_done(&q);
}

/* walk_next - the next message in order; 0 at the end. */
static enum err walk_next(struct walk *w, uint64_t *message, int *priority)
{
	int best = -1;
	for (int slot = 0; slot < PRIORITY_COUNT; slot++) {
		enum err err = w->is_known[slot] ? OK : seek_head(w, slot, 0);
		if (err != OK)
			return err;
		if (w->head[slot] != 0 && (best < 0 || w->head[slot] < w->head[best]))
			best = slot;
		if (best >= 0 && !w->is_by_age)
			break;
	}
	if (best < 0)
		return OK;
	*message = w->head[best];
	*priority = PRIORITY_MAX - best;
	return seek_head(w, best, *message);
}

static enum err seek_head(struct walk *w, int slot, uint64_t after)
{
	struct query q = sql_prepare(&w->e->sql, SQL_READY_NEXT);
	bind_u64(&q, w->hop);
	bind_i64(&q, PRIORITY_MAX - slot);
	bind_u64(&q, after);
	bind_u64(&q, w->id_end);
	w->is_known[slot] = true;
	w->head[slot] = sql_next(&q) ? get_u64(&q) : 0;
	return sql_done(&q);
}

static enum err load_message(struct walk *w, struct store_claim *op, uint64_t id, int priority)
{
	struct queued_message *message = &op->messages[op->message_count];
	bool is_found = false;
	struct query q = sql_prepare(&w->e->sql, SQL_MESSAGE_GET);
	bind_u64(&q, id);
	if (sql_next(&q)) {
		is_found = true;
		get_message(&q, &op->op.arena, message);
	}
	enum err err = sql_done(&q);
	if (err == OK && !is_found)
		err = ERR_CORRUPT;
	if (err == OK)
		err = load_recipients(w, op, message, priority);
	if (err == OK)
		op->message_count++;
	return err;
}

static enum err load_recipients(
	struct walk *w, struct store_claim *op, struct queued_message *message, int priority)
{
	uint32_t limit = op->recipients_per_message, cap = 0;
	if (limit == 0 || limit > CLAIM_RECIPIENTS_MAX)
		limit = CLAIM_RECIPIENTS_MAX;
	struct query q = sql_prepare(&w->e->sql, SQL_READY_RECIPIENTS);
	bind_u64(&q, w->hop);
	bind_i64(&q, priority);
	bind_u64(&q, message->env.id);
	bind_u64(&q, (uint64_t)limit + 1);
	while (sql_next(&q)) {
		if (message->recipient_count == limit) {
			op->is_more = true;
			break;
		}
		get_recipient(&q, &op->op.arena, recipients_add(&op->op.arena, message, &cap));
	}
	return sql_done(&q);
}
