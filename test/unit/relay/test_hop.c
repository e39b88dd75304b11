/*
 * What a next hop remembers of messages that were recorded while a CLAIM was under way. The CLAIM reads the queue as it
 * was: without this memory its answer would start such a message a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "relay/destination.h"

static void hop_init(struct hop *h)
{
	*h = (struct hop){ 0 };
	list_init(&h->pending);
	list_init(&h->active);
}

static void test_hop_remembers_what_was_recorded_during_a_claim(void **state)
{
	struct hop h;

	(void)state;
	hop_init(&h);
	hop_claim_begins(&h);
	for (uint64_t id = 1; id <= 100; id++)
		hop_note_settled(&h, id);
	for (uint64_t id = 1; id <= 100; id++)
		assert_true(hop_holds(&h, id));
	assert_false(hop_holds(&h, 101));
	hop_claim_ends(&h);
	assert_false(hop_holds(&h, 1));
	free(h.settled);
}

static void test_hop_remembers_until_the_last_of_overlapping_claims(void **state)
{
	struct hop h;

	(void)state;
	hop_init(&h);
	hop_claim_begins(&h);
	hop_claim_begins(&h);
	hop_note_settled(&h, 7);
	hop_claim_ends(&h);
	assert_true(hop_holds(&h, 7));
	hop_claim_ends(&h);
	assert_false(hop_holds(&h, 7));
	free(h.settled);
}

static void test_hop_forgets_at_once_without_a_claim(void **state)
{
	struct hop h;

	(void)state;
	hop_init(&h);
	hop_note_settled(&h, 7);
	assert_false(hop_holds(&h, 7));
	assert_int_equal(h.settled_cap, 0);
	free(h.settled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hop_remembers_what_was_recorded_during_a_claim),
		cmocka_unit_test(test_hop_remembers_until_the_last_of_overlapping_claims),
		cmocka_unit_test(test_hop_forgets_at_once_without_a_claim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
