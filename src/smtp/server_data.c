/*
 * server_data - DATA, the content however it is framed, and the reply to its end.
 *
 * Happy path: 354 (or a BDAT: server_bdat.c); content is decoded into the transaction, scanned, and moved away by the handler whenever more than
 * spool_from_bytes are there; at the end the handler gets the transaction and answers. Content that will be
 * refused (a bare CR, LF or NUL, too large, storing failed) is dropped at once and read to its end: a
 * reply in mid-content would be taken for the reply to the end.
 *
 * A client that is too slow for a minute, or for the whole, is cut off.
 */
#include "base/check.h"
#include "mail/queue_id.h"
#include "session.h"

#define SLICE_BYTES ((size_t)64 * 1024)
/* Beside the spool limit and a slice: the trace header. */
#define TRACE_BYTES_MAX ((size_t)16 * 1024)
#define RATE_WINDOW_MS MINUTE_MS

static void init_content(struct smtp_server *s)
{
	buf_init(&s->t->content,
		(size_t)s->conf->smtpd.spool_from_bytes + SLICE_BYTES + TRACE_BYTES_MAX);
}

bool server_begin_content(struct smtp_server *s, struct smtp_answer *answer)
{
	init_content(s);
	s->handler->on_data(s->user, s, s->t, answer);
	if (s->state == SESSION_CLOSED || answer->code != 0)
		return false;
	s->t->content_bytes = s->t->content.len;
	if (s->info.is_submission)
		server_begin_mending(s);
	enddata_decoder_init(&s->decoder);
	s->received_bytes = 0;
	s->is_too_big = false;
	s->spool_err = OK;
	s->data_started = env_now(s->env);
	s->data_window_bytes = 0;
	return true;
}

void server_on_data(struct smtp_server *s, const struct command *c)
{
	struct smtp_answer answer = { 0 };

	(void)c;
	if (s->t->is_chunked) {
		/* RFC 3030 2: DATA and BDAT do not mix. */
		server_refuse(s, 503, STATUS(5, 5, 1), "DATA is not allowed after BDAT");
		return;
	}
	if (s->t->env.recipient_count == 0) {
		server_refuse(s, 554, STATUS(5, 5, 1), "no valid recipients");
		return;
	}
	if (!server_begin_content(s, &answer)) {
		if (s->state != SESSION_CLOSED)
			server_refuse_mail(s, "DATA", &answer);
		return;
	}
	server_say(s, 354, (struct status){ 0 },
		STR("send the message, end with a dot on a line of its own"));
	server_enter(s, SESSION_DATA);
}

/* --- content --- */

/* Looks at what was decoded behind the first before octets; drops all of a message that will be refused. */
static void take_content(struct smtp_server *s, size_t before)
{
	struct smtp_transaction *t = s->t;
	struct str added = str_slice(buf_str(&t->content), before, t->content.len);

	s->received_bytes += added.len;
	if (t->submission && !submission_is_passing(t->submission))
		added = server_mend(s, before);
	t->content_bytes += added.len;
	if (s->received_bytes > s->conf->smtpd.message_bytes_max)
		s->is_too_big = true;
	/* Can only be when the handler left less room than the limits want. */
	if (t->content.is_full && t->content.max_bytes > 0)
		s->spool_err = ERR_LIMIT;
	if (s->is_too_big || s->decoder.fault != ENDDATA_CLEAN || s->spool_err != OK)
		buf_fini(&t->content); /* bound 0: takes no more */
	else
		header_scan_feed(&t->header, added);
}

void server_spool(struct smtp_server *s)
{
	server_enter(s, SESSION_SPOOLING);
	s->handler->on_spool(s->user, s, s->t);
}

/* By need, not by claim: Go's client claims SMTPUTF8 whenever it is offered. Without the claim raw octets in a header are
 * an old habit, which 8BITMIME carries as well as ever. */
static void set_needs(struct smtp_transaction *t)
{
	struct envelope *env = &t->env;
	bool has_utf8 = t->header.is_8bit_header || !str_is_ascii(env->reverse_path);

	for (uint32_t i = 0; i < env->recipient_count && !has_utf8; i++)
		has_utf8 = !str_is_ascii(env->recipients[i].address);
	env->is_smtputf8 = env->is_smtputf8 && has_utf8;
	env->body = t->header.is_8bit_header || t->header.is_8bit_body ? BODY_8BITMIME : BODY_7BIT;
	env->message_id = arena_dup(&t->arena, buf_str(&t->header.message_id));
	env->size_bytes = t->content_bytes;
}

static void commit(struct smtp_server *s)
{
	struct smtp_transaction *t = s->t;

	set_needs(t);
	s->t = NULL;
	s->id = t->env.id;
	server_enter(s, SESSION_COMMITTING);
	s->handler->on_message(s->user, s, t);
	server_forget_forward(s);
}

/* Code 0: nothing is wrong with it. */
static struct smtp_answer judge_content(struct smtp_server *s)
{
	const struct header_scan *header = &s->t->header;
	uint32_t line_max = s->conf->smtpd.text_line_bytes_max;

