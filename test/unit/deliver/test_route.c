/* test_route - hosts and sites of next hops over a scripted DNS. */
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

#define LINES_MAX 72

struct bench {
	struct fixture_env env;
	struct fixture_dns dns;
	struct conf *conf;
	struct resolver *resolver;
	struct rng rng;
	struct route_request request;
	unsigned told;
	char line[LINES_MAX][80];
};

static void on_done(struct route_request *r)
{
	CONTAINER_OF(r, struct bench, request)->told++;
}

static void setup(struct bench *b, const char *const *zone)
{
	memset(b, 0, sizeof(*b));
	fixture_env_init(&b->env);
	fixture_dns_init(&b->dns, &b->env, zone);
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

static void resolve_with(struct bench *b, const char *hop, const char *remembered)
{
	unsigned told = b->told;

	clear(b);
	b->request = (struct route_request){ .hop = str_from_c(hop),
		.conf = b->conf,
		.remembered = str_from_c(remembered),
		.on_done = on_done };
	route_resolve(&b->env.env, b->resolver, &b->rng, &b->request);
	assert_int_equal(b->told, told);
	fixture_env_settle(&b->env);
	assert_int_equal(b->told, told + 1);
}

static void resolve(struct bench *b, const char *hop)
{
	resolve_with(b, hop, "");
}

/* "host ip, host ip" in order of trial, or the status of the failure. */
static const char *shown(const struct bench *b, char *out, size_t out_bytes)
{
	const struct route *route = b->request.route;
	struct buf text;

	buf_init(&text, out_bytes - 1);
	if (!route) {
		buf_printf(&text, "%s ", b->request.outcome.stage == STAGE_DNS ? "dns" : "policy");
		status_format(&text, b->request.outcome.status);
	}
	for (uint32_t i = 0; route && i < route->target_count; i++) {
		buf_printf(&text, "%s%.*s ", i > 0 ? ", " : "", STR_FMT(route->targets[i].host));
		endpoint_format(&text, &route->targets[i].address);
	}
	assert_false(text.is_full);
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	buf_fini(&text);
	return out;
}

/* clang-format off */
static const struct {
	const char *what;
	const char *zone[8];
	const char *expected;
	const char *site; /* NULL: not routed */
} domains[] = {
	{ "two MX in order of preference",
		{ "d.example MX 20 b.example", "d.example MX 10 a.example", "a.example A 192.0.2.1", "b.example A 192.0.2.2" },
		"a.example 192.0.2.1:25, b.example 192.0.2.2:25", "a.example+b.example" },
	{ "both families, IPv6 first, alternating",
		{ "d.example MX 10 a.example", "a.example A 192.0.2.1", "a.example AAAA 2001:db8::1" },
		"a.example [2001:db8::1]:25, a.example 192.0.2.1:25", "a.example" },
	{ "implicit MX", { "d.example A 192.0.2.1" }, "d.example 192.0.2.1:25", "d.example" },
	{ "NXDOMAIN", { "other.example A 192.0.2.1" }, "dns 5.1.2", NULL },
	{ "neither MX nor address", { "d.example TXT x" }, "dns 5.1.2", NULL },
	{ "null MX", { "d.example MX 0 .", "d.example A 192.0.2.1" }, "dns 5.1.10", NULL },
	{ "null MX beside others is none",
		{ "d.example MX 0 .", "d.example MX 10 a.example", "a.example A 192.0.2.1" }, "a.example 192.0.2.1:25", "a.example" },
	{ "null MX beside an ill-formed one is not null", { "d.example MX 0 .", "d.example MX BAD" }, "dns 5.4.4", NULL },
	{ "only ill-formed MX, never the implicit one", { "d.example MX BAD", "d.example A 192.0.2.1" }, "dns 5.4.4", NULL },
	{ "MX to an address", { "d.example MX 10 192.0.2.1" }, "dns 5.4.4", NULL },
	{ "MX to an address beside a good one",
		{ "d.example MX 5 192.0.2.9", "d.example MX 10 a.example", "a.example A 192.0.2.1" }, "a.example 192.0.2.1:25", "a.example" },
	{ "MX without address, never the implicit one", { "d.example MX 10 a.example", "d.example A 192.0.2.1" }, "dns 5.4.4", NULL },
	{ "MX look-up fails", { "d.example MX SERVFAIL", "d.example A 192.0.2.1" }, "dns 4.4.3", NULL },
	{ "one host fails, another works",
		{ "d.example MX 10 a.example", "d.example MX 20 b.example", "a.example A SERVFAIL", "a.example AAAA SERVFAIL",
			"b.example A 192.0.2.2" },
		"b.example 192.0.2.2:25", "a.example+b.example" },
	{ "one host fails, the other has no address",
		{ "d.example MX 10 a.example", "d.example MX 20 b.example", "a.example A SERVFAIL" }, "dns 4.4.3", NULL },
	{ "all hosts fail",
		{ "d.example MX 10 a.example", "d.example MX 20 b.example", "a.example A SERVFAIL", "b.example A SERVFAIL" },
		"dns 4.4.3", NULL },
	{ "A found, AAAA fails", { "d.example MX 10 a.example", "a.example A 192.0.2.1", "a.example AAAA SERVFAIL" },
		"a.example 192.0.2.1:25", "a.example" },
	{ "AAAA found, A fails", { "d.example MX 10 a.example", "a.example AAAA 2001:db8::1", "a.example A SERVFAIL" },
		"a.example [2001:db8::1]:25", "a.example" },
	{ "A fails, no AAAA", { "d.example MX 10 a.example", "a.example A SERVFAIL" }, "dns 4.4.3", NULL },
	{ "implicit MX fails", { "d.example A SERVFAIL" }, "dns 4.4.3", NULL },
	{ "our own name cuts itself and everything not better",
		{ "d.example MX 10 a.example", "d.example MX 20 Relay.Example.ORG", "d.example MX 20 b.example", "d.example MX 30 c.example",
			"a.example A 192.0.2.1", "b.example A 192.0.2.2", "c.example A 192.0.2.3" },
		"a.example 192.0.2.1:25", "a.example" },
	{ "we are the best", { "d.example MX 10 relay.example.org", "d.example MX 20 b.example", "b.example A 192.0.2.2" },
		"policy 5.4.6", NULL },
	{ "we are the only better one's backup, and it fails",
		{ "d.example MX 10 a.example", "d.example MX 20 relay.example.org", "a.example A SERVFAIL" }, "dns 4.4.3", NULL },
	{ "MX to loopback", { "d.example MX 10 a.example", "a.example A 127.0.0.1" }, "policy 5.4.6", NULL },
	{ "MX to 0.0.0.0", { "d.example MX 10 a.example", "a.example A 0.0.0.0" }, "policy 5.4.6", NULL },
	{ "MX to ::1", { "d.example MX 10 a.example", "a.example AAAA ::1" }, "policy 5.4.6", NULL },
	{ "MX to loopback as mapped IPv6", { "d.example MX 10 a.example", "a.example AAAA ::ffff:127.0.0.1" }, "policy 5.4.6", NULL },
	{ "MX to RFC 1918", { "d.example MX 10 a.example", "a.example A 10.1.2.3" }, "policy 5.4.4", NULL },
	{ "MX to link-local", { "d.example MX 10 a.example", "a.example AAAA fe80::1" }, "policy 5.4.4", NULL },
	{ "MX to multicast", { "d.example MX 10 a.example", "a.example A 224.0.0.1" }, "policy 5.4.4", NULL },
	{ "loopback beside a good address",
		{ "d.example MX 10 a.example", "a.example A 127.0.0.1", "a.example A 192.0.2.1" }, "a.example 192.0.2.1:25", "a.example" },
	{ "one host under two names",
		{ "d.example MX 10 a.example", "d.example MX 20 b.example", "a.example A 192.0.2.1", "b.example A 192.0.2.1" },
		"a.example 192.0.2.1:25", "a.example+b.example" },
	{ "one name twice keeps its best preference",
		{ "d.example MX 30 a.example", "d.example MX 20 b.example", "d.example MX 10 A.example", "a.example A 192.0.2.1",
			"b.example A 192.0.2.2" },
		"a.example 192.0.2.1:25, b.example 192.0.2.2:25", "a.example+b.example" },
};
/* clang-format on */

static void test_route_finds_hosts_of_domains(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(domains); i++) {
		struct bench b;
		char text[1024];

		setup(&b, domains[i].zone);
		b.conf->client.port = 25;
		resolve(&b, "d.example");
		if (strcmp(shown(&b, text, sizeof(text)), domains[i].expected) != 0)
			fail_msg("%s: %s, expected %s", domains[i].what, text, domains[i].expected);
		assert_int_equal(b.request.route != NULL, domains[i].site != NULL);
		if (domains[i].site)
			assert_true(str_equal(b.request.route->site, str_from_c(domains[i].site)));
		else
			assert_true(b.request.outcome.text.len > 0);
		teardown(&b);
	}
}

