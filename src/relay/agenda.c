/*
 * agenda - what turns up at its time: due retries, due probes, and hops with work that are not in memory.
 *
 * One timer each for retries and probes, whatever the backlog: the store names the earliest instant. The scan reads pages
 * of next hops that have READY mail, at start-up and after memory was short, while there is room for more busy hops.
 */
#include "relay/destination.h"

#define PROMOTE_MAX 1000
/* What came due while the machine was suspended, or the relay stopped, is not tried all at once: so many first, an
 * eighth more after each pause (wall time). */
#define SPREAD_LATE_MS (10 * MINUTE_MS)
#define SPREAD_FIRST 32
#define SPREAD_MAX 4000
#define SPREAD_PAUSE_MS (10 * SECOND_MS)
#define PROBE_PAGE 64
#define SCAN_PAGE 256
/* After an error; real time. */
#define SCAN_RETRY_MS MINUTE_MS
/* Probes that are due and not recorded yet are looked at again so much later, in wall and in real time. */
#define PROBE_LOOK_MS SECOND_MS
#define PROBE_LOOK_REAL_MS 50
/* Scanning goes on while fewer hops than this are busy. */
#define SCAN_BUSY_MAX (HOPS_BUSY_MAX / 2)

static void arm(struct relay *r, struct timer *t, struct wall when)
{
	if (r->is_stopping || when.ms == INT64_MAX)
		env_timer_stop(r->env, t);
	else
		env_timer_at(r->env, t, when);
}

static int64_t longest_step(const struct conf_policy *p)
{
	int64_t longest_ms = p->probe_last_ms > p->probe_unknown_last_ms ? p->probe_last_ms
									 : p->probe_unknown_last_ms;

	for (uint32_t i = 0; i < p->retry_count; i++)
		if (p->retry_ms[i] > longest_ms)
			longest_ms = p->retry_ms[i];
	return longest_ms;
}

/* No probe and no retry is put off for so long: what is stored so was stored before the clock was set back. */
static struct wall far_ahead(const struct relay *r)
{
	int64_t longest_ms = longest_step(&r->conf->policy);

	for (uint32_t i = 0; i < r->conf->destination_count; i++) {
		int64_t ms = longest_step(&r->conf->destinations[i].policy);

		if (ms > longest_ms)
			longest_ms = ms;
	}
	return wall_add(env_wall(r->env), 2 * longest_ms + DAY_MS);
}

/* ---- due retries ---- */

/* When the next page is looked for, if this one was full. */
static struct wall after_full_page(struct relay *r)
{
	struct agenda *a = &r->agenda;

	if (a->spread == 0)
		return env_wall(r->env);
	a->spread += a->spread / 8;
	if (a->spread > SPREAD_MAX)
		a->spread = SPREAD_MAX;
	return wall_add(env_wall(r->env), SPREAD_PAUSE_MS);
}

static void on_promoted(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, agenda.promote.op);
	struct agenda *a = &r->agenda;
	enum err op_err = op->err;
	bool is_full_page = op_err == OK && a->promote.promoted_count >= a->promote.limit;

	a->is_promoting = false;
	if (op->err != OK) {
		log_text(r->env->log, LOG_ERROR, "qmgr", "cannot look for due retries: %s",
			err_name(op->err));
		if (op->err == ERR_NO_SPACE)
			upkeep_note_full(r);
		a->due_next = wall_add(env_wall(r->env), 5 * SECOND_MS * r->env->rate);
	} else {
		a->is_far_wanted &= is_full_page;
		if (a->promote.next_due.ms < a->due_next.ms)
			a->due_next = a->promote.next_due;
		for (uint32_t i = 0; i < a->promote.hop_count; i++) {
			struct hop *h = hop_get(r, a->promote.hops[i]);

			if (h)
				hop_note_news(h);
		}
	}
	store_op_fini(op);
	if (op_err == OK && !is_full_page)
		a->spread = 0;
	arm(r, &a->due_timer, is_full_page ? after_full_page(r) : a->due_next);
	relay_check_stopped(r);
}

