/* test_route_tls - what binds the hosts of a route: TLSA records, policies of domains, configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "deliver/route.h"
#include "deliver/verdict.h"
#include "fixture_dns.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TLSA_A "_25._tcp.a.example TLSA+ 3 1 1 " DIGEST
#define SIGNED "d.example MX+ 10 a.example", "a.example A+ 192.0.2.1"

struct source {
	struct tls_policies base;
	struct fixture_env *env;
	struct sts_policy policy;
	const char *problem;
	unsigned asked, canceled;
};

struct bench {
	struct fixture_env env;
	struct fixture_dns dns;
	struct source source;
	struct conf *conf;
	struct resolver *resolver;
	struct rng rng;
	struct route_request request;
	unsigned told;
};

static void on_sts_run(struct deferred *d)
{
	struct tls_policy_query *q = CONTAINER_OF(d, struct tls_policy_query, deferred);
	struct source *s = q->adapter;

	q->policy = &s->policy;
	q->problem = s->problem;
	q->on_done(q);
}

static void start(struct tls_policies *p, struct tls_policy_query *q)
{
	struct source *s = CONTAINER_OF(p, struct source, base);

	assert_true(str_equal(q->domain, STR("d.example")));
	s->asked++;
	q->adapter = s;
	q->deferred.on_run = on_sts_run;
	env_defer(&s->env->env, &q->deferred);
}

static void cancel(struct tls_policies *p, struct tls_policy_query *q)
{
	struct source *s = CONTAINER_OF(p, struct source, base);

	s->canceled++;
	env_undefer(&s->env->env, &q->deferred);
}

static const struct tls_policies_ops source_ops = { start, cancel };

static void on_done(struct route_request *r)
{
	CONTAINER_OF(r, struct bench, request)->told++;
}

static void setup(struct bench *b, const char *const *zone)
{
	memset(b, 0, sizeof(*b));
	fixture_env_init(&b->env);
	fixture_dns_init(&b->dns, &b->env, zone);
	b->source = (struct source){ .base.ops = &source_ops, .env = &b->env };
	b->conf = conf_default();
	b->conf->hostname = STR("relay.example.org");
	b->resolver = resolver_new(&b->env.env, &b->dns.dns, b->conf);
	rng_init(&b->rng, 5);
}

static void clear(struct bench *b)
{
	route_free(b->request.route);
	arena_fini(&b->request.arena);
	b->request = (struct route_request){ 0 };
}

static void teardown(struct bench *b)
{
	clear(b);
	resolver_free(b->resolver);
	conf_unref(b->conf);
	fixture_env_fini(&b->env);
}

static void begin(struct bench *b, const char *hop, const char *remembered)
{
	clear(b);
	b->request = (struct route_request){ .hop = str_from_c(hop),
		.conf = b->conf,
		.remembered = str_from_c(remembered),
		.policies = &b->source.base,
		.on_done = on_done };
	route_resolve(&b->env.env, b->resolver, &b->rng, &b->request);
}

static void resolve(struct bench *b, const char *hop, const char *remembered)
{
	begin(b, hop, remembered);
	fixture_env_settle(&b->env);
	assert_int_equal(b->told, 1);
	b->told = 0;
}

static const char *policy_word(enum tls_policy p)
{
	static const char *const words[] = { "none", "opportunistic", "require", "verify", "dane" };

	return words[p];
}

/* "HOST POLICY by AUTHORITY, ..." or "STAGE STATUS". */
static const char *shown(const struct bench *b, char *out, size_t out_bytes)
{
	static const char *const authorities[] = { "conf", "dane", "sts", "requiretls" };
	const struct route *route = b->request.route;
	struct buf text;

	buf_init(&text, out_bytes - 1);
	if (!route) {
		buf_printf(&text, "%s ", stage_name(b->request.outcome.stage));
		status_format(&text, b->request.outcome.status);
	}
	for (uint32_t i = 0; route && i < route->target_count; i++) {
		const struct route_target *t = &route->targets[i];

		buf_printf(&text, "%s%.*s %s by %s", i > 0 ? ", " : "", STR_FMT(t->host),
			policy_word(t->tls.policy), authorities[t->tls.authority]);
		if (t->tls.is_testing)
			buf_printf(&text, " testing%s", t->tls.is_unlisted ? " unlisted" : "");
		assert_true(t->session_key.len > 0);
	}
	(void)snprintf(out, out_bytes, "%s", buf_cstr(&text));
	buf_fini(&text);
	return out;
}

