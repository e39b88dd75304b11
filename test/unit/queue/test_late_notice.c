/* test_late_notice - who is told of a delay, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/late_notice.h"

static void test_late_notice_follows_who_asked_for_what(void **state)
{
	static const struct {
		const char *what, *from, *envid;
		unsigned notify[2];
		enum message_origin origin;
		bool is_bulk, is_by_time;
		enum late_notice want;
	} rows[] = {
		{ "a person", "a@x", "", { 0, 0 }, ORIGIN_SMTP, false, false, LATE_NOTICE_DIGEST },
		{ "the null sender", "", "", { 0, 0 }, ORIGIN_SMTP, false, false,
			LATE_NOTICE_NONE },
		{ "the null sender, who asks", "", "", { NOTIFY_DELAY, 0 }, ORIGIN_SMTP, false,
			false, LATE_NOTICE_NONE },
		{ "a notice of ours", "a@x", "", { 0, 0 }, ORIGIN_DSN, false, false,
			LATE_NOTICE_NONE },
		{ "a list", "a@x", "", { 0, 0 }, ORIGIN_SMTP, true, false, LATE_NOTICE_NONE },
		{ "a list with an envelope id", "a@x", "1", { 0, 0 }, ORIGIN_SMTP, true, false,
			LATE_NOTICE_NONE },
		{ "a list that asks", "a@x", "", { NOTIFY_DELAY, NOTIFY_DELAY }, ORIGIN_SMTP, true,
			false, LATE_NOTICE_OWN },
		{ "an envelope id", "a@x", "1", { 0, 0 }, ORIGIN_SMTP, false, false,
			LATE_NOTICE_OWN },
		{ "one that asks", "a@x", "", { 0, NOTIFY_FAILURE | NOTIFY_DELAY }, ORIGIN_SMTP,
			false, false, LATE_NOTICE_OWN },
		{ "failures alone", "a@x", "1", { NOTIFY_FAILURE, NOTIFY_FAILURE }, ORIGIN_SMTP,
			false, false, LATE_NOTICE_NONE },
		{ "nothing ever", "a@x", "", { NOTIFY_NEVER, NOTIFY_NEVER }, ORIGIN_SMTP, false,
			false, LATE_NOTICE_NONE },
		{ "failures alone for one", "a@x", "", { NOTIFY_FAILURE, 0 }, ORIGIN_SMTP, false,
			false, LATE_NOTICE_DIGEST },
		{ "a by-time", "a@x", "", { 0, 0 }, ORIGIN_SMTP, false, true, LATE_NOTICE_AT_TIME },
		{ "a list with a by-time", "a@x", "", { 0, 0 }, ORIGIN_SMTP, true, true,
			LATE_NOTICE_AT_TIME },
		{ "a by-time and nothing ever", "a@x", "", { NOTIFY_NEVER, NOTIFY_NEVER },
			ORIGIN_SMTP, false, true, LATE_NOTICE_NONE },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct recipient recipients[2] = { { .notify = rows[i].notify[0] },
			{ .notify = rows[i].notify[1] } };
		const struct envelope env = {
			.reverse_path = str_from_c(rows[i].from),
			.envid = str_from_c(rows[i].envid),
			.origin = rows[i].origin,
			.deliver_by = { rows[i].is_by_time ? 1000 : WALL_NONE.ms },
			.deliver_by_notify = rows[i].is_by_time,
			.recipients = recipients,
			.recipient_count = 2,
		};

		if (late_notice_of(&env, rows[i].is_bulk) != rows[i].want)
			fail_msg("%s", rows[i].what);
	}
}

/* RFC 8689 5: it has to travel as its message did, which a digest of all does not. */
static void test_late_notice_of_requiretls_is_its_own(void **state)
{
	struct recipient rcpt = { .notify = 0 };
	const struct envelope env = {
		.reverse_path = STR("a@x"),
		.is_requiretls = true,
		.recipients = &rcpt,
		.recipient_count = 1,
	};

	(void)state;
	assert_int_equal(late_notice_of(&env, false), LATE_NOTICE_OWN);
	assert_int_equal(late_notice_of(&env, true), LATE_NOTICE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_late_notice_follows_who_asked_for_what),
		cmocka_unit_test(test_late_notice_of_requiretls_is_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
