/*
 * site - a site in memory: its health, its window, and the round robin over its next hops.
 *
 * A site that goes DOWN drops what waits in memory for it; its rows stay READY in the store, untouched. A probe, or a
 * recovery, finds them again by pages of its next hops. Health is saved as it changes.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/delivery.h"
#include "relay/destination.h"
#include "relay/outage.h"

/* Hops of a site read per page, and brought to work at once. */
#define SITE_SCAN_PAGE 64
/* No more pages while so many hops of the site are busy in memory. */
#define SITE_BUSY_MAX (HOPS_BUSY_MAX / 4)
/* A success younger than what is stored by this much is stored again: known-good is a matter of days. */
#define SUCCESS_SAVE_MS HOUR_MS
/* A row that could not be read is read again so much later; of a fast clock's time. */
#define SITE_LOAD_AGAIN_MS MINUTE_MS

/* A RECORD that carries health and nothing else. */
struct save {
	struct loose loose;
	struct store_record op;
	struct relay *relay;
	struct list link; /* relay.saving */
};

static void site_load(struct site *s);
static void site_free(struct site *s);

static void on_pause_over(struct timer *t)
{
	struct site *s = CONTAINER_OF(t, struct site, pause);

	if (s->is_loaded)
		site_kick(s);
	else
		site_load(s);
}

static struct site *site_get(struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->sites, name);

	if (e)
		return CONTAINER_OF(e, struct site, entry);

	struct site *s = mem_zalloc(sizeof(*s));

	s->relay = r;
	s->name = relay_copy_name(name);
	s->scan_cursor = relay_copy_name(STR(""));
	list_init(&s->members);
	list_init(&s->work);
	s->pause.on_fire = on_pause_over;
	health_init(&s->health, env_wall(r->env));
	window_init(&s->window, 0, r->conf->policy.connections_max);
	pace_init(&s->pace, 0, r->env->rate);
	map_insert(&r->sites, &s->entry, s->name);
	outage_attach_site(s);
	return s;
}

void site_release(struct site *s)
{
	if (!list_is_empty(&s->members) || s->is_loading || s->is_scanning || s->is_expiring ||
		s->window.in_flight > 0)
		return;
	if (s->is_dirty && s->is_loaded && !s->relay->is_stopping)
		destination_save_site(s);
	site_free(s);
}

void site_free_all(struct relay *r)
{
	struct map_entry *e;

	while ((e = map_first(&r->sites)) != NULL)
		site_free(CONTAINER_OF(e, struct site, entry));
}

static void site_free(struct site *s)
{
	env_timer_stop(s->relay->env, &s->pause);
	list_remove(&s->ready);
	map_remove(&s->relay->sites, &s->entry);
	outage_detach_site(s);
	store_op_fini(&s->lookup.op);
	store_op_fini(&s->scan.op);
	relay_free_name(&s->name);
	relay_free_name(&s->scan_cursor);
	free(s);
}

void hop_set_site(struct hop *h, struct str site_name)
{
	struct site *old = h->site;

	if (old && str_equal(old->name, site_name))
		return;
	if (old) {
		list_remove(&h->member);
		list_remove(&h->work);
		h->site = NULL;
		/* a probe that was due looks for another of its next hops */
		if (old->health.state == HEALTH_DOWN && site_name.len > 0)
			agenda_note_probe(h->relay, wall_add(env_wall(h->relay->env), SECOND_MS));
	}
	if (site_name.len > 0) {
		struct site *s = site_get(h->relay, site_name);

		h->site = s;
		h->is_dirty = true;
		list_push_back(&s->members, &h->member);
		if (old && old->health.last_success.ms > s->health.last_success.ms) {
			/* a new MX set inherits that the old one was known to work */
			s->health.last_success = old->health.last_success;
			s->is_dirty = true;
		}
		if (h->health.last_success.ms > s->health.last_success.ms)
			s->health.last_success = h->health.last_success; /* as imported */
		if (old)
			outage_inherit(h, old);
		if (old && s->pace.learned == 0)
			s->pace.learned = old->pace.learned;
		if (!s->is_loaded)
			site_load(s);
		else
			pace_set_cap(&s->pace, hop_policy(h)->rate_max);
	}
	if (!old)
		return;
	site_refill(old); /* it may have been the last that kept the next page from being read */
	site_release(old);
}

void site_kick(struct site *s)
{
	if (list_is_empty(&s->work) || list_is_linked(&s->ready))
		return;
	list_push_back(&s->relay->ready_sites, &s->ready);
	sched_kick(s->relay);
}

void site_park(struct site *s)
{
	list_remove(&s->ready);
	s->is_scan_wanted = false;
	LIST_FOR_EACH_SAFE (link, &s->members)
		hop_kick(CONTAINER_OF(link, struct hop, member));
}

