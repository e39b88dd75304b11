/* control_explain - what explain says of wishes and TLS. Private to the control socket's verbs. */
#ifndef RELAY_CONTROL_EXPLAIN_H
#define RELAY_CONTROL_EXPLAIN_H

#include "base/buf.h"
#include "mail/envelope.h"

/* explain_tls_remedy - who can change what this reason of a failure says, and how; empty: it is not about TLS. Static. */
struct str explain_tls_remedy(struct str reason);
/* explain_wishes - REQUIRETLS and a by-time, as sentences; nothing when nothing was asked for. */
void explain_wishes(struct buf *out, const struct envelope *env);

#endif
