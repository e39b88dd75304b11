/*
 * os_net - port/net.h on libuv and OpenSSL.
 *
 * One 64 KiB buffer serves the reads of all connections, so an idle connection costs about one KiB,
 * with TLS about eighteen. Octets that came in the same on_read as the STARTTLS line, behind it, are
 * the user's to refuse: only the user knows where that line ended. Accepting pauses by itself while
 * descriptors are used up, and goes on when some are free again. Thread: loop.
 */
#ifndef OS_OS_NET_H
#define OS_OS_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "os/os_env.h"
#include "port/net.h"

struct net_uv;

struct os_net {
	struct net net;    /* what the core gets */
	struct net_uv *uv; /* the adapter's */
};

/*
 * os_net_init - inherited_fds are listening sockets passed by the service manager: net_listen on
 * the address of one of them uses it in place of a new one. Owns: they become the adapter's, which
 * closes them in os_net_fini.
 */
void os_net_init(
	struct os_net *n, struct os_env *env, const int *inherited_fds, size_t inherited_count);

/* os_net_fini - closes all listeners and connections at once, without a word to their users. Not
 * from a handler. */
void os_net_fini(struct os_net *n);

/* os_net_conn_count - connections with a descriptor, those included that are only being flushed and
 * closed. */
size_t os_net_conn_count(const struct os_net *n);

struct os_net_tls {
	const char *certificate_path; /* PEM, the chain; NULL: no TLS for our clients */
	const char *key_path;
	const char *authorities_path; /* PEM bundle for TLS_CHECK_NAME; NULL: the system's */
	const char *client_authorities_path; /* PEM; NULL: clients are asked for no certificate */
};

struct os_tls; /* what was read from them, ready for use */
/*
 * os_tls_read - reads the files. On failure problem (appended to) says which and why. Takes some 60 ms (the system's
 * authorities). Owns: *out is the caller's until os_net_use_tls or os_tls_free. Errors: ERR_TLS.
 */
MUST_USE enum err os_tls_read(
	const struct os_net_tls *files, struct os_tls **out, struct buf *problem);
void os_tls_free(struct os_tls *t);
/* os_net_use_tls - takes t over for connections that begin TLS from now on; those that have it keep what they have. Warns in
 * the log of a certificate of ours that has expired, or will within 14 days. */
void os_net_use_tls(struct os_net *n, struct os_tls *t);

/* os_net_load_tls - the two in one. On failure everything stays as it was. conn_start_tls before the first answers
 * ERR_UNSUPPORTED. Errors: ERR_TLS. */
MUST_USE enum err os_net_load_tls(
	struct os_net *n, const struct os_net_tls *files, struct buf *problem);
/* os_net_has_certificate - STARTTLS can be offered to clients. */
bool os_net_has_certificate(const struct os_net *n);

#endif
