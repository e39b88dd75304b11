/*
 * retry - when a recipient is tried again, and when it has been tried long enough. Pure.
 *
 * No recipient expires without an attempt after its time ran out: if lifetime ends before the next step, the last attempt
 * is put at its end; only a failure at or after it expires the recipient.
 */
#ifndef QUEUE_RETRY_H
#define QUEUE_RETRY_H

#include <stdbool.h>

#include "base/rng.h"
#include "conf/conf.h"
#include "mail/envelope.h"
#include "queue/credit.h"

/* What does not count: NULL and zero mean nothing. */
struct retry_clock {
	const struct credit *credit; /* time in which that mail could not move */
	const struct credit *jumps;  /* time that was none: the clock was set; not counted by lifetime-max either */
	int64_t held_ms;             /* an operator's holds, in sum */
};

struct retry_decision {
	bool is_expired;
	struct wall due; /* !is_expired */
};

/* retry_after_failure - end: see retry_gives_up_at. attempts counts the one that just failed (>= 1). is_doubtful: a reply to
 * the final dot was lost: the step is at least 30 min, for the message may have arrived. */
struct retry_decision retry_after_failure(const struct conf_policy *policy, struct wall end,
	uint32_t attempts, bool is_doubtful, struct wall now, struct rng *rng);
/* retry_gives_up_at - the instant after which a failed attempt is final, as far as is known now: lifetime counts what no
 * credit covers, lifetime-max counts all, neither counts holds. clock: NULL: nothing is left out. */
struct wall retry_gives_up_at(const struct conf_policy *policy, const struct envelope *env,
	const struct retry_clock *clock);
/* retry_overdue_before - mail accepted later cannot be over at now; what was accepted earlier is, unless it has an end of
 * its own (held, a by-time, a wait that its sender asked for). */
struct wall retry_overdue_before(
	const struct conf_policy *policy, const struct retry_clock *clock, struct wall now);

/* retry_is_past_by_time - it was to be returned by a time (RFC 2852, mode R), which has come. */
bool retry_is_past_by_time(const struct envelope *env, struct wall now);

#endif
