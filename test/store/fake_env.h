/*
 * fake_env - a small loop for tests of the store: manual clocks, real wake-ups from other
 * threads.
 *
 * fake_env_wait turns the loop until a flag is set; it fails the test after a deadline of real
 * time.
 */
#ifndef TEST_STORE_FAKE_ENV_H
#define TEST_STORE_FAKE_ENV_H

#include <pthread.h>
#include <stdbool.h>

#include "port/env.h"

struct fake_env {
	struct env env;
	struct timers timers;
	struct log log;
	struct metrics metrics;
	struct fault fault;
	struct mono now;
	struct wall wall;
	unsigned warning_count; /* log lines of level warning or worse */
	pthread_mutex_t lock;
	pthread_cond_t on_woken;
	bool is_woken;
};

void fake_env_init(struct fake_env *fe);
void fake_env_fini(struct fake_env *fe);
/* fake_env_turn - one turn of the loop; false when there was nothing to do. */
bool fake_env_turn(struct fake_env *fe);
void fake_env_wait(struct fake_env *fe, const bool *flag);
/* fake_env_wait_ms - the same with a limit; false when it passed. */
bool fake_env_wait_ms(struct fake_env *fe, const bool *flag, int ms);

#endif
