/*
 * upkeep - disk space and history, looked at from time to time; costs nothing that grows with the queue.
 *
 * Every 2 s of real time while space is short, every 30 s else: totals and free space. A queue that could not be written is
 * tried with a small value of its own, since there may be no RECORD left to show that it can be. Hourly (wall time): finished messages
 * older than queue.history go, in steps, with what nobody needs of next hops and sites.
 */
#include "relay/destination.h"

#define LOOK_MS (30 * SECOND_MS)
#define LOOK_SHORT_MS (2 * SECOND_MS)
#define SWEEP_EVERY_MS HOUR_MS
#define SWEEP_STEP 500

static void look(struct relay *r);

static void sweep_step(struct relay *r);

static void on_swept(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, upkeep.sweep.op);
	struct upkeep *u = &r->upkeep;
	bool is_more = op->err == OK && u->sweep.is_more && !r->is_stopping;

	u->is_sweeping = false;
	if (op->err != OK)
		log_text(r->env->log, LOG_WARNING, "qmgr", "cannot clear old history: %s",
			err_name(op->err));
	store_op_fini(op);
	if (is_more)
		sweep_step(r);
	relay_check_stopped(r);
}

static void sweep_step(struct relay *r)
{
	struct upkeep *u = &r->upkeep;
	struct wall now = env_wall(r->env);

	u->is_sweeping = true;
	u->sweep = (struct store_sweep){
		.op.on_done = on_swept,
		.history_before = wall_add(now, -r->conf->queue.history_ms),
		.forget_before = wall_add(now, -r->conf->policy.known_good_ms),
		.limit = SWEEP_STEP,
	};
	store_submit(r->store, &u->sweep.op, STORE_SWEEP);
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

static void on_stats(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, upkeep.stats.op);
	struct upkeep *u = &r->upkeep;
	struct wall now = env_wall(r->env);

	u->is_reading = false;
	if (op->err == OK) {
		/* a clock that was set back must not make ids that are taken */
		if (u->stats.last_id > r->ids.last && u->stats.last_id <= INT64_MAX)
			r->ids.last = u->stats.last_id;
		u->disk_free_bytes = u->stats.disk_free_bytes;
		set_space_low(r, u->disk_free_bytes < r->conf->queue.min_free_bytes);
		metric_set(r->env->metrics, METRIC_sites_down, u->stats.sites[HEALTH_DOWN]);
	}
	store_op_fini(op);
	if (u->is_full && !r->is_stopping)
		try_writing(r);
	if (!u->is_sweeping && now.ms - u->swept.ms >= SWEEP_EVERY_MS && !r->is_stopping &&
		!u->is_full) {
		u->swept = now;
		sweep_step(r);
	}
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
}
