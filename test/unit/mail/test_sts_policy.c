/* Tests of mail/sts_policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/sts_policy.h"

static void test_record_is_found_among_others(void **state)
{
	static const struct {
		const char *records[3];
		enum err err;
		const char *id;
	} rows[] = {
		{ { "v=STSv1; id=20160831085700Z;" }, OK, "20160831085700Z" },
		{ { "v=STSv1; id=1" }, OK, "1" },
		{ { "v=STSv1;id=1;" }, OK, "1" },
		{ { "v=STSv1; \t id = a9 \t;" }, OK, "a9" },
		{ { "v=STSv1; x=y; id=1; z=1;" }, OK, "1" },
		{ { "v=STSv1; id=1; id=2;" }, OK, "1" },
		{ { "v=spf1 -all", "v=STSv1; id=1;", "anything" }, OK, "1" },
		{ { "12345678901234567890123456789012" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv1; id=12345678901234567890123456789012;" }, OK,
			"12345678901234567890123456789012" },
		{ { "v=STSv1; id=123456789012345678901234567890123;" }, ERR_SYNTAX, "" },
		{ { NULL }, ERR_NOT_FOUND, "" },
		{ { "v=STSv1; id=1;", "v=STSv1; id=2;" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv1; id=1;", "v=STSv1; id=1;" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv2; id=1;" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv11; id=1;" }, ERR_NOT_FOUND, "" },
		{ { "V=STSv1; id=1;" }, ERR_NOT_FOUND, "" },
		{ { " v=STSv1; id=1;" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv1" }, ERR_NOT_FOUND, "" },
		{ { "v=STSv1;" }, ERR_SYNTAX, "" },
		{ { "v=STSv1; id=;" }, ERR_SYNTAX, "" },
		{ { "v=STSv1; id=a-b;" }, ERR_SYNTAX, "" },
		{ { "v=STSv1; id=a b;" }, ERR_SYNTAX, "" },
		{ { "v=STSv1; ID=1;" }, ERR_SYNTAX, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str records[3], id;
		uint32_t count = 0;
		while (count < 3 && rows[i].records[count]) {
			records[count] = str_from_c(rows[i].records[count]);
			count++;
		}
		enum err err = sts_record_find(records, count, &id);
		if (err != rows[i].err || !str_equal(id, str_from_c(rows[i].id)))
			fail_msg("row %zu: %s, id %.*s", i, err_name(err), STR_FMT(id));
	}
}

static void test_policy_is_parsed_or_refused_whole(void **state)
{
	/* what a policy that is taken prints as, or the reason */
	static const struct {
		const char *text;
		enum err err;
		const char *want;
	} rows[] = {
		{ "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
		  "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
			OK,
			"version: STSv1\nmode: enforce\nmax_age: 604800\nmx: mail.example.com\n"
			"mx: *.example.net\nmx: backupmx.example.com\n" },
		{ "version:STSv1\nmode:testing\nmx:A.Example\nmax_age:0", OK,
			"version: STSv1\nmode: testing\nmax_age: 0\nmx: a.example\n" },
		{ "max_age: 1  \nmode: none \t\r\n\nversion: STSv1\n\n", OK,
			"version: STSv1\nmode: none\nmax_age: 1\n" },
		{ "version: STSv1\nmode: none\nmax_age: 9999999999\n", OK,
			"version: STSv1\nmode: none\nmax_age: 31557600\n" },
		{ "version: STSv1\nmode: none\nmax_age: 31557600\nmax_age: x\n", OK,
			"version: STSv1\nmode: none\nmax_age: 31557600\n" },
		{ "version: STSv1\nversion: 2\nmode: none\nmode: enforce\nmax_age: 5\nmax_age: 6\n"
		  "color: blue\nx_y-z.: \n",
			OK, "version: STSv1\nmode: none\nmax_age: 5\n" },
		{ "", ERR_SYNTAX, "policy without version" },
		{ "<html>\n", ERR_SYNTAX, "policy line without a field name" },
		{ ": x\n", ERR_SYNTAX, "policy line without a field name" },
		{ "mode: none\nmax_age: 1\n", ERR_SYNTAX, "policy without version" },
		{ "version: STSv1\nmax_age: 1\n", ERR_SYNTAX, "policy without mode" },
		{ "version: STSv1\nmode: none\n", ERR_SYNTAX, "policy without max_age" },
		{ "version: STSv1\nmode: enforce\nmax_age: 1\n", ERR_SYNTAX, "policy without mx" },
		{ "version: STSv1\nmode: testing\nmax_age: 1\n", ERR_SYNTAX, "policy without mx" },
		{ "version: STSv2\n", ERR_SYNTAX, "policy of an unknown version" },
		{ "version: stsv1\n", ERR_SYNTAX, "policy of an unknown version" },
		{ "version: STSv1\nmode: Enforce\n", ERR_SYNTAX, "policy of an unknown mode" },
		{ "Mode: none\nversion: STSv1\nmax_age: 1\n", ERR_SYNTAX, "policy without mode" },
		{ "max_age: -1\n", ERR_SYNTAX, "policy with an ill-formed max_age" },
		{ "max_age: 1d\n", ERR_SYNTAX, "policy with an ill-formed max_age" },
		{ "max_age:\n", ERR_SYNTAX, "policy with an ill-formed max_age" },
		{ "max_age: 00000000001\n", ERR_SYNTAX, "policy with an ill-formed max_age" },
		{ "mx: *\n", ERR_SYNTAX, "policy with an ill-formed mx" },
		{ "mx: *.\n", ERR_SYNTAX, "policy with an ill-formed mx" },
		{ "mx: a.*.example\n", ERR_SYNTAX, "policy with an ill-formed mx" },
		{ "mx: *.*.example\n", ERR_SYNTAX, "policy with an ill-formed mx" },
		{ "mx: .example\n", ERR_SYNTAX, "policy with an ill-formed mx" },
		{ "mx: a.example, b.example\n", ERR_SYNTAX, "policy with an ill-formed mx" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct arena arena = { 0 };
		struct sts_policy policy;
		const char *reason;
		struct buf out;
		buf_init(&out, 4096);
		enum err err = sts_policy_parse(str_from_c(rows[i].text), &arena, &policy, &reason);
		if (err == OK)
			sts_policy_print(&out, &policy);
		else
			buf_printf(&out, "%s", reason);
		if (err != rows[i].err || strcmp(buf_cstr(&out), rows[i].want) != 0)
			fail_msg("row %zu: %s: %s", i, err_name(err), buf_cstr(&out));
		buf_fini(&out);
		arena_fini(&arena);
	}
}

