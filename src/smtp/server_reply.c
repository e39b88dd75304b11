/*
 * server_reply - every octet that a session says.
 *
 * mail/reply replaces what may not be in a reply, so text of the client's can be quoted. A reply to an error of
 * the client's counts, and the one over the limit becomes 421.
 */
#include "session.h"

#include "base/check.h"
#include "mail/reply.h"

#define TEXT_BYTES_MAX ((size_t)16 * 1024)
#define REPLY_BYTES_MAX (4 * TEXT_BYTES_MAX)

void server_say(struct smtp_server *s, unsigned code, struct status status, struct str text)
{
	struct buf out;

	if (s->state == SESSION_CLOSED)
		return;
	buf_init(&out, REPLY_BYTES_MAX);
	reply_format(&out, code, status, text);
	s->net->conn_write(s->conn, buf_str(&out));
	buf_fini(&out);
}

void server_say_lines(struct smtp_server *s, struct str lines)
{
	if (s->state != SESSION_CLOSED)
		s->net->conn_write(s->conn, lines);
}

static void say_formatted(struct smtp_server *s, unsigned code, struct status status,
	const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static void say_formatted(struct smtp_server *s, unsigned code, struct status status,
	const char *format, va_list args)
{
	struct buf text;

	buf_init(&text, TEXT_BYTES_MAX);
	buf_vprintf(&text, format, args);
	server_say(s, code, status, buf_str(&text));
	buf_fini(&text);
}

void server_greet(struct smtp_server *s)
{
	server_reply(
		s, 220, (struct status){ 0 }, "%.*s ESMTP Outlast", STR_FMT(s->conf->hostname));
	server_enter(s, SESSION_COMMAND);
}

void server_reply(
	struct smtp_server *s, unsigned code, struct status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_formatted(s, code, status, format, args);
	va_end(args);
}

/* Returns false, and has ended the session, when the error was one too many. */
static bool count_error(struct smtp_server *s)
{
	metric_add(s->env->metrics, METRIC_smtpd_errors_total, 1);
	if (++s->error_count <= s->conf->smtpd.errors_max)
		return true;
	server_end(s, STATUS(4, 7, 0), "too many errors");
	return false;
}

void server_refuse(
	struct smtp_server *s, unsigned code, struct status status, const char *format, ...)
{
	va_list args;

	if (!count_error(s))
		return;
	va_start(args, format);
	say_formatted(s, code, status, format, args);
	va_end(args);
}

void server_answer(struct smtp_server *s, const struct smtp_answer *answer)
{
	if (answer->code >= 500 && !answer->is_closing && !count_error(s))
		return;
	server_say(s, answer->code, answer->status, answer->text);
	if (answer->is_closing || answer->code == 421)
		server_close(s, "closed by policy", true);
}

void server_end(struct smtp_server *s, struct status status, const char *reason)
{
	server_reply(
		s, 421, status, "%.*s %s, closing connection", STR_FMT(s->conf->hostname), reason);
	server_close(s, reason, true);
}
