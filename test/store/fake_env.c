/* fake_env - see fake_env.h. */
#include "store/fake_env.h"

#include <string.h>
#include <time.h>

#include "base/check.h"

enum { DEADLINE_MS = 60000 };

static struct fake_env *self(struct env *env)
{
	return CONTAINER_OF(env, struct fake_env, env);
}

static struct mono on_now(struct env *env)
{
	return self(env)->now;
}

static struct wall on_wall(struct env *env)
{
	return self(env)->wall;
}

static void on_random(struct env *env, void *out, size_t len)
{
	(void)env;
	memset(out, 7, len);
}

static void on_timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&self(env)->timers, t, when);
}

static void on_timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&self(env)->timers, t);
}

static void on_defer(struct env *env, struct deferred *d)
{
	timers_defer(&self(env)->timers, d);
}

static void on_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&self(env)->timers, d);
}

static void on_wake_any(struct env *env)
{
	struct fake_env *fe = self(env);
	pthread_mutex_lock(&fe->lock);
	fe->is_woken = true;
	pthread_cond_signal(&fe->on_woken);
	pthread_mutex_unlock(&fe->lock);
}

static void on_emit(struct log *log, const struct log_event *event)
{
	struct fake_env *fe = CONTAINER_OF(log, struct fake_env, log);
	fe->warning_count += event->level <= LOG_WARNING;
}

static const struct env_ops fake_ops = {
	.now = on_now,
	.wall = on_wall,
	.random = on_random,
	.timer_start = on_timer_start,
	.timer_stop = on_timer_stop,
	.defer = on_defer,
	.undefer = on_undefer,
	.wake = on_wake_any,
};

void fake_env_init(struct fake_env *fe)
{
	*fe = (struct fake_env){ .wall = { INT64_C(1674432000000) } };
	fe->log = (struct log){ .level = LOG_DEBUG, .emit = on_emit };
	fe->env = (struct env){ .ops = &fake_ops,
		.rate = 1,
		.log = &fe->log,
		.metrics = &fe->metrics,
		.fault = &fe->fault };
	timers_init(&fe->timers);
	CHECK(pthread_mutex_init(&fe->lock, NULL) == 0 &&
		pthread_cond_init(&fe->on_woken, NULL) == 0);
}

void fake_env_fini(struct fake_env *fe)
{
	timers_fini(&fe->timers);
	pthread_cond_destroy(&fe->on_woken);
	pthread_mutex_destroy(&fe->lock);
}

bool fake_env_turn(struct fake_env *fe)
{
	pthread_mutex_lock(&fe->lock);
	bool is_woken = fe->is_woken;
	fe->is_woken = false;
	pthread_mutex_unlock(&fe->lock);
	if (is_woken && fe->env.on_wake)
		fe->env.on_wake(&fe->env);
	bool is_deferred = !list_is_empty(&fe->timers.deferred);
	timers_run(&fe->timers, fe->now);
	return is_woken || is_deferred;
}

void fake_env_wait(struct fake_env *fe, const bool *flag)
{
	CHECK(fake_env_wait_ms(fe, flag, DEADLINE_MS));
}

bool fake_env_wait_ms(struct fake_env *fe, const bool *flag, int ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!*flag) {
		if (fake_env_turn(fe))
			continue;
		pthread_mutex_lock(&fe->lock);
		int rc =
			fe->is_woken ? 0 : pthread_cond_timedwait(&fe->on_woken, &fe->lock, &until);
		pthread_mutex_unlock(&fe->lock);
		if (rc != 0 && !*flag && !fake_env_turn(fe))
			return *flag;
	}
	return true;
}
