/* Transcripts against a scripted peer: opening, and whole transactions, at several cuts of the replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_client.h"

static const size_t cuts[] = { 0, 1, 5 };

/* --- opening --- */

struct turn {
	const char *says;  /* the peer; NULL: the end */
	const char *hears; /* what the client says to it */
};

#define EHLO "EHLO relay.test\r\n"
#define GREET                                                                                      \
	{                                                                                          \
		"220 mx.example ESMTP\r\n", EHLO                                                   \
	}
#define QUIT "QUIT\r\n"

struct opening {
	const char *name;
	enum tls_policy tls;
	const char *user;
	const char *to;
	struct turn turns[8];
	bool is_ready;
	enum stage stage; /* of the failure */
	enum err err;
	unsigned code;
};

static const struct opening openings[] = {
	{ "ehlo", TLS_NONE, "", "192.0.2.9", { GREET, { "250 mx\r\n", "" } }, true, 0, 0, 0 },
	{ "multi-line greeting", TLS_NONE, "", "192.0.2.9",
		{ { "220-mx.example hi\r\n220 ho\r\n", EHLO }, { "250-mx\r\n250 SIZE\r\n", "" } },
		true, 0, 0, 0 },
	{ "helo", TLS_NONE, "", "192.0.2.9",
		{ GREET, { "502 what\r\n", "HELO relay.test\r\n" }, { "250 mx\r\n", "" } }, true, 0,
		0, 0 },
	{ "no helo either", TLS_NONE, "", "192.0.2.9",
		{ GREET, { "502 what\r\n", "HELO relay.test\r\n" }, { "550 no\r\n", QUIT } }, false,
		STAGE_EHLO, OK, 550 },
	{ "ehlo 4xx", TLS_NONE, "", "192.0.2.9", { GREET, { "450 later\r\n", QUIT } }, false,
		STAGE_EHLO, OK, 450 },
	{ "greeting 554", TLS_NONE, "", "192.0.2.9", { { "554 no\r\n", QUIT } }, false,
		STAGE_GREETING, OK, 554 },
	{ "greeting 421", TLS_NONE, "", "192.0.2.9", { { "421 busy\r\n", "" } }, false,
		STAGE_GREETING, OK, 421 },
	{ "ehlo 421", TLS_NONE, "", "192.0.2.9", { GREET, { "421 busy\r\n", "" } }, false,
		STAGE_EHLO, OK, 421 },
	{ "greeting 354", TLS_NONE, "", "192.0.2.9", { { "354 go\r\n", "" } }, false,
		STAGE_GREETING, ERR_SYNTAX, 0 },
	{ "no reply code", TLS_NONE, "", "192.0.2.9", { { "SSH-2.0-x\r\n", "" } }, false,
		STAGE_GREETING, ERR_SYNTAX, 0 },
	{ "code changes inside", TLS_NONE, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n251 SIZE\r\n", "" } }, false, STAGE_EHLO, ERR_SYNTAX, 0 },
	{ "code 999", TLS_NONE, "", "192.0.2.9", { { "999 x\r\n", "" } }, false, STAGE_GREETING,
		ERR_SYNTAX, 0 },
	{ "starttls", TLS_OPPORTUNISTIC, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" }, { "220 go\r\n", EHLO },
			{ "250 mx\r\n", "" } },
		true, 0, 0, 0 },
	{ "starttls not offered", TLS_OPPORTUNISTIC, "", "192.0.2.9",
		{ GREET, { "250 mx\r\n", "" } }, true, 0, 0, 0 },
	{ "starttls refused", TLS_OPPORTUNISTIC, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" }, { "454 no\r\n", "" } },
		true, 0, 0, 0 },
	{ "starttls not wanted", TLS_NONE, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "" } }, true, 0, 0, 0 },
	{ "tls required, not offered", TLS_REQUIRE, "", "192.0.2.9",
		{ GREET, { "250 mx\r\n", "" } }, false, STAGE_STARTTLS, ERR_UNSUPPORTED, 0 },
	{ "tls required, helo only", TLS_REQUIRE, "", "192.0.2.9",
		{ GREET, { "500 mx\r\n", "HELO relay.test\r\n" }, { "250 mx\r\n", "" } }, false,
		STAGE_STARTTLS, ERR_UNSUPPORTED, 0 },
	{ "tls required, refused", TLS_REQUIRE, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" }, { "454 no\r\n", QUIT } },
		false, STAGE_STARTTLS, OK, 454 },
	{ "tls to be verified, is not", TLS_VERIFY, "", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" }, { "220 go\r\n", "" } },
		false, STAGE_TLS, ERR_TLS, 0 },
	{ "credentials in clear", TLS_OPPORTUNISTIC, "user", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 AUTH PLAIN\r\n", "" } }, false, STAGE_AUTH,
		ERR_UNSUPPORTED, 0 },
	{ "auth plain under tls", TLS_REQUIRE, "user", "192.0.2.9",
		{ GREET, { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" }, { "220 go\r\n", EHLO },
			{ "250-mx\r\n250 AUTH LOGIN PLAIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "235 ok\r\n", "" } },
		true, 0, 0, 0 },
	{ "auth plain to loopback", TLS_NONE, "user", "127.0.0.1",
		{ GREET,
			{ "250-mx\r\n250 AUTH LOGIN PLAIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "235 ok\r\n", "" } },
		true, 0, 0, 0 },
	{ "auth login", TLS_NONE, "user", "127.0.0.1",
		{ GREET, { "250-mx\r\n250 AUTH=LOGIN\r\n", "AUTH LOGIN\r\n" },
			{ "334 VXNlcm5hbWU6\r\n", "dXNlcg==\r\n" },
			{ "334 UGFzc3dvcmQ6\r\n", "c2VjcmV0\r\n" }, { "235 ok\r\n", "" } },
		true, 0, 0, 0 },
	{ "auth refused", TLS_NONE, "user", "127.0.0.1",
		{ GREET, { "250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "535 5.7.8 no\r\n", QUIT } },
		false, STAGE_AUTH, OK, 535 },
	{ "auth plain not taken, login is", TLS_NONE, "user", "127.0.0.1",
		{ GREET,
			{ "250-mx\r\n250 AUTH PLAIN LOGIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "504 5.5.4 not that\r\n", "AUTH LOGIN\r\n" },
			{ "334 VXNlcm5hbWU6\r\n", "dXNlcg==\r\n" },
			{ "334 UGFzc3dvcmQ6\r\n", "c2VjcmV0\r\n" }, { "235 ok\r\n", "" } },
		true, 0, 0, 0 },
	{ "a wrong password is not tried twice", TLS_NONE, "user", "127.0.0.1",
		{ GREET,
			{ "250-mx\r\n250 AUTH PLAIN LOGIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "535 5.7.8 no\r\n", QUIT } },
		false, STAGE_AUTH, OK, 535 },
	{ "auth goes on and on", TLS_NONE, "user", "127.0.0.1",
		{ GREET, { "250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n" },
			{ "334 more\r\n", "" } },
		false, STAGE_AUTH, ERR_SYNTAX, 0 },
	{ "auth not offered", TLS_NONE, "user", "127.0.0.1", { GREET, { "250 mx\r\n", "" } }, false,
		STAGE_AUTH, ERR_UNSUPPORTED, 0 },
};

static void set_params(struct fixture_client *fc, const struct opening *o)
{
	fc->params.tls.policy = o->tls;
	fc->params.user = str_from_c(o->user);
	fc->params.password = STR("secret");
	CHECK(endpoint_parse(&fc->params.to, str_from_c(o->to), 25) == OK);
}

static void check_opening(const struct opening *o, size_t cut)
{
	static struct fixture_client fc;

	fixture_client_init(&fc);
	fc.f.segment_bytes = cut;
	set_params(&fc, o);
	fixture_client_open(&fc);
	for (const struct turn *t = o->turns; t->says; t++) {
		const char *heard = fixture_client_say(&fc, t->says);
		if (strcmp(heard, t->hears) != 0)
			print_error("opening \"%s\", cut %zu\n", o->name, cut);
		assert_string_equal(heard, t->hears);
	}
	if (fc.readies != o->is_ready || fc.fails == o->is_ready)
		print_error("opening \"%s\", cut %zu\n", o->name, cut);
	assert_int_equal(fc.readies, o->is_ready);
	assert_int_equal(fc.fails, !o->is_ready);
	if (!o->is_ready) {
		assert_int_equal(fc.failure.stage, o->stage);
		assert_int_equal(fc.failure.err, o->err);
		assert_int_equal(fc.failure.code, o->code);
		assert_true(fc.failure.text.len > 0);
	}
	fixture_client_fini(&fc);
}

static void test_client_opens_by_policy(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(openings); i++)
		for (size_t k = 0; k < ARRAY_COUNT(cuts); k++)
			check_opening(&openings[i], cuts[k]);
}

/* Loses the connection, or lets time pass, behind the first n turns of an opening. */
static void check_loss(const struct opening *o, size_t turn_count, enum err err)
{
	static struct fixture_client fc;

	fixture_client_init(&fc);
	set_params(&fc, o);
	fixture_client_open(&fc);
	for (size_t i = 0; i < turn_count; i++)
		fixture_client_say(&fc, o->turns[i].says);
	if (err == ERR_TIMEOUT)
		fixture_advance(&fc.f, 301 * SECOND_MS);
	else
		fixture_end(fc.conn, err);
	fixture_settle(&fc.f);
	assert_int_equal(fc.fails, 1);
	assert_int_equal(fc.failure.err, err);
	assert_int_equal(fc.failure.code, 0);
	assert_null(fc.client);
	fixture_client_fini(&fc);
}

static void test_client_reports_loss_and_stall_while_opening(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(openings); i++) {
		size_t count = 0;
		while (openings[i].turns[count].says)
			count++;
		for (size_t n = 0; n < count; n++) {
			check_loss(&openings[i], n, ERR_EOF);
			check_loss(&openings[i], n, ERR_RESET);
			check_loss(&openings[i], n, ERR_TIMEOUT);
		}
	}
}

static void test_client_reports_failed_connects(void **state)
{
	static const enum err errs[] = { ERR_REFUSED, ERR_UNREACHABLE, ERR_TIMEOUT };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(errs); i++) {
		fixture_client_init(&fc);
		fc.f.connect_err = errs[i];
		fixture_client_open(&fc);
		assert_int_equal(fc.fails, 1);
		assert_int_equal(fc.failure.stage, STAGE_CONNECT);
		assert_int_equal(fc.failure.err, errs[i]);
		fixture_client_fini(&fc);
	}
}

static void test_client_reports_failed_handshakes(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fc.params.tls.policy = TLS_OPPORTUNISTIC;
	fc.f.tls_err = ERR_TLS;
	fixture_client_open(&fc);
	fixture_client_say(&fc, "220 mx\r\n");
	fixture_client_say(&fc, "250-mx\r\n250 STARTTLS\r\n");
	fixture_client_say(&fc, "220 go\r\n");
	assert_int_equal(fc.failure.stage, STAGE_TLS);
	assert_int_equal(fc.failure.err, ERR_TLS);
	assert_true(str_equal(fc.failure.text, STR("bad handshake")));
	fixture_client_fini(&fc);
}

static void test_client_aborts_on_octets_behind_starttls_reply(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fc.params.tls.policy = TLS_OPPORTUNISTIC;
	fixture_client_open(&fc);
	fixture_client_say(&fc, "220 mx\r\n");
	fixture_client_say(&fc, "250-mx\r\n250 STARTTLS\r\n");
	fixture_client_say(&fc, "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n");
	assert_int_equal(fc.fails, 1);
	assert_int_equal(fc.failure.stage, STAGE_STARTTLS);
	assert_int_equal(fc.failure.err, ERR_SYNTAX);
	fixture_client_fini(&fc);
}

static void test_client_trusts_no_capability_from_before_tls(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fc.params.tls.policy = TLS_VERIFY;
	fc.f.is_tls_verified = true;
	fixture_client_open(&fc);
	fixture_client_say(&fc, "220 mx.example hello\r\n");
	fixture_client_say(
		&fc, "250-mx\r\n250-8BITMIME\r\n250-SIZE 5\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
	fixture_client_say(&fc, "220 go\r\n");
	fixture_client_say(&fc, "250-mx\r\n250-dsn\r\n250-SIZE 7\r\n250 SMTPUTF8\r\n");
	const struct smtp_client_info *info = smtp_client_info(fc.client);
	assert_true(info->has_dsn && info->has_size && info->has_smtputf8 && info->is_tls_verified);
	assert_false(info->has_8bitmime || info->has_pipelining || info->has_starttls);
	assert_int_equal(info->size_max_bytes, 7);
	assert_true(str_equal(info->tls, STR("TLSv1.3 TEST verified (tls verify)")));
	assert_true(str_equal(info->greeting, STR("mx.example")));
	fixture_client_fini(&fc);
}

/* --- jobs --- */

#define PIPE "PIPELINING\nENHANCEDSTATUSCODES"
#define MAIL "MAIL FROM:<a@b.example>\r\n"
#define R0 "RCPT TO:<r0@d.example>\r\n"
#define R1 "RCPT TO:<r1@d.example>\r\n"
#define R2 "RCPT TO:<r2@d.example>\r\n"
#define DATA "DATA\r\n"
#define CONTENT "S: x\r\n\r\n..dot\r\n.\r\n"

struct expected {
	enum stage stage;
	enum err err;
	unsigned code;
	bool is_delivered;
};

#define DELIVERED                                                                                  \
	{                                                                                          \
		STAGE_DOT, OK, 250, true                                                           \
	}

struct job_row {
	const char *name;
	const char *capabilities;
	uint32_t recipient_count;
	struct turn turns[8]; /* the first: what is said at once, without a cause */
	struct expected expected[3];
	bool is_reusable, is_dot_sent, is_untouched;
};

static const struct job_row jobs[] = {
	{ "one by one", "", 2,
		{ { "", MAIL }, { "250 ok\r\n", R0 }, { "250 ok\r\n", R1 }, { "250 ok\r\n", DATA },
			{ "354 go\r\n", CONTENT }, { "250 2.0.0 taken\r\n", "" } },
		{ DELIVERED, DELIVERED }, true, true, false },
	{ "pipelined", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "250 taken\r\n", "" } },
		{ DELIVERED, DELIVERED }, true, true, false },
	{ "multi-line replies", PIPE, 1,
		{ { "", MAIL R0 DATA },
			{ "250-a\r\n250 b\r\n250-c\r\n250 d\r\n354-e\r\n354 f\r\n", CONTENT },
			{ "250-x\r\n250 y\r\n", "" } },
		{ DELIVERED }, true, true, false },
	{ "some recipients refused", PIPE, 3,
		{ { "", MAIL R0 R1 R2 DATA },
			{ "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n450 later\r\n354 go\r\n", CONTENT },
			{ "250 taken\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, DELIVERED, { STAGE_RCPT, OK, 450, false } }, true,
		true, false },
	{ "all refused, pipelined, data refused", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n550 no\r\n452 no\r\n554 no\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, { STAGE_RCPT, OK, 452, false } }, true, false,
		false },
	{ "all refused, pipelined, 354 all the same", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n550 no\r\n452 no\r\n354 go\r\n", ".\r\n" },
			{ "554 no recipients\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, { STAGE_RCPT, OK, 452, false } }, true, false,
		false },
	{ "empty message taken all the same", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n550 no\r\n354 go\r\n", ".\r\n" },
			{ "250 thanks\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false } }, true, false, false },
	{ "all refused, one by one", "", 2,
		{ { "", MAIL }, { "250 ok\r\n", R0 }, { "550 no\r\n", R1 }, { "551 no\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, { STAGE_RCPT, OK, 551, false } }, true, false,
		false },
	{ "mail refused", "", 2, { { "", MAIL }, { "550 no\r\n", "" } },
		{ { STAGE_MAIL, OK, 550, false }, { STAGE_MAIL, OK, 550, false } }, true, false,
		false },
	{ "mail refused, pipelined", PIPE, 2,
		{ { "", MAIL R0 R1 DATA },
			{ "451 no\r\n503 mail\r\n503 mail\r\n503 mail\r\n", "" } },
		{ { STAGE_MAIL, OK, 451, false }, { STAGE_MAIL, OK, 451, false } }, true, false,
		false },
	{ "mail refused, rcpt taken, 354", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "451 no\r\n250 ok\r\n354 go\r\n", ".\r\n" },
			{ "503 no\r\n", "" } },
		{ { STAGE_MAIL, OK, 451, false } }, true, false, false },
	{ "data refused", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n550 no\r\n451 no\r\n", "" } },
		{ { STAGE_DATA, OK, 451, false }, { STAGE_RCPT, OK, 550, false } }, true, false,
		false },
	{ "250 to data", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n250 ok\r\n250 ok\r\n", "" } },
		{ { STAGE_DATA, ERR_SYNTAX, 0, false } }, false, false, false },
	{ "354 to mail", "", 1, { { "", MAIL }, { "354 go\r\n", "" } },
		{ { STAGE_MAIL, ERR_SYNTAX, 0, false } }, false, false, false },
	{ "354 to rcpt", "", 2, { { "", MAIL }, { "250 ok\r\n", R0 }, { "354 go\r\n", "" } },
		{ { STAGE_RCPT, ERR_SYNTAX, 0, false }, { STAGE_RCPT, ERR_SYNTAX, 0, false } },
		false, false, false },
	{ "354 to the dot", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "354 go\r\n", "" } },
		{ { STAGE_DOT, ERR_SYNTAX, 0, false } }, false, true, false },
	{ "refused at the dot", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", CONTENT },
			{ "554 5.7.1 spam\r\n", "" } },
		{ { STAGE_DOT, OK, 554, false }, { STAGE_RCPT, OK, 550, false } }, true, true,
		false },
	{ "malformed", "", 1, { { "", MAIL }, { "what?\r\n", "" } },
		{ { STAGE_MAIL, ERR_SYNTAX, 0, false } }, false, false, false },
	{ "malformed after the dot", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "\r\n", "" } },
		{ { STAGE_DOT, ERR_SYNTAX, 0, false } }, false, true, false },
	{ "421 to mail", PIPE, 1, { { "", MAIL R0 DATA }, { "421 bye\r\n", "" } },
		{ { STAGE_MAIL, OK, 421, false } }, false, false, false },
	{ "421 among rcpt", PIPE, 3,
		{ { "", MAIL R0 R1 R2 DATA }, { "250 ok\r\n550 no\r\n250 ok\r\n421 bye\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, { STAGE_RCPT, OK, 421, false },
			{ STAGE_RCPT, OK, 421, false } },
		false, false, false },
	{ "421 to data", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n250 ok\r\n421 bye\r\n", "" } },
		{ { STAGE_DATA, OK, 421, false } }, false, false, false },
	{ "421 to the dot", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "421 bye\r\n", "" } },
		{ { STAGE_DOT, OK, 421, false } }, false, true, false },
};

/* RFC 2033: a reply for each recipient that was accepted. */
static const struct job_row lmtp_jobs[] = {
	{ "lmtp, all delivered", PIPE, 3,
		{ { "", MAIL R0 R1 R2 DATA },
			{ "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "250 2.1.5 one\r\n", "" },
			{ "250-two\r\n250 two\r\n250 three\r\n", "" } },
		{ DELIVERED, DELIVERED, DELIVERED }, true, true, false },
	{ "lmtp, one by one", "", 1,
		{ { "", MAIL }, { "250 ok\r\n", R0 }, { "250 ok\r\n", DATA },
			{ "354 go\r\n", CONTENT }, { "250 taken\r\n", "" } },
		{ DELIVERED }, true, true, false },
	{ "lmtp, each its own reply", PIPE, 3,
		{ { "", MAIL R0 R1 R2 DATA },
			{ "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "452 4.2.2 full\r\n250 in\r\n550 5.2.1 closed\r\n", "" } },
		{ { STAGE_DOT, OK, 452, false }, DELIVERED, { STAGE_DOT, OK, 550, false } }, true,
		true, false },
	{ "lmtp, no reply for who was refused before", PIPE, 3,
		{ { "", MAIL R0 R1 R2 DATA },
			{ "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "250 in\r\n", "" }, { "450 later\r\n", "" } },
		{ DELIVERED, { STAGE_RCPT, OK, 550, false }, { STAGE_DOT, OK, 450, false } }, true,
		true, false },
	{ "lmtp, all refused", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n550 no\r\n452 no\r\n503 no\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false }, { STAGE_RCPT, OK, 452, false } }, true, false,
		false },
	{ "lmtp, all refused, 354 all the same", PIPE, 1,
		{ { "", MAIL R0 DATA }, { "250 ok\r\n550 no\r\n354 go\r\n", "" } },
		{ { STAGE_RCPT, OK, 550, false } }, false, false, false },
	{ "lmtp, data refused", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n250 ok\r\n451 no\r\n", "" } },
		{ { STAGE_DATA, OK, 451, false }, { STAGE_DATA, OK, 451, false } }, true, false,
		false },
	{ "lmtp, 421 for one, the others go on", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "421 4.4.2 timeout of a back end\r\n", "" }, { "250 in\r\n", "" } },
		{ { STAGE_DOT, OK, 421, false }, DELIVERED }, false, true, false },
	{ "lmtp, malformed between replies", PIPE, 2,
		{ { "", MAIL R0 R1 DATA }, { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
			{ "250 in\r\n", "" }, { "what?\r\n", "" } },
		{ DELIVERED, { STAGE_DOT, ERR_SYNTAX, 0, false } }, false, true, false },
};

static void check_outcomes(const struct fixture_client *fc, const struct job_row *row)
{
	for (uint32_t i = 0; i < row->recipient_count; i++) {
		const struct smtp_job_recipient *r = &fc->recipients[i];
		if (r->outcome.stage != row->expected[i].stage)
			print_error("job \"%s\", recipient %u\n", row->name, i);
		assert_int_equal(r->outcome.stage, row->expected[i].stage);
		assert_int_equal(r->outcome.err, row->expected[i].err);
		assert_int_equal(r->outcome.code, row->expected[i].code);
		assert_int_equal(r->is_delivered, row->expected[i].is_delivered);
		assert_true(r->outcome.text.len > 0);
		assert_int_equal(str_find(r->outcome.text, '\n'), r->outcome.text.len);
	}
}

static void check_job(const struct job_row *row, size_t cut, size_t part_bytes)
{
	static struct fixture_client fc;

	fixture_client_init(&fc);
	fc.params.is_lmtp = str_starts_fold(str_from_c(row->name), STR("lmtp"));
	fc.f.segment_bytes = cut;
	fc.part_bytes = part_bytes;
	fixture_client_ready(&fc, row->capabilities);
	fixture_client_deliver(&fc, row->recipient_count);
	for (const struct turn *t = row->turns; t->says; t++) {
		assert_int_equal(fc.dones, 0);
		const char *heard = fixture_client_say(&fc, t->says);
		if (strcmp(heard, t->hears) != 0)
			print_error("job \"%s\", cut %zu\n", row->name, cut);
		assert_string_equal(heard, t->hears);
	}
	if (fc.dones != 1)
		print_error("job \"%s\", cut %zu\n", row->name, cut);
	assert_int_equal(fc.dones, 1);
	assert_int_equal(fc.fails, 0);
	check_outcomes(&fc, row);
	assert_int_equal(fc.job.is_reusable, row->is_reusable);
	assert_int_equal(fc.job.is_dot_sent, row->is_dot_sent);
	assert_int_equal(fc.job.is_untouched, row->is_untouched);
	assert_int_equal(fc.conn->is_closed, !row->is_reusable);
	fixture_client_fini(&fc);
}

static void test_client_runs_transactions_at_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(jobs); i++)
		for (size_t k = 0; k < ARRAY_COUNT(cuts); k++) {
			check_job(&jobs[i], cuts[k], 0);
			check_job(&jobs[i], cuts[k], 1);
			check_job(&jobs[i], cuts[k], 5);
		}
}

static void test_client_takes_a_reply_for_each_recipient_by_lmtp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lmtp_jobs); i++)
		for (size_t k = 0; k < ARRAY_COUNT(cuts); k++)
			check_job(&lmtp_jobs[i], cuts[k], 0);
}

