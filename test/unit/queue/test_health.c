/* test_health - the states of a destination, its probes, and clocks that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/check.h"
#include "queue/health.h"

#define T0 (INT64_C(1674500000) * 1000)

struct bench {
	struct health_record h;
	struct conf_policy policy;
	struct rng rng;
	struct wall now;
};

static const struct outcome refused = { .stage = STAGE_CONNECT, .err = ERR_REFUSED };

static struct bench new_bench(void)
{
	struct bench b = { .now = { T0 } };

	b.policy.probe_first_ms = MINUTE_MS;
	b.policy.probe_last_ms = 10 * MINUTE_MS;
	b.policy.probe_unknown_first_ms = 5 * MINUTE_MS;
	b.policy.probe_unknown_last_ms = 2 * HOUR_MS;
	b.policy.known_good_ms = 90 * DAY_MS;
	rng_init(&b.rng, 7);
	health_init(&b.h, b.now);
	return b;
}

static bool fail_after(struct bench *b, int64_t ms)
{
	b->now = wall_add(b->now, ms);
	return health_note_failure(
		&b->h, &b->policy, &refused, STR("mx[192.0.2.1]:25"), b->now, &b->rng);
}

static void bring_down(struct bench *b)
{
	(void)fail_after(b, 0);
	(void)fail_after(b, 30 * SECOND_MS);
	(void)fail_after(b, 30 * SECOND_MS);
	assert_int_equal(b->h.state, HEALTH_DOWN);
}

static void test_health_starts_up_and_unknown(void **state)
{
	struct bench b = new_bench();
	struct wall when;
	(void)state;

	assert_int_equal(b.h.state, HEALTH_UP);
	assert_false(health_is_known_good(&b.h, &b.policy, b.now));
	assert_true(health_may_try(&b.h, b.now, 500, &when));
	assert_int_equal(when.ms, b.now.ms);
	assert_int_equal(b.h.next_probe.ms, INT64_MAX);
}

/* Each row: failures this many seconds after the one before; the state afterwards. */
static void test_health_needs_three_failures_over_a_minute(void **state)
{
	static const struct {
		int64_t gaps_s[5];
		unsigned count;
		enum health_state expected;
	} rows[] = {
		{ { 0 }, 1, HEALTH_SUSPECT },
		{ { 0, 600 }, 2, HEALTH_SUSPECT },
		{ { 0, 0, 0, 0, 0 }, 5, HEALTH_SUSPECT }, /* one burst */
		{ { 0, 30, 29 }, 3, HEALTH_SUSPECT },
		{ { 0, 30, 30 }, 3, HEALTH_DOWN },
		{ { 0, 0, 0, 0, 60 }, 5, HEALTH_DOWN },
		{ { 0, 0, 86400 }, 3, HEALTH_DOWN },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b = new_bench();

		for (unsigned j = 0; j < rows[i].count; j++)
			(void)fail_after(&b, rows[i].gaps_s[j] * SECOND_MS);
		assert_int_equal(b.h.state, rows[i].expected);
	}
}

static void test_health_reports_each_change_once(void **state)
{
	struct bench b = new_bench();
	(void)state;

	assert_true(fail_after(&b, 0));
	assert_false(fail_after(&b, SECOND_MS));
	assert_true(fail_after(&b, MINUTE_MS));
	assert_false(fail_after(&b, MINUTE_MS));
	assert_true(health_note_success(&b.h, b.now, false));
	assert_int_equal(b.h.state, HEALTH_RECOVERING);
	assert_false(health_note_success(&b.h, b.now, true));
	health_note_recovered(&b.h, b.now);
	assert_int_equal(b.h.state, HEALTH_UP);
	assert_int_equal(b.h.first_failure.ms, 0);
}

static void test_health_success_ends_the_run(void **state)
{
	struct bench b = new_bench();
	(void)state;

	(void)fail_after(&b, 0);
	(void)fail_after(&b, MINUTE_MS);
	assert_true(health_note_success(&b.h, b.now, false));
	assert_int_equal(b.h.state, HEALTH_UP);
	(void)fail_after(&b, 0);
	(void)fail_after(&b, 30 * SECOND_MS);
	assert_int_equal(b.h.state, HEALTH_SUSPECT);
	assert_int_equal(b.h.first_failure.ms, b.now.ms - 30 * SECOND_MS);
}

