/* test_attempt - fail-over, reuse, TLS, partial success and lost connections, with the real client
 * over scripted servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "fixture_bench.h"

#define WITH_REQUIRETLS "250-mx.example\n250-STARTTLS\n250-REQUIRETLS\n250 PIPELINING"
#define WITH_TLS "250-mx.example\n250-STARTTLS\n250 PIPELINING"

static void expect(
	const struct bench *b, uint32_t i, enum scope scope, enum disposition disposition)
{
	const struct attempt_result *r = &b->attempt.results[i];

	if (r->verdict.scope != scope || r->verdict.disposition != disposition)
		fail_msg("recipient %u: %s %s at %s, code %u \"%.*s\"; expected %s %s", (unsigned)i,
			scope_name(r->verdict.scope), disposition_name(r->verdict.disposition),
			stage_name(r->outcome.stage), r->outcome.code, STR_FMT(r->outcome.text),
			scope_name(scope), disposition_name(disposition));
	assert_int_equal(r->number, i + 1);
}

static bool has_heard(struct fixture_server *s, const char *what)
{
	return strstr(buf_cstr(&s->heard), what) != NULL;
}

static void test_attempt_delivers_to_all_recipients(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 3);
	for (uint32_t i = 0; i < 3; i++)
		expect(&b, i, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(s->delivered, 1);
	assert_false(b.attempt.is_site_failure);
	assert_true(str_equal(b.attempt.host, STR("mx0[192.0.2.1]:25")));
	assert_true(str_equal(b.attempt.host_name, STR("mx0")));
	assert_int_equal(b.attempt.hosts_tried, 1);
	assert_int_equal(b.attempt.results[0].outcome.code, 250);
	assert_true(str_equal(b.attempt.results[0].outcome.text, STR("queued")));
	bench_teardown(&b);
}

/* What happens before MAIL at the first host; the second one gets the mail. */
static void test_attempt_fails_over_before_mail(void **state)
{
	static const struct {
		enum err connect_err;
		const char *verb, *reply;
	} rows[] = {
		{ ERR_REFUSED, NULL, NULL },
		{ ERR_TIMEOUT, NULL, NULL },
		{ ERR_UNREACHABLE, NULL, NULL },
		{ ERR_RESET, NULL, NULL },
		{ OK, "", "421 4.3.2 too busy" },
		{ OK, "", "554 5.7.1 go away" },
		{ OK, "", "450 4.7.1 later" },
		{ OK, "", "CLOSE" },
		{ OK, "", "RESET" },
		{ OK, "", "SILENT" },
		{ OK, "", "gibberish" },
		{ OK, "EHLO", "421 4.7.0 no" },
		{ OK, "EHLO", "RESET" },
		{ OK, "EHLO", "SILENT" },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench b;
		struct fixture_server *bad, *good;

		bench_setup(&b);
		bad = bench_add_server(&b, "192.0.2.1");
		good = bench_add_server(&b, "192.0.2.2");
		bad->connect_err = rows[i].connect_err;
		if (rows[i].verb)
			fixture_server_rule(bad, rows[i].verb, rows[i].reply, 0);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_int_equal(bad->connects, 1);
		assert_int_equal(good->delivered, 1);
		assert_int_equal(b.attempt.hosts_tried, 2);
		assert_true(str_equal(b.attempt.host_name, STR("mx1")));
		/* The bad address is passed over while the other works. */
		bench_run(&b, 1);
		assert_int_equal(bad->connects, 1);
		assert_int_equal(good->delivered, 2);
		bench_teardown(&b);
	}
}

static void test_attempt_all_hosts_failed_is_a_site_failure(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	bench_add_server(&b, "192.0.2.1")->connect_err = ERR_TIMEOUT;
	bench_add_server(&b, "192.0.2.2")->connect_err = ERR_REFUSED;
	bench_run(&b, 2);
	assert_true(b.attempt.is_site_failure);
	assert_int_equal(b.attempt.site_outcome.stage, STAGE_CONNECT);
	assert_int_equal(b.attempt.site_outcome.err, ERR_REFUSED);
	assert_int_equal(b.attempt.hosts_tried, 2);
	expect(&b, 0, SCOPE_HOST, DISPOSE_PARK);
	expect(&b, 1, SCOPE_HOST, DISPOSE_PARK);
	/* All are bad now: they are tried all the same. */
	bench_run(&b, 1);
	assert_int_equal(b.attempt.hosts_tried, 2);
	assert_int_equal(b.net.servers[0].connects, 2);
	bench_teardown(&b);
}

static void test_attempt_falls_back_on_an_address_that_was_bad(void **state)
{
	struct bench b;
	struct fixture_server *first, *second;
	(void)state;

	bench_setup(&b);
	first = bench_add_server(&b, "192.0.2.1");
	second = bench_add_server(&b, "192.0.2.2");
	first->connect_err = ERR_REFUSED;
	bench_run(&b, 1);
	assert_int_equal(second->delivered, 1);
	/* The first is back, the second goes: another session is needed. */
	first->connect_err = OK;
	second->connect_err = ERR_REFUSED;
	pool_close_to(b.pool, &second->at);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(first->delivered, 1);
	bench_teardown(&b);
}

static void test_attempt_tries_no_more_hosts_than_allowed(void **state)
{
	static const char *const ips[] = { "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4" };
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.conf->client.hosts_max = 2;
	for (size_t i = 0; i < 4; i++)
		bench_add_server(&b, ips[i])->connect_err = ERR_REFUSED;
	bench_run(&b, 1);
	assert_int_equal(b.attempt.hosts_tried, 2);
	assert_int_equal(b.net.servers[2].connects, 0);
	bench_teardown(&b);
}

