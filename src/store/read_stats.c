/* read_stats - STATS, GET. Totals are a row kept by the ledger; sizes are asked of the file
 * system. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "mail/queue_id.h"
#include "sqlite_engine.h"

static enum err load_totals(struct sqlite_engine *e, struct store_stats *op);
static enum err load_oldest(struct sqlite_engine *e, struct store_stats *op);
static uint64_t file_bytes(struct arena *arena, const char *path, const char *suffix);

enum err read_stats(struct sqlite_engine *e, struct store_stats *op)
{
	struct statvfs fs;
	enum err err = load_totals(e, op);
	if (err == OK)
		err = load_oldest(e, op);
	if (err == OK)
		err = sqlite_file_size(e, &op->used_bytes, &op->free_bytes);
	if (err != OK)
		return err;
	if (statvfs(e->path, &fs) == 0)
		op->disk_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	op->file_bytes = file_bytes(&e->scratch, e->path, "");
	op->wal_bytes = file_bytes(&e->scratch, e->path, "-wal");
	return OK;
}

enum err read_get(struct sqlite_engine *e, struct store_get *op)
{
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, SQL_META_GET);
	op->value = STR("");
	bind_text(&q, op->key);
	if (sql_next(&q)) {
		is_found = true;
		op->value = get_blob(&q, &op->op.arena);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_NOT_FOUND;
}

static enum err load_totals(struct sqlite_engine *e, struct store_stats *op)
{
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, SQL_TOTAL_GET);
	if (sql_next(&q)) {
		is_found = true;
		for (size_t i = 0; i < RECIPIENT_STATE_COUNT; i++)
			op->recipients[i] = get_u64(&q);
		op->messages = get_u64(&q);
		op->bytes = get_u64(&q);
		for (size_t i = 0; i < HEALTH_STATE_COUNT; i++)
			op->sites[i] = get_u64(&q);
		op->last_id = get_u64(&q);
		op->delivered_total = get_u64(&q);
		op->failed_total = get_u64(&q);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_CORRUPT;
}

static enum err load_oldest(struct sqlite_engine *e, struct store_stats *op)
{
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_OLDEST);
	op->oldest = sql_next(&q) ? queue_id_time(get_u64(&q)) : WALL_NONE;
	return sql_done(&q);
}

static uint64_t file_bytes(struct arena *arena, const char *path, const char *suffix)
{
	struct stat st;
	struct str name = arena_printf(arena, "%s%s", path, suffix);
	return stat(name.data, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}
