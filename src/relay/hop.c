/*
 * hop - a next hop in memory: load its row, claim its mail (claim.c), find its route, offer it to its site.
 *
 * hop_advance is the one place that decides what a hop does next; every completion only stores its result and kicks
 * it. Order: loaded, not parked, mail in memory, a route, a loaded site; then the site's round robin has it.
 * A DNS failure is the hop's own trouble; a final one is recorded for each message like any other reply.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/delivery.h"
#include "relay/destination.h"
#include "relay/outage.h"
#include "relay/sts.h"
#include "relay/tls_seen.h"

/* A route is used for new attempts this long without asking the resolver again; real time. */
#define ROUTE_REUSE_MS (30 * SECOND_MS)
/* While its mail is parked for its site's sake: has it moved to another? Asked when more mail comes; of a fast clock's time. */
#define ROUTE_PARKED_MS HOUR_MS
/* What we lack is looked for again so much later; of a fast clock's time. */
#define HOP_REST_MS MINUTE_MS

static void hop_load(struct hop *h);
static void hop_find_route(struct hop *h);

static bool has_work(const struct hop *h)
{
	return h->pending_count > 0 || h->has_more;
}

static bool is_busy(const struct hop *h)
{
	return has_work(h) || h->active_count > 0 || h->is_loading || h->is_claiming ||
	       h->is_routing || h->expiry || timer_is_active(&h->pause);
}

static void hop_free(struct hop *h)
{
	struct relay *r = h->relay;

	env_undefer(r->env, &h->advance);
	env_timer_stop(r->env, &h->pause);
	if (list_is_linked(&h->idle)) {
		list_remove(&h->idle);
		r->idle_hop_count--;
	}
	list_remove(&h->work);
	hop_drop_pending(h);
	route_cancel(&h->routing);
	if (h->is_routing)
		conf_unref(h->routing.conf);
	arena_fini(&h->routing.arena);
	shared_route_unref(h->route);
	CHECK(!h->expiry || h->relay->is_stopping);
	store_op_fini(&h->lookup.op);
	store_op_fini(&h->claim.op);
	hop_set_site(h, STR(""));
	map_remove(&r->hops, &h->entry);
	outage_detach_hop(h);
	relay_free_name(&h->name);
	names_fini(h);
	free(h->settled);
	free(h);
}

static void evict_idle(struct relay *r)
{
	while (r->idle_hop_count > HOPS_IDLE_MAX)
		hop_free(CONTAINER_OF(r->idle_hops.next, struct hop, idle));
}

static void set_idle(struct hop *h, bool is_idle)
{
	struct relay *r = h->relay;

	if (list_is_linked(&h->idle)) {
		list_remove(&h->idle);
		r->idle_hop_count--;
	}
	if (is_idle) {
		list_push_back(&r->idle_hops, &h->idle);
		r->idle_hop_count++;
	}
}

static void wait_until(struct hop *h, struct wall when)
{
	env_timer_at(h->relay->env, &h->pause, when);
}

static void on_pause_over(struct timer *t)
{
	struct hop *h = CONTAINER_OF(t, struct hop, pause);

	h->is_stalled = false;
	hop_kick(h);
}

/* Its own health allows a try now; else the pause timer is set. */
static bool may_try(struct hop *h)
{
	struct wall when;

	if (health_may_try(&h->health, env_wall(h->relay->env), h->active_count, &when))
		return true;
	if (h->active_count == 0 && when.ms != INT64_MAX)
		wait_until(h, when);
	return false;
}

static bool has_fresh_route(const struct hop *h)
{
	struct relay *r = h->relay;

	return h->route && h->route->conf == r->conf && env_now(r->env).ms < h->route->expires.ms;
}

void hop_rest(struct hop *h)
{
	struct relay *r = h->relay;

	h->rests_until = mono_add(env_now(r->env), HOP_REST_MS / r->env->rate);
	env_timer_after(r->env, &h->pause, HOP_REST_MS / r->env->rate);
}

static bool is_resting(const struct hop *h)
{
	return h->rests_until.ms > env_now(h->relay->env).ms;
}

