/* The grace of a known-good domain that DNS denies: what counts of it, and what ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/grace.h"

#define MIN MINUTE_MS

static void test_grace_counts_what_lies_between_denials(void **state)
{
	/* d: denied, s: no answer, r: a route; at so many minutes */
	static const struct {
		const char *what;
		struct {
			char kind;
			int minute;
		} events[5];
		int counted; /* minutes */
	} rows[] = {
		{ "one denial is no time yet", { { 'd', 10 } }, 0 },
		{ "from the first to the last", { { 'd', 10 }, { 'd', 20 }, { 'd', 35 } }, 25 },
		{ "silence between does not count",
			{ { 'd', 10 }, { 'd', 20 }, { 's', 25 }, { 'd', 30 }, { 'd', 40 } }, 20 },
		{ "eight days of silence neither", { { 's', 0 }, { 's', 11520 }, { 'd', 11530 } },
			0 },
		{ "nor a gap in which nobody asked", { { 'd', 10 }, { 'd', 20 }, { 'd', 90 } },
			10 },
		{ "a gap of an hour still does", { { 'd', 10 }, { 'd', 70 } }, 60 },
		{ "nor a clock that was set back", { { 'd', 50 }, { 'd', 20 }, { 'd', 30 } }, 10 },
		{ "a route ends it", { { 'd', 10 }, { 'd', 20 }, { 'r', 25 }, { 'd', 30 } }, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct grace g = { 0, WALL_NONE };

		for (size_t j = 0; j < ARRAY_COUNT(rows[i].events) && rows[i].events[j].kind; j++) {
			/* not from 1970 on: that is no instant */
			struct wall at = { (int64_t)(rows[i].events[j].minute + 1) * MIN };

			if (rows[i].events[j].kind == 'd')
				grace_note_denied(&g, at);
			else if (rows[i].events[j].kind == 's')
				grace_note_silence(&g);
			else
				assert_true(grace_note_route(&g));
		}
		if (g.denied_ms != rows[i].counted * MIN)
			fail_msg("%s: %lld minutes", rows[i].what, (long long)(g.denied_ms / MIN));
	}
}

static void test_grace_is_over_after_its_time(void **state)
{
	struct grace g = { 0, WALL_NONE };
	struct wall at = { DAY_MS };
	(void)state;
	assert_false(grace_note_route(&g));
	for (int64_t ms = 0; ms < 4 * DAY_MS; ms += 10 * MIN) {
		assert_false(grace_is_over(&g, 4 * DAY_MS));
		grace_note_denied(&g, wall_add(at, ms));
	}
	grace_note_denied(&g, wall_add(at, 4 * DAY_MS));
	assert_true(grace_is_over(&g, 4 * DAY_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grace_counts_what_lies_between_denials),
		cmocka_unit_test(test_grace_is_over_after_its_time),
	};
	return cmocka_run_group_tests_name("queue/grace", tests, NULL, NULL);
}
