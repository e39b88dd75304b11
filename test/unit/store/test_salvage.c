/* Salvage of what only the journal knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "store/journal.h"
#include "store/world.h"

enum { JOURNAL = 1 << 20, BLOCK = JOURNAL_BLOCK_BYTES };

static struct world world;
static char out[160];
static uint64_t saved, damaged;

static int setup(void **state)
{
	world_init(&world, store_sync_open);
	world.options.journal_bytes = JOURNAL;
	int n = snprintf(out, sizeof(out), "%s.out", world.directory);
	CHECK(n > 0 && (size_t)n < sizeof(out));
	world_must_open(&world);
	*state = &world;
	return 0;
}

static void remove_out(void)
{
	char command[256];
	int n = snprintf(command, sizeof(command), "rm -rf '%s'", out);
	CHECK(n > 0 && (size_t)n < sizeof(command) && system(command) == 0);
}

static int teardown(void **state)
{
	remove_out();
	world_fini(*state);
	return 0;
}

/* What a crash leaves is salvaged; nothing of the queue changes. */
static enum err salvage(struct world *w)
{
	if (w->store) {
		store_sync_abandon(w->store);
		w->store = NULL;
	}
	remove_out();
	buf_clear(&w->message);
	return store_salvage(
		str_from_c(w->directory), str_from_c(out), &saved, &damaged, &w->message);
}

static struct str load(uint64_t id, const char *suffix)
{
	static char data[1 << 20];
	char path[256];
	int n = snprintf(path, sizeof(path), "%s/%s.%s", out, queue_id_format(id).text, suffix);
	CHECK(n > 0 && (size_t)n < sizeof(path));
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return STR("");
	ssize_t len = read(fd, data, sizeof(data) - 1);
	close(fd);
	CHECK(len >= 0);
	data[len] = '\0';
	return str_of(data, (size_t)len);
}

static bool is_saved(uint64_t id)
{
	return str_equal(load(id, "eml"), STR("Subject: x\r\n\r\nhello\r\n")) &&
	       strstr(load(id, "json").data, "\"envelope_complete\":true,"
					     "\"content_complete\":true") != NULL;
}

static bool is_absent(uint64_t id)
{
	return load(id, "eml").len == 0 && load(id, "json").len == 0;
}

static void damage_file(struct world *w, const char *name, off_t at, size_t len)
{
	char *path = world_path(w, name);
	int fd = open(path, O_RDWR);
	static char junk[1 << 16];
	CHECK(len <= sizeof(junk));
	memset(junk, 0x5a, sizeof(junk));
	CHECK(fd >= 0 && pwrite(fd, junk, len, at) == (ssize_t)len);
	close(fd);
	free(path);
}

