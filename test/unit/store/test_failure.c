/* What the adapters do when the disk is full or fails: RELIABILITY rows 7 to 11. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "store/crash_vfs.h"
#include "store/world.h"

static struct world world;

static int setup(void **state)
{
	crash_vfs_register();
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_init(&world, store_sync_open);
	world.options.vfs = "crash";
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_fini(*state);
	return 0;
}

struct counted {
	unsigned done_count;
	bool is_done; /* when all are */
	unsigned want;
};
static struct counted counted;

static void on_done(struct store_op *op)
{
	(void)op;
	counted.is_done = ++counted.done_count == counted.want;
}

static void submit(struct world *w, struct store_op *op, enum store_kind kind)
{
	op->on_done = on_done;
	store_submit(w->store, op, kind);
}

static void test_small_record_passes_where_a_large_accept_does_not(void **state)
{
	static char big[1 << 20];
	static const char *const hop = "a.example";
	struct world *w = *state;
	struct sample s;
	world_must_open(w);
	uint64_t id = world_must_accept(w, hop);
	sample_make(w, &s, &hop, 1);
	s.content = str_of(big, sizeof(big));
	struct store_accept accept = { .env = &s.env, .content = s.content };
	struct store_result result = { .number = 1, .kind = RESULT_DELIVERED, .attempt = 1 };
	struct store_record record = {
		.id = id, .at = w->fe.wall, .results = &result, .result_count = 1
	};
	crash_vfs_plan(&(struct crash_plan){ .size_max = 512 << 10 });
	counted = (struct counted){ .want = 2 };
	submit(w, &accept.op, STORE_ACCEPT);
	submit(w, &record.op, STORE_RECORD);
	fake_env_wait(&w->fe, &counted.is_done);
	assert_int_equal(accept.op.err, ERR_NO_SPACE);
	assert_int_equal(record.op.err, OK);
	assert_int_equal(record.applied_count, 1);
	assert_false(w->is_fatal);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	assert_int_equal(world_accept(w, &s), OK);
	store_close(w->store);
	w->store = NULL;
	assert_null(world_recount(w));
}

static void test_reserve_is_released_for_results_and_taken_back(void **state)
{
	static const char *const hop = "a.example";
	struct world *w = *state;
	struct sample s;
	w->options.reserve_bytes = 65536;
	world_must_open(w);
	uint64_t id = world_must_accept(w, hop);
	assert_int_equal(world_reserve_size(w), 65536);
	crash_vfs_plan(&(struct crash_plan){ .size_max = 4096 });
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 1, 0, NULL), ERR_NO_SPACE);
	assert_int_equal(world_reserve_size(w), 0);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	sample_make(w, &s, &hop, 1);
	assert_int_equal(world_accept(w, &s), OK); /* there is room: the reserve is whole first */
	assert_int_equal(world_reserve_size(w), 65536);
}

/* SQLite itself needs room to open a queue: the log's index, and what recovery writes. */
static void test_reserve_makes_room_for_opening(void **state)
{
	struct world *w = *state;
	w->options.reserve_bytes = 65536;
	world_must_open(w);
	(void)world_must_accept(w, "a.example");
	assert_int_equal(world_reserve_size(w), 65536);
	world_close(w);
	crash_vfs_plan(&(struct crash_plan){ .kind = CRASH_ENOSPC, .at = 1, .is_for_ever = true });
	assert_int_not_equal(world_open(w), OK);
	assert_int_equal(world_reserve_size(w), 0);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_must_open(w);
	assert_int_equal(world_reserve_size(w), 65536);
}

static void test_reserve_that_could_not_be_opened_is_tried_again(void **state)
{
	static const char *const hop = "a.example";
	struct world *w = *state;
	struct sample s;
	char *path = world_path(w, "reserve");
	w->options.reserve_bytes = 65536;
	world_must_open(w);
	world_close(w);
	CHECK(unlink(path) == 0 && mkdir(path, 0700) == 0);
	world_must_open(w);
	sample_make(w, &s, &hop, 1);
	assert_int_equal(world_accept(w, &s), ERR_NO_SPACE);
	CHECK(rmdir(path) == 0);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(world_reserve_size(w), 65536);
	free(path);
}

static void test_checkpoint_without_space_raises_an_alarm_and_goes_on(void **state)
{
	struct world *w = *state;
	w->options.wal_limit_pages = 60;
	world_must_open(w);
	unsigned before = w->fe.warning_count;
	/* The log may grow, the file may not. */
	struct crash_plan full = {
		.kind = CRASH_ENOSPC, .at = 1, .is_for_ever = true, .is_file_only = true
	};
	crash_vfs_plan(&full);
	for (int i = 0; i < 40; i++)
		(void)world_must_accept(w, "a.example");
	assert_true(w->fe.warning_count > before);
	assert_false(w->is_fatal);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	(void)world_must_accept(w, "a.example");
	world_close(w);
	assert_null(world_recount(w));
}

static void fail_a_sync(world_open_fn *open)
{
	static const char *const hop = "a.example";
	struct world *w = &world;
	struct sample s;
	w->open = open;
	world_must_open(w);
	uint64_t id = world_must_accept(w, hop);
	sample_make(w, &s, &hop, 1);
	struct store_accept accepts[3];
	crash_vfs_plan(&(struct crash_plan){ .kind = CRASH_EIO, .at = 1, .is_for_ever = true });
	counted = (struct counted){ .want = 3 };
	for (int i = 0; i < 3; i++) {
		accepts[i] = (struct store_accept){ .env = &s.env, .content = s.content };
		submit(w, &accepts[i].op, STORE_ACCEPT);
	}
	fake_env_wait(&w->fe, &w->is_fatal);
	assert_int_equal(counted.done_count, 0);
	/* Reads go on; nothing that was under way completes, not at close either. */
	world_close(w);
	assert_int_equal(counted.done_count, 0);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	world_must_open(w);
	struct store_show show = { .id = id };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
	store_op_fini(&show.op);
	assert_null(world_recount(w));
}

static void test_failed_sync_is_fatal_and_nothing_completes(void **state)
{
	(void)state;
	fail_a_sync(store_sync_open);
	world_close(&world);
	fail_a_sync(store_open);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_small_record_passes_where_a_large_accept_does_not),
		TEST(test_reserve_is_released_for_results_and_taken_back),
		TEST(test_reserve_makes_room_for_opening),
		TEST(test_reserve_that_could_not_be_opened_is_tried_again),
		TEST(test_checkpoint_without_space_raises_an_alarm_and_goes_on),
		TEST(test_failed_sync_is_fatal_and_nothing_completes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
