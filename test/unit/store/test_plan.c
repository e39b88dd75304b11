/*
 * No statement of the table walks what grows with the queue or with its history: each is a seek, or a walk along an index
 * of exactly what it asks for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "store/schema.h"
#include "store/statements.h"

/* What may be walked, and why: only its first row is asked for, or all that is in it, or it is small. */
static const struct {
	enum sql_id id;
	const char *line;
} walks[] = {
	{ SQL_MESSAGE_OLDEST, "SCAN message USING INDEX message_queued" },
	{ SQL_DUE_FIRST, "SCAN recipient USING INDEX recipient_due" },
	{ SQL_SPOOL_FIRST, "SCAN spool" },
	{ SQL_SITE_PROBES, "SCAN s USING INDEX site_probe" },
	{ SQL_HOP_PROBES, "SCAN h USING INDEX hop_probe" },
	/* bounded by their own LIMIT */
	{ SQL_LATE_COUNT, "SCAN (subquery-1)" },
	{ SQL_OWED_COUNT, "SCAN (subquery-1)" },
	/* priorities and buckets */
	{ SQL_HOP_OLDEST, "SCAN p" },
	{ SQL_HOP_OLDEST, "SCAN b" },
	/* outages: few, and SWEEP ends them */
	{ SQL_OUTAGES_ALL, "SEARCH outage USING INTEGER PRIMARY KEY (rowid<?)" },
};

static int setup(void **state)
{
	sqlite3 *db = NULL;
	CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
	CHECK(schema_migrate(db, schema_steps, schema_version, NULL) == OK);
	*state = db;
	return 0;
}

static int teardown(void **state)
{
	return sqlite3_close(*state) == SQLITE_OK ? 0 : -1;
}

static bool may_walk(enum sql_id id, const char *line)
{
	for (size_t i = 0; i < ARRAY_COUNT(walks); i++) {
		if (walks[i].id == id && strcmp(walks[i].line, line) == 0)
			return true;
	}
	return strcmp(line, "SCAN CONSTANT ROW") == 0;
}

static bool is_walk(const char *line)
{
	return strncmp(line, "SCAN", 4) == 0 || strstr(line, "TEMP B-TREE") ||
	       strstr(line, "PRIMARY KEY (rowid<") || strstr(line, "PRIMARY KEY (rowid>");
}

static void test_statements_seek(void **state)
{
	sqlite3 *db = *state;
	for (unsigned i = 0; i < SQL_COUNT; i++) {
		struct buf text;
		sqlite3_stmt *stmt = NULL;
		buf_init(&text, 1 << 16);
		buf_printf(&text, "EXPLAIN QUERY PLAN %s", sql_texts[i]);
		assert_int_equal(
			sqlite3_prepare_v2(db, buf_cstr(&text), -1, &stmt, NULL), SQLITE_OK);
		while (sqlite3_step(stmt) == SQLITE_ROW) {
			const char *line = (const char *)sqlite3_column_text(stmt, 3);
			if (is_walk(line) && !may_walk((enum sql_id)i, line))
				fail_msg("%s: %s", sql_texts[i], line);
		}
		sqlite3_finalize(stmt);
		buf_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_statements_seek, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
