/*
 * pacing - the pace of a site in the relay: when a delivery may start, what its end says of the rate, and which of a next
 * hop's mail it is.
 *
 * While the site is UP and took all that came, none of it costs more than a comparison. A connection that is refused while
 * others work is no failure of the site: it lowers the number of connections, and its mail waits untouched.
 */
#include "relay/delivery.h"

/* One start in so many is of mail that came after the recovery, while older mail drains. */
#define NEW_MAIL_TURN 4
#define CANDIDATES_MAX 64
/* A limit that is met so soon after mail was taken is a limit; later it may as well be an outage. */
#define LIMIT_MS (2 * MINUTE_MS)
#define LIMIT_REAL_MS (2 * SECOND_MS) /* where a fast clock makes nothing of two minutes */

static uint64_t sender_of(const struct delivery *d)
{
	return str_hash_fold(d->message->env.reverse_path, 1);
}

/* ---- starting ---- */

bool pacing_may_start(struct site *s)
{
	struct relay *r = s->relay;
	struct wall now = env_wall(r->env);
	int64_t wait_ms;

	if (!pace_is_limited(&s->pace) || s->health.state == HEALTH_SUSPECT ||
		s->health.state == HEALTH_DOWN)
		return true;
	wait_ms = pace_wait_ms(&s->pace, now, s->window.in_flight);
	if (wait_ms > 0 && wait_ms != INT64_MAX)
		env_timer_at(r->env, &s->pause, wall_add(now, wait_ms));
	return wait_ms == 0;
}

static struct delivery *pick_probe(struct hop *h)
{
	struct probe_candidate candidates[CANDIDATES_MAX];
	struct delivery *deliveries[CANDIDATES_MAX] = { NULL };
	uint32_t count = 0;

	LIST_FOR_EACH (link, &h->pending) {
		struct delivery *d = CONTAINER_OF(link, struct delivery, link);
		struct probe_candidate *c = &candidates[count];

		if (count == CANDIDATES_MAX)
			break;
		*c = (struct probe_candidate){ .id = d->message->env.id,
			.sender = sender_of(d),
			.size_bytes = d->message->env.size_bytes,
			.priority = d->message->env.priority };
		for (uint32_t i = 0; i < d->recipient_count; i++) {
			const struct queued_recipient *rcpt = &d->recipients[i];

			c->is_in_doubt |= rcpt->is_in_doubt;
			if (rcpt->attempts > c->attempts)
				c->attempts = rcpt->attempts;
		}
		deliveries[count++] = d;
	}

	struct delivery *d = deliveries[probe_choose(&h->site->probed, candidates, count)];

	probe_note_tried(&h->site->probed, d->message->env.id, sender_of(d));
	return d;
}

/* Fresh mail behind a backlog from before the recovery: a share of the places is kept for it. */
static struct delivery *pick_new(struct hop *h, const struct delivery *first)
{
	const struct delivery *late;
	struct wall recovered = h->site->recovered;

	if (list_is_empty(&h->late) || recovered.ms == WALL_NONE.ms ||
		first->message->env.accepted.ms > recovered.ms)
		return NULL;
	late = CONTAINER_OF(h->late.next, struct delivery, link);
	if (late->message->env.accepted.ms <= recovered.ms ||
		late->message->env.priority < first->message->env.priority)
		return NULL;
	if (++h->turn % NEW_MAIL_TURN != 0)
		return NULL;
	return late_take(h, late->message->env.id);
}

/* The one that is tried alone after a pause: somebody else's shows whether the limit is the site's. */
static struct delivery *pick_other(struct hop *h, struct delivery *first)
{
	uint32_t left = CANDIDATES_MAX;

	LIST_FOR_EACH (link, &h->pending) {
		struct delivery *d = CONTAINER_OF(link, struct delivery, link);

		if (left-- == 0)
			break;
		if (!blame_is_suspect(&h->site->blame, sender_of(d)))
			return d;
	}
	return first;
}

struct delivery *pacing_pick(struct hop *h)
{
	struct delivery *first = CONTAINER_OF(h->pending.next, struct delivery, link), *fresh;

	if (h->site->health.state == HEALTH_DOWN || h->health.state == HEALTH_DOWN)
		return pick_probe(h);
	if (h->site->pace.pause_ms > 0 && blame_is_suspect(&h->site->blame, sender_of(first)))
		return pick_other(h, first);
	fresh = pick_new(h, first);
	return fresh ? fresh : first;
}

/* ---- limits ---- */

/* A limit as such: 421, or throttling by name (Google, Microsoft); what else is called 4.7.x may be policy on this message. */
static bool is_named_limit(const struct attempt_result *res)
{
	const struct outcome *o = &res->outcome;

	return res->verdict.is_rate_limit &&
	       (o->code == 421 || o->status.detail == 28 || o->status.detail >= 500);
}

