/* Opening: lock, damage, versions, migration, reserve, read-only, salvage. RELIABILITY rows 5,
 * 8, 9, 12 to 15. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/schema.h"
#include "store/world.h"

static struct world world, other;

static int setup(void **state)
{
	world_init(&world, store_sync_open);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	return 0;
}

static void exec(struct world *w, const char *text)
{
	sqlite3 *db = NULL;
	char *path = world_path(w, "queue.db");
	CHECK(sqlite3_open(path, &db) == SQLITE_OK);
	char *problem = NULL;
	if (sqlite3_exec(db, text, NULL, NULL, &problem) != SQLITE_OK)
		fail_msg("%s: %s", text, problem);
	sqlite3_close(db);
	free(path);
}

static void overwrite(struct world *w, const char *name, off_t offset, const void *data, size_t len)
{
	char *path = world_path(w, name);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	if (offset < 0)
		offset = lseek(fd, offset, SEEK_END);
	CHECK(pwrite(fd, data, len, offset) == (ssize_t)len);
	close(fd);
	free(path);
}

static void cut(struct world *w, const char *name, off_t size)
{
	char *path = world_path(w, name);
	CHECK(truncate(path, size) == 0);
	free(path);
}

static uint64_t file_hash(struct world *w, const char *name)
{
	static char data[1 << 22];
	char *path = world_path(w, name);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, data, sizeof(data)) : -1;
	CHECK(n >= 0 && (size_t)n < sizeof(data));
	close(fd);
	free(path);
	return str_hash(str_of(data, (size_t)n), 1);
}

static bool says(struct world *w, const char *text)
{
	return strstr(buf_cstr(&w->message), text) != NULL;
}

static void fill(struct world *w, int count)
{
	world_must_open(w);
	for (int i = 0; i < count; i++)
		(void)world_must_accept(w, "a.example");
}

static void test_open_makes_a_private_folder(void **state)
{
	struct world *w = *state;
	struct stat st;
	CHECK(rmdir(w->directory) == 0);
	world_must_open(w);
	assert_int_equal(stat(w->directory, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	(void)world_must_accept(w, "a.example");
	static const char *const names[] = { "queue.db", "queue.db-wal", "lock" };
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		char *path = world_path(w, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		free(path);
	}
	assert_int_equal(world_sql(w, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	assert_int_equal(world_sql(w, "PRAGMA auto_vacuum"), 2);
	assert_int_equal(world_sql(w, "SELECT journal_mode='wal' FROM pragma_journal_mode"), 1);
}

static void test_open_refuses_a_second_process(void **state)
{
	struct world *w = *state;
	char pid[32];
	world_must_open(w);
	world_init(&other, store_open);
	CHECK(rmdir(other.directory) == 0);
	memcpy(other.directory, w->directory, sizeof(other.directory));
	assert_int_equal(world_open(&other), ERR_LOCKED);
	(void)snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_true(says(&other, pid) && says(&other, w->directory));
	buf_fini(&other.message);
	fake_env_fini(&other.fe);
	(void)world_must_accept(w, "a.example");
}

static void test_open_refuses_damage_and_changes_nothing(void **state)
{
	(void)state;
	static const char junk[200] = "this is not a database, nor was it ever one";
	enum damage {
		JUNK,
		HEADER,
		HALF,
		FOREIGN,
		SCHEMA,
		TOTALS,
		LOG_HEADER,
		LOG_MIDDLE,
		LOG_ALONE,
		DAMAGES
	};
	for (int damage = 0; damage < DAMAGES; damage++) {
		struct world w;
		world_init(&w, store_sync_open);
		fill(&w, 30);
		bool is_log = damage == LOG_HEADER || damage == LOG_MIDDLE || damage == LOG_ALONE;
		if (is_log)
			store_sync_abandon(w.store);
		else
			store_close(w.store);
		w.store = NULL;
		char *path = world_path(&w, "queue.db");
		if (damage == JUNK)
			cut(&w, "queue.db", 0);
		if (damage == JUNK || damage == HEADER)
			overwrite(&w, "queue.db", 0, junk, sizeof(junk));
		if (damage == HALF)
			cut(&w, "queue.db", 20 * 4096);
		if (damage == FOREIGN)
			exec(&w, "PRAGMA application_id=1");
		if (damage == SCHEMA)
			exec(&w, "DROP INDEX recipient_due");
		if (damage == TOTALS)
			exec(&w, "UPDATE total SET ready=-5");
		if (damage == LOG_HEADER)
			overwrite(&w, "queue.db-wal", 8, junk, 20);
		if (damage == LOG_MIDDLE)
			overwrite(&w, "queue.db-wal", 32 + 5 * 4120 + 300, junk, sizeof(junk));
		if (damage == LOG_ALONE)
			unlink(path);
		uint64_t before = damage == LOG_ALONE ? 0 : file_hash(&w, "queue.db");
		uint64_t log_before = is_log ? file_hash(&w, "queue.db-wal") : 0;
		enum err err = world_open(&w);
		if (err != ERR_CORRUPT)
			fail_msg("damage %d: %s", damage, err_name(err));
		assert_true(says(&w, path) && says(&w, "salvage"));
		if (damage != LOG_ALONE)
			assert_true(file_hash(&w, "queue.db") == before);
		else
			assert_int_not_equal(access(path, F_OK), 0);
		if (is_log)
			assert_true(file_hash(&w, "queue.db-wal") == log_before);
		free(path);
		world_fini(&w);
	}
}

static void test_open_takes_a_torn_end_of_the_log(void **state)
{
	struct world *w = *state;
	fill(w, 5);
	store_sync_abandon(w->store);
	w->store = NULL;
	overwrite(w, "queue.db-wal", -100, "torn", 4);
	world_must_open(w);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message"), 4);
	assert_null(world_recount(w));
}

/* What a full disk left of a transaction lies behind a smaller one that the power tore: neither was
 * acknowledged. */