static void test_client_speaks_no_helo_to_lmtp(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fc.params.is_lmtp = true;
	fixture_client_open(&fc);
	assert_string_equal(fixture_client_say(&fc, "220 mx\r\n"), "LHLO relay.test\r\n");
	assert_string_equal(fixture_client_say(&fc, "500 5.5.1 this is SMTP\r\n"), QUIT);
	assert_int_equal(fc.fails, 1);
	assert_int_equal(fc.failure.stage, STAGE_EHLO);
	assert_int_equal(fc.failure.code, 500);
	fixture_client_fini(&fc);
}

/* Replies that came stand; who had none is in doubt: the error at the dot. */
static void test_client_keeps_lmtp_replies_when_the_connection_is_lost(void **state)
{
	static const enum err errs[] = { ERR_EOF, ERR_RESET, ERR_TIMEOUT };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(errs); i++) {
		fixture_client_init(&fc);
		fc.params.is_lmtp = true;
		fixture_client_ready(&fc, PIPE);
		fixture_client_deliver(&fc, 3);
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
		/* each reply has the whole time */
		fixture_advance(&fc.f, 599 * SECOND_MS);
		fixture_client_say(&fc, "250 in\r\n");
		fixture_advance(&fc.f, 599 * SECOND_MS);
		fixture_client_say(&fc, "550 5.1.1 no\r\n");
		assert_int_equal(fc.dones, 0);
		if (errs[i] == ERR_TIMEOUT)
			fixture_advance(&fc.f, 601 * SECOND_MS);
		else
			fixture_end(fc.conn, errs[i]);
		fixture_settle(&fc.f);
		assert_int_equal(fc.dones, 1);
		assert_true(fc.recipients[0].is_delivered);
		assert_int_equal(fc.recipients[0].outcome.code, 250);
		assert_int_equal(fc.recipients[1].outcome.code, 550);
		assert_false(fc.recipients[1].is_delivered || fc.recipients[2].is_delivered);
		assert_int_equal(fc.recipients[2].outcome.stage, STAGE_DOT);
		assert_int_equal(fc.recipients[2].outcome.err, errs[i]);
		assert_int_equal(fc.recipients[2].outcome.code, 0);
		assert_true(fc.job.is_dot_sent);
		assert_false(fc.job.is_untouched || fc.job.is_reusable);
		fixture_client_fini(&fc);
	}
}

