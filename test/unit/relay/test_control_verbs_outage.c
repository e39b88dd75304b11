/* outages, outage-declare, -extend, -end, -report, import: what is written, what is refused, what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "fixture_verbs.h"

/* The fixture's clock stands at NOW. */
#define NOW INT64_C(1700007200000)

static struct outage_record outage(uint64_t id, enum outage_kind kind, enum outage_scope scope,
	const char *name, int64_t ended)
{
	return (struct outage_record){ .id = id,
		.kind = kind,
		.scope = scope,
		.name = str_from_c(name),
		.began = { NOW - 90 * MINUTE_MS },
		.declared = { NOW - 80 * MINUTE_MS },
		.ended = { ended },
		.actor = STR(""),
		.note = STR(""),
		.stage = STR("connect"),
		.host = STR(""),
		.text = STR("refused") };
}

static struct outage_record some[4];

static int setup(void **state)
{
	struct fixture_verbs *f = mem_zalloc(sizeof(*f));

	fixture_verbs_init(f);
	some[0] = outage(1, OUTAGE_DOWN, OUTAGE_OF_SITE, "s1", 0);
	some[1] = outage(2, OUTAGE_DECLARED, OUTAGE_OF_HOP, "h0000.test", NOW - MINUTE_MS);
	some[2] = outage(3, OUTAGE_DECLARED, OUTAGE_OF_HOP, "dead.test", 0);
	some[3] = outage(4, OUTAGE_STOPPED, OUTAGE_OF_ALL, "", NOW - 2 * MINUTE_MS);
	f->outages = some;
	f->outage_count = 4;
	f->message_count = 12;
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

static const char *text(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value ? value : "(absent)";
}

static void test_outages_lists_open_ones_or_all(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"outages\"}");
	assert_int_equal(number(fixture_done(f), "outages"), 2);
	assert_int_equal(number(fixture_row(f, 0), "outage"), 3);
	assert_string_equal(text(fixture_row(f, 0), "kind"), "declared");
	assert_string_equal(text(fixture_row(f, 1), "scope"), "site");
	assert_int_equal(number(fixture_row(f, 1), "duration"), 90 * 60);
	fixture_ask(f, "{\"verb\":\"outages\",\"all\":true,\"limit\":\"3\"}");
	assert_int_equal(number(fixture_done(f), "outages"), 3);
	assert_true(json_is_true(json_object_get(fixture_done(f), "more")));
}

static void test_declare_writes_a_record_and_tells_the_daemon(void **state)
{
	static const struct {
		uint64_t new_id;
		const char *request, *told;
	} cases[] = {
		{ 0, "\"hop\":\" Libero.IT \"",
			"outage 5 2 1 libero.it began 0 until 0 ended 0 uid 0 (root): ;changed;" },
		{ 9,
			"\"hop\":\"libero.it\",\"since\":\"2h\",\"until\":\"1d\",\"note\":\"they "
			"said\"",
			"outage 9 2 1 libero.it began -7200000 until 1700093600000 ended 0 "
			"uid 0 (root): they said;changed;" },
		{ 3, "\"site\":\"MX.libero.it\",\"since\":1700000000",
			"outage 5 2 0 MX.libero.it began -7200000 until 0 ended 0 uid 0 (root): "
			";changed;" },
		{ 0, "\"match\":\"mx:*.Libero.it\"",
			"outage 5 2 2 mx:*.libero.it began 0 until 0 ended 0 uid 0 (root): "
			";changed;" },
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char request[500];

		snprintf(request, sizeof(request), "{\"verb\":\"outage-declare\",%s}",
			cases[i].request);
		f->new_id = cases[i].new_id;
		buf_clear(&f->told);
		fixture_ask(f, request);
		assert_int_equal(fixture_error(f), 0);
		assert_memory_equal(buf_cstr(&f->told), cases[i].told, strlen(cases[i].told));
		assert_non_null(
			strstr(buf_cstr(&f->told), "log uid 0 (root): outage-declare: outage"));
	}
}

static void test_declare_says_that_a_name_is_unknown(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"outage-declare\",\"hop\":\"h0001.test\"}");
	assert_true(json_is_false(json_object_get(fixture_done(f), "unknown")));
	fixture_ask(f, "{\"verb\":\"outage-declare\",\"site\":\"s0\"}");
	assert_true(json_is_false(json_object_get(fixture_done(f), "unknown")));
	fixture_ask(f, "{\"verb\":\"outage-declare\",\"site\":\"h0001.test\"}");
	assert_true(json_is_true(json_object_get(fixture_done(f), "unknown")));
}

