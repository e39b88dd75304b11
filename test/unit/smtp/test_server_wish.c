/* What is wished at MAIL: to whom it is offered, what is refused, and what the envelope then says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture_server.h"

#define KNOWN "127.0.0.1"
#define STRANGER "192.0.2.1"
#define SENDER "250 2.1.0 sender ok\r\n"
#define LOST "250 2.3.6 0 is the priority of mail from unknown clients\r\n"
#define PAST (-1)
#define UNKNOWN "555 5.5.4 unknown parameter of MAIL\r\n"
#define HELD_TOO_LONG "501 5.5.4 mail is held for 3600 s at most\r\n"

static void start(struct fixture_server *fs, const char *from, bool has_tls)
{
	fixture_server_init(fs);
	fs->conf->smtpd.hold_max_ms = HOUR_MS;
	fs->from = from;
	fs->has_tls = has_tls;
	fs->listener.is_submission = true;
	fixture_server_start(fs);
	if (has_tls)
		fixture_server_talk(fs, "STARTTLS\r\n");
}

static void test_wishes_are_offered_to_whom_they_are_kept(void **state)
{
	static const struct {
		const char *from;
		bool has_tls;
		enum listener_allow allow;
		bool is_submission, has_users;
		bool offers_requiretls, offers_by, offers_holding;
	} rows[] = {
		{ KNOWN, false, ALLOW_TRUSTED, true, false, false, true, true },
		{ KNOWN, false, ALLOW_TRUSTED, false, false, false, true, false },
		{ KNOWN, true, ALLOW_TRUSTED, true, false, true, true, true },
		{ KNOWN, false, ALLOW_AUTHENTICATED, true, false, false, false, false },
		{ STRANGER, false, ALLOW_TRUSTED, true, false, false, false, false },
		{ STRANGER, true, ALLOW_TRUSTED, true, false, false, false, false },
		/* who has to log in first will not say EHLO again afterwards; in clear text he cannot */
		{ STRANGER, true, ALLOW_AUTHENTICATED, true, true, true, true, true },
		{ STRANGER, true, ALLOW_AUTHENTICATED, false, true, true, true, false },
		{ STRANGER, false, ALLOW_AUTHENTICATED, true, true, false, false, false },
	};
	struct conf_user user = { STR("anna"), STR("*") };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fixture_server fs;

		fixture_server_init(&fs);
		fs.conf->smtpd.hold_max_ms = HOUR_MS;
		fs.from = rows[i].from;
		fs.has_tls = rows[i].has_tls;
		fs.listener.allow = rows[i].allow;
		fs.listener.is_submission = rows[i].is_submission;
		fs.conf->users = &user;
		fs.conf->user_count = rows[i].has_users;
		fixture_server_start(&fs);
		if (rows[i].has_tls)
			assert_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "REQUIRETLS"));
		fixture_server_talk(&fs, rows[i].has_tls ? "STARTTLS\r\n" : "NOOP\r\n");
		const char *said = fixture_server_talk(&fs, "EHLO c\r\n");
		assert_non_null(strstr(said, "250-MT-PRIORITY\r\n"));
		assert_int_equal(strstr(said, "DELIVERBY\r\n") != NULL, rows[i].offers_by);
		assert_int_equal(strstr(said, "ETRN\r\n") != NULL, rows[i].offers_by);
		assert_int_equal(strstr(said, "REQUIRETLS\r\n") != NULL, rows[i].offers_requiretls);
		assert_int_equal(
			strstr(said, "FUTURERELEASE 3600 ") != NULL, rows[i].offers_holding);
		/* where nobody can log in: to whom we know */
		assert_int_equal(strstr(said, "250-DSN\r\n") != NULL, rows[i].offers_by);
		fixture_server_fini(&fs);
	}
}

static void test_hold_is_offered_with_its_limits(void **state)
{
	struct fixture_server fs;
	struct buf expected;

	(void)state;
	start(&fs, KNOWN, false);
	buf_init(&expected, 100);
	buf_append_str(&expected, STR("FUTURERELEASE 3600 "));
	instant_format_iso(&expected, wall_add(env_wall(&fs.f.env), HOUR_MS));
	expected.len -= 5;
	buf_append_str(&expected, STR("Z\r\n"));
	assert_non_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), buf_cstr(&expected)));
	buf_fini(&expected);
	fixture_server_fini(&fs);

	fixture_server_init(&fs);
	fs.from = KNOWN;
	fs.listener.is_submission = true;
	fs.conf->smtpd.hold_max_ms = 0;
	fixture_server_start(&fs);
	assert_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "FUTURERELEASE"));
	assert_string_equal(fixture_server_talk(&fs, "MAIL FROM:<> HOLDFOR=1\r\n"),
		"555 5.5.4 unknown parameter of MAIL\r\n");
	fixture_server_fini(&fs);
}

