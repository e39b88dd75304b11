/* Allocation that aborts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fixture_death.h"

static void allocate_too_many(void *arg)
{
	const size_t *count = arg;
	free(mem_array(*count, 16));
}

static void test_mem_serves_zero_octets(void **state)
{
	(void)state;
	void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_array(0, 8), *d = mem_realloc(NULL, 0);
	assert_true(a && b && c && d);
	free(a);
	free(b);
	free(c);
	free(d);
}

static void test_mem_array_is_zeroed(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 1000; count++) {
		unsigned *used = mem_alloc(count * sizeof(*used)); /* what the next one will get */
		memset(used, 0xff, count * sizeof(*used));
		free(used);
		unsigned *a = mem_array(count, sizeof(*a));
		for (size_t i = 0; i < count; i++)
			assert_int_equal(a[i], 0);
		free(a);
	}
}

static void test_mem_array_aborts_on_overflow(void **state)
{
	(void)state;
	size_t count = SIZE_MAX / 8, small = 4;
	assert_int_equal(death_signal(allocate_too_many, &count, NULL, 0), SIGABRT);
	assert_int_equal(death_signal(allocate_too_many, &small, NULL, 0), 0);
}

static void test_mem_realloc_keeps_the_octets(void **state)
{
	(void)state;
	char *p = mem_strdup("twelve years");
	p = mem_realloc(p, 4000);
	assert_string_equal(p, "twelve years");
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mem_serves_zero_octets),
		cmocka_unit_test(test_mem_array_is_zeroed),
		cmocka_unit_test(test_mem_array_aborts_on_overflow),
		cmocka_unit_test(test_mem_realloc_keeps_the_octets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