static void test_route_orders_equals_by_chance(void **state)
{
	static const char *const zone[] = {
		"d.example MX 10 a.example",
		"d.example MX 10 b.example",
		"d.example MX 10 c.example",
		"d.example MX 20 z.example",
		"a.example A 192.0.2.1",
		"b.example A 192.0.2.2",
		"c.example A 192.0.2.3",
		"z.example A 192.0.2.4",
		NULL,
	};
	unsigned first[3] = { 0 };
	struct bench b;
	(void)state;

	setup(&b, zone);
	for (unsigned i = 0; i < 300; i++) {
		resolve(&b, "d.example");
		assert_int_equal(b.request.route->target_count, 4);
		first[b.request.route->targets[0].host.data[0] - 'a']++;
		assert_int_equal(b.request.route->targets[3].preference, 20);
		assert_true(str_equal(
			b.request.route->site, STR("a.example+b.example+c.example+z.example")));
	}
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(first[i], 60, 140);
	teardown(&b);
}

static void test_route_same_seed_gives_the_same_order(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example",
		"d.example MX 10 b.example", "a.example A 192.0.2.1", "a.example A 192.0.2.3",
		"b.example A 192.0.2.2", NULL };
	char once[512], again[512];
	struct bench b;
	(void)state;

	setup(&b, zone);
	for (uint64_t seed = 0; seed < 20; seed++) {
		rng_init(&b.rng, seed);
		resolve(&b, "d.example");
		shown(&b, once, sizeof(once));
		rng_init(&b.rng, seed);
		resolve(&b, "d.example");
		assert_string_equal(shown(&b, again, sizeof(again)), once);
	}
	teardown(&b);
}

