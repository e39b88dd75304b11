/*
 * reply - collects the lines of one reply, judges each as it ends, and hands out the whole.
 *
 * The happy path: octets are gathered until LF, the line's code and text are taken apart, and the
 * line whose code is followed by SP or nothing ends the reply. A malformed reply is final: the
 * parser refuses all further octets, since nobody knows where the next reply would begin.
 */
#include "mail/reply.h"

#include <string.h>

#define LINE_BYTES_MAX 4096
#define LINE_COUNT_MAX 100
#define TEXT_BYTES_MAX ((size_t)16 * 1024)
/* More lines than can be: the mark of a parser that met a malformed reply. */
#define LINE_COUNT_BROKEN (LINE_COUNT_MAX + 1)
/* RFC 5321 4.5.3.1.5: what we send keeps to 512 with CRLF. */
#define SENT_LINE_BYTES_MAX 510

void reply_parser_init(struct reply_parser *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->line, LINE_BYTES_MAX + 1); /* the CR before the LF */
	buf_init(&p->text, TEXT_BYTES_MAX);
}

void reply_parser_fini(struct reply_parser *p)
{
	buf_fini(&p->line);
	buf_fini(&p->text);
}

static void start_reply(struct reply_parser *p)
{
	buf_clear(&p->line);
	buf_clear(&p->text);
	p->code = 0;
	p->line_count = 0;
	p->status = (struct status){ 0 };
	p->is_done = false;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_shown(char c)
{
	return !is_control(c);
}

static bool is_sendable(char c)
{
	return !is_control(c) && (unsigned char)c < 0x80;
}

/* Appends text with '?' for each octet that is not good. */
static void append_good(struct buf *out, struct str text, bool (*is_good)(char c))
{
	while (text.len > 0) {
		size_t len = 0;
		while (len < text.len && is_good(text.data[len]))
			len++;
		buf_append(out, text.data, len);
		if (len < text.len)
			buf_append_char(out, '?');
		text = str_slice(text, len + 1, text.len);
	}
}

static unsigned parse_code(struct str line)
{
	unsigned code = 0;

	if (line.len < 3)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (line.data[i] < '0' || line.data[i] > '9')
			return 0;
		code = code * 10 + (unsigned)(line.data[i] - '0');
	}
	return code >= 200 && code <= 599 ? code : 0;
}

/* The enhanced code counts when its class agrees with the reply code; the first line's is the
 * reply's. */
static struct str take_status(struct reply_parser *p, struct str text)
{
	struct status status;
	struct str rest;

	if (status_parse(text, &status, &rest) != OK || status.klass != p->code / 100)
		return text;
	if (p->line_count == 1)
		p->status = status;
	return p->status.klass != 0 ? rest : text;
}

/* One line without its LF. Returns false when the reply is malformed. */
static bool take_line(struct reply_parser *p, struct str line)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	unsigned code = parse_code(line);
	if (line.len > LINE_BYTES_MAX || code == 0 || ++p->line_count > LINE_COUNT_MAX)
		return false;
	if (p->line_count > 1) {
		if (code != p->code)
			return false;
		buf_append_char(&p->text, '\n');
	}
	p->code = code;
	char separator = line.len > 3 ? line.data[3] : ' ';
	if (separator != ' ' && separator != '-')
		return false;
	p->is_done = separator == ' ';
	append_good(&p->text, take_status(p, str_slice(line, 4, line.len)), is_shown);
	return !p->text.is_full;
}

enum reply_result reply_feed(struct reply_parser *p, struct str *in, struct reply *out)
{
	memset(out, 0, sizeof(*out));
	if (p->line_count >= LINE_COUNT_BROKEN)
		return REPLY_MALFORMED;
	if (p->is_done)
		start_reply(p);
	while (in->len > 0) {
		size_t len = str_find(*in, '\n');
		bool is_whole = len < in->len;
		buf_append(&p->line, in->data, len);
		*in = str_slice(*in, is_whole ? len + 1 : len, in->len);
		if (p->line.is_full || (is_whole && !take_line(p, buf_str(&p->line)))) {
			p->line_count = LINE_COUNT_BROKEN;
			return REPLY_MALFORMED;
		}
		if (!is_whole)
			break;
		buf_clear(&p->line);
		if (p->is_done) {
			out->code = p->code;
			out->status = p->status;
			out->text = buf_str(&p->text);
			return REPLY_DONE;
		}
	}
	return REPLY_MORE;
}

void reply_format(struct buf *out, unsigned code, struct status status, struct str text)
{
	bool is_last;

	do {
		size_t len = str_find(text, '\n');
		size_t start = out->len;
		is_last = len == text.len;
		buf_append_number(out, code, 1);
		buf_append_char(out, is_last ? ' ' : '-');
		if (status.klass != 0) {
			status_format(out, status);
			buf_append_char(out, ' ');
		}
		size_t room = SENT_LINE_BYTES_MAX - (out->len - start);
		append_good(out, str_slice(text, 0, len < room ? len : room), is_sendable);
		buf_append(out, "\r\n", 2);
		text = str_slice(text, is_last ? len : len + 1, text.len);
	} while (!is_last);
}
