/*
 * offline - our own connection (OUTAGE section 2, Own fault): noticed, made sure of, held against nobody, and over.
 *
 * What each attempt reached is noted (queue/offline.h). When many destinations fail and none is reached, those that worked
 * last and the configured canaries are asked, a session without mail each, all at once. Does one of them say anything, it is
 * not us. Else we are offline: the failures since the last success are forgiven, an outage of all is begun, and nothing
 * is tried but this same inquiry, once each probe interval; parked mail costs nothing meanwhile. When somebody answers,
 * all moves again, as fast as the scan of next hops goes.
 *
 * Those that worked last may be dead for reasons of their own, all of them at once: a quiet relay that writes to one big
 * provider. So each inquiry also asks a few next hops that have mail and did not fail yet; else their mail would wait for the
 * dead.
 *
 * After a restart nothing is known but that the outage is open: it is found anew, or closed by the first success.
 * One address family that does not work while the other does is only put last.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/delivery.h"
#include "relay/outage.h"
#include "smtp/client.h"

#define CONNECT_FLOOR_MS 50
#define FAMILY_AVOID_MS (10 * MINUTE_MS)
/* Whom to ask is kept no finer than this. */
#define LATELY_EVERY_MS (10 * SECOND_MS)
/* An outage left open by an earlier life is closed this long after the first success. */
#define LEFT_OPEN_MS MINUTE_MS

/* One of those that are asked: a canary's route first, then a session. */
struct inquiry {
	struct list link; /* watch.inquiries */
	struct relay *relay;
	struct conf *conf;
	struct route_request routing;
	bool is_routing;
	struct route *route;
	struct endpoint address;
	struct smtp_client *client;
};

static void inquire(struct relay *r, bool only_canaries);

/* ---- the verdict ---- */

static void arm(struct relay *r)
{
	env_timer_at(r->env, &r->watch.timer,
		wall_add(env_wall(r->env), r->conf->policy.probe_first_ms));
}

/* What befell a destination since then says nothing of it. */
static void forgive(struct relay *r)
{
	struct wall now = env_wall(r->env), since = r->watch.began;

	for (struct map_entry *e = map_first(&r->sites); e; e = map_next(&r->sites, e)) {
		struct site *s = CONTAINER_OF(e, struct site, entry);
		bool was_down = s->health.state == HEALTH_DOWN;

		if (!s->is_loaded || !health_forgive(&s->health, since, now))
			continue;
		s->trouble_hop = 0;
		outage_end(r, OUTAGE_DOWN, OUTAGE_OF_SITE, s->name, now);
		if (was_down && r->env->metrics->value[METRIC_sites_down] > 0)
			metric_sub(r->env->metrics, METRIC_sites_down, 1);
		destination_save_site(s);
	}
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (h->is_loaded && health_forgive(&h->health, since, now)) {
			h->is_dirty = true;
			outage_end(r, OUTAGE_DOWN, OUTAGE_OF_HOP, h->name, now);
			destination_save(h);
		}
		hop_kick(h); /* it is parked now */
	}
}

static void go_offline(struct relay *r)
{
	struct watch *w = &r->watch;
	struct health_record evidence = {
		.stage = "connect",
		.text = "no destination could be reached",
		.first_failure = w->all.first_failure,
		.failures = w->all.tried_count,
	};
	struct buf since;

	w->is_offline = true;
	w->untried_count = 0;
	w->began = w->all.first_failure;
	buf_init(&since, 64);
	instant_format_iso(&since, w->began);
	log_text(r->env->log, LOG_ERROR, "qmgr",
		"offline: none of %u destinations could be reached since %s, nor those that worked "
		"before; nothing is held against them, all mail waits",
		w->all.tried_count, buf_cstr(&since));
	buf_fini(&since);
	(void)outage_begin(r, OUTAGE_OFFLINE, OUTAGE_OF_ALL, STR(""), w->began, &evidence);
	forgive(r);
	arm(r);
}

static void go_online(struct relay *r)
{
	struct watch *w = &r->watch;
	struct wall now = env_wall(r->env);
	struct buf span;

	w->is_offline = false;
	buf_init(&span, 64);
	instant_format_span(&span, now.ms - w->began.ms);
	log_text(r->env->log, LOG_NOTICE, "qmgr", "online again after %s: all mail moves",
		buf_cstr(&span));
	buf_fini(&span);
	outage_end(r, OUTAGE_OFFLINE, OUTAGE_OF_ALL, STR(""), now);
	resolver_flush(r->resolver); /* what failed a moment ago need not now */
	agenda_note_probe(r, now);
	agenda_want_scan(r);
	sched_kick(r);
}

static void note_reached(struct relay *r)
{
	struct watch *w = &r->watch;

	offline_note(&w->all, 0, OFFLINE_REACHED, env_wall(r->env));
	if (w->is_offline)
		go_online(r);
	if (w->has_reached)
		return;
	w->has_reached = true;
	env_timer_after(r->env, &w->timer, LEFT_OPEN_MS);
}