static void test_route_asks_dns_once_for_many_messages(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example", "a.example A 192.0.2.1",
		NULL };
	struct bench b;
	(void)state;

	setup(&b, zone);
	for (unsigned i = 0; i < 10; i++)
		resolve(&b, "d.example");
	assert_int_equal(b.dns.started, 3);
	teardown(&b);
}

static void test_route_uses_fresh_data_when_mx_change(void **state)
{
	static const char *const before[] = { "d.example MX 10 a.example", "a.example A 192.0.2.1",
		NULL };
	static const char *const after[] = { "d.example MX 10 b.example", "b.example A 192.0.2.2",
		NULL };
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, before);
	resolve(&b, "d.example");
	b.dns.lines = after;
	fixture_env_advance(&b.env, HOUR_MS);
	resolve(&b, "d.example");
	assert_string_equal(shown(&b, text, sizeof(text)), "b.example 192.0.2.2:25");
	teardown(&b);
}

static void test_route_keeps_two_addresses_of_many_hosts(void **state)
{
	const char *zone[LINES_MAX] = { 0 };
	struct bench b;
	(void)state;

	setup(&b, zone);
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(b.line[2 * i], sizeof(b.line[0]), "d.example MX %u h%02u.example",
			10 + i, i);
		(void)snprintf(b.line[2 * i + 1], sizeof(b.line[0]), "h%02u.example A 192.0.2.%u",
			i, i + 1);
		zone[2 * i] = b.line[2 * i];
		zone[2 * i + 1] = b.line[2 * i + 1];
	}
	resolve(&b, "d.example");
	assert_int_equal(b.request.route->target_count, 20);
	assert_int_equal(b.request.route->mx_count, 20);
	assert_true(b.request.route->site.len <= 200);
	/* Twenty hosts of ten octets and more: cut with a hash. */
	assert_non_null(memchr(b.request.route->site.data, '~', b.request.route->site.len));
	teardown(&b);
}

static void test_route_one_host_does_not_crowd_out_the_others(void **state)
{
	const char *zone[LINES_MAX] = { 0 };
	struct bench b;
	unsigned n = 0;
	(void)state;

	setup(&b, zone);
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(b.line[n++], sizeof(b.line[0]), "d.example MX %u h%u.example", i, i);
		for (unsigned j = 0; j < 5; j++)
			(void)snprintf(b.line[n++], sizeof(b.line[0]), "h%u.example A 192.0.2.%u",
				i, 10 * i + j);
	}
	for (unsigned i = 0; i < n; i++)
		zone[i] = b.line[i];
	resolve(&b, "d.example");
	assert_in_range(b.request.route->target_count, 20, ROUTE_TARGETS_MAX);
	assert_true(str_equal(b.request.route->targets[b.request.route->target_count - 1].host,
		STR("h9.example")));
	teardown(&b);
}

