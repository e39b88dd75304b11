/*
 * octets - numbers and texts as octets, little-endian, for the journal.
 *
 * Writing appends to a buf; reading takes from a run that is not trusted: past its end everything is zero or empty
 * and is_bad stays set. Pure.
 */
#ifndef STORE_OCTETS_H
#define STORE_OCTETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct octets {
	struct str rest;
	bool is_bad;
};

void set_u32(char *to, uint32_t value);
void set_u64(char *to, uint64_t value);
void put_u32(struct buf *b, uint32_t value);
void put_u64(struct buf *b, uint64_t value);
void put_i64(struct buf *b, int64_t value);
void put_text(struct buf *b, struct str text); /* length u32, octets */

uint32_t take_u32(struct octets *in);
uint64_t take_u64(struct octets *in);
int64_t take_i64(struct octets *in);
/* take_below - a number that is bad unless it is below bound. */
uint32_t take_below(struct octets *in, uint32_t bound);
/* take_range - a number that is bad outside min..max; then min. */
int64_t take_range(struct octets *in, int64_t min, int64_t max);
struct str take_octets(struct octets *in, size_t len); /* borrowed */
struct str take_text(struct octets *in);               /* borrowed */
/* take_chars - a text into a terminated array; bad when it does not fit. */
void take_chars(struct octets *in, char *out, size_t size_bytes);

#endif