static void judge(struct relay *r)
{
	switch (offline_judge(&r->watch.all, env_wall(r->env))) {
	case OFFLINE_NO:
		return;
	case OFFLINE_FEW:
		if (r->conf->canary_count > 0)
			inquire(r, true);
		return;
	case OFFLINE_MANY:
		inquire(r, false);
		return;
	}
}

static void on_time(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, watch.timer);

	if (r->watch.is_offline)
		inquire(r, false);
	else
		outage_end(r, OUTAGE_OFFLINE, OUTAGE_OF_ALL, STR(""), env_wall(r->env));
}

/* ---- asking ---- */

static void inquiry_free(struct inquiry *q)
{
	list_remove(&q->link);
	if (q->client) {
		smtp_client_close(q->client);
		metric_sub(q->relay->env->metrics, METRIC_connections_open, 1);
	}
	if (q->is_routing)
		route_cancel(&q->routing);
	arena_fini(&q->routing.arena);
	route_free(q->route);
	conf_unref(q->conf);
	free(q);
}

static void drop_inquiries(struct relay *r)
{
	while (!list_is_empty(&r->watch.inquiries))
		inquiry_free(CONTAINER_OF(r->watch.inquiries.next, struct inquiry, link));
}

/* One has its answer. The first who says anything speaks for all. */
static void conclude(struct inquiry *q, bool has_answered)
{
	struct relay *r = q->relay;
	struct watch *w = &r->watch;

	inquiry_free(q);
	if (has_answered) {
		drop_inquiries(r);
		note_reached(r);
	} else if (list_is_empty(&w->inquiries)) {
		if (w->is_offline)
			arm(r);
		else if (w->all.first_failure.ms != WALL_NONE.ms)
			go_offline(r);
	}
}

static void on_ready(void *user, struct smtp_client *c)
{
	(void)c;
	conclude(user, true);
}

static void on_failed(void *user, struct smtp_client *c, const struct outcome *outcome)
{
	struct inquiry *q = user;

	(void)c;
	q->client = NULL;
	metric_sub(q->relay->env->metrics, METRIC_connections_open, 1);
	conclude(q, outcome->code != 0);
}

static const struct smtp_client_handler handler = { on_ready, on_failed };

static void ask(struct inquiry *q, struct str host)
{
	struct relay *r = q->relay;
	bool is_ipv6 = q->address.family == FAMILY_IPV6;
	int64_t connect_ms = q->conf->client.connect_ms / r->env->rate;
	const struct smtp_client_params params = {
		.to = q->address,
		.source = is_ipv6 ? q->conf->client.source_ipv6 : q->conf->client.source_ipv4,
		.host = host,
		.hostname = q->conf->hostname,
		.connect_ms = connect_ms > CONNECT_FLOOR_MS ? connect_ms : CONNECT_FLOOR_MS,
	};

	metric_add(r->env->metrics, METRIC_connections_opened_total, 1);
	metric_add(r->env->metrics, METRIC_connections_open, 1);
	q->client = smtp_client_open(r->env, r->net, q->conf, &params, &handler, q);
}

static void on_routed(struct route_request *req)
{
	struct inquiry *q = CONTAINER_OF(req, struct inquiry, routing);

	q->is_routing = false;
	q->route = req->route;
	if (req->outcome.stage != STAGE_NONE) {
		conclude(q, false); /* also NXDOMAIN: a canary is there, whoever says otherwise */
		return;
	}
	q->address = q->route->targets[0].address;
	ask(q, q->route->targets[0].host);
}

static struct inquiry *inquiry_new(struct relay *r)
{
	struct inquiry *q = mem_zalloc(sizeof(*q));

	q->relay = r;
	q->conf = conf_ref(r->conf);
	list_push_back(&r->watch.inquiries, &q->link);
	return q;
}

static void ask_domain(struct relay *r, struct str domain)
{
	struct inquiry *q = inquiry_new(r);

	q->is_routing = true;
	q->routing = (struct route_request){ .conf = q->conf, .on_done = on_routed };
	q->routing.hop = arena_dup(&q->routing.arena, domain);
	route_resolve(r->env, r->resolver, &r->rng, &q->routing);
}

static uint64_t hash_of_hop(struct str name)
{
	return str_hash_fold(name, 2) | 1;
}

static uint64_t hash_of_site(struct str name)
{
	return str_hash_fold(name, 1) | 1;
}

static bool is_noted(const struct watch *w, struct str name)
{
	for (uint32_t i = 0; i < w->untried_count; i++)
		if (str_equal(str_from_c(w->untried[i]), name))
			return true;
	return false;
}

void offline_note_waiting(const struct hop *h)
{
	struct watch *w = &h->relay->watch;

	if (!w->is_offline || w->untried_count == WATCH_UNTRIED ||
		h->name.len >= sizeof(w->untried[0]) || is_noted(w, h->name) ||
		offline_has_failed(&w->all, hash_of_hop(h->name)) ||
		(h->site && offline_has_failed(&w->all, hash_of_site(h->site->name))))
		return;
	memcpy(w->untried[w->untried_count], h->name.data, h->name.len);
	w->untried[w->untried_count++][h->name.len] = '\0';
}