static void test_open_takes_a_torn_end_before_what_was_rolled_back(void **state)
{
	enum { FRAME = 24 + 4096 };
	static unsigned char frames[3 * FRAME];
	struct world *w = *state;
	struct stat st;
	fill(w, 5);
	store_sync_abandon(w->store);
	w->store = NULL;
	char *path = world_path(w, "queue.db-wal");
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && (st.st_size - 32) % FRAME == 0);
	CHECK(pread(fd, frames, sizeof(frames), st.st_size - (off_t)sizeof(frames)) ==
		sizeof(frames));
	close(fd);
	unsigned char *commit =
		frames + 2 * FRAME; /* torn from its place: its checksum fits nothing */
	overwrite(w, "queue.db-wal", st.st_size, commit, FRAME);
	overwrite(w, "queue.db-wal", st.st_size + FRAME, frames, 2 * FRAME);
	world_must_open(w);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message"), 5);
	assert_null(world_recount(w));
	free(path);
}

static void test_open_refuses_a_newer_schema_and_changes_nothing(void **state)
{
	struct world *w = *state;
	fill(w, 3);
	world_close(w);
	exec(w, "PRAGMA user_version=99");
	uint64_t before = file_hash(w, "queue.db");
	assert_int_equal(world_open(w), ERR_NEWER);
	assert_true(says(w, "newer"));
	assert_true(file_hash(w, "queue.db") == before);
}

static void test_migration_goes_on_after_a_stop_at_any_step(void **state)
{
	(void)state;
	for (unsigned stop = 1; stop <= schema_version; stop++) {
		struct world w;
		world_init(&w, store_sync_open);
		w.fe.fault = (struct fault){ FAULT_migrate_step, FAULT_FAIL, stop };
		assert_int_equal(world_open(&w), ERR_IO);
		assert_int_equal(world_sql(&w, "PRAGMA user_version"), stop);
		world_must_open(&w);
		assert_int_equal(world_sql(&w, "PRAGMA user_version"), schema_version);
		(void)world_must_accept(&w, "a.example");
		assert_null(world_recount(&w));
		world_fini(&w);
	}
}

static void test_migration_brings_an_older_file_forward_with_its_mail(void **state)
{
	struct world *w = *state;
	fill(w, 3);
	world_close(w);
	char *path = world_path(w, "queue.db");
	sqlite3 *db = NULL;
	const char *steps[16];
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (unsigned i = 0; i < schema_version; i++)
		steps[i] = schema_steps[i];
	steps[schema_version] = "ALTER TABLE message ADD COLUMN colour INTEGER NOT NULL DEFAULT 7";
	assert_int_equal(schema_migrate(db, steps, schema_version + 1, NULL), OK);
	assert_int_equal(schema_migrate(db, steps, schema_version, NULL), ERR_NEWER);
	sqlite3_close(db);
	assert_int_equal(world_sql(w, "SELECT sum(colour) FROM message"), 21);
	assert_int_equal(world_open(w), ERR_NEWER);
	free(path);
}