static void test_attempt_scales_connect_timeout_with_the_fast_clock(void **state)
{
	struct bench b;
	int64_t before;
	(void)state;

	bench_setup(&b);
	b.env.env.rate = 60;
	b.conf->client.connect_ms = 30 * SECOND_MS;
	bench_add_server(&b, "192.0.2.1")->connect_err = ERR_TIMEOUT;
	bench_start(&b, 1);
	before = b.env.now.ms;
	fixture_env_advance(&b.env, 499);
	assert_int_equal(b.done, 0);
	fixture_env_advance(&b.env, 1);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.env.now.ms - before, 500);
	b.env.env.rate = 1000000;
	bench_start(&b, 1);
	fixture_env_advance(&b.env, 49);
	assert_int_equal(b.done, 0);
	fixture_env_advance(&b.env, 1);
	assert_int_equal(b.done, 1);
	bench_teardown(&b);
}

static void test_attempt_spreads_over_hosts_of_equal_preference(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.conf->policy.connection_idle_ms = 0;
	(void)bench_add_server(&b, "192.0.2.1");
	(void)bench_add_server(&b, "192.0.2.2");
	(void)bench_add_server(&b, "192.0.2.3");
	(void)bench_add_server(&b, "192.0.2.4");
	b.route.targets[1].host = b.route.targets[0].host; /* two addresses of one host */
	b.route.targets[1].preference = b.route.targets[2].preference =
		b.route.targets[0].preference;
	for (unsigned i = 0; i < 200; i++) {
		const uint8_t *order = b.attempt.order;

		bench_run(&b, 1);
		assert_int_equal(order[0] + order[1] + order[2], 0 + 1 + 2);
		assert_int_equal(order[0] * order[1] * order[2], 0);
		assert_int_equal(order[3], 3);
	}
	assert_in_range(b.net.servers[0].delivered, 70, 130);
	assert_int_equal(b.net.servers[1].delivered, 0);
	assert_in_range(b.net.servers[2].delivered, 70, 130);
	assert_int_equal(b.net.servers[3].delivered, 0);
	for (unsigned i = 0; i < 3; i++)
		b.net.servers[i].connect_err = ERR_REFUSED;
	bench_run(&b, 1); /* all of them before the worse one */
	assert_int_equal(b.attempt.hosts_tried, 4);
	assert_int_equal(b.net.servers[3].delivered, 1);
	bench_teardown(&b);
}

static void test_attempt_goes_no_further_after_mail(void **state)
{
	static const struct {
		const char *verb, *reply;
		enum scope scope;
		enum disposition disposition;
		bool is_in_doubt, is_suspect;
	} rows[] = {
		{ "MAIL", "550 5.7.1 not you", SCOPE_MESSAGE, DISPOSE_FAIL, false, false },
		{ "MAIL", "451 4.3.0 later", SCOPE_MESSAGE, DISPOSE_RETRY, false, false },
		{ "MAIL", "421 4.7.0 slower", SCOPE_MESSAGE, DISPOSE_RETRY, false, false },
		{ "MAIL", "CLOSE", SCOPE_MESSAGE, DISPOSE_RETRY, false, true },
		{ "RCPT", "550 5.1.1 unknown", SCOPE_RECIPIENT, DISPOSE_FAIL, false, false },
		{ "RCPT", "450 4.2.0 greylisted", SCOPE_RECIPIENT, DISPOSE_RETRY, false, false },
		{ "RCPT", "RESET", SCOPE_MESSAGE, DISPOSE_RETRY, false, true },
		{ "DATA", "554 5.5.1 no", SCOPE_MESSAGE, DISPOSE_FAIL, false, false },
		{ "DATA", "250 2.0.0 ok", SCOPE_MESSAGE, DISPOSE_RETRY, false, true },
		{ "DATA", "CLOSE", SCOPE_MESSAGE, DISPOSE_RETRY, false, true },
		{ ".", "550 5.7.26 unauthenticated", SCOPE_MESSAGE, DISPOSE_FAIL, false, false },
		{ ".", "451 4.3.0 disk", SCOPE_MESSAGE, DISPOSE_RETRY, false, true },
		{ ".", "421 4.3.0 bye", SCOPE_MESSAGE, DISPOSE_RETRY, false, false },
		{ ".", "CLOSE", SCOPE_MESSAGE, DISPOSE_RETRY, true, true },
		{ ".", "RESET", SCOPE_MESSAGE, DISPOSE_RETRY, true, true },
		{ ".", "SILENT", SCOPE_MESSAGE, DISPOSE_RETRY, true, true },
		{ ".", "what was that", SCOPE_MESSAGE, DISPOSE_RETRY, true, true },
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench b;
		struct fixture_server *other;

		bench_setup(&b);
		fixture_server_rule(
			bench_add_server(&b, "192.0.2.1"), rows[i].verb, rows[i].reply, 0);
		other = bench_add_server(&b, "192.0.2.2");
		bench_run(&b, 2);
		for (uint32_t j = 0; j < 2; j++) {
			expect(&b, j, rows[i].scope, rows[i].disposition);
			assert_int_equal(
				b.attempt.results[j].verdict.is_in_doubt, rows[i].is_in_doubt);
			assert_int_equal(
				b.attempt.results[j].verdict.is_suspect, rows[i].is_suspect);
		}
		assert_false(b.attempt.is_site_failure);
		assert_int_equal(other->connects, 0);
		bench_teardown(&b);
	}
}

static void test_attempt_keeps_recipients_apart(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	fixture_server_rule(s, "RCPT TO:<a@", "550 5.1.1 unknown", 0);
	fixture_server_rule(s, "RCPT TO:<c@", "450 4.2.2 full", 0);
	bench_run(&b, 3);
	expect(&b, 0, SCOPE_RECIPIENT, DISPOSE_FAIL);
	expect(&b, 1, SCOPE_NONE, DISPOSE_DELIVERED);
	expect(&b, 2, SCOPE_RECIPIENT, DISPOSE_RETRY);
	assert_int_equal(s->delivered, 1);
	bench_teardown(&b);
}

