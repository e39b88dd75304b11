/*
 * server_auth - AUTH PLAIN and LOGIN, RFC 4954 and 4616; LOGIN as its users know it.
 *
 * Offered only when there are users, and where nobody can listen: under TLS, to clients on the same host, or
 * because the configuration says so. The handler checks the password, later; input waits for it.
 */
#include "base64.h"
#include "session.h"

#define CREDENTIALS_BYTES_MAX 4096

static void on_plain(struct smtp_server *s, struct str octets);
static void check(struct smtp_server *s, struct str name, struct str password);

static bool is_private_enough(const struct smtp_server *s)
{
	return s->info.is_tls || s->conf->auth_without_tls ||
	       (endpoint_is_loopback(&s->info.client) && s->info.is_from_here);
}

bool server_offers_auth(const struct smtp_server *s)
{
	return s->conf->user_count > 0 && is_private_enough(s);
}

static void ask(struct smtp_server *s, enum auth_step step, const char *challenge)
{
	s->auth_step = step;
	server_reply(s, 334, (struct status){ 0 }, "%s", challenge);
	server_enter(s, SESSION_AUTH);
}

static void fail(struct smtp_server *s, unsigned code, struct status status, const char *text)
{
	if (s->state == SESSION_AUTH)
		server_enter(s, SESSION_COMMAND);
	server_refuse(s, code, status, "%s", text);
}

/* One decoded response of the client's. */
static void on_response(struct smtp_server *s, struct str octets)
{
	switch (s->auth_step) {
	case AUTH_PLAIN:
		on_plain(s, octets);
		break;
	case AUTH_LOGIN_NAME:
		buf_clear(&s->auth_name);
		buf_append_str(&s->auth_name, octets);
		ask(s, AUTH_LOGIN_PASSWORD, "UGFzc3dvcmQ6"); /* "Password:" */
		break;
	case AUTH_LOGIN_PASSWORD:
		check(s, buf_str(&s->auth_name), octets);
		break;
	}
}

static void take_response(struct smtp_server *s, struct str text)
{
	struct buf octets;

	buf_init(&octets, CREDENTIALS_BYTES_MAX);
	if (base64_decode(&octets, text) == OK)
		on_response(s, buf_str(&octets));
	else
		fail(s, 501, STATUS(5, 5, 2), "response is not base64");
	server_wipe(&octets);
}

void server_on_auth(struct smtp_server *s, const struct command *c)
{
	bool is_plain = str_equal_fold(c->argument, STR("PLAIN"));

	s->info.mechanism = is_plain ? STR("PLAIN") : STR("LOGIN");
	if (s->conf->user_count == 0) {
		fail(s, 502, STATUS(5, 5, 1), "AUTH is not supported");
	} else if (s->info.user.len > 0) {
		fail(s, 503, STATUS(5, 5, 1), "already authenticated");
	} else if (!is_private_enough(s)) {
		fail(s, 538, STATUS(5, 7, 11), "AUTH needs STARTTLS first");
	} else if (!is_plain && !str_equal_fold(c->argument, STR("LOGIN"))) {
		fail(s, 504, STATUS(5, 5, 4), "only PLAIN and LOGIN are supported");
	} else if (c->initial.len > 0) {
		s->auth_step = is_plain ? AUTH_PLAIN : AUTH_LOGIN_NAME;
		take_response(s, str_equal(c->initial, STR("=")) ? STR("") : c->initial);
	} else if (is_plain) {
		ask(s, AUTH_PLAIN, "");
	} else {
		ask(s, AUTH_LOGIN_NAME, "VXNlcm5hbWU6"); /* "Username:" */
	}
}

void server_on_auth_line(struct smtp_server *s, struct str line)
{
	if (str_equal(line, STR("*")))
		fail(s, 501, STATUS(5, 7, 0), "authentication canceled");
	else
		take_response(s, line);
}

/* RFC 4616: authorization identity NUL name NUL password. Nobody may act for somebody else. */
static void on_plain(struct smtp_server *s, struct str octets)
{
	struct str rest = octets;
	struct str authorize = str_cut(&rest, '\0');
	struct str name = str_cut(&rest, '\0');

	if (authorize.len + name.len + 2 > octets.len || str_find(rest, '\0') < rest.len)
		fail(s, 501, STATUS(5, 5, 2), "malformed PLAIN response");
	else if (authorize.len > 0 && !str_equal(authorize, name))
		fail(s, 535, STATUS(5, 7, 8), "authentication credentials invalid");
	else
		check(s, name, rest);
}

static void check(struct smtp_server *s, struct str name, struct str password)
{
	if (name.len == 0 || password.len == 0) {
		fail(s, 535, STATUS(5, 7, 8), "authentication credentials invalid");
		return;
	}
	if (name.data != s->auth_name.data) {
		buf_clear(&s->auth_name);
		buf_append_str(&s->auth_name, name);
	}
	server_enter(s, SESSION_CHECKING);
	s->handler->on_auth(s->user, s, buf_str(&s->auth_name), password);
}

void smtp_server_auth_done(struct smtp_server *s, enum smtp_auth_result result)
{
	if (s->state != SESSION_CHECKING)
		return; /* closed meanwhile */
	server_enter(s, SESSION_COMMAND);
	switch (result) {
	case SMTP_AUTH_GOOD:
		s->info.user = arena_dup(&s->arena, buf_str(&s->auth_name));
		server_reply(s, 235, STATUS(2, 7, 0), "authentication successful");
		break;
	case SMTP_AUTH_BAD:
		server_refuse(s, 535, STATUS(5, 7, 8), "authentication credentials invalid");
		break;
	case SMTP_AUTH_LATER:
		server_refuse(s, 454, STATUS(4, 7, 0),
			"temporary authentication failure, try again later");
		break;
	}
}
