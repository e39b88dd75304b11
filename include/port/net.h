/*
 * net - byte streams as the core sees them. Adapters: os/ (libuv and OpenSSL) and sim/.
 *
 * A struct conn belongs to the adapter; its user holds a pointer from net_connect or on_accept until it calls
 * conn_close, after which it must not be touched and no handler of it is called. Handlers are never
 * called from inside a call of the user's: always from the loop. Thread: loop.
 *
 * Writing: conn_write copies; output of one turn of the loop leaves in one system call. conn_unsent tells what
 * waits; on_drained fires when it falls to zero after having been above zero. Users bound it: RELIABILITY row 33
 * (stop reading a client whose replies pile up over 64 KiB).
 * Reading: on until conn_read_stop; on_read hands octets that are valid during the call. At most 64 KiB a call.
 */
#ifndef PORT_NET_H
#define PORT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/str.h"

struct net;
struct conn;
struct listener;

enum tls_check {
	TLS_CHECK_NONE, /* opportunistic: any certificate, old algorithms allowed */
	TLS_CHECK_NAME, /* chain and host name must verify */
	TLS_CHECK_DANE  /* one of the TLSA records must match (RFC 6698, 7671, 7672: usages 2 and 3) */
};

struct net_tlsa {
	uint8_t usage, selector, matching;
	struct str data; /* octets */
};

/* net_tlsa_is_usable - by SMTP clients, RFC 7672 section 3.1: usages 2 and 3, and a digest that is known and whole. A
 * TLS_CHECK_DANE none of whose records is usable fails (TLS_FAULT_TLSA) before a word is said: whoever wants "encrypted,
 * but not verified" then, as RFC 7672 section 2.2 has it, asks for TLS_CHECK_NONE. */
static inline bool net_tlsa_is_usable(const struct net_tlsa *r)
{
	size_t whole = r->matching == 1 ? 32 : r->matching == 2 ? 64 : r->data.len;

	return (r->usage == 2 || r->usage == 3) && r->selector <= 1 && r->matching <= 2 &&
	       r->data.len > 0 && r->data.len == whole;
}

/* All is copied. */
struct tls_want {
	bool is_server;
	enum tls_check check;   /* client side */
	struct str server_name; /* SNI (DANE: the TLSA base domain); and the name to verify when names is empty */
	/* names - any of them will do, those that are none are passed over; "*.example" is one label, as in the mx
	 * patterns of RFC 8461. With TLS_CHECK_NONE they only decide fault and is_verified. */
	const struct str *names;
	uint32_t name_count;
	/* is_unjudged - with TLS_CHECK_NONE: nobody asks what a check would have found, so there is none: no fault, and not
	 * verified. */
	bool is_unjudged;
	const struct net_tlsa *tlsa;
	uint32_t tlsa_count;
	struct str session_key; /* client side: sessions are resumed among connections of the same key; empty: never */
};

/* What went wrong, as RFC 8460 section 4.3 tells it apart. */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_HANDSHAKE, /* validation-failure, or the peer broke it off */
	TLS_FAULT_UNTRUSTED, /* certificate-not-trusted */
	TLS_FAULT_EXPIRED,   /* certificate-expired */
	TLS_FAULT_NAME,      /* certificate-host-mismatch */
	TLS_FAULT_TLSA,      /* no record matches: validation-failure under DANE */
	TLS_FAULT_INJECTED   /* clear text was there before the handshake */
};

struct tls_info {
	struct str protocol; /* "TLSv1.3" */
	struct str cipher;   /* "TLS_AES_256_GCM_SHA384" */
	bool is_verified;    /* chain and name, or TLSA; of a resumed session: in its first handshake */
	bool is_resumed;
	enum tls_fault fault; /* of the check that was asked for, or would have failed it (TLS_CHECK_NONE goes on) */
	struct str peer; /* common name in the peer's certificate, or else its first DNS name or mail address; escaped;
	                  * server side: only of a verified one; else empty */
	struct str
		problem; /* why the handshake or the check failed, or would have, for log and history; escaped */
};

