/*
 * buf - a growable run of octets with an upper bound.
 *
 * The bound is set at init; an append past it changes nothing and sets is_full, which stays set until
 * buf_clear. So a builder may append many parts and check once. Zeroed memory is a legal buf with
 * bound 0 for buf_fini. Thread: any, one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max_bytes;
	bool is_full; /* an append was refused */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);  /* frees; leaves it zeroed */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_append(struct buf *b, const void *data, size_t len);
void buf_append_str(struct buf *b, struct str s);
/* buf_append_counted - "5:hello": parts that somebody else chose, so that no two rows of them look alike by a trick. */
void buf_append_counted(struct buf *b, struct str s);
void buf_append_char(struct buf *b, char c);
/* buf_append_number - decimal, with zeros in front up to digits_min (at most 20): where printf would cost. */
void buf_append_number(struct buf *b, uint64_t number, unsigned digits_min);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* buf_append_safe - appends s with control octets, DEL and non-UTF-8 octets as \xNN: for logs and terminals. */
void buf_append_safe(struct buf *b, struct str s);
/* buf_append_json - appends s as a quoted JSON string; ill-formed UTF-8 octets become U+FFFD. */
void buf_append_json(struct buf *b, struct str s);
/* buf_reserve - room for len more octets; returns where to write them, or NULL when past the bound. */
char *buf_reserve(struct buf *b, size_t len);
/* buf_consume - drops the first len octets (len <= b->len). */
void buf_consume(struct buf *b, size_t len);
static inline struct str buf_str(const struct buf *b)
{
	return str_of(b->data ? b->data : "", b->len);
}
/* buf_cstr - NUL-terminated view, valid until the next change. */
const char *buf_cstr(struct buf *b);

#endif
