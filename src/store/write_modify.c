/*
 * write_modify - MODIFY: an operator's act on all recipients that match a filter, a step of at
 * most limit at a time.
 *
 * A recipient that was changed no longer matches the states the action starts from, so calling
 * again goes on where the last call ended. A dry run counts with one query and changes nothing.
 */
#include "base/check.h"
#include "filter.h"
#include "picked.h"
#include "row.h"
#include "settle.h"
#include "sqlite_engine.h"

enum { MODIFY_LIMIT_MAX = 10000 };

static unsigned source_states(enum modify_action action);
static enum recipient_state target_state(enum modify_action action);
static enum err count_matching(struct sqlite_engine *e, struct store_modify *op, unsigned states);
static enum err pick(struct sqlite_engine *e, struct store_modify *op, unsigned states,
	struct picked *rows, uint32_t limit, uint32_t *count);
static enum err pick_from(struct sqlite_engine *e, struct store_modify *op, unsigned states,
	uint64_t from, struct picked *rows, uint32_t limit, uint32_t *count);
static bool is_by_hop(const struct store_filter *f);
static enum err change_message(struct sqlite_engine *e, struct store_modify *op,
	const struct picked *rows, uint32_t count);
static enum err change_recipient(
	struct settle *s, struct store_modify *op, const struct picked *row);
static enum err set_hold_reason(struct settle *s, struct store_modify *op);
static void count_changed(struct sqlite_engine *e, struct store_modify *op,
	const struct picked *rows, uint32_t count);
static enum err write_audit(struct sqlite_engine *e, struct store_modify *op);

enum err write_modify(struct sqlite_engine *e, struct store_modify *op)
{
	uint32_t limit = op->limit < MODIFY_LIMIT_MAX ? op->limit : MODIFY_LIMIT_MAX, count = 0;
	limit = limit > 0 ? limit : 1;
	unsigned states = filter_states(op->filter) & source_states(op->action);
	op->recipient_count = op->message_count = op->domain_count = op->hop_count = 0;
	op->oldest = WALL_NONE;
	op->is_more = false;
	op->hops = NULL;
	if (op->filter->id_count > FILTER_IDS_MAX)
		return ERR_LIMIT;
	/* An empty filter would mean everything: only when that was said. */
	if (states == 0 || (filter_is_empty(op->filter) && !op->filter->is_all))
		return OK;
	if (op->is_dry_run)
		return count_matching(e, op, states);
	struct picked *rows = arena_array(&e->scratch, (size_t)limit + 1, sizeof(*rows));
	enum err err = pick(e, op, states, rows, limit + 1, &count);
	if (err != OK || count == 0)
		return err;
	op->is_more = count > limit;
	count = op->is_more ? limit : count;
	picked_sort(rows, count);
	e->ledger.listing++;
	op->hops = arena_array(&op->op.arena, count, sizeof(*op->hops));
	for (uint32_t from = 0, to = 0; err == OK && from < count; from = to) {
		while (to < count && rows[to].message == rows[from].message)
			to++;
		err = change_message(e, op, rows + from, to - from);
	}
	count_changed(e, op, rows, count);
	return err == OK ? write_audit(e, op) : err;
}

static unsigned source_states(enum modify_action action)
{
	switch (action) {
	case MODIFY_HOLD:
		return RECIPIENT_QUEUED_BITS & ~RECIPIENT_STATE_BIT(RECIPIENT_HELD);
	case MODIFY_RELEASE:
		return RECIPIENT_STATE_BIT(RECIPIENT_HELD);
	case MODIFY_RETRY:
		return RECIPIENT_STATE_BIT(RECIPIENT_WAITING) |
		       RECIPIENT_STATE_BIT(RECIPIENT_QUARANTINED);
	case MODIFY_DELETE:
		return RECIPIENT_QUEUED_BITS;
	}
	return 0;
}

static enum recipient_state target_state(enum modify_action action)
{
	switch (action) {
	case MODIFY_HOLD:
		return RECIPIENT_HELD;
	case MODIFY_RELEASE:
	case MODIFY_RETRY:
		return RECIPIENT_READY;
	case MODIFY_DELETE:
		return RECIPIENT_DELETED;
	}
	return RECIPIENT_HELD;
}

static enum err count_matching(struct sqlite_engine *e, struct store_modify *op, unsigned states)
{
	struct buf text;
	enum filter_start start = op->filter->id_count > 0 ? FILTER_BY_MESSAGE : FILTER_BY_STATE;
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(
		&text, STR("SELECT count(*), count(DISTINCT r.message), count(DISTINCT r.domain),"
			   " coalesce(min(m.accepted), 0)"));
	filter_build(&text, op->filter, states, start);
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, op->filter, start, 0);
	if (sql_next(&q)) {
		op->recipient_count = get_u64(&q);
		op->message_count = get_u64(&q);
		op->domain_count = get_u64(&q);
		op->oldest = get_wall(&q);
	}
	enum err err = sql_done(&q);
	buf_fini(&text);
	return err;
}

