/* Mail for relay-domains from anybody: asked, remembered, put off, never relayed elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fixture_caller.h"
#include "queue/mailboxes.h"
#include "relay/guard.h"

#define STRANGER "203.0.113.77"
#define BEGIN "EHLO c\r\nMAIL FROM:<a@elsewhere.test>\r\n"
#define TAKEN "250 2.1.5 recipient ok\r\n"
#define REFUSED "550 5.1.1 no such user\r\n"
#define UNKNOWN "550 5.1.1 No such recipient here\r\n"
#define UNSURE "450 4.1.1 Recipient cannot be verified now, try again later\r\n"
#define NOWHERE "451 4.3.5 Mail for this domain has nowhere to go from here, try again later\r\n"
#define DENIED                                                                                     \
	"550 5.7.1 Relaying denied: client is not in a trusted network and not authenticated\r\n"

static struct conf_relay_domain domains[2];

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	domains[0] = (struct conf_relay_domain){ .pattern = STR("dest.test") };
	domains[1] = (struct conf_relay_domain){ .pattern = STR("*.own.test") };
	f.conf->relay_domains = domains;
	f.conf->relay_domain_count = 2;
	f.refuse_at = "RCPT TO:<no";
	f.refuse_text = "550 5.1.1 no such user\r\n";
	fixture_relay_start(&f);
	fixture_relay_run(&f, SECOND_MS);
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static void begin(struct caller *c, struct fixture_relay *f, const char *from)
{
	caller_dial(c, f, from);
	caller_say(c, BEGIN, SECOND_MS);
}

static const char *rcpt(struct caller *c, const char *address)
{
	char line[300];

	(void)snprintf(line, sizeof(line), "RCPT TO:<%s>\r\n", address);
	return caller_say(c, line, SECOND_MS);
}

static void test_verify_asks_and_remembers(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "no@dest.test"), REFUSED);
	assert_int_equal(f->rcpt_count, 2);
	/* whatever its case, and without another question */
	assert_string_equal(rcpt(&c, "YES@DEST.test"), TAKEN);
	assert_string_equal(rcpt(&c, "No@dest.test"), UNKNOWN);
	assert_int_equal(f->rcpt_count, 2);
	assert_int_equal(f->data_count, 0);
	/* the mail itself */
	assert_non_null(strstr(caller_say(&c, "DATA\r\n", SECOND_MS), "354 "));
	assert_non_null(
		strstr(caller_say(&c, "x\r\n.\r\n", 10 * SECOND_MS), "250 2.0.0 Ok: queued"));
	assert_int_equal(f->delivered, 1);
	caller_end(&c);
	/* after a restart the store knows */
	fixture_relay_end(f);
	fixture_relay_start(f);
	f->rcpt_count = 0;
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "no@dest.test"), REFUSED);
	assert_int_equal(f->rcpt_count, 0);
	caller_end(&c);
}

static void test_verify_asks_again_in_time(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	begin(&c, f, STRANGER);
	rcpt(&c, "no@dest.test");
	rcpt(&c, "yes@dest.test");
	caller_end(&c);
	f->rcpt_count = 0;
	fixture_relay_run(f, 3 * HOUR_MS);
	begin(&c, f, STRANGER);
	f->refuse_at = NULL; /* the mailbox was made meanwhile */
	assert_string_equal(rcpt(&c, "no@dest.test"), TAKEN);
	assert_int_equal(f->rcpt_count, 1);
	caller_end(&c);
	/* after 7 days the old word is the answer, and a new one is fetched */
	fixture_relay_run(f, 7 * DAY_MS);
	f->rcpt_count = 0;
	f->refuse_at = "RCPT TO:<yes";
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
	assert_int_equal(f->rcpt_count, 1);
	assert_string_equal(rcpt(&c, "yes@dest.test"), UNKNOWN);
	caller_end(&c);
}

static void test_verify_takes_what_is_known_while_the_next_hop_is_down(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	begin(&c, f, STRANGER);
	rcpt(&c, "yes@dest.test");
	guard_note_known(f->relay, STR("customer@dest.test"), env_wall(&f->env.env));
	caller_end(&c);
	f->is_refusing = true;
	fixture_relay_run(f, 6 * MINUTE_MS); /* the session to it is closed */
	begin(&c, f, STRANGER);
	uint32_t connects = f->connects;
	assert_string_equal(rcpt(&c, "stranger@dest.test"), UNSURE);
	assert_true(f->connects > connects);
	/* it is not asked for each address */
	connects = f->connects;
	assert_string_equal(rcpt(&c, "customer@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "other@dest.test"), UNSURE);
	assert_int_equal(f->connects, connects);
	caller_end(&c);
	/* after a start it takes one question to find that out */
	fixture_relay_end(f);
	fixture_relay_down(f, wall_add(env_wall(&f->env.env), DAY_MS));
	(void)fixture_relay_store(f, "s@sender.test", "dest.test", 1);
	fixture_relay_start(f);
	fixture_relay_run(f, MINUTE_MS);
	connects = f->connects;
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "stranger@dest.test"), UNSURE);
	assert_string_equal(rcpt(&c, "another@dest.test"), UNSURE);
	assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
	assert_true(f->connects - connects <= 1);
	caller_end(&c);
}

