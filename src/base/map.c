/*
 * map - separate chaining over a power of two of buckets, one entry per bucket on average.
 *
 * The table is made by the first insertion, so an empty map costs nothing.
 */
#include "base/map.h"

#include <stdlib.h>

#include "base/mem.h"

enum { BUCKETS_MIN = 16 };

static struct map_entry **find_link(const struct map *m, struct str key, uint64_t hash);
static void grow(struct map *m);
static struct map_entry **bucket_of(const struct map *m, uint64_t hash);
static struct map_entry *entry_of(struct list *link);

void map_init(struct map *m, uint64_t seed)
{
	*m = (struct map){ .seed = seed };
	list_init(&m->order);
}

void map_fini(struct map *m)
{
	free(m->buckets);
	*m = (struct map){ 0 };
}

struct map_entry *map_find(const struct map *m, struct str key)
{
	if (m->count == 0)
		return NULL;
	return *find_link(m, key, str_hash(key, m->seed));
}

void map_insert(struct map *m, struct map_entry *e, struct str key)
{
	if (m->count == m->bucket_count)
		grow(m);
	e->hash = str_hash(key, m->seed);
	e->key = key;
	struct map_entry **link = find_link(m, key, e->hash);
	CHECK(*link == NULL);
	e->next = NULL;
	*link = e;
	list_push_back(&m->order, &e->order);
	m->count++;
}

void map_remove(struct map *m, struct map_entry *e)
{
	CHECK(m->count > 0);
	struct map_entry **link = bucket_of(m, e->hash);
	while (*link && *link != e)
		link = &(*link)->next;
	CHECK(*link == e);
	*link = e->next;
	e->next = NULL;
	list_remove(&e->order);
	m->count--;
}

struct map_entry *map_first(const struct map *m)
{
	return m->count > 0 ? entry_of(m->order.next) : NULL;
}

struct map_entry *map_next(const struct map *m, const struct map_entry *e)
{
	return e->order.next != &m->order ? entry_of(e->order.next) : NULL;
}

/* find_link - the pointer to the entry of key, or the one at the end of its chain. */
static struct map_entry **find_link(const struct map *m, struct str key, uint64_t hash)
{
	struct map_entry **link = bucket_of(m, hash);
	while (*link && ((*link)->hash != hash || !str_equal((*link)->key, key)))
		link = &(*link)->next;
	return link;
}

static void grow(struct map *m)
{
	free(m->buckets);
	m->bucket_count = m->bucket_count ? m->bucket_count * 2 : BUCKETS_MIN;
	m->buckets = mem_array(m->bucket_count, sizeof(struct map_entry *));
	LIST_FOR_EACH (link, &m->order) {
		struct map_entry *e = entry_of(link);
		struct map_entry **bucket = bucket_of(m, e->hash);
		e->next = *bucket;
		*bucket = e;
	}
}

static struct map_entry **bucket_of(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->bucket_count - 1)];
}

static struct map_entry *entry_of(struct list *link)
{
	return CONTAINER_OF(link, struct map_entry, order);
}
