/*
 * read_outage - OUTAGES, and the spans of one next hop or site that LOOKUP gives along.
 *
 * A scan of the table serves where no index does: a few rows a month, and SWEEP ends them.
 */
#include "base/check.h"
#include "row.h"
#include "sqlite_engine.h"

enum {
	OUTAGES_LIMIT_MAX = 10000,
	SAMPLES_MAX = 10000,
	SPANS_MAX = 4096 /* of one name, the newest */
};

static enum err read_one(struct sqlite_engine *e, struct store_outages *op);
static enum err read_samples(struct sqlite_engine *e, struct store_outages *op);
static enum err read_page(struct sqlite_engine *e, struct store_outages *op);
static enum err read_last_id(struct sqlite_engine *e, struct store_outages *op);

enum err read_outages(struct sqlite_engine *e, struct store_outages *op)
{
	op->outage_count = op->sample_count = 0;
	op->outages = NULL;
	op->samples = NULL;
	op->is_more = false;
	op->last_id = 0;
	enum err err = op->id > 0 ? read_one(e, op) : read_page(e, op);
	return err == OK ? read_last_id(e, op) : err;
}

static enum err read_one(struct sqlite_engine *e, struct store_outages *op)
{
	if (op->id > INT64_MAX)
		return OK;
	struct query q = sql_prepare(&e->sql, SQL_OUTAGE_GET);
	bind_u64(&q, op->id);
	if (sql_next(&q)) {
		op->outages = arena_array(&op->op.arena, 1, sizeof(*op->outages));
		get_outage(&q, &op->op.arena, &op->outages[0]);
		op->outage_count = 1;
	}
	enum err err = sql_done(&q);
	return err == OK && op->outage_count > 0 ? read_samples(e, op) : err;
}

static enum err read_samples(struct sqlite_engine *e, struct store_outages *op)
{
	uint32_t cap = 0;
	struct query q = sql_prepare(&e->sql, SQL_SAMPLES_OF_OUTAGE);
	bind_u64(&q, op->id);
	while (op->sample_count < SAMPLES_MAX && sql_next(&q)) {
		if (op->sample_count == cap) {
			const struct outage_sample *old = op->samples;
			cap = cap > 0 ? 2 * cap : 64;
			op->samples = arena_array(&op->op.arena, cap, sizeof(*op->samples));
			for (uint32_t i = 0; i < op->sample_count; i++)
				op->samples[i] = old[i];
		}
		struct outage_sample *sample = &op->samples[op->sample_count++];
		sample->at = get_wall(&q);
		sample->recipients = get_u64(&q);
		sample->bytes = get_u64(&q);
		sample->delivered = get_u64(&q);
	}
	return sql_done(&q);
}

static enum err read_page(struct sqlite_engine *e, struct store_outages *op)
{
	uint32_t limit = op->limit < OUTAGES_LIMIT_MAX ? op->limit : OUTAGES_LIMIT_MAX;
	uint64_t before = op->before > 0 && op->before <= INT64_MAX ? op->before : INT64_MAX;
	struct query q = sql_prepare(&e->sql, op->only_open ? SQL_OUTAGES_OPEN : SQL_OUTAGES_ALL);
	op->outages = arena_array(&op->op.arena, limit, sizeof(*op->outages));
	bind_u64(&q, before);
	bind_bool(&q, op->only_wide);
	bind_text(&q, op->name);
	bind_wall(&q, op->ended_after);
	bind_u64(&q, (uint64_t)limit + 1);
	while (sql_next(&q)) {
		if (op->outage_count == limit) {
			op->is_more = true;
			break;
		}
		get_outage(&q, &op->op.arena, &op->outages[op->outage_count++]);
	}
	return sql_done(&q);
}

static enum err read_last_id(struct sqlite_engine *e, struct store_outages *op)
{
	struct query q = sql_prepare(&e->sql, SQL_OUTAGE_LAST_ID);
	if (sql_next(&q))
		op->last_id = get_u64(&q);
	return sql_done(&q);
}

enum err read_spans(struct sqlite_engine *e, enum outage_scope scope, struct str name,
	struct arena *arena, struct span **out, uint32_t *count)
{
	struct span *spans = NULL;
	uint32_t found = 0, cap = 0;
	struct query q = sql_prepare(&e->sql, SQL_OUTAGE_SPANS);
	bind_i64(&q, scope);
	bind_text(&q, name);
	bind_u64(&q, SPANS_MAX);
	while (sql_next(&q)) {
		if (found == cap) {
			const struct span *old = spans;
			cap = cap > 0 ? 2 * cap : 8;
			spans = arena_array(arena, cap, sizeof(*spans));
			for (uint32_t i = 0; i < found; i++)
				spans[i] = old[i];
		}
		spans[found].began = get_wall(&q);
		spans[found++].ended = get_wall(&q);
	}
	enum err err = sql_done(&q);
	for (uint32_t i = 0; i < found / 2; i++) {
		struct span swap = spans[i];
		spans[i] = spans[found - 1 - i];
		spans[found - 1 - i] = swap;
	}
	*out = spans;
	*count = err == OK ? found : 0;
	return err;
}
