/*
 * server - one SMTP session as a server, RFC 5321: pure protocol over a conn.
 *
 * Knows commands, order, limits, pipelining, content and replies; knows nothing of queue or policy, which it asks
 * its handler for. Happy path: on_mail, on_rcpt ..., on_data, (on_spool ...), on_message, smtp_server_finish.
 * Back-pressure: reading stops while a spool or message is pending, and while more than 64 KiB of replies are
 * unsent; so one session holds at most spool_from_bytes plus 64 KiB of content.
 * Owns itself: it closes its conn and frees itself after on_close. Thread: loop.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "mail/address.h"
#include "mail/envelope.h"
#include "mail/header.h"
#include "mail/status.h"
#include "mail/submission.h"
#include "port/env.h"
#include "port/net.h"

struct smtp_server;

struct smtp_answer {
	unsigned code; /* 0: accept, with the session's usual reply */
	struct status status;
	struct str text; /* borrowed during the call */
	bool is_closing; /* close after this reply (421) */
	bool is_later;   /* of on_rcpt and on_etrn: the answer comes by smtp_server_answer, the rest of the input waits for it */
};

enum smtp_auth_result {
	SMTP_AUTH_GOOD,
	SMTP_AUTH_BAD,  /* 535 5.7.8 */
	SMTP_AUTH_LATER /* 454 4.7.0: too many wrong ones, this one was not even looked at */
};

/* One mail transaction. The session owns it until on_message, whose handler then owns it (smtp_transaction_free). */
struct smtp_transaction {
	struct arena arena; /* strings of env */
	struct envelope env;
	uint32_t recipient_cap;    /* private */
	bool is_chunked;           /* private: its content has begun, by BDAT */
	struct buf content;        /* received and not spooled; bound: limits */
	uint32_t spooled_chunks;   /* chunks the handler has stored, maintained by it */
	uint64_t content_bytes;    /* all content so far, trace header included */
	uint64_t declared_bytes;   /* SIZE= */
	struct header_scan header; /* of the content, mended if it is submitted: our trace header is not in it */
	struct submission *submission; /* private; NULL: content is stored as it comes */
};

/* Facts about the session for policy, trace and log; valid as long as it lives. */
struct smtp_server_info {
	struct endpoint client; /* as XCLIENT or PROXY have it; FAMILY_NONE: they do not know */
	bool is_from_here;      /* who really is connected is this host */
	struct str client_name; /* as XCLIENT has it, or empty */
	struct str forwarded;   /* "name[address] helo=...", as XFORWARD has it: of the original client, for log and trace */
	struct str forwarded_id; /* its queue id there; both are of the next message alone */
	struct str helo; /* empty before EHLO or HELO */
	bool is_esmtp;
	bool is_tls;
	struct str tls;  /* protocol and cipher */
	struct str user; /* authenticated as; empty: not */
	struct str mechanism; /* of the last AUTH: "PLAIN" or "LOGIN" */
	bool is_trusted; /* by address */
	enum listener_allow allow;
	bool is_submission;
	struct str certificate; /* name in the client's verified certificate; empty: none */
	uint64_t session; /* number for the log */
};