/* ---- load ---- */

static void on_loaded(struct store_op *op)
{
	struct site *s = CONTAINER_OF(op, struct site, lookup.op);
	const struct site_record *rec = &s->lookup.site_out;
	struct wall inherited = s->health.last_success;
	uint32_t max = s->relay->conf->policy.connections_max;

	s->is_loading = false;
	s->is_loaded = op->err == OK || op->err == ERR_NOT_FOUND;
	if (!s->is_loaded) {
		/* not taken for one that is up */
		log_text(s->relay->env->log, LOG_ERROR, "qmgr",
			"site %.*s: cannot read its state, trying again in a minute: %s",
			STR_FMT(s->name), err_name(op->err));
		store_op_fini(op);
		if (!s->relay->is_stopping)
			env_timer_after(s->relay->env, &s->pause,
				SITE_LOAD_AGAIN_MS / s->relay->env->rate);
		relay_check_stopped(s->relay);
		site_release(s);
		return;
	}
	if (op->err == OK && rec->name.len > 0) {
		s->health = rec->health;
		s->saved_success = s->health.last_success;
		if (inherited.ms > s->health.last_success.ms)
			s->health.last_success = inherited;
		window_init(&s->window, rec->window, max);
		pace_init(&s->pace, rec->rate > 0 ? rec->rate : s->pace.learned, s->relay->env->rate);
	}
	if (s->health.state == HEALTH_RECOVERING)
		pacing_note_recovery(s);
	if (s->health.state == HEALTH_SUSPECT || s->health.state == HEALTH_DOWN)
		window_close_to_one(&s->window);
	outage_take_site(s, op->err);
	store_op_fini(op);
	LIST_FOR_EACH_SAFE (link, &s->members) {
		struct hop *h = CONTAINER_OF(link, struct hop, member);

		window_set_max(&s->window, hop_policy(h)->connections_max);
		pace_set_cap(&s->pace, hop_policy(h)->rate_max);
		hop_kick(h);
	}
	if (s->is_scan_wanted)
		site_refill(s);
	if (s->is_probe_wanted) {
		s->is_probe_wanted = false;
		site_probe(s);
	}
	relay_check_stopped(s->relay);
	site_release(s);
}

static void site_load(struct site *s)
{
	if (s->is_loading || timer_is_active(&s->pause))
		return;
	s->is_loading = true;
	s->lookup = (struct store_lookup){ .op.on_done = on_loaded, .site = s->name };
	store_submit(s->relay->store, &s->lookup.op, STORE_LOOKUP);
}

/* The next hop whose mail is the probe: one that is in no trouble of its own, for a probe must come as far as the site. By
 * chance: what stops one of them that nobody knows of must not stop the next probe too. */
static struct str pick_hop(struct relay *r, const struct store_hops *page)
{
	uint32_t start = (uint32_t)rng_below(&r->rng, page->hop_count);

	for (uint32_t i = 0; i < page->hop_count; i++) {
		const struct hop_record *h = &page->hops[(start + i) % page->hop_count];

		if (h->health.state != HEALTH_DOWN && h->health.state != HEALTH_SUSPECT)
			return h->name;
	}
	return page->hops[start].name;
}

/* A site that is not in memory is probed through one of its next hops, which brings it there. */
struct probe_lookup {
	struct loose loose;
	struct store_hops op;
	struct relay *relay;
};

static void free_probe_lookup(struct loose *l)
{
	struct probe_lookup *p = CONTAINER_OF(l, struct probe_lookup, loose);

	loose_end(l);
	store_op_fini(&p->op.op);
	free(p);
}

static void on_probe_hops(struct store_op *op)
{
	struct probe_lookup *p = CONTAINER_OF(op, struct probe_lookup, op.op);
	struct relay *r = p->relay;

	if (op->err != OK)
		log_text(r->env->log, LOG_ERROR, "qmgr", "cannot read the next hops of a site: %s",
			err_name(op->err));
	if (op->err == OK && p->op.hop_count > 0) {
		destination_retry(r, pick_hop(r, &p->op));
	} else if (op->err == OK) {
		struct site *s = site_get(r, p->op.site);

		/* nothing to probe with: it sleeps, stored, until mail for it arrives */
		s->is_probe_wanted = true;
		site_load(s);
	}
	r->delivery_count--;
	free_probe_lookup(&p->loose);
	relay_check_stopped(r);
}

