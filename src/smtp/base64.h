/* base64 - RFC 4648 section 4, as the AUTH exchanges of server and client need it. */
#ifndef SMTP_BASE64_H
#define SMTP_BASE64_H

#include "base/buf.h"
#include "base/err.h"

/* base64_decode - appends the octets. Strict: whole groups, padding at the end only, no stray bits. Errors: ERR_SYNTAX,
 * ERR_LIMIT (out is full). */
MUST_USE enum err base64_decode(struct buf *out, struct str text);
void base64_encode(struct buf *out, struct str octets);

#endif
