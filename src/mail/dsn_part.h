/*
 * dsn_part - what the parts of a notice share: cleaning and filling of text from outside.
 *
 * Words of servers and senders pass through struct fill or fill_clean, and through nothing else:
 * neither lets a line end of theirs reach the notice.
 */
#ifndef MAIL_DSN_PART_H
#define MAIL_DSN_PART_H

#include "mail/dsn.h"

struct fill {
	struct buf *out;
	const char *indent; /* of every line but the first when column is set by the caller */
	size_t column;      /* 0: the next word begins a line, which gets the indent */
	bool is_broken;     /* the next word begins a new line */
	bool allow_utf8;
};

/* fill_words - appends the words of text, folding before column 76; a '\n' in text begins a new
 * line. */
void fill_words(struct fill *f, struct str text);
/* fill_end - ends the line, if one is open. */
void fill_end(struct fill *f);
/* fill_clean - appends text as one word: spaces kept, controls (and 8-bit unless allowed) as '?',
 * cut at 900 octets. */
void fill_clean(struct buf *out, struct str text, bool allow_utf8);

/* notice_head - From to MIME-Version of a mail of ours. kind: in its Message-ID; automatic: its Auto-Submitted (RFC 3834 5). */
struct notice_head {
	struct str from, to, host;
	const char *subject, *kind, *automatic;
	uint64_t id;
	struct wall now;
	bool allow_utf8;
};
void notice_head_write(struct buf *out, const struct notice_head *h);

/* dsn_write_explanation - the part for people. */
void dsn_write_explanation(struct buf *out, const struct dsn_params *p);
/* dsn_write_status - the part for programs, RFC 3464. */
void dsn_write_status(struct buf *out, const struct dsn_params *p);

#endif
