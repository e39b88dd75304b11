/* Verbs of the control socket against a made-up store: what is asked, what is answered, what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fixture_verbs.h"
#include "mail/queue_id.h"

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

static const char *text(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value ? value : "(absent)";
}

static void test_request_refuses_what_is_no_request(void **state)
{
	static const struct {
		const char *request;
		int code;
	} cases[] = {
		{ "", 64 },
		{ "null", 64 },
		{ "[]", 64 },
		{ "{\"verb\":\"list\"", 64 },
		{ "{\"verb\":\"list\"} {}", 64 },
		{ "{\"verb\":\"list\",\"verb\":\"delete\"}", 64 },
		{ "{\"verb\":\"lsit\"}", 64 },
		{ "{\"verb\":7}", 64 },
		{ "{}", 64 },
		{ "{\"verb\":\"list\",\"filter\":[]}", 64 },
		{ "{\"verb\":\"list\\u0000\"}", 64 },
		{ "{\"verb\":\"show\"}", 64 },
		{ "{\"verb\":\"show\",\"id\":{}}", 64 },
		{ "{\"verb\":\"explain\"}", 64 },
		{ "{\"verb\":\"probe\"}", 64 },
		{ "{\"verb\":\"sites\",\"state\":\"held\"}", 64 },
		{ "{\"verb\":\"delete\"}", 64 },
		{ "{\"verb\":\"delete\",\"filter\":{}}", 64 },
		{ "{\"verb\":\"retry\",\"filter\":{\"all\":false}}", 64 },
	};
	struct fixture_verbs *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		fixture_ask(f, cases[i].request);
		assert_true(f->is_ended);
		assert_int_equal(f->line_count, 1);
		assert_int_equal(fixture_error(f), cases[i].code);
		assert_int_equal(f->modifies, 0);
	}
}

static void test_request_refuses_deep_nesting(void **state)
{
	struct fixture_verbs *f = *state;
	struct buf bomb;

	buf_init(&bomb, 1 << 20);
	for (unsigned depth = 31; depth <= 33; depth++) {
		buf_clear(&bomb);
		buf_append_str(&bomb, STR("{\"verb\":\"version\",\"x\":"));
		for (unsigned i = 1; i < depth; i++)
			buf_append_char(&bomb, '[');
		for (unsigned i = 1; i < depth; i++)
			buf_append_char(&bomb, ']');
		buf_append_char(&bomb, '}');
		fixture_ask(f, buf_cstr(&bomb));
		assert_int_equal(fixture_error(f), depth > 32 ? 64 : 0);
	}
	buf_fini(&bomb);
	char *flood = mem_alloc(900000);
	memset(flood, '[', 900000);
	fixture_ask_as(f, flood, 900000, &fixture_admin);
	assert_int_equal(fixture_error(f), 64);
	free(flood);
}

static void test_request_refuses_more_than_a_mebibyte(void **state)
{
	struct fixture_verbs *f = *state;
	static const char head[] = "{\"verb\":\"version\"}";
	char *text_of = mem_alloc(VERB_REQUEST_MAX_BYTES + 1);

	memset(text_of, ' ', VERB_REQUEST_MAX_BYTES + 1);
	memcpy(text_of, head, sizeof(head) - 1);
	fixture_ask_as(f, text_of, VERB_REQUEST_MAX_BYTES, &fixture_admin);
	assert_int_equal(fixture_error(f), 0);
	fixture_ask_as(f, text_of, VERB_REQUEST_MAX_BYTES + 1, &fixture_admin);
	assert_int_equal(fixture_error(f), 64);
	free(text_of);
}

static void test_guest_may_read_and_not_change(void **state)
{
	static const char *const changes[] = { "retry", "hold", "release", "delete", "probe",
		"reload" };
	static const char *const reads[] = { "status", "list", "sites", "metrics", "config",
		"version", "ping" };
	struct fixture_verbs *f = *state;
	char request[200];

	f->message_count = 3;
	f->modify_left = 5;
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		snprintf(request, sizeof(request),
			"{\"verb\":\"%s\",\"filter\":{\"all\":true},\"site\":\"s1\"}", changes[i]);
		fixture_ask_as(f, request, strlen(request), &fixture_guest);
		assert_int_equal(fixture_error(f), 77);
		assert_int_equal(f->modifies, 0);
		assert_int_equal(f->told.len, 0);
	}
	for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
		snprintf(request, sizeof(request), "{\"verb\":\"%s\"}", reads[i]);
		fixture_ask_as(f, request, strlen(request), &fixture_guest);
		assert_int_equal(fixture_error(f), 0);
		assert_non_null(fixture_done(f));
	}
}

static void test_list_gives_each_message_once_over_many_pages(void **state)
{
	struct fixture_verbs *f = *state;

	f->message_count = 1003; /* three share each millisecond: pages end inside of one */
	fixture_ask(f, "{\"verb\":\"list\"}");
	assert_true(f->is_ended);
	assert_int_equal(f->line_count, 1004);
	for (uint32_t n = 0; n < 1003; n++)
		assert_string_equal(
			text(fixture_row(f, n), "queue_id"), queue_id_format(fixture_id(n)).text);
	assert_int_equal(number(fixture_done(f), "messages"), 1003);
	assert_true(f->queries >= 10);
	fixture_ask(f, "{\"verb\":\"list\",\"sort\":\"size\",\"limit\":\"250\"}");
	assert_int_equal(f->line_count, 251);
	fixture_ask(f, "{\"verb\":\"list\",\"count\":true}");
	assert_int_equal(f->line_count, 1);
	assert_int_equal(number(fixture_done(f), "messages"), 1003);
}