static void test_verify_is_unsure_of_what_is_no_word_about_the_mailbox(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	begin(&c, f, STRANGER);
	f->defer_count = 1; /* greylisting */
	assert_string_equal(rcpt(&c, "a@dest.test"), UNSURE);
	f->refuse_at = "RCPT TO:<b";
	f->refuse_text = "550 5.7.1 your address is on a list\r\n";
	assert_string_equal(rcpt(&c, "b@dest.test"), UNSURE);
	f->drop_at = "MAIL";
	assert_string_equal(rcpt(&c, "c@dest.test"), UNSURE);
	f->drop_at = NULL;
	/* nothing of this was remembered */
	f->refuse_at = NULL;
	assert_string_equal(rcpt(&c, "a@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "b@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "c@dest.test"), TAKEN);
	caller_end(&c);
}

static void test_verify_bounds_a_slow_next_hop(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c[12];

	f->rcpt_delay_ms = 5 * MINUTE_MS;
	for (int i = 0; i < 2; i++)
		begin(&c[i], f, STRANGER);
	/* two clients, one address: one question */
	for (int i = 0; i < 2; i++)
		assert_string_equal(rcpt(&c[i], "slow@dest.test"), "");
	assert_int_equal(f->rcpt_count, 1);
	for (int i = 0; i < 2; i++)
		assert_string_equal(caller_hear(&c[i], i == 0 ? 30 * SECOND_MS : 0), UNSURE);
	for (int i = 0; i < 2; i++)
		caller_end(&c[i]);
	/* many addresses: a few questions at a time, and all are answered */
	fixture_relay_run(f, 10 * MINUTE_MS);
	f->rcpt_count = 0;
	for (int i = 0; i < 12; i++)
		begin(&c[i], f, STRANGER);
	uint32_t connects = f->connects;
	for (int i = 0; i < 12; i++) {
		char line[100];
		(void)snprintf(line, sizeof(line), "RCPT TO:<u%d@dest.test>\r\n", i);
		sim_sock_write(c[i].conn, str_from_c(line));
	}
	for (int i = 0; i < 12; i++)
		assert_string_equal(caller_hear(&c[i], i == 0 ? 10 * SECOND_MS : 0), TAKEN);
	assert_int_equal(f->rcpt_count, 12);
	assert_true(f->connects - connects <= 4);
	for (int i = 0; i < 12; i++)
		caller_end(&c[i]);
}

static void test_verify_leaves_nothing_behind_a_client_that_goes(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	f->rcpt_delay_ms = 10 * SECOND_MS;
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "slow@dest.test"), "");
	sim_sock_close(c.conn, true);
	c.conn = NULL;
	fixture_relay_run(f, MINUTE_MS);
	caller_end(&c);
	/* a stop in the middle of a question */
	f->rcpt_delay_ms = 10 * SECOND_MS;
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "slower@dest.test"), "");
	fixture_relay_stop(f);
	assert_non_null(strstr(caller_hear(&c, MINUTE_MS), "421 4.3.2 "));
	assert_true(f->is_stopped);
	caller_end(&c);
	/* and an end */
	fixture_relay_end(f);
	fixture_relay_start(f);
	f->rcpt_delay_ms = 10 * SECOND_MS;
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "slowest@dest.test"), "");
	fixture_relay_end(f);
	caller_end(&c);
}

