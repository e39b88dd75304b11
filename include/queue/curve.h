/*
 * curve - the backlog of an outage over time, brought down to as many points as a screen has lines. Pure.
 */
#ifndef QUEUE_CURVE_H
#define QUEUE_CURVE_H

#include <stdint.h>

#include "port/store.h"

struct curve_point {
	struct wall at;
	uint64_t recipients; /* waiting: the most within the step */
	uint64_t delivered;  /* within the step */
};

/* curve_make - samples, oldest first, become at most point_max points, evenly spaced in time from the first sample to the
 * last. A step without a sample keeps the backlog of the one before. Returns how many; 0 without samples. */
uint32_t curve_make(const struct outage_sample *samples, uint32_t count, struct curve_point *points,
	uint32_t point_max);
/* curve_bar - how long a bar for value is, of width, where most is all of it. More than nothing is at least 1. */
uint32_t curve_bar(uint64_t value, uint64_t most, uint32_t width);

#endif