void destination_probe(struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->sites, name);
	struct probe_lookup *p;

	offline_look_now(r);
	if (e) {
		struct site *s = CONTAINER_OF(e, struct site, entry);

		if (s->is_loaded && s->health.state == HEALTH_DOWN)
			health_probe_now(&s->health, env_wall(r->env));
		site_probe(s);
		return;
	}
	p = mem_zalloc(sizeof(*p));
	p->relay = r;
	p->op = (struct store_hops){
		.op.on_done = on_probe_hops,
		.limit = SITE_SCAN_PAGE,
		.only_ready = true,
	};
	p->op.site = arena_dup(&p->op.op.arena, name);
	loose_begin(r, &p->loose, free_probe_lookup);
	r->delivery_count++;
	store_submit(r->store, &p->op.op, STORE_HOPS);
}

/* ---- its hops, by pages ---- */

static void set_cursor(struct site *s, struct str name)
{
	relay_free_name(&s->scan_cursor);
	s->scan_cursor = relay_copy_name(name);
}

static void take_page(struct site *s, const struct store_hops *page)
{
	bool is_more = s->is_scan_wanted && page->is_more;

	if (s->is_scan_wanted && s->is_scan_restarted) {
		s->is_scan_restarted = false;
		return; /* the cursor is at the start */
	}
	s->is_scan_wanted = is_more;
	set_cursor(s, is_more ? page->hops[page->hop_count - 1].name : STR(""));
	for (uint32_t i = 0; i < page->hop_count; i++) {
		struct hop *h = hop_get(s->relay, page->hops[i].name);

		if (!h)
			continue; /* a scan is noted */
		if (!h->is_loaded && !h->site)
			hop_set_site(
				h, s->name); /* counts as this site's at once: see site_refill */
		hop_note_more(h);
	}
}

/* Not when it was put off, or made, while the page was read: an operator's word is not given by ourselves. */
static bool is_probe_due(const struct site *s)
{
	struct wall when;

	return health_may_try(&s->health, env_wall(s->relay->env), s->window.in_flight, &when);
}

static void on_scanned(struct store_op *op)
{
	struct site *s = CONTAINER_OF(op, struct site, scan.op);
	struct store_hops *page = &s->scan;
	bool is_probe = s->is_probe_scan;

	s->is_scanning = s->is_probe_scan = false;
	if (is_probe && op->err == OK && page->hop_count == 0) {
		/* nothing to probe with: sleeps until mail for it arrives */
		s->health.next_probe = WALL_NEVER;
		s->is_dirty = true;
		destination_save_site(s);
	} else if (is_probe && op->err == OK && is_probe_due(s)) {
		destination_take_turn(s->relay, pick_hop(s->relay, page));
	} else if (!is_probe && op->err == OK) {
		take_page(s, page);
	}
	if (op->err != OK) {
		log_text(s->relay->env->log, LOG_ERROR, "qmgr",
			"site %.*s: cannot read its next hops: %s", STR_FMT(s->name),
			err_name(op->err));
		s->is_scan_wanted = false;
		agenda_want_scan_later(s->relay);
	}
	store_op_fini(op);
	site_refill(s);
	if (s->is_probe_wanted && s->is_loaded && !s->is_scanning) {
		s->is_probe_wanted = false;
		site_probe(s);
	}
	relay_check_stopped(s->relay);
	site_release(s);
}

static void read_page(struct site *s, struct str after, uint32_t limit)
{
	s->is_scanning = true;
	s->scan = (struct store_hops){
		.op.on_done = on_scanned,
		.after = after,
		.limit = limit,
		.site = s->name,
		.only_ready = true,
	};
	store_submit(s->relay->store, &s->scan.op, STORE_HOPS);
}

/* The next page is read when few of its hops in memory are busy: a site of 100,000 hops leaves room for other sites. */
void site_refill(struct site *s)
{
	uint32_t busy = 0;

	if (s->is_scanning || !s->is_scan_wanted || s->relay->is_stopping)
		return;
	LIST_FOR_EACH (link, &s->members) {
		busy += !list_is_linked(&CONTAINER_OF(link, struct hop, member)->idle);
		if (busy >= SITE_BUSY_MAX)
			return;
	}
	read_page(s, s->scan_cursor, SITE_SCAN_PAGE);
}

static bool is_being_saved(const struct hop *h)
{
	LIST_FOR_EACH (link, &h->relay->saving) {
		const struct save *save = CONTAINER_OF(link, struct save, link);

		if (save->op.hop_count > 0 && str_equal(save->op.hops[0].name, h->name))
			return true;
	}
	return false;
}

/* From the start, also when one is under way: hops before the cursor may have been parked again meanwhile. */
void site_scan(struct site *s)
{
	s->is_scan_wanted = true;
	s->is_scan_restarted = s->is_scanning && !s->is_probe_scan;
	set_cursor(s, STR(""));
	/* of these the store may not know yet that they are its own */
	LIST_FOR_EACH (link, &s->members) {
		struct hop *h = CONTAINER_OF(link, struct hop, member);

		if (h->is_dirty || h->active_count > 0 || is_being_saved(h))
			hop_note_more(h);
	}
	site_refill(s);
}

