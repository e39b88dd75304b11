/* Reading, writing and classifying addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "base/endpoint.h"

static struct endpoint ip_of(const char *text)
{
	struct endpoint e;
	assert_int_equal(endpoint_parse_ip(&e, str_from_c(text)), OK);
	return e;
}

static void test_endpoint_parse_and_format_agree(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out, *literal;
	} rows[] = {
		{ "127.0.0.1:25", "127.0.0.1:25", "[127.0.0.1]" },
		{ "127.0.0.1", "127.0.0.1:587", "[127.0.0.1]" },
		{ "1.2.3.4:0", "1.2.3.4:0", "[1.2.3.4]" },
		{ "[::1]:65535", "[::1]:65535", "[IPv6:::1]" },
		{ "[::1]", "[::1]:587", "[IPv6:::1]" },
		{ "::1", "[::1]:587", "[IPv6:::1]" },
		{ "2001:DB8:0:0:0::25", "[2001:db8::25]:587", "[IPv6:2001:db8::25]" },
		{ "::ffff:10.0.0.1", "[::ffff:10.0.0.1]:587", "[IPv6:::ffff:10.0.0.1]" },
		{ "unix:/run/outlast/lmtp:x", "unix:/run/outlast/lmtp:x",
			"[unix:/run/outlast/lmtp:x]" },
	};
	struct buf b;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint e, again;
		assert_int_equal(endpoint_parse(&e, str_from_c(rows[i].in), 587), OK);
		endpoint_format(&b, &e);
		assert_string_equal(buf_cstr(&b), rows[i].out);
		assert_int_equal(endpoint_parse(&again, buf_str(&b), 1), OK);
		assert_true(endpoint_equal(&e, &again));
		buf_clear(&b);
		endpoint_format_literal(&b, &e);
		assert_string_equal(buf_cstr(&b), rows[i].literal);
		buf_clear(&b);
	}
	buf_fini(&b);
}

static void test_endpoint_parse_refuses(void **state)
{
	(void)state;
	static const struct str rows[] = {
		{ "", 0 },
		{ "localhost:25", 12 },
		{ "127.0.0.1:", 10 },
		{ "127.0.0.1:65536", 15 },
		{ "127.0.0.1:+5", 12 },
		{ "127.0.0.01", 10 },
		{ "127.1", 5 },
		{ "127.0.0.1.", 10 },
		{ "256.0.0.1", 9 },
		{ "127.0.0.1\0x", 11 },
		{ " 127.0.0.1", 10 },
		{ "[127.0.0.1]:25", 14 },
		{ "[::1", 4 },
		{ "[::1]25", 7 },
		{ "[::1]:", 6 },
		{ "[]:25", 5 },
		{ "fe80::1%eth0", 12 },
		{ "1:2:3:4:5:6:7:8:9", 17 },
		{ "unix:", 5 },
		{ "unix:run/x", 10 },
		{ "unix:/a\0b", 9 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint e;
		assert_int_equal(endpoint_parse(&e, rows[i], 25), ERR_SYNTAX);
	}
}

static void test_endpoint_path_has_a_limit(void **state)
{
	(void)state;
	char text[5 + 104];
	struct endpoint e;
	memset(text, '/', sizeof(text));
	memcpy(text, "unix:", 5);
	assert_int_equal(endpoint_parse(&e, str_of(text, sizeof(text)), 25), ERR_LIMIT);
	assert_int_equal(endpoint_parse(&e, str_of(text, sizeof(text) - 1), 25), OK);
	assert_int_equal(strlen(e.path), 103);
}

static void test_endpoint_comparison_knows_mapped_addresses(void **state)
{
	(void)state;
	struct endpoint plain = ip_of("192.0.2.1"), mapped = ip_of("::ffff:192.0.2.1");
	struct endpoint other = ip_of("192.0.2.2"), with_port = plain;
	with_port.port = 25;
	assert_true(endpoint_same_ip(&plain, &mapped));
	assert_true(endpoint_same_ip(&plain, &with_port));
	assert_false(endpoint_same_ip(&plain, &other));
	assert_false(endpoint_equal(&plain, &mapped));
	assert_false(endpoint_equal(&plain, &with_port));
}

enum { LOOPBACK = 1, UNSPECIFIED = 2, MULTICAST = 4, PRIVATE = 8 };

static void test_endpoint_classes_follow_the_table(void **state)
{
	(void)state;
	static const struct {
		const char *ip;
		int classes;
	} rows[] = {
		{ "127.0.0.1", LOOPBACK },
		{ "127.255.255.255", LOOPBACK },
		{ "128.0.0.1", 0 },
		{ "::1", LOOPBACK },
		{ "::2", 0 },
		{ "::ffff:127.0.0.1", LOOPBACK },
		{ "0.0.0.0", UNSPECIFIED },
		{ "0.1.2.3", UNSPECIFIED },
		{ "1.0.0.0", 0 },
		{ "::", UNSPECIFIED },
		{ "::ffff:0.0.0.0", UNSPECIFIED },
		{ "223.255.255.255", 0 },
		{ "224.0.0.1", MULTICAST },
		{ "239.1.1.1", MULTICAST },
		{ "240.0.0.1", MULTICAST },
		{ "255.255.255.255", MULTICAST },
		{ "ff02::1", MULTICAST },
		{ "fe00::1", 0 },
		{ "9.255.255.255", 0 },
		{ "10.0.0.1", PRIVATE },
		{ "11.0.0.1", 0 },
		{ "172.15.0.1", 0 },
		{ "172.16.0.1", PRIVATE },
		{ "172.31.255.255", PRIVATE },
		{ "172.32.0.1", 0 },
		{ "192.168.5.5", PRIVATE },
		{ "192.169.0.1", 0 },
		{ "100.63.0.1", 0 },
		{ "100.64.0.1", PRIVATE },
		{ "100.127.0.1", PRIVATE },
		{ "100.128.0.1", 0 },
		{ "169.254.1.1", PRIVATE },
		{ "64:ff9b::10.0.0.1", PRIVATE }, /* through a translator */
		{ "64:ff9b::169.254.169.254", PRIVATE },
		{ "64:ff9b::127.0.0.1", PRIVATE },
		{ "64:ff9b::9.255.255.255", 0 },
		{ "64:ff9b:1::10.0.0.1", 0 },
		{ "2002:a00:1::1", PRIVATE },
		{ "2002:7f00:1::1", PRIVATE },
		{ "2002:900:1::1", 0 },
		{ "fc00::1", PRIVATE },
		{ "fdff::1", PRIVATE },
		{ "fe80::1", PRIVATE },
		{ "febf::1", PRIVATE },
		{ "fec0::1", 0 },
		{ "::ffff:10.1.1.1", PRIVATE },
		{ "2001:db8::1", 0 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint e = ip_of(rows[i].ip);
		int classes = (endpoint_is_loopback(&e) ? LOOPBACK : 0) |
			      (endpoint_is_unspecified(&e) ? UNSPECIFIED : 0) |
			      (endpoint_is_multicast(&e) ? MULTICAST : 0) |
			      (endpoint_is_private(&e) ? PRIVATE : 0);
		assert_int_equal(classes, rows[i].classes);
	}
}

