/*
 * history - a message that was delivered before the tables heard of it: its rows as history, at once.
 *
 * The counts come out as if it had been queued and delivered: what goes up for the one goes down for the other.
 */
#include "base/check.h"
#include "row.h"
#include "sqlite_engine.h"

static const struct store_result *result_of(const struct store_record *records,
	uint32_t record_count, uint32_t number, struct wall *at);
static enum err insert_recipient(struct sqlite_engine *e, const struct envelope *env,
	const struct recipient *rcpt, const struct store_result *result, struct wall at);

enum err history_insert(struct sqlite_engine *e, const struct envelope *env,
	const struct store_record *records, uint32_t record_count)
{
	struct wall last = { 1 }; /* 0 would mean "queued" */
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_INSERT_FINISHED);
	for (uint32_t i = 0; i < record_count; i++)
		last = records[i].at.ms > last.ms ? records[i].at : last;
	bind_envelope(&q, env);
	bind_wall(&q, last);
	enum err err = sql_run(&q);
	for (uint32_t i = 0; err == OK && i < env->recipient_count; i++) {
		const struct recipient *rcpt = &env->recipients[i];
		struct wall at = last;
		const struct store_result *result =
			result_of(records, record_count, rcpt->number, &at);
		err = result ? insert_recipient(e, env, rcpt, result, at) : ERR_CORRUPT;
	}
	for (uint32_t i = 0; i < record_count; i++) {
		for (uint32_t k = 0; err == OK && k < records[i].attempt_count; k++)
			err = record_attempt(e, env->id, &records[i].attempts[k]);
	}
	if (err == OK)
		ledger_seen_id(&e->ledger, env->id);
	return err;
}

static const struct store_result *result_of(
	const struct store_record *records, uint32_t record_count, uint32_t number, struct wall *at)
{
	for (uint32_t i = 0; i < record_count; i++) {
		for (uint32_t k = 0; k < records[i].result_count; k++) {
			if (records[i].results[k].number != number)
				continue;
			*at = records[i].at;
			return &records[i].results[k];
		}
	}
	return NULL;
}

static enum err insert_recipient(struct sqlite_engine *e, const struct envelope *env,
	const struct recipient *rcpt, const struct store_result *result, struct wall at)
{
	struct hop_entry *hop;
	enum err err = ledger_hop(&e->ledger, rcpt->hop, &hop);
	if (err != OK)
		return err;
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_INSERT_FINISHED);
	bind_u64(&q, env->id);
	bind_u64(&q, rcpt->number);
	bind_u64(&q, hop->id);
	bind_i64(&q, RECIPIENT_DELIVERED);
	bind_i64(&q, env->priority);
	bind_u64(&q, rcpt->notify & NOTIFY_BITS_MAX);
	bind_text(&q, rcpt->address);
	bind_text(&q, rcpt->domain);
	bind_text(&q, rcpt->orcpt);
	bind_u64(&q, result->attempt);
	bind_wall(&q, at);
	bind_bool(&q, result->is_in_doubt);
	bind_code(&q, result->code);
	bind_status(&q, result->status);
	bind_text(&q, result->text);
	bind_text(&q, result->host);
	err = sql_run(&q);
	if (err == OK)
		ledger_move(&e->ledger, hop, RECIPIENT_ABSENT, RECIPIENT_DELIVERED);
	return err;
}
