/* write_move - PROMOTE, REKEY, PUT: recipients come due or change their next hop; small named
 * values. */
#include "base/check.h"
#include "row.h"
#include "settle.h"
#include "sqlite_engine.h"

enum { PROMOTE_LIMIT_MAX = 100000 };

struct due_row {
	uint64_t message, hop;
	uint32_t number;
	enum recipient_state state;
};

static enum err load_due(struct sqlite_engine *e, enum sql_id statement, struct wall at,
	struct due_row *rows, uint32_t limit, uint32_t *count);
static enum err make_ready(
	struct sqlite_engine *e, struct store_promote *op, const struct due_row *row);
static enum err load_next_due(struct sqlite_engine *e, struct wall *out);
static enum err rekey_recipient(struct settle *s, uint32_t number, struct hop_entry *to);

enum err write_promote(struct sqlite_engine *e, struct store_promote *op)
{
	uint32_t limit = op->limit < PROMOTE_LIMIT_MAX ? op->limit : PROMOTE_LIMIT_MAX, count = 0;
	struct due_row *rows = arena_array(&e->scratch, limit, sizeof(*rows));
	op->hop_count = op->promoted_count = 0;
	op->next_due = WALL_NEVER;
	e->ledger.listing++;
	enum err err = load_due(e, SQL_DUE_BEFORE, op->now, rows, limit, &count);
	if (err == OK && op->far.ms > op->now.ms)
		err = load_due(e, SQL_DUE_FAR, op->far, rows, limit, &count);
	op->hops = arena_array(&op->op.arena, count, sizeof(*op->hops));
	for (uint32_t i = 0; err == OK && i < count; i++)
		err = make_ready(e, op, &rows[i]);
	return err == OK ? load_next_due(e, &op->next_due) : err;
}

enum err write_rekey(struct sqlite_engine *e, struct store_rekey *op)
{
	struct settle settle;
	struct hop_entry *to;
	bool had_queued = false, has_queued = false;
	enum err err = settle_begin(&settle, e, op->id);
	if (err != OK)
		return err;
	err = ledger_hop(&e->ledger, op->hop, &to);
	if (err == OK)
		err = settle_has_queued(&settle, to, &had_queued);
	for (uint32_t i = 0; err == OK && i < op->number_count; i++)
		err = rekey_recipient(&settle, op->numbers[i], to);
	if (err == OK)
		err = settle_has_queued(&settle, to, &has_queued);
	if (err == OK && has_queued && !had_queued)
		ledger_hop_bytes(&e->ledger, to, (int64_t)settle.size_bytes);
	return err == OK ? settle_end(&settle, WALL_NONE) : err;
}

enum err write_put(struct sqlite_engine *e, struct store_put *op)
{
	struct query q = sql_prepare(&e->sql, SQL_META_PUT);
	bind_text(&q, op->key);
	bind_blob(&q, op->value);
	return sql_run(&q);
}

static enum err load_due(struct sqlite_engine *e, enum sql_id statement, struct wall at,
	struct due_row *rows, uint32_t limit, uint32_t *count)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_wall(&q, at);
	bind_u64(&q, limit - *count);
	while (*count < limit && sql_next(&q)) {
		struct due_row *row = &rows[(*count)++];
		row->message = get_u64(&q);
		row->number = get_u32(&q);
		row->hop = get_u64(&q);
		row->state = (enum recipient_state)get_enum(&q, QUEUED_STATE_COUNT);
	}
	return sql_done(&q);
}

static enum err make_ready(
	struct sqlite_engine *e, struct store_promote *op, const struct due_row *row)
{
	struct hop_entry *hop;
	enum err err = ledger_hop_by_id(&e->ledger, row->hop, &hop);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_SET_STATE);
	bind_u64(&q, row->message);
	bind_u64(&q, row->number);
	bind_i64(&q, RECIPIENT_READY);
	bind_wall(&q, WALL_NONE);
	err = sql_run(&q);
	if (err != OK)
		return err;
	ledger_move(&e->ledger, hop, row->state, RECIPIENT_READY);
	op->promoted_count++;
	if (hop->last_listing != e->ledger.listing) {
		hop->last_listing = e->ledger.listing;
		op->hops[op->hop_count++] = arena_dup(&op->op.arena, hop->name);
	}
	return OK;
}

static enum err load_next_due(struct sqlite_engine *e, struct wall *out)
{
	struct query q = sql_prepare(&e->sql, SQL_DUE_FIRST);
	if (sql_next(&q))
		*out = get_wall(&q);
	return sql_done(&q);
}

static enum err rekey_recipient(struct settle *s, uint32_t number, struct hop_entry *to)
{
	struct sqlite_engine *e = s->e;
	bool is_found = false;
	enum recipient_state state = RECIPIENT_READY;
	uint64_t hop_id = 0;
	struct hop_entry *from;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_LOAD);
	bind_u64(&q, s->id);
	bind_u64(&q, number);
	if (sql_next(&q)) {
		is_found = true;
		state = (enum recipient_state)get_enum(&q, RECIPIENT_STATE_COUNT);
		(void)get_u32(&q);
		hop_id = get_u64(&q);
	}
	enum err err = sql_done(&q);
	if (err != OK || !is_found || !recipient_is_queued(state) || hop_id == to->id)
		return err;
	err = ledger_hop_by_id(&e->ledger, hop_id, &from);
	if (err != OK)
		return err;
	q = sql_prepare(&e->sql, SQL_RECIPIENT_SET_HOP);
	bind_u64(&q, s->id);
	bind_u64(&q, number);
	bind_u64(&q, to->id);
	err = sql_run(&q);
	if (err != OK)
		return err;
	settle_move(s, from, state, RECIPIENT_ABSENT);
	settle_move(s, to, RECIPIENT_ABSENT, state);
	return OK;
}
