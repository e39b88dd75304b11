/* PROXY headers at a listener of the relay: who may send them, and that the client behind is the one that counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fixture_caller.h"

#define BALANCER "192.0.2.1"
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HELLO "220 relay.test ESMTP Outlast\r\n"
#define MAIL "EHLO c\r\nMAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<b@dest.test>\r\n"
#define DENIED                                                                                     \
	"550 5.7.1 Relaying denied: client is not in a trusted network and not authenticated\r\n"
#define OCTETS(text) ((struct str){ text, sizeof(text) - 1 })
/* 198.51.100.N to 203.0.113.1:25 */
#define FROM(n) SIGNATURE "\x21\x11\0\x0c\xc6\x33\x64" n "\xcb\x00\x71\x01\x13\x88\x00\x19"

static struct network proxies[1], trusted[2];

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	assert_int_equal(network_parse(&proxies[0], STR("192.0.2.0/28")), OK);
	assert_int_equal(network_parse(&trusted[0], STR("198.51.100.7/32")), OK);
	assert_int_equal(network_parse(&trusted[1], STR("192.0.2.0/24")), OK);
	f.conf->proxies = proxies;
	f.conf->proxy_count = 1;
	f.conf->trusted = trusted;
	f.conf->trusted_count = 2;
	f.conf->listeners[0].is_proxied = true;
	f.conf->smtpd.sessions_per_client = 2;
	fixture_relay_start(&f);
	fixture_relay_run(&f, SECOND_MS);
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static const char *say(struct caller *c, struct str octets, int64_t ms)
{
	sim_sock_write(c->conn, octets);
	return caller_hear(c, ms);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void test_front_knows_the_client_behind(void **state)
{
	static const struct {
		struct str octets;
		bool may_relay;
	} rows[] = {
		{ { FROM("\x07") MAIL, sizeof(FROM("\x07") MAIL) - 1 }, true },
		{ { FROM("\x08") MAIL, sizeof(FROM("\x08") MAIL) - 1 }, false },
		{ { "PROXY TCP4 198.51.100.7 203.0.113.1 5000 25\r\n" MAIL,
			  sizeof("PROXY TCP4 198.51.100.7 203.0.113.1 5000 25\r\n" MAIL) - 1 },
			true },
		/* nobody knows who: not even the balancer's own trust is his */
		{ { SIGNATURE "\x21\0\0\0" MAIL, sizeof(SIGNATURE "\x21\0\0\0" MAIL) - 1 }, false },
		{ { "PROXY UNKNOWN\r\n" MAIL, sizeof("PROXY UNKNOWN\r\n" MAIL) - 1 }, false },
		/* the balancer itself */
		{ { SIGNATURE "\x20\0\0\0" MAIL, sizeof(SIGNATURE "\x20\0\0\0" MAIL) - 1 }, true },
	};
	struct fixture_relay *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		/* in one piece, and octet by octet */
		for (size_t step = 1; step <= rows[i].octets.len; step += rows[i].octets.len - 1) {
			struct caller c;
			caller_dial(&c, f, BALANCER);
			assert_string_equal(caller_hear(&c, 10), ""); /* the header comes first */
			for (size_t at = 0; at < rows[i].octets.len; at += step) {
				sim_sock_write(c.conn, str_slice(rows[i].octets, at, at + step));
				fixture_relay_run(f, 2);
			}
			const char *heard = caller_hear(&c, SECOND_MS);
			assert_int_equal(strncmp(heard, HELLO, sizeof(HELLO) - 1), 0);
			assert_int_equal(ends_with(heard, DENIED), !rows[i].may_relay);
			assert_int_equal(
				ends_with(heard, "250 2.1.5 recipient ok\r\n"), rows[i].may_relay);
			caller_end(&c);
		}
	}
}

static void test_front_closes_on_others(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	/* not in proxy-from, trusted or not */
	caller_dial(&c, f, "192.0.2.16");
	fixture_relay_run(f, 10);
	assert_null(c.conn);
	caller_end(&c);
	/* no header */
	caller_dial(&c, f, BALANCER);
	assert_string_equal(caller_say(&c, "EHLO c\r\n", 10), "");
	assert_null(c.conn);
	caller_end(&c);
	/* none in time */
	caller_dial(&c, f, BALANCER);
	(void)say(&c, OCTETS(SIGNATURE), 9 * SECOND_MS);
	assert_non_null(c.conn);
	assert_string_equal(caller_hear(&c, 2 * SECOND_MS), "");
	assert_null(c.conn);
	caller_end(&c);
	/* gone before it was there */
	caller_dial(&c, f, BALANCER);
	fixture_relay_run(f, 10);
	caller_end(&c);
	/* still there when the relay stops */
	caller_dial(&c, f, BALANCER);
	(void)say(&c, OCTETS(SIGNATURE), 10);
	fixture_relay_stop(f);
	fixture_relay_run(f, SECOND_MS);
	assert_true(f->is_stopped);
	assert_null(c.conn);
	caller_end(&c);
}

static void test_front_limits_the_clients_not_the_balancer(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c[4];

	for (int i = 0; i < 4; i++)
		caller_dial(&c[i], f, BALANCER);
	assert_string_equal(say(&c[0], OCTETS(FROM("\x07")), 10), HELLO);
	assert_string_equal(say(&c[1], OCTETS(FROM("\x07")), 10), HELLO);
	assert_string_equal(say(&c[2], OCTETS(FROM("\x07")), 10),
		"421 4.7.0 Too many sessions from your address, try again later\r\n");
	assert_string_equal(say(&c[3], OCTETS(FROM("\x08")), 10), HELLO);
	for (int i = 0; i < 4; i++)
		caller_end(&c[i]);
}

static void test_front_counts_whom_xclient_names(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c[3];

	f->conf->listeners[0].is_proxied = false;
	f->conf->xclient = trusted;
	f->conf->xclient_count = 2;
	fixture_relay_end(f);
	fixture_relay_start(f);
	for (int i = 0; i < 3; i++) {
		caller_dial(&c[i], f, i == 0 ? BALANCER : i == 1 ? "192.0.2.2" : "192.0.2.3");
		assert_string_equal(caller_hear(&c[i], 10), HELLO);
		assert_string_equal(caller_say(&c[i], "XCLIENT ADDR=203.0.113.44\r\n", 10),
			i < 2 ? HELLO
			      : "421 4.7.0 Too many sessions from your address, try again "
				"later\r\n");
	}
	/* the client who was replaced counts no more, and the one who went neither */
	caller_end(&c[0]);
	caller_end(&c[2]);
	caller_dial(&c[0], f, BALANCER);
	assert_string_equal(caller_hear(&c[0], 10), HELLO);
	assert_string_equal(caller_say(&c[0], "XCLIENT ADDR=203.0.113.44\r\n", 10), HELLO);
	caller_end(&c[0]);
	caller_end(&c[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
		TEST(test_front_knows_the_client_behind),
		TEST(test_front_closes_on_others),
		TEST(test_front_limits_the_clients_not_the_balancer),
		TEST(test_front_counts_whom_xclient_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
