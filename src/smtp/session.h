/*
 * session - what the files of the server share: the session, its states, and the seams between them.
 *
 * server.c runs the states and ends the session; server_reply.c is the only writer; server_command.c takes command
 * lines apart; server_mail.c, server_data.c, server_bdat.c, server_submission.c, server_auth.c and server_tls.c hold one
 * idea each.
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "mail/command.h"
#include "mail/enddata.h"
#include "smtp/server.h"

enum session_state {
	SESSION_DELAY, /* the greeting is held back: greeting_delay */
	SESSION_HANDSHAKE,
	SESSION_COMMAND,
	SESSION_AUTH,     /* a line of an AUTH exchange is awaited */
	SESSION_CHECKING, /* on_auth is out */
	SESSION_ASKING,   /* on_rcpt or on_etrn is out */
	SESSION_DATA,
	SESSION_CHUNK,      /* octets of a BDAT are awaited */
	SESSION_SPOOLING,   /* on_spool is out */
	SESSION_COMMITTING, /* on_message is out */
	SESSION_CLOSED,
	SESSION_STATE_COUNT
};

enum session_question { QUESTION_RCPT, QUESTION_ETRN };
enum auth_step { AUTH_PLAIN, AUTH_LOGIN_NAME, AUTH_LOGIN_PASSWORD };

struct front;

struct smtp_server {
	struct env *env;
	struct conf *conf; /* held */
	struct conn *conn; /* NULL once closed */
	const struct net_ops *net;
	const struct smtp_server_handler *handler;
	void *user;
	struct smtp_server_info info;
	struct arena arena; /* strings of info, but: */
	char *tls_text;     /* info.tls */
	char *helo;         /* info.helo: a client may say EHLO for each of a million messages */
	enum listener_tls tls_mode;
	bool has_tls;

	enum session_state state;
	bool is_running; /* input is being worked off, up the stack */
	bool is_ending;  /* the handler is being told of the end */
	bool is_shutting_down;
	const char *close_reason;
	struct str *behind;   /* while a line is handled: the octets that follow it */
	struct buf input;     /* octets that wait */
	struct buf line;      /* the part of a command line that is there */
	bool is_line_skipped; /* it was too long; up to its end all is dropped */
	struct arena scratch; /* of the command at hand; while SESSION_ASKING it stays */
	enum session_question question;
	struct timer deadline; /* what it means, the state says */
	struct timer session_end;
	struct deferred turn; /* goes on with waiting input, or ends the closed session */

	uint32_t error_count;        /* since the last accepted message */
	uint32_t idle_command_count; /* likewise: commands that lead to no mail */
	uint32_t message_count;
	uint32_t reject_count; /* in the log */

	struct smtp_transaction *t; /* NULL: none, or handed to on_message */
	uint64_t id;                /* of the message that is being committed */
	struct enddata_decoder decoder;
	uint64_t received_bytes; /* content as decoded, without our trace header */
	bool is_too_big;
	enum err spool_err;
	uint64_t chunk_left; /* octets of the BDAT at hand that have not come yet */
	bool is_chunk_last;
	struct smtp_answer
		chunk_refusal; /* code not 0: its octets are dropped, then this is said */
	struct mono data_started;
	uint64_t data_window_bytes; /* raw octets at the start of the rate window */

	struct front *front; /* what XCLIENT and XFORWARD said; NULL: neither was heard */

	enum auth_step auth_step;
	struct buf auth_name;
};

/* server.c */
void server_enter(struct smtp_server *s, enum session_state state);
/* server_await - input is welcome again: another command may take its time. */
void server_await(struct smtp_server *s);
/* server_close - the session is over; its handler hears of it, and its memory goes, on the next turn. */
void server_close(struct smtp_server *s, const char *reason, bool is_flushed);
void server_wipe(struct buf *b);

