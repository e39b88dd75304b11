/*
 * outage_watch - looks at the open outages once a minute: how much waits, has all that waited been offered, is it over?
 *
 * One operation at a time, for one outage after another, whatever their number; what it costs does not depend on how much
 * mail waits. Samples of the backlog are taken when an outage is declared, then hourly, after three days every six hours; in
 * recovery after a minute, then after pauses that double up to an hour.
 *
 * An outage of a destination is over when it is up again and no mail that was accepted before its first answer still
 * waits for its first offer: then nothing of it was kept waiting by the outage any more. Until then its credit runs.
 */
#include "base/check.h"
#include "relay/operators.h"
#include "relay/outage_private.h"

#define LOOK_MS MINUTE_MS
#define LOOK_REAL_MS SECOND_MS
#define JUMP_MS HOUR_MS
#define SAMPLES_MAX 500
#define SAMPLE_EVERY_MS HOUR_MS
#define SAMPLE_LATE_MS (6 * HOUR_MS)
#define SAMPLE_LATE_AFTER_MS (3 * DAY_MS)
/* Next hops of a page: one that is read for its counts, and one for what waits, which costs 20 seeks each. */
#define COUNT_PAGE 1000
#define LOOK_PAGE 32
/* A walk over more next hops ends with what it has. */
#define COUNT_PAGES_MAX 200

static void watch_on(struct relay *r);
static void take_sample(struct outage *o);
static void look(struct outage *o);
static void look_on(struct outage *o);

static struct outage_watch *watch_of(const struct outage *o)
{
	return &o->relay->outages->watch;
}

/* ---- telling ---- */

static void append_why(struct buf *b, const struct outage_record *rec)
{
	if (rec->failures > 0)
		buf_printf(b, ", after %u failures", rec->failures);
	if (rec->stage.len > 0) {
		buf_append_str(b, STR(" ("));
		buf_append_safe(b, rec->stage);
		buf_append_str(b, STR(": "));
		if (rec->code)
			buf_printf(b, "%u ", rec->code);
		buf_append_safe(b, rec->text);
		if (rec->host.len > 0) {
			buf_append_str(b, STR("; host "));
			buf_append_safe(b, rec->host);
		}
		buf_append_char(b, ')');
	}
}

static void tell_begin(struct outage *o, uint64_t recipients)
{
	static const char *const kinds[] = { "down", "refusing what it used to take",
		"declared by an operator", "out of our reach, we are offline", "stopped" };
	struct buf b;

	if (o->is_told)
		return;
	o->is_told = true;
	buf_init(&b, 2048);
	buf_printf(&b, "outage %llu of ", (unsigned long long)o->rec.id);
	outage_describe(&b, &o->rec);
	buf_printf(&b, ": %s since ", kinds[o->rec.kind]);
	instant_format_iso(&b, o->rec.began);
	append_why(&b, &o->rec);
	buf_printf(&b,
		"; recipients waiting: %llu; from then on no lifetime is counted for such mail",
		(unsigned long long)recipients);
	log_text(o->relay->env->log, LOG_NOTICE, "qmgr", "%s", buf_cstr(&b));
	buf_fini(&b);
	notify_operators(o->relay, &o->rec, false);
}

void outage_tell_end(const struct outage *o)
{
	const struct outage_record *rec = &o->rec;
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b, "outage %llu of ", (unsigned long long)rec->id);
	outage_describe(&b, rec);
	buf_append_str(&b, STR(" is over after "));
	instant_format_span(&b, rec->ended.ms - rec->began.ms);
	buf_printf(&b,
		": recipients waiting at most: %llu; delivered: %llu (after more than five days: "
		"%llu), failed: %llu",
		(unsigned long long)rec->peak_recipients, (unsigned long long)rec->delivered,
		(unsigned long long)rec->saved, (unsigned long long)rec->failed);
	log_text(o->relay->env->log, LOG_NOTICE, "qmgr", "%s", buf_cstr(&b));
	buf_fini(&b);
	notify_operators(o->relay, rec, true);
}

/* ---- one after another ---- */

static void begin(struct outage *o)
{
	watch_of(o)->outage = o;
	o->relay->delivery_count++;
}

/* The operation is over; its outage may have ended meanwhile. */
static void end(struct relay *r)
{
	struct outage *o = r->outages->watch.outage;

	r->outages->watch.outage = NULL;
	r->delivery_count--;
	outage_settle(o);
	if (!r->is_stopping)
		watch_on(r);
	relay_check_stopped(r);
}

static void fail(struct relay *r, enum err err)
{
	log_text(r->env->log, LOG_ERROR, "qmgr", "cannot look at an outage: %s", err_name(err));
	end(r);
}

/* ---- samples ---- */