static void test_failed_migration_step_changes_nothing(void **state)
{
	struct world *w = *state;
	fill(w, 1);
	world_close(w);
	char *path = world_path(w, "queue.db");
	sqlite3 *db = NULL;
	const char *steps[16];
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (unsigned i = 0; i < schema_version; i++)
		steps[i] = schema_steps[i];
	steps[schema_version] = "CREATE TABLE half(a); CREATE TABLE message(a)";
	assert_int_equal(schema_migrate(db, steps, schema_version + 1, NULL), ERR_CORRUPT);
	sqlite3_close(db);
	free(path);
	world_must_open(w);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM sqlite_schema WHERE name='half'"), 0);
}

static void test_damaged_row_is_an_error_of_the_read(void **state)
{
	static const char *const damages[] = { "UPDATE message SET body=9",
		"UPDATE message SET priority=99", "UPDATE recipient SET notify=-1",
		"UPDATE recipient SET status=7000000", "UPDATE recipient SET attempts='many'",
		"UPDATE message SET helo=x'00'" };
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(damages); i++) {
		struct world w;
		world_init(&w, store_sync_open);
		world_must_open(&w);
		uint64_t id = world_must_accept(&w, "a.example");
		world_close(&w);
		exec(&w, damages[i]);
		world_must_open(&w);
		struct store_show show = { .id = id };
		assert_int_equal(world_run(&w, &show.op, STORE_SHOW), ERR_CORRUPT);
		store_op_fini(&show.op);
		struct store_claim claim = { .hop = STR("a.example"), .message_limit = 9 };
		assert_int_equal(world_run(&w, &claim.op, STORE_CLAIM), ERR_CORRUPT);
		store_op_fini(&claim.op);
		world_fini(&w);
	}
}

static void test_missing_content_is_not_found(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	uint64_t id = world_must_accept(w, "a.example");
	world_close(w);
	exec(w, "DELETE FROM content");
	world_must_open(w);
	struct store_fetch fetch = { .id = id };
	assert_int_equal(world_run(w, &fetch.op, STORE_FETCH), ERR_NOT_FOUND);
	assert_int_equal(world_record(w, id, 1, RESULT_HELD, 1, 0, NULL), OK);
}

static void test_reserve_is_kept_on_disk(void **state)
{
	struct world *w = *state;
	struct stat st;
	w->options.reserve_bytes = 1 << 20;
	world_must_open(w);
	char *path = world_path(w, "reserve");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	free(path);
}

static void test_readonly_reads_at_once_and_writes_nothing(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	uint64_t id = world_must_accept(w, "a.example");
	struct store *tool = NULL;
	struct str directory = str_from_c(w->directory);
	assert_int_equal(
		store_open_readonly(directory, &w->options, &tool, &w->message), ERR_LOCKED);
	world_close(w);
	assert_int_equal(store_open_readonly(directory, &w->options, &tool, &w->message), OK);
	uint64_t before = file_hash(w, "queue.db");
	struct store_show show = { .id = id };
	show.op.on_done = store_op_fini;
	store_submit(tool, &show.op, STORE_SHOW);
	assert_int_equal(show.op.err, OK);
	struct store_put put = { .key = STR("k"), .value = STR("v") };
	put.op.on_done = store_op_fini;
	store_submit(tool, &put.op, STORE_PUT);
	assert_int_equal(put.op.err, ERR_PERMISSION);
	store_close(tool);
	assert_true(file_hash(w, "queue.db") == before);
}

static void test_readonly_sees_what_a_crash_left_in_the_log(void **state)
{
	struct world *w = *state;
	struct store *tool = NULL;
	fill(w, 3);
	uint64_t id = world_must_accept(w, "a.example");
	store_sync_abandon(w->store);
	w->store = NULL;
	uint64_t before = file_hash(w, "queue.db"), log_before = file_hash(w, "queue.db-wal");
	assert_int_equal(
		store_open_readonly(str_from_c(w->directory), &w->options, &tool, &w->message), OK);
	struct store_show show = { .id = id };
	show.op.on_done = store_op_fini;
	store_submit(tool, &show.op, STORE_SHOW);
	assert_int_equal(show.op.err, OK);
	store_close(tool);
	assert_true(
		file_hash(w, "queue.db") == before && file_hash(w, "queue.db-wal") == log_before);
}

static void test_readonly_needs_a_queue(void **state)
{
	struct world *w = *state;
	struct store *tool = NULL;
	assert_int_equal(
		store_open_readonly(str_from_c(w->directory), &w->options, &tool, &w->message),
		ERR_NOT_FOUND);
	assert_int_equal(
		store_open_readonly(STR("/nonexistent/queue"), &w->options, &tool, &w->message),
		ERR_NOT_FOUND);
}

/* ---- salvage ---- */