/* Parked: nothing in memory, and no probe of its own that its site's state would stop. */
static void park(struct hop *h)
{
	hop_note_parked(h);
	hop_drop_pending(h);
	h->has_more = false;
	if (h->health.state == HEALTH_DOWN && !h->relay->watch.is_offline &&
		h->health.next_probe.ms <= env_wall(h->relay->env).ms) {
		h->health.next_probe = WALL_NEVER;
		h->is_dirty = true;
	}
	/* the store must know whose recovery wakes it: once a next hop, not once a message */
	if (h->is_dirty)
		destination_save(h);
}

static void become_idle(struct hop *h)
{
	struct relay *r = h->relay;

	list_remove(&h->work);
	set_idle(h, !is_busy(h));
	if (is_busy(h))
		return;
	if (h->site)
		site_refill(h->site);
	evict_idle(r);
	agenda_continue_scan(r);
}

static void retry_now(struct hop *h);

static void hop_advance(struct hop *h)
{
	struct relay *r = h->relay;

	if (r->is_stopping) {
		if (h->expiry)
			expiry_continue(h);
		relay_check_stopped(r);
		return;
	}
	if (!h->is_loaded) {
		if (!is_resting(h))
			hop_load(h);
		return;
	}
	if (h->expiry)
		expiry_continue(h);
	if (h->is_retry_wanted && (!h->site || h->site->is_loaded))
		retry_now(h);
	if (has_work(h) && hop_is_parked(h, env_wall(r->env)))
		park(h);
	if (!has_work(h)) {
		become_idle(h);
		return;
	}
	if (h->site && !h->site->is_loaded)
		return; /* its load kicks all members: its mail may be parked, and another site may have to inherit of it */
	if (claim_is_wanted(h))
		claim_start(h);
	if (h->pending_count == 0 || is_resting(h) || !may_try(h))
		return;
	if (!has_fresh_route(h)) {
		hop_find_route(h);
		return;
	}
	if (!h->site->is_loaded)
		return; /* its load kicks all members */
	if (!list_is_linked(&h->work))
		list_push_back(&h->site->work, &h->work);
	site_kick(h->site);
}

static void on_advance(struct deferred *d)
{
	hop_advance(CONTAINER_OF(d, struct hop, advance));
}

void hop_kick(struct hop *h)
{
	env_defer(h->relay->env, &h->advance);
}

struct hop *hop_get(struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->hops, name);

	if (e) {
		struct hop *known = CONTAINER_OF(e, struct hop, entry);

		set_idle(known, false);
		hop_kick(known); /* back to idle if nothing comes of it */
		return known;
	}
	if (r->hops.count - r->idle_hop_count >= HOPS_BUSY_MAX) {
		agenda_want_scan(r);
		return NULL;
	}

	struct hop *h = mem_zalloc(sizeof(*h));

	h->relay = r;
	h->name = relay_copy_name(name);
	list_init(&h->pending);
	list_init(&h->late);
	list_init(&h->active);
	h->pause.on_fire = on_pause_over;
	h->advance.on_run = on_advance;
	health_init(&h->health, env_wall(r->env));
	map_insert(&r->hops, &h->entry, h->name);
	outage_attach_hop(h);
	hop_kick(h);
	return h;
}

void hop_note_more(struct hop *h)
{
	h->has_more = true;
	h->is_stalled = false;
	h->is_more_noted |= h->is_claiming; /* that CLAIM may be older than what is noted here */
	set_idle(h, false);
	hop_kick(h);
}

void hop_note_news(struct hop *h)
{
	h->is_news = true;
	hop_note_more(h);
}

/* What is DOWN without a time for its probe slept for want of mail: the mail that comes is the next probe. */
static bool is_asleep(const struct health_record *health, struct wall now)
{
	struct wall when;

	return health->state == HEALTH_DOWN && !health_may_try(health, now, 0, &when);
}

bool hop_is_parked(const struct hop *h, struct wall now)
{
	return h->relay->watch.is_offline || is_asleep(&h->health, now) ||
	       (h->site && h->site->is_loaded && is_asleep(&h->site->health, now));
}

void hop_note_parked(struct hop *h)
{
	struct relay *r = h->relay;

	offline_note_waiting(h);
	if (r->watch.is_offline || r->is_stopping || !h->site || !h->site->is_loaded ||
		is_asleep(&h->health, env_wall(r->env)) || env_now(r->env).ms < h->route_next.ms)
		return;
	hop_find_route(h);
}

