/*
 * server_reject - the log line of a refusal that is no error of syntax: who was refused what, and why, in Postfix's shape, so
 * that log readers count it and an operator finds it.
 *
 *   NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.7.1 Relaying denied; from=<a@b> to=<c@d> proto=ESMTP helo=<e>
 *
 * A session has at most REJECTS_LOGGED_MAX of them: a client that asks for thousands of recipients would fill the log.
 */
#include "session.h"

#define REJECTS_LOGGED_MAX 50
#define LINE_BYTES_MAX 1536 /* log_text has room for it */

void smtp_server_append_client(struct buf *out, const struct smtp_server_info *info)
{
	if (info->client_name.len > 0)
		buf_append_str(out, info->client_name);
	else
		buf_append_str(out,
			endpoint_is_loopback(&info->client) ? STR("localhost") : STR("unknown"));
	buf_append_char(out, '[');
	if (info->client.family == FAMILY_NONE)
		buf_append_str(out, STR("unknown"));
	else
		endpoint_format_ip(out, &info->client);
	buf_append_char(out, ']');
}

static void append_envelope(
	struct buf *out, const struct smtp_server *s, struct str from, struct str to)
{
	buf_append_str(out, STR("; from=<"));
	buf_append_safe(out, from);
	buf_append_char(out, '>');
	if (to.len > 0) {
		buf_append_str(out, STR(" to=<"));
		buf_append_safe(out, to);
		buf_append_char(out, '>');
	}
	buf_append_str(
		out, s->info.is_esmtp ? STR(" proto=ESMTP helo=<") : STR(" proto=SMTP helo=<"));
	buf_append_safe(out, s->info.helo);
	buf_append_char(out, '>');
	if (s->info.user.len > 0) {
		buf_append_str(out, STR(" sasl_username="));
		buf_append_safe(out, s->info.user);
	}
}

void server_log_reject(struct smtp_server *s, const char *stage, struct str from, struct str to,
	const struct smtp_answer *answer)
{
	struct buf line;

	if (answer->code < 400 || s->env->log->level < LOG_INFO ||
		s->reject_count > REJECTS_LOGGED_MAX)
		return;
	buf_init(&line, LINE_BYTES_MAX);
	buf_printf(&line, "NOQUEUE: reject: %s from ", stage);
	smtp_server_append_client(&line, &s->info);
	if (++s->reject_count > REJECTS_LOGGED_MAX) {
		buf_append_str(&line, STR(": further refusals of this session are not logged"));
	} else {
		buf_printf(&line, ": %u ", answer->code);
		status_format(&line, answer->status);
		buf_append_char(&line, ' ');
		buf_append_safe(&line, answer->text);
		append_envelope(&line, s, from, to);
	}
	log_text(s->env->log, LOG_INFO, "smtpd", "%s", buf_cstr(&line));
	buf_fini(&line);
}

void server_refuse_mail(struct smtp_server *s, const char *stage, const struct smtp_answer *answer)
{
	server_log_reject(s, stage, s->t->env.reverse_path, STR(""), answer);
	server_answer(s, answer);
	if (s->state != SESSION_CLOSED)
		server_reset(s);
}
