/* test_fair - shares among senders, and priority, of what waits in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "queue/fair.h"

enum { WAITING_MAX = 600, STEPS = 4000, SEEDS = 8 };

struct waiting {
	int priority;
	unsigned bucket;
	uint64_t tag, number; /* of arrival */
};

struct line {
	struct fair fair;
	struct waiting at[WAITING_MAX];
	unsigned count;
	uint64_t arrivals;
};

static void arrive(struct line *l, int priority, unsigned bucket)
{
	assert_true(l->count < WAITING_MAX);
	l->at[l->count++] = (struct waiting){ priority, bucket,
		fair_tag(&l->fair, priority, bucket), ++l->arrivals };
}

static bool goes_before(const struct waiting *a, const struct waiting *b)
{
	if (fair_goes_before(a->priority, a->tag, b->priority, b->tag))
		return true;
	return a->priority == b->priority && a->tag == b->tag && a->number < b->number;
}

static struct waiting start(struct line *l)
{
	unsigned best = 0;

	for (unsigned i = 1; i < l->count; i++)
		if (goes_before(&l->at[i], &l->at[best]))
			best = i;

	struct waiting w = l->at[best];

	l->at[best] = l->at[--l->count];
	fair_note_started(&l->fair, w.priority, w.tag);
	return w;
}

static void test_fair_order_is_round_robin_over_senders(void **state)
{
	static const unsigned want[] = { 1, 2, 1, 2, 1, 2, 1, 1 };
	static struct line l;
	(void)state;

	l = (struct line){ 0 };
	for (unsigned i = 0; i < 5; i++)
		arrive(&l, 0, 1);
	for (unsigned i = 0; i < 3; i++)
		arrive(&l, 0, 2);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(start(&l).bucket, want[i]);
	fair_fini(&l.fair);
}

static void test_fair_priority_is_exact_and_costs_nobody_his_share(void **state)
{
	static struct line l;
	(void)state;

	l = (struct line){ 0 };
	for (unsigned i = 0; i < 100; i++)
		arrive(&l, 0, 1);
	for (unsigned i = 0; i < 100; i++)
		arrive(&l, 9, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(start(&l).priority, 9);
	arrive(&l, 0, 2); /* not behind what was urgent, nor behind the hundred */
	(void)start(&l);
	assert_int_equal(start(&l).bucket, 2);
	fair_fini(&l.fair);
}

/* Whatever comes: no higher priority is left behind, a bucket goes by arrival, and between two that always have mail the
 * shares differ by one. */
static void test_fair_shares_hold_while_mail_arrives(void **state)
{
	static struct line l;
	(void)state;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct rng rng;
		uint64_t seen[19][STORE_SENDER_BUCKETS] = { { 0 } };
		unsigned share[2] = { 0, 0 };

		rng_init(&rng, seed);
		l = (struct line){ 0 };
		for (unsigned i = 0; i < 200; i++)
			arrive(&l, 0, 3);
		for (unsigned i = 0; i < 150; i++)
			arrive(&l, 0, 5);
		for (unsigned step = 0; step < STEPS; step++) {
			if (rng_below(&rng, 10) < 3 && l.count < WAITING_MAX - 2)
				arrive(&l, (int)rng_below(&rng, 3) - 1,
					(unsigned)rng_below(&rng, STORE_SENDER_BUCKETS));
			if (l.count == 0)
				continue;

			struct waiting w = start(&l);

			for (unsigned i = 0; i < l.count; i++)
				assert_true(l.at[i].priority <= w.priority);
			assert_true(seen[w.priority + 9][w.bucket] < w.number);
			seen[w.priority + 9][w.bucket] = w.number;
			if (w.priority == 0 && step < 150 && (w.bucket == 3 || w.bucket == 5))
				share[w.bucket == 5]++;
			assert_true(step >= 150 || share[0] <= share[1] + 1);
			assert_true(step >= 150 || share[1] <= share[0] + 1);
		}
		fair_fini(&l.fair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fair_order_is_round_robin_over_senders),
		cmocka_unit_test(test_fair_priority_is_exact_and_costs_nobody_his_share),
		cmocka_unit_test(test_fair_shares_hold_while_mail_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
