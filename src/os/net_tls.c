/*
 * net_tls - TLS over a conn.
 *
 * OpenSSL takes octets from what the wire brought and puts them behind the conn's wire output, in reads
 * too (tls_bio.c). Clear text that arrived before
 * conn_start_tls never gets past it: before our "220" has left, or after the server's, nothing but
 * TLS may follow, so octets already waiting in the kernel mean injection, and those that come later
 * are no TLS record. Either way the handshake fails with ERR_TLS.
 *
 * The outcome is posted and told by tls_report in a turn of its own; input waits for that.
 */
#include <openssl/err.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tls_private.h"

/* Clear text is encrypted when the wire wants more, so ciphertext does not pile up. */
#define SEAL_BYTES ((size_t)64 * 1024)
#define SEAL_MORE_BYTES 256 /* what records add to so much */
/* More than sealing ever makes: a peer that asks to renegotiate and does not take the answers. */
#define WIRE_MAX_BYTES ((size_t)1024 * 1024)
#define TEXT_MAX_BYTES 1024
#define ALERT_MAX 255

static void pump(struct conn *c);

bool tls_is_handshaking(const struct conn *c)
{
	return c->tls && c->tls->state == TLS_HANDSHAKING;
}

bool tls_is_settled(const struct conn *c)
{
	return c->tls && c->tls->state == TLS_SETTLED;
}

bool tls_is_open(const struct conn *c)
{
	return c->tls && c->tls->state == TLS_OPEN;
}

static void settle(struct conn *c, enum err err)
{
	c->tls->state = TLS_SETTLED;
	c->tls->err = err;
	env_timer_stop(&c->net->env->env, &c->deadline);
	if (err != OK) {
		c->is_ended = true; /* on_tls tells it, not on_end */
		c->is_input_done = true;
		buf_clear(&c->clear);
	}
	/* Else it is read on in a moment, when the outcome is told; what comes before that waits, as conn_read_stop has it. */
	if (err != OK)
		conn_update_reading(c);
	conn_post(c, CONN_EVENT_TLS);
}

void tls_fail(struct conn *c, enum err err, const char *problem)
{
	c->tls->problem = problem;
	c->tls->fault = TLS_FAULT_HANDSHAKE;
	tls_session_forget(c);
	settle(c, err);
}

static SSL_CTX *context_for(const struct net_uv *net, const struct tls_want *want)
{
	if (want->is_server)
		return net->server_context;
	return want->check == TLS_CHECK_NONE ? net->lax_context : net->client_context;
}

/* Returns why there is no use in beginning, or NULL. */
static const char *make_ssl(struct conn *c, const struct tls_want *want, SSL_CTX *context)
{
	struct tls *tls = c->tls;

	tls->ssl = SSL_new(context);
	CHECK(tls->ssl);
	tls_bio_set(c);
	SSL_set_app_data(tls->ssl, c);
	tls->check = want->check;
	tls->is_unjudged =
		!want->is_server && want->check == TLS_CHECK_NONE && want->is_unjudged;
	if (want->is_server) {
		SSL_set_accept_state(tls->ssl);
		return NULL;
	}
	SSL_set_connect_state(tls->ssl);
	const char *problem = tls_verify_set(tls->ssl, want, &tls->has_names);
	if (!problem)
		tls_session_offer(c, want);
	return problem;
}

/* Octets in the kernel now were sent in clear, unless our side had already told the peer to begin.
 */
