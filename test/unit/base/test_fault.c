/* Points where a test strikes the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "base/check.h"
#include "base/fault.h"
#include "fixture_death.h"

static void test_fault_parse_reads_the_three_forms(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		enum err err;
		struct fault fault;
	} rows[] = {
		{ "accept_committed", OK, { FAULT_accept_committed, FAULT_KILL, 1 } },
		{ "migrate_step:3", OK, { FAULT_migrate_step, FAULT_KILL, 3 } },
		{ "record_applied:2:fail", OK, { FAULT_record_applied, FAULT_FAIL, 2 } },
		{ "record_applied:2:kill", OK, { FAULT_record_applied, FAULT_KILL, 2 } },
		{ "accept", ERR_NOT_FOUND, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "none", ERR_NOT_FOUND, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ ":1", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:0", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:x", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:4294967296", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:1:", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:1:burn", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
		{ "migrate_step:1:fail:", ERR_SYNTAX, { FAULT_NONE, FAULT_KILL, 0 } },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct fault f = { 0 };
		assert_int_equal(fault_parse(&f, str_from_c(rows[i].spec)), rows[i].err);
		assert_int_equal(f.armed, rows[i].fault.armed);
		assert_int_equal(f.action, rows[i].fault.action);
		assert_int_equal(f.countdown, rows[i].fault.countdown);
	}
	for (int p = FAULT_NONE + 1; p < FAULT_COUNT; p++) {
		struct fault f = { 0 };
		assert_int_equal(fault_parse(&f, str_from_c(fault_name((enum fault_point)p))), OK);
		assert_int_equal(f.armed, p);
	}
}

static void test_fault_strikes_once_at_the_nth_passage(void **state)
{
	(void)state;
	struct fault f;
	assert_int_equal(fault_parse(&f, STR("accept_applied:3:fail")), OK);
	for (int passage = 1; passage <= 6; passage++) {
		assert_false(fault_hit(&f, FAULT_accept_committed));
		assert_int_equal(fault_hit(&f, FAULT_accept_applied), passage == 3);
	}
	assert_false(fault_hit(NULL, FAULT_accept_applied));
}

static void pass_twice(void *arg)
{
	struct fault *f = arg;
	fault_hit(f, FAULT_checkpoint_end);
	fault_hit(f, FAULT_checkpoint_end);
}

static void test_fault_kills_the_process(void **state)
{
	(void)state;
	struct fault f;
	assert_int_equal(fault_parse(&f, STR("checkpoint_end:2")), OK);
	assert_int_equal(death_signal(pass_twice, &f, NULL, 0), SIGKILL);
	assert_int_equal(fault_parse(&f, STR("checkpoint_end:3")), OK);
	assert_int_equal(death_signal(pass_twice, &f, NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_parse_reads_the_three_forms),
		cmocka_unit_test(test_fault_strikes_once_at_the_nth_passage),
		cmocka_unit_test(test_fault_kills_the_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
