/*
 * operators - a short mail to notify.operators when an outage begins and when it ends: outages of sites and next hops,
 * storms of refusals, our own connection. At most OPERATOR_MAILS_PER_HOUR; the next one names how many were left out (the log
 * has them all). Not durable by itself: a crash in the moment between an outage and its mail loses the mail.
 *
 * Thread: loop.
 */
#ifndef RELAY_OPERATORS_H
#define RELAY_OPERATORS_H

#include "port/store.h"
#include "relay/relay_private.h"

#define OPERATOR_MAILS_PER_HOUR 20

/* notify_operators - nothing without notify.operators, and nothing of OUTAGE_STOPPED. rec is borrowed during the call. */
void notify_operators(struct relay *r, const struct outage_record *rec, bool is_end);

#endif
