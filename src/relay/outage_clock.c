/*
 * outage_clock - what the outages, open and ended, mean for the mail of a destination: see outage.h.
 *
 * Ended ones are spans: of a site and of a next hop with these, of patterns and of all in memory for good. Open ones are
 * looked at where they are. A clock is put together when it is asked for, from a few spans: after a failure, never for
 * mail that is parked.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/retry.h"
#include "relay/outage_private.h"

/* Patterns of ended outages that are kept; the oldest beyond go. */
#define PATTERNS_MAX 4096
/* Spans of all that are kept, likewise: a relay that is started again every few minutes makes one each time. */
#define SPANS_OF_ALL_MAX 4096

/* ---- whom it concerns ---- */

static bool matches_site(struct str site, struct str pattern)
{
	if (site.len > 0 && str_match_glob(site, pattern))
		return true;
	while (site.len > 0)
		if (str_match_glob(str_trim(str_cut(&site, '+')), pattern))
			return true;
	return false;
}

static bool matches(struct str pattern, struct str hop, struct str site)
{
	if (str_starts_fold(pattern, STR("mx:")))
		return matches_site(site, str_slice(pattern, 3, pattern.len));
	return str_match_glob(hop, pattern);
}

bool outage_concerns(const struct outage_record *rec, struct str hop, struct str site)
{
	switch (rec->scope) {
	case OUTAGE_OF_SITE:
		return str_equal(rec->name, site);
	case OUTAGE_OF_HOP:
		return str_equal(rec->name, hop);
	case OUTAGE_OF_PATTERN:
		return matches(rec->name, hop, site);
	case OUTAGE_OF_ALL:
		return true;
	case OUTAGE_SCOPE_COUNT:
		break;
	}
	return false;
}

/* ---- the clock ---- */

static void note_pattern(struct outages *all, struct str name, struct span span)
{
	struct outage_pattern *p;

	/* It is told of when it ends, when that is stored, and with each reload. */
	for (uint32_t i = 0; i < all->pattern_count; i++) {
		p = &all->patterns[i];
		if (p->span.began.ms == span.began.ms && str_equal(p->name, name)) {
			p->span = span;
			return;
		}
	}
	if (all->pattern_count == PATTERNS_MAX) {
		relay_free_name(&all->patterns[0].name);
		memmove(all->patterns, all->patterns + 1,
			--all->pattern_count * sizeof(*all->patterns));
	}
	if (all->pattern_count == all->pattern_cap) {
		all->pattern_cap = all->pattern_cap > 0 ? 2 * all->pattern_cap : 8;
		all->patterns =
			mem_realloc(all->patterns, all->pattern_cap * sizeof(*all->patterns));
	}
	p = &all->patterns[all->pattern_count++];
	*p = (struct outage_pattern){ relay_copy_name(name), span };
}

void outage_note_span(struct relay *r, const struct outage_record *rec)
{
	struct outages *all = r->outages;
	struct span span = { rec->began, rec->ended };
	struct site *s = rec->scope == OUTAGE_OF_SITE ? outage_find_site(r, rec->name) : NULL;
	struct hop *h = rec->scope == OUTAGE_OF_HOP ? outage_find_hop(r, rec->name) : NULL;

	if (s)
		credit_add(&s->credit, span);
	if (h)
		credit_add(&h->credit, span);
	if (rec->scope == OUTAGE_OF_PATTERN)
		note_pattern(all, rec->name, span);
	if (rec->scope != OUTAGE_OF_ALL)
		return;
	credit_add(&all->all, span);
	if (all->all.count > SPANS_OF_ALL_MAX)
		credit_forget(&all->all, all->all.spans[1].began);
	/* the relay says so itself, when it cannot tell from a clock that was set */
	if (rec->kind == OUTAGE_STOPPED && rec->note.len > 0)
		credit_add(&all->jumps, span);
}

/* Ended ones; those that are open are in memory. What could not be read may have been an outage: none of it expires now. */
static void take_spans(struct relay *r, struct credit *credit, const struct span *spans,
	uint32_t count, enum err err)
{
	for (uint32_t i = 0; i < count; i++)
		if (spans[i].ended.ms != WALL_NONE.ms)
			credit_add(credit, spans[i]);
	if (err != OK && err != ERR_NOT_FOUND)
		credit_add(credit, (struct span){ env_wall(r->env), WALL_NONE });
}

void outage_take_site(struct site *s, enum err err)
{
	const struct store_lookup *l = &s->lookup;

	take_spans(s->relay, &s->credit, l->site_spans, l->site_span_count, err);
	if (s->health.state == HEALTH_DOWN)
		outage_note_failure_of_site(s, conf_policy_for(s->relay->conf, STR(""), s->name));
}

void outage_take_hop(struct hop *h, enum err err)
{
	const struct store_lookup *l = &h->lookup;

	take_spans(h->relay, &h->credit, l->hop_spans, l->hop_span_count, err);
	if (h->health.state == HEALTH_DOWN)
		outage_note_failure_of_hop(h);
}

static void add_open(
	struct credit *credit, const struct list *outages, struct str hop, struct str site)
{
	LIST_FOR_EACH (link, outages) {
		const struct outage_record *rec = &CONTAINER_OF(link, struct outage, of_place)->rec;

		if (outage_concerns(rec, hop, site))
			credit_add(credit, (struct span){ rec->began, rec->ended });
	}
}

