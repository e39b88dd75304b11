/*
 * ledger - see ledger.h. The only writer of the count columns.
 */
#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* About 250 octets each: the next hops of a busy hour, 5 MB at most. */
enum { ENTRIES_MAX = 20000 };

static enum err load_hop(struct ledger *l, struct query *q, struct hop_entry **out);
static struct hop_entry *add_hop(struct ledger *l, uint64_t id, uint64_t site, struct str name);
static enum err flush_hop(struct ledger *l, struct hop_entry *hop);
static enum err flush_totals(struct ledger *l);
static void touch(struct ledger *l, struct hop_entry *hop);
static void remove_hop(struct ledger *l, struct hop_entry *hop);
static void forget_all(struct ledger *l);

void ledger_init(struct ledger *l, struct sql *sql)
{
	uint64_t seed;
	*l = (struct ledger){ .sql = sql };
	sqlite3_randomness(sizeof(seed), &seed);
	map_init(&l->hops_by_name, seed);
	map_init(&l->hops_by_id, seed);
	map_init(&l->sites_by_name, seed);
	list_init(&l->dirty);
}

void ledger_fini(struct ledger *l)
{
	if (!l->sql)
		return;
	forget_all(l);
	map_fini(&l->hops_by_name);
	map_fini(&l->hops_by_id);
	map_fini(&l->sites_by_name);
}

enum err ledger_hop(struct ledger *l, struct str name, struct hop_entry **out)
{
	struct map_entry *known = map_find(&l->hops_by_name, name);
	if (known) {
		*out = CONTAINER_OF(known, struct hop_entry, by_name);
		return OK;
	}
	struct query q = sql_prepare(l->sql, SQL_HOP_BY_NAME);
	bind_text(&q, name);
	enum err err = load_hop(l, &q, out);
	if (err != ERR_NOT_FOUND)
		return err;
	q = sql_prepare(l->sql, SQL_HOP_INSERT);
	bind_text(&q, name);
	err = sql_run(&q);
	if (err == OK)
		*out = add_hop(l, (uint64_t)sqlite3_last_insert_rowid(l->sql->db), 0, name);
	return err;
}

