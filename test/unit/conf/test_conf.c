/* The configuration as the rest of the program asks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_conf.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static struct endpoint ip(const char *text)
{
	struct endpoint e;
	assert_int_equal(endpoint_parse(&e, str_from_c(text), 25), OK);
	return e;
}

static void test_conf_default_relays_from_loopback(void **state)
{
	(void)state;
	struct conf *conf = conf_default();
	struct buf at;
	buf_init(&at, 100);
	assert_int_equal(conf->listener_count, 1);
	endpoint_format(&at, &conf->listeners[0].at);
	assert_string_equal(buf_cstr(&at), "127.0.0.1:2525");
	assert_int_equal(conf->listeners[0].tls, LISTENER_PLAIN);
	assert_int_equal(conf->listeners[0].allow, ALLOW_TRUSTED);
	assert_true(conf->hostname.len > 0);
	assert_true(str_ends_fold(conf->postmaster, conf->hostname));
	assert_true(str_starts_fold(conf->postmaster, STR("postmaster@")));
	assert_true(str_starts_fold(conf->bounce_from, STR("MAILER-DAEMON@")));
	assert_int_equal(conf->user_count + conf->route_count + conf->site_count, 0);
	assert_int_equal(conf->client.source_ipv4.family, FAMILY_NONE);
	buf_fini(&at);
	conf_unref(conf);
}

/* The figures of conf.h, so that neither table nor header moves alone. */
static void test_conf_default_has_the_figures_of_the_header(void **state)
{
	(void)state;
	struct conf *conf = conf_default();
	const struct conf_policy *p = &conf->policy;
	static const int64_t steps[] = { 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR,
		2 * HOUR };
	const int64_t figures[][2] = {
		{ p->lifetime_ms, 14 * DAY },
		{ p->lifetime_max_ms, 30 * DAY },
		{ p->bounce_lifetime_ms, 5 * DAY },
		{ p->retry_jitter_percent, 10 },
		{ p->connections_max, 20 },
		{ p->messages_per_connection, 100 },
		{ p->recipients_per_message, 100 },
		{ p->connection_idle_ms, 5000 },
		{ p->probe_first_ms, MINUTE },
		{ p->probe_last_ms, 10 * MINUTE },
		{ p->probe_unknown_first_ms, 5 * MINUTE },
		{ p->probe_unknown_last_ms, 2 * HOUR },
		{ p->no_domain_grace_ms, 4 * DAY },
		{ p->known_good_ms, 90 * DAY },
		{ p->tls, TLS_OPPORTUNISTIC },
		{ conf->auth_without_tls, false },
		{ conf->smtpd.sessions_max, 1000 },
		{ conf->smtpd.sessions_per_client, 200 },
		{ conf->smtpd.recipients_max, 1000 },
		{ (int64_t)conf->smtpd.message_bytes_max, 50 << 20 },
		{ conf->smtpd.line_bytes_max, 4096 },
		{ conf->smtpd.text_line_bytes_max, 0 },
		{ conf->smtpd.errors_max, 20 },
		{ conf->smtpd.commands_without_mail_max, 100 },
		{ conf->smtpd.messages_per_session, 0 },
		{ conf->smtpd.hops_max, 100 },
		{ conf->smtpd.own_hops_max, 5 },
		{ conf->smtpd.greeting_delay_ms, 0 },
		{ conf->smtpd.idle_ms, 5 * MINUTE },
		{ conf->smtpd.session_ms, 4 * HOUR },
		{ conf->smtpd.data_total_ms, 30 * MINUTE },
		{ conf->smtpd.data_rate_min, 100 },
		{ (int64_t)conf->smtpd.spool_from_bytes, 256 << 10 },
		{ (int64_t)conf->queue.min_free_bytes, 256 << 20 },
		{ (int64_t)conf->queue.reserve_bytes, 40 << 20 },
		{ (int64_t)conf->queue.journal_bytes, 64 << 20 },
		{ conf->queue.history_ms, 7 * DAY },
		{ conf->queue.wal_pages, 8000 },
		{ conf->queue.node, 0 },
		{ conf->client.connections_max, 500 },
		{ conf->client.probes_max, 64 },
		{ conf->client.port, 25 },
		{ conf->client.prefer_ipv4, false },
		{ conf->client.connect_ms, 30000 },
		{ conf->client.greeting_ms, 5 * MINUTE },
		{ conf->client.helo_ms, 5 * MINUTE },
		{ conf->client.mail_ms, 5 * MINUTE },
		{ conf->client.rcpt_ms, 5 * MINUTE },
		{ conf->client.data_init_ms, 2 * MINUTE },
		{ conf->client.data_block_ms, 3 * MINUTE },
		{ conf->client.data_done_ms, 10 * MINUTE },
		{ conf->client.rset_ms, 20000 },
		{ conf->client.quit_ms, 5000 },
		{ conf->client.tls_ms, 30000 },
		{ conf->client.session_ms, 4 * HOUR },
		{ conf->client.hosts_max, 10 },
		{ conf->dns.server_count, 0 },
		{ conf->dns.timeout_ms, 2000 },
		{ conf->dns.tries, 2 },
		{ conf->dns.cache_entries, 20000 },
		{ conf->dns.ttl_min_ms, 30000 },
		{ conf->dns.ttl_max_ms, HOUR },
		{ conf->dns.stale_max_ms, 7 * DAY },
		{ conf->canary_count, 0 },
		{ conf->log.level, LOG_INFO },
		{ conf->log.is_json, false },
		{ conf->control.sessions_max, 32 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(figures); i++)
		if (figures[i][0] != figures[i][1])
			fail_msg("figure %zu is %lld", i, (long long)figures[i][0]);
	assert_int_equal(p->retry_count, ARRAY_COUNT(steps));
	assert_memory_equal(p->retry_ms, steps, sizeof(steps));
	assert_str(conf->queue.directory, "/var/lib/outlast");
	assert_str(conf->control.socket, "/run/outlast/control.sock");
	assert_str(conf->control.admin_group, "outlast-admin");
	assert_str(conf->log.target, "stderr");
	assert_str(conf->log.tag, "outlast");
	assert_str(conf->user, "");
	assert_str(conf->tls.certificate, "");
	conf_unref(conf);
}

static void test_conf_empty_file_equals_the_default(void **state)
{
	(void)state;
	struct conf *empty = conf_good("# nothing\n"), *plain = conf_default();
	struct buf a, b;
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	conf_print(&a, empty);
	conf_print(&b, plain);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	buf_fini(&a);
	buf_fini(&b);
	conf_unref(empty);
	conf_unref(plain);
}

static void test_conf_unref_frees_with_the_last(void **state)
{
	(void)state;
	struct conf *conf = conf_good("hostname: a.example\n");
	assert_ptr_equal(conf_ref(conf), conf);
	conf_unref(conf);
	assert_str(conf->hostname, "a.example");
	conf_unref(conf);
	conf_unref(NULL);
}

static void test_conf_names_follow_the_hostname(void **state)
{
	(void)state;
	struct conf *conf = conf_good("hostname: Relay.B\xc3\xbc"
				      "cher.Example.\nbounce-from: bounces@example.org\n");
	assert_str(conf->hostname, "relay.xn--bcher-kva.example");
	assert_str(conf->postmaster, "postmaster@relay.xn--bcher-kva.example");
	assert_str(conf->bounce_from, "bounces@example.org");
	conf_unref(conf);
}

static void test_conf_policy_is_that_of_the_first_match(void **state)
{
	(void)state;
	struct conf *conf = conf_good("destinations:\n"
				      "  - {match: Slow.example, connections: 1}\n"
				      "  - {match: '*.example', connections: 2, tls: verify}\n"
				      "  - {match: 'mx:*.Big.example', connections: 3}\n"
				      "  - {match: 'mx:bigsite', retry-schedule: 1m 2m}\n"
				      "delivery: {connections: 7, tls: none}\n"
				      "queue: {lifetime: 10d}\n");
	static const struct {
		const char *domain, *site;
		uint32_t connections, steps;
		enum tls_policy tls;
	} cases[] = {
		{ "slow.example", "", 1, 6, TLS_NONE },
		{ "SLOW.example", "mx.big.example", 1, 6, TLS_NONE },
		{ "a.example", "", 2, 6, TLS_VERIFY },
		{ "example", "", 7, 6, TLS_NONE },
		{ "other.test", "", 7, 6, TLS_NONE },
		{ "other.test", "mx1.big.example", 3, 6, TLS_NONE },
		{ "other.test", "mx.other.test+mx1.big.example", 3, 6, TLS_NONE },
		{ "other.test", "mx.other.test+bigsite", 7, 2, TLS_NONE },
		{ "other.test", "BigSite", 7, 2, TLS_NONE },
		{ "bigsite", "x", 7, 6, TLS_NONE },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct conf_policy *p = conf_policy_for(
			conf, str_from_c(cases[i].domain), str_from_c(cases[i].site));
		assert_int_equal(p->connections_max, cases[i].connections);
		assert_int_equal(p->retry_count, cases[i].steps);
		assert_int_equal(p->tls, cases[i].tls);
		assert_int_equal(p->lifetime_ms, 10 * DAY);
	}
	conf_unref(conf);
}

static void test_conf_policy_of_an_unknown_site_matches_no_mx_pattern(void **state)
{
	(void)state;
	struct conf *conf = conf_good("destinations: [{match: 'mx:*', connections: 1}]\n");
	const struct conf_policy *p = conf_policy_for(conf, STR("a.example"), STR(""));
	assert_int_equal(p->connections_max, 20);
	p = conf_policy_for(conf, STR("a.example"), STR("mx.a.example"));
	assert_int_equal(p->connections_max, 1);
	conf_unref(conf);
}

static void test_conf_route_is_the_first_match(void **state)
{
	(void)state;
	struct conf *conf =
		conf_good("routes:\n"
			  "  - {name: notices, from: <>, via: mx}\n"
			  "  - {name: sales, from: '*@Sales.example', to: '*.test', via: a}\n"
			  "  - {name: tests, to: '*.test', via: b}\n");
	static const struct {
		const char *domain, *from, *route;
	} cases[] = {
		{ "x.test", "", "notices" },
		{ "x.test", "a@sales.example", "sales" },
		{ "x.TEST", "a@other.example", "tests" },
		{ "x.org", "a@sales.example", NULL },
		{ "x.org", "", "notices" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const struct conf_route *r = conf_route_for(
			conf, str_from_c(cases[i].domain), str_from_c(cases[i].from));
		if (cases[i].route) {
			assert_non_null(r);
			assert_str(r->name, cases[i].route);
		} else {
			assert_null(r);
		}
	}
	assert_ptr_equal(conf_route_named(conf, STR("tests")), &conf->routes[2]);
	assert_null(conf_route_named(conf, STR("nobody")));
	conf_unref(conf);
}

static void test_conf_via_tells_host_from_mx_from_address(void **state)
{
	(void)state;
	static const struct {
		const char *via, *host;
		enum route_via kind;
		bool is_literal, uses_mx;
		uint16_t port;
	} cases[] = {
		{ "mx", "", ROUTE_MX, false, false, 0 },
		{ "Smart.Example", "smart.example", ROUTE_SMARTHOST, false, true, 2526 },
		{ "smart.example:587", "smart.example", ROUTE_SMARTHOST, false, true, 587 },
		{ "[smart.example]", "smart.example", ROUTE_SMARTHOST, false, false, 2526 },
		{ "[smart.example]:587", "smart.example", ROUTE_SMARTHOST, false, false, 587 },
		{ "[127.0.0.1]:25", "127.0.0.1", ROUTE_SMARTHOST, true, false, 25 },
		{ "127.0.0.1:25", "127.0.0.1", ROUTE_SMARTHOST, true, false, 25 },
		{ "[::1]:25", "::1", ROUTE_SMARTHOST, true, false, 25 },
		{ "[IPv6:::1]", "::1", ROUTE_SMARTHOST, true, false, 2526 },
		{ "lmtp:[mda.example]:24", "mda.example", ROUTE_LMTP, false, false, 24 },
		{ "LMTP:mda.example:24", "mda.example", ROUTE_LMTP, false, false, 24 },
		{ "lmtp:[::1]:24", "::1", ROUTE_LMTP, true, false, 24 },
		{ "lmtp:unix:/run/dovecot/lmtp", "", ROUTE_LMTP, false, false, 0 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct buf text;
		buf_init(&text, 1000);
		buf_printf(&text, "routes: [{name: r, via: \"%s\"}]\ndelivery: {port: 2526}\n",
			cases[i].via);
		struct conf *conf = conf_good(buf_cstr(&text));
		const struct conf_route *r = &conf->routes[0];
		assert_int_equal(r->via, cases[i].kind);
		assert_str(r->host, cases[i].host);
		assert_int_equal(r->is_host_literal, cases[i].is_literal);
		assert_int_equal(r->uses_mx, cases[i].uses_mx);
		assert_int_equal(r->port, cases[i].port);
		assert_false(r->has_tls);
		assert_str(r->path, str_equal(r->host, STR("")) && r->via == ROUTE_LMTP
					    ? "/run/dovecot/lmtp"
					    : "");
		conf_unref(conf);
		buf_fini(&text);
	}
}

static void test_conf_trusts_its_networks_only(void **state)
{
	(void)state;
	struct conf *conf = conf_good("trusted: [10.0.0.0/8, '2001:db8::/32']\n");
	struct endpoint inside[] = { ip("10.1.2.3:9"), ip("[2001:db8:1::2]:9"),
		ip("[::ffff:10.0.0.1]:9"), ip("unix:/tmp/x") };
	struct endpoint outside[] = { ip("127.0.0.1:9"), ip("11.0.0.1:9"), ip("[2001:db9::]:9") };
	for (size_t i = 0; i < ARRAY_COUNT(inside); i++)
		assert_true(conf_is_trusted(conf, &inside[i]));
	for (size_t i = 0; i < ARRAY_COUNT(outside); i++)
		assert_false(conf_is_trusted(conf, &outside[i]));
	conf_unref(conf);
}

static void test_conf_print_is_read_back_as_the_same(void **state)
{
	(void)state;
	struct conf *conf = conf_good(
		"hostname: a.example\nuser: nobody\n"
		"listeners: ['[::1]:2525', {address: 'unix:/tmp/a b'}]\n"
		"trusted: 10.0.0.0/8, ::1\n"
		"retry: {schedule: 1m 90s 1h30m, jitter: 5 %}\n"
		"limits: {message-size-max: 1GiB, spool-from: 5000, greeting-delay: 1500ms}\n"
		"delivery: {source-ipv6: '::1', prefer-ipv4: TRUE}\n"
		"destinations:\n"
		"  - {match: 'mx:*.x', retry-schedule: [1h], tls: verify, lifetime: 15d}\n"
		"sites: [{name: \"x\\u0085\\u2028y\", match: '*.x'}]\n"
		"routes:\n"
		"  - {name: a, to: '*.example', from: <>, via: '[::1]:26', tls: none}\n"
		"  - {name: b, via: mx}\n"
		"  - {name: c, via: 'lmtp:unix:/run/lmtp', hostname: C.Example}\n"
		"  - {name: d, via: 'lmtp:mda:24', source-ipv4: 192.0.2.1, source-ipv6: '::2'}\n"
		"classes:\n"
		"  - {name: u, from: '*@x', header: 'X-Priority:  1*', priority: -9}\n"
		"  - {name: d, deliver-by: 2h, deliver-by-mode: notify, notify: 'failure, delay'}\n"
		"  - {name: h, user: al*, to: '*@y', hold: 1h, notify: never}\n"
		"dns: {servers: ['[::1]:5353', 127.0.0.1]}\n"
		"log: {level: debug, format: json, target: \"/var/log/a\\n\\\"b\"}\n");
	struct buf a, b;
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	conf_print(&a, conf);
	struct conf *again = conf_good(buf_cstr(&a));
	conf_print(&b, again);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	static const char *const lines[] = { "hostname: a.example\n",
		"  schedule: [1m, 90s, 90m]\n",
		"  - address: \"[::1]:2525\"\n    tls: none\n    allow: trusted\n",
		"  - name: u\n    from: \"*@x\"\n    header: \"X-Priority: 1*\"\n    priority: -9\n  - name",
		"  - name: d\n    deliver-by: 2h\n    deliver-by-mode: notify\n    notify: failure delay\n",
		"  - name: h\n    to: \"*@y\"\n    user: \"al*\"\n    hold: 1h\n    notify: never\n",
		"trusted: [10.0.0.0/8, \"::1\"]\n", "  message-size-max: 1G\n",
		"  spool-from: 5000\n", "  greeting-delay: 1500ms\n", "  source-ipv6: \"::1\"\n",
		"  prefer-ipv4: yes\n",
		"  - match: \"mx:*.x\"\n    lifetime: 15d\n    retry-schedule: [1h]\n",
		"    retry-schedule: [1h]\n    tls: verify\nsites:\n",
		"  - name: a\n    to: \"*.example\"\n    from: \"<>\"\n",
		"    via: \"[::1]:26\"\n    tls: none\n  - name: b\n    via: mx\n  - name: c\n",
		"    via: \"lmtp:unix:/run/lmtp\"\n    hostname: c.example\n  - name: d\n",
		"    via: \"lmtp:[mda]:24\"\n    source-ipv4: 192.0.2.1\n    source-ipv6: \"::2\"\n",
		"  servers: [\"[::1]:5353\", \"127.0.0.1:53\"]\n", "  format: json\n" };
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
		if (!strstr(buf_cstr(&a), lines[i]))
			fail_msg("not printed: %s in %s", lines[i], buf_cstr(&a));
	buf_fini(&a);
	buf_fini(&b);
	conf_unref(conf);
	conf_unref(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conf_default_relays_from_loopback),
		cmocka_unit_test(test_conf_default_has_the_figures_of_the_header),
		cmocka_unit_test(test_conf_empty_file_equals_the_default),
		cmocka_unit_test(test_conf_unref_frees_with_the_last),
		cmocka_unit_test(test_conf_names_follow_the_hostname),
		cmocka_unit_test(test_conf_policy_is_that_of_the_first_match),
		cmocka_unit_test(test_conf_policy_of_an_unknown_site_matches_no_mx_pattern),
		cmocka_unit_test(test_conf_route_is_the_first_match),
		cmocka_unit_test(test_conf_via_tells_host_from_mx_from_address),
		cmocka_unit_test(test_conf_trusts_its_networks_only),
		cmocka_unit_test(test_conf_print_is_read_back_as_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
