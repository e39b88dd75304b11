/* fixture_server - a session with a handler that accepts, and remembers what it was given. */
#ifndef TEST_UNIT_SMTP_FIXTURE_SERVER_H
#define TEST_UNIT_SMTP_FIXTURE_SERVER_H

#include "fixture_net.h"
#include "smtp/server.h"

enum fixture_later { LATER_NOTHING, LATER_SPOOLED, LATER_FINISH, LATER_AUTH, LATER_RCPT };
enum fixture_answer { ANSWER_LATER, ANSWER_AT_ONCE, ANSWER_NEVER };

struct fixture_server {
	struct fixture f;
	struct conf *conf;
	struct conf_listener listener;
	struct conf_user users[1];
	struct conn *conn;
	struct smtp_server *server; /* NULL once closed */
	bool has_tls;
	const char *from;

	enum fixture_answer answers; /* of spool, message, auth, and of RCPT for wait@ and waitno@ */
	struct smtp_answer finish;
	enum err spool_err;
	struct deferred later;
	enum fixture_later what;
	bool is_password_good;
	const struct recipient *asked; /* by the last RCPT that waits */
	bool drops_in_mail; /* on_mail drops the session */

	unsigned mails, rcpts, messages, aborts, spools, auths;
	struct buf content; /* of the last message, spooled parts included */
	struct buf spooled;
	struct smtp_transaction *t; /* the last message's */
	struct buf login;           /* "name/password" of the last on_auth */
	char etrn[64]; /* of the last on_etrn */
	bool is_etrn_later;
	const char *close_reason;
	size_t content_peak;
};

/* fixture_server_init - sets up all but the session, so that a test may change the configuration. */
void fixture_server_init(struct fixture_server *fs);
void fixture_server_start(struct fixture_server *fs);
void fixture_server_fini(struct fixture_server *fs);
/* fixture_server_talk - feeds, settles, and returns what was answered. */
const char *fixture_server_talk(struct fixture_server *fs, const char *text);

#endif
