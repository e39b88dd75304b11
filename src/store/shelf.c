/*
 * shelf - SHELF_PUT, SHELF_GET, SHELF_LIST: small things of outsiders, each kept until its time.
 *
 * A kind is bounded by count. How many there are is counted once and then kept in memory; a transaction that goes back
 * forgets it.
 */
#include <string.h>

#include "base/check.h"
#include "sqlite_engine.h"

enum { ENDED_A_CALL = 100, LIST_LIMIT_MAX = 10000 };

static enum err count_first(struct sqlite_engine *e, enum shelf_kind kind);
static enum err replace(struct sqlite_engine *e, const struct store_shelf_put *op);
static enum err drop_ended(struct sqlite_engine *e, const struct store_shelf_put *op);
static enum err drop_over(struct sqlite_engine *e, enum shelf_kind kind);
static enum err run_delete(struct sqlite_engine *e, enum shelf_kind kind, struct query *q);
static void get_item(struct query *q, struct arena *arena, struct shelf_item *out);

enum err write_shelf_put(struct sqlite_engine *e, struct store_shelf_put *op)
{
	CHECK(op->kind < SHELF_KIND_COUNT && op->item.key.len <= SHELF_KEY_MAX);
	enum err err = count_first(e, op->kind);
	if (err == OK)
		err = replace(e, op);
	if (err == OK)
		err = drop_ended(e, op);
	return err == OK ? drop_over(e, op->kind) : err;
}

enum err read_shelf_get(struct sqlite_engine *e, struct store_shelf_get *op)
{
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, SQL_SHELF_GET);
	op->item = (struct shelf_item){ .key = STR(""), .value = STR("") };
	bind_i64(&q, op->kind);
	bind_blob(&q, op->key);
	bind_wall(&q, op->now);
	if (sql_next(&q)) {
		is_found = true;
		get_item(&q, &op->op.arena, &op->item);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_NOT_FOUND;
}

enum err read_shelf_list(struct sqlite_engine *e, struct store_shelf_list *op)
{
	uint32_t limit = op->limit < LIST_LIMIT_MAX ? op->limit : LIST_LIMIT_MAX, cap = 0;
	struct query q = sql_prepare(&e->sql, SQL_SHELF_LIST);
	op->items = NULL;
	op->count = 0;
	op->is_more = false;
	bind_i64(&q, op->kind);
	bind_blob(&q, op->after);
	bind_wall(&q, op->now);
	bind_u64(&q, (uint64_t)limit + 1);
	while (sql_next(&q)) {
		if (op->count == limit) {
			op->is_more = true;
			break;
		}
		if (op->count == cap) {
			const struct shelf_item *old = op->items;
			cap = cap > 0 ? 2 * cap : 16;
			op->items = arena_array(&op->op.arena, cap, sizeof(*op->items));
			if (old)
				memcpy(op->items, old, op->count * sizeof(*old));
		}
		get_item(&q, &op->op.arena, &op->items[op->count++]);
	}
	return sql_done(&q);
}

static enum err count_first(struct sqlite_engine *e, enum shelf_kind kind)
{
	uint64_t count = 0;
	if (e->shelf_count[kind] > 0)
		return OK;
	struct query q = sql_prepare(&e->sql, SQL_SHELF_COUNT);
	bind_i64(&q, kind);
	if (sql_next(&q))
		count = get_u64(&q);
	enum err err = sql_done(&q);
	if (err == OK)
		e->shelf_count[kind] = count + 1;
	return err;
}

static enum err replace(struct sqlite_engine *e, const struct store_shelf_put *op)
{
	struct query q = sql_prepare(&e->sql, SQL_SHELF_DELETE);
	bind_i64(&q, op->kind);
	bind_blob(&q, op->item.key);
	enum err err = run_delete(e, op->kind, &q);
	if (err != OK || op->item.value.len == 0)
		return err;
	q = sql_prepare(&e->sql, SQL_SHELF_PUT);
	bind_i64(&q, op->kind);
	bind_blob(&q, op->item.key);
	bind_wall(&q, op->item.until);
	bind_blob(&q, op->item.value);
	err = sql_run(&q);
	if (err == OK)
		e->shelf_count[op->kind]++;
	return err;
}

static enum err drop_ended(struct sqlite_engine *e, const struct store_shelf_put *op)
{
	struct query q = sql_prepare(&e->sql, SQL_SHELF_DELETE_ENDED);
	bind_i64(&q, op->kind);
	bind_wall(&q, op->now);
	bind_i64(&q, ENDED_A_CALL);
	return run_delete(e, op->kind, &q);
}

static enum err drop_over(struct sqlite_engine *e, enum shelf_kind kind)
{
	if (e->shelf_count[kind] <= SHELF_MAX + 1)
		return OK;
	struct query q = sql_prepare(&e->sql, SQL_SHELF_DELETE_FIRST);
	bind_i64(&q, kind);
	bind_u64(&q, e->shelf_count[kind] - (SHELF_MAX + 1));
	return run_delete(e, kind, &q);
}

static enum err run_delete(struct sqlite_engine *e, enum shelf_kind kind, struct query *q)
{
	enum err err = sql_run(q);
	if (err != OK)
		return err;
	uint64_t gone = (uint64_t)sql_changes(&e->sql);
	/* Less than nothing would say that somebody else wrote here. */
	e->shelf_count[kind] = gone < e->shelf_count[kind] ? e->shelf_count[kind] - gone : 0;
	return OK;
}

static void get_item(struct query *q, struct arena *arena, struct shelf_item *out)
{
	out->key = get_blob(q, arena);
	out->until = get_wall(q);
	out->value = get_blob(q, arena);
}
