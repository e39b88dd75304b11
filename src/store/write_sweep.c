/*
 * write_sweep - SWEEP: the history ends, and next hops and sites that nobody needs.
 *
 * Steps are small: limit messages, and as many next hops and sites, found through partial
 * indexes of exactly these.
 *
 * Giving back space takes free pages from the end of the file, one after another; a page there that is in use moves to a
 * free one further ahead. What a page costs varies a hundredfold: to take a free page off the list of free ones SQLite reads
 * that list from its start, one page for each thousand. So a step is bounded by the pages that it looked at, which is what
 * takes the time (1,500: 2 to 6 ms), not only by those given back.
 */
#include "base/check.h"
#include "row.h"
#include "sqlite_engine.h"

/* SHRINK_PAGES_MAX: the file system takes 5 us for each page that the checkpoint after it cuts off. */
enum { SWEEP_LIMIT_MAX = 10000, SHRINK_PAGES_MAX = 512, SHRINK_LOOKS_MAX = 1500 };

struct finished_row {
	uint64_t id;
	bool is_kept; /* with content */
};

struct idle_row {
	uint64_t id;
	struct str name;
	uint64_t extra; /* a next hop's site, a site's health */
};

static enum err load_finished(struct sqlite_engine *e, struct store_sweep *op, struct finished_row *rows,
	uint32_t limit, uint32_t *count);
static enum err remove_message(struct sqlite_engine *e, uint64_t id, bool is_kept);
static enum err drop_kept(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit);
static enum err uncount_recipients(struct sqlite_engine *e, uint64_t id);
static enum err sweep_hops(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit);
static enum err sweep_sites(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit);
static enum err load_idle(struct sqlite_engine *e, enum sql_id statement, struct wall before,
	struct idle_row *rows, uint32_t limit, uint32_t *count);
static enum err run_with_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id);
static enum err sweep(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit);
static enum err shrink(struct sqlite_engine *e, struct store_sweep *op);
static uint64_t count_looks(sqlite3 *db);
static enum err read_number(struct sqlite_engine *e, enum sql_id id, uint64_t *out);

enum err write_sweep(struct sqlite_engine *e, struct store_sweep *op)
{
	uint32_t limit = op->limit < SWEEP_LIMIT_MAX ? op->limit : SWEEP_LIMIT_MAX;
	op->removed_count = 0;
	op->is_more = false;
	op->shrunk_bytes = 0;
	enum err err = limit > 0 ? sweep(e, op, limit) : OK;
	return err == OK && op->may_shrink ? shrink(e, op) : err;
}

static enum err sweep(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit)
{
	uint32_t count = 0;
	struct finished_row *rows = arena_array(&e->scratch, limit, sizeof(*rows));
	enum err err = load_finished(e, op, rows, limit, &count);
	for (uint32_t i = 0; err == OK && i < count; i++)
		err = remove_message(e, rows[i].id, rows[i].is_kept);
	if (err != OK)
		return err;
	op->removed_count = count;
	err = drop_kept(e, op, limit);
	if (err != OK)
		return err;
	/* What these messages counted must be in the rows before the idle ones are looked for. */
	err = ledger_flush(&e->ledger);
	if (err == OK)
		err = sweep_hops(e, op, limit);
	if (err == OK)
		err = sweep_sites(e, op, limit);
	return err == OK ? sweep_outages(e, op, limit) : err;
}

/* A step goes on where the one before it ended, so that what has to stay is passed over once. */
static enum err load_finished(struct sqlite_engine *e, struct store_sweep *op, struct finished_row *rows,
	uint32_t limit, uint32_t *count)
{
	struct wall last = WALL_NONE;
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_FINISHED_BEFORE);
	bind_wall(&q, e->sweep_stop);
	bind_wall(&q, op->history_before);
	bind_wall(&q, op->kept_before);
	bind_u64(&q, (uint64_t)limit + 1);
	while (sql_next(&q)) {
		if (*count == limit) {
			op->is_more = true;
			break;
		}
		rows[*count].id = get_u64(&q);
		rows[(*count)++].is_kept = get_wall(&q).ms > 0;
		last = get_wall(&q);
	}
	e->sweep_stop = op->is_more ? last : WALL_NONE;
	return sql_done(&q);
}

/* Content of what failed: nobody has revived it in time. */
static enum err drop_kept(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit)
{
	uint32_t count = 0;
	uint64_t *ids = arena_array(&e->scratch, limit, sizeof(*ids));
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_KEPT_BEFORE);
	bind_wall(&q, op->kept_before);
	bind_u64(&q, limit);
	while (count < limit && sql_next(&q))
		ids[count++] = get_u64(&q);
	enum err err = sql_done(&q);
	for (uint32_t i = 0; err == OK && i < count; i++) {
		err = run_with_id(e, SQL_MESSAGE_DROP_KEPT, ids[i]);
		if (err == OK)
			err = content_delete(e, ids[i]);
	}
	op->is_more |= count == limit;
	return err;
}

static enum err remove_message(struct sqlite_engine *e, uint64_t id, bool is_kept)
{
	static const enum sql_id deletes[] = { SQL_RECIPIENT_DELETE, SQL_ATTEMPT_DELETE,
		SQL_MESSAGE_DELETE };
	enum err err = uncount_recipients(e, id);
	if (err == OK && is_kept)
		err = content_delete(e, id);
	for (size_t i = 0; err == OK && i < ARRAY_COUNT(deletes); i++)
		err = run_with_id(e, deletes[i], id);
	return err;
}

