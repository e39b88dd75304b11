/* Settings that differ between two printed configurations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "conf/conf.h"
#include "conf/diff.h"

static void note(void *user, struct str name, struct str old_value, struct str new_value)
{
	buf_printf(user, "%.*s: %.*s -> %.*s\n", STR_FMT(name), STR_FMT(old_value),
		STR_FMT(new_value));
}

static void test_diff_names_what_differs(void **state)
{
	static const struct {
		const char *before, *after, *said;
	} cases[] = {
		{ "", "", "" },
		{ "a: 1\nqueue:\n  lifetime: 14d\n", "a: 1\nqueue:\n  lifetime: 14d\n", "" },
		{ "queue:\n  lifetime: 14d\n  node: 0\n", "queue:\n  lifetime: 20d\n  node: 0\n",
			"queue.lifetime: 14d -> 20d\n" },
		{ "hostname: a.test\n", "hostname: b.test\n", "hostname: a.test -> b.test\n" },
		{ "auth:\n  # users: 1 users, hashes not shown\n",
			"auth:\n  # users: 2 users, hashes not shown\n",
			"auth.users: 1 users, hashes not shown -> 2 users, hashes not shown\n" },
		{ "destinations:\n  - match: a.test\n    lifetime: 2d\n  - match: b.test\n    "
		  "lifetime: 3d\n",
			"destinations:\n  - match: b.test\n    lifetime: 4d\n",
			"destinations[b.test].lifetime: 3d -> 4d\n"
			"destinations[a.test]: there -> \n"
			"destinations[a.test].lifetime: 2d -> \n" },
		{ "destinations: []\nlog:\n  level: info\n",
			"destinations:\n  - match: a.test\nlog:\n  level: info\n",
			"destinations[a.test]:  -> there\n" },
		{ "routes:\n  - name: a\n    via: mx\n  - name: a\n    via: mx\n",
			"routes:\n  - name: a\n    via: mx\n  - name: a\n    via: x\n",
			"routes[a #2].via: mx -> x\n" },
		{ "queue:\n  directory: \"\"\n", "queue:\n  directory:\n", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct buf said;

		buf_init(&said, 4096);
		(void)conf_diff(
			str_from_c(cases[i].before), str_from_c(cases[i].after), note, &said);
		assert_string_equal(buf_cstr(&said), cases[i].said);
		buf_fini(&said);
	}
}

static void test_diff_of_a_printed_configuration_with_itself_is_empty(void **state)
{
	struct conf *conf = conf_default();
	struct buf text, said;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_init(&said, 1 << 20);
	conf_print(&text, conf);
	assert_int_equal(conf_diff(buf_str(&text), buf_str(&text), note, &said), 0);
	struct buf before = text;
	conf->policy.lifetime_ms = 20 * INT64_C(86400000);
	conf->client.port = 26;
	buf_init(&text, 1 << 20);
	conf_print(&text, conf);
	assert_int_equal(conf_diff(buf_str(&before), buf_str(&text), note, &said), 2);
	assert_string_equal(
		buf_cstr(&said), "queue.lifetime: 14d -> 20d\ndelivery.port: 25 -> 26\n");
	buf_fini(&before);
	buf_fini(&text);
	buf_fini(&said);
	conf_unref(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff_names_what_differs),
		cmocka_unit_test(test_diff_of_a_printed_configuration_with_itself_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
