/*
 * tls - a connection of the measuring tools in clear text or under TLS, read and written alike.
 *
 * OpenSSL on the descriptor itself, without a certificate check: what is measured is the relay, and this side is to
 * cost as little as it can. Clients keep the sessions they are given on one pile; a server without resumption
 * gives none.
 */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bench.h"

#define TLS_PILE_MAX 1000

static struct tls_pile {
	SSL_SESSION *at[TLS_PILE_MAX];
	size_t count;
} tls_pile;

static int tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (tls_pile.count == TLS_PILE_MAX)
		return 0;
	tls_pile.at[tls_pile.count++] = session;
	return 1;
}

static inline SSL_CTX *tls_context(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (context == NULL)
		die("TLS: no context");
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	return context;
}

static int tls_take_any(X509_STORE_CTX *store, void *arg)
{
	(void)store, (void)arg;
	return 1;
}

static inline SSL_CTX *tls_client(bool resumes)
{
	SSL_CTX *context = tls_context(TLS_client_method());

	SSL_CTX_set_cert_verify_callback(context, tls_take_any, NULL);

	SSL_CTX_set_session_cache_mode(context,
		resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
	if (resumes)
		SSL_CTX_sess_set_new_cb(context, tls_on_session);
	return context;
}

static inline SSL_CTX *tls_server(const char *certificate, const char *key, bool resumes)
{
	SSL_CTX *context = tls_context(TLS_server_method());

	if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
		die("%s, %s: no usable certificate and key", certificate, key);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	if (!resumes) {
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(context, 0);
	}
	return context;
}

static inline SSL *tls_begin(SSL_CTX *context, int fd, bool is_server)
{
	SSL *ssl = SSL_new(context);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		die("TLS: no session");
	if (is_server) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_connect_state(ssl);
	if (tls_pile.count > 0) { /* each is used once */
		SSL_SESSION *session = tls_pile.at[--tls_pile.count];
		SSL_set_session(ssl, session);
		SSL_SESSION_free(session);
	}
	return ssl;
}

/* Ends it in order, so that the session stays good. */
static inline void tls_end(SSL *ssl)
{
	if (ssl == NULL)
		return;
	ERR_clear_error();
	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	SSL_free(ssl);
}

static inline ssize_t tls_result(SSL *ssl, int done)
{
	switch (SSL_get_error(ssl, done)) {
	case SSL_ERROR_NONE:
		return done;
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = ECONNRESET;
		return -1;
	}
}

/* As recv and send. */
static inline ssize_t stream_read(SSL *ssl, int fd, void *to, size_t room)
{
	if (ssl == NULL)
		return recv(fd, to, room, 0);
	ERR_clear_error();
	return tls_result(ssl, SSL_read(ssl, to, (int)room));
}

static inline ssize_t stream_write(SSL *ssl, int fd, const void *from, size_t len)
{
	if (ssl == NULL)
		return send(fd, from, len, MSG_NOSIGNAL);
	ERR_clear_error();
	return tls_result(ssl, SSL_write(ssl, from, (int)len));
}

#endif
