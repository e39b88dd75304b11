/*
 * teller - tells senders that their mail is late, that it is late no longer, and what failed beyond the number of notices
 * that is told one by one.
 *
 * Once an hour (wall time; more often where mail counts as late sooner) the store names, a page at a time, who has something to
 * hear; each is told by one TELL, and the next waits for its turn, so that a hundred thousand senders do not hear at once.
 * What was told is durable with the notice: a crash repeats none and leaves none out. Costs nothing between the looks,
 * and a few seeks for each sender in one. Errors: the look ends, the next one finds the rest. Thread: loop.
 */
#ifndef RELAY_TELLER_H
#define RELAY_TELLER_H

#include "relay/relay_private.h"

struct teller;

struct teller *teller_new(struct relay *r);
void teller_start(struct teller *t);
/* teller_note - mail has come in whose sender wants to know when it is not there by that time (RFC 2852, mode N). */
void teller_note(struct teller *t, struct wall by);
void teller_stop(struct teller *t);
bool teller_is_busy(const struct teller *t);
void teller_free(struct teller *t);

/* teller_may_notify - one more notice of failure to this sender now? Counted. false: it is owed (store_record.is_notice_owed).
 * is_asked: NOTIFY=FAILURE or an ENVID asked for a notice of its own (RFC 3461): those are counted apart, and ten times as many
 * leave one by one. */
bool teller_may_notify(struct teller *t, struct str sender, bool is_asked);

#endif
