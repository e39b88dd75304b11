/*
 * outage - outages as the relay knows them: opened, kept up to date, closed, remembered.
 *
 * An outage is a durable record (port/store.h). Those of one site or next hop belong to it and are loaded with it; wide
 * ones (of a pattern, or of all) are all in memory. What is open is in memory too, keyed by kind, scope and name, for as
 * long as it is open: few, whatever the backlog. Thread: loop.
 */
#ifndef RELAY_OUTAGE_H
#define RELAY_OUTAGE_H

#include "port/store.h"
#include "queue/credit.h"
#include "relay/relay_private.h"

/* outage_begin - opens an outage that began at an instant, or returns the one of that kind, scope and name that is open. The
 * record is borrowed until it ends; it is durable later, with a RECORD of its own. evidence: NULL for none. */
const struct outage_record *outage_begin(struct relay *r, enum outage_kind kind, enum outage_scope scope,
	struct str name, struct wall began, const struct health_record *evidence);
/* outage_end - closes it; nothing when none is open. */
void outage_end(struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name,
	struct wall at);
/* outage_open - the open one of that kind, scope and name, or NULL. */
const struct outage_record *outage_open(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name);
/* outage_of_hop - an open outage that keeps the mail of h: its own, its site's, or a wide one; NULL: none. */
const struct outage_record *outage_of_hop(const struct relay *r, const struct hop *h);
/* outage_gives_up_at - when the time of that mail behind h is over: lifetime, credit and lifetime-max taken together. */
struct wall outage_gives_up_at(const struct hop *h, const struct envelope *env);

#endif
