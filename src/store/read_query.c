/*
 * read_query - QUERY, SHOW: what operators ask.
 *
 * QUERY takes two steps: the ids of one page in the wanted order, then each message with its
 * matching recipients. A filter on next hop or site starts at the indexes of queued recipients;
 * others walk the messages.
 */
#include "base/check.h"
#include "filter.h"
#include "row.h"
#include "sqlite_engine.h"

enum { QUERY_LIMIT_MAX = 10000 };

static enum err load_page(struct sqlite_engine *e, struct store_query *op, uint64_t *ids,
	uint32_t limit, uint32_t *count);
static enum filter_start choose_start(const struct store_query *op);
static void append_order(struct buf *text, enum store_sort sort);
static enum err load_matching(struct sqlite_engine *e, struct store_query *op, uint64_t id);
static enum err load_message(
	struct sqlite_engine *e, struct arena *arena, uint64_t id, struct queued_message *out);
static enum err load_attempts(struct sqlite_engine *e, struct store_show *op);

enum err read_query(struct sqlite_engine *e, struct store_query *op)
{
	uint32_t limit = op->limit < QUERY_LIMIT_MAX ? op->limit : QUERY_LIMIT_MAX, count = 0;
	uint64_t *ids = arena_array(&e->scratch, (size_t)limit + 1, sizeof(*ids));
	op->message_count = 0;
	op->is_more = false;
	op->messages = arena_array(&op->op.arena, limit, sizeof(*op->messages));
	if (op->filter->id_count > FILTER_IDS_MAX)
		return ERR_LIMIT;
	enum err err = load_page(e, op, ids, limit + 1, &count);
	if (err == OK && count > limit) {
		op->is_more = true;
		count = limit;
	}
	for (uint32_t i = 0; err == OK && i < count; i++)
		err = load_matching(e, op, ids[i]);
	return err;
}

enum err read_show(struct sqlite_engine *e, struct store_show *op)
{
	struct arena *arena = &op->op.arena;
	uint32_t cap = 0;
	op->message = (struct queued_message){ 0 };
	op->attempts = NULL;
	op->attempt_count = 0;
	if (op->id > INT64_MAX)
		return ERR_NOT_FOUND;
	enum err err = load_message(e, arena, op->id, &op->message);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_OF_MESSAGE);
	bind_u64(&q, op->id);
	while (sql_next(&q))
		get_recipient(&q, arena, recipients_add(arena, &op->message, &cap));
	err = sql_done(&q);
	return err == OK ? load_attempts(e, op) : err;
}

static enum err load_page(struct sqlite_engine *e, struct store_query *op, uint64_t *ids,
	uint32_t limit, uint32_t *count)
{
	struct buf text;
	enum filter_start start = choose_start(op);
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(&text, STR("SELECT m.id"));
	filter_build(&text, op->filter, filter_states(op->filter), start);
	buf_append_str(&text, op->sort == SORT_FINISHED ? STR(" GROUP BY m.finished, m.id")
							: STR(" GROUP BY m.id"));
	append_order(&text, op->sort);
	buf_append_str(&text, STR(" LIMIT ? OFFSET ?"));
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, op->filter, start, 0);
	bind_u64(&q, limit);
	bind_u64(&q, op->offset <= INT64_MAX ? op->offset : INT64_MAX);
	while (*count < limit && sql_next(&q))
		ids[(*count)++] = get_u64(&q);
	enum err err = sql_done(&q);
	buf_fini(&text);
	return err;
}

static enum filter_start choose_start(const struct store_query *op)
{
	const struct store_filter *f = op->filter;
	bool is_queued_only = (filter_states(f) & ~RECIPIENT_QUEUED_BITS) == 0;
	bool is_by_hop = f->hop.len > 0 || f->site.len > 0;
	if (op->sort == SORT_FINISHED && f->finished_after.ms != 0 && f->id_count == 0)
		return FILTER_BY_FINISH;
	return is_queued_only && is_by_hop && f->id_count == 0 ? FILTER_BY_STATE
							       : FILTER_BY_MESSAGE;
}

static void append_order(struct buf *text, enum store_sort sort)
{
	switch (sort) {
	case SORT_AGE:
		buf_append_str(text, STR(" ORDER BY m.id"));
		break;
	case SORT_SIZE:
		buf_append_str(text, STR(" ORDER BY m.size DESC, m.id"));
		break;
	case SORT_NEXT:
		buf_append_str(text, STR(" ORDER BY min(r.due), m.id"));
		break;
	case SORT_FINISHED:
		buf_append_str(text, STR(" ORDER BY m.finished, m.id"));
		break;
	}
}

static enum err load_matching(struct sqlite_engine *e, struct store_query *op, uint64_t id)
{
	struct arena *arena = &op->op.arena;
	struct queued_message *message = &op->messages[op->message_count];
	struct buf text;
	uint32_t cap = 0;
	enum err err = load_message(e, arena, id, message);
	if (err != OK)
		return err;
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(&text, STR("SELECT " RECIPIENT_COLUMNS));
	filter_build(&text, op->filter, filter_states(op->filter), FILTER_ONE_MESSAGE);
	buf_append_str(&text, STR(" ORDER BY r.number"));
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, op->filter, FILTER_ONE_MESSAGE, id);
	while (sql_next(&q))
		get_recipient(&q, arena, recipients_add(arena, message, &cap));
	err = sql_done(&q);
	buf_fini(&text);
	op->message_count += err == OK;
	return err;
}

static enum err load_message(
	struct sqlite_engine *e, struct arena *arena, uint64_t id, struct queued_message *out)
{
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_GET);
	bind_u64(&q, id);
	if (sql_next(&q)) {
		is_found = true;
		get_message(&q, arena, out);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_NOT_FOUND;
}

static enum err load_attempts(struct sqlite_engine *e, struct store_show *op)
{
	uint32_t cap = 0;
	struct query q = sql_prepare(&e->sql, SQL_ATTEMPT_OF_MESSAGE);
	bind_u64(&q, op->id);
	while (sql_next(&q)) {
		if (op->attempt_count == cap) {
			uint32_t room = cap ? cap * 2 : 8;
			struct attempt_record *grown =
				arena_array(&op->op.arena, room, sizeof(*grown));
			for (uint32_t i = 0; i < cap; i++)
				grown[i] = op->attempts[i];
			op->attempts = grown;
			cap = room;
		}
		get_attempt(&q, &op->op.arena, &op->attempts[op->attempt_count++]);
	}
	return sql_done(&q);
}