void site_probe(struct site *s)
{
	if (s->window.in_flight > 0 || s->relay->is_stopping)
		return;
	if (s->is_scanning) {
		s->is_probe_wanted = true;
		return;
	}
	s->is_probe_scan = true;
	read_page(s, STR(""), SITE_SCAN_PAGE);
}

/* ---- saving ---- */

static bool success_is_stale(struct wall now, struct wall saved)
{
	return now.ms - saved.ms >= SUCCESS_SAVE_MS;
}

static bool take_site(struct site *s, struct site_record *out)
{
	if (!s->is_dirty && !success_is_stale(s->health.last_success, s->saved_success))
		return false;
	*out = (struct site_record){
		.name = s->name,
		.health = s->health,
		.window = s->window.learned > s->window.size ? s->window.learned : s->window.size,
		.rate = s->pace.learned,
	};
	s->is_dirty = false;
	s->saved_success = s->health.last_success;
	if (s->health.state == HEALTH_DOWN)
		agenda_note_probe(s->relay, s->health.next_probe);
	return true;
}

void destination_records(struct hop *h, struct arena *arena, struct store_record *record)
{
	struct site_record *site = arena_alloc(arena, sizeof(*site));
	struct hop_record *hop = arena_alloc(arena, sizeof(*hop));

	if (h->site && take_site(h->site, site)) {
		site->name = arena_dup(arena, site->name);
		record->sites = site;
		record->site_count = 1;
	}
	if (!h->is_dirty && !success_is_stale(h->health.last_success, h->saved_success))
		return;
	*hop = (struct hop_record){
		.name = arena_dup(arena, h->name),
		.site = h->site ? arena_dup(arena, h->site->name) : STR(""),
		.health = h->health,
	};
	names_fill(h, hop, arena);
	record->hops = hop;
	record->hop_count = 1;
	h->is_dirty = false;
	h->saved_success = h->health.last_success;
	if (h->health.state == HEALTH_DOWN)
		agenda_note_probe(h->relay, h->health.next_probe);
}

static void mark_unsaved(struct save *save)
{
	struct relay *r = save->relay;
	struct map_entry *e;

	if (save->op.site_count > 0 && (e = map_find(&r->sites, save->op.sites[0].name)) != NULL)
		CONTAINER_OF(e, struct site, entry)->is_dirty = true;
	if (save->op.hop_count > 0 && (e = map_find(&r->hops, save->op.hops[0].name)) != NULL)
		CONTAINER_OF(e, struct hop, entry)->is_dirty = true;
}

void destination_save_unsaved(struct relay *r)
{
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (h->is_dirty && h->is_loaded)
			destination_save(h);
	}
	for (struct map_entry *e = map_first(&r->sites); e; e = map_next(&r->sites, e)) {
		struct site *s = CONTAINER_OF(e, struct site, entry);

		if (s->is_dirty && s->is_loaded)
			destination_save_site(s);
	}
	/* and those that are in memory no more */
	agenda_want_scan_later(r);
}

static void save_free(struct loose *l)
{
	struct save *save = CONTAINER_OF(l, struct save, loose);

	loose_end(l);
	list_remove(&save->link);
	store_op_fini(&save->op.op);
	free(save);
}

static void on_saved(struct store_op *op)
{
	struct save *save = CONTAINER_OF(op, struct save, op.op);
	struct relay *r = save->relay;

	if (op->err != OK) {
		/* stored again when there is space: a probe that the store does not know of would never be due */
		log_text(r->env->log, LOG_WARNING, "qmgr",
			"cannot store the state of a destination: %s", err_name(op->err));
		mark_unsaved(save);
		if (op->err == ERR_NO_SPACE)
			upkeep_note_full(r);
	}
	save_free(&save->loose);
	relay_check_stopped(r);
}

static struct save *save_new(struct relay *r)
{
	struct save *save = mem_zalloc(sizeof(*save));

	save->relay = r;
	save->op.op.on_done = on_saved;
	save->op.at = env_wall(r->env);
	loose_begin(r, &save->loose, save_free);
	list_push_back(&r->saving, &save->link);
	return save;
}

void destination_save(struct hop *h)
{
	struct save *save = save_new(h->relay);

	destination_records(h, &save->op.op.arena, &save->op);
	store_submit(h->relay->store, &save->op.op, STORE_RECORD);
}

void destination_save_site(struct site *s)
{
	struct save *save = save_new(s->relay);
	struct site_record *site = arena_alloc(&save->op.op.arena, sizeof(*site));

	s->is_dirty = true;
	if (take_site(s, site)) {
		site->name = arena_dup(&save->op.op.arena, site->name);
		save->op.sites = site;
		save->op.site_count = 1;
	}
	store_submit(s->relay->store, &save->op.op, STORE_RECORD);
}
