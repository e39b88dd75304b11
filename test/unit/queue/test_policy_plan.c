/* What `outlast policy` says must be what retry and health do: both are walked side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "queue/health.h"
#include "queue/policy_plan.h"
#include "queue/retry.h"

#define START ((struct wall){ INT64_C(1674432000000) })

static struct conf_policy policy_with(int64_t lifetime_ms, uint32_t count, const int64_t *steps)
{
	struct conf *conf = conf_default();
	struct conf_policy p = conf->policy;

	conf_unref(conf);
	p.lifetime_ms = lifetime_ms;
	p.retry_jitter_percent = 0;
	for (uint32_t i = 0; i < count; i++)
		p.retry_ms[i] = steps[i];
	if (count)
		p.retry_count = count;
	return p;
}

static int64_t instant_of(const struct plan_times *t, uint64_t n)
{
	return n < t->count ? t->at_ms[n]
			    : t->at_ms[t->count - 1] + (int64_t)(n - t->count + 1) * t->repeat_ms;
}

static void test_plan_retries_as_the_relay_does(void **state)
{
	static const struct {
		int64_t lifetime_ms;
		uint32_t count;
		int64_t steps[4];
	} cases[] = {
		{ 14 * DAY_MS, 0, { 0 } }, { 5 * DAY_MS, 2, { HOUR_MS, 4 * HOUR_MS } },
		{ DAY_MS, 2, { HOUR_MS, 2 * DAY_MS } }, { DAY_MS, 1, { 2 * DAY_MS } },
		{ DAY_MS, 1, { DAY_MS } }, { 4 * HOUR_MS, 1, { HOUR_MS } },
		{ 4 * HOUR_MS, 2, { HOUR_MS, 3 * HOUR_MS } },
		{ 4 * HOUR_MS + 1, 2, { HOUR_MS, 3 * HOUR_MS } },
		{ 90 * DAY_MS, 0, { 0 } }, /* lifetime-max cuts it */
	};
	struct envelope env = { .accepted = START };
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct conf_policy p =
			policy_with(cases[i].lifetime_ms, cases[i].count, cases[i].steps);
		struct policy_plan plan;
		struct wall now = START, end = retry_gives_up_at(&p, &env, NULL);
		uint32_t attempts = 1;

		policy_plan_make(&plan, &p);
		for (;; attempts++) {
			struct retry_decision d =
				retry_after_failure(&p, end, attempts, false, now, &rng);

			if (d.is_expired)
				break;
			now = d.due;
			if (attempts <= plan.retries.total)
				assert_int_equal(
					now.ms - START.ms, instant_of(&plan.retries, attempts - 1));
		}
		/* the first, those planned, the last at the end */
		assert_int_equal(attempts, plan.retries.total + 2);
		assert_int_equal(now.ms - START.ms, plan.gives_up_ms);
	}
}

static void test_plan_probes_as_the_relay_does(void **state)
{
	struct outcome refused = { .stage = STAGE_CONNECT, .err = ERR_REFUSED };

	(void)state;
	for (int known = 0; known < 2; known++) {
		struct conf_policy p = policy_with(14 * DAY_MS, 0, NULL);
		struct health_record h;
		struct policy_plan plan;
		struct rng rng;
		struct wall now = START, down;

		rng_init(&rng, 7);
		policy_plan_make(&plan, &p);
		const struct plan_times *t = known ? &plan.probes_known : &plan.probes_other;
		health_init(&h, now);
		if (known)
			(void)health_note_success(&h, now, true);
		for (int i = 0; i < 3; i++, now = wall_add(now, 40 * SECOND_MS))
			(void)health_note_failure(&h, &p, &refused, STR("mx"), now, &rng);
		assert_int_equal(h.state, HEALTH_DOWN);
		now = down = h.since;
		for (uint64_t n = 0; n < 20; n++) {
			int64_t before = n ? instant_of(t, n - 1) : 0;

			assert_int_equal(h.probe_step_ms, instant_of(t, n) - before);
			now = h.next_probe;
			(void)health_note_failure(&h, &p, &refused, STR("mx"), now, &rng);
		}
		int64_t said = instant_of(t, 19);
		assert_true(
			now.ms - down.ms > said * 85 / 100 && now.ms - down.ms < said * 115 / 100);
	}
}

