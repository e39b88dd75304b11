/* contract_shelf - SHELF_PUT, SHELF_GET, SHELF_LIST. */
#include "store/contract_parts.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/check.h"

static const struct wall t0 = { 1000000 };

static struct wall after_s(int64_t s)
{
	return (struct wall){ t0.ms + s * 1000 };
}

static void put(struct world *w, enum shelf_kind kind, struct str key, struct str value,
	struct wall until, struct wall now)
{
	struct store_shelf_put op = {
		.kind = kind, .item = { .key = key, .value = value, .until = until }, .now = now
	};
	assert_int_equal(world_run(w, &op.op, STORE_SHELF_PUT), OK);
	store_op_fini(&op.op);
}

/* The value, or NULL. */
static bool has(struct world *w, enum shelf_kind kind, struct str key, struct wall now,
	struct str value, struct wall until)
{
	struct store_shelf_get op = { .kind = kind, .key = key, .now = now };
	enum err err = world_run(w, &op.op, STORE_SHELF_GET);
	bool is_it = err == OK && str_equal(op.item.value, value) && str_equal(op.item.key, key) &&
		     op.item.until.ms == until.ms;
	if (err != OK)
		assert_int_equal(err, ERR_NOT_FOUND);
	store_op_fini(&op.op);
	return is_it;
}

static void test_shelf_keeps_and_replaces_and_removes(void **state)
{
	struct world *w = *state;
	struct str key = str_of("a\0b", 3), value = str_of("\0\xff", 2);
	assert_false(has(w, SHELF_MAILBOX, key, t0, value, after_s(9)));
	put(w, SHELF_MAILBOX, key, value, after_s(9), t0);
	assert_true(has(w, SHELF_MAILBOX, key, t0, value, after_s(9)));
	assert_false(has(w, SHELF_STS_POLICY, key, t0, value, after_s(9)));
	assert_false(has(w, SHELF_MAILBOX, STR("a"), t0, value, after_s(9)));
	put(w, SHELF_MAILBOX, key, STR("new"), WALL_NEVER, t0);
	assert_true(has(w, SHELF_MAILBOX, key, after_s(9), STR("new"), WALL_NEVER));
	world_close(w);
	world_must_open(w);
	assert_true(has(w, SHELF_MAILBOX, key, after_s(9), STR("new"), WALL_NEVER));
	put(w, SHELF_MAILBOX, key, STR(""), WALL_NEVER, t0);
	assert_false(has(w, SHELF_MAILBOX, key, t0, STR("new"), WALL_NEVER));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), 0);
}

static void test_shelf_ends_at_its_time(void **state)
{
	struct world *w = *state;
	put(w, SHELF_STS_POLICY, STR("k"), STR("v"), after_s(10), t0);
	assert_true(has(w, SHELF_STS_POLICY, STR("k"), (struct wall){ after_s(10).ms - 1 },
		STR("v"), after_s(10)));
	assert_false(has(w, SHELF_STS_POLICY, STR("k"), after_s(10), STR("v"), after_s(10)));
	put(w, SHELF_MAILBOX, STR("other"), STR("v"), after_s(10), t0);
	/* What came to its end goes with the next PUT of its kind. */
	put(w, SHELF_STS_POLICY, STR("l"), STR("v"), after_s(30), after_s(10));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf WHERE kind = 0"), 1);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), 2);
}

static void test_shelf_lists_pages_in_order(void **state)
{
	static const char *const keys[] = { "b", "a", "d", "c" };
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		put(w, SHELF_TLS_REPORT, str_from_c(keys[i]), str_from_c(keys[i]),
			after_s(keys[i][0] == 'c' ? 1 : 100), t0);
	put(w, SHELF_MAILBOX, STR("x"), STR("v"), after_s(100), t0);
	struct store_shelf_list op = { .kind = SHELF_TLS_REPORT, .limit = 2, .now = after_s(1) };
	assert_int_equal(world_run(w, &op.op, STORE_SHELF_LIST), OK);
	assert_int_equal(op.count, 2);
	assert_true(op.is_more && str_equal(op.items[0].key, STR("a")) &&
		    str_equal(op.items[1].key, STR("b")) && str_equal(op.items[1].value, STR("b")));
	store_op_fini(&op.op);
	op = (struct store_shelf_list){
		.kind = SHELF_TLS_REPORT, .after = STR("b"), .limit = 2, .now = after_s(1)
	};
	assert_int_equal(world_run(w, &op.op, STORE_SHELF_LIST), OK);
	assert_true(op.count == 1 && !op.is_more && str_equal(op.items[0].key, STR("d")) &&
		    op.items[0].until.ms == after_s(100).ms);
	store_op_fini(&op.op);
}

/* So many at once, by another hand: the engine has not counted yet. */
static void fill(struct world *w, const char *text)
{
	sqlite3 *db = NULL;
	char *path = world_path(w, "queue.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void test_shelf_is_bounded(void **state)
{
	struct world *w = *state;
	fill(w, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
		" i < 100000) INSERT INTO shelf SELECT 2, CAST(i AS BLOB), 2000000 + i,"
		" x'00' FROM n");
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), SHELF_MAX);
	put(w, SHELF_MAILBOX, STR("5"), STR("again"), after_s(5000), t0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), SHELF_MAX);
	put(w, SHELF_MAILBOX, STR("new"), STR("v"), after_s(5000), t0);
	put(w, SHELF_MAILBOX, STR("newer"), STR("v"), after_s(5000), t0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), SHELF_MAX);
	assert_true(has(w, SHELF_MAILBOX, STR("new"), t0, STR("v"), after_s(5000)));
	/* those that end first went */
	assert_int_equal(world_sql(w, "SELECT min(until) FROM shelf"), 2000003);
	put(w, SHELF_STS_POLICY, STR("k"), STR("v"), after_s(1), t0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM shelf"), SHELF_MAX + 1);
}

int contract_run_shelf(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_shelf_keeps_and_replaces_and_removes),
		CONTRACT_TEST(test_shelf_ends_at_its_time),
		CONTRACT_TEST(test_shelf_lists_pages_in_order),
		CONTRACT_TEST(test_shelf_is_bounded),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