/* Where each turn of a transaction leaves the client: the stage of a loss behind it. */
static const struct {
	const char *says;
	enum stage stage;
	bool is_dot_sent, is_untouched;
	int64_t limit_ms;
} stages[] = {
	{ "", STAGE_MAIL, false, true, 300000 },
	{ "250 ok\r\n", STAGE_RCPT, false, false, 300000 },
	{ "250 ok\r\n", STAGE_DATA, false, false, 120000 },
	{ "354 go\r\n", STAGE_DOT, true, false, 600000 },
};

static void start_stage(struct fixture_client *fc, const char *capabilities, size_t stage)
{
	fixture_client_init(fc);
	fixture_client_ready(fc, capabilities);
	fixture_client_deliver(fc, 1);
	for (size_t i = 0; i <= stage; i++)
		fixture_client_say(fc, stages[i].says);
}

static void check_lost(const struct fixture_client *fc, size_t stage, enum err err)
{
	assert_int_equal(fc->dones, 1);
	assert_int_equal(fc->recipients[0].outcome.stage, stages[stage].stage);
	assert_int_equal(fc->recipients[0].outcome.err, err);
	assert_int_equal(fc->recipients[0].outcome.code, 0);
	assert_false(fc->recipients[0].is_delivered);
	assert_int_equal(fc->job.is_dot_sent, stages[stage].is_dot_sent);
	assert_int_equal(fc->job.is_untouched, stages[stage].is_untouched);
	assert_false(fc->job.is_reusable);
	assert_null(fc->client);
}

