/* The generator: replay, range and spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>

#include "base/check.h"
#include "base/rng.h"
#include "fixture_death.h"

static void test_rng_replays_by_seed(void **state)
{
	(void)state;
	struct rng a, b, other;
	unsigned same = 0;
	rng_init(&a, 7);
	rng_init(&b, 7);
	rng_init(&other, 8);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t draw = rng_next(&a);
		assert_true(draw == rng_next(&b));
		same += draw == rng_next(&other);
	}
	assert_int_equal(same, 0);
}

/* The step worked out by hand from the definition: rotl(s1 * 5, 7) * 9, then the mixing. */
static void test_rng_steps_as_defined(void **state)
{
	(void)state;
	struct rng r = { { 1, 2, 3, 4 } };
	static const uint64_t expected[] = { 11520, 0, 1509978240, 1215971899390074240 };
	for (size_t i = 0; i < ARRAY_COUNT(expected); i++)
		assert_true(rng_next(&r) == expected[i]);
}

static void test_rng_below_is_even(void **state)
{
	(void)state;
	struct rng r;
	unsigned count[7] = { 0 };
	rng_init(&r, 1);
	for (unsigned i = 0; i < 70000; i++) {
		uint64_t draw = rng_below(&r, ARRAY_COUNT(count));
		assert_true(draw < ARRAY_COUNT(count));
		count[draw]++;
	}
	for (size_t i = 0; i < ARRAY_COUNT(count); i++)
		assert_in_range(count[i], 9500, 10500);
	assert_int_equal(rng_below(&r, 1), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_true(rng_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}

static void draw_below_zero(void *arg)
{
	rng_below(arg, 0);
}

static void test_rng_below_zero_aborts(void **state)
{
	(void)state;
	struct rng r;
	rng_init(&r, 1);
	assert_int_equal(death_signal(draw_below_zero, &r, NULL, 0), SIGABRT);
}

static void test_rng_jitter_reaches_both_ends_and_no_further(void **state)
{
	(void)state;
	static const struct {
		int64_t value;
		unsigned percent;
		int64_t min, max;
	} rows[] = {
		{ 100, 10, 90, 110 },
		{ 10, 50, 5, 15 },
		{ -100, 10, -110, -90 },
		{ 5, 100, 0, 10 },
		{ 1000, 0, 1000, 1000 },
		{ 3, 10, 3, 3 },
		{ 0, 50, 0, 0 },
	};
	struct rng r;
	rng_init(&r, 5);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		bool is_min_seen = false, is_max_seen = false;
		for (unsigned n = 0; n < 2000; n++) {
			int64_t value = rng_jitter(&r, rows[i].value, rows[i].percent);
			assert_true(value >= rows[i].min && value <= rows[i].max);
			is_min_seen |= value == rows[i].min;
			is_max_seen |= value == rows[i].max;
		}
		assert_true(is_min_seen && is_max_seen);
	}
	for (unsigned n = 0; n < 1000; n++) {
		assert_true(rng_jitter(&r, INT64_MAX, 100) >= 0);
		assert_true(rng_jitter(&r, INT64_MIN + 1, 100) <= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng_replays_by_seed),
		cmocka_unit_test(test_rng_steps_as_defined),
		cmocka_unit_test(test_rng_below_is_even),
		cmocka_unit_test(test_rng_below_zero_aborts),
		cmocka_unit_test(test_rng_jitter_reaches_both_ends_and_no_further),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
