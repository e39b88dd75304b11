/*
 * engine_sqlite - opening and closing the file, its settings, transactions and checkpoints.
 *
 * Durability hangs on settings that are per connection, so each is set here and read back (WAL,
 * synchronous=FULL). The writing connection alone checkpoints: SQLite before 3.51.3 may corrupt
 * a file when one connection writes while another checkpoints. Readers open read-only and do not
 * checkpoint on close either.
 *
 * What opening checks is bounded, whatever the size of the queue: file header, write-ahead log
 * (its limit is in the configuration), application id, schema version, every statement compiles
 * (so all tables, columns and indexes are there), totals, first and last rows. A damaged page in
 * the middle shows when it is read: ERR_CORRUPT.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "inspect.h"
#include "schema.h"
#include "sqlite_engine.h"

enum { BUSY_TIMEOUT_MS = 5000, FULL_CHECKPOINT_WAIT_MS = 1000 };

static enum err open_file(struct sqlite_engine *e, const char *vfs);
static enum err configure(struct sqlite_engine *e);
static enum err configure_writer(struct sqlite_engine *e);
static enum err prepare_schema(struct sqlite_engine *e, struct fault *fault);
static enum err look_around(struct sqlite_engine *e);
static enum err run(struct sqlite_engine *e, enum sql_id id);
static enum err pragma_is(struct sqlite_engine *e, const char *text, const char *want);
static void describe(struct sqlite_engine *e, enum err err, struct buf *message);
static enum err engine_begin(struct engine *base);
static enum err engine_apply(struct engine *base, struct store_op *op);
static enum err engine_commit(struct engine *base);
static void engine_rollback(struct engine *base);
static enum err engine_read(struct engine *base, struct store_op *op);
static enum err dispatch_read(struct sqlite_engine *e, struct store_op *op);
static enum err engine_checkpoint(struct engine *base, bool is_full);
static uint32_t engine_wal_pages(struct engine *base);
static const char *engine_problem(struct engine *base);
static void engine_close(struct engine *base, bool is_clean);
static enum err engine_way(struct engine *base, struct store_op *op, enum engine_way *out);
static enum err engine_append(struct engine *base, struct list *ops);
static enum err engine_retire(struct engine *base, uint32_t limit);
static enum err engine_fetch(struct engine *base, struct store_fetch *op, bool *is_found);
static uint32_t engine_young_count(struct engine *base);
static int on_wal(void *context, sqlite3 *db, const char *name, int pages);
static struct sqlite_engine *self(struct engine *base);

static const struct engine_ops sqlite_ops = {
	.begin = engine_begin,
	.apply = engine_apply,
	.commit = engine_commit,
	.rollback = engine_rollback,
	.read = engine_read,
	.way = engine_way,
	.append = engine_append,
	.retire = engine_retire,
	.fetch = engine_fetch,
	.young_count = engine_young_count,
	.checkpoint = engine_checkpoint,
	.wal_pages = engine_wal_pages,
	.problem = engine_problem,
	.close = engine_close,
};

enum err engine_sqlite_open(
	const struct engine_options *options, struct engine **out, struct buf *message)
{
	enum engine_mode mode = options->mode;
	enum err err = mode == ENGINE_READ
			       ? OK
			       : inspect_files(options->path, mode == ENGINE_WRITE, message);
	if (err != OK)
		return err;
	struct sqlite_engine *e = mem_zalloc(sizeof(*e));
	e->base.ops = &sqlite_ops;
	e->mode = mode;
	/* Counting its own memory costs SQLite a lock at each allocation. Refused once a connection is open. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	e->path = mem_strdup(options->path);
	young_init(&e->young);
	err = open_file(e, options->vfs);
	if (err == OK && mode == ENGINE_WRITE)
		ledger_init(&e->ledger, &e->sql);
	if (err == OK)
		err = configure(e);
	if (err == OK && mode != ENGINE_READ)
		err = prepare_schema(e, options->fault);
	if (err == OK && mode != ENGINE_READ)
		err = options->is_compiled_late ? OK : sql_prepare_all(&e->sql);
	if (err == OK && mode != ENGINE_READ)
		err = look_around(e);
	if (err == OK && mode != ENGINE_READ)
		err = young_open(
			e, options->vfs, options->journal_bytes, mode != ENGINE_WRITE, message);
	if (err != OK) {
		if (message->len == 0)
			describe(e, err, message);
		engine_close(&e->base, false);
		return err;
	}
	*out = &e->base;
	return OK;
}

static enum err open_file(struct sqlite_engine *e, const char *vfs)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	if (e->mode == ENGINE_WRITE) {
		/* Made by us, so that no mail is readable by others whatever the umask and the folder
		 * say: SQLite gives the log the same mode. An empty file is a new one to it. */
		int fd = open(e->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return errno == ENOSPC ? ERR_NO_SPACE : ERR_PERMISSION;
		close(fd);
	}
	flags |= e->mode == ENGINE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
					 : SQLITE_OPEN_READONLY;
	int rc = sqlite3_open_v2(e->path, &e->sql.db, flags, vfs);
	if (rc != SQLITE_OK)
		return sql_error(e->sql.db, rc);
	sqlite3_busy_timeout(e->sql.db, BUSY_TIMEOUT_MS);
	int is_on = 0;
	sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_DEFENSIVE, 1, &is_on);
	sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &is_on);
	sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, &is_on);
	sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, &is_on);
	if (e->mode != ENGINE_WRITE)
		sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &is_on);
	return sql_functions(&e->sql);
}

