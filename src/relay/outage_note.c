/*
 * outage_note - what happens to a destination, as its outages see it: failures, answers, deliveries, a new MX set.
 *
 * These are hooks in the way of every delivery: without an outage of that destination each is a comparison or two.
 */
#include "queue/health.h"
#include "relay/delivery.h"
#include "relay/outage_private.h"

/* ---- of their own accord ---- */

/* Down for long enough, and it used to work: whatever the mail waits for, its lifetime is not to pay for it. */
bool outage_is_due(const struct relay *r, const struct health_record *h,
	const struct conf_policy *policy, bool is_good)
{
	return h->state == HEALTH_DOWN && h->first_failure.ms != WALL_NONE.ms && is_good &&
	       env_wall(r->env).ms - h->first_failure.ms >= policy->outage_after_ms;
}

static void note_down(struct relay *r, enum outage_scope scope, struct str name,
	const struct health_record *health, bool is_outage_now)
{
	struct outage *o = outage_find(r, OUTAGE_DOWN, scope, name);

	if (!o) {
		if (is_outage_now)
			(void)outage_begin(
				r, OUTAGE_DOWN, scope, name, health->first_failure, health);
		return;
	}
	o->is_unsure = false;
	if (health->state != HEALTH_DOWN)
		return;
	/* it answered, and is gone again before all was offered: the same outage */
	o->rec.recovered = WALL_NONE;
	o->rec.failures = health->failures;
	o->rec.probes = health->probes;
	o->has_news = true;
}

void outage_note_failure_of_site(struct site *s, const struct conf_policy *policy)
{
	struct relay *r = s->relay;
	bool is_good = health_is_known_good(&s->health, policy, env_wall(r->env)) ||
		       outage_is_declared(r, NULL, s);

	if (s->place || s->health.state == HEALTH_DOWN)
		note_down(r, OUTAGE_OF_SITE, s->name, &s->health,
			outage_is_due(r, &s->health, policy, is_good));
}

void outage_note_failure_of_hop(struct hop *h)
{
	struct relay *r = h->relay;

	if (h->place || h->health.state == HEALTH_DOWN)
		note_down(r, OUTAGE_OF_HOP, h->name, &h->health,
			outage_is_due(r, &h->health, hop_policy(h), hop_is_known_good(h)));
}

static void note_answer(struct relay *r, const struct list *outages, enum outage_scope scope)
{
	LIST_FOR_EACH (link, outages) {
		struct outage *o = CONTAINER_OF(link, struct outage, of_place);

		if (o->rec.kind != OUTAGE_DOWN || o->rec.scope != scope ||
			o->rec.recovered.ms != WALL_NONE.ms || o->rec.ended.ms != WALL_NONE.ms)
			continue;
		o->rec.recovered = env_wall(r->env);
		o->is_unsure = false;
		o->look_ms = MINUTE_MS;
		o->next_look = o->next_sample = wall_add(o->rec.recovered, MINUTE_MS);
		relay_free_name(&o->cursor);
		o->cursor = relay_copy_name(STR(""));
		outage_save(o);
	}
}

void outage_note_answer(struct hop *h, struct site *s)
{
	if (h->place)
		note_answer(h->relay, &h->place->outages, OUTAGE_OF_HOP);
	if (s && s->place)
		note_answer(s->relay, &s->place->outages, OUTAGE_OF_SITE);
}

static void count(struct list *outages, const struct delivery *d, uint64_t delivered,
	uint64_t failed, uint64_t saved)
{
	struct str site = d->hop->site ? d->hop->site->name : STR("");

	LIST_FOR_EACH (link, outages) {
		struct outage *o = CONTAINER_OF(link, struct outage, of_place);

		if (!outage_concerns(&o->rec, d->hop->name, site))
			continue;
		o->rec.delivered += delivered;
		o->rec.failed += failed;
		o->rec.saved += saved;
		o->has_news = true;
	}
}

void outage_note_results(const struct delivery *d)
{
	const struct hop *h = d->hop;
	struct outages *all = h->relay->outages;
	uint64_t delivered = 0, failed = 0;
	bool is_late;

	if (!h->place && !(h->site && h->site->place) && list_is_empty(&all->wide))
		return;
	for (uint32_t i = 0; i < d->record.result_count; i++) {
		delivered += d->record.results[i].kind == RESULT_DELIVERED;
		failed += d->record.results[i].kind == RESULT_FAILED;
	}
	if (delivered + failed == 0)
		return;
	is_late = d->record.at.ms - d->message->env.accepted.ms > OUTAGE_SAVED_MS;
	count(&all->wide, d, delivered, failed, is_late ? delivered : 0);
	if (h->place)
		count(&h->place->outages, d, delivered, failed, is_late ? delivered : 0);
	if (h->site && h->site->place && h->site->place != h->place)
		count(&h->site->place->outages, d, delivered, failed, is_late ? delivered : 0);
}

/* A new MX set inherits the outage of the old one: what waits has waited since then. */
void outage_inherit(struct hop *h, const struct site *old)
{
	const struct outage_record *rec =
		old->place ? outage_open(h->relay, OUTAGE_DOWN, OUTAGE_OF_SITE, old->name) : NULL;

	/* and those that ended: some of its mail may still wait for its own retry */
	credit_merge(&h->credit, &old->credit);
	if (rec)
		(void)outage_begin(
			h->relay, OUTAGE_DOWN, OUTAGE_OF_HOP, h->name, rec->began, &old->health);
}
