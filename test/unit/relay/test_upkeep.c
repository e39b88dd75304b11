/* The history is cleared hourly; free space of the queue's file is given back when there is too much of it for a while, in
 * steps with pauses. The figures are scripted: the file of a test has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"

#define MIB ((uint64_t)1 << 20)
#define STEP_BYTES (2 * MIB)
#define PAUSE_MIN_MS 10

/* A store that says of its file what the test wants. */
struct script {
	struct store store;
	struct fixture_relay *f;
	uint64_t used_bytes, free_bytes;
	enum err err; /* of the steps */
	uint32_t steps, clears;
	struct wall history_before; /* of the last clearing */
	bool is_space_low;
	int64_t last_ms, pause_min_ms;
	void (*stats_done)(struct store_op *op);
	void (*step_done)(struct store_op *op);
};

static struct script script;

static void on_stats(struct store_op *op)
{
	struct store_stats *stats = CONTAINER_OF(op, struct store_stats, op);

	stats->used_bytes = script.used_bytes;
	stats->free_bytes = script.free_bytes;
	if (script.is_space_low)
		stats->disk_free_bytes = 0;
	script.stats_done(op);
}

static void on_step(struct store_op *op)
{
	struct store_sweep *step = CONTAINER_OF(op, struct store_sweep, op);

	op->err = script.err;
	step->shrunk_bytes = script.free_bytes < STEP_BYTES ? script.free_bytes : STEP_BYTES;
	if (script.err == OK)
		script.free_bytes -= step->shrunk_bytes;
	step->used_bytes = script.used_bytes;
	step->free_bytes = script.free_bytes;
	script.step_done(op);
}

static void note_step(struct store_op *op)
{
	int64_t now_ms = script.f->clock.now_ms, pause_ms = now_ms - script.last_ms;

	assert_int_equal(CONTAINER_OF(op, struct store_sweep, op)->limit, 0);
	if (script.steps++ > 0 && pause_ms < script.pause_min_ms)
		script.pause_min_ms = pause_ms;
	script.last_ms = now_ms;
	script.step_done = op->on_done;
	op->on_done = on_step;
}

static void on_submit(struct store *store, struct store_op *op)
{
	(void)store;
	if (op->kind == STORE_STATS) {
		script.stats_done = op->on_done;
		op->on_done = on_stats;
	} else if (op->kind == STORE_SWEEP &&
		   CONTAINER_OF(op, struct store_sweep, op)->may_shrink) {
		note_step(op);
	} else if (op->kind == STORE_SWEEP) {
		script.clears++;
		script.history_before = CONTAINER_OF(op, struct store_sweep, op)->history_before;
	}
	script.f->store.ops->submit(&script.f->store, op);
}

static const struct store_ops scripted = { .submit = on_submit };

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	fixture_relay_start(&f);
	script = (struct script){
		.store.ops = &scripted, .f = &f, .used_bytes = 100 * MIB, .pause_min_ms = INT64_MAX
	};
	f.relay->store = &script.store;
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static void test_history_is_cleared_hourly_and_at_once_where_space_is_short(void **state)
{
	struct fixture_relay *f = *state;

	fixture_relay_run(f, 58 * MINUTE_MS);
	assert_int_equal(script.clears, 0);
	fixture_relay_run(f, 5 * MINUTE_MS);
	assert_int_equal(script.clears, 1);
	assert_in_range(env_wall(f->relay->env).ms - script.history_before.ms,
		f->conf->queue.history_ms, f->conf->queue.history_ms + 5 * MINUTE_MS);
	fixture_relay_run(f, 2 * HOUR_MS);
	assert_int_equal(script.clears, 3);
	script.is_space_low = true;
	fixture_relay_run(f, MINUTE_MS);
	assert_in_range(script.clears, 3 + 15, 3 + 30);
}

static void test_free_space_is_given_back_once_it_is_too_much_for_a_while(void **state)
{
	struct fixture_relay *f = *state;

	script.free_bytes = 200 * MIB;
	fixture_relay_run(f, 55 * SECOND_MS);
	assert_int_equal(script.steps, 0);
	fixture_relay_run(f, 10 * SECOND_MS);
	assert_true(script.steps > 0);
	assert_in_range(script.pause_min_ms, PAUSE_MIN_MS, SECOND_MS);
	fixture_relay_run(f, MINUTE_MS);
	assert_in_range(script.free_bytes, 20 * MIB, 36 * MIB);
	assert_in_range(script.steps, (200 - 36) / 2, (200 - 20) / 2);
	uint32_t steps = script.steps;
	fixture_relay_run(f, HOUR_MS);
	assert_int_equal(script.steps, steps);
}

static void test_free_space_that_comes_and_goes_is_kept(void **state)
{
	struct fixture_relay *f = *state;

	for (int i = 0; i < 20; i++) {
		script.free_bytes = i % 2 ? 500 * MIB : 60 * MIB;
		fixture_relay_run(f, 30 * SECOND_MS);
	}
	assert_int_equal(script.steps, 0);
	script.free_bytes = 60 * MIB; /* with a tenth of what is used it may keep more */
	fixture_relay_run(f, HOUR_MS);
	assert_int_equal(script.steps, 0);
}

static void test_a_step_that_fails_is_tried_again_later(void **state)
{
	struct fixture_relay *f = *state;

	script.free_bytes = 200 * MIB;
	script.err = ERR_NO_SPACE;
	fixture_relay_run(f, 10 * MINUTE_MS);
	assert_in_range(script.steps, 2, 20);
	script.err = OK;
	fixture_relay_run(f, 3 * MINUTE_MS);
	assert_in_range(script.free_bytes, 20 * MIB, 36 * MIB);
}

static void test_a_stop_does_not_wait_for_the_rest(void **state)
{
	struct fixture_relay *f = *state;

	script.used_bytes = 1;
	script.free_bytes = UINT64_C(1) << 40;
	fixture_relay_run(f, 2 * MINUTE_MS);
	uint32_t steps = script.steps;
	assert_true(steps > 0);
	fixture_relay_stop(f);
	fixture_relay_run(f, SECOND_MS);
	assert_true(f->is_stopped);
	assert_in_range(script.steps, steps, steps + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(test_history_is_cleared_hourly_and_at_once_where_space_is_short),
		TEST(test_free_space_is_given_back_once_it_is_too_much_for_a_while),
		TEST(test_free_space_that_comes_and_goes_is_kept),
		TEST(test_a_step_that_fails_is_tried_again_later),
		TEST(test_a_stop_does_not_wait_for_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
