/*
 * tlsrpt - TLS reports (RFC 8460): the TXT record that asks for them, and the mail that carries one. Pure.
 */
#ifndef MAIL_TLSRPT_H
#define MAIL_TLSRPT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/instant.h"
#include "base/str.h"

#define TLSRPT_RUA_MAX 4

enum tlsrpt_scheme { TLSRPT_MAILTO, TLSRPT_HTTPS };

struct tlsrpt_rua {
	enum tlsrpt_scheme scheme;
	struct str target; /* mailto: the address; https: the whole URL */
	struct str host;   /* https: of it */
};

/*
 * tlsrpt_record_find - where the TXT records of _smtp._tls.DOMAIN want reports (section 3). Of what is named the first
 * TLSRPT_RUA_MAX of a scheme that we know; all points into records. Errors: ERR_NOT_FOUND (no record, or more than one),
 * ERR_SYNTAX (names nothing that we know).
 */
MUST_USE enum err tlsrpt_record_find(
	const struct str *records, uint32_t count, struct tlsrpt_rua *out, uint32_t *out_count);

struct tlsrpt_mail {
	struct str from, to;  /* addresses */
	struct str submitter; /* our host name */
	struct str domain;    /* that the report is about */
	struct str report_id;
	uint64_t id; /* of the mail */
	struct wall now;
	int64_t begin_s, end_s; /* of the day */
	struct str gzip;        /* the report */
};

/* tlsrpt_mail_build - a multipart/report (section 5.3). out's bound caps it. */
void tlsrpt_mail_build(struct buf *out, const struct tlsrpt_mail *mail);

#endif
