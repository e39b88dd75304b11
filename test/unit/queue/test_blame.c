/* test_blame - when a limit is the matter of one sender: refused often in a row, alone, while the mail of others is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/blame.h"

/* Upper case: refused; lower case: taken. */
static void play(struct blame *b, const char *events)
{
	for (; *events; events++)
		if (*events >= 'A' && *events <= 'Z')
			blame_note_refused(b, (uint64_t)(*events - 'A' + 'a'));
		else
			blame_note_taken(b, (uint64_t)*events);
}

static void test_blame_is_own_when_refused_alone_and_others_are_taken(void **state)
{
	static const struct {
		const char *events;
		bool is_suspect, is_own; /* a */
	} rows[] = {
		{ "", false, false },
		{ "A", false, false },
		{ "AA", false, false },
		{ "AAA", true, false },
		{ "AAAA", true, false },
		{ "AAAAAAAA", true, false }, /* nobody is taken: who knows */
		{ "AAAb", true, false },
		{ "AAAbA", true, true },
		{ "AbAcAdA", true, true },
		{ "bbbAAAA", true, false }, /* before it */
		{ "AAAbAaA", false, false },
		{ "AAABA", false, false },
		{ "AbABAbA", false, false },
		{ "BbBbBbBbAAA", true, false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct blame b = { 0 };

		play(&b, rows[i].events);
		if (blame_is_suspect(&b, 'a') != rows[i].is_suspect ||
			blame_is_own(&b, 'a') != rows[i].is_own)
			fail_msg("%s", rows[i].events);
		assert_false(blame_is_own(&b, 'z'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blame_is_own_when_refused_alone_and_others_are_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
