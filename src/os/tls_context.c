/*
 * tls_context - the SSL_CTX of a net, made from files: one for clients of ours, two for next hops.
 *
 * All are made before any is put in place, so a reload with a bad file changes nothing. Policy that differs from
 * connection to connection is set on the SSL object (tls_verify.c).
 *
 * What clients are offered: TLS 1.2 and 1.3, forward secrecy always, authenticated ciphers first and CBC only for those
 * who know nothing else (the alternative to weak TLS is none), our order. Their certificates are asked for when there
 * are authorities to check them by, and never demanded.
 */
#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls_private.h"

#define CHAIN_DEPTH_MAX 10
#define WARN_BEFORE_S (14L * 24 * 3600)
/* AES with 128 bits is all that RFC 8446 asks for; SHA-256 and it are a good deal cheaper than SHA-384 and 256 bits. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
/* Each resumption brings the next; more only cost. */
#define TICKETS_PER_HANDSHAKE 1

struct os_tls {
	SSL_CTX *client, *lax, *server;
	char *warning; /* NULL: none */
};

/* Of several errors the first is the cause: "No such file or directory", not "system lib". */
static const char *reason(void)
{
	unsigned long code = ERR_get_error();

	ERR_clear_error();
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		return "nothing in PEM form in it";
	const char *text = ERR_reason_error_string(code);
	return text ? text : "unknown error";
}

static void tell(struct buf *problem, const char *what, const char *path)
{
	buf_printf(problem, "%s", what);
	if (path)
		buf_printf(problem, " %s", path);
	buf_printf(problem, ": %s", reason());
}

static SSL_CTX *make_context(const SSL_METHOD *method, struct buf *problem)
{
	SSL_CTX *context = SSL_CTX_new(method);

	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(context, SUITES) != 1) {
		tell(problem, "TLS", NULL);
		SSL_CTX_free(context);
		return NULL;
	}
	/* A TLS close is not the end of an SMTP conversation; QUIT and the final dot are. */
	SSL_CTX_set_options(context,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify_depth(context, CHAIN_DEPTH_MAX);
	SSL_CTX_set_cert_verify_callback(context, tls_verify_chain, NULL);
	return context;
}

/* --- next hops --- */

/* RFC 6698 section 7.4: 1 is SHA-256, which OpenSSL knows by itself, 2 is SHA-512. */
static bool enable_dane(SSL_CTX *context)
{
	return SSL_CTX_dane_enable(context) > 0 &&
	       SSL_CTX_dane_mtype_set(context, EVP_sha512(), 2, 2) > 0;
}

/* OpenSSL's own way also asks the directories, for each certificate that it does not know: measured, a tenth of all the
 * CPU of opportunistic deliveries, and reads of the disk in the loop. */
static bool load_system_authorities(SSL_CTX *client)
{
	const char *path = getenv(X509_get_default_cert_file_env());

	if (SSL_CTX_load_verify_file(client, path ? path : X509_get_default_cert_file()) == 1)
		return true;
	ERR_clear_error();
	return SSL_CTX_set_default_verify_paths(client) == 1;
}

static bool make_client(const struct os_net_tls *files, struct os_tls *t, struct buf *problem)
{
	const char *path = files->authorities_path;

	t->client = make_context(TLS_client_method(), problem);
	if (!t->client)
		return false;
	if (!enable_dane(t->client)) {
		tell(problem, "DANE", NULL);
		return false;
	}
	bool is_loaded = path ? SSL_CTX_load_verify_file(t->client, path) == 1
			      : load_system_authorities(t->client);
	if (!is_loaded) {
		tell(problem, "tls.authorities", path);
		return false;
	}
	tls_session_set_up(t->client);
	return true;
}

/* Against a passive listener weak TLS is better than none, which is the alternative. The authorities are shared. */
static bool make_lax(struct os_tls *t, struct buf *problem)
{
	t->lax = make_context(TLS_client_method(), problem);
	if (!t->lax)
		return false;
	if (SSL_CTX_set_cipher_list(t->lax, "DEFAULT:@SECLEVEL=0") != 1) {
		tell(problem, "TLS", NULL);
		return false;
	}
	SSL_CTX_set1_cert_store(t->lax, SSL_CTX_get_cert_store(t->client));
	tls_session_set_up(t->lax);
	return true;
}

/* --- clients --- */

static bool use_certificate(SSL_CTX *server, const struct os_net_tls *files, struct buf *problem)
{
	if (SSL_CTX_use_certificate_chain_file(server, files->certificate_path) != 1) {
		tell(problem, "tls.certificate", files->certificate_path);
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(server, files->key_path, SSL_FILETYPE_PEM) == 1 &&
		SSL_CTX_check_private_key(server) == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
		ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH)
		buf_printf(problem, "tls.key %s is not the key of tls.certificate %s",
			files->key_path, files->certificate_path);
	else
		tell(problem, "tls.key", files->key_path);
	return false;
}

