/*
 * cohort - a shape played by cohorts: an estimate of what sim_exact would say, at any size, in seconds.
 *
 * Messages are not kept, only how many were accepted in each ten minutes and still wait. Second by second the destination's
 * health, its probes, its window and its pace go through the very rules that the relay uses (src/queue); what is
 * computed instead of played is the protocol: a delivery keeps one connection busy for so long, and other destinations'
 * mail takes as long as its own exchange of commands, for nothing in the relay makes it wait. Cannot fail.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/health.h"
#include "queue/pace.h"
#include "queue/window.h"
#include "sim/report.h"

#define STEP_MS SECOND_MS
#define COHORT_MS (10 * MINUTE_MS)
/* Between two messages, at least, that one node delivers: doc/performance.md, the drain of a backlog while mail comes in. */
#define NODE_GAP_MS 0.0625
#define AFTER_DRAIN_MS HOUR_MS
#define ALMOST 1e-6 /* parts of messages add up to whole ones but for so much */
#define EPOCH_MS INT64_C(1674432000000)

struct cohort {
	int64_t accepted_ms; /* the first of them */
	double count;
};

struct play {
	const struct sim_shape *shape;
	const struct conf_policy *policy;
	struct sim_report *report;
	struct rng rng;
	struct health_record health;
	struct window window;
	struct pace pace;
	double free_ms;         /* when the next message may start */
	struct cohort *cohorts; /* a ring, oldest first */
	size_t first, count, room;
	double backlog;
	double delivered, expired;
	int64_t now_ms, attempt_ms; /* when it was tried last while away; 0: not yet */
	int64_t credit_from_ms;     /* first failure; INT64_MAX: none */
	double minute_served, drain_served;
};

static struct wall wall_of(int64_t at_ms)
{
	return (struct wall){ EPOCH_MS + at_ms };
}

static bool is_away(const struct play *p)
{
	return p->now_ms >= 0 && p->now_ms < p->shape->outage_ms;
}

/* ---- cohorts ---- */

static struct cohort *cohort_at(struct play *p, size_t i)
{
	CHECK(i < p->room);
	return &p->cohorts[(p->first + i) % p->room];
}

static void accept_mail(struct play *p, int64_t at_ms, double count)
{
	struct cohort *last = p->count ? cohort_at(p, p->count - 1) : NULL;

	if (count <= 0)
		return;
	p->backlog += count;
	if (last && at_ms - last->accepted_ms < COHORT_MS) {
		last->count += count;
		return;
	}
	if (p->count ==
		p->room) { /* the ring is as long as lifetimes and outages are: never here */
		cohort_at(p, p->count - 1)->count += count;
		return;
	}
	p->count++;
	*cohort_at(p, p->count - 1) = (struct cohort){ at_ms, count };
}

static double take_oldest(struct play *p, double count)
{
	double left = count;

	while (p->count > 0) {
		struct cohort *c = cohort_at(p, 0);
		double part = c->count < left ? c->count : left;

		c->count -= part;
		left -= part;
		if (c->count > 1e-9)
			break;
		p->first = (p->first + 1) % p->room;
		p->count--;
	}
	p->backlog = p->backlog > count - left ? p->backlog - (count - left) : 0;
	if (p->count == 0)
		p->backlog = 0;
	return count - left;
}

/* Time counts against a message only while it could have moved: at a destination that was known to work, from its first
 * failure until what waits was offered again it does not. The greatest lifetime counts always. */
static int64_t spent_ms(const struct play *p, int64_t accepted_ms)
{
	const struct sim_report *r = p->report;
	int64_t from_ms = accepted_ms > p->credit_from_ms ? accepted_ms : p->credit_from_ms;
	int64_t to_ms = r->drain_ms < 0 ? p->now_ms : p->shape->outage_ms + r->drain_ms;
	int64_t credit_ms = p->shape->is_unknown || to_ms < from_ms ? 0 : to_ms - from_ms;

	return p->now_ms - accepted_ms - credit_ms;
}

static void expire_mail(struct play *p)
{
	while (p->count > 0) {
		const struct cohort *c = cohort_at(p, 0);

		if (spent_ms(p, c->accepted_ms) <= p->policy->lifetime_ms &&
			p->now_ms - c->accepted_ms <= p->policy->lifetime_max_ms)
			return;
		p->expired += take_oldest(p, c->count);
	}
}

/* ---- the destination ---- */

