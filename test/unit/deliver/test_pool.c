/* test_pool - idle sessions that are reused, end, and never mix; addresses that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/check.h"
#include "fixture_bench.h"

static uint64_t metric(const struct bench *b, enum metric which)
{
	return b->env.metrics.value[which];
}

static void test_pool_reuses_a_session(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	assert_int_equal(pool_idle_count(b.pool), 1);
	bench_run(&b, 1);
	assert_int_equal(s->connects, 1);
	assert_int_equal(s->delivered, 2);
	assert_int_equal(metric(&b, METRIC_connections_opened_total), 1);
	assert_int_equal(metric(&b, METRIC_connections_reused_total), 1);
	assert_int_equal(metric(&b, METRIC_connections_open), 1);
	bench_teardown(&b);
}

static void test_pool_closes_after_its_idle_time(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	fixture_env_advance(&b.env, b.conf->policy.connection_idle_ms - 1);
	assert_int_equal(pool_idle_count(b.pool), 1);
	fixture_env_advance(&b.env, 1);
	assert_int_equal(pool_idle_count(b.pool), 0);
	assert_int_equal(s->open, 0);
	assert_int_equal(metric(&b, METRIC_connections_open), 0);
	bench_teardown(&b);
}

static void test_pool_closes_after_so_many_messages(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	b.conf->policy.messages_per_connection = 3;
	for (unsigned i = 0; i < 7; i++)
		bench_run(&b, 1);
	assert_int_equal(s->connects, 3);
	assert_int_equal(s->delivered, 7);
	bench_teardown(&b);
}

static void test_pool_notices_a_session_that_died(void **state)
{
	struct bench b;
	struct fixture_server *s;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	bench_run(&b, 1);
	fixture_server_hang_up(&b.net, s);
	fixture_env_settle(&b.env);
	assert_int_equal(pool_idle_count(b.pool), 0);
	assert_int_equal(metric(&b, METRIC_connections_open), 0);
	bench_teardown(&b);
}

static void test_pool_never_mixes_policies_or_addresses(void **state)
{
	static const struct net_tlsa tlsa[] = { { 3, 1, 1, { "abc", 3 } },
		{ 3, 1, 1, { "abd", 3 } } };
	static const struct str names[] = { { "mx0", 3 }, { "example", 7 } };
	static const struct tls_rule rules[] = {
		{ .policy = TLS_NONE },
		{ .policy = TLS_REQUIRE },
		{ .policy = TLS_VERIFY },
		{ .policy = TLS_OPPORTUNISTIC, .authority = TLS_BY_STS, .is_testing = true },
		{ .policy = TLS_VERIFY, .authority = TLS_BY_REQUIRETLS },
		{ .policy = TLS_DANE, .authority = TLS_BY_DANE, .tlsa = tlsa, .tlsa_count = 1 },
		{ .policy = TLS_OPPORTUNISTIC, .names = names, .name_count = 2 },
	};
	struct bench b;
	struct fixture_server *s;
	struct endpoint other;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	other = s->at;
	other.port = 587;
	bench_run(&b, 1);
	for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
		struct str key = route_key_of(b.conf, NULL, STR("mx0"), &rules[i], &b.route.arena);

		assert_null(pool_take(b.pool, &s->at, key));
	}
	assert_null(pool_take(b.pool, &other, b.route.targets[0].session_key));
	assert_int_equal(pool_idle_count(b.pool), 1);
	pool_close_to(b.pool, &other);
	assert_int_equal(pool_idle_count(b.pool), 1);
	pool_close_to(b.pool, &s->at);
	assert_int_equal(pool_idle_count(b.pool), 0);
	bench_teardown(&b);
}

/* Every two of them differ: whatever one asks for, a session of another does not give it. */
static void test_pool_key_tells_sessions_apart(void **state)
{
	static const struct net_tlsa one[] = { { 3, 1, 1, { "abc", 3 } } };
	static const struct net_tlsa other[] = { { 3, 1, 1, { "abd", 3 } } };
	static const struct net_tlsa both[] = { { 3, 1, 1, { "abc", 3 } },
		{ 2, 0, 1, { "x", 1 } } };
	static const struct str names[] = { { "mx0", 3 }, { "example", 7 } };
	static const struct str joined[] = { { "mx0example", 10 } };
	static const struct conf_route plain = { .name = { "r", 1 } };
	static const struct conf_route with_user = { .name = { "r", 1 }, .user = { "u", 1 } };
	static const struct conf_route with_name = { .name = { "r", 1 }, .hostname = { "h", 1 } };
	static const struct conf_route by_lmtp = { .name = { "r", 1 }, .via = ROUTE_LMTP };
	static const struct conf_route with_source = { .name = { "r", 1 },
		.source_ipv4 = { .family = FAMILY_IPV4, .ip = { 192, 0, 2, 7 } } };
	static const struct {
		const struct conf_route *route;
		struct tls_rule rule;
	} rows[] = {
		{ NULL, { .policy = TLS_OPPORTUNISTIC } },
		{ NULL, { .policy = TLS_DANE, .tlsa = one, .tlsa_count = 1 } },
		{ NULL, { .policy = TLS_DANE, .tlsa = other, .tlsa_count = 1 } },
		{ NULL, { .policy = TLS_DANE, .tlsa = both, .tlsa_count = 2 } },
		{ NULL, { .policy = TLS_VERIFY, .names = names, .name_count = 2 } },
		{ NULL, { .policy = TLS_VERIFY, .names = names, .name_count = 1 } },
		{ NULL, { .policy = TLS_VERIFY, .names = joined, .name_count = 1 } },
		{ &plain, { .policy = TLS_OPPORTUNISTIC } },
		{ &with_user, { .policy = TLS_OPPORTUNISTIC } },
		{ &with_name, { .policy = TLS_OPPORTUNISTIC } },
		{ &with_source, { .policy = TLS_OPPORTUNISTIC } },
		{ &by_lmtp, { .policy = TLS_OPPORTUNISTIC } },
	};
	struct conf *conf = conf_default();
	struct arena arena = { 0 };
	struct str keys[ARRAY_COUNT(rows)];
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		keys[i] = route_key_of(conf, rows[i].route, STR("mx0"), &rows[i].rule, &arena);
		for (size_t j = 0; j < i; j++)
			assert_false(str_equal(keys[i], keys[j]));
		assert_true(str_equal(keys[i],
			route_key_of(conf, rows[i].route, STR("mx0"), &rows[i].rule, &arena)));
	}
	assert_false(
		str_equal(keys[0], route_key_of(conf, NULL, STR("mx1"), &rows[0].rule, &arena)));
	arena_fini(&arena);
	conf_unref(conf);
}