/* As the recipients of mail name it: else the outage would be of nothing. */
static void test_declare_brings_a_domain_into_its_usual_form(void **state)
{
	static const char *const cases[][2] = { { "A.Test.", "a.test" }, { "b\u00fccher.test", "xn--bcher-kva.test" },
		{ "route:News", "route:news" }, { "[192.0.2.1]", "[192.0.2.1]" } };
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char request[200];

		snprintf(request, sizeof(request), "{\"verb\":\"outage-declare\",\"hop\":\"%s\"}", cases[i][0]);
		fixture_ask(f, request);
		assert_int_equal(fixture_error(f), 0);
		assert_string_equal(text(fixture_done(f), "name"), cases[i][1]);
	}
}

static void test_outage_verbs_refuse_what_makes_no_sense(void **state)
{
	static const struct {
		const char *request;
		int code;
	} cases[] = {
		{ "outage-declare\"", 64 },
		{ "outage-declare\",\"hop\":\"\"", 64 },
		{ "outage-declare\",\"hop\":\"a\\u0000b\"", 64 },
		{ "outage-declare\",\"hop\":\"user@a.test\"", 64 },
		{ "outage-declare\",\"hop\":\"two words\"", 64 },
		{ "outage-declare\",\"hop\":\"mx:*.test\"", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"site\":\"mx\"", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"since\":\"soon\"", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"since\":-5", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"since\":1700007201", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"until\":1700007100", 64 },
		{ "outage-declare\",\"hop\":\"a.test\",\"since\":\"9999999999999d\"", 64 },
		{ "outage-declare\",\"hop\":\"dead.test\"", 64 }, /* there is one */
		{ "outage-extend\"", 64 },
		{ "outage-extend\",\"outage\":3", 64 },
		{ "outage-extend\",\"outage\":-3,\"until\":\"2d\"", 64 },
		{ "outage-extend\",\"outage\":99,\"until\":\"2d\"", 1 },
		{ "outage-extend\",\"outage\":2,\"until\":\"2d\"", 1 }, /* over */
		{ "outage-end\",\"outage\":1", 64 },                    /* found, not declared */
		{ "outage-end\",\"outage\":2", 1 },
		{ "outage-report\",\"outage\":99", 1 },
		{ "outage-report\"", 64 },
		{ "outages\",\"limit\":\"x\"", 64 },
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char request[500];

		snprintf(request, sizeof(request), "{\"verb\":\"%s}", cases[i].request);
		fixture_ask(f, request);
		assert_int_equal(fixture_error(f), cases[i].code);
		assert_int_equal(f->told.len, 0);
	}
	const char *guest = "{\"verb\":\"outage-end\",\"outage\":3}";
	fixture_ask_as(f, guest, strlen(guest), &fixture_guest);
	assert_int_equal(fixture_error(f), VERB_NOT_PERMITTED);
}

static void test_extend_and_end_keep_the_rest_of_the_record(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(
		f, "{\"verb\":\"outage-extend\",\"outage\":3,\"until\":\"2d\",\"note\":\"later\"}");
	assert_non_null(strstr(buf_cstr(&f->told), "outage 3 2 1 dead.test began -5400000 until "
						   "1700180000000 ended 0 : later;changed;"));
	buf_clear(&f->told);
	fixture_ask(f, "{\"verb\":\"outage-end\",\"outage\":3}");
	assert_non_null(strstr(buf_cstr(&f->told),
		"outage 3 2 1 dead.test began -5400000 until 0 ended 1700007200000 : ;changed;"));
	assert_false(json_is_true(json_object_get(fixture_done(f), "open")));
}

static void test_report_reads_the_history_in_slices(void **state)
{
	struct outage_sample samples[] = { { { NOW - HOUR_MS }, 5, 50, 0 }, { { NOW }, 1, 10, 4 } };
	struct fixture_verbs *f = *state;

	f->samples = samples;
	f->sample_count = 2;
	fixture_ask(f, "{\"verb\":\"outage-report\",\"outage\":1,\"limit\":\"7\"}");
	const json_t *done = fixture_done(f);
	assert_non_null(done);
	assert_int_equal(number(json_object_get(done, "outage"), "outage"), 1);
	/* 90 min are two slices, 24 h more are 26 */
	assert_int_equal(f->queries, 2 + 26);
	assert_int_equal(f->last_filter.states, RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED));
	assert_int_equal(
		f->last_filter.finished_before.ms - f->last_filter.finished_after.ms, HOUR_MS);
	assert_true(str_equal(f->last_filter.site, STR("s1")));
	assert_string_equal(json_object_iter_key(json_object_iter(fixture_row(f, 0))), "sample");
	/* the fixture's messages are queued: none of them ended in that time */
	assert_int_equal(number(json_object_get(done, "lost"), "recipients"), 0);
	assert_int_equal(number(json_object_get(done, "suspect"), "recipients"), 0);
	assert_true(json_is_true(json_object_get(json_object_get(done, "lost"), "complete")));
	f->host.conf->queue.history_ms = HOUR_MS;
	f->queries = 0;
	fixture_ask(f, "{\"verb\":\"outage-report\",\"outage\":1}");
	assert_int_equal(f->queries, 2 + 2);
	assert_false(json_is_true(
		json_object_get(json_object_get(fixture_done(f), "suspect"), "complete")));
}