static void test_client_reports_loss_at_each_stage(void **state)
{
	static const enum err errs[] = { ERR_EOF, ERR_RESET, ERR_TLS };
	static const char *const capabilities[] = { "", PIPE };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(stages); i++)
		for (size_t k = 0; k < ARRAY_COUNT(errs) * ARRAY_COUNT(capabilities); k++) {
			start_stage(&fc, capabilities[k % 2], i);
			fixture_end(fc.conn, errs[k / 2]);
			fixture_settle(&fc.f);
			check_lost(&fc, i, errs[k / 2]);
			fixture_client_fini(&fc);
		}
}

static void test_client_limits_each_stage(void **state)
{
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
		start_stage(&fc, "", i);
		fixture_advance(&fc.f, stages[i].limit_ms - 1);
		assert_int_equal(fc.dones, 0);
		/* half a reply is none */
		fixture_client_say(&fc, "25");
		fixture_advance(&fc.f, 1);
		check_lost(&fc, i, ERR_TIMEOUT);
		fixture_client_fini(&fc);
	}
}

static void test_client_reuses_a_session_with_rset_where_needed(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fixture_client_ready(&fc, PIPE);
	fixture_client_deliver(&fc, 1);
	fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
	fixture_client_say(&fc, "250 taken\r\n");
	assert_true(fc.job.is_reusable && fc.recipients[0].is_delivered);
	/* a transaction that was completed needs none */
	fixture_client_deliver(&fc, 1);
	assert_string_equal(fixture_client_heard(&fc), MAIL R0 DATA);
	fixture_client_say(&fc, "250 ok\r\n550 no\r\n503 no\r\n");
	assert_true(fc.job.is_reusable && !fc.recipients[0].is_delivered);
	/* one that was not does */
	fixture_client_deliver(&fc, 1);
	assert_string_equal(fixture_client_heard(&fc), "RSET\r\n" MAIL R0 DATA);
	assert_string_equal(
		fixture_client_say(&fc, "250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n"), CONTENT);
	fixture_client_say(&fc, "250 taken\r\n");
	assert_true(fc.recipients[0].is_delivered);
	assert_int_equal(fc.dones, 3);
	assert_int_equal(smtp_client_info(fc.client)->jobs, 3);
	smtp_client_close(fc.client);
	fc.client = NULL;
	assert_string_equal(fixture_output(fc.conn), "QUIT\r\n");
	assert_true(fc.conn->is_closed_flushed);
	fixture_client_fini(&fc);
}

