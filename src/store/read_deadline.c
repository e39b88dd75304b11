/*
 * read_deadline - CLAIM by time: mail of one next hop that is to be returned by a time that is over (RFC 2852, mode R).
 *
 * Walks the index of such times from the earliest. Mail of other next hops is passed over: there is never much of it, for what
 * is over is returned at the next failure, or by this.
 */
#include "row.h"
#include "sqlite_engine.h"

enum { DEADLINE_MESSAGES_MAX = 1000, DEADLINE_RECIPIENTS_MAX = 100000 };

static enum err find_ids(struct sqlite_engine *e, struct store_claim *op, uint64_t hop,
	uint64_t *ids, uint32_t limit, uint32_t *count);
static enum err load_message(
	struct sqlite_engine *e, struct store_claim *op, uint64_t hop, uint64_t id);
static enum err load_recipients(struct sqlite_engine *e, struct store_claim *op, uint64_t hop,
	struct queued_message *message);

enum err read_claim_by_time(struct sqlite_engine *e, struct store_claim *op)
{
	uint32_t limit = op->message_limit < DEADLINE_MESSAGES_MAX ? op->message_limit
								   : DEADLINE_MESSAGES_MAX;
	uint64_t *ids = arena_array(&e->scratch, limit, sizeof(*ids)), hop = 0;
	uint32_t count = 0;
	op->message_count = 0;
	op->is_more = false;
	op->messages = arena_array(&op->op.arena, limit, sizeof(*op->messages));
	struct query q = sql_prepare(&e->sql, SQL_HOP_BY_NAME);
	bind_text(&q, op->hop);
	if (sql_next(&q))
		hop = get_u64(&q);
	enum err err = sql_done(&q);
	if (err == OK && hop > 0)
		err = find_ids(e, op, hop, ids, limit, &count);
	for (uint32_t i = 0; err == OK && i < count; i++)
		err = load_message(e, op, hop, ids[i]);
	return err;
}

static enum err find_ids(struct sqlite_engine *e, struct store_claim *op, uint64_t hop,
	uint64_t *ids, uint32_t limit, uint32_t *count)
{
	struct query q = sql_prepare(&e->sql, SQL_DEADLINE_OF_HOP);
	bind_wall(&q, op->due_by);
	bind_u64(&q, hop);
	bind_u64(&q, (uint64_t)limit + 1);
	while (sql_next(&q)) {
		if (*count == limit) {
			op->is_more = true;
			break;
		}
		ids[(*count)++] = get_u64(&q);
	}
	return sql_done(&q);
}

static enum err load_message(
	struct sqlite_engine *e, struct store_claim *op, uint64_t hop, uint64_t id)
{
	struct queued_message *message = &op->messages[op->message_count++];
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_GET);
	bind_u64(&q, id);
	bool is_found = sql_next(&q);
	if (is_found)
		get_message(&q, &op->op.arena, message);
	enum err err = sql_done(&q);
	if (err == OK && !is_found)
		err = ERR_CORRUPT;
	return err == OK ? load_recipients(e, op, hop, message) : err;
}

static enum err load_recipients(struct sqlite_engine *e, struct store_claim *op, uint64_t hop,
	struct queued_message *message)
{
	uint32_t limit = op->recipients_per_message, cap = 0;
	if (limit == 0 || limit > DEADLINE_RECIPIENTS_MAX)
		limit = DEADLINE_RECIPIENTS_MAX;
	struct query q = sql_prepare(&e->sql, SQL_DEADLINE_RECIPIENTS);
	bind_u64(&q, message->env.id);
	bind_u64(&q, hop);
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
