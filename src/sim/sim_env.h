/*
 * sim_env - the virtual clock: port/env.h for the relay, and timers of the world around it (network, peers, script).
 *
 * Time stands still while anything runs and jumps to the next timer. The relay's own timers are apart from the world's,
 * so that a crash can drop them. All chance comes from one seed; every event of note goes into the trace, whose hash is
 * equal for equal seeds.
 */
#ifndef SIM_ENV_H
#define SIM_ENV_H

#include <stdio.h>

#include "base/rng.h"
#include "port/env.h"

#define SIM_EPOCH_MS INT64_C(1674432000000) /* 2023-01-23T00:00:00Z */
#define SIM_MONO_START_MS INT64_C(1000000)

struct sim_clock {
	int64_t now_ms;       /* since the start of the simulation */
	struct timers timers; /* of the world */
	struct rng rng;
	uint64_t hash; /* of the trace so far */
	uint64_t line_count;
	FILE *file; /* the trace is also written here; NULL: not */
};

void sim_clock_init(struct sim_clock *c, uint64_t seed, FILE *trace);
void sim_clock_fini(struct sim_clock *c);
struct mono sim_now(const struct sim_clock *c);
void sim_after(struct sim_clock *c, struct timer *t, int64_t ms); /* a timer of the world */
void sim_stop(struct sim_clock *c, struct timer *t);
void sim_trace(struct sim_clock *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One life of the relay's process: a crash ends it. */
struct sim_env {
	struct env env;
	struct sim_clock *clock;
	struct timers timers;
	struct rng rng;
	struct log log;
	struct metrics metrics;
	struct fault fault;
	struct deferred wake;
	struct list works;
	uint64_t log_count;
	int64_t wall_ms; /* the wall clock is off by it */
};

void sim_env_init(struct sim_env *e, struct sim_clock *clock, int64_t wall_ms);
void sim_env_fini(struct sim_env *e);

#endif
