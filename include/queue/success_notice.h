/*
 * success_notice - who is told by us that a next hop took a message. Pure.
 *
 * RFC 3461 5.2: with NOTIFY=SUCCESS, a next hop that offers DSN (in the session that took it) takes over the duty to report; of one
 * that does not we report "relayed", and "delivered" where it is the last (LMTP). RFC 2852 4.1.4: who asked for a trace hears of
 * each relay; who asked for word by a time (mode N) hears that it went on in time to a host which does not know of that. Never with
 * NOTIFY=NEVER, never to the null sender, never about a notice.
 */
#ifndef QUEUE_SUCCESS_NOTICE_H
#define QUEUE_SUCCESS_NOTICE_H

#include "mail/envelope.h"

enum success_notice { SUCCESS_NOTICE_NONE, SUCCESS_NOTICE_RELAYED, SUCCESS_NOTICE_DELIVERED };

struct success_hop { /* what the next hop said in the session that took the message */
	bool has_dsn, has_deliverby;
	bool is_final;  /* LMTP */
	struct wall at; /* of the attempt */
};

enum success_notice success_notice_of(
	const struct envelope *env, const struct recipient *rcpt, const struct success_hop *hop);

#endif