static void test_client_marks_a_dead_reused_session_untouched(void **state)
{
	static const char *const says[] = { "", "421 idle too long\r\n" };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
		start_stage(&fc, PIPE, 3);
		fixture_client_say(&fc, "250 taken\r\n");
		fixture_client_deliver(&fc, 1);
		fixture_client_say(&fc, says[i]);
		fixture_end(fc.conn, ERR_EOF);
		fixture_settle(&fc.f);
		assert_int_equal(fc.dones, 2);
		assert_true(fc.job.is_untouched);
		assert_false(fc.job.is_reusable);
		fixture_client_fini(&fc);
	}
}

static void test_client_reports_the_end_of_an_idle_session(void **state)
{
	static const char *const says[] = { "", "421 bye\r\n", "250 what\r\n", "x\r\n" };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
		start_stage(&fc, PIPE, 3);
		fixture_client_say(&fc, "250 taken\r\n");
		assert_int_equal(fc.dones, 1);
		fixture_feed(fc.conn, says[i]);
		fixture_end(fc.conn, ERR_EOF);
		fixture_settle(&fc.f);
		assert_int_equal(fc.fails, 1);
		assert_null(fc.client);
		fixture_client_fini(&fc);
	}
}

static void test_client_does_not_reuse_a_session_with_surplus_replies(void **state)
{
	static struct fixture_client fc;

	(void)state;
	start_stage(&fc, PIPE, 3);
	fixture_client_say(&fc, "250 taken\r\n250 and again\r\n");
	assert_int_equal(fc.dones, 1);
	assert_true(fc.recipients[0].is_delivered);
	assert_false(fc.job.is_reusable);
	fixture_client_fini(&fc);
}

