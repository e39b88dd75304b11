/*
 * outage_load - the outages that are stored come to memory, at start and when somebody else has changed them; the heartbeat.
 *
 * At start: the last heartbeat, every wide outage, every open one; until then nothing expires, and what is opened has no
 * number yet. A heartbeat that is more than two minutes old tells when the relay did not run: that is an outage of all, and
 * no mail pays for it. One that lies ahead tells that the clock was set back: instants that were stored before must
 * not be waited for (agenda_look_far). An error is tried again; mail moves meanwhile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "relay/outage_private.h"

#define HEARTBEAT_KEY STR("heartbeat")
#define STOPPED_MIN_MS (2 * MINUTE_MS)
/* A relay that seems to have stood still for longer may as well have had its clock set. */
#define STOPPED_SURE_MS (7 * DAY_MS)
#define JUMP_MS HOUR_MS
#define PAGE 500
/* Real time. */
#define RETRY_MS (5 * SECOND_MS)

static void read_page(struct relay *r, bool is_wide, uint64_t before);

/* ---- the heartbeat ---- */

static void on_beaten(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, heartbeat.put.op);
	struct relay *r = all->relay;

	all->heartbeat.is_putting = false;
	r->delivery_count--;
	/* a full disk shows with mail: nothing here is a reason to refuse any */
	store_op_fini(op);
	relay_check_stopped(r);
}

void outage_beat(struct relay *r)
{
	struct heartbeat *b = &r->outages->heartbeat;

	if (b->is_putting)
		return;
	int n = snprintf(b->text, sizeof(b->text), "%" PRId64, env_wall(r->env).ms);
	CHECK(n > 0 && (size_t)n < sizeof(b->text));
	b->is_putting = true;
	b->put = (struct store_put){
		.op.on_done = on_beaten, .key = HEARTBEAT_KEY, .value = str_from_c(b->text)
	};
	r->delivery_count++;
	store_submit(r->store, &b->put.op, STORE_PUT);
}

static bool parse_instant(struct str text, struct wall *out)
{
	out->ms = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || out->ms > INT64_MAX / 20)
			return false;
		out->ms = out->ms * 10 + (text.data[i] - '0');
	}
	return text.len > 0;
}

/* ---- what the heartbeat tells ---- */

static void note_stopped(struct relay *r, struct wall from, struct wall to, struct str note)
{
	struct outage_record rec = { .id = outage_new_id(r),
		.kind = OUTAGE_STOPPED,
		.scope = OUTAGE_OF_ALL,
		.name = STR(""),
		.began = from,
		.declared = to,
		.recovered = to,
		.ended = to,
		.note = note };

	outage_note_span(r, &rec);
	outage_save(outage_add(r, &rec));
}

static void note_gap(struct relay *r, struct wall from, struct wall to)
{
	bool may_be_clock = to.ms - from.ms > STOPPED_SURE_MS;
	struct buf span;

	buf_init(&span, 64);
	instant_format_span(&span, to.ms - from.ms);
	log_text(r->env->log, LOG_NOTICE, "qmgr",
		"this relay did not run for %s%s: no lifetime of queued mail is counted for it",
		buf_cstr(&span), may_be_clock ? ", or the clock was set" : "");
	buf_fini(&span);
	note_stopped(r, from, to,
		may_be_clock ? STR("this relay did not run, or the clock was set") : STR(""));
}

void outage_note_jump(struct relay *r, struct wall from, struct wall to)
{
	struct buf span;

	buf_init(&span, 64);
	instant_format_span(&span, to.ms - from.ms);
	log_text(r->env->log, LOG_WARNING, "qmgr",
		"the clock was set by %s: no lifetime of queued mail is counted for it",
		buf_cstr(&span));
	buf_fini(&span);
	if (to.ms > from.ms)
		note_stopped(r, from, to, STR("the clock was set"));
	else
		agenda_look_far(r);
}

static void note_heartbeat(struct relay *r)
{
	struct wall now = env_wall(r->env), last = r->outages->load.stopped;

	if (now.ms - last.ms > STOPPED_MIN_MS)
		note_gap(r, last, now);
	else if (last.ms - now.ms > JUMP_MS)
		outage_note_jump(r, last, now);
	else if (last.ms > now.ms)
		agenda_look_far(r);
}