/* A ticket of a client that showed a certificate counts only while the authorities are the same. */
static bool set_ticket_context(SSL_CTX *server, const STACK_OF(X509_NAME) * names)
{
	unsigned char digest[SHA256_DIGEST_LENGTH] = { 0 };
	X509_STORE *store = SSL_CTX_get_cert_store(server);
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	struct buf all;

	buf_init(&all, (size_t)16 * 1024 * 1024);
	for (int i = 0; names && i < sk_X509_OBJECT_num(objects); i++) {
		const X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		unsigned char one[EVP_MAX_MD_SIZE];
		unsigned len = 0;
		if (x && X509_digest(x, EVP_sha256(), one, &len) == 1)
			buf_append(&all, one, len);
	}
	SHA256((const unsigned char *)buf_cstr(&all), all.len, digest);
	buf_fini(&all);
	return SSL_CTX_set_session_id_context(server, digest, sizeof(digest)) == 1;
}

static bool ask_for_certificates(SSL_CTX *server, const char *path, struct buf *problem)
{
	STACK_OF(X509_NAME) *names = NULL;

	if (path) {
		names = SSL_load_client_CA_file(path);
		if (!names || SSL_CTX_load_verify_file(server, path) != 1) {
			tell(problem, "tls.client-authorities", path);
			sk_X509_NAME_pop_free(names, X509_NAME_free);
			return false;
		}
		SSL_CTX_set_verify(server, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_client_CA_list(server, names); /* its own now */
	}
	if (set_ticket_context(server, names))
		return true;
	tell(problem, "TLS", NULL);
	return false;
}

static void append_day(struct buf *out, const ASN1_TIME *at)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) == 1)
		buf_printf(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

/* Ours expired or soon will be: mail goes on, and who verifies us will not bring any. */
static char *warn_of_end(const SSL_CTX *server, const char *path)
{
	const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(server));
	int days, seconds;
	struct buf b;

	if (ASN1_TIME_diff(&days, &seconds, NULL, end) != 1 ||
		days * 86400L + seconds >= WARN_BEFORE_S)
		return NULL;
	buf_init(&b, 1024);
	buf_printf(&b, "tls.certificate %s ", path);
	if (days < 0 || seconds < 0)
		buf_append_str(&b, STR("has expired on "));
	else
		buf_append_str(&b, STR("expires on "));
	append_day(&b, end);
	buf_append_str(&b, STR(": renew it"));
	char *text = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static bool make_server(const struct os_net_tls *files, struct os_tls *t, struct buf *problem)
{
	int groups[] = { NID_X25519, NID_X9_62_prime256v1, NID_secp384r1 };

	t->server = make_context(TLS_server_method(), problem);
	if (!t->server || !use_certificate(t->server, files, problem) ||
		!ask_for_certificates(t->server, files->client_authorities_path, problem))
		return false;
	SSL_CTX_set_options(t->server, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_num_tickets(t->server, TICKETS_PER_HANDSHAKE);
	if (SSL_CTX_set_cipher_list(t->server, SERVER_CIPHERS) != 1 ||
		SSL_CTX_set1_groups(t->server, groups, ARRAY_COUNT(groups)) != 1 ||
		!tls_ticket_set_up(t->server)) {
		tell(problem, "TLS", NULL);
		return false;
	}
	t->warning = warn_of_end(t->server, files->certificate_path);
	return true;
}

/* --- all of it --- */

enum err os_tls_read(const struct os_net_tls *files, struct os_tls **out, struct buf *problem)
{
	struct os_tls *t = mem_zalloc(sizeof(*t));

	ERR_clear_error();
	CHECK(!files->certificate_path || files->key_path);
	if (make_client(files, t, problem) && make_lax(t, problem) &&
		(!files->certificate_path || make_server(files, t, problem))) {
		*out = t;
		return OK;
	}
	os_tls_free(t);
	*out = NULL;
	return ERR_TLS;
}

void os_tls_free(struct os_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->client);
	SSL_CTX_free(t->lax);
	SSL_CTX_free(t->server);
	free(t->warning);
	free(t);
}

static void swap(SSL_CTX **a, SSL_CTX **b)
{
	SSL_CTX *kept = *a;

	*a = *b;
	*b = kept;
}

void os_net_use_tls(struct os_net *n, struct os_tls *t)
{
	struct net_uv *net = n->uv;

	if (t->warning)
		log_text(net->env->env.log, LOG_WARNING, "tls", "%s", t->warning);
	swap(&net->client_context, &t->client);
	swap(&net->lax_context, &t->lax);
	swap(&net->server_context, &t->server);
	tls_sessions_clear(net); /* verified by other authorities, perhaps */
	os_tls_free(t);
}

enum err os_net_load_tls(struct os_net *n, const struct os_net_tls *files, struct buf *problem)
{
	struct os_tls *t;
	enum err err = os_tls_read(files, &t, problem);

	if (err == OK)
		os_net_use_tls(n, t);
	return err;
}