static void test_route_prefers_ipv4_when_told(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example", "a.example A 192.0.2.1",
		"a.example AAAA 2001:db8::1", NULL };
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	b.conf->client.prefer_ipv4 = true;
	resolve(&b, "d.example");
	assert_string_equal(shown(&b, text, sizeof(text)),
		"a.example 192.0.2.1:25, a.example [2001:db8::1]:25");
	teardown(&b);
}

static void test_route_names_configured_sites(void **state)
{
	static const char *const zone[] = { "d.example MX 10 d-example.mail.protection.example",
		"d-example.mail.protection.example A 192.0.2.1",
		"e.example MX 10 x.mail.protection.example", "e.example MX 20 backup.example",
		"x.mail.protection.example A 192.0.2.1", "backup.example A 192.0.2.2", NULL };
	struct conf_site site = { STR("outlook"), STR("*.mail.protection.example") };
	struct bench b;
	(void)state;

	setup(&b, zone);
	b.conf->sites = &site;
	b.conf->site_count = 1;
	resolve(&b, "d.example");
	assert_true(str_equal(b.request.route->site, STR("outlook")));
	resolve(&b, "e.example"); /* not every host matches */
	assert_true(
		str_equal(b.request.route->site, STR("backup.example+x.mail.protection.example")));
	teardown(&b);
}

static void test_route_site_does_not_depend_on_which_look_ups_work(void **state)
{
	static const char *const sick[] = { "d.example MX 10 a.example",
		"d.example MX 20 b.example", "a.example A SERVFAIL", "b.example A 192.0.2.2",
		NULL };
	struct bench b;
	(void)state;

	setup(&b, sick);
	resolve(&b, "d.example");
	assert_true(str_equal(b.request.route->site, STR("a.example+b.example")));
	teardown(&b);
}

static void test_route_takes_address_literals(void **state)
{
	static const char *const zone[] = { NULL };
	struct network loopback;
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	resolve(&b, "[192.0.2.7]");
	assert_string_equal(shown(&b, text, sizeof(text)), "[192.0.2.7] 192.0.2.7:25");
	assert_true(str_equal(b.request.route->site, STR("[192.0.2.7]")));
	resolve(&b, "[IPv6:2001:db8::7]");
	assert_int_equal(b.request.route->targets[0].address.family, FAMILY_IPV6);
	resolve(&b, "[127.0.0.1]");
	assert_string_equal(shown(&b, text, sizeof(text)), "policy 5.4.6");
	resolve(&b, "[300.0.0.1]");
	assert_string_equal(shown(&b, text, sizeof(text)), "dns 5.1.2");
	assert_int_equal(network_parse(&loopback, STR("127.0.0.0/8")), OK);
	b.conf->dns.allow = &loopback;
	b.conf->dns.allow_count = 1;
	resolve(&b, "[127.0.0.1]");
	assert_string_equal(shown(&b, text, sizeof(text)), "[127.0.0.1] 127.0.0.1:25");
	assert_int_equal(b.dns.started, 0);
	teardown(&b);
}

static void test_route_refuses_our_own_listeners_and_what_is_not_better(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example",
		"d.example MX 20 alias.example", "d.example MX 30 c.example",
		"a.example A 192.0.2.1", "alias.example A 198.51.100.5", "c.example A 192.0.2.3",
		"e.example A 198.51.100.5", NULL };
	struct conf_listener listener = { 0 };
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	assert_int_equal(endpoint_parse(&listener.at, STR("198.51.100.5:25"), 0), OK);
	b.conf->listeners = &listener;
	b.conf->listener_count = 1;
	resolve(&b, "d.example");
	assert_string_equal(shown(&b, text, sizeof(text)), "a.example 192.0.2.1:25");
	resolve(&b, "e.example");
	assert_string_equal(shown(&b, text, sizeof(text)), "policy 5.4.6");
	listener.at.port = 2525; /* another service of that machine */
	resolve(&b, "e.example");
	assert_string_equal(shown(&b, text, sizeof(text)), "e.example 198.51.100.5:25");
	teardown(&b);
}