static void test_verify_never_relays_elsewhere(void **state)
{
	struct fixture_relay *f = *state;
	struct caller c;

	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "a@other.test"), DENIED);
	assert_string_equal(rcpt(&c, "@dest.test:a@other.test"), DENIED);
	assert_string_equal(rcpt(&c, "a@sub.dest.test"), DENIED);
	assert_string_equal(rcpt(&c, "a@dest.test.other.test"), DENIED);
	assert_string_equal(rcpt(&c, "a@[127.0.0.1]"), DENIED);
	/* local parts are opaque: these are dest.test's to judge */
	assert_string_equal(rcpt(&c, "no%other.test@dest.test"), REFUSED);
	assert_string_equal(rcpt(&c, "no!other.test@dest.test"), REFUSED);
	caller_end(&c);
	/* who may relay anyway is not checked */
	f->rcpt_count = 0;
	begin(&c, f, "127.0.0.1");
	assert_string_equal(rcpt(&c, "no@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "no@other.test"), TAKEN);
	assert_int_equal(f->rcpt_count, 0);
	caller_end(&c);
}

static void test_verify_puts_off_what_would_come_back(void **state)
{
	struct fixture_relay *f = *state;
	struct endpoint at;
	struct caller c;

	assert_int_equal(endpoint_parse_ip(&at, STR("203.0.113.1")), OK);
	sim_dns_add_mx(&f->dns, STR("a.own.test"), 10, f->conf->hostname);
	sim_dns_add_address(&f->dns, f->conf->hostname, &at);
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "a@a.own.test"), NOWHERE);
	assert_string_equal(rcpt(&c, "a@gone.own.test"), NOWHERE);
	caller_end(&c);
}

static void test_verify_knows_lists(void **state)
{
	static struct str listed[] = { { "@all.own.test", 13 }, { "a@a.own.test", 12 },
		{ "b@dest.test", 11 } };
	struct fixture_relay *f = *state;
	struct endpoint at;
	struct caller c;

	for (int i = 0; i < 2; i++) {
		domains[i].recipients = STR("/etc/outlast/addresses");
		domains[i].addresses = listed;
		domains[i].address_count = 3;
	}
	assert_int_equal(endpoint_parse_ip(&at, STR("203.0.113.1")), OK);
	sim_dns_add_mx(&f->dns, STR("all.own.test"), 10, STR("mx.dest.test"));
	sim_dns_add_mx(&f->dns, STR("a.own.test"), 10, f->conf->hostname);
	sim_dns_add_address(&f->dns, f->conf->hostname, &at);
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "B@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "b@dest.test"), TAKEN);
	assert_string_equal(rcpt(&c, "c@dest.test"), UNKNOWN);
	assert_string_equal(rcpt(&c, "anybody@all.own.test"), TAKEN);
	assert_string_equal(rcpt(&c, "a@a.own.test"), NOWHERE);
	assert_int_equal(f->connects, 0); /* nobody was asked */
	/* the primary and its DNS are away: that is what a backup is for */
	f->is_refusing = true;
	(void)sim_dns_set(&f->dns, STR("*"), ZONE_TIMEOUT, false);
	fixture_relay_run(f, HOUR_MS);
	caller_end(&c);
	begin(&c, f, STRANGER);
	assert_string_equal(rcpt(&c, "b@dest.test"), "");
	assert_string_equal(caller_hear(&c, MINUTE_MS), TAKEN);
	caller_end(&c);
}

/* Backscatter: whom a stranger names as the sender hears nothing of how long the primary has been down. */
static void test_verify_tells_nobody_of_delays_of_what_strangers_sent(void **state)
{
	static const struct {
		const char *from;
		uint32_t delivered; /* the message, and the notice */
	} rows[] = { { STRANGER, 1 }, { "127.0.0.1", 2 } };
	struct fixture_relay *f = *state;
	struct caller c;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		caller_dial(&c, f, rows[i].from);
		caller_say(&c, "EHLO c\r\nMAIL FROM:<s@other.test> ENVID=1\r\n", SECOND_MS);
		assert_string_equal(rcpt(&c, "yes@dest.test"), TAKEN);
		f->is_refusing = true;
		fixture_relay_run(f, 2 * MINUTE_MS);
		assert_non_null(
			strstr(caller_say(&c, "DATA\r\nSubject: s\r\n\r\nx\r\n.\r\n", SECOND_MS),
				"\r\n250 "));
		caller_end(&c);
		f->delivered = 0;
		fixture_relay_run(f, 7 * HOUR_MS);
		assert_int_equal(f->delivered, 0);
		f->is_refusing = false;
		fixture_relay_run(f, 3 * HOUR_MS);
		assert_int_equal(f->delivered, rows[i].delivered);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
		TEST(test_verify_asks_and_remembers),
		TEST(test_verify_asks_again_in_time),
		TEST(test_verify_takes_what_is_known_while_the_next_hop_is_down),
		TEST(test_verify_is_unsure_of_what_is_no_word_about_the_mailbox),
		TEST(test_verify_bounds_a_slow_next_hop),
		TEST(test_verify_leaves_nothing_behind_a_client_that_goes),
		TEST(test_verify_never_relays_elsewhere),
		TEST(test_verify_puts_off_what_would_come_back),
		TEST(test_verify_knows_lists),
		TEST(test_verify_tells_nobody_of_delays_of_what_strangers_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
