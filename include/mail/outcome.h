/*
 * outcome - what happened to a piece of mail at one stage of one delivery: a reply, or the reason why there is none.
 *
 * Evidence only; what follows from it is deliver/verdict's affair.
 */
#ifndef MAIL_OUTCOME_H
#define MAIL_OUTCOME_H

#include "base/err.h"
#include "base/str.h"
#include "mail/status.h"

enum stage {
	STAGE_NONE,
	STAGE_DNS,    /* MX or address look-up */
	STAGE_POLICY, /* our own rules: loop, refused address, capability missing */
	STAGE_CONNECT,
	STAGE_TLS, /* handshake or certificate */
	STAGE_GREETING,
	STAGE_EHLO,
	STAGE_STARTTLS, /* reply to the command, or not offered where required */
	STAGE_AUTH,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,    /* reply to DATA */
	STAGE_CONTENT, /* while content was being sent */
	STAGE_DOT,     /* after the final dot */
	STAGE_COUNT
};

struct outcome {
	enum stage stage;
	enum err err;  /* why there is no reply; OK when there is one (code != 0) */
	unsigned code; /* reply code; 0: none */
	struct status
		status; /* the reply's enhanced code, or ours for DNS and POLICY; klass 0: none */
	struct str
		text; /* reply text (lines joined by SP) or reason; lifetime named by whoever holds the outcome */
};

/* stage_name - "connect", "rcpt", "end of data" ... static; as in "timed out in STAGE". */
const char *stage_name(enum stage stage);

#endif
