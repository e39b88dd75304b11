/* Mail that is READY is looked at again whatever happens in between, and no message is started twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static void test_a_site_that_slept_is_probed_when_its_mail_is_loaded(void **state)
{
	struct fixture_relay *f = *state;
	uint64_t id;

	fixture_relay_down(f, WALL_NEVER);
	fixture_relay_start(f);
	fixture_relay_run(f, MINUTE_MS);
	id = fixture_relay_store(f, "a@from.test", "dest.test", 1);
	fixture_relay_offer(f, id, "a@from.test", "dest.test");
	fixture_relay_run(f, MINUTE_MS);
	assert_int_equal(f->delivered, 1);
}

static void test_a_retry_that_comes_due_wakes_a_site_that_slept(void **state)
{
	struct fixture_relay *f = *state;

	f->defer_count = 1;
	fixture_relay_store(f, "a@from.test", "dest.test", 1);
	fixture_relay_start(f);
	fixture_relay_run(f, MINUTE_MS);
	assert_int_equal(fixture_relay_count(f, RECIPIENT_WAITING), 1);
	fixture_relay_end(f);
	fixture_relay_down(f, WALL_NEVER);
	fixture_relay_start(f);
	fixture_relay_run(f, HOUR_MS);
	assert_int_equal(f->delivered, 1);
}

static void test_a_recipient_that_comes_due_during_an_attempt_of_its_message_is_tried_after_it(
	void **state)
{
	struct fixture_relay *f = *state;

	f->defer_count = 2;
	fixture_relay_store(f, "a@from.test", "dest.test", 2);
	fixture_relay_start(f);
	fixture_relay_run(f, MINUTE_MS);
	assert_int_equal(fixture_relay_count(f, RECIPIENT_WAITING), 2);
	f->rcpt_delay_ms = 3 * MINUTE_MS;
	fixture_relay_run(f, 20 * MINUTE_MS);
	assert_int_equal(fixture_relay_count(f, RECIPIENT_DELIVERED), 2);
}

static void test_a_message_claimed_before_it_is_offered_is_sent_once(void **state)
{
	struct fixture_relay *f = *state;
	uint64_t id = fixture_relay_store(f, "a@from.test", "dest.test", 1);

	f->rcpt_delay_ms = 10 * SECOND_MS;
	fixture_relay_start(f);
	fixture_relay_run(f, 5 * SECOND_MS);
	fixture_relay_offer(f, id, "a@from.test", "dest.test");
	fixture_relay_run(f, 10 * MINUTE_MS);
	assert_int_equal(f->delivered, 1);
	assert_int_equal(f->connects, 1);
}

static void test_more_recipients_than_a_transaction_has_do_not_turn_the_claim(void **state)
{
	struct fixture_relay *f = *state;
	uint64_t before;

	f->conf->policy.recipients_per_message = 2;
	f->rcpt_delay_ms = 100 * SECOND_MS;
	fixture_relay_store(f, "a@from.test", "dest.test", 5);
	fixture_relay_start(f);
	fixture_relay_run(f, 5 * SECOND_MS);
	before = f->reads;
	fixture_relay_run(f, 90 * SECOND_MS);
	assert_in_range(f->reads - before, 0, 120);
	fixture_relay_run(f, 10 * MINUTE_MS);
	assert_int_equal(fixture_relay_count(f, RECIPIENT_DELIVERED), 5);
	assert_int_equal(f->delivered, 3);
}

static void test_a_probe_that_fails_after_mail_waits_for_the_next(void **state)
{
	struct fixture_relay *f = *state;

	for (int i = 0; i < 30; i++)
		fixture_relay_store(f, "a@from.test", "dest.test", 1);
	fixture_relay_down(f, wall_add(env_wall(&f->env.env), MINUTE_MS));
	f->drop_at = "DATA";
	fixture_relay_start(f);
	fixture_relay_run(f, 5 * MINUTE_MS);
	assert_in_range(f->connects, 1, 2);
	assert_in_range(fixture_relay_count(f, RECIPIENT_READY), 28, 29);
}

static void test_a_site_that_goes_down_twice_moves_all_its_mail_in_the_end(void **state)
{
	struct fixture_relay *f = *state;

	fixture_relay_start(f);
	for (int round = 0; round < 3; round++) {
		f->is_refusing = true;
		for (int i = 0; i < 20; i++) {
			const char *domain = i % 2 ? "dest.test" : "other.test";
			uint64_t id = fixture_relay_store(f, "a@from.test", domain, 1);

			fixture_relay_offer(f, id, "a@from.test", domain);
		}
		fixture_relay_run(f, 20 * MINUTE_MS);
		f->is_refusing = false;
		fixture_relay_run(f, 2 * MINUTE_MS);
	}
	fixture_relay_run(f, 3 * HOUR_MS);
	assert_int_equal(f->delivered, 60);
}

static void test_stop_does_not_wait_for_its_grace_when_only_reads_are_open(void **state)
{
	struct fixture_relay *f = *state;

	fixture_relay_store(f, "a@from.test", "dest.test", 1);
	fixture_relay_start(f);
	for (int turns = 0; map_first(&f->relay->hops) == NULL && turns < 100; turns++)
		fixture_relay_run(f, 0);
	fixture_relay_stop(f);
	fixture_relay_run(f, SECOND_MS);
	assert_true(f->is_stopped);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
	const struct CMUnitTest tests[] = {
		TEST(test_a_site_that_slept_is_probed_when_its_mail_is_loaded),
		TEST(test_a_retry_that_comes_due_wakes_a_site_that_slept),
		TEST(test_a_recipient_that_comes_due_during_an_attempt_of_its_message_is_tried_after_it),
		TEST(test_a_message_claimed_before_it_is_offered_is_sent_once),
		TEST(test_more_recipients_than_a_transaction_has_do_not_turn_the_claim),
		TEST(test_a_probe_that_fails_after_mail_waits_for_the_next),
		TEST(test_a_site_that_goes_down_twice_moves_all_its_mail_in_the_end),
		TEST(test_stop_does_not_wait_for_its_grace_when_only_reads_are_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
