/* strikes - see queue/strikes.h. The window of an entry begins with its first strike; one that is over counts for nothing. */
#include "queue/strikes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct strikes_entry {
	struct map_entry entry;
	struct list link;
	struct strikes_key key;
	struct mono first;
	uint32_t count;
};

void strikes_init(struct strikes *s, uint64_t seed)
{
	map_init(&s->entries, seed);
	list_init(&s->recent);
}

static void forget(struct strikes *s, struct strikes_entry *e)
{
	map_remove(&s->entries, &e->entry);
	list_remove(&e->link);
	free(e);
}

void strikes_fini(struct strikes *s)
{
	LIST_FOR_EACH_SAFE (link, &s->recent)
		forget(s, CONTAINER_OF(link, struct strikes_entry, link));
	map_fini(&s->entries);
}

struct strikes_key strikes_key(const struct endpoint *client, uint64_t user)
{
	struct endpoint plain = *client;

	endpoint_unmap(&plain);
	struct strikes_key key = { .family = (uint8_t)plain.family };
	memcpy(key.network, plain.ip, plain.family == FAMILY_IPV6 ? 8 : sizeof(key.network));
	memcpy(key.user, &user, sizeof(key.user));
	return key;
}

static struct str octets(const struct strikes_key *key)
{
	return str_of((const char *)key, sizeof(*key));
}

static struct strikes_entry *find(const struct strikes *s, const struct strikes_key *key)
{
	struct map_entry *e = map_find(&s->entries, octets(key));

	return e ? CONTAINER_OF(e, struct strikes_entry, entry) : NULL;
}

static bool is_over(const struct strikes_entry *e, struct mono now)
{
	return now.ms - e->first.ms >= STRIKES_WINDOW_MS;
}

bool strikes_are_out(
	const struct strikes *s, const struct strikes_key *key, uint32_t max, struct mono now)
{
	const struct strikes_entry *e = max > 0 ? find(s, key) : NULL;

	return e && e->count >= max && !is_over(e, now);
}

bool strikes_add(struct strikes *s, const struct strikes_key *key, uint32_t max, struct mono now)
{
	struct strikes_entry *e = find(s, key);

	if (max == 0)
		return false;
	if (!e) {
		if (s->entries.count >= STRIKES_ENTRIES_MAX)
			forget(s, CONTAINER_OF(s->recent.next, struct strikes_entry, link));
		e = mem_zalloc(sizeof(*e));
		e->key = *key;
		e->first = now;
		map_insert(&s->entries, &e->entry, octets(&e->key));
	} else if (is_over(e, now)) {
		e->first = now;
		e->count = 0;
	}
	list_remove(&e->link);
	list_push_back(&s->recent, &e->link);
	e->count++;
	return e->count == max;
}
