/*
 * envelope - what travels beside the content: sender, recipients, and what was asked for them.
 *
 * Every field is here from the first schema on, also those that only later versions let senders set.
 * Strings live in the arena of whoever holds the envelope (transaction, then message).
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/instant.h"
#include "base/str.h"

enum body_kind { BODY_7BIT, BODY_8BITMIME };
enum dsn_ret { RET_UNSET, RET_HDRS, RET_FULL }; /* RFC 3461 4.3 */
enum notify {                                   /* RFC 3461 4.1; no bit: not asked */
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8
};
enum hold_wish { HOLD_WISH_NONE, HOLD_WISH_FOR, HOLD_WISH_UNTIL, HOLD_WISH_COUNT }; /* RFC 4865 3 */
enum message_origin {
	ORIGIN_SMTP,
	ORIGIN_DSN,     /* a notice of ours */
	ORIGIN_RECEIPT, /* one of success: nobody hears of it when it fails */
	ORIGIN_COUNT
};
/* What its sender hears when the message is late: decided once, at its acceptance (queue/late_notice.h). */
enum late_notice {
	LATE_NOTICE_NONE,    /* nothing: a null sender, a list, bulk mail, NOTIFY without DELAY */
	LATE_NOTICE_DIGEST,  /* it is named in the digest of its sender */
	LATE_NOTICE_OWN,     /* a notice of its own: NOTIFY=DELAY or ENVID */
	LATE_NOTICE_AT_TIME, /* the same, when its by-time has passed (RFC 2852, mode N) */
	LATE_NOTICE_COUNT
};

struct recipient {
	uint32_t number;    /* 1.. within the message */
	struct str address; /* forward-path without the angle brackets, as received */
	struct str domain;  /* normalized; "[...]" for a literal */
	struct str hop;     /* next-hop key: domain, or "route:NAME" where a sender rule applied */
	struct str orcpt;   /* "type;xtext" as given (mail/orcpt.h); empty when absent */
	unsigned notify;    /* bits of enum notify */
};

struct envelope {
	uint64_t id;
	struct wall accepted;    /* arrival */
	struct str reverse_path; /* empty: null sender */
	enum body_kind body;
	bool is_smtputf8; /* needed by content or addresses, not merely claimed */
	enum dsn_ret ret;
	struct str envid;       /* xtext as given */
	int priority;           /* -9..9, RFC 6710; default 0 */
	struct wall deliver_by; /* WALL_NONE: not asked; RFC 2852 */
	bool deliver_by_notify; /* mode N instead of R */
	bool deliver_by_is_ours; /* a rule of ours, which next hops need not know of */
	bool deliver_by_trace;  /* T: a relayed notice of each next hop */
	bool is_requiretls;     /* RFC 8689: only to next hops that offer it, over verified TLS */
	bool is_tls_optional;   /* "TLS-Required: No", RFC 8689 3: what recipients' domains ask of TLS binds it not */
	struct wall hold_until; /* WALL_NONE: not asked; RFC 4865 */
	enum hold_wish hold_wish; /* how its sender asked for it, if he did: HOLDFOR counts from accepted */
	enum message_origin origin;
	enum late_notice late_notice;
	struct str user;   /* AUTH user, or empty */
	struct str client; /* "name[ip]" of the SMTP client */
	struct str helo;
	struct str message_id; /* header value with its angle brackets, or empty */
	uint64_t size_bytes;   /* content as stored, trace header included */
	struct recipient *recipients;
	uint32_t recipient_count;
};

#endif