static bool has_injected_input(struct conn *c, bool is_server)
{
	uv_os_fd_t fd = -1;
	char octet;

	if (is_server && c->wire.len == 0)
		return false;
	return uv_fileno(&c->uv.handle, &fd) == 0 &&
	       recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* A peer's alert is told in its own words; OpenSSL's name them after SSL 3. */
static const char *handshake_problem(void)
{
	unsigned long code = ERR_peek_last_error();
	int reason = ERR_GET_REASON(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
		reason <= SSL_AD_REASON_OFFSET + ALERT_MAX)
		return SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
	return ERR_reason_error_string(code);
}

static void fail_handshake(struct conn *c)
{
	struct tls *tls = c->tls;
	const char *problem = handshake_problem();
	int reason = ERR_GET_REASON(ERR_peek_last_error());

	conn_flush(c); /* our alert, before the user closes */
	tls->is_alert = reason > SSL_AD_REASON_OFFSET;
	tls_fail(c, ERR_TLS, problem ? problem : "TLS handshake failed");
}

static void shake_hands(struct conn *c)
{
	ERR_clear_error();
	int result = SSL_do_handshake(c->tls->ssl);
	int error = SSL_get_error(c->tls->ssl, result);

	if (result == 1)
		settle(c, OK);
	else if (error != SSL_ERROR_WANT_READ)
		fail_handshake(c);
}

void tls_start(struct conn *c, const struct tls_want *want)
{
	SSL_CTX *context = context_for(c->net, want);
	const char *problem;

	CHECK(!c->tls);
	c->tls = mem_zalloc(sizeof(*c->tls));
	if (!c->is_open || c->is_ended) {
		tls_fail(c, ERR_TLS, "connection closed before the TLS handshake");
	} else if (has_injected_input(c, want->is_server)) {
		tls_fail(c, ERR_TLS, "clear text after STARTTLS");
		c->tls->fault = TLS_FAULT_INJECTED;
	} else if (!context) {
		tls_fail(c, ERR_UNSUPPORTED, "TLS is not set up");
	} else if ((problem = make_ssl(c, want, context))) {
		tls_fail(c, ERR_TLS, problem);
		if (want->check == TLS_CHECK_DANE)
			c->tls->fault = TLS_FAULT_TLSA;
	} else {
		env_timer_after(&c->net->env->env, &c->deadline, c->net->handshake_limit_ms);
		conn_update_reading(c);
		shake_hands(c);
	}
}

/* What the peer's certificate is worth; with TLS_CHECK_NONE what it would have been. */
static void judge(const struct tls *tls, struct tls_info *info, struct buf *problem)
{
	const X509 *x = SSL_get0_peer_certificate(tls->ssl);
	long result = SSL_get_verify_result(tls->ssl);
	bool is_server = SSL_is_server(tls->ssl);

	if (result != X509_V_OK) {
		info->fault = tls_verify_fault(result);
		tls_verify_tell(x, result, problem);
	} else if (x) {
		info->is_verified = is_server || tls->has_names;
	}
	if (tls->check == TLS_CHECK_DANE && SSL_get0_dane_authority(tls->ssl, NULL, NULL) < 0 &&
		!SSL_session_reused(tls->ssl))
		info->is_verified = false;
}

static void describe(
	const struct tls *tls, struct tls_info *info, struct buf *peer, struct buf *problem)
{
	const X509 *x = tls->ssl ? SSL_get0_peer_certificate(tls->ssl) : NULL;

	info->fault = tls->fault;
	if (tls->err == OK) {
		info->protocol = str_from_c(SSL_get_version(tls->ssl));
		info->cipher = str_from_c(SSL_get_cipher_name(tls->ssl));
		info->is_resumed = SSL_session_reused(tls->ssl);
		if (!tls->is_unjudged)
			judge(tls, info, problem);
	} else if (tls->rejected && tls->fault == TLS_FAULT_HANDSHAKE) {
		x = tls->rejected;
		info->fault = tls_verify_fault(SSL_get_verify_result(tls->ssl));
		tls_verify_tell(x, SSL_get_verify_result(tls->ssl), problem);
	} else {
		buf_printf(
			problem, "%s%s", tls->is_alert ? "the peer's alert: " : "", tls->problem);
	}
	if (x && (info->is_verified || !SSL_is_server(tls->ssl)))
		tls_verify_name(x, peer);
	info->peer = buf_str(peer);
	info->problem = buf_str(problem);
}

void tls_report(struct conn *c)
{
	struct tls *tls = c->tls;
	struct tls_info info = { 0 };
	struct buf peer, problem;

	buf_init(&peer, TEXT_MAX_BYTES);
	buf_init(&problem, TEXT_MAX_BYTES);
	tls->state = tls->err == OK ? TLS_OPEN : TLS_FAILED;
	describe(tls, &info, &peer, &problem);
	if (tls->err == OK) {
		conn_post(c, CONN_EVENT_PUMP);
		conn_update_reading(c);
		conn_mark_dirty(c);
	}
	c->handler->on_tls(c->user, tls->err, &info);
	buf_fini(&peer);
	buf_fini(&problem);
}

/* Alert or handshake: what a first record can be. */
static bool is_record(char octet)
{
	return octet == SSL3_RT_ALERT || octet == SSL3_RT_HANDSHAKE;
}

void tls_feed(struct conn *c, const char *data, size_t len)
{
	struct tls *tls = c->tls;

	if (tls->state == TLS_FAILED || !tls->ssl)
		return;
	if (!tls->has_input && !is_record(data[0])) {
		tls_fail(c, ERR_TLS, "clear text in place of the TLS handshake");
		return;
	}
	tls->has_input = true;
	tls_bio_offer(tls, data, len);
	if (tls->state == TLS_HANDSHAKING)
		shake_hands(c);
	else
		pump(c);
	tls_bio_hold(tls);
}

static void end_data(struct conn *c, int error)
{
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN: /* close_notify */
		conn_finish_input(c, ERR_EOF);
		break;
	default: /* a damaged record, an alert, an attempt to renegotiate */
		conn_finish_input(c, ERR_TLS);
		break;
	}
}