/* clang-format off */
static const struct {
	const char *what;
	const char *zone[8];
	enum tls_policy tls;
	bool has_no_dane;
	const char *remembered, *expected;
} rows[] = {
	{ "signed all the way", { SIGNED, TLSA_A }, TLS_OPPORTUNISTIC, false, "", "a.example dane by dane" },
	{ "require is raised too", { SIGNED, TLSA_A }, TLS_REQUIRE, false, "", "a.example dane by dane" },
	{ "implicit MX", { "d.example TXT+ x", "d.example A+ 192.0.2.1", "_25._tcp.d.example TLSA+ 3 1 1 " DIGEST },
		TLS_OPPORTUNISTIC, false, "", "d.example opportunistic by conf" }, /* NODATA of MX is not signed here */
	{ "MX is not signed", { "d.example MX 10 a.example", "a.example A+ 192.0.2.1", TLSA_A }, TLS_OPPORTUNISTIC, false, "",
		"a.example opportunistic by conf" },
	{ "address is not signed", { "d.example MX+ 10 a.example", "a.example A 192.0.2.1", TLSA_A }, TLS_OPPORTUNISTIC, false, "",
		"a.example opportunistic by conf" },
	{ "one family is signed, the other fails", { SIGNED, "a.example AAAA SERVFAIL", TLSA_A }, TLS_OPPORTUNISTIC, false, "",
		"a.example dane by dane" },
	{ "TLSA is not signed", { SIGNED, "_25._tcp.a.example TLSA 3 1 1 " DIGEST }, TLS_OPPORTUNISTIC, false, "",
		"a.example opportunistic by conf" },
	{ "no TLSA", { SIGNED }, TLS_OPPORTUNISTIC, false, "", "a.example opportunistic by conf" },
	{ "bogus TLSA: the host is not used", { SIGNED, "_25._tcp.a.example TLSA SERVFAIL" }, TLS_OPPORTUNISTIC, false, "",
		"policy 4.7.5" },
	{ "bogus TLSA of one host", { "d.example MX+ 10 a.example", "d.example MX+ 20 b.example", "a.example A+ 192.0.2.1",
			"b.example A+ 192.0.2.2", "_25._tcp.a.example TLSA SERVFAIL" },
		TLS_OPPORTUNISTIC, false, "", "b.example opportunistic by conf" },
	{ "bogus TLSA of the best host, the other is bound", { "d.example MX+ 10 a.example", "d.example MX+ 20 b.example",
			"a.example A+ 192.0.2.1", "b.example A+ 192.0.2.2", "_25._tcp.a.example TLSA SERVFAIL",
			"_25._tcp.b.example TLSA+ 3 1 1 " DIGEST },
		TLS_OPPORTUNISTIC, false, "", "b.example dane by dane" },
	{ "only PKIX usages", { SIGNED, "_25._tcp.a.example TLSA+ 1 1 1 " DIGEST, "_25._tcp.a.example TLSA+ 0 1 1 " DIGEST },
		TLS_OPPORTUNISTIC, false, "", "a.example require by dane" },
	{ "only a short digest", { SIGNED, "_25._tcp.a.example TLSA+ 3 1 1 0123" }, TLS_OPPORTUNISTIC, false, "",
		"a.example require by dane" },
	{ "only an unknown matching type", { SIGNED, "_25._tcp.a.example TLSA+ 3 1 9 " DIGEST }, TLS_OPPORTUNISTIC, false, "",
		"a.example require by dane" },
	{ "only ill-formed records", { SIGNED, "_25._tcp.a.example TLSA+ BAD" }, TLS_OPPORTUNISTIC, false, "",
		"a.example require by dane" },
	{ "a usable one beside others", { SIGNED, "_25._tcp.a.example TLSA+ 1 1 1 " DIGEST, TLSA_A }, TLS_OPPORTUNISTIC, false, "",
		"a.example dane by dane" },
	{ "delivery.dane is no", { SIGNED, TLSA_A }, TLS_OPPORTUNISTIC, true, "", "a.example opportunistic by conf" },
	{ "tls none looks for nothing", { SIGNED, TLSA_A }, TLS_NONE, false, "", "a.example none by conf" },
	{ "tls verify stays", { SIGNED, TLSA_A }, TLS_VERIFY, false, "", "a.example verify by conf" },
	{ "tls dane", { SIGNED, TLSA_A }, TLS_DANE, true, "", "a.example dane by dane" },
	{ "tls dane without records", { SIGNED }, TLS_DANE, false, "", "policy 4.7.5" },
	{ "tls dane with unusable records", { SIGNED, "_25._tcp.a.example TLSA+ 1 1 1 " DIGEST }, TLS_DANE, false, "",
		"policy 4.7.5" },
	{ "tls dane and nothing signed", { "d.example MX 10 a.example", "a.example A 192.0.2.1" }, TLS_DANE, false, "",
		"policy 4.7.5" },
	{ "DNS is silent, the host was bound", { "d.example MX SERVFAIL", "_25._tcp.a.example TLSA SERVFAIL" }, TLS_OPPORTUNISTIC,
		false, "10 a.example dane 192.0.2.1", "dns 4.4.3" },
	{ "DNS is silent, the host was bound, and its records are there", { "d.example MX SERVFAIL", TLSA_A }, TLS_OPPORTUNISTIC,
		false, "10 a.example dane 192.0.2.1", "a.example dane by dane" },
	{ "the host was bound, and its records are gone while DNS is silent", { "d.example MX SERVFAIL", "a.example TXT x" },
		TLS_OPPORTUNISTIC, false, "10 a.example dane 192.0.2.1", "dns 4.4.3" },
	{ "the host was bound, and its records are no longer signed", { "d.example MX SERVFAIL",
			"_25._tcp.a.example TLSA 3 1 1 " DIGEST },
		TLS_OPPORTUNISTIC, false, "10 a.example dane 192.0.2.1", "dns 4.4.3" },
	{ "DNS is silent, one host was not bound", { "d.example MX SERVFAIL", "_25._tcp.a.example TLSA SERVFAIL" },
		TLS_OPPORTUNISTIC, false, "10 a.example dane 192.0.2.1;20 b.example 192.0.2.2", "b.example opportunistic by conf" },
	{ "only the addresses are silent", { "d.example MX+ 10 a.example", "a.example A SERVFAIL", TLSA_A }, TLS_OPPORTUNISTIC,
		false, "10 a.example dane 192.0.2.1", "a.example dane by dane" },
	{ "only the addresses are silent, and the records too", { "d.example MX+ 10 a.example", "a.example A SERVFAIL",
			"_25._tcp.a.example TLSA SERVFAIL" },
		TLS_OPPORTUNISTIC, false, "10 a.example dane 192.0.2.1", "dns 4.4.3" },
};
/* clang-format on */