static void schedule_sample(struct outage *o, struct wall now)
{
	int64_t wait_ms = SAMPLE_EVERY_MS;

	if (o->rec.recovered.ms != WALL_NONE.ms) {
		wait_ms = o->look_ms;
		o->look_ms = 2 * o->look_ms < HOUR_MS ? 2 * o->look_ms : HOUR_MS;
	} else if (now.ms - o->rec.began.ms > SAMPLE_LATE_AFTER_MS) {
		wait_ms = SAMPLE_LATE_MS;
	}
	o->next_sample = wall_add(now, wait_ms);
}

/* Nothing waits, nobody asks, and it has not worked for so long that it is not known to work; or no next hop leads to that
 * site any more. */
static bool is_forgotten(const struct outage *o, struct wall now)
{
	const struct outage_watch *w = watch_of(o);

	if (o->rec.kind != OUTAGE_DOWN || o->rec.recovered.ms != WALL_NONE.ms || w->recipients > 0)
		return false;
	return (o->rec.scope == OUTAGE_OF_SITE && w->hops == 0) ||
	       now.ms - o->rec.began.ms > o->relay->conf->policy.known_good_ms;
}

static void on_counted(struct outage *o)
{
	struct outage_watch *w = watch_of(o);
	struct wall now = env_wall(o->relay->env);

	tell_begin(o, w->recipients);
	if (w->recipients > o->rec.peak_recipients) {
		o->rec.peak_recipients = w->recipients;
		o->rec.peak_at = now;
	}
	if (w->bytes > o->rec.peak_bytes)
		o->rec.peak_bytes = w->bytes;
	o->sample = (struct outage_sample){ now, w->recipients, w->bytes, o->rec.delivered };
	o->sample_count++;
	schedule_sample(o, now);
	if (o->rec.ended.ms == WALL_NONE.ms && (w->is_last || is_forgotten(o, now)))
		outage_close(o, now);
	else
		outage_save(o);
	end(o->relay);
}

static void count_hop(struct outage_watch *w, const struct hop_record *h)
{
	for (unsigned i = 0; i <= RECIPIENT_QUARANTINED; i++)
		w->recipients += h->count[i];
	w->bytes += h->bytes;
	w->hops++;
}

static void read_count_page(struct outage *o, struct str after);

static void on_count_page(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.page.op);
	struct outage_watch *w = &all->watch;
	struct outage *o = w->outage;
	bool is_more = op->err == OK && w->page.is_more && ++w->pages < COUNT_PAGES_MAX &&
		       w->page.hop_count > 0 && !all->relay->is_stopping;

	for (uint32_t i = 0; op->err == OK && i < w->page.hop_count; i++)
		if (outage_concerns(&o->rec, w->page.hops[i].name, w->page.hops[i].site))
			count_hop(w, &w->page.hops[i]);
	relay_free_name(&w->cursor);
	w->cursor = relay_copy_name(is_more ? w->page.hops[w->page.hop_count - 1].name : STR(""));
	enum err err = op->err;
	store_op_fini(op);
	if (err != OK)
		fail(all->relay, err);
	else if (is_more)
		read_count_page(o, w->cursor);
	else
		on_counted(o);
}

static void read_count_page(struct outage *o, struct str after)
{
	struct outage_watch *w = watch_of(o);

	w->page = (struct store_hops){
		.op.on_done = on_count_page,
		.after = after,
		.limit = COUNT_PAGE,
		.site = o->rec.scope == OUTAGE_OF_SITE ? o->rec.name : STR(""),
	};
	store_submit(o->relay->store, &w->page.op, STORE_HOPS);
}

static void on_hop_counted(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.lookup.op);
	struct outage_watch *w = &all->watch;
	enum err err = op->err;

	if (err == OK)
		count_hop(w, &w->lookup.hop_out);
	store_op_fini(op);
	if (err != OK && err != ERR_NOT_FOUND)
		fail(all->relay, err);
	else
		on_counted(w->outage);
}

static void on_all_counted(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.stats.op);
	struct outage_watch *w = &all->watch;
	enum err err = op->err;

	for (unsigned i = 0; err == OK && i <= RECIPIENT_QUARANTINED; i++)
		w->recipients += w->stats.recipients[i];
	w->bytes = w->stats.bytes;
	store_op_fini(op);
	if (err != OK)
		fail(all->relay, err);
	else
		on_counted(w->outage);
}

