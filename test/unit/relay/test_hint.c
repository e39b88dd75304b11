/* What makes a site that is down be probed before its time: mail from a host of it, a word for a domain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"
#include "relay/hint.h"

static struct endpoint at(const char *ip)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_ip(&e, str_from_c(ip)), OK);
	e.port = 40000; /* whatever port it came from */
	return e;
}

static void test_mail_from_a_host_of_the_site_is_a_hint(void **state)
{
	struct fixture_relay *f = *state;
	struct endpoint host = at("203.0.113.9");

	assert_true(hint_may_know(f->relay));
	hint_note_client(f->relay, &host);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(f->delivered, 1);
	assert_false(hint_may_know(f->relay)); /* it is up */
}

static void test_mail_from_elsewhere_is_none(void **state)
{
	struct fixture_relay *f = *state;
	struct endpoint host = at("203.0.113.10");

	hint_note_client(f->relay, &host);
	fixture_relay_run(f, MINUTE_MS);
	assert_int_equal(f->connects, 1);
}

static void test_many_messages_are_one_hint_a_minute(void **state)
{
	struct fixture_relay *f = *state;
	struct endpoint host = at("203.0.113.9");

	f->is_refusing = true;
	for (int i = 0; i < 100; i++) {
		hint_note_client(f->relay, &host);
		fixture_relay_run(f, SECOND_MS);
	}
	assert_in_range(f->connects, 2, 4);
}

static void test_a_word_for_a_domain_is_a_hint(void **state)
{
	struct fixture_relay *f = *state;

	hint_probe(f->relay, STR("Dest.Test"));
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(f->delivered, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_mail_from_a_host_of_the_site_is_a_hint, fixture_relay_open_asleep, fixture_relay_close_asleep),
		cmocka_unit_test_setup_teardown(
			test_mail_from_elsewhere_is_none, fixture_relay_open_asleep, fixture_relay_close_asleep),
		cmocka_unit_test_setup_teardown(
			test_many_messages_are_one_hint_a_minute, fixture_relay_open_asleep, fixture_relay_close_asleep),
		cmocka_unit_test_setup_teardown(
			test_a_word_for_a_domain_is_a_hint, fixture_relay_open_asleep, fixture_relay_close_asleep),
	};
	return cmocka_run_group_tests_name("relay/hint", tests, NULL, NULL);
}
