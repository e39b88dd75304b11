/*
 * dialogue - a session of outlast-sink as SMTP sees it: commands, transactions, what the journal
 * gets of them.
 *
 * Works on what came in (session->in) and adds replies to session->out; it neither reads nor writes
 * a socket. A session that is to end is marked with the reason in session->ending.
 */
#ifndef TOOLS_DIALOGUE_H
#define TOOLS_DIALOGUE_H

#include <stddef.h>

#include <openssl/ssl.h>

#include "tool.h"

#include "behaviour.h"
#include "content.h"

#define LINE_MAX_OCTETS 65536
#define HOSTS_MAX 64

struct host {
	struct watch watch; /* of the listener; fd -1 while refusing */
	char *name;
	union address at;
	struct behaviour behaviour;
	uint64_t connections, open, open_peak, messages, recipients, octets;
	uint64_t rejects, violations, dsns, unanswered, rate_refused, tls;
	uint64_t commands[STAGE_COUNT];
};

struct session {
	struct watch watch;
	struct session *next;
	struct host *host;
	SSL *ssl;
	struct bytes in, out;
	size_t out_sent;
	char peer[80];
	char *helo, *user;
	bool has_mail;
	char *from, *params;
	struct texts to, to_params;
	bool has_to_params;
	bool is_data;
	struct content content;
	char *file;            /* maildir name of the content */
	int64_t held_until_ms; /* neither reads on nor replies before */
	int64_t active_ms;
	unsigned messages;
	bool is_hung;       /* stays without an answer, whatever comes */
	bool loses_reply;   /* the message counts, its reply does not leave */
	bool starts_tls;    /* once the output is flushed */
	bool closes;        /* once the output is flushed */
	const char *ending; /* why it ended; set: dead at the end of the round */
};

struct script_line {
	int64_t at_ms;
	char *command;
};

static struct sink {
	int loop;
	struct host hosts[HOSTS_MAX];
	size_t host_count;
	struct session *sessions;
	struct control control;
	struct journal journal;
	struct script_line *script;
	size_t script_count, script_next;
	int64_t started_ms;
	const char *maildir;
	SSL_CTX *tls;
	char *auth; /* base64 of the one right answer */
	int64_t idle_ms;
	bool is_quiet;
	bool is_over;
} sink;

/* Events that are not messages. */

static void note(struct session *session, const char *event, const char *key, const char *text)
{
	struct bytes line;

	if (sink.is_quiet)
		return;
	journal_begin(&line, event);
	journal_member(&line, "host", session->host->name);
	journal_member(&line, "peer", session->peer);
	if (key != NULL)
		journal_member(&line, key, text);
	if (strcmp(event, "connect") == 0)
		bytes_format(&line, ",\"open\":%llu", (unsigned long long)session->host->open);
	if (strcmp(event, "disconnect") == 0)
		bytes_format(&line, ",\"messages\":%u", session->messages);
	if (strcmp(event, "reject") == 0 && session->from != NULL)
		journal_member(&line, "from", session->from);
	journal_end(&sink.journal, &line);
}

static void violation(struct session *session, const char *what)
{
	bool was_quiet = sink.is_quiet;

	session->host->violations++;
	sink.is_quiet = false;
	note(session, "violation", "what", what);
	sink.is_quiet = was_quiet;
}

/* Replies and endings. */

static void reply(struct session *session, const char *text)
{
	bytes_put(&session->out, text);
	bytes_put(&session->out, "\r\n");
}