/* By a route, NAT or a listener on all addresses: nothing but the greeting tells. */
static void test_attempt_believes_itself_that_mail_loops(void **state)
{
	static const struct {
		const char *greeting;
		bool is_doubted;
	} rows[] = {
		{ "220 relay.example.org ESMTP", true },
		{ "220 RELAY.test ESMTP", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *s;

		bench_setup(&b);
		b.conf->hostname = STR("relay.test");
		s = bench_add_server(&b, "192.0.2.1");
		fixture_server_rule(s, "", rows[i].greeting, 0);
		fixture_server_rule(s, ".", "554 5.4.6 mail loop through this host", 0);
		/* once over a new session, once over the one that is kept */
		for (unsigned n = 0; n < 2; n++) {
			bench_run(&b, 1);
			expect(&b, 0, SCOPE_MESSAGE, DISPOSE_FAIL);
			assert_int_equal(
				b.attempt.results[0].verdict.is_doubted_fail, rows[i].is_doubted);
		}
		bench_teardown(&b);
	}
}

static void test_attempt_keeps_refusals_when_the_connection_is_lost(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	fixture_server_rule(s, "RCPT TO:<a@", "550 5.1.1 unknown", 0);
	fixture_server_rule(s, ".", "RESET", 0);
	bench_run(&b, 2);
	expect(&b, 0, SCOPE_RECIPIENT, DISPOSE_FAIL);
	expect(&b, 1, SCOPE_MESSAGE, DISPOSE_RETRY);
	assert_true(b.attempt.results[1].verdict.is_in_doubt);
	bench_teardown(&b);
}

static void test_attempt_splits_when_there_are_too_many_recipients(void **state)
{
	static const char *const replies[] = { "452 4.5.3 too many recipients",
		"552 too many recipients" };
	(void)state;

	for (size_t i = 0; i < 2; i++) {
		struct bench b;

		bench_setup(&b);
		fixture_server_rule(
			bench_add_server(&b, "192.0.2.1"), "RCPT TO:<c@", replies[i], 0);
		bench_run(&b, 3);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		expect(&b, 1, SCOPE_NONE, DISPOSE_DELIVERED);
		expect(&b, 2, SCOPE_RECIPIENT, DISPOSE_AGAIN);
		b.net.servers[0].rules[0].verb = "RCPT";
		bench_run(&b, 1); /* refused alone: its own retry time */
		expect(&b, 0, SCOPE_RECIPIENT, DISPOSE_RETRY);
		bench_teardown(&b);
	}
}

static void test_attempt_replaces_a_reused_session_that_was_dead(void **state)
{
	static const char *const replies[] = { "CLOSE", "RESET", "421 4.4.2 timeout exceeded" };
	(void)state;

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct bench b;
		struct fixture_server *s;

		bench_setup(&b);
		s = bench_add_server(&b, "192.0.2.1");
		bench_run(&b, 1);
		fixture_server_rule(s, "MAIL", replies[i], 1);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_int_equal(s->connects, 2);
		assert_int_equal(s->delivered, 2);
		assert_int_equal(b.attempt.hosts_tried, 1);
		/* Once only: the fresh one that dies too is a failure. */
		fixture_server_rule(s, "MAIL", replies[i], 0);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
		assert_int_equal(s->connects, 3);
		bench_teardown(&b);
	}
}

/* That is no idle session at its end: on a fresh one it would be refused again, and nobody would hear of the first time. */
static void test_attempt_takes_a_limit_on_a_reused_session_for_one(void **state)
{
	static const struct {
		const char *reply;
		bool is_limited;
	} rows[] = { { "421 4.7.0 slow down", false }, { "421 4.3.2 slow down", true } };
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench b;
		struct fixture_server *s;

		bench_setup(&b);
		s = bench_add_server(&b, "192.0.2.1");
		bench_run(&b, 1);
		fixture_server_rule(s, "MAIL", rows[i].reply, 1);
		b.is_limited = rows[i].is_limited;
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
		assert_true(b.attempt.results[0].verdict.is_rate_limit);
		assert_int_equal(s->connects, 1);
		bench_teardown(&b);
	}
}

static void test_attempt_replaces_a_dead_session_by_a_new_one_not_another_idle_one(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	b.is_probe = true; /* a second session */
	bench_run(&b, 1);
	b.is_probe = false;
	assert_int_equal(pool_idle_count(b.pool), 2);
	fixture_server_rule(s, "MAIL", "CLOSE", 1);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(s->connects, 3);
	bench_teardown(&b);
}

static void test_attempt_result_stands_when_the_peer_closes_behind_it(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	fixture_server_rule(s, ".", "250 2.0.0 queued\nCLOSE", 0);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(b.done, 1);
	assert_int_equal(s->connects, 1);
	assert_int_equal(pool_idle_count(b.pool), 0);
	bench_teardown(&b);
}

static void test_attempt_failed_host_loses_its_idle_sessions(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	s->connect_err = ERR_REFUSED;
	b.is_probe = true;
	bench_run(&b, 1);
	assert_true(b.attempt.is_site_failure);
	assert_int_equal(pool_idle_count(b.pool), 0);
	bench_teardown(&b);
}

static void test_attempt_does_not_replace_a_session_lost_later(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	fixture_server_rule(s, ".", "CLOSE", 1);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
	assert_true(b.attempt.results[0].verdict.is_in_doubt);
	assert_int_equal(s->connects, 1);
	bench_teardown(&b);
}

static void test_attempt_falls_back_to_clear_text_when_tls_is_opportunistic(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	fixture_server_rule(s, "EHLO", WITH_TLS, 0);
	s->tls_err = ERR_TLS;
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(s->connects, 2);
	assert_int_equal(b.attempt.tls.len, 0);
	assert_int_equal(b.attempt.hosts_tried, 1);
	bench_teardown(&b);
}

static void test_attempt_uses_tls_when_offered(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	fixture_server_rule(s, "EHLO", WITH_TLS, 0);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_true(has_heard(s, "STARTTLS"));
	assert_true(b.attempt.tls.len > 0);
	assert_int_equal(s->connects, 1);
	bench_teardown(&b);
}

