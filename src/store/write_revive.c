/*
 * write_revive - REVIVE: recipients that failed become READY again, while their content is kept.
 *
 * What failed is found through an index of exactly these, by the instant at which they failed. A notice about them that
 * still waits names all that failed together: it is taken back whole, and all that it names are revived. So each failed
 * recipient is named by one notice or is in the queue again, in every state that a crash can leave. One that is not waiting
 * any more may be under way: those that it names are revived too when asked for, and counted as told.
 */
#include "base/check.h"
#include "filter.h"
#include "picked.h"
#include "row.h"
#include "settle.h"
#include "sqlite_engine.h"

enum { REVIVE_LIMIT_MAX = 10000 };

#define DOUBTED                                                                                    \
	" AND r.code BETWEEN 500 AND 599 AND ((r.status % 1000000) / 1000 IN (1, 4)"               \
	" OR r.status % 1000000 IN (0, 2001, 3000))"
#define UNTOLD                                                                                     \
	" AND (r.notice = 0 OR EXISTS(SELECT 1 FROM recipient AS n WHERE n.message = r.notice"     \
	" AND n.number = 1 AND n.state = 1 AND n.attempts = 0))"

struct failed_row {
	uint32_t number;
	uint64_t hop, notice;
	bool is_wanted;
};

static enum err count_matching(struct sqlite_engine *e, struct store_revive *op);
static void append_matching(struct buf *text, const struct store_revive *op);
static enum err pick(struct sqlite_engine *e, struct store_revive *op, struct picked *rows,
	uint32_t limit, uint32_t *count);
static enum err pick_from(struct sqlite_engine *e, struct store_revive *op, uint64_t from,
	struct picked *rows, uint32_t limit, uint32_t *count);
static enum err revive_message(struct sqlite_engine *e, struct store_revive *op,
	const struct picked *rows, uint32_t count);
static enum err load_failed(
	struct sqlite_engine *e, uint64_t id, struct failed_row **out, uint32_t *count);
static void mark_picked(struct failed_row *failed, uint32_t failed_count, const struct picked *rows,
	uint32_t count);
static enum err take_back_notices(struct sqlite_engine *e, struct store_revive *op,
	struct failed_row *failed, uint32_t count);
static enum err revive_recipient(
	struct settle *s, struct store_revive *op, const struct failed_row *row);
static enum err reopen(struct settle *s, bool was_finished);

enum err write_revive(struct sqlite_engine *e, struct store_revive *op)
{
	uint32_t limit = op->limit < REVIVE_LIMIT_MAX ? op->limit : REVIVE_LIMIT_MAX, count = 0;
	limit = limit > 0 ? limit : 1;
	op->recipient_count = op->message_count = op->domain_count = 0;
	op->told_count = op->gone_count = 0;
	op->hop_count = 0;
	op->hops = NULL;
	op->oldest = WALL_NONE;
	op->is_more = false;
	if (op->filter->id_count > FILTER_IDS_MAX)
		return ERR_LIMIT;
	/* An empty filter would mean everything: only when that was said. */
	struct store_filter stateless = *op->filter;
	stateless.states = 0;
	if (filter_is_empty(&stateless) && !op->filter->is_all)
		return OK;
	if (op->is_dry_run)
		return count_matching(e, op);
	struct picked *rows = arena_array(&e->scratch, (size_t)limit + 1, sizeof(*rows));
	enum err err = pick(e, op, rows, limit + 1, &count);
	if (err != OK || count == 0)
		return err;
	op->is_more = count > limit;
	count = op->is_more ? limit : count;
	picked_sort(rows, count);
	e->ledger.listing++;
	for (uint32_t from = 0, to = 0; err == OK && from < count; from = to) {
		while (to < count && rows[to].message == rows[from].message)
			to++;
		err = revive_message(e, op, rows + from, to - from);
	}
	if (err != OK)
		return err;
	op->domain_count = picked_count_domains(e, rows, count, &op->oldest);
	return audit_write(e, op->now, op->actor, "revive", op->reason, op->filter,
		op->recipient_count, op->message_count);
}

static void append_matching(struct buf *text, const struct store_revive *op)
{
	filter_build(text, op->filter, RECIPIENT_STATE_BIT(RECIPIENT_FAILED), FILTER_BY_FAILED);
	if (op->only_doubted)
		buf_append_str(text, STR(DOUBTED));
	if (op->only_untold)
		buf_append_str(text, STR(UNTOLD));
}

static uint64_t after_of(const struct store_revive *op)
{
	return op->failed_after.ms > 0 ? (uint64_t)op->failed_after.ms : 0;
}

