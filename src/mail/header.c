/*
 * header - a scan of the header section, fed in any cut; the body is only asked for 8-bit octets.
 *
 * Lines are told apart by LF with or without CR before it, for the intake has already refused bare
 * ones. A field is gathered with its continuation lines, and looked at when the next one begins.
 * Nothing can fail: a line that is no field is passed over, a long value is cut.
 */
#include "mail/header.h"

#include <string.h>

#define FIELD_BYTES_MAX 998

enum state {
	LINE_START,
	LINE_START_CR, /* CR as the first octet: the empty line, if LF follows */
	IN_LINE
};

void header_scan_init(struct header_scan *h, struct str own_host)
{
	memset(h, 0, sizeof(*h));
	buf_init(&h->field, FIELD_BYTES_MAX);
	buf_init(&h->message_id, FIELD_BYTES_MAX);
	h->own_host = own_host;
	h->state = LINE_START;
}

void header_scan_fini(struct header_scan *h)
{
	buf_fini(&h->field);
	buf_fini(&h->message_id);
}

/* Next word of *rest between spaces; empty at the end. */
static struct str next_word(struct str *rest)
{
	*rest = str_trim(*rest);
	size_t len = 0;
	while (len < rest->len && rest->data[len] != ' ' && rest->data[len] != '\t')
		len++;
	struct str word = str_slice(*rest, 0, len);
	*rest = str_slice(*rest, len, rest->len);
	return word;
}

/* Looks for "by OWN_HOST (Outlast)" as trace.c writes it. */
static bool is_by_us(struct str value, struct str own_host)
{
	struct str before = { 0 };
	struct str host = { 0 };

	for (struct str word = next_word(&value); word.len > 0; word = next_word(&value)) {
		if (str_equal_fold(before, STR("by")) && str_equal_fold(host, own_host) &&
			str_equal(word, STR("(Outlast)")))
			return true;
		before = host;
		host = word;
	}
	return false;
}

static bool is_bulk_precedence(struct str value)
{
	return str_equal_fold(value, STR("bulk")) || str_equal_fold(value, STR("list")) ||
	       str_equal_fold(value, STR("junk"));
}

/* Only the keyword: parameters and comments may follow it. */
static bool is_automatic(struct str value)
{
	size_t len = 0;

	while (len < value.len && value.data[len] != ';' && value.data[len] != '(' &&
		value.data[len] != ' ' && value.data[len] != '\t')
		len++;
	return !str_equal_fold(str_slice(value, 0, len), STR("no"));
}

static bool says_bulk(struct str name, struct str value)
{
	switch (name.len) {
	case 7:
		return str_equal_fold(name, STR("List-Id"));
	case 10:
		return str_equal_fold(name, STR("Precedence")) && is_bulk_precedence(value);
	case 14:
		return str_equal_fold(name, STR("Auto-Submitted")) && is_automatic(value);
	default:
		return false;
	}
}

static void look_at_watches(struct header_scan *h, struct str name, struct str value)
{
	for (uint32_t i = 0; i < h->watch_count && i < HEADER_WATCHES_MAX; i++)
		if (h->watches[i].name.len > 0 && str_equal_fold(name, h->watches[i].name) &&
			str_match_glob(value, h->watches[i].glob))
			h->watch_hits |= UINT64_C(1) << i;
}

static void end_field(struct header_scan *h)
{
	struct str value = buf_str(&h->field);
	size_t colon = str_find(value, ':');

	if (colon < value.len) {
		struct str name = str_trim(str_cut(&value, ':'));
		value = str_trim(value);
		if (str_equal_fold(name, STR("Received"))) {
			h->received_count++;
			if (is_by_us(value, h->own_host))
				h->own_received_count++;
		} else if (str_equal_fold(name, STR("Message-ID"))) {
			if (h->message_id.len == 0)
				buf_append_str(&h->message_id, value);
		} else if (str_equal_fold(name, STR("Date"))) {
			h->has_date = true;
		} else if (str_equal_fold(name, STR("From"))) {
			h->has_from = true;
		} else if (name.len == 12 && str_equal_fold(name, STR("TLS-Required"))) {
			h->is_tls_optional |= str_equal_fold(value, STR("No"));
		} else if (says_bulk(name, value)) {
			h->is_bulk = true;
		}
		if (h->watch_count > 0)
			look_at_watches(h, name, value);
	}
	buf_clear(&h->field);
}

static void append_cut(struct buf *field, struct str text)
{
	buf_append_str(field, str_slice(text, 0, FIELD_BYTES_MAX - field->len));
}

/* Consumes one line, or the part of it that is there. */
static void feed_line(struct header_scan *h, struct str *content)
{
	char first = content->data[0];

	if (h->state == LINE_START && first == '\r') {
		h->state = LINE_START_CR;
		*content = str_slice(*content, 1, content->len);
		h->header_bytes++;
		return;
	}
	if (h->state != IN_LINE && first == '\n') {
		end_field(h);
		h->is_in_body = true;
		*content = str_slice(*content, 1, content->len);
		h->header_bytes++;
		return;
	}
	if (h->state != IN_LINE && first != ' ' && first != '\t')
		end_field(h);

	size_t len = str_find(*content, '\n');
	struct str text = str_slice(*content, 0, len);
	h->state = len < content->len ? LINE_START : IN_LINE;
	len += h->state == LINE_START;
	h->header_bytes += len;
	if (!str_is_ascii(text))
		h->is_8bit_header = true;
	append_cut(&h->field, text);
	/* Only now is it known that a CR belongs to the line end: it may have come with an earlier
	 * piece. */
	if (h->state == LINE_START && h->field.len > 0 && h->field.data[h->field.len - 1] == '\r')
		h->field.len--;
	*content = str_slice(*content, len, content->len);
}

void header_scan_feed(struct header_scan *h, struct str content)
{
	while (content.len > 0 && !h->is_in_body)
		feed_line(h, &content);
	if (!h->is_8bit_body && !str_is_ascii(content))
		h->is_8bit_body = true;
}

void header_scan_finish(struct header_scan *h)
{
	if (!h->is_in_body)
		end_field(h);
}

struct str header_section(struct str content)
{
	struct str rest = content;

	while (rest.len > 0) {
		struct str before = rest;
		struct str line = str_cut(&rest, '\n');
		bool has_end = line.len < before.len;
		if (has_end && (line.len == 0 || (line.len == 1 && line.data[0] == '\r')))
			return str_slice(content, 0, content.len - before.len);
	}
	return content;
}
