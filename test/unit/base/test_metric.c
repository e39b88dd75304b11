/* The names of the metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/metric.h"

static void test_metric_names_match_the_list(void **state)
{
	(void)state;
	assert_string_equal(metric_name(METRIC_smtpd_connections_total), "smtpd_connections_total");
	assert_string_equal(metric_name(METRIC_sites_down), "sites_down");
	assert_string_equal(metric_name((enum metric)(METRIC_COUNT - 1)), "clock_jumps_total");
	for (int i = 0; i < METRIC_COUNT; i++) {
		const char *name = metric_name((enum metric)i);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
	}
}

static void test_metric_counts(void **state)
{
	(void)state;
	struct metrics m = { 0 };
	metric_add(&m, METRIC_sites_down, 3);
	metric_sub(&m, METRIC_sites_down, 1);
	metric_set(&m, METRIC_reload_ok, 9);
	assert_int_equal(m.value[METRIC_sites_down], 2);
	assert_int_equal(m.value[METRIC_reload_ok], 9);
	assert_int_equal(m.value[METRIC_probes_total], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metric_names_match_the_list),
		cmocka_unit_test(test_metric_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
