/*
 * tls_seen - what a delivery tells of TLS with its hosts: whether a policy may have changed, and what goes into reports. Costs
 * nothing where no new session was opened. Thread: loop.
 */
#ifndef RELAY_TLS_SEEN_H
#define RELAY_TLS_SEEN_H

#include "deliver/attempt.h"
#include "relay/destination.h"

void tls_seen_attempt(struct hop *h, const struct attempt *a);
/* tls_seen_route - hosts of the next hop are left out, or all are, for the sake of TLS. */
void tls_seen_route(struct hop *h);
/* tls_seen_no_policy - the MTA-STS policy of a domain could not be had. */
void tls_seen_no_policy(struct relay *r, struct str domain, enum err err, bool is_policy_bad);

#endif
