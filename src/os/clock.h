/* clock - the arithmetic of wall(): pure functions of the instants they are given. */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

/* How often the system's clock is looked at: slewing in whole milliseconds wants steps that can be
 * halved. */
#define CLOCK_STEER_MS 100
#define CLOCK_JUMP_MS HOUR_MS

struct clock {
	int64_t rate;
	struct mono base_mono; /* wall was base_wall then */
	struct wall base_wall;
	int64_t debt_ms;    /* wall is ahead by this much, and runs at half speed until it is not */
	int64_t ignored_ms; /* system - wall after a jump that is ignored; 0: none */
};

/* clock_origin - wall at the system's time real_ms under a fast clock; before the origin it stands
 * at the origin. */
struct wall clock_origin(
	int64_t rate, int64_t origin_real_ms, int64_t origin_wall_ms, int64_t real_ms);
void clock_init(struct clock *c, int64_t rate, struct mono now, struct wall wall);
/* clock_read - wall at now; between two calls with rising now it never goes back. */
struct wall clock_read(const struct clock *c, struct mono now);
/* clock_must_steer - true when it is time for clock_steer; never for a fast clock. */
bool clock_must_steer(const struct clock *c, struct mono now);
/*
 * clock_steer - compares with the system's clock: follows it forward at once, slews back at half
 * speed. Differences of an hour and more are ignored. Returns the size of a jump seen for the first
 * time, else 0.
 */
int64_t clock_steer(struct clock *c, struct mono now, int64_t real_ms);

#endif