static void exec(struct world *w, const char *text)
{
	sqlite3 *db = NULL;
	char *path = world_path(w, "queue.db");
	CHECK(sqlite3_open(path, &db) == SQLITE_OK);
	CHECK(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void read_now(struct world *w)
{
	struct store_stats stats = { 0 };
	CHECK(world_run(w, &stats.op, STORE_STATS) == OK);
	store_op_fini(&stats.op);
}

static void deliver(struct world *w, uint64_t id, uint32_t number)
{
	assert_int_equal(world_record(w, id, number, RESULT_DELIVERED, 1, 0, NULL), OK);
}

/* One in the tables, one delivered there, one in the journal, one delivered there, one in part. */
struct queue {
	uint64_t table, done, young, young_done, part;
};

static struct queue make_queue(struct world *w)
{
	static const char *const hops[] = { "a.example", "b.example" };
	struct queue q;
	struct sample s;
	q.table = world_must_accept(w, "a.example");
	q.done = world_must_accept(w, "a.example");
	deliver(w, q.done, 1);
	read_now(w);
	q.young = world_must_accept(w, "a.example");
	q.young_done = world_must_accept(w, "a.example");
	deliver(w, q.young_done, 1);
	sample_make(w, &s, hops, 2);
	assert_int_equal(world_accept(w, &s), OK);
	q.part = s.env.id;
	deliver(w, q.part, 1);
	return q;
}

static void test_messages_of_the_journal_are_saved(void **state)
{
	struct world *w = *state;
	struct queue q = make_queue(w);
	assert_int_equal(salvage(w), OK);
	assert_int_equal(saved, 3);
	assert_int_equal(damaged, 0);
	assert_true(is_saved(q.table) && is_saved(q.young) && is_saved(q.part));
	assert_true(is_absent(q.done) && is_absent(q.young_done));
	const char *json = load(q.part, "json").data;
	assert_non_null(strstr(json, "{\"number\":1,\"state\":\"delivered\",\"attempts\":1"));
	assert_non_null(strstr(json, "{\"number\":2,\"state\":\"ready\",\"attempts\":0"));
	assert_non_null(strstr(json, "\"from\":\"sender@example.org\""));
	/* Nothing was changed: the store goes on. */
	world_must_open(w);
	assert_null(world_recount(w));
}

/* The tables have the message, the journal its delivery. */
static void test_delivery_that_only_the_journal_knows_counts(void **state)
{
	static const char *const hops[] = { "a.example", "b.example" };
	struct world *w = *state;
	struct sample s;
	/* As many as stay young, that the first ones retire. */
	uint64_t first = world_must_accept(w, "a.example");
	sample_make(w, &s, hops, 2);
	assert_int_equal(world_accept(w, &s), OK);
	deliver(w, s.env.id, 2);
	for (int i = 0; world_sql(w, "SELECT count(*) FROM message") == 0; i++) {
		assert_true(i < 2000);
		deliver(w, world_must_accept(w, "b.example"), 1);
	}
	assert_int_equal(salvage(w), OK);
	assert_true(is_saved(first) && is_saved(s.env.id));
	assert_int_equal(saved, 2);
	assert_non_null(
		strstr(load(s.env.id, "json").data, "{\"number\":2,\"state\":\"delivered\""));
}

/* Nobody says how far the journal is settled: better twice than not, but not what is known to be finished. */
static void test_without_the_settled_number_all_of_the_journal_counts(void **state)
{
	struct world *w = *state;
	struct queue q = make_queue(w);
	store_sync_abandon(w->store);
	w->store = NULL;
	exec(w, "DELETE FROM meta WHERE name = 'journal'");
	assert_int_equal(salvage(w), OK);
	assert_int_equal(saved, 3);
	assert_true(is_saved(q.table) && is_saved(q.young) && is_saved(q.part));
	assert_true(is_absent(q.done) && is_absent(q.young_done));
}

static void test_rows_that_are_gone_come_from_the_journal(void **state)
{
	struct world *w = *state;
	struct queue q = make_queue(w);
	world_close(w);
	exec(w, "DELETE FROM meta; DELETE FROM content; DELETE FROM message WHERE finished = 0");
	assert_int_equal(salvage(w), OK);
	assert_true(is_saved(q.young) && is_saved(q.part));
	assert_true(is_absent(q.done) && is_absent(q.young_done));
	/* Of this one the journal was written over: its recipient is left. */
	assert_non_null(strstr(load(q.table, "json").data, "\"envelope_complete\":false"));
	assert_int_equal(saved, 3);
	assert_int_equal(damaged, 1);
}

static void test_tables_that_cannot_be_read_leave_the_journal(void **state)
{
	struct world *w = *state;
	struct queue q = make_queue(w);
	world_close(w);
	/* Closing retires all; the journal still shows what it held since the read. */
	damage_file(w, "queue.db", 0, 1 << 16);
	assert_int_equal(salvage(w), OK);
	assert_int_equal(saved, 2);
	assert_true(is_saved(q.young) && is_saved(q.part) && is_absent(q.young_done));
}

/* Each batch of the journal in turn is damaged: the others are saved. */
static void test_whole_batches_of_a_damaged_journal_are_saved(void **state)
{
	enum { COUNT = 6 };
	struct world *w = *state;
	static char keep[BLOCK];
	uint64_t ids[COUNT];
	for (int i = 0; i < COUNT; i++)
		ids[i] = world_must_accept(w, "a.example");
	char *path = world_path(w, "queue.db.journal");
	for (int broken = 0; broken < COUNT; broken++) {
		int fd = open(path, O_RDWR);
		CHECK(fd >= 0 && pread(fd, keep, BLOCK, broken * BLOCK) == BLOCK);
		damage_file(w, "queue.db.journal", broken * BLOCK + 200, 10);
		assert_int_equal(salvage(w), OK);
		assert_int_equal(saved, COUNT - 1);
		for (int i = 0; i < COUNT; i++)
			assert_true(i == broken ? is_absent(ids[i]) : is_saved(ids[i]));
		CHECK(pwrite(fd, keep, BLOCK, broken * BLOCK) == BLOCK);
		close(fd);
	}
	free(path);
}

/* Chunks that the journal holds and chunks that have retired make one content. */
static void test_content_in_chunks_is_put_together(void **state)
{
	static const char *const hop = "a.example";
	struct world *w = *state;
	struct sample s;
	for (int retired = 0; retired <= 2; retired++) {
		sample_make(w, &s, &hop, 1);
		struct str parts[] = { STR("first,"), STR("second,") };
		for (uint32_t chunk = 0; chunk < 2; chunk++) {
			struct store_spool spool = {
				.id = s.env.id, .chunk = chunk, .content = parts[chunk]
			};
			assert_int_equal(world_run(w, &spool.op, STORE_SPOOL), OK);
			store_op_fini(&spool.op);
			if (chunk + 1 == (uint32_t)retired)
				read_now(w);
		}
		s.content = STR("last");
		struct store_accept accept = {
			.env = &s.env, .content = s.content, .spooled_chunks = 2
		};
		assert_int_equal(world_run(w, &accept.op, STORE_ACCEPT), OK);
		store_op_fini(&accept.op);
		assert_int_equal(salvage(w), OK);
		assert_true(str_equal(load(s.env.id, "eml"), STR("first,second,last")));
		assert_int_equal(saved, retired + 1);
		assert_int_equal(damaged, 0);
		world_must_open(w);
	}
}

static void test_missing_journal_is_no_obstacle(void **state)
{
	struct world *w = *state;
	struct queue q = make_queue(w);
	store_sync_abandon(w->store);
	w->store = NULL;
	char *path = world_path(w, "queue.db.journal");
	CHECK(unlink(path) == 0);
	assert_int_equal(salvage(w), OK);
	assert_int_equal(saved, 1);
	assert_true(is_saved(q.table));
	assert_int_not_equal(access(path, F_OK), 0);
	free(path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_messages_of_the_journal_are_saved),
		TEST(test_delivery_that_only_the_journal_knows_counts),
		TEST(test_without_the_settled_number_all_of_the_journal_counts),
		TEST(test_rows_that_are_gone_come_from_the_journal),
		TEST(test_tables_that_cannot_be_read_leave_the_journal),
		TEST(test_whole_batches_of_a_damaged_journal_are_saved),
		TEST(test_content_in_chunks_is_put_together),
		TEST(test_missing_journal_is_no_obstacle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
