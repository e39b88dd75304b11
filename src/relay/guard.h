/*
 * guard - the relay's side of the 5xx-storm guard: known mailboxes (known.c), storms by site, what becomes of a refusal, and the
 * rescue of those that had failed before anybody could know (guard.c). The rules are queue/guard.h's. Thread: loop.
 */
#ifndef RELAY_GUARD_H
#define RELAY_GUARD_H

#include "relay/delivery.h"

void guard_init(struct relay *r);
void guard_free(struct relay *r);

/* guard_take - learns from what a delivery brought; before evidence_take and before its results are judged. */
void guard_take(struct delivery *d);
/* guard_judge - a recipient that was refused for good: RESULT_FAILED, or RESULT_QUARANTINED with out->due and status. */
enum result_kind guard_judge(struct delivery *d, uint32_t i, struct store_result *out);
/* guard_parks - its refusals say that the site takes no mail at all now: outcome of one of them, else NULL. */
const struct outcome *guard_parks(const struct delivery *d);
/* guard_note_recorded - failures of it are durable: those that a storm explains are taken back. */
void guard_note_recorded(struct delivery *d);
/* guard_note_known - a mailbox that took mail at an instant, by another's word (import). */
void guard_note_known(struct relay *r, struct str address, struct wall when);

/* known.c */
void known_init(struct relay *r);
void known_start(
	struct relay *r); /* reads what was saved, then learns what the history has beyond it */
void known_stop(struct relay *r); /* saves; relay_check_stopped when done */
void known_free(struct relay *r);
bool known_is_busy(const struct relay *r);
/* known_learn - it took mail. True when it was known good, as far as anything is known yet. */
bool known_learn(struct relay *r, uint64_t mailbox, struct wall now);
/* known_has - while what was saved is being read, nobody can tell: if_unsure. */
bool known_has(const struct relay *r, uint64_t mailbox, bool if_unsure);

#endif