static enum err uncount_recipients(struct sqlite_engine *e, uint64_t id)
{
	struct query q = sql_prepare(&e->sql, SQL_RECIPIENT_STATES);
	enum err err = OK;
	bind_u64(&q, id);
	while (err == OK && sql_next(&q)) {
		struct hop_entry *hop;
		unsigned state = get_enum(&q, RECIPIENT_STATE_COUNT);
		err = ledger_hop_by_id(&e->ledger, get_u64(&q), &hop);
		if (err == OK)
			ledger_move(&e->ledger, hop, (enum recipient_state)state, RECIPIENT_ABSENT);
	}
	enum err end = sql_done(&q);
	return err != OK ? err : end;
}

static enum err sweep_hops(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit)
{
	uint32_t count = 0;
	struct idle_row *rows = arena_array(&e->scratch, limit, sizeof(*rows));
	enum err err = load_idle(e, SQL_HOP_IDLE, op->forget_before, rows, limit, &count);
	for (uint32_t i = 0; err == OK && i < count; i++) {
		err = run_with_id(e, SQL_HOP_DELETE, rows[i].id);
		ledger_forget_hop(&e->ledger, rows[i].name);
		if (err != OK || rows[i].extra == 0)
			continue;
		struct query q = sql_prepare(&e->sql, SQL_SITE_ADD_HOPS);
		bind_u64(&q, rows[i].extra);
		bind_i64(&q, -1);
		err = sql_run(&q);
	}
	op->is_more |= count == limit && limit > 0;
	return err;
}

static enum err sweep_sites(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit)
{
	uint32_t count = 0;
	struct idle_row *rows = arena_array(&e->scratch, limit, sizeof(*rows));
	enum err err = load_idle(e, SQL_SITE_IDLE, op->forget_before, rows, limit, &count);
	for (uint32_t i = 0; err == OK && i < count; i++) {
		if (rows[i].extra >= HEALTH_STATE_COUNT)
			return ERR_CORRUPT;
		err = run_with_id(e, SQL_SITE_DELETE, rows[i].id);
		ledger_forget_site(&e->ledger, rows[i].name);
		e->ledger.totals.sites[rows[i].extra]--;
		e->ledger.is_dirty = true;
	}
	op->is_more |= count == limit && limit > 0;
	return err;
}

static enum err load_idle(struct sqlite_engine *e, enum sql_id statement, struct wall before,
	struct idle_row *rows, uint32_t limit, uint32_t *count)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_wall(&q, before);
	bind_u64(&q, limit);
	while (*count < limit && sql_next(&q)) {
		struct idle_row *row = &rows[(*count)++];
		row->id = get_u64(&q);
		row->name = get_text(&q, &e->scratch);
		row->extra = get_u64(&q);
	}
	return sql_done(&q);
}

static enum err run_with_id(struct sqlite_engine *e, enum sql_id statement, uint64_t id)
{
	struct query q = sql_prepare(&e->sql, statement);
	bind_u64(&q, id);
	return sql_run(&q);
}

/* Each row of this PRAGMA is one page given back, so it can be ended early. */
static enum err shrink(struct sqlite_engine *e, struct store_sweep *op)
{
	uint64_t before, looks = 0;
	enum err err = sqlite_file_size(e, &op->used_bytes, &op->free_bytes);
	if (err != OK || op->free_bytes == 0)
		return err;
	before = op->free_bytes;
	struct query q = sql_prepare_text(&e->sql, STR("PRAGMA incremental_vacuum"));
	(void)count_looks(e->sql.db);
	for (int pages = 0; pages < SHRINK_PAGES_MAX && looks < SHRINK_LOOKS_MAX && sql_next(&q);
		pages++)
		looks += count_looks(e->sql.db);
	err = sql_done(&q);
	if (err == OK)
		err = sqlite_file_size(e, &op->used_bytes, &op->free_bytes);
	op->shrunk_bytes = op->free_bytes < before ? before - op->free_bytes : 0;
	return err;
}

/* Pages that this connection has looked at since the last call. */
static uint64_t count_looks(sqlite3 *db)
{
	static const int kinds[] = { SQLITE_DBSTATUS_CACHE_HIT, SQLITE_DBSTATUS_CACHE_MISS };
	uint64_t sum = 0;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		int now = 0, highest = 0;
		if (sqlite3_db_status(db, kinds[i], &now, &highest, 1) == SQLITE_OK && now > 0)
			sum += (uint64_t)now;
	}
	return sum;
}

enum err sqlite_file_size(struct sqlite_engine *e, uint64_t *used_bytes, uint64_t *free_bytes)
{
	uint64_t page_bytes = 0, pages = 0, free_pages = 0;
	enum err err = read_number(e, SQL_PAGE_BYTES, &page_bytes);
	if (err == OK)
		err = read_number(e, SQL_PAGES, &pages);
	if (err == OK)
		err = read_number(e, SQL_PAGES_FREE, &free_pages);
	if (err == OK && free_pages > pages)
		err = ERR_CORRUPT;
	if (err != OK)
		return err;
	*used_bytes = (pages - free_pages) * page_bytes;
	*free_bytes = free_pages * page_bytes;
	return OK;
}

static enum err read_number(struct sqlite_engine *e, enum sql_id id, uint64_t *out)
{
	struct query q = sql_prepare(&e->sql, id);
	if (sql_next(&q))
		*out = get_u64(&q);
	return sql_done(&q);
}