static void test_route_tls_by_tlsa(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		char text[512];

		setup(&b, rows[i].zone);
		b.conf->policy.tls = rows[i].tls;
		b.conf->policy.has_dane = !rows[i].has_no_dane;
		resolve(&b, "d.example", rows[i].remembered);
		if (strcmp(shown(&b, text, sizeof(text)), rows[i].expected) != 0)
			fail_msg("%s: %s, expected %s (%.*s)", rows[i].what, text, rows[i].expected,
				STR_FMT(b.request.outcome.text));
		if (!b.request.route)
			assert_int_equal(verdict_of(&b.request.outcome, true).disposition,
				verdict_of(&b.request.outcome, false).disposition);
		teardown(&b);
	}
}

static void test_route_tls_unsigned_zones_cost_nothing(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example", "a.example A 192.0.2.1",
		TLSA_A, NULL };
	struct bench b;
	(void)state;

	setup(&b, zone);
	b.conf->policy.has_dane = true;
	resolve(&b, "d.example", "");
	assert_int_equal(b.dns.started, 3); /* MX, A, AAAA */
	teardown(&b);
}

/* RFC 8689 2: the name of an MX host comes from a zone that is signed, is that of the domain, or the operator's. */
static void test_route_tls_says_which_names_are_vouched_for(void **state)
{
	static const struct {
		const char *zone[4];
		bool expected[2];
	} names[] = {
		{ { "d.example MX 10 a.example", "a.example A 192.0.2.1" }, { false } },
		{ { "d.example MX+ 10 a.example", "a.example A 192.0.2.1" }, { true } },
		{ { "d.example A 192.0.2.1" }, { true } },
		{ { "d.example MX 10 d.example", "d.example MX 20 a.example",
			  "d.example A 192.0.2.1", "a.example A 192.0.2.2" },
			{ true, false } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		const char *zone[5] = { names[i].zone[0], names[i].zone[1], names[i].zone[2],
			names[i].zone[3] };
		struct bench b;

		setup(&b, zone);
		resolve(&b, "d.example", "");
		assert_non_null(b.request.route);
		for (uint32_t j = 0; j < b.request.route->target_count; j++)
			assert_int_equal(
				b.request.route->targets[j].is_vouched, names[i].expected[j]);
		teardown(&b);
	}
}

/* The validating resolver is dead, and the next one on the list knows nothing of DNSSEC: no reason to forget what bound. */
static void test_route_tls_nobody_left_to_vouch(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example",
		"d.example MX 20 b.example", "a.example A 192.0.2.1", "b.example A 192.0.2.2",
		TLSA_A, NULL };
	static const char remembered[] = "10 a.example dane 192.0.2.1;20 b.example 192.0.2.2";
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	b.conf->policy.has_dane = true;
	resolve(&b, "d.example",
		remembered); /* the zone is signed no more, says the one whose word counts */
	assert_string_equal(shown(&b, text, sizeof(text)),
		"a.example opportunistic by conf, b.example opportunistic by conf");
	resolver_flush(b.resolver);
	b.dns.is_unvouched = true;
	resolve(&b, "d.example", remembered);
	assert_string_equal(shown(&b, text, sizeof(text)), "b.example opportunistic by conf");
	teardown(&b);
}

