/* revive: what failed waits again, in steps; who was told is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fixture_verbs.h"

static int setup(void **state)
{
	struct fixture_verbs *f = mem_zalloc(sizeof(*f));

	fixture_verbs_init(f);
	f->modify_left = 2500;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_verbs_fini(*state);
	free(*state);
	return 0;
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void test_revive_goes_in_steps_and_tells_the_scheduler(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"revive\",\"filter\":{\"domain\":\"h0002.test\"},\"reason\":"
		       "\"storm\"}");
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_int_equal(number(fixture_done(f), "told"), 3);
	assert_int_equal(f->modifies, 3);
	assert_false(f->only_untold);
	assert_string_equal(f->last_actor, "uid 0 (root)");
	assert_string_equal(buf_cstr(&f->told),
		"ready h0002.test;ready h0002.test;ready h0002.test;log uid 0 (root): 2500 "
		"recipients "
		"revived, the senders of 3 had been told, reason: storm;");
}

static void test_revive_dry_run_changes_nothing(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f,
		"{\"verb\":\"revive\",\"filter\":{\"all\":true},\"dry_run\":true,\"untold\":true}");
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_int_equal(number(fixture_done(f), "gone"), 5);
	assert_int_equal(f->modify_left, 2500);
	assert_true(f->only_untold);
	assert_int_equal(f->told.len, 0);
}

static void test_revive_needs_a_condition_and_an_admin(void **state)
{
	struct fixture_verbs *f = *state;
	const char *all = "{\"verb\":\"revive\",\"filter\":{\"all\":true}}";

	fixture_ask(f, "{\"verb\":\"revive\"}");
	assert_int_equal(fixture_error(f), VERB_USAGE);
	fixture_ask_as(f, all, strlen(all), &fixture_guest);
	assert_int_equal(fixture_error(f), VERB_NOT_PERMITTED);
	assert_int_equal(f->modifies, 0);
}

static void test_revive_stops_at_its_limit(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"revive\",\"filter\":{\"all\":true},\"limit\":\"1200\"}");
	assert_int_equal(number(fixture_done(f), "recipients"), 1200);
	assert_int_equal(f->modify_left, 1300);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_revive_goes_in_steps_and_tells_the_scheduler),
		TEST(test_revive_dry_run_changes_nothing),
		TEST(test_revive_needs_a_condition_and_an_admin),
		TEST(test_revive_stops_at_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