void hop_drop_pending(struct hop *h)
{
	late_drop(h);
	while (!list_is_empty(&h->pending)) {
		struct delivery *d = CONTAINER_OF(h->pending.next, struct delivery, link);

		delivery_stop_waiting(d);
		delivery_free(d);
	}
	fair_fini(&h->fair);
}

const struct conf_policy *hop_policy(const struct hop *h)
{
	return conf_policy_for(h->relay->conf, h->name, h->site ? h->site->name : STR(""));
}

bool hop_is_known_good(const struct hop *h)
{
	return health_is_known_good(&h->health, hop_policy(h), env_wall(h->relay->env)) ||
	       outage_is_declared(h->relay, h, h->site);
}

/* ---- load ---- */

static void on_loaded(struct store_op *op)
{
	struct hop *h = CONTAINER_OF(op, struct hop, lookup.op);
	struct store_lookup *l = &h->lookup;

	h->is_loading = false;
	h->is_loaded = op->err == OK || op->err == ERR_NOT_FOUND;
	if (!h->is_loaded) {
		/* not taken for one that is up: who knows why it is parked */
		log_text(h->relay->env->log, LOG_ERROR, "qmgr",
			"next hop %.*s: cannot read its state, trying again in a minute: %s",
			STR_FMT(h->name), err_name(op->err));
		store_op_fini(op);
		hop_rest(h);
		hop_kick(h);
		return;
	}
	if (op->err == OK && l->hop_out.name.len > 0) {
		h->health = l->hop_out.health;
		names_load(h, &l->hop_out);
		h->saved_success = h->health.last_success;
		if (l->hop_out.site.len > 0)
			hop_set_site(h, l->hop_out.site);
		h->is_dirty = false;
	}
	outage_take_hop(h, op->err);
	store_op_fini(op);
	hop_kick(h);
}

static void hop_load(struct hop *h)
{
	if (h->is_loading)
		return;
	h->is_loading = true;
	h->lookup = (struct store_lookup){ .op.on_done = on_loaded, .hop = h->name };
	store_submit(h->relay->store, &h->lookup.op, STORE_LOOKUP);
}

/* ---- route ---- */

void shared_route_unref(struct shared_route *s)
{
	if (!s || --s->references > 0)
		return;
	route_free(s->route);
	conf_unref(s->conf);
	free(s);
}

/* Its mail was to be the probe of its site: that of another next hop takes its turn soon. When it was in trouble before, so are
 * all that could have been chosen. Without a time of its own such a probe would stay due, in the way of those of other sites. */
static void note_probe_missed(struct hop *h, enum health_state hop_was)
{
	struct wall now = env_wall(h->relay->env), when;
	struct site *s = h->site;

	if (!s || !s->is_loaded || s->health.state != HEALTH_DOWN ||
		!health_may_try(&s->health, now, s->window.in_flight, &when))
		return;
	health_put_off_probe(&s->health, now,
		hop_was == HEALTH_UP || hop_was == HEALTH_RECOVERING ? MINUTE_MS : HOUR_MS);
	destination_save_site(s);
}

/* No route: a temporary reason is the hop's own failure; a final one is the outcome of the mail that waits here. */
static void on_no_route(struct hop *h, const struct outcome *outcome)
{
	struct verdict v = names_judge(h, outcome);
	enum health_state was = h->health.state;

	if (v.disposition == DISPOSE_FAIL) {
		while (!list_is_empty(&h->pending))
			delivery_fail_without_route(
				CONTAINER_OF(h->pending.next, struct delivery, link), outcome, &v);
		return;
	}
	if (outcome->stage == STAGE_DNS && outcome->status.klass == 4 && offline_take_silence(h))
		return;
	evidence_against_hop(h, outcome, STR(""));
	destination_save(h);
	note_probe_missed(h, was);
}

