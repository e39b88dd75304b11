/* fate: how much of the mail that waits would be over, or not over any more, under other lifetimes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "fixture_verbs.h"

#define MS(lifetime)                                                                               \
	"\"lifetime_ms\":" #lifetime                                                               \
	",\"lifetime_max_ms\":2592000000,\"bounce_lifetime_ms\":432000000"

static int setup(void **state)
{
	struct fixture_verbs *f = mem_zalloc(sizeof(*f));

	fixture_verbs_init(f);
	f->message_count = 5000; /* two hours old, to four next hops: 1250 each */
	f->hop_count = 4;
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

static void test_fate_counts_what_a_shorter_lifetime_ends(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f,
		"{\"verb\":\"fate\",\"policy\":{" MS(
			3600000) "},\"destinations\":["
				 "{\"match\":\"h0001.test\"," MS(
					 432000000) "},"
						    "{\"match\":\"mx:s9\",\"mx\":true," MS(
							    432000000) "},"
								       "{\"match\":\"s0\",\"mx\":"
								       "true," MS(7300000) "}]}");
	/* h0000 and h0002 are at s0: 7300 s are not over after 7200 s; h0001 keeps its own */
	assert_int_equal(number(fixture_done(f), "over"), 1250);
	assert_int_equal(number(fixture_done(f), "kept"), 0);
	assert_int_equal(number(fixture_done(f), "hops"), 4);
	assert_false(json_is_true(json_object_get(fixture_done(f), "partial")));
	assert_int_equal(f->line_count, 2);
	assert_string_equal(
		json_string_value(json_object_get(fixture_row(f, 0), "hop")), "h0003.test");
	assert_int_equal(f->queries, 2);
}

static void test_fate_counts_what_a_longer_lifetime_keeps(void **state)
{
	struct fixture_verbs *f = *state;

	f->host.conf->policy.lifetime_ms = HOUR_MS;
	f->message_count = 40;
	fixture_ask(f, "{\"verb\":\"fate\",\"policy\":{" MS(1209600000) "}}");
	assert_int_equal(number(fixture_done(f), "over"), 0);
	assert_int_equal(number(fixture_done(f), "kept"), 40);
	assert_int_equal(f->line_count, 5);
}

static void test_fate_reads_no_mail_where_nothing_differs(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"fate\",\"policy\":{" MS(1209600000) "}}");
	assert_int_equal(number(fixture_done(f), "over"), 0);
	assert_int_equal(f->queries, 0);
}

static void test_fate_refuses_what_is_no_policy(void **state)
{
	static const char *const requests[] = {
		"{\"verb\":\"fate\"}",
		"{\"verb\":\"fate\",\"policy\":7}",
		"{\"verb\":\"fate\",\"policy\":{\"lifetime_ms\":1}}",
		"{\"verb\":\"fate\",\"policy\":{" MS(0) "}}",
		"{\"verb\":\"fate\",\"policy\":{" MS(9223372036854775807) "}}",
		"{\"verb\":\"fate\",\"policy\":{" MS(3600000) "},\"destinations\":[7]}",
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		fixture_ask(f, requests[i]);
		assert_int_equal(fixture_error(f), VERB_USAGE);
		assert_int_equal(f->queries, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_fate_counts_what_a_shorter_lifetime_ends),
		TEST(test_fate_counts_what_a_longer_lifetime_keeps),
		TEST(test_fate_reads_no_mail_where_nothing_differs),
		TEST(test_fate_refuses_what_is_no_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
