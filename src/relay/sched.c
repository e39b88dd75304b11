/*
 * sched - which delivery starts next: one from each site in turn, within its window and connections-max.
 *
 * A dead or slow site never delays another: it takes its own places and is passed over. Inside a site its next hops
 * take turns, inside a next hop mail goes in drain order. Runs as one deferred call, however often it is kicked.
 */
#include "relay/delivery.h"

/* Starts what it may of one site: one delivery. True when the site may start another one now. */
static bool start_one(struct site *s)
{
	struct relay *r = s->relay;
	struct wall now = env_wall(r->env), when;

	if (list_is_empty(&s->work) || window_room(&s->window) == 0)
		return false;
	if (!health_may_try(&s->health, now, s->window.in_flight, &when)) {
		if (s->health.state == HEALTH_DOWN)
			site_park(s);
		else if (s->window.in_flight == 0 && when.ms != INT64_MAX)
			env_timer_at(r->env, &s->pause, when);
		return false;
	}

	if (!pacing_may_start(s))
		return false;

	struct hop *h = CONTAINER_OF(s->work.next, struct hop, work);

	list_remove(&h->work);
	if (h->pending_count == 0 || !health_may_try(&h->health, now, h->active_count, &when)) {
		hop_kick(h);
		return true;
	}
	delivery_start(pacing_pick(h));
	pace_note_start(&s->pace, now);
	if (h->pending_count > 0 && h->health.state != HEALTH_SUSPECT &&
		h->health.state != HEALTH_DOWN && h->route->conf == r->conf &&
		env_now(r->env).ms < h->route->expires.ms)
		list_push_back(&s->work, &h->work);
	else
		hop_kick(h);
	if (h->has_more && !h->is_claiming && h->pending_count < 8)
		hop_kick(h);
	return true;
}

static void on_sched(struct deferred *d)
{
	struct relay *r = CONTAINER_OF(d, struct relay, sched);

	while (!r->is_stopping && !r->upkeep.is_full && !r->watch.is_offline &&
		r->attempt_count < r->conf->client.connections_max &&
		!list_is_empty(&r->ready_sites)) {
		struct site *s = CONTAINER_OF(list_pop_front(&r->ready_sites), struct site, ready);

		if (start_one(s) && !list_is_linked(&s->ready))
			list_push_back(&r->ready_sites, &s->ready);
	}
	agenda_continue_scan(r);
}

void sched_kick(struct relay *r)
{
	env_defer(r->env, &r->sched);
}

void sched_init(struct relay *r)
{
	list_init(&r->ready_sites);
	r->sched.on_run = on_sched;
}

static bool has_room(const struct hop *h)
{
	uint32_t of_all = h->relay->pending_count;

	return h->pending_count == 0 ||
	       (h->pending_count < HOP_PENDING_MAX && of_all < PENDING_MAX) ||
	       (h->pending_count < HOP_PENDING_BURST_MAX && of_all < PENDING_SPARE);
}

static uint32_t count_of_hop(
	const struct hop *h, const struct recipient *recipients, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += str_equal(recipients[i].hop, h->name);
	return n;
}

/* More urgent than what came from the store last: nothing there that is as urgent is overtaken. */
static bool outranks_pending(const struct hop *h, const struct message *m)
{
	const struct delivery *last = CONTAINER_OF(h->pending.prev, struct delivery, link);

	return h->pending_count > 0 && h->pending_count < HOP_PENDING_BURST_MAX &&
	       h->relay->pending_count < PENDING_MAX &&
	       m->env.priority > last->message->env.priority;
}

/* A next hop of a fresh message: takes it into memory, or remembers that the store has it. */
static void offer_to_hop(struct relay *r, struct message *m, const struct recipient *first,
	const struct recipient *recipients, uint32_t count)
{
	struct hop *h = hop_get(r, first->hop);

	if (!h)
		return; /* a scan is noted: the store has it */
	if (h->is_loaded && hop_is_parked(h, env_wall(r->env))) {
		hop_note_parked(h);
		return;
	}
	if (m->env.id <= h->claimed_id_max && hop_holds(h, m->env.id))
		return; /* a CLAIM saw it in the store before we heard that it is there */
	if (count_of_hop(h, recipients, count) > hop_policy(h)->recipients_per_message) {
		hop_note_more(h);
	} else if (outranks_pending(h, m)) {
		delivery_wait(delivery_make(h, m, recipients, count));
		hop_kick(h);
	} else if (h->has_more) {
		if (!late_add(h, m, recipients, count))
			hop_note_more(h);
	} else if (has_room(h)) {
		delivery_wait(delivery_make(h, m, recipients, count));
		hop_kick(h);
	} else {
		hop_note_more(h);
	}
}

void sched_offer(
	struct relay *r, struct message *m, const struct recipient *recipients, uint32_t count)
{
	if (r->is_stopping)
		return;
	for (uint32_t i = 0; i < count; i++) {
		bool is_first = true;

		for (uint32_t j = 0; j < i && is_first; j++)
			is_first = !str_equal(recipients[j].hop, recipients[i].hop);
		if (is_first)
			offer_to_hop(r, m, &recipients[i], recipients + i, count - i);
	}
}
