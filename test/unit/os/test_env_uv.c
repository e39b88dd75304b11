/* Tests of os/env_uv on a real loop: order of timers and deferred calls, wake-ups from a thread,
 * signals. */
#include "unit/os/fixture_os.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "os/env_uv.h"

struct probe {
	struct timer timer;
	struct deferred deferred;
	struct probe **order; /* where to note the running */
	size_t *count;
	struct env *env;
	unsigned deferrals_left;
};

static void note(struct probe *p)
{
	p->order[*p->count] = p;
	++*p->count;
}

static void on_fire(struct timer *t)
{
	note(CONTAINER_OF(t, struct probe, timer));
}

static void on_run(struct deferred *d)
{
	struct probe *p = CONTAINER_OF(d, struct probe, deferred);

	note(p);
	if (p->deferrals_left > 0) {
		p->deferrals_left--;
		env_defer(p->env, d);
	}
}

static void test_env_timers_fire_in_order_and_not_early(void **state)
{
	static const int64_t after_ms[] = { 30, 10, 20, 10 };
	static const size_t expected[] = { 1, 3, 2, 0 };
	struct fixture f;
	struct probe probes[4] = { 0 }, *order[4];
	size_t count = 0;

	(void)state;
	fixture_init(&f, 1);
	struct mono start = env_now(f.env);
	for (size_t i = 0; i < 4; i++) {
		probes[i] =
			(struct probe){ .timer.on_fire = on_fire, .order = order, .count = &count };
		env_timer_after(f.env, &probes[i].timer, after_ms[i]);
	}
	fixture_wait_count(&f, &count, 4);
	assert_true(env_now(f.env).ms - start.ms >= 30);
	for (size_t i = 0; i < 4; i++)
		assert_ptr_equal(order[i], &probes[expected[i]]);
	fixture_fini(&f);
}

static void test_env_stopped_timer_and_undeferred_call_do_not_run(void **state)
{
	struct fixture f;
	struct probe stopped, undeferred, last, *order[3];
	size_t count = 0;

	(void)state;
	fixture_init(&f, 1);
	last = (struct probe){ .timer.on_fire = on_fire, .order = order, .count = &count };
	stopped = last;
	undeferred = last;
	undeferred.deferred.on_run = on_run;
	env_timer_after(f.env, &stopped.timer, 1);
	env_timer_after(f.env, &last.timer, 5);
	env_timer_stop(f.env, &stopped.timer);
	env_defer(f.env, &undeferred.deferred);
	env_undefer(f.env, &undeferred.deferred);
	fixture_wait_count(&f, &count, 1);
	assert_int_equal(count, 1);
	assert_ptr_equal(order[0], &last);
	fixture_fini(&f);
}

static void test_env_defer_runs_later_and_may_be_asked_again(void **state)
{
	struct fixture f;
	struct probe p, *order[4];
	size_t count = 0;

	(void)state;
	fixture_init(&f, 1);
	p = (struct probe){ .deferred.on_run = on_run,
		.order = order,
		.count = &count,
		.env = f.env,
		.deferrals_left = 3 };
	env_defer(f.env, &p.deferred);
	assert_int_equal(count, 0);
	os_env_run_once(&f.os);
	assert_int_equal(count, 1);
	fixture_wait_count(&f, &count, 4);
	fixture_fini(&f);
}

static void test_env_fast_clock_scales_schedules(void **state)
{
	struct fixture f;
	struct probe p, *order[1];
	size_t count = 0;

	(void)state;
	fixture_init(&f, 100000); /* an hour lasts 36 ms */
	p = (struct probe){ .timer.on_fire = on_fire, .order = order, .count = &count };
	struct wall due = wall_add(env_wall(f.env), HOUR_MS);
	struct mono start = env_now(f.env);
	env_timer_at(f.env, &p.timer, due);
	fixture_wait_count(&f, &count, 1);
	assert_true(env_wall(f.env).ms >= due.ms);
	assert_in_range(env_now(f.env).ms - start.ms, 34, 5000);
	fixture_fini(&f);
}

static void test_env_wall_is_the_system_clock(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1);
	int64_t difference_ms = env_wall(f.env).ms - os_real_ms();
	assert_true(difference_ms > -1000 && difference_ms < 1000);
	fixture_fini(&f);
}

static void test_env_clock_jump_is_ignored_logged_and_counted(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 1);
	/* as if the system's clock had been put back by a year since a second ago */
	int64_t ahead_ms = 365 * DAY_MS;
	f.os.uv->clock.base_mono.ms -= 1000;
	f.os.uv->clock.base_wall.ms += ahead_ms - 1000;
	struct wall first = env_wall(f.env);
	f.os.uv->clock.base_mono.ms -= 1000;
	f.os.uv->clock.base_wall.ms -= 1000;
	struct wall second = env_wall(f.env);
	assert_true(first.ms - os_real_ms() > ahead_ms - HOUR_MS);
	assert_true(second.ms >= first.ms);
	assert_int_equal(f.log_count, 1);
	assert_int_equal(f.metrics.value[METRIC_clock_jumps_total], 1);
	fixture_fini(&f);
}

