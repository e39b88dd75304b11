/* test_credit - the union of spans against a model that counts each moment; the clock over outages and restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "queue/credit.h"

enum { MOMENTS = 400, SPANS = 12, SEEDS = 400 };

static struct span span(int64_t began, int64_t ended)
{
	return (struct span){ { began }, { ended } };
}

static int64_t below(struct rng *rng, int64_t bound)
{
	return (int64_t)rng_below(rng, (uint64_t)bound);
}

static void assert_credit(const struct credit *c, const char *want)
{
	struct buf got;

	buf_init(&got, 4096);
	for (uint32_t i = 0; i < c->count; i++)
		buf_printf(&got, "%d-%d ", (int)c->spans[i].began.ms, (int)c->spans[i].ended.ms);
	assert_string_equal(buf_cstr(&got), want);
	buf_fini(&got);
}

static void test_credit_is_a_sorted_union(void **state)
{
	static const struct {
		struct span spans[5];
		uint32_t count;
		const char *want;
	} rows[] = {
		{ { { { 10 }, { 20 } } }, 1, "10-20 " },
		{ { { { 10 }, { 20 } }, { { 10 }, { 20 } } }, 2, "10-20 " },
		{ { { { 30 }, { 40 } }, { { 10 }, { 20 } } }, 2, "10-20 30-40 " },
		{ { { { 10 }, { 20 } }, { { 20 }, { 30 } } }, 2, "10-30 " },
		{ { { { 10 }, { 20 } }, { { 5 }, { 10 } } }, 2, "5-20 " },
		{ { { { 10 }, { 20 } }, { { 30 }, { 40 } }, { { 15 }, { 35 } } }, 3, "10-40 " },
		{ { { { 10 }, { 40 } }, { { 20 }, { 30 } } }, 2, "10-40 " },
		{ { { { 20 }, { 30 } }, { { 10 }, { 40 } } }, 2, "10-40 " },
		{ { { { 10 }, { 10 } }, { { 30 }, { 20 } } }, 2, "" },
		{ { { { 10 }, { 0 } }, { { 30 }, { 40 } } }, 2, "10-0 " },
		{ { { { 30 }, { 0 } }, { { 10 }, { 20 } }, { { 25 }, { 35 } } }, 3, "10-20 25-0 " },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct credit c = { 0 };

		credit_add_all(&c, rows[i].spans, rows[i].count);
		assert_credit(&c, rows[i].want);
		credit_fini(&c);
	}
}

static void test_credit_forgets_what_ended_before(void **state)
{
	struct credit c = { 0 };
	(void)state;

	credit_add(&c, span(10, 20));
	credit_add(&c, span(30, 40));
	credit_add(&c, span(50, 0));
	credit_forget(&c, (struct wall){ 20 });
	assert_credit(&c, "10-20 30-40 50-0 ");
	credit_forget(&c, (struct wall){ 21 });
	assert_credit(&c, "30-40 50-0 ");
	credit_forget(&c, (struct wall){ 1000 });
	assert_credit(&c, "50-0 ");
	assert_true(credit_is_running(&c));
	credit_fini(&c);
}

static void test_credit_reaches_past_what_it_covers(void **state)
{
	static const struct {
		int64_t from, spent, want;
	} rows[] = {
		{ 0, 5, 5 },
		{ 0, 10, 10 },
		{ 0, 11, 21 },
		{ 0, 20, 30 },
		{ 0, 21, 41 },
		{ 15, 0, 15 },
		{ 15, 1, 21 },
		{ 20, 1, 21 },
		{ 45, 5, 50 },
		{ 45, 15, 60 },
		{ 45, 16, INT64_MAX },
		{ 70, 1, INT64_MAX },
		{ 0, -5, 0 },
	};
	struct credit c = { 0 };
	(void)state;

	credit_add(&c, span(10, 20));
	credit_add(&c, span(30, 40));
	credit_add(&c, span(60, 0));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(credit_reach(&c, (struct wall){ rows[i].from }, rows[i].spent).ms,
			rows[i].want);
	credit_fini(&c);
}

/* ---- against a model ---- */

struct model {
	bool is_covered[MOMENTS];
	struct span spans[SPANS];
	uint32_t count;
};

static void model_make(struct model *m, struct rng *rng)
{
	memset(m, 0, sizeof(*m));
	m->count = (uint32_t)below(rng, SPANS + 1);
	for (uint32_t i = 0; i < m->count; i++) {
		int64_t began = 1 + below(rng, MOMENTS - 1), length = below(rng, 60);
		bool is_open = below(rng, 15) == 0;
		int64_t ended = is_open ? 0 : began + length;

		m->spans[i] = span(began, ended);
		for (int64_t t = began; t < MOMENTS && (is_open || t < ended); t++)
			m->is_covered[t] = true;
	}
}

