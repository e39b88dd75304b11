/*
 * hint - reasons to look now at a destination that is down, rather than at the time of its next probe.
 *
 * Mail that comes in from one of its hosts; a domain that asks for its mail (ETRN, RFC 1985); a new configuration of ours.
 * The hosts of sites that are down are kept in memory as their probes fail: a bounded table, empty while all is well.
 * Thread: loop.
 */
#ifndef RELAY_HINT_H
#define RELAY_HINT_H

#include "relay/delivery.h"

void hint_init(struct relay *r);
void hint_fini(struct relay *r);
/* hint_note_failed - a delivery failed: if its site is down its hosts are known here from now on. */
void hint_note_failed(const struct delivery *d);
void hint_note_up(struct site *s);
/* hint_note_client - a client at that address hands in mail. */
static inline bool hint_may_know(const struct relay *r)
{
	return r->hints.count > 0;
}
void hint_note_client(struct relay *r, const struct endpoint *client);
/* hint_probe - somebody entitled to it asks for the mail of a domain. */
void hint_probe(struct relay *r, struct str domain);
/* hint_probe_route - the same of the mail of a route, by its name; false: there is no such route. What goes by MX is found by
 * its domains. */
bool hint_probe_route(struct relay *r, struct str name);
/* hint_reload - a new configuration: smarthosts that refused us may not any more. */
void hint_reload(struct relay *r);

#endif
