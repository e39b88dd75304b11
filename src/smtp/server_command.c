/*
 * server_command - command lines, and the table of what each command needs and does.
 *
 * A line ends at LF; one that does not end in CRLF is refused, and one that is too long is dropped up to its end, so
 * memory is bounded by the limit. Then the table: order first (503), then syntax, then the command's function.
 * Every line gets exactly one reply.
 */
#include "session.h"

#include <string.h>

#include "base/mem.h"
#include "mail/reply.h"

enum line_result { LINE_MORE, LINE_WHOLE, LINE_BARE_LF, LINE_LONG };

enum need {
	NEED_HELO = 1,
	NEED_MAIL = 2,
	NEED_NO_MAIL = 4,
	IS_IDLE = 8,    /* leads to no mail: counted */
	IS_REFUSED = 16 /* 502 whatever it says */
};

#define LIMIT_MAX 999999 /* RFC 9422 4 */
#define VERB_BYTES 4
#define EHLO_BYTES 640 /* most replies to EHLO fit */

static void on_line(struct smtp_server *s, enum line_result result, struct str line);
static void on_ehlo(struct smtp_server *s, const struct command *c);
static void on_rset(struct smtp_server *s, const struct command *c);
static void on_noop(struct smtp_server *s, const struct command *c);
static void on_vrfy(struct smtp_server *s, const struct command *c);
static void on_help(struct smtp_server *s, const struct command *c);
static void on_etrn(struct smtp_server *s, const struct command *c);
static void on_quit(struct smtp_server *s, const struct command *c);

static const struct rule {
	void (*run)(struct smtp_server *s, const struct command *c);
	unsigned needs;
} rules[] = {
	[COMMAND_UNKNOWN] = { NULL, IS_REFUSED },
	[COMMAND_EHLO] = { on_ehlo, IS_IDLE },
	[COMMAND_HELO] = { on_ehlo, IS_IDLE },
	[COMMAND_MAIL] = { server_on_mail, NEED_HELO | NEED_NO_MAIL },
	[COMMAND_RCPT] = { server_on_rcpt, NEED_MAIL },
	[COMMAND_DATA] = { server_on_data, NEED_MAIL },
	[COMMAND_RSET] = { on_rset, IS_IDLE },
	[COMMAND_NOOP] = { on_noop, IS_IDLE },
	[COMMAND_VRFY] = { on_vrfy, IS_IDLE },
	[COMMAND_EXPN] = { NULL, IS_REFUSED },
	[COMMAND_HELP] = { on_help, IS_IDLE },
	[COMMAND_QUIT] = { on_quit, 0 },
	[COMMAND_STARTTLS] = { server_on_starttls, NEED_NO_MAIL | IS_IDLE },
	[COMMAND_AUTH] = { server_on_auth, NEED_HELO | NEED_NO_MAIL | IS_IDLE },
	[COMMAND_BDAT] = { server_on_bdat, 0 }, /* knows its order: its octets come whatever we say */
	[COMMAND_ETRN] = { on_etrn, NEED_HELO | NEED_NO_MAIL | IS_IDLE },
	[COMMAND_XCLIENT] = { server_on_xclient, NEED_NO_MAIL | IS_IDLE },
	[COMMAND_XFORWARD] = { server_on_xforward, NEED_NO_MAIL | IS_IDLE },
	[COMMAND_HTTP] = { NULL, 0 },
};

/* --- lines --- */

/* Takes one line, or what there is of it, from *in. *line is valid until s->line is cleared. */
static enum line_result take_line(struct smtp_server *s, struct str *in, struct str *line)
{
	size_t len = str_find(*in, '\n');
	bool is_whole = len < in->len;
	struct str part = str_slice(*in, 0, is_whole ? len + 1 : len);

