/* When many destinations fail together, and when that is no sign of our own fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/offline.h"

#define START ((struct wall){ 1700000000000 })

struct event {
	int second;
	char what;      /* r: reached, f: failed, u: unclear */
	unsigned first; /* destinations first ... first + count - 1 */
	unsigned count;
};

static void play(struct offline *o, const struct event *events, size_t count)
{
	for (size_t i = 0; i < count && events[i].what; i++)
		for (unsigned k = 0; k < events[i].count; k++)
			offline_note(o, events[i].first + k + 1,
				events[i].what == 'r'   ? OFFLINE_REACHED
				: events[i].what == 'f' ? OFFLINE_FAILED
							: OFFLINE_UNCLEAR,
				wall_add(START, events[i].second * SECOND_MS));
}

static void test_offline_suspects_many_failures_and_no_success(void **state)
{
	static const struct {
		const char *what;
		struct event events[4];
		int second;
		enum offline_suspicion want;
	} rows[] = {
		{ "nothing was tried", { { 0, 0, 0, 0 } }, 0, OFFLINE_NO },
		{ "five failed", { { 0, 'f', 0, 5 } }, 1, OFFLINE_MANY },
		{ "four failed", { { 0, 'f', 0, 4 } }, 1, OFFLINE_FEW },
		{ "one failed five times",
			{ { 0, 'f', 0, 1 }, { 1, 'f', 0, 1 }, { 2, 'f', 0, 1 }, { 3, 'f', 0, 1 } },
			4, OFFLINE_FEW },
		{ "somebody was reached between", { { 0, 'f', 0, 5 }, { 1, 'r', 9, 1 } }, 2,
			OFFLINE_NO },
		{ "somebody was reached four minutes before",
			{ { 0, 'r', 9, 1 }, { 10, 'f', 0, 8 } }, 250, OFFLINE_NO },
		{ "nobody was for five minutes",
			{ { 0, 'r', 9, 1 }, { 10, 'f', 0, 8 }, { 200, 'f', 0, 8 } }, 301,
			OFFLINE_MANY },
		{ "of those who failed some did so long ago",
			{ { 0, 'f', 0, 3 }, { 290, 'f', 3, 4 } }, 310, OFFLINE_FEW },
		{ "a fifth is unclear", { { 0, 'f', 0, 8 }, { 1, 'u', 20, 2 } }, 2, OFFLINE_MANY },
		{ "more than a fifth is", { { 0, 'f', 0, 8 }, { 1, 'u', 20, 3 } }, 2, OFFLINE_NO },
		{ "only unclear ones", { { 0, 'u', 0, 8 } }, 1, OFFLINE_NO },
		{ "a failure after it was unclear counts", { { 0, 'u', 0, 5 }, { 1, 'f', 0, 5 } },
			2, OFFLINE_MANY },
		{ "more than the table holds", { { 0, 'f', 0, 500 } }, 1, OFFLINE_MANY },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct offline o = { .reached = WALL_NONE };
		enum offline_suspicion got;

		play(&o, rows[i].events, ARRAY_COUNT(rows[i].events));
		got = offline_judge(&o, wall_add(START, rows[i].second * SECOND_MS));
		if (got != rows[i].want)
			fail_msg("%s: %d", rows[i].what, got);
	}
}

static void test_offline_began_with_the_first_failure_after_a_success(void **state)
{
	static const struct event events[] = { { 0, 'f', 0, 2 }, { 60, 'r', 5, 1 },
		{ 70, 'u', 6, 1 }, { 80, 'f', 0, 2 }, { 500, 'f', 3, 9 } };
	struct offline o = { .reached = WALL_NONE };
	(void)state;
	play(&o, events, ARRAY_COUNT(events));
	assert_true(o.first_failure.ms == START.ms + 80 * SECOND_MS);
}

static void test_offline_is_not_fooled_by_a_clock_set_back(void **state)
{
	struct offline o = { .reached = WALL_NONE };
	(void)state;
	offline_note(&o, 1, OFFLINE_REACHED, wall_add(START, DAY_MS));
	for (uint64_t i = 0; i < 9; i++)
		offline_note(&o, i + 1, OFFLINE_FAILED, START);
	assert_int_equal(offline_judge(&o, START), OFFLINE_MANY);
}

static void test_offline_remembers_who_failed_until_somebody_is_reached(void **state)
{
	struct offline o = { 0 };

	(void)state;
	offline_note(&o, 7, OFFLINE_FAILED, START);
	offline_note(&o, 8, OFFLINE_UNCLEAR, START);
	assert_true(offline_has_failed(&o, 7));
	assert_false(offline_has_failed(&o, 8));
	assert_false(offline_has_failed(&o, 9));
	offline_note(&o, 0, OFFLINE_REACHED, START);
	assert_false(offline_has_failed(&o, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offline_remembers_who_failed_until_somebody_is_reached),
		cmocka_unit_test(test_offline_suspects_many_failures_and_no_success),
		cmocka_unit_test(test_offline_began_with_the_first_failure_after_a_success),
		cmocka_unit_test(test_offline_is_not_fooled_by_a_clock_set_back),
	};
	return cmocka_run_group_tests_name("queue/offline", tests, NULL, NULL);
}
