/* Tests of mail/orcpt: what is taken, what is passed on, what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/orcpt.h"

#define X100                                                                                       \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xx"                                                                                       \
	"xxxxxxxxxx"

static void assert_text(struct buf *out, const char *want, const char *what)
{
	if (!str_equal(buf_str(out), str_from_c(want)))
		fail_msg("%s: '%s', not '%s'", what, buf_cstr(out), want);
	buf_clear(out);
}

static void test_envid_is_xtext_of_a_hundred(void **state)
{
	static const struct {
		const char *value;
		bool is_valid;
		const char *param, *text;
	} rows[] = {
		{ "QQ314159", true, "QQ314159", "QQ314159" },
		{ "a+2Bb", true, "a+2Bb", "a+b" },
		{ "+41+41", true, "+41+41",
			"AA" }, /* more than need be is escaped: passed on as it is */
		{ "a+0A", false, "a+2B0A", "a+0A" },
		{ "a+2b", false, "a+2B2b", "a+2b" },
		{ "a b", false, "a+20b", "a b" }, /* kept decoded by an older version */
		{ "a=b", false, "a+3Db", "a=b" },
		{ "a\r\nb", false, "a+0D+0Ab", "a\r\nb" },
		{ X100, true, X100, X100 },
		{ X100 "x", false, X100 "x", X100 "x" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str value = str_from_c(rows[i].value);

		if (envid_is_valid(value) != rows[i].is_valid)
			fail_msg("%s", rows[i].value);
		envid_param(&out, value);
		assert_text(&out, rows[i].param, "parameter");
		envid_text(&out, value);
		assert_text(&out, rows[i].text, "text");
	}
	buf_fini(&out);
}

static void test_orcpt_in_all_its_forms(void **state)
{
	static const struct {
		const char *value;
		bool is_valid;
		const char *param8, *param7, *text8, *text7;
	} rows[] = {
		{ "rfc822;a@b", true, "rfc822;a@b", "rfc822;a@b", "rfc822; a@b", "rfc822; a@b" },
		{ "RFC822;a+2Bb@C", true, "RFC822;a+2Bb@C", "RFC822;a+2Bb@C", "RFC822; a+b@C",
			"RFC822; a+b@C" },
		{ "x400;/C=it/", false, "x400;/C+3Dit/", "x400;/C+3Dit/", "x400; /C=it/",
			"x400; /C=it/" },
		{ "rfc822;\xc3\xbc@b", false, "rfc822;+C3+BC@b", "rfc822;+C3+BC@b",
			"rfc822; \xc3\xbc@b", "rfc822; \\x{FC}@b" },
		{ "utf-8;\xc3\xbc@b", true, "utf-8;\xc3\xbc@b", "utf-8;\\x{FC}@b",
			"utf-8; \xc3\xbc@b", "utf-8; \\x{FC}@b" },
		{ "UTF-8;\xe2\x82\xac\xf0\x9f\x93\xab@b", true,
			"UTF-8;\xe2\x82\xac\xf0\x9f\x93\xab@b", "UTF-8;\\x{20AC}\\x{1F4EB}@b",
			"UTF-8; \xe2\x82\xac\xf0\x9f\x93\xab@b", "UTF-8; \\x{20AC}\\x{1F4EB}@b" },
		{ "utf-8;\\x{FC}\\x{2B}x@b", true, "utf-8;\\x{FC}\\x{2B}x@b",
			"utf-8;\\x{FC}\\x{2B}x@b", "utf-8; \\x{FC}\\x{2B}x@b",
			"utf-8; \\x{FC}\\x{2B}x@b" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str value = str_from_c(rows[i].value);

		if (orcpt_is_valid(value) != rows[i].is_valid)
			fail_msg("%s", rows[i].value);
		orcpt_param(&out, value, true);
		assert_text(&out, rows[i].param8, "parameter with SMTPUTF8");
		orcpt_param(&out, value, false);
		assert_text(&out, rows[i].param7, "parameter without");
		orcpt_text(&out, value, true);
		assert_text(&out, rows[i].text8, "text with UTF-8");
		orcpt_text(&out, value, false);
		assert_text(&out, rows[i].text7, "text without");
	}
	buf_fini(&out);
}

static void test_orcpt_that_is_none(void **state)
{
	static const char *const refused[] = { "", ";", "rfc822", "rfc822;", ";a@b", "rf c;a",
		"-x;a", "r+41;a", "rfc822;a b", "rfc822;a+0D+0Ab", "rfc822;a+00", "rfc822;a+7F",
		"rfc822;a+2", "rfc822;a+2b", "rfc822;\r\nDATA", "utf-8;\xc3", "utf-8;\xed\xa0\x80",
		"utf-8;\\", "utf-8;\\x{", "utf-8;\\x{}", "utf-8;\\x{41}", "utf-8;\\x{fc}",
		"utf-8;\\x{0FC}", "utf-8;\\x{D800}", "utf-8;\\x{110000}", "utf-8;\\x{FC",
		"utf-8;\\x{1000000}", "utf-8;a b", "utf-8;a+0A",
		"rfc822;" X100 X100 X100 X100 X100 };
	static const char *const left_out[] = { "", ";", "rfc822", "rfc822;", ";a@b", "r\r\n;a" };
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
		if (orcpt_is_valid(str_from_c(refused[i])))
			fail_msg("%s is taken", refused[i]);
	for (size_t i = 0; i < ARRAY_COUNT(left_out); i++) {
		orcpt_param(&out, str_from_c(left_out[i]), true);
		assert_text(&out, "", left_out[i]);
	}
	orcpt_param(&out, STR("rfc822;a\r\nDATA"), true);
	assert_text(&out, "rfc822;a+0D+0ADATA", "a damaged queue");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envid_is_xtext_of_a_hundred),
		cmocka_unit_test(test_orcpt_in_all_its_forms),
		cmocka_unit_test(test_orcpt_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