static void take_sample(struct outage *o)
{
	struct outage_watch *w = watch_of(o);
	struct store *store = o->relay->store;

	w->recipients = w->bytes = w->hops = 0;
	w->pages = 0;
	if (o->rec.scope == OUTAGE_OF_ALL) {
		w->stats = (struct store_stats){ .op.on_done = on_all_counted };
		store_submit(store, &w->stats.op, STORE_STATS);
	} else if (o->rec.scope == OUTAGE_OF_HOP) {
		w->lookup =
			(struct store_lookup){ .op.on_done = on_hop_counted, .hop = o->rec.name };
		store_submit(store, &w->lookup.op, STORE_LOOKUP);
	} else {
		read_count_page(o, STR(""));
	}
}

/* ---- has all been offered? ---- */

static void not_yet(struct outage *o)
{
	o->next_look = wall_add(env_wall(o->relay->env), LOOK_MS);
	end(o->relay);
}

static void set_cursor(struct outage *o, struct str name)
{
	struct str copy = relay_copy_name(name);

	relay_free_name(&o->cursor);
	o->cursor = copy;
}

/* One more look at how much waits belongs to the end. */
static void all_offered(struct outage *o)
{
	if (o->rec.recovered.ms == WALL_NONE.ms) {
		not_yet(o); /* down again meanwhile */
		return;
	}
	watch_of(o)->is_last = true;
	take_sample(o);
}

static void on_claimed(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.claim.op);
	struct outage_watch *w = &all->watch;
	struct outage *o = w->outage;
	bool is_left = w->claim.message_count > 0;
	enum err err = op->err;

	store_op_fini(op);
	if (err != OK) {
		o->next_look = wall_add(env_wall(all->relay->env), LOOK_MS);
		fail(all->relay, err);
	} else if (is_left) {
		store_op_fini(&w->page.op);
		not_yet(o);
	} else if (o->rec.scope == OUTAGE_OF_HOP) {
		all_offered(o);
	} else {
		w->position++;
		look_on(o);
	}
}

/* Is there READY mail that was accepted before the first answer? */
static void claim_old(struct outage *o, struct str hop)
{
	struct outage_watch *w = watch_of(o);

	w->claim = (struct store_claim){
		.op.on_done = on_claimed,
		.hop = hop,
		.accepted_before = o->rec.recovered,
		.message_limit = 1,
		.recipients_per_message = 1,
	};
	store_submit(o->relay->store, &w->claim.op, STORE_CLAIM);
}

/* The next of the page that may have such mail; its own trouble is an outage of its own. */
static void look_on(struct outage *o)
{
	struct outage_watch *w = watch_of(o);
	const struct store_hops *page = &w->page;

	for (; w->position < page->hop_count; w->position++) {
		const struct hop_record *h = &page->hops[w->position];

		if (page->sites[w->position].health.state == HEALTH_DOWN) {
			store_op_fini(&w->page.op);
			not_yet(o);
			return;
		}
		if (h->health.state != HEALTH_DOWN && h->oldest.ms < o->rec.recovered.ms) {
			claim_old(o, h->name);
			return;
		}
		set_cursor(o, h->name); /* behind it, from now on */
	}
	bool is_more = page->is_more && page->hop_count > 0;
	store_op_fini(&w->page.op);
	if (is_more)
		look(o);
	else
		all_offered(o);
}

static void on_page(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.page.op);
	struct outage *o = all->watch.outage;

	all->watch.position = 0;
	if (op->err != OK) {
		enum err err = op->err;

		store_op_fini(op);
		o->next_look = wall_add(env_wall(all->relay->env), LOOK_MS);
		fail(all->relay, err);
		return;
	}
	if (o->rec.recovered.ms == WALL_NONE.ms || all->relay->is_stopping) {
		store_op_fini(op);
		not_yet(o);
		return;
	}
	look_on(o);
}

static void look(struct outage *o)
{
	struct outage_watch *w = watch_of(o);

	if (o->rec.scope == OUTAGE_OF_HOP) {
		claim_old(o, o->rec.name);
		return;
	}
	w->page = (struct store_hops){
		.op.on_done = on_page,
		.after = o->cursor,
		.limit = LOOK_PAGE,
		.site = o->rec.name,
		.only_ready = true,
		.is_detailed = true,
	};
	store_submit(o->relay->store, &w->page.op, STORE_HOPS);
}

static bool may_be_over(const struct outage *o)
{
	const struct site *s = outage_site(o);
	const struct hop *h = outage_hop(o);

	if (s && (!s->is_loaded || s->health.state != HEALTH_UP || s->is_scanning ||
			 s->is_scan_wanted))
		return false;
	return !h || (h->is_loaded && h->health.state == HEALTH_UP);
}

/* ---- found open at start ---- */