static void test_env_random_fills_everything(void **state)
{
	struct fixture f;
	unsigned char a[1000], b[1000];
	size_t zeros = 0;

	(void)state;
	fixture_init(&f, 1);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	env_random(f.env, a, sizeof(a));
	env_random(f.env, b, sizeof(b));
	for (size_t i = 0; i < sizeof(a); i++)
		zeros += a[i] == 0;
	assert_true(zeros < 100);
	assert_memory_not_equal(a, b, sizeof(a));
	fixture_fini(&f);
}

#define WAKES_PER_THREAD 1000

struct sharing {
	pthread_mutex_t mutex;
	size_t posted; /* guarded */
	size_t seen;   /* the loop's */
	struct env *env;
};

static void on_wake(struct env *env)
{
	struct sharing *s = env->wake_context;

	pthread_mutex_lock(&s->mutex);
	s->seen = s->posted;
	pthread_mutex_unlock(&s->mutex);
}

static void *post_many(void *context)
{
	struct sharing *s = context;

	for (size_t i = 0; i < WAKES_PER_THREAD; i++) {
		pthread_mutex_lock(&s->mutex);
		s->posted++;
		pthread_mutex_unlock(&s->mutex);
		s->env->ops->wake(s->env);
	}
	return NULL;
}

static void test_env_wake_from_threads_loses_nothing(void **state)
{
	struct fixture f;
	struct sharing s = { .mutex = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[2];

	(void)state;
	fixture_init(&f, 1);
	s.env = f.env;
	f.env->on_wake = on_wake;
	f.env->wake_context = &s;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, &s), 0);
	fixture_wait_count(&f, &s.seen, 2 * WAKES_PER_THREAD);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	fixture_fini(&f);
}

struct job {
	struct env_work work;
	pthread_t ran_on, done_on;
	bool is_done;
};

static void on_work(struct env_work *w)
{
	CONTAINER_OF(w, struct job, work)->ran_on = pthread_self();
}

static void on_work_done(struct env_work *w)
{
	struct job *j = CONTAINER_OF(w, struct job, work);

	j->done_on = pthread_self();
	j->is_done = true;
}

static void test_env_work_runs_elsewhere_and_completes_on_the_loop(void **state)
{
	struct fixture f;
	struct job job = { .work = { .run = on_work, .on_done = on_work_done } };
	struct job dropped = job;

	(void)state;
	fixture_init(&f, 1);
	env_work(f.env, &job.work);
	assert_false(job.is_done);
	fixture_wait(&f, &job.is_done);
	assert_false(pthread_equal(job.ran_on, pthread_self()));
	assert_true(pthread_equal(job.done_on, pthread_self()));
	env_work(f.env, &dropped.work);
	fixture_fini(&f); /* waits for the thread, tells nobody */
	assert_false(dropped.is_done);
}

static void on_signal(void *user, int number)
{
	int *seen = user;

	*seen = number;
}

static void test_env_signals_reach_the_handler(void **state)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGUSR1 };
	struct fixture f;

	(void)state;
	fixture_init(&f, 1);
	for (size_t i = 0; i < 4; i++) {
		int seen = 0;
		os_env_on_signal(&f.os, on_signal, &seen);
		assert_int_equal(kill(getpid(), numbers[i]), 0);
		for (int turn = 0; turn < 100 && seen == 0; turn++)
			os_env_run_once(&f.os);
		assert_int_equal(seen, numbers[i]);
	}
	fixture_fini(&f);
}

static void on_stop(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);

	note(p);
	os_env_stop(CONTAINER_OF(p->env, struct os_env, env));
}

static void test_env_run_ends_with_stop(void **state)
{
	struct fixture f;
	struct probe p, *order[1];
	size_t count = 0;

	(void)state;
	fixture_init(&f, 1);
	p = (struct probe){
		.timer.on_fire = on_stop, .order = order, .count = &count, .env = f.env
	};
	env_timer_after(f.env, &p.timer, 5);
	os_env_run(&f.os);
	assert_int_equal(count, 1);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_env_timers_fire_in_order_and_not_early),
		cmocka_unit_test(test_env_stopped_timer_and_undeferred_call_do_not_run),
		cmocka_unit_test(test_env_defer_runs_later_and_may_be_asked_again),
		cmocka_unit_test(test_env_fast_clock_scales_schedules),
		cmocka_unit_test(test_env_wall_is_the_system_clock),
		cmocka_unit_test(test_env_clock_jump_is_ignored_logged_and_counted),
		cmocka_unit_test(test_env_random_fills_everything),
		cmocka_unit_test(test_env_wake_from_threads_loses_nothing),
		cmocka_unit_test(test_env_work_runs_elsewhere_and_completes_on_the_loop),
		cmocka_unit_test(test_env_signals_reach_the_handler),
		cmocka_unit_test(test_env_run_ends_with_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
