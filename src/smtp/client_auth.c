/*
 * client_auth - AUTH PLAIN, else LOGIN, to a smarthost (RFC 4954). Credentials are said only where nobody can listen: under TLS, or
 * to this host.
 */
#include "base/mem.h"
#include "base64.h"
#include "client_private.h"

#define CREDENTIALS_BYTES_MAX ((size_t)8 * 1024)
#define AUTH_NEEDED STATUS(4, 7, 0)

enum auth_step { PLAIN_SAID, LOGIN_SAID, NAME_SAID, PASSWORD_SAID };

static void wipe(struct buf *b)
{
	mem_wipe(b->data, b->cap);
	buf_fini(b);
}

static void say_base64(struct smtp_client *c, const char *before, struct str octets)
{
	struct buf text;

	buf_init(&text, CREDENTIALS_BYTES_MAX);
	buf_append_str(&text, str_from_c(before));
	base64_encode(&text, octets);
	buf_append_str(&text, STR("\r\n"));
	client_write(c, buf_str(&text));
	wipe(&text);
}

static void say_plain(struct smtp_client *c)
{
	struct buf text;

	buf_init(&text, CREDENTIALS_BYTES_MAX);
	buf_append_char(&text, '\0');
	buf_append_str(&text, c->params.user);
	buf_append_char(&text, '\0');
	buf_append_str(&text, c->params.password);
	say_base64(c, "AUTH PLAIN ", buf_str(&text));
	wipe(&text);
}

static void say_login(struct smtp_client *c)
{
	c->auth_step = LOGIN_SAID;
	client_write(c, STR("AUTH LOGIN\r\n"));
	client_enter(c, CLIENT_AUTH);
}

void client_start_auth(struct smtp_client *c)
{
	if (c->info.tls.len == 0 && !endpoint_is_loopback(&c->params.to) &&
		c->params.to.family != FAMILY_UNIX) {
		client_fail_reason(c, STAGE_AUTH, ERR_UNSUPPORTED, AUTH_NEEDED,
			"the session is not encrypted, and credentials are configured");
	} else if (c->has_auth_plain) {
		c->auth_step = PLAIN_SAID;
		say_plain(c);
		client_enter(c, CLIENT_AUTH);
	} else if (c->has_auth_login) {
		say_login(c);
	} else {
		client_fail_reason(c, STAGE_AUTH, ERR_UNSUPPORTED, AUTH_NEEDED,
			"neither AUTH PLAIN nor LOGIN is offered, and credentials are configured");
	}
}

void client_on_auth(struct smtp_client *c, const struct reply *reply)
{
	/* Of the mechanism, not of the password, which must not be tried twice: accounts get locked. */
	bool is_other_wanted = reply->code == 504 || reply->code == 534;

	if (reply->code / 100 == 2) {
		client_ready(c);
	} else if (is_other_wanted && c->auth_step == PLAIN_SAID && c->has_auth_login) {
		say_login(c);
	} else if (reply->code == 334 && c->auth_step == LOGIN_SAID) {
		c->auth_step = NAME_SAID;
		say_base64(c, "", c->params.user);
		client_enter(c, CLIENT_AUTH);
	} else if (reply->code == 334 && c->auth_step == NAME_SAID) {
		c->auth_step = PASSWORD_SAID;
		say_base64(c, "", c->params.password);
		client_enter(c, CLIENT_AUTH);
	} else if (reply->code / 100 == 3) {
		client_fail_protocol(c, STAGE_AUTH, reply);
	} else {
		client_fail_reply(c, STAGE_AUTH, reply);
	}
}
