/*
 * write_tell - TELL: a notice enters the queue, and that its reader was told is noted with it.
 *
 * One transaction: after a crash the reader was told and the tables say so, or neither.
 */
#include "base/check.h"
#include "sqlite_engine.h"

static enum err tell_own(struct sqlite_engine *e, struct store_tell *op);
static enum err put_told(struct sqlite_engine *e, const struct told_record *told);
static enum err pay_owed(struct sqlite_engine *e, const struct store_tell *op);
static enum err name_owed(struct sqlite_engine *e, const struct store_tell *op);
static struct query prepare_owed(
	struct sqlite_engine *e, enum sql_id statement, const struct store_tell *op);

enum err write_tell(struct sqlite_engine *e, struct store_tell *op)
{
	enum err err = OK;
	op->is_applied = true;
	if (op->id > 0)
		err = tell_own(e, op);
	if (err != OK || !op->is_applied)
		return err;
	if (op->told)
		err = put_told(e, op->told);
	if (err == OK && op->owed_up_to > 0)
		err = pay_owed(e, op);
	if (err == OK && op->notice)
		err = message_insert(e, &op->notice->env, op->notice->content, 0);
	return err;
}

enum err late_owe(struct sqlite_engine *e, uint64_t id, struct wall at)
{
	struct query q = sql_prepare(&e->sql, SQL_OWED_SET);
	bind_u64(&q, id);
	bind_i64(&q, at.ms > 0 ? at.ms : 1); /* 0 would mean: nothing */
	return sql_run(&q);
}

/* Delivered between the look and now: nobody wants to hear any more that it is late. */
static enum err tell_own(struct sqlite_engine *e, struct store_tell *op)
{
	struct query q = sql_prepare(&e->sql, SQL_OWN_TOLD);
	bind_u64(&q, op->id);
	bind_wall(&q, op->at);
	enum err err = sql_run(&q);
	op->is_applied = sql_changes(&e->sql) > 0;
	return err;
}

static enum err put_told(struct sqlite_engine *e, const struct told_record *told)
{
	struct query q = sql_prepare(&e->sql, told->count > 0 ? SQL_TOLD_PUT : SQL_TOLD_DELETE);
	bind_text(&q, told->sender);
	if (told->count > 0) {
		bind_wall(&q, told->first);
		bind_wall(&q, told->last);
		bind_u64(&q, told->count);
		bind_u64(&q, told->up_to);
		bind_text(&q, told->hops);
	}
	return sql_run(&q);
}

static enum err pay_owed(struct sqlite_engine *e, const struct store_tell *op)
{
	enum err err = op->notice ? name_owed(e, op) : OK;
	if (err != OK)
		return err;
	struct query q = prepare_owed(e, SQL_OWED_PAID, op);
	err = sql_run(&q);
	/* One more may have failed since: it must not be paid unread. */
	return err == OK && (uint64_t)sql_changes(&e->sql) != op->owed_count ? ERR_NOT_FOUND : err;
}

/* REVIVE must know that their sender has been told. */
static enum err name_owed(struct sqlite_engine *e, const struct store_tell *op)
{
	struct query q = prepare_owed(e, SQL_OWED_NAMED, op);
	bind_u64(&q, op->notice->env.id);
	bind_u64(&q, NOTIFY_FAILURE);
	return sql_run(&q);
}

static struct query prepare_owed(
	struct sqlite_engine *e, enum sql_id statement, const struct store_tell *op)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_text(&q, op->owed_to);
	bind_u64(&q, op->owed_up_to);
	bind_wall(&q, op->owed_before);
	return q;
}