	*in = str_slice(*in, part.len, in->len);
	if (!s->is_line_skipped && is_whole && s->line.len == 0 && part.len <= s->line.max_bytes) {
		*line = part;
	} else {
		/* Its first octets by themselves: of a line that is too long they are kept, to tell what it was. */
		size_t first = s->line.len < VERB_BYTES ? VERB_BYTES - s->line.len : 0;

		if (!s->is_line_skipped) {
			buf_append_str(&s->line, str_slice(part, 0, first));
			buf_append_str(&s->line, str_slice(part, first, part.len));
		}
		s->is_line_skipped = s->is_line_skipped || s->line.is_full;
		*line = buf_str(&s->line);
	}
	if (!is_whole)
		return LINE_MORE;
	if (s->is_line_skipped)
		return LINE_LONG;
	line->len--;
	if (line->len == 0 || line->data[line->len - 1] != '\r')
		return LINE_BARE_LF;
	line->len--;
	return LINE_WHOLE;
}

void server_on_command_input(struct smtp_server *s, struct str *in)
{
	struct str line;
	enum line_result result = take_line(s, in, &line);

	if (result == LINE_MORE)
		return;
	s->is_line_skipped = false;
	on_line(s, result, line);
	/* Nothing of a password stays behind, nor a buffer of an idle session. */
	server_wipe(&s->line);
	buf_init(&s->line, s->conf->smtpd.line_bytes_max);
	if (s->state != SESSION_ASKING)
		arena_fini(&s->scratch);
	server_await(s);
}

/* Octets before the greeting: no mail client does that. */
void server_on_early_input(struct smtp_server *s, struct str *in)
{
	*in = str_slice(*in, in->len, in->len);
	server_reply(s, 554, STATUS(5, 5, 0), "%.*s you spoke before the greeting",
		STR_FMT(s->conf->hostname));
	server_close(s, "client spoke before the greeting", true);
}

/* --- commands --- */

static void refuse_line(struct smtp_server *s, enum line_result result)
{
	/* Whatever was to be the answer of an AUTH exchange is not: back to commands. Too long it has a code of its own
	 * (RFC 4954 section 6). */
	bool is_auth = s->state == SESSION_AUTH;

	if (is_auth)
		server_enter(s, SESSION_COMMAND);
	if (result == LINE_LONG)
		server_refuse(s, 500, is_auth ? STATUS(5, 5, 6) : STATUS(5, 5, 2), "line is longer than %u octets",
			s->conf->smtpd.line_bytes_max);
	else
		server_refuse(s, 500, STATUS(5, 5, 2), "lines must end with CR LF");
}

static void refuse_fault(struct smtp_server *s, enum command_fault fault, const struct command *c)
{
	const char *name = command_name(c->verb);
	struct status address = c->verb == COMMAND_MAIL ? STATUS(5, 1, 7) : STATUS(5, 1, 3);

	switch (fault) {
	case COMMAND_OK:
	case COMMAND_BAD_VERB:
		server_refuse(s, 500, STATUS(5, 5, 2), "command not recognized");
		break;
	case COMMAND_BAD_SYNTAX:
		server_refuse(s, 501, STATUS(5, 5, 4), "syntax error in the arguments of %s", name);
		break;
	case COMMAND_BAD_ADDRESS:
		server_refuse(s, 501, address, "bad address in %s", name);
		break;
	case COMMAND_LONG_ADDRESS:
		server_refuse(s, 501, address, "address in %s is too long", name);
		break;
	case COMMAND_UTF8_ADDRESS:
		/* RFC 6531 3.5 */
		server_refuse(s, c->verb == COMMAND_MAIL ? 550 : 553, STATUS(5, 6, 7),
			"address in %s needs SMTPUTF8", name);
		break;
	case COMMAND_BAD_PARAMETER:
		server_refuse(s, 501, STATUS(5, 5, 4), "bad or repeated parameter of %s", name);
		break;
	case COMMAND_UNKNOWN_PARAMETER:
		server_refuse(s, 555, STATUS(5, 5, 4), "unknown parameter of %s", name);
		break;
	}
}

