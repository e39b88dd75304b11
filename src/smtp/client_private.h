/*
 * client_private - what the files of the client share: the session, its states, and the seams between them.
 *
 * client.c opens, runs the states and ends; client_hello.c is greeting, EHLO and STARTTLS; client_auth.c AUTH;
 * client_job.c the commands of a transaction; client_need.c what a message needs of a host; client_line.c writes the
 * commands; client_content.c the content.
 */
#ifndef SMTP_CLIENT_PRIVATE_H
#define SMTP_CLIENT_PRIVATE_H

#include "mail/enddata.h"
#include "mail/reply.h"
#include "smtp/client.h"

enum client_state {
	CLIENT_CONNECT,
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE,
	CLIENT_AUTH,
	CLIENT_IDLE,
	CLIENT_JOB,
	CLIENT_ENDING, /* the job is over, but the content's reader still owes a part */
	CLIENT_CLOSED,
	CLIENT_STATE_COUNT
};

/* The steps of a job, in order. RCPT is one for each recipient. */
enum step { STEP_RSET, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_DOT, STEP_END };

struct cursor {
	enum step step;
	uint32_t index; /* STEP_RCPT */
};

struct smtp_client {
	struct env *env;
	struct conf *conf; /* held */
	const struct net_ops *net;
	struct conn *conn; /* NULL once closed */
	const struct smtp_client_handler *handler;
	void *user;
	struct arena arena; /* strings of params and info */
	struct smtp_client_params params;
	struct smtp_client_info info;
	bool has_auth_plain, has_auth_login;

	enum client_state state;
	unsigned depth; /* handlers of ours on the stack */
	bool is_gone;   /* freed when the last of them returns */
	struct timer deadline;
	struct timer session_end;
	struct deferred turn; /* ends a job that was refused without a word to the peer */
	struct reply_parser parser;
	struct str *behind; /* while a reply is handled: the octets that follow it */
	unsigned auth_step;
	bool needs_rset; /* the last transaction was left open, or may have been */

	struct smtp_job *job;
	struct cursor sent;     /* the next command to write */
	struct cursor answered; /* the command whose reply comes next */
	uint32_t accepted_count;
	uint32_t reply_count;
	bool is_hopeless;  /* MAIL was refused: write no more */
	bool has_goodbye;  /* LMTP: 421 was the reply for a recipient, those for others may follow */
	bool is_empty_dot; /* 354 without a recipient: nothing but the dot was sent */
	struct mono mail_started;

	struct enddata_encoder encoder;
	struct str part; /* of the content, not yet written */
	bool is_last_part;
	bool is_part_out; /* the reader was asked */
	bool has_drained; /* since the deadline was set */
	size_t unsent_before;
	bool is_dot_noted;
	struct buf out;
};

/* client.c */
void client_enter(struct smtp_client *c, enum client_state state);
void client_write(struct smtp_client *c, struct str octets);
void client_printf(struct smtp_client *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* client_fail - ends the session, and the job if there is one, with this outcome for all that is open. */
void client_fail(struct smtp_client *c, const struct outcome *outcome);
void client_fail_err(struct smtp_client *c, enum stage stage, enum err err);
void client_fail_reply(struct smtp_client *c, enum stage stage, const struct reply *reply);
/* client_fail_reason - our own reason, with a status. */
void client_fail_reason(struct smtp_client *c, enum stage stage, enum err err, struct status status,
	const char *reason);
/* client_fail_protocol - a well-formed reply that makes no sense here. */
void client_fail_protocol(struct smtp_client *c, enum stage stage, const struct reply *reply);
void client_ready(struct smtp_client *c);
void client_close_conn(struct smtp_client *c, bool is_orderly);
void client_shut(struct smtp_client *c, bool is_orderly);
/* client_begin_call, client_end_call - bracket every call from outside: c may be freed in the latter. */
void client_begin_call(struct smtp_client *c);
void client_end_call(struct smtp_client *c);
struct outcome client_reply_outcome(enum stage stage, const struct reply *reply);

/* client_hello.c */
void client_on_greeting(struct smtp_client *c, const struct reply *reply);
void client_on_ehlo(struct smtp_client *c, const struct reply *reply);
void client_on_helo(struct smtp_client *c, const struct reply *reply);
void client_on_starttls(struct smtp_client *c, const struct reply *reply);
void client_on_tls(void *user, enum err err, const struct tls_info *info);

/* client_auth.c */
void client_start_auth(struct smtp_client *c);
void client_on_auth(struct smtp_client *c, const struct reply *reply);

/* client_job.c */
void client_on_job_reply(struct smtp_client *c, const struct reply *reply);
void client_on_job_turn(struct smtp_client *c);
/* client_pump - writes the commands that may be written now. */
void client_pump(struct smtp_client *c);
/* client_settle_rest - this outcome for every recipient that has no final one. */
void client_settle_rest(struct smtp_client *c, const struct outcome *outcome);
void client_end_job(struct smtp_client *c, bool is_reusable);
/* client_is_one_of_many - replies to the dot come, one for each recipient: none is of the session as a whole (LMTP). */
bool client_is_one_of_many(const struct smtp_client *c);
/* client_job_stage - where the job is, for an outcome without a reply. */
enum stage client_job_stage(const struct smtp_client *c);
/* client_job_limit_ms - how long the next event may take; 0: nothing is awaited. */
int64_t client_job_limit_ms(const struct smtp_client *c);

/* client_need.c: what the peer cannot take or promise is never offered to it */
/* client_lacks - returns true, and in *outcome why, when the job's message may not go to this peer. */
bool client_lacks(const struct smtp_client *c, struct outcome *outcome);
/* client_by_s - seconds that are left of the message's by-time; may be negative. */
int64_t client_by_s(const struct smtp_client *c);

/* client_line.c */
void client_write_mail(struct smtp_client *c);
void client_write_rcpt(struct smtp_client *c, const struct recipient *rcpt);
/* client_line_is_safe - no octet in it could end a command or a path early. */
bool client_line_is_safe(struct str address);

/* client_content.c */
void client_start_content(struct smtp_client *c);
void client_on_content_drained(struct smtp_client *c);
/* client_note_dot - the dot has left. Returns false when a fault ended the session here. */
bool client_note_dot(struct smtp_client *c);
/* client_is_in_content - content is being written, the dot is not. */
bool client_is_in_content(const struct smtp_client *c);
/* client_release_content - the reader's next part, if one is out, finds nobody. */
void client_release_content(struct smtp_client *c);

#endif
