/* test_resolver - one question for many askers, answers kept for their time, bounds, cancelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "deliver/resolver.h"
#include "fixture_dns.h"

static const char *const zone[] = {
	"example.net MX 10 mx.example.net",
	"mx.example.net A 192.0.2.1",
	"sick.example A SERVFAIL",
	NULL,
};

struct bench {
	struct fixture_env env;
	struct fixture_dns dns;
	struct conf *conf;
	struct resolver *resolver;
};

struct asker {
	struct lookup lookup;
	struct bench *bench;
	unsigned told;
	enum dns_result result;
	uint32_t count;
	void (*then)(struct asker *a);
};

static void setup(struct bench *b)
{
	fixture_env_init(&b->env);
	fixture_dns_init(&b->dns, &b->env, zone);
	b->conf = conf_default();
	b->resolver = resolver_new(&b->env.env, &b->dns.dns, b->conf);
}

static void teardown(struct bench *b)
{
	resolver_free(b->resolver);
	conf_unref(b->conf);
	fixture_env_fini(&b->env);
}

static void on_done(struct lookup *l)
{
	struct asker *a = CONTAINER_OF(l, struct asker, lookup);

	a->told++;
	a->result = l->answer->result;
	a->count = l->answer->count;
	if (a->then)
		a->then(a);
}

static void ask(struct bench *b, struct asker *a, const char *name, enum dns_type type)
{
	char copy[300];

	(void)snprintf(copy, sizeof(copy), "%s", name);
	a->bench = b;
	a->lookup = (struct lookup){ .name = str_from_c(copy), .type = type, .on_done = on_done };
	resolver_start(b->resolver, &a->lookup);
	memset(copy, 'x', sizeof(copy)); /* the name was copied */
}

static uint64_t metric(const struct bench *b, enum metric which)
{
	return b->env.metrics.value[which];
}

static void test_resolver_answers_later_once(void **state)
{
	struct bench b;
	struct asker a = { 0 };
	(void)state;

	setup(&b);
	ask(&b, &a, "mx.example.net", DNS_A);
	assert_int_equal(a.told, 0);
	fixture_env_settle(&b.env);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.result, DNS_FOUND);
	assert_int_equal(a.count, 1);
	ask(&b, &a, "mx.example.net", DNS_A); /* from the cache: later too */
	assert_int_equal(a.told, 1);
	fixture_env_settle(&b.env);
	assert_int_equal(a.told, 2);
	assert_int_equal(metric(&b, METRIC_dns_queries_total), 1);
	assert_int_equal(metric(&b, METRIC_dns_cache_hits_total), 1);
	teardown(&b);
}

static void test_resolver_asks_once_for_many(void **state)
{
	struct bench b;
	struct asker a[20], other = { 0 };
	(void)state;

	memset(a, 0, sizeof(a));
	setup(&b);
	for (size_t i = 0; i < ARRAY_COUNT(a); i++)
		ask(&b, &a[i], i % 2 ? "MX.example.NET" : "mx.example.net", DNS_A);
	ask(&b, &other, "mx.example.net", DNS_AAAA); /* another question */
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 2);
	for (size_t i = 0; i < ARRAY_COUNT(a); i++)
		assert_int_equal(a[i].told, 1);
	assert_int_equal(other.result, DNS_NODATA);
	teardown(&b);
}

static void test_resolver_keeps_answers_for_their_time(void **state)
{
	static const struct {
		const char *name;
		uint32_t ttl_s;
		int64_t kept_ms;
	} rows[] = {
		{ "mx.example.net", 300, 300 * SECOND_MS },
		{ "mx.example.net", 0, 30 * SECOND_MS },     /* ttl-min */
		{ "mx.example.net", UINT32_MAX, HOUR_MS },   /* ttl-max */
		{ "nowhere.example", 300, 300 * SECOND_MS }, /* negative, by its SOA */
		{ "sick.example", 300, 5 * SECOND_MS },      /* temporary */
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct asker a = { 0 };

		setup(&b);
		b.dns.ttl_s = rows[i].ttl_s;
		ask(&b, &a, rows[i].name, DNS_A);
		fixture_env_advance(&b.env, rows[i].kept_ms - 1);
		ask(&b, &a, rows[i].name, DNS_A);
		fixture_env_settle(&b.env);
		assert_int_equal(b.dns.started, 1);
		fixture_env_advance(&b.env, 1);
		ask(&b, &a, rows[i].name, DNS_A);
		fixture_env_settle(&b.env);
		assert_int_equal(b.dns.started, 2);
		assert_int_equal(a.told, 3);
		teardown(&b);
	}
}

static void test_resolver_runs_ttl_in_wall_time_and_failures_in_real_time(void **state)
{
	struct bench b;
	struct asker a = { 0 }, c = { 0 };
	(void)state;

	setup(&b);
	ask(&b, &a, "mx.example.net", DNS_A);
	ask(&b, &c, "sick.example", DNS_A);
	fixture_env_settle(&b.env);
	b.env.wall.ms += HOUR_MS; /* a fast clock */
	ask(&b, &a, "sick.example", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 2);
	ask(&b, &a, "mx.example.net", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 3);
	teardown(&b);
}

