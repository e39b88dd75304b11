/*
 * message - what outlast-load sends: all of it follows from the plan and the number of the message.
 */
#ifndef TOOLS_MESSAGE_H
#define TOOLS_MESSAGE_H

#include "tool.h"

#define BODY_LINES 997 /* prime, so that messages of one size differ */
#define RCPT_TEMPLATES_MAX 64

static struct plan {
	int64_t multi_rcpt, size_min, size_max;
	char *rcpt[RCPT_TEMPLATES_MAX];
	int64_t rcpt_weight[RCPT_TEMPLATES_MAX];
	size_t rcpt_count;
	int64_t weight_sum;
	struct texts domains, corpus;
	const char *from;
	char prefix[64];
	struct bytes body[BODY_LINES];
} plan;

struct message {
	int64_t number;
	char *token;
	char *from;
	struct texts to;
	struct bytes head;             /* on the wire: dots stuffed */
	size_t first_line, line_count; /* of the body behind it */
	uint64_t size;
	char digest[DIGEST_HEX];
	unsigned tries;
	bool is_8bit;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/*
 * Lines of a body: mostly prose-like, some empty, some starting with dots, a few as long as the RFC
 * allows.
 */
static void make_body_lines(void)
{
	static const char letters[] = "etaoin shrdlu cmfwyp vbgkqj xz. ETAOIN,";

	for (size_t i = 0; i < BODY_LINES; i++) {
		uint64_t draw = mix(i);
		size_t len = i % 97 == 3 ? 990 : draw % 76;

		if (i % 13 == 5)
			bytes_put(&plan.body[i], i % 2 == 0 ? "." : "..");
		for (size_t j = 0; j < len; j++)
			bytes_add(
				&plan.body[i], &letters[mix(draw + j) % (sizeof(letters) - 1)], 1);
		bytes_put(&plan.body[i], "\r\n");
	}
}

static char *fill_template(const char *template, int64_t number)
{
	struct bytes out = { 0 };
	char *text;

	while (*template != '\0') {
		char *end = NULL;
		long long modulus;

		if (*template != '%') {
			bytes_add(&out, template ++, 1);
			continue;
		}
		template ++;
		modulus = strtoll(template, &end, 10);
		if (*end == 's' && plan.domains.count > 0)
			bytes_put(&out, plan.domains.at[(size_t)number % plan.domains.count]);
		else if (*end == 'd')
			bytes_format(
				&out, "%lld", (long long)(modulus > 0 ? number % modulus : number));
		else
			die_usage("templates know %%d, %%Nd, and %%s with --domains");
		template = end + 1;
	}
	text = copy_text(out.at != NULL ? out.at : "", out.len);
	bytes_free(&out);
	return text;
}

static const char *pick_rcpt(int64_t number)
{
	int64_t draw = (int64_t)(mix((uint64_t)number * 31) % (uint64_t)plan.weight_sum);
	size_t i = 0;

	while (i + 1 < plan.rcpt_count && draw >= plan.rcpt_weight[i])
		draw -= plan.rcpt_weight[i++];
	return plan.rcpt[i];
}

static void read_whole(const char *path, struct bytes *out)
{
	FILE *file = fopen(path, "re");
	char chunk[65536];
	size_t got;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		bytes_add(out, chunk, got);
	fclose(file);
}

/* Every line end, whichever it was, becomes CRLF, and the last line has one. */
static void add_with_crlf(struct bytes *out, const struct bytes *text)
{
	for (size_t i = 0; i < text->len; i++) {
		char c = text->at[i];

		if (c != '\r' && c != '\n') {
			bytes_add(out, &c, 1);
			continue;
		}
		bytes_add(out, "\r\n", 2);
		if (c == '\r' && i + 1 < text->len && text->at[i + 1] == '\n')
			i++;
	}
	if (out->len < 2 || memcmp(out->at + out->len - 2, "\r\n", 2) != 0)
		bytes_add(out, "\r\n", 2);
}

static void stuff_dots(struct bytes *out, const struct bytes *text)
{
	for (size_t at = 0; at < text->len;) {
		const char *end = memchr(text->at + at, '\n', text->len - at);
		size_t len = end != NULL ? (size_t)(end + 1 - (text->at + at)) : text->len - at;

		if (text->at[at] == '.')
			bytes_add(out, ".", 1);
		bytes_add(out, text->at + at, len);
		at += len;
	}
}

static void write_head(const struct message *message, struct bytes *head)
{
	bytes_format(head, "X-Outlast-Token: %s\r\n", message->token);
	if (plan.corpus.count > 0) {
		struct bytes file = { 0 };

		read_whole(plan.corpus.at[(size_t)message->number % plan.corpus.count], &file);
		add_with_crlf(head, &file);
		bytes_free(&file);
		return;
	}
	bytes_format(head,
		"From: <%s>\r\nTo: <%s>\r\nSubject: message %lld of %s\r\n"
		"Date: Mon, 23 Jan 2023 00:00:00 +0100\r\nMessage-ID: <%s@client.test>\r\n\r\n",
		message->from, message->to.at[0], (long long)message->number, plan.prefix,
		message->token);
}

static void write_content(struct message *message)
{
	int64_t spread = plan.size_max - plan.size_min + 1;
	uint64_t target =
		(uint64_t)plan.size_min + mix((uint64_t)message->number) % (uint64_t)spread;
	EVP_MD_CTX *digest = must(EVP_MD_CTX_new());
	struct bytes head = { 0 };

	write_head(message, &head);
	stuff_dots(&message->head, &head);
	for (size_t i = 0; i < head.len && !message->is_8bit; i++)
		message->is_8bit = (unsigned char)head.at[i] > 0x7f;
	digest_start(digest);
	EVP_DigestUpdate(digest, head.at, head.len);
	message->size = head.len;
	message->first_line = (size_t)message->number % BODY_LINES;
	while (plan.corpus.count == 0 && message->size < target) {
		const struct bytes *line =
			&plan.body[(message->first_line + message->line_count++) % BODY_LINES];

		EVP_DigestUpdate(digest, line->at, line->len);
		message->size += line->len;
	}
	digest_end(digest, message->digest);
	EVP_MD_CTX_free(digest);
	bytes_free(&head);
}

static struct message *message_new(int64_t number)
{
	struct message *message = allocate(1, sizeof(*message));
	struct bytes token = { 0 };

	bytes_format(&token, "%s-%lld", plan.prefix, (long long)number);
	message->number = number;
	message->token = copy_text(token.at, token.len);
	message->from = fill_template(plan.from, number);
	message->tries = 1;
	for (int64_t i = 0; i < plan.multi_rcpt; i++) {
		char *to = fill_template(
			pick_rcpt(number * plan.multi_rcpt + i), number * plan.multi_rcpt + i);

		texts_add(&message->to, to, strlen(to));
		free(to);
	}
	write_content(message);
	bytes_free(&token);
	return message;
}

static void message_free(struct message *message)
{
	free(message->token);
	free(message->from);
	texts_clear(&message->to);
	bytes_free(&message->head);
	free(message);
}

#endif
