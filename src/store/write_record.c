/*
 * write_record - RECORD: what became of one delivery, in one transaction.
 *
 * Idempotent by (recipient, attempt): a result whose attempt the row already has is passed over,
 * and if all are, the notices are too. Final states stay. A recipient that an operator holds
 * stays held unless the result is final: the delivery was under way when the operator spoke.
 */
#include "base/check.h"
#include "row.h"
#include "settle.h"
#include "sqlite_engine.h"

struct current {
	bool is_found;
	enum recipient_state state;
	uint32_t attempts;
	uint64_t hop;
	struct wall due;
};

static enum err record_message(struct sqlite_engine *e, struct store_record *op);
static enum err record_result(
	struct settle *s, struct store_record *op, const struct store_result *result);
static enum err load_current(
	struct sqlite_engine *e, uint64_t id, uint32_t number, struct current *out);
static enum recipient_state state_after(enum result_kind kind, enum recipient_state now);
static enum err write_result(struct sqlite_engine *e, struct store_record *op,
	const struct store_result *result, enum recipient_state state, uint32_t attempts,
	const struct current *now);
static enum err record_kept(struct settle *s, struct wall until);
static enum err replace_notice(struct sqlite_engine *e, struct store_record *op);
static enum err record_health(struct sqlite_engine *e, struct store_record *op);
static enum err record_site(struct sqlite_engine *e, const struct site_record *site);
static enum err record_hop(struct sqlite_engine *e, const struct hop_record *hop);
static enum err record_success(struct sqlite_engine *e, const struct store_success *success);
static enum err count_hops(struct sqlite_engine *e, uint64_t site, int change);

enum err write_record(struct sqlite_engine *e, struct store_record *op)
{
	op->applied_count = 0;
	op->is_finished = false;
	enum err err = OK;
	if (op->id != 0)
		err = record_message(e, op);
	bool is_repeated = op->result_count > 0 && op->applied_count == 0;
	if (err == OK && !is_repeated && op->replaces != 0)
		err = replace_notice(e, op);
	for (uint32_t i = 0; err == OK && !is_repeated && i < op->notice_count; i++)
		err = message_insert(e, &op->notices[i].env, op->notices[i].content, 0);
	if (err == OK && op->is_notice_owed && op->applied_count > 0)
		err = late_owe(e, op->id, op->at);
	if (err == OK)
		err = record_health(e, op);
	return err == OK ? record_outages(e, op) : err;
}

/* A message that SWEEP has removed meanwhile has no rows to write to: its results count as
 * recorded. */
static enum err record_message(struct sqlite_engine *e, struct store_record *op)
{
	struct settle settle;
	enum err err = settle_begin(&settle, e, op->id);
	if (err == ERR_NOT_FOUND) {
		op->is_finished = true;
		return OK;
	}
	for (uint32_t i = 0; err == OK && i < op->result_count; i++)
		err = record_result(&settle, op, &op->results[i]);
	if (err == OK)
		err = settle_end(&settle, op->at);
	op->is_finished = settle.queued <= 0;
	for (uint32_t i = 0; err == OK && i < op->attempt_count; i++)
		err = record_attempt(e, op->id, &op->attempts[i]);
	return err;
}

static enum err record_result(
	struct settle *s, struct store_record *op, const struct store_result *result)
{
	struct current now;
	struct hop_entry *hop;
	enum err err = load_current(s->e, op->id, result->number, &now);
	if (err != OK || !now.is_found)
		return err;
	if (!recipient_is_queued(now.state) || now.attempts >= result->attempt)
		return OK;
	err = ledger_hop_by_id(&s->e->ledger, now.hop, &hop);
	if (err != OK)
		return err;
	enum recipient_state state = state_after(result->kind, now.state);
	uint32_t attempts = result->kind == RESULT_READY ? now.attempts : result->attempt;
	err = write_result(s->e, op, result, state, attempts, &now);
	if (err == OK && result->kind == RESULT_HELD) {
		struct query q = sql_prepare(&s->e->sql, SQL_MESSAGE_SET_HOLD);
		bind_u64(&q, op->id);
		bind_text(&q, result->text);
		err = sql_run(&q);
	}
	if (err != OK)
		return err;
	settle_move(s, hop, now.state, state);
	op->applied_count++;
	return state == RECIPIENT_FAILED ? record_kept(s, op->keep_until) : OK;
}

static enum err record_kept(struct settle *s, struct wall until)
{
	if (until.ms <= s->kept.ms)
		return OK;
	s->kept = until;
	struct query q = sql_prepare(&s->e->sql, SQL_MESSAGE_SET_KEPT);
	bind_u64(&q, s->id);
	bind_wall(&q, until);
	return sql_run(&q);
}

static enum err replace_notice(struct sqlite_engine *e, struct store_record *op)
{
	CHECK(op->notice_count >= 1);
	enum err err = notice_take_back(e, op->replaces, op->at);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_SET_NOTICE);
	bind_u64(&q, op->id);
	bind_u64(&q, op->replaces);
	bind_u64(&q, op->notices[0].env.id);
	return sql_run(&q);
}

static enum err load_current(
	struct sqlite_engine *e, uint64_t id, uint32_t number, struct current *out)
{
	*out = (struct current){ 0 };
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_LOAD);
	bind_u64(&q, id);
	bind_u64(&q, number);
	if (sql_next(&q)) {
		out->is_found = true;
		out->state = (enum recipient_state)get_enum(&q, RECIPIENT_STATE_COUNT);
		out->attempts = get_u32(&q);
		out->hop = get_u64(&q);
		out->due = get_wall(&q);
	}
	return sql_done(&q);
}

