/*
 * xtext - RFC 3461 section 4. Decoded octets are limited to 0x20..0x7e, so that no line end or NUL can ride
 * in on ORCPT, ENVID or AUTH into a file, a header or a statement.
 */
#ifndef MAIL_XTEXT_H
#define MAIL_XTEXT_H

#include "base/buf.h"

/* xtext_decode - appends the decoded text. Errors: ERR_SYNTAX (bad escape, octet out of range), ERR_LIMIT (out is full). */
MUST_USE enum err xtext_decode(struct buf *out, struct str encoded);
void xtext_encode(struct buf *out, struct str plain);
int xtext_hex_value(char c);  /* of "0".."9", "A".."F"; others, lower case too: -1 */
bool xtext_is_plain(char c); /* stands for itself */

#endif
