/* unit - numbers with units: durations in milliseconds, sizes in octets, percentages. */
#ifndef SRC_CONF_UNIT_H
#define SRC_CONF_UNIT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * Errors of the parsers: ERR_SYNTAX, ERR_LIMIT (beyond int64_t), ERR_UNSUPPORTED (a number that
 * lacks its unit).
 */
/* unit_parse_duration - "90s", "1h30m", "0"; ms s m h d w. */
MUST_USE enum err unit_parse_duration(struct str text, int64_t *out_ms);
/* unit_parse_bytes - "50M", "8000"; K M G T, powers of 1024; "iB" or "B" may follow. */
MUST_USE enum err unit_parse_bytes(struct str text, int64_t *out);
/* unit_parse_percent - "10%", "10 %", "10". */
MUST_USE enum err unit_parse_percent(struct str text, int64_t *out);
/* The shortest exact spelling that the parsers read back. */
void unit_print_duration(struct buf *out, int64_t ms);
void unit_print_bytes(struct buf *out, uint64_t bytes);

#endif