static void test_route_follows_smarthosts(void **state)
{
	static const char *const zone[] = { "hub.example A 10.0.0.5",
		"mxhub.example MX 10 a.example", "mxhub.example MX 20 relay.example.org",
		"a.example A 192.0.2.1", "sick.example A SERVFAIL", NULL };
	struct conf_route routes[] = {
		{ .name = STR("literal"),
			.from = STR("*@a.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("10.0.0.1"),
			.is_host_literal = true,
			.port = 587,
			.has_tls = true,
			.tls = TLS_VERIFY },
		{ .name = STR("named"),
			.from = STR("*@b.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("hub.example"),
			.port = 25 },
		{ .name = STR("mx"),
			.from = STR("*@c.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("mxhub.example"),
			.uses_mx = true,
			.port = 26 },
		{ .name = STR("gone"),
			.from = STR("*@d.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("nowhere.example"),
			.port = 25 },
		{ .name = STR("sick"),
			.from = STR("*@e.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("sick.example"),
			.port = 25 },
		{ .name = STR("to"),
			.to = STR("*.corp.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("10.0.0.9"),
			.is_host_literal = true,
			.port = 25 },
		{ .name = STR("lmtp"),
			.to = STR("lmtp.example"),
			.via = ROUTE_LMTP,
			.host = STR("hub.example"),
			.port = 24 },
		{ .name = STR("socket"),
			.from = STR("*@f.example"),
			.via = ROUTE_LMTP,
			.path = STR("/run/lmtp") },
	};
	static const struct {
		const char *hop, *expected, *site;
	} rows[] = {
		{ "route:literal", "10.0.0.1 10.0.0.1:587", "[10.0.0.1]:587" },
		{ "route:named", "hub.example 10.0.0.5:25", "[hub.example]:25" },
		{ "route:mx", "a.example 192.0.2.1:26", "[mxhub.example]:26" },
		{ "route:gone", "policy 4.3.5", NULL },
		{ "route:sick", "dns 4.4.3", NULL },
		{ "route:absent", "policy 4.3.5", NULL },
		{ "x.corp.example", "10.0.0.9 10.0.0.9:25", "[10.0.0.9]:25" },
		{ "[192.0.2.1]", "[192.0.2.1] 192.0.2.1:25", "[192.0.2.1]" },
		{ "lmtp.example", "hub.example 10.0.0.5:24", "lmtp:[hub.example]:24" },
		{ "route:socket", "relay.example.org unix:/run/lmtp", "lmtp:unix:/run/lmtp" },
	};
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	b.conf->routes = routes;
	b.conf->route_count = ARRAY_COUNT(routes);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		resolve(&b, rows[i].hop);
		assert_string_equal(shown(&b, text, sizeof(text)), rows[i].expected);
		if (rows[i].site)
			assert_true(str_equal(b.request.route->site, str_from_c(rows[i].site)));
	}
	resolve(&b, "route:literal");
	assert_int_equal(b.request.route->tls, TLS_VERIFY);
	assert_true(b.request.route->is_smarthost);
	assert_ptr_equal(b.request.route->conf_route, &routes[0]);
	resolve(&b, "route:named");
	assert_int_equal(b.request.route->tls, b.conf->policy.tls);
	resolve(&b, "route:socket");
	assert_int_equal(b.request.route->tls, TLS_NONE);
	assert_true(b.request.route->targets[0].is_near);
	assert_int_equal(b.request.route->text.len, 0);
	teardown(&b);
}

/* A smarthost that does not resolve, or is ourselves, is our mistake: verdicts must not bounce. */
static void test_route_smarthost_never_fails_mail(void **state)
{
	static const char *const zones[][4] = { { "hub.example MX 0 .", NULL },
		{ "hub.example TXT x", NULL }, { NULL },
		{ "hub.example MX 10 relay.example.org", NULL }, { "hub.example A 0.0.0.0", NULL },
		{ "hub.example MX SERVFAIL", NULL } };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(zones); i++) {
		struct conf_route route = { .name = STR("r"),
			.via = ROUTE_SMARTHOST,
			.host = STR("hub.example"),
			.uses_mx = true,
			.port = 25 };
		struct bench b;

		setup(&b, zones[i]);
		b.conf->routes = &route;
		b.conf->route_count = 1;
		resolve(&b, "d.example");
		assert_null(b.request.route);
		assert_int_equal(verdict_of(&b.request.outcome, false).disposition, DISPOSE_PARK);
		teardown(&b);
	}
}

static void test_route_hop_of_follows_the_first_rule(void **state)
{
	struct conf_route routes[] = {
		{ .name = STR("boss"), .from = STR("boss@*"), .via = ROUTE_MX },
		{ .name = STR("null"),
			.from = STR("<>"),
			.to = STR("n.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("h") },
		{ .name = STR("to"),
			.to = STR("t.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("h") },
		{ .name = STR("from"),
			.from = STR("*@f.example"),
			.via = ROUTE_SMARTHOST,
			.host = STR("h") },
	};
	static const struct {
		const char *domain, *from, *hop;
	} rows[] = {
		{ "D.Example", "a@x.example", "d.example" },
		{ "t.example", "a@f.example", "t.example" },
		{ "d.example", "a@f.example", "route:from" },
		{ "n.example", "", "route:null" },
		{ "n.example", "a@x.example", "n.example" },
		{ "t.example", "boss@f.example", "route:boss/t.example" },
	};
	struct arena arena = { 0 };
	static const char *const zone[] = { "t.example A 192.0.2.1", NULL };
	struct bench b;
	char text[512];
	(void)state;

	setup(&b, zone);
	b.conf->routes = routes;
	b.conf->route_count = ARRAY_COUNT(routes);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str hop = route_hop_of(
			b.conf, str_from_c(rows[i].domain), str_from_c(rows[i].from), &arena);

		assert_true(str_equal(hop, str_from_c(rows[i].hop)));
	}
	/* By MX past the smarthost that the domain alone would get. */
	resolve(&b, "route:boss/t.example");
	assert_string_equal(shown(&b, text, sizeof(text)), "t.example 192.0.2.1:25");
	assert_false(b.request.route->is_smarthost);
	arena_fini(&arena);
	teardown(&b);
}

static void test_route_takes_tls_from_the_policy_of_domain_and_site(void **state)
{
	static const char *const zone[] = { "d.example A 192.0.2.1",
		"e.example MX 10 mx.strict.example", "mx.strict.example A 192.0.2.2", NULL };
	struct conf_destination destinations[2] = {
		{ .pattern = STR("d.example"), .policy = { .tls = TLS_REQUIRE } },
		{ .pattern = STR("*.strict.example"),
			.is_mx = true,
			.policy = { .tls = TLS_VERIFY } },
	};
	struct bench b;
	(void)state;

	setup(&b, zone);
	b.conf->destinations = destinations;
	b.conf->destination_count = 2;
	resolve(&b, "d.example");
	assert_int_equal(b.request.route->tls, TLS_REQUIRE);
	resolve(&b, "e.example");
	assert_int_equal(b.request.route->tls, TLS_VERIFY);
	teardown(&b);
}

/* A line of a hostile zone: names, preferences and addresses by chance. */
static void make_line(struct rng *chance, char *out, size_t out_bytes, bool *has_sick)
{
	static const char *const values[] = { "192.0.2.1", "192.0.2.2", "198.51.100.7", "127.0.0.1",
		"10.0.0.1", "0.0.0.0", "224.0.0.9", "169.254.1.1", "SERVFAIL", "BAD" };
	static const char *const values6[] = { "2001:db8::1", "::1", "::", "fe80::1", "fc00::1",
		"ff02::1", "::ffff:10.0.0.1", "::ffff:192.0.2.1", "SERVFAIL", "BAD" };
	static const char *const hosts[] = { "h0.example", "h1.example", "h2.example", "h3.example",
		"d.example", "relay.example.org", "192.0.2.3", ".", "RELAY.example.ORG",
		"H0.EXAMPLE" };
	unsigned pick = (unsigned)rng_below(chance, 10), host = (unsigned)rng_below(chance, 6);
	unsigned preference = (unsigned)rng_below(chance, 4);

	switch (rng_below(chance, 5)) {
	case 0:
		(void)snprintf(out, out_bytes, "%s AAAA %s", hosts[host], values6[pick]);
		*has_sick |= pick == 8;
		break;
	case 1:
	case 2:
		(void)snprintf(out, out_bytes, "%s A %s", hosts[host], values[pick]);
		*has_sick |= pick == 8;
		break;
	case 3:
		(void)snprintf(out, out_bytes, "d.example MX %u %s", preference * 10, hosts[pick]);
		break;
	default:
		*has_sick |= pick == 0;
		if (pick == 0)
			(void)snprintf(out, out_bytes, "d.example MX SERVFAIL");
		else
			(void)snprintf(
				out, out_bytes, "d.example MX %u %s", preference, hosts[pick % 4]);
		break;
	}
}

static void check_targets(const struct bench *b)
{
	const struct route *route = b->request.route;

	assert_in_range(route->target_count, 1, ROUTE_TARGETS_MAX);
	assert_true(route->site.len > 0);
	for (uint32_t i = 0; i < route->target_count; i++) {
		const struct endpoint *e = &route->targets[i].address;

		assert_false(endpoint_is_loopback(e) || endpoint_is_private(e) ||
			     endpoint_is_multicast(e));
		assert_false(endpoint_is_unspecified(e));
		assert_int_equal(e->port, 25);
		assert_false(str_equal_fold(route->targets[i].host, b->conf->hostname));
		if (i > 0)
			assert_true(
				route->targets[i - 1].preference <= route->targets[i].preference);
		for (uint32_t j = 0; j < i; j++)
			assert_false(endpoint_equal(e, &route->targets[j].address));
	}
}

static void test_route_holds_its_rules_over_hostile_zones(void **state)
{
	unsigned found = 0, failed = 0, temporary = 0;
	struct rng chance;
	(void)state;

	rng_init(&chance, 77);
	for (unsigned run = 0; run < 3000; run++) {
		const char *zone[LINES_MAX] = { 0 };
		unsigned count = (unsigned)rng_below(&chance, 14);
		bool has_sick = false;
		struct bench b;

		setup(&b, zone);
		for (unsigned i = 0; i < count; i++) {
			make_line(&chance, b.line[i], sizeof(b.line[i]), &has_sick);
			zone[i] = b.line[i];
		}
		resolve(&b, "d.example");
		if (b.request.route) {
			check_targets(&b);
			found++;
		} else {
			unsigned klass = b.request.outcome.status.klass;

			assert_true(klass == 5 || (klass == 4 && has_sick));
			assert_true(b.request.outcome.err != OK && b.request.outcome.text.len > 0);
			failed += klass == 5;
			temporary += klass == 4;
		}
		teardown(&b);
	}
	assert_true(found > 100 && failed > 100 && temporary > 100);
}

/* ---- the last route that worked ---- */

static void test_route_is_written_down_in_one_order(void **state)
{
	static const char *const zone[] = { "d.example MX 20 c.example", "d.example MX 10 b.example",
		"d.example MX 10 a.example", "a.example A 192.0.2.2", "a.example A 192.0.2.1",
		"b.example A 192.0.2.3", "b.example AAAA 2001:db8::1", NULL };
	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		struct bench b;

		setup(&b, zone);
		rng_init(&b.rng, seed);
		resolve(&b, "d.example");
		assert_non_null(b.request.route);
		/* a host without an address too: the site is named after all of them */
		assert_true(str_equal(b.request.route->text,
			STR("10 a.example 192.0.2.1 192.0.2.2;10 b.example 192.0.2.3 "
			    "2001:db8::1;20 c.example")));
		assert_null(b.request.route->dns_problem);
		teardown(&b);
	}
}

/* clang-format off */
static const struct {
	const char *what, *remembered;
	const char *zone[6];
	const char *expected;
	const char *site; /* NULL: not routed */
	bool is_recalled;
} recalls[] = {
	{ "an answer wins", "10 old.example 192.0.2.9", { "d.example MX 10 a.example", "a.example A 192.0.2.1" },
		"a.example 192.0.2.1:25", "a.example", false },
	{ "NXDOMAIN is an answer", "10 old.example 192.0.2.9", { "x.example A 192.0.2.1" }, "dns 5.1.2", NULL, false },
	{ "no MX answer: all of it", "10 a.example 192.0.2.1;20 b.example;20 c.example 2001:db8::3", { "d.example MX SERVFAIL" },
		"a.example 192.0.2.1:25, c.example [2001:db8::3]:25", "a.example+b.example+c.example", true },
	{ "no address: those of hosts that MX names", "10 a.example 192.0.2.1;20 b.example 192.0.2.2",
		{ "d.example MX 10 b.example", "d.example MX 20 new.example", "b.example A SERVFAIL", "new.example A SERVFAIL" },
		"b.example 192.0.2.2:25", "b.example+new.example", true },
	{ "no address, and other hosts", "10 a.example 192.0.2.1", { "d.example MX 10 new.example", "new.example A SERVFAIL" },
		"dns 4.4.3", NULL, false },
	{ "today's rules count", "10 a.example 127.0.0.1 10.0.0.1 192.0.2.1", { "d.example MX SERVFAIL" },
		"a.example 192.0.2.1:25", "a.example", true },
	{ "none may be used", "10 a.example 10.0.0.1", { "d.example MX SERVFAIL" }, "dns 4.4.3", NULL, false },
	{ "we have become one of them", "10 a.example 192.0.2.1;20 relay.example.org;30 c.example 192.0.2.3",
		{ "d.example MX SERVFAIL" }, "a.example 192.0.2.1:25", "a.example", true },
	{ "all of it is ours", "10 relay.example.org 192.0.2.1", { "d.example MX SERVFAIL" }, "dns 4.4.3", NULL, false },
	{ "damaged", ";;x y;70000 a.example 192.0.2.1;10;10 b.example nonsense 192.0.2.2 ;", { "d.example MX SERVFAIL" },
		"b.example 192.0.2.2:25", "b.example", true },
	{ "damaged to the last", "\x01\xff;;; ; ", { "d.example MX SERVFAIL" }, "dns 4.4.3", NULL, false },
};
/* clang-format on */

static void test_route_recalls_the_last_one_when_dns_is_silent(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(recalls); i++) {
		struct bench b;
		char got[512];

		setup(&b, recalls[i].zone);
		resolve_with(&b, "d.example", recalls[i].remembered);
		if (strcmp(shown(&b, got, sizeof(got)), recalls[i].expected) != 0)
			fail_msg("%s: %s", recalls[i].what, got);
		if (recalls[i].site) {
			assert_true(str_equal(
				b.request.route->site, str_from_c(recalls[i].site)));
			assert_int_equal(
				b.request.route->dns_problem != NULL, recalls[i].is_recalled);
			assert_int_equal(b.request.route->text.len > 0, !recalls[i].is_recalled);
		}
		teardown(&b);
	}
}

static void test_route_texts_of_the_same_hosts(void **state)
{
	static const struct {
		const char *a, *b;
		bool is_same;
	} rows[] = {
		{ "10 a 192.0.2.1;20 b 192.0.2.2", "10 a 192.0.2.7;20 b", true },
		{ "10 a 192.0.2.1", "20 a 192.0.2.1", false },
		{ "10 a 192.0.2.1", "10 b 192.0.2.1", false },
		{ "10 a 192.0.2.1", "10 a 192.0.2.1;20 b", false },
		{ "10 a", "", false },
		{ "", "", true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(
			route_text_same_hosts(str_from_c(rows[i].a), str_from_c(rows[i].b)),
			rows[i].is_same);
}

static void test_route_cancel_leaves_nothing_behind(void **state)
{
	static const char *const zone[] = { "d.example MX 10 a.example", "a.example A 192.0.2.1",
		NULL };
	struct bench b;
	(void)state;

	/* Before the MX, between MX and addresses, before the answer is told. */
	for (unsigned turns = 0; turns < 3; turns++) {
		setup(&b, zone);
		b.request = (struct route_request){
			.hop = STR("d.example"), .conf = b.conf, .on_done = on_done
		};
		route_resolve(&b.env.env, b.resolver, &b.rng, &b.request);
		for (unsigned i = 0; i < turns; i++)
			fixture_env_turn(&b.env);
		assert_int_equal(b.told, 0);
		route_cancel(&b.request);
		route_cancel(&b.request);
		fixture_env_settle(&b.env);
		assert_int_equal(b.told, 0);
		teardown(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_finds_hosts_of_domains),
		cmocka_unit_test(test_route_orders_equals_by_chance),
		cmocka_unit_test(test_route_same_seed_gives_the_same_order),
		cmocka_unit_test(test_route_asks_dns_once_for_many_messages),
		cmocka_unit_test(test_route_uses_fresh_data_when_mx_change),
		cmocka_unit_test(test_route_keeps_two_addresses_of_many_hosts),
		cmocka_unit_test(test_route_one_host_does_not_crowd_out_the_others),
		cmocka_unit_test(test_route_prefers_ipv4_when_told),
		cmocka_unit_test(test_route_names_configured_sites),
		cmocka_unit_test(test_route_site_does_not_depend_on_which_look_ups_work),
		cmocka_unit_test(test_route_takes_address_literals),
		cmocka_unit_test(test_route_refuses_our_own_listeners_and_what_is_not_better),
		cmocka_unit_test(test_route_follows_smarthosts),
		cmocka_unit_test(test_route_smarthost_never_fails_mail),
		cmocka_unit_test(test_route_hop_of_follows_the_first_rule),
		cmocka_unit_test(test_route_takes_tls_from_the_policy_of_domain_and_site),
		cmocka_unit_test(test_route_holds_its_rules_over_hostile_zones),
		cmocka_unit_test(test_route_is_written_down_in_one_order),
		cmocka_unit_test(test_route_recalls_the_last_one_when_dns_is_silent),
		cmocka_unit_test(test_route_texts_of_the_same_hosts),
		cmocka_unit_test(test_route_cancel_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
