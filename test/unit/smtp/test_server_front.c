/* XCLIENT and XFORWARD: who may say them, what they change, and what is refused as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_server.h"

#define GREETING "220 relay.test ESMTP Outlast\r\n"
#define OK_REPLY "250 2.0.0 ok\r\n"
#define NOT_YOU "550 5.7.0 XCLIENT is not for this client\r\n"
#define BAD_ATTRIBUTE "501 5.5.4 bad or repeated attribute of XCLIENT\r\n"
#define BAD_VALUE "501 5.5.4 bad value of an attribute of XCLIENT\r\n"
#define HELO "EHLO c\r\n"
#define MAIL "MAIL FROM:<a@b.example>\r\n"

static struct network front, trusted;

static void start(struct fixture_server *fs, const char *from)
{
	fixture_server_init(fs);
	assert_int_equal(network_parse(&front, STR("192.0.2.0/24")), OK);
	assert_int_equal(network_parse(&trusted, STR("198.51.100.0/24")), OK);
	fs->conf->xclient = &front;
	fs->conf->xclient_count = 1;
	fs->conf->trusted = &trusted;
	fs->conf->trusted_count = 1;
	fs->from = from;
	fixture_server_start(fs);
	fixture_server_talk(fs, "");
}

static const struct smtp_server_info *info(const struct fixture_server *fs)
{
	return smtp_server_info(fs->server);
}

static void assert_text(struct str got, const char *expected)
{
	assert_int_equal(got.len, strlen(expected));
	assert_memory_equal(got.data, expected, got.len);
}

static void assert_endpoint(const struct endpoint *e, const char *expected)
{
	struct buf text;

	buf_init(&text, 200);
	endpoint_format(&text, e);
	assert_string_equal(buf_cstr(&text), expected);
	buf_fini(&text);
}

static void test_front_is_offered_to_its_networks_only(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, "192.0.2.1");
	const char *reply = fixture_server_talk(&fs, HELO);
	assert_non_null(
		strstr(reply, "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"));
	assert_non_null(strstr(reply, "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"));
	fixture_server_fini(&fs);
	start(&fs, "198.51.100.1"); /* trusted to relay, but not for this */
	reply = fixture_server_talk(&fs, HELO);
	assert_null(strstr(reply, "XCLIENT"));
	assert_null(strstr(reply, "XFORWARD"));
	assert_string_equal(fixture_server_talk(&fs, "XCLIENT ADDR=198.51.100.9\r\n"), NOT_YOU);
	assert_string_equal(fixture_server_talk(&fs, "XFORWARD NAME=x\r\n"),
		"550 5.7.0 XFORWARD is not for this client\r\n");
	assert_endpoint(&info(&fs)->client, "198.51.100.1:4242");
	fixture_server_fini(&fs);
}

/* Who is behind a load balancer may be anybody: neither it nor its being listed opens the door for him. */
static void test_front_asks_who_the_load_balancer_speaks_for(void **state)
{
	struct fixture_server fs;
	struct endpoint client;

	(void)state;
	start(&fs, "192.0.2.1");
	assert_int_equal(endpoint_parse(&client, STR("203.0.113.5"), 1), OK);
	smtp_server_set_origin(fs.server, &client);
	assert_string_equal(fixture_server_talk(&fs, "XCLIENT ADDR=198.51.100.9\r\n"), NOT_YOU);
	assert_false(info(&fs)->is_trusted);
	assert_false(info(&fs)->is_from_here);
	/* loopback of another host is not ours */
	fs.conf->trusted_count = 1;
	assert_int_equal(network_parse(&trusted, STR("127.0.0.0/8")), OK);
	assert_int_equal(endpoint_parse(&client, STR("127.0.0.1"), 1), OK);
	smtp_server_set_origin(fs.server, &client);
	assert_false(info(&fs)->is_trusted);
	/* nobody is known: nobody is trusted */
	client = (struct endpoint){ 0 };
	smtp_server_set_origin(fs.server, &client);
	assert_false(info(&fs)->is_trusted);
	fixture_server_fini(&fs);
}

