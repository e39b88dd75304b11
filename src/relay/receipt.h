/*
 * receipt - the notice of success of a delivery: one for all of its recipients that are owed one, stored by the same RECORD as
 * their results.
 *
 * Never held back, for nothing takes a delivery back. A crash loses none: before RECORD the delivery itself is not
 * known, and is made again (RFC 3461 leaves that duplicate); behind it the notice is queued. One that cannot be delivered ends there,
 * counted. None at the wish of a client that we do not know. Costs a look at the wishes of each recipient; nothing else where there are none. Thread: loop.
 */
#ifndef RELAY_RECEIPT_H
#define RELAY_RECEIPT_H

#include "relay/delivery.h"

/* receipt_is_of_known_client - the message came from somebody logged in, from a trusted network, or from this host. Whoever
 * else may send (to relay-domains) can name anybody as its sender. */
bool receipt_is_of_known_client(const struct delivery *d);
/* receipt_is_needed - by what the results of the record say. */
bool receipt_is_needed(const struct delivery *d);
/* receipt_build - joins the notices of the record. content: of the original, its first part or nothing. */
void receipt_build(struct delivery *d, struct str content);
/* receipt_offer - it is durable. */
void receipt_offer(struct delivery *d);
void receipt_drop(struct delivery *d);

#endif