static void test_list_waits_for_a_slow_reader(void **state)
{
	struct fixture_verbs *f = *state;
	uint32_t turns = 1;

	f->message_count = 500;
	f->full_after = 50;
	fixture_ask(f, "{\"verb\":\"list\"}");
	assert_false(f->is_ended);
	assert_int_equal(f->line_count, 100); /* one page, not five */
	for (; !f->is_ended && turns < 20; turns++)
		fixture_resume(f);
	assert_int_equal(f->line_count, 501);
	assert_true(turns >= 5);
}

static void test_list_row_is_a_superset_of_postqueue(void **state)
{
	static const char *const keys[] = { "queue_name", "queue_id", "arrival_time",
		"message_size", "forced_expire", "sender", "recipients" };
	struct fixture_verbs *f = *state;

	f->message_count = 1;
	fixture_ask(f, "{\"verb\":\"list\"}");
	const json_t *row = fixture_row(f, 0),
		     *r = json_array_get(json_object_get(row, "recipients"), 0);
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
		assert_non_null(json_object_get(row, keys[i]));
	assert_string_equal(text(row, "queue_name"), "deferred");
	assert_int_equal(number(row, "arrival_time"), 1700000000);
	assert_string_equal(text(r, "address"), "u0@h0000.test");
	assert_string_equal(text(r, "delay_reason"), "450 4.2.1 \x1b[31mcome\xef\xbf\xbd again");
}

static void test_list_gives_parked_mail_the_reason_of_its_destination(void **state)
{
	struct fixture_verbs *f = *state;

	f->message_count = 150;
	f->hop_count = 4;
	f->is_ready = true;
	fixture_ask(f, "{\"verb\":\"list\"}");
	assert_int_equal(f->line_count, 151);
	assert_int_equal(f->lookups, 4);
	for (uint32_t n = 0; n < 150; n++) {
		const json_t *r =
			json_array_get(json_object_get(fixture_row(f, n), "recipients"), 0);

		assert_string_equal(text(r, "delay_reason"),
			n % 2 ? "site s1 is down: connection refused"
			      : "450 4.2.1 \x1b[31mcome\xef\xbf\xbd again");
	}
}

static void test_list_is_canceled_while_the_store_works(void **state)
{
	struct fixture_verbs *f = *state;

	f->message_count = 500;
	f->is_held_back = true;
	fixture_ask(f, "{\"verb\":\"list\"}");
	assert_non_null(f->pending);
	verb_cancel(f->call);
	fixture_complete(f);
	assert_null(f->pending);
	assert_false(f->is_ended);
	assert_int_equal(f->line_count, 0);
}