static void session_end(struct session *session, const char *why, bool with_reset)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (session->ending != NULL)
		return;
	session->ending = why;
	if (with_reset)
		setsockopt(session->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void hold(struct session *session, enum stage stage)
{
	int64_t delay = session->host->behaviour.delay_ms[stage];

	if (delay > 0)
		session->held_until_ms = mono_ms() + delay;
}

/*
 * obeys_rule - lets the rule for this event answer in our place. True: it did, nothing more to do.
 * A reply that starts with 2 or 3 only changes the words: the stage goes on as usual and *words
 * says which.
 */
static bool obeys_rule(struct session *session, enum stage stage, const char *subject,
	const struct texts *others, const char **words)
{
	struct rule *rule = behaviour_rule(&session->host->behaviour, stage, subject, others);

	session->host->commands[stage]++;
	hold(session, stage);
	session->loses_reply = rule != NULL && rule->action == ACTION_UNANSWERED;
	if (rule == NULL || session->loses_reply)
		return false;
	if (rule->action != ACTION_REPLY) {
		session_end(session, "dropped", rule->action == ACTION_RESET);
		return true;
	}
	if (rule->reply.len > 0 && (rule->reply.at[0] == '2' || rule->reply.at[0] == '3')) {
		*words = bytes_text(&rule->reply);
		return false;
	}
	bytes_add(&session->out, rule->reply.at, rule->reply.len);
	session->host->rejects++;
	note(session, "reject", stage_names[stage], subject != NULL ? subject : "");
	if (rule->reply.len >= 3 && memcmp(rule->reply.at, "421", 3) == 0)
		session->closes = true;
	return true;
}

static void answer(struct session *session, const char *words, const char *usual)
{
	if (words != NULL)
		bytes_put(&session->out, words);
	else
		reply(session, usual);
}

/* Transactions. */

static void forget_mail(struct session *session)
{
	free(session->from);
	free(session->params);
	session->from = session->params = NULL;
	session->has_mail = false;
	texts_clear(&session->to);
	texts_clear(&session->to_params);
	session->has_to_params = false;
}

static void maildir_open(struct session *session)
{
	static unsigned long serial;
	struct bytes path = { 0 };

	if (sink.maildir == NULL)
		return;
	bytes_format(&path, "%lld.%ld_%lu.%s", (long long)wall_ms(), (long)getpid(), ++serial,
		session->host->name);
	session->file = copy_text(path.at, path.len);
	path.len = 0;
	bytes_format(&path, "%s/tmp/%s", sink.maildir, session->file);
	session->content.copy = fopen(bytes_text(&path), "wx");
	if (session->content.copy == NULL)
		die("%s: %s", path.at, strerror(errno));
	bytes_free(&path);
}

static void maildir_close(struct session *session, bool is_kept)
{
	struct bytes from = { 0 }, to = { 0 };

	if (session->content.copy == NULL)
		return;
	bytes_format(&from, "%s/tmp/%s", sink.maildir, session->file);
	bytes_format(&to, "%s/new/%s", sink.maildir, session->file);
	if (fclose(session->content.copy) != 0)
		die("%s: %s", bytes_text(&from), strerror(errno));
	session->content.copy = NULL;
	if (is_kept ? rename(bytes_text(&from), bytes_text(&to)) != 0
		    : unlink(bytes_text(&from)) != 0)
		die("%s: %s", bytes_text(&from), strerror(errno));
	bytes_free(&from);
	bytes_free(&to);
}

static void record_message(struct session *session, bool is_unanswered)
{
	struct content *content = &session->content;
	char digest[DIGEST_HEX];
	struct bytes line;

	digest_end(content->digest, digest);
	journal_begin(&line, "message");
	journal_member(&line, "host", session->host->name);
	journal_member(&line, "peer", session->peer);
	journal_member(&line, "from", session->from);
	bytes_put(&line, ",\"to\":");
	texts_json(&line, &session->to);
	if (content->token != NULL)
		journal_member(&line, "token", content->token);
	journal_member(&line, "sha256", digest);
	bytes_format(&line, ",\"size\":%llu,\"size_all\":%llu,\"received\":%u,\"dsn\":%s",
		(unsigned long long)content->size, (unsigned long long)content->size_all,
		content->received_count, content_is_dsn(content) ? "true" : "false");
	if (content_is_dsn(content)) {
		bytes_put(&line, ",\"original_tokens\":");
		texts_json(&line, &content->original_tokens);
		bytes_put(&line, ",\"failed\":");
		texts_json(&line, &content->failed);
		bytes_put(&line, ",\"delayed\":");
		texts_json(&line, &content->delayed);
	}
	if (session->params != NULL)
		journal_member(&line, "params", session->params);
	if (session->has_to_params) {
		bytes_put(&line, ",\"rcpt_params\":");
		texts_json(&line, &session->to_params);
	}
	if (session->user != NULL)
		journal_member(&line, "user", session->user);
	if (session->file != NULL)
		journal_member(&line, "file", session->file);
	bytes_format(&line, ",\"tls\":%s,\"unanswered\":%s",
		session->ssl != NULL ? "true" : "false", is_unanswered ? "true" : "false");
	journal_end(&sink.journal, &line);
}

static void count_message(struct session *session, bool is_unanswered)
{
	struct host *host = session->host;

	session->messages++;
	host->messages++;
	host->recipients += session->to.count;
	host->octets += session->content.size_all;
	host->dsns += content_is_dsn(&session->content);
	host->unanswered += is_unanswered;
	if (session->content.bare_cr > 0)
		violation(session, "bare CR in the content");
	if (session->content.bare_lf > 0)
		violation(session, "bare LF in the content");
}

static void finish_data(struct session *session)
{
	const char *words = NULL;

	session->is_data = false;
	if (obeys_rule(session, STAGE_DOT, session->from, &session->to, &words)) {
		maildir_close(session, false);
	} else {
		record_message(session, session->loses_reply);
		count_message(session, session->loses_reply);
		maildir_close(session, true);
		if (session->loses_reply)
			session_end(session, "dropped after the dot", false);
		else
			answer(session, words, "250 2.0.0 taken");
	}
	content_free(&session->content);
	free(session->file);
	session->file = NULL;
	forget_mail(session);
}

/* Commands. */

static bool has_extension(const struct host *host, const char *keyword)
{
	for (size_t i = 0; i < host->behaviour.ext_off.count; i++)
		if (strcasecmp(host->behaviour.ext_off.at[i], keyword) == 0)
			return false;
	return true;
}

static void do_ehlo(struct session *session, const char *verb, char *argument)
{
	static const char *const usual[] = { "PIPELINING", "8BITMIME", "SIZE 104857600",
		"ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN" };
	const struct texts *more = &session->host->behaviour.ext_on;
	const char *words = NULL;

	forget_mail(session);
	free(session->helo);
	session->helo = copy_text(argument, strlen(argument));
	if (obeys_rule(session, STAGE_EHLO, argument, NULL, &words))
		return;
	if (words != NULL || strcasecmp(verb, "HELO") == 0) {
		answer(session, words, "250 outlast-sink");
		return;
	}
	bytes_format(&session->out, "250-%s greets you\r\n", session->host->name);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		char keyword[32];

		snprintf(keyword, sizeof(keyword), "%.*s", (int)strcspn(usual[i], " "), usual[i]);
		if (has_extension(session->host, keyword))
			bytes_format(&session->out, "250-%s\r\n", usual[i]);
	}
	if (sink.tls != NULL && session->ssl == NULL && has_extension(session->host, "STARTTLS"))
		reply(session, "250-STARTTLS");
	if (sink.auth != NULL && has_extension(session->host, "AUTH"))
		reply(session, "250-AUTH PLAIN");
	for (size_t i = 0; i < more->count; i++)
		bytes_format(&session->out, "250-%s\r\n", more->at[i]);
	reply(session, "250 HELP");
}