static void on_routed(struct route_request *req)
{
	struct hop *h = CONTAINER_OF(req, struct hop, routing);
	struct relay *r = h->relay;
	bool has_moved;

	h->is_routing = false;
	h->route_next = mono_add(env_now(r->env), ROUTE_PARKED_MS / r->env->rate);
	if (req->outcome.stage != STAGE_NONE ? req->outcome.stage != STAGE_DNS
					     : req->route->left_out.len > 0)
		tls_seen_route(h);
	if (req->outcome.stage != STAGE_NONE) {
		on_no_route(h, &req->outcome);
	} else {
		struct shared_route *s = mem_zalloc(sizeof(*s));

		s->references = 1;
		s->route = req->route;
		s->conf = conf_ref(req->conf);
		s->expires = mono_add(env_now(r->env), ROUTE_REUSE_MS / r->env->rate + 50);
		shared_route_unref(h->route);
		h->route = s;
		has_moved = h->site && !str_equal(h->site->name, s->route->site);
		hop_set_site(h, s->route->site);
		if (has_moved)
			hop_note_more(h); /* what was parked behind that one need not wait for it */
		names_note_route(h, s->route);
		if (str_equal(str_from_c(h->health.stage), str_from_c(stage_name(STAGE_DNS))) &&
			h->health.state != HEALTH_UP)
			h->is_dirty |= health_note_success(&h->health, env_wall(r->env), false);
	}
	conf_unref(req->conf);
	arena_fini(&req->arena);
	hop_kick(h);
}

static void hop_find_route(struct hop *h)
{
	if (h->is_routing)
		return;
	h->is_routing = true;
	h->routing = (struct route_request){
		.hop = h->name,
		.conf = conf_ref(h->relay->conf),
		.policies = sts_policies(h->relay->sts),
		.on_done = on_routed,
	};
	h->routing.remembered = names_recall(h, &h->routing.arena);
	route_resolve(h->relay->env, h->relay->resolver, &h->relay->rng, &h->routing);
}

/* ---- an operator's word ---- */

void destination_retry(struct relay *r, struct str name)
{
	struct hop *h = hop_get(r, name);

	if (!h)
		return;
	offline_look_now(r);
	h->is_retry_wanted = true; /* what it is worth is known when it and its site are loaded */
	h->is_retry_told = true;
	hop_note_news(h);
}

void destination_take_turn(struct relay *r, struct str name)
{
	struct hop *h = hop_get(r, name);

	if (!h)
		return;
	h->is_retry_wanted = true;
	hop_note_news(h);
}

static void retry_now(struct hop *h)
{
	struct wall now = env_wall(h->relay->env);
	bool is_told = h->is_retry_told;

	h->is_retry_wanted = h->is_retry_told = false;
	if (h->health.state == HEALTH_DOWN && h->health.next_probe.ms > now.ms) {
		health_probe_now(&h->health, now);
		h->is_dirty = true;
		destination_save(h);
	}
	/* the turn of a next hop that comes late must not bring its site's next probe forward, again and again */
	if (is_told && h->site && h->site->health.state == HEALTH_DOWN &&
		h->site->health.next_probe.ms > now.ms) {
		health_probe_now(&h->site->health, now);
		destination_save_site(h->site);
	}
}

/* ---- all of them ---- */

void destination_reload(struct relay *r)
{
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (h->site) {
			window_set_max(&h->site->window, hop_policy(h)->connections_max);
			pace_set_cap(&h->site->pace, hop_policy(h)->rate_max);
		}
		/* another rule may send it elsewhere: it is claimed anew */
		if (h->pending_count > 0 || h->late_count > 0) {
			hop_drop_pending(h);
			hop_note_more(h);
		}
		hop_kick(h);
	}
}

/* Their rows are READY: nothing is lost, and nothing needs to be written. */
void destination_cancel_attempts(struct relay *r)
{
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);

		LIST_FOR_EACH_SAFE (link, &h->active) {
			struct delivery *d = CONTAINER_OF(link, struct delivery, link);

			if (d->is_attempting || timer_is_active(&d->again))
				delivery_finish(d);
		}
	}
}

void destination_free_all(struct relay *r)
{
	struct map_entry *e;

	while ((e = map_first(&r->hops)) != NULL) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);
		struct list *link;

		while ((link = list_pop_front(&h->active)) != NULL) {
			struct delivery *d = CONTAINER_OF(link, struct delivery, link);

			if (d->site)
				d->site->window.in_flight--;
			delivery_free(d);
		}
		hop_free(h);
	}
	site_free_all(r);
}