static void test_client_offers_nothing_that_the_peer_cannot_take(void **state)
{
	static const struct {
		const char *capabilities;
		enum body_kind body;
		bool is_smtputf8;
		uint64_t size;
		unsigned klass, subject, detail; /* 0: it is sent */
		const char *mail;
	} needs[] = {
		{ "", BODY_8BITMIME, false, 10, 5, 6, 3, "" },
		{ "8BITMIME", BODY_8BITMIME, false, 10, 0, 0, 0,
			"MAIL FROM:<a@b.example> BODY=8BITMIME\r\n" },
		{ "8BITMIME", BODY_7BIT, true, 10, 5, 6, 7, "" },
		{ "8BITMIME\nSMTPUTF8", BODY_7BIT, true, 10, 0, 0, 0,
			"MAIL FROM:<a@b.example> SMTPUTF8\r\n" },
		{ "SIZE 100", BODY_7BIT, false, 101, 5, 3, 4, "" },
		{ "SIZE 100", BODY_7BIT, false, 100, 0, 0, 0,
			"MAIL FROM:<a@b.example> SIZE=100\r\n" },
		{ "SIZE 0", BODY_7BIT, false, 100, 0, 0, 0,
			"MAIL FROM:<a@b.example> SIZE=100\r\n" },
		{ "SIZE", BODY_7BIT, false, 100, 0, 0, 0, "MAIL FROM:<a@b.example> SIZE=100\r\n" },
		{ "", BODY_7BIT, false, 100, 0, 0, 0, MAIL },
	};
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(needs); i++) {
		fixture_client_init(&fc);
		fixture_client_ready(&fc, needs[i].capabilities);
		fc.env.body = needs[i].body;
		fc.env.is_smtputf8 = needs[i].is_smtputf8;
		fc.env.size_bytes = needs[i].size;
		fixture_client_deliver(&fc, 2);
		assert_int_equal(fc.dones, 0); /* later */
		assert_string_equal(fixture_client_heard(&fc), needs[i].mail);
		if (needs[i].klass > 0) {
			assert_int_equal(fc.dones, 1);
			assert_true(fc.job.is_reusable);
			const struct outcome *o = &fc.recipients[1].outcome;
			assert_int_equal(o->stage, STAGE_POLICY);
			assert_int_equal(o->err, ERR_UNSUPPORTED);
			assert_true(status_is(
				o->status, needs[i].klass, needs[i].subject, needs[i].detail));
		}
		fixture_client_fini(&fc);
	}
}

static void test_client_passes_on_dsn_wishes_where_offered(void **state)
{
	static struct fixture_client fc;

	(void)state;
	for (int has_dsn = 0; has_dsn < 2; has_dsn++) {
		fixture_client_init(&fc);
		fixture_client_ready(&fc, has_dsn ? "PIPELINING\nDSN" : "PIPELINING");
		fc.env.ret = RET_HDRS;
		fc.env.envid = STR("a+b=c d");
		fc.rcpts[0].notify = NOTIFY_NEVER;
		fc.rcpts[1].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY;
		fc.rcpts[1].orcpt = STR("rfc822;o r@d"); /* from a queue that kept it decoded */
		fc.rcpts[2].orcpt = STR("X-other;+41+2Bb");
		fixture_client_deliver(&fc, 3);
		assert_string_equal(fixture_client_heard(&fc),
			has_dsn ? "MAIL FROM:<a@b.example> RET=HDRS ENVID=a+2Bb+3Dc+20d\r\n"
				  "RCPT TO:<r0@d.example> NOTIFY=NEVER\r\n"
				  "RCPT TO:<r1@d.example> NOTIFY=SUCCESS,FAILURE,DELAY "
				  "ORCPT=rfc822;o+20r@d\r\n"
				  "RCPT TO:<r2@d.example> ORCPT=X-other;+41+2Bb\r\n" DATA
				: MAIL R0 R1 R2 DATA);
		fixture_client_fini(&fc);
	}
}

/* RFC 6533 3: raw where MAIL says SMTPUTF8, which only mail that needs it does. */
static void test_client_passes_on_an_original_recipient_in_utf8(void **state)
{
	static struct fixture_client fc;

	(void)state;
	for (int needs = 0; needs < 2; needs++) {
		fixture_client_init(&fc);
		fixture_client_ready(&fc, "PIPELINING\nDSN\nSMTPUTF8");
		fc.env.is_smtputf8 = needs;
		fc.rcpts[0].orcpt = STR("utf-8;\xc3\xbc@d");
		fixture_client_deliver(&fc, 1);
		assert_string_equal(fixture_client_heard(&fc),
			needs ? "MAIL FROM:<a@b.example> SMTPUTF8\r\n"
				"RCPT TO:<r0@d.example> ORCPT=utf-8;\xc3\xbc@d\r\n" DATA
			      : MAIL "RCPT TO:<r0@d.example> ORCPT=utf-8;\\x{FC}@d\r\n" DATA);
		fixture_client_fini(&fc);
	}
}