/* "FROM:<a@b> SIZE=1": cuts the path out; the parameters stay behind *line. NULL: not one. */
static char *take_path(char **line, const char *keyword)
{
	size_t len = strlen(keyword);
	char *open, *close;

	if (strncasecmp(*line, keyword, len) != 0)
		return NULL;
	open = *line + len;
	open += strspn(open, " ");
	close = *open == '<' ? strchr(open, '>') : NULL;
	if (close == NULL)
		return NULL;
	*close = '\0';
	*line = close + 1 + strspn(close + 1, " ");
	return open + 1;
}

static void do_mail(struct session *session, char *argument)
{
	const char *words = NULL;
	const char *from = take_path(&argument, "FROM:");

	if (session->helo == NULL || session->has_mail) {
		violation(session, "MAIL out of order");
		reply(session, "503 5.5.1 out of order");
		return;
	}
	if (from == NULL) {
		violation(session, "syntax of MAIL");
		reply(session, "501 5.5.4 syntax");
		return;
	}
	if (sink.auth != NULL && session->user == NULL) {
		session->host->rejects++;
		reply(session, "530 5.7.0 authentication required");
		return;
	}
	if (!behaviour_takes(&session->host->behaviour, mono_ms())) {
		session->host->rate_refused++;
		session->host->rejects++;
		note(session, "reject", "rate", from);
		reply(session, session->host->behaviour.rate_reply);
		session->closes = strncmp(session->host->behaviour.rate_reply, "421", 3) == 0;
		return;
	}
	if (obeys_rule(session, STAGE_MAIL, from, NULL, &words))
		return;
	session->has_mail = true;
	session->from = copy_text(from, strlen(from));
	if (*argument != '\0')
		session->params = copy_text(argument, strlen(argument));
	answer(session, words, "250 2.1.0 sender ok");
}

static void do_rcpt(struct session *session, char *argument)
{
	const char *words = NULL;
	const char *to = take_path(&argument, "TO:");

	if (!session->has_mail) {
		/* Legal for a pipelining client whose MAIL was refused. */
		reply(session, "503 5.5.1 MAIL first");
		return;
	}
	if (to == NULL || *to == '\0') {
		violation(session, "syntax of RCPT");
		reply(session, "501 5.5.4 syntax");
		return;
	}
	if (obeys_rule(session, STAGE_RCPT, to, NULL, &words))
		return;
	texts_add(&session->to, to, strlen(to));
	texts_add(&session->to_params, argument, strlen(argument));
	session->has_to_params |= *argument != '\0';
	answer(session, words, "250 2.1.5 recipient ok");
}