static enum err count_matching(struct sqlite_engine *e, struct store_revive *op)
{
	struct buf text;
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(&text, STR("SELECT count(iif(m.chunks > 0, 1, NULL)),"
				  " count(DISTINCT iif(m.chunks > 0, r.message, NULL)),"
				  " count(DISTINCT iif(m.chunks > 0, r.domain, NULL)),"
				  " coalesce(min(iif(m.chunks > 0, m.accepted, NULL)), 0),"
				  " count(iif(m.chunks = 0, 1, NULL))"));
	append_matching(&text, op);
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, op->filter, FILTER_BY_FAILED, after_of(op));
	if (sql_next(&q)) {
		op->recipient_count = get_u64(&q);
		op->message_count = get_u64(&q);
		op->domain_count = get_u64(&q);
		op->oldest = get_wall(&q);
		op->gone_count = get_u64(&q);
	}
	enum err err = sql_done(&q);
	buf_fini(&text);
	return err;
}

/* Goes on where the last step stopped; when that is not enough, looks at all once more. */
static enum err pick(struct sqlite_engine *e, struct store_revive *op, struct picked *rows,
	uint32_t limit, uint32_t *count)
{
	uint64_t hash = filter_hash(op->filter, (op->only_untold ? 2u : 0u) | (op->only_doubted ? 1u : 0u));
	uint64_t first = after_of(op), from = first;
	if (e->revive_stop.hash == hash && e->revive_stop.at.ms > op->failed_after.ms)
		from = (uint64_t)e->revive_stop.at.ms;
	enum err err = pick_from(e, op, from, rows, limit, count);
	if (err == OK && from > first && *count < limit) {
		*count = 0;
		err = pick_from(e, op, first, rows, limit, count);
	}
	e->revive_stop.hash = hash;
	e->revive_stop.at = err == OK && *count == limit ? rows[limit - 1].failed : WALL_NONE;
	return err;
}

static enum err pick_from(struct sqlite_engine *e, struct store_revive *op, uint64_t from,
	struct picked *rows, uint32_t limit, uint32_t *count)
{
	struct buf text;
	buf_init(&text, FILTER_TEXT_MAX_BYTES);
	buf_append_str(&text, STR("SELECT r.message, r.number, r.finished, m.accepted, r.domain"));
	append_matching(&text, op);
	buf_append_str(&text, STR(" AND m.chunks > 0 LIMIT ?"));
	CHECK(!text.is_full);
	struct query q = sql_prepare_text(&e->sql, buf_str(&text));
	filter_bind(&q, op->filter, FILTER_BY_FAILED, from);
	bind_u64(&q, limit);
	while (*count < limit && sql_next(&q)) {
		struct picked *row = &rows[(*count)++];
		row->message = get_u64(&q);
		row->number = get_u32(&q);
		row->failed = get_wall(&q);
		row->accepted = get_wall(&q);
		row->domain = get_text(&q, &e->scratch);
	}
	enum err err = sql_done(&q);
	buf_fini(&text);
	return err;
}

static enum err revive_message(
	struct sqlite_engine *e, struct store_revive *op, const struct picked *rows, uint32_t count)
{
	struct settle settle;
	struct failed_row *failed;
	uint32_t failed_count = 0;
	enum err err = settle_begin(&settle, e, rows[0].message);
	if (err == ERR_NOT_FOUND)
		return ERR_CORRUPT;
	if (err == OK)
		err = load_failed(e, settle.id, &failed, &failed_count);
	if (err != OK)
		return err;
	bool was_finished = settle.queued <= 0;
	mark_picked(failed, failed_count, rows, count);
	err = take_back_notices(e, op, failed, failed_count);
	for (uint32_t i = 0; err == OK && i < failed_count; i++) {
		if (failed[i].is_wanted)
			err = revive_recipient(&settle, op, &failed[i]);
	}
	if (err == OK)
		err = reopen(&settle, was_finished);
	if (err == OK)
		err = settle_end(&settle, op->now);
	op->message_count++;
	return err;
}

static enum err load_failed(
	struct sqlite_engine *e, uint64_t id, struct failed_row **out, uint32_t *count)
{
	uint32_t cap = 64;
	struct failed_row *rows = arena_array(&e->scratch, cap, sizeof(*rows));
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_FAILED);
	bind_u64(&q, id);
	while (sql_next(&q)) {
		if (*count == cap) {
			struct failed_row *grown =
				arena_array(&e->scratch, (size_t)cap * 2, sizeof(*rows));
			for (uint32_t i = 0; i < cap; i++)
				grown[i] = rows[i];
			rows = grown;
			cap *= 2;
		}
		struct failed_row *row = &rows[(*count)++];
		row->number = get_u32(&q);
		row->hop = get_u64(&q);
		row->notice = get_u64(&q);
		row->is_wanted = false;
	}
	*out = rows;
	return sql_done(&q);
}