static void note_attempt(struct play *p)
{
	struct sim_report *r = p->report;

	if (p->attempt_ms && p->now_ms - p->attempt_ms > r->probe_gap_ms)
		r->probe_gap_ms = p->now_ms - p->attempt_ms;
	p->attempt_ms = p->now_ms;
	r->probes++;
}

static void fail(struct play *p)
{
	const struct outcome outcome = { .stage = STAGE_CONNECT, .err = ERR_REFUSED };

	note_attempt(p);
	if (p->credit_from_ms == INT64_MAX)
		p->credit_from_ms = p->now_ms;
	if (health_note_failure(
		    &p->health, p->policy, &outcome, STR("mx"), wall_of(p->now_ms), &p->rng))
		window_close_to_one(&p->window);
}

static void note_delivered(struct play *p, int64_t at_ms)
{
	struct sim_report *r = p->report;

	p->delivered++;
	p->minute_served++;
	if (p->health.state != HEALTH_UP || p->window.size < p->window.max)
		window_note_success(&p->window);
	if (at_ms < p->shape->outage_ms)
		return;
	if (r->first_ms < 0)
		r->first_ms = at_ms - p->shape->outage_ms + shape_way_ms(p->shape, true);
	if (r->drain_ms < 0)
		p->drain_served++;
}

/* A second in which it answers: one message after the other, as far apart as the connections allow, and the pace. */
static void serve(struct play *p)
{
	double each_ms = shape_turn_ms(p->shape, p->policy->messages_per_connection);
	double end_ms = (double)(p->now_ms + STEP_MS);

	if (p->free_ms < (double)p->now_ms)
		p->free_ms = (double)p->now_ms;
	while (p->backlog >= 1 - ALMOST && p->free_ms < end_ms) {
		struct wall at = wall_of((int64_t)p->free_ms);
		int64_t wait_ms = pace_is_limited(&p->pace) ? pace_wait_ms(&p->pace, at, 0) : 0;
		double gap_ms = each_ms / p->window.size;

		if (wait_ms > 0) {
			p->free_ms += (double)wait_ms;
			continue;
		}
		(void)take_oldest(p, 1);
		pace_note_start(&p->pace, at);
		pace_note_success(&p->pace, at, 1, p->backlog >= 1 - ALMOST, (int64_t)each_ms);
		note_delivered(p, (int64_t)p->free_ms);
		p->free_ms += gap_ms > NODE_GAP_MS ? gap_ms : NODE_GAP_MS;
	}
	if (p->health.state == HEALTH_RECOVERING &&
		((p->window.size >= p->window.learned && pace_is_recovered(&p->pace)) ||
			p->backlog < 1))
		health_note_recovered(&p->health, wall_of(p->now_ms));
}

static void try_destination(struct play *p)
{
	struct wall now = wall_of(p->now_ms), when;
	bool was_down = p->health.state == HEALTH_DOWN;

	if (p->backlog < 1 - ALMOST || !health_may_try(&p->health, now, 0, &when))
		return;
	if (is_away(p)) {
		fail(p);
		return;
	}
	(void)health_note_success(&p->health, now, true);
	if (was_down)
		pace_recover(&p->pace, now);
	serve(p);
}

/* ---- the run ---- */

/* How high, until when, how fast: looked at each BIN_MS. */
static void note_backlog(struct play *p)
{
	struct sim_report *r = p->report;

	if (p->backlog > (double)r->peak_backlog) {
		r->peak_backlog = (uint64_t)p->backlog;
		r->peak_at_ms = p->now_ms;
	}
	if (p->now_ms > p->shape->outage_ms && r->first_ms >= 0 && r->drain_ms < 0 &&
		p->backlog <= shape_usual(p->shape))
		r->drain_ms = p->now_ms - p->shape->outage_ms;
	if (p->now_ms % MINUTE_MS == 0) {
		double per_s = p->minute_served * (double)SECOND_MS / (double)MINUTE_MS;

		if (p->now_ms >= p->shape->outage_ms && per_s > r->best_per_s)
			r->best_per_s = per_s;
		p->minute_served = 0;
	}
	if (p->now_ms % POINT_MS == 0)
		report_add_point(r, (struct sim_point){ p->now_ms, (uint64_t)p->backlog,
					    p->shape->others_per_day ? r->others_ms : -1 });
}

