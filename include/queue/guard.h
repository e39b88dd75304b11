/*
 * guard - the 5xx-storm guard (OUTAGE section 2): whether a permanent refusal is believed. Pure.
 *
 * Known good is a mailbox that took mail lately (queue/mailboxes.h). A site refuses for good now and then, and is believed;
 * but when it refuses many mailboxes that it used to take, it is the site that is ill: a storm. It opens when at least 5
 * known-good mailboxes, written to by at least 2 senders, and at least 20 % of the known-good ones that were tried in 10 min, are
 * refused with a doubted reply. Mailboxes that never took mail (stale lists, guessed addresses) never open one.
 *
 * A site with little traffic is judged over longer: five such mailboxes of two senders refused within hours, and none
 * accepted between them, are a storm too. With two to four of these nobody can tell the site from the mailboxes: they
 * stay in quarantine, but for no longer than a day.
 *
 * Before a storm has opened, those refused again while a fifth of the last GUARD_LAST known-good ones was refused, at least
 * five of them within hours, stay in quarantine too, for a day at most.
 *
 * It closes when few of the last GUARD_LAST known-good ones were refused: what is left then are mailboxes that were closed. And
 * when the site takes what it had refused: three of those accepted in a row. (Three others would say nothing in a
 * partial storm.) Or when nothing but one or two mailboxes has been refused for longer than the longest quarantine, so that all
 * others have been tried since, and one is accepted.
 *
 * A mailbox that never took mail is quarantined once, while a storm is open and for an hour after: nobody can tell whether it
 * exists. Refused again when that time is over it is believed, unless over half of all are refused, so that a storm in parts
 * does not keep the sender of a typing error waiting.
 *
 * Memory is fixed: the last GUARD_VICTIMS refused mailboxes, and counters of ten minutes. One that is idle may be forgotten.
 */
#ifndef QUEUE_GUARD_H
#define QUEUE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"

#define GUARD_MINUTES 10
#define GUARD_VICTIMS 64
#define GUARD_SEEN 64
#define GUARD_OPEN_MAILBOXES 5
#define GUARD_OPEN_PERCENT 20
#define GUARD_CLOSE_ACCEPTED 3
#define GUARD_LAST 40
#define GUARD_LAST_REFUSED_MAX 5
#define GUARD_STEP_MAX_MS (4 * HOUR_MS)
/* Longer than the longest quarantine with its jitter: whoever was refused has been tried again since. */
#define GUARD_MEMORY_MS (5 * HOUR_MS)
/* A storm that begins anew so soon is the same one. */
#define GUARD_JOIN_MS HOUR_MS
/* Two to four mailboxes refused, none accepted: believed after this. */
#define GUARD_UNSURE_MS DAY_MS

struct guard_victim {
	uint64_t mailbox, sender;
	struct wall first, at; /* of its refusals, with no acceptance between */
	uint32_t first_try;    /* number of the first try that it was then: of guard.tries */
	bool has_more_senders;
};

struct guard {
	bool is_open;
	bool is_parking;           /* while open: over half of those tried are refused */
	struct wall opened;        /* or found open after a start */
	struct wall closed;        /* WALL_NONE: never seen to */
	struct wall last_accepted; /* a known-good one; WALL_NONE: none seen */
	struct wall proved;        /* when the refused were last asked for */
	uint64_t last;       /* first tries of known-good ones, the newest in bit 0; set: refused */
	uint32_t last_count; /* of them, up to GUARD_LAST */
	uint32_t tries;      /* number of such, ever */
	uint32_t open_count; /* those since it opened, up to GUARD_LAST */
	uint32_t accepted_in_row, proven_in_row; /* since the last refusal of a known-good one */
	int64_t minute;                          /* of the newest counters */
	uint32_t accepted[GUARD_MINUTES],
		refused[GUARD_MINUTES]; /* known-good mailboxes, by minute % GUARD_MINUTES */
	uint32_t seen[GUARD_SEEN];      /* accepted ones, so that one mailbox counts once */
	struct guard_victim victims[GUARD_VICTIMS];
	uint32_t next_victim;
};

enum guard_outcome {
	GUARD_ACCEPTED,
	GUARD_REFUSED /* for good, with a doubted reply */
};

struct guard_event {
	enum guard_outcome outcome;
	uint64_t mailbox, sender; /* hashes */
	bool is_known;            /* known good, before this */
	bool was_refused;         /* its last reply was a refusal that was not believed */
};

enum guard_change {
	GUARD_SAME,
	GUARD_OPENED,
	GUARD_CLOSED,
	GUARD_PROVE /* it takes mail again: those that it refused should be tried now */
};

/* guard_note - what became of one recipient. */
enum guard_change guard_note(struct guard *g, const struct guard_event *e, struct wall now);
/* guard_reopen - a storm that was open before a restart. */
void guard_reopen(struct guard *g, struct wall now);
/* guard_began - the first refusal of the window: since when the storm blows. */
struct wall guard_began(const struct guard *g, struct wall now);
/* guard_is_idle - it knows nothing that matters after this. */
bool guard_is_idle(const struct guard *g, struct wall now);

struct guard_question {
	uint64_t mailbox;
	bool is_doubted;  /* 5xx that speaks of more than message and policy */
	bool is_known;    /* the mailbox is known good */
	bool was_refused; /* and has been in quarantine */
	bool is_early;    /* but for less than the time set: it was asked for again meanwhile */
};

/* guard_doubts - true: the refusal is not believed, the recipient is quarantined. g: NULL when nothing is known of the site. */
bool guard_doubts(const struct guard *g, const struct guard_question *q, struct wall now);
/* guard_step - how long the recipient stays in quarantine: at first quarantine_ms, then doubling with its attempts up to
 * GUARD_STEP_MAX_MS; up to 10 % less, by chance. */
int64_t guard_step(int64_t quarantine_ms, bool was_refused, uint32_t attempts, struct rng *rng);

#endif