static void test_limits_are_offered_as_configured(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->smtpd.recipients_max = 50;
	fs.conf->smtpd.messages_per_session = 7;
	fixture_server_start(&fs);
	assert_non_null(
		strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "LIMITS MAILMAX=7 RCPTMAX=50\r\n"));
	fixture_server_fini(&fs);
}

static const struct {
	const char *from;
	bool has_tls;
	const char *params, *reply;
	bool is_requiretls;
	int priority;
	int64_t by_ms, hold_ms; /* from now; 0: none */
	bool by_notify, by_trace;
} wishes[] = {
	{ KNOWN, false, "", SENDER, false, 0, 0, 0, false, false },
	{ KNOWN, false, " REQUIRETLS", "530 5.7.10 REQUIRETLS needs STARTTLS first\r\n", false, 0,
		0, 0, false, false },
	{ KNOWN, true, " REQUIRETLS", SENDER, true, 0, 0, 0, false, false },
	{ STRANGER, true, " REQUIRETLS", UNKNOWN, false, 0, 0, 0, false, false },
	{ KNOWN, false, " MT-PRIORITY=-9", SENDER, false, -9, 0, 0, false, false },
	{ KNOWN, false, " MT-PRIORITY=6", SENDER, false, 6, 0, 0, false, false },
	{ STRANGER, false, " MT-PRIORITY=6", LOST, false, 0, 0, 0, false, false },
	{ STRANGER, false, " MT-PRIORITY=-6", LOST, false, 0, 0, 0, false, false },
	{ STRANGER, false, " MT-PRIORITY=0", SENDER, false, 0, 0, 0, false, false },
	{ KNOWN, false, " BY=120;R", SENDER, false, 0, 120000, 0, false, false },
	{ KNOWN, false, " BY=-60;NT", SENDER, false, 0, -60000, 0, true, true },
	{ KNOWN, false, " BY=999999999;RT", SENDER, false, 0, 999999999000, 0, false, true },
	/* a notice to whomever he likes, as soon as he likes */
	{ STRANGER, false, " BY=1;R", UNKNOWN, false, 0, 0, 0, false, false },
	{ STRANGER, false, " BY=-60;N", UNKNOWN, false, 0, 0, 0, false, false },
	{ KNOWN, false, " HOLDFOR=60", SENDER, false, 0, 0, 60000, false, false },
	{ KNOWN, false, " HOLDFOR=3600", SENDER, false, 0, 0, HOUR_MS, false, false },
	{ KNOWN, false, " HOLDFOR=3601", HELD_TOO_LONG, false, 0, 0, 0, false, false },
	{ KNOWN, false, " HOLDFOR=999999999", HELD_TOO_LONG, false, 0, 0, 0, false, false },
	{ KNOWN, false, " HOLDUNTIL=9999-12-31T23:59:59Z", HELD_TOO_LONG, false, 0, 0, 0, false,
		false },
	{ KNOWN, false, " HOLDUNTIL=1970-01-01T00:00:00Z", SENDER, false, 0, 0, 0, false, false },
	{ KNOWN, false, " HOLDUNTIL=1970-01-01T00:00:01Z", SENDER, false, 0, 0, PAST, false,
		false },
	{ STRANGER, false, " HOLDFOR=60", UNKNOWN, false, 0, 0, 0, false, false },
	{ KNOWN, false, " HOLDFOR=60 BY=61;R", SENDER, false, 0, 61000, 60000, false, false },
	{ KNOWN, false, " HOLDFOR=60 BY=60;R",
		"501 5.5.4 mail held so long cannot arrive in time\r\n", false, 0, 0, 0, false,
		false },
	{ KNOWN, false, " HOLDFOR=60 BY=5;N",
		"501 5.5.4 mail held so long cannot arrive in time\r\n", false, 0, 0, 0, false,
		false },
	{ KNOWN, false, " HOLDFOR=60 BY=-5;N",
		"501 5.5.4 mail held so long cannot arrive in time\r\n", false, 0, 0, 0, false,
		false },
	{ KNOWN, false, " HOLDFOR=60 BY=61;N", SENDER, false, 0, 61000, 60000, true, false },
};

