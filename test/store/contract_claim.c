/* contract_claim - the drain order of CLAIM: priority exactly, fair shares among the senders' buckets, arrival. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"
#include "store/contract_parts.h"

enum { MODEL_MAX = 400, SEEDS = 4, ROUNDS = 12, SENDERS = 24 };

/* What is READY for the one next hop, as it should come. */
struct model {
	struct model_message {
		uint64_t id;
		int priority;
		unsigned bucket;
		uint32_t rank; /* older ones of its priority and bucket */
	} messages[MODEL_MAX];
	uint32_t count;
};

static uint64_t accept_from(struct world *w, unsigned sender, int priority)
{
	static const char *const hops[] = { "a.example" };
	char path[32];
	struct sample s;
	sample_make(w, &s, hops, 1);
	(void)snprintf(path, sizeof(path), "s%u@sender.example", sender);
	s.env.reverse_path = sender == 0 ? STR("") : str_from_c(path);
	s.env.priority = priority;
	CHECK(world_accept(w, &s) == OK);
	return s.env.id;
}

static unsigned bucket_of(unsigned sender)
{
	char path[32];
	(void)snprintf(path, sizeof(path), "s%u@sender.example", sender);
	return store_sender_bucket(sender == 0 ? STR("") : str_from_c(path));
}

static void claim(struct world *w, struct store_claim *op, uint32_t limit)
{
	*op = (struct store_claim){
		.hop = STR("a.example"), .message_limit = limit, .recipients_per_message = 10
	};
	assert_int_equal(world_run(w, &op->op, STORE_CLAIM), OK);
}

static int compare(const void *a, const void *b)
{
	const struct model_message *x = a, *y = b;
	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void model_sort(struct model *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct model_message *x = &m->messages[i];
		x->rank = 0;
		for (uint32_t k = 0; k < m->count; k++) {
			const struct model_message *y = &m->messages[k];
			x->rank += y->priority == x->priority && y->bucket == x->bucket &&
				   y->id < x->id;
		}
	}
	qsort(m->messages, m->count, sizeof(m->messages[0]), compare);
}

static void test_claim_is_in_drain_order_while_mail_comes_and_goes(void **state)
{
	struct world *w = *state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		static struct model m;
		struct rng rng;
		rng_init(&rng, seed);
		for (unsigned round = 0; round < ROUNDS; round++) {
			uint32_t arrivals = (uint32_t)rng_below(&rng, 20);
			for (uint32_t i = 0; i < arrivals && m.count < MODEL_MAX; i++) {
				/* a few send most of it */
				unsigned sender =
					(unsigned)rng_below(&rng, 1 + rng_below(&rng, SENDERS));
				int priority =
					rng_below(&rng, 4) ? 0 : (int)rng_below(&rng, 19) - 9;
				m.messages[m.count++] =
					(struct model_message){ accept_from(w, sender, priority),
						priority, bucket_of(sender), 0 };
			}
			struct store_claim op;
			uint32_t limit = 1 + (uint32_t)rng_below(&rng, 40);
			claim(w, &op, limit);
			model_sort(&m);
			assert_int_equal(op.message_count, m.count < limit ? m.count : limit);
			assert_int_equal(op.is_more, m.count > limit);
			for (uint32_t i = 0; i < op.message_count; i++)
				assert_true(op.messages[i].env.id == m.messages[i].id);
			/* some of what was claimed is delivered, not in order */
			uint32_t kept = 0, claimed = op.message_count;
			for (uint32_t i = 0; i < m.count; i++) {
				if (i < claimed && rng_below(&rng, 3) > 0)
					assert_int_equal(world_record(w, m.messages[i].id, 1,
								 RESULT_DELIVERED, 1, 0, NULL),
						OK);
				else
					m.messages[kept++] = m.messages[i];
			}
			m.count = kept;
			store_op_fini(&op.op);
		}
		for (uint32_t i = 0; i < m.count; i++)
			assert_int_equal(
				world_record(w, m.messages[i].id, 1, RESULT_DELIVERED, 1, 0, NULL),
				OK);
		m.count = 0;
	}
	contract_assert_counts(w);
}

/* One sender has a hundred in the queue; a page gives the others the same share. */
static void test_claim_lets_no_sender_starve(void **state)
{
	struct world *w = *state;
	unsigned mass = bucket_of(1), second = 2, third;
	uint32_t got = 0;
	while (bucket_of(second) == mass)
		second++;
	for (third = second + 1; bucket_of(third) == mass || bucket_of(third) == bucket_of(second);)
		third++;
	for (unsigned i = 0; i < 100; i++)
		(void)accept_from(w, 1, 0);
	for (unsigned i = 0; i < 10; i++) {
		(void)accept_from(w, second, 0);
		(void)accept_from(w, third, 0);
	}
	struct store_claim op;
	claim(w, &op, 30);
	for (uint32_t i = 0; i < op.message_count; i++)
		got += store_sender_bucket(op.messages[i].env.reverse_path) != mass;
	assert_int_equal(got, 20);
	store_op_fini(&op.op);
}

int contract_run_claim(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_claim_is_in_drain_order_while_mail_comes_and_goes),
		CONTRACT_TEST(test_claim_lets_no_sender_starve),
	};
	char title[96];
	(void)snprintf(title, sizeof(title), "%s: drain order", name);
	return cmocka_run_group_tests_name(title, tests, NULL, NULL);
}
