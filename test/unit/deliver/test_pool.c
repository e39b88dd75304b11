/* test_pool - idle sessions that are reused, end, and never mix; addresses that failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

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

static void test_pool_never_mixes_policies_users_or_addresses(void **state)
{
	struct bench b;
	struct fixture_server *s;
	struct endpoint other;
	(void)state;

	bench_setup(&b);
	s = bench_add_server(&b, "192.0.2.1");
	other = s->at;
	other.port = 587;
	bench_run(&b, 1);
	assert_null(pool_take(b.pool, &s->at, TLS_VERIFY, STR("")));
	assert_null(pool_take(b.pool, &s->at, TLS_NONE, STR("")));
	assert_null(pool_take(b.pool, &s->at, TLS_OPPORTUNISTIC, STR("user")));
	assert_null(pool_take(b.pool, &other, TLS_OPPORTUNISTIC, STR("")));
	assert_int_equal(pool_idle_count(b.pool), 1);
	pool_close_to(b.pool, &other);
	assert_int_equal(pool_idle_count(b.pool), 1);
	pool_close_to(b.pool, &s->at);
	assert_int_equal(pool_idle_count(b.pool), 0);
	bench_teardown(&b);
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
		cmocka_unit_test(test_pool_never_mixes_policies_users_or_addresses),
		cmocka_unit_test(test_pool_keeps_no_more_than_allowed),
		cmocka_unit_test(test_pool_skips_failed_addresses_for_one_to_ten_minutes),
		cmocka_unit_test(test_pool_bounds_its_memory_of_addresses),
		cmocka_unit_test(test_pool_avoids_a_family_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
