/*
 * sim_recovery - how a destination bore its recovery: what it could take, what was asked of it, what it had to refuse.
 *
 * The capacity is a token bucket of ten seconds: a message that finds no token is refused with 421. Attempts (a MAIL command,
 * or a connection that is refused) and refusals are counted by the minute; replies to RCPT concern one mailbox and do
 * not count. The figures are about the time since the script last said up.
 */
#ifndef SIM_RECOVERY_H
#define SIM_RECOVERY_H

#include "sim/sim_ledger.h"

#define CAPACITY_CHANGES_MAX 16

struct sim_minute {
	uint16_t attempts, refusals;
};

struct sim_capacity {
	int64_t from_ms;
	uint32_t per_min; /* 0: any */
};

struct sim_recovery {
	struct sim_capacity changes[CAPACITY_CHANGES_MAX];
	uint32_t change_count;
	double tokens;
	int64_t tokens_ms;
	uint64_t asked;             /* attempts in all */
	int64_t rush_bin;           /* ten seconds of them */
	uint32_t rush_now, rush_worst;
	int64_t up_ms;              /* when it was last said to be up; -1: never */
	struct sim_minute *minutes; /* since then */
	uint32_t minute_count;
};

struct sim_recovery_figures {
	double refused_percent; /* the worst of any 10 minutes after the first; one refusal alone does not count */
	double refused_at_ms; /* the end of these 10 minutes, since up */
	double used_percent; /* of the capacity, until what had waited was taken; 0 without a capacity */
	double drain_ms; /* until what had waited was taken: the last, and the median */
	double median_ms;
	double urgent_ms; /* the same for the last urgent one */
	double urgent_behind; /* ordinary messages that had waited and arrived before the last urgent one */
};

void sim_recovery_fini(struct sim_recovery *r);
void sim_recovery_set(struct sim_recovery *r, uint32_t per_min, int64_t now_ms);
void sim_recovery_up(struct sim_recovery *r, int64_t now_ms);
/* sim_recovery_ask - a message asks for a place. False: there is none. */
bool sim_recovery_ask(struct sim_recovery *r, int64_t now_ms);
void sim_recovery_note(struct sim_recovery *r, int64_t now_ms, bool is_refusal);
void sim_recovery_figures(const struct sim_recovery *r, const struct sim_ledger *l, int site,
	struct sim_recovery_figures *out);

#endif
