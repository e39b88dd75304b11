/*
 * queue_id - the name of a message: time, node and sequence in 63 bits, made by us, never a rowid.
 *
 * Bits: 42 of milliseconds since 1970 (until 2109), 8 of node, 13 of sequence. So ids sort by the time of
 * acceptance, and "accepted before T" is a comparison of ids. Printed as 13 characters of Crockford's
 * base 32 (0-9 A-Z without I L O U): letters and digits only, sorting like the number. 0 is no id.
 */
#ifndef MAIL_QUEUE_ID_H
#define MAIL_QUEUE_ID_H

#include <stdint.h>

#include "base/instant.h"
#include "base/str.h"

#define QUEUE_ID_LEN 13

struct queue_id_text {
	char text[QUEUE_ID_LEN + 1];
};

struct queue_id_source {
	uint64_t last;
	uint8_t node;
};

/* queue_id_next - greater than every id made before, also when the clock stands still or steps back. */
uint64_t queue_id_next(struct queue_id_source *s, struct wall now);
struct queue_id_text queue_id_format(uint64_t id);
/* queue_id_parse - either case; O reads as 0, I and L as 1. Errors: ERR_SYNTAX. */
MUST_USE enum err queue_id_parse(struct str text, uint64_t *out);
struct wall queue_id_time(uint64_t id);
/* queue_id_floor - the least id of a message accepted at or after t. */
uint64_t queue_id_floor(struct wall t);

#endif
