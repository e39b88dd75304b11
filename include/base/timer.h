/*
 * timer - deadlines on the monotonic clock, and calls put off to the next turn of the loop.
 *
 * Both are embedded in whoever waits; neither allocates. An adapter of port/env.h holds one struct
 * timers and runs it. Timers fire in order of (instant, sequence of starting): a simulation replays.
 * A timer that is started again moves. A zeroed timer or deferred call is idle. Thread: loop.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>

#include "base/heap.h"
#include "base/instant.h"
#include "base/list.h"

struct timer {
	struct heap_node node;
	struct mono when;
	uint64_t sequence;
	void (*on_fire)(
		struct timer *t); /* set by the owner; the timer is idle again when it runs */
};

struct deferred {
	struct list link;
	void (*on_run)(struct deferred *d); /* set by the owner */
};

struct timers {
	struct heap heap;
	uint64_t next_sequence;
	struct list deferred;
};

void timers_init(struct timers *ts);
void timers_fini(struct timers *ts);
void timers_start(struct timers *ts, struct timer *t, struct mono when);
void timers_stop(struct timers *ts, struct timer *t); /* legal when idle */
static inline bool timer_is_active(const struct timer *t)
{
	return t->node.slot != 0;
}
void timers_defer(struct timers *ts, struct deferred *d); /* once however often it is asked for */
void timers_undefer(struct timers *ts, struct deferred *d);
/* timers_next - the instant of the first timer; MONO_NEVER when none; the past when calls are deferred. */
struct mono timers_next(const struct timers *ts);
/*
 * timers_run - runs all deferred calls, then all timers due at now. What is deferred or started meanwhile
 * waits for the next run; a timer started meanwhile for a moment before now counts as started for now.
 */
void timers_run(struct timers *ts, struct mono now);

#endif