static void promote(struct relay *r)
{
	struct agenda *a = &r->agenda;

	if (a->is_promoting)
		return;
	a->is_promoting = true;
	a->due_next = WALL_NEVER;
	a->promote = (struct store_promote){
		.op.on_done = on_promoted,
		.now = env_wall(r->env),
		.far = a->is_far_wanted ? far_ahead(r) : WALL_NONE,
		.limit = a->spread > 0 ? a->spread : PROMOTE_MAX,
	};
	store_submit(r->store, &a->promote.op, STORE_PROMOTE);
}

static void on_due(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, agenda.due_timer);
	struct agenda *a = &r->agenda;

	if (a->spread == 0 && env_wall(r->env).ms - a->due_next.ms > SPREAD_LATE_MS)
		a->spread = SPREAD_FIRST;
	promote(r);
}

void agenda_note_due(struct relay *r, struct wall due)
{
	struct agenda *a = &r->agenda;

	if (due.ms >= a->due_next.ms)
		return;
	a->due_next = due;
	if (!a->is_promoting)
		arm(r, &a->due_timer, due);
}

/* ---- due probes ---- */

static void probe_site_record(struct relay *r, const struct site_record *rec)
{
	struct map_entry *e = map_find(&r->sites, rec->name);

	if (e) {
		site_probe(CONTAINER_OF(e, struct site, entry));
		return;
	}
	destination_probe(r, rec->name);
}

static struct wall next_look(struct relay *r)
{
	int64_t real_ms = PROBE_LOOK_REAL_MS * r->env->rate;

	return wall_add(env_wall(r->env), real_ms > PROBE_LOOK_MS ? real_ms : PROBE_LOOK_MS);
}

static void on_probes(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, agenda.probes.op);
	struct agenda *a = &r->agenda;

	a->is_reading_probes = false;
	if (op->err != OK)
		log_text(r->env->log, LOG_ERROR, "qmgr", "cannot look for due probes: %s",
			err_name(op->err));
	for (uint32_t i = 0; op->err == OK && i < a->probes.site_count; i++)
		probe_site_record(r, &a->probes.sites[i]);
	for (uint32_t i = 0; op->err == OK && i < a->probes.hop_count; i++) {
		struct hop *h = hop_get(r, a->probes.hops[i].name);

		if (h)
			hop_note_more(h);
	}
	if (op->err == OK && a->probes.next.ms < a->probe_next.ms)
		a->probe_next = a->probes.next;
	/* A probe that did not come to anything (memory short, a save that failed) is looked for again. */
	if (a->probe_next.ms > wall_add(env_wall(r->env), 10 * MINUTE_MS).ms &&
		(op->err != OK || a->probes.site_count + a->probes.hop_count > 0))
		a->probe_next = wall_add(env_wall(r->env), 10 * MINUTE_MS);
	/* More are due than may run at once: their rows stay due until the probe is recorded. */
	if (a->probe_next.ms < next_look(r).ms)
		a->probe_next = next_look(r);
	store_op_fini(op);
	arm(r, &a->probe_timer, a->probe_next);
	relay_check_stopped(r);
}

static void on_probe_time(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, agenda.probe_timer);
	struct agenda *a = &r->agenda;
	uint32_t max = r->conf->client.probes_max;

	if (a->is_reading_probes)
		return;
	if (r->watch.is_offline) {
		a->probe_next = WALL_NEVER; /* asked for again when that is over */
		return;
	}
	a->is_reading_probes = true;
	a->probe_next = WALL_NEVER;
	a->probes = (struct store_probes){
		.op.on_done = on_probes,
		.now = env_wall(r->env),
		.far = far_ahead(r),
		.limit = max < PROBE_PAGE ? max : PROBE_PAGE,
	};
	store_submit(r->store, &a->probes.op, STORE_PROBES);
}

