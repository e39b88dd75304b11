/* fixture_os - a real loop for tests: a log that remembers its last line, and waiting for a
 * condition. */
#ifndef FIXTURE_OS_H
#define FIXTURE_OS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os_env.h"

struct fixture {
	struct os_env os;
	struct env *env;
	struct metrics metrics;
	struct log log;
	unsigned log_count;
};

void fixture_init(struct fixture *f, int64_t rate);
void fixture_fini(struct fixture *f); /* asserts that no handle leaked */
/* fixture_wait - turns the loop until *is_done; fails the test after ten seconds. */
void fixture_wait(struct fixture *f, const bool *is_done);
/* fixture_wait_count - the same until *count reaches at_least. */
void fixture_wait_count(struct fixture *f, const size_t *count, size_t at_least);

#endif