struct conn_handler {
	/* on_open: net_connect's outcome, once; on failure (err != OK) the user still calls conn_close. Not for accepted. */
	void (*on_open)(void *user, enum err err);
	void (*on_read)(void *user, struct str octets);
	/* on_end: no more input: ERR_EOF, ERR_RESET, ERR_TIMEOUT or ERR_TLS; once. Octets read before came first. */
	void (*on_end)(void *user, enum err err);
	void (*on_drained)(void *user);
	/* on_tls: conn_start_tls's outcome, once. info is valid during the call; on failure call conn_close. */
	void (*on_tls)(void *user, enum err err, const struct tls_info *info);
};

struct peer_credentials {
	bool is_known;
	uint32_t uid, gid;
	int32_t pid;
};

struct listener_handler {
	/* on_accept: conn is the user's; it calls conn_set_user or conn_close before it returns. */
	void (*on_accept)(void *user, struct conn *conn);
};

struct net_ops {
	/* listen - Errors: ERR_EXISTS (address in use), ERR_PERMISSION, ERR_NOT_FOUND (no such address), ERR_LIMIT.
	 * For FAMILY_UNIX mode is the socket file's permission bits; a stale socket file is replaced. A port of 0 lets the
	 * system choose; listener_endpoint tells. */
	enum err (*listen)(struct net *net, const struct endpoint *at, unsigned mode,
		const struct listener_handler *handler, void *user, struct listener **out);
	void (*listener_endpoint)(struct listener *l, struct endpoint *out);
	/* listener_pause - stops and resumes accepting (sessions at their limit, descriptors used up). */
	void (*listener_pause)(struct listener *l, bool is_paused);
	void (*listener_close)(struct listener *l);
	/* connect - completes in on_open: later, once. source may be NULL. timeout_ms is real time. */
	struct conn *(*connect)(struct net *net, const struct endpoint *to,
		const struct endpoint *source, int64_t timeout_ms,
		const struct conn_handler *handler, void *user);
	void (*conn_set_user)(struct conn *c, const struct conn_handler *handler, void *user);
	void (*conn_peer)(struct conn *c, struct endpoint *out);
	void (*conn_local)(struct conn *c, struct endpoint *out);
	void (*conn_credentials)(struct conn *c, struct peer_credentials *out); /* FAMILY_UNIX */
	void (*conn_read_start)(struct conn *c);
	void (*conn_read_stop)(struct conn *c);
	/* conn_read_limit - on_read hands over no more than so many octets a call, and none behind them are taken from the
	 * connection before it has returned; 0: any. In clear text only. NULL: this adapter cannot. */
	void (*conn_read_limit)(struct conn *c, size_t octets);
	void (*conn_write)(struct conn *c, struct str octets);
	/* conn_give - the same for content that need not be copied: octets is emptied, its memory may be the conn's now.
	 * NULL: this adapter only copies; net_conn_give hides that. */
	void (*conn_give)(struct conn *c, struct buf *octets);
	size_t (*conn_unsent)(struct conn *c);
	/* conn_start_tls - output written before leaves first, in clear text. Input already buffered in the adapter is
	 * discarded: the handshake then fails with ERR_TLS (command or response injection, RELIABILITY section 3). */
	void (*conn_start_tls)(struct conn *c, const struct tls_want *want);
	/* conn_close - is_flushed: unsent output still leaves, for at most 10 s of real time; else it is dropped (RST is
	 * fine). The conn is gone for its user at once. */
	void (*conn_close)(struct conn *c, bool is_flushed);
};

struct net {
	const struct net_ops *ops;
};

static inline enum err net_listen(struct net *net, const struct endpoint *at, unsigned mode,
	const struct listener_handler *handler, void *user, struct listener **out)
{
	return net->ops->listen(net, at, mode, handler, user, out);
}
static inline struct conn *net_connect(struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms, const struct conn_handler *handler,
	void *user)
{
	return net->ops->connect(net, to, source, timeout_ms, handler, user);
}
static inline void net_conn_give(const struct net_ops *ops, struct conn *c, struct buf *octets)
{
	if (ops->conn_give) {
		ops->conn_give(c, octets);
	} else {
		ops->conn_write(c, buf_str(octets));
		buf_clear(octets);
	}
}

#endif
