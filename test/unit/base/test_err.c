/* The phrases of enum err. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void test_err_names_are_all_there_and_differ(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++) {
		const char *name = err_name((enum err)i);
		assert_string_not_equal(name, err_name(ERR_COUNT));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(name, err_name((enum err)j));
	}
	assert_string_equal(err_name(ERR_REFUSED), "connection refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_names_are_all_there_and_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
