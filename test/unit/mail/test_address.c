/* Tests of mail/address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/address.h"

#define A64 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg"
#define L60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static void assert_str(struct str s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.data, text, s.len);
}

static void test_path_is_parsed_or_refused(void **state)
{
	static const struct {
		const char *path;
		enum err err;
		const char *text, *local, *domain;
	} rows[] = {
		{ "<>", OK, "", "", "" },
		{ "<a@b.example>", OK, "a@b.example", "a", "b.example" },
		{ "<A.b@B.Example>", OK, "A.b@B.Example", "A.b", "b.example" },
		{ "<postmaster>", OK, "postmaster", "postmaster", "" },
		{ "<PostMaster>", OK, "PostMaster", "PostMaster", "" },
		{ "<postmaster@x.example>", OK, "postmaster@x.example", "postmaster", "x.example" },
		{ "<!#$%&'*+-/=?^_`{|}~@b.example>", OK, "!#$%&'*+-/=?^_`{|}~@b.example",
			"!#$%&'*+-/=?^_`{|}~", "b.example" },
		{ "<\"a b\"@c.example>", OK, "\"a b\"@c.example", "\"a b\"", "c.example" },
		{ "<\"a@b\"@c.example>", OK, "\"a@b\"@c.example", "\"a@b\"", "c.example" },
		{ "<\"a>b\"@c.example>", OK, "\"a>b\"@c.example", "\"a>b\"", "c.example" },
		{ "<\"a\\\"b\\\\\"@c.example>", OK, "\"a\\\"b\\\\\"@c.example", "\"a\\\"b\\\\\"",
			"c.example" },
		{ "<\"\"@c.example>", OK, "\"\"@c.example", "\"\"", "c.example" },
		{ "<a%b@c.example>", OK, "a%b@c.example", "a%b", "c.example" },
		{ "<b!a@c.example>", OK, "b!a@c.example", "b!a", "c.example" },
		{ "<a@[127.0.0.1]>", OK, "a@[127.0.0.1]", "a", "[127.0.0.1]" },
		{ "<a@[IPv6:::1]>", OK, "a@[IPv6:::1]", "a", "[IPv6:::1]" },
		{ "<a@[ipv6:2001:DB8:0:0::1]>", OK, "a@[ipv6:2001:DB8:0:0::1]", "a",
			"[IPv6:2001:db8::1]" },
		{ "<@r.example:a@b.example>", OK, "a@b.example", "a", "b.example" },
		{ "<@r.example,@s.example:a@b.example>", OK, "a@b.example", "a", "b.example" },
		{ "<a@localhost>", OK, "a@localhost", "a", "localhost" },
		{ "<" A64 "@b.example>", OK, A64 "@b.example", A64, "b.example" },
		{ "<" A64 "x@b.example>", ERR_LIMIT, 0, 0, 0 },
		{ "<a@" L60 "." L60 "." L60 "." L60 ".example.net>", ERR_LIMIT, 0, 0, 0 },
		{ "<a@" A64 ".example>", ERR_LIMIT, 0, 0, 0 },
		{ "<" A64 "@" L60 "." L60 "." L60 ".example>", ERR_LIMIT, 0, 0, 0 },
		{ "", ERR_SYNTAX, 0, 0, 0 },
		{ "<", ERR_SYNTAX, 0, 0, 0 },
		{ "a@b.example", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b.example", ERR_SYNTAX, 0, 0, 0 },
		{ "< a@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b.example >", ERR_SYNTAX, 0, 0, 0 },
		{ "<<a@b.example>>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a>", ERR_SYNTAX, 0, 0, 0 },
		{ "<@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b@c.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b.example.>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b..example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<.a@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a.@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a..b@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a b@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a\"b@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<\"a@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<\"a\"b@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<\"a\\", ERR_SYNTAX, 0, 0, 0 },
		{ "<\"a\rb\"@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<\"a\\\nb\"@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b.example\r\n>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@127.0.0.1>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[127.0.0.1>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[127.0.0.256]>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[::1]>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[IPv6:127.0.0.1]>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[tag:x]>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[]>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@[127.0.0.1]x>", ERR_SYNTAX, 0, 0, 0 },
		{ "<@r.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<@r.example:>", ERR_SYNTAX, 0, 0, 0 },
		{ "<@r.example,a@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<@:a@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<postmasters>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a;b@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a(b)@b.example>", ERR_SYNTAX, 0, 0, 0 },
		{ "<a@b.example(c)>", ERR_SYNTAX, 0, 0, 0 },
		{ "<\xc3\xbc@b.example>", ERR_UNSUPPORTED, 0, 0, 0 },
		{ "<a@b\xc3\xbc.example>", ERR_UNSUPPORTED, 0, 0, 0 },
		{ "<\xc3@b.example>", ERR_SYNTAX, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct address a;
		struct str rest;
		enum err err =
			address_parse_path(str_from_c(rows[i].path), false, &arena, &a, &rest);
		if (err != rows[i].err)
			print_message("row %zu: %s\n", i, rows[i].path);
		assert_int_equal(err, rows[i].err);
		if (err == OK) {
			assert_str(a.text, rows[i].text);
			assert_str(a.local, rows[i].local);
			assert_str(a.domain, rows[i].domain);
			assert_false(a.is_utf8);
			assert_int_equal(rest.len, 0);
			assert_int_equal(a.literal.family != FAMILY_NONE,
				a.domain.len > 0 && a.domain.data[0] == '[');
		}
		arena_fini(&arena);
	}
}

static void test_path_with_utf8_keeps_the_text_and_normalizes_the_domain(void **state)
{
	struct arena arena = { 0 };
	struct address a;
	struct str rest;

	(void)state;
	assert_int_equal(address_parse_path(STR("<j\xc3\xb6rg@B\xc3\xbc"
						"cher.example> SIZE=1"),
				 true, &arena, &a, &rest),
		OK);
	assert_true(a.is_utf8);
	assert_str(a.text, "j\xc3\xb6rg@B\xc3\xbc"
			   "cher.example");
	assert_str(a.domain, "xn--bcher-kva.example");
	assert_str(rest, " SIZE=1");
	assert_int_equal(
		address_parse_path(STR("<\"\xc3\xb6 x\"@b.example>"), true, &arena, &a, &rest), OK);
	assert_int_equal(
		address_parse_path(STR("<\xc3(@b.example>"), true, &arena, &a, &rest), ERR_SYNTAX);
	arena_fini(&arena);
}

static void test_bare_address_must_be_whole(void **state)
{
	static const struct {
		const char *text;
		enum err err;
	} rows[] = {
		{ "a@b.example", OK },
		{ "a@[127.0.0.1]", OK },
		{ "\"a b\"@c.example", OK },
		{ "", ERR_SYNTAX },
		{ "a", ERR_SYNTAX },
		{ "postmaster", ERR_SYNTAX },
		{ "<a@b.example>", ERR_SYNTAX },
		{ "a@b.example>", ERR_SYNTAX },
		{ "a@b.example x", ERR_SYNTAX },
		{ "a@b.example,c@d.example", ERR_SYNTAX },
		{ "@r.example:a@b.example", ERR_SYNTAX },
		{ "\xc3\xbc@b.example", ERR_UNSUPPORTED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct address a;
		assert_int_equal(
			address_parse(str_from_c(rows[i].text), false, &arena, &a), rows[i].err);
		arena_fini(&arena);
	}
}

static void test_path_refuses_nul(void **state)
{
	struct arena arena = { 0 };
	struct address a;
	struct str rest;

	(void)state;
	assert_int_equal(
		address_parse_path(STR("<a\0b@c.example>"), true, &arena, &a, &rest), ERR_SYNTAX);
	assert_int_equal(
		address_parse_path(STR("<a@c\0.example>"), true, &arena, &a, &rest), ERR_SYNTAX);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path_is_parsed_or_refused),
		cmocka_unit_test(test_path_with_utf8_keeps_the_text_and_normalizes_the_domain),
		cmocka_unit_test(test_bare_address_must_be_whole),
		cmocka_unit_test(test_path_refuses_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
