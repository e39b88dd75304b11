/*
 * upkeep - disk space and history, looked at from time to time; costs nothing that grows with the queue.
 *
 * Every 2 s of real time while space is short, every 30 s else: totals and free space. A queue that could not be written is
 * tried with a small value of its own, since there may be no RECORD left to show that it can be. Hourly (wall time): finished messages
 * older than queue.history go, in steps, with what nobody needs of next hops and sites.
 *
 * A file that has more free space than it may keep is shrunk once two looks in a row have found so: what comes and goes with
 * the load is used again instead. The steps are short, with a pause after each, so that mail never waits long behind one;
 * they go on until half of what it may keep is left, so that the next drop of mail does not begin them again.
 */
#include "relay/destination.h"
#include "relay/share.h"

#define LOOK_MS (30 * SECOND_MS)
#define LOOK_SHORT_MS (2 * SECOND_MS)
#define SWEEP_EVERY_MS HOUR_MS
#define SWEEP_STEP 500
/* Last year's outages can still be compared with this one's. */
#define OUTAGES_KEPT_MS (400 * DAY_MS)
#define SHRINK_PAUSE_MS 20
/* With a tenth of what is in use: what the file may keep free. Less than the 64 MiB that are promised. */
#define FREE_MAX_BYTES ((uint64_t)56 << 20)

static void look(struct relay *r);

static void sweep_on(struct relay *r);

static uint64_t free_max(uint64_t used_bytes)
{
	return used_bytes / 10 + FREE_MAX_BYTES;
}

static void note_cleared(struct upkeep *u)
{
	u->is_clearing = u->sweep.is_more;
}

static void end_shrinking(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	u->is_shrinking = u->has_excess = false;
	if (u->given_back_bytes == 0)
		return;
	log_text(r->env->log, LOG_INFO, "qmgr",
		"the queue's file has given back %llu MiB that it no longer needs",
		(unsigned long long)(u->given_back_bytes >> 20));
}

static void note_shrunk(struct relay *r)
{
	struct upkeep *u = &r->upkeep;
	const struct store_sweep *step = &u->sweep;

	u->given_back_bytes += step->shrunk_bytes;
	if (step->shrunk_bytes == 0 || step->free_bytes <= free_max(step->used_bytes) / 2)
		end_shrinking(r);
}

static void note_failed(struct relay *r, enum err err)
{
	struct upkeep *u = &r->upkeep;

	log_text(r->env->log, LOG_WARNING, "qmgr", "cannot %s: %s",
		u->sweep.may_shrink ? "give back space of the queue's file" : "clear old history",
		err_name(err));
	if (u->sweep.may_shrink)
		end_shrinking(r);
	else
		u->is_clearing = false;
}

static void on_swept(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, upkeep.sweep.op);
	struct upkeep *u = &r->upkeep;

	u->is_sweeping = false;
	if (op->err != OK)
		note_failed(r, op->err);
	else if (u->sweep.may_shrink)
		note_shrunk(r);
	else
		note_cleared(u);
	store_op_fini(op);
	sweep_on(r);
	relay_check_stopped(r);
}

static void sweep_step(struct relay *r, uint32_t limit, bool may_shrink)
{
	struct upkeep *u = &r->upkeep;
	struct wall now = env_wall(r->env);

	u->is_sweeping = true;
	u->sweep = (struct store_sweep){
		.op.on_done = on_swept,
		.history_before = wall_add(now, -r->conf->queue.history_ms),
		.forget_before = wall_add(now, -r->conf->policy.known_good_ms),
		.outages_before = wall_add(now, -OUTAGES_KEPT_MS),
		/* what nobody has revived yet goes first when the disk is short */
		.kept_before = u->is_space_low ? WALL_NEVER : now,
		.limit = limit,
		.may_shrink = may_shrink,
	};
	store_submit(r->store, &u->sweep.op, STORE_SWEEP);
}

/* The next step of what is left to do, if any. */
static void sweep_on(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	if (u->is_sweeping || r->is_stopping)
		return;
	if (u->is_clearing)
		sweep_step(r, SWEEP_STEP, false);
	else if (u->is_shrinking)
		env_timer_after(r->env, &u->pause, SHRINK_PAUSE_MS);
}

static void on_pause(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, upkeep.pause);

	if (!r->upkeep.is_sweeping && !r->is_stopping)
		sweep_step(r, 0, true);
}

