/*
 * client - one SMTP session as a client, RFC 5321: pure protocol, one job after another on a connection.
 *
 * smtp_client_open connects, greets, EHLO (HELO on 5xx), STARTTLS and AUTH as asked, then on_ready. Each job is one
 * mail transaction, pipelined where the peer offers it (RFC 2920). Replies are hostile input: bounded by
 * mail/reply. Every wait has the deadline of RFC 5321 4.5.3.2 from conf->client. 421 may come at any point.
 * A job whose connection is lost gets an outcome per recipient with err set; replies already given stand.
 * Thread: loop.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include <stdbool.h>

#include "base/arena.h"
#include "conf/conf.h"
#include "mail/envelope.h"
#include "mail/outcome.h"
#include "port/env.h"
#include "port/net.h"
#include "smtp/tls_rule.h"

struct smtp_client;

/* Where a job's content comes from: memory, or the store chunk by chunk. Implemented by relay. */
struct content_reader {
	/* next - asks for the next part; on_part follows later, once. */
	void (*next)(struct content_reader *r);
	/* rewind - the next part is the first again; legal only when no part is outstanding. */
	void (*rewind)(struct content_reader *r);
	/* set by the client before next. err != OK: content cannot be read (ERR_NOT_FOUND: corrupt). Part is borrowed
	 * until the following next or rewind. */
	void (*on_part)(struct content_reader *r, enum err err, struct str part, bool is_last);
	void *client;
};

struct smtp_job_recipient {
	const struct recipient *rcpt; /* borrowed during the job */
	struct outcome outcome;       /* out; text lives in the job's arena */
	bool is_delivered;            /* out: the final 2xx covered it */
};

struct smtp_job {
	const struct envelope *env; /* borrowed */
	struct smtp_job_recipient *recipients;
	uint32_t recipient_count;
	struct content_reader *content;
	bool is_tls_waived; /* REQUIRETLS of env is not asked of the host */
	bool is_verify; /* ends with the replies to RCPT: no DATA, content is NULL */
	/* on_done: once, later. is_reusable: the client is idle and the caller's. Else it has closed itself and is freed when this
	 * returns; smtp_client_close is not needed, and harmless only inside of it. */
	void (*on_done)(struct smtp_job *job);
	/* out */
	struct arena arena; /* job owner frees */
	bool is_untouched; /* the connection was lost before any reply of this job, or on a reused one 421 was the
	                                * first: it had died */
	bool is_lacking; /* refused here before MAIL: the peer lacks what the message needs; another host may have it */
	bool is_dot_sent; /* the final dot was handed to the connection: lost now means in doubt */
	bool is_reusable; /* the session is idle and takes another job */
	int64_t mail_ms;  /* from MAIL to the end, real time, for "delays=" */
};

struct smtp_client_params {
	struct endpoint to;
	struct endpoint source; /* FAMILY_NONE: the system chooses */
	struct str host;        /* MX host name: SNI, verification, log */
	struct str hostname;    /* ours, for EHLO */
	struct tls_rule tls;    /* copied */
	struct str session_key; /* what this session has in common with those that may stand in for it; TLS sessions are
	                         * resumed among them */
	bool is_lmtp;           /* LHLO, and a reply for each recipient after the dot (RFC 2033) */
	struct str user,
		password;   /* AUTH PLAIN or LOGIN, only under TLS or to loopback; empty: none */
	int64_t connect_ms; /* already scaled by the caller */
};

struct smtp_client_handler {
	void (*on_ready)(void *user, struct smtp_client *c);
	/* on_failed: the session could not be opened, or an idle one ended. The client is freed when this returns. */
	void (*on_failed)(void *user, struct smtp_client *c, const struct outcome *outcome);
};

struct smtp_client *smtp_client_open(struct env *env, struct net *net, struct conf *conf,
	const struct smtp_client_params *params, const struct smtp_client_handler *handler,
	void *user);
/* smtp_client_set_user - hands an idle client to another owner (pool). */
void smtp_client_set_user(
	struct smtp_client *c, const struct smtp_client_handler *handler, void *user);
/* smtp_client_deliver - legal when idle (after on_ready, or after a job with is_reusable). RSET is sent first when needed. */
void smtp_client_deliver(struct smtp_client *c, struct smtp_job *job);
/* smtp_client_close - QUIT if idle, else drops the connection; frees. No handler is called; a running job gets no on_done. */
void smtp_client_close(struct smtp_client *c);

/* What the peer offered, after on_ready. */
struct smtp_client_info {
	bool has_pipelining, has_8bitmime, has_smtputf8, has_size, has_dsn, has_starttls;
	bool has_requiretls, has_priority, has_deliverby;
	int64_t by_min_s;        /* DELIVERBY: 0: not stated */
	uint32_t mail_max, rcpt_max; /* LIMITS (RFC 9422); 0: not stated */
	uint64_t size_max_bytes; /* 0: not stated */
	struct str tls;          /* "TLSv1.3 cipher", empty: clear text */
	bool is_tls_verified;
	/* Of the handshake, also in on_failed: what its check found, or would have found; TLS_FAULT_NONE before. */
	enum tls_fault tls_fault;
	struct str tls_problem; /* in words, escaped; empty when there is no fault */
	struct str greeting; /* name in the 220 line */
	uint32_t jobs;       /* jobs done on it */
};
const struct smtp_client_info *smtp_client_info(const struct smtp_client *c);
/* smtp_client_session_key - that of its params. */
struct str smtp_client_session_key(const struct smtp_client *c);

#endif
