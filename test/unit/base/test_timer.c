/* Timers against a model that searches an array for the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/timer.h"

enum { TIMER_COUNT = 40 };

struct item {
	struct timer timer;
	struct model *model;
	struct mono when;
	uint64_t order; /* of starting; 0: idle */
};

struct model {
	struct timers timers;
	struct rng rng;
	struct item items[TIMER_COUNT];
	uint64_t next_order;
	uint64_t first_new; /* order at the start of the run */
	struct mono now;
	unsigned fired;
};

static struct item *expected_next(struct model *m)
{
	struct item *min = NULL;
	for (size_t i = 0; i < TIMER_COUNT; i++) {
		struct item *item = &m->items[i];
		if (item->order == 0 || item->order >= m->first_new || item->when.ms > m->now.ms)
			continue;
		if (!min || item->when.ms < min->when.ms ||
			(item->when.ms == min->when.ms && item->order < min->order))
			min = item;
	}
	return min;
}

static void change_something(struct model *m)
{
	struct item *item = &m->items[rng_below(&m->rng, TIMER_COUNT)];
	if (rng_below(&m->rng, 4) == 0) {
		timers_stop(&m->timers, &item->timer);
		item->order = 0;
		return;
	}
	item->when = mono_add(m->now, (int64_t)rng_below(&m->rng, 40) - 10);
	item->order = m->next_order++;
	timers_start(&m->timers, &item->timer, item->when);
}

static void on_item_fire(struct timer *t)
{
	struct item *item = CONTAINER_OF(t, struct item, timer);
	struct model *m = item->model;
	assert_false(timer_is_active(t));
	assert_ptr_equal(item, expected_next(m));
	item->order = 0;
	m->fired++;
	for (uint64_t n = rng_below(&m->rng, 3); n > 0; n--)
		change_something(m);
}

static void run_model(struct model *m)
{
	m->first_new = m->next_order;
	timers_run(&m->timers, m->now);
	assert_null(expected_next(m));
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < TIMER_COUNT; i++) {
		struct item *item = &m->items[i];
		assert_int_equal(timer_is_active(&item->timer), item->order != 0);
		if (item->order >= m->first_new && item->when.ms < m->now.ms)
			item->when = m->now;
		if (item->order != 0 && item->when.ms < next)
			next = item->when.ms;
	}
	assert_int_equal(timers_next(&m->timers).ms, next);
}

static void test_timers_agree_with_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		static struct model m;
		m = (struct model){ .next_order = 1, .now = { 1000 } };
		timers_init(&m.timers);
		rng_init(&m.rng, seed);
		for (size_t i = 0; i < TIMER_COUNT; i++)
			m.items[i] = (struct item){ .model = &m, .timer.on_fire = on_item_fire };
		for (unsigned round = 0; round < 500; round++) {
			for (uint64_t n = rng_below(&m.rng, 6); n > 0; n--)
				change_something(&m);
			m.now = mono_add(m.now, (int64_t)rng_below(&m.rng, 8));
			run_model(&m);
		}
		assert_true(m.fired > 500);
		timers_fini(&m.timers);
	}
}

struct repeat {
	struct timer timer;
	struct deferred deferred;
	struct timers *timers;
	struct repeat *victim;
	unsigned fired, ran;
};

static void on_repeat_fire(struct timer *t)
{
	struct repeat *r = CONTAINER_OF(t, struct repeat, timer);
	assert_true(r->fired++ < 100); /* rather than spin for ever */
	timers_start(r->timers, t, t->when);
}

static void on_repeat_run(struct deferred *d)
{
	struct repeat *r = CONTAINER_OF(d, struct repeat, deferred);
	r->ran++;
	timers_defer(r->timers, d);
	if (r->victim)
		timers_undefer(r->timers, &r->victim->deferred);
}

static void init_repeat(struct repeat *r, struct timers *timers)
{
	*r = (struct repeat){
		.timers = timers, .timer.on_fire = on_repeat_fire, .deferred.on_run = on_repeat_run
	};
}

static void test_timer_that_starts_itself_fires_once_a_run(void **state)
{
	(void)state;
	struct timers timers;
	struct repeat a, b;
	timers_init(&timers);
	init_repeat(&a, &timers);
	init_repeat(&b, &timers);
	timers_start(&timers, &a.timer, (struct mono){ 5 });
	timers_start(&timers, &b.timer, (struct mono){ 7 });
	for (unsigned run = 1; run <= 3; run++) {
		timers_run(&timers, (struct mono){ 10 });
		assert_int_equal(a.fired, run);
		assert_int_equal(b.fired, run);
	}
	timers_stop(&timers, &a.timer);
	timers_stop(&timers, &a.timer);
	timers_stop(&timers, &b.timer);
	assert_int_equal(timers_next(&timers).ms, MONO_NEVER.ms);
	timers_fini(&timers);
}

static void test_deferred_calls_run_once_a_run_and_first(void **state)
{
	(void)state;
	struct timers timers;
	struct repeat a, b;
	timers_init(&timers);
	init_repeat(&a, &timers);
	init_repeat(&b, &timers);
	timers_start(&timers, &b.timer, (struct mono){ 50 });
	timers_defer(&timers, &a.deferred);
	timers_defer(&timers, &a.deferred);
	assert_true(timers_next(&timers).ms <= 0);
	timers_run(&timers, (struct mono){ 10 });
	assert_int_equal(a.ran, 1);
	assert_true(timers_next(&timers).ms <= 0);
	a.victim = &b;
	timers_defer(&timers, &b.deferred);
	timers_run(&timers, (struct mono){ 10 });
	assert_int_equal(a.ran, 2);
	assert_int_equal(b.ran, 0);
	timers_undefer(&timers, &a.deferred);
	timers_run(&timers, (struct mono){ 10 });
	assert_int_equal(a.ran, 2);
	assert_int_equal(timers_next(&timers).ms, 50);
	timers_fini(&timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_agree_with_the_model),
		cmocka_unit_test(test_timer_that_starts_itself_fires_once_a_run),
		cmocka_unit_test(test_deferred_calls_run_once_a_run_and_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