static void set_space_low(struct relay *r, bool is_low)
{
	struct upkeep *u = &r->upkeep;

	if (u->is_space_low == is_low)
		return;
	u->is_space_low = is_low;
	if (is_low)
		log_text(r->env->log, LOG_ERROR, "qmgr",
			"disk space is short (%llu MiB free, queue.min-free is %llu MiB): new mail "
			"gets 452 until there is more",
			(unsigned long long)(u->disk_free_bytes >> 20),
			(unsigned long long)(r->conf->queue.min_free_bytes >> 20));
	else
		log_text(r->env->log, LOG_NOTICE, "qmgr",
			"disk space is back: new mail is accepted");
}

static void on_tried(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, upkeep.trial.op);

	r->upkeep.is_trying = false;
	if (op->err == OK)
		upkeep_note_space(r);
	store_op_fini(op);
	relay_check_stopped(r);
}

static void try_writing(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	if (u->is_trying)
		return;
	u->is_trying = true;
	u->trial = (struct store_put){
		.op.on_done = on_tried, .key = STR("space"), .value = STR("trial")
	};
	store_submit(r->store, &u->trial.op, STORE_PUT);
}

static void want_sweeps(struct relay *r)
{
	struct upkeep *u = &r->upkeep;
	struct wall now = env_wall(r->env);
	bool has_excess = u->stats.free_bytes > free_max(u->stats.used_bytes);

	if (now.ms - u->swept.ms >= SWEEP_EVERY_MS || u->is_space_low) {
		u->swept = now;
		u->is_clearing = true;
	}
	if (has_excess && u->has_excess && !u->is_shrinking) {
		u->is_shrinking = true;
		u->given_back_bytes = 0;
	}
	u->has_excess = has_excess;
	sweep_on(r);
}

static void on_stats(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, upkeep.stats.op);
	struct upkeep *u = &r->upkeep;

	u->is_reading = false;
	if (op->err == OK) {
		/* a clock that was set back must not make ids that are taken */
		if (u->stats.last_id > r->ids.last && u->stats.last_id <= INT64_MAX)
			r->ids.last = u->stats.last_id;
		u->disk_free_bytes = u->stats.disk_free_bytes;
		set_space_low(r, u->disk_free_bytes < r->conf->queue.min_free_bytes);
		metric_set(r->env->metrics, METRIC_sites_down, u->stats.sites[HEALTH_DOWN]);
		share_look(r, &u->stats);
	}
	store_op_fini(op);
	if (u->is_full && !r->is_stopping)
		try_writing(r);
	if (!u->is_full)
		want_sweeps(r);
	if (!r->is_stopping)
		env_timer_after(
			r->env, &u->timer, u->is_space_low || u->is_full ? LOOK_SHORT_MS : LOOK_MS);
	relay_check_stopped(r);
}

static void look(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	if (u->is_reading)
		return;
	u->is_reading = true;
	u->stats = (struct store_stats){ .op.on_done = on_stats };
	store_submit(r->store, &u->stats.op, STORE_STATS);
}

static void on_time(struct timer *t)
{
	look(CONTAINER_OF(t, struct relay, upkeep.timer));
}

void upkeep_note_full(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	metric_add(r->env->metrics, METRIC_store_full_total, 1);
	if (u->is_full)
		return;
	u->is_full = true;
	log_text(r->env->log, LOG_ERROR, "qmgr",
		"the queue cannot be written: no space; no new attempts until it can");
	env_timer_after(r->env, &u->timer, LOOK_SHORT_MS);
}

void upkeep_note_space(struct relay *r)
{
	struct upkeep *u = &r->upkeep;

	if (!u->is_full)
		return;
	u->is_full = false;
	log_text(r->env->log, LOG_NOTICE, "qmgr", "the queue can be written again");
	if (!r->is_stopping)
		destination_save_unsaved(r);
	sched_kick(r);
}

void upkeep_init(struct relay *r)
{
	r->upkeep.timer.on_fire = on_time;
	r->upkeep.pause.on_fire = on_pause;
	r->upkeep.disk_free_bytes = UINT64_MAX;
	r->upkeep.swept = env_wall(r->env);
}

void upkeep_start(struct relay *r)
{
	look(r);
}

void upkeep_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->upkeep.timer);
	env_timer_stop(r->env, &r->upkeep.pause);
}