static void test_attempt_never_falls_back_when_tls_is_required(void **state)
{
	static const enum tls_policy policies[] = { TLS_REQUIRE, TLS_VERIFY, TLS_DANE };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		for (unsigned is_offered = 0; is_offered < 2; is_offered++) {
			struct bench b;
			struct fixture_server *s;

			bench_setup(&b);
			b.route.tls = policies[i];
			s = bench_add_server(&b, "192.0.2.1");
			if (is_offered)
				fixture_server_rule(s, "EHLO", WITH_TLS, 0);
			s->tls_err = ERR_TLS;
			bench_run(&b, 1);
			expect(&b, 0, SCOPE_HOP, DISPOSE_PARK);
			assert_false(b.attempt.is_site_failure);
			assert_false(has_heard(s, "MAIL"));
			assert_int_equal(s->connects, 1);
			bench_teardown(&b);
		}
	}
}

static void test_attempt_tries_the_next_host_when_one_fails_our_tls_rule(void **state)
{
	struct bench b;
	struct fixture_server *good;
	(void)state;

	bench_setup(&b);
	b.route.tls = TLS_REQUIRE;
	(void)bench_add_server(&b, "192.0.2.1"); /* offers none */
	good = bench_add_server(&b, "192.0.2.2");
	fixture_server_rule(good, "EHLO", WITH_TLS, 0);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	/* Our rule stands before what befell the others. */
	good->connect_err = ERR_REFUSED;
	pool_close_to(b.pool, &good->at);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_HOP, DISPOSE_PARK);
	assert_false(b.attempt.is_site_failure);
	bench_teardown(&b);
}

static void test_attempt_parks_when_the_smarthost_refuses_us(void **state)
{
	static const char *const replies[][2] = {
		{ "AUTH", "535 5.7.8 bad credentials" },
		{ "MAIL", "530 5.7.0 Authentication required" },
		{ "RCPT", "554 5.7.1 Relay access denied" },
	};
	struct conf_route smarthost = {
		.name = STR("hub"), .via = ROUTE_SMARTHOST, .user = STR("u"), .password = STR("p")
	};
	(void)state;

	for (size_t i = 0; i < 3; i++) {
		struct bench b;
		struct fixture_server *s, *backup;

		bench_setup(&b);
		b.route.is_smarthost = true;
		b.route.conf_route = &smarthost;
		s = bench_add_server(&b, "127.0.0.1");
		backup = bench_add_server(&b, "127.0.0.2");
		fixture_server_rule(
			s, "EHLO", "250-mx.example\n250-AUTH PLAIN LOGIN\n250 PIPELINING", 0);
		fixture_server_rule(s, replies[i][0], replies[i][1], 0);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_OURS, DISPOSE_PARK);
		assert_false(b.attempt.is_site_failure);
		assert_true(has_heard(s, "AUTH"));
		assert_int_equal(backup->connects, 0); /* credentials are not tried around */
		bench_teardown(&b);
	}
}

static struct endpoint ip(const char *text)
{
	struct endpoint e = { 0 };

	assert_int_equal(endpoint_parse_ip(&e, str_from_c(text)), OK);
	return e;
}

static void test_attempt_comes_as_its_route_says(void **state)
{
	const struct {
		struct conf_route route;
		const char *source, *hello;
	} rows[] = {
		{ { .via = ROUTE_MX }, "192.0.2.200", "EHLO relay.example.org" },
		{ { .via = ROUTE_MX, .hostname = STR("out.example") }, "192.0.2.200",
			"EHLO out.example" },
		{ { .via = ROUTE_LMTP }, "192.0.2.200", "LHLO relay.example.org" },
		{ { .via = ROUTE_SMARTHOST, .source_ipv4 = ip("192.0.2.201") }, "192.0.2.201",
			"EHLO relay.example.org" },
		{ { .via = ROUTE_SMARTHOST, .source_ipv6 = ip("::1") }, "192.0.2.200",
			"EHLO relay.example.org" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct conf_route route = rows[i].route;
		struct endpoint source = ip(rows[i].source);
		struct fixture_server *s;
		struct bench b;

		bench_setup(&b);
		b.conf->hostname = STR("relay.example.org");
		b.conf->client.source_ipv4 = ip("192.0.2.200");
		b.route.conf_route = &route;
		s = bench_add_server(&b, "192.0.2.1");
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_true(endpoint_same_ip(&s->source, &source));
		if (!has_heard(s, rows[i].hello))
			fail_msg("row %zu: heard %s", i, buf_cstr(&s->heard));
		bench_teardown(&b);
	}
}

static void test_attempt_probe_takes_a_fresh_session_and_passes_over_nothing(void **state)
{
	struct bench b;
	struct fixture_server *bad, *good;
	(void)state;

	bench_setup(&b);
	bad = bench_add_server(&b, "192.0.2.1");
	good = bench_add_server(&b, "192.0.2.2");
	bad->connect_err = ERR_REFUSED;
	bench_run(&b, 1);
	assert_int_equal(pool_idle_count(b.pool), 1);
	bad->connect_err = OK;
	b.is_probe = true;
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(bad->delivered, 1);
	assert_int_equal(good->delivered, 1);
	bench_teardown(&b);
}

static void test_attempt_ends_at_its_deadline(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.conf->client.session_ms = 10 * SECOND_MS;
	fixture_server_rule(bench_add_server(&b, "192.0.2.1"), ".", "SILENT", 0);
	fixture_server_rule(&b.net.servers[0], "RCPT TO:<b@", "550 5.1.1 unknown", 0);
	bench_start(&b, 2);
	fixture_env_advance(&b.env, 10 * SECOND_MS);
	assert_int_equal(b.done, 1);
	expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
	assert_true(b.attempt.results[0].verdict.is_in_doubt);
	expect(&b, 1, SCOPE_RECIPIENT, DISPOSE_FAIL); /* a reply that came stands */
	bench_teardown(&b);

	bench_setup(&b);
	b.conf->client.session_ms = 10 * SECOND_MS;
	fixture_server_rule(bench_add_server(&b, "192.0.2.1"), "", "SILENT", 0);
	bench_start(&b, 1);
	fixture_env_advance(&b.env, 10 * SECOND_MS);
	assert_int_equal(b.done, 1);
	expect(&b, 0, SCOPE_HOST, DISPOSE_PARK);
	assert_true(b.attempt.is_site_failure);
	bench_teardown(&b);
}

static void test_attempt_tells_what_the_peer_lacks(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	(void)bench_add_server(&b, "192.0.2.1");
	b.message.is_smtputf8 = true;
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_MESSAGE, DISPOSE_FAIL);
	assert_true(status_is(b.attempt.results[0].verdict.status, 5, 6, 7));
	assert_int_equal(pool_idle_count(b.pool), 1);
	bench_teardown(&b);
}

