/* Tests of mail/trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/header.h"
#include "mail/trace.h"

static struct trace_info sample(void)
{
	struct trace_info info = {
		.hostname = STR("mx.example"),
		.helo = STR("client.example"),
		.client = { .family = FAMILY_IPV4, .ip = { 192, 0, 2, 1 } },
		.is_esmtp = true,
		.id = 1,
		.at = { INT64_C(1674551700000) },
	};
	return info;
}

static void assert_trace(const struct trace_info *info, const char *expected)
{
	struct buf out;

	buf_init(&out, 4000);
	trace_received(&out, info);
	assert_string_equal(buf_cstr(&out), expected);
	buf_fini(&out);
}

static void test_received_names_all_parties(void **state)
{
	struct trace_info info = sample();

	(void)state;
	assert_trace(&info, "Received: from client.example ([192.0.2.1])\r\n"
			    "\tby mx.example (Outlast) with ESMTP id 0000000000001;\r\n"
			    "\tTue, 24 Jan 2023 09:15:00 +0000\r\n");
	info.priority = -3;
	assert_trace(&info, "Received: from client.example ([192.0.2.1])\r\n"
			    "\tby mx.example (Outlast) with ESMTP id 0000000000001\r\n"
			    "\tPRIORITY -3; Tue, 24 Jan 2023 09:15:00 +0000\r\n");
	info.only_recipient = STR("a@b.example");
	info.priority = 9;
	assert_trace(&info, "Received: from client.example ([192.0.2.1])\r\n"
			    "\tby mx.example (Outlast) with ESMTP id 0000000000001\r\n"
			    "\tfor <a@b.example> PRIORITY 9; Tue, 24 Jan 2023 09:15:00 +0000\r\n");
	info.priority = 0;
	info.is_tls = info.is_authenticated = true;
	info.tls = STR("TLSv1.3 TLS_AES_256_GCM_SHA384");
	assert_trace(&info,
		"Received: from client.example ([192.0.2.1])\r\n"
		"\tby mx.example (Outlast) with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
		"\tid 0000000000001\r\n"
		"\tfor <a@b.example>; Tue, 24 Jan 2023 09:15:00 +0000\r\n");
}

static void test_received_names_the_protocol(void **state)
{
	static const struct {
		bool is_esmtp, is_tls, is_authenticated, is_smtputf8;
		const char *word;
	} rows[] = {
		{ 0, 0, 0, 0, " SMTP id" },
		{ 0, 1, 0, 0, " SMTP id" },
		{ 1, 0, 0, 0, " ESMTP id" },
		{ 1, 1, 0, 0, " ESMTPS id" },
		{ 1, 0, 1, 0, " ESMTPA id" },
		{ 1, 1, 1, 0, " ESMTPSA id" },
		{ 1, 0, 0, 1, " UTF8SMTP id" },
		{ 1, 1, 0, 1, " UTF8SMTPS id" },
		{ 1, 0, 1, 1, " UTF8SMTPA id" },
		{ 1, 1, 1, 1, " UTF8SMTPSA id" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct trace_info info = sample();
		struct buf out;
		info.is_esmtp = rows[i].is_esmtp;
		info.is_tls = rows[i].is_tls;
		info.is_authenticated = rows[i].is_authenticated;
		info.is_smtputf8 = rows[i].is_smtputf8;
		buf_init(&out, 4000);
		trace_received(&out, &info);
		assert_non_null(strstr(buf_cstr(&out), rows[i].word));
		buf_fini(&out);
	}
}

static void test_received_stays_one_field_whatever_the_client_says(void **state)
{
	static const char *const claims[] = { "", "a\r\nBcc: x", "a) by evil (b", "a\nb",
		"\xc3\xbc", "(((((", "\\", "x;y", "a b c" };
	char longest[2000];

	(void)state;
	memset(longest, 'h', sizeof(longest));
	for (size_t i = 0; i <= sizeof(claims) / sizeof(claims[0]); i++) {
		bool is_last = i == sizeof(claims) / sizeof(claims[0]);
		struct trace_info info = sample();
		struct header_scan h;
		struct buf out;
		struct str rest;

		info.helo = is_last ? str_of(longest, sizeof(longest)) : str_from_c(claims[i]);
		info.only_recipient = info.helo;
		info.tls = info.helo;
		buf_init(&out, 8000);
		trace_received(&out, &info);
		rest = buf_str(&out);
		assert_true(str_is_ascii(rest));
		while (rest.len > 0) {
			struct str line = str_cut(&rest, '\n');
			assert_true(line.len > 1 && line.data[line.len - 1] == '\r');
			assert_int_equal(str_find(line, '\r'), line.len - 1);
			assert_true(line.len <= 400);
			assert_true(rest.len == 0 || rest.data[0] == '\t');
		}
		header_scan_init(&h, STR("mx.example"));
		header_scan_feed(&h, buf_str(&out));
		header_scan_finish(&h);
		assert_int_equal(h.received_count, 1);
		assert_int_equal(h.own_received_count, 1);
		header_scan_fini(&h);
		buf_fini(&out);
	}
}

static void test_received_shows_the_client_address(void **state)
{
	struct trace_info info = sample();

	(void)state;
	info.helo = STR("[127.0.0.1]");
	info.client = (struct endpoint){ .family = FAMILY_IPV6, .ip = { [15] = 1 } };
	assert_trace(&info, "Received: from [127.0.0.1] ([IPv6:::1])\r\n"
			    "\tby mx.example (Outlast) with ESMTP id 0000000000001;\r\n"
			    "\tTue, 24 Jan 2023 09:15:00 +0000\r\n");
	info.helo = STR("");
	info.client = (struct endpoint){ .family = FAMILY_UNIX };
	assert_trace(&info, "Received: from unknown (local)\r\n"
			    "\tby mx.example (Outlast) with ESMTP id 0000000000001;\r\n"
			    "\tTue, 24 Jan 2023 09:15:00 +0000\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received_names_all_parties),
		cmocka_unit_test(test_received_names_the_protocol),
		cmocka_unit_test(test_received_stays_one_field_whatever_the_client_says),
		cmocka_unit_test(test_received_shows_the_client_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