/* What is remembered says which hosts were bound, also of one that could not be used this time. */
static void test_route_tls_is_written_down(void **state)
{
	static const char *const zone[] = { "d.example MX+ 10 a.example",
		"d.example MX+ 20 b.example", "d.example MX+ 30 c.example",
		"a.example A+ 192.0.2.1", "b.example A+ 192.0.2.2", "c.example A+ 192.0.2.3",
		TLSA_A, "_25._tcp.b.example TLSA SERVFAIL", NULL };
	struct bench b;
	(void)state;

	setup(&b, zone);
	b.conf->policy.has_dane = true;
	resolve(&b, "d.example", "");
	assert_true(str_equal(b.request.route->text, STR("10 a.example dane 192.0.2.1;20 b.example "
							 "dane 192.0.2.2;30 c.example 192.0.2.3")));
	assert_true(str_equal(b.request.route->left_out,
		STR("b.example: its TLSA records cannot be looked up: SERVFAIL")));
	assert_false(route_text_same_hosts(
		STR("10 a.example dane 192.0.2.1"), STR("10 a.example 192.0.2.1")));
	assert_true(route_text_same_hosts(
		STR("10 a.example dane 192.0.2.1"), STR("10 a.example dane 192.0.2.9")));
	teardown(&b);
}

