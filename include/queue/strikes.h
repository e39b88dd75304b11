/*
 * strikes - wrong passwords by where they came from: who had too many is not heard until ten minutes after his first.
 *
 * A bounded table: the one heard of longest ago makes room, at STRIKES_ENTRIES_MAX. Who can fill it with addresses of
 * his own makes it forget others, which costs him a hash for each; nobody is locked out by that. Pure; Thread: loop.
 */
#ifndef QUEUE_STRIKES_H
#define QUEUE_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/instant.h"
#include "base/list.h"
#include "base/map.h"

#define STRIKES_ENTRIES_MAX 4096
#define STRIKES_WINDOW_MS (10 * MINUTE_MS)

struct strikes {
	struct map entries; /* by struct strikes_key */
	struct list recent; /* the latest last */
};

/* Whose: an address, of IPv6 its /64. Many people may share one that is trusted (a web mailer's): there each user name
 * counts for itself, so user is its hash; else 0. */
struct strikes_key {
	uint8_t network[16];
	uint8_t family;
	uint8_t user[8];
};

void strikes_init(struct strikes *s, uint64_t seed);
void strikes_fini(struct strikes *s);
struct strikes_key strikes_key(const struct endpoint *client, uint64_t user);
/* strikes_are_out - max of them (0: never) within the window. */
bool strikes_are_out(
	const struct strikes *s, const struct strikes_key *key, uint32_t max, struct mono now);
/* strikes_add - one more. Returns true for the one that makes max. */
bool strikes_add(struct strikes *s, const struct strikes_key *key, uint32_t max, struct mono now);

#endif
