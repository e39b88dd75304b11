/*
 * resolver - DNS answers shared and kept: a bounded cache by TTL over port/dns, with concurrent look-ups of one
 * question coalesced. TTL runs in wall time between conf dns ttl-min and ttl-max; temporary failures are kept 5 s of real time.
 */
#ifndef DELIVER_RESOLVER_H
#define DELIVER_RESOLVER_H

#include "conf/conf.h"
#include "port/dns.h"
#include "port/env.h"

struct resolver;

/* Embedded in whoever asks. */
struct lookup {
	struct str name; /* copied at start */
	enum dns_type type;
	void (*on_done)(struct lookup *l); /* later, once; not after cancel */
	const struct dns_answer *answer;   /* valid during on_done only: copy what is needed */
	struct list link;                  /* the resolver's */
	void *entry;                       /* the resolver's */
	struct deferred deferred;          /* the resolver's */
};

struct resolver *resolver_new(struct env *env, struct dns *dns, struct conf *conf);
void resolver_set_conf(struct resolver *r, struct conf *conf);
void resolver_flush(struct resolver *r); /* forgets all answers (an operator's retry, a reload) */
void resolver_free(struct resolver *r);  /* no look-up may be outstanding */
void resolver_start(struct resolver *r, struct lookup *l);
void resolver_cancel(struct resolver *r, struct lookup *l); /* legal when idle */

#endif