static void test_failed_reads_say_whether_to_try_again(void **state)
{
	static const struct {
		enum err err;
		int code;
	} cases[] = { { ERR_CORRUPT, 65 }, { ERR_IO, 75 }, { ERR_NO_SPACE, 75 },
		{ ERR_PERMISSION, 77 } };
	struct fixture_verbs *f = *state;

	f->fail_kind = STORE_QUERY;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		f->fail_kind_err = cases[i].err;
		fixture_ask(f, "{\"verb\":\"list\"}");
		assert_true(f->is_ended);
		assert_int_equal(fixture_error(f), cases[i].code);
	}
}

static void test_delete_goes_in_steps_and_tells_the_scheduler(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 2500;
	fixture_ask(f, "{\"verb\":\"delete\",\"filter\":{\"domain\":\"x.test\"},\"reason\":"
		       "\"a\\u001b b\"}");
	assert_int_equal(f->modifies, 3);
	assert_int_equal(f->last_modify.limit, 1000);
	assert_int_equal(f->last_modify.action, MODIFY_DELETE);
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_true(str_starts_fold(buf_str(&f->told), STR("forget;forget;forget;log")));
	assert_non_null(strstr(buf_cstr(&f->told),
		"log uid 0 (root): 2500 recipients deleted, reason: a\\x1b b;"));
}

static void test_dry_run_counts_and_changes_nothing(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 2500;
	fixture_ask(f, "{\"verb\":\"hold\",\"filter\":{\"all\":true},\"dry_run\":true}");
	assert_int_equal(f->modifies, 1);
	assert_true(f->last_modify.is_dry_run);
	assert_int_equal(f->modify_left, 2500);
	assert_int_equal(f->told.len, 0);
	assert_int_equal(number(fixture_done(f), "recipients"), 2500);
	assert_int_equal(number(fixture_done(f), "domains"), 3);
	assert_int_equal(number(fixture_done(f), "oldest_age"), 7200);
}

static void test_change_stops_at_its_limit(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 5000;
	fixture_ask(f, "{\"verb\":\"release\",\"filter\":{\"all\":true},\"limit\":\"1200\"}");
	assert_int_equal(number(fixture_done(f), "recipients"), 1200);
	assert_int_equal(f->modify_left, 3800);
	assert_int_equal(f->last_filter.states, RECIPIENT_STATE_BIT(RECIPIENT_HELD));
	assert_non_null(strstr(buf_cstr(&f->told), "ready h0001.test;"));
}

static void test_change_that_breaks_off_reports_a_part(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 2500;
	f->is_held_back = true;
	fixture_ask(f, "{\"verb\":\"hold\",\"filter\":{\"all\":true}}");
	fixture_complete(f);
	f->fail_kind = STORE_MODIFY;
	f->fail_kind_err = ERR_NO_SPACE;
	fixture_complete(f);
	assert_true(f->is_ended);
	assert_int_equal(fixture_error(f), 2);
	assert_non_null(strstr(fixture_error_text(f), "1000"));
}

static void test_retry_also_wakes_destinations_of_ready_mail(void **state)
{
	struct fixture_verbs *f = *state;

	f->message_count = 8; /* to four next hops */
	fixture_ask(f, "{\"verb\":\"retry\",\"filter\":{\"all\":true}}");
	assert_int_equal(f->last_filter.states, RECIPIENT_STATE_BIT(RECIPIENT_READY));
	assert_int_equal(number(fixture_done(f), "already_due"), 8);
	assert_non_null(
		strstr(buf_cstr(&f->told), "retry h0000.test;retry h0001.test;retry h0002.test;"
					   "retry h0003.test;log"));
}

static void test_release_of_states_it_cannot_change_does_nothing(void **state)
{
	struct fixture_verbs *f = *state;

	f->modify_left = 5;
	fixture_ask(f, "{\"verb\":\"release\",\"filter\":{\"state\":\"ready,delivered\"}}");
	assert_int_equal(f->modifies, 0);
	assert_int_equal(number(fixture_done(f), "recipients"), 0);
}