static enum err configure(struct sqlite_engine *e)
{
	enum err err = sql_exec(&e->sql, "PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
					 "PRAGMA cell_size_check=ON");
	if (err == OK && e->mode == ENGINE_WRITE)
		return configure_writer(e);
	if (err == OK)
		err = sql_exec(&e->sql, "PRAGMA cache_size=-4000; PRAGMA wal_autocheckpoint=0; "
					"PRAGMA query_only=ON");
	return err;
}

static enum err configure_writer(struct sqlite_engine *e)
{
	unsigned version = 0;
	/* Debian compiles SECURE_DELETE on: 11 times slower deletes. auto_vacuum takes effect on
	 * an empty file only. */
	enum err err = schema_read_version(e->sql.db, &version);
	if (err == OK && version > schema_version)
		return ERR_NEWER; /* before anything could touch the file */
	if (err == OK && version == 0)
		err = sql_exec(&e->sql, "PRAGMA auto_vacuum=INCREMENTAL");
	if (err == OK)
		err = pragma_is(e, "PRAGMA journal_mode=WAL", "wal");
	if (err == OK)
		err = sql_exec(&e->sql,
			"PRAGMA secure_delete=OFF; PRAGMA synchronous=FULL;"
			"PRAGMA cache_size=-8000; PRAGMA foreign_keys=OFF;"
			"PRAGMA journal_size_limit=-1; PRAGMA wal_autocheckpoint=0");
	if (err == OK)
		err = pragma_is(e, "PRAGMA synchronous", "2");
	if (err == OK)
		err = pragma_is(e, "PRAGMA journal_mode", "wal");
	sqlite3_wal_hook(e->sql.db, on_wal, e);
	return err;
}

static enum err prepare_schema(struct sqlite_engine *e, struct fault *fault)
{
	unsigned version = 0;
	enum err err;
	if (e->mode == ENGINE_WRITE)
		return schema_migrate(e->sql.db, schema_steps, schema_version, fault);
	err = schema_read_version(e->sql.db, &version);
	if (err != OK)
		return err;
	return version > schema_version   ? ERR_NEWER
	       : version < schema_version ? ERR_UNSUPPORTED
					  : OK;
}

/* look_around - totals, the ends of the big tables. */
static enum err look_around(struct sqlite_engine *e)
{
	struct store_stats stats = { 0 };
	enum err err = read_stats(e, &stats);

	arena_fini(&stats.op.arena);
	if (err == OK)
		err = inspect_ends(&e->sql);
	if (err != OK || e->mode != ENGINE_WRITE)
		return err;
	/* Start with an empty log: remains of a torn transaction must not mix with those of the
	 * next (inspect.c). */
	err = engine_checkpoint(&e->base, true);
	return err == ERR_NO_SPACE || err == ERR_BUSY ? OK : err;
}

