/* net_uv - what the files of the net adapter share: the net, its connections, and the seams between
 * them. */
#ifndef OS_NET_UV_H
#define OS_NET_UV_H

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/map.h"
#include "env_uv.h"
#include "os/os_net.h"

#define NET_READ_BYTES ((size_t)64 * 1024)
/* Users bound their output far below; past this the connection is given up. */
#define NET_OUTPUT_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define NET_HANDSHAKE_LIMIT_MS (30 * SECOND_MS)
#define NET_FLUSH_LIMIT_MS (10 * SECOND_MS)
/* Kept open so that the store and deliveries find descriptors when clients have used up the rest.
 */
#define NET_RESERVE_COUNT 8

struct tls_ticket_key {
	unsigned char name[16], cipher[32], mac[32];
	struct mono made;
	bool is_made;
};

struct net_uv {
	struct os_env *env;
	struct turn_hook flush_hook;
	struct list conns;
	struct list listeners;
	struct list dirty; /* of conn.dirty_link: output to flush at the end of the turn */
	size_t conn_count;
	size_t handle_count; /* libuv handles whose close callback has not run */
	int *inherited_fds;
	size_t inherited_count;
	int reserve_fds[NET_RESERVE_COUNT];
	size_t reserve_count;
	int64_t handshake_limit_ms; /* real time, both; fields so that tests need not wait */
	int64_t flush_limit_ms;
	BIO_METHOD *bio_method;
	SSL_CTX *client_context; /* NULL: os_net_load_tls was not called */
	SSL_CTX *lax_context;    /* for TLS_CHECK_NONE */
	SSL_CTX *server_context; /* NULL: no certificate */
	struct tls_ticket_key ticket_keys[2]; /* the one in use, the one before */
	struct map sessions;                  /* with next hops, see tls_session.c */
	size_t session_count;
	char read_buffer[NET_READ_BYTES];
	char clear_buffer[NET_READ_BYTES]; /* what TLS made of it */
};

/* What on_event tells the user, in this order. */
enum conn_event {
	CONN_EVENT_OPEN = 1,
	CONN_EVENT_TLS = 2,
	CONN_EVENT_PUMP = 4, /* clear text may wait inside TLS */
	CONN_EVENT_DRAINED = 8,
	CONN_EVENT_BROKEN =
		16, /* output failed; told as the end, unless the input ends by itself first */
};

struct tls;

/* Most of the time a connection has nothing under way but reading. */
struct conn_requests {
	union { /* never two at a time */
		uv_connect_t connect;
		uv_shutdown_t shutdown;
	};
	uv_write_t write;
	struct buf flight; /* output libuv has */
};

struct conn {
	struct net_uv *net;
	struct list link;
	struct list dirty_link;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	struct conn_requests *requests; /* NULL: libuv was asked for nothing yet */
	const struct conn_handler *handler; /* NULL once detached */
	void *user;
	struct { /* a struct endpoint that takes only as much as it needs */
		enum address_family family;
		uint16_t port;
		uint8_t ip[16];
		char *path; /* NULL but for FAMILY_UNIX */
	} peer;
	struct buf clear;  /* output not yet encrypted; unused without TLS */
	struct buf wire;   /* output as it leaves */
	struct deferred event;
	struct timer
		deadline; /* of connecting, of the TLS handshake, of closing: one after the other */
	struct tls *tls;
	unsigned pending; /* enum conn_event */
	size_t read_limit; /* octets a call of on_read; 0: any */
	unsigned broken_turns;
	enum err open_err;
	size_t lingered_bytes; /* read and dropped since the user closed */
	bool is_opening;
	bool is_open;
	bool wants_read;    /* the user's wish */
	bool is_polling;    /* libuv reads */
	bool is_input_done; /* end of file or error seen */
	bool is_ended;      /* on_end was called, or never will be */
	bool is_writing;    /* flight is with libuv */
	bool is_broken;     /* output is dropped */
	bool was_unsent;    /* on_drained is owed */
	bool is_detached;   /* the user has closed */
	bool is_shutting;   /* all output left; waiting for the peer's end */
	bool is_closing;    /* uv_close was called; freed in its callback */
};

/* net_conn.c */
extern const struct net_ops net_uv_ops;
/* conn_accepted - a conn around an accepted socket; NULL, and fd closed, when libuv refuses it. */
struct conn *conn_accepted(struct net_uv *net, int fd, const struct endpoint *peer);
void conn_post(struct conn *c, enum conn_event event);
void conn_mark_dirty(struct conn *c);
void conn_update_reading(struct conn *c);
/* conn_finish_input - tells the user, or the handshake that is going on, that no more input will
 * come. */
void conn_finish_input(struct conn *c, enum err err);
void conn_start_reading(struct conn *c); /* an accepted conn after on_accept */
/* conn_shut - gives the socket up at once; the memory goes in the close callback. */
void conn_shut(struct conn *c);
void conn_flush_all(struct turn_hook *hook);
void conn_flush(struct conn *c); /* now, without waiting for the end of the turn */

/* net_listen.c */
enum err listener_open(struct net *net, const struct endpoint *at, unsigned mode,
	const struct listener_handler *handler, void *user, struct listener **out);
void listener_tell_endpoint(struct listener *l, struct endpoint *out);
void listener_set_paused(struct listener *l, bool is_paused);
void listener_shut(struct listener *l);
void listener_shut_all(struct net_uv *net);
void net_reserve_release(struct net_uv *net);
bool net_reserve_take(struct net_uv *net);

/* net_address.c */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);
void endpoint_from_sockaddr(const struct sockaddr_storage *from, struct endpoint *out);

/* tls_session.c */
void tls_sessions_init(struct net_uv *net);
void tls_sessions_fini(struct net_uv *net);

/* net_tls.c */
void tls_start(struct conn *c, const struct tls_want *want);
/* tls_feed - octets from the wire. */
void tls_feed(struct conn *c, const char *data, size_t len);
void tls_pump(struct conn *c); /* hands out clear text while the user reads */
void tls_seal(struct conn
		*c); /* clear -> wire, a bounded amount; then, for a closing conn, the goodbye */
bool tls_is_handshaking(const struct conn *c);
bool tls_is_settled(const struct conn *c); /* over, but on_tls has not been called */
bool tls_is_open(const struct conn *c);
void tls_fail(struct conn *c, enum err err, const char *problem);
void tls_report(struct conn *c); /* calls on_tls */
void tls_free(struct conn *c);

#endif