static void test_resolver_bounds_its_cache_and_keeps_what_is_used(void **state)
{
	struct bench b;
	struct asker a = { 0 };
	char name[32];
	(void)state;

	setup(&b);
	b.conf->dns.cache_entries = 10;
	for (int i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof(name), "n%d.example", i);
		ask(&b, &a, name, DNS_A);
		fixture_env_settle(&b.env);
	}
	ask(&b, &a, "n0.example", DNS_A); /* used again: n1 is now the oldest */
	fixture_env_settle(&b.env);
	ask(&b, &a, "n10.example", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 11);
	ask(&b, &a, "n0.example", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 11);
	ask(&b, &a, "n1.example", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(b.dns.started, 12);
	teardown(&b);
}

static void test_resolver_never_drops_an_answer_that_is_to_be_told(void **state)
{
	struct bench b;
	struct asker a = { 0 }, other = { 0 };
	(void)state;

	setup(&b);
	b.conf->dns.cache_entries = 1;
	ask(&b, &a, "mx.example.net", DNS_A);
	fixture_env_settle(&b.env);
	ask(&b, &a, "mx.example.net", DNS_A); /* cached, told in the next turn */
	ask(&b, &other, "nowhere.example", DNS_A);
	resolver_cancel(b.resolver, &a.lookup);
	ask(&b, &a, "mx.example.net", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(a.told, 2);
	assert_int_equal(a.count, 1);
	assert_int_equal(b.dns.started, 2); /* it was kept past the bound while in use */
	teardown(&b);
}

static void test_resolver_cancel_spares_the_other_askers(void **state)
{
	struct bench b;
	struct asker a = { 0 }, c = { 0 };
	(void)state;

	setup(&b);
	ask(&b, &a, "mx.example.net", DNS_A);
	ask(&b, &c, "mx.example.net", DNS_A);
	resolver_cancel(b.resolver, &a.lookup);
	resolver_cancel(b.resolver, &a.lookup); /* idle: legal */
	fixture_env_settle(&b.env);
	assert_int_equal(a.told, 0);
	assert_int_equal(c.told, 1);
	ask(&b, &a, "mx.example.net", DNS_A);
	resolver_cancel(b.resolver, &a.lookup); /* a cached answer on its way */
	fixture_env_settle(&b.env);
	assert_int_equal(a.told, 0);
	teardown(&b);
}

static void test_resolver_cancel_of_the_last_asker_ends_the_query(void **state)
{
	struct bench b;
	struct asker a = { 0 };
	(void)state;

	setup(&b);
	b.dns.is_held = true;
	ask(&b, &a, "mx.example.net", DNS_A);
	resolver_cancel(b.resolver, &a.lookup);
	assert_int_equal(b.dns.canceled, 1);
	ask(&b, &a, "mx.example.net", DNS_A);
	assert_int_equal(b.dns.started, 2);
	fixture_dns_release(&b.dns);
	assert_int_equal(a.told, 1);
	teardown(&b);
}

static void test_resolver_flush_forgets_but_still_tells(void **state)
{
	struct bench b;
	struct asker waiting = { 0 }, cached = { 0 }, fresh = { 0 };
	(void)state;

	setup(&b);
	ask(&b, &cached, "mx.example.net", DNS_A);
	fixture_env_settle(&b.env);
	ask(&b, &cached, "mx.example.net", DNS_A);
	ask(&b, &waiting, "example.net", DNS_MX);
	resolver_flush(b.resolver);
	ask(&b, &fresh, "mx.example.net", DNS_A);
	assert_int_equal(b.dns.started, 3);
	fixture_env_settle(&b.env);
	assert_int_equal(cached.told, 2);
	assert_int_equal(waiting.told, 1);
	assert_int_equal(fresh.told, 1);
	teardown(&b);
}

static struct asker *other_asker(struct asker *a)
{
	return a + 1;
}

static void cancel_other_and_ask_again(struct asker *a)
{
	a->then = NULL;
	resolver_cancel(a->bench->resolver, &other_asker(a)->lookup);
	resolver_flush(a->bench->resolver);
	ask(a->bench, a, "mx.example.net", DNS_A);
}

static void test_resolver_may_be_used_from_inside_an_answer(void **state)
{
	struct bench b;
	struct asker a[3];
	(void)state;

	memset(a, 0, sizeof(a));
	setup(&b);
	a[0].then = cancel_other_and_ask_again;
	for (size_t i = 0; i < ARRAY_COUNT(a); i++)
		ask(&b, &a[i], "mx.example.net", DNS_A);
	fixture_env_settle(&b.env);
	assert_int_equal(a[0].told, 2);
	assert_int_equal(a[1].told, 0);
	assert_int_equal(a[2].told, 1);
	assert_int_equal(b.dns.started, 2);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolver_answers_later_once),
		cmocka_unit_test(test_resolver_asks_once_for_many),
		cmocka_unit_test(test_resolver_keeps_answers_for_their_time),
		cmocka_unit_test(test_resolver_runs_ttl_in_wall_time_and_failures_in_real_time),
		cmocka_unit_test(test_resolver_bounds_its_cache_and_keeps_what_is_used),
		cmocka_unit_test(test_resolver_never_drops_an_answer_that_is_to_be_told),
		cmocka_unit_test(test_resolver_cancel_spares_the_other_askers),
		cmocka_unit_test(test_resolver_cancel_of_the_last_asker_ends_the_query),
		cmocka_unit_test(test_resolver_flush_forgets_but_still_tells),
		cmocka_unit_test(test_resolver_may_be_used_from_inside_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
