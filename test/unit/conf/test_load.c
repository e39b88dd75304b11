/* Bad configurations: each is refused in words that say where and what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "conf/load.h"
#include "fixture_conf.h"

struct refusal {
	const char *text, *message;
};

static void test_load_refuses_what_is_wrong_and_says_where(void **state)
{
	(void)state;
	static const struct refusal cases[] = {
		{ "quue: {}\n", "test.yaml:1:1: unknown key 'quue', did you mean 'queue'?\n" },
		{ "lifetime: 14d\n", "test.yaml:1:1: unknown key 'lifetime', did you mean 'queue: "
				     "lifetime'?\n" },
		{ "zzz: 1\n", "test.yaml:1:1: unknown key 'zzz'\n" },
		{ "queue:\n  lifetme: 14d\n", "test.yaml:2:3: unknown key 'lifetme' in section "
					      "'queue', did you mean 'lifetime'?\n" },
		{ "queue:\n  dictionary: 14d\n",
			"test.yaml:2:3: unknown key 'dictionary' in section 'queue'\n" },
		{ "queue:\n  hops-max: 1\n", "test.yaml:2:3: unknown key 'hops-max' in section "
					     "'queue', did you mean 'limits: hops-max'?\n" },
		{ "queue:\n  retry:\n    jitter: 1\n",
			"test.yaml:2:3: 'retry' stands in section 'queue', but belongs to the top "
			"level, not indented\n" },
		{ "queue:\n  include: x\n", "test.yaml:2:3: 'include' stands in section 'queue', "
					    "but belongs to the top level, not indented\n" },
		{ "queue: 14d\n", "test.yaml:1:8: 'queue' is a section: its settings go below it, "
				  "indented, as 'key: value'\n" },
		{ "- a\n", "test.yaml:1:1: a configuration begins with a key, like 'hostname: "
			   "relay.example.org'\n" },
		{ "word\n", "test.yaml:1:1: a configuration begins with a key, like 'hostname: "
			    "relay.example.org'\n" },
		{ "log:\n  level: loud\n", "test.yaml:2:10: level: 'loud' is none of error, "
					   "warning, notice, info, debug\n" },
		{ "log:\n  level:\n",
			"test.yaml:2:9: 'level' has no value; leave it out to get the default\n" },
		{ "log:\n  level: [info]\n",
			"test.yaml:2:10: 'level' takes one value, not a list\n" },
		{ "log:\n  level: {a: b}\n",
			"test.yaml:2:10: 'level' takes one value, not a mapping\n" },
		{ "log:\n  level: info\n  level: info\n",
			"test.yaml:3:3: 'level' is set already in line 2\n" },
		{ "log: {}\ntls: {}\nlog: {}\n",
			"test.yaml:3:1: section 'log' stands already in line 1\n" },
		{ "hostname: a.example\nhostname: b.example\n",
			"test.yaml:2:1: 'hostname' is set already in line 1\n" },
		{ "hostname: -a\n", "test.yaml:1:11: hostname: '-a' is not a host name like "
				    "relay.example.org\n" },
		{ "postmaster: me\n", "test.yaml:1:13: postmaster: 'me' is not an address like "
				      "postmaster@example.org\n" },
		{ "notify: {operators: us}\n",
			"test.yaml:1:21: operators: 'us' is not an address like "
			"postmaster@example.org\n" },
		{ "classes: [{name: a}]\n", "test.yaml:1:11: this class changes nothing: set "
					    "priority, deliver-by, hold or notify\n" },
		{ "classes: [{name: a, priority: 10}]\n",
			"test.yaml:1:31: priority: '10' is not a priority from -9 to 9\n" },
		{ "classes: [{name: a, priority: -}]\n",
			"test.yaml:1:31: priority: '-' is not a priority from -9 to 9\n" },
		{ "classes: [{name: a, notify: never delay}]\n",
			"test.yaml:1:29: notify: 'never delay' is neither 'never' nor some of "
			"success, failure, delay\n" },
		{ "classes: [{name: a, notify: often}]\n",
			"test.yaml:1:29: notify: 'often' is none of never, success, failure, delay\n" },
		{ "classes: [{name: a, header: urgent, priority: 1}]\n",
			"test.yaml:1:29: header: 'urgent' is not a condition like \"X-Priority: "
			"1*\"\n" },
		{ "classes: [{name: a, hold: 2h, deliver-by: 1h}]\n",
			"test.yaml:1:11: hold must be less than deliver-by\n" },
		{ "classes: [{name: a, priority: 1}, {name: a, priority: 2}]\n",
			"test.yaml:1:35: there is a class 'a' already\n" },
		{ "user: \"a b\"\n",
			"test.yaml:1:7: user: 'user' must be one word of at most 255 octets\n" },
		{ "limits: {sessions-max: many}\n",
			"test.yaml:1:24: sessions-max: 'many' is not a whole number\n" },
		{ "limits: {sessions-max: 0}\n",
			"test.yaml:1:24: sessions-max: 0 is out of range: 1 to 100000\n" },
		{ "limits: {sessions-max: -5}\n",
			"test.yaml:1:24: sessions-max: '-5' is not a whole number\n" },
		{ "limits: {message-size-max: 10}\n",
			"test.yaml:1:28: message-size-max: 10 is out of range: 64K to 2G\n" },
		{ "limits: {message-size-max: 10 lots}\n",
			"test.yaml:1:28: message-size-max: '10 lots' is not a size like 256K, 50M "
			"or 2G\n" },
		{ "limits: {idle-timeout: 300}\n",
			"test.yaml:1:24: idle-timeout: '300' needs a unit: ms, s, m, h, d or w\n" },
		{ "limits: {idle-timeout: soon}\n", "test.yaml:1:24: idle-timeout: 'soon' is not a "
						    "duration like 30s, 5m, 4h or 14d\n" },
		{ "limits: {idle-timeout: 2h}\n",
			"test.yaml:1:24: idle-timeout: 2h is out of range: 1s to 1h\n" },
		{ "retry: {jitter: half}\n",
			"test.yaml:1:17: jitter: 'half' is not a percentage like 10%\n" },
		{ "retry: {jitter: 51%}\n",
			"test.yaml:1:17: jitter: 51% is out of range: 0% to 50%\n" },
		{ "retry: {schedule: [5m, 500ms]}\n",
			"test.yaml:1:24: schedule: 500ms is out of range: 1s to 30d\n" },
		{ "retry: {schedule: 5m 40d}\n",
			"test.yaml:1:19: schedule: 40d is out of range: 1s to 30d\n" },
		{ "retry: {schedule: []}\n", "test.yaml:1:9: the retry schedule is empty, it needs "
					     "at least one pause like 5m\n" },
		{ "retry: {schedule: [[5m]]}\n",
			"test.yaml:1:20: an entry of 'schedule' must be a word\n" },
		{ "retry: {schedule: [5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, "
		  "5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m, 5m]}\n",
			"test.yaml:1:148: schedule: only 32 entries are allowed\n" },
		{ "queue: {node: 256}\n", "test.yaml:1:15: node: 256 is out of range: 0 to 255\n" },
		{ "queue: {directory: \"\"}\n", "test.yaml:1:20: directory: must not be empty\n" },
		{ "queue:\n  lifetime: 20d\n  lifetime-max: 10d\n",
			"test.yaml:2:3: lifetime must not be more than lifetime-max\n" },
		{ "queue: {bounce-lifetime: 31d}\n",
			"test.yaml:1:9: bounce-lifetime must not be more than lifetime-max\n" },
		{ "outage: {probe-first: 11m}\n",
			"test.yaml:1:10: probe-first must not be more than probe-last\n" },
		{ "outage: {probe-unknown-last: 4m}\n", "test.yaml:1:10: probe-unknown-first must "
							"not be more than probe-unknown-last\n" },
		{ "auth: {without-tls: maybe}\n",
			"test.yaml:1:21: without-tls: 'maybe' is neither yes nor no\n" },
		{ "auth: {users: users}\n", "test.yaml:1:15: users: files cannot be named here\n" },
		{ "include: x\n", "test.yaml:1:10: files cannot be included here\n" },
		{ "trusted: 10.0.0.0/33\n", "test.yaml:1:10: trusted: '10.0.0.0/33' is not a "
					    "network like 192.0.2.0/24, 2001:db8::/32 or ::1\n" },
		{ "trusted: [0.0.0.0/0]\n", "test.yaml:1:1: this trusts the whole Internet, which "
					    "makes an open relay; name your own networks\n" },
		{ "dns: {servers: resolver}\n", "test.yaml:1:16: servers: 'resolver' is not an IP "
						"address, or [address]:port\n" },
		{ "dns: {ttl-min: 2h}\n",
			"test.yaml:1:7: dns.ttl-min must not be more than dns.ttl-max\n" },
		{ "delivery: {source-ipv4: \"::1\"}\n",
			"test.yaml:1:25: source-ipv4: '::1' is not an IPv4 address\n" },
		{ "delivery: {port: 0}\n",
			"test.yaml:1:18: port: 0 is out of range: 1 to 65535\n" },
		{ "log: {target: file}\n", "test.yaml:1:15: target: 'file' is none of stderr, "
					   "syslog, or a file (with a '/')\n" },
		{ "log: {tag: \"\"}\n", "test.yaml:1:12: tag: must not be empty\n" },
		{ "control: {socket: "
		  "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxx}\n",
			"test.yaml:1:19: socket: the path of a socket may have at most 103 octets, "
			"this one has 105\n" },
		{ "tls: {certificate: a.pem}\n", "test.yaml:1:7: tls.certificate needs tls.key, "
						 "the file with its private key\n" },
		{ "tls: {key: a.key}\n", "test.yaml:1:7: tls.key needs tls.certificate\n" },
		{ "listeners: []\n", "test.yaml:1:1: without a listener no mail can come in\n" },
		{ "listeners: {address: 127.0.0.1:25}\n",
			"test.yaml:1:12: 'listeners' is a list: each listener begins with '- '\n" },
		{ "listeners:\n  - 127.0.0.1\n", "test.yaml:2:5: address: '127.0.0.1' needs a "
						 "port, like 127.0.0.1:2525 or [::1]:2525\n" },
		{ "listeners:\n  - localhost:25\n",
			"test.yaml:2:5: address: 'localhost:25' is not an address like "
			"127.0.0.1:2525, [::1]:2525 or unix:/path\n" },
		{ "listeners:\n  - tls: none\n", "test.yaml:2:5: this listener lacks 'address'\n" },
		{ "listeners:\n  - address: 127.0.0.1:25\n    tsl: none\n",
			"test.yaml:3:5: unknown key 'tsl' of a listener, did you mean 'tls'?\n" },
		{ "listeners:\n  - address: 127.0.0.1:25\n  - address: 127.0.0.1:25\n",
			"test.yaml:3:5: there is a listener at this address already\n" },
		{ "listeners:\n  - address: 127.0.0.1:25\n    tls: starttls\n",
			"test.yaml:2:5: a listener with TLS needs tls.certificate and tls.key\n" },
		{ "listeners:\n  - address: 127.0.0.1:25\n    allow: authenticated\n",
			"test.yaml:2:5: 'allow: authenticated' needs users: set auth.users to "
			"their file\n" },
		{ "listeners:\n  - [a]\n",
			"test.yaml:2:5: a listener needs settings, like 'address: ...'\n" },
		{ "destinations: [{tls: none}]\n",
			"test.yaml:1:16: this destination lacks 'match'\n" },
		{ "destinations: [{match: \"\"}]\n",
			"test.yaml:1:24: match: '' is not a pattern like *.example.org\n" },
		{ "destinations:\n  - match: a.example\n    lifetime: 31d\n",
			"test.yaml:2:5: lifetime must not be more than lifetime-max\n" },
		{ "destinations:\n  - match: a.example\n    schedule: 31d\n",
			"test.yaml:3:5: unknown key 'schedule' of a destination\n" },
		{ "destinations:\n  - match: a.example\n    retry-schedule: []\n",
			"test.yaml:2:5: the retry schedule is empty, it needs at least one pause "
			"like 5m\n" },
		{ "destinations:\n  - match: a.example\n    match: b.example\n",
			"test.yaml:3:5: 'match' is set already in line 2\n" },
		{ "destinations:\n  - match: *.example\n",
			"test.yaml:2:12: a value that begins with '*' or '&' needs quotes\n" },
		{ "sites:\n  - {name: a, match: b}\n  - {name: a, match: c}\n",
			"test.yaml:3:5: there is a site 'a' already\n" },
		{ "routes:\n  - {name: a, via: mx}\n  - {name: a, via: mx}\n",
			"test.yaml:3:5: there is a route 'a' already\n" },
		{ "routes: [{name: a}]\n", "test.yaml:1:10: this route lacks 'via'\n" },
		{ "routes: [{name: a, via: \"host:0\"}]\n",
			"test.yaml:1:25: via: 'host:0' is none of mx, \"[host]:port\", host:port, "
			"\"lmtp:[host]:port\" or lmtp:unix:/path\n" },
		{ "routes: [{name: a, via: \"[host\"}]\n",
			"test.yaml:1:25: via: '[host' is none of mx, \"[host]:port\", host:port, "
			"\"lmtp:[host]:port\" or lmtp:unix:/path\n" },
		{ "routes: [{name: a, via: \"lmtp:[mda]\"}]\n",
			"test.yaml:1:25: via: 'lmtp:[mda]' needs a port, like \"lmtp:[mda]:24\"\n" },
		{ "routes: [{name: a, via: \"lmtp:unix:run\"}]\n",
			"test.yaml:1:25: via: 'lmtp:unix:run' needs the whole path of a socket, like "
			"lmtp:unix:/run/lmtp\n" },
		{ "routes: [{name: a, via: \"lmtp:unix:/a\", tls: verify}]\n",
			"test.yaml:1:10: a socket of this host needs no TLS\n" },
		{ "routes: [{name: a, via: \"lmtp:unix:/a\", source-ipv4: 127.0.0.1}]\n",
			"test.yaml:1:10: a socket of this host has no source address\n" },
		{ "routes: [{name: a, via: \"a b\"}]\n",
			"test.yaml:1:25: via: 'a b' is not a host name or IP address\n" },
		{ "routes: [{name: a, via: \"::1\"}]\n", "test.yaml:1:25: via: '::1' is none of "
							 "mx, \"[host]:port\", host:port, "
							 "\"lmtp:[host]:port\" or "
							 "lmtp:unix:/path\n" },
		{ "queue:\n\tlifetime: 1d\n",
			"test.yaml:2:1: YAML does not allow tabs here, use spaces\n" },
		{ "log: {level: @x}\n",
			"test.yaml:1:14: a value that begins with '@' needs quotes\n" },
		{ "a: b: c\n", "test.yaml:1:5: a ':' does not belong here; check the indentation, "
			       "or quote the value\n" },
		{ "queue: [\n", "test.yaml:2:1: not valid YAML: did not find expected node content "
				"(while parsing a flow node)\n" },
		{ "a: &x 1\n", "test.yaml:1:4: anchors and tags are not supported; a value that "
			       "begins with '&' or '!' needs quotes\n" },
		{ "a: !!int 1\n", "test.yaml:1:4: anchors and tags are not supported; a value that "
				  "begins with '&' or '!' needs quotes\n" },
		{ "queue: &q {}\n", "test.yaml:1:8: anchors and tags are not supported\n" },
		{ "log: *q\n", "test.yaml:1:6: aliases are not supported; a value that begins with "
			       "'*' needs quotes\n" },
		{ "a: *\n", "test.yaml:1:4: a value that begins with '*' or '&' needs quotes\n" },
		{ "a: 1\n---\nb: 2\n", "test.yaml:2:1: a second document begins here; a file may "
				       "hold one only\n" },
		{ "[[[[[[[[[a]]]]]]]]]\n", "test.yaml:1:9: nested too deep\n" },
		{ "? [a]\n: b\n", "test.yaml:1:3: a key must be a word\n" },
		{ "log: {tag: x}\nhostname: \007\n",
			"test.yaml:2:11: not UTF-8 text, or a control character: control "
			"characters are not allowed\n" },
		{ "hostname: \"\\e[31m\"\n", "test.yaml:1:11: hostname: '\\x1b[31m' is not a host "
					     "name like relay.example.org\n" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_refused(cases[i].text, cases[i].message);
}

static void test_load_collects_problems_of_all_kinds(void **state)
{
	(void)state;
	assert_refused("quue: {}\n"
		       "log: {level: loud, tga: x}\n"
		       "routes: [{name: a}]\n"
		       "queue: {lifetime: 20d, lifetime-max: 1}\n",
		"test.yaml:1:1: unknown key 'quue', did you mean 'queue'?\n"
		"test.yaml:2:14: level: 'loud' is none of error, warning, notice, info, debug\n"
		"test.yaml:2:20: unknown key 'tga' in section 'log', did you mean 'tag'?\n"
		"test.yaml:4:38: lifetime-max: '1' needs a unit: ms, s, m, h, d or w\n"
		"test.yaml:3:10: this route lacks 'via'\n");
}

static unsigned count_lines(struct str text)
{
	unsigned lines = 0;
	while (text.len > 0) {
		str_cut(&text, '\n');
		lines++;
	}
	return lines;
}

static void test_load_stops_at_twenty_problems(void **state)
{
	(void)state;
	struct buf text, message;
	struct conf *conf;
	buf_init(&text, 100000);
	buf_init(&message, 100000);
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "zzz%d: 1\n", i);
	assert_int_equal(
		load_text(STR("test.yaml"), buf_str(&text), false, &conf, &message), ERR_SYNTAX);
	assert_int_equal(count_lines(buf_str(&message)), 20);
	assert_non_null(strstr(buf_cstr(&message), "test.yaml:20:1: unknown key 'zzz19'\n"));
	buf_fini(&text);
	buf_fini(&message);
}

static void test_load_takes_what_people_write(void **state)
{
	(void)state;
	struct conf *conf = conf_good("# sections may be empty, lists too\n"
				      "limits:\n"
				      "destinations:\n"
				      "tls: ~\n"
				      "trusted:\n  - 10.0.0.0/8\n  - 192.0.2.1 192.0.2.2\n"
				      "retry:\n  schedule: 1m, 2m 3m\n"
				      "auth:\n  without-tls: On\n"
				      "log:\n  level: DEBUG\n"
				      "queue: {node: \"7\", history: 0}\n");
	assert_int_equal(conf->trusted_count, 3);
	assert_int_equal(conf->policy.retry_count, 3);
	assert_int_equal(conf->policy.retry_ms[2], 180000);
	assert_true(conf->auth_without_tls);
	assert_int_equal(conf->log.level, LOG_DEBUG);
	assert_int_equal(conf->queue.node, 7);
	assert_int_equal(conf->queue.history_ms, 0);
	assert_int_equal(conf->destination_count, 0);
	conf_unref(conf);
}

static void test_load_bounds_lists(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1000000);
	buf_append_str(&text, STR("sites:\n"));
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "  - {name: s%d, match: x}\n", i);
	struct conf *conf = conf_good(buf_cstr(&text));
	assert_int_equal(conf->site_count, 1000);
	assert_str(conf->sites[999].name, "s999");
	conf_unref(conf);
	buf_append_str(&text, STR("  - {name: more, match: x}\n"));
	assert_refused(buf_cstr(&text), "test.yaml:1002:5: sites: only 1000 entries are allowed\n");
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_refuses_what_is_wrong_and_says_where),
		cmocka_unit_test(test_load_collects_problems_of_all_kinds),
		cmocka_unit_test(test_load_stops_at_twenty_problems),
		cmocka_unit_test(test_load_takes_what_people_write),
		cmocka_unit_test(test_load_bounds_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
