/* xtext - "+XX" escapes of RFC 3461 section 4; on an error nothing is appended. */
#include "mail/xtext.h"

int xtext_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	/* Upper case only, as the RFC has it. */
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_is_plain(char c)
{
	return c >= 0x21 && c <= 0x7e && c != '+' && c != '=';
}

enum err xtext_decode(struct buf *out, struct str encoded)
{
	size_t before = out->len;

	for (size_t i = 0; i < encoded.len; i++) {
		char c = encoded.data[i];
		if (c == '+') {
			int high = i + 1 < encoded.len ? xtext_hex_value(encoded.data[i + 1]) : -1;
			int low = i + 2 < encoded.len ? xtext_hex_value(encoded.data[i + 2]) : -1;
			if (high < 0 || low < 0)
				goto bad;
			c = (char)(high << 4 | low);
			if (c < 0x20 || c > 0x7e)
				goto bad;
			i += 2;
		} else if (!xtext_is_plain(c)) {
			goto bad;
		}
		buf_append_char(out, c);
	}
	if (!out->is_full)
		return OK;
	out->len = before;
	return ERR_LIMIT;
bad:
	out->len = before;
	return ERR_SYNTAX;
}

void xtext_encode(struct buf *out, struct str plain)
{
	for (size_t i = 0; i < plain.len; i++) {
		if (xtext_is_plain(plain.data[i]))
			buf_append_char(out, plain.data[i]);
		else
			buf_printf(out, "+%02X", (unsigned)(unsigned char)plain.data[i]);
	}
}
