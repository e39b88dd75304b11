/*
 * os_fetch - port/fetch.h by a helper program (outlast-fetch), one process for each request: HTTP and what comes by it
 * never enter the daemon.
 *
 * A request is over when its process has ended and its output is read; a process that outlives FETCH_MS by 5 s is killed.
 * At most OS_FETCH_RUNNING_MAX run, OS_FETCH_WAITING_MAX wait. Thread: loop.
 */
#ifndef OS_OS_FETCH_H
#define OS_OS_FETCH_H

#include "os/os_env.h"
#include "port/fetch.h"

#define OS_FETCH_RUNNING_MAX 8
#define OS_FETCH_WAITING_MAX 256

struct fetch_uv;

struct os_fetch {
	struct fetch fetch;  /* what the core gets */
	struct fetch_uv *uv; /* the adapter's; NULL: not initialised */
};

struct os_fetch_params {
	const char *helper;           /* path of the program; copied, like the next */
	const char *authorities_path; /* PEM bundle; NULL or empty: those of the system */
	uint16_t port;                /* 0: 443 */
	int64_t limit_ms;             /* 0: FETCH_MS and 5 s; tests take less */
};

void os_fetch_init(struct os_fetch *f, struct os_env *env, const struct os_fetch_params *params);
/* os_fetch_set - other settings for what starts from now on (a reload). */
void os_fetch_set(struct os_fetch *f, const struct os_fetch_params *params);
/* os_fetch_fini - kills what still runs; nobody hears of it. Legal on a zeroed one. */
void os_fetch_fini(struct os_fetch *f);

#endif
