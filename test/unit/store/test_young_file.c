/* The journal's file: missing, empty, damaged, switched off, without room to retire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/crash_vfs.h"
#include "store/journal.h"
#include "store/world.h"

enum { JOURNAL = JOURNAL_BYTES_MIN };

static struct world world;

static int setup(void **state)
{
	crash_vfs_register();
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_init(&world, store_sync_open);
	world.options.journal_bytes = JOURNAL;
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_fini(*state);
	return 0;
}

static void abandon(struct world *w)
{
	store_sync_abandon(w->store);
	w->store = NULL;
}

static void remove_file(struct world *w, const char *name)
{
	char *path = world_path(w, name);
	CHECK(unlink(path) == 0);
	free(path);
}

static bool has_file(struct world *w, const char *name)
{
	char *path = world_path(w, name);
	bool is_there = access(path, F_OK) == 0;
	free(path);
	return is_there;
}

static int open_file(struct world *w, const char *name, int flags)
{
	char *path = world_path(w, name);
	int fd = open(path, flags, 0600);
	CHECK(fd >= 0);
	free(path);
	return fd;
}

static bool says(struct world *w, const char *text)
{
	return strstr(buf_cstr(&w->message), text) != NULL;
}

static enum err show(struct world *w, uint64_t id, enum recipient_state *out)
{
	struct store_show op = { .id = id };
	enum err err = world_run(w, &op.op, STORE_SHOW);
	if (err == OK && out)
		*out = op.message.recipients[0].state;
	store_op_fini(&op.op);
	return err;
}

/* Rows that the tables have of it, seen past the store. */
static int64_t messages_in_tables(struct world *w)
{
	return world_sql(w, "SELECT count(*) FROM message");
}

static void test_mail_is_in_the_journal_before_the_tables(void **state)
{
	struct world *w = *state;
	struct stat st;
	world_must_open(w);
	uint64_t id = world_must_accept(w, "a.example");
	assert_int_equal(messages_in_tables(w), 0);
	char *path = world_path(w, "queue.db.journal");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, JOURNAL);
	free(path);
	abandon(w);
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	assert_int_equal(messages_in_tables(w), 1);
	assert_null(world_recount(w));
}

static void test_missing_journal_of_an_open_queue_is_refused(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	uint64_t id = world_must_accept(w, "a.example");
	abandon(w);
	remove_file(w, "queue.db.journal");
	for (uint64_t bytes = 0; bytes <= JOURNAL; bytes += JOURNAL) {
		w->options.journal_bytes = bytes;
		assert_int_equal(world_open(w), ERR_CORRUPT);
		assert_true(says(w, "queue.db.journal is missing") && says(w, "empty file"));
		assert_false(has_file(w, "queue.db.journal"));
	}
	/* The operator decides to go on without that mail. */
	close(open_file(w, "queue.db.journal", O_WRONLY | O_CREAT));
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), ERR_NOT_FOUND);
	id = world_must_accept(w, "a.example");
	abandon(w);
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	assert_null(world_recount(w));
}

static void test_missing_journal_of_a_closed_queue_is_no_loss(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	uint64_t id = world_must_accept(w, "a.example");
	world_close(w);
	remove_file(w, "queue.db.journal");
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	id = world_must_accept(w, "a.example");
	abandon(w);
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	assert_null(world_recount(w));
}

