/*
 * read_claim - CLAIM, FETCH: what to deliver next, and its octets.
 *
 * CLAIM walks recipient_ready from message to message by seeks, with one head for each sender's bucket that has mail at
 * the priority at hand, so that neither a message with many recipients nor a long queue costs more than what is
 * returned. Drain order takes the head of the bucket that gave least so far, then the oldest; the next priority
 * comes when no head is left. The order of expiry takes the oldest head of all priorities.
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

/* The next message of a bucket at a priority. */
struct head {
	uint64_t message;
	int priority;
	unsigned bucket;
	uint32_t taken; /* before it */
};

struct walk {
	struct sqlite_engine *e;
	uint64_t hop;
	uint64_t id_end; /* ids at or after it do not count */
	bool is_by_age;
	int priority; /* lower ones are not looked at yet */
	struct head heads[PRIORITY_COUNT * STORE_SENDER_BUCKETS];
	unsigned head_count;
};

static enum err find_hop(struct sqlite_engine *e, struct str name, uint64_t *out);
static enum err walk_next(struct walk *w, struct head *out);
static enum err load_heads(struct walk *w, bool *is_end);
static enum err advance(struct walk *w, struct head *head);
static enum err load_message(struct walk *w, struct store_claim *op, const struct head *at);
static enum err load_recipients(struct walk *w, struct store_claim *op,
	struct queued_message *message, const struct head *at);

enum err read_claim(struct sqlite_engine *e, struct store_claim *op)
{
	struct walk walk = {
		.e = e,
		.id_end = INT64_MAX,
		.is_by_age = op->accepted_before.ms != 0,
		.priority = PRIORITY_MAX + 1,
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
		struct head at = { 0 };
		err = walk_next(&walk, &at);
		if (err != OK || at.message == 0)
			return err;
		if (op->message_count == limit) {
			op->is_more = true;
			return OK;
		}
		err = load_message(&walk, op, &at);
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

static bool goes_before(const struct walk *w, const struct head *a, const struct head *b)
{
	if (!w->is_by_age && a->taken != b->taken)
		return a->taken < b->taken;
	return a->message < b->message;
}

/* walk_next - the next message in order; message 0 at the end. */
static enum err walk_next(struct walk *w, struct head *out)
{
	bool is_end = false;
	while (!is_end && (w->head_count == 0 || w->is_by_age)) {
		enum err err = load_heads(w, &is_end);
		if (err != OK)
			return err;
	}
	if (w->head_count == 0)
		return OK;
	struct head *best = &w->heads[0];
	for (unsigned i = 1; i < w->head_count; i++) {
		if (goes_before(w, &w->heads[i], best))
			best = &w->heads[i];
	}
	*out = *best;
	best->taken++;
	return advance(w, best);
}

/* The buckets of the next lower priority that has mail. */
static enum err load_heads(struct walk *w, bool *is_end)
{
	struct query q = sql_prepare(&w->e->sql, SQL_READY_PRIORITY);
	bind_u64(&q, w->hop);
	bind_i64(&q, w->priority);
	*is_end = !sql_next(&q);
	if (!*is_end)
		w->priority = (int)get_i64(&q, -PRIORITY_MAX, PRIORITY_MAX);
	enum err err = sql_done(&q);
	for (int64_t bucket = -1; err == OK && !*is_end && bucket + 1 < STORE_SENDER_BUCKETS;) {
		struct head *head = &w->heads[w->head_count];
		q = sql_prepare(&w->e->sql, SQL_READY_BUCKET);
		bind_u64(&q, w->hop);
		bind_i64(&q, w->priority);
		bind_i64(&q, bucket);
		bucket = STORE_SENDER_BUCKETS;
		if (sql_next(&q)) {
			bucket = get_i64(&q, 0, STORE_SENDER_BUCKETS - 1);
			*head = (struct head){ .message = get_u64(&q),
				.priority = w->priority,
				.bucket = (unsigned)bucket };
			w->head_count += head->message < w->id_end;
		}
		err = sql_done(&q);
	}
	return err;
}

/* A bucket that has no more leaves. */
static enum err advance(struct walk *w, struct head *head)
{
	struct query q = sql_prepare(&w->e->sql, SQL_READY_NEXT);
	bind_u64(&q, w->hop);
	bind_i64(&q, head->priority);
	bind_u64(&q, head->bucket);
	bind_u64(&q, head->message);
	uint64_t next = sql_next(&q) ? get_u64(&q) : 0;
	if (next != 0 && next < w->id_end)
		head->message = next;
	else
		*head = w->heads[--w->head_count];
	return sql_done(&q);
}

static enum err load_message(struct walk *w, struct store_claim *op, const struct head *at)
{
	struct queued_message *message = &op->messages[op->message_count];
	bool is_found = false;
	struct query q = sql_prepare(&w->e->sql, SQL_MESSAGE_GET);
	bind_u64(&q, at->message);
	if (sql_next(&q)) {
		is_found = true;
		get_message(&q, &op->op.arena, message);
	}
	enum err err = sql_done(&q);
	if (err == OK && !is_found)
		err = ERR_CORRUPT;
	if (err == OK)
		err = load_recipients(w, op, message, at);
	if (err == OK)
		op->message_count++;
	return err;
}

static enum err load_recipients(struct walk *w, struct store_claim *op,
	struct queued_message *message, const struct head *at)
{
	uint32_t limit = op->recipients_per_message, cap = 0;
	if (limit == 0 || limit > CLAIM_RECIPIENTS_MAX)
		limit = CLAIM_RECIPIENTS_MAX;
	struct query q = sql_prepare(&w->e->sql, SQL_READY_RECIPIENTS);
	bind_u64(&q, w->hop);
	bind_i64(&q, at->priority);
	bind_u64(&q, at->bucket);
	bind_u64(&q, at->message);
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