static void test_pool_keeps_no_more_than_allowed(void **state)
{
	struct bench b;
	(void)state;

	bench_setup(&b);
	b.conf->client.connections_max = 2;
	for (unsigned i = 0; i < 4; i++) {
		char ip[20];

		(void)snprintf(ip, sizeof(ip), "192.0.2.%u", i + 1);
		b.route.target_count = 0;
		(void)bench_add_server(&b, ip);
		bench_run(&b, 1);
	}
	assert_int_equal(pool_idle_count(b.pool), 2);
	assert_int_equal(b.net.servers[0].open + b.net.servers[1].open, 0); /* the oldest went */
	bench_teardown(&b);
}

static void test_pool_skips_failed_addresses_for_one_to_ten_minutes(void **state)
{
	static const int64_t minutes[] = { 1, 2, 4, 8, 10, 10 };
	struct bench b;
	struct endpoint at;
	(void)state;

	bench_setup(&b);
	assert_int_equal(endpoint_parse(&at, STR("192.0.2.1"), 25), OK);
	assert_false(pool_is_address_bad(b.pool, &at));
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		pool_note_address(b.pool, &at, false);
		pool_note_address(b.pool, &at, false); /* others under way: one failure */
		fixture_env_advance(&b.env, minutes[i] * MINUTE_MS - 1);
		assert_true(pool_is_address_bad(b.pool, &at));
		fixture_env_advance(&b.env, 1);
		assert_false(pool_is_address_bad(b.pool, &at));
	}
	pool_note_address(b.pool, &at, false);
	b.env.wall.ms -= DAY_MS; /* a clock that was set back */
	assert_false(pool_is_address_bad(b.pool, &at));
	pool_note_address(b.pool, &at, true);
	pool_note_address(b.pool, &at, false);
	fixture_env_advance(&b.env, MINUTE_MS);
	assert_false(pool_is_address_bad(b.pool, &at));
	bench_teardown(&b);
}

static void test_pool_bounds_its_memory_of_addresses(void **state)
{
	struct bench b;
	struct endpoint at = { .family = FAMILY_IPV4, .port = 25 },
			first = { .family = FAMILY_IPV4, .port = 25, .ip = { 1 } };
	(void)state;

	bench_setup(&b);
	pool_note_address(b.pool, &first, false);
	for (unsigned i = 0; i < 5000; i++) {
		at.ip[0] = 2;
		at.ip[1] = (uint8_t)(i >> 8);
		at.ip[2] = (uint8_t)i;
		pool_note_address(b.pool, &at, false);
	}
	assert_true(pool_is_address_bad(b.pool, &at));
	assert_false(pool_is_address_bad(b.pool, &first));
	bench_teardown(&b);
}

static void test_pool_avoids_a_family_for_a_while(void **state)
{
	struct bench b;
	struct endpoint v4, v6;
	(void)state;

	bench_setup(&b);
	assert_int_equal(endpoint_parse(&v4, STR("192.0.2.1"), 25), OK);
	assert_int_equal(endpoint_parse(&v6, STR("2001:db8::1"), 25), OK);
	pool_avoid_family(b.pool, FAMILY_IPV6, wall_add(env_wall(&b.env.env), 10 * MINUTE_MS));
	pool_note_address(b.pool, &v6, true); /* one that works is still last */
	fixture_env_advance(&b.env, 10 * MINUTE_MS - 1);
	assert_true(pool_is_address_bad(b.pool, &v6));
	assert_false(pool_is_address_bad(b.pool, &v4));
	fixture_env_advance(&b.env, 1);
	assert_false(pool_is_address_bad(b.pool, &v6));
	pool_avoid_family(b.pool, FAMILY_IPV4, wall_add(env_wall(&b.env.env), 10 * MINUTE_MS));
	b.env.wall.ms -= DAY_MS; /* a clock that was set back */
	assert_false(pool_is_address_bad(b.pool, &v4));
	bench_teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_reuses_a_session),
		cmocka_unit_test(test_pool_closes_after_its_idle_time),
		cmocka_unit_test(test_pool_closes_after_so_many_messages),
		cmocka_unit_test(test_pool_notices_a_session_that_died),
		cmocka_unit_test(test_pool_never_mixes_policies_or_addresses),
		cmocka_unit_test(test_pool_key_tells_sessions_apart),
		cmocka_unit_test(test_pool_keeps_no_more_than_allowed),
		cmocka_unit_test(test_pool_skips_failed_addresses_for_one_to_ten_minutes),
		cmocka_unit_test(test_pool_bounds_its_memory_of_addresses),
		cmocka_unit_test(test_pool_avoids_a_family_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
