/*
 * os_env - port/env.h on libuv: the loop, both clocks, chance, timers, signals, and the wake-up
 * from other threads.
 *
 * The daemon calls os_env_init, builds the other adapters on it, and gives the thread to os_env_run
 * until somebody calls os_env_stop. Then the other adapters end first, os_env_fini last. Thread:
 * loop, unless a function says otherwise.
 */
#ifndef OS_OS_ENV_H
#define OS_OS_ENV_H

#include <stdint.h>

#include "base/err.h"
#include "base/instant.h"
#include "port/env.h"

struct env_uv;

struct os_env {
	struct env env;    /* what the core gets */
	struct env_uv *uv; /* the adapter's */
};

#define OS_ENV_RATE_MAX 1000000

struct os_env_params {
	int64_t rate; /* 1..OS_ENV_RATE_MAX; 1 is the real clock */
	/* rate > 1: wall() is origin_wall_ms at the system's time origin_real_ms and runs rate
	 * times as fast from there, so a restart with the same origin goes on with the same clock.
	 * Unused for rate 1. */
	int64_t origin_real_ms;
	int64_t origin_wall_ms;
	struct log *log; /* the rest is borrowed until os_env_fini */
	struct metrics *metrics;
	struct fault *fault; /* may be NULL */
};

/* os_env_init - also ignores SIGPIPE for the process. Errors: ERR_NO_FDS. */
MUST_USE enum err os_env_init(struct os_env *e, const struct os_env_params *params);

/* os_env_on_signal - from now on HUP, TERM, INT and USR1 call on_signal on the loop instead of
 * ending the process. */
void os_env_on_signal(struct os_env *e, void (*on_signal)(void *user, int number), void *user);

/* os_env_run - runs the loop until os_env_stop. */
void os_env_run(struct os_env *e);
/* os_env_run_once - one turn: waits for the next event or timer, then runs what is due. */
void os_env_run_once(struct os_env *e);
void os_env_stop(struct os_env *e);

/* os_env_fini - ends the loop. Returns how many handles of other adapters were still open: 0 unless
 * one leaks. */
unsigned os_env_fini(struct os_env *e);

/* os_real_ms - the system's clock, milliseconds since 1970. Thread: any. */
int64_t os_real_ms(void);
/* os_env_stamp - wall() for log lines: under rate 1 the system's clock itself. Thread: any. */
struct wall os_env_stamp(const struct env *env);

#endif