static void test_xclient_starts_over_with_another_client(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, "192.0.2.1");
	fixture_server_talk(&fs, HELO);
	assert_false(info(&fs)->is_trusted);
	assert_string_equal(
		fixture_server_talk(&fs, "xclient name=client.example addr=198.51.100.7 PORT=777 "
					 "DESTADDR=IPV6:2001:db8::1 DESTPORT=25\r\n"),
		GREETING);
	assert_endpoint(&info(&fs)->client, "198.51.100.7:777");
	assert_false(info(&fs)->is_from_here);
	assert_text(info(&fs)->client_name, "client.example");
	assert_true(info(&fs)->is_trusted);
	assert_int_equal(info(&fs)->helo.len, 0);
	assert_string_equal(fixture_server_talk(&fs, MAIL), "503 5.5.1 send EHLO first\r\n");
	/* who may speak so still may: the connection is the same */
	assert_non_null(strstr(fixture_server_talk(&fs, HELO), "XCLIENT"));
	assert_string_equal(
		fixture_server_talk(&fs, "XCLIENT ADDR=IPV6:2001:db8::9 NAME=[UNAVAILABLE]\r\n"),
		GREETING);
	assert_endpoint(&info(&fs)->client, "[2001:db8::9]:777");
	assert_int_equal(info(&fs)->client_name.len, 0);
	assert_false(info(&fs)->is_trusted);
	/* its own HELO will do */
	assert_string_equal(
		fixture_server_talk(
			&fs, "XCLIENT ADDR=[TEMPUNAVAIL] PROTO=ESMTP HELO=he.example\r\n" MAIL),
		GREETING "250 2.1.0 sender ok\r\n");
	assert_int_equal(info(&fs)->client.family, FAMILY_NONE);
	assert_text(info(&fs)->helo, "he.example");
	assert_true(info(&fs)->is_esmtp);
	/* not within a transaction */
	assert_string_equal(fixture_server_talk(&fs, "XCLIENT ADDR=198.51.100.7\r\n"),
		"503 5.5.1 XCLIENT is not allowed in a mail transaction\r\n");
	fixture_server_fini(&fs);
}

static void test_xclient_login_is_the_user(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, "192.0.2.1");
	fixture_server_talk(&fs, HELO);
	fixture_server_talk(&fs, "XCLIENT LOGIN=al+2Bice@example.org\r\n");
	assert_text(info(&fs)->user, "al+ice@example.org");
	fixture_server_talk(&fs, "XCLIENT ADDR=203.0.113.9\r\n"); /* in two lines, in this order */
	assert_text(info(&fs)->user, "al+ice@example.org");
	fixture_server_talk(&fs, "XCLIENT LOGIN=[UNAVAILABLE]\r\n");
	assert_int_equal(info(&fs)->user.len, 0);
	fixture_server_fini(&fs);

	/* a password is of the client who gave it */
	fixture_server_init(&fs);
	fs.conf->xclient = &front;
	fs.conf->xclient_count = 1;
	fs.conf->users = fs.users;
	fs.conf->user_count = 1;
	fs.conf->auth_without_tls = true;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n");
	assert_text(info(&fs)->user, "user");
	fixture_server_talk(&fs, "XCLIENT NAME=x.example\r\n");
	assert_text(info(&fs)->user, "user");
	fixture_server_talk(&fs, "XCLIENT ADDR=203.0.113.9\r\n");
	assert_int_equal(info(&fs)->user.len, 0);
	fixture_server_fini(&fs);
}

/* The certificate that logs the server in front in does not log its clients in. */
static void test_xclient_drops_the_certificate(void **state)
{
	static const char *const lines[] = { "XCLIENT ADDR=203.0.113.9\r\n", "XCLIENT LOGIN=x\r\n",
		"XCLIENT LOGIN=[UNAVAILABLE]\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct fixture_server fs;
		fixture_server_init(&fs);
		fs.conf->xclient = &front;
		fs.conf->xclient_count = 1;
		fs.conf->tls.client_authorities = STR("/etc/outlast/clients.pem");
		fs.has_tls = true;
		fs.f.is_tls_verified = true;
		fs.f.tls_peer = STR("front.example");
		fixture_server_start(&fs);
		fixture_server_talk(&fs, HELO "STARTTLS\r\n");
		fixture_server_talk(&fs, HELO);
		assert_text(info(&fs)->certificate, "front.example");
		assert_string_equal(fixture_server_talk(&fs, lines[i]), GREETING);
		assert_int_equal(info(&fs)->certificate.len, 0);
		fixture_server_fini(&fs);
	}
}