void agenda_note_probe(struct relay *r, struct wall next)
{
	struct agenda *a = &r->agenda;

	if (next.ms >= a->probe_next.ms)
		return;
	a->probe_next = next;
	if (!a->is_reading_probes)
		arm(r, &a->probe_timer, next);
}

/* ---- hops with work that are not in memory ---- */

static void take_rescan(struct agenda *a)
{
	if (!a->is_scan_wanted && a->is_rescan_wanted) {
		a->is_rescan_wanted = false;
		a->is_scan_wanted = true;
	}
}

static void on_scanned(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, agenda.scan.op);
	struct agenda *a = &r->agenda;

	a->is_scanning = false;
	if (op->err != OK)
		log_text(r->env->log, LOG_ERROR, "qmgr", "cannot look for queued mail: %s",
			err_name(op->err));
	for (uint32_t i = 0; op->err == OK && i < a->scan.hop_count; i++) {
		struct hop *h = hop_get(r, a->scan.hops[i].name);

		if (h)
			hop_note_more(h);
	}
	if (op->err == OK) {
		relay_free_name(&a->scan_cursor);
		a->is_scan_wanted = a->scan.is_more;
		a->scan_cursor = relay_copy_name(
			a->scan.is_more ? a->scan.hops[a->scan.hop_count - 1].name : STR(""));
		take_rescan(a);
	} else if (!r->is_stopping) {
		env_timer_after(r->env, &a->scan_timer, SCAN_RETRY_MS);
	}
	store_op_fini(op);
	agenda_continue_scan(r);
	relay_check_stopped(r);
}

void agenda_continue_scan(struct relay *r)
{
	struct agenda *a = &r->agenda;

	if (r->is_stopping || a->is_scanning || !a->is_scan_wanted ||
		timer_is_active(&a->scan_timer) ||
		r->hops.count - r->idle_hop_count > SCAN_BUSY_MAX)
		return;
	a->is_scanning = true;
	a->scan = (struct store_hops){
		.op.on_done = on_scanned,
		.after = a->scan_cursor,
		.limit = SCAN_PAGE,
		.only_ready = true,
		.skip_down = true,
	};
	store_submit(r->store, &a->scan.op, STORE_HOPS);
}

void agenda_want_scan(struct relay *r)
{
	struct agenda *a = &r->agenda;

	a->is_rescan_wanted = true; /* from the start: the cursor is empty between scans */
	take_rescan(a);
	agenda_continue_scan(r);
}

void agenda_want_scan_later(struct relay *r)
{
	struct agenda *a = &r->agenda;

	a->is_rescan_wanted = true;
	if (!r->is_stopping && !timer_is_active(&a->scan_timer))
		env_timer_after(r->env, &a->scan_timer, SCAN_RETRY_MS);
}

static void on_scan_time(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, agenda.scan_timer);

	take_rescan(&r->agenda);
	agenda_continue_scan(r);
}

void agenda_look_far(struct relay *r)
{
	struct agenda *a = &r->agenda;
	struct wall now = env_wall(r->env);

	a->is_far_wanted = true;
	a->due_next = a->probe_next = WALL_NEVER;
	agenda_note_due(r, now);
	agenda_note_probe(r, now);
	if (a->is_promoting)
		a->due_next = now;
}

void agenda_init(struct relay *r)
{
	struct agenda *a = &r->agenda;

	a->due_timer.on_fire = on_due;
	a->probe_timer.on_fire = on_probe_time;
	a->scan_timer.on_fire = on_scan_time;
	a->due_next = a->probe_next = WALL_NEVER;
	a->scan_cursor = relay_copy_name(STR(""));
}

void agenda_start(struct relay *r)
{
	struct wall now = env_wall(r->env);

	r->agenda.spread = SPREAD_FIRST;
	agenda_note_due(r, now);
	agenda_note_probe(r, now);
	agenda_want_scan(r);
}

void agenda_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->agenda.due_timer);
	env_timer_stop(r->env, &r->agenda.probe_timer);
	env_timer_stop(r->env, &r->agenda.scan_timer);
}