static void test_status_sites_and_explain_tell_of_outages(void **state)
{
	struct fixture_verbs *f = *state;
	bool is_told = false;

	fixture_ask(f, "{\"verb\":\"status\"}");
	assert_int_equal(number(fixture_done(f), "outages_open"), 2);
	assert_int_equal(json_array_size(json_object_get(fixture_done(f), "outages")), 2);
	fixture_ask(f, "{\"verb\":\"sites\"}");
	assert_string_equal(text(fixture_row(f, 0), "site"), "s1");
	assert_int_equal(number(fixture_row(f, 0), "outage"), 1);
	assert_null(json_object_get(fixture_row(f, 1), "outage"));
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"h0001.test\"}");
	for (uint32_t i = 0; i + 1 < f->line_count; i++)
		is_told |= strstr(text(fixture_row(f, i), "text"), "Outage 1 (down)") != NULL;
	assert_true(is_told);
}

static bool is_explained(const struct fixture_verbs *f, const char *what)
{
	for (uint32_t i = 0; i + 1 < f->line_count; i++)
		if (strstr(text(fixture_row(f, i), "text"), what))
			return true;
	return false;
}

/* A storm parks a site, and that is an outage too: the newer one alone would hide the cause. */
static void test_explain_tells_of_each_outage_and_of_a_grace(void **state)
{
	struct fixture_verbs *f = *state;

	some[3] = outage(4, OUTAGE_STORM, OUTAGE_OF_SITE, "s1", 0);
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"h0001.test\"}");
	assert_true(is_explained(f, "Outage 1 (down)"));
	assert_true(is_explained(f, "Outage 4 (storm)"));
	assert_false(is_explained(f, "no-domain-grace"));
	f->denied_ms = 9 * HOUR_MS;
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"h0001.test\"}");
	assert_true(is_explained(f, "for 9h so far, counted from answer to answer. After 4d of that"));
}

static void test_import_makes_known_good(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f,
		"{\"verb\":\"import\",\"domains\":[[\"Libero.IT\",1700000000],[\"a.test\",1e10]],"
		"\"mailboxes\":[[\"u@libero.it\",1700000001.5]]}");
	assert_int_equal(number(fixture_done(f), "domains"), 2);
	assert_int_equal(number(fixture_done(f), "mailboxes"), 1);
	const char *want = "success libero.it 1700000000000;success a.test 1700007200000;"
			   "known libero.it 1700000000000;known a.test 1700007200000;"
			   "mailbox u@libero.it 1700000001500;log uid 0 (root): 2 domains and 1 "
			   "mailboxes imported as known good;";
	assert_string_equal(buf_cstr(&f->told), want);
	f->host.daemon = NULL;
	buf_clear(&f->told);
	fixture_ask(f, "{\"verb\":\"import\",\"domains\":[[\"a.test\",1]],\"mailboxes\":[[\"u@a."
		       "test\",1]]}");
	assert_int_equal(number(fixture_done(f), "left_out"), 1);
	assert_string_equal(buf_cstr(&f->told), "success a.test 1000;");
}

static void test_import_refuses_what_is_no_list_of_names_and_times(void **state)
{
	static const char *const lists[] = { "[7]", "[[]]", "[[\"a\"]]", "[[\"a\",0]]",
		"[[\"a\",\"b\"]]", "[[\"\",1]]", "[[\"a\\u0000\",1]]", "[[\"a\",1e12]]",
		"[[\"a\",1,2]]", "[[7,1]]", "[[\"good\",1],[\"a\",-1]]" };
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
		char request[200];

		snprintf(
			request, sizeof(request), "{\"verb\":\"import\",\"domains\":%s}", lists[i]);
		fixture_ask(f, request);
		assert_int_equal(fixture_error(f), VERB_USAGE);
		assert_int_equal(f->told.len, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_outages_lists_open_ones_or_all),
		TEST(test_declare_writes_a_record_and_tells_the_daemon),
		TEST(test_declare_says_that_a_name_is_unknown),
		TEST(test_declare_brings_a_domain_into_its_usual_form),
		TEST(test_outage_verbs_refuse_what_makes_no_sense),
		TEST(test_extend_and_end_keep_the_rest_of_the_record),
		TEST(test_report_reads_the_history_in_slices),
		TEST(test_status_sites_and_explain_tell_of_outages),
		TEST(test_explain_tells_of_each_outage_and_of_a_grace),
		TEST(test_import_makes_known_good),
		TEST(test_import_refuses_what_is_no_list_of_names_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
