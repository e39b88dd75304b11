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
	struct wall end = retry_gives_up_at(&policy, &env, NULL);
	struct rng rng;
	(void)state;

	policy.retry_jitter_percent = 0;
	rng_init(&rng, 1);
	for (uint32_t i = 0; i < ARRAY_COUNT(minutes); i++) {
		struct retry_decision d =
			retry_after_failure(&policy, end, i + 1, false, env.accepted, &rng);

		assert_false(d.is_expired);
		assert_int_equal(d.due.ms - T0, minutes[i] * MINUTE_MS);
	}
	assert_int_equal(
		retry_after_failure(&policy, end, UINT32_MAX, false, env.accepted, &rng).due.ms -
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
			retry_gives_up_at(&policy, &rows[i].env, NULL).ms - T0, rows[i].expected_ms);
	policy.lifetime_ms = 40 * DAY_MS;
	assert_int_equal(retry_gives_up_at(&policy, &rows[0].env, NULL).ms - T0, 30 * DAY_MS);
}

/* RFC 2852, mode R: what is returned then is returned for that. */
static void test_retry_knows_a_by_time_that_is_over(void **state)
{
	static const struct {
		int64_t by_ms;
		bool by_notify, is_past;
	} rows[] = {
		{ 0, false, false },
		{ T0 + 1, false, false },
		{ T0, false, true },
		{ T0 - DAY_MS, false, true },
		{ T0 - DAY_MS, true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct envelope env = { .accepted = { T0 - 2 * DAY_MS },
			.deliver_by = { rows[i].by_ms },
			.deliver_by_notify = rows[i].by_notify };

		assert_int_equal(
			retry_is_past_by_time(&env, (struct wall){ T0 }), rows[i].is_past);
	}
}

/* The clock: an outage of 20 days from day 2, another from day 25 on, a jump of the clock of a year at day 1. */
static void test_retry_gives_up_at_counts_time_in_which_mail_could_move(void **state)
{
	const struct conf_policy policy = default_policy();
	const struct envelope plain = { .accepted = { T0 } },
			      notice = { .accepted = { T0 }, .origin = ORIGIN_DSN },
			      waits = { .accepted = { T0 }, .hold_until = { T0 + 10 * DAY_MS } },
			      returns = { .accepted = { T0 }, .deliver_by = { T0 + DAY_MS } };
	const struct {
		const struct envelope *env;
		bool has_outage, is_open, has_jump;
		int64_t held_days, expected_days; /* after arrival */
	} rows[] = {
		{ &plain, true, false, false, 0, 30 },
		{ &plain, false, true, false, 0, 14 },
		{ &plain, false, true, false, 12, 30 + 12 },
		{ &plain, false, false, false, 2, 16 },
		{ &plain, true, true, false, 3, 33 },
		{ &plain, false, false, true, 0, 365 + 14 },
		{ &plain, true, false, true, 0, 365 + 30 },
		{ &notice, true, false, false, 0, 25 },
		{ &notice, true, true, false, 0, 25 },
		{ &notice, true, true, false, 1, 31 },
		{ &waits, true, false, false, 0, 36 },
		{ &waits, true, true, false, 0, 40 },
		{ &returns, true, true, true, 9, 1 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct credit credit = { 0 }, jumps = { 0 };
		const struct retry_clock clock = { &credit, &jumps, rows[i].held_days * DAY_MS };
		int64_t at = T0 + 2 * DAY_MS, skew = rows[i].has_jump ? 365 * DAY_MS : 0;

		if (rows[i].has_jump)
			credit_add(&jumps, (struct span){ { T0 + DAY_MS }, { T0 + DAY_MS + skew } });
		if (rows[i].has_outage)
			credit_add(&credit, (struct span){ { at + skew }, { at + skew + 20 * DAY_MS } });
		if (rows[i].is_open)
			credit_add(&credit, (struct span){ { T0 + 25 * DAY_MS }, WALL_NONE });
		credit_merge(&credit, &jumps);
		struct wall end = retry_gives_up_at(&policy, rows[i].env, &clock);
		assert_int_equal((end.ms - T0) / DAY_MS, rows[i].expected_days);
		assert_int_equal((end.ms - T0) % DAY_MS, 0);
		credit_fini(&credit);
		credit_fini(&jumps);
	}
}

/* What is not accepted before that instant is not over, and plain mail that is, is. */
static void test_retry_overdue_before_is_where_plain_mail_ends(void **state)
{
	const struct conf_policy policy = default_policy();
	(void)state;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct credit credit = { 0 }, jumps = { 0 };
		const struct retry_clock clock = { &credit, &jumps, 0 };
		struct wall now = { T0 + 60 * DAY_MS }, before;
		struct rng rng;

		rng_init(&rng, seed);
		for (uint64_t i = rng_below(&rng, 5); i > 0; i--) {
			int64_t at = T0 + (int64_t)rng_below(&rng, 50) * DAY_MS;
			int64_t days = (int64_t)rng_below(&rng, 20);

			credit_add(&credit, (struct span){ { at }, { at + days * DAY_MS } });
			if (rng_below(&rng, 4) == 0)
				credit_add(&jumps, (struct span){ { at }, { at + days * DAY_MS } });
		}
		before = retry_overdue_before(&policy, &clock, now);
		for (int64_t hour = 0; hour < 60 * 24; hour += 7) {
			struct envelope env = { .accepted = { T0 + hour * HOUR_MS } };
			bool is_over = retry_gives_up_at(&policy, &env, &clock).ms <= now.ms;

			assert_int_equal(is_over, env.accepted.ms <= before.ms);
		}
		credit_fini(&credit);
		credit_fini(&jumps);
	}
}

static void test_retry_puts_the_last_attempt_at_the_end(void **state)
{
	struct conf_policy policy = default_policy();
	struct envelope env = { .accepted = { T0 } };
	struct wall end = retry_gives_up_at(&policy, &env, NULL);
	struct retry_decision d;
	struct rng rng;
	(void)state;

	rng_init(&rng, 1);
	d = retry_after_failure(&policy, end, 100, false, wall_add(end, -HOUR_MS), &rng);
	assert_false(d.is_expired);
	assert_int_equal(d.due.ms, end.ms);
	d = retry_after_failure(&policy, end, 100, false, wall_add(end, -1), &rng);
	assert_false(d.is_expired);
	assert_int_equal(d.due.ms, end.ms);
	assert_true(retry_after_failure(&policy, end, 101, false, end, &rng).is_expired);
	assert_true(retry_after_failure(&policy, end, 1, true, wall_add(end, DAY_MS), &rng)
			    .is_expired);
}

static void test_retry_waits_half_an_hour_when_in_doubt(void **state)
{
	struct conf_policy policy = default_policy();
	struct envelope env = { .accepted = { T0 } };
	struct wall end = retry_gives_up_at(&policy, &env, NULL);
	struct wall late = wall_add(end, -MINUTE_MS);
	struct rng rng;
	(void)state;

	rng_init(&rng, 1);
	assert_int_equal(retry_after_failure(&policy, end, 1, true, env.accepted, &rng).due.ms,
		T0 + 30 * MINUTE_MS);
	assert_true(retry_after_failure(&policy, end, 6, true, env.accepted, &rng).due.ms >
		    T0 + HOUR_MS);
	/* Also at the end of its time: once more, but not at once. */
	assert_int_equal(retry_after_failure(&policy, end, 90, true, late, &rng).due.ms,
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
		struct wall end = retry_gives_up_at(&policy, &env, NULL), now = env.accepted;
		struct retry_decision d = { 0 };
		uint32_t attempts = 0;
		bool is_tried_at_end = false;

		policy.lifetime_ms = HOUR_MS + (int64_t)rng_below(&chance, 20 * DAY_MS);
		end = retry_gives_up_at(&policy, &env, NULL);
		for (;;) {
			bool is_doubtful = rng_below(&chance, 20) == 0;
			int64_t step_ms = policy.retry_ms[attempts < 6 ? attempts : 5];

			is_tried_at_end |= now.ms >= end.ms;
			d = retry_after_failure(&policy, end, ++attempts, is_doubtful, now, &rng);
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
		cmocka_unit_test(test_retry_knows_a_by_time_that_is_over),
		cmocka_unit_test(test_retry_gives_up_at_counts_time_in_which_mail_could_move),
		cmocka_unit_test(test_retry_overdue_before_is_where_plain_mail_ends),
		cmocka_unit_test(test_retry_puts_the_last_attempt_at_the_end),
		cmocka_unit_test(test_retry_waits_half_an_hour_when_in_doubt),
		cmocka_unit_test(test_retry_life_ends_with_an_attempt_at_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
