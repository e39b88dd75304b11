/*
 * held_notice - notices of failure that wait for their release, so that what fails of the same message meanwhile joins them.
 *
 * A hint only, of fixed size: the message whose notice it is, by id; a newer one may take its place. The store decides
 * whether the notice still waits (RECORD.replaces). After a restart nothing is known, and a message may have two. Thread: loop.
 */
#ifndef RELAY_HELD_NOTICE_H
#define RELAY_HELD_NOTICE_H

#include "relay/relay_private.h"

void held_notice_init(struct relay *r);
void held_notice_free(struct relay *r);
/* held_notice_note - a notice about a message is durable and waits until release. */
void held_notice_note(struct relay *r, uint64_t message, uint64_t notice, struct wall release);
/* held_notice_of - the notice about it that should still be waiting, 0: none. */
uint64_t held_notice_of(const struct relay *r, uint64_t message, struct wall now);

#endif
