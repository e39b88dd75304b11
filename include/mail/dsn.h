/*
 * dsn - delivery status notices: multipart/report of RFC 3462, message/delivery-status of RFC 3464,
 * Auto-Submitted of RFC 3834. Pure: parts in, octets out. The envelope (null reverse-path) is the caller's.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/instant.h"
#include "mail/envelope.h"
#include "mail/status.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
	struct str final_recipient; /* address */
	struct str orcpt;           /* as given (mail/orcpt.h), or empty */
	enum dsn_action action;
	struct status status;
	struct str remote_mta;        /* host name, or empty when no host was reached */
	unsigned diagnostic_code;     /* SMTP reply code, 0 without a reply */
	struct str diagnostic;        /* reply text, or our own reason when diagnostic_code is 0 */
	struct wall last_attempt;     /* WALL_NONE: none was made */
	struct wall will_retry_until; /* DSN_DELAYED only */
};

struct dsn_params {
	struct str reporting_mta; /* our host name */
	struct str to;            /* address of the notice's recipient */
	struct str postmaster;    /* From: address */
	struct str contact;       /* whom people are to ask; empty: postmaster */
	uint64_t notice_id;       /* id of the notice: Message-ID and MIME boundary come from it */
	uint64_t original_id;
	struct wall now;
	struct wall arrival;         /* of the original */
	struct str received_from;    /* name in HELO of who handed it to us, or empty */
	struct wall deliver_by;      /* by-time of RFC 2852; WALL_NONE: none */
	enum hold_wish hold_wish;    /* that it was to be held, RFC 4865 */
	struct wall hold_until;
	struct str envid;            /* as given (mail/orcpt.h), or empty */
	struct str original_headers; /* header section (trace included), or empty */
	struct str original_body;    /* whole original when RET=FULL fits, else empty */
	bool is_smtputf8;            /* original needs message/global forms (RFC 6533) */
	const struct dsn_recipient *recipients;
	size_t recipient_count;
};

/* dsn_build - appends the whole message, CRLF line ends, no line over 998 octets. out's bound caps it (is_full). */
void dsn_build(struct buf *out, const struct dsn_params *params);
/* dsn_is_8bit - what dsn_build makes of it has octets over 127. */
bool dsn_is_8bit(const struct dsn_params *params);

#endif
