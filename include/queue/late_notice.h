/*
 * late_notice - who is told that mail is late, and how. Pure.
 *
 * RFC 3461: a recipient whose NOTIFY names no DELAY is not reported; without NOTIFY the relay may do as it sees fit, which
 * here is: one digest for each sender, not one notice for each message. Who asked for DELAY, or gave an envelope id to match
 * notices with, or sent it with REQUIRETLS, gets a notice for each message. RFC 3834: programs and lists get none, nor does the null sender.
 */
#ifndef QUEUE_LATE_NOTICE_H
#define QUEUE_LATE_NOTICE_H

#include "mail/envelope.h"

/* late_notice_of - for a message with these recipients. is_bulk: see mail/header.h. */
enum late_notice late_notice_of(const struct envelope *env, bool is_bulk);
/* late_notice_wants - whether a delay of this recipient is reported at all. */
bool late_notice_wants(const struct recipient *rcpt);

#endif