static void remove_folder(const char *path)
{
	char command[256];
	int n = snprintf(command, sizeof(command), "rm -rf '%s'", path);
	CHECK(n > 0 && (size_t)n < sizeof(command) && system(command) == 0);
}

static bool has_file(const char *folder, uint64_t id, const char *suffix, const char *text)
{
	char path[256], data[4096] = "";
	int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, queue_id_format(id).text, suffix);
	CHECK(n > 0 && (size_t)n < sizeof(path));
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	ssize_t len = read(fd, data, sizeof(data) - 1);
	close(fd);
	return len > 0 && strstr(data, text) != NULL;
}

static void test_salvage_saves_all_that_can_be_read(void **state)
{
	enum { COUNT = 400 };
	struct world *w = *state;
	static uint64_t ids[COUNT];
	static char junk[4096];
	char out[160];
	uint64_t saved = 0, damaged = 0;
	memset(junk, 0x5a, sizeof(junk));
	world_must_open(w);
	for (int i = 0; i < COUNT; i++)
		ids[i] = world_must_accept(w, "a.example");
	world_close(w);
	int n = snprintf(out, sizeof(out), "%s.out", w->directory);
	CHECK(n > 0 && (size_t)n < sizeof(out));
	struct str directory = str_from_c(w->directory), folder = str_from_c(out);
	assert_int_equal(store_salvage(directory, folder, &saved, &damaged, &w->message), OK);
	assert_true(saved == COUNT && damaged == 0);
	for (int i = 0; i < COUNT; i++) {
		assert_true(has_file(out, ids[i], "eml", "Subject: x\r\n\r\nhello\r\n"));
		assert_true(has_file(out, ids[i], "json", "\"to\":\"u1@a.example\""));
	}
	remove_folder(out);
	/* One page of each table in turn: others' messages must all come out. */
	int64_t pages = world_sql(w, "PRAGMA page_count");
	unsigned worst = 0;
	for (int64_t page = 3; page < pages; page += 5) {
		char *path = world_path(w, "queue.db");
		char keep[4096], question[96];
		/* Where the tables begin is said in one place only: without it nothing can be
		 * read. */
		(void)snprintf(question, sizeof(question),
			"SELECT count(*) FROM dbstat WHERE name='sqlite_schema' AND pageno=%d",
			(int)page + 1);
		bool is_schema = world_sql(w, question) != 0;
		int fd = open(path, O_RDWR);
		CHECK(fd >= 0 &&
			pread(fd, keep, sizeof(keep), page * 4096) == (ssize_t)sizeof(keep));
		CHECK(pwrite(fd, junk, sizeof(junk), page * 4096) == (ssize_t)sizeof(junk));
		close(fd);
		uint64_t before = file_hash(w, "queue.db");
		buf_clear(&w->message);
		enum err err = store_salvage(directory, folder, &saved, &damaged, &w->message);
		assert_int_equal(err, is_schema ? ERR_CORRUPT : OK);
		unsigned missing = 0;
		for (int i = 0; i < COUNT && !is_schema; i++)
			missing += !has_file(out, ids[i], "eml", "Subject") &&
				   !has_file(out, ids[i], "json", "u1@a");
		assert_int_equal(missing, 0);
		worst = damaged > worst ? (unsigned)damaged : worst;
		assert_true(file_hash(w, "queue.db") == before);
		remove_folder(out);
		fd = open(path, O_RDWR);
		CHECK(fd >= 0 &&
			pwrite(fd, keep, sizeof(keep), page * 4096) == (ssize_t)sizeof(keep));
		close(fd);
		free(path);
	}
	assert_true(worst > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open_makes_a_private_folder),
		TEST(test_open_refuses_a_second_process),
		TEST(test_open_refuses_damage_and_changes_nothing),
		TEST(test_open_takes_a_torn_end_of_the_log),
		TEST(test_open_takes_a_torn_end_before_what_was_rolled_back),
		TEST(test_open_refuses_a_newer_schema_and_changes_nothing),
		TEST(test_migration_goes_on_after_a_stop_at_any_step),
		TEST(test_migration_brings_an_older_file_forward_with_its_mail),
		TEST(test_failed_migration_step_changes_nothing),
		TEST(test_damaged_row_is_an_error_of_the_read),
		TEST(test_missing_content_is_not_found),
		TEST(test_reserve_is_kept_on_disk),
		TEST(test_readonly_reads_at_once_and_writes_nothing),
		TEST(test_readonly_sees_what_a_crash_left_in_the_log),
		TEST(test_readonly_needs_a_queue),
		TEST(test_salvage_saves_all_that_can_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