/* pick - goes on where the last call stopped; when nothing more is found there, looks at all once
 * more: what came to match behind it counts too. */
static enum err pick(struct sqlite_engine *e, struct store_modify *op, unsigned states,
	struct picked *rows, uint32_t limit, uint32_t *count)
{
	uint64_t hash = filter_hash(op->filter, op->action);
	uint64_t from = e->modify_stop.hash == hash ? e->modify_stop.id : 0;
	enum err err = pick_from(e, op, states, from, rows, limit, count);
	if (err == OK && from > 0 && !is_by_hop(op->filter) && *count < limit) {
		*count = 0;
		err = pick_from(e, op, states, 0, rows, limit, count);
	}
	e->modify_stop.hash = hash;
	e->modify_stop.id = err == OK && *count == limit ? rows[limit - 1].message : 0;
	return err;
}

/* By next hop or site through its own index, where changed rows leave the part that is read
 * first; else by message, in order of arrival. */
static enum err pick_from(struct sqlite_engine *e, struct store_modify *op, unsigned states,
	uint64_t from, struct picked *rows, uint32_t limit, uint32_t *count)
{
	struct buf text;
	const struct store_filter *f = op->filter;
	enum filter_start start = is_by_hop(f) ? FILTER_BY_STATE : FILTER_BY_MESSAGE;
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(
		&text, STR("SELECT r.message, r.number, r.hop, r.state, m.accepted, r.domain"));
	filter_build(&text, f, states, start);
	if (!is_by_hop(f))
		buf_append_str(&text, STR(" AND m.id >= ? ORDER BY m.id, r.number"));
	buf_append_str(&text, STR(" LIMIT ?"));
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, f, start, 0);
	if (!is_by_hop(f))
		bind_u64(&q, from);
	bind_u64(&q, limit);
	while (*count < limit && sql_next(&q)) {
		struct picked *row = &rows[(*count)++];
		row->message = get_u64(&q);
		row->number = get_u32(&q);
		row->hop = get_u64(&q);
		row->state = (enum recipient_state)get_enum(&q, QUEUED_STATE_COUNT);
		row->accepted = get_wall(&q);
		row->domain = get_text(&q, &e->scratch);
	}
	enum err err = sql_done(&q);
	buf_fini(&text);
	return err;
}

static bool is_by_hop(const struct store_filter *f)
{
	return f->id_count == 0 && (f->hop.len > 0 || f->site.len > 0);
}

static enum err change_message(
	struct sqlite_engine *e, struct store_modify *op, const struct picked *rows, uint32_t count)
{
	struct settle settle;
	enum err err = settle_begin(&settle, e, rows[0].message);
	if (err == ERR_NOT_FOUND)
		return ERR_CORRUPT;
	for (uint32_t i = 0; err == OK && i < count; i++)
		err = change_recipient(&settle, op, &rows[i]);
	if (err == OK)
		err = set_hold_reason(&settle, op);
	return err == OK ? settle_end(&settle, op->now) : err;
}

static enum err change_recipient(
	struct settle *s, struct store_modify *op, const struct picked *row)
{
	struct sqlite_engine *e = s->e;
	enum recipient_state to = target_state(op->action);
	struct hop_entry *hop;
	enum err err = ledger_hop_by_id(&e->ledger, row->hop, &hop);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_FINISH);
	bind_u64(&q, row->message);
	bind_u64(&q, row->number);
	bind_i64(&q, to);
	bind_wall(&q, recipient_is_queued(to) ? WALL_NONE : op->now);
	bind_wall(&q, op->now);
	err = sql_run(&q);
	if (err != OK)
		return err;
	settle_move(s, hop, row->state, to);
	if (to == RECIPIENT_READY && hop->last_listing != e->ledger.listing) {
		hop->last_listing = e->ledger.listing;
		op->hops[op->hop_count++] = arena_dup(&op->op.arena, hop->name);
	}
	return OK;
}

/* The reason stands as long as some recipient is held. */
static enum err set_hold_reason(struct settle *s, struct store_modify *op)
{
	bool is_hold = op->action == MODIFY_HOLD;
	struct query q =
		sql_prepare(&s->e->sql, is_hold ? SQL_MESSAGE_SET_HOLD : SQL_MESSAGE_CLEAR_HOLD);
	bind_u64(&q, s->id);
	if (is_hold)
		bind_text(&q, op->reason);
	return sql_run(&q);
}

static void count_changed(
	struct sqlite_engine *e, struct store_modify *op, const struct picked *rows, uint32_t count)
{
	op->recipient_count = count;
	for (uint32_t i = 0; i < count; i++)
		op->message_count += i == 0 || rows[i].message != rows[i - 1].message;
	op->domain_count = picked_count_domains(e, rows, count, &op->oldest);
}

static enum err write_audit(struct sqlite_engine *e, struct store_modify *op)
{
	static const char *const names[] = { "hold", "release", "retry", "delete" };
	return audit_write(e, op->now, op->actor, names[op->action], op->reason, op->filter,
		op->recipient_count, op->message_count);
}