static void test_damaged_journal_is_refused_and_not_changed(void **state)
{
	static unsigned char before[JOURNAL], after[JOURNAL];
	struct world *w = *state;
	world_must_open(w);
	(void)world_must_accept(w, "a.example");
	(void)world_must_accept(w, "a.example");
	abandon(w);
	int fd = open_file(w, "queue.db.journal", O_RDWR);
	CHECK(pwrite(fd, "damage", 6, 100) == 6);
	CHECK(pread(fd, before, sizeof(before), 0) == (ssize_t)sizeof(before));
	for (int i = 0; i < 2; i++) {
		w->options.journal_bytes = i ? 0 : JOURNAL;
		assert_int_equal(world_open(w), ERR_CORRUPT);
		assert_true(says(w, "queue.db.journal is damaged") && says(w, "salvage"));
	}
	struct store *tool = NULL;
	buf_clear(&w->message);
	assert_int_equal(
		store_open_readonly(str_from_c(w->directory), &w->options, &tool, &w->message),
		ERR_CORRUPT);
	assert_true(says(w, "salvage"));
	CHECK(pread(fd, after, sizeof(after), 0) == (ssize_t)sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	close(fd);
}

static void test_journal_that_is_switched_off_is_taken_in(void **state)
{
	struct world *w = *state;
	enum recipient_state is = RECIPIENT_READY;
	world_must_open(w);
	uint64_t first = world_must_accept(w, "a.example"), id = world_must_accept(w, "a.example");
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	abandon(w);
	w->options.journal_bytes = 0;
	world_must_open(w);
	assert_int_equal(messages_in_tables(w), 2);
	assert_int_equal(show(w, id, &is), OK);
	assert_int_equal(is, RECIPIENT_DELIVERED);
	assert_int_equal(show(w, first, &is), OK);
	assert_int_equal(is, RECIPIENT_READY);
	id = world_must_accept(w, "a.example");
	assert_int_equal(messages_in_tables(w), 3);
	assert_null(world_recount(w));
	abandon(w);
	/* It is not needed any more. */
	remove_file(w, "queue.db.journal");
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	abandon(w);
	w->options.journal_bytes = JOURNAL;
	world_must_open(w);
	id = world_must_accept(w, "a.example");
	abandon(w);
	world_must_open(w);
	assert_int_equal(show(w, id, NULL), OK);
	assert_null(world_recount(w));
}

static void test_readonly_takes_in_what_a_crash_left(void **state)
{
	struct world *w = *state;
	struct store *tool = NULL;
	for (int i = 0; i < 2; i++) {
		w->options.journal_bytes = JOURNAL;
		world_must_open(w);
		uint64_t id = world_must_accept(w, "a.example");
		abandon(w);
		w->options.journal_bytes = i ? 0 : JOURNAL;
		assert_int_equal(store_open_readonly(
					 str_from_c(w->directory), &w->options, &tool, &w->message),
			OK);
		struct store_show op = { .id = id };
		op.op.on_done = store_op_fini;
		store_submit(tool, &op.op, STORE_SHOW);
		assert_int_equal(op.op.err, OK);
		store_close(tool);
	}
	assert_null(world_recount(w));
}

/*
 * The journal has its space, the tables have none: mail is taken until the journal is full, then refused; results get
 * the reserve; and when there is room again all is there.
 */
static void test_without_room_to_retire_new_mail_is_refused_and_none_lost(void **state)
{
	enum { MAX = 1000 };
	static uint64_t ids[MAX];
	static const char *const hop = "a.example";
	struct world *w = *state;
	struct sample s;
	int count = 0;
	enum recipient_state is = RECIPIENT_READY;
	w->options.vfs = "crash";
	w->options.reserve_bytes = 65536;
	world_must_open(w);
	crash_vfs_plan(&(struct crash_plan){ .size_max = JOURNAL });
	for (;; count++) {
		assert_true(count < MAX);
		sample_make(w, &s, &hop, 1);
		ids[count] = s.env.id;
		enum err err = world_accept(w, &s);
		if (err != OK) {
			assert_int_equal(err, ERR_NO_SPACE);
			break;
		}
	}
	assert_true(count >= JOURNAL / JOURNAL_BLOCK_BYTES);
	assert_int_equal(world_reserve_size(w), 0);
	assert_true(w->fe.warning_count > 0);
	/* What the reserve gave is little, but enough for a result. */
	crash_vfs_plan(&(struct crash_plan){ .size_max = 4 << 20 });
	assert_int_equal(world_record(w, ids[0], 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_int_equal(world_record(w, ids[count - 1], 1, RESULT_RETRY, 1, 50, NULL), OK);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	assert_int_equal(world_accept(w, &s), OK);
	assert_false(w->is_fatal);
	for (int i = 0; i <= count; i++) {
		assert_int_equal(show(w, ids[i], &is), OK);
		assert_int_equal(is, i == 0           ? RECIPIENT_DELIVERED
				     : i == count - 1 ? RECIPIENT_WAITING
						      : RECIPIENT_READY);
	}
	assert_null(world_recount(w));
}

/* A full disk at the end and at the start: the journal keeps what it has, until there is room. */
static void test_without_room_at_the_start_the_journal_keeps_its_mail(void **state)
{
	enum { COUNT = 12 };
	struct world *w = *state;
	uint64_t ids[COUNT];
	enum recipient_state is = RECIPIENT_READY;
	w->options.vfs = "crash";
	world_must_open(w);
	for (int i = 0; i < COUNT; i++)
		ids[i] = world_must_accept(w, "a.example");
	crash_vfs_plan(&(struct crash_plan){ .size_max = 8192 });
	world_close(w);
	world_must_open(w);
	assert_int_equal(show(w, ids[0], NULL), ERR_NO_SPACE);
	abandon(w);
	world_must_open(w);
	/* A result that the tables know no message of yet is not passed over. */
	assert_int_equal(world_record(w, ids[1], 1, RESULT_DELIVERED, 1, 0, NULL), ERR_NO_SPACE);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	assert_int_equal(world_record(w, ids[1], 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(show(w, ids[i], &is), OK);
		assert_int_equal(is, i == 1 ? RECIPIENT_DELIVERED : RECIPIENT_READY);
	}
	world_close(w);
	assert_null(world_recount(w));
}

/* Power loss after any sync that was answered: the mail is there. */
static void test_answered_mail_survives_power_loss(void **state)
{
	struct world *w = *state;
	w->options.vfs = "crash";
	world_must_open(w);
	uint64_t ids[3];
	for (int i = 0; i < 3; i++)
		ids[i] = world_must_accept(w, "a.example");
	assert_int_equal(world_record(w, ids[0], 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	crash_vfs_plan(&(struct crash_plan){ .kind = CRASH_POWER, .at = 1, .is_for_ever = true });
	abandon(w);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	w->options.vfs = NULL;
	world_must_open(w);
	for (int i = 0; i < 3; i++) {
		enum recipient_state is = RECIPIENT_FAILED;
		assert_int_equal(show(w, ids[i], &is), OK);
		assert_int_equal(is, i ? RECIPIENT_READY : RECIPIENT_DELIVERED);
	}
	assert_null(world_recount(w));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mail_is_in_the_journal_before_the_tables),
		TEST(test_missing_journal_of_an_open_queue_is_refused),
		TEST(test_missing_journal_of_a_closed_queue_is_no_loss),
		TEST(test_damaged_journal_is_refused_and_not_changed),
		TEST(test_journal_that_is_switched_off_is_taken_in),
		TEST(test_readonly_takes_in_what_a_crash_left),
		TEST(test_without_room_to_retire_new_mail_is_refused_and_none_lost),
		TEST(test_without_room_at_the_start_the_journal_keeps_its_mail),
		TEST(test_answered_mail_survives_power_loss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
