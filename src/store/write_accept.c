/*
 * write_accept - ACCEPT, SPOOL, DISCARD: messages and their content come in.
 *
 * Chunk 0 of a content lies in table content, the rare others in table chunk. A message whose
 * chunks came before its ACCEPT has a row in spool until then, so that start-up finds orphans
 * without a scan.
 */
#include "base/check.h"
#include "row.h"
#include "sqlite_engine.h"

static enum err close_spool(struct sqlite_engine *e, uint64_t id, uint32_t spooled_chunks);
static enum err insert_message(
	struct sqlite_engine *e, const struct envelope *env, uint32_t chunks);
static enum err insert_recipients(struct sqlite_engine *e, const struct envelope *env);
static enum err delete_spool(struct sqlite_engine *e, uint64_t id);
static enum err run_with_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id);

enum err write_accept(struct sqlite_engine *e, struct store_accept *op)
{
	return message_insert(e, op->env, op->content, op->spooled_chunks);
}

enum err write_spool(struct sqlite_engine *e, struct store_spool *op)
{
	enum err err = run_with_id(e, SQL_SPOOL_INSERT, op->id);
	if (err != OK)
		return err;
	ledger_seen_id(&e->ledger, op->id);
	return content_insert(e, op->id, op->chunk, op->content);
}

enum err write_discard(struct sqlite_engine *e, struct store_discard *op)
{
	struct query q = sql_prepare(&e->sql, SQL_SPOOL_FIND);
	bind_u64(&q, op->id);
	bool is_spooled = sql_next(&q);
	enum err err = sql_done(&q);
	if (err != OK || !is_spooled)
		return err;
	return spool_drop(e, op->id);
}

enum err message_insert(struct sqlite_engine *e, const struct envelope *env, struct str content,
	uint32_t spooled_chunks)
{
	bool has_last_part = content.len > 0 || spooled_chunks == 0;
	enum err err = OK;
	CHECK(env->id > 0 && env->id <= INT64_MAX && env->recipient_count > 0);
	CHECK(env->priority >= -PRIORITY_MAX && env->priority <= PRIORITY_MAX);
	err = insert_message(e, env, spooled_chunks + (has_last_part ? 1 : 0));
	if (err == OK && spooled_chunks > 0)
		err = close_spool(e, env->id, spooled_chunks);
	if (err == OK && has_last_part)
		err = content_insert(e, env->id, spooled_chunks, content);
	if (err == OK)
		err = insert_recipients(e, env);
	if (err != OK)
		return err;
	ledger_message(&e->ledger, 1, (int64_t)env->size_bytes);
	ledger_seen_id(&e->ledger, env->id);
	if (env->id > e->young.last_id)
		e->young.last_id = env->id;
	return OK;
}

enum err content_insert(struct sqlite_engine *e, uint64_t id, uint32_t chunk, struct str data)
{
	struct query q = sql_prepare(&e->sql, chunk == 0 ? SQL_CONTENT_INSERT : SQL_CHUNK_INSERT);
	bind_u64(&q, id);
	if (chunk > 0)
		bind_u64(&q, chunk);
	bind_blob(&q, data);
	return sql_run(&q);
}

enum err content_delete(struct sqlite_engine *e, uint64_t id)
{
	enum err err = run_with_id(e, SQL_CONTENT_DELETE, id);
	return err == OK ? run_with_id(e, SQL_CHUNK_DELETE, id) : err;
}

enum err spool_sweep(struct sqlite_engine *e)
{
	for (;;) {
		uint64_t id = 0;
		struct query q = sql_prepare(&e->sql, SQL_SPOOL_FIRST);
		if (sql_next(&q))
			id = get_u64(&q);
		enum err err = sql_done(&q);
		if (err != OK || id == 0)
			return err;
		err = spool_drop(e, id);
		if (err != OK)
			return err;
	}
}

static enum err close_spool(struct sqlite_engine *e, uint64_t id, uint32_t spooled_chunks)
{
	uint32_t present = 0;
	struct query q = sql_prepare(&e->sql, SQL_CHUNK_COUNT);
	bind_u64(&q, id);
	if (sql_next(&q))
		present = get_u32(&q);
	enum err err = sql_done(&q);
	if (err != OK)
		return err;
	/* A chunk whose SPOOL failed must not become a hole in a message we answer for. */
	return present == spooled_chunks ? delete_spool(e, id) : ERR_NOT_FOUND;
}

static enum err insert_message(struct sqlite_engine *e, const struct envelope *env, uint32_t chunks)
{
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_INSERT);
	bind_envelope(&q, env);
	bind_u64(&q, chunks);
	bind_u64(&q, env->recipient_count);
	return sql_run(&q);
}

static enum err insert_recipients(struct sqlite_engine *e, const struct envelope *env)
{
	bool is_waiting = env->hold_until.ms > env->accepted.ms;
	enum recipient_state state = is_waiting ? RECIPIENT_WAITING : RECIPIENT_READY;
	unsigned bucket = store_sender_bucket(env->reverse_path);
	for (uint32_t i = 0; i < env->recipient_count; i++) {
		const struct recipient *rcpt = &env->recipients[i];
		struct hop_entry *hop;
		enum err err = ledger_hop(&e->ledger, rcpt->hop, &hop);
		if (err != OK)
			return err;
		struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_INSERT);
		bind_u64(&q, env->id);
		bind_u64(&q, rcpt->number);
		bind_u64(&q, hop->id);
		bind_i64(&q, state);
		bind_i64(&q, env->priority);
		bind_u64(&q, bucket);
		bind_wall(&q, is_waiting ? env->hold_until : WALL_NONE);
		bind_u64(&q, rcpt->notify & NOTIFY_BITS_MAX);
		bind_text(&q, rcpt->address);
		bind_text(&q, rcpt->domain);
		bind_text(&q, rcpt->orcpt);
		err = sql_run(&q);
		if (err != OK)
			return err;
		/* Octets count once a message and next hop: at the first of its recipients
		 * there. */
		bool is_first = hop->last_message != env->id;
		hop->last_message = env->id;
		ledger_move(&e->ledger, hop, RECIPIENT_ABSENT, state);
		if (is_first)
			ledger_hop_bytes(&e->ledger, hop, (int64_t)env->size_bytes);
	}
	return OK;
}

/* A chunk that came after its ACCEPT must not take the content of a message that we answer for
 * along. */
enum err spool_drop(struct sqlite_engine *e, uint64_t id)
{
	bool is_accepted = false;
	enum err err = message_exists(e, id, &is_accepted);
	if (err == OK && !is_accepted)
		err = content_delete(e, id);
	return err == OK ? delete_spool(e, id) : err;
}

enum err message_exists(struct sqlite_engine *e, uint64_t id, bool *out)
{
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_LOAD);
	bind_u64(&q, id);
	*out = sql_next(&q);
	return sql_done(&q);
}

static enum err delete_spool(struct sqlite_engine *e, uint64_t id)
{
	return run_with_id(e, SQL_SPOOL_DELETE, id);
}

static enum err run_with_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_u64(&q, id);
	return sql_run(&q);
}
