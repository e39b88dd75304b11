/* fixture_env - port/env on a virtual clock, one loop turn at a time, chance by seed. */
#ifndef TEST_UNIT_DELIVER_FIXTURE_ENV_H
#define TEST_UNIT_DELIVER_FIXTURE_ENV_H

#include "base/rng.h"
#include "port/env.h"

struct fixture_env {
	struct env env;
	struct timers timers;
	struct mono now;
	struct wall wall;
	struct rng rng;
	struct metrics metrics;
	struct log log;
};

void fixture_env_init(struct fixture_env *f);
void fixture_env_fini(struct fixture_env *f);
/* fixture_env_turn - runs deferred calls and due timers once. */
void fixture_env_turn(struct fixture_env *f);
/* fixture_env_settle - turns until nothing is deferred. */
void fixture_env_settle(struct fixture_env *f);
/* fixture_env_advance - both clocks go on, timers firing at their instants. */
void fixture_env_advance(struct fixture_env *f, int64_t ms);

#endif