static void test_client_never_sends_addresses_that_break_lines(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fixture_client_ready(&fc, PIPE);
	fc.rcpts[0].address = STR("a\r\nRSET\r\n@x");
	fc.rcpts[2].address = STR("a> NOTIFY=NEVER <@x");
	fixture_client_deliver(&fc, 3);
	assert_string_equal(fixture_client_heard(&fc), MAIL R1 DATA);
	fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
	fixture_client_say(&fc, "250 taken\r\n");
	assert_true(fc.recipients[1].is_delivered);
	assert_int_equal(fc.recipients[0].outcome.stage, STAGE_POLICY);
	assert_int_equal(fc.recipients[2].outcome.stage, STAGE_POLICY);
	assert_false(fc.recipients[0].is_delivered);
	fc.env.reverse_path = STR("a\n@x");
	fixture_client_deliver(&fc, 2);
	assert_string_equal(fixture_client_heard(&fc), "");
	assert_int_equal(fc.dones, 2);
	fc.env.reverse_path = STR("\"a\\\nDATA\"@x"); /* a backslash hides no line end */
	fixture_client_deliver(&fc, 2);
	assert_string_equal(fixture_client_heard(&fc), "");
	assert_int_equal(fc.dones, 3);
	fixture_client_fini(&fc);
}

/* --- content --- */

static char large[600 * 1024];

static struct str large_content(void)
{
	for (size_t i = 0; i < sizeof(large); i += 64) {
		memset(large + i, 'a' + (int)(i / 64 % 26), 62);
		memcpy(large + i + 62, "\r\n", 2);
	}
	return str_of(large, sizeof(large));
}

static void test_client_holds_back_content_that_the_peer_does_not_read(void **state)
{
	static const size_t parts[] = { 0, 100000, 1000 };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		fixture_client_init(&fc);
		fc.content = large_content();
		fc.part_bytes = parts[i];
		fixture_client_ready(&fc, PIPE);
		fixture_client_deliver(&fc, 1);
		fixture_client_heard(&fc);
		fc.conn->is_stalled = true;
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
		assert_in_range(fc.conn->unsent, 1, 200 * 1024);
		assert_false(fc.job.is_dot_sent);
		fc.conn->is_stalled = false;
		fixture_settle(&fc.f);
		assert_true(fc.job.is_dot_sent);
		struct str sent = buf_str(&fc.conn->all);
		struct str tail = str_slice(sent, sent.len - sizeof(large) - 3, sent.len - 3);
		assert_true(str_equal(tail, fc.content));
		fixture_client_say(&fc, "250 taken\r\n");
		assert_true(fc.recipients[0].is_delivered);
		fixture_client_fini(&fc);
	}
}

static void test_client_times_out_when_content_does_not_move(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fc.content = large_content();
	fixture_client_ready(&fc, PIPE);
	fixture_client_deliver(&fc, 1);
	fixture_client_heard(&fc);
	fc.conn->is_stalled = true;
	fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
	for (int i = 0; i < 10; i++) { /* slow, but moving */
		fixture_advance(&fc.f, 170 * SECOND_MS);
		fc.conn->unsent -= 1000;
	}
	assert_int_equal(fc.dones, 0);
	fixture_advance(&fc.f, 361 * SECOND_MS);
	assert_int_equal(fc.dones, 1);
	assert_int_equal(fc.recipients[0].outcome.stage, STAGE_CONTENT);
	assert_int_equal(fc.recipients[0].outcome.err, ERR_TIMEOUT);
	assert_false(fc.job.is_dot_sent);
	fixture_client_fini(&fc);
}

static void test_client_takes_early_refusals_in_content(void **state)
{
	static const struct {
		const char *says;
		enum err err;
		unsigned code;
	} early[] = {
		{ "552 5.3.4 too big\r\n", OK, 552 },
		{ "421 bye\r\n", OK, 421 },
		{ "250 thanks\r\n", ERR_SYNTAX, 0 },
	};
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(early); i++) {
		fixture_client_init(&fc);
		fc.content = large_content();
		fixture_client_ready(&fc, PIPE);
		fixture_client_deliver(&fc, 1);
		fixture_client_heard(&fc);
		fc.conn->is_stalled = true;
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
		fixture_client_say(&fc, early[i].says);
		assert_int_equal(fc.dones, 1);
		assert_int_equal(fc.recipients[0].outcome.stage, STAGE_CONTENT);
		assert_int_equal(fc.recipients[0].outcome.err, early[i].err);
		assert_int_equal(fc.recipients[0].outcome.code, early[i].code);
		assert_false(fc.job.is_reusable);
		fixture_client_fini(&fc);
	}
}

static void test_client_waits_for_the_part_it_asked_for(void **state)
{
	static struct fixture_client fc;

	(void)state;
	for (int closes = 0; closes < 2; closes++) {
		start_stage(&fc, PIPE, 2);
		fc.is_reader_slow = true;
		fixture_client_say(&fc, "354 go\r\n");
		assert_true(fc.is_asked);
		fixture_advance(&fc.f, HOUR_MS); /* our own slowness is no timeout of the peer's */
		assert_int_equal(fc.dones, 0);
		if (closes) {
			smtp_client_close(fc.client);
			fc.client = NULL;
		} else {
			fixture_end(fc.conn, ERR_RESET);
		}
		fixture_settle(&fc.f);
		assert_int_equal(fc.dones, 0);
		fixture_client_give(&fc);
		assert_int_equal(fc.dones, !closes);
		if (!closes)
			assert_int_equal(fc.recipients[0].outcome.stage, STAGE_CONTENT);
		fixture_client_fini(&fc);
	}
}

