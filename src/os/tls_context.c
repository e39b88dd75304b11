/*
 * tls_context - the two SSL_CTX of a net, made from files: one for clients of ours, one for next
 * hops.
 *
 * Both are made before either is put in place, so a reload with a bad file changes nothing. Policy
 * that differs from connection to connection is set on the SSL object (net_tls.c).
 */
#include <openssl/err.h>

#include "tls_private.h"

#define CHAIN_DEPTH_MAX 10

static void tell(struct buf *problem, const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	buf_printf(problem, "%s", what);
	if (path)
		buf_printf(problem, " %s", path);
	buf_printf(problem, ": %s", reason ? reason : "unknown error");
}

static SSL_CTX *make_context(const SSL_METHOD *method)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context)
		return NULL;
	/* A TLS close is not the end of an SMTP conversation; QUIT and the final dot are. */
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
	SSL_CTX_set_cert_verify_callback(context, tls_verify_chain, NULL);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

/* RFC 6698 section 7.4: 1 is SHA-256, which OpenSSL knows by itself, 2 is SHA-512. */
static bool enable_dane(SSL_CTX *context)
{
	return SSL_CTX_dane_enable(context) > 0 &&
	       SSL_CTX_dane_mtype_set(context, EVP_sha512(), 2, 2) > 0;
}

static SSL_CTX *make_client(const struct os_net_tls *files, struct buf *problem)
{
	SSL_CTX *context = make_context(TLS_client_method());
	const char *path = files->authorities_path;

	if (!context || !enable_dane(context)) {
		tell(problem, "TLS", NULL);
		SSL_CTX_free(context);
		return NULL;
	}
	int result = path ? SSL_CTX_load_verify_file(context, path)
			  : SSL_CTX_set_default_verify_paths(context);
	if (result != 1) {
		tell(problem, "certificate authorities", path);
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

/* Against a passive listener weak TLS is better than none, which is the alternative. The authorities are shared. */
static SSL_CTX *make_lax(SSL_CTX *client, struct buf *problem)
{
	SSL_CTX *context = make_context(TLS_client_method());

	if (!context || SSL_CTX_set_cipher_list(context, "DEFAULT:@SECLEVEL=0") != 1) {
		tell(problem, "TLS", NULL);
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(client));
	return context;
}

static SSL_CTX *make_server(const struct os_net_tls *files, struct buf *problem)
{
	SSL_CTX *context = make_context(TLS_server_method());

	if (!context) {
		tell(problem, "TLS", NULL);
		return NULL;
	}
	SSL_CTX_set_num_tickets(context, 0);
	if (SSL_CTX_use_certificate_chain_file(context, files->certificate_path) != 1)
		tell(problem, "certificate", files->certificate_path);
	else if (SSL_CTX_use_PrivateKey_file(context, files->key_path, SSL_FILETYPE_PEM) != 1)
		tell(problem, "key", files->key_path);
	else if (SSL_CTX_check_private_key(context) != 1)
		tell(problem, "key does not fit the certificate", files->key_path);
	else
		return context;
	SSL_CTX_free(context);
	return NULL;
}

enum err os_net_load_tls(struct os_net *n, const struct os_net_tls *files, struct buf *problem)
{
	SSL_CTX *server = NULL, *lax, *client;

	ERR_clear_error();
	CHECK(!files->certificate_path || files->key_path);
	client = make_client(files, problem);
	if (!client)
		return ERR_TLS;
	lax = make_lax(client, problem);
	if (!lax)
		goto free_client;
	if (files->certificate_path) {
		server = make_server(files, problem);
		if (!server)
			goto free_lax;
	}
	SSL_CTX_free(n->uv->client_context);
	SSL_CTX_free(n->uv->lax_context);
	SSL_CTX_free(n->uv->server_context);
	n->uv->client_context = client;
	n->uv->lax_context = lax;
	n->uv->server_context = server;
	return OK;

free_lax:
	SSL_CTX_free(lax);
free_client:
	SSL_CTX_free(client);
	return ERR_TLS;
}