static void set_others(struct play *p)
{
	struct sim_report *r = p->report;
	double gap_ms =
		p->shape->others_per_day ? (double)DAY_MS / (double)p->shape->others_per_day : 0;
	bool is_new = gap_ms > (double)p->policy->connection_idle_ms;

	r->others_ms = r->others_drain_ms = shape_way_ms(p->shape, is_new);
	r->others = (uint64_t)((double)p->shape->others_per_day *
			       (double)(p->now_ms > 0 ? p->now_ms : 0) / (double)DAY_MS);
}

static void end_report(struct play *p)
{
	struct sim_report *r = p->report;

	r->is_estimate = true;
	r->end_ms = p->now_ms;
	r->delivered = (uint64_t)p->delivered;
	r->expired = (uint64_t)(p->expired + 0.5);
	r->queued = (uint64_t)(p->backlog + ALMOST);
	r->accepted = r->delivered + r->expired + r->queued;
	r->peak_disk_bytes = r->peak_backlog * sim_disk_bytes(p->shape->size_bytes) +
			     (p->shape->queue_bytes > 0 ? p->shape->queue_bytes : QUEUE_EMPTY_BYTES);
	if (r->drain_ms > r->first_ms && r->first_ms >= 0)
		r->drain_per_s =
			p->drain_served * (double)SECOND_MS / (double)(r->drain_ms - r->first_ms);
	set_others(p);
}

/* What is there when the outage begins came evenly. */
static void take_backlog(struct play *p)
{
	int64_t age_ms = p->shape->backlog_age_ms;
	int64_t to_ms = p->now_ms;
	int64_t steps = age_ms / COHORT_MS + 1;

	if (p->shape->backlog == 0)
		return;
	for (int64_t i = 0; i < steps; i++)
		accept_mail(p, to_ms - age_ms + i * COHORT_MS,
			(double)p->shape->backlog / (double)steps);
}

/* Down since then, and probed as rarely as it gets. */
static void be_away_already(struct play *p)
{
	int64_t step_ms =
		p->shape->is_unknown ? p->policy->probe_unknown_last_ms : p->policy->probe_last_ms;
	struct health_record *h = &p->health;

	h->state = HEALTH_DOWN;
	h->since = h->first_failure = wall_of(-p->shape->away_ms);
	h->last_failure = wall_of(-step_ms / 2);
	h->next_probe = wall_of(step_ms / 2);
	h->probe_step_ms = step_ms;
	h->failures = HEALTH_DOWN_FAILURES;
	h->probes = 1;
	p->credit_from_ms = -p->shape->away_ms;
	window_close_to_one(&p->window);
}

void sim_estimate(
	const struct sim_shape *s, const struct conf *conf, uint64_t seed, struct sim_report *out)
{
	struct play p = {
		.shape = s, .policy = &conf->policy, .report = out, .credit_from_ms = INT64_MAX
	};
	int64_t end_ms = s->outage_ms + p.policy->lifetime_max_ms + DAY_MS;
	double per_step =
		s->outage_ms > 0 ? (double)s->messages * (double)STEP_MS / (double)s->outage_ms : 0;

	*out = (struct sim_report){ .shape = *s, .first_ms = -1, .drain_ms = -1 };
	p.now_ms = s->is_live ? 0 : -SIM_WARM_MS;
	p.free_ms = (double)p.now_ms;
	p.room = (size_t)((end_ms + SIM_WARM_MS + s->backlog_age_ms) / COHORT_MS + 3);
	p.cohorts = mem_array(p.room, sizeof(*p.cohorts));
	rng_init(&p.rng, seed);
	health_init(&p.health, wall_of(p.now_ms));
	if (!s->is_unknown)
		p.health.last_success = wall_of(p.now_ms);
	window_init(&p.window, s->is_live ? s->connections : 0, s->connections);
	pace_init(&p.pace, 0, 1);
	pace_set_cap(&p.pace, p.policy->rate_max);
	if (s->is_live && s->away_ms > 0)
		be_away_already(&p);
	set_others(&p);
	take_backlog(&p);
	for (; p.now_ms < end_ms; p.now_ms += STEP_MS) {
		accept_mail(&p, p.now_ms, per_step);
		expire_mail(&p);
		try_destination(&p);
		if (p.now_ms % BIN_MS == 0)
			note_backlog(&p);
		if (out->drain_ms >= 0 && p.now_ms - s->outage_ms - out->drain_ms >= AFTER_DRAIN_MS)
			break;
	}
	end_report(&p);
	free(p.cohorts);
}
