/*
 * digest - one notice on many messages of one sender, instead of one notice for each: what is late, what came of it, and
 * failures beyond the number that is reported one by one.
 *
 * Text for people first, then a message/delivery-status part (RFC 3464) for each message, as far as there is room, all in
 * a multipart/mixed (a multipart/report would be on one message); Auto-Submitted of RFC 3834. Pure: parts in,
 * octets out. The envelope (null reverse-path) is the caller's.
 */
#ifndef MAIL_DIGEST_H
#define MAIL_DIGEST_H

#include "mail/dsn.h"

enum digest_kind {
	DIGEST_DELAYED,
	DIGEST_SETTLED, /* nothing that was reported as delayed waits any longer; no messages */
	DIGEST_FAILED
};

struct digest_message {
	uint64_t id;
	struct wall arrival;
	struct str envid;
	const struct dsn_recipient *recipients;
	size_t recipient_count;
	uint64_t more_recipients; /* not in recipients */
};

struct digest_place { /* a destination that messages wait for */
	struct str name;
	struct wall
		since; /* it cannot be reached since; WALL_NONE: it can, the recipients wait one by one */
	struct wall until; /* the earliest end of a message's time */
	struct str reason; /* last failure; empty: not known */
	size_t message_count;
};

struct digest_params {
	enum digest_kind kind;
	struct str reporting_mta; /* our host name */
	struct str to;
	struct str postmaster; /* From: address */
	struct str contact;    /* whom people are to ask; empty: postmaster */
	uint64_t notice_id;
	struct wall now;
	bool is_smtputf8; /* some of it needs UTF-8 (RFC 6533) */
	const struct digest_message *messages;
	size_t message_count;
	uint64_t more_messages;            /* not in messages */
	bool is_more_open;                 /* and perhaps still more */
	const struct digest_place *places; /* DIGEST_DELAYED */
	size_t place_count;
	struct wall first; /* DIGEST_SETTLED: when it was reported first */
	int64_t repeat_ms; /* DIGEST_DELAYED: the next digest comes after it; 0: none */
};

#define DIGEST_BYTES_MAX ((size_t)256 << 10)

/* digest_build - appends the whole message, at most DIGEST_BYTES_MAX, CRLF line ends, no line over 998 octets. */
void digest_build(struct buf *out, const struct digest_params *params);

#endif
