/* hint - see relay/hint.h. */
#include "relay/hint.h"

#include <stdlib.h>

#include "base/mem.h"

/* Addresses in all, and of one site; the oldest make room. */
#define HINTS_MAX 1024
#define HINTS_PER_SITE_MAX 8
/* A host that sends us mail all day is not probed all day. */
#define HINT_EVERY_MS MINUTE_MS

struct hint {
	struct map_entry entry; /* relay.hints.by_address; key: address.ip */
	struct list link;       /* relay.hints.all, oldest first */
	struct endpoint address;
	struct str site; /* owned */
	struct wall given;
};

static struct str key_of(const struct endpoint *address)
{
	return str_of((const char *)address->ip, sizeof(address->ip));
}

static struct hint *find(const struct relay *r, const struct endpoint *address)
{
	struct map_entry *e = map_find(&r->hints.by_address, key_of(address));

	return e ? CONTAINER_OF(e, struct hint, entry) : NULL;
}

static void forget(struct relay *r, struct hint *t)
{
	map_remove(&r->hints.by_address, &t->entry);
	list_remove(&t->link);
	r->hints.count--;
	relay_free_name(&t->site);
	free(t);
}

static void add(struct relay *r, const struct endpoint *address, struct str site)
{
	struct hints *all = &r->hints;
	struct hint *t = find(r, address);

	if (t)
		return; /* a host of two sites speaks for the first */
	if (all->count == HINTS_MAX)
		forget(r, CONTAINER_OF(all->all.next, struct hint, link));
	t = mem_zalloc(sizeof(*t));
	t->address = *address;
	t->site = relay_copy_name(site);
	map_insert(&all->by_address, &t->entry, key_of(&t->address));
	list_push_back(&all->all, &t->link);
	all->count++;
}

void hint_note_failed(const struct delivery *d)
{
	const struct route *route = d->route ? d->route->route : NULL;

	if (!route || d->site->health.state != HEALTH_DOWN)
		return;
	for (uint32_t i = 0; i < route->target_count && i < HINTS_PER_SITE_MAX; i++)
		if (route->targets[i].address.family != FAMILY_UNIX) /* nobody comes from there */
			add(d->hop->relay, &route->targets[i].address, d->site->name);
}

void hint_note_up(struct site *s)
{
	LIST_FOR_EACH_SAFE (link, &s->relay->hints.all) {
		struct hint *t = CONTAINER_OF(link, struct hint, link);

		if (str_equal(t->site, s->name))
			forget(s->relay, t);
	}
}

void hint_note_client(struct relay *r, const struct endpoint *client)
{
	struct hint *t = find(r, client);
	struct wall now = env_wall(r->env);

	if (!t || (now.ms - t->given.ms < HINT_EVERY_MS && now.ms >= t->given.ms))
		return;
	t->given = now;
	log_text(r->env->log, LOG_INFO, "qmgr", "site %.*s: a host of it has sent mail; probed now",
		STR_FMT(t->site));
	destination_probe(r, t->site);
}

void hint_probe(struct relay *r, struct str domain)
{
	struct arena scratch = { 0 };

	destination_retry(r, route_hop_of(r->conf, domain, STR(""), &scratch));
	arena_fini(&scratch);
}

static void reload_smarthost(struct relay *r, const struct conf_route *route, struct arena *scratch)
{
	struct str site = conf_route_site(route, scratch);
	struct map_entry *e = map_find(&r->sites, site);

	if (!e || CONTAINER_OF(e, struct site, entry)->health.state == HEALTH_DOWN)
		destination_probe(r, site);
	if (route->from.len > 0)
		destination_retry(r, arena_printf(scratch, "route:%.*s", STR_FMT(route->name)));
}

bool hint_probe_route(struct relay *r, struct str name)
{
	struct arena scratch = { 0 };
	bool is_found = false;

	for (uint32_t i = 0; i < r->conf->route_count; i++) {
		const struct conf_route *route = &r->conf->routes[i];

		if (!str_equal_fold(route->name, name))
			continue;
		is_found = true;
		if (route->via != ROUTE_MX)
			reload_smarthost(r, route, &scratch);
	}
	arena_fini(&scratch);
	return is_found;
}

void hint_reload(struct relay *r)
{
	struct arena scratch = { 0 };

	for (uint32_t i = 0; i < r->conf->route_count; i++)
		if (r->conf->routes[i].via != ROUTE_MX)
			reload_smarthost(r, &r->conf->routes[i], &scratch);
	arena_fini(&scratch);
}

void hint_init(struct relay *r)
{
	uint64_t seed;

	env_random(r->env, &seed, sizeof(seed));
	map_init(&r->hints.by_address, seed);
	list_init(&r->hints.all);
}

void hint_fini(struct relay *r)
{
	while (!list_is_empty(&r->hints.all))
		forget(r, CONTAINER_OF(r->hints.all.next, struct hint, link));
	map_fini(&r->hints.by_address);
}
