/* What a submission server adds and takes out, cut at every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/submission.h"

#define BYTES_MAX ((size_t)1 << 20)
#define DATE "Date: Tue, 24 Jan 2023 09:15:00 +0000\r\n"
#define MESSAGE_ID "Message-ID: <00000000004N2@relay.test>\r\n"

static const struct submission_info info = {
	.hostname = { "relay.test", 10 },
	.id = 0x12a2, /* 4N2 in base 32 */
	.at = { INT64_C(1674551700000) },
};

static void pass(struct submission *s, const char *from, size_t len, size_t cut, struct buf *out)
{
	submission_init(s, &info);
	submission_feed(s, str_of(from, cut), out);
	for (size_t at = cut; at < len; at += 1 + at % 3)
		submission_feed(s, str_slice(str_of(from, len), at, at + 1 + at % 3), out);
	submission_finish(s, out);
	submission_fini(s);
}

static const struct row {
	const char *name, *input, *expected;
} rows[] = {
	{ "complete", "Date: x\r\nMessage-ID: <a@b>\r\nTo: c\r\n\r\nbody\r\n",
		"Date: x\r\nMessage-ID: <a@b>\r\nTo: c\r\n\r\nbody\r\n" },
	{ "nothing but a subject", "Subject: hi\r\n\r\nbody\r\n",
		"Subject: hi\r\n" DATE MESSAGE_ID "\r\nbody\r\n" },
	{ "a date only", "dATE : x\r\n\r\n", "dATE : x\r\n" MESSAGE_ID "\r\n" },
	{ "an id only", "message-id:\r\n <a@b>\r\n\r\n", "message-id:\r\n <a@b>\r\n" DATE "\r\n" },
	{ "names that only begin like them",
		"Date-Received: x\r\nX-Message-ID: y\r\nBccs: z\r\n\r\n",
		"Date-Received: x\r\nX-Message-ID: y\r\nBccs: z\r\n" DATE MESSAGE_ID "\r\n" },
	{ "bcc", "Date: x\r\nBcc: a@b\r\nMessage-ID: y\r\n\r\nBcc: body\r\n",
		"Date: x\r\nMessage-ID: y\r\n\r\nBcc: body\r\n" },
	{ "bcc, folded, twice, in any case",
		"bcc: a,\r\n b,\r\n\tc\r\nDate: x\r\nBCC:\r\nMessage-ID: y\r\nBcc \t: d\r\n "
		"\r\n\r\n",
		"Date: x\r\nMessage-ID: y\r\n\r\n" },
	{ "resent bcc", "Resent-Bcc: a\r\nDate: x\r\nMessage-ID: y\r\nResent-To: b\r\n\r\n",
		"Date: x\r\nMessage-ID: y\r\nResent-To: b\r\n\r\n" },
	{ "bcc alone", "Bcc: a\r\n b\r\n\r\n", DATE MESSAGE_ID "\r\n" },
	{ "bcc at the end, no body", "To: a\r\nBcc: b\r\n", "To: a\r\n" DATE MESSAGE_ID },
	{ "folded others stay", "To: a,\r\n Bcc: b\r\nDate: x\r\nMessage-ID: y\r\n\r\n",
		"To: a,\r\n Bcc: b\r\nDate: x\r\nMessage-ID: y\r\n\r\n" },
	{ "empty", "", DATE MESSAGE_ID },
	{ "empty header", "\r\nbody\r\n", DATE MESSAGE_ID "\r\nbody\r\n" },
	{ "no empty line", "To: a\r\n", "To: a\r\n" DATE MESSAGE_ID },
	{ "body at once", "Hello you\r\nthere\r\n", DATE MESSAGE_ID "Hello you\r\nthere\r\n" },
	{ "an odd line, and a bcc behind it", "To: a\r\nnonsense\r\nBcc: b\r\n\r\n",
		"To: a\r\n" DATE MESSAGE_ID "nonsense\r\n\r\n" },
	{ "a mailbox file", "From a@b Tue Jan 24\r\nDate: x\r\nMessage-ID: y\r\n\r\nFrom c\r\n",
		"From a@b Tue Jan 24\r\nDate: x\r\nMessage-ID: y\r\n\r\nFrom c\r\n" },
	{ "an open line", "To: a", "To: a\r\n" DATE MESSAGE_ID },
	{ "an open line, and nothing missing", "Date: x\r\nMessage-ID: y",
		"Date: x\r\nMessage-ID: y" },
	{ "an open odd line", "To: a\r\nBcc", "To: a\r\n" DATE MESSAGE_ID "Bcc" },
	{ "an open bcc", "To: a\r\nBcc: b", "To: a\r\n" DATE MESSAGE_ID },
	{ "eight bits in a name", "B\xc3\xa4: a\r\n\r\n", DATE MESSAGE_ID "B\xc3\xa4: a\r\n\r\n" },
	{ "a colon alone", ": a\r\n\r\n", DATE MESSAGE_ID ": a\r\n\r\n" },
	{ "eight bits elsewhere", "Date: \xff\r\nMessage-ID: y\r\n\r\n\xff\xfe\r\n",
		"Date: \xff\r\nMessage-ID: y\r\n\r\n\xff\xfe\r\n" },
};

