/*
 * vouch - what a next hop has said of a mailbox when it was asked, and how long its word holds.
 *
 * A mailbox that it takes mail for counts as good for 31 days, and is asked about again once 7 are over; one that it
 * refused counts as bad for 3 hours. A word is bad only if it is about the mailbox: what a next hop says of us, of our
 * address or of relaying, of limits, or for now, says nothing.
 */
#ifndef QUEUE_VOUCH_H
#define QUEUE_VOUCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/instant.h"
#include "mail/outcome.h"

enum vouch_word { VOUCH_NONE, VOUCH_GOOD, VOUCH_BAD };

struct vouch {
	enum vouch_word word;
	struct wall at;
	struct str text; /* VOUCH_BAD: the reply, cut; borrowed */
};

/* vouch_judge - of the outcome of a MAIL and RCPT that asked. */
enum vouch_word vouch_judge(const struct outcome *outcome);
/* vouch_holds - it still counts; vouch_is_fresh - and need not be asked again. */
bool vouch_holds(const struct vouch *v, struct wall now);
bool vouch_is_fresh(const struct vouch *v, struct wall now);
struct wall vouch_until(const struct vouch *v);
/* vouch_put, vouch_take - as it is stored. Text of what was taken points into value. False: malformed. */
void vouch_put(struct buf *out, const struct vouch *v);
bool vouch_take(struct vouch *out, struct str value);

#endif