/* ---- records ---- */

/* Written under a clock that was set back since: what lies ahead has not been. */
static bool set_right(struct outage_record *rec, struct wall now)
{
	bool is_ahead = rec->began.ms > now.ms || rec->ended.ms > now.ms;

	if (rec->began.ms >= now.ms)
		rec->began.ms = now.ms - 1;
	if (rec->ended.ms > now.ms)
		rec->ended = now;
	if (rec->recovered.ms > now.ms)
		rec->recovered = now;
	return is_ahead;
}

static void hint_probes(struct relay *r, const struct outage_record *rec)
{
	if (rec->scope == OUTAGE_OF_HOP) {
		destination_retry(r, rec->name);
		return;
	}
	if (rec->scope == OUTAGE_OF_SITE) {
		destination_probe(r, rec->name);
		return;
	}
	for (struct map_entry *e = map_first(&r->sites); e; e = map_next(&r->sites, e)) {
		struct site *s = CONTAINER_OF(e, struct site, entry);

		if (s->health.state == HEALTH_DOWN && outage_is_declared(r, NULL, s))
			destination_probe(r, s->name);
	}
}

/* Two made at the same time under one number, by the relay and by a verb: ours moves. */
static void yield_id(struct relay *r, uint64_t id)
{
	struct outage *o = outage_find_id(r, id);

	if (!o)
		return;
	o->rec.id = outage_new_id(r);
	o->is_stored = false;
	outage_save(o);
}

static void take_open(struct relay *r, struct outage_record *rec)
{
	bool is_ahead = set_right(rec, env_wall(r->env)), is_start = !r->outages->is_loaded;
	struct outage *o = outage_find(r, rec->kind, rec->scope, rec->name);

	if (o && (o->rec.id == rec->id || o->rec.id == 0)) {
		bool was_ours = o->rec.id == 0;

		o->is_seen = o->is_stored = true;
		o->rec.id = rec->id;
		if (rec->began.ms < o->rec.began.ms || !was_ours)
			o->rec.began = rec->began;
		o->rec.until = rec->until;
		if (!str_equal(o->rec.note, rec->note))
			outage_take_text(o, rec);
		return;
	}
	yield_id(r, rec->id);
	o = outage_add(r, rec);
	o->is_seen = o->is_stored = true;
	o->is_told =
		is_start; /* one that an operator has just declared is told once it was counted */
	o->is_unsure = rec->kind == OUTAGE_DOWN && rec->recovered.ms == WALL_NONE.ms;
	o->look_ms = HOUR_MS;
	if (is_start)
		o->next_sample = wall_add(env_wall(r->env), HOUR_MS);
	if (is_ahead)
		outage_save(o);
	if (rec->kind == OUTAGE_DECLARED && !is_start)
		hint_probes(r, &o->rec);
}

static void take_wide(struct relay *r, struct outage_record *rec)
{
	bool is_ahead;

	if (rec->ended.ms == WALL_NONE.ms)
		return; /* comes with the open ones */
	is_ahead = set_right(rec, env_wall(r->env));
	outage_note_span(r, rec);
	if (!is_ahead)
		return;
	outage_save(outage_add(r, rec));
}

/* What an operator has ended. */
static void drop_unseen(struct relay *r)
{
	LIST_FOR_EACH (link, &r->outages->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		if (!o->is_seen && !o->is_saving && o->is_stored && o->rec.ended.ms == WALL_NONE.ms)
			o->is_dropped = true;
	}
	LIST_FOR_EACH_SAFE (link, &r->outages->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		if (!o->is_dropped)
			continue;
		o->rec.ended = env_wall(r->env);
		o->is_dirty = false;
		outage_note_span(r, &o->rec);
		outage_tell_end(o);
		outage_settle(o);
	}
}

/* ---- reading ---- */

static void start_over(struct relay *r)
{
	struct outage_load *l = &r->outages->load;

	l->is_running = true;
	l->is_wanted = false;
	LIST_FOR_EACH (link, &r->outages->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		o->is_seen = !o->is_stored || o->is_saving;
	}
	read_page(r, true, 0);
}

