/*
 * quota - how much somebody had within the last hour: never more than his limit in any sixty minutes.
 *
 * The hour is counted in slots of five minutes, so what was used comes back 60 to 65 minutes later. Pure; time is
 * passed in and does not go back.
 */
#ifndef QUEUE_QUOTA_H
#define QUEUE_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define QUOTA_SLOT_MS (5 * MINUTE_MS)
#define QUOTA_SLOTS 13 /* twelve whole ones behind the one that runs */

/* All zero: nothing was used. */
struct quota {
	int64_t slot;               /* number of the one that runs */
	uint32_t used[QUOTA_SLOTS]; /* by number modulo QUOTA_SLOTS */
};

/* quota_wait_ms - until amount more fits into limit; 0: now. An amount over limit never fits: an hour. */
int64_t quota_wait_ms(const struct quota *q, uint32_t limit, uint32_t amount, struct wall now);
void quota_take(struct quota *q, uint32_t amount, struct wall now);

#endif
