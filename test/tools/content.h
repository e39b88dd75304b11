/*
 * content - what stands between DATA and the final dot, judged while it streams in.
 *
 * Only CRLF "." CRLF ends it; a bare CR or LF is counted as a violation and taken as content. The
 * digest covers the octets from the line "X-Outlast-Token: ..." of the header on, dots unstuffed:
 * trace fields added before that line do not count. Without such a line it covers everything. In a
 * delivery status notification the tokens found in what it returns, and the recipients that it
 * calls failed, are collected.
 */
#ifndef TOOLS_CONTENT_H
#define TOOLS_CONTENT_H

#include "tool.h"

#define CONTENT_LINE_HEAD 1000 /* octets of a line that are looked at */
#define CONTENT_LIST_MAX 2000

enum content_state { CONTENT_LINE_START, CONTENT_IN_LINE, CONTENT_CR, CONTENT_DOT, CONTENT_DOT_CR };

struct content {
	enum content_state state;
	EVP_MD_CTX *digest;
	FILE *copy;    /* NULL: none wanted */
	uint64_t size; /* octets in the digest */
	uint64_t size_all;
	struct bytes line; /* head of the current line */
	bool is_line_cut;
	bool is_header;
	bool is_report, has_report_type;
	unsigned received_count;
	uint64_t bare_cr, bare_lf;
	char *token;           /* NULL: none */
	char *final_recipient; /* of the current recipient group of a DSN */
	struct texts original_tokens;
	struct texts failed;
	struct texts delayed;
};

static inline void content_start(struct content *content)
{
	*content = (struct content){ .is_header = true };
	content->digest = must(EVP_MD_CTX_new());
	digest_start(content->digest);
}

static inline void content_free(struct content *content)
{
	EVP_MD_CTX_free(content->digest);
	free(content->token);
	free(content->final_recipient);
	texts_clear(&content->original_tokens);
	texts_clear(&content->failed);
	texts_clear(&content->delayed);
	bytes_free(&content->line);
	if (content->copy != NULL)
		fclose(content->copy);
	*content = (struct content){ 0 };
}

static inline bool content_is_dsn(const struct content *content)
{
	return content->is_report && content->has_report_type;
}

/* content_field - the value when the line is this field, cut of blanks; NULL otherwise. */
static inline const char *content_field(const char *line, const char *name, size_t *len)
{
	size_t name_len = strlen(name);
	const char *end;

	if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
		return NULL;
	line += name_len + 1;
	line += strspn(line, " \t");
	end = line + strlen(line);
	while (end > line && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	*len = (size_t)(end - line);
	return line;
}

static inline void content_header_line(struct content *content, const char *line)
{
	size_t len;
	const char *value = content_field(line, "X-Outlast-Token", &len);

	if (strcmp(line, "\r\n") == 0) {
		content->is_header = false;
	} else if (value != NULL && content->token == NULL && !content->is_line_cut) {
		content->token = copy_text(value, len);
		digest_start(content->digest);
		EVP_DigestUpdate(content->digest, content->line.at, content->line.len);
		content->size = content->line.len;
	} else if (content_field(line, "Received", &len) != NULL) {
		content->received_count++;
	}
	if (strcasestr(line, "multipart/report") != NULL)
		content->is_report = true;
	if (strcasestr(line, "report-type") != NULL && strcasestr(line, "delivery-status") != NULL)
		content->has_report_type = true;
}

/* "rfc822; user@a.test" or "utf-8; ..." gives the address. */
static inline void content_keep_recipient(struct content *content, const char *value, size_t len)
{
	const char *semicolon = memchr(value, ';', len);

	if (semicolon != NULL) {
		len -= (size_t)(semicolon + 1 - value);
		value = semicolon + 1;
		while (len > 0 && (*value == ' ' || *value == '\t')) {
			value++;
			len--;
		}
	}
	free(content->final_recipient);
	content->final_recipient = copy_text(value, len);
}

static inline void content_report_line(struct content *content, const char *line)
{
	size_t len;
	const char *value;

	if ((value = content_field(line, "X-Outlast-Token", &len)) != NULL) {
		if (content->original_tokens.count < CONTENT_LIST_MAX)
			texts_add(&content->original_tokens, value, len);
	} else if ((value = content_field(line, "Final-Recipient", &len)) != NULL) {
		content_keep_recipient(content, value, len);
	} else if ((value = content_field(line, "Action", &len)) != NULL) {
		struct texts *list =
			strncasecmp(value, "failed", 6) == 0 ? &content->failed : &content->delayed;

		if (content->final_recipient != NULL && list->count < CONTENT_LIST_MAX &&
			(list == &content->failed || strncasecmp(value, "delayed", 7) == 0))
			texts_add(list, content->final_recipient, strlen(content->final_recipient));
	}
}

static inline void content_line_end(struct content *content)
{
	const char *line = bytes_text(&content->line);

	if (content->is_header)
		content_header_line(content, line);
	else if (content_is_dsn(content))
		content_report_line(content, line);
	content->line.len = 0;
	content->is_line_cut = false;
}

static inline void content_emit(struct content *content, const char *from, size_t len)
{
	size_t head = CONTENT_LINE_HEAD - content->line.len;

	if (len == 0)
		return;
	EVP_DigestUpdate(content->digest, from, len);
	content->size += len;
	content->size_all += len;
	if (content->copy != NULL && fwrite(from, 1, len, content->copy) != len)
		die("maildir: %s", strerror(errno));
	if (!content->is_header && !content_is_dsn(content))
		return;
	content->is_line_cut |= len > head;
	bytes_add(&content->line, from, len > head ? head : len);
}

/* The octet after a dot at the start of a line, or after that dot and a CR. */
static inline enum content_state content_after_dot(struct content *content, char c)
{
	if (content->state == CONTENT_DOT && c == '\r')
		return CONTENT_DOT_CR;
	if (content->state == CONTENT_DOT_CR) {
		content_emit(content, "\r", 1);
		content->bare_cr++;
	}
	if (c == '\r')
		return CONTENT_CR;
	if (c == '\n')
		content->bare_lf++;
	return CONTENT_IN_LINE;
}

/*
 * content_feed - takes octets; true when the end was met, *used then tells how many belonged to it.
 */
static inline bool content_feed(struct content *content, const char *from, size_t len, size_t *used)
{
	size_t start = 0; /* of what is not emitted yet */

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		switch (content->state) {
		case CONTENT_LINE_START:
			if (c == '.') {
				content->state = CONTENT_DOT;
				start = i + 1;
				continue;
			}
			__attribute__((fallthrough));
		case CONTENT_IN_LINE:
			if (c == '\n')
				content->bare_lf++;
			content->state = c == '\r' ? CONTENT_CR : CONTENT_IN_LINE;
			continue;
		case CONTENT_CR:
			if (c == '\n') {
				content_emit(content, from + start, i + 1 - start);
				content_line_end(content);
				start = i + 1;
				content->state = CONTENT_LINE_START;
				continue;
			}
			content->bare_cr++;
			content->state = c == '\r' ? CONTENT_CR : CONTENT_IN_LINE;
			continue;
		case CONTENT_DOT:
		case CONTENT_DOT_CR:
			if (content->state == CONTENT_DOT_CR && c == '\n') {
				*used = i + 1;
				return true;
			}
			content->state = content_after_dot(content, c);
			start = content->state == CONTENT_DOT_CR ? i + 1 : i;
			continue;
		}
	}
	content_emit(content, from + start, len - start);
	*used = len;
	return false;
}

#endif