static void test_health_failure_in_recovery_starts_a_new_run(void **state)
{
	struct bench b = new_bench();
	(void)state;

	bring_down(&b);
	b.now = wall_add(b.now, DAY_MS);
	(void)health_note_success(&b.h, b.now, true);
	assert_true(fail_after(&b, SECOND_MS));
	assert_int_equal(b.h.state, HEALTH_SUSPECT);
	assert_int_equal(b.h.first_failure.ms, b.now.ms);
	(void)fail_after(&b, 0);
	(void)fail_after(&b, 0);
	assert_int_equal(b.h.state, HEALTH_SUSPECT);
}

static void test_health_known_good_needs_an_accepted_mail(void **state)
{
	struct bench b = new_bench();
	(void)state;

	(void)health_note_success(&b.h, b.now, false);
	assert_false(health_is_known_good(&b.h, &b.policy, b.now));
	(void)health_note_success(&b.h, b.now, true);
	assert_true(health_is_known_good(&b.h, &b.policy, wall_add(b.now, 90 * DAY_MS)));
	assert_false(health_is_known_good(&b.h, &b.policy, wall_add(b.now, 90 * DAY_MS + 1)));
	b.h.is_declared = true;
	assert_true(health_is_known_good(&b.h, &b.policy, wall_add(b.now, 400 * DAY_MS)));
}

static void test_health_suspect_tries_one_at_a_time(void **state)
{
	struct bench b = new_bench();
	struct wall when;
	(void)state;

	(void)fail_after(&b, 0);
	assert_false(health_may_try(&b.h, b.now, 0, &when));
	assert_int_equal(when.ms, b.now.ms + HEALTH_SUSPECT_PAUSE_MS);
	assert_true(health_may_try(&b.h, when, 0, &when));
	assert_false(health_may_try(&b.h, when, 1, &when));
	assert_int_equal(when.ms, INT64_MAX);
}

/* Probes of a destination that stays dead: steps grow by the factor, from first to last, never past
 * last. */
static void check_probes(
	struct bench *b, int64_t first_ms, int64_t last_ms, int64_t num, int64_t den)
{
	int64_t step_ms = first_ms;

	bring_down(b);
	for (unsigned i = 0; i < 40; i++) {
		int64_t wait_ms = b->h.next_probe.ms - b->now.ms;
		struct wall when;

		assert_int_equal(b->h.probe_step_ms, step_ms);
		assert_true(wait_ms >= step_ms - step_ms / 10 - 1);
		assert_true(wait_ms <= step_ms + step_ms / 10 + 1);
		assert_true(wait_ms <= last_ms);
		assert_false(health_may_try(&b->h, wall_add(b->h.next_probe, -1), 0, &when));
		assert_int_equal(when.ms, b->h.next_probe.ms);
		assert_true(health_may_try(&b->h, b->h.next_probe, 0, &when));
		assert_false(health_may_try(&b->h, b->h.next_probe, 1, &when));
		(void)fail_after(b, wait_ms);
		step_ms = step_ms * num / den < last_ms ? step_ms * num / den : last_ms;
	}
	assert_int_equal(step_ms, last_ms);
	assert_int_equal(b->h.probes, 40);
}

static void test_health_probes_unknown_sites_by_doubling(void **state)
{
	struct bench b = new_bench();
	(void)state;

	check_probes(&b, 5 * MINUTE_MS, 2 * HOUR_MS, 2, 1);
}

static void test_health_probes_known_good_sites_often(void **state)
{
	struct bench b = new_bench();
	(void)state;

	(void)health_note_success(&b.h, b.now, true);
	check_probes(&b, MINUTE_MS, 10 * MINUTE_MS, 3, 2);
}

static void test_health_probes_declared_sites_often(void **state)
{
	struct bench b = new_bench();
	(void)state;

	b.h.is_declared = true;
	check_probes(&b, MINUTE_MS, 10 * MINUTE_MS, 3, 2);
}

