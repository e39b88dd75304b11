/* fixture_server - the stub handler: "no@..." is refused, everything else is accepted. */
#include "fixture_server.h"

#include <string.h>

#include "base/check.h"

#define BYTES_MAX ((size_t)64 * 1024 * 1024)
#define MESSAGE_ID 0x123456789abULL

static void refuse_path(struct str path, struct str start, unsigned code, struct status status,
	struct smtp_answer *answer)
{
	if (!str_starts_fold(path, start))
		return;
	*answer = (struct smtp_answer){ .code = code, .status = status, .text = STR("not you") };
}

static void refuse_no(
	struct str path, unsigned code, struct status status, struct smtp_answer *answer)
{
	refuse_path(path, STR("no@"), code, status, answer);
}

static void on_mail(
	void *user, struct smtp_server *s, struct smtp_transaction *t, struct smtp_answer *answer)
{
	struct fixture_server *fs = user;

	fs->mails++;
	if (fs->drops_in_mail)
		smtp_server_drop(s);
	refuse_no(t->env.reverse_path, 550, STATUS(5, 7, 1), answer);
	answer->text = arena_dup(&t->arena, answer->text); /* lives as long as the transaction */
}

static void answer_later(struct fixture_server *fs, enum fixture_later what)
{
	fs->what = what;
	if (fs->answers != ANSWER_NEVER)
		env_defer(&fs->f.env, &fs->later);
}

static void answer_rcpt(struct fixture_server *fs)
{
	struct smtp_answer answer = { 0 };

	/* What the session promised to keep is still there. */
	CHECK(str_starts_fold(fs->asked->address, STR("wait")));
	refuse_path(fs->asked->address, STR("waitno@"), 550, STATUS(5, 1, 1), &answer);
	smtp_server_answer(fs->server, &answer);
}

static void on_rcpt(void *user, struct smtp_server *s, struct smtp_transaction *t,
	struct recipient *rcpt, const struct address *address, struct smtp_answer *answer)
{
	struct fixture_server *fs = user;

	(void)s;
	(void)t;
	fs->rcpts++;
	if (str_starts_fold(address->text, STR("wait"))) {
		fs->asked = rcpt;
		answer->is_later = true;
		answer_later(fs, LATER_RCPT);
	}
	rcpt->hop = address->domain;
	refuse_no(address->text, 550, STATUS(5, 1, 1), answer);
	if (str_starts_fold(address->text, STR("later@")))
		*answer = (struct smtp_answer){ .code = 450, .status = STATUS(4, 2, 1) };
	if (str_starts_fold(address->text, STR("bye@")))
		*answer = (struct smtp_answer){ .code = 421, .status = STATUS(4, 3, 2) };
}

static void on_data(
	void *user, struct smtp_server *s, struct smtp_transaction *t, struct smtp_answer *answer)
{
	(void)user;
	(void)s;
	t->env.id = MESSAGE_ID;
	buf_append_str(&t->content, STR("Received: trace\r\n"));
	if (str_starts_fold(t->env.reverse_path, STR("nodata@")))
		*answer = (struct smtp_answer){ .code = 451, .status = STATUS(4, 3, 0) };
}

static void do_later(struct deferred *d)
{
	struct fixture_server *fs = CONTAINER_OF(d, struct fixture_server, later);

	switch (fs->what) {
	case LATER_RCPT:
		answer_rcpt(fs);
		break;
	case LATER_NOTHING:
		break;
	case LATER_SPOOLED:
		smtp_server_spooled(fs->server, fs->spool_err);
		break;
	case LATER_FINISH:
		smtp_server_finish(fs->server, &fs->finish);
		break;
	case LATER_AUTH:
		smtp_server_auth_done(fs->server, fs->is_password_good ? SMTP_AUTH_GOOD : SMTP_AUTH_BAD);
		break;
	}
}

static void answer(struct fixture_server *fs, enum fixture_later what)
{
	fs->what = what;
	if (fs->answers == ANSWER_AT_ONCE)
		do_later(&fs->later);
	else if (fs->answers == ANSWER_LATER)
		env_defer(&fs->f.env, &fs->later);
}

