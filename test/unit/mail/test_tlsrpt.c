/* Tests of mail/tlsrpt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/tlsrpt.h"

static void test_record_names_where_reports_go(void **state)
{
	static const struct {
		const char *records[2];
		enum err err;
		const char *targets; /* each followed by a blank */
	} rows[] = {
		{ { "v=TLSRPTv1;rua=mailto:reports@example.com" }, OK, "reports@example.com " },
		{ { "v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt" }, OK,
			"https://reporting.example.com/v1/tlsrpt " },
		{ { "v=TLSRPTv1 ; rua = mailto:a@b.test , https://c.test/ ;" }, OK,
			"a@b.test https://c.test/ " },
		{ { "v=TLSRPTv1;rua=ftp://x.test/,mailto:a@b.test" }, OK, "a@b.test " },
		{ { "v=TLSRPTv1;x=y;rua=mailto:a@b.test;rua=mailto:c@d.test" }, OK, "a@b.test " },
		{ { "v=TLSRPTv1;rua=mailto:a@b.c1,mailto:a@b.c2,mailto:a@b.c3,mailto:a@b.c4,"
		    "mailto:a@b.c5" },
			OK, "a@b.c1 a@b.c2 a@b.c3 a@b.c4 " },
		{ { "other", "v=TLSRPTv1;rua=mailto:a@b.test" }, OK, "a@b.test " },
		{ { "v=TLSRPTv1;rua=mailto:a@b.test", "v=TLSRPTv1;rua=mailto:a@b.test" },
			ERR_NOT_FOUND, "" },
		{ { "v=TLSRPTv11;rua=mailto:a@b.test" }, ERR_NOT_FOUND, "" },
		{ { "v=TLSRPTv1" }, ERR_NOT_FOUND, "" },
		{ { "v=TLSRPTv1;" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=mailto:nobody" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=mailto:a%40b@c.test" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=mailto:a@b.test?subject=x" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=mailto:a@b.test>\r\nBcc: <x@y.test" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=http://c.test/" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=https://u@c.test/" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=https://c.test:22/" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=https://127.0.0.1/" }, ERR_SYNTAX, "" },
		{ { "v=TLSRPTv1;rua=https://c.test/a b" }, ERR_SYNTAX, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct str records[2];
		struct tlsrpt_rua rua[TLSRPT_RUA_MAX];
		uint32_t count = 0, found = 0;
		struct buf out;
		buf_init(&out, 1024);
		while (count < 2 && rows[i].records[count]) {
			records[count] = str_from_c(rows[i].records[count]);
			count++;
		}
		enum err err = tlsrpt_record_find(records, count, rua, &found);
		for (uint32_t k = 0; k < found; k++)
			buf_printf(&out, "%.*s ", STR_FMT(rua[k].target));
		if (err != rows[i].err || strcmp(buf_cstr(&out), rows[i].targets) != 0)
			fail_msg("row %zu: %s, %s", i, err_name(err), buf_cstr(&out));
		buf_fini(&out);
	}
}

static void test_mail_has_the_form_of_section_5_3(void **state)
{
	static const char gzip[] = "0123456789012345678901234567890123456789012345678901234567890";
	const struct tlsrpt_mail mail = { .from = STR("p@us.test"),
		.to = STR("r@d.test"),
		.submitter = STR("us.test"),
		.domain = STR("d.test"),
		.report_id = STR("day_d.test@us.test"),
		.id = 1,
		.now = { INT64_C(1674500000000) },
		.begin_s = 1674432000,
		.end_s = 1674518399,
		.gzip = str_from_c(gzip) };
	static const char *const lines[] = { "From: TLS reports <p@us.test>\r\n",
		"To: <r@d.test>\r\n",
		"Subject: Report Domain: d.test\r\n Submitter: us.test\r\n Report-ID: "
		"<day_d.test@us.test>\r\n",
		"TLS-Report-Domain: d.test\r\nTLS-Report-Submitter: us.test\r\n"
		"TLS-Required: No\r\n",
		"Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=",
		"Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n",
		"filename=\"us.test!d.test!1674432000!1674518399.json.gz\"\r\n\r\n"
		"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\r\n"
		"Nzg5MA==\r\n\r\n--" };
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	tlsrpt_mail_build(&out, &mail);
	assert_false(out.is_full);
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		if (!strstr(buf_cstr(&out), lines[i]))
			fail_msg("%s is not in %s", lines[i], buf_cstr(&out));
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_names_where_reports_go),
		cmocka_unit_test(test_mail_has_the_form_of_section_5_3),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