static void ask_untried(struct relay *r)
{
	struct watch *w = &r->watch;

	for (uint32_t i = 0; i < w->untried_count; i++) {
		struct str name = str_from_c(w->untried[i]);

		/* one that answers wipes this; one that does not makes room for others */
		offline_note(&w->all, hash_of_hop(name), OFFLINE_FAILED, env_wall(r->env));
		ask_domain(r, name);
	}
	w->untried_count = 0;
}

static void inquire(struct relay *r, bool only_canaries)
{
	struct watch *w = &r->watch;

	if (!list_is_empty(&w->inquiries) || r->is_stopping)
		return;
	for (uint32_t i = 0; i < r->conf->canary_count; i++)
		ask_domain(r, r->conf->canaries[i]);
	for (uint32_t i = 0; i < WATCH_LATELY && !only_canaries; i++) {
		struct inquiry *q;

		if (w->lately[i].site == 0)
			continue;
		q = inquiry_new(r);
		q->address = w->lately[i].address;
		ask(q, STR(""));
	}
	if (w->is_offline)
		ask_untried(r);
	/* since the start nobody was even found */
	if (list_is_empty(&w->inquiries) && w->silent[0])
		ask_domain(r, str_from_c(w->silent));
}

void offline_look_now(struct relay *r)
{
	if (r->watch.is_offline)
		inquire(r, false);
}

/* ---- what attempts say ---- */

/* Those that worked stay before those that never did; else the latest stay. */
static bool is_dearer(const struct watch_contact *a, const struct watch_contact *b)
{
	if (a->has_worked != b->has_worked)
		return a->has_worked;
	return a->at.ms > b->at.ms;
}

static void note_contact(
	struct watch *w, uint64_t site, const struct endpoint *at, bool has_worked, struct wall now)
{
	struct watch_contact *place = &w->lately[0];

	for (size_t i = 0; i < WATCH_LATELY; i++) {
		struct watch_contact *c = &w->lately[i];

		if (c->site == site) {
			place = c;
			break;
		}
		if (is_dearer(place, c))
			place = c;
	}
	if (place->has_worked &&
		(!has_worked || (place->site == site && now.ms - place->at.ms < LATELY_EVERY_MS)))
		return;
	*place = (struct watch_contact){ site, *at, now, has_worked };
}

static void note_family(struct relay *r, struct offline *o, const struct offline *other,
	enum address_family family, uint64_t site, const struct attempt *a)
{
	struct wall now = env_wall(r->env);
	unsigned bit = ATTEMPT_FAMILY(family);

	if (a->answered & bit) {
		offline_note(o, site, OFFLINE_REACHED, now);
		return;
	}
	if (!(a->unconnected & bit))
		return;
	offline_note(o, site, OFFLINE_FAILED, now);
	if (offline_judge(o, now) != OFFLINE_MANY ||
		now.ms - other->reached.ms >= OFFLINE_WINDOW_MS)
		return;
	log_text(r->env->log, LOG_WARNING, "qmgr",
		"%s does not work here: its addresses are tried last for 10 minutes",
		family == FAMILY_IPV6 ? "IPv6" : "IPv4");
	pool_avoid_family(r->pool, family, wall_add(now, FAMILY_AVOID_MS));
	*o = (struct offline){ .reached = now }; /* judged anew after that */
}

bool offline_take(struct delivery *d)
{
	const struct attempt *a = &d->attempt;
	struct relay *r = d->hop->relay;
	struct watch *w = &r->watch;
	struct wall now;
	uint64_t site;

	if (!d->site || !(a->unconnected | a->opened | a->answered))
		return false;
	now = env_wall(r->env);
	site = hash_of_site(d->site->name);
	note_family(r, &w->ipv4, &w->ipv6, FAMILY_IPV4, site, a);
	note_family(r, &w->ipv6, &w->ipv4, FAMILY_IPV6, site, a);
	if (a->answered) {
		note_contact(w, site, &a->reached, true, now);
		note_reached(r);
		return false;
	}
	offline_note(&w->all, site, a->opened ? OFFLINE_UNCLEAR : OFFLINE_FAILED, now);
	if (!a->opened)
		note_contact(w, site, &a->route->targets[a->order[a->target]].address, false, now);
	judge(r);
	return w->is_offline;
}

bool offline_take_silence(struct hop *h)
{
	struct relay *r = h->relay;

	offline_note(&r->watch.all, hash_of_hop(h->name), OFFLINE_FAILED, env_wall(r->env));
	if (h->name.len < sizeof(r->watch.silent))
		memcpy(r->watch.silent, h->name.data, h->name.len + 1);
	judge(r);
	return r->watch.is_offline;
}

void offline_init(struct relay *r)
{
	list_init(&r->watch.inquiries);
	r->watch.timer.on_fire = on_time;
}

void offline_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->watch.timer);
	drop_inquiries(r);
}
