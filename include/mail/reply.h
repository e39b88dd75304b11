/*
 * reply - SMTP replies, RFC 5321 section 4.2: parsed from a next hop that may be hostile.
 *
 * feed() takes octets as they come and stops behind the reply's last line. Bounds: 4 KiB a line, 100
 * lines, 16 KiB in all; past any of them, and for a line without a code or with another code than
 * the first line's, the reply is malformed. Bare LF line ends are tolerated on input. Control octets
 * are replaced by '?' at once, so that text can reach log, DSN and store. A reply code outside 200..599
 * is malformed.
 */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/status.h"

struct reply {
	unsigned code; /* 200..599; 0: none */
	struct status
		status; /* enhanced code if the text began with one whose class agrees with code; else klass 0 */
	struct str
		text; /* without the codes; lines separated by '\n'; borrowed from the parser until its next feed */
};

enum reply_result { REPLY_MORE, REPLY_DONE, REPLY_MALFORMED };

struct reply_parser {
	struct buf line;
	struct buf text;
	unsigned code;
	unsigned line_count;
	struct status status;
	bool is_done;
};

void reply_parser_init(struct reply_parser *p);
void reply_parser_fini(struct reply_parser *p);
/* reply_feed - consumes from *in. On REPLY_DONE *out is filled and the next feed starts a new reply. */
enum reply_result reply_feed(struct reply_parser *p, struct str *in, struct reply *out);
/* reply_format - "250-2.1.0 line" CRLF ...: text may hold '\n' for several lines; status.klass 0 leaves the enhanced code out. */
void reply_format(struct buf *out, unsigned code, struct status status, struct str text);

#endif