static void test_cat_streams_all_chunks(void **state)
{
	struct fixture_verbs *f = *state;
	char request[100];

	f->message_count = 5;
	snprintf(request, sizeof(request), "{\"verb\":\"cat\",\"id\":\"%s\"}",
		queue_id_format(fixture_id(4)).text);
	fixture_ask(f, request);
	assert_int_equal(f->line_count, 3);
	assert_string_equal(text(fixture_row(f, 0), "content"), "Zmlyc3QNCg==");
	assert_string_equal(text(fixture_row(f, 1), "content"), "AHNlY29uZA0K");
	assert_int_equal(number(fixture_done(f), "bytes"), 16);
}

static void test_log_sends_every_attempt(void **state)
{
	struct fixture_verbs *f = *state;
	char request[100];

	f->message_count = 5;
	f->full_after = 10;
	snprintf(request, sizeof(request), "{\"verb\":\"log\",\"id\":\"%s\"}",
		queue_id_format(fixture_id(4)).text);
	fixture_ask(f, request);
	for (unsigned turn = 0; !f->is_ended && turn < 10; turn++)
		fixture_resume(f);
	assert_int_equal(f->line_count, 251);
	assert_int_equal(number(fixture_row(f, 249), "attempt"), 250);
	assert_string_equal(text(fixture_row(f, 249), "address"), "u4@h0000.test");
	fixture_ask(f, "{\"verb\":\"log\",\"id\":\"0000000000001\"}");
	assert_int_equal(fixture_error(f), 1);
}

static void test_sites_sums_up_hops_worst_first(void **state)
{
	struct fixture_verbs *f = *state;

	f->hop_count = 1201;
	f->site_count = 3;
	fixture_ask(f, "{\"verb\":\"sites\"}");
	assert_int_equal(f->line_count, 4);
	assert_string_equal(text(fixture_row(f, 0), "site"), "s1"); /* the one that is down */
	assert_string_equal(text(fixture_row(f, 0), "reply"), "connection refused");
	assert_int_equal(number(fixture_row(f, 0), "ready"), 800);
	assert_string_equal(text(fixture_row(f, 1), "site"), "s2");
	assert_int_equal(number(fixture_row(f, 1), "hops"), 400);
	assert_null(json_object_get(fixture_row(f, 0), "limited"));
	assert_true(json_real_value(json_object_get(fixture_row(f, 1), "limited")) == 12.5);
	assert_string_equal(text(fixture_row(f, 2), "site"), "s0");
	assert_int_equal(number(fixture_row(f, 2), "hops"), 401);
	fixture_ask(f, "{\"verb\":\"sites\",\"state\":\"down\",\"site\":\"s*\"}");
	assert_int_equal(f->line_count, 2);
}

static void test_status_tells_the_clock_and_the_worst(void **state)
{
	struct fixture_verbs *f = *state;

	f->message_count = 5;
	f->hop_count = 40;
	f->site_count = 20;
	fixture_ask(f, "{\"verb\":\"status\"}");
	const json_t *done = fixture_done(f);
	assert_int_equal(number(done, "clock_rate"), 60);
	assert_int_equal(number(done, "messages"), 5);
	assert_int_equal(json_array_size(json_object_get(done, "worst")), 10);
	assert_string_equal(text(json_array_get(json_object_get(done, "worst"), 0), "site"), "s1");
	f->host.daemon = NULL;
	fixture_ask(f, "{\"verb\":\"status\"}");
	assert_true(json_is_false(json_object_get(fixture_done(f), "running")));
	fixture_ask(f, "{\"verb\":\"probe\",\"site\":\"s1\"}");
	assert_int_equal(fixture_error(f), 69);
}

static void test_probe_takes_a_site_or_a_domain(void **state)
{
	struct fixture_verbs *f = *state;

	f->hop_count = 4;
	fixture_ask(f, "{\"verb\":\"probe\",\"site\":\"s1\"}");
	assert_non_null(strstr(buf_cstr(&f->told), "probe s1;log"));
	fixture_ask(f, "{\"verb\":\"probe\",\"site\":\"H0003.test\"}");
	assert_non_null(strstr(buf_cstr(&f->told), "retry h0003.test;log"));
	fixture_ask(f, "{\"verb\":\"probe\",\"site\":\"nowhere\"}");
	assert_int_equal(fixture_error(f), 1);
}