static void pump(struct conn *c)
{
	struct tls *tls = c->tls;
	char *buffer = c->net->clear_buffer;

	while (tls->state == TLS_OPEN && c->wants_read && !c->is_detached && !c->is_ended) {
		ERR_clear_error();
		int n = SSL_read(tls->ssl, buffer, (int)sizeof(c->net->clear_buffer));
		int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, n);
		if (n <= 0) {
			end_data(c, c->wire.len > WIRE_MAX_BYTES ? SSL_ERROR_SSL : error);
			return;
		}
		c->handler->on_read(c->user, str_of(buffer, (size_t)n));
	}
}

void tls_pump(struct conn *c)
{
	if (!tls_is_open(c))
		return;
	pump(c);
	tls_bio_hold(c->tls);
}

void tls_seal(struct conn *c)
{
	struct tls *tls = c->tls;

	if (tls->state != TLS_OPEN)
		return;
	while (c->clear.len > 0 && c->wire.len < SEAL_BYTES) {
		size_t count = c->clear.len < SEAL_BYTES ? c->clear.len : SEAL_BYTES;
		ERR_clear_error();
		(void)buf_reserve(&c->wire, count + SEAL_MORE_BYTES); /* grown once, not by record */
		int n = SSL_write(tls->ssl, c->clear.data, (int)count);
		if (n <= 0) {
			/* the connection is beyond use; say so as a failed write would */
			buf_clear(&c->clear);
			conn_finish_input(c, ERR_TLS);
			return;
		}
		buf_consume(&c->clear, (size_t)n);
	}
	if (c->clear.len == 0) {
		buf_fini(&c->clear);
		buf_init(&c->clear, NET_OUTPUT_MAX_BYTES);
	}
	if (c->clear.len == 0 && c->is_detached && !tls->has_said_goodbye) {
		tls->has_said_goodbye = true;
		ERR_clear_error();
		SSL_shutdown(tls->ssl);
	}
}

void tls_free(struct conn *c)
{
	if (!c->tls)
		return;
	/* Most peers hang up without a goodbye, which is no reason to forget the session. */
	if (c->tls->state == TLS_OPEN)
		SSL_set_shutdown(c->tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->tls->ssl); /* and its BIO */
	X509_free(c->tls->rejected);
	buf_fini(&c->tls->held);
	free(c->tls);
	c->tls = NULL;
}