/* RFC 7672 section 3.2.2: the host, and the domain whose MX it is; section 2.2.2: the end of aliases first. */
static void test_route_tls_names_of_usage_2(void **state)
{
	static const char *const plain[] = { SIGNED, TLSA_A, NULL };
	static const char *const alias[] = { "d.example MX+ 10 a.example",
		"a.example A+ 192.0.2.1 =real.example", "_25._tcp.real.example TLSA+ 2 1 1 " DIGEST,
		NULL };
	static const char *const bare_alias[] = { "d.example MX+ 10 a.example",
		"a.example A+ 192.0.2.1 =real.example", TLSA_A, NULL };
	static const struct {
		const char *const *zone;
		const char *names[4];
	} cases[] = {
		{ plain, { "a.example", "d.example" } },
		{ alias, { "real.example", "a.example", "d.example" } },
		{ bare_alias, { "a.example", "d.example" } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct tls_rule *rule;
		struct bench b;

		setup(&b, cases[i].zone);
		b.conf->policy.has_dane = true;
		resolve(&b, "d.example", "");
		rule = &b.request.route->targets[0].tls;
		assert_int_equal(rule->policy, TLS_DANE);
		assert_int_equal(rule->tlsa_count, 1);
		assert_int_equal(rule->tlsa[0].data.len, 32);
		for (uint32_t n = 0; n < rule->name_count; n++)
			assert_true(str_equal(rule->names[n], str_from_c(cases[i].names[n])));
		assert_null(cases[i].names[rule->name_count]);
		teardown(&b);
	}
}

static void test_route_tls_of_a_smarthost(void **state)
{
	static const char *const zone[] = { "a.example A+ 192.0.2.1",
		"_587._tcp.a.example TLSA+ 3 1 1 " DIGEST, NULL };
	struct conf_route routes[] = { { .name = STR("all"),
		.via = ROUTE_SMARTHOST,
		.host = STR("a.example"),
		.port = 587 } };
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	b.conf->policy.has_dane = b.conf->policy.has_sts = true;
	b.conf->routes = routes;
	b.conf->route_count = 1;
	resolve(&b, "d.example", "");
	assert_string_equal(shown(&b, text, sizeof(text)), "a.example dane by dane");
	assert_int_equal(b.request.route->targets[0].tls.name_count, 1);
	assert_int_equal(
		b.source.asked, 0); /* policies are of recipient domains that are reached by MX */
	teardown(&b);
}

/* clang-format off */
static const struct {
	const char *what;
	const char *zone[6];
	enum sts_mode mode;
	const char *problem;
	bool has_no_sts;
	const char *expected;
} policies[] = {
	{ "enforce", { SIGNED }, STS_ENFORCE, NULL, false, "a.example verify by sts" },
	{ "testing", { SIGNED }, STS_TESTING, NULL, false, "a.example opportunistic by sts testing" },
	{ "none", { SIGNED }, STS_NONE, NULL, false, "a.example opportunistic by conf" },
	{ "switched off", { SIGNED }, STS_ENFORCE, NULL, true, "a.example opportunistic by conf" },
	{ "cannot be told", { SIGNED }, STS_NONE, "the disk fails", false, "policy 4.7.5" },
	{ "a host that is not listed", { "d.example MX 10 x.example", "x.example A 192.0.2.1" }, STS_ENFORCE, NULL, false,
		"policy 4.7.5" },
	{ "a host that is not listed beside others",
		{ "d.example MX 10 x.example", "d.example MX 20 m.w.example", "x.example A 192.0.2.1", "m.w.example A 192.0.2.2" },
		STS_ENFORCE, NULL, false, "m.w.example verify by sts" },
	{ "two labels are not one", { "d.example MX 10 m.n.w.example", "m.n.w.example A 192.0.2.1" }, STS_ENFORCE, NULL, false,
		"policy 4.7.5" },
	{ "testing, not listed", { "d.example MX 10 x.example", "x.example A 192.0.2.1" }, STS_TESTING, NULL, false,
		"x.example opportunistic by sts testing unlisted" },
	{ "TLSA records outrank it", { SIGNED, TLSA_A }, STS_ENFORCE, NULL, false, "a.example dane by dane" },
	{ "TLSA records outrank it also where the host is not listed", { "d.example MX+ 10 x.example", "x.example A+ 192.0.2.1",
			"_25._tcp.x.example TLSA+ 3 1 1 " DIGEST },
		STS_ENFORCE, NULL, false, "x.example dane by dane" },
	{ "bogus TLSA: the policy does not save the host", { SIGNED, "_25._tcp.a.example TLSA SERVFAIL" }, STS_ENFORCE, NULL, false,
		"policy 4.7.5" },
	{ "TLSA records that cannot be used, and a policy", { SIGNED, "_25._tcp.a.example TLSA+ 1 1 1 " DIGEST }, STS_ENFORCE, NULL,
		false, "a.example verify by sts" },
	{ "TLSA records that cannot be used, and one in testing", { SIGNED, "_25._tcp.a.example TLSA+ 1 1 1 " DIGEST }, STS_TESTING,
		NULL, false, "a.example require by dane" },
};
/* clang-format on */

static void test_route_tls_by_policies_of_domains(void **state)
{
	struct str mx[] = { STR("a.example"), STR("*.w.example") };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(policies); i++) {
		struct bench b;
		char text[512];

		setup(&b, policies[i].zone);
		b.source.policy =
			(struct sts_policy){ .mode = policies[i].mode, .mx = mx, .mx_count = 2 };
		b.source.problem = policies[i].problem;
		b.conf->policy.has_dane = true;
		b.conf->policy.has_sts = !policies[i].has_no_sts;
		resolve(&b, "d.example", "");
		if (strcmp(shown(&b, text, sizeof(text)), policies[i].expected) != 0)
			fail_msg("%s: %s, expected %s (%.*s)", policies[i].what, text,
				policies[i].expected, STR_FMT(b.request.outcome.text));
		assert_int_equal(b.source.asked, policies[i].has_no_sts ? 0 : 1);
		/* a policy vouches for the hosts that it lists */
		if (b.request.route)
			assert_int_equal(b.request.route->targets[0].is_vouched,
				strstr(text, "unlisted") == NULL);
		teardown(&b);
	}
}

