/*
 * sim_world - the relay with everything around it: boots it on the simulated ports over the real queue, runs the clock,
 * crashes and restarts it, and at the end says in figures what came of it.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "conf/conf.h"
#include "relay/relay.h"
#include "sim/sim_peer.h"
#include "sim/sim_sender.h"

#define FIGURES_MAX 400

/* The store of the relay, counted and, when the script says so, full. */
struct sim_store {
	struct store store;
	struct store *inner;
	struct sim_world *world;
	struct list refused;
	struct deferred refuse;
};

/* Counters of what costs something, for a span between two marks. */
struct sim_cost {
	uint64_t dns, connections, log_lines, reads, writes, turns;
};

struct sim_figure {
	char name[64];
	double value;
};

struct sim_world {
	struct sim_clock clock;
	struct sim_net net;
	struct sim_dns dns;
	struct sim_ledger ledger;
	struct sim_peers peers;
	struct sim_senders senders;
	struct conf *conf;
	char directory[128];

	/* one life of the process */
	struct sim_env env;
	struct sim_store store;
	struct relay *relay;
	bool is_running, is_stopped;
	bool is_store_full;
	int64_t wall_ms; /* what the wall clock of the next life is off by */
	struct timer boot;
	int64_t down_ms;         /* after a restart that was asked for */
	uint64_t crash_in_turns; /* 0: none pending */

	struct metrics totals; /* of lives past */
	uint64_t log_lines, reads, writes, turns;
	uint32_t boot_count;
	struct sim_cost mark;
	struct timer sample;
	uint64_t hops_max, sites_max, deliveries_max, pending_max, conns_max;
	uint32_t pending_events; /* of the script */
	int64_t same_time_turns, same_time_ms;
	bool is_broken;

	struct sim_figure figures[FIGURES_MAX];
	uint32_t figure_count;
};

void sim_world_init(struct sim_world *w, uint64_t seed, const char *directory, FILE *trace);
void sim_world_fini(struct sim_world *w);
void sim_world_boot(struct sim_world *w);
/* sim_world_crash - kill -9, now; boots again after down_ms. */
void sim_world_crash(struct sim_world *w, int64_t down_ms);
void sim_world_restart(struct sim_world *w, int64_t down_ms); /* in good order */
void sim_world_delete(struct sim_world *w,
	const char *from); /* an operator deletes mail of these senders (glob) */
void sim_world_sleep(struct sim_world *w,
	int64_t ms); /* the machine is suspended: nothing runs, both clocks go on */
void sim_world_fill_store(
	struct sim_world *w, bool is_full); /* until it is told else: also over a crash */
void sim_world_mark(struct sim_world *w);
void sim_world_measure(struct sim_world *w, const char *name); /* what it cost since the mark */
/* sim_world_run - until end_ms, or until everything is settled. */
void sim_world_run(struct sim_world *w, int64_t end_ms);
/* sim_world_close - stops the relay, checks it and the queue, and fills in the figures. */
void sim_world_close(struct sim_world *w);
/* sim_figures_fill - the end: what came of it, once the relay has stopped. */
void sim_figures_fill(struct sim_world *w);
void sim_world_set_figure(struct sim_world *w, const char *name, double value);
const struct sim_figure *sim_world_figure(const struct sim_world *w, struct str name);

#endif
