/* Tests of mail/status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/status.h"

static void test_parse_reads_three_numbers_and_the_rest(void **state)
{
	static const struct {
		const char *text;
		enum err err;
		unsigned klass, subject, detail;
		const char *rest;
	} rows[] = {
		{ "5.1.1", OK, 5, 1, 1, "" },
		{ "2.0.0 fine", OK, 2, 0, 0, "fine" },
		{ "4.999.999  x", OK, 4, 999, 999, " x" },
		{ "5.1.1 ", OK, 5, 1, 1, "" },
		{ "", ERR_SYNTAX, 0, 0, 0, "" },
		{ "1.1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "3.1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1.", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5..1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1.1x", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1.1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1000.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.1.1000", ERR_SYNTAX, 0, 0, 0, "" },
		{ "55.1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5.-1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ " 5.1.1", ERR_SYNTAX, 0, 0, 0, "" },
		{ "5,1,1", ERR_SYNTAX, 0, 0, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct status s = { 0 };
		struct str rest = STR("");
		assert_int_equal(status_parse(str_from_c(rows[i].text), &s, &rest), rows[i].err);
		assert_true(status_is(s, rows[i].klass, rows[i].subject, rows[i].detail));
		assert_true(str_equal(rest, str_from_c(rows[i].rest)));
		assert_int_equal(status_parse(str_from_c(rows[i].text), &s, NULL), rows[i].err);
	}
}

static void test_format_is_parsed_back(void **state)
{
	struct buf out;
	struct status s;

	(void)state;
	buf_init(&out, 20);
	status_format(&out, STATUS(5, 999, 10));
	assert_string_equal(buf_cstr(&out), "5.999.10");
	assert_int_equal(status_parse(buf_str(&out), &s, NULL), OK);
	assert_true(status_is(s, 5, 999, 10));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_reads_three_numbers_and_the_rest),
		cmocka_unit_test(test_format_is_parsed_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