struct smtp_server_handler {
	/* on_mail, on_rcpt: env is filled but for env.user, which on_mail sets (on_rcpt: the new recipient is the last, counted
	 * when accepted; handler sets its hop). Synchronous, but on_rcpt may say is_later. */
	void (*on_mail)(void *user, struct smtp_server *s, struct smtp_transaction *t,
		struct smtp_answer *answer);
	void (*on_rcpt)(void *user, struct smtp_server *s, struct smtp_transaction *t,
		struct recipient *rcpt, const struct address *address, struct smtp_answer *answer);
	/* on_data: before 354; sets env.id and appends the trace header to content. */
	void (*on_data)(void *user, struct smtp_server *s, struct smtp_transaction *t,
		struct smtp_answer *answer);
	/* on_spool: content passed spool_from_bytes. The handler moves it away (the buf as a whole, leaving it zeroed, or a
	 * copy) and calls smtp_server_spooled when stored; the session then begins an empty one. */
	void (*on_spool)(void *user, struct smtp_server *s, struct smtp_transaction *t);
	/* on_message: complete and within limits. The handler owns t from now on; exactly one smtp_server_finish follows,
	 * unless the session closes first (on_close): then the answer reaches nobody. */
	void (*on_message)(void *user, struct smtp_server *s, struct smtp_transaction *t);
	/* on_abort: a transaction that had an id ends without on_message (RSET, refusal, lost connection): drop its chunks.
	 * A spool in progress is still answered with smtp_server_spooled only if the session lives. */
	void (*on_abort)(void *user, struct smtp_server *s, struct smtp_transaction *t);
	/* on_auth: check a name and password (borrowed during the call); smtp_server_auth_done follows later, once. */
	void (*on_auth)(void *user, struct smtp_server *s, struct str name, struct str password);
	/* on_etrn: RFC 1985; argument as given (a domain, "@domain" or "#queue"). */
	void (*on_etrn)(void *user, struct smtp_server *s, struct str argument,
		struct smtp_answer *answer);
	/* on_client: XCLIENT has made the client another one: may it have a session? NULL: it may. */
	void (*on_client)(void *user, struct smtp_server *s, struct smtp_answer *answer);
	/* on_close: the session is gone; reason for the log. Once; on a later turn than the end itself, but at once in
	 * smtp_server_drop. Answers that come between the end and on_close are ignored. */
	void (*on_close)(void *user, struct smtp_server *s, const char *reason);
};

/* smtp_server_new - takes over conn; sends the greeting. has_tls: STARTTLS may be offered (implicit TLS is done here too). */
struct smtp_server *smtp_server_new(struct env *env, struct conf *conf, struct conn *conn,
	const struct net_ops *net, const struct conf_listener *listener, bool has_tls,
	uint64_t session_number, const struct smtp_server_handler *handler, void *user);
/* smtp_server_set_origin - right after smtp_server_new: whom a load balancer in front of us speaks for. FAMILY_NONE:
 * nobody knows; such a client is trusted by no network. */
void smtp_server_set_origin(struct smtp_server *s, const struct endpoint *client);
const struct smtp_server_info *smtp_server_info(const struct smtp_server *s);
/* smtp_server_append_client - "name[address]", for the log. */
void smtp_server_append_client(struct buf *out, const struct smtp_server_info *info);
/* smtp_server_spooled - the pending on_spool is done; err != OK: the message is refused with 452 4.3.1 at its end. */
void smtp_server_spooled(struct smtp_server *s, enum err err);
/* smtp_server_finish - the reply to the end of data. */
void smtp_server_finish(struct smtp_server *s, const struct smtp_answer *answer);
void smtp_server_auth_done(struct smtp_server *s, enum smtp_auth_result result);
/* smtp_server_answer - to a RCPT or ETRN whose handler said is_later; code 0: accepted. rcpt of on_rcpt and its strings
 * stay valid till then, its address does not. Once, from a later turn, within two minutes: then 421 ends the session. */
void smtp_server_answer(struct smtp_server *s, const struct smtp_answer *answer);
/* smtp_server_shutdown - 421 4.3.2 now if idle, else after the message in progress (at most what limits allow). */
void smtp_server_shutdown(struct smtp_server *s);
/* smtp_server_idle_ms - how long it has been the client's turn to speak, up to a whole command or the end of its TLS
 * handshake; 0: it is not, or content comes, which has its own clock. *has_mail: a transaction is open. */
int64_t smtp_server_idle_ms(const struct smtp_server *s, bool *has_mail);
/* smtp_server_crowd_out - an idle session makes room: 421 4.3.2. on_close comes in a later turn. */
void smtp_server_crowd_out(struct smtp_server *s);
/* smtp_server_drop - closes at once without a reply: an unknown commit outcome. on_close comes before it returns, unless
 * it is called from a handler of this session. */
void smtp_server_drop(struct smtp_server *s);
void smtp_transaction_free(struct smtp_transaction *t);

#endif
