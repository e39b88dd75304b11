/* test_probe - each probe with another message; none that is poison, in doubt or large while there is another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/probe.h"

static struct probe_candidate one(uint64_t id, uint64_t sender, int priority)
{
	return (struct probe_candidate){
		.id = id, .sender = sender, .priority = priority, .size_bytes = 1000
	};
}

static uint64_t probe(struct probe_memory *m, const struct probe_candidate *c, uint32_t count)
{
	uint32_t i = probe_choose(m, c, count);

	probe_note_tried(m, c[i].id, c[i].sender);
	return c[i].id;
}

static void test_probe_takes_the_most_urgent_first_then_others(void **state)
{
	struct probe_candidate c[] = { one(1, 1, 9), one(2, 1, 0), one(3, 1, 0), one(4, 2, 0) };
	static const uint64_t want[] = { 1, 4, 2, 3, 1, 4, 2, 3 };
	struct probe_memory m = { 0 };
	(void)state;

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(probe(&m, c, 4), want[i]);
}

static void test_probe_goes_round_more_messages_than_it_remembers(void **state)
{
	struct probe_candidate c[40];
	struct probe_memory m = { 0 };
	uint64_t last[PROBE_TRIED_MAX] = { 0 };
	(void)state;

	for (unsigned i = 0; i < 40; i++)
		c[i] = one(i + 1, i % 3, i == 7 ? 5 : 0);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t id = probe(&m, c, 40);

		for (unsigned k = 0; k < PROBE_TRIED_MAX; k++)
			assert_true(last[k] != id);
		last[i % PROBE_TRIED_MAX] = id;
	}
}

static void test_probe_takes_small_ones_and_none_in_doubt(void **state)
{
	struct probe_candidate c[] = { one(1, 1, 9), one(2, 2, 0), one(3, 3, -5) };
	struct probe_memory m = { 0 };
	(void)state;

	c[0].is_in_doubt = true;
	c[1].size_bytes = PROBE_SMALL_BYTES + 1;
	assert_int_equal(probe(&m, c, 3), 3);
	assert_int_equal(probe(&m, c, 3), 2); /* another one, be it large */
	assert_int_equal(probe(&m, c, 3), 3); /* but not the one in doubt */
	assert_int_equal(probe(&m, c, 1), 1); /* nothing else is there */
}

static void test_probe_leaves_out_what_failed_twice_after_mail(void **state)
{
	struct probe_candidate c[] = { one(1, 1, 9), one(2, 2, 0), one(3, 1, 0) };
	struct probe_memory m = { 0 };
	(void)state;

	for (unsigned i = 0; i < PROBE_POISON; i++)
		probe_note_failed(&m, 1, 1);
	/* its sender's other mail comes last too: it may be what he sends */
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(probe(&m, c, 3), 2);
	c[1].id = 4; /* a restart forgets; the attempts are in the row */
	m = (struct probe_memory){ 0 };
	c[0].attempts = PROBE_POISON;
	for (unsigned i = 0; i < 50; i++)
		assert_true(probe(&m, c, 3) != 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe_takes_the_most_urgent_first_then_others),
		cmocka_unit_test(test_probe_goes_round_more_messages_than_it_remembers),
		cmocka_unit_test(test_probe_takes_small_ones_and_none_in_doubt),
		cmocka_unit_test(test_probe_leaves_out_what_failed_twice_after_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
