/* Numbers with units, names that were meant, the name of the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "conf/hostname.h"
#include "conf/suggest.h"
#include "conf/unit.h"
#include "fixture_conf.h"

struct number_case {
	const char *text;
	enum err err;
	int64_t value;
	const char *printed;
};

static void test_unit_duration_needs_units(void **state)
{
	(void)state;
	static const struct number_case cases[] = {
		{ "0", OK, 0, "0" },
		{ "0s", OK, 0, "0" },
		{ "200ms", OK, 200, "200ms" },
		{ "90s", OK, 90000, "90s" },
		{ "4h", OK, 14400000, "4h" },
		{ "4 h", OK, 14400000, "4h" },
		{ "2w", OK, 1209600000, "14d" },
		{ "1h30m", OK, 5400000, "90m" },
		{ "1h 30m", OK, 5400000, "90m" },
		{ "30", ERR_UNSUPPORTED, 0, NULL },
		{ "1h30", ERR_UNSUPPORTED, 0, NULL },
		{ "", ERR_SYNTAX, 0, NULL },
		{ "h", ERR_SYNTAX, 0, NULL },
		{ "-1h", ERR_SYNTAX, 0, NULL },
		{ "1.5h", ERR_SYNTAX, 0, NULL },
		{ "1y", ERR_SYNTAX, 0, NULL },
		{ "1H", ERR_SYNTAX, 0, NULL },
		{ "9223372036854775807ms", OK, INT64_MAX, "9223372036854775807ms" },
		{ "9223372036854775807s", ERR_LIMIT, 0, NULL },
		{ "9223372036854775807ms 1ms", ERR_LIMIT, 0, NULL },
		{ "9223372036854775808ms", ERR_LIMIT, 0, NULL },
		{ "99999999999999999999h", ERR_LIMIT, 0, NULL },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int64_t ms = -1;
		struct buf out;
		assert_int_equal(unit_parse_duration(str_from_c(cases[i].text), &ms), cases[i].err);
		if (cases[i].err != OK)
			continue;
		assert_int_equal(ms, cases[i].value);
		buf_init(&out, 100);
		unit_print_duration(&out, ms);
		assert_string_equal(buf_cstr(&out), cases[i].printed);
		buf_fini(&out);
	}
}

static void test_unit_bytes_are_powers_of_1024(void **state)
{
	(void)state;
	static const struct number_case cases[] = {
		{ "0", OK, 0, "0" },
		{ "1000", OK, 1000, "1000" },
		{ "1024", OK, 1024, "1K" },
		{ "50M", OK, 50 << 20, "50M" },
		{ "50 m", OK, 50 << 20, "50M" },
		{ "50MB", OK, 50 << 20, "50M" },
		{ "50MiB", OK, 50 << 20, "50M" },
		{ "10B", OK, 10, "10" },
		{ "3T", OK, INT64_C(3) << 40, "3T" },
		{ "5X", ERR_SYNTAX, 0, NULL },
		{ "5Mb/s", ERR_SYNTAX, 0, NULL },
		{ "M", ERR_SYNTAX, 0, NULL },
		{ "1.5G", ERR_SYNTAX, 0, NULL },
		{ "9999999T", ERR_LIMIT, 0, NULL },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int64_t bytes = -1;
		struct buf out;
		assert_int_equal(unit_parse_bytes(str_from_c(cases[i].text), &bytes), cases[i].err);
		if (cases[i].err != OK)
			continue;
		assert_int_equal(bytes, cases[i].value);
		buf_init(&out, 100);
		unit_print_bytes(&out, (uint64_t)bytes);
		assert_string_equal(buf_cstr(&out), cases[i].printed);
		buf_fini(&out);
	}
}

static void test_unit_percent_may_lack_its_sign(void **state)
{
	(void)state;
	static const char *const good[] = { "10", "10%", "10 %" }, *const bad[] = { "", "%", "10%%",
		"x" };
	int64_t percent;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		percent = 0;
		assert_int_equal(unit_parse_percent(str_from_c(good[i]), &percent), OK);
		assert_int_equal(percent, 10);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(unit_parse_percent(str_from_c(bad[i]), &percent), ERR_SYNTAX);
}

static void test_suggest_counts_slips(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{ "", "", 0 },
		{ "", "abc", 3 },
		{ "lifetime", "lifetime", 0 },
		{ "Life_Time", "life-time", 0 },
		{ "lifetme", "lifetime", 1 },
		{ "lifetimes", "lifetime", 1 },
		{ "lifteime", "lifetime", 1 },
		{ "kitten", "sitting", 3 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct str a = str_from_c(cases[i].a), b = str_from_c(cases[i].b);
		assert_int_equal(suggest_distance(a, b), cases[i].distance);
		assert_int_equal(suggest_distance(b, a), cases[i].distance);
	}
}

static void test_suggest_prefers_the_nearest_and_refuses_the_far(void **state)
{
	(void)state;
	struct suggest s;
	suggest_init(&s, STR("ttl-mix"));
	suggest_offer(&s, "timeout");
	assert_null(s.best);
	suggest_offer(&s, "ttl-max");
	suggest_offer(&s, "ttl-min");
	assert_string_equal(s.best, "ttl-max");
	suggest_init(&s, STR("x"));
	suggest_offer(&s, "to");
	suggest_offer(&s, "a");
	assert_null(s.best);
	suggest_init(&s, STR("a-name-that-is-longer-than-any-that-we-know-of"));
	suggest_offer(&s, "a-name");
	assert_null(s.best);
}

static void test_hostname_is_qualified_by_hosts(void **state)
{
	(void)state;
	static const struct {
		const char *hosts, *name;
	} cases[] = {
		{ "", "relay" },
		{ "127.0.0.1 localhost\n127.0.1.1 relay.example.org relay\n", "relay.example.org" },
		{ "127.0.1.1\tRelay   relay.example.org # comment\n", "relay.example.org" },
		{ "# 127.0.1.1 relay.example.org relay\n", "relay" },
		{ "127.0.1.1 other.example.org other\n", "relay" },
		{ "127.0.1.1 relay\n::1 relay.example.net relay", "relay.example.net" },
		{ "relay\n\n \n127.0.1.1 rel_ay..x relay", "relay" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_str(
			hostname_qualify(STR("relay"), str_from_c(cases[i].hosts)), cases[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit_duration_needs_units),
		cmocka_unit_test(test_unit_bytes_are_powers_of_1024),
		cmocka_unit_test(test_unit_percent_may_lack_its_sign),
		cmocka_unit_test(test_suggest_counts_slips),
		cmocka_unit_test(test_suggest_prefers_the_nearest_and_refuses_the_far),
		cmocka_unit_test(test_hostname_is_qualified_by_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
