/* test_digest - one mail on many messages: what people read, what programs read, and that neither can be forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/digest.h"

#define NOW_MS INT64_C(1674551700000)
#define MESSAGES 100

static const struct digest_place place = {
	.since = { NOW_MS - 5 * HOUR_MS }, .until = { NOW_MS + 9 * DAY_MS }, .message_count = 2
};

struct sample {
	struct dsn_recipient recipients[MESSAGES];
	struct digest_message messages[MESSAGES];
	struct digest_place places[30];
	struct digest_params params;
};

static void sample_make(struct sample *s, enum digest_kind kind, size_t count, size_t places)
{
	for (size_t i = 0; i < count; i++) {
		s->recipients[i] = (struct dsn_recipient){
			.final_recipient = STR("rcpt@b.example"),
			.action = kind == DIGEST_FAILED ? DSN_FAILED : DSN_DELAYED,
			.status = kind == DIGEST_FAILED ? STATUS(5, 1, 1) : STATUS(4, 4, 1),
			.diagnostic = STR("connection timed out"),
			.last_attempt = { NOW_MS - HOUR_MS },
			.will_retry_until = { NOW_MS + 9 * DAY_MS },
		};
		s->messages[i] = (struct digest_message){ .id = 77 + i,
			.arrival = { NOW_MS - 5 * HOUR_MS },
			.recipients = &s->recipients[i],
			.recipient_count = 1 };
	}
	for (size_t i = 0; i < places; i++) {
		s->places[i] = place;
		s->places[i].name = STR("b.example");
		s->places[i].reason = STR("mx.b.example: connection timed out");
	}
	s->params = (struct digest_params){
		.kind = kind,
		.reporting_mta = STR("mx.example"),
		.to = STR("sender@a.example"),
		.postmaster = STR("postmaster@mx.example"),
		.contact = STR("help@a.example"),
		.notice_id = 2,
		.now = { NOW_MS },
		.messages = s->messages,
		.message_count = count,
		.places = s->places,
		.place_count = places,
		.repeat_ms = DAY_MS,
		.first = { NOW_MS - 2 * DAY_MS },
	};
}

static void build(struct buf *out, const struct digest_params *p)
{
	buf_init(out, DIGEST_BYTES_MAX);
	digest_build(out, p);
	assert_false(out->is_full);
}

static void assert_has(struct buf *out, const char *text)
{
	if (!strstr(buf_cstr(out), text))
		print_message("not found: %s\nin:\n%s\n", text, buf_cstr(out));
	assert_non_null(strstr(buf_cstr(out), text));
}

static size_t count_of(struct buf *out, const char *text)
{
	size_t count = 0;
	for (const char *at = buf_cstr(out); (at = strstr(at, text)); at++)
		count++;
	return count;
}

static void assert_lines_are_sound(struct buf *out)
{
	struct str rest = buf_str(out);
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		assert_true(line.len > 0 && line.data[line.len - 1] == '\r' && line.len <= 999);
		assert_true(str_find(str_slice(line, 0, line.len - 1), '\r') == line.len - 1);
	}
}

static void test_digest_of_delays_says_where_since_and_until(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, 3, 1);
	build(&out, &s.params);
	assert_lines_are_sound(&out);
	assert_has(&out, "Auto-Submitted: auto-generated\r\n");
	assert_has(&out, "To: <sender@a.example>\r\n");
	assert_has(&out, "Content-Type: multipart/mixed;");
	assert_has(&out, "3 of your messages have not been delivered yet.");
	assert_has(&out, "\r\n  b.example\r\n");
	assert_has(&out, "    No mail can be handed over there since Tue, 24 Jan 2023");
	assert_has(&out, "We keep your mail and try until Thu, 2 Feb 2023");
	assert_int_equal(count_of(&out, "Content-Type: message/delivery-status\r\n"), 3);
	assert_int_equal(count_of(&out, "Action: delayed\r\n"), 3);
	assert_int_equal(count_of(&out, "\r\nWill-Retry-Until: "), 3);
	assert_int_equal(count_of(&out, "\r\nArrival-Date: "), 3);
	/* RFC 3464 2.2: our own field comes after those of the standard */
	assert_int_equal(count_of(&out, "+0000\r\nX-Outlast-Queue-ID: "), 3);
	assert_int_equal(count_of(&out, "\r\n\r\nReporting-MTA: dns; mx.example\r\n"), 3);
	assert_has(&out, "send this whole notice to help@a.example\r\n");
	assert_has(&out, "From: Mail Delivery System <postmaster@mx.example>\r\n");
	assert_has(&out, "programs, of 3 messages.\r\n");
	assert_int_equal(count_of(&out, "\r\n--=_"), 5);
	buf_fini(&out);
}

