/*
 * outage - the open outages in memory, their records, and the credit that they give: see outage.h.
 *
 * Happy path: a failed probe finds its site known good and down for long enough, and outage_begin makes a record of it, which
 * a RECORD of its own stores. From the first failure on the mail behind it spends no lifetime. When the site answers the
 * outage is "recovered"; outage_watch.c sees when all that waited has been offered, and closes it. A record that could not
 * be stored is tried again each minute; after a crash before that the next failed probe makes it anew, with the same
 * beginning, for that is the first failure, which is stored with the site.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/retry.h"
#include "relay/delivery.h"
#include "relay/outage_private.h"

/* Patterns of ended outages that are kept; the oldest beyond go. */
#define PATTERNS_MAX 4096

struct outage_write {
	struct loose loose;
	struct store_record op;
	struct outage *outage;
};

/* ---- names ---- */

static struct outage_place *find_place(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->outages->places, name);

	return e ? CONTAINER_OF(e, struct outage_place, entry) : NULL;
}

static struct site *find_site(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->sites, name);

	return e ? CONTAINER_OF(e, struct site, entry) : NULL;
}

static struct hop *find_hop(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->hops, name);

	return e ? CONTAINER_OF(e, struct hop, entry) : NULL;
}

/* Site and next hop of that name, if they are in memory, know at once that there is something about them. */
static void set_place(struct relay *r, struct str name, struct outage_place *place)
{
	struct site *s = find_site(r, name);
	struct hop *h = find_hop(r, name);

	if (s)
		s->place = place;
	if (h)
		h->place = place;
}

static struct outage_place *place_get(struct relay *r, struct str name)
{
	struct outage_place *place = find_place(r, name);

	if (place)
		return place;
	place = mem_zalloc(sizeof(*place));
	place->name = relay_copy_name(name);
	list_init(&place->outages);
	map_insert(&r->outages->places, &place->entry, place->name);
	set_place(r, name, place);
	return place;
}

static void place_release(struct relay *r, struct outage_place *place)
{
	if (!list_is_empty(&place->outages))
		return;
	set_place(r, place->name, NULL);
	map_remove(&r->outages->places, &place->entry);
	relay_free_name(&place->name);
	free(place);
}

void outage_attach_site(struct site *s)
{
	s->place = find_place(s->relay, s->name);
}

void outage_attach_hop(struct hop *h)
{
	h->place = find_place(h->relay, h->name);
}

void outage_detach_site(struct site *s)
{
	s->place = NULL;
	credit_fini(&s->credit);
}

void outage_detach_hop(struct hop *h)
{
	h->place = NULL;
	credit_fini(&h->credit);
}

struct site *outage_site(const struct outage *o)
{
	return o->rec.scope == OUTAGE_OF_SITE ? find_site(o->relay, o->rec.name) : NULL;
}

struct hop *outage_hop(const struct outage *o)
{
	return o->rec.scope == OUTAGE_OF_HOP ? find_hop(o->relay, o->rec.name) : NULL;
}

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

void outage_describe(struct buf *out, const struct outage_record *rec)
{
	static const char *const scopes[] = { "site ", "next hop ", "destinations ",
		"all destinations" };

	buf_append_str(out, str_from_c(scopes[rec->scope]));
	buf_append_safe(out, rec->name);
}

/* ---- open ones ---- */

static bool is_same(const struct outage *o, enum outage_kind kind, enum outage_scope scope,
	struct str name)
{
	return o->rec.kind == kind && o->rec.scope == scope && o->rec.ended.ms == WALL_NONE.ms &&
	       str_equal(o->rec.name, name);
}

struct outage *outage_find(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name)
{
	bool is_wide = scope == OUTAGE_OF_PATTERN || scope == OUTAGE_OF_ALL;
	struct outage_place *place = is_wide ? NULL : find_place(r, name);

	if (!is_wide && !place)
		return NULL;
	LIST_FOR_EACH (link, is_wide ? &r->outages->wide : &place->outages) {
		struct outage *o = CONTAINER_OF(link, struct outage, of_place);

		if (is_same(o, kind, scope, name))
			return o;
	}
	return NULL;
}

struct outage *outage_find_id(const struct relay *r, uint64_t id)
{
	LIST_FOR_EACH (link, &r->outages->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		if (o->rec.id == id)
			return o;
	}
	return NULL;
}

const struct outage_record *outage_open(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name)
{
	struct outage *o = outage_find(r, kind, scope, name);

	return o ? &o->rec : NULL;
}

void outage_take_text(struct outage *o, const struct outage_record *rec)
{
	o->rec.actor = arena_dup(&o->arena, rec->actor);
	o->rec.note = arena_dup(&o->arena, rec->note);
	o->rec.stage = arena_dup(&o->arena, rec->stage);
	o->rec.host = arena_dup(&o->arena, rec->host);
	o->rec.text = arena_dup(&o->arena, rec->text);
}

struct outage *outage_add(struct relay *r, const struct outage_record *rec)
{
	struct outages *all = r->outages;
	struct outage *o = mem_zalloc(sizeof(*o));