static void do_data(struct session *session)
{
	const char *words = NULL;

	if (session->to.count == 0) {
		reply(session, "503 5.5.1 no valid recipients");
		return;
	}
	if (obeys_rule(session, STAGE_DATA, session->from, &session->to, &words))
		return;
	content_start(&session->content);
	maildir_open(session);
	session->is_data = true;
	answer(session, words, "354 go ahead");
}

static void do_starttls(struct session *session)
{
	if (sink.tls == NULL || session->ssl != NULL) {
		reply(session, "502 5.5.1 no");
		return;
	}
	if (session->in.len > 0)
		violation(session, "octets behind STARTTLS");
	session->in.len = 0;
	reply(session, "220 2.0.0 go ahead");
	session->starts_tls = true;
	free(session->helo);
	session->helo = NULL;
	forget_mail(session);
}

static void do_auth(struct session *session, char *argument)
{
	char *mechanism = next_word(&argument);

	if (sink.auth != NULL && mechanism != NULL && strcasecmp(mechanism, "PLAIN") == 0 &&
		strcmp(rest_of(argument), sink.auth) == 0) {
		free(session->user);
		session->user = copy_text("authenticated", 13);
		reply(session, "235 2.7.0 welcome");
		return;
	}
	session->host->rejects++;
	note(session, "reject", "auth", mechanism != NULL ? mechanism : "");
	reply(session, "535 5.7.8 wrong credentials");
}

static void do_quit(struct session *session)
{
	const char *words = NULL;

	if (obeys_rule(session, STAGE_QUIT, NULL, NULL, &words))
		return;
	answer(session, words, "221 2.0.0 bye");
	session->closes = true;
}

static void run_command(struct session *session, char *line)
{
	char *verb;

	if (session->in.len > 0 && !has_extension(session->host, "PIPELINING"))
		violation(session, "pipelining that was not offered");
	verb = next_word(&line);
	if (verb == NULL)
		verb = line;
	if (strcasecmp(verb, "EHLO") == 0 || strcasecmp(verb, "HELO") == 0) {
		do_ehlo(session, verb, rest_of(line));
	} else if (strcasecmp(verb, "MAIL") == 0) {
		do_mail(session, rest_of(line));
	} else if (strcasecmp(verb, "RCPT") == 0) {
		do_rcpt(session, rest_of(line));
	} else if (strcasecmp(verb, "DATA") == 0) {
		do_data(session);
	} else if (strcasecmp(verb, "RSET") == 0) {
		forget_mail(session);
		reply(session, "250 2.0.0 reset");
	} else if (strcasecmp(verb, "NOOP") == 0) {
		reply(session, "250 2.0.0 ok");
	} else if (strcasecmp(verb, "STARTTLS") == 0) {
		do_starttls(session);
	} else if (strcasecmp(verb, "AUTH") == 0) {
		do_auth(session, rest_of(line));
	} else if (strcasecmp(verb, "QUIT") == 0) {
		do_quit(session);
	} else {
		violation(session, "unknown command");
		reply(session, "500 5.5.2 unknown command");
	}
}

/* Input. */

static void take_command(struct session *session, size_t len)
{
	char *line = copy_text(session->in.at, len);
	size_t text_len = len;

	if (text_len > 0 && line[text_len - 1] == '\r')
		line[--text_len] = '\0';
	else
		violation(session, "command line ends in a bare LF");
	if (strlen(line) != text_len)
		violation(session, "NUL in a command");
	bytes_consume(&session->in, len + 1);
	run_command(session, line);
	free(line);
}

static void take_content(struct session *session)
{
	const char *words = NULL;
	size_t used;
	bool is_end;

	if (session->content.size_all == 0 && session->host->behaviour.rules != NULL &&
		obeys_rule(session, STAGE_CONTENT, session->from, &session->to, &words))
		return;
	is_end = content_feed(&session->content, session->in.at, session->in.len, &used);
	bytes_consume(&session->in, used);
	if (is_end)
		finish_data(session);
}

static void session_take_input(struct session *session)
{
	while (session->ending == NULL && !session->closes && !session->starts_tls &&
		session->held_until_ms == 0 && session->in.len > 0) {
		const char *end;

		if (session->is_data) {
			take_content(session);
			continue;
		}
		end = memchr(session->in.at, '\n', session->in.len);
		if (end == NULL) {
			if (session->in.len > LINE_MAX_OCTETS)
				session_end(session, "line too long", false);
			return;
		}
		take_command(session, (size_t)(end - session->in.at));
	}
}

#endif