/* Returns false, and has answered, when the command is out of order. */
static bool is_in_order(struct smtp_server *s, const struct rule *rule, const char *name)
{
	if (rule->needs & IS_REFUSED)
		server_refuse(s, 502, STATUS(5, 5, 1), "%s is not supported", name);
	else if (rule->needs & NEED_HELO && s->info.helo.len == 0)
		server_refuse(s, 503, STATUS(5, 5, 1), "send EHLO first");
	else if (rule->needs & NEED_MAIL && !s->t)
		server_refuse(s, 503, STATUS(5, 5, 1), "send MAIL first");
	else if (rule->needs & NEED_NO_MAIL && s->t)
		server_refuse(
			s, 503, STATUS(5, 5, 1), "%s is not allowed in a mail transaction", name);
	else
		return true;
	return false;
}

/* Returns false, and has ended the session, after too many commands that lead nowhere. */
static bool count_idle(struct smtp_server *s, const struct rule *rule)
{
	if (!(rule->needs & IS_IDLE) ||
		++s->idle_command_count <= s->conf->smtpd.commands_without_mail_max)
		return true;
	server_end(s, STATUS(4, 7, 0), "too many commands without mail");
	return false;
}

/* Content follows, and nobody knows how much: it must not be taken for commands. */
static bool hides_content(const struct smtp_server *s, struct str line)
{
	return s->state == SESSION_COMMAND && str_starts_fold(line, STR("BDAT"));
}

static void on_line(struct smtp_server *s, enum line_result result, struct str line)
{
	struct command c;

	if (result != LINE_WHOLE) {
		bool is_bdat = hides_content(s, line);

		refuse_line(s, result);
		if (is_bdat)
			server_close(s, "BDAT of unknown size", true);
		return;
	}
	if (s->state == SESSION_AUTH) {
		server_on_auth_line(s, line);
		return;
	}
	enum command_fault fault =
		command_parse(&c, line, s->t && s->t->env.is_smtputf8, &s->scratch);
	const struct rule *rule = &rules[c.verb];
	if (c.verb == COMMAND_HTTP) {
		/* Another protocol talks: one reply, and no second chance (ALPACA). */
		server_end(s, STATUS(4, 7, 0), "this is SMTP");
	} else if (fault == COMMAND_BAD_VERB) {
		refuse_fault(s, fault, &c);
	} else if (is_in_order(s, rule, command_name(c.verb))) {
		if (fault != COMMAND_OK) {
			refuse_fault(s, fault, &c);
			if (c.verb == COMMAND_BDAT)
				server_close(s, "BDAT of unknown size", true);
		} else if (count_idle(s, rule)) {
			rule->run(s, &c);
		}
	}
}

static bool offers_etrn(const struct smtp_server *s)
{
	return s->handler->on_etrn && server_may_know_client(s);
}

/* RFC 9422. What does not fit its six digits is no limit to speak of. */
static void offer_limits(const struct smtp_server *s, struct buf *lines)
{
	uint32_t messages_max = s->conf->smtpd.messages_per_session;

	buf_append_str(lines, STR("250 LIMITS"));
	if (messages_max > 0 && messages_max <= LIMIT_MAX) {
		buf_append_str(lines, STR(" MAILMAX="));
		buf_append_number(lines, messages_max, 1);
	}
	buf_append_str(lines, STR(" RCPTMAX="));
	buf_append_number(lines, s->conf->smtpd.recipients_max, 1);
	buf_append_str(lines, STR("\r\n"));
}

