/*
 * buf - growing octets up to a bound.
 *
 * Grows by doubling, or to what is needed and a little more: behind large content a few octets are often
 * to come. One octet more than cap is always allocated, for the NUL of buf_cstr. An
 * append of several parts (printf, safe, json) is one append: it happens whole or not at all.
 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "utf8.h"

/* With its NUL and malloc's own word this fills 256: enough for most lines without growing. */
enum { CAP_MIN_BYTES = 247, NUMBER_DIGITS_MAX = 20 };

struct mark {
	size_t len;
	bool is_full;
};

static size_t spare_room(const struct buf *b);
static size_t printable_length(struct str s);
static struct mark begin(struct buf *b);
static void end(struct buf *b, struct mark mark);
static void append_octets_safe(struct buf *b, const char *data, size_t len);
static void append_json_sequence(struct buf *b, const char *data, size_t len);
static void append_hex(struct buf *b, unsigned octet);

void buf_init(struct buf *b, size_t max_bytes)
{
	CHECK(max_bytes < SIZE_MAX);
	*b = (struct buf){ .max_bytes = max_bytes };
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->is_full = false;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	char *to = buf_reserve(b, len);
	if (!to) {
		b->is_full = true;
		return;
	}
	if (len > 0)
		memcpy(to, data, len);
	b->len += len;
}

void buf_append_str(struct buf *b, struct str s)
{
	buf_append(b, s.data, s.len);
}

void buf_append_char(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_append_number(struct buf *b, uint64_t number, unsigned digits_min)
{
	char digits[NUMBER_DIGITS_MAX];
	size_t at = sizeof(digits);
	CHECK(digits_min <= sizeof(digits));
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0 || sizeof(digits) - at < digits_min);
	buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_append_counted(struct buf *b, struct str s)
{
	buf_append_number(b, s.len, 1);
	buf_append_char(b, ':');
	buf_append_str(b, s);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	buf_vprintf(b, format, args);
	va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	size_t room = spare_room(b);
	/* Printed a second time only when it did not fit into what is there. */
	int n = vsnprintf(
		room > 0 ? b->data + b->len : NULL, room > 0 ? room + 1 : 0, format, args);
	CHECK(n >= 0);
	size_t len = (size_t)n;
	char *to = buf_reserve(b, len);
	if (to) {
		if (len > room)
			vsnprintf(to, len + 1, format, again);
		b->len += len;
	} else {
		b->is_full = true;
	}
	va_end(again);
}

void buf_append_safe(struct buf *b, struct str s)
{
	struct mark mark = begin(b);
	while (s.len > 0 && !b->is_full) {
		size_t len = printable_length(s);
		if (len == 0)
			len = utf8_sequence_len(s);
		if (len > 0 && !utf8_is_control(s.data, len)) {
			buf_append(b, s.data, len);
		} else {
			len = len > 0 ? len : 1;
			append_octets_safe(b, s.data, len);
		}
		s = str_slice(s, len, s.len);
	}
	end(b, mark);
}

void buf_append_json(struct buf *b, struct str s)
{
	struct mark mark = begin(b);
	buf_append_char(b, '"');
	for (size_t at = 0; at < s.len && !b->is_full;) {
		size_t len = utf8_sequence_len(str_slice(s, at, s.len));
		append_json_sequence(b, s.data + at, len);
		at += len > 0 ? len : 1;
	}
	buf_append_char(b, '"');
	end(b, mark);
}

char *buf_reserve(struct buf *b, size_t len)
{
	if (b->len > b->max_bytes || len > b->max_bytes - b->len)
		return NULL;
	size_t needed = b->len + len;
	if (!b->data || needed > b->cap) {
		size_t cap = b->cap > b->max_bytes / 2 ? b->max_bytes : b->cap * 2;
		if (cap < CAP_MIN_BYTES)
			cap = CAP_MIN_BYTES;
		size_t more =
			needed / 16 < b->max_bytes - needed ? needed / 16 : b->max_bytes - needed;
		if (cap < needed + more)
			cap = needed + more;
		b->data = mem_realloc(b->data, cap + 1);
		b->cap = cap;
	}
	return b->data + b->len;
}

void buf_consume(struct buf *b, size_t len)
{
	CHECK(len <= b->len);
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
}

const char *buf_cstr(struct buf *b)
{
	if (!b->data)
		return "";
	b->data[b->len] = '\0';
	return b->data;
}

/* What fits without growing; 0 without memory. */
static size_t spare_room(const struct buf *b)
{
	size_t cap = b->cap < b->max_bytes ? b->cap : b->max_bytes;
	return cap > b->len ? cap - b->len : 0;
}

/* The octets at the start of s that are shown as they are, as far as ASCII goes. */
static size_t printable_length(struct str s)
{
	size_t len = 0;
	while (len < s.len && s.data[len] >= ' ' && s.data[len] < 0x7f)
		len++;
	return len;
}

/* begin, end - bracket the parts of one append; end takes them all back when one did not fit. */
static struct mark begin(struct buf *b)
{
	struct mark mark = { b->len, b->is_full };
	b->is_full = false;
	return mark;
}

static void end(struct buf *b, struct mark mark)
{
	if (b->is_full)
		b->len = mark.len;
	b->is_full = b->is_full || mark.is_full;
}

static void append_octets_safe(struct buf *b, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		buf_append(b, "\\x", 2);
		append_hex(b, (unsigned char)data[i]);
	}
}

/* len 0: one octet that is not UTF-8. DEL and C1 are legal in JSON, but not on a terminal. */
static void append_json_sequence(struct buf *b, const char *data, size_t len)
{
	if (len == 0) {
		buf_append(b, "\xef\xbf\xbd", 3);
	} else if (utf8_is_control(data, len)) {
		buf_append(b, "\\u00", 4);
		append_hex(b, (unsigned char)data[len - 1]);
	} else {
		if (*data == '"' || *data == '\\')
			buf_append_char(b, '\\');
		buf_append(b, data, len);
	}
}

static void append_hex(struct buf *b, unsigned octet)
{
	static const char digits[] = "0123456789abcdef";
	buf_append_char(b, digits[octet >> 4]);
	buf_append_char(b, digits[octet & 15]);
}
