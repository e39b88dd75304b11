/*
 * write_outage - the outages of a RECORD, and their end with SWEEP.
 *
 * An outage is written whole each time, by its id: writing it twice changes nothing, so a RECORD that is tried again
 * is harmless. They are few and small; nothing here grows with the queue.
 */
#include "base/check.h"
#include "row.h"
#include "sqlite_engine.h"

enum { OUTAGES_STEP_MAX = 256 };

static enum err put_outage(struct sqlite_engine *e, const struct outage_record *outage);
static enum err put_sample(
	struct sqlite_engine *e, uint64_t outage, const struct outage_sample *sample);
static enum err delete_by_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id);

enum err record_outages(struct sqlite_engine *e, const struct store_record *op)
{
	enum err err = OK;
	for (uint32_t i = 0; err == OK && i < op->outage_count; i++) {
		const struct outage_sample *sample = op->samples ? &op->samples[i] : NULL;
		err = put_outage(e, &op->outages[i]);
		if (err == OK && sample && sample->at.ms != WALL_NONE.ms)
			err = put_sample(e, op->outages[i].id, sample);
	}
	return err;
}

static enum err put_outage(struct sqlite_engine *e, const struct outage_record *outage)
{
	CHECK(outage->id > 0);
	struct query q = sql_prepare(&e->sql, SQL_OUTAGE_PUT);
	bind_outage(&q, outage);
	return sql_run(&q);
}

static enum err put_sample(
	struct sqlite_engine *e, uint64_t outage, const struct outage_sample *sample)
{
	struct query q = sql_prepare(&e->sql, SQL_SAMPLE_PUT);
	bind_u64(&q, outage);
	bind_wall(&q, sample->at);
	bind_u64(&q, sample->recipients);
	bind_u64(&q, sample->bytes);
	bind_u64(&q, sample->delivered);
	return sql_run(&q);
}

enum err sweep_outages(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit)
{
	uint64_t ids[OUTAGES_STEP_MAX];
	uint32_t count = 0, step = limit < OUTAGES_STEP_MAX ? limit : OUTAGES_STEP_MAX;
	if (op->outages_before.ms <= WALL_NONE.ms)
		return OK;
	struct query q = sql_prepare(&e->sql, SQL_OUTAGES_ENDED_BEFORE);
	bind_wall(&q, op->outages_before);
	bind_u64(&q, step);
	while (count < step && sql_next(&q))
		ids[count++] = get_u64(&q);
	enum err err = sql_done(&q);
	for (uint32_t i = 0; err == OK && i < count; i++) {
		err = delete_by_id(e, SQL_SAMPLES_DELETE, ids[i]);
		if (err == OK)
			err = delete_by_id(e, SQL_OUTAGE_DELETE, ids[i]);
	}
	op->is_more |= count == step;
	return err;
}

static enum err delete_by_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_u64(&q, id);
	return sql_run(&q);
}
