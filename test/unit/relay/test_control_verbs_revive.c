/* revive: failed recipients only, counted first, in steps, with the scheduler told and the audit written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "fixture_verbs.h"

static int setup(void **state)
{
	struct fixture_verbs *f = mem_zalloc(sizeof(*f));

	fixture_verbs_init(f);
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

static void test_revive_is_refused_without_a_condition(void **state)
{
	static const struct {
		const char *request;
		int error;
	} rows[] = {
		{ "{\"verb\":\"revive\"}", 64 },
		{ "{\"verb\":\"revive\",\"filter\":{\"state\":\"waiting\"}}", 64 },
		{ "{\"verb\":\"revive\",\"filter\":{\"state\":\"failed\"}}", 0 },
		{ "{\"verb\":\"revive\",\"filter\":{\"state\":\"finished\"}}", 0 },
		{ "{\"verb\":\"revive\",\"filter\":{\"all\":true}}", 0 },
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		f->modify_left = 1;
		fixture_ask(f, rows[i].request);
		assert_int_equal(fixture_error(f), rows[i].error);
		assert_int_equal(f->modifies, rows[i].error ? 0 : 1);
		if (!rows[i].error)
			assert_int_equal(
				f->last_filter.states, RECIPIENT_STATE_BIT(RECIPIENT_FAILED));
	}
}

static void test_revive_counts_before_it_acts(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 2500;
	fixture_ask(f, "{\"verb\":\"revive\",\"filter\":{\"domain\":\"x.test\"},\"dry_run\":true}");
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_int_equal(number(fixture_done(f), "gone"), 7);
	assert_int_equal(number(fixture_done(f), "domains"), 2);
	assert_int_equal(f->modify_left, 2500);
	assert_int_equal(f->told.len, 0);
}

static void test_revive_goes_in_steps_and_tells_the_scheduler(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 2500;
	fixture_ask(f, "{\"verb\":\"revive\",\"filter\":{\"domain\":\"x.test\"}}");
	assert_int_equal(f->modifies, 3);
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_int_equal(number(fixture_done(f), "told"), 3);
	assert_non_null(strstr(buf_cstr(&f->told), "ready h0001.test;"));
	assert_non_null(strstr(buf_cstr(&f->told),
		"log uid 0 (root): 2500 recipients revived, senders of 3 had been told"));
}

static void test_revive_is_not_for_guests(void **state)
{
	static const char request[] = "{\"verb\":\"revive\",\"filter\":{\"all\":true}}";
	struct fixture_verbs *f = *state;

	f->modify_left = 1;
	fixture_ask_as(f, request, sizeof(request) - 1, &fixture_guest);
	assert_int_equal(fixture_error(f), 77);
	assert_int_equal(f->modifies, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_revive_is_refused_without_a_condition, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revive_counts_before_it_acts, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_revive_goes_in_steps_and_tells_the_scheduler, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revive_is_not_for_guests, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