/* Whatever is under way when the asker goes. */
static void test_route_tls_can_be_canceled_at_any_time(void **state)
{
	static const char *const zone[] = { SIGNED, TLSA_A, NULL };
	(void)state;

	for (unsigned turns = 0; turns < 4; turns++) {
		struct bench b;

		setup(&b, zone);
		b.conf->policy.has_dane = b.conf->policy.has_sts = true;
		b.dns.is_held = true;
		begin(&b, "d.example", "");
		for (unsigned i = 0; i < turns; i++) {
			fixture_dns_release(&b.dns);
			if (i == 1)
				continue; /* a policy query is open */
			fixture_env_settle(&b.env);
		}
		route_cancel(&b.request);
		fixture_env_settle(&b.env);
		assert_int_equal(b.told, turns == 3 ? 1 : 0);
		teardown(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_tls_by_tlsa),
		cmocka_unit_test(test_route_tls_unsigned_zones_cost_nothing),
		cmocka_unit_test(test_route_tls_says_which_names_are_vouched_for),
		cmocka_unit_test(test_route_tls_nobody_left_to_vouch),
		cmocka_unit_test(test_route_tls_is_written_down),
		cmocka_unit_test(test_route_tls_names_of_usage_2),
		cmocka_unit_test(test_route_tls_of_a_smarthost),
		cmocka_unit_test(test_route_tls_by_policies_of_domains),
		cmocka_unit_test(test_route_tls_can_be_canceled_at_any_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