static void finish_start(struct relay *r)
{
	struct outages *all = r->outages;

	all->is_loaded = true;
	LIST_FOR_EACH (link, &all->open) {
		struct outage *o = CONTAINER_OF(link, struct outage, link);

		if (o->rec.id == 0)
			o->rec.id = outage_new_id(r);
		if (o->is_dirty)
			outage_save(o);
	}
	if (all->load.has_heartbeat)
		note_heartbeat(r);
	outage_beat(r);
	outage_watch_start(r);
}

static void finish(struct relay *r)
{
	struct outage_load *l = &r->outages->load;

	l->is_running = false;
	if (!r->outages->is_loaded)
		finish_start(r);
	else
		drop_unseen(r);
	if (l->is_wanted && !r->is_stopping)
		start_over(r);
}

static void on_page(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, load.page.op);
	struct relay *r = all->relay;
	struct outage_load *l = &all->load;
	struct store_outages page = l->page;

	r->delivery_count--;
	if (op->err != OK || r->is_stopping) {
		l->is_running = false;
		l->is_wanted = true;
		if (op->err != OK)
			log_text(r->env->log, LOG_ERROR, "qmgr", "cannot read the outages: %s",
				err_name(op->err));
		if (!r->is_stopping)
			env_timer_after(r->env, &l->retry, RETRY_MS);
		store_op_fini(op);
		relay_check_stopped(r);
		return;
	}
	if (page.last_id > all->last_id)
		all->last_id = page.last_id;
	for (uint32_t i = 0; i < page.outage_count; i++) {
		if (l->is_wide)
			take_wide(r, &page.outages[i]);
		else
			take_open(r, &page.outages[i]);
	}
	uint64_t last = page.outage_count > 0 ? page.outages[page.outage_count - 1].id : 0;
	/* the arena of the page that was read: the next one begins with an empty one */
	store_op_fini(&page.op);
	l->page.op.arena = (struct arena){ 0 };
	if (page.is_more && last > 0)
		read_page(r, l->is_wide, last);
	else if (l->is_wide)
		read_page(r, false, 0);
	else
		finish(r);
}

static void read_page(struct relay *r, bool is_wide, uint64_t before)
{
	struct outage_load *l = &r->outages->load;

	l->is_wide = is_wide;
	l->page = (struct store_outages){
		.op.on_done = on_page,
		.before = before,
		.only_open = !is_wide,
		.only_wide = is_wide,
		.limit = PAGE,
	};
	r->delivery_count++;
	store_submit(r->store, &l->page.op, STORE_OUTAGES);
}

static void on_heartbeat(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, load.get.op);
	struct outage_load *l = &all->load;

	all->relay->delivery_count--;
	if (op->err != OK && op->err != ERR_NOT_FOUND && !all->relay->is_stopping) {
		store_op_fini(op);
		env_timer_after(all->relay->env, &l->retry, RETRY_MS);
		return;
	}
	l->is_heartbeat_read = true;
	l->has_heartbeat = op->err == OK && parse_instant(l->get.value, &l->stopped);
	store_op_fini(op);
	if (!all->relay->is_stopping)
		start_over(all->relay);
	relay_check_stopped(all->relay);
}

static void on_retry(struct timer *t)
{
	struct outages *all = CONTAINER_OF(t, struct outages, load.retry);

	if (!all->load.is_heartbeat_read)
		outage_load_start(all->relay);
	else if (all->load.is_wanted && !all->load.is_running)
		start_over(all->relay);
}

void outage_load_start(struct relay *r)
{
	struct outage_load *l = &r->outages->load;

	l->retry.on_fire = on_retry;
	l->get = (struct store_get){ .op.on_done = on_heartbeat, .key = HEARTBEAT_KEY };
	r->delivery_count++;
	store_submit(r->store, &l->get.op, STORE_GET);
}

void outage_load_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->outages->load.retry);
}

void outage_reload(struct relay *r)
{
	struct outage_load *l = &r->outages->load;

	if (l->is_running || !r->outages->is_loaded)
		l->is_wanted = true;
	else
		start_over(r);
}
