/* Log lines: their shape, and that no value can leave its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "base/log.h"

static void assert_text(const struct log_event *event, const char *expected)
{
	struct buf b;
	buf_init(&b, 4000);
	log_format_text(&b, event);
	assert_string_equal(buf_cstr(&b), expected);
	buf_fini(&b);
}

static void test_log_text_has_the_shape_of_postfix(void **state)
{
	(void)state;
	const struct log_field fields[] = {
		{ "to", STR("a@example.org"), LOG_BRACKETED, false },
		{ "attempt", STR("3"), LOG_PLAIN, true },
		{ "relay", STR("mx.example.org[192.0.2.1]:25"), LOG_PLAIN, false },
		{ "status", STR("sent"), LOG_PLAIN, false },
		{ "site", STR("hq"), LOG_PLAIN, true },
	};
	struct log_event event = { LOG_INFO, "smtp", STR("4Xy"), fields, 5, STR("250 2.0.0 Ok") };
	assert_text(&event,
		"4Xy: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, status=sent "
		"(250 2.0.0 Ok) attempt=3 site=hq");
	event.detail = STR("");
	assert_text(&event,
		"4Xy: to=<a@example.org>, relay=mx.example.org[192.0.2.1]:25, status=sent "
		"attempt=3 site=hq");
	event = (struct log_event){ LOG_INFO, "qmgr", STR("4Xy"), NULL, 0, STR("removed") };
	assert_text(&event, "4Xy: removed");
	event.id = STR("");
	assert_text(&event, "removed");
	event = (struct log_event){ LOG_INFO, "smtpd", STR(""), fields, 1, STR("") };
	assert_text(&event, "to=<a@example.org>");
	event.fields = &fields[1];
	assert_text(&event, "attempt=3");
	event.detail = STR("why");
	assert_text(&event, "(why) attempt=3");
}

static void test_log_text_values_cannot_be_forged(void **state)
{
	(void)state;
	const struct log_field fields[] = {
		{ "from", STR("x>, status=sent (ok)\r\nfake<"), LOG_BRACKETED, false },
		{ "to", STR(""), LOG_BRACKETED, false },
		{ "helo", STR("a\nb\xff<>"), LOG_PLAIN, false },
	};
	struct log_event event = { LOG_INFO, "smtp", STR("4\n"), fields, 3,
		STR("no\nway\x1b[2J%s") };
	assert_text(&event, "4\\x0a: from=<x\\x3e, status=sent (ok)\\x0d\\x0afake\\x3c>, to=<>, "
			    "helo=a\\x0ab\\xff<> (no\\x0away\\x1b[2J%s)");
}

static void test_log_json_is_one_object(void **state)
{
	(void)state;
	const struct log_field fields[] = {
		{ "to", STR("\"a b\"@example.org"), LOG_BRACKETED, false },
		{ "attempt", STR("3"), LOG_PLAIN, true },
	};
	struct log_event event = { LOG_WARNING, "smtp", STR("4Xy"), fields, 2, STR("line\n\xff") };
	struct buf b;
	buf_init(&b, 4000);
	log_format_json(&b, &event, (struct wall){ 1674551700123 });
	assert_string_equal(buf_cstr(&b),
		"{\"time\":\"2023-01-24T09:15:00.123Z\",\"level\":\"warning\",\"program\":\"smtp\","
		"\"id\":\"4Xy\",\"to\":\"\\\"a b\\\"@example.org\",\"attempt\":\"3\","
		"\"detail\":\"line\\u000a\xef\xbf\xbd\"}");
	buf_clear(&b);
	event = (struct log_event){ .level = LOG_DEBUG, .program = "qmgr" };
	log_format_json(&b, &event, (struct wall){ 0 });
	assert_string_equal(buf_cstr(&b),
		"{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"debug\",\"program\":\"qmgr\"}");
	buf_fini(&b);
}

struct sink {
	struct log log;
	unsigned count;
	size_t last_len;
	char last[64];
};

static void on_emit(struct log *log, const struct log_event *event)
{
	struct sink *sink = CONTAINER_OF(log, struct sink, log);
	size_t len = event->detail.len < 63 ? event->detail.len : 63;
	sink->count++;
	sink->last_len = event->detail.len;
	if (len > 0)
		memcpy(sink->last, event->detail.data, len);
	sink->last[len] = '\0';
}

static void test_log_drops_events_above_its_level(void **state)
{
	(void)state;
	struct sink sink = { .log = { LOG_NOTICE, on_emit } };
	const struct log_event notice = { .level = LOG_NOTICE, .program = "smtp" };
	const struct log_event info = { .level = LOG_INFO, .program = "smtp" };
	log_event(&sink.log, &info);
	log_text(&sink.log, LOG_DEBUG, "smtp", "%d", 1);
	assert_int_equal(sink.count, 0);
	log_event(&sink.log, &notice);
	log_text(&sink.log, LOG_ERROR, "smtp", "%d of %s", 1, "two");
	assert_int_equal(sink.count, 2);
	assert_string_equal(sink.last, "1 of two");
	log_text(&sink.log, LOG_ERROR, "smtp", "%5000d", 1);
	assert_int_equal(sink.last_len, 2047);
}

static void test_log_level_names_differ(void **state)
{
	(void)state;
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		for (int j = LOG_ERROR; j < i; j++)
			assert_string_not_equal(log_level_name((enum log_level)i),
				log_level_name((enum log_level)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_text_has_the_shape_of_postfix),
		cmocka_unit_test(test_log_text_values_cannot_be_forged),
		cmocka_unit_test(test_log_json_is_one_object),
		cmocka_unit_test(test_log_drops_events_above_its_level),
		cmocka_unit_test(test_log_level_names_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
