/*
 * resolver - see deliver/resolver.h.
 *
 * An entry is one question: first under way with its askers in line, then an answer until its time
 * is over. Entries are pinned while somebody has yet to be told, so that neither the bound nor a
 * flush frees an answer in use: a flushed entry is only forgotten, and freed with its last asker.
 */
#include "deliver/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

#define TEMPORARY_KEPT_MS (5 * SECOND_MS)

struct resolver {
	struct env *env;
	struct dns *dns;
	struct conf *conf;
	struct map entries;
	struct list
		recent; /* entry.recent, least recently used first; those that have their answer */
	uint32_t forgotten; /* entries that are in use and no longer in the map */
};

struct entry {
	struct map_entry by_name; /* key: type and lower-case name */
	struct resolver *resolver;
	struct dns_query query; /* its answer is the cached one */
	struct arena arena;     /* key */
	struct list waiting;    /* lookup.link, while under way */
	struct list recent;
	unsigned pins;
	bool is_answered;
	bool is_forgotten;
	struct wall expires;      /* FOUND, NODATA, NXDOMAIN */
	struct mono expires_real; /* TEMPORARY */
};

static void on_answer(struct dns_query *q);
static void on_cached(struct deferred *d);

struct resolver *resolver_new(struct env *env, struct dns *dns, struct conf *conf)
{
	struct resolver *r = mem_zalloc(sizeof(*r));
	uint64_t seed;

	env_random(env, &seed, sizeof(seed));
	r->env = env;
	r->dns = dns;
	r->conf = conf_ref(conf);
	map_init(&r->entries, seed);
	list_init(&r->recent);
	return r;
}

void resolver_set_conf(struct resolver *r, struct conf *conf)
{
	struct conf *old = r->conf;

	r->conf = conf_ref(conf);
	conf_unref(old);
}

static void entry_free(struct entry *e)
{
	arena_fini(&e->query.answer.arena);
	arena_fini(&e->arena);
	free(e);
}

/* Takes the entry out of the cache; frees it when nobody uses it. */
static void forget(struct entry *e)
{
	CHECK(!e->is_forgotten);
	map_remove(&e->resolver->entries, &e->by_name);
	list_remove(&e->recent);
	e->is_forgotten = true;
	if (e->pins > 0)
		e->resolver->forgotten++;
	else
		entry_free(e);
}

static void unpin(struct entry *e)
{
	CHECK(e->pins > 0);
	if (--e->pins > 0 || !e->is_forgotten)
		return;
	e->resolver->forgotten--;
	entry_free(e);
}

void resolver_flush(struct resolver *r)
{
	struct map_entry *at = map_first(&r->entries);

	while (at) {
		struct entry *e = CONTAINER_OF(at, struct entry, by_name);

		at = map_next(&r->entries, at);
		forget(e);
	}
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	resolver_flush(r);
	CHECK(r->forgotten == 0);
	map_fini(&r->entries);
	conf_unref(r->conf);
	free(r);
}

static bool is_fresh(const struct entry *e)
{
	struct env *env = e->resolver->env;

	if (!e->is_answered)
		return true;
	if (e->query.answer.result == DNS_TEMPORARY)
		return env_now(env).ms < e->expires_real.ms;
	return env_wall(env).ms < e->expires.ms;
}

static void make_room(struct resolver *r)
{
	LIST_FOR_EACH_SAFE (link, &r->recent) {
		struct entry *e = CONTAINER_OF(link, struct entry, recent);

		if (r->entries.count < r->conf->dns.cache_entries)
			return;
		if (e->pins == 0)
			forget(e);
	}
}

static struct str make_key(struct arena *arena, enum dns_type type, struct str name)
{
	struct str key = arena_printf(arena, "%d:%.*s", (int)type, STR_FMT(name));

	return arena_lower(arena, key);
}

static struct entry *entry_new(struct resolver *r, enum dns_type type, struct str name)
{
	struct entry *e = mem_zalloc(sizeof(*e));
	struct str key = make_key(&e->arena, type, name);

	make_room(r);
	e->resolver = r;
	list_init(&e->waiting);
	map_insert(&r->entries, &e->by_name, key);
	e->query.name = str_slice(key, str_find(key, ':') + 1, key.len);
	e->query.type = type;
	e->query.on_done = on_answer;
	e->pins = 1; /* the query's */
	metric_add(r->env->metrics, METRIC_dns_queries_total, 1);
	dns_start(r->dns, &e->query);
	return e;
}

static struct entry *find(struct resolver *r, enum dns_type type, struct str name)
{
	struct arena scratch = { 0 };
	struct map_entry *at = map_find(&r->entries, make_key(&scratch, type, name));

	arena_fini(&scratch);
	return at ? CONTAINER_OF(at, struct entry, by_name) : NULL;
}

void resolver_start(struct resolver *r, struct lookup *l)
{
	struct entry *e = find(r, l->type, l->name);

	CHECK(!l->entry);
	if (e && !is_fresh(e)) {
		forget(e);
		e = NULL;
	}
	if (!e)
		e = entry_new(r, l->type, l->name);
	e->pins++;
	l->entry = e;
	l->name = e->query.name;
	if (!e->is_answered) {
		list_push_back(&e->waiting, &l->link);
		return;
	}
	metric_add(r->env->metrics, METRIC_dns_cache_hits_total, 1);
	list_remove(&e->recent);
	list_push_back(&r->recent, &e->recent);
	l->deferred.on_run = on_cached;
	env_defer(r->env, &l->deferred);
}

void resolver_cancel(struct resolver *r, struct lookup *l)
{
	struct entry *e = l->entry;

	if (!e)
		return;
	CHECK(e->resolver == r);
	l->entry = NULL;
	list_remove(&l->link);
	env_undefer(r->env, &l->deferred);
	/* The last asker gone: what is left is the query's own pin. */
	if (!e->is_answered && e->pins == 2) {
		dns_cancel(r->dns, &e->query);
		if (!e->is_forgotten)
			forget(e);
		unpin(e); /* NOLINT(clang-analyzer-unix.Malloc): the asker's pin is still there */
	}
	unpin(e); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* Tells l; afterwards neither l nor, without a pin of one's own, e may be touched. */
static void tell(struct entry *e, struct lookup *l)
{
	l->entry = NULL;
	l->answer = &e->query.answer;
	l->on_done(l);
	unpin(e);
}

static void on_cached(struct deferred *d)
{
	struct lookup *l = CONTAINER_OF(d, struct lookup, deferred);

	tell(l->entry, l);
}

static void set_expiry(struct entry *e)
{
	const struct conf *conf = e->resolver->conf;
	int64_t ttl_ms = (int64_t)e->query.answer.ttl_s * SECOND_MS;

	if (ttl_ms > conf->dns.ttl_max_ms)
		ttl_ms = conf->dns.ttl_max_ms;
	if (ttl_ms < conf->dns.ttl_min_ms)
		ttl_ms = conf->dns.ttl_min_ms;
	e->expires = wall_add(env_wall(e->resolver->env), ttl_ms);
	e->expires_real = mono_add(env_now(e->resolver->env), TEMPORARY_KEPT_MS);
}

static void on_answer(struct dns_query *q)
{
	struct entry *e = CONTAINER_OF(q, struct entry, query);
	struct list *link;

	e->is_answered = true;
	set_expiry(e);
	if (!e->is_forgotten)
		list_push_back(&e->resolver->recent, &e->recent);
	while ((link = list_pop_front(&e->waiting)))
		tell(e, CONTAINER_OF(link, struct lookup, link));
	unpin(e);
}