static bool is_own_limit(struct delivery *d, bool answers)
{
	struct blame *b = &d->site->blame;
	uint64_t sender;

	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (is_named_limit(&d->results[i])) {
			sender = sender_of(d);
			blame_note_refused(b, sender);
			return blame_is_own(b, sender);
		}
	if (answers && b->count > 0)
		blame_note_taken(b, sender_of(d));
	return false;
}

static void log_limit(const struct delivery *d, const struct attempt_result *res)
{
	struct site *s = d->site;
	struct buf b;

	buf_init(&b, 1024);
	buf_append_safe(&b, s->name);
	if (!s->is_limited)
		buf_append_str(&b, STR(" takes mail without a limit again"));
	else
		buf_printf(&b, " limits us, its mail goes on at %.1f messages a minute",
			pace_per_minute(&s->pace));
	if (s->is_limited && res) {
		buf_printf(&b, ": %u ", res->outcome.code);
		buf_append_safe(&b, res->outcome.text);
	}
	log_text(s->relay->env->log, LOG_NOTICE, "qmgr", "site %s", buf_cstr(&b));
	buf_fini(&b);
}

/* Once when it begins and once when it ends, however often it was refused. */
static void tell_limit(const struct delivery *d)
{
	struct site *s = d->site;
	const struct attempt_result *res = NULL;

	if (pace_is_overloaded(&s->pace) == s->is_limited)
		return;
	s->is_limited = !s->is_limited;
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->results[i].verdict.is_overload && d->results[i].outcome.code > 0)
			res = &d->results[i];
	log_limit(d, res);
}

/* ---- ended ---- */

static bool is_busy(const struct delivery *d)
{
	return !list_is_empty(&d->site->work) || d->hop->pending_count > 0 || d->hop->has_more;
}

static bool is_working(const struct site *s)
{
	return s->health.failures == 0 &&
	       (s->health.state == HEALTH_UP || s->health.state == HEALTH_RECOVERING);
}

bool pacing_takes_refusal(struct delivery *d)
{
	struct site *s = d->site;
	struct wall now = env_wall(s->relay->env);
	bool is_limit = d->results[0].verdict.is_rate_limit;
	int64_t limit_ms = LIMIT_REAL_MS * s->relay->env->rate;

	if (is_working(s) && s->window.in_flight > 1) {
		window_note_refused_extra(&s->window);
		pace_note_other(&s->pace, now);
		return true;
	}
	if (is_working(s) && is_limit &&
		now.ms - s->pace.taken.ms <= (limit_ms > LIMIT_MS ? limit_ms : LIMIT_MS)) {
		window_note_overload(&s->window);
		pace_note_refused(&s->pace, now, s->window.in_flight, is_busy(d));
		tell_limit(d);
		return true;
	}
	pace_note_other(&s->pace, now);
	return false;
}

bool pacing_note_end(struct delivery *d, bool answers, bool is_overload)
{
	struct site *s = d->site;
	struct wall now = env_wall(s->relay->env);
	uint32_t in_flight = s->window.in_flight;
	bool is_small = d->message->env.size_bytes <= PROBE_SMALL_BYTES;

	if ((is_overload || s->blame.count > 0) && is_own_limit(d, answers))
		is_overload = false;
	if (is_overload)
		pace_note_refused(&s->pace, now, in_flight, is_busy(d));
	else if (answers)
		pace_note_success(&s->pace, now, in_flight, is_busy(d),
			is_small ? d->attempt.transmit_ms : 0);
	else
		pace_note_other(&s->pace, now);
	if (d->is_probe && !answers)
		probe_note_failed(&s->probed, d->message->env.id, sender_of(d));
	tell_limit(d);
	return is_overload;
}

bool pacing_puts_back(const struct delivery *d, uint32_t i)
{
	const struct attempt_result *res = &d->results[i];

	return d->site && is_named_limit(res) && res->outcome.stage >= STAGE_MAIL &&
	       res->outcome.stage < STAGE_DOT && pace_is_limited(&d->site->pace) &&
	       d->put_backs < BLAME_REFUSALS && !blame_is_own(&d->site->blame, sender_of(d));
}

void pacing_note_recovery(struct site *s)
{
	s->recovered = env_wall(s->relay->env);
	s->probed = (struct probe_memory){ 0 };
	s->blame = (struct blame){ 0 };
	s->is_limited = false; /* it begins anew, and is told anew */
	pace_recover(&s->pace, s->recovered);
}

double pacing_limit(const struct relay *r, struct str name)
{
	const struct map_entry *e = map_find(&r->sites, name);
	const struct site *s = e ? CONTAINER_OF(e, struct site, entry) : NULL;

	return s && pace_is_overloaded(&s->pace) ? pace_per_minute(&s->pace) : 0;
}
