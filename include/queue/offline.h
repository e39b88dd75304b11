/*
 * offline - is it our own connection? What was tried lately, of all destinations taken together. Pure.
 *
 * Suspicion: in 5 minutes at least 5 destinations failed at DNS or connect, 80 % of those tried, and none was reached. With
 * fewer destinations than that only canaries can tell. A suspicion is no verdict: five dead domains at a quiet hour look the
 * same. Somebody who was reached lately is asked first (relay/offline.c).
 */
#ifndef QUEUE_OFFLINE_H
#define QUEUE_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define OFFLINE_WINDOW_MS (5 * MINUTE_MS)
#define OFFLINE_FAILED_MIN 5
#define OFFLINE_FAILED_PERCENT 80
/* Destinations remembered at once; the oldest makes room. */
#define OFFLINE_TRIED_MAX 64

enum offline_try {
	OFFLINE_REACHED, /* a host answered: the network is there, whatever it said */
	OFFLINE_FAILED,  /* no answer from DNS, or no connection */
	OFFLINE_UNCLEAR  /* a connection, and nothing more: a firewall may accept for others */
};

struct offline_tried {
	uint64_t hash; /* of its name */
	struct wall at;
	bool has_failed;
};

struct offline {
	struct wall reached;       /* somebody was, last; WALL_NONE: not since the start */
	struct wall first_failure; /* since then; WALL_NONE: none */
	struct offline_tried tried[OFFLINE_TRIED_MAX]; /* since then */
	uint32_t tried_count;
};

enum offline_suspicion {
	OFFLINE_NO,
	OFFLINE_FEW, /* all that were tried failed, but they are too few to tell: canaries may */
	OFFLINE_MANY
};

void offline_note(struct offline *o, uint64_t hash, enum offline_try what, struct wall now);
/* offline_has_failed - it did when it was tried last, and nobody was reached since; of the last OFFLINE_TRIED_MAX alone. */
bool offline_has_failed(const struct offline *o, uint64_t hash);
enum offline_suspicion offline_judge(const struct offline *o, struct wall now);

#endif
