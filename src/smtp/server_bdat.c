/*
 * server_bdat - BDAT, RFC 3030: content by the count. What content may be, how it is kept and answered is server_data.c's.
 *
 * Happy path: a chunk's octets are fed to the content as they come; each chunk has its reply, and the one that says LAST
 * that of the message. Dots mean nothing here. A bare CR, bare LF or NUL is refused as in DATA: BINARYMIME is not offered,
 * and what we could not send on without harm we do not take.
 *
 * Whatever is refused, the octets were announced and will come: they are counted off and dropped, so that content is never
 * taken for commands. A chunk beyond twice the size of a message is not waited for: 552 and the end. After a refused
 * chunk the transaction is over, so a message never lacks a chunk in its middle.
 *
 * Nothing is reserved by the size that a client claims.
 */
#include "session.h"

/* The pause between chunks is that between commands; in all the message has the time that DATA gives it. */
static void begin_dropping(struct smtp_server *s)
{
	s->decoder.raw_bytes = 0;
	s->data_started = env_now(s->env);
}

static void refuse(struct smtp_server *s, unsigned code, struct status status, const char *reason)
{
	s->chunk_refusal =
		(struct smtp_answer){ .code = code, .status = status, .text = str_from_c(reason) };
}

static bool is_too_big(const struct smtp_server *s)
{
	uint64_t max = s->conf->smtpd.message_bytes_max;
	uint64_t before = s->t->is_chunked ? s->received_bytes : 0;

	return before > max || s->chunk_left > max - before;
}

/* The first chunk begins the content. Returns false when the handler closed the session. */
static bool begin(struct smtp_server *s)
{
	struct smtp_transaction *t = s->t;
	struct smtp_answer answer = { 0 };

	if (!server_begin_content(s, &answer)) {
		if (s->state == SESSION_CLOSED)
			return false;
		server_log_reject(s, "BDAT", t->env.reverse_path, STR(""), &answer);
		s->chunk_refusal = answer;
		s->chunk_refusal.text = arena_dup(&t->arena, answer.text);
		return true;
	}
	t->is_chunked = true;
	s->decoder.is_counted = true;
	return true;
}

/* In chunk_refusal: what will be said to the chunk for what is known before its first octet. */
static bool judge(struct smtp_server *s)
{
	s->chunk_refusal = (struct smtp_answer){ 0 };
	if (s->info.helo.len == 0)
		refuse(s, 503, STATUS(5, 5, 1), "send EHLO first");
	else if (!s->t)
		refuse(s, 503, STATUS(5, 5, 1), "send MAIL first");
	else if (s->t->env.recipient_count == 0)
		refuse(s, 554, STATUS(5, 5, 1), "no valid recipients");
	else if (is_too_big(s))
		refuse(s, 552, STATUS(5, 3, 4), "message is larger than SIZE says");
	else if (!s->t->is_chunked)
		return begin(s);
	return true;
}

static void end_chunk(struct smtp_server *s)
{
	if (s->chunk_refusal.code != 0) {
		server_answer(s, &s->chunk_refusal);
		if (s->t)
			server_drop_content(s);
		else
			server_resume(s);
		return;
	}
	if (s->is_chunk_last) {
		enddata_close(&s->decoder);
		server_end_content(s);
	} else if (server_judge_content(s)) {
		server_say(s, 250, STATUS(2, 0, 0), STR("chunk received"));
		server_resume(s);
	} else {
		server_drop_content(s);
	}
}

void server_on_bdat(struct smtp_server *s, const struct command *c)
{
	s->chunk_left = c->chunk_bytes;
	s->is_chunk_last = c->is_last;
	if (c->chunk_bytes / 2 > s->conf->smtpd.message_bytes_max) {
		server_refuse(s, 552, STATUS(5, 3, 4), "chunk is larger than any message may be");
		server_close(s, "BDAT of a size that is not taken", true);
		return;
	}
	if (!judge(s))
		return;
	if (s->chunk_refusal.code != 0) {
		begin_dropping(s);
	} else if (server_is_content_late(s)) {
		server_end(s, STATUS(4, 4, 2), "content takes too long");
		return;
	}
	s->data_window_bytes = s->decoder.raw_bytes;
	server_enter(s, SESSION_CHUNK);
	if (s->chunk_left == 0)
		end_chunk(s);
}

void server_on_chunk(struct smtp_server *s, struct str *in)
{
	size_t count = s->chunk_left < in->len ? (size_t)s->chunk_left : in->len;
	struct str part = str_slice(*in, 0, count);

	if (s->chunk_refusal.code != 0) {
		s->decoder.raw_bytes += count; /* for the clock of slow clients */
		part = str_slice(part, count, count);
	} else if (s->t->content.len > s->conf->smtpd.spool_from_bytes) {
		/* Before the octets and not behind them: the last ones of a chunk wake nobody up. */
		server_spool(s);
		return;
	} else {
		(void)server_feed_content(s, &part);
	}
	if (s->state != SESSION_CHUNK)
		return;
	count -= part.len;
	*in = str_slice(*in, count, in->len);
	s->chunk_left -= count;
	if (s->chunk_left == 0)
		end_chunk(s);
}