/* Both are sorted by number. */
static void mark_picked(
	struct failed_row *failed, uint32_t failed_count, const struct picked *rows, uint32_t count)
{
	for (uint32_t i = 0, k = 0; i < failed_count; i++) {
		while (k < count && rows[k].number < failed[i].number)
			k++;
		failed[i].is_wanted = k < count && rows[k].number == failed[i].number;
	}
}

static enum err take_back_notices(
	struct sqlite_engine *e, struct store_revive *op, struct failed_row *failed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t notice = failed[i].notice;
		if (!failed[i].is_wanted || notice == 0)
			continue;
		enum err err = notice_take_back(e, notice, op->now);
		if (err != OK && err != ERR_NOT_FOUND)
			return err;
		for (uint32_t k = 0; k < count; k++) {
			if (failed[k].notice != notice)
				continue;
			op->told_count += err == ERR_NOT_FOUND && failed[k].is_wanted;
			failed[k].is_wanted |= err == OK;
			failed[k].notice = 0;
		}
	}
	return OK;
}

enum err notice_take_back(struct sqlite_engine *e, uint64_t id, struct wall at)
{
	struct settle settle;
	struct hop_entry *hop;
	uint64_t hop_id = 0;
	struct query q = sql_prepare(&e->sql, SQL_NOTICE_WAITS);
	bind_u64(&q, id);
	if (sql_next(&q))
		hop_id = get_u64(&q);
	enum err err = sql_done(&q);
	if (err == OK && hop_id == 0)
		return ERR_NOT_FOUND;
	if (err == OK)
		err = settle_begin(&settle, e, id);
	if (err == OK)
		err = ledger_hop_by_id(&e->ledger, hop_id, &hop);
	if (err != OK)
		return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
	q = sql_prepare(&e->sql, SQL_RECIPIENT_FINISH);
	bind_u64(&q, id);
	bind_u64(&q, 1);
	bind_i64(&q, RECIPIENT_DELETED);
	bind_wall(&q, at);
	bind_wall(&q, at);
	err = sql_run(&q);
	if (err != OK)
		return err;
	settle_move(&settle, hop, RECIPIENT_WAITING, RECIPIENT_DELETED);
	return settle_end(&settle, at);
}

static enum err revive_recipient(
	struct settle *s, struct store_revive *op, const struct failed_row *row)
{
	struct sqlite_engine *e = s->e;
	struct hop_entry *hop;
	bool had_queued = false;
	enum err err = ledger_hop_by_id(&e->ledger, row->hop, &hop);
	if (err == OK)
		err = settle_has_queued(s, hop, &had_queued);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_REVIVE);
	bind_u64(&q, s->id);
	bind_u64(&q, row->number);
	err = sql_run(&q);
	if (err != OK)
		return err;
	settle_move(s, hop, RECIPIENT_FAILED, RECIPIENT_READY);
	if (!had_queued)
		ledger_hop_bytes(&e->ledger, hop, (int64_t)s->size_bytes);
	op->recipient_count++;
	if (hop->last_listing == e->ledger.listing)
		return OK;
	hop->last_listing = e->ledger.listing;
	/* as many as recipients_count says there may be: grown by doubling in the operation's arena */
	if ((op->hop_count & (op->hop_count - 1)) == 0) {
		size_t cap = op->hop_count ? (size_t)op->hop_count * 2 : 1;
		struct str *grown = arena_array(&op->op.arena, cap, sizeof(*grown));
		for (uint32_t i = 0; i < op->hop_count; i++)
			grown[i] = op->hops[i];
		op->hops = grown;
	}
	op->hops[op->hop_count++] = arena_dup(&op->op.arena, hop->name);
	return OK;
}

/* A message that was finished is queued again. With no failed recipient left its content is not kept beyond the queue,
 * and there is nothing to report of it. */
static enum err reopen(struct settle *s, bool was_finished)
{
	struct query q = sql_prepare(&s->e->sql, SQL_MESSAGE_NONE_FAILED);
	bind_u64(&q, s->id);
	enum err err = sql_run(&q);
	if (err != OK || !was_finished)
		return err;
	q = sql_prepare(&s->e->sql, SQL_MESSAGE_REOPEN);
	bind_u64(&q, s->id);
	err = sql_run(&q);
	if (err == OK)
		ledger_message(&s->e->ledger, 1, (int64_t)s->size_bytes);
	return err;
}
