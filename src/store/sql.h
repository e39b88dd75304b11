/*
 * sql - prepared statements, bound parameters and checked columns: the only place that touches
 * sqlite3_stmt.
 *
 * Happy path: sql_prepare, bind_* in the order of the parameters, sql_run; or sql_next in a
 * loop, get_* in the order of the columns. Errors stick: a failed prepare or bind shows in
 * sql_run or sql_next, a column out of its range in row_end. What is read from the file is not
 * trusted: every number has a range, every text a bound.
 */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/instant.h"
#include "base/str.h"
#include "statements.h"

struct sql {
	sqlite3 *db;
	sqlite3_stmt *prepared[SQL_COUNT];
};

/* One execution of a statement. */
struct query {
	struct sql *sql;
	sqlite3_stmt *stmt; /* NULL: err says why */
	int next;           /* next parameter, then next column */
	bool is_own;        /* finalized by sql_done instead of kept */
	enum err err;
};

enum { SQL_TEXT_MAX_BYTES = 1 << 20, SQL_BLOB_MAX_BYTES = 1 << 30 };

/* sql_error - what an SQLite result code means to us. */
enum err sql_error(sqlite3 *db, int rc);
/* sql_functions - defines wild(text, pattern), the house's glob, and status_text(n). */
MUST_USE enum err sql_functions(struct sql *s);
void sql_fini(struct sql *s);
/* sql_prepare_all - compiles every statement of the table: fails when the schema is not the one
 * we know. */
MUST_USE enum err sql_prepare_all(struct sql *s);
MUST_USE enum err sql_exec(struct sql *s, const char *text);

struct query sql_prepare(struct sql *s, enum sql_id id);
/* sql_prepare_text - a statement put together from constant pieces; text must not hold outside
 * data. */
struct query sql_prepare_text(struct sql *s, struct str text);
void bind_i64(struct query *q, int64_t value);
void bind_u64(struct query *q, uint64_t value); /* CHECK: fits 63 bits */
void bind_bool(struct query *q, bool value);
void bind_wall(struct query *q, struct wall value); /* before 1970: as WALL_NONE */
void bind_text(struct query *q, struct str value);  /* borrowed until sql_done */
void bind_blob(struct query *q, struct str value);
/* sql_run - executes a statement that returns no row. */
MUST_USE enum err sql_run(struct query *q);
/* sql_next - true when a row is there; false at the end and on errors: then see sql_done. */
bool sql_next(struct query *q);
/* sql_done - ends the execution; the first error of it. Legal at any time after sql_prepare,
 * once. */
MUST_USE enum err sql_done(struct query *q);
/* sql_changes - rows changed by the last sql_run. */
int sql_changes(struct sql *s);

int64_t get_i64(struct query *q, int64_t min, int64_t max);
uint64_t get_u64(struct query *q);
uint32_t get_u32(struct query *q);
unsigned get_enum(struct query *q, unsigned count); /* 0..count-1 */
bool get_bool(struct query *q);
struct wall get_wall(struct query *q);
struct str get_text(struct query *q, struct arena *arena);
struct str get_blob(struct query *q, struct arena *arena);
/* get_chars - text into a terminated array; longer text is damage. */
void get_chars(struct query *q, char *out, size_t size_bytes);

#endif
