/* Conditions as operators type them become a struct store_filter; the wrong ones are named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void ask(struct fixture_verbs *f, const char *filter)
{
	char request[1000];

	snprintf(request, sizeof(request), "{\"verb\":\"list\",\"filter\":{%s}}", filter);
	fixture_ask(f, request);
}

static void test_filter_reads_every_condition(void **state)
{
	struct fixture_verbs *f = *state;
	const struct store_filter *got = &f->last_filter;
	struct fixture_verbs *keep = f;

	keep->is_held_back = true; /* strings are valid while the call is under way */
	ask(f, "\"from\":\"<>\",\"to\":\"*@x\",\"domain\":\"x.test\",\"site\":\"s*\",\"hop\":"
	       "\"route:r\","
	       "\"state\":\"ready, "
	       "HELD\",\"older\":\"2h\",\"newer\":\"1d12h\",\"size\":\"+1M\",\"tries\":\"5+\","
	       "\"code\":\"4.7.*\",\"user\":\"u\",\"priority\":\"-3\",\"all\":true,"
	       "\"ids\":[\"38G0WT7BP0000\",\"38g0wt7bp000l\"]");
	const struct store_filter *asked = CONTAINER_OF(f->pending, struct store_query, op)->filter;
	assert_true(str_equal(asked->from, STR("<>")));
	assert_true(str_equal(asked->to, STR("*@x")));
	assert_true(str_equal(asked->domain, STR("x.test")));
	assert_true(str_equal(asked->site, STR("s*")));
	assert_true(str_equal(asked->hop, STR("route:r")));
	assert_true(str_equal(asked->status, STR("4.7.*")));
	assert_true(str_equal(asked->user, STR("u")));
	assert_int_equal(asked->states,
		RECIPIENT_STATE_BIT(RECIPIENT_READY) | RECIPIENT_STATE_BIT(RECIPIENT_HELD));
	assert_int_equal(asked->accepted_before.ms, f->now.ms - 2 * HOUR_MS);
	assert_int_equal(asked->accepted_after.ms, f->now.ms - 36 * HOUR_MS);
	assert_int_equal(asked->size_min_bytes, 1 << 20);
	assert_int_equal(asked->size_max_bytes, 0);
	assert_int_equal(asked->attempts_min, 5);
	assert_true(asked->has_priority && asked->priority == -3 && asked->is_all);
	assert_int_equal(asked->id_count, 2);
	assert_int_equal(asked->ids[1], asked->ids[0] + 1);
	fixture_complete(f);
	assert_true(f->is_ended && got->id_count == 2);
}

static void test_filter_reads_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
	} cases[] = { { "+1", 1, 0 }, { "10", 10, 0 }, { "-10K", 0, 10240 },
		{ "2g", UINT64_C(2) << 30, 0 }, { "+1T", UINT64_C(1) << 40, 0 } };
	struct fixture_verbs *f = *state;
	char filter[100];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		snprintf(filter, sizeof(filter), "\"size\":\"%s\"", cases[i].text);
		ask(f, filter);
		assert_int_equal(fixture_error(f), 0);
		assert_int_equal(f->last_filter.size_min_bytes, cases[i].min);
		assert_int_equal(f->last_filter.size_max_bytes, cases[i].max);
	}
}

static void test_filter_reads_groups_of_states(void **state)
{
	static const struct {
		const char *text;
		unsigned states;
	} cases[] = { { "queued", RECIPIENT_QUEUED_BITS }, { "any", 0x7f }, { "finished", 0x70 },
		{ "delivered,failed", 0x30 }, { "waiting", 2 } };
	struct fixture_verbs *f = *state;
	char filter[100];

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		snprintf(filter, sizeof(filter), "\"state\":\"%s\"", cases[i].text);
		ask(f, filter);
		assert_int_equal(f->last_filter.states, cases[i].states);
	}
}

static void test_filter_names_the_wrong_word(void **state)
{
	static const struct {
		const char *filter, *named;
	} cases[] = {
		{ "\"frm\":\"x\"", "frm" },
		{ "\"from\":7", "from" },
		{ "\"from\":\"\"", "from" },
		{ "\"older\":\"2 hours\"", "2 hours" },
		{ "\"older\":\"-2h\"", "-2h" },
		{ "\"older\":\"99999999999d\"", "99999999999d" },
		{ "\"size\":\"big\"", "big" },
		{ "\"size\":\"+\"", "size" },
		{ "\"size\":\"99999999999G\"", "99999999999G" },
		{ "\"tries\":\"+\"", "+" },
		{ "\"tries\":\"4294967296\"", "4294967296" },
		{ "\"priority\":\"10\"", "10" },
		{ "\"state\":\"stuck\"", "stuck" },
		{ "\"state\":\"\"", "state" },
		{ "\"state\":\"\\u001b[31m\"", "\\x1b[31m" },
		{ "\"ids\":[]", "ids" },
		{ "\"ids\":\"38G0WT7BP0000\"", "ids" },
		{ "\"ids\":[7]", "id" },
		{ "\"ids\":[\"38G0WT7BP000\"]", "38G0WT7BP000" },
		{ "\"ids\":[\"38G0WT7BP0000'; DROP\"]", "DROP" },
		{ "\"to\":\"a\\u0000b\"", "request" },
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		ask(f, cases[i].filter);
		assert_int_equal(fixture_error(f), 64);
		assert_int_equal(f->queries, 0);
		assert_non_null(strstr(fixture_error_text(f), cases[i].named));
	}
}

static void test_filter_takes_ten_thousand_ids_and_no_more(void **state)
{
	struct fixture_verbs *f = *state;
	struct buf request;

	buf_init(&request, 1 << 20);
	for (unsigned count = 10000; count <= 10001; count++) {
		buf_clear(&request);
		buf_append_str(&request, STR("{\"verb\":\"list\",\"filter\":{\"ids\":["));
		for (unsigned i = 0; i < count; i++)
			buf_printf(&request, "%s\"38G0WT7BP0000\"", i ? "," : "");
		buf_append_str(&request, STR("]}}"));
		fixture_ask(f, buf_cstr(&request));
		assert_int_equal(fixture_error(f), count > 10000 ? 64 : 0);
	}
	buf_fini(&request);
}

static void test_filter_refuses_sort_and_limit_that_make_no_sense(void **state)
{
	static const char *const requests[] = { "{\"verb\":\"list\",\"sort\":\"colour\"}",
		"{\"verb\":\"list\",\"limit\":\"0\"}", "{\"verb\":\"list\",\"limit\":\"many\"}" };
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		fixture_ask(f, requests[i]);
		assert_int_equal(fixture_error(f), 64);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_filter_reads_every_condition),
		TEST(test_filter_reads_sizes),
		TEST(test_filter_reads_groups_of_states),
		TEST(test_filter_names_the_wrong_word),
		TEST(test_filter_takes_ten_thousand_ids_and_no_more),
		TEST(test_filter_refuses_sort_and_limit_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