static void test_xclient_takes_a_line_whole_or_not_at_all(void **state)
{
	static const struct {
		const char *line, *reply;
	} rows[] = {
		{ "XCLIENT\r\n", "501 5.5.4 syntax error in the arguments of XCLIENT\r\n" },
		{ "XCLIENT ADDR\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 FOO=1\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 IDENT=1\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 ADDR=198.51.100.7\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 NAME=a+0D+0Ab\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 NAME=a+00\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 LOGIN=\xc3\xa4\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 HELO=a+20b\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100.7 PROTO=HTTP\r\n", BAD_ATTRIBUTE },
		{ "XCLIENT ADDR=198.51.100\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=2001:db8::1\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=IPV6:198.51.100.7\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=[198.51.100.7]\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=198.51.100.7 PORT=65536\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=198.51.100.7 PORT=-1\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=198.51.100.7 NAME=a(b\r\n", BAD_VALUE },
		{ "XCLIENT ADDR=198.51.100.7 DESTADDR=x\r\n", BAD_VALUE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fixture_server fs;
		start(&fs, "192.0.2.1");
		fixture_server_talk(&fs, HELO);
		assert_string_equal(fixture_server_talk(&fs, rows[i].line), rows[i].reply);
		assert_endpoint(&info(&fs)->client, "192.0.2.1:4242");
		assert_false(info(&fs)->is_trusted);
		assert_text(info(&fs)->helo, "c");
		fixture_server_fini(&fs);
	}
}

static void test_xclient_is_forgotten_at_starttls(void **state)
{
	struct fixture_server fs;

	(void)state;
	fixture_server_init(&fs);
	fs.conf->xclient = &front;
	fs.conf->xclient_count = 1;
	fs.has_tls = true;
	fixture_server_start(&fs);
	fixture_server_talk(&fs, HELO "XCLIENT ADDR=203.0.113.9 NAME=x.example LOGIN=a\r\n");
	fixture_server_talk(&fs, "XFORWARD NAME=x\r\n");
	assert_endpoint(&info(&fs)->client, "203.0.113.9:4242");
	fixture_server_talk(&fs, HELO "STARTTLS\r\n");
	assert_true(info(&fs)->is_tls);
	assert_endpoint(&info(&fs)->client, "192.0.2.1:4242");
	assert_int_equal(info(&fs)->client_name.len, 0);
	assert_int_equal(info(&fs)->user.len, 0);
	assert_int_equal(info(&fs)->forwarded.len, 0);
	fixture_server_fini(&fs);
}

static void test_xforward_is_for_one_message(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, "192.0.2.1");
	fixture_server_talk(&fs, HELO);
	assert_string_equal(
		fixture_server_talk(&fs,
			"XFORWARD NAME=orig.example ADDR=IPV6:2001:db8::5 HELO=he+20(llo "
			"PROTO=SMTP\r\n"
			"XFORWARD IDENT=4ABC SOURCE=REMOTE\r\n" MAIL "RCPT TO:<c@d.example>\r\n"),
		"501 5.5.4 bad or repeated attribute of XFORWARD\r\n" OK_REPLY
		"250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n");
	fixture_server_talk(&fs, "RSET\r\n");
	assert_int_equal(info(&fs)->forwarded_id.len, 0);
	fixture_server_talk(&fs,
		"XFORWARD NAME=orig.example ADDR=IPV6:2001:db8::5 HELO=he(llo PROTO=SMTP\r\n"
		"XFORWARD IDENT=4ABC SOURCE=REMOTE\r\n" MAIL "RCPT TO:<c@d.example>\r\nDATA\r\n");
	assert_text(info(&fs)->forwarded, "orig.example[2001:db8::5] helo=he?llo");
	assert_text(info(&fs)->forwarded_id, "4ABC");
	assert_endpoint(&info(&fs)->client, "192.0.2.1:4242"); /* no more than words */
	fixture_server_talk(&fs, "x\r\n.\r\n");
	assert_int_equal(fs.messages, 1);
	assert_int_equal(info(&fs)->forwarded.len, 0);
	assert_int_equal(info(&fs)->forwarded_id.len, 0);
	assert_string_equal(fixture_server_talk(&fs, "XFORWARD ADDR=[UNAVAILABLE]\r\n"), OK_REPLY);
	assert_text(info(&fs)->forwarded, "unknown[unknown]");
	fixture_server_fini(&fs);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_front_is_offered_to_its_networks_only),
		cmocka_unit_test(test_front_asks_who_the_load_balancer_speaks_for),
		cmocka_unit_test(test_xclient_starts_over_with_another_client),
		cmocka_unit_test(test_xclient_login_is_the_user),
		cmocka_unit_test(test_xclient_drops_the_certificate),
		cmocka_unit_test(test_xclient_takes_a_line_whole_or_not_at_all),
		cmocka_unit_test(test_xclient_is_forgotten_at_starttls),
		cmocka_unit_test(test_xforward_is_for_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