static void test_digest_counts_what_it_leaves_out(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, MESSAGES, 30);
	s.params.more_messages = 4321;
	build(&out, &s.params);
	assert_has(&out, "\r\n4421 of your messages have not been delivered yet.");
	assert_has(&out, "  and 10 other destinations");
	assert_int_equal(count_of(&out, "  to <rcpt@b.example>"), 20);
	assert_int_equal(count_of(&out, "Action: delayed\r\n"), MESSAGES);
	buf_fini(&out);
	s.params.is_more_open = true;
	build(&out, &s.params);
	assert_has(&out, "\r\nMore than 4421 of your messages");
	buf_fini(&out);
}

/* Parts that have no room are left out whole, and not counted among those that follow. */
static void test_digest_stays_within_its_bound(void **state)
{
	static char text[3000];
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, MESSAGES, 30);
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < MESSAGES; i++)
		s.recipients[i].diagnostic = str_of(text, sizeof(text));
	build(&out, &s.params);
	assert_lines_are_sound(&out);
	size_t parts = count_of(&out, "Action: delayed\r\n");
	assert_true(parts > 10 && parts < MESSAGES);
	assert_true(out.len > 20);
	assert_memory_equal(out.data + out.len - 4, "--\r\n", 4);
	char want[64];
	snprintf(want, sizeof(want), "programs, of %zu messages.\r\n", parts);
	assert_has(&out, want);
	buf_fini(&out);
}

static void test_digest_of_one_message(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, 1, 1);
	build(&out, &s.params);
	assert_has(&out, "One of your messages has not been delivered yet.");
	assert_has(&out, "It waits for:");
	buf_fini(&out);
}

static void test_digest_of_failures_gives_the_reasons(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_FAILED, 2, 0);
	s.messages[0].envid = STR("env-1");
	build(&out, &s.params);
	assert_has(&out, "Subject: Some of your messages were not delivered\r\n");
	assert_has(&out, "2 of your messages could NOT be delivered");
	assert_has(&out, "      connection timed out\r\n");
	assert_has(&out, "Original-Envelope-Id: env-1\r\n");
	assert_int_equal(count_of(&out, "Action: failed\r\n"), 2);
	buf_fini(&out);
}

static void test_digest_of_the_end_is_plain(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_SETTLED, 0, 0);
	build(&out, &s.params);
	assert_lines_are_sound(&out);
	assert_has(&out, "Content-Type: text/plain; charset=us-ascii\r\n");
	assert_has(&out, "Sun, 22 Jan 2023");
	assert_int_equal(count_of(&out, "--=_"), 0);
	buf_fini(&out);
}

static void test_digest_cannot_be_forged(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, 1, 1);
	s.params.to = STR("a@b\r\nBcc: evil@x");
	s.recipients[0].final_recipient = STR("x@y\r\n\r\n--=_0\r\n");
	s.recipients[0].diagnostic = STR("no\r\n--=_2--\r\nAction: failed");
	s.messages[0].envid = STR("e\nAction: failed");
	s.places[0].name = STR("b\r\n--x");
	s.places[0].reason = STR("--=_00000000002\r\n.\r\n\x1b[2J");
	build(&out, &s.params);
	assert_lines_are_sound(&out);
	assert_int_equal(count_of(&out, "\r\nBcc"), 0);
	assert_int_equal(count_of(&out, "\r\nAction: failed"), 0);
	assert_int_equal(count_of(&out, "\x1b"), 0);
	assert_int_equal(count_of(&out, "\r\n--"), 3);
	buf_fini(&out);
}

static void test_digest_keeps_utf8_only_where_it_may(void **state)
{
	struct sample s;
	struct buf out;
	(void)state;
	sample_make(&s, DIGEST_DELAYED, 1, 1);
	s.recipients[0].final_recipient = STR("\xc3\xbc@b.example");
	build(&out, &s.params);
	assert_int_equal(count_of(&out, "\xc3\xbc"), 0);
	assert_has(&out, "charset=us-ascii");
	buf_fini(&out);
	s.params.is_smtputf8 = true;
	build(&out, &s.params);
	assert_has(&out, "Final-Recipient: utf-8; \xc3\xbc@b.example\r\n");
	assert_has(&out, "Content-Type: message/global-delivery-status\r\n");
	assert_has(&out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_of_delays_says_where_since_and_until),
		cmocka_unit_test(test_digest_counts_what_it_leaves_out),
		cmocka_unit_test(test_digest_stays_within_its_bound),
		cmocka_unit_test(test_digest_of_one_message),
		cmocka_unit_test(test_digest_of_failures_gives_the_reasons),
		cmocka_unit_test(test_digest_of_the_end_is_plain),
		cmocka_unit_test(test_digest_cannot_be_forged),
		cmocka_unit_test(test_digest_keeps_utf8_only_where_it_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
