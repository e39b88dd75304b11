/*
 * verdict - what an outcome says, and of whom (OUTAGE section 2, Scope). One pure table, stage x reply or error.
 *
 * The reply code decides; an enhanced code refines within its class and never contradicts it (RFC 5321 4.3.2: unknown
 * codes by first digit).
 */
#ifndef DELIVER_VERDICT_H
#define DELIVER_VERDICT_H

#include <stdbool.h>

#include "mail/outcome.h"

enum scope {
	SCOPE_NONE,    /* success, or a matter of nobody */
	SCOPE_HOST,    /* this host; the site once all its hosts failed */
	SCOPE_HOP,     /* this next hop: its DNS, TLS rules we impose on it */
	SCOPE_MESSAGE, /* message and sender: MAIL, DATA, content, final dot; temporary ones also make the site suspect when said so */
	SCOPE_RECIPIENT,
	SCOPE_OURS /* our configuration or credentials: park, alarm, never bounce */
};

enum disposition {
	DISPOSE_DELIVERED,
	DISPOSE_RETRY, /* a recipient's own retry time, charged */
	DISPOSE_AGAIN, /* at once, charged to nobody: too many recipients, dead reused connection */
	DISPOSE_PARK,  /* back to READY behind its site or hop, charged to nobody */
	DISPOSE_FAIL   /* final */
};

struct verdict {
	enum scope scope;
	enum disposition disposition;
	struct status status; /* for DSN and log: the reply's, else derived */
	bool is_in_doubt;     /* reply to the final dot lost */
	bool is_suspect; /* the site becomes suspect (connection lost or timeout after MAIL, 4xx to DATA or dot) */
	bool is_overload;   /* shrink the window: 421, 4.3/4.4/4.7 at MAIL, DATA or final dot */
	bool is_rate_limit; /* 421 or 4.7.x rate or policy limit: limited, not an outage */
	bool answers; /* shows that the destination works: a recipient-level reply or success */
	bool is_doubted_fail; /* 5xx that OUTAGE's storm guard doubts (before RCPT, 5.1.x, 5.2.1, 5.4.x, 5.0.0, 5.3.0 or none): for the guard */
};

/* What the table must know beside the outcome. */
struct verdict_context {
	bool is_known_good; /* the destination accepted mail in the last 90 days: NXDOMAIN, null MX and unusable MX
	                          * wait its grace (PARK) instead of FAIL */
	bool is_smarthost;       /* refused credentials and relaying are our configuration */
	bool has_accepted_other; /* another recipient of the same transaction was accepted */
	bool is_ourselves;       /* the host greeted with our own name */
	bool is_lmtp;            /* replies to the dot are of one recipient each (RFC 2033) */
};

/* verdict_in - status of whatever is not FAIL has class 4 (or 2): it is a deferral for log and DSN. */
struct verdict verdict_in(const struct outcome *outcome, const struct verdict_context *context);
/* verdict_of - verdict_in by MX, for one recipient alone. */
struct verdict verdict_of(const struct outcome *outcome, bool is_known_good);
const char *scope_name(enum scope s);
const char *disposition_name(enum disposition d);

#endif
