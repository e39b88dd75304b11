/*
 * server_tls - STARTTLS (RFC 3207), and TLS from the first octet on (RFC 8314).
 *
 * Octets behind the STARTTLS line were sent in clear text by somebody who hopes that they are taken for commands under
 * TLS: the session ends. What arrives later in clear text fails the adapter's handshake. Behind it nothing that was
 * said before counts.
 */
#include <string.h>

#include "base/mem.h"
#include "session.h"

bool server_offers_tls(const struct smtp_server *s)
{
	return s->has_tls && s->tls_mode == LISTENER_STARTTLS && !s->info.is_tls;
}

void server_on_starttls(struct smtp_server *s, const struct command *c)
{
	(void)c;
	if (!server_offers_tls(s)) {
		server_refuse(s, s->info.is_tls ? 503 : 502, STATUS(5, 5, 1),
			s->info.is_tls ? "TLS is active already" : "STARTTLS is not supported");
	} else if (s->behind->len > 0) {
		server_reply(s, 554, STATUS(5, 5, 0), "octets behind STARTTLS");
		server_close(s, "octets behind STARTTLS", true);
	} else {
		server_reply(s, 220, STATUS(2, 0, 0), "ready to start TLS");
		server_enter(s, SESSION_HANDSHAKE);
		server_start_tls(s);
	}
}

void server_start_tls(struct smtp_server *s)
{
	struct tls_want want = { .is_server = true };

	s->net->conn_start_tls(s->conn, &want);
}

/* A certificate that does not verify is as good as none; the log says why, for whoever wonders. */
static void note_certificate(struct smtp_server *s, const struct tls_info *info)
{
	struct buf client;

	if (info->is_verified) {
		s->info.certificate = arena_dup(&s->arena, info->peer);
	} else if (info->fault != TLS_FAULT_NONE) {
		buf_init(&client, 256);
		endpoint_format_ip(&client, &s->info.client);
		log_text(s->env->log, LOG_NOTICE, "smtpd",
			"certificate of client [%s] is not verified: %.*s", buf_cstr(&client),
			STR_FMT(info->problem));
		buf_fini(&client);
	}
}

/* By itself: for most sessions it would be all that an arena's first block holds. */
static void keep_cipher(struct smtp_server *s, const struct tls_info *info)
{
	size_t len = info->protocol.len + 1 + info->cipher.len;
	struct buf text;

	buf_init(&text, len);
	buf_append_str(&text, info->protocol);
	buf_append_char(&text, ' ');
	buf_append_str(&text, info->cipher);
	s->tls_text = mem_alloc(len);
	memcpy(s->tls_text, text.data, len);
	s->info.tls = str_of(s->tls_text, len);
	buf_fini(&text);
}

static void forget(struct smtp_server *s)
{
	s->info.helo = (struct str){ 0 };
	s->info.user = (struct str){ 0 };
	s->info.is_esmtp = false;
	server_forget_front(s);
}

static const char *close_reason(struct smtp_server *s, enum err err, const struct tls_info *info)
{
	if (err == ERR_TIMEOUT)
		return "timeout in the TLS handshake";
	return arena_printf(&s->arena, "TLS handshake failed: %.*s", STR_FMT(info->problem)).data;
}

static void log_established(struct smtp_server *s)
{
	struct buf client;

	if (s->env->log->level < LOG_DEBUG)
		return;
	buf_init(&client, 512);
	smtp_server_append_client(&client, &s->info);
	log_text(s->env->log, LOG_DEBUG, "smtpd", "%s TLS connection established from %s: %.*s",
		s->info.certificate.len > 0 ? "Trusted" : "Anonymous", buf_cstr(&client),
		STR_FMT(s->info.tls));
	buf_fini(&client);
}

void server_on_tls(void *user, enum err err, const struct tls_info *info)
{
	struct smtp_server *s = user;

	if (s->state != SESSION_HANDSHAKE)
		return;
	if (err != OK) {
		server_close(s, close_reason(s, err, info), false);
		return;
	}
	forget(s);
	s->info.is_tls = true;
	keep_cipher(s, info);
	note_certificate(s, info);
	log_established(s);
	if (s->tls_mode == LISTENER_IMPLICIT) {
		server_enter(s, SESSION_DELAY);
		if (s->conf->smtpd.greeting_delay_ms == 0)
			server_greet(s);
	} else {
		server_enter(s, SESSION_COMMAND);
	}
}
