/*
 * map - hash table from octet strings to entries embedded in their owners.
 *
 * Keys are borrowed from the owner and must not change while it is in the map. Hashes are keyed by a
 * random seed, so that outsiders cannot choose collisions. Grows by doubling; iteration order is
 * insertion order, so a simulation replays exactly.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdint.h>

#include "base/list.h"
#include "base/str.h"

struct map_entry {
	struct map_entry *next;
	struct list order;
	uint64_t hash;
	struct str key;
};

struct map {
	struct map_entry **buckets;
	size_t bucket_count;
	size_t count;
	uint64_t seed;
	struct list order; /* of map_entry.order */
};

void map_init(struct map *m, uint64_t seed);
void map_fini(struct map *m); /* frees the table; entries belong to their owners */
struct map_entry *map_find(const struct map *m, struct str key); /* NULL when absent */
/* map_insert - e->key is set to key; no entry of that key may be there (CHECK). */
void map_insert(struct map *m, struct map_entry *e, struct str key);
void map_remove(struct map *m, struct map_entry *e);
/* map_first - the oldest entry, NULL when empty. */
struct map_entry *map_first(const struct map *m);
/* map_next - the entry inserted after e, NULL at the end. */
struct map_entry *map_next(const struct map *m, const struct map_entry *e);

/* map_key_u64 - the key octets of *n (borrowed). */
static inline struct str map_key_u64(const uint64_t *n)
{
	return str_of((const char *)n, sizeof(*n));
}

#endif