static enum recipient_state state_after(enum result_kind kind, enum recipient_state now)
{
	bool is_held = now == RECIPIENT_HELD;
	switch (kind) {
	case RESULT_DELIVERED:
		return RECIPIENT_DELIVERED;
	case RESULT_FAILED:
		return RECIPIENT_FAILED;
	case RESULT_RETRY:
		return is_held ? RECIPIENT_HELD : RECIPIENT_WAITING;
	case RESULT_READY:
		return is_held ? RECIPIENT_HELD : RECIPIENT_READY;
	case RESULT_QUARANTINED:
		return is_held ? RECIPIENT_HELD : RECIPIENT_QUARANTINED;
	case RESULT_HELD:
		return RECIPIENT_HELD;
	}
	check_failed("a result kind", __FILE__, __LINE__);
}

static enum err write_result(struct sqlite_engine *e, struct store_record *op,
	const struct store_result *result, enum recipient_state state, uint32_t attempts,
	const struct current *now)
{
	bool is_due = state == RECIPIENT_WAITING || state == RECIPIENT_QUARANTINED;
	struct wall since = now->state == RECIPIENT_HELD ? now->due : op->at;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_RECORD);
	bind_u64(&q, op->id);
	bind_u64(&q, result->number);
	bind_i64(&q, state);
	bind_u64(&q, attempts);
	bind_wall(&q, is_due			     ? result->due
		      : state == RECIPIENT_HELD ? since
						: WALL_NONE);
	bind_wall(&q, op->at);
	bind_wall(&q, recipient_is_queued(state) ? WALL_NONE : op->at);
	bind_bool(&q, result->is_in_doubt);
	bind_code(&q, result->code);
	bind_status(&q, result->status);
	bind_text(&q, result->text);
	bind_text(&q, result->host);
	bind_u64(&q, state == RECIPIENT_FAILED ? result->notice : 0);
	return sql_run(&q);
}

enum err record_attempt(struct sqlite_engine *e, uint64_t id, const struct attempt_record *attempt)
{
	struct query q = sql_prepare(&e->sql, SQL_ATTEMPT_INSERT);
	bind_u64(&q, id);
	bind_wall(&q, attempt->at);
	bind_u64(&q, attempt->recipient);
	bind_u64(&q, attempt->attempt);
	bind_i64(&q, attempt->duration_ms > 0 ? attempt->duration_ms : 0);
	bind_code(&q, attempt->code);
	bind_status(&q, attempt->status);
	bind_text(&q, attempt->stage);
	bind_text(&q, attempt->disposition);
	bind_text(&q, attempt->host);
	bind_text(&q, attempt->text);
	bind_text(&q, attempt->tls);
	return sql_run(&q);
}

static enum err record_health(struct sqlite_engine *e, struct store_record *op)
{
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < op->site_count; i++)
		err = record_site(e, &op->sites[i]);
	for (uint32_t i = 0; err == OK && i < op->hop_count; i++)
		err = record_hop(e, &op->hops[i]);
	for (uint32_t i = 0; err == OK && i < op->success_count; i++)
		err = record_success(e, &op->successes[i]);
	return err;
}

static enum err record_site(struct sqlite_engine *e, const struct site_record *site)
{
	struct site_entry *entry;
	enum err err = ledger_site(&e->ledger, site->name, &entry);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_SITE_UPDATE);
	bind_u64(&q, entry->id);
	bind_u64(&q, site->window);
	bind_health(&q, &site->health);
	bind_u64(&q, site->rate <= INT64_MAX ? site->rate : INT64_MAX);
	err = sql_run(&q);
	if (err == OK)
		ledger_site_state(&e->ledger, entry, site->health.state);
	return err;
}

static enum err record_hop(struct sqlite_engine *e, const struct hop_record *hop)
{
	struct hop_entry *entry;
	struct site_entry *site = NULL;
	enum err err = ledger_hop(&e->ledger, hop->name, &entry);
	if (err == OK && hop->site.len > 0)
		err = ledger_site(&e->ledger, hop->site, &site);
	if (err != OK)
		return err;
	uint64_t site_id = site ? site->id : 0;
	struct query q = sql_prepare(&e->sql, SQL_HOP_UPDATE);
	bind_u64(&q, entry->id);
	bind_u64(&q, site_id);
	bind_health(&q, &hop->health);
	bind_text(&q, hop->route);
	bind_wall(&q, hop->route_at);
	bind_i64(&q, hop->denied_ms > 0 ? hop->denied_ms : 0);
	bind_wall(&q, hop->denied_last);
	err = sql_run(&q);
	if (err != OK || site_id == entry->site)
		return err;
	err = count_hops(e, entry->site, -1);
	if (err == OK)
		err = count_hops(e, site_id, 1);
	entry->site = site_id;
	return err;
}

static enum err record_success(struct sqlite_engine *e, const struct store_success *success)
{
	struct hop_entry *entry;
	enum err err = ledger_hop(&e->ledger, success->hop, &entry);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_HOP_SUCCESS);
	bind_u64(&q, entry->id);
	bind_wall(&q, success->at);
	err = sql_run(&q);
	if (err != OK || entry->site == 0)
		return err;
	q = sql_prepare(&e->sql, SQL_SITE_SUCCESS);
	bind_u64(&q, entry->site);
	bind_wall(&q, success->at);
	return sql_run(&q);
}

static enum err count_hops(struct sqlite_engine *e, uint64_t site, int change)
{
	if (site == 0)
		return OK;
	struct query q = sql_prepare(&e->sql, SQL_SITE_ADD_HOPS);
	bind_u64(&q, site);
	bind_i64(&q, change);
	return sql_run(&q);
}
