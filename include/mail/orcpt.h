/*
 * orcpt - what a sender calls his message and his recipients: ENVID and ORCPT (RFC 3461 section 4), ORCPT also in the forms
 * that RFC 6533 section 3 has for addresses in UTF-8.
 *
 * Both are kept as they were given and passed on octet by octet (RFC 3461 5.2.1); what people and notices read is decoded. No
 * control octet is ever decoded, so neither can end a line. Pure.
 */
#ifndef MAIL_ORCPT_H
#define MAIL_ORCPT_H

#include <stdbool.h>

#include "base/buf.h"

#define ENVID_LEN_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_LEN_MAX 500 /* RFC 3461 4.2 */

bool envid_is_valid(struct str value);
/* orcpt_is_valid - "type;xtext". Octets over 127 are for the type utf-8 alone, as valid UTF-8; whether the transaction allows
 * them is the caller's to know. */
bool orcpt_is_valid(struct str value);

/* envid_param, orcpt_param - the value for MAIL or RCPT: as given. What is not valid (from a queue of old, or damaged) is encoded
 * anew. allow_utf8: the peer was told SMTPUTF8; else UTF-8 goes as \x{HEX}. An ORCPT without a usable type appends nothing. */
void envid_param(struct buf *out, struct str value);
void orcpt_param(struct buf *out, struct str value, bool allow_utf8);

/* envid_text, orcpt_text - decoded, for a field of a notice: "type; address". Controls are left to the caller, who cleans what
 * may be from a damaged queue. */
void envid_text(struct buf *out, struct str value);
void orcpt_text(struct buf *out, struct str value, bool allow_utf8);

/* utf8_address_text - an address: octets over 127 as \x{HEX} unless allowed (utf-8-addr-xtext of RFC 6533). */
void utf8_address_text(struct buf *out, struct str address, bool allow_utf8);

#endif