static void test_submission_mends_at_any_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].input);
		for (size_t cut = 0; cut <= len; cut++) {
			struct submission s;
			struct buf out;
			buf_init(&out, BYTES_MAX);
			pass(&s, rows[i].input, len, cut, &out);
			if (strcmp(buf_cstr(&out), rows[i].expected) != 0)
				fail_msg("%s, cut at %zu: %s", rows[i].name, cut, buf_cstr(&out));
			buf_fini(&out);
		}
	}
}

static void test_submission_leaves_alone_what_it_has_mended(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct submission s;
		struct buf once, twice;
		buf_init(&once, BYTES_MAX);
		buf_init(&twice, BYTES_MAX);
		pass(&s, rows[i].input, strlen(rows[i].input), 0, &once);
		pass(&s, once.data ? once.data : "", once.len, 0, &twice);
		assert_string_equal(buf_cstr(&once), buf_cstr(&twice));
		buf_fini(&once);
		buf_fini(&twice);
	}
}

/* However long header, line or name: nothing is gathered. */
static void test_submission_holds_little_of_an_endless_header(void **state)
{
	(void)state;
	static const char *const fields[] = { "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
		"Bcc: aaaa@bbbb\r\n", "x", " ", "\r\n " };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct submission s;
		struct buf out;
		buf_init(&out, BYTES_MAX);
		submission_init(&s, &info);
		for (unsigned n = 0; n < 20000; n++) {
			submission_feed(&s, str_from_c(fields[i]), &out);
			assert_true(s.held.len <= SUBMISSION_HELD_MAX);
		}
		submission_finish(&s, &out);
		submission_fini(&s);
		assert_false(out.is_full);
		buf_fini(&out);
	}
}

static void test_submission_tells_when_the_header_is_over(void **state)
{
	(void)state;
	struct submission s;
	struct buf out;

	buf_init(&out, BYTES_MAX);
	submission_init(&s, &info);
	submission_feed(&s, STR("To: a\r\n\r"), &out);
	assert_false(submission_is_passing(&s));
	submission_feed(&s, STR("\n"), &out);
	assert_true(submission_is_passing(&s));
	submission_finish(&s, &out);
	assert_string_equal(buf_cstr(&out), "To: a\r\n" DATE MESSAGE_ID "\r\n");
	submission_fini(&s);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_submission_mends_at_any_cut),
		cmocka_unit_test(test_submission_leaves_alone_what_it_has_mended),
		cmocka_unit_test(test_submission_holds_little_of_an_endless_header),
		cmocka_unit_test(test_submission_tells_when_the_header_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