static bool has_sentence(const struct fixture_verbs *f, const char *topic, const char *part)
{
	for (uint32_t i = 0; fixture_row(f, i); i++)
		if (strcmp(text(fixture_row(f, i), "topic"), topic) == 0 &&
			strstr(text(fixture_row(f, i), "text"), part))
			return true;
	return false;
}

static void test_explain_tells_the_whole_chain(void **state)
{
	struct fixture_verbs *f = *state;
	char request[100];

	f->message_count = 5;
	f->hop_count = 4;
	snprintf(request, sizeof(request), "{\"verb\":\"explain\",\"target\":\"%s\"}",
		queue_id_format(fixture_id(1)).text);
	fixture_ask(f, request);
	assert_true(has_sentence(f, "message", "from@example.org"));
	assert_true(has_sentence(f, "policy", "lifetime 14d"));
	assert_true(has_sentence(f, "site", "s1 is down since 2023-11-14T22:13:20Z (2h ago)"));
	assert_true(has_sentence(f, "site", "connection refused"));
	assert_true(has_sentence(f, "attempts", "2 attempts so far"));
	assert_true(has_sentence(f, "next", "outlast retry"));
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"user@H0001.TEST\"}");
	assert_true(has_sentence(f, "next", "Next: a probe at 2023-11-15T03:13:20Z (in 3h)"));
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"s1\"}");
	assert_true(has_sentence(f, "site", "s1 is down since 2023-11-14T22:13:20Z (2h ago)"));
	assert_true(has_sentence(f, "next", "outlast list --site s1"));
	fixture_ask(f, "{\"verb\":\"explain\",\"target\":\"unknown.test\"}");
	assert_true(has_sentence(f, "next", "No mail waits for it."));
}

static void test_metrics_are_complete_prometheus_lines(void **state)
{
	struct fixture_verbs *f = *state;

	f->metrics.value[METRIC_probes_total] = 42;
	f->message_count = 3;
	fixture_ask(f, "{\"verb\":\"metrics\"}");
	const char *page = text(fixture_done(f), "text");
	assert_non_null(
		strstr(page, "# TYPE outlast_probes_total counter\noutlast_probes_total 42\n"));
	assert_non_null(strstr(page, "# TYPE outlast_deliveries_active gauge\n"));
	assert_non_null(strstr(page, "outlast_queue_recipients{state=\"waiting\"} 3\n"));
	assert_int_equal(page[strlen(page) - 1], '\n');
}

static void test_reload_passes_on_what_is_wrong(void **state)
{
	struct fixture_verbs *f = *state;

	fixture_ask(f, "{\"verb\":\"reload\"}");
	assert_int_equal(fixture_error(f), 65);
	assert_non_null(strstr(fixture_error_text(f), "outlast.yaml:1:2: wrong"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_request_refuses_what_is_no_request),
		TEST(test_request_refuses_deep_nesting),
		TEST(test_request_refuses_more_than_a_mebibyte),
		TEST(test_guest_may_read_and_not_change),
		TEST(test_list_gives_each_message_once_over_many_pages),
		TEST(test_list_waits_for_a_slow_reader),
		TEST(test_list_row_is_a_superset_of_postqueue),
		TEST(test_list_gives_parked_mail_the_reason_of_its_destination),
		TEST(test_list_is_canceled_while_the_store_works),
		TEST(test_failed_reads_say_whether_to_try_again),
		TEST(test_delete_goes_in_steps_and_tells_the_scheduler),
		TEST(test_dry_run_counts_and_changes_nothing),
		TEST(test_change_stops_at_its_limit),
		TEST(test_change_that_breaks_off_reports_a_part),
		TEST(test_retry_also_wakes_destinations_of_ready_mail),
		TEST(test_release_of_states_it_cannot_change_does_nothing),
		TEST(test_cat_streams_all_chunks),
		TEST(test_log_sends_every_attempt),
		TEST(test_sites_sums_up_hops_worst_first),
		TEST(test_status_tells_the_clock_and_the_worst),
		TEST(test_probe_takes_a_site_or_a_domain),
		TEST(test_explain_tells_the_whole_chain),
		TEST(test_metrics_are_complete_prometheus_lines),
		TEST(test_reload_passes_on_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
