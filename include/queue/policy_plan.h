/*
 * policy_plan - what a policy really means: the instants at which mail is tried again, when it gives up, when people hear
 * of it, and where that falls short of what its settings seem to promise. Pure; for `outlast policy`.
 *
 * Instants count from the first attempt (retries) or from the failure that made a site down (probes), without jitter.
 */
#ifndef QUEUE_POLICY_PLAN_H
#define QUEUE_POLICY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "conf/conf.h"

/* More than the steps of a schedule, and than any probe interval needs to reach its last step. */
#define PLAN_INSTANTS_MAX 64

/* A sequence of instants: at_ms[0..count-1], then one every repeat_ms until end_ms, if there is an end. */
struct plan_times {
	int64_t at_ms[PLAN_INSTANTS_MAX];
	uint32_t count;
	int64_t repeat_ms; /* 0: no more */
	uint64_t total; /* instants before end_ms, those that repeat included; 0 without an end */
};

enum plan_warning {
	PLAN_STEP_BEYOND_LIFETIME, /* the longest pause is longer than the lifetime */
	PLAN_LIFETIME_SHORT,       /* less than the five days that senders expect */
	PLAN_OUTAGES_COUNT, /* lifetime-max leaves no room for time in which mail could not move */
	PLAN_OUTAGE_ROOM_SHORT,  /* some, but less than the outage of January 2023 took */
	PLAN_NOTICE_LATE,        /* delay notices would come after the end */
	PLAN_PROBES_RARE,        /* the first mail after an outage may wait longer than an hour */
	PLAN_NOTHING_KNOWN_GOOD, /* known-good 0: no outage is ever found, no refusal doubted */
	PLAN_OUTAGE_LATE,        /* mail is given up before its outage is found */
	PLAN_REFUSED_LOST, /* the guard is on, but what it believed wrongly cannot be revived */
	PLAN_HOLD_NONE,    /* the guard is on, but the first victims of a storm are told at once */
	PLAN_QUARANTINE_LONG, /* a doubted refusal is given up before it is tried again */
	PLAN_WARNING_COUNT
};

struct policy_plan {
	int64_t gives_up_ms; /* from acceptance: time in which mail could move */
	int64_t kept_max_ms; /* from acceptance: whatever happens */
	int64_t notice_gives_up_ms;
	struct plan_times
		retries; /* those after the first attempt; end: gives_up_ms, itself not among them */
	struct plan_times probes_known, probes_other;
	int64_t unknown_user_known_ms; /* a mailbox that took mail is gone: refusal to notice; 0 guard off: as the next */
	int64_t refused_ms; /* any other believed refusal: to notice */
	unsigned warnings;  /* bits of 1u << enum plan_warning */
};

void policy_plan_make(struct policy_plan *plan, const struct conf_policy *policy);
const char *plan_warning_name(enum plan_warning w); /* "step-beyond-lifetime", for scripts */
/* plan_warning_text - one sentence with the figures. */
void plan_warning_text(struct buf *out, enum plan_warning w, const struct conf_policy *policy);
/* plan_times_text - "+5m, +15m, +35m, then every 2h". Long runs are cut in the middle. */
void plan_times_text(struct buf *out, const struct plan_times *times);

#endif
