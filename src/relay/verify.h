/*
 * verify - may mail for a recipient of a relay-domain be taken? The next hop is asked, with a transaction that ends before
 * DATA, and its word remembered: no mail is taken that would have to be returned to a sender who may be forged.
 *
 * While the next hop cannot be asked, what it vouched for or took mail for is taken, and others are put off (450). Bounds:
 * VERIFY_HOP_MAX questions at a next hop at a time, VERIFY_MAX in all, 30 s each; several clients who ask about one
 * address wait for one answer. A next hop that cannot be reached rests for a minute. Thread: loop.
 */
#ifndef RELAY_VERIFY_H
#define RELAY_VERIFY_H

#include "mail/address.h"
#include "relay/relay_private.h"
#include "smtp/server.h"

#define VERIFY_HOP_MAX 4
#define VERIFY_MAX 256

struct verify;

/* Embedded in whoever waits. */
struct verify_ask {
	struct list link;
	void (*on_answer)(
		struct verify_ask *ask, const struct smtp_answer *answer); /* later, once */
};

struct verify *verify_new(struct relay *r);
void verify_stop(struct verify *v);
bool verify_is_busy(const struct verify *v);
void verify_free(struct verify *v);
/* verify_rcpt - *answer: what is known at once, or is_later, and then ask->on_answer. Strings are copied. */
void verify_rcpt(struct verify *v, const struct conf_relay_domain *domain,
	const struct address *address, struct str hop, struct verify_ask *ask,
	struct smtp_answer *answer);
/* verify_forget - nobody waits any more. Legal when idle. */
void verify_forget(struct verify_ask *ask);

#endif
