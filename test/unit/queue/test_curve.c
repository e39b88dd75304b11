/* The backlog curve of a report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/curve.h"

static void test_curve_keeps_the_peak_and_all_deliveries(void **state)
{
	enum { SAMPLES = 1000, POINTS = 20 };
	struct outage_sample samples[SAMPLES];
	struct curve_point points[POINTS];
	uint64_t delivered = 0, most = 0;

	(void)state;
	for (uint32_t i = 0; i < SAMPLES; i++)
		samples[i] = (struct outage_sample){ .at = { 1000 + 60 * (int64_t)i },
			.recipients = i < 700    ? i
				      : i == 700 ? 9999
						 : 1000 - i,
			.delivered = i < 700 ? 0 : 7 * (i - 700) };
	assert_int_equal(curve_make(samples, SAMPLES, points, POINTS), POINTS);
	for (uint32_t i = 0; i < POINTS; i++) {
		delivered += points[i].delivered;
		most = points[i].recipients > most ? points[i].recipients : most;
		assert_true(i == 0 || points[i].at.ms > points[i - 1].at.ms);
	}
	assert_int_equal(most, 9999);
	assert_int_equal(delivered, samples[SAMPLES - 1].delivered);
	assert_int_equal(points[0].at.ms, 1000);
	assert_int_equal(points[5].recipients, 299);
}

static void test_curve_of_few_samples(void **state)
{
	static const struct outage_sample gap[] = { { { 1000 }, 5, 0, 0 }, { { 1010 }, 8, 0, 0 },
		{ { 1020 }, 4, 0, 0 }, { { 5000 }, 0, 0, 8 } };
	struct curve_point p[8];

	(void)state;
	assert_int_equal(curve_make(gap, 0, p, 8), 0);
	assert_int_equal(curve_make(gap, 4, p, 0), 0);
	assert_int_equal(curve_make(gap, 1, p, 8), 1);
	assert_int_equal(p[0].recipients, 5);
	assert_int_equal(curve_make(gap, 4, p, 8), 4);
	assert_int_equal(p[0].recipients, 8);
	assert_int_equal(p[1].recipients, 4); /* nothing was heard: as it was */
	assert_int_equal(p[2].recipients, 4);
	assert_int_equal(p[3].recipients, 0);
	assert_int_equal(p[3].delivered, 8);
	const struct outage_sample twice[] = { { { 7 }, 1, 0, 3 }, { { 7 }, 2, 0, 2 } };
	assert_int_equal(curve_make(twice, 2, p, 8), 1);
	assert_int_equal(p[0].recipients, 2);
	assert_int_equal(p[0].delivered, 3);
}

static void test_bar_is_never_nothing_for_something(void **state)
{
	static const struct {
		uint64_t value, most;
		uint32_t width, len;
	} cases[] = {
		{ 0, 0, 40, 0 },
		{ 0, 9, 40, 0 },
		{ 1, 1000000, 40, 1 },
		{ 9, 9, 40, 40 },
		{ 5, 10, 40, 20 },
		{ UINT64_MAX, UINT64_MAX, 40, 39 },
		{ 7, 9, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(
			curve_bar(cases[i].value, cases[i].most, cases[i].width), cases[i].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_curve_keeps_the_peak_and_all_deliveries),
		cmocka_unit_test(test_curve_of_few_samples),
		cmocka_unit_test(test_bar_is_never_nothing_for_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