static void test_policy_is_bounded(void **state)
{
	struct arena arena = { 0 };
	struct sts_policy policy;
	const char *reason;
	struct buf text;

	(void)state;
	buf_init(&text, 2 * STS_TEXT_BYTES_MAX);
	buf_printf(&text, "version: STSv1\nmode: enforce\nmax_age: 1\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		buf_printf(&text, "mx: m%d.example\n", i);
	assert_int_equal(sts_policy_parse(buf_str(&text), &arena, &policy, &reason), OK);
	assert_int_equal(policy.mx_count, STS_MX_MAX);
	buf_printf(&text, "mx: more.example\n");
	assert_int_equal(sts_policy_parse(buf_str(&text), &arena, &policy, &reason), ERR_LIMIT);
	buf_clear(&text);
	buf_printf(&text, "version: STSv1\nmode: none\nmax_age: 1\nx: ");
	while (text.len <= STS_TEXT_BYTES_MAX)
		buf_append_char(&text, 'x');
	assert_int_equal(sts_policy_parse(buf_str(&text), &arena, &policy, &reason), ERR_LIMIT);
	buf_fini(&text);
	arena_fini(&arena);
}

static void test_hosts_match_as_section_4_1_says(void **state)
{
	static const struct {
		const char *pattern, *host;
		bool matches;
	} rows[] = {
		{ "mail.example.com", "mail.example.com", true },
		{ "mail.example.com", "MAIL.example.COM", true },
		{ "mail.example.com", "mail2.example.com", false },
		{ "mail.example.com", "a.mail.example.com", false },
		{ "example.com", "mail.example.com", false },
		{ "*.example.com", "mail.example.com", true },
		{ "*.example.com", "Mail.Example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "a.b.example.com", false },
		{ "*.example.com", "mailexample.com", false },
		{ "*.example.com", ".example.com", false },
		{ "*.example.com", "mail.example.com.evil.example", false },
		{ "*.com", "example.com", true },
		{ "*.example", "example", false },
		{ "*.example.com", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str mx[2] = { STR("other.invalid"), str_from_c(rows[i].pattern) };
		struct sts_policy policy = { .mode = STS_ENFORCE, .mx = mx, .mx_count = 2 };
		if (sts_policy_has_mx(&policy, str_from_c(rows[i].host)) != rows[i].matches)
			fail_msg("%s, %s", rows[i].pattern, rows[i].host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_is_found_among_others),
		cmocka_unit_test(test_policy_is_parsed_or_refused_whole),
		cmocka_unit_test(test_policy_is_bounded),
		cmocka_unit_test(test_hosts_match_as_section_4_1_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
