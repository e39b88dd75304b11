/* Tests of queue/sts_times: the life of a policy, in minutes of wall time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/sts_times.h"

#define WEEK_S (7 * 24 * 3600)

static struct wall at_min(int64_t minutes)
{
	return (struct wall){ (1000000 + minutes) * MINUTE_MS };
}

static void fetched(struct sts_times *t, int64_t at, int64_t max_age_s, uint32_t ttl_s)
{
	*t = (struct sts_times){ .used = at_min(at) };
	sts_times_note_record(t, at_min(at), ttl_s);
	sts_times_note_policy(t, at_min(at), max_age_s * SECOND_MS);
}

static void test_a_domain_without_record_is_asked_for_by_ttl(void **state)
{
	struct sts_times t = { 0 };

	(void)state;
	assert_int_equal(sts_times_ask(&t, at_min(0)), STS_ANSWER_LATER);
	assert_false(sts_times_note_absent(&t, at_min(0), 3600));
	assert_int_equal(sts_times_ask(&t, at_min(0)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(59)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(60)), STS_ANSWER_LATER);
	/* a TTL of nothing is five minutes, one of a year a day */
	assert_false(sts_times_note_absent(&t, at_min(60), 0));
	assert_int_equal(sts_times_ask(&t, at_min(64)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(65)), STS_ANSWER_LATER);
	assert_false(sts_times_note_absent(&t, at_min(65), UINT32_MAX));
	assert_int_equal(sts_times_ask(&t, at_min(65 + 24 * 60)), STS_ANSWER_LATER);
	assert_false(sts_times_is_binding(&t, at_min(65)));
}

static void test_a_policy_answers_while_it_is_looked_at(void **state)
{
	struct sts_times t;

	(void)state;
	fetched(&t, 0, WEEK_S, 600);
	assert_int_equal(sts_times_ask(&t, at_min(9)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(10)), STS_ANSWER_CHECK);
	/* the same id: nothing is fetched for a day; another: at once */
	assert_false(sts_times_wants_fetch(&t, at_min(10), false));
	assert_true(sts_times_wants_fetch(&t, at_min(10), true));
	assert_false(sts_times_wants_fetch(&t, at_min(24 * 60 - 1), false));
	assert_true(sts_times_wants_fetch(&t, at_min(24 * 60), false));
	/* half of a short max_age comes before a day */
	fetched(&t, 0, 7200, 600);
	assert_false(sts_times_wants_fetch(&t, at_min(59), false));
	assert_true(sts_times_wants_fetch(&t, at_min(60), false));
	/* but never twice in five minutes */
	fetched(&t, 0, 60, 0);
	assert_false(sts_times_wants_fetch(&t, at_min(4), true));
	assert_true(sts_times_wants_fetch(&t, at_min(5), true));
}

static void test_failures_wait_from_five_minutes_to_a_day(void **state)
{
	struct sts_times t = { 0 };
	struct rng rng;
	int64_t last_ms = 0;
	struct wall now = at_min(0);

	(void)state;
	rng_init(&rng, 1);
	sts_times_note_record(&t, now, 300);
	for (int i = 0; i < 12; i++) {
		assert_false(sts_times_note_failure(&t, now, true, &rng));
		int64_t wait_ms = t.next_fetch.ms - now.ms;
		assert_true(wait_ms >= 5 * MINUTE_MS && wait_ms <= DAY_MS + DAY_MS / 10);
		assert_true(wait_ms >= last_ms);
		assert_false(sts_times_wants_fetch(&t, (struct wall){ t.next_fetch.ms - 1 }, true));
		assert_true(sts_times_wants_fetch(&t, t.next_fetch, false));
		/* asked in between: without, and no look-up but that of the record by its TTL */
		last_ms = t.retry_ms;
		now = t.next_fetch;
		t.next_check = wall_add(now, 1);
		assert_int_equal(sts_times_ask(&t, (struct wall){ now.ms - 1 }), STS_ANSWER_NOW);
		assert_int_equal(sts_times_ask(&t, now), STS_ANSWER_LATER);
	}
	assert_int_equal(t.retry_ms, DAY_MS);
	sts_times_note_policy(&t, now, WEEK_S * SECOND_MS);
	assert_int_equal(t.retry_ms, 0);
}

