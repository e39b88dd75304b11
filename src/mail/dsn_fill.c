/* dsn_fill - fills lines with words from outside, cleaned; see dsn_part.h. Cannot fail: out is
 * bounded. */
#include "dsn_part.h"

#include <string.h>

#define COLUMN_MAX 76
/* A line holds indent and word: well below 998 with any indent. */
#define WORD_LEN_MAX 900

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static void append_clean(struct buf *out, struct str text, bool allow_utf8)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool is_high = (unsigned char)c > 0x7f;
		buf_append_char(out, is_control(c) || (is_high && !allow_utf8) ? '?' : c);
	}
}

/* Length of the longest piece of text up to max that does not end within a UTF-8 sequence. */
static size_t piece_length(struct str text, size_t max)
{
	size_t len = text.len < max ? text.len : max;

	while (len > 0 && len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len--;
	return len > 0 ? len : (text.len < max ? text.len : max);
}

void fill_clean(struct buf *out, struct str text, bool allow_utf8)
{
	allow_utf8 = allow_utf8 && str_is_utf8(text);
	append_clean(out, str_slice(text, 0, piece_length(text, WORD_LEN_MAX)), allow_utf8);
}

static void put_piece(struct fill *f, struct str piece, bool allow_utf8)
{
	if (f->column > 0 && (f->is_broken || f->column + 1 + piece.len > COLUMN_MAX)) {
		buf_append(f->out, "\r\n", 2);
		f->column = 0;
	}
	f->is_broken = false;
	if (f->column == 0) {
		buf_append_str(f->out, str_from_c(f->indent));
		f->column = strlen(f->indent);
	} else {
		buf_append_char(f->out, ' ');
		f->column++;
	}
	append_clean(f->out, piece, allow_utf8);
	f->column += piece.len;
}

static size_t word_length(struct str text)
{
	size_t len = 0;

	while (len < text.len && text.data[len] != ' ' && text.data[len] != '\n')
		len++;
	return len;
}

void fill_words(struct fill *f, struct str text)
{
	bool allow_utf8 = f->allow_utf8 && str_is_utf8(text);

	while (text.len > 0) {
		struct str word = str_slice(text, 0, word_length(text));
		if (word.len < text.len && text.data[word.len] == '\n' && word.len == 0)
			f->is_broken = true;
		size_t len = word.len == 0 ? 1 : piece_length(word, WORD_LEN_MAX);
		if (word.len > 0)
			put_piece(f, str_slice(word, 0, len), allow_utf8);
		text = str_slice(text, len, text.len);
	}
}

void fill_end(struct fill *f)
{
	if (f->column > 0)
		buf_append(f->out, "\r\n", 2);
	f->column = 0;
	f->is_broken = false;
}