static void test_plan_says_when_a_refusal_is_reported(void **state)
{
	struct conf_policy p = policy_with(14 * DAY_MS, 0, NULL);
	struct policy_plan plan;

	(void)state;
	policy_plan_make(&plan, &p);
	assert_int_equal(plan.unknown_user_known_ms, 40 * MINUTE_MS);
	assert_int_equal(plan.refused_ms, 10 * MINUTE_MS);
	p.has_storm_guard = false;
	policy_plan_make(&plan, &p);
	assert_int_equal(plan.unknown_user_known_ms, 0);
	assert_int_equal(plan.refused_ms, 0);
}

static void set_field(struct conf_policy *p, enum plan_warning w)
{
	switch (w) {
	case PLAN_STEP_BEYOND_LIFETIME:
		p->retry_ms[2] = p->lifetime_ms + 1;
		break;
	case PLAN_LIFETIME_SHORT:
		p->lifetime_ms = 5 * DAY_MS - 1;
		break;
	case PLAN_OUTAGES_COUNT:
		p->lifetime_max_ms = p->lifetime_ms;
		break;
	case PLAN_OUTAGE_ROOM_SHORT:
		p->lifetime_max_ms = p->lifetime_ms + 5 * DAY_MS;
		break;
	case PLAN_NOTICE_LATE:
		p->delay_notice_ms = p->lifetime_ms;
		break;
	case PLAN_PROBES_RARE:
		p->probe_last_ms = HOUR_MS + 1;
		break;
	case PLAN_NOTHING_KNOWN_GOOD:
		p->known_good_ms = 0;
		break;
	case PLAN_OUTAGE_LATE:
		p->outage_after_ms = p->lifetime_ms;
		break;
	case PLAN_REFUSED_LOST:
		p->keep_failed_ms = 0;
		break;
	case PLAN_HOLD_NONE:
		p->notice_hold_ms = 0;
		break;
	case PLAN_QUARANTINE_LONG:
		p->quarantine_ms = p->lifetime_ms;
		break;
	case PLAN_WARNING_COUNT:
		break;
	}
}

static void test_plan_warns_of_each_shortcoming_alone(void **state)
{
	struct conf_policy sound = policy_with(14 * DAY_MS, 0, NULL);
	struct policy_plan plan;

	(void)state;
	policy_plan_make(&plan, &sound);
	assert_int_equal(plan.warnings, 0);
	for (unsigned w = 0; w < PLAN_WARNING_COUNT; w++) {
		struct conf_policy p = sound;
		struct buf text;

		set_field(&p, (enum plan_warning)w);
		policy_plan_make(&plan, &p);
		assert_int_equal(plan.warnings, 1u << w);
		buf_init(&text, 1000);
		plan_warning_text(&text, (enum plan_warning)w, &p);
		assert_true(text.len > 30 && str_find(buf_str(&text), '%') == text.len);
		assert_true(strlen(plan_warning_name((enum plan_warning)w)) > 5);
		buf_fini(&text);
	}
}

static void test_guard_off_asks_for_nothing_that_it_would_need(void **state)
{
	struct conf_policy p = policy_with(14 * DAY_MS, 0, NULL);
	struct policy_plan plan;

	(void)state;
	p.has_storm_guard = false;
	p.keep_failed_ms = p.notice_hold_ms = 0;
	policy_plan_make(&plan, &p);
	assert_int_equal(plan.warnings, 0);
}

static void test_times_are_condensed(void **state)
{
	static const struct {
		struct plan_times times;
		const char *text;
	} cases[] = {
		{ { { 300000, 900000 }, 2, 7200000, 9 }, "+5m, +15m, then every 2h" },
		{ { { 300000 }, 1, 0, 1 }, "+5m" },
		{ { { 0 }, 0, 0, 0 }, "" },
		{ { { 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000, 11000, 12000,
			    13000 },
			  13, 0, 13 },
			"+1s, +2s, +3s, +4s, +5s, 3 more, +9s, +10s, +11s, +12s, +13s" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct buf text;

		buf_init(&text, 1000);
		plan_times_text(&text, &cases[i].times);
		assert_string_equal(buf_cstr(&text), cases[i].text);
		buf_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_retries_as_the_relay_does),
		cmocka_unit_test(test_plan_probes_as_the_relay_does),
		cmocka_unit_test(test_plan_says_when_a_refusal_is_reported),
		cmocka_unit_test(test_plan_warns_of_each_shortcoming_alone),
		cmocka_unit_test(test_guard_off_asks_for_nothing_that_it_would_need),
		cmocka_unit_test(test_times_are_condensed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
