/* tls_private - what the TLS files of the net adapter share: net_tls.c shakes hands and moves octets, tls_verify.c
 * judges certificates. */
#ifndef OS_TLS_PRIVATE_H
#define OS_TLS_PRIVATE_H

#include "net_uv.h"

#define TICKET_LIFETIME_MS (HOUR_MS)
#define TLS_SESSION_KEY_BYTES 32

enum tls_state {
	TLS_HANDSHAKING,
	TLS_SETTLED, /* done or failed; not told yet */
	TLS_OPEN,
	TLS_FAILED
};

struct tls {
	enum tls_state state;
	SSL *ssl;        /* NULL: failed before it was made */
	struct str from; /* octets from the wire that OpenSSL has not taken yet */
	struct buf held; /* they, between two feeds */
	bool has_said_goodbye;
	enum tls_check check;
	bool is_unjudged; /* as tls_want has it */
	bool has_session_key;
	unsigned char session_key[TLS_SESSION_KEY_BYTES];
	bool has_names; /* to check the certificate against */
	bool has_input; /* something came from the wire */
	X509 *rejected; /* the peer's certificate, which the check refused; OpenSSL does not keep it then */
	bool is_alert;        /* failed: the peer told us so */
	enum tls_fault fault; /* failed: how, unless the certificate says it */
	enum err err;
	const char *problem; /* static */
};

/* tls_bio.c */
/* tls_bio_method - Owns: the caller frees it, after all that was set. */
BIO_METHOD *tls_bio_method(void);
/* tls_bio_set - between OpenSSL and the connection. */
void tls_bio_set(struct conn *c);
/* tls_bio_offer - octets of the wire, borrowed until tls_bio_hold, which keeps what OpenSSL did not take. */
void tls_bio_offer(struct tls *tls, const char *data, size_t len);
void tls_bio_hold(struct tls *tls);

/* tls_verify.c */
/* tls_verify_chain - for SSL_CTX_set_cert_verify_callback: as OpenSSL would, but a client's bad certificate ends no
 * session, and a server's is kept to tell of it. */
int tls_verify_chain(X509_STORE_CTX *store, void *arg);
/* tls_verify_set - client side: SNI, names, TLSA records. Returns why the handshake need not begin, or NULL.
 * has_names: there is something to check the certificate against. */
const char *tls_verify_set(SSL *ssl, const struct tls_want *want, bool *has_names);
/* tls_verify_fault - of an X509_V_* result. */
enum tls_fault tls_verify_fault(long result);
/* tls_verify_name - appends the common name, or the first DNS name or mail address, escaped; nothing when there is none. */
void tls_verify_name(const X509 *x, struct buf *out);
/* tls_verify_tell - appends what is wrong, and with whose certificate (x may be NULL). */
void tls_verify_tell(const X509 *x, long result, struct buf *out);

/* tls_session.c */
void tls_sessions_clear(struct net_uv *net);
void tls_session_set_up(SSL_CTX *client);
/* tls_session_offer - a kept session of the same key, if there is one. */
void tls_session_offer(struct conn *c, const struct tls_want *want);
/* tls_session_forget - all of the connection's key. */
void tls_session_forget(struct conn *c);

/* tls_ticket.c */
MUST_USE bool tls_ticket_set_up(SSL_CTX *server);

#endif
