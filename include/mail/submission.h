/*
 * submission - what a submission server mends in a header while it streams by (RFC 6409 section 8).
 *
 * Date and Message-ID are added when they are missing; Bcc and Resent-Bcc go, with their continuation lines, for the
 * recipients are in the envelope and the others must not read them (RFC 5322 section 3.6.3). Everything else, the body
 * above all, passes octet by octet. Input may be cut anywhere; at most SUBMISSION_HELD_MAX octets are held back, however
 * long the header is.
 */
#ifndef MAIL_SUBMISSION_H
#define MAIL_SUBMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/instant.h"

#define SUBMISSION_HELD_MAX                                                                        \
	998 /* a line (RFC 5322 section 2.1.1): whatever has no colon by then is no field */

struct submission_info {
	struct str hostname;
	uint64_t id; /* queue id: Message-ID is <ID@hostname> */
	struct wall at;
};

struct submission {
	struct submission_info info; /* hostname: borrowed */
	unsigned state;              /* private */
	struct buf held;             /* private: begin of a line that is not told yet */
	bool has_line;               /* private: the first one is over */
	bool has_date, has_message_id;
	bool has_added;       /* what was missing is in */
	unsigned bcc_removed; /* fields */
};

void submission_init(struct submission *s, const struct submission_info *info);
void submission_fini(struct submission *s);
/* submission_feed - appends to out what becomes of content. */
void submission_feed(struct submission *s, struct str content, struct buf *out);
/* submission_finish - the content has ended: what is left, and what is missing if there was no body. */
void submission_finish(struct submission *s, struct buf *out);
/* submission_is_passing - the header is over: content may go on without being fed here. */
bool submission_is_passing(const struct submission *s);

#endif