enum err ledger_hop_by_id(struct ledger *l, uint64_t id, struct hop_entry **out)
{
	struct map_entry *known = map_find(&l->hops_by_id, map_key_u64(&id));
	if (known) {
		*out = CONTAINER_OF(known, struct hop_entry, by_id);
		return OK;
	}
	struct query q = sql_prepare(l->sql, SQL_HOP_BY_ID);
	bind_u64(&q, id);
	enum err err = load_hop(l, &q, out);
	return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

enum err ledger_site(struct ledger *l, struct str name, struct site_entry **out)
{
	struct map_entry *known = map_find(&l->sites_by_name, name);
	if (known) {
		*out = CONTAINER_OF(known, struct site_entry, by_name);
		return OK;
	}
	uint64_t id = 0;
	enum health_state state = HEALTH_UP;
	struct query q = sql_prepare(l->sql, SQL_SITE_BY_NAME);
	bind_text(&q, name);
	if (sql_next(&q)) {
		id = get_u64(&q);
		state = (enum health_state)get_enum(&q, HEALTH_STATE_COUNT);
	}
	enum err err = sql_done(&q);
	if (err == OK && id == 0) {
		q = sql_prepare(l->sql, SQL_SITE_INSERT);
		bind_text(&q, name);
		err = sql_run(&q);
		id = (uint64_t)sqlite3_last_insert_rowid(l->sql->db);
		l->totals.sites[HEALTH_UP]++;
		l->is_dirty = true;
	}
	if (err != OK)
		return err;
	struct site_entry *site = mem_zalloc(sizeof(*site) + name.len + 1);
	site->id = id;
	site->state = state;
	if (name.len > 0)
		memcpy(site->octets, name.data, name.len);
	map_insert(&l->sites_by_name, &site->by_name, str_of(site->octets, name.len));
	*out = site;
	return OK;
}

void ledger_move(
	struct ledger *l, struct hop_entry *hop, enum recipient_state from, enum recipient_state to)
{
	if (from == to)
		return;
	if (recipient_is_queued(from))
		hop->count[from]--;
	else if (from != RECIPIENT_ABSENT)
		hop->finished--;
	if (recipient_is_queued(to))
		hop->count[to]++;
	else if (to != RECIPIENT_ABSENT)
		hop->finished++;
	if (from != RECIPIENT_ABSENT)
		l->totals.recipients[from]--;
	if (to != RECIPIENT_ABSENT)
		l->totals.recipients[to]++;
	l->totals.delivered += to == RECIPIENT_DELIVERED;
	l->totals.failed += to == RECIPIENT_FAILED;
	touch(l, hop);
}

void ledger_hop_bytes(struct ledger *l, struct hop_entry *hop, int64_t bytes)
{
	hop->bytes += bytes;
	touch(l, hop);
}

void ledger_message(struct ledger *l, int64_t messages, int64_t bytes)
{
	l->totals.messages += messages;
	l->totals.bytes += bytes;
	l->is_dirty = true;
}

void ledger_site_state(struct ledger *l, struct site_entry *site, enum health_state state)
{
	if (site->state == state)
		return;
	l->totals.sites[site->state]--;
	l->totals.sites[state]++;
	site->state = state;
	l->is_dirty = true;
}

void ledger_seen_id(struct ledger *l, uint64_t id)
{
	if (id > l->totals.last_id)
		l->totals.last_id = id;
	l->is_dirty = true;
}

void ledger_forget_hop(struct ledger *l, struct str name)
{
	struct map_entry *known = map_find(&l->hops_by_name, name);
	if (known)
		remove_hop(l, CONTAINER_OF(known, struct hop_entry, by_name));
}

void ledger_forget_site(struct ledger *l, struct str name)
{
	struct site_entry *site;
	struct map_entry *known = map_find(&l->sites_by_name, name);
	if (!known)
		return;
	site = CONTAINER_OF(known, struct site_entry, by_name);
	map_remove(&l->sites_by_name, known);
	free(site);
}

enum err ledger_flush(struct ledger *l)
{
	struct list *link;
	while ((link = list_pop_front(&l->dirty))) {
		enum err err = flush_hop(l, CONTAINER_OF(link, struct hop_entry, dirty));
		if (err != OK)
			return err;
	}
	return l->is_dirty ? flush_totals(l) : OK;
}

void ledger_committed(struct ledger *l)
{
	if (l->hops_by_name.count + l->sites_by_name.count > ENTRIES_MAX)
		forget_all(l);
}

void ledger_drop(struct ledger *l)
{
	forget_all(l);
	l->totals = (struct totals){ 0 };
	l->is_dirty = false;
}

/* load_hop - runs a query for (id, site, name). Errors: ERR_NOT_FOUND. */
static enum err load_hop(struct ledger *l, struct query *q, struct hop_entry **out)
{
	struct arena arena = { 0 };
	uint64_t id = 0, site = 0;
	struct str name = { 0 };
	if (sql_next(q)) {
		id = get_u64(q);
		site = get_u64(q);
		name = get_text(q, &arena);
	}
	enum err err = sql_done(q);
	if (err == OK && id == 0)
		err = ERR_NOT_FOUND;
	if (err == OK)
		*out = add_hop(l, id, site, name);
	arena_fini(&arena);
	return err;
}

static struct hop_entry *add_hop(struct ledger *l, uint64_t id, uint64_t site, struct str name)
{
	struct hop_entry *hop = mem_zalloc(sizeof(*hop) + name.len + 1);
	hop->id = id;
	hop->site = site;
	if (name.len > 0)
		memcpy(hop->octets, name.data, name.len);
	hop->name = str_of(hop->octets, name.len);
	map_insert(&l->hops_by_name, &hop->by_name, hop->name);
	map_insert(&l->hops_by_id, &hop->by_id, map_key_u64(&hop->id));
	return hop;
}

static enum err flush_hop(struct ledger *l, struct hop_entry *hop)
{
	struct query q = sql_prepare(l->sql, SQL_HOP_ADD);
	bind_u64(&q, hop->id);
	for (size_t i = 0; i < QUEUED_STATE_COUNT; i++) {
		bind_i64(&q, hop->count[i]);
		hop->count[i] = 0;
	}
	bind_i64(&q, hop->bytes);
	bind_i64(&q, hop->finished);
	hop->bytes = hop->finished = 0;
	return sql_run(&q);
}

static enum err flush_totals(struct ledger *l)
{
	struct totals *t = &l->totals;
	struct query q = sql_prepare(l->sql, SQL_TOTAL_ADD);
	for (size_t i = 0; i < RECIPIENT_STATE_COUNT; i++)
		bind_i64(&q, t->recipients[i]);
	bind_i64(&q, t->messages);
	bind_i64(&q, t->bytes);
	for (size_t i = 0; i < HEALTH_STATE_COUNT; i++)
		bind_i64(&q, t->sites[i]);
	bind_u64(&q, t->last_id);
	bind_i64(&q, t->delivered);
	bind_i64(&q, t->failed);
	*t = (struct totals){ 0 };
	l->is_dirty = false;
	return sql_run(&q);
}

static void touch(struct ledger *l, struct hop_entry *hop)
{
	if (!list_is_linked(&hop->dirty))
		list_push_back(&l->dirty, &hop->dirty);
	l->is_dirty = true;
}

static void remove_hop(struct ledger *l, struct hop_entry *hop)
{
	map_remove(&l->hops_by_name, &hop->by_name);
	map_remove(&l->hops_by_id, &hop->by_id);
	list_remove(&hop->dirty);
	free(hop);
}

static void forget_all(struct ledger *l)
{
	struct map_entry *e;
	while ((e = map_first(&l->hops_by_name)))
		remove_hop(l, CONTAINER_OF(e, struct hop_entry, by_name));
	while ((e = map_first(&l->sites_by_name))) {
		struct site_entry *site = CONTAINER_OF(e, struct site_entry, by_name);
		map_remove(&l->sites_by_name, e);
		free(site);
	}
}