static void test_client_never_sends_broken_content(void **state)
{
	static const struct {
		struct str content;
		enum err err;
	} broken[] = {
		{ { "a\nb\r\n", 5 }, OK },
		{ { "a\r\n\n.\r\n", 7 }, OK },
		{ { "a\rb\r\n", 5 }, OK },
		{ { "a\0b\r\n", 5 }, OK },
		{ { "a\r\n.\r", 5 }, OK },
		{ { "a\r\nb\r\n", 6 }, ERR_NOT_FOUND },
	};
	static const size_t parts[] = { 0, 1, 2 };
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(broken) * ARRAY_COUNT(parts); i++) {
		size_t row = i / ARRAY_COUNT(parts);
		fixture_client_init(&fc);
		fc.content = broken[row].content;
		fc.content_err = broken[row].err;
		fc.part_bytes = parts[i % ARRAY_COUNT(parts)];
		fixture_client_ready(&fc, PIPE);
		fixture_client_deliver(&fc, 1);
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
		assert_int_equal(fc.dones, 1);
		const struct outcome *o = &fc.recipients[0].outcome;
		if (broken[row].err == OK) {
			assert_int_equal(o->stage, STAGE_POLICY);
			assert_true(status_is(o->status, 5, 6, 0));
		} else {
			assert_int_equal(o->stage, STAGE_CONTENT);
			assert_int_equal(o->err, broken[row].err);
		}
		assert_false(fc.job.is_dot_sent);
		assert_true(fc.conn->is_closed && !fc.conn->is_closed_flushed);
		fixture_client_fini(&fc);
	}
}

static void test_client_fails_at_its_fault_points(void **state)
{
	static const struct {
		enum fault_point point;
		enum stage stage;
		bool is_dot_sent;
	} points[] = {
		{ FAULT_attempt_in_data, STAGE_CONTENT, false },
		{ FAULT_attempt_dot_sent, STAGE_DOT, true },
	};
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
		fixture_client_init(&fc);
		fc.f.fault = (struct fault){ points[i].point, FAULT_FAIL, 1 };
		fixture_client_ready(&fc, PIPE);
		fixture_client_deliver(&fc, 1);
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
		assert_int_equal(fc.dones, 1);
		assert_int_equal(fc.recipients[0].outcome.stage, points[i].stage);
		assert_int_equal(fc.recipients[0].outcome.err, ERR_RESET);
		assert_int_equal(fc.job.is_dot_sent, points[i].is_dot_sent);
		fixture_client_fini(&fc);
	}
}

static void test_client_pipelines_long_lists_in_windows(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fixture_client_ready(&fc, PIPE);
	fc.conn->is_stalled = true;
	fixture_client_deliver(&fc, FIXTURE_RECIPIENTS_MAX);
	fixture_settle(&fc.f);
	assert_in_range(fc.conn->unsent, 64 * 1024, 65 * 1024);
	fc.conn->is_stalled = false;
	fixture_settle(&fc.f);
	fixture_client_say(&fc, "250 ok\r\n");
	for (int i = 0; i < FIXTURE_RECIPIENTS_MAX; i++) {
		const char *reply = i % 3 == 0 ? "550 no\r\n" : "250 ok\r\n";
		fixture_feed(fc.conn, reply);
	}
	fixture_client_say(&fc, "354 go\r\n");
	fixture_client_say(&fc, "250 taken\r\n");
	assert_int_equal(fc.dones, 1);
	for (int i = 0; i < FIXTURE_RECIPIENTS_MAX; i++)
		assert_int_equal(fc.recipients[i].is_delivered, i % 3 != 0);
	fixture_client_fini(&fc);
}

static void test_client_closes_at_any_moment(void **state)
{
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
		start_stage(&fc, PIPE, i);
		smtp_client_close(fc.client);
		fc.client = NULL;
		fixture_settle(&fc.f);
		assert_int_equal(fc.dones, 0);
		assert_int_equal(fc.fails, 0);
		fixture_client_fini(&fc);
	}
	fixture_client_init(&fc);
	fc.f.does_connect_hang = true;
	fixture_client_open(&fc);
	smtp_client_close(fc.client);
	fc.client = NULL;
	fixture_client_fini(&fc);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_opens_by_policy),
		cmocka_unit_test(test_client_reports_loss_and_stall_while_opening),
		cmocka_unit_test(test_client_reports_failed_connects),
		cmocka_unit_test(test_client_reports_failed_handshakes),
		cmocka_unit_test(test_client_aborts_on_octets_behind_starttls_reply),
		cmocka_unit_test(test_client_trusts_no_capability_from_before_tls),
		cmocka_unit_test(test_client_runs_transactions_at_any_cut),
		cmocka_unit_test(test_client_takes_a_reply_for_each_recipient_by_lmtp),
		cmocka_unit_test(test_client_speaks_no_helo_to_lmtp),
		cmocka_unit_test(test_client_keeps_lmtp_replies_when_the_connection_is_lost),
		cmocka_unit_test(test_client_reports_loss_at_each_stage),
		cmocka_unit_test(test_client_limits_each_stage),
		cmocka_unit_test(test_client_reuses_a_session_with_rset_where_needed),
		cmocka_unit_test(test_client_marks_a_dead_reused_session_untouched),
		cmocka_unit_test(test_client_reports_the_end_of_an_idle_session),
		cmocka_unit_test(test_client_does_not_reuse_a_session_with_surplus_replies),
		cmocka_unit_test(test_client_offers_nothing_that_the_peer_cannot_take),
		cmocka_unit_test(test_client_passes_on_dsn_wishes_where_offered),
		cmocka_unit_test(test_client_passes_on_an_original_recipient_in_utf8),
		cmocka_unit_test(test_client_never_sends_addresses_that_break_lines),
		cmocka_unit_test(test_client_holds_back_content_that_the_peer_does_not_read),
		cmocka_unit_test(test_client_times_out_when_content_does_not_move),
		cmocka_unit_test(test_client_takes_early_refusals_in_content),
		cmocka_unit_test(test_client_waits_for_the_part_it_asked_for),
		cmocka_unit_test(test_client_never_sends_broken_content),
		cmocka_unit_test(test_client_fails_at_its_fault_points),
		cmocka_unit_test(test_client_pipelines_long_lists_in_windows),
		cmocka_unit_test(test_client_closes_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
