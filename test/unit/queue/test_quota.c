/* What fits into an hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "queue/quota.h"

#define START INT64_C(1674551700000)

static struct wall at(int64_t ms)
{
	return (struct wall){ START + ms };
}

static void test_quota_says_when_it_fits_again(void **state)
{
	(void)state;
	struct quota q = { 0 };

	assert_int_equal(quota_wait_ms(&q, 10, 10, at(0)), 0);
	quota_take(&q, 4, at(0));
	quota_take(&q, 6, at(12 * MINUTE_MS));
	assert_int_equal(quota_wait_ms(&q, 11, 1, at(13 * MINUTE_MS)), 0);
	int64_t wait = quota_wait_ms(&q, 10, 1, at(13 * MINUTE_MS));
	assert_true(wait >= 47 * MINUTE_MS && wait <= 52 * MINUTE_MS);
	assert_int_equal(quota_wait_ms(&q, 10, 4, at(13 * MINUTE_MS + wait)), 0);
	assert_true(quota_wait_ms(&q, 10, 5, at(13 * MINUTE_MS + wait)) > 0);
	/* more than ever fits */
	assert_int_equal(quota_wait_ms(&q, 10, 10, at(3 * HOUR_MS)), 0);
	assert_int_equal(quota_wait_ms(&q, 10, 11, at(3 * HOUR_MS)), HOUR_MS);
	/* a limit that was lowered meanwhile */
	assert_true(quota_wait_ms(&q, 1, 1, at(13 * MINUTE_MS)) > 50 * MINUTE_MS);
}

static void test_quota_keeps_its_limit_in_any_hour(void **state)
{
	(void)state;
	enum { LIMIT = 20, TAKES_MAX = 20000 };
	static int64_t takes[TAKES_MAX];
	size_t count = 0;
	struct quota q = { 0 };
	struct rng rng;
	int64_t now = 0;

	rng_init(&rng, 7);
	while (count < TAKES_MAX) {
		if (quota_wait_ms(&q, LIMIT, 1, at(now)) == 0) {
			quota_take(&q, 1, at(now));
			takes[count++] = now;
		} else if (rng_below(&rng, 2)) {
			now += quota_wait_ms(&q, LIMIT, 1, at(now));
			assert_int_equal(quota_wait_ms(&q, LIMIT, 1, at(now)), 0);
			continue;
		}
		now += (int64_t)rng_below(&rng, rng_below(&rng, 50) ? 300000 : 9000000);
	}
	for (size_t i = LIMIT; i < count; i++)
		assert_true(takes[i] - takes[i - LIMIT] >= HOUR_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota_says_when_it_fits_again),
		cmocka_unit_test(test_quota_keeps_its_limit_in_any_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
