/*
 * sql - the thin layer over sqlite3_stmt: see sql.h.
 *
 * Statements of the table are compiled once and kept; a query in use twice at the same time
 * would be a defect.
 */
#include "sql.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

static struct query fail_query(struct sql *s, int rc);
static void note(struct query *q, int rc);
static void reject(struct query *q);

enum err sql_error(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_FULL:
		return ERR_NO_SPACE;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* our texts are constant: the schema is not ours */
	case SQLITE_FORMAT:
	case SQLITE_MISMATCH:
		return ERR_CORRUPT;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return ERR_PERMISSION;
	case SQLITE_IOERR:
		/* A quota is space by another name; SQLite reports only ENOSPC as SQLITE_FULL. */
		return rc == SQLITE_IOERR_WRITE && sqlite3_system_errno(db) == EDQUOT ? ERR_NO_SPACE
										      : ERR_IO;
	default:
		return ERR_IO;
	}
}

void sql_fini(struct sql *s)
{
	for (size_t i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(s->prepared[i]);
		s->prepared[i] = NULL;
	}
}

enum err sql_prepare_all(struct sql *s)
{
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		struct query q = sql_prepare(s, (enum sql_id)i);
		enum err err = sql_done(&q);
		if (err != OK)
			return err;
	}
	return OK;
}

enum err sql_exec(struct sql *s, const char *text)
{
	return sql_error(s->db, sqlite3_exec(s->db, text, NULL, NULL, NULL));
}

struct query sql_prepare(struct sql *s, enum sql_id id)
{
	if (!s->prepared[id]) {
		int rc = sqlite3_prepare_v3(s->db, sql_texts[id], -1, SQLITE_PREPARE_PERSISTENT,
			&s->prepared[id], NULL);
		if (rc != SQLITE_OK)
			return fail_query(s, rc);
	}
	CHECK(!sqlite3_stmt_busy(s->prepared[id]));
	return (struct query){ .sql = s, .stmt = s->prepared[id], .next = 1 };
}

struct query sql_prepare_text(struct sql *s, struct str text)
{
	sqlite3_stmt *stmt = NULL;
	CHECK(text.len <= INT32_MAX);
	int rc = sqlite3_prepare_v3(s->db, text.data, (int)text.len, 0, &stmt, NULL);
	if (rc != SQLITE_OK)
		return fail_query(s, rc);
	return (struct query){ .sql = s, .stmt = stmt, .next = 1, .is_own = true };
}

void bind_i64(struct query *q, int64_t value)
{
	if (q->stmt)
		note(q, sqlite3_bind_int64(q->stmt, q->next++, value));
}

void bind_u64(struct query *q, uint64_t value)
{
	CHECK(value <= INT64_MAX);
	bind_i64(q, (int64_t)value);
}

void bind_bool(struct query *q, bool value)
{
	bind_i64(q, value ? 1 : 0);
}

void bind_wall(struct query *q, struct wall value)
{
	bind_i64(q, value.ms > 0 ? value.ms : 0);
}

/* A NULL pointer would bind SQL's NULL, which equals nothing. */
void bind_text(struct query *q, struct str value)
{
	if (q->stmt)
		note(q, sqlite3_bind_text64(q->stmt, q->next++, value.data ? value.data : "",
				value.len, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_blob(struct query *q, struct str value)
{
	if (q->stmt)
		note(q, sqlite3_bind_blob64(q->stmt, q->next++, value.data ? value.data : "",
				value.len, SQLITE_STATIC));
}

enum err sql_run(struct query *q)
{
	while (sql_next(q))
		;
	return sql_done(q);
}

bool sql_next(struct query *q)
{
	if (!q->stmt || q->err != OK)
		return false;
	int rc = sqlite3_step(q->stmt);
	q->next = 0;
	if (rc == SQLITE_ROW)
		return true;
	if (rc != SQLITE_DONE)
		note(q, rc);
	return false;
}

enum err sql_done(struct query *q)
{
	if (q->stmt && q->is_own) {
		sqlite3_finalize(q->stmt);
	} else if (q->stmt) {
		sqlite3_reset(q->stmt);
		sqlite3_clear_bindings(q->stmt);
	}
	q->stmt = NULL;
	return q->err;
}

int sql_changes(struct sql *s)
{
	return sqlite3_changes(s->db);
}

int64_t get_i64(struct query *q, int64_t min, int64_t max)
{
	int column = q->next++;
	if (sqlite3_column_type(q->stmt, column) != SQLITE_INTEGER) {
		reject(q);
		return min;
	}
	int64_t value = sqlite3_column_int64(q->stmt, column);
	if (value >= min && value <= max)
		return value;
	reject(q);
	return min;
}

uint64_t get_u64(struct query *q)
{
	return (uint64_t)get_i64(q, 0, INT64_MAX);
}

uint32_t get_u32(struct query *q)
{
	return (uint32_t)get_i64(q, 0, UINT32_MAX);
}

unsigned get_enum(struct query *q, unsigned count)
{
	return (unsigned)get_i64(q, 0, (int64_t)count - 1);
}

bool get_bool(struct query *q)
{
	return get_i64(q, 0, 1) != 0;
}

struct wall get_wall(struct query *q)
{
	return (struct wall){ get_i64(q, 0, INT64_MAX) };
}

struct str get_text(struct query *q, struct arena *arena)
{
	int column = q->next++;
	if (sqlite3_column_type(q->stmt, column) != SQLITE_TEXT) {
		reject(q);
		return STR("");
	}
	const char *data = (const char *)sqlite3_column_text(q->stmt, column);
	int len = sqlite3_column_bytes(q->stmt, column);
	if (!data || len < 0 || len > SQL_TEXT_MAX_BYTES) {
		reject(q);
		return STR("");
	}
	return len == 0 ? STR("") : arena_dup(arena, str_of(data, (size_t)len));
}

struct str get_blob(struct query *q, struct arena *arena)
{
	int column = q->next++;
	if (sqlite3_column_type(q->stmt, column) != SQLITE_BLOB) {
		reject(q);
		return STR("");
	}
	const void *data = sqlite3_column_blob(q->stmt, column);
	int len = sqlite3_column_bytes(q->stmt, column);
	if (len == 0)
		return STR("");
	if (!data || len < 0 || len > SQL_BLOB_MAX_BYTES) {
		reject(q);
		return STR("");
	}
	return arena_dup(arena, str_of(data, (size_t)len));
}

void get_chars(struct query *q, char *out, size_t size_bytes)
{
	int column = q->next++;
	out[0] = '\0';
	const char *data = NULL;
	int len = 0;
	if (sqlite3_column_type(q->stmt, column) == SQLITE_TEXT) {
		data = (const char *)sqlite3_column_text(q->stmt, column);
		len = sqlite3_column_bytes(q->stmt, column);
	}
	if (!data || len < 0 || (size_t)len >= size_bytes) {
		reject(q);
		return;
	}
	memcpy(out, data, (size_t)len);
	out[len] = '\0';
}

static struct query fail_query(struct sql *s, int rc)
{
	return (struct query){ .sql = s, .err = sql_error(s->db, rc) };
}

static void note(struct query *q, int rc)
{
	if (rc != SQLITE_OK && q->err == OK)
		q->err = sql_error(q->sql->db, rc);
}

static void reject(struct query *q)
{
	if (q->err == OK)
		q->err = ERR_CORRUPT;
}