static void test_an_outage_keeps_what_ran_out(void **state)
{
	struct sts_times t;
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	fetched(&t, 0, 7200, 300);
	assert_true(sts_times_is_binding(&t, at_min(119)));
	assert_false(sts_times_is_over(&t, at_min(119)));
	assert_true(sts_times_is_over(&t, at_min(120)));
	/* over: asked for before it is believed on */
	assert_int_equal(sts_times_ask(&t, at_min(120)), STS_ANSWER_LATER);
	sts_times_note_silence(&t, at_min(120));
	assert_true(sts_times_is_binding(&t, at_min(120)));
	assert_int_equal(sts_times_ask(&t, at_min(121)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(125)), STS_ANSWER_LATER);
	sts_times_note_record(&t, at_min(125), 300);
	assert_false(sts_times_note_failure(&t, at_min(125), false, &rng));
	assert_true(sts_times_is_binding(&t, at_min(126)));
	/* not for ever */
	assert_true(sts_times_is_binding(&t, at_min(120 + 30 * 24 * 60 - 1)));
	assert_false(sts_times_is_binding(&t, at_min(120 + 30 * 24 * 60)));
}

static void test_a_denial_ends_only_what_ran_out(void **state)
{
	struct sts_times t;
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	fetched(&t, 0, 7200, 300);
	assert_false(sts_times_note_absent(&t, at_min(119), 300));
	assert_true(sts_times_is_binding(&t, at_min(119)));
	assert_int_equal(sts_times_ask(&t, at_min(119)), STS_ANSWER_NOW);
	assert_true(sts_times_note_absent(&t, at_min(124), 300));
	assert_false(sts_times_is_binding(&t, at_min(124)));
	fetched(&t, 0, 7200, 300);
	assert_false(sts_times_note_failure(&t, at_min(119), true, &rng));
	assert_true(sts_times_is_binding(&t, at_min(119)));
	assert_true(sts_times_note_failure(&t, at_min(130), true, &rng));
	assert_false(sts_times_is_binding(&t, at_min(130)));
	/* max_age 0: over at once, and without overtime */
	fetched(&t, 0, 0, 300);
	assert_false(sts_times_is_binding(&t, at_min(0)));
}

static void test_a_doubt_brings_the_next_look_forward(void **state)
{
	struct sts_times t;

	(void)state;
	fetched(&t, 0, WEEK_S, 86400);
	assert_int_equal(sts_times_ask(&t, at_min(30)), STS_ANSWER_NOW);
	sts_times_note_doubt(&t);
	assert_int_equal(sts_times_ask(&t, at_min(4)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(5)), STS_ANSWER_CHECK);
	/* it was looked at: not again within five minutes, however much fails */
	sts_times_note_record(&t, at_min(5), 86400);
	sts_times_note_doubt(&t);
	assert_int_equal(sts_times_ask(&t, at_min(9)), STS_ANSWER_NOW);
	assert_int_equal(sts_times_ask(&t, at_min(10)), STS_ANSWER_CHECK);
}

static void test_what_is_used_is_due_once_a_day(void **state)
{
	struct sts_times t;
	int64_t day = 24 * 60;

	(void)state;
	fetched(&t, 0, 4 * WEEK_S, 300);
	assert_false(sts_times_is_due(&t, at_min(day - 1)));
	assert_true(sts_times_is_due(&t, at_min(day)));
	assert_true(sts_times_is_due(&t, at_min(30 * day - 1)));
	assert_false(sts_times_is_due(&t, at_min(30 * day)));
	(void)sts_times_ask(&t, at_min(29 * day));
	assert_true(sts_times_is_due(&t, at_min(30 * day)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_domain_without_record_is_asked_for_by_ttl),
		cmocka_unit_test(test_a_policy_answers_while_it_is_looked_at),
		cmocka_unit_test(test_failures_wait_from_five_minutes_to_a_day),
		cmocka_unit_test(test_an_outage_keeps_what_ran_out),
		cmocka_unit_test(test_a_denial_ends_only_what_ran_out),
		cmocka_unit_test(test_a_doubt_brings_the_next_look_forward),
		cmocka_unit_test(test_what_is_used_is_due_once_a_day),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
