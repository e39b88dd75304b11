/* attempt_tls - the TLS rule of an attempt at one host: which it is, when it failed, and what is told of it. */
#ifndef SRC_DELIVER_ATTEMPT_TLS_H
#define SRC_DELIVER_ATTEMPT_TLS_H

#include "deliver/attempt.h"

static inline const struct route_target *attempt_target(const struct attempt *a)
{
	return &a->route->targets[a->order[a->target]];
}

/* attempt_tls_is_unvouched - the message needs REQUIRETLS, and nobody vouches for the name of the target (RFC 8689 section 4.2.1):
 * it is lacking, and passed over. */
bool attempt_tls_is_unvouched(struct attempt *a);
/* attempt_tls_set_rule - that of the target, raised by what the message asks for. */
void attempt_tls_set_rule(struct attempt *a);
/* attempt_tls_set_key - after a change of a->rule that is not the target's own. */
void attempt_tls_set_key(struct attempt *a);
/* attempt_is_tls_failure - clear text may be tried, if the rule is opportunistic. */
bool attempt_is_tls_failure(const struct outcome *outcome);
/* attempt_tls_note_good, attempt_tls_note_failed - for reports and log, with the session at hand. */
void attempt_tls_note_good(struct attempt *a);
void attempt_tls_note_failed(
	struct attempt *a, struct smtp_client *c, const struct outcome *outcome);
/* attempt_is_for_requiretls - what failed was asked for by the message alone. */
bool attempt_is_for_requiretls(const struct attempt *a, const struct outcome *outcome);
/* attempt_lack_requiretls - the host lacks it for all recipients. */
void attempt_lack_requiretls(struct attempt *a, const struct outcome *outcome);

#endif