/* It may have answered just before the relay ended. */
static void on_state(struct store_op *op)
{
	struct outages *all = CONTAINER_OF(op, struct outages, watch.lookup.op);
	struct relay *r = all->relay;
	struct outage *o = all->watch.outage;
	const struct store_lookup *l = &all->watch.lookup;
	const struct health_record *h =
		o->rec.scope == OUTAGE_OF_HOP ? &l->hop_out.health : &l->site_out.health;
	enum err err = op->err;

	if ((err == OK || err == ERR_NOT_FOUND) && o->is_unsure &&
		o->rec.recovered.ms == WALL_NONE.ms &&
		(h->state == HEALTH_UP || h->state == HEALTH_RECOVERING)) {
		o->rec.recovered = env_wall(r->env);
		o->look_ms = MINUTE_MS;
		o->next_look = o->next_sample = wall_add(o->rec.recovered, MINUTE_MS);
		outage_save(o);
	}
	if (err == OK || err == ERR_NOT_FOUND)
		o->is_unsure = false;
	store_op_fini(op);
	end(r);
}

static void ask_state(struct outage *o)
{
	struct outage_watch *w = watch_of(o);
	bool is_hop = o->rec.scope == OUTAGE_OF_HOP;

	w->lookup = (struct store_lookup){
		.op.on_done = on_state,
		.hop = is_hop ? o->rec.name : STR(""),
		.site = is_hop ? STR("") : o->rec.name,
	};
	store_submit(o->relay->store, &w->lookup.op, STORE_LOOKUP);
}

/* ---- each minute ---- */

/* A storm that did not begin anew. */
static bool seems_over_long(const struct outage *o, struct wall now)
{
	return o->rec.kind == OUTAGE_STORM && o->rec.ended.ms == WALL_NONE.ms &&
	       o->rec.recovered.ms != WALL_NONE.ms &&
	       now.ms - o->rec.recovered.ms >= OUTAGE_JOIN_MS;
}

/* Starts the one thing that is to be done for o now; false: there is nothing. */
static bool start(struct outage *o, struct wall now)
{
	bool is_draining = o->rec.kind == OUTAGE_DOWN && o->rec.recovered.ms != WALL_NONE.ms;

	if (o->is_dirty)
		outage_save(o);
	if (seems_over_long(o, now))
		outage_close(o, o->rec.recovered);
	if (o->rec.ended.ms != WALL_NONE.ms)
		return false;
	watch_of(o)->is_last = false;
	if (o->is_unsure) {
		begin(o);
		ask_state(o);
	} else if (is_draining && o->next_look.ms <= now.ms && may_be_over(o)) {
		begin(o);
		look(o);
	} else if (o->next_sample.ms <= now.ms && o->sample_count < SAMPLES_MAX) {
		begin(o);
		take_sample(o);
	} else {
		return false;
	}
	return true;
}

/* Each once in a pass: what was looked at goes to the back. */
static void watch_on(struct relay *r)
{
	struct outages *all = r->outages;
	struct wall now = env_wall(r->env);

	while (!all->watch.outage && !list_is_empty(&all->open)) {
		struct outage *o = CONTAINER_OF(all->open.next, struct outage, link);

		if (o->pass == all->watch.pass)
			return;
		list_remove(&o->link);
		list_push_back(&all->open, &o->link);
		if (start(o, now))
			return; /* its pass is not over: there may be more to do */
		o->pass = all->watch.pass;
	}
}

/* wall() does not jump while the process lives, says its contract; where it does, no mail is to pay for it. */
static void look_at_clock(struct relay *r)
{
	struct heartbeat *b = &r->outages->heartbeat;
	struct wall now = env_wall(r->env);
	struct mono mono = env_now(r->env);
	int64_t jump_ms = now.ms - b->wall.ms - (mono.ms - b->mono.ms) * r->env->rate;

	if (b->wall.ms != WALL_NONE.ms && (jump_ms > JUMP_MS || jump_ms < -JUMP_MS))
		outage_note_jump(r, (struct wall){ now.ms - jump_ms }, now);
	b->wall = now;
	b->mono = mono;
}

static void arm(struct relay *r)
{
	env_timer_after_wall(r->env, &r->outages->watch.timer, LOOK_MS, LOOK_REAL_MS);
}

static void on_time(struct timer *t)
{
	struct outages *all = CONTAINER_OF(t, struct outages, watch.timer);
	struct relay *r = all->relay;

	look_at_clock(r);
	outage_beat(r);
	all->watch.pass++;
	watch_on(r);
	arm(r);
}

void outage_watch_start(struct relay *r)
{
	struct outages *all = r->outages;

	if (r->is_stopping)
		return;
	all->watch.timer.on_fire = on_time;
	all->watch.cursor = relay_copy_name(STR(""));
	all->heartbeat.wall = env_wall(r->env);
	all->heartbeat.mono = env_now(r->env);
	arm(r);
}

void outage_watch_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->outages->watch.timer);
}
