/* env_uv - what the other adapters of this folder need from the loop. */
#ifndef OS_ENV_UV_H
#define OS_ENV_UV_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "base/timer.h"
#include "clock.h"
#include "os/os_env.h"

/* Runs at the end of each turn, before the loop waits: output gathered in the turn leaves here. */
struct turn_hook {
	struct list link;
	void (*on_turn_end)(struct turn_hook *h);
};

#define ENV_SIGNAL_COUNT 4

struct env_uv {
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while something is due, so that the loop does not wait */
	uv_timer_t timer;
	uv_async_t async;
	uv_signal_t signals[ENV_SIGNAL_COUNT];
	void (*on_signal)(void *user, int number);
	void *signal_user;
	struct timers timers;
	struct list turn_hooks;
	struct clock clock;
	bool is_turning;  /* in uv_run: the turn hooks will run */
	bool is_draining; /* handles are being closed: nobody's timers run any more */
};

static inline struct os_env *os_env_of(struct env *env)
{
	return CONTAINER_OF(env, struct os_env, env);
}

/* env_uv_drain - turns the loop, timers off, until *count_open is zero: for the fini of an adapter,
 * outside os_env_run. */
void env_uv_drain(struct os_env *e, const size_t *count_open);

/* env_uv_work - env_ops.work (work_uv.c). */
void env_uv_work(struct env *env, struct env_work *work);

/* err_from_uv - a negative libuv status as the house says it. */
enum err err_from_uv(int status);

#endif
