/* Tests of mail/domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mail/domain.h"

#define L63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static void test_normalize_gives_one_form_or_refuses(void **state)
{
	static const struct {
		const char *name;
		enum err err;
		const char *out;
	} rows[] = {
		{ "example.net", OK, "example.net" },
		{ "EXAMPLE.Net", OK, "example.net" },
		{ "example.net.", OK, "example.net" },
		{ "localhost", OK, "localhost" },
		{ "a_b.example", OK, "a_b.example" },
		{ "_dmarc.example", OK, "_dmarc.example" },
		{ "3com.com", OK, "3com.com" },
		{ "1.2.3.4.example", OK, "1.2.3.4.example" },
		{ "xn--bcher-kva.example", OK, "xn--bcher-kva.example" },
		{ "b\xc3\xbc"
		  "cher.example",
			OK, "xn--bcher-kva.example" },
		{ "B\xc3\x9c"
		  "CHER.example",
			OK, "xn--bcher-kva.example" },
		{ "b\xc3\xbc"
		  "cher\xe3\x80\x82"
		  "example",
			OK, "xn--bcher-kva.example" },
		{ L63 ".example", OK, L63 ".example" },
		{ L63 "x.example", ERR_LIMIT, NULL },
		{ L63 "." L63 "." L63 "." L63, ERR_LIMIT, NULL },
		{ "", ERR_SYNTAX, NULL },
		{ ".", ERR_SYNTAX, NULL },
		{ "..", ERR_SYNTAX, NULL },
		{ ".example", ERR_SYNTAX, NULL },
		{ "a..b", ERR_SYNTAX, NULL },
		{ "a.b..", ERR_SYNTAX, NULL },
		{ "-a.example", ERR_SYNTAX, NULL },
		{ "a-.example", ERR_SYNTAX, NULL },
		{ "127.0.0.1", ERR_SYNTAX, NULL },
		{ "1234", ERR_SYNTAX, NULL },
		{ "a b.example", ERR_SYNTAX, NULL },
		{ "a\r\nb.example", ERR_SYNTAX, NULL },
		{ "a/b.example", ERR_SYNTAX, NULL },
		{ "[127.0.0.1]", ERR_SYNTAX, NULL },
		{ "a@b.example", ERR_SYNTAX, NULL },
		{ "\xc3.example", ERR_SYNTAX, NULL },
		{ "\xff\xfe.example", ERR_SYNTAX, NULL },
		{ "b\xc3\xbc"
		  "cher .example",
			ERR_SYNTAX, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena arena = { 0 };
		struct str out = { 0 };
		enum err err = domain_normalize(str_from_c(rows[i].name), &arena, &out);
		if (err != rows[i].err)
			print_message("row %zu: %s\n", i, rows[i].name);
		assert_int_equal(err, rows[i].err);
		if (rows[i].out) {
			assert_int_equal(out.len, strlen(rows[i].out));
			assert_memory_equal(out.data, rows[i].out, out.len);
		}
		arena_fini(&arena);
	}
}

static void test_is_hostname_refuses_the_root_dot_and_nul(void **state)
{
	(void)state;
	assert_true(domain_is_hostname(STR("mx.example.net")));
	assert_false(domain_is_hostname(STR("mx.example.net.")));
	assert_false(domain_is_hostname(STR("mx\0.example.net")));
	assert_false(domain_is_hostname(STR("")));
}

static void test_normalize_bounds_the_whole_name(void **state)
{
	char name[300];
	struct arena arena = { 0 };
	struct str out;

	(void)state;
	/* 253 octets are the most: 126 labels of one octet and their dots, and one more. */
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 == 0 ? 'a' : '.';
	assert_int_equal(domain_normalize(str_of(name, 253), &arena, &out), OK);
	assert_int_equal(domain_normalize(str_of(name, 254), &arena, &out), OK);
	assert_int_equal(domain_normalize(str_of(name, 255), &arena, &out), ERR_LIMIT);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normalize_gives_one_form_or_refuses),
		cmocka_unit_test(test_is_hostname_refuses_the_root_dot_and_nul),
		cmocka_unit_test(test_normalize_bounds_the_whole_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