static void test_health_late_failures_are_no_probes(void **state)
{
	struct bench b = new_bench();
	struct wall due;
	(void)state;

	bring_down(&b);
	due = b.h.next_probe;
	(void)fail_after(&b, SECOND_MS);
	(void)fail_after(&b, SECOND_MS);
	assert_int_equal(b.h.next_probe.ms, due.ms);
	assert_int_equal(b.h.probes, 0);
	assert_int_equal(b.h.probe_step_ms, 5 * MINUTE_MS);
}

static void test_health_probe_now_makes_it_due(void **state)
{
	struct bench b = new_bench();
	struct wall when;
	(void)state;

	(void)fail_after(&b, 0);
	health_probe_now(&b.h, b.now);
	assert_true(health_may_try(&b.h, b.now, 0, &when));
	bring_down(&b);
	health_probe_now(&b.h, b.now);
	assert_true(health_may_try(&b.h, b.now, 0, &when));
}

static void test_health_probe_by_hand_does_not_stretch_the_interval(void **state)
{
	struct bench b = new_bench();
	(void)state;

	bring_down(&b);
	for (int i = 0; i < 10; i++) {
		health_probe_now(&b.h, b.now);
		(void)fail_after(&b, SECOND_MS);
	}
	assert_true(b.h.probe_step_ms <= 10 * MINUTE_MS);
}

static void test_health_survives_a_clock_set_back(void **state)
{
	struct bench b = new_bench();
	struct wall when;
	(void)state;

	(void)fail_after(&b, 0);
	assert_true(health_may_try(&b.h, wall_add(b.now, -365 * DAY_MS), 0, &when));
	bring_down(&b);
	assert_true(health_may_try(&b.h, wall_add(b.now, -365 * DAY_MS), 0, &when));
	b = new_bench();
	(void)fail_after(&b, 0);
	(void)fail_after(&b, -365 * DAY_MS);
	(void)fail_after(&b, 30 * SECOND_MS);
	assert_int_equal(b.h.state, HEALTH_SUSPECT);
	(void)fail_after(&b, 30 * SECOND_MS);
	assert_int_equal(b.h.state, HEALTH_DOWN);
}

static void test_health_keeps_evidence_escaped_and_cut(void **state)
{
	struct bench b = new_bench();
	char text[600];
	struct outcome o = { .stage = STAGE_RCPT, .code = 451 };
	(void)state;

	memset(text, 'a', sizeof(text));
	memcpy(text, "bad\x1b", 4);
	o.text = str_of(text, sizeof(text));
	(void)health_note_failure(&b.h, &b.policy, &o, STR("mx[192.0.2.1]:25"), b.now, &b.rng);
	assert_int_equal(b.h.code, 451);
	assert_string_equal(b.h.stage, stage_name(STAGE_RCPT));
	assert_string_equal(b.h.host, "mx[192.0.2.1]:25");
	assert_int_equal(strlen(b.h.text), sizeof(b.h.text) - 1);
	assert_null(strchr(b.h.text, 0x1b));

	memset(text, 'a', sizeof(text));
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	o.text = str_of(text, sizeof(text));
	(void)health_note_failure(&b.h, &b.policy, &o, STR("mx"), b.now, &b.rng);
	assert_true(str_is_utf8(str_from_c(b.h.text)));
	assert_true(strlen(b.h.text) >= sizeof(b.h.text) - 5);
}

static void test_health_without_reply_names_the_error(void **state)
{
	struct bench b = new_bench();
	(void)state;

	(void)fail_after(&b, 0);
	assert_string_equal(b.h.text, err_name(ERR_REFUSED));
}

