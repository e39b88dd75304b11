/* octets - see octets.h. */
#include "octets.h"

#include <string.h>

#include "base/check.h"

void set_u32(char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (char)(unsigned char)(value >> 8 * i);
}

void set_u64(char *to, uint64_t value)
{
	set_u32(to, (uint32_t)value);
	set_u32(to + 4, (uint32_t)(value >> 32));
}

void put_u32(struct buf *b, uint32_t value)
{
	char octets[4];
	set_u32(octets, value);
	buf_append(b, octets, sizeof(octets));
}

void put_u64(struct buf *b, uint64_t value)
{
	char octets[8];
	set_u64(octets, value);
	buf_append(b, octets, sizeof(octets));
}

void put_i64(struct buf *b, int64_t value)
{
	put_u64(b, (uint64_t)value);
}

void put_text(struct buf *b, struct str text)
{
	CHECK(text.len <= UINT32_MAX);
	put_u32(b, (uint32_t)text.len);
	buf_append_str(b, text);
}

uint32_t take_u32(struct octets *in)
{
	struct str s = take_octets(in, 4);
	uint32_t value = 0;
	for (size_t i = s.len; i-- > 0;)
		value = value << 8 | (unsigned char)s.data[i];
	return value;
}

uint64_t take_u64(struct octets *in)
{
	uint64_t low = take_u32(in);
	return low | (uint64_t)take_u32(in) << 32;
}

int64_t take_i64(struct octets *in)
{
	return (int64_t)take_u64(in);
}

uint32_t take_below(struct octets *in, uint32_t bound)
{
	uint32_t value = take_u32(in);
	if (value < bound)
		return value;
	in->is_bad = true;
	return 0;
}

int64_t take_range(struct octets *in, int64_t min, int64_t max)
{
	int64_t value = take_i64(in);
	if (value >= min && value <= max)
		return value;
	in->is_bad = true;
	return min;
}

struct str take_octets(struct octets *in, size_t len)
{
	if (in->is_bad || len > in->rest.len) {
		in->is_bad = true;
		in->rest = str_of("", 0);
		return str_of("", 0);
	}
	struct str s = str_of(in->rest.data, len);
	in->rest = str_of(in->rest.data + len, in->rest.len - len);
	return s;
}

struct str take_text(struct octets *in)
{
	return take_octets(in, take_u32(in));
}

void take_chars(struct octets *in, char *out, size_t size_bytes)
{
	struct str s = take_text(in);
	out[0] = '\0';
	if (s.len >= size_bytes) {
		in->is_bad = true;
		return;
	}
	if (s.len > 0)
		memcpy(out, s.data, s.len);
	out[s.len] = '\0';
}
