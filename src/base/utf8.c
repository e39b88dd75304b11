/*
 * utf8 - well-formed sequences by the table of RFC 3629, section 4.
 *
 * Overlong forms, surrogates and code points above U+10FFFF are ill-formed: each lead octet that
 * could begin one has a narrower range for its second octet.
 */
#include "utf8.h"

#include "base/check.h"

struct lead_range {
	unsigned char first, last;
	unsigned char len;
	unsigned char second_min, second_max;
};

static const struct lead_range lead_ranges[] = {
	{ 0x00, 0x7f, 1, 0x00, 0x00 },
	{ 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f },
	{ 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf },
	{ 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead_range *find_lead(unsigned char lead);

size_t utf8_sequence_len(struct str s)
{
	CHECK(s.len > 0);
	const unsigned char *octets = (const unsigned char *)s.data;
	const struct lead_range *range = find_lead(octets[0]);
	if (!range || s.len < range->len)
		return 0;
	if (range->len > 1 && (octets[1] < range->second_min || octets[1] > range->second_max))
		return 0;
	for (size_t i = 2; i < range->len; i++) {
		if (octets[i] < 0x80 || octets[i] > 0xbf)
			return 0;
	}
	return range->len;
}

bool utf8_is_control(const char *data, size_t len)
{
	unsigned char first = (unsigned char)data[0];
	if (len == 1)
		return first < 0x20 || first == 0x7f;
	return len == 2 && first == 0xc2 && (unsigned char)data[1] < 0xa0;
}

static const struct lead_range *find_lead(unsigned char lead)
{
	for (size_t i = 0; i < ARRAY_COUNT(lead_ranges); i++) {
		if (lead >= lead_ranges[i].first && lead <= lead_ranges[i].last)
			return &lead_ranges[i];
	}
	return NULL;
}
