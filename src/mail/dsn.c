/*
 * dsn - puts a notice together: head, text for people, status for programs, and what is returned of
 * the original. Every line of it that came from outside passes dsn_fill.c or put_lines(), so
 * neither a field nor a part can be forged. Cannot fail; out's bound caps the whole.
 */
#include "mail/dsn.h"

#include <string.h>

#include "dsn_part.h"
#include "mail/header.h"
#include "mail/queue_id.h"

#define LINE_BYTES_MAX 998
#define BOUNDARY_LEN_MAX 64

struct boundary {
	char text[BOUNDARY_LEN_MAX];
	size_t len;
};

static bool is_same_prefix(struct str s, struct str prefix)
{
	return str_equal(str_slice(s, 0, prefix.len), prefix);
}

/* The highest number that a line "--PREFIX<number>=" of the original bears, plus one; 0 without
 * such lines. */
static uint64_t free_number(struct str original, struct str prefix)
{
	uint64_t next = 0;

	while (original.len > 0) {
		struct str line = str_cut(&original, '\n');
		uint64_t number;
		if (!is_same_prefix(line, STR("--")) ||
			!is_same_prefix(str_slice(line, 2, line.len), prefix))
			continue;
		line = str_slice(line, 2 + prefix.len, line.len);
		struct str digits = str_cut(&line, '=');
		/* Longer numbers are never reached by counting up. */
		if (digits.len <= 9 && str_to_u64(digits, &number) == OK && number >= next)
			next = number + 1;
	}
	return next;
}

/* RFC 2046 5.1.1: the boundary must not begin a line of the parts. Our own parts have no line with
 * "--". */
static void choose_boundary(struct boundary *b, const struct dsn_params *p)
{
	struct buf text;

	buf_init(&text, BOUNDARY_LEN_MAX);
	buf_printf(&text, "=_%s_", queue_id_format(p->notice_id).text);
	uint64_t headers = free_number(p->original_headers, buf_str(&text));
	uint64_t body = free_number(p->original_body, buf_str(&text));
	buf_printf(&text, "%llu=", (unsigned long long)(headers > body ? headers : body));
	memcpy(b->text, text.data, text.len);
	b->len = text.len;
	buf_fini(&text);
}

static const char *subject(const struct dsn_params *p)
{
	size_t failed = 0, delayed = 0;

	for (size_t i = 0; i < p->recipient_count; i++) {
		failed += p->recipients[i].action == DSN_FAILED;
		delayed += p->recipients[i].action == DSN_DELAYED;
	}
	if (failed > 0)
		return failed == p->recipient_count
			       ? "Your message was not delivered"
			       : "Your message was not delivered to all recipients";
	if (delayed > 0)
		return "Your message is delayed; you need not send it again";
	return "Your message was delivered or passed on";
}

/* The original contains 8-bit octets that we return as they are. */
bool dsn_is_8bit(const struct dsn_params *p)
{
	return p->is_smtputf8 || !str_is_ascii(p->original_body);
}

static void put_head(struct buf *out, const struct dsn_params *p, const struct boundary *b)
{
	/* automatic: keeps vacation programs and lists from answering */
	const struct notice_head head = {
		.from = p->postmaster,
		.to = p->to,
		.host = p->reporting_mta,
		.subject = subject(p),
		.kind = "notice",
		.automatic = "auto-replied",
		.id = p->notice_id,
		.now = p->now,
		.allow_utf8 = p->is_smtputf8,
	};

	notice_head_write(out, &head);
	buf_append_str(
		out, STR("Content-Type: multipart/report; report-type=delivery-status;\r\n"));
	buf_printf(out, "\tboundary=\"%.*s\"\r\n", (int)b->len, b->text);
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n", dsn_is_8bit(p) ? "8bit" : "7bit");
	buf_append_str(out, STR("\r\nThis is a delivery report in MIME form (RFC 3464).\r\n"));
}

static void put_part(struct buf *out, const struct boundary *b, const char *description,
	const char *type, bool part_is_8bit)
{
	buf_printf(out, "\r\n--%.*s\r\nContent-Description: %s\r\nContent-Type: %s\r\n",
		(int)b->len, b->text, description, type);
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", part_is_8bit ? "8bit" : "7bit");
}

static void put_clean(struct buf *out, struct str text, bool allow_8bit)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool is_high = (unsigned char)c > 0x7f;
		buf_append_char(out, c == '\r' || c == '\0' || (is_high && !allow_8bit) ? '?' : c);
	}
}

/* Lines of the original with CRLF ends; one that is too long goes on in the next, behind
 * continuation. */
static void put_lines(struct buf *out, struct str text, const char *continuation, bool allow_8bit)
{
	size_t room = LINE_BYTES_MAX - strlen(continuation);

	while (text.len > 0 && !out->is_full) {
		struct str line = str_cut(&text, '\n');
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		put_clean(out, str_slice(line, 0, room), allow_8bit);
		for (size_t at = room; at < line.len; at += room) {
			buf_printf(out, "\r\n%s", continuation);
			put_clean(out, str_slice(line, at, at + room), allow_8bit);
		}
		buf_append(out, "\r\n", 2);
	}
}

static void put_original(struct buf *out, const struct dsn_params *p, const struct boundary *b)
{
	if (p->original_body.len > 0) {
		struct str header = header_section(p->original_body);
		struct str body = str_slice(p->original_body, header.len, p->original_body.len);
		put_part(out, b, "Your message",
			p->is_smtputf8 ? "message/global" : "message/rfc822", dsn_is_8bit(p));
		put_lines(out, header, "\t", true);
		put_lines(out, body, "", true);
	} else if (p->original_headers.len > 0) {
		put_part(out, b, "Head of your message",
			p->is_smtputf8 ? "message/global-headers" : "text/rfc822-headers",
			p->is_smtputf8);
		put_lines(out, header_section(p->original_headers), "\t", p->is_smtputf8);
	}
}

void dsn_build(struct buf *out, const struct dsn_params *params)
{
	bool is_utf8 = params->is_smtputf8;
	struct boundary b;

	choose_boundary(&b, params);
	put_head(out, params, &b);
	put_part(out, &b, "What happened",
		is_utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", is_utf8);
	dsn_write_explanation(out, params);
	/* RFC 6533 3 names the forms that may hold UTF-8. */
	put_part(out, &b, "Delivery report",
		is_utf8 ? "message/global-delivery-status" : "message/delivery-status", is_utf8);
	dsn_write_status(out, params);
	put_original(out, params, &b);
	buf_printf(out, "\r\n--%.*s--\r\n", (int)b.len, b.text);
}
