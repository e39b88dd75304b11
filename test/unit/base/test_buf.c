/* Growing octets up to a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include <signal.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "fixture_death.h"

static void consume_too_much(void *arg)
{
	struct buf *b = arg;
	buf_consume(b, b->len + 1);
}

static void test_buf_refuses_an_append_past_its_bound_whole(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	buf_append_str(&b, STR("12345678"));
	buf_append_str(&b, STR("abc"));
	assert_true(b.is_full);
	assert_string_equal(buf_cstr(&b), "12345678");
	buf_append_str(&b, STR("90"));
	assert_true(b.is_full);
	assert_string_equal(buf_cstr(&b), "1234567890");
	buf_clear(&b);
	assert_false(b.is_full);
	buf_printf(&b, "%s", "12345678901");
	assert_true(b.is_full);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

static void test_buf_escapes_are_one_append(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	buf_append_str(&b, STR("12"));
	buf_append_safe(&b, STR("ab\r\ncd"));
	assert_true(b.is_full);
	assert_string_equal(buf_cstr(&b), "12");
	buf_clear(&b);
	buf_append_json(&b, STR("123456789"));
	assert_true(b.is_full);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	buf_append_json(&b, STR("12345678"));
	assert_false(b.is_full);
	buf_append_char(&b, 'x');
	buf_append_safe(&b, STR(""));
	assert_true(b.is_full);
	buf_fini(&b);
}

static void test_buf_grows_and_consumes_from_the_front(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100000);
	for (int i = 0; i < 10000; i++)
		buf_printf(&b, "%05d ", i);
	assert_int_equal(b.len, 60000);
	buf_consume(&b, 59988);
	assert_string_equal(buf_cstr(&b), "09998 09999 ");
	assert_non_null(buf_reserve(&b, 100000 - 12));
	assert_null(buf_reserve(&b, 100000 - 11));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_int_equal(death_signal(consume_too_much, &b, NULL, 0), SIGABRT);
	buf_fini(&b);
}

static void test_buf_append_number_prints_as_printf_does(void **state)
{
	(void)state;
	static const uint64_t numbers[] = { 0, 1, 9, 10, 99, 12345, UINT32_MAX, UINT64_MAX };
	struct buf b;
	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		for (unsigned digits = 0; digits <= 20; digits++) {
			char expected[32];
			snprintf(expected, sizeof(expected), "%0*llu", (int)digits,
				(unsigned long long)numbers[i]);
			buf_append_number(&b, numbers[i], digits);
			assert_string_equal(buf_cstr(&b), expected);
			buf_clear(&b);
		}
	buf_fini(&b);
}

/* Up to the octet that still fits into the memory there is, and with the one more that does not. */
static void test_buf_printf_prints_all_at_every_length(void **state)
{
	(void)state;
	for (int before = 0; before < 300; before++) {
		struct buf b;
		buf_init(&b, 400);
		buf_printf(&b, "%*s", before, "");
		buf_printf(&b, "%0100d", 7);
		assert_int_equal(b.len, before + 100);
		assert_int_equal(buf_cstr(&b)[before], '0');
		assert_int_equal(buf_cstr(&b)[before + 99], '7');
		buf_printf(&b, "%*s", 301 - before, "");
		assert_true(b.is_full);
		assert_int_equal(b.len, before + 100);
		buf_fini(&b);
	}
}

static void test_buf_zeroed_is_legal(void **state)
{
	(void)state;
	struct buf b = { 0 };
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_str(&b).len, 0);
	buf_append_char(&b, 'x');
	assert_true(b.is_full);
	buf_fini(&b);
	buf_fini(&b);
}

static void test_buf_escapes_what_could_harm(void **state)
{
	(void)state;
	static const struct {
		struct str in;
		const char *safe, *json;
	} rows[] = {
		{ { "plain \\ \"q\" <x>", 15 }, "plain \\ \"q\" <x>",
			"\"plain \\\\ \\\"q\\\" <x>\"" },
		{ { "a\r\nb\t", 5 }, "a\\x0d\\x0ab\\x09", "\"a\\u000d\\u000ab\\u0009\"" },
		{ { "\0\x1b[0m\x7f", 6 }, "\\x00\\x1b[0m\\x7f", "\"\\u0000\\u001b[0m\\u007f\"" },
		{ { "\xc3\xa4\xe2\x82\xac", 5 }, "\xc3\xa4\xe2\x82\xac",
			"\"\xc3\xa4\xe2\x82\xac\"" },
		{ { "\xc2\x9b"
		    "2J",
			  4 },
			"\\xc2\\x9b2J", "\"\\u009b2J\"" },
		{ { "\xff\xc3", 2 }, "\\xff\\xc3", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ { "\xc0\xaf", 2 }, "\\xc0\\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ { "", 0 }, "", "\"\"" },
	};
	struct buf b;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		buf_append_safe(&b, rows[i].in);
		assert_string_equal(buf_cstr(&b), rows[i].safe);
		buf_clear(&b);
		buf_append_json(&b, rows[i].in);
		assert_string_equal(buf_cstr(&b), rows[i].json);
		buf_clear(&b);
	}
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_refuses_an_append_past_its_bound_whole),
		cmocka_unit_test(test_buf_escapes_are_one_append),
		cmocka_unit_test(test_buf_grows_and_consumes_from_the_front),
		cmocka_unit_test(test_buf_append_number_prints_as_printf_does),
		cmocka_unit_test(test_buf_printf_prints_all_at_every_length),
		cmocka_unit_test(test_buf_zeroed_is_legal),
		cmocka_unit_test(test_buf_escapes_what_could_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
