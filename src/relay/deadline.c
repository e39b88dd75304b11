/*
 * deadline - mail that is to be returned by a time (RFC 2852, mode R) does not stay parked beyond it.
 *
 * Where mail is attempted the time is kept there: the last attempt is put at its end. Mail parked behind a dead destination is
 * attempted by nobody; so every quarter of an hour the store is asked for what is over, and each next hop of it that is DOWN
 * is gone over by expiry.c. Costs one seek while there is none. No outage extends such a time. Mail with less time than
 * that is noted when it comes in: until the last such time the store is asked each minute.
 */
#include "relay/deadline.h"

#include <stdlib.h>

#include "base/mem.h"
#include "relay/destination.h"

#define LOOK_MS (15 * MINUTE_MS)
#define LOOK_REAL_MS SECOND_MS /* under a fast clock */
#define LOOK_SOON_MS (10 * SECOND_MS)
#define PAGE 200

struct deadline {
	struct relay *relay;
	struct timer timer;
	struct store_late past;
	bool is_reading;
	struct wall looks_at;   /* when the timer fires */
	struct wall busy_until; /* the last by-time that was noted */
};

static void start_hop(struct relay *r, const struct late_place *place)
{
	bool is_site_down = place->site.name.len > 0 && place->site.health.state == HEALTH_DOWN;
	struct hop *h;

	if (!is_site_down && place->hop.health.state != HEALTH_DOWN)
		return;
	h = hop_get(r, place->hop.name);
	if (h)
		expiry_start_by_time(h, is_site_down ? &place->site.health : &place->hop.health);
}

static void on_past(struct store_op *op)
{
	struct deadline *d = CONTAINER_OF(op, struct deadline, past.op);
	struct relay *r = d->relay;

	d->is_reading = false;
	for (uint32_t i = 0; op->err == OK && !r->is_stopping && i < d->past.sender_count; i++)
		for (uint32_t k = 0; k < d->past.senders[i].place_count; k++)
			start_hop(r, &d->past.senders[i].places[k]);
	store_op_fini(op);
	relay_check_stopped(r);
}

static void look_at(struct deadline *d, struct wall when)
{
	d->looks_at = when;
	env_timer_at(d->relay->env, &d->timer, when);
}

void deadline_note(struct deadline *d, struct wall by)
{
	struct wall now = env_wall(d->relay->env);

	if (by.ms > now.ms + LOOK_MS || !timer_is_active(&d->timer))
		return;
	if (by.ms > d->busy_until.ms)
		d->busy_until = by;
	/* Not at once: many such times are one look a minute. */
	struct wall soon = wall_add(by.ms > now.ms ? by : now, LOOK_SOON_MS);
	if (d->looks_at.ms > soon.ms)
		look_at(d, soon);
}

static void on_timer(struct timer *t)
{
	struct deadline *d = CONTAINER_OF(t, struct deadline, timer);
	struct relay *r = d->relay;
	int64_t least_ms = LOOK_REAL_MS * r->env->rate;
	bool is_busy = env_wall(r->env).ms <= d->busy_until.ms;
	int64_t wait_ms = is_busy ? MINUTE_MS : LOOK_MS;

	if (r->is_stopping)
		return;
	look_at(d, wall_add(env_wall(r->env), wait_ms < least_ms ? least_ms : wait_ms));
	if (d->is_reading)
		return;
	d->is_reading = true;
	d->past = (struct store_late){
		.op.on_done = on_past,
		.now = env_wall(r->env),
		.is_by_time = true,
		.limit = PAGE,
	};
	store_submit(r->store, &d->past.op, STORE_LATE);
}

struct deadline *deadline_new(struct relay *r)
{
	struct deadline *d = mem_zalloc(sizeof(*d));

	d->relay = r;
	d->timer.on_fire = on_timer;
	return d;
}

void deadline_start(struct deadline *d)
{
	look_at(d, wall_add(env_wall(d->relay->env), MINUTE_MS));
}

void deadline_stop(struct deadline *d)
{
	env_timer_stop(d->relay->env, &d->timer);
}

bool deadline_is_busy(const struct deadline *d)
{
	return d->is_reading;
}

void deadline_free(struct deadline *d)
{
	deadline_stop(d);
	store_op_fini(&d->past.op);
	free(d);
}
