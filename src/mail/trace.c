/*
 * trace - writes our Received field. Words are never broken, lines fold before the word that would
 * pass 78.
 *
 * All that the client said is cleaned here: a HELO name is a claim, and a comment it could close or
 * a line it could end would let it write fields of its own. Loops are found by "by HOST (Outlast)":
 * header.c reads it.
 */
#include "mail/trace.h"

#include <string.h>

#include "mail/queue_id.h"

#define LINE_COLUMN_MAX 77
#define HELO_LEN_MAX 255
#define RECIPIENT_LEN_MAX 320
#define TLS_LEN_MAX 100
#define FORWARDED_LEN_MAX 800
#define TAB_COLUMNS 8

struct fold {
	struct buf *out;
	size_t column;
};

static void put_word(struct fold *f, struct str word)
{
	if (f->column + 1 + word.len > LINE_COLUMN_MAX) {
		buf_append(f->out, "\r\n\t", 3);
		f->column = TAB_COLUMNS;
	} else {
		buf_append_char(f->out, ' ');
		f->column++;
	}
	buf_append_str(f->out, word);
	f->column += word.len;
}

/* The next word begins a line. */
static void put_break(struct fold *f)
{
	f->column = LINE_COLUMN_MAX;
}

static void put_words(struct fold *f, struct str words)
{
	while (words.len > 0) {
		struct str word = str_cut(&words, ' ');
		if (word.len > 0)
			put_word(f, word);
	}
}

/* Appends at most max octets of text; those in forbidden, controls and (unless allowed) 8-bit
 * become '?'. */
static void append_clean(
	struct buf *out, struct str text, const char *forbidden, size_t max, bool allow_utf8)
{
	text = str_slice(text, 0, max);
	allow_utf8 = allow_utf8 && str_is_utf8(text);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		bool is_high = (unsigned char)c > 0x7f;
		bool is_bad = (unsigned char)c < 0x20 || c == 0x7f || (is_high && !allow_utf8) ||
			      (c != '\0' && strchr(forbidden, c) != NULL);
		buf_append_char(out, is_bad ? '?' : c);
	}
}

static const char *protocol(const struct trace_info *info)
{
	/* RFC 3848 and RFC 6531 4.3, [utf8][tls][auth]. TLS or AUTH without EHLO have no name. */
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } },
	};
	if (!info->is_esmtp)
		return "SMTP";
	return names[info->is_smtputf8][info->is_tls][info->is_authenticated];
}

/* A comment for readers: whom the server in front of us had the message from. */
static void put_forwarded(struct fold *f, const struct trace_info *info, struct buf *word)
{
	if (info->forwarded.len == 0)
		return;
	buf_clear(word);
	buf_append_str(word, STR("(orig_client="));
	append_clean(word, info->forwarded, "()\\", FORWARDED_LEN_MAX, false);
	buf_append_char(word, ')');
	put_words(f, buf_str(word));
}

static void put_from(struct fold *f, const struct trace_info *info, struct buf *word)
{
	put_word(f, STR("from"));
	buf_clear(word);
	append_clean(word, info->helo, " ()<>@,;\\\"", HELO_LEN_MAX, info->is_smtputf8);
	put_word(f, word->len > 0 ? buf_str(word) : STR("unknown"));

	buf_clear(word);
	buf_append_char(word, '(');
	if (info->client_name.len > 0) {
		append_clean(word, info->client_name, " ()\\", HELO_LEN_MAX, false);
		buf_append_char(word, ' ');
	}
	if (info->client.family == FAMILY_NONE)
		buf_append_str(word, STR("unknown"));
	else if (info->client.family == FAMILY_IPV4 || info->client.family == FAMILY_IPV6)
		endpoint_format_literal(word, &info->client);
	else
		buf_append_str(word, STR("local"));
	buf_append_char(word, ')');
	put_words(f, buf_str(word));
	put_forwarded(f, info, word);
}

static void put_for(struct fold *f, const struct trace_info *info, struct buf *word)
{
	buf_clear(word);
	buf_append_char(word, '<');
	append_clean(word, info->only_recipient, "<>", RECIPIENT_LEN_MAX, info->is_smtputf8);
	buf_append_char(word, '>');
	if (info->priority == 0)
		buf_append_char(word, ';');
	put_word(f, STR("for"));
	put_word(f, buf_str(word));
}

/* RFC 6710 section 7. */
static void put_priority(struct fold *f, const struct trace_info *info, struct buf *word)
{
	buf_clear(word);
	buf_printf(word, "%d;", info->priority);
	put_word(f, STR("PRIORITY"));
	put_word(f, buf_str(word));
}

void trace_received(struct buf *out, const struct trace_info *info)
{
	struct fold f = { out, sizeof("Received:") - 1 };
	struct queue_id_text id = queue_id_format(info->id);
	struct buf word;

	buf_init(&word, 1024);
	buf_append_str(out, STR("Received:"));
	put_from(&f, info, &word);

	put_break(&f);
	put_word(&f, STR("by"));
	put_word(&f, info->hostname);
	put_word(&f, STR("(Outlast)"));
	put_word(&f, STR("with"));
	put_word(&f, str_from_c(protocol(info)));
	if (info->tls.len > 0) {
		buf_clear(&word);
		buf_append_char(&word, '(');
		append_clean(&word, info->tls, "()\\", TLS_LEN_MAX, false);
		buf_append_char(&word, ')');
		put_words(&f, buf_str(&word));
	}
	put_word(&f, STR("id"));
	buf_clear(&word);
	buf_append(&word, id.text, QUEUE_ID_LEN);
	if (info->only_recipient.len == 0 && info->priority == 0)
		buf_append_char(&word, ';');
	put_word(&f, buf_str(&word));
	put_break(&f);
	if (info->only_recipient.len > 0)
		put_for(&f, info, &word);
	if (info->priority != 0)
		put_priority(&f, info, &word);
	buf_clear(&word);
	instant_format_rfc5322(&word, info->at);
	put_word(&f, buf_str(&word));
	buf_append(out, "\r\n", 2);
	buf_fini(&word);
}
