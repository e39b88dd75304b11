/* trace - the Received field that every relay adds, RFC 5321 section 4.4 and RFC 3848 (with ESMTP, ESMTPS, ESMTPSA ...). */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/instant.h"

struct trace_info {
	struct str hostname;    /* ours */
	struct str helo;        /* the client's claim */
	struct endpoint client; /* its address; FAMILY_NONE: not known */
	struct str client_name; /* as XCLIENT has it; empty: none */
	struct str forwarded;   /* as XFORWARD has it; empty: nothing */
	bool is_esmtp, is_tls, is_authenticated, is_smtputf8;
	struct str tls; /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty without */
	uint64_t id;
	struct str
		only_recipient; /* for-clause, set only when the message has one recipient (no disclosure of others) */
	int priority; /* RFC 6710; 0: not said */
	struct wall at;
};

/* trace_received - appends "Received: from ... by HOST (Outlast) with ESMTPS id ID for <..> PRIORITY n; date" CRLF, folded under 78. */
void trace_received(struct buf *out, const struct trace_info *info);

#endif
