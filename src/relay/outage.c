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

#include "base/mem.h"
#include "relay/outage_private.h"

struct outage_write {
	struct loose loose;
	struct store_record op;
	struct outage *outage;
};

/* ---- names ---- */

struct outage_place *outage_find_place(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->outages->places, name);

	return e ? CONTAINER_OF(e, struct outage_place, entry) : NULL;
}

struct site *outage_find_site(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->sites, name);

	return e ? CONTAINER_OF(e, struct site, entry) : NULL;
}

struct hop *outage_find_hop(const struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->hops, name);

	return e ? CONTAINER_OF(e, struct hop, entry) : NULL;
}

/* Site and next hop of that name, if they are in memory, know at once that there is something about them. */
static void set_place(struct relay *r, struct str name, struct outage_place *place)
{
	struct site *s = outage_find_site(r, name);
	struct hop *h = outage_find_hop(r, name);

	if (s)
		s->place = place;
	if (h)
		h->place = place;
}

static struct outage_place *place_get(struct relay *r, struct str name)
{
	struct outage_place *place = outage_find_place(r, name);

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
	s->place = outage_find_place(s->relay, s->name);
}

void outage_attach_hop(struct hop *h)
{
	h->place = outage_find_place(h->relay, h->name);
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
	return o->rec.scope == OUTAGE_OF_SITE ? outage_find_site(o->relay, o->rec.name) : NULL;
}

struct hop *outage_hop(const struct outage *o)
{
	return o->rec.scope == OUTAGE_OF_HOP ? outage_find_hop(o->relay, o->rec.name) : NULL;
}

void outage_describe(struct buf *out, const struct outage_record *rec)
{
	static const char *const scopes[] = { "site ", "next hop ", "destinations ",
		"all destinations" };

	buf_append_str(out, str_from_c(scopes[rec->scope]));
	buf_append_safe(out, rec->name);
}

/* ---- open ones ---- */

static bool is_same(
	const struct outage *o, enum outage_kind kind, enum outage_scope scope, struct str name)
{
	return o->rec.kind == kind && o->rec.scope == scope && o->rec.ended.ms == WALL_NONE.ms &&
	       str_equal(o->rec.name, name);
}

struct outage *outage_find(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name)
{
	bool is_wide = scope == OUTAGE_OF_PATTERN || scope == OUTAGE_OF_ALL;
	struct outage_place *place = is_wide ? NULL : outage_find_place(r, name);

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
	o->is_seen = true; /* by a reload under way, which may have passed its place */
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
			"there are %u open outages: no more are recorded; the mail of other "
			"destinations spends no lifetime while they are down, but that time counts "
			"once they are back",
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

void outage_seems_over(struct relay *r, enum outage_kind kind, enum outage_scope scope,
	struct str name, struct wall at)
{
	struct outage *o = outage_find(r, kind, scope, name);

	if (!o)
		return;
	o->rec.recovered = at;
	o->look_ms = MINUTE_MS;
	outage_save(o);
}

bool outage_resume(
	struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name)
{
	struct outage *o = outage_find(r, kind, scope, name);

	if (!o || o->rec.recovered.ms == WALL_NONE.ms)
		return false;
	o->rec.recovered = WALL_NONE;
	outage_save(o);
	return true;
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