static bool is_site_outage(struct relay *r, const struct site *s)
{
	const struct conf_policy *policy = conf_policy_for(r->conf, STR(""), s->name);
	bool is_good = health_is_known_good(&s->health, policy, env_wall(r->env)) ||
		       outage_is_declared(r, NULL, s);

	return outage_is_due(r, &s->health, policy, is_good);
}

/* With as many outages as may be open, one more leaves no record. While it lasts its mail has its credit all the same. */
static void add_unrecorded(
	struct relay *r, const struct site *s, const struct hop *h, struct credit *out)
{
	if (r->outages->count < OUTAGES_OPEN_MAX)
		return;
	if (h && outage_is_due(r, &h->health, hop_policy(h), hop_is_known_good(h)))
		credit_add(out, (struct span){ h->health.first_failure, WALL_NONE });
	if (s && is_site_outage(r, s))
		credit_add(out, (struct span){ s->health.first_failure, WALL_NONE });
}

/* All that kept the mail of a next hop, as far as it is in memory. */
static void gather(struct relay *r, const struct site *s, const struct hop *h, struct str hop_name,
	struct credit *out)
{
	struct outages *all = r->outages;
	struct str site_name = s ? s->name : STR("");

	credit_merge(out, &all->all);
	if (h)
		credit_merge(out, &h->credit);
	if (s)
		credit_merge(out, &s->credit);
	for (uint32_t i = 0; i < all->pattern_count; i++)
		if (matches(all->patterns[i].name, hop_name, site_name))
			credit_add(out, all->patterns[i].span);
	add_open(out, &all->wide, hop_name, site_name);
	add_unrecorded(r, s, h, out);
	if (h && h->place)
		add_open(out, &h->place->outages, hop_name, site_name);
	if (s && s->place && (!h || s->place != h->place))
		add_open(out, &s->place->outages, hop_name, site_name);
}

struct wall outage_gives_up_held_at(
	const struct hop *h, const struct envelope *env, int64_t held_ms)
{
	struct relay *r = h->relay;
	struct credit credit = { 0 };
	struct retry_clock clock = { &credit, &r->outages->jumps, held_ms };

	if (!r->outages->is_loaded || !h->is_loaded || (h->site && !h->site->is_loaded))
		return WALL_NEVER;
	gather(r, h->site, h, h->name, &credit);
	struct wall end = retry_gives_up_at(hop_policy(h), env, &clock);
	credit_fini(&credit);
	return end;
}

struct wall outage_gives_up_named(
	struct relay *r, struct str hop, struct str site, const struct envelope *env)
{
	const struct conf_policy *policy = conf_policy_for(r->conf, hop, site);
	const struct site *s = outage_find_site(r, site);
	const struct outage_place *place = s ? NULL : outage_find_place(r, site);
	struct credit credit = { 0 };
	struct retry_clock clock = { &credit, &r->outages->jumps, 0 };

	gather(r, s, outage_find_hop(r, hop), hop, &credit);
	if (place)
		add_open(&credit, &place->outages, hop, site);
	struct wall end = retry_gives_up_at(policy, env, &clock);
	credit_fini(&credit);
	return end;
}

struct wall outage_gives_up_at(const struct hop *h, const struct envelope *env)
{
	return outage_gives_up_held_at(h, env, 0);
}

struct wall outage_overdue_before(struct relay *r, const struct site *s, const struct hop *h,
	struct str hop_name, struct wall now)
{
	const struct conf_policy *policy =
		conf_policy_for(r->conf, hop_name, s ? s->name : STR(""));
	const struct wall nothing = { 1 };
	struct credit credit = { 0 };
	struct retry_clock clock = { &credit, &r->outages->jumps, 0 };

	if (!r->outages->is_loaded)
		return nothing;
	gather(r, s, h, hop_name, &credit);
	struct wall before = retry_overdue_before(policy, &clock, now);
	credit_fini(&credit);
	/* none is not "any" */
	return before.ms > WALL_NONE.ms ? before : nothing;
}

/* ---- questions ---- */

static const struct outage_record *first_open(
	const struct list *outages, struct str hop, struct str site)
{
	LIST_FOR_EACH (link, outages) {
		const struct outage_record *rec = &CONTAINER_OF(link, struct outage, of_place)->rec;

		if (rec->ended.ms == WALL_NONE.ms && outage_concerns(rec, hop, site))
			return rec;
	}
	return NULL;
}

const struct outage_record *outage_of_hop(const struct relay *r, const struct hop *h)
{
	struct str site = h->site ? h->site->name : STR("");
	const struct outage_record *rec = NULL;

	if (h->place)
		rec = first_open(&h->place->outages, h->name, site);
	if (!rec && h->site && h->site->place)
		rec = first_open(&h->site->place->outages, h->name, site);
	return rec ? rec : first_open(&r->outages->wide, h->name, site);
}

static bool has_declared(const struct list *outages, struct str hop, struct str site)
{
	LIST_FOR_EACH (link, outages) {
		const struct outage_record *rec = &CONTAINER_OF(link, struct outage, of_place)->rec;

		if (rec->kind == OUTAGE_DECLARED && rec->ended.ms == WALL_NONE.ms &&
			outage_concerns(rec, hop, site))
			return true;
	}
	return false;
}

bool outage_is_declared(const struct relay *r, const struct hop *h, const struct site *s)
{
	struct str hop = h ? h->name : STR(""), site = s ? s->name : STR("");

	return has_declared(&r->outages->wide, hop, site) ||
	       (h && h->place && has_declared(&h->place->outages, hop, site)) ||
	       (s && s->place && has_declared(&s->place->outages, hop, site));
}