static void test_network_contains_by_prefix(void **state)
{
	(void)state;
	static const struct {
		const char *network, *ip;
		bool is_in;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.200", true },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "203.0.113.9", false },
		{ "::1/128", "::1", true },
		{ "[2001:db8::]/32", "2001:db8:ffff::1", true },
		{ "[2001:db8::]/33", "2001:db8:ffff::1", false },
		{ "10.0.0.0/8", "::ffff:10.1.1.1", true },
		{ "::ffff:10.0.0.0/104", "10.1.1.1", true },
		{ "::ffff:10.0.0.0/104", "11.1.1.1", false },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct network n;
		struct endpoint e = ip_of(rows[i].ip);
		assert_int_equal(network_parse(&n, str_from_c(rows[i].network)), OK);
		assert_int_equal(network_contains(&n, &e), rows[i].is_in);
	}
}

static void test_network_parse_refuses(void **state)
{
	(void)state;
	static const char *const rows[] = { "", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129",
		"10.0.0.0/-1", "10/8", "[10.0.0.0]/8", "[::1", "[::1]x/8", "10.0.0.0/8/8",
		"10.0.0.0:25", "[]", "[" };
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct network n;
		assert_int_equal(network_parse(&n, str_from_c(rows[i])), ERR_SYNTAX);
	}
}

static void test_network_never_contains_a_path(void **state)
{
	(void)state;
	struct endpoint e;
	struct network n = { 0 };
	assert_int_equal(endpoint_parse(&e, STR("unix:/x"), 0), OK);
	assert_false(endpoint_is_unspecified(&e));
	assert_false(endpoint_is_loopback(&e));
	assert_false(network_contains(&n, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoint_parse_and_format_agree),
		cmocka_unit_test(test_endpoint_parse_refuses),
		cmocka_unit_test(test_endpoint_path_has_a_limit),
		cmocka_unit_test(test_endpoint_comparison_knows_mapped_addresses),
		cmocka_unit_test(test_endpoint_classes_follow_the_table),
		cmocka_unit_test(test_network_contains_by_prefix),
		cmocka_unit_test(test_network_parse_refuses),
		cmocka_unit_test(test_network_never_contains_a_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
