/*
 * os_net - port/net.h on libuv and OpenSSL.
 *
 * One 64 KiB buffer serves the reads of all connections, so an idle connection costs about one KiB,
 * with TLS about sixteen. Octets that came in the same on_read as the STARTTLS line, behind it, are
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
};

/*
 * os_net_load_tls - reads the files anew; connections that are open keep what they have. On failure
 * everything stays as it was, and problem (appended to) says which file and why. Takes some 60 ms
 * (the system's authorities). conn_start_tls before the first call answers ERR_UNSUPPORTED. Errors:
 * ERR_TLS.
 */
MUST_USE enum err os_net_load_tls(
	struct os_net *n, const struct os_net_tls *files, struct buf *problem);
/* os_net_has_certificate - STARTTLS can be offered to clients. */
bool os_net_has_certificate(const struct os_net *n);

#endif
