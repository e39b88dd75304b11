/*
 * enddata - the content of DATA: dots, line ends and where it stops. One scanner for both directions, and for BDAT.
 *
 * Only CRLF "." CRLF ends data (RFC 5321 4.1.1.4; CVE-2023-51764 to 51766). A bare CR, a bare LF or a NUL is
 * never repaired: it is noted, the rest of the content is discarded up to the real end, and the
 * message is refused. Outbound a bare CR, LF or NUL is never sent.
 */
#ifndef MAIL_ENDDATA_H
#define MAIL_ENDDATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum enddata_fault { ENDDATA_CLEAN, ENDDATA_BARE_CR, ENDDATA_BARE_LF, ENDDATA_NUL };

struct enddata_decoder {
	unsigned state;           /* private */
	bool is_counted;          /* the content of BDAT: dots are dots, and the end is where the counting stops */
	enum enddata_fault fault; /* the first one seen */
	uint64_t raw_bytes;       /* octets consumed */
	size_t line_bytes;        /* length of the current line */
	size_t line_max_bytes;    /* longest line seen, CRLF included */
};

void enddata_decoder_init(struct enddata_decoder *d);
/*
 * enddata_decode - consumes from *in up to and including the end of data, appends un-stuffed content to out (nothing
 * more once a fault is noted, or when out refuses it: out->is_full). Returns true at the end of data; the octets
 * after it stay in *in.
 */
bool enddata_decode(struct enddata_decoder *d, struct str *in, struct buf *out);

/* enddata_close - the end of counted content: a CR that was held back stays without its LF. */
void enddata_close(struct enddata_decoder *d);

struct enddata_encoder {
	bool in_line; /* the last octet was not the LF of a CRLF */
	bool was_cr;
};

void enddata_encoder_init(struct enddata_encoder *e);
/* enddata_encode - appends in with dots doubled at line starts. Errors: ERR_SYNTAX (bare CR or LF, NUL: nothing of
 * this call may be sent), ERR_LIMIT (out is full). */
MUST_USE enum err enddata_encode(struct enddata_encoder *e, struct str in, struct buf *out);
/* enddata_finish - appends the end: "CRLF" if the last line was open, then ".CRLF". Errors as above (a CR at the end). */
MUST_USE enum err enddata_finish(struct enddata_encoder *e, struct buf *out);

#endif
