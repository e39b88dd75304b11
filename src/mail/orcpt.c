/* orcpt - see mail/orcpt.h. Cannot fail: what does not parse is encoded, or left out. */
#include "mail/orcpt.h"

#include "mail/xtext.h"

#define HEX_DIGITS_MAX 6

/* Length of "+XX" at the start of s when it stands for something printable, else 0. */
static size_t escape_length(struct str s)
{
	int high = s.len > 2 ? xtext_hex_value(s.data[1]) : -1;
	int low = s.len > 2 ? xtext_hex_value(s.data[2]) : -1;

	if (high < 0 || low < 0)
		return 0;
	int octet = high << 4 | low;
	return octet >= 0x20 && octet <= 0x7e ? 3 : 0;
}

/* What may stand as \x{HEX}: octets that xtext and addresses need escaped, and all beyond ASCII. */
static bool is_embeddable(uint32_t point, size_t digits)
{
	size_t needed = 2;

	for (uint32_t rest = point >> 8; rest > 0; rest >>= 4)
		needed++;
	if (digits != needed)
		return false;
	if (point < 0x80)
		return (point > 0 && point <= 0x20) || point == '+' || point == '=' ||
		       point == '\\' || point == 0x7f;
	return point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

/* Length of "\x{HEX}" at the start of s, 0: none. */
static size_t embedded_length(struct str s)
{
	uint32_t point = 0;
	size_t at = 3;

	if (s.len < 4 || s.data[1] != 'x' || s.data[2] != '{')
		return 0;
	while (at < s.len && at - 3 < HEX_DIGITS_MAX && xtext_hex_value(s.data[at]) >= 0)
		point = point << 4 | (uint32_t)xtext_hex_value(s.data[at++]);
	bool is_closed = at < s.len && s.data[at] == '}';
	return is_closed && is_embeddable(point, at - 3) ? at + 1 : 0;
}

/* xtext, and for the type utf-8 what RFC 6533 adds. */
static bool is_valid_text(struct str s, bool is_utf8)
{
	if (is_utf8 && !str_is_utf8(s))
		return false;
	for (size_t i = 0; i < s.len;) {
		struct str rest = str_slice(s, i, s.len);
		size_t len = 0;

		if (s.data[i] == '+')
			len = escape_length(rest);
		else if (is_utf8 && s.data[i] == '\\')
			len = embedded_length(rest);
		else if (xtext_is_plain(s.data[i]) || (is_utf8 && (unsigned char)s.data[i] > 0x7f))
			len = 1;
		if (len == 0)
			return false;
		i += len;
	}
	return s.len > 0;
}

static bool is_utf8_type(struct str type)
{
	return str_equal_fold(type, STR("utf-8"));
}

bool envid_is_valid(struct str value)
{
	return value.len <= ENVID_LEN_MAX && is_valid_text(value, false);
}

bool orcpt_is_valid(struct str value)
{
	struct str address = value;
	struct str type = str_cut(&address, ';');

	/* addr-type is an atom; the registered ones are words like keywords of ESMTP. */
	return value.len <= ORCPT_LEN_MAX && str_is_keyword(type) &&
	       is_valid_text(address, is_utf8_type(type));
}

void envid_param(struct buf *out, struct str value)
{
	if (envid_is_valid(value))
		buf_append_str(out, value);
	else
		xtext_encode(out, value);
}

/* The code point at *at of valid UTF-8; *at moves behind it. */
static uint32_t next_point(struct str s, size_t *at)
{
	unsigned char first = (unsigned char)s.data[(*at)++];
	uint32_t point = first < 0xe0   ? first & 0x1fu
			 : first < 0xf0 ? first & 0x0fu
					: first & 0x07u;

	while (*at < s.len && ((unsigned char)s.data[*at] & 0xc0) == 0x80)
		point = point << 6 | ((unsigned char)s.data[(*at)++] & 0x3fu);
	return point;
}

void utf8_address_text(struct buf *out, struct str address, bool allow_utf8)
{
	if (allow_utf8 || str_is_ascii(address) || !str_is_utf8(address)) {
		buf_append_str(out, address);
		return;
	}
	for (size_t i = 0; i < address.len;) {
		if ((unsigned char)address.data[i] > 0x7f)
			buf_printf(out, "\\x{%X}", (unsigned)next_point(address, &i));
		else
			buf_append_char(out, address.data[i++]);
	}
}

void orcpt_param(struct buf *out, struct str value, bool allow_utf8)
{
	struct str address = value;
	struct str type = str_cut(&address, ';');

	if (!str_is_keyword(type) || address.len == 0)
		return;
	if (orcpt_is_valid(value)) {
		utf8_address_text(out, value, allow_utf8);
		return;
	}
	buf_append_str(out, type);
	buf_append_char(out, ';');
	xtext_encode(out, address);
}

static void append_decoded(struct buf *out, struct str s, bool is_utf8)
{
	bool is_valid = is_valid_text(s, is_utf8);

	for (size_t i = 0; i < s.len; i++) {
		if (is_valid && s.data[i] == '+') {
			buf_append_char(out, (char)(16 * xtext_hex_value(s.data[i + 1]) +
						     xtext_hex_value(s.data[i + 2])));
			i += 2;
		} else {
			buf_append_char(out, s.data[i]);
		}
	}
}

void envid_text(struct buf *out, struct str value)
{
	append_decoded(out, value, false);
}

void orcpt_text(struct buf *out, struct str value, bool allow_utf8)
{
	struct str address = value;
	struct str type = str_cut(&address, ';');
	struct buf plain;

	buf_init(&plain, value.len + 1);
	append_decoded(&plain, address, is_utf8_type(type));
	buf_append_str(out, type);
	buf_append_str(out, STR("; "));
	utf8_address_text(out, buf_str(&plain), allow_utf8);
	buf_fini(&plain);
}
