/* ETRN: whose mail is tried now, and what the client hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"
#include "relay/intake_private.h"

static void check(struct fixture_relay *f, const char *node, unsigned code, unsigned delivered)
{
	struct smtp_answer answer = { 0 };

	etrn_start(f->relay, str_from_c(node), &answer);
	fixture_relay_run(f, 10 * SECOND_MS);
	if (answer.code != code || f->delivered != delivered)
		print_error("node %s\n", node);
	assert_int_equal(answer.code, code);
	assert_int_equal(answer.status.klass, code / 100);
	assert_int_equal(f->delivered, delivered);
}

static void test_etrn_of_the_domain_starts_its_mail(void **state)
{
	check(*state, "Dest.Test", 250, 1);
}

static void test_etrn_of_a_domain_and_those_below_it(void **state)
{
	check(*state, "@st.test", 250, 0); /* dest.test only ends so */
	check(*state, "@test", 250, 1);
}

static void test_etrn_of_others_starts_nothing(void **state)
{
	static const char *const none[] = { "", "@", "#", "a b", "-x.test", "@.test", "a..test",
		"[192.0.2.1]", "&x", "\xff.test", "' OR 1=1 --" };
	struct fixture_relay *f = *state;

	check(f, "other.test", 250, 0);
	check(f, "st.test", 250, 0);
	check(f, "#no-such-route", 458, 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		check(f, none[i], none[i][0] == '#' ? 458 : 501, 0);
	assert_int_equal(f->connects, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_etrn_of_the_domain_starts_its_mail, fixture_relay_open_asleep, fixture_relay_close_asleep),
		cmocka_unit_test_setup_teardown(
			test_etrn_of_a_domain_and_those_below_it, fixture_relay_open_asleep, fixture_relay_close_asleep),
		cmocka_unit_test_setup_teardown(
			test_etrn_of_others_starts_nothing, fixture_relay_open_asleep, fixture_relay_close_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
