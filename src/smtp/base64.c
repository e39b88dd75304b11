/* base64 - four characters for three octets; anything irregular is refused, since no client needs it. */
#include "base64.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* One group of four; padding only where is_last. */
static enum err decode_group(struct buf *out, const char *p, bool is_last)
{
	unsigned bits = 0;
	size_t pad = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = value_of(p[i]);
		if (p[i] == '=' && is_last && i >= 2) {
			pad++;
			value = 0;
		} else if (value < 0 || pad > 0) {
			return ERR_SYNTAX;
		}
		bits = bits << 6 | (unsigned)value;
	}
	char octets[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
	for (size_t i = 3 - pad; i < 3; i++)
		if (octets[i] != 0)
			return ERR_SYNTAX;
	buf_append(out, octets, 3 - pad);
	return out->is_full ? ERR_LIMIT : OK;
}

enum err base64_decode(struct buf *out, struct str text)
{
	enum err err = text.len % 4 == 0 ? OK : ERR_SYNTAX;

	for (size_t i = 0; i < text.len && err == OK; i += 4)
		err = decode_group(out, text.data + i, i + 4 == text.len);
	return err;
}

void base64_encode(struct buf *out, struct str octets)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < octets.len; i += 3) {
		size_t n = octets.len - i < 3 ? octets.len - i : 3;
		unsigned bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)octets.data[i + k] : 0u);
		for (size_t k = 0; k < 4; k++)
			buf_append_char(out, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
	}
}
