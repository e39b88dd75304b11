/* Tests of mail/xtext. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/xtext.h"

static void test_decode_takes_escapes_of_printable_octets_only(void **state)
{
	static const struct {
		const char *in;
		enum err err;
		const char *out;
	} rows[] = {
		{ "", OK, "" },
		{ "abc", OK, "abc" },
		{ "a+2Bb", OK, "a+b" },
		{ "a+20b+3Dc", OK, "a b=c" },
		{ "+7E", OK, "~" },
		{ "<>;@\"", OK, "<>;@\"" },
		{ "+0A", ERR_SYNTAX, "" },
		{ "a+0D+0A", ERR_SYNTAX, "" },
		{ "+00", ERR_SYNTAX, "" },
		{ "+7F", ERR_SYNTAX, "" },
		{ "+80", ERR_SYNTAX, "" },
		{ "+FF", ERR_SYNTAX, "" },
		{ "+", ERR_SYNTAX, "" },
		{ "abc+2", ERR_SYNTAX, "" },
		{ "+2b", ERR_SYNTAX, "" },
		{ "+G0", ERR_SYNTAX, "" },
		{ "a=b", ERR_SYNTAX, "" },
		{ "a b", ERR_SYNTAX, "" },
		{ "a\tb", ERR_SYNTAX, "" },
		{ "a\nb", ERR_SYNTAX, "" },
		{ "\xc3\xbc", ERR_SYNTAX, "" },
		{ "\x7f", ERR_SYNTAX, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_int_equal(xtext_decode(&out, str_from_c(rows[i].in)), rows[i].err);
		assert_string_equal(buf_cstr(&out), rows[i].out);
		buf_fini(&out);
	}
}

static void test_encode_is_undone_by_decode(void **state)
{
	struct buf encoded, decoded;
	char all[0x7f - 0x20];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(0x20 + i);
	buf_init(&encoded, 1000);
	buf_init(&decoded, 1000);
	xtext_encode(&encoded, str_of(all, sizeof(all)));
	assert_int_equal(str_find(buf_str(&encoded), ' '), encoded.len);
	assert_int_equal(str_find(buf_str(&encoded), '='), encoded.len);
	assert_int_equal(xtext_decode(&decoded, buf_str(&encoded)), OK);
	assert_true(str_equal(buf_str(&decoded), str_of(all, sizeof(all))));
	buf_clear(&encoded);
	xtext_encode(&encoded, STR("a\r\n\xff"));
	assert_string_equal(buf_cstr(&encoded), "a+0D+0A+FF");
	buf_fini(&encoded);
	buf_fini(&decoded);
}

static void test_decode_stops_at_the_bound(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4);
	buf_append_str(&out, STR("xy"));
	assert_int_equal(xtext_decode(&out, STR("abc")), ERR_LIMIT);
	assert_int_equal(out.len, 2);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_takes_escapes_of_printable_octets_only),
		cmocka_unit_test(test_encode_is_undone_by_decode),
		cmocka_unit_test(test_decode_stops_at_the_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
