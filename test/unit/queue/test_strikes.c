/* Who had too many wrong passwords, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "queue/strikes.h"

static struct strikes_key key_of(const char *ip, uint64_t user)
{
	struct endpoint client;

	assert_int_equal(endpoint_parse_ip(&client, str_from_c(ip)), OK);
	client.port = 40000; /* no part of it */
	return strikes_key(&client, user);
}

static void test_strikes_are_out_until_the_window_is_over(void **state)
{
	(void)state;
	struct strikes s;
	struct strikes_key key = key_of("192.0.2.1", 0);
	struct mono now = { 1000 };

	strikes_init(&s, 1);
	assert_false(strikes_add(&s, &key, 3, now));
	now.ms += STRIKES_WINDOW_MS - 2;
	assert_false(strikes_add(&s, &key, 3, now));
	assert_false(strikes_are_out(&s, &key, 3, now));
	assert_true(strikes_add(&s, &key, 3, now));
	assert_false(strikes_add(&s, &key, 3, now)); /* said once */
	assert_true(strikes_are_out(&s, &key, 3, now));
	assert_true(strikes_are_out(&s, &key, 3, (struct mono){ now.ms + 1 }));
	assert_false(strikes_are_out(&s, &key, 0, now));
	now.ms += 2;
	assert_false(strikes_are_out(&s, &key, 3, now));
	assert_false(strikes_add(&s, &key, 3, now)); /* the first of a new window */
	assert_false(strikes_are_out(&s, &key, 3, now));
	strikes_fini(&s);
}

static void test_strikes_are_counted_by_address_network_and_user(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		uint64_t user_a, user_b;
		bool is_same;
	} pairs[] = {
		{ "192.0.2.1", "192.0.2.1", 0, 0, true },
		{ "192.0.2.1", "192.0.2.2", 0, 0, false },
		{ "192.0.2.1", "192.0.2.1", 1, 2, false },
		{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 0, 0, true },
		{ "2001:db8:1:2::1", "2001:db8:1:3::1", 0, 0, false },
		{ "192.0.2.1", "c000:201::", 0, 0, false },
		{ "192.0.2.1", "::ffff:192.0.2.1", 0, 0, true },
		{ "::ffff:192.0.2.2", "::ffff:192.0.2.1", 0, 0, false },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct strikes s;
		struct strikes_key a = key_of(pairs[i].a, pairs[i].user_a);
		struct strikes_key b = key_of(pairs[i].b, pairs[i].user_b);

		strikes_init(&s, 1);
		assert_true(strikes_add(&s, &a, 1, (struct mono){ 0 }));
		assert_int_equal(strikes_are_out(&s, &b, 1, (struct mono){ 0 }), pairs[i].is_same);
		strikes_fini(&s);
	}
}

static void test_strikes_table_is_bounded_and_forgets_the_oldest(void **state)
{
	(void)state;
	struct strikes s;
	struct strikes_key first = key_of("192.0.2.1", 0), second = key_of("192.0.2.2", 0);
	struct mono now = { 0 };

	strikes_init(&s, 1);
	strikes_add(&s, &first, 2, now);
	strikes_add(&s, &second, 2, now);
	strikes_add(&s, &first, 2, now);
	for (uint64_t user = 1; user < STRIKES_ENTRIES_MAX; user++) {
		struct strikes_key other = key_of("192.0.2.3", user);
		strikes_add(&s, &other, 2, now);
	}
	assert_int_equal(s.entries.count, STRIKES_ENTRIES_MAX);
	assert_true(strikes_are_out(&s, &first, 2, now));
	assert_false(strikes_add(&s, &second, 2, now)); /* it was forgotten */
	strikes_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strikes_are_out_until_the_window_is_over),
		cmocka_unit_test(test_strikes_are_counted_by_address_network_and_user),
		cmocka_unit_test(test_strikes_table_is_bounded_and_forgets_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