	if (s->decoder.fault != ENDDATA_CLEAN)
		return (struct smtp_answer){ .code = 550,
			.status = STATUS(5, 5, 2),
			.text = STR("message has a bare CR, bare LF or NUL") };
	if (s->is_too_big)
		return (struct smtp_answer){ .code = 552,
			.status = STATUS(5, 3, 4),
			.text = arena_printf(&s->t->arena, "message is larger than %llu octets",
				(unsigned long long)s->conf->smtpd.message_bytes_max) };
	if (line_max > 0 && s->decoder.line_max_bytes > line_max)
		return (struct smtp_answer){ .code = 554,
			.status = STATUS(5, 6, 0),
			.text = arena_printf(&s->t->arena, "message has a line over %u octets", line_max) };
	if (header->received_count > s->conf->smtpd.hops_max)
		return (struct smtp_answer){
			.code = 554, .status = STATUS(5, 4, 6), .text = STR("too many hops") };
	if (header->own_received_count > s->conf->smtpd.own_hops_max)
		return (struct smtp_answer){ .code = 554,
			.status = STATUS(5, 4, 6),
			.text = STR("mail loop through this host") };
	if (s->spool_err != OK)
		return (struct smtp_answer){ .code = 452,
			.status = STATUS(4, 3, 1),
			.text = STR("message cannot be stored now, try again later") };
	return (struct smtp_answer){ 0 };
}

bool server_judge_content(struct smtp_server *s)
{
	struct smtp_answer answer = judge_content(s);

	if (answer.code == 0)
		return true;
	server_log_reject(s, "END-OF-MESSAGE", s->t->env.reverse_path, STR(""), &answer);
	server_answer(s, &answer);
	return false;
}

void server_resume(struct smtp_server *s)
{
	if (s->state == SESSION_CLOSED)
		return;
	server_enter(s, SESSION_COMMAND);
	if (s->is_shutting_down)
		server_end(s, STATUS(4, 3, 2), "service is shutting down");
}

void server_drop_content(struct smtp_server *s)
{
	metric_add(s->env->metrics, METRIC_messages_refused_total, 1);
	if (s->state != SESSION_CLOSED)
		server_reset(s);
	server_resume(s);
}

void server_end_content(struct smtp_server *s)
{
	if (s->t->submission)
		server_end_mending(s);
	header_scan_finish(&s->t->header);
	if (server_judge_content(s))
		commit(s);
	else
		server_drop_content(s);
}

bool server_feed_content(struct smtp_server *s, struct str *in)
{
	struct smtp_transaction *t = s->t;
	size_t before = t->content.len;
	struct str slice = str_slice(*in, 0, SLICE_BYTES);
	size_t offered = slice.len;

	if (s->decoder.raw_bytes == 0 && fault_hit(s->env->fault, FAULT_accept_in_data)) {
		server_close(s, "fault", false);
		return false;
	}
	(void)buf_reserve(&t->content, offered); /* at once, whatever dots cut it into */
	bool is_end = enddata_decode(&s->decoder, &slice, &t->content);
	*in = str_slice(*in, offered - slice.len, in->len);
	take_content(s, before);
	return is_end;
}

void server_on_content(struct smtp_server *s, struct str *in)
{
	if (server_feed_content(s, in))
		server_end_content(s);
	else if (s->state == SESSION_DATA && s->t->content.len > s->conf->smtpd.spool_from_bytes)
		server_spool(s);
}

void smtp_server_spooled(struct smtp_server *s, enum err err)
{
	if (s->state != SESSION_SPOOLING)
		return; /* closed meanwhile */
	s->spool_err = err;
	/* The handler may have taken the buffer as a whole. */
	buf_fini(&s->t->content);
	if (err == OK)
		init_content(s);
	s->data_window_bytes = s->decoder.raw_bytes;
	server_enter(s, s->t->is_chunked ? SESSION_CHUNK : SESSION_DATA);
}

void smtp_server_finish(struct smtp_server *s, const struct smtp_answer *answer)
{
	if (s->state != SESSION_COMMITTING)
		return; /* closed meanwhile */
	if (answer->code == 0 || answer->code / 100 == 2) {
		s->message_count++;
		s->error_count = 0;
		s->idle_command_count = 0;
	}
	if (answer->code != 0) {
		server_answer(s, answer);
	} else {
		server_reply(
			s, 250, STATUS(2, 0, 0), "ok, queued as %s", queue_id_format(s->id).text);
	}
	server_resume(s);
}

/* --- slow clients --- */

int64_t server_data_tick_ms(const struct smtp_server *s)
{
	return s->conf->smtpd.data_rate_min > 0 ? RATE_WINDOW_MS : s->conf->smtpd.idle_ms;
}

bool server_is_content_late(const struct smtp_server *s)
{
	uint64_t rate = s->conf->smtpd.data_rate_min;
	int64_t limit_ms = s->conf->smtpd.data_total_ms;

	if (rate > 0)
		limit_ms += (int64_t)(s->decoder.raw_bytes / rate) * SECOND_MS;
	return env_now(s->env).ms - s->data_started.ms > limit_ms;
}

void server_on_data_tick(struct smtp_server *s)
{
	uint64_t rate = s->conf->smtpd.data_rate_min;
	uint64_t received = s->decoder.raw_bytes - s->data_window_bytes;
	uint64_t wanted = rate > 0 ? rate * (RATE_WINDOW_MS / SECOND_MS) : 1;

	if (received < wanted) {
		server_end(s, STATUS(4, 4, 2), "content comes too slowly");
	} else if (server_is_content_late(s)) {
		server_end(s, STATUS(4, 4, 2), "content takes too long");
	} else {
		s->data_window_bytes = s->decoder.raw_bytes;
		env_timer_after(s->env, &s->deadline, server_data_tick_ms(s));
	}
}