	o->relay = r;
	o->rec = *rec;
	o->rec.name = arena_dup(&o->arena, rec->name);
	outage_take_text(o, rec);
	o->cursor = relay_copy_name(STR(""));
	o->next_sample = o->next_look = env_wall(r->env);
	list_push_back(&all->open, &o->link);
	all->count++;
	if (outage_is_wide(rec)) {
		list_push_back(&all->wide, &o->of_place);
	} else {
		o->place = place_get(r, rec->name);
		list_push_back(&o->place->outages, &o->of_place);
	}
	return o;
}

static void outage_free(struct outage *o)
{
	list_remove(&o->of_place);
	if (o->place)
		place_release(o->relay, o->place);
	list_remove(&o->link);
	o->relay->outages->count--;
	arena_fini(&o->arena);
	relay_free_name(&o->cursor);
	free(o);
}

void outage_settle(struct outage *o)
{
	if (o->rec.ended.ms != WALL_NONE.ms && !o->is_saving && !o->is_dirty &&
		o->relay->outages->watch.outage != o)
		outage_free(o);
}

uint64_t outage_new_id(struct relay *r)
{
	return ++r->outages->last_id;
}

static bool has_room(struct outages *all)
{
	if (all->count < OUTAGES_OPEN_MAX)
		return true;
	if (!all->is_full)
		log_text(all->relay->env->log, LOG_ERROR, "qmgr",
			"there are %u open outages: no more are recorded, and the mail of other "
			"destinations keeps its plain lifetime",
			all->count);
	all->is_full = true;
	return false;
}

const struct outage_record *outage_begin(struct relay *r, enum outage_kind kind,
	enum outage_scope scope, struct str name, struct wall began,
	const struct health_record *evidence)
{
	struct outage *o = outage_find(r, kind, scope, name);
	struct outage_record rec = { .kind = kind,
		.scope = scope,
		.name = name,
		.began = began,
		.declared = env_wall(r->env) };

	if (o)
		return &o->rec;
	if (!has_room(r->outages))
		return NULL;
	if (evidence) {
		rec.stage = str_from_c(evidence->stage);
		rec.code = evidence->code;
		rec.host = str_from_c(evidence->host);
		rec.text = str_from_c(evidence->text);
		rec.failures = evidence->failures;
		rec.probes = evidence->probes;
	}
	if (r->outages->is_loaded)
		rec.id = outage_new_id(r);
	o = outage_add(r, &rec);
	outage_save(o);
	return &o->rec;
}

void outage_end(struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name,
	struct wall at)
{
	struct outage *o = outage_find(r, kind, scope, name);

	if (o)
		outage_close(o, at);
}

void outage_close(struct outage *o, struct wall at)
{
	o->rec.ended = at.ms > o->rec.began.ms ? at : wall_add(o->rec.began, 1);
	if (o->rec.recovered.ms == WALL_NONE.ms || o->rec.recovered.ms > o->rec.ended.ms)
		o->rec.recovered = o->rec.ended;
	outage_note_span(o->relay, &o->rec);
	outage_tell_end(o);
	outage_save(o);
}

/* ---- written down ---- */

static void write_free(struct loose *l)
{
	struct outage_write *w = CONTAINER_OF(l, struct outage_write, loose);

	loose_end(l);
	store_op_fini(&w->op.op);
	free(w);
}

static void on_written(struct store_op *op)
{
	struct outage_write *w = CONTAINER_OF(op, struct outage_write, op.op);
	struct outage *o = w->outage;
	struct relay *r = o->relay;
	enum err err = op->err;

	o->is_saving = false;
	r->delivery_count--;
	write_free(&w->loose);
	if (err != OK) {
		o->is_dirty = true; /* again with the next look of the watch */
		log_text(r->env->log, LOG_WARNING, "qmgr", "cannot store an outage: %s",
			err_name(err));
		if (err == ERR_NO_SPACE)
			upkeep_note_full(r);
	} else {
		o->is_stored = true;
		if (o->is_dirty) {
			outage_save(o);
		} else if (o->rec.ended.ms != WALL_NONE.ms) {
			/* what was loaded meanwhile may have seen it open */
			outage_note_span(r, &o->rec);
			outage_settle(o);
		}
	}
	relay_check_stopped(r);
}

void outage_save(struct outage *o)
{
	struct relay *r = o->relay;
	struct outage_write *w;
	struct outage_record *rec;
	struct outage_sample *sample;
	struct arena *arena;

	o->is_dirty = true;
	if (o->is_saving || !r->outages->is_loaded)
		return;
	w = mem_zalloc(sizeof(*w));
	arena = &w->op.op.arena;
	rec = arena_alloc(arena, sizeof(*rec));
	sample = arena_alloc(arena, sizeof(*sample));
	*rec = o->rec;
	rec->name = arena_dup(arena, o->rec.name);
	rec->actor = arena_dup(arena, o->rec.actor);
	rec->note = arena_dup(arena, o->rec.note);
	rec->stage = arena_dup(arena, o->rec.stage);
	rec->host = arena_dup(arena, o->rec.host);
	rec->text = arena_dup(arena, o->rec.text);
	*sample = o->sample;
	w->outage = o;
	w->op.op.on_done = on_written;
	w->op.at = env_wall(r->env);
	w->op.outages = rec;
	w->op.samples = sample;
	w->op.outage_count = 1;
	o->sample.at = WALL_NONE;
	o->is_dirty = o->has_news = false;
	o->is_saving = true;
	loose_begin(r, &w->loose, write_free);
	r->delivery_count++;
	store_submit(r->store, &w->op.op, STORE_RECORD);
}