/* One host lacks what the message needs; another one of the site has it, lacks it too, or cannot be asked. */
static void test_attempt_looks_for_a_host_that_has_what_is_needed(void **state)
{
	static const struct {
		const char *ehlo; /* of the second host; NULL: it refuses connections */
		struct envelope message;
		enum disposition expected;
		unsigned klass, detail;
	} rows[] = {
		{ "250-mx.example\n250 SMTPUTF8", { .is_smtputf8 = true }, DISPOSE_DELIVERED, 2,
			0 },
		{ "250-mx.example\n250 8BITMIME", { .body = BODY_8BITMIME }, DISPOSE_DELIVERED, 2,
			0 },
		{ "250-mx.example\n250 SIZE 0", { .size_bytes = 2000 }, DISPOSE_DELIVERED, 2, 0 },
		{ "250-mx.example\n250 SIZE 1000", { .size_bytes = 2000 }, DISPOSE_FAIL, 5, 4 },
		{ "250-mx.example\n250 8BITMIME", { .is_smtputf8 = true }, DISPOSE_FAIL, 5, 7 },
		{ NULL, { .is_smtputf8 = true }, DISPOSE_RETRY, 4, 7 },
		{ NULL, { .size_bytes = 2000 }, DISPOSE_RETRY, 4, 4 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *poor, *other;

		bench_setup(&b);
		poor = bench_add_server(&b, "192.0.2.1");
		other = bench_add_server(&b, "192.0.2.2");
		fixture_server_rule(poor, "EHLO", "250-mx.example\n250 SIZE 1000", 0);
		if (rows[i].ehlo)
			fixture_server_rule(other, "EHLO", rows[i].ehlo, 0);
		else
			other->connect_err = ERR_REFUSED;
		b.message.is_smtputf8 = rows[i].message.is_smtputf8;
		b.message.body = rows[i].message.body;
		b.message.size_bytes = rows[i].message.size_bytes;
		bench_run(&b, 1);
		assert_int_equal(b.attempt.results[0].verdict.disposition, rows[i].expected);
		assert_int_equal(b.attempt.results[0].verdict.status.klass, rows[i].klass);
		assert_int_equal(b.attempt.results[0].verdict.status.detail, rows[i].detail);
		assert_false(
			b.attempt.is_site_failure); /* a host that takes other mail is no failure */
		assert_false(has_heard(poor, "MAIL"));
		assert_int_equal(other->delivered, rows[i].expected == DISPOSE_DELIVERED);
		assert_false(pool_is_address_bad(b.pool, &poor->at));
		assert_int_equal(pool_idle_count(b.pool), rows[i].ehlo ? 2 : 1);
		bench_teardown(&b);
	}
}

static void set_tls(struct bench *b, enum tls_policy policy, enum tls_authority authority)
{
	for (uint32_t i = 0; i < b->route.target_count; i++)
		b->route.targets[i].tls =
			(struct tls_rule){ .policy = policy, .authority = authority };
}

/* Each authority, a certificate that is wrong or none at all at the first host; the second is as it should be. */
static void test_attempt_keeps_to_the_rule_of_each_host(void **state)
{
	static const struct {
		enum tls_policy policy;
		enum tls_authority authority;
		enum tls_fault fault;
		bool has_starttls;
		unsigned delivered_by; /* 1, 2 */
		enum tls_check wanted;
	} rows[] = {
		{ TLS_DANE, TLS_BY_DANE, TLS_FAULT_TLSA, true, 2, TLS_CHECK_DANE },
		{ TLS_DANE, TLS_BY_DANE, TLS_FAULT_NONE, true, 1, TLS_CHECK_DANE },
		{ TLS_DANE, TLS_BY_DANE, TLS_FAULT_NONE, false, 2, TLS_CHECK_DANE },
		{ TLS_REQUIRE, TLS_BY_DANE, TLS_FAULT_UNTRUSTED, true, 1, TLS_CHECK_NONE },
		{ TLS_REQUIRE, TLS_BY_DANE, TLS_FAULT_NONE, false, 2, TLS_CHECK_NONE },
		{ TLS_VERIFY, TLS_BY_STS, TLS_FAULT_NAME, true, 2, TLS_CHECK_NAME },
		{ TLS_VERIFY, TLS_BY_STS, TLS_FAULT_NONE, false, 2, TLS_CHECK_NAME },
		{ TLS_OPPORTUNISTIC, TLS_BY_CONF, TLS_FAULT_EXPIRED, true, 1, TLS_CHECK_NONE },
		{ TLS_OPPORTUNISTIC, TLS_BY_CONF, TLS_FAULT_NONE, false, 1, TLS_CHECK_NONE },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *first, *second;
		const struct attempt_tls *tls;

		bench_setup(&b);
		first = bench_add_server(&b, "192.0.2.1");
		second = bench_add_server(&b, "192.0.2.2");
		set_tls(&b, rows[i].policy, rows[i].authority);
		first->tls_fault = rows[i].fault;
		if (rows[i].has_starttls)
			fixture_server_rule(first, "EHLO", WITH_TLS, 0);
		fixture_server_rule(second, "EHLO", WITH_TLS, 0);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_int_equal(
			rows[i].delivered_by == 1 ? first->delivered : second->delivered, 1);
		assert_int_equal(has_heard(first, "MAIL"), rows[i].delivered_by == 1);
		tls = &b.attempt.tls_tried[0];
		assert_int_equal(b.attempt.tls_tried_count, rows[i].delivered_by);
		assert_ptr_equal(tls->target, &b.route.targets[0]);
		if (!rows[i].has_starttls) {
			assert_int_equal(tls->result, ATTEMPT_TLS_NOT_OFFERED);
		} else {
			assert_int_equal(first->wanted, rows[i].wanted);
			assert_int_equal(tls->result,
				rows[i].delivered_by == 1 ? ATTEMPT_TLS_GOOD : ATTEMPT_TLS_FAILED);
			assert_int_equal(tls->fault, rows[i].fault);
		}
		bench_teardown(&b);
	}
}

/* RFC 8689 4.2.2: neither DANE nor MTA-STS is in the way of mail that says TLS-Required: No; what we are told to do is. */
static void test_attempt_lets_off_mail_for_which_tls_is_optional(void **state)
{
	static const struct {
		enum tls_policy conf, policy;
		enum tls_authority authority;
		bool is_optional, has_starttls;
		enum disposition expected;
		bool has_tls;
	} rows[] = {
		{ TLS_OPPORTUNISTIC, TLS_DANE, TLS_BY_DANE, true, true, DISPOSE_DELIVERED, true },
		{ TLS_OPPORTUNISTIC, TLS_DANE, TLS_BY_DANE, true, false, DISPOSE_DELIVERED, false },
		{ TLS_OPPORTUNISTIC, TLS_VERIFY, TLS_BY_STS, true, true, DISPOSE_DELIVERED, true },
		{ TLS_OPPORTUNISTIC, TLS_VERIFY, TLS_BY_STS, true, false, DISPOSE_DELIVERED, false },
		{ TLS_OPPORTUNISTIC, TLS_VERIFY, TLS_BY_STS, false, true, DISPOSE_PARK, false },
		{ TLS_REQUIRE, TLS_VERIFY, TLS_BY_STS, true, true, DISPOSE_DELIVERED, true },
		{ TLS_REQUIRE, TLS_VERIFY, TLS_BY_STS, true, false, DISPOSE_PARK, false },
		{ TLS_VERIFY, TLS_VERIFY, TLS_BY_CONF, true, true, DISPOSE_PARK, false },
		{ TLS_DANE, TLS_DANE, TLS_BY_DANE, true, true, DISPOSE_PARK, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *s;

		bench_setup(&b);
		s = bench_add_server(&b, "192.0.2.1");
		b.route.tls = rows[i].conf;
		set_tls(&b, rows[i].policy, rows[i].authority);
		if (rows[i].has_starttls)
			fixture_server_rule(s, "EHLO", WITH_TLS, 0);
		s->tls_fault = TLS_FAULT_NAME;
		b.message.is_tls_optional = rows[i].is_optional;
		bench_run(&b, 1);
		if (b.attempt.results[0].verdict.disposition != rows[i].expected)
			fail_msg("row %zu: %s", i,
				disposition_name(b.attempt.results[0].verdict.disposition));
		assert_int_equal(s->delivered, rows[i].expected == DISPOSE_DELIVERED);
		assert_int_equal(b.attempt.tls.len > 0, rows[i].has_tls);
		/* and other mail does not go in that session */
		if (s->delivered && rows[i].has_tls) {
			b.message.is_tls_optional = false;
			bench_run(&b, 1);
			expect(&b, 0, SCOPE_HOP, DISPOSE_PARK);
			assert_int_equal(s->delivered, 1);
		}
		bench_teardown(&b);
	}
}

static void test_attempt_tells_whose_rule_failed(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	set_tls(&b, TLS_DANE, TLS_BY_DANE);
	fixture_server_rule(s, "EHLO", WITH_TLS, 0);
	s->tls_fault = TLS_FAULT_TLSA;
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_HOP, DISPOSE_PARK);
	assert_true(str_equal(
		b.attempt.results[0].outcome.text, STR("DANE: the certificate is wrong")));
	assert_true(status_is(b.attempt.results[0].verdict.status, 4, 7, 5));
	bench_teardown(&b);
}

/* RFC 8689: the message asks for more than the route; what it cannot get is its own affair, other mail goes. */
static void test_attempt_raises_the_rule_for_requiretls(void **state)
{
	static const struct {
		bool has_starttls;
		enum tls_fault fault;
		enum disposition expected;
		struct status status;
	} rows[] = {
		{ false, TLS_FAULT_NONE, DISPOSE_FAIL, { 5, 7, 30 } },
		{ true, TLS_FAULT_UNTRUSTED, DISPOSE_RETRY, { 4, 7, 10 } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *s;

		bench_setup(&b);
		s = bench_add_server(&b, "192.0.2.1");
		if (rows[i].has_starttls)
			fixture_server_rule(s, "EHLO", WITH_TLS, 0);
		s->tls_fault = rows[i].fault;
		bench_run(&b, 1); /* an idle session that does not satisfy it */
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_int_equal(pool_idle_count(b.pool), 1);
		b.message.is_requiretls = true;
		bench_run(&b, 2);
		assert_int_equal(s->connects, 2);
		assert_int_equal(s->delivered, 1);
		expect(&b, 0, SCOPE_MESSAGE, rows[i].expected);
		expect(&b, 1, SCOPE_MESSAGE, rows[i].expected);
		assert_true(status_is(b.attempt.results[0].verdict.status, rows[i].status.klass,
			rows[i].status.subject, rows[i].status.detail));
		assert_false(b.attempt.is_site_failure);
		b.is_known_good = true;
		b.message.accepted = env_wall(&b.env.env);
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
		b.message.is_requiretls = false;
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		bench_teardown(&b);
	}
}

/* RFC 8689 4.2.1: an MX that nobody vouches for is no host of the next hop, whatever its certificate says. */
static void test_attempt_passes_over_unvouched_hosts_for_requiretls(void **state)
{
	struct bench b;
	struct fixture_server *first, *second;

	(void)state;
	bench_setup(&b);
	first = bench_add_server(&b, "192.0.2.1");
	second = bench_add_server(&b, "192.0.2.2");
	b.route.targets[0].is_vouched = false;
	b.message.is_requiretls = true;
	b.message.reverse_path = STR("a@b.example");
	fixture_server_rule(first, "EHLO", WITH_REQUIRETLS, 0);
	fixture_server_rule(second, "EHLO", WITH_REQUIRETLS, 0);
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(first->connects, 0);
	assert_int_equal(second->delivered, 1);
	assert_true(has_heard(second, " REQUIRETLS"));
	b.route.targets[1].is_vouched = false;
	bench_run(&b, 2);
	assert_int_equal(first->connects, 0);
	assert_int_equal(second->delivered, 1);
	expect(&b, 1, SCOPE_MESSAGE, DISPOSE_FAIL);
	assert_true(status_is(b.attempt.results[1].verdict.status, 5, 7, 30));
	assert_false(b.attempt.is_site_failure);
	b.message.is_requiretls = false;
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	bench_teardown(&b);
}

/* RFC 8689 5: a notice goes as it should if it can, and else all the same. */
static void test_attempt_does_not_lose_a_notice_for_requiretls(void **state)
{
	static const struct {
		const char *ehlo;
		bool is_vouched;
		bool is_said; /* REQUIRETLS to the second host */
	} rows[] = {
		{ "250-mx.example\n250 PIPELINING", true, false },
		{ WITH_TLS, true, false },
		{ WITH_REQUIRETLS, false, false },
		{ WITH_REQUIRETLS, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct fixture_server *first, *second;

		bench_setup(&b);
		first = bench_add_server(&b, "192.0.2.1");
		second = bench_add_server(&b, "192.0.2.2");
		fixture_server_rule(second, "EHLO", rows[i].ehlo, 0);
		b.route.targets[1].is_vouched = rows[i].is_vouched;
		b.message.is_requiretls = true;
		b.message.reverse_path = STR("");
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
		assert_int_equal(first->delivered, !rows[i].is_said);
		assert_int_equal(second->delivered, rows[i].is_said);
		assert_false(has_heard(first, "REQUIRETLS"));
		assert_int_equal(has_heard(second, " REQUIRETLS"), rows[i].is_said);
		bench_teardown(&b);
	}
}

static void test_attempt_hopes_for_what_a_known_good_peer_lacks_for_its_grace(void **state)
{
	static const struct {
		int64_t age_ms;
		uint32_t attempts;
		enum disposition expected;
	} rows[] = { { 0, 0, DISPOSE_RETRY }, { 4 * DAY_MS - 1, 50, DISPOSE_RETRY },
		{ 4 * DAY_MS, 50, DISPOSE_FAIL }, /* it was parked, and has not been tried yet */
		{ 8 * DAY_MS, 0, DISPOSE_RETRY } };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;

		bench_setup(&b);
		(void)bench_add_server(&b, "192.0.2.1");
		b.is_known_good = true;
		b.message.is_smtputf8 = true;
		b.message.accepted = wall_add(env_wall(&b.env.env), -rows[i].age_ms);
		b.recipients[0].attempts = rows[i].attempts;
		bench_run(&b, 1);
		expect(&b, 0, SCOPE_MESSAGE, rows[i].expected);
		bench_teardown(&b);
	}
}

static void test_attempt_content_that_cannot_be_read_is_our_fault(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.is_content_missing = true;
	(void)bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_OURS, DISPOSE_RETRY);
	assert_int_equal(b.net.servers[0].delivered, 0);
	bench_teardown(&b);
}

/* Cancelled after any number of turns: on_done is never called, nothing leaks, no connection
 * stays. */
static void test_attempt_cancel_at_any_moment(void **state)
{
	bool has_finished = false;
	(void)state;

	for (unsigned turns = 0; !has_finished; turns++) {
		struct bench b;

		bench_setup(&b);
		bench_add_server(&b, "192.0.2.1")->connect_err = ERR_REFUSED;
		(void)bench_add_server(&b, "192.0.2.2");
		bench_start(&b, 2);
		for (unsigned i = 0; i < turns; i++)
			fixture_env_turn(&b.env);
		has_finished = b.done > 0;
		attempt_cancel(&b.attempt);
		fixture_env_advance(&b.env, 8 * HOUR_MS);
		if (!has_finished)
			assert_int_equal(b.done, 0);
		assert_true(turns < 100);
		bench_teardown(&b);
	}
}

static void make_hostile(struct fixture_server *s, struct rng *chance)
{
	static const char *const verbs[] = { "", "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT",
		"RCPT TO:<b@", "DATA", ".", "RSET" };
	static const char *const replies[] = { "250 2.0.0 ok", "354 go on", "421 4.3.2 bye",
		"450 4.7.1 later", "452 4.5.3 many", "550 5.1.1 no", "552 5.2.2 full",
		"554 5.7.1 no", "CLOSE", "RESET", "SILENT", "250 ok\nCLOSE", "gibberish",
		"250 2.0.0 ok\n250 2.0.0 surplus", "220 hello", WITH_TLS, "250-a\n550 b",
		"999 no" };
	static const enum err errs[] = { OK, OK, OK, OK, OK, OK, ERR_REFUSED, ERR_TIMEOUT };

	memset(s->rules, 0, sizeof(s->rules));
	for (uint64_t i = rng_below(chance, 4); i > 0; i--)
		fixture_server_rule(s, verbs[rng_below(chance, 10)], replies[rng_below(chance, 18)],
			(unsigned)rng_below(chance, 3));
	s->connect_err = errs[rng_below(chance, 8)];
	s->tls_err = rng_below(chance, 2) ? OK : ERR_TLS;
}

static unsigned delivered_by_all(const struct bench *b)
{
	return b->net.servers[0].delivered + b->net.servers[1].delivered +
	       b->net.servers[2].delivered;
}

/* What a server took is never called failed or untried; what none took is never called delivered. */
static void check_truth(const struct bench *b, unsigned taken, uint32_t recipient_count)
{
	bool has_delivered = false, has_doubt = false, is_past_rcpt = false;

	for (uint32_t i = 0; i < recipient_count; i++) {
		const struct attempt_result *r = &b->attempt.results[i];

		assert_int_equal(r->number, i + 1);
		assert_int_not_equal(r->outcome.stage, STAGE_NONE);
		has_delivered |= r->verdict.disposition == DISPOSE_DELIVERED;
		has_doubt |= r->verdict.is_in_doubt;
		is_past_rcpt |= r->outcome.stage > STAGE_RCPT;
		if (r->verdict.disposition == DISPOSE_FAIL)
			assert_in_range(r->outcome.code, 500, 599);
		if (b->attempt.is_site_failure)
			assert_int_equal(r->verdict.disposition, DISPOSE_PARK);
	}
	assert_true(taken <= 1);
	if (has_delivered)
		assert_int_equal(taken, 1);
	if (taken == 1 && is_past_rcpt)
		assert_true(has_delivered || has_doubt);
}

static void test_attempt_tells_the_truth_among_hostile_servers(void **state)
{
	struct rng chance;
	(void)state;

	rng_init(&chance, 99);
	for (unsigned run = 0; run < 400; run++) {
		struct bench b;

		bench_setup(&b);
		(void)bench_add_server(&b, "192.0.2.1");
		(void)bench_add_server(&b, "192.0.2.2");
		(void)bench_add_server(&b, "192.0.2.3");
		for (unsigned i = 0; i < 5; i++) {
			unsigned before = delivered_by_all(&b);
			uint32_t recipient_count =
				1 + (uint32_t)rng_below(&chance, BENCH_RECIPIENTS);

			for (unsigned j = 0; j < 3; j++)
				make_hostile(&b.net.servers[j], &chance);
			b.route.tls = (enum tls_policy)rng_below(&chance, 4);
			b.is_probe = rng_below(&chance, 4) == 0;
			bench_run(&b, recipient_count);
			check_truth(&b, delivered_by_all(&b) - before, recipient_count);
		}
		bench_teardown(&b);
	}
}

static void test_attempt_faults_act_as_lost_connections(void **state)
{
	struct fault fault = { FAULT_attempt_connected, FAULT_FAIL, 1 };
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.env.env.fault = &fault;
	(void)bench_add_server(&b, "192.0.2.1");
	(void)bench_add_server(&b, "192.0.2.2");
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_NONE, DISPOSE_DELIVERED);
	assert_int_equal(b.attempt.hosts_tried, 2);
	fault = (struct fault){ FAULT_attempt_delivered, FAULT_FAIL, 1 };
	bench_run(&b, 1);
	expect(&b, 0, SCOPE_MESSAGE, DISPOSE_RETRY);
	assert_true(b.attempt.results[0].verdict.is_in_doubt);
	bench_teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attempt_delivers_to_all_recipients),
		cmocka_unit_test(test_attempt_fails_over_before_mail),
		cmocka_unit_test(test_attempt_all_hosts_failed_is_a_site_failure),
		cmocka_unit_test(test_attempt_falls_back_on_an_address_that_was_bad),
		cmocka_unit_test(test_attempt_tries_no_more_hosts_than_allowed),
		cmocka_unit_test(test_attempt_scales_connect_timeout_with_the_fast_clock),
		cmocka_unit_test(test_attempt_spreads_over_hosts_of_equal_preference),
		cmocka_unit_test(test_attempt_goes_no_further_after_mail),
		cmocka_unit_test(test_attempt_keeps_recipients_apart),
		cmocka_unit_test(test_attempt_believes_itself_that_mail_loops),
		cmocka_unit_test(test_attempt_keeps_refusals_when_the_connection_is_lost),
		cmocka_unit_test(test_attempt_splits_when_there_are_too_many_recipients),
		cmocka_unit_test(test_attempt_replaces_a_reused_session_that_was_dead),
		cmocka_unit_test(test_attempt_takes_a_limit_on_a_reused_session_for_one),
		cmocka_unit_test(
			test_attempt_replaces_a_dead_session_by_a_new_one_not_another_idle_one),
		cmocka_unit_test(test_attempt_result_stands_when_the_peer_closes_behind_it),
		cmocka_unit_test(test_attempt_failed_host_loses_its_idle_sessions),
		cmocka_unit_test(test_attempt_does_not_replace_a_session_lost_later),
		cmocka_unit_test(test_attempt_falls_back_to_clear_text_when_tls_is_opportunistic),
		cmocka_unit_test(test_attempt_uses_tls_when_offered),
		cmocka_unit_test(test_attempt_never_falls_back_when_tls_is_required),
		cmocka_unit_test(test_attempt_tries_the_next_host_when_one_fails_our_tls_rule),
		cmocka_unit_test(test_attempt_parks_when_the_smarthost_refuses_us),
		cmocka_unit_test(test_attempt_comes_as_its_route_says),
		cmocka_unit_test(test_attempt_probe_takes_a_fresh_session_and_passes_over_nothing),
		cmocka_unit_test(test_attempt_ends_at_its_deadline),
		cmocka_unit_test(test_attempt_tells_what_the_peer_lacks),
		cmocka_unit_test(test_attempt_looks_for_a_host_that_has_what_is_needed),
		cmocka_unit_test(test_attempt_keeps_to_the_rule_of_each_host),
		cmocka_unit_test(test_attempt_lets_off_mail_for_which_tls_is_optional),
		cmocka_unit_test(test_attempt_tells_whose_rule_failed),
		cmocka_unit_test(test_attempt_raises_the_rule_for_requiretls),
		cmocka_unit_test(test_attempt_passes_over_unvouched_hosts_for_requiretls),
		cmocka_unit_test(test_attempt_does_not_lose_a_notice_for_requiretls),
		cmocka_unit_test(test_attempt_hopes_for_what_a_known_good_peer_lacks_for_its_grace),
		cmocka_unit_test(test_attempt_content_that_cannot_be_read_is_our_fault),
		cmocka_unit_test(test_attempt_cancel_at_any_moment),
		cmocka_unit_test(test_attempt_tells_the_truth_among_hostile_servers),
		cmocka_unit_test(test_attempt_faults_act_as_lost_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
