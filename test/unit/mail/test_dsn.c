/* Tests of mail/dsn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/dsn.h"

#define NOW_MS INT64_C(1674551700000)

static struct dsn_params sample(const struct dsn_recipient *recipients, size_t count)
{
	struct dsn_params p = {
		.reporting_mta = STR("mx.example"),
		.to = STR("sender@a.example"),
		.postmaster = STR("postmaster@mx.example"),
		.notice_id = 2,
		.original_id = 1,
		.now = { NOW_MS },
		.arrival = { NOW_MS - DAY_MS },
		.envid = STR("env+2B1"),
		.received_from = STR("client.a.example"),
		.original_headers = STR("From: a\r\nSubject: b\r\n"),
		.recipients = recipients,
		.recipient_count = count,
	};
	return p;
}

static struct dsn_recipient failed(void)
{
	struct dsn_recipient r = {
		.final_recipient = STR("rcpt@b.example"),
		.orcpt = STR("rfc822;orig@b.example"),
		.action = DSN_FAILED,
		.status = STATUS(5, 1, 1),
		.remote_mta = STR("in.b.example"),
		.diagnostic_code = 550,
		.diagnostic = STR("No such user here\nsee our pages"),
		.last_attempt = { NOW_MS },
	};
	return r;
}

static void assert_has(struct buf *out, const char *text)
{
	if (!strstr(buf_cstr(out), text))
		print_message("not found: %s\nin:\n%s\n", text, buf_cstr(out));
	assert_non_null(strstr(buf_cstr(out), text));
}

static void assert_lacks(struct buf *out, const char *text)
{
	assert_null(strstr(buf_cstr(out), text));
}

static void assert_lines_are_sound(struct buf *out)
{
	struct str rest = buf_str(out);

	assert_false(out->is_full);
	while (rest.len > 0) {
		struct str before = rest;
		struct str line = str_cut(&rest, '\n');
		assert_true(line.len < before.len && line.len > 0);
		assert_int_equal(str_find(line, '\r'), line.len - 1);
		assert_int_equal(str_find(line, '\0'), line.len);
		assert_true(line.len - 1 <= 998);
	}
}

static size_t count_of(struct buf *out, const char *text)
{
	size_t count = 0;

	for (const char *p = strstr(buf_cstr(out), text); p; p = strstr(p + 1, text))
		count++;
	return count;
}

static void test_failure_tells_people_and_programs(void **state)
{
	static const char *const parts[] = {
		"From: Mail Delivery System <postmaster@mx.example>\r\n",
		"To: <sender@a.example>\r\n",
		"Subject: Your message was not delivered\r\n",
		"Date: Tue, 24 Jan 2023 09:15:00 +0000\r\n",
		"Message-ID: <0000000000002.notice@mx.example>\r\n",
		"Auto-Submitted: auto-replied\r\n",
		"Content-Type: multipart/report; report-type=delivery-status;\r\n",
		"could NOT be",
		"  <rcpt@b.example>\r\n",
		"    The mail system in.b.example answered:\r\n        550 No such user here\r\n"
		"        see our pages\r\n",
		"What to do: Check the address for typing errors.",
		"number there:",
		"0000000000001",
		"\r\nContent-Type: message/delivery-status\r\n",
		"\r\nOriginal-Envelope-Id: env+1\r\nReporting-MTA: dns; mx.example\r\n"
		"Received-From-MTA: dns; client.a.example\r\n"
		"Arrival-Date: Mon, 23 Jan 2023 09:15:00 +0000\r\n"
		"X-Outlast-Queue-ID: 0000000000001\r\n\r\n"
		"Original-Recipient: rfc822; orig@b.example\r\n"
		"Final-Recipient: rfc822; rcpt@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Remote-MTA: dns; in.b.example\r\n"
		"Diagnostic-Code: smtp; 550 No such user here\r\n see our pages\r\n"
		"Last-Attempt-Date: Tue, 24 Jan 2023 09:15:00 +0000\r\n",
		"\r\nContent-Type: text/rfc822-headers\r\n",
		"From: a\r\nSubject: b\r\n",
	};
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	buf_init(&out, 100000);
	dsn_build(&out, &p);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_has(&out, parts[i]);
	assert_lacks(&out, "Will-Retry-Until");
	assert_int_equal(count_of(&out, "\r\n--=_0000000000002_0="), 4);
	assert_lines_are_sound(&out);
	buf_fini(&out);
}

/* RFC 3464 2.3.5: a name, or an address in brackets. */
static void test_remote_mta_is_a_name_of_dns(void **state)
{
	static const struct {
		const char *name, *field;
	} rows[] = {
		{ "in.b.example", "Remote-MTA: dns; in.b.example\r\n" },
		{ "192.0.2.1", "Remote-MTA: dns; [192.0.2.1]\r\n" },
		{ "2001:db8::1", "Remote-MTA: dns; [IPv6:2001:db8::1]\r\n" },
		{ "unix:/run/lmtp", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct dsn_recipient r = failed();
		struct dsn_params p = sample(&r, 1);
		struct buf out;

		r.remote_mta = str_from_c(rows[i].name);
		buf_init(&out, 100000);
		dsn_build(&out, &p);
		if (rows[i].field)
			assert_has(&out, rows[i].field);
		else
			assert_lacks(&out, "Remote-MTA");
		buf_fini(&out);
	}
}

static void test_delay_says_until_when(void **state)
{
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	r.action = DSN_DELAYED;
	r.status = STATUS(4, 4, 1);
	r.remote_mta = STR("");
	r.diagnostic_code = 0;
	r.diagnostic = STR("connection timed out");
	r.orcpt = STR("");
	r.will_retry_until = (struct wall){ NOW_MS + 4 * DAY_MS };
	p.envid = STR("");
	buf_init(&out, 100000);
	dsn_build(&out, &p);
	assert_has(&out, "Subject: Your message is delayed; you need not send it again\r\n");
	assert_has(&out, "Action: delayed\r\nStatus: 4.4.1\r\n"
			 "Diagnostic-Code: x-outlast; connection timed out\r\n");
	assert_has(&out, "Will-Retry-Until: Sat, 28 Jan 2023 09:15:00 +0000\r\n");
	assert_has(&out, "Reason: connection timed out\r\n");
	assert_has(&out, "We keep trying until: Sat, 28 Jan 2023 09:15:00 +0000\r\n");
	assert_lacks(&out, "What to do");
	assert_lacks(&out, "Remote-MTA");
	assert_lacks(&out, "Original-Recipient");
	assert_lacks(&out, "Original-Envelope-Id");
	assert_lines_are_sound(&out);
	buf_fini(&out);
}

static void test_each_action_has_its_word(void **state)
{
	static const struct {
		enum dsn_action action;
		const char *field, *subject;
	} rows[] = {
		{ DSN_FAILED, "Action: failed\r\n", "Subject: Your message was not delivered\r\n" },
		{ DSN_DELAYED, "Action: delayed\r\n", "Subject: Your message is delayed" },
		{ DSN_DELIVERED, "Action: delivered\r\n", "Subject: Your message was delivered" },
		{ DSN_RELAYED, "Action: relayed\r\n",
			"Subject: Your message was delivered or passed" },
		{ DSN_EXPANDED, "Action: expanded\r\n", "Subject: Your message was delivered or" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dsn_recipient r = failed();
		struct dsn_params p = sample(&r, 1);
		struct buf out;
		r.action = rows[i].action;
		buf_init(&out, 100000);
		dsn_build(&out, &p);
		assert_has(&out, rows[i].field);
		assert_has(&out, rows[i].subject);
		assert_lines_are_sound(&out);
		buf_fini(&out);
	}
}

static void test_advice_fits_the_status(void **state)
{
	static const struct {
		struct status status;
		const char *words;
	} rows[] = {
		{ { 5, 1, 1 }, "Check the address for typing errors" },
		{ { 5, 1, 2 }, "no mail service for the part" },
		{ { 5, 1, 10 }, "does not accept mail at" },
		{ { 5, 2, 2 }, "The mailbox is full" },
		{ { 5, 2, 0 }, "If the words above do not help" },
		{ { 5, 3, 4 }, "The message is too large" },
		{ { 5, 4, 6 }, "in a circle" },
		{ { 4, 4, 7 }, "could not be reached" },
		{ { 5, 7, 1 }, "refused the message by its rules" },
		{ { 5, 0, 0 }, "If the words above do not help" },
		{ { 5, 999, 999 }, "If the words above do not help" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dsn_recipient r = failed();
		struct dsn_params p = sample(&r, 1);
		struct buf out;
		r.status = rows[i].status;
		buf_init(&out, 100000);
		dsn_build(&out, &p);
		assert_has(&out, rows[i].words);
		buf_fini(&out);
	}
}

static void test_recipients_get_a_group_each(void **state)
{
	struct dsn_recipient r[3] = { failed(), failed(), failed() };
	struct dsn_params p = sample(r, 3);
	struct buf out;

	(void)state;
	r[1].final_recipient = STR("second@b.example");
	r[1].action = DSN_RELAYED;
	r[2].final_recipient = STR("third@b.example");
	buf_init(&out, 100000);
	dsn_build(&out, &p);
	assert_has(&out, "Subject: Your message was not delivered to all recipients\r\n");
	assert_int_equal(count_of(&out, "\r\n\r\nOriginal-Recipient:"), 3);
	assert_int_equal(count_of(&out, "could NOT be"), 1);
	assert_has(&out, "these recipients");
	assert_has(&out, "does not");
	assert_lines_are_sound(&out);
	buf_fini(&out);
}

static void test_nothing_from_outside_makes_a_line_of_its_own(void **state)
{
	static const char evil[] =
		"x\r\nInjected: yes\r\n\r\n--=_0000000000002_0=\r\nForged: yes\n\n"
		"More: yes\r\rRare: yes\x1b[2J\xff\x7f\t.";
	struct str e = { evil, sizeof(evil) }; /* with the NUL */
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	r.final_recipient = r.orcpt = r.remote_mta = r.diagnostic = e;
	p.to = p.envid = e;
	for (int i = 0; i < 2; i++) {
		p.is_smtputf8 = i == 1;
		buf_init(&out, 100000);
		dsn_build(&out, &p);
		assert_lacks(&out, "\nInjected:");
		assert_lacks(&out, "\nForged:");
		assert_lacks(&out, "\nMore:");
		assert_lacks(&out, "\nRare:");
		assert_int_equal(count_of(&out, "\r\n--=_0000000000002_0="), 4);
		assert_true(str_is_ascii(buf_str(&out)));
		assert_lines_are_sound(&out);
		buf_fini(&out);
	}
}

static void test_hold_is_told_as_it_was_asked_for(void **state)
{
	static const struct {
		enum hold_wish wish;
		int64_t until_ms;
		const char *field;
	} rows[] = {
		{ HOLD_WISH_NONE, NOW_MS, NULL }, /* a rule of ours */
		{ HOLD_WISH_FOR, NOW_MS - DAY_MS + 86399 * SECOND_MS,
			"\r\nFuture-Release-Request: for;86399\r\n" },
		{ HOLD_WISH_UNTIL, 1767225600000,
			"\r\nFuture-Release-Request: until;2026-01-01T00:00:00Z\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct dsn_recipient r = failed();
		struct dsn_params p = sample(&r, 1);
		struct buf out;

		p.hold_wish = rows[i].wish;
		p.hold_until.ms = rows[i].until_ms;
		buf_init(&out, 100000);
		dsn_build(&out, &p);
		if (rows[i].field)
			assert_has(&out, rows[i].field);
		else
			assert_lacks(&out, "Future-Release-Request");
		assert_lines_are_sound(&out);
		buf_fini(&out);
	}
}

static void test_original_cannot_end_its_part(void **state)
{
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	p.original_body = STR("A: b\r\n\r\n--=_0000000000002_0=\r\n--=_0000000000002_7=--\r\n"
			      "--=_0000000000002_99999999999999999999=\r\n");
	buf_init(&out, 100000);
	dsn_build(&out, &p);
	assert_has(&out, "\tboundary=\"=_0000000000002_8=\"\r\n");
	assert_int_equal(count_of(&out, "\r\n--=_0000000000002_8="), 4);
	assert_has(&out, "\r\nContent-Type: message/rfc822\r\n");
	assert_lines_are_sound(&out);
	buf_fini(&out);
}

static void test_long_and_bare_lines_of_the_original_are_mended(void **state)
{
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out, original;

	(void)state;
	buf_init(&out, 100000);
	buf_init(&original, 100000);
	buf_append_str(&original, STR("Subject: "));
	for (int i = 0; i < 3000; i++)
		buf_append_char(&original, 'x');
	buf_append_str(&original, STR("\nTo: \xc3\xbc\rc\r\n"));
	p.original_headers = buf_str(&original);
	dsn_build(&out, &p);
	assert_lines_are_sound(&out);
	assert_has(&out, "\r\n\txxx");
	assert_has(&out, "\r\nTo: ???c\r\n");
	assert_has(&out, "Content-Transfer-Encoding: 7bit\r\n");
	assert_lacks(&out, "8bit");

	buf_append_str(&original, STR("\r\n\xff\xff\r\n"));
	for (int i = 0; i < 3000; i++)
		buf_append_char(&original, 'y');
	p.original_headers = STR("");
	p.original_body = buf_str(&original);
	buf_clear(&out);
	dsn_build(&out, &p);
	assert_lines_are_sound(&out);
	assert_has(&out, "\r\n\xff\xff\r\nyyy");
	assert_int_equal(count_of(&out, "Content-Transfer-Encoding: 8bit\r\n"), 2);
	buf_fini(&original);
	buf_fini(&out);
}

static void test_smtputf8_uses_the_global_forms(void **state)
{
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	p.is_smtputf8 = true;
	r.final_recipient = STR("j\xc3\xb6rg@b.example");
	r.diagnostic = STR("\xc3\xa4h");
	buf_init(&out, 100000);
	dsn_build(&out, &p);
	assert_has(&out, "Content-Type: text/plain; charset=utf-8\r\n");
	assert_has(&out, "Content-Type: message/global-delivery-status\r\n");
	assert_has(&out, "Content-Type: message/global-headers\r\n");
	assert_has(&out, "Final-Recipient: utf-8; j\xc3\xb6rg@b.example\r\n");
	assert_has(&out, "Diagnostic-Code: smtp; 550 \xc3\xa4h\r\n");
	assert_lines_are_sound(&out);
	p.is_smtputf8 = false;
	buf_clear(&out);
	dsn_build(&out, &p);
	assert_true(str_is_ascii(buf_str(&out)));
	buf_fini(&out);
}

static void test_endless_words_are_broken(void **state)
{
	static char word[16384];
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	memset(word, 'w', sizeof(word));
	r.diagnostic = r.final_recipient = r.orcpt = r.remote_mta = str_of(word, sizeof(word));
	buf_init(&out, 200000);
	dsn_build(&out, &p);
	assert_lines_are_sound(&out);
	buf_fini(&out);
}

static void test_bound_of_out_caps_the_notice(void **state)
{
	struct dsn_recipient r = failed();
	struct dsn_params p = sample(&r, 1);
	struct buf out;

	(void)state;
	buf_init(&out, 700);
	dsn_build(&out, &p);
	assert_true(out.is_full);
	assert_true(out.len <= 700);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failure_tells_people_and_programs),
		cmocka_unit_test(test_remote_mta_is_a_name_of_dns),
		cmocka_unit_test(test_delay_says_until_when),
		cmocka_unit_test(test_each_action_has_its_word),
		cmocka_unit_test(test_advice_fits_the_status),
		cmocka_unit_test(test_recipients_get_a_group_each),
		cmocka_unit_test(test_nothing_from_outside_makes_a_line_of_its_own),
		cmocka_unit_test(test_hold_is_told_as_it_was_asked_for),
		cmocka_unit_test(test_original_cannot_end_its_part),
		cmocka_unit_test(test_long_and_bare_lines_of_the_original_are_mended),
		cmocka_unit_test(test_smtputf8_uses_the_global_forms),
		cmocka_unit_test(test_endless_words_are_broken),
		cmocka_unit_test(test_bound_of_out_caps_the_notice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