/* In any order, some of them twice. */
static void fill(struct credit *c, const struct model *m, struct rng *rng)
{
	uint32_t order[SPANS];

	for (uint32_t i = 0; i < m->count; i++)
		order[i] = i;
	for (uint32_t i = m->count; i > 1; i--) {
		uint32_t j = (uint32_t)below(rng, i), swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		credit_add(c, m->spans[order[i]]);
		if (below(rng, 3) == 0)
			credit_add(c, m->spans[order[below(rng, m->count)]]);
	}
}

static int64_t model_between(const struct model *m, int64_t from, int64_t to)
{
	int64_t sum = 0;

	for (int64_t t = from; t < to; t++)
		sum += m->is_covered[t];
	return sum;
}

static void test_credit_counts_each_moment_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct credit a = { 0 }, b = { 0 };
		struct model m;
		struct rng rng;

		rng_init(&rng, seed);
		model_make(&m, &rng);
		fill(&a, &m, &rng);
		fill(&b, &m, &rng);
		credit_merge(&b, &a);
		assert_int_equal(a.count, b.count);
		assert_true(
			a.count == 0 || memcmp(a.spans, b.spans, a.count * sizeof(*a.spans)) == 0);
		for (int i = 0; i < 50; i++) {
			int64_t from = below(&rng, MOMENTS), to = below(&rng, MOMENTS);

			assert_int_equal(
				credit_between(&a, (struct wall){ from }, (struct wall){ to }),
				model_between(&m, from, to));
		}
		credit_fini(&a);
		credit_fini(&b);
	}
}

/* reach is the first instant at which enough was spent, origin the last since which it was: each is the other's answer. */
static void test_credit_reach_and_origin_agree_with_the_count(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct credit c = { 0 };
		struct model m;
		struct rng rng;

		rng_init(&rng, seed);
		model_make(&m, &rng);
		fill(&c, &m, &rng);
		for (int i = 0; i < 50; i++) {
			int64_t from = 1 + below(&rng, MOMENTS / 2), spent = below(&rng, 100);
			int64_t reach = credit_reach(&c, (struct wall){ from }, spent).ms;
			int64_t to = 1 + below(&rng, MOMENTS - 1);
			int64_t origin = credit_origin(&c, (struct wall){ to }, spent).ms;

			if (reach < MOMENTS) {
				assert_int_equal(
					reach - from - model_between(&m, from, reach), spent);
				assert_true(reach == from || !m.is_covered[reach - 1]);
			} else {
				assert_true(
					MOMENTS - from - model_between(&m, from, MOMENTS) <= spent);
			}
			assert_int_equal(reach <= to, from <= origin);
		}
		credit_fini(&c);
	}
}

/* ---- outages and restarts ---- */

/* A destination fails and answers by chance, and the relay stops and starts: what is spent is the time in which neither
 * stood in the way, however the spans were told: when they ended, or again after each start from what is stored. */
static void test_credit_is_the_time_in_outage_over_restarts(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct credit c = { 0 };
		struct span stored[MOMENTS];
		uint32_t stored_count = 0;
		int64_t spent = 0, down_since = 0, stopped_since = 0;
		struct rng rng;

		rng_init(&rng, seed);
		for (int64_t now = 1; now < MOMENTS; now++) {
			int64_t dice = below(&rng, 40);

			if (dice == 0 && !stopped_since && !down_since) {
				down_since = now;
			} else if (dice == 1 && !stopped_since && down_since) {
				stored[stored_count++] = span(down_since, now);
				credit_add(&c, stored[stored_count - 1]);
				down_since = 0;
			} else if (dice == 2 && !stopped_since) {
				stopped_since = now;
				credit_fini(&c); /* memory is gone */
			} else if (dice == 3 && stopped_since) {
				stored[stored_count++] = span(stopped_since, now);
				credit_add_all(&c, stored, stored_count);
				stopped_since = 0;
			}
			spent += !down_since && !stopped_since;
		}
		if (stopped_since)
			stored[stored_count++] = span(stopped_since, 0);
		credit_add_all(&c, stored, stored_count);
		if (down_since)
			credit_add(&c, span(down_since, 0));
		assert_int_equal(
			MOMENTS - 1 -
				credit_between(&c, (struct wall){ 1 }, (struct wall){ MOMENTS }),
			spent);
		credit_fini(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credit_is_a_sorted_union),
		cmocka_unit_test(test_credit_forgets_what_ended_before),
		cmocka_unit_test(test_credit_reaches_past_what_it_covers),
		cmocka_unit_test(test_credit_counts_each_moment_once),
		cmocka_unit_test(test_credit_reach_and_origin_agree_with_the_count),
		cmocka_unit_test(test_credit_is_the_time_in_outage_over_restarts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