static enum err pragma_is(struct sqlite_engine *e, const char *text, const char *want)
{
	bool is_equal = false;
	struct query q = sql_prepare_text(&e->sql, str_from_c(text));
	if (sql_next(&q)) {
		const char *value = (const char *)sqlite3_column_text(q.stmt, 0);
		is_equal = value && strcmp(value, want) == 0;
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_equal ? OK : ERR_UNSUPPORTED;
}

static bool is_older(struct sqlite_engine *e)
{
	unsigned version = 0;
	return schema_read_version(e->sql.db, &version) == OK && version > 0 &&
	       version < schema_version;
}

static void describe(struct sqlite_engine *e, enum err err, struct buf *message)
{
	const char *text = e->young.journal.problem[0] ? e->young.journal.problem
			   : e->sql.db                 ? sqlite3_errmsg(e->sql.db)
						       : "out of memory";
	if (err == ERR_NEWER)
		buf_printf(message,
			"%s was written by a newer version; it has not been changed. Install that "
			"version again",
			e->path);
	else if (err == ERR_CORRUPT)
		buf_printf(message,
			"%s is damaged or not a queue (%s); it has not been changed. Restore it, "
			"or save its messages "
			"with: outlast salvage",
			e->path, text);
	else if (err == ERR_UNSUPPORTED && is_older(e))
		buf_printf(message,
			"%s was written by an older version; it has not been changed. Start "
			"outlastd once: it brings the file up to date",
			e->path);
	else if (err == ERR_UNSUPPORTED)
		buf_printf(message,
			"%s cannot be used safely here: its settings or version do not fit",
			e->path);
	else
		buf_printf(message, "cannot open %s: %s (%s)", e->path, err_name(err), text);
}

static enum err engine_begin(struct engine *base)
{
	return engine_transaction_begin(self(base));
}

/* Prepared: to compile BEGIN and COMMIT each time costs as much as a small transaction does. */
static enum err run(struct sqlite_engine *e, enum sql_id id)
{
	struct query q = sql_prepare(&e->sql, id);
	return sql_run(&q);
}

enum err engine_transaction_begin(struct sqlite_engine *e)
{
	return run(e, SQL_BEGIN);
}

enum err engine_transaction_end(struct sqlite_engine *e, enum err err)
{
	if (err == OK)
		err = engine_commit(&e->base);
	if (err != OK)
		engine_rollback(&e->base);
	return err;
}

static enum err engine_apply(struct engine *base, struct store_op *op)
{
	struct sqlite_engine *e = self(base);
	enum err err = ERR_UNSUPPORTED;
	arena_fini(&e->scratch);
	switch (op->kind) {
	case STORE_ACCEPT:
		err = write_accept(e, CONTAINER_OF(op, struct store_accept, op));
		break;
	case STORE_SPOOL:
		err = write_spool(e, CONTAINER_OF(op, struct store_spool, op));
		break;
	case STORE_DISCARD:
		err = write_discard(e, CONTAINER_OF(op, struct store_discard, op));
		break;
	case STORE_RECORD:
		err = write_record(e, CONTAINER_OF(op, struct store_record, op));
		young_note_places(&e->young, CONTAINER_OF(op, struct store_record, op));
		break;
	case STORE_PROMOTE:
		err = write_promote(e, CONTAINER_OF(op, struct store_promote, op));
		break;
	case STORE_REKEY:
		err = write_rekey(e, CONTAINER_OF(op, struct store_rekey, op));
		break;
	case STORE_MODIFY:
		err = write_modify(e, CONTAINER_OF(op, struct store_modify, op));
		break;
	case STORE_SWEEP:
		err = write_sweep(e, CONTAINER_OF(op, struct store_sweep, op));
		break;
	case STORE_PUT:
		err = write_put(e, CONTAINER_OF(op, struct store_put, op));
		break;
	case STORE_SHELF_PUT:
		err = write_shelf_put(e, CONTAINER_OF(op, struct store_shelf_put, op));
		break;
	case STORE_REVIVE:
		err = write_revive(e, CONTAINER_OF(op, struct store_revive, op));
		break;
	case STORE_TELL:
		err = write_tell(e, CONTAINER_OF(op, struct store_tell, op));
		break;
	case STORE_CLAIM:
	case STORE_FETCH:
	case STORE_HOPS:
	case STORE_LOOKUP:
	case STORE_PROBES:
	case STORE_QUERY:
	case STORE_SHOW:
	case STORE_STATS:
	case STORE_GET:
	case STORE_SHELF_GET:
	case STORE_SHELF_LIST:
	case STORE_OUTAGES:
	case STORE_LATE:
	case STORE_KIND_COUNT:
		break;
	}
	if (err != OK)
		(void)engine_problem(base);
	return err;
}

static enum err engine_commit(struct engine *base)
{
	struct sqlite_engine *e = self(base);
	enum err err = ledger_flush(&e->ledger);
	if (err == OK)
		err = run(e, SQL_COMMIT);
	if (err == OK)
		ledger_committed(&e->ledger);
	return err;
}

static void engine_rollback(struct engine *base)
{
	struct sqlite_engine *e = self(base);
	ledger_drop(&e->ledger);
	memset(e->shelf_count, 0, sizeof(e->shelf_count));
	/* SQLite rolls back by itself on some errors. */
	if (!sqlite3_get_autocommit(e->sql.db))
		(void)run(e, SQL_ROLLBACK);
}

/* One snapshot for all statements of an operation, and no longer than it. */
static enum err engine_read(struct engine *base, struct store_op *op)
{
	struct sqlite_engine *e = self(base);
	enum err err = run(e, SQL_BEGIN_READ);
	if (err != OK)
		return err;
	arena_fini(&e->scratch);
	err = dispatch_read(e, op);
	(void)run(e, SQL_ROLLBACK);
	/* A lock that a checkpoint held for too long says nothing about the data; the port knows
	 * no such error. */
	return err == ERR_BUSY ? ERR_IO : err;
}

static enum err dispatch_read(struct sqlite_engine *e, struct store_op *op)
{
	switch (op->kind) {
	case STORE_CLAIM:
		return read_claim(e, CONTAINER_OF(op, struct store_claim, op));
	case STORE_FETCH:
		return read_fetch(e, CONTAINER_OF(op, struct store_fetch, op));
	case STORE_HOPS:
		return read_hops(e, CONTAINER_OF(op, struct store_hops, op));
	case STORE_LOOKUP:
		return read_lookup(e, CONTAINER_OF(op, struct store_lookup, op));
	case STORE_PROBES:
		return read_probes(e, CONTAINER_OF(op, struct store_probes, op));
	case STORE_QUERY:
		return read_query(e, CONTAINER_OF(op, struct store_query, op));
	case STORE_SHOW:
		return read_show(e, CONTAINER_OF(op, struct store_show, op));
	case STORE_STATS:
		return read_stats(e, CONTAINER_OF(op, struct store_stats, op));
	case STORE_GET:
		return read_get(e, CONTAINER_OF(op, struct store_get, op));
	case STORE_SHELF_GET:
		return read_shelf_get(e, CONTAINER_OF(op, struct store_shelf_get, op));
	case STORE_SHELF_LIST:
		return read_shelf_list(e, CONTAINER_OF(op, struct store_shelf_list, op));
	case STORE_OUTAGES:
		return read_outages(e, CONTAINER_OF(op, struct store_outages, op));
	case STORE_LATE:
		return read_late(e, CONTAINER_OF(op, struct store_late, op));
	case STORE_ACCEPT:
	case STORE_SPOOL:
	case STORE_DISCARD:
	case STORE_RECORD:
	case STORE_PROMOTE:
	case STORE_REKEY:
	case STORE_MODIFY:
	case STORE_SWEEP:
	case STORE_PUT:
	case STORE_SHELF_PUT:
	case STORE_REVIVE:
	case STORE_TELL:
	case STORE_KIND_COUNT:
		break;
	}
	return ERR_PERMISSION;
}

static enum err engine_checkpoint(struct engine *base, bool is_full)
{
	struct sqlite_engine *e = self(base);
	int in_log = 0, copied = 0;
	if (is_full)
		sqlite3_busy_timeout(e->sql.db, FULL_CHECKPOINT_WAIT_MS);
	int rc = sqlite3_wal_checkpoint_v2(e->sql.db, "main",
		is_full ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
	if (is_full)
		sqlite3_busy_timeout(e->sql.db, BUSY_TIMEOUT_MS);
	enum err err = sql_error(e->sql.db, rc);
	if (err == OK && copied < in_log)
		return ERR_BUSY;
	/* The next commit starts the log over and tells its new length. */
	if (err == OK)
		e->wal_pages = 0;
	return err;
}

static uint32_t engine_wal_pages(struct engine *base)
{
	return self(base)->wal_pages;
}

static const char *engine_problem(struct engine *base)
{
	struct sqlite_engine *e = self(base);
	const char *journal = e->young.journal.problem;
	int n = snprintf(e->problem, sizeof(e->problem), "%s: %s", e->path,
		journal[0] ? journal : sqlite3_errmsg(e->sql.db));
	CHECK(n >= 0);
	return e->problem;
}

static void engine_close(struct engine *base, bool is_clean)
{
	struct sqlite_engine *e = self(base);
	int is_on = 0;
	if (is_clean && e->mode == ENGINE_WRITE)
		young_close(e);
	if (e->sql.db && e->mode == ENGINE_WRITE && !is_clean)
		sqlite3_db_config(e->sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &is_on);
	young_fini(&e->young);
	ledger_fini(&e->ledger);
	sql_fini(&e->sql);
	sqlite3_close(e->sql.db);
	arena_fini(&e->scratch);
	free(e->path);
	free(e);
}

static enum err engine_way(struct engine *base, struct store_op *op, enum engine_way *out)
{
	return young_way(self(base), op, out);
}

static enum err engine_append(struct engine *base, struct list *ops)
{
	return young_append(self(base), ops);
}

static enum err engine_retire(struct engine *base, uint32_t limit)
{
	return young_retire(self(base), limit);
}

static enum err engine_fetch(struct engine *base, struct store_fetch *op, bool *is_found)
{
	return young_fetch(self(base), op, is_found);
}

static uint32_t engine_young_count(struct engine *base)
{
	return self(base)->young.count;
}

static int on_wal(void *context, sqlite3 *db, const char *name, int pages)
{
	struct sqlite_engine *e = context;
	(void)db;
	(void)name;
	e->wal_pages = pages > 0 ? (uint32_t)pages : 0;
	return SQLITE_OK;
}

static struct sqlite_engine *self(struct engine *base)
{
	return CONTAINER_OF(base, struct sqlite_engine, base);
}