/* Made as it is sent: by way of server_reply it cost half of what a whole session without mail does. */
static void greet_back(struct smtp_server *s)
{
	struct buf lines;

	buf_init(&lines, 4096);
	(void)buf_reserve(&lines, EHLO_BYTES);
	buf_append_str(&lines, STR("250-"));
	buf_append_str(&lines, s->conf->hostname);
	buf_append_str(&lines, STR("\r\n250-PIPELINING\r\n250-SIZE "));
	buf_append_number(&lines, s->conf->smtpd.message_bytes_max, 1);
	buf_append_str(&lines, STR("\r\n"));
	if (server_offers_tls(s))
		buf_append_str(&lines, STR("250-STARTTLS\r\n"));
	if (server_offers_auth(s))
		buf_append_str(&lines, STR("250-AUTH PLAIN LOGIN\r\n"));
	if (server_offers_front(s))
		buf_append_str(&lines, STR(SESSION_FRONT_LINES));
	buf_append_str(&lines, STR("250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"));
	/* Not to strangers, who could name anybody as the one to hear of success: relay/receipt. */
	if (server_knows_client(s) || server_offers_auth(s))
		buf_append_str(&lines, STR("250-DSN\r\n"));
	buf_append_str(&lines, STR("250-SMTPUTF8\r\n250-CHUNKING\r\n"));
	server_offer_wishes(s, &lines);
	if (offers_etrn(s))
		buf_append_str(&lines, STR("250-ETRN\r\n"));
	offer_limits(s, &lines);
	server_say_lines(s, buf_str(&lines));
	buf_fini(&lines);
}

void server_set_helo(struct smtp_server *s, struct str name)
{
	s->helo = mem_realloc(s->helo, name.len);
	if (name.len > 0)
		memcpy(s->helo, name.data, name.len);
	s->info.helo = str_of(s->helo, name.len);
}

/* RFC 5321 4.1.4: EHLO in mid-session is a RSET, too. */
static void on_ehlo(struct smtp_server *s, const struct command *c)
{
	server_reset(s);
	server_set_helo(s, c->argument);
	s->info.is_esmtp = c->verb == COMMAND_EHLO;
	if (s->info.is_esmtp)
		greet_back(s);
	else
		server_reply(s, 250, (struct status){ 0 }, "%.*s", STR_FMT(s->conf->hostname));
}

static void on_rset(struct smtp_server *s, const struct command *c)
{
	(void)c;
	server_reset(s);
	server_reply(s, 250, STATUS(2, 0, 0), "ok");
}

static void on_noop(struct smtp_server *s, const struct command *c)
{
	(void)c;
	server_reply(s, 250, STATUS(2, 0, 0), "ok");
}

/* RFC 5321 3.5.3: a relay cannot know. */
static void on_vrfy(struct smtp_server *s, const struct command *c)
{
	(void)c;
	server_reply(s, 252, STATUS(2, 0, 0), "cannot verify, but will take mail for relaying");
}

static void on_help(struct smtp_server *s, const struct command *c)
{
	(void)c;
	server_reply(s, 214, STATUS(2, 0, 0),
		"commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH ETRN QUIT");
}

/* RFC 1985: for known clients alone. */
static void on_etrn(struct smtp_server *s, const struct command *c)
{
	struct smtp_answer answer = { .code = 250, .status = STATUS(2, 0, 0), .text = STR("ok") };

	if (!s->handler->on_etrn) {
		server_refuse(s, 502, STATUS(5, 5, 1), "ETRN is not supported");
		return;
	}
	if (!server_knows_client(s)) {
		server_refuse(s, 459, STATUS(4, 7, 1), "ETRN is not allowed to you");
		return;
	}
	s->handler->on_etrn(s->user, s, c->argument, &answer);
	if (s->state == SESSION_CLOSED)
		return;
	if (answer.is_later)
		server_wait(s, QUESTION_ETRN);
	else
		server_answer(s, &answer);
}

static void on_quit(struct smtp_server *s, const struct command *c)
{
	(void)c;
	server_reply(
		s, 221, STATUS(2, 0, 0), "%.*s closing connection", STR_FMT(s->conf->hostname));
	server_close(s, "quit", true);
}
