/* status - enhanced mail system status codes, RFC 3463. A zero class means "none". */
#ifndef MAIL_STATUS_H
#define MAIL_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct status {
	uint8_t klass;    /* 2, 4 or 5; 0: none */
	uint16_t subject; /* 0..999 */
	uint16_t detail;  /* 0..999 */
};

#define STATUS(c, s, d) ((struct status){ (c), (s), (d) })

static inline bool status_is(struct status a, unsigned c, unsigned s, unsigned d)
{
	return a.klass == c && a.subject == s && a.detail == d;
}
/* status_parse - reads "d.d.d" at the start of text, followed by SP or the end. *rest (may be NULL) is what follows
 * the space. Errors: ERR_SYNTAX. */
MUST_USE enum err status_parse(struct str text, struct status *out, struct str *rest);
void status_format(struct buf *out, struct status s); /* "5.1.1" */

#endif