static void on_spool(void *user, struct smtp_server *s, struct smtp_transaction *t)
{
	struct fixture_server *fs = user;

	(void)s;
	fs->spools++;
	t->spooled_chunks++;
	if (t->content.len > fs->content_peak)
		fs->content_peak = t->content.len;
	buf_append_str(&fs->spooled, buf_str(&t->content));
	buf_fini(&t->content);
	answer(fs, LATER_SPOOLED);
}

static void on_message(void *user, struct smtp_server *s, struct smtp_transaction *t)
{
	struct fixture_server *fs = user;

	(void)s;
	fs->messages++;
	smtp_transaction_free(fs->t);
	fs->t = t;
	buf_clear(&fs->content);
	buf_append_str(&fs->content, buf_str(&fs->spooled));
	buf_append_str(&fs->content, buf_str(&t->content));
	buf_clear(&fs->spooled);
	answer(fs, LATER_FINISH);
}

static void on_abort(void *user, struct smtp_server *s, struct smtp_transaction *t)
{
	struct fixture_server *fs = user;

	(void)s;
	CHECK(t->env.id == MESSAGE_ID);
	fs->aborts++;
	buf_clear(&fs->spooled);
}

static void on_auth(void *user, struct smtp_server *s, struct str name, struct str password)
{
	struct fixture_server *fs = user;

	(void)s;
	fs->auths++;
	buf_clear(&fs->login);
	buf_append_str(&fs->login, name);
	buf_append_char(&fs->login, '/');
	buf_append_str(&fs->login, password);
	fs->is_password_good = str_equal(password, STR("secret"));
	answer(fs, LATER_AUTH);
}

static void on_etrn(
	void *user, struct smtp_server *s, struct str argument, struct smtp_answer *answer)
{
	struct fixture_server *fs = user;

	(void)s;
	memset(fs->etrn, 0, sizeof(fs->etrn));
	memcpy(fs->etrn, argument.data, argument.len < sizeof(fs->etrn) ? argument.len : 0);
	if (str_equal(argument, STR("#none")))
		*answer = (struct smtp_answer){ .code = 458, .status = STATUS(4, 3, 0) };
	answer->is_later = fs->is_etrn_later;
}

static void on_close(void *user, struct smtp_server *s, const char *reason)
{
	struct fixture_server *fs = user;

	CHECK(fs->server == s && reason);
	fs->server = NULL;
	fs->close_reason = reason;
	env_undefer(&fs->f.env, &fs->later);
}

static const struct smtp_server_handler handler = {
	.on_mail = on_mail,
	.on_rcpt = on_rcpt,
	.on_data = on_data,
	.on_spool = on_spool,
	.on_message = on_message,
	.on_abort = on_abort,
	.on_auth = on_auth,
	.on_etrn = on_etrn,
	.on_close = on_close,
};

void fixture_server_init(struct fixture_server *fs)
{
	memset(fs, 0, sizeof(*fs));
	fixture_init(&fs->f);
	fs->conf = conf_default();
	fs->conf->hostname = STR("relay.test");
	fs->conf->smtpd.message_bytes_max = 1000;
	fs->from = "192.0.2.1";
	fs->listener.tls = LISTENER_STARTTLS;
	fs->later.on_run = do_later;
	buf_init(&fs->content, BYTES_MAX);
	buf_init(&fs->spooled, BYTES_MAX);
	buf_init(&fs->login, BYTES_MAX);
}

void fixture_server_start(struct fixture_server *fs)
{
	fs->conn = fixture_accept(&fs->f, fs->from);
	fs->server = smtp_server_new(&fs->f.env, fs->conf, fs->conn, fs->f.net.ops, &fs->listener,
		fs->has_tls, 1, &handler, fs);
}

void fixture_server_fini(struct fixture_server *fs)
{
	if (fs->server)
		smtp_server_drop(fs->server);
	CHECK(!fs->server);
	smtp_transaction_free(fs->t);
	buf_fini(&fs->content);
	buf_fini(&fs->spooled);
	buf_fini(&fs->login);
	conf_unref(fs->conf);
	fixture_fini(&fs->f);
}

const char *fixture_server_talk(struct fixture_server *fs, const char *text)
{
	fixture_feed(fs->conn, text);
	fixture_settle(&fs->f);
	return fixture_output(fs->conn);
}
