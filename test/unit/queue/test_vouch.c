/* Tests of queue/vouch: which replies are about a mailbox, and how long a word holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/vouch.h"

static void test_vouch_judges_only_what_is_about_the_mailbox(void **state)
{
	static const struct {
		struct outcome outcome;
		enum vouch_word word;
	} rows[] = {
		{ { .stage = STAGE_RCPT, .code = 250 }, VOUCH_GOOD },
		{ { .stage = STAGE_RCPT, .code = 251, .status = { 2, 1, 5 } }, VOUCH_GOOD },
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 1, 1 } }, VOUCH_BAD },
		{ { .stage = STAGE_RCPT, .code = 554, .status = { 5, 1, 10 } }, VOUCH_BAD },
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 2, 1 } }, VOUCH_BAD },
		{ { .stage = STAGE_RCPT, .code = 550 }, VOUCH_BAD },
		{ { .stage = STAGE_RCPT, .code = 553 }, VOUCH_BAD },
		/* about us, the sender, the message, or all mail */
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 7, 1 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 1, 8 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 1, 7 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 552, .status = { 5, 2, 2 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 5, 4, 6 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 550, .text = { "Relaying denied", 15 } },
			VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 550, .text = { "IP blocked", 10 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 554 }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 500 }, VOUCH_NONE },
		/* for now */
		{ { .stage = STAGE_RCPT, .code = 450, .status = { 4, 2, 0 } }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .code = 451 }, VOUCH_NONE },
		/* 5xx with a code that contradicts it */
		{ { .stage = STAGE_RCPT, .code = 550, .status = { 4, 1, 1 } }, VOUCH_NONE },
		/* before, or not at all */
		{ { .stage = STAGE_MAIL, .code = 550, .status = { 5, 1, 1 } }, VOUCH_NONE },
		{ { .stage = STAGE_MAIL, .code = 250 }, VOUCH_NONE },
		{ { .stage = STAGE_CONNECT, .err = ERR_REFUSED }, VOUCH_NONE },
		{ { .stage = STAGE_RCPT, .err = ERR_TIMEOUT }, VOUCH_NONE },
		{ { .stage = STAGE_POLICY, .err = ERR_UNSUPPORTED, .status = { 5, 1, 3 } },
			VOUCH_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(vouch_judge(&rows[i].outcome), rows[i].word);
}

static void test_vouch_holds_for_its_time(void **state)
{
	static const struct {
		enum vouch_word word;
		int64_t age_ms;
		bool holds, is_fresh;
	} rows[] = {
		{ VOUCH_GOOD, 0, true, true },
		{ VOUCH_GOOD, 7 * DAY_MS - 1, true, true },
		{ VOUCH_GOOD, 7 * DAY_MS, true, false },
		{ VOUCH_GOOD, 31 * DAY_MS - 1, true, false },
		{ VOUCH_GOOD, 31 * DAY_MS, false, false },
		{ VOUCH_BAD, 0, true, true },
		{ VOUCH_BAD, 3 * HOUR_MS - 1, true, true },
		{ VOUCH_BAD, 3 * HOUR_MS, false, false },
		{ VOUCH_NONE, 0, false, false },
		/* the clock was set back */
		{ VOUCH_BAD, -HOUR_MS, true, true },
		{ VOUCH_BAD, -4 * HOUR_MS, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct wall now = { 1700000000000 };
		const struct vouch v = { .word = rows[i].word,
			.at = wall_add(now, -rows[i].age_ms) };
		assert_int_equal(vouch_holds(&v, now), rows[i].holds);
		assert_int_equal(vouch_is_fresh(&v, now), rows[i].is_fresh);
		if (v.word != VOUCH_NONE && rows[i].age_ms >= 0)
			assert_int_equal(now.ms < vouch_until(&v).ms, rows[i].holds);
	}
}

static void test_vouch_survives_being_stored(void **state)
{
	static const struct vouch rows[] = {
		{ VOUCH_GOOD, { 1700000000000 }, { "", 0 } },
		{ VOUCH_BAD, { 1 }, { "", 0 } },
		{ VOUCH_BAD, { 1700000000001 }, { "no such user here", 17 } },
	};
	static const char *const broken[] = { "", "good", "good ", "bad x", "fine 1", "bad -1",
		"good 99999999999999999999" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct vouch v;
		struct buf value;
		buf_init(&value, 1000);
		vouch_put(&value, &rows[i]);
		assert_true(vouch_take(&v, buf_str(&value)));
		assert_int_equal(v.word, rows[i].word);
		assert_int_equal(v.at.ms, rows[i].at.ms);
		assert_true(str_equal(v.text, rows[i].text));
		buf_fini(&value);
	}
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		struct vouch v;
		assert_false(vouch_take(&v, str_from_c(broken[i])));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vouch_judges_only_what_is_about_the_mailbox),
		cmocka_unit_test(test_vouch_holds_for_its_time),
		cmocka_unit_test(test_vouch_survives_being_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