/* Whatever happens in whatever order: counts, instants and states stay in relation. */
static void test_health_invariants_hold_in_any_order(void **state)
{
	struct rng chance;
	(void)state;

	rng_init(&chance, 42);
	for (unsigned run = 0; run < 200; run++) {
		struct bench b = new_bench();

		for (unsigned i = 0; i < 200; i++) {
			enum health_state before = b.h.state;
			bool is_changed = false;
			struct wall when;

			switch (rng_below(&chance, 5)) {
			case 0:
			case 1:
			case 2:
				is_changed =
					fail_after(&b, (int64_t)rng_below(&chance, 200 * 1000));
				assert_int_not_equal(b.h.state, HEALTH_UP);
				break;
			case 3:
				is_changed =
					health_note_success(&b.h, b.now, rng_below(&chance, 2));
				assert_int_not_equal(b.h.state, HEALTH_DOWN);
				break;
			default:
				health_note_recovered(&b.h, b.now);
				is_changed = before != b.h.state;
				break;
			}
			assert_int_equal(is_changed, before != b.h.state);
			assert_int_equal(b.h.state == HEALTH_DOWN, b.h.next_probe.ms != INT64_MAX);
			if (b.h.state == HEALTH_DOWN)
				assert_true(
					b.h.failures >= HEALTH_DOWN_FAILURES &&
					b.h.since.ms - b.h.first_failure.ms >= HEALTH_DOWN_SPAN_MS);
			(void)health_may_try(&b.h, b.now, 0, &when);
			assert_true(when.ms >= b.now.ms && when.ms <= b.now.ms + 2 * HOUR_MS);
		}
	}
}

static void test_health_names_states(void **state)
{
	(void)state;
	assert_string_equal(health_state_name(HEALTH_UP), "up");
	assert_string_equal(health_state_name(HEALTH_SUSPECT), "suspect");
	assert_string_equal(health_state_name(HEALTH_DOWN), "down");
	assert_string_equal(health_state_name(HEALTH_RECOVERING), "recovering");
}

static void test_health_put_off_probe_waits_no_longer_than_its_interval(void **state)
{
	struct health_record h;
	struct wall now = { 1700000000000 }, when;

	(void)state;
	health_init(&h, now);
	health_put_off_probe(&h, now, MINUTE_MS);
	assert_true(health_may_try(&h, now, 0, &when));
	h.state = HEALTH_DOWN;
	h.next_probe = now;
	h.probe_step_ms = 5 * MINUTE_MS;
	h.probes = 7;
	health_put_off_probe(&h, now, MINUTE_MS);
	assert_false(health_may_try(&h, now, 0, &when));
	assert_int_equal(when.ms, now.ms + MINUTE_MS);
	health_put_off_probe(&h, now, HOUR_MS);
	assert_false(health_may_try(&h, now, 0, &when));
	assert_int_equal(when.ms, now.ms + 5 * MINUTE_MS);
	assert_int_equal(h.probes, 7);
	/* asked for so often that nothing is left of the interval: still not at once */
	h.probe_step_ms = 0;
	health_put_off_probe(&h, now, MINUTE_MS);
	assert_false(health_may_try(&h, now, 0, &when));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_health_put_off_probe_waits_no_longer_than_its_interval),
		cmocka_unit_test(test_health_starts_up_and_unknown),
		cmocka_unit_test(test_health_needs_three_failures_over_a_minute),
		cmocka_unit_test(test_health_reports_each_change_once),
		cmocka_unit_test(test_health_success_ends_the_run),
		cmocka_unit_test(test_health_failure_in_recovery_starts_a_new_run),
		cmocka_unit_test(test_health_known_good_needs_an_accepted_mail),
		cmocka_unit_test(test_health_suspect_tries_one_at_a_time),
		cmocka_unit_test(test_health_probes_unknown_sites_by_doubling),
		cmocka_unit_test(test_health_probes_known_good_sites_often),
		cmocka_unit_test(test_health_probes_declared_sites_often),
		cmocka_unit_test(test_health_late_failures_are_no_probes),
		cmocka_unit_test(test_health_probe_now_makes_it_due),
		cmocka_unit_test(test_health_probe_by_hand_does_not_stretch_the_interval),
		cmocka_unit_test(test_health_survives_a_clock_set_back),
		cmocka_unit_test(test_health_keeps_evidence_escaped_and_cut),
		cmocka_unit_test(test_health_without_reply_names_the_error),
		cmocka_unit_test(test_health_invariants_hold_in_any_order),
		cmocka_unit_test(test_health_names_states),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