/* server_reply.c */
void server_greet(struct smtp_server *s);
void server_reply(struct smtp_server *s, unsigned code, struct status status, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* server_say - the same for a text without parts. */
void server_say(struct smtp_server *s, unsigned code, struct status status, struct str text);
/* server_say_lines - a reply that is made already: whole lines, their codes and CRLF included. */
void server_say_lines(struct smtp_server *s, struct str lines);
/* server_refuse - the same for an error of the client's; one too many is answered 421 and ends the session. */
void server_refuse(struct smtp_server *s, unsigned code, struct status status, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/* server_answer - the handler's refusal. */
void server_answer(struct smtp_server *s, const struct smtp_answer *answer);
/* server_log_reject - the line that says so; nothing for what is no refusal. stage: "RCPT". to may be empty. */
void server_log_reject(struct smtp_server *s, const char *stage, struct str from, struct str to,
	const struct smtp_answer *answer);
/* server_refuse_mail - the handler's refusal of the transaction, which ends. Its text may be the transaction's. */
void server_refuse_mail(struct smtp_server *s, const char *stage, const struct smtp_answer *answer);
/* server_end - 421 and the end. */
void server_end(struct smtp_server *s, struct status status, const char *reason);

/* server_command.c */
void server_on_command_input(struct smtp_server *s, struct str *in);
void server_on_early_input(struct smtp_server *s, struct str *in);

/* server_mail.c */
void server_on_mail(struct smtp_server *s, const struct command *c);
void server_on_rcpt(struct smtp_server *s, const struct command *c);
/* server_end_rcpt - the answer to the recipient behind those of the transaction. */
void server_end_rcpt(struct smtp_server *s, const struct smtp_answer *answer);
/* server_reset - drops the transaction, if there is one. */
void server_reset(struct smtp_server *s);

/* server_later.c */
/* server_wait - for smtp_server_answer, after a handler said is_later. */
void server_wait(struct smtp_server *s, enum session_question question);
int64_t server_answer_ms(const struct smtp_server *s);
void server_on_answer_late(struct smtp_server *s);

/* server_data.c */
void server_on_data(struct smtp_server *s, const struct command *c);
void server_on_content(struct smtp_server *s, struct str *in);
void server_on_data_tick(struct smtp_server *s);
int64_t server_data_tick_ms(const struct smtp_server *s);
/* What DATA and BDAT share: content arrives. server_begin_content returns false with the handler's refusal in *answer, or
 * when it closed the session. server_feed_content takes octets up to the end of *in or of the data (then it returns
 * true). */
bool server_begin_content(struct smtp_server *s, struct smtp_answer *answer);
bool server_feed_content(struct smtp_server *s, struct str *in);
void server_spool(struct smtp_server *s);
/* server_judge_content - returns false, and has answered, when what came so far may not pass. */
bool server_judge_content(struct smtp_server *s);
/* server_end_content - all of it is there. */
void server_end_content(struct smtp_server *s);
/* server_drop_content - it was refused, and that was said. */
void server_drop_content(struct smtp_server *s);
/* server_resume - the next command, or the end that was put off. */
void server_resume(struct smtp_server *s);
bool server_is_content_late(const struct smtp_server *s);

/* server_bdat.c */
void server_on_bdat(struct smtp_server *s, const struct command *c);
void server_on_chunk(struct smtp_server *s, struct str *in);

/* server_wish.c: what a message is asked to have beyond delivery (RFC 8689, 6710, 2852, 4865) */
bool server_knows_client(const struct smtp_server *s);
/* server_may_know_client - or will when it has logged in, without which it may send nothing here. */
bool server_may_know_client(const struct smtp_server *s);
/* server_offer_wishes - their lines in the reply to EHLO, CRLF included. */
void server_offer_wishes(const struct smtp_server *s, struct buf *lines);
/* server_may_wish - returns false, and has answered, when a wish cannot be kept. */
bool server_may_wish(struct smtp_server *s, const struct command *c);
void server_keep_wishes(const struct smtp_server *s, const struct command *c, struct envelope *env);
/* server_is_priority_lost - the reply to MAIL must say so. */
bool server_is_priority_lost(const struct smtp_server *s, const struct command *c);

/* server_submission.c: on submission listeners */
/* server_is_qualified - false, and has answered, when the domain of MAIL or RCPT is one label; true elsewhere. */
bool server_is_qualified(struct smtp_server *s, const struct command *c);
void server_begin_mending(struct smtp_server *s);
/* server_mend - what stands in t->content from before on is the message as it came; returns what stands there afterwards. */
struct str server_mend(struct smtp_server *s, size_t before);
void server_end_mending(struct smtp_server *s);

/* server_auth.c */
bool server_offers_auth(const struct smtp_server *s);
void server_on_auth(struct smtp_server *s, const struct command *c);
void server_on_auth_line(struct smtp_server *s, struct str line);

/* server_command.c */
void server_set_helo(struct smtp_server *s, struct str name);

/* server_front.c */
#define SESSION_FRONT_LINES                                                                        \
	"250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"                        \
	"250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"
bool server_offers_front(const struct smtp_server *s);
void server_on_xclient(struct smtp_server *s, const struct command *c);
void server_on_xforward(struct smtp_server *s, const struct command *c);
/* server_forget_forward - XFORWARD was about the message that ends; server_forget_front - all that was said before TLS. */
void server_forget_forward(struct smtp_server *s);
void server_forget_front(struct smtp_server *s);

/* server_tls.c */
bool server_offers_tls(const struct smtp_server *s);
void server_on_starttls(struct smtp_server *s, const struct command *c);
void server_start_tls(struct smtp_server *s);
void server_on_tls(void *user, enum err err, const struct tls_info *info);

#endif
