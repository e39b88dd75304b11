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

struct retry_decision {
	bool is_expired;
	struct wall due; /* !is_expired */
};

/* retry_after_failure - attempts counts the one that just failed (>= 1). is_doubtful: a reply to the final dot was lost:
 * the step is at least 30 min, for the message may have arrived. */
struct retry_decision retry_after_failure(const struct conf_policy *policy,
	const struct envelope *env, uint32_t attempts, bool is_doubtful, struct wall now,
	struct rng *rng);
/* retry_gives_up_at - the instant after which a failed attempt is final. */
struct wall retry_gives_up_at(const struct conf_policy *policy, const struct envelope *env);

#endif
