/* Reading borrowed octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/str.h"

static void assert_str(struct str got, const char *expected)
{
	assert_true(str_equal(got, str_from_c(expected)));
}

static void test_str_compare_orders_like_memcmp_shorter_first(void **state)
{
	(void)state;
	static const char *const sorted[] = { "", "A", "AB", "B", "a", "ab", "b", "\xff" };
	for (size_t i = 0; i < ARRAY_COUNT(sorted); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(sorted); j++) {
			struct str a = str_from_c(sorted[i]), b = str_from_c(sorted[j]);
			int order = str_compare(a, b);
			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			assert_int_equal(str_equal(a, b), i == j);
		}
	}
	assert_true(str_equal(str_from_c(NULL), str_of(NULL, 0)));
}

static void test_str_fold_knows_ascii_only(void **state)
{
	(void)state;
	assert_true(str_equal_fold(STR("RCPT To"), STR("rcpt tO")));
	assert_false(str_equal_fold(STR("[\\]"), STR("{|}")));
	assert_false(str_equal_fold(STR("\xc3\x84"), STR("\xc3\xa4")));
	assert_true(str_starts_fold(STR("MAIL FROM:<>"), STR("mail from:")));
	assert_false(str_starts_fold(STR("MAI"), STR("mail")));
	assert_true(str_ends_fold(STR("a.EXAMPLE"), STR(".example")));
	assert_false(str_ends_fold(STR("x"), STR("xx")));
	assert_true(str_ends_fold(STR("x"), STR("")));
	assert_int_equal(
		str_hash_fold(STR("Example.ORG 12"), 5), str_hash_fold(STR("eXAMPLE.org 12"), 5));
}

static void test_str_slice_and_trim_clamp(void **state)
{
	(void)state;
	struct str s = STR("abcdef");
	assert_str(str_slice(s, 1, 3), "bc");
	assert_str(str_slice(s, 4, 99), "ef");
	assert_str(str_slice(s, 5, 2), "");
	assert_str(str_slice(s, 99, 100), "");
	assert_str(str_slice(str_of(NULL, 0), 3, 9), "");
	assert_str(str_trim(STR(" \t a b\t ")), "a b");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(STR("\r\nx")), "\r\nx");
}

static void test_str_cut_walks_the_parts(void **state)
{
	(void)state;
	struct str rest = STR("a::bc:");
	assert_str(str_cut(&rest, ':'), "a");
	assert_str(str_cut(&rest, ':'), "");
	assert_str(str_cut(&rest, ':'), "bc");
	assert_int_equal(rest.len, 0);
	assert_str(str_cut(&rest, ':'), "");
	rest = STR("whole");
	assert_str(str_cut(&rest, ':'), "whole");
	assert_int_equal(rest.len, 0);
	assert_int_equal(str_find(STR("abc"), 'c'), 2);
	assert_int_equal(str_find(STR("abc"), 'x'), 3);
}

static void test_str_to_u64_takes_decimal_digits_only(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		uint64_t value;
	} rows[] = {
		{ "0", OK, 0 },
		{ "007", OK, 7 },
		{ "18446744073709551615", OK, UINT64_MAX },
		{ "18446744073709551616", ERR_LIMIT, 0 },
		{ "184467440737095516150", ERR_LIMIT, 0 },
		{ "99999999999999999999999x", ERR_SYNTAX, 0 },
		{ "", ERR_SYNTAX, 0 },
		{ "-1", ERR_SYNTAX, 0 },
		{ "+1", ERR_SYNTAX, 0 },
		{ " 1", ERR_SYNTAX, 0 },
		{ "1 ", ERR_SYNTAX, 0 },
		{ "0x10", ERR_SYNTAX, 0 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t value = 0;
		assert_int_equal(str_to_u64(str_from_c(rows[i].text), &value), rows[i].err);
		assert_int_equal(value, rows[i].value);
	}
}

static void test_str_is_utf8_refuses_ill_formed_sequences(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool is_utf8;
	} rows[] = {
		{ "", true },
		{ "plain", true },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xa7", true },
		{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", true },
		{ "\x80", false }, /* continuation alone */
		{ "\xc3", false }, /* cut short */
		{ "\xe2\x82", false },
		{ "\xc0\xaf", false }, /* overlong */
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xed\xa0\x80", false },     /* surrogate */
		{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", false },
		{ "a\xe2\x28\xa1", false },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(str_is_utf8(str_from_c(rows[i].text)), rows[i].is_utf8);
	assert_true(str_is_ascii(STR("a\x7f")));
	assert_false(str_is_ascii(STR("a\x80")));
	char text[200];
	for (size_t len = 0; len <= sizeof(text); len++) {
		memset(text, 0x7f, sizeof(text));
		assert_true(str_is_ascii(str_of(text, len)));
		for (size_t at = 0; at < sizeof(text); at++) {
			text[at] = (char)0x80;
			assert_int_equal(str_is_ascii(str_of(text, len)), at >= len);
			text[at] = 0x7f;
		}
	}
}

