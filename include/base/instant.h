/*
 * instant - points in time, typed so that the two clocks cannot be mixed up. Unit: milliseconds.
 *
 * struct mono counts from an arbitrary start and never goes back: deadlines and timers.
 * struct wall counts from 1970-01-01 UTC: what is stored on disk and shown to people.
 * Durations are int64_t with the suffix _ms.
 */
#ifndef BASE_INSTANT_H
#define BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct mono {
	int64_t ms;
};
struct wall {
	int64_t ms;
};

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

#define MONO_NEVER ((struct mono){ INT64_MAX })
#define WALL_NEVER ((struct wall){ INT64_MAX })
#define WALL_NONE ((struct wall){ 0 }) /* "has not happened" */

static inline struct mono mono_add(struct mono t, int64_t ms)
{
	return (struct mono){ ms > 0 && t.ms > INT64_MAX - ms ? INT64_MAX : t.ms + ms };
}
static inline struct wall wall_add(struct wall t, int64_t ms)
{
	return (struct wall){ ms > 0 && t.ms > INT64_MAX - ms ? INT64_MAX : t.ms + ms };
}

struct buf;
/* instant_format_rfc5322 - "Tue, 24 Jan 2023 09:15:00 +0000" (RFC 5322 section 3.3), always UTC. */
void instant_format_rfc5322(struct buf *out, struct wall t);
/* instant_format_iso - "2023-01-24T09:15:00.123Z" (RFC 3339). */
void instant_format_iso(struct buf *out, struct wall t);
/* instant_parse_iso - a date and time of RFC 3339, fraction and zone as it allows, 1970 to 9999. A leap second is the second
 * before it. Errors: ERR_SYNTAX. */
MUST_USE enum err instant_parse_iso(struct str text, struct wall *out);
/* instant_format_span - two largest units: "3d 2h", "45s", "0s"; negative spans get a minus sign. */
void instant_format_span(struct buf *out, int64_t span_ms);
/* instant_parse_span - "90s", "15m", "4h", "14d", "2w", "250ms", or several: "1d12h". Errors: ERR_SYNTAX, ERR_LIMIT. */
MUST_USE enum err instant_parse_span(struct str text, int64_t *out_ms);

#endif
