/* test_retry - the schedule, the last attempt at the end, and nothing that expires too soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/retry.h"

#define T0 (INT64_C(1674500000) * 1000)

static struct conf_policy default_policy(void)
{
	return (struct conf_policy){
		.lifetime_ms = 14 * DAY_MS,
		.lifetime_max_ms = 30 * DAY_MS,
		.bounce_lifetime_ms = 5 * DAY_MS,
		.retry_ms = { 5 * MINUTE_MS, 10 * MINUTE_MS, 20 * MINUTE_MS, 30 * MINUTE_MS,
			HOUR_MS, 2 * HOUR_MS },
		.retry_count = 6,
		.retry_jitter_percent = 10,
	};
}

static void test_retry_follows_the_schedule_and_repeats_its_last(void **state)
{
	static const int64_t minutes[] = { 5, 10, 20, 30, 60, 120, 120, 120 };
	struct conf_policy policy = default_policy();
	struct envelope env = { .accepted = { T0 } };
	struct rng rng;
	(void)state;

	policy.retry_jitter_percent = 0;
	rng_init(&rng, 1);
	for (uint32_t i = 0; i < ARRAY_COUNT(minutes); i++) {
		struct retry_decision d =
			retry_after_failure(&policy, &env, i + 1, false, env.accepted, &rng);

		assert_false(d.is_expired);
		assert_int_equal(d.due.ms - T0, minutes[i] * MINUTE_MS);
	}
	assert_int_equal(
		retry_after_failure(&policy, &env, UINT32_MAX, false, env.accepted, &rng).due.ms -
			T0,
		2 * HOUR_MS);
}

static void test_retry_gives_up_at_follows_origin_and_asked_for_times(void **state)
{
	struct conf_policy policy = default_policy();
	const struct {
		struct envelope env;
		int64_t expected_ms; /* after arrival */
	} rows[] = {
		{ { .accepted = { T0 } }, 14 * DAY_MS },
		{ { .accepted = { T0 }, .origin = ORIGIN_DSN }, 5 * DAY_MS },
		{ { .accepted = { T0 }, .hold_until = { T0 + DAY_MS } }, 15 * DAY_MS },
		{ { .accepted = { T0 }, .hold_until = { T0 - DAY_MS } }, 14 * DAY_MS },
		{ { .accepted = { T0 }, .deliver_by = { T0 + HOUR_MS } }, HOUR_MS },
		{ { .accepted = { T0 }, .deliver_by = { T0 + 60 * DAY_MS } }, 14 * DAY_MS },
		{ { .accepted = { T0 }, .deliver_by = { T0 + HOUR_MS }, .deliver_by_notify = true },
			14 * DAY_MS },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(
			retry_gives_up_at(&policy, &rows[i].env).ms - T0, rows[i].expected_ms);
	policy.lifetime_ms = 40 * DAY_MS;
	assert_int_equal(retry_gives_up_at(&policy, &rows[0].env).ms - T0, 30 * DAY_MS);
}

static void test_retry_puts_the_last_attempt_at_the_end(void **state)
{
	struct conf_policy policy = default_policy();
	struct envelope env = { .accepted = { T0 } };
	struct wall end = retry_gives_up_at(&policy, &env);
	struct retry_decision d;
	struct rng rng;
	(void)state;

	rng_init(&rng, 1);
	d = retry_after_failure(&policy, &env, 100, false, wall_add(end, -HOUR_MS), &rng);
	assert_false(d.is_expired);
	assert_int_equal(d.due.ms, end.ms);
	d = retry_after_failure(&policy, &env, 100, false, wall_add(end, -1), &rng);
	assert_false(d.is_expired);
	assert_int_equal(d.due.ms, end.ms);
	assert_true(retry_after_failure(&policy, &env, 101, false, end, &rng).is_expired);
	assert_true(retry_after_failure(&policy, &env, 1, true, wall_add(end, DAY_MS), &rng)
			    .is_expired);
}

static void test_retry_waits_half_an_hour_when_in_doubt(void **state)
{
	struct conf_policy policy = default_policy();
	struct envelope env = { .accepted = { T0 } };
	struct wall end = retry_gives_up_at(&policy, &env);
	struct wall late = wall_add(end, -MINUTE_MS);
	struct rng rng;
	(void)state;

	rng_init(&rng, 1);
	assert_int_equal(retry_after_failure(&policy, &env, 1, true, env.accepted, &rng).due.ms,
		T0 + 30 * MINUTE_MS);
	assert_true(retry_after_failure(&policy, &env, 6, true, env.accepted, &rng).due.ms >
		    T0 + HOUR_MS);
	/* Also at the end of its time: once more, but not at once. */
	assert_int_equal(retry_after_failure(&policy, &env, 90, true, late, &rng).due.ms,
		late.ms + 30 * MINUTE_MS);
}

/* The whole life of many messages: never before now, never past the end but for doubt, the end
 * always tried, jitter. */
static void test_retry_life_ends_with_an_attempt_at_its_end(void **state)
{
	struct conf_policy policy = default_policy();
	struct rng rng, chance;
	bool has_early = false, has_late = false;
	(void)state;

	rng_init(&rng, 3);
	rng_init(&chance, 4);
	for (unsigned run = 0; run < 200; run++) {
		struct envelope env = { .accepted = { T0 + (int64_t)rng_below(&chance, 1000000) } };
		struct wall end = retry_gives_up_at(&policy, &env), now = env.accepted;
		struct retry_decision d = { 0 };
		uint32_t attempts = 0;
		bool is_tried_at_end = false;

		policy.lifetime_ms = HOUR_MS + (int64_t)rng_below(&chance, 20 * DAY_MS);
		end = retry_gives_up_at(&policy, &env);
		for (;;) {
			bool is_doubtful = rng_below(&chance, 20) == 0;
			int64_t step_ms = policy.retry_ms[attempts < 6 ? attempts : 5];

			is_tried_at_end |= now.ms >= end.ms;
			d = retry_after_failure(&policy, &env, ++attempts, is_doubtful, now, &rng);
			if (d.is_expired)
				break;
			assert_true(d.due.ms > now.ms);
			if (is_doubtful)
				assert_true(d.due.ms - now.ms >= 30 * MINUTE_MS);
			else
				assert_true(d.due.ms <= end.ms &&
					    d.due.ms - now.ms <= step_ms + step_ms / 10);
			if (!is_doubtful && d.due.ms < end.ms)
				assert_true(d.due.ms - now.ms >= step_ms - step_ms / 10);
			has_early |= d.due.ms - now.ms < step_ms && d.due.ms != end.ms;
			has_late |= d.due.ms - now.ms > step_ms;
			/* The attempt itself takes a while, or the loop was late. */
			now = wall_add(d.due, (int64_t)rng_below(&chance, MINUTE_MS));
		}
		assert_true(is_tried_at_end);
		assert_true(now.ms >= end.ms);
	}
	assert_true(has_early && has_late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_follows_the_schedule_and_repeats_its_last),
		cmocka_unit_test(test_retry_gives_up_at_follows_origin_and_asked_for_times),
		cmocka_unit_test(test_retry_puts_the_last_attempt_at_the_end),
		cmocka_unit_test(test_retry_waits_half_an_hour_when_in_doubt),
		cmocka_unit_test(test_retry_life_ends_with_an_attempt_at_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
