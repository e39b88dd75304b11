/* status - reads and prints class.subject.detail of RFC 3463. */
#include "mail/status.h"

/* Takes one to three digits from the front of *cursor. */
static bool take_number(struct str *cursor, uint16_t *out)
{
	size_t len = 0;
	unsigned value = 0;

	while (len < cursor->len && cursor->data[len] >= '0' && cursor->data[len] <= '9') {
		if (len == 3)
			return false;
		value = value * 10 + (unsigned)(cursor->data[len++] - '0');
	}
	*cursor = str_slice(*cursor, len, cursor->len);
	*out = (uint16_t)value;
	return len > 0;
}

static bool take_dot(struct str *cursor)
{
	if (cursor->len == 0 || cursor->data[0] != '.')
		return false;
	*cursor = str_slice(*cursor, 1, cursor->len);
	return true;
}

enum err status_parse(struct str text, struct status *out, struct str *rest)
{
	struct status s = { 0 };

	if (text.len == 0 || (text.data[0] != '2' && text.data[0] != '4' && text.data[0] != '5'))
		return ERR_SYNTAX;
	s.klass = (uint8_t)(text.data[0] - '0');
	text = str_slice(text, 1, text.len);
	if (!take_dot(&text) || !take_number(&text, &s.subject) || !take_dot(&text) ||
		!take_number(&text, &s.detail))
		return ERR_SYNTAX;
	if (text.len > 0 && text.data[0] != ' ')
		return ERR_SYNTAX;
	*out = s;
	if (rest)
		*rest = str_slice(text, 1, text.len);
	return OK;
}

void status_format(struct buf *out, struct status s)
{
	buf_append_number(out, s.klass, 1);
	buf_append_char(out, '.');
	buf_append_number(out, s.subject, 1);
	buf_append_char(out, '.');
	buf_append_number(out, s.detail, 1);
}
