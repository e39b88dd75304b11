/* JSON from stored records and bad octets; the guard in front of the parser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "relay/control_json.h"

static void test_text_replaces_what_is_not_utf8(void **state)
{
	static const struct {
		struct str in;
		const char *out;
	} cases[] = {
		{ { "plain", 5 }, "plain" },
		{ { "", 0 }, "" },
		{ { NULL, 0 }, "" },
		{ { "gr\xc3\xbc\xc3\x9f", 6 }, "gr\xc3\xbc\xc3\x9f" },
		{ { "a\xff", 2 }, "a\xef\xbf\xbd" },
		{ { "a\0b", 3 }, "a\xef\xbf\xbd"
				 "b" },
		{ { "\0", 1 }, "\xef\xbf\xbd" },
		{ { "\"\\\x1b\r\n", 5 }, "\"\\\x1b\r\n" },
		{ { "\xff\"\\\n", 4 }, "\xef\xbf\xbd\"\\\n" },
		{ { "\xed\xa0\x80", 3 }, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		json_t *value = json_text(cases[i].in);

		assert_string_equal(json_string_value(value), cases[i].out);
		json_decref(value);
	}
}

static void test_base64_pads(void **state)
{
	static const struct {
		struct str in;
		const char *out;
	} cases[] = { { { "", 0 }, "" }, { { "f", 1 }, "Zg==" }, { { "fo", 2 }, "Zm8=" },
		{ { "foo", 3 }, "Zm9v" }, { { "foobar", 6 }, "Zm9vYmFy" },
		{ { "\xff\xfe\xfd", 3 }, "//79" }, { { "\0", 1 }, "AA==" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		json_t *value = json_base64(cases[i].in);

		assert_string_equal(json_string_value(value), cases[i].out);
		json_decref(value);
	}
}

static void test_depth_counts_brackets_outside_of_strings(void **state)
{
	static const struct {
		struct str text;
		unsigned max;
		bool is_good;
	} cases[] = {
		{ { "{\"a\":[1]}", 9 }, 2, true },
		{ { "{\"a\":[1]}", 9 }, 1, false },
		{ { "\"[[[[\"", 6 }, 0, true },
		{ { "\"\\\"[[[[\"", 8 }, 0, true },
		{ { "\"\\\\\"[", 5 }, 0, false },
		{ { "[][][][]", 8 }, 1, true },
		{ { "]]][", 4 }, 1, true },
		{ { "\"\\", 2 }, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(json_check_depth(cases[i].text, cases[i].max), cases[i].is_good);
}

static void test_message_names_its_queue_as_postfix_would(void **state)
{
	static const struct {
		enum recipient_state first, second;
		uint32_t attempts;
		const char *name;
	} cases[] = {
		{ RECIPIENT_READY, RECIPIENT_READY, 0, "active" },
		{ RECIPIENT_READY, RECIPIENT_READY, 1, "deferred" },
		{ RECIPIENT_WAITING, RECIPIENT_READY, 0, "deferred" },
		{ RECIPIENT_HELD, RECIPIENT_HELD, 3, "hold" },
		{ RECIPIENT_HELD, RECIPIENT_READY, 0, "active" },
		{ RECIPIENT_HELD, RECIPIENT_DELIVERED, 0, "hold" },
		{ RECIPIENT_DELIVERED, RECIPIENT_FAILED, 1, "history" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct queued_recipient recipients[2] = { { .state = cases[i].first,
								  .attempts = cases[i].attempts },
			{ .state = cases[i].second } };
		struct queued_message m = { .recipients = recipients, .recipient_count = 2 };
		json_t *o = json_message(&m, (struct wall){ 1000 });

		assert_string_equal(
			json_string_value(json_object_get(o, "queue_name")), cases[i].name);
		json_decref(o);
	}
}

static void test_instants_that_have_not_happened_are_null(void **state)
{
	json_t *o = json_object();

	(void)state;
	json_put_wall(o, "none", WALL_NONE);
	json_put_wall(o, "never", WALL_NEVER);
	json_put_wall(o, "then", (struct wall){ 1500 });
	assert_true(json_is_null(json_object_get(o, "none")));
	assert_true(json_is_null(json_object_get(o, "never")));
	assert_true(json_number_value(json_object_get(o, "then")) == 1.5);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_replaces_what_is_not_utf8),
		cmocka_unit_test(test_base64_pads),
		cmocka_unit_test(test_depth_counts_brackets_outside_of_strings),
		cmocka_unit_test(test_message_names_its_queue_as_postfix_would),
		cmocka_unit_test(test_instants_that_have_not_happened_are_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
