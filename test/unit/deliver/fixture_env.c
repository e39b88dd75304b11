/* fixture_env - see fixture_env.h. */
#include "fixture_env.h"

#include <string.h>

#include "base/check.h"

#define TURNS_MAX 100000

static struct fixture_env *of(struct env *env)
{
	return CONTAINER_OF(env, struct fixture_env, env);
}

static struct mono now(struct env *env)
{
	return of(env)->now;
}

static struct wall wall(struct env *env)
{
	return of(env)->wall;
}

static void fill_random(struct env *env, void *out, size_t len)
{
	unsigned char *to = out;

	for (size_t i = 0; i < len; i++)
		to[i] = (unsigned char)rng_next(&of(env)->rng);
}

static void timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&of(env)->timers, t, when);
}

static void timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&of(env)->timers, t);
}

static void defer(struct env *env, struct deferred *d)
{
	timers_defer(&of(env)->timers, d);
}

static void undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&of(env)->timers, d);
}

static void wake(struct env *env)
{
	(void)env;
}

static void emit(struct log *log, const struct log_event *event)
{
	(void)log;
	(void)event;
}

static const struct env_ops ops = {
	.now = now,
	.wall = wall,
	.random = fill_random,
	.timer_start = timer_start,
	.timer_stop = timer_stop,
	.defer = defer,
	.undefer = undefer,
	.wake = wake,
};

void fixture_env_init(struct fixture_env *f)
{
	memset(f, 0, sizeof(*f));
	timers_init(&f->timers);
	rng_init(&f->rng, 1);
	f->now.ms = 1000;
	f->wall.ms = INT64_C(1674500000) * 1000;
	f->log = (struct log){ .level = LOG_ERROR, .emit = emit };
	f->env = (struct env){ .ops = &ops, .rate = 1, .log = &f->log, .metrics = &f->metrics };
}

void fixture_env_fini(struct fixture_env *f)
{
	timers_fini(&f->timers);
}

void fixture_env_turn(struct fixture_env *f)
{
	timers_run(&f->timers, f->now);
}

void fixture_env_settle(struct fixture_env *f)
{
	for (unsigned i = 0; timers_next(&f->timers).ms <= f->now.ms; i++) {
		CHECK(i < TURNS_MAX);
		fixture_env_turn(f);
	}
}

void fixture_env_advance(struct fixture_env *f, int64_t ms)
{
	int64_t end = f->now.ms + ms;

	fixture_env_settle(f);
	while (f->now.ms < end) {
		int64_t next = timers_next(&f->timers).ms < end ? timers_next(&f->timers).ms : end;

		f->wall.ms += next - f->now.ms;
		f->now.ms = next;
		fixture_env_settle(f);
	}
}
