/*
 * intake_private - what the files of the intake share: the sessions, and the seams between access, content and commit.
 *
 * intake.c knows who may send what to whom; spool.c moves large content away while it comes in; accept.c makes the
 * message and answers once it is durable; front.c reads what a load balancer says first; crowd.c ends idle sessions
 * when places become few.
 */
#ifndef RELAY_INTAKE_PRIVATE_H
#define RELAY_INTAKE_PRIVATE_H

#include "mail/proxy.h"
#include "relay/auth.h"
#include "relay/destination.h"
#include "relay/verify.h"
#include "smtp/server.h"

struct accept;
struct spool;
struct credential;
struct accounts;

struct intake {
	struct relay *relay;
	struct auth *auth;
	struct accounts *accounts; /* what users sent within the hour */
	struct list sessions;      /* of session.link */
	uint32_t session_count;
	struct list fronts; /* front.c: connections whose PROXY header is not there yet */
	uint32_t front_count;
	uint32_t accept_count; /* messages, chunks and checks under way */
	struct map clients;    /* struct client by address */
	uint64_t next_session;
	bool is_closing, is_ended;
	struct timer replied; /* for the fault point of that name */
	struct timer crowd;   /* crowd.c: runs while it is crowded */
	bool is_crowded;
	uint64_t crowded_out;   /* since it became so */
	struct mono etrn_since; /* the minute that etrn_count is about */
	uint32_t etrn_count;
	struct smtp_server_handler handler;
};

/* Sessions of one address. */
struct client {
	struct map_entry entry;
	struct endpoint address;
	uint32_t sessions;
};

struct session {
	struct list link;
	struct intake *intake;
	struct smtp_server *server;
	struct client *client;
	struct accept *accept; /* waiting for its commit, or NULL */
	struct spool *spool;
	struct credential *credential;
	struct verify_ask ask; /* a RCPT for a relay-domain waits */
};

/* intake_done_one - a message, chunk or check of accept_count has ended. */
void intake_done_one(struct intake *in);
/* intake_refuse - text lives as long as the answer is used. */
void intake_refuse(
	struct smtp_answer *answer, unsigned code, struct status status, struct str text);

/* intake_may_relay - to anywhere; whoever may not is a stranger, who may send to relay-domains and the postmaster alone. */
bool intake_may_relay(const struct smtp_server_info *info);

/* intake_begin_session - header: what the load balancer in front of it says; NULL: there is none. */
void intake_begin_session(struct intake *in, struct conn *conn,
	const struct conf_listener *listener, const struct proxy_header *header);

/* front.c */
void front_begin(struct intake *in, struct conn *conn, const struct conf_listener *listener);
void front_drop_all(struct intake *in);

/* crowd.c - crowd_note: a session has begun. */
void crowd_init(struct intake *in);
void crowd_note(struct intake *in);

/* spool.c */
void spool_on_spool(void *user, struct smtp_server *server, struct smtp_transaction *t);
void spool_on_abort(void *user, struct smtp_server *server, struct smtp_transaction *t);
/* spool_discard - the stored chunks of a message that will not be. */
void spool_discard(struct intake *in, uint64_t id);
/* spool_forget_session - the session is gone before its chunk was stored. */
void spool_forget_session(struct spool *sp);

/* accept.c */
void accept_on_message(void *user, struct smtp_server *server, struct smtp_transaction *t);
void accept_on_replied(struct timer *t);
void accept_forget_session(struct accept *a);

/* etrn.c */
void etrn_on_etrn(
	void *user, struct smtp_server *server, struct str argument, struct smtp_answer *answer);
/* etrn_start - the same for anybody, as often as he likes. */
void etrn_start(struct relay *r, struct str node, struct smtp_answer *answer);

#endif