static void test_wishes_are_kept_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(wishes); i++) {
		struct fixture_server fs;
		char line[256];

		start(&fs, wishes[i].from, wishes[i].has_tls);
		fixture_server_talk(&fs, "EHLO c\r\n");
		snprintf(line, sizeof(line), "MAIL FROM:<a@b.example>%s\r\n", wishes[i].params);
		int64_t now = env_wall(&fs.f.env).ms;
		assert_string_equal(fixture_server_talk(&fs, line), wishes[i].reply);
		if (wishes[i].reply[0] == '2') {
			fixture_server_talk(&fs, "RCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\n");
			const struct envelope *env = &fs.t->env;
			assert_int_equal(env->is_requiretls, wishes[i].is_requiretls);
			assert_int_equal(env->priority, wishes[i].priority);
			assert_int_equal(
				env->deliver_by.ms, wishes[i].by_ms ? now + wishes[i].by_ms : 0);
			if (wishes[i].hold_ms == PAST)
				assert_int_equal(env->hold_until.ms, 1000);
			else
				assert_int_equal(env->hold_until.ms,
					wishes[i].hold_ms ? now + wishes[i].hold_ms : 0);
			assert_int_equal(env->hold_wish, strstr(line, "HOLDFOR") ? HOLD_WISH_FOR
							 : strstr(line, "HOLDUNTIL")
								 ? HOLD_WISH_UNTIL
								 : HOLD_WISH_NONE);
			assert_int_equal(env->deliver_by_notify, wishes[i].by_notify);
			assert_int_equal(env->deliver_by_trace, wishes[i].by_trace);
			assert_false(env->deliver_by_is_ours);
		} else {
			assert_int_equal(fs.mails, 0);
		}
		fixture_server_fini(&fs);
	}
}

static void test_etrn_is_for_known_clients(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, STRANGER, false);
	assert_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "ETRN"));
	assert_string_equal(fixture_server_talk(&fs, "ETRN d.example\r\n"),
		"459 4.7.1 ETRN is not allowed to you\r\n");
	assert_string_equal(fs.etrn, "");
	fixture_server_fini(&fs);

	start(&fs, KNOWN, false);
	assert_string_equal(
		strrchr(fixture_server_talk(&fs, "ETRN d.example\r\n"), '\n') - 1, "\r\n");
	assert_string_equal(fs.etrn, ""); /* EHLO first */
	assert_non_null(strstr(fixture_server_talk(&fs, "EHLO c\r\n"), "ETRN\r\n"));
	assert_string_equal(fixture_server_talk(&fs, "ETRN @d.example\r\n"), "250 2.0.0 ok\r\n");
	assert_string_equal(fs.etrn, "@d.example");
	assert_string_equal(fixture_server_talk(&fs, "ETRN #none\r\n"), "458 4.3.0 \r\n");
	assert_string_equal(fixture_server_talk(&fs, "ETRN\r\n"),
		"501 5.5.4 syntax error in the arguments of ETRN\r\n");
	fs.is_etrn_later = true;
	assert_string_equal(fixture_server_talk(&fs, "ETRN e.example\r\nNOOP\r\n"), "");
	const struct smtp_answer answer = {
		.code = 251, .status = STATUS(2, 0, 0), .text = STR("none")
	};
	smtp_server_answer(fs.server, &answer);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), "251 2.0.0 none\r\n250 2.0.0 ok\r\n");
	assert_string_equal(fixture_server_talk(&fs, "MAIL FROM:<>\r\nETRN d.example\r\n"),
		SENDER "503 5.5.1 ETRN is not allowed in a mail transaction\r\n");
	fixture_server_fini(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_etrn_is_for_known_clients),
		cmocka_unit_test(test_wishes_are_offered_to_whom_they_are_kept),
		cmocka_unit_test(test_hold_is_offered_with_its_limits),
		cmocka_unit_test(test_limits_are_offered_as_configured),
		cmocka_unit_test(test_wishes_are_kept_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
