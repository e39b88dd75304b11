/* The end of a program whose invariant broke. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "fixture_death.h"

struct owner {
	char before[24];
	int member;
};

static void fail_check(void *arg)
{
	const int *n = arg;
	CHECK(*n == 2);
}

static void fail_with_long_text(void *arg)
{
	check_failed(arg, "file.c", 7);
}

static void test_check_prints_the_place_and_aborts(void **state)
{
	(void)state;
	char said[1024];
	int n = 3;
	assert_int_equal(death_signal(fail_check, &n, said, sizeof(said)), SIGABRT);
	assert_non_null(strstr(said, "check failed: *n == 2 at "));
	assert_non_null(strstr(said, "test_check.c:"));
	assert_int_equal(said[strlen(said) - 1], '\n');
}

static void test_check_lets_true_pass(void **state)
{
	(void)state;
	int n = 2;
	assert_int_equal(death_signal(fail_check, &n, NULL, 0), 0);
}

static void test_check_cuts_a_long_text(void **state)
{
	(void)state;
	char text[2000], said[2000];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(death_signal(fail_with_long_text, text, said, sizeof(said)), SIGABRT);
	assert_int_equal(strlen(said), 512);
	assert_int_equal(said[511], '\n');
}

static void test_container_of_finds_the_owner(void **state)
{
	(void)state;
	struct owner o = { .member = 5 };
	const int *member = &o.member;
	const struct owner *found = CONTAINER_OF(member, struct owner, member);
	assert_ptr_equal(found, &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_prints_the_place_and_aborts),
		cmocka_unit_test(test_check_lets_true_pass),
		cmocka_unit_test(test_check_cuts_a_long_text),
		cmocka_unit_test(test_container_of_finds_the_owner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
