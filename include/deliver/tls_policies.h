/*
 * tls_policies - what the owners of recipient domains publish about TLS elsewhere than in DNS: MTA-STS (RFC 8461).
 *
 * The source (relay) keeps policies on disk and fetches them; routing asks it once for each domain that is reached by MX, and
 * binds the hosts. It must be quick when it knows: a policy that is in its cache answers in the next turn. While a policy is
 * fetched for the first time it may take as long as a fetch may; what cannot be fetched and was never known is
 * none (section 3.3: delivery goes on as though there were no policy), what was known and has not run out stays.
 *
 * Routing makes of it: enforce: hosts that no pattern names are not used, the others must show a certificate that verifies;
 * testing: both are looked at and told (struct tls_rule is_testing), and nothing is held against a host. TLSA
 * records of a host outrank it (section 2). Not asked for smarthosts, literals, and where delivery.tls is none or dane.
 * Thread: loop.
 */
#ifndef DELIVER_TLS_POLICIES_H
#define DELIVER_TLS_POLICIES_H

#include "base/list.h"
#include "base/str.h"
#include "base/timer.h"
#include "mail/sts_policy.h"

/* Embedded in whoever asks. */
struct tls_policy_query {
	struct str domain; /* lower case, A-labels; borrowed until on_done or cancel */
	void (*on_done)(struct tls_policy_query *q); /* later, once; not after cancel */
	/* out, valid during on_done only: copy what is needed */
	const struct sts_policy *policy; /* NULL, or of mode STS_NONE: none */
	const char *
		problem; /* not NULL: whether there is one cannot be told now (our own disk): mail waits; static */
	/* the source's */
	struct list link;
	struct deferred deferred;
	void *adapter;
};

struct tls_policies;
struct tls_policies_ops {
	void (*start)(struct tls_policies *p, struct tls_policy_query *q);
	void (*cancel)(struct tls_policies *p, struct tls_policy_query *q); /* legal when idle */
};
struct tls_policies {
	const struct tls_policies_ops *ops;
};

#endif
