/* Tests of os/clock: both kinds of clock, with instants given by hand. */
#include "os/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct mono at(int64_t ms)
{
	return (struct mono){ ms };
}

static void test_clock_origin_continues_a_fast_clock(void **state)
{
	static const struct {
		int64_t rate, origin_real_ms, origin_wall_ms, real_ms, expected_ms;
	} rows[] = {
		{ 1000, 50000, 70000, 50000, 70000 },
		{ 1000, 50000, 70000, 50001, 71000 },
		{ 60, 50000, 70000, 110000, 3670000 },
		/* a system clock set back before the origin must not take wall before it */
		{ 1000, 50000, 70000, 40000, 70000 },
		/* ten years at the greatest rate do not overflow */
		{ 1000000, 0, 0, 315360000000, 315360000000000000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wall w = clock_origin(rows[i].rate, rows[i].origin_real_ms,
			rows[i].origin_wall_ms, rows[i].real_ms);
		assert_int_equal(w.ms, rows[i].expected_ms);
	}
}

static void test_clock_fast_runs_at_its_rate_and_is_not_steered(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, 500, at(10), (struct wall){ 1000 });
	assert_int_equal(clock_read(&c, at(10)).ms, 1000);
	assert_int_equal(clock_read(&c, at(13)).ms, 2500);
	assert_false(clock_must_steer(&c, at(1000000)));
}

static void test_clock_follows_the_system_forward_at_once(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, 1, at(0), (struct wall){ 1000 });
	assert_false(clock_must_steer(&c, at(CLOCK_STEER_MS - 1)));
	assert_true(clock_must_steer(&c, at(CLOCK_STEER_MS)));
	assert_int_equal(clock_steer(&c, at(100), 1100 + 5000), 0);
	assert_int_equal(clock_read(&c, at(100)).ms, 6100);
}

static void test_clock_slews_back_without_ever_going_back(void **state)
{
	struct clock c;
	int64_t last_ms = 0;
	int64_t behind_ms = 1000;

	(void)state;
	clock_init(&c, 1, at(0), (struct wall){ 100000 });
	for (int64_t now = 0; now <= 4000; now++) {
		if (clock_must_steer(&c, at(now)))
			assert_int_equal(clock_steer(&c, at(now), 100000 + now - behind_ms), 0);
		int64_t ms = clock_read(&c, at(now)).ms;
		assert_true(ms >= last_ms);
		last_ms = ms;
		if (now == 1100) /* half speed since 100 */
			assert_in_range(ms, 100000 + 600 - 2, 100000 + 600 + 2);
	}
	assert_in_range(last_ms, 100000 + 4000 - behind_ms - 1, 100000 + 4000 - behind_ms + 1);
}

static void test_clock_ignores_a_jump_and_tells_once(void **state)
{
	static const int64_t jumps[] = { 365 * DAY_MS, -365 * DAY_MS, HOUR_MS, -HOUR_MS };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		int64_t start = 400 * DAY_MS;
		struct clock c;
		clock_init(&c, 1, at(0), (struct wall){ start });
		assert_int_equal(clock_steer(&c, at(100), start + 100 + jumps[i]), jumps[i]);
		assert_int_equal(clock_read(&c, at(100)).ms, start + 100);
		assert_int_equal(clock_steer(&c, at(200), start + 205 + jumps[i]), 0);
		assert_int_equal(clock_read(&c, at(200)).ms, start + 200);
		/* set right again: followed, and a second jump is told again */
		assert_int_equal(clock_steer(&c, at(300), start + 307), 0);
		assert_int_equal(clock_read(&c, at(300)).ms, start + 307);
		assert_int_equal(clock_steer(&c, at(400), start + 407 + jumps[i]), jumps[i]);
	}
}

static void test_clock_goes_on_when_the_system_clock_stands_still(void **state)
{
	struct clock c;

	(void)state;
	clock_init(&c, 1, at(0), (struct wall){ 100000 });
	for (int64_t now = 100; now <= 60000; now += 100)
		assert_int_equal(clock_steer(&c, at(now), 100000), 0);
	assert_in_range(clock_read(&c, at(60000)).ms, 100000 + 29000, 100000 + 31000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock_origin_continues_a_fast_clock),
		cmocka_unit_test(test_clock_fast_runs_at_its_rate_and_is_not_steered),
		cmocka_unit_test(test_clock_follows_the_system_forward_at_once),
		cmocka_unit_test(test_clock_slews_back_without_ever_going_back),
		cmocka_unit_test(test_clock_ignores_a_jump_and_tells_once),
		cmocka_unit_test(test_clock_goes_on_when_the_system_clock_stands_still),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