/* ---- the clock ---- */

static void note_pattern(struct outages *all, struct str name, struct span span)
{
	struct outage_pattern *p;

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
	struct site *s = rec->scope == OUTAGE_OF_SITE ? find_site(r, rec->name) : NULL;
	struct hop *h = rec->scope == OUTAGE_OF_HOP ? find_hop(r, rec->name) : NULL;

	if (s)
		credit_add(&s->credit, span);
	if (h)
		credit_add(&h->credit, span);
	if (rec->scope == OUTAGE_OF_PATTERN)
		note_pattern(all, rec->name, span);
	if (rec->scope != OUTAGE_OF_ALL)
		return;
	credit_add(&all->all, span);
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
		outage_note_failure_of_site(
			s, conf_policy_for(s->relay->conf, STR(""), s->name));
}

void outage_take_hop(struct hop *h, enum err err)
{
	const struct store_lookup *l = &h->lookup;

	take_spans(h->relay, &h->credit, l->hop_spans, l->hop_span_count, err);
	if (h->health.state == HEALTH_DOWN)
		outage_note_failure_of_hop(h);
}

static void add_open(struct credit *credit, const struct list *outages, struct str hop,
	struct str site)
{
	LIST_FOR_EACH (link, outages) {
		const struct outage_record *rec =
			&CONTAINER_OF(link, struct outage, of_place)->rec;

		if (outage_concerns(rec, hop, site))
			credit_add(credit, (struct span){ rec->began, rec->ended });
	}
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
	const struct site *s = find_site(r, site);
	const struct outage_place *place = s ? NULL : find_place(r, site);
	struct credit credit = { 0 };
	struct retry_clock clock = { &credit, &r->outages->jumps, 0 };

	gather(r, s, find_hop(r, hop), hop, &credit);
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
		const struct outage_record *rec =
			&CONTAINER_OF(link, struct outage, of_place)->rec;

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
		const struct outage_record *rec =
			&CONTAINER_OF(link, struct outage, of_place)->rec;

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

/* ---- of their own accord ---- */

/* Down for long enough, and it used to work: whatever the mail waits for, its lifetime is not to pay for it. */
static bool is_outage(
	struct relay *r, const struct health_record *h, const struct conf_policy *policy, bool is_good)
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
			(void)outage_begin(r, OUTAGE_DOWN, scope, name, health->first_failure, health);
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
			is_outage(r, &s->health, policy, is_good));
}

void outage_note_failure_of_hop(struct hop *h)
{
	struct relay *r = h->relay;

	if (h->place || h->health.state == HEALTH_DOWN)
		note_down(r, OUTAGE_OF_HOP, h->name, &h->health,
			is_outage(r, &h->health, hop_policy(h), hop_is_known_good(h)));
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

	if (rec)
		(void)outage_begin(h->relay, OUTAGE_DOWN, OUTAGE_OF_HOP, h->name, rec->began,
			&old->health);
}

/* ---- all of it ---- */

struct outages *outages_new(struct relay *r)
{
	struct outages *o = mem_zalloc(sizeof(*o));
	uint64_t seed;

	env_random(r->env, &seed, sizeof(seed));
	o->relay = r;
	list_init(&o->open);
	list_init(&o->wide);
	map_init(&o->places, seed);
	return o;
}

void outages_start(struct relay *r)
{
	outage_load_start(r);
}

void outages_stop(struct relay *r)
{
	outage_watch_stop(r);
	outage_load_stop(r);
	if (!r->outages->is_loaded)
		return;
	LIST_FOR_EACH (link, &r->outages->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		if (o->has_news)
			outage_save(o);
	}
	outage_beat(r);
}

void outages_free(struct outages *o)
{
	struct relay *r = o->relay;

	outage_watch_stop(r);
	outage_load_stop(r);
	while (!list_is_empty(&o->open))
		outage_free(CONTAINER_OF(o->open.next, struct outage, link));
	for (uint32_t i = 0; i < o->pattern_count; i++)
		relay_free_name(&o->patterns[i].name);
	free(o->patterns);
	credit_fini(&o->all);
	credit_fini(&o->jumps);
	map_fini(&o->places);
	store_op_fini(&o->load.get.op);
	store_op_fini(&o->load.page.op);
	store_op_fini(&o->heartbeat.put.op);
	store_op_fini(&o->watch.lookup.op);
	store_op_fini(&o->watch.page.op);
	store_op_fini(&o->watch.claim.op);
	store_op_fini(&o->watch.stats.op);
	if (o->watch.cursor.data)
		relay_free_name(&o->watch.cursor);
	r->outages = NULL;
	free(o);
}