static void test_str_match_glob_follows_the_table(void **state)
{
	(void)state;
	static const struct {
		const char *text, *pattern;
		bool is_match;
	} rows[] = {
		{ "", "", true },
		{ "", "*", true },
		{ "", "?", false },
		{ "a", "", false },
		{ "mx1.Example.org", "*.example.ORG", true },
		{ "example.org", "*.example.org", false },
		{ "abcabd", "*ab?", true },
		{ "abcabd", "a*b*d", true },
		{ "abcabd", "a*b*c", false },
		{ "abc", "a?c", true },
		{ "abc", "a?c?", false },
		{ "abc", "abc**", true },
		{ "*", "?", true },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(
			str_match_glob(str_from_c(rows[i].text), str_from_c(rows[i].pattern)),
			rows[i].is_match);
}

/* The model: every prefix of the text against every prefix of the pattern. */
static bool match_by_table(struct str s, struct str p)
{
	bool table[16][16] = { { true } };
	for (size_t j = 1; j <= p.len; j++)
		table[0][j] = table[0][j - 1] && p.data[j - 1] == '*';
	for (size_t i = 1; i <= s.len; i++) {
		for (size_t j = 1; j <= p.len; j++) {
			char c = p.data[j - 1];
			table[i][j] =
				c == '*' ? table[i - 1][j] || table[i][j - 1]
					 : table[i - 1][j - 1] && (c == '?' || c == s.data[i - 1]);
		}
	}
	return table[s.len][p.len];
}

static void test_str_match_glob_agrees_with_the_model(void **state)
{
	(void)state;
	struct rng rng;
	rng_init(&rng, 20);
	unsigned matched = 0;
	for (unsigned round = 0; round < 100000; round++) {
		char text[15], pattern[15];
		size_t text_len = rng_below(&rng, 12), pattern_len = rng_below(&rng, 8);
		for (size_t i = 0; i < text_len; i++)
			text[i] = "ab"[rng_below(&rng, 2)];
		for (size_t i = 0; i < pattern_len; i++)
			pattern[i] = "ab?**"[rng_below(&rng, 5)];
		struct str s = str_of(text, text_len), p = str_of(pattern, pattern_len);
		assert_int_equal(str_match_glob(s, p), match_by_table(s, p));
		matched += match_by_table(s, p);
	}
	assert_in_range(matched, 1000, 99000);
}

static void test_str_hash_depends_on_every_octet_length_and_seed(void **state)
{
	(void)state;
	char octets[24] = { 0 };
	for (size_t len = 0; len < sizeof(octets); len++) {
		struct str s = str_of(octets, len);
		uint64_t plain = str_hash(s, 1);
		assert_true(plain == str_hash(s, 1));
		assert_true(plain != str_hash(s, 2));
		assert_true(plain != str_hash(str_of(octets, len + 1), 1));
		for (size_t i = 0; i < len; i++) {
			octets[i] = 1;
			assert_true(plain != str_hash(s, 1));
			octets[i] = 0;
		}
	}
	assert_true(str_hash(STR("A"), 1) != str_hash(STR("a"), 1));
}

/* What is stored goes by them: they stay as they are. */
static void test_str_hash_is_the_same_for_ever(void **state)
{
	static const struct {
		const char *text;
		uint64_t plain, folded;
	} cases[] = {
		{ "", 0xba63d83647e6c281, 0xba63d83647e6c281 },
		{ "a", 0xaf735cc441dab4bd, 0xaf735cc441dab4bd },
		{ "Z", 0x7eada0aaa2a03f09, 0xf15c2bf82a2066d2 },
		{ "abcdefg", 0xde3acbe191cab300, 0xde3acbe191cab300 },
		{ "AbCdEfGh", 0x83e92d55680a9bbf, 0x6286630a064a699d },
		{ "user@EXAMPLE.com", 0xd33154bbf4b6ae26, 0xae96374d8c8cf227 },
		{ "@[`{AZaz\x80\xff\xc1\xda", 0x9f843f710d9ddac2, 0x039341e9a53afd1f },
		{ "\xc3\x84pfel@Example.ORG-Z", 0x2e47490c837df81c, 0xdbc291826953ea93 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(str_hash(str_from_c(cases[i].text), 7), cases[i].plain);
		assert_int_equal(str_hash_fold(str_from_c(cases[i].text), 7), cases[i].folded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_str_compare_orders_like_memcmp_shorter_first),
		cmocka_unit_test(test_str_fold_knows_ascii_only),
		cmocka_unit_test(test_str_slice_and_trim_clamp),
		cmocka_unit_test(test_str_cut_walks_the_parts),
		cmocka_unit_test(test_str_to_u64_takes_decimal_digits_only),
		cmocka_unit_test(test_str_is_utf8_refuses_ill_formed_sequences),
		cmocka_unit_test(test_str_match_glob_follows_the_table),
		cmocka_unit_test(test_str_match_glob_agrees_with_the_model),
		cmocka_unit_test(test_str_hash_depends_on_every_octet_length_and_seed),
		cmocka_unit_test(test_str_hash_is_the_same_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
