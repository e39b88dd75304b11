/*
 * env - time, chance and the loop, as the core sees them. Adapters: os/ (libuv) and sim/ (virtual clock).
 *
 * Two clocks: now() is monotonic real time, for protocol deadlines. wall() is for schedules, lifetimes and
 * everything stored; under the daemon's fast clock it runs rate times faster. Schedules become timers through
 * env_mono_at. wall() never goes back while the process lives: it advances with the monotonic clock and is
 * steered to the system's clock when that differs by less than an hour; a larger jump is logged and ignored.
 *
 * Thread: loop, except wake().
 */
#ifndef PORT_ENV_H
#define PORT_ENV_H

#include <stddef.h>

#include "base/fault.h"
#include "base/instant.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/timer.h"
#include "port/secret.h"

struct env;

/* Work that would hold up the loop (password hashing): run() on another thread, then on_done() on the loop, once. */
struct env_work {
	void (*run)(struct env_work *w);
	void (*on_done)(struct env_work *w);
	void *adapter; /* the adapter's */
};

struct env_ops {
	struct mono (*now)(struct env *env);
	struct wall (*wall)(struct env *env);
	void (*random)(struct env *env, void *out,
		size_t len); /* unpredictable octets (seeded in simulation) */
	void (*timer_start)(struct env *env, struct timer *t, struct mono when);
	void (*timer_stop)(struct env *env, struct timer *t);
	void (*defer)(struct env *env, struct deferred *d);
	void (*undefer)(struct env *env, struct deferred *d);
	/* wake - makes the loop run its store completions soon. Thread: any. */
	void (*wake)(struct env *env);
	/* work - w and what it points to belong to the other thread until on_done. */
	void (*work)(struct env *env, struct env_work *w);
};

struct env {
	const struct env_ops *ops;
	int64_t rate;    /* wall milliseconds per real millisecond; 1 but for demo and tests */
	struct log *log; /* all borrowed, valid as long as the env */
	struct metrics *metrics;
	struct fault *fault; /* NULL: no faults */
	const struct secret_ops *secret;
	void (*on_wake)(
		struct env *env); /* set by the store adapter; runs on the loop after wake() */
	void *wake_context;       /* the store adapter's */
};

static inline struct mono env_now(struct env *env)
{
	return env->ops->now(env);
}
static inline struct wall env_wall(struct env *env)
{
	return env->ops->wall(env);
}
static inline void env_random(struct env *env, void *out, size_t len)
{
	env->ops->random(env, out, len);
}
/* env_timer_after - real milliseconds from now: protocol deadlines. */
static inline void env_timer_after(struct env *env, struct timer *t, int64_t ms)
{
	env->ops->timer_start(env, t, mono_add(env_now(env), ms));
}
static inline void env_timer_stop(struct env *env, struct timer *t)
{
	env->ops->timer_stop(env, t);
}
static inline void env_defer(struct env *env, struct deferred *d)
{
	env->ops->defer(env, d);
}
static inline void env_undefer(struct env *env, struct deferred *d)
{
	env->ops->undefer(env, d);
}
static inline void env_work(struct env *env, struct env_work *w)
{
	env->ops->work(env, w);
}
/* env_timer_after_wall - wall milliseconds from now, but no less than least_ms of real time: work of the house, which a
 * fast clock must not make a busy loop of. */
static inline void env_timer_after_wall(
	struct env *env, struct timer *t, int64_t wall_ms, int64_t least_ms)
{
	int64_t ms = wall_ms / env->rate;

	env_timer_after(env, t, ms > least_ms ? ms : least_ms);
}
/* env_mono_at - the monotonic instant at which wall() will reach t (now if it has). */
static inline struct mono env_mono_at(struct env *env, struct wall t)
{
	struct wall w = env_wall(env);

	if (t.ms == INT64_MAX)
		return MONO_NEVER;
	return t.ms <= w.ms ? env_now(env)
			    : mono_add(env_now(env), (t.ms - w.ms + env->rate - 1) / env->rate);
}
/* env_timer_at - schedules: fires when wall() reaches t. */
static inline void env_timer_at(struct env *env, struct timer *t, struct wall when)
{
	env->ops->timer_start(env, t, env_mono_at(env, when));
}

#endif
