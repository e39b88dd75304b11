/* Who is let in, what is hashed for it, and what the log says. Passwords by the simulator's sham. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "relay/auth.h"
#include "sim/sim_env.h"

#define LINES_MAX 64

static struct world {
	struct sim_clock clock;
	struct sim_env env;
	struct secret_ops secret;
	struct conf *conf;
	struct conf_user users[2];
	struct smtp_server_info client;
	struct auth *auth;
	unsigned hashes, good, bad, later;
	char lines[LINES_MAX][256];
	unsigned line_count;
} w;

static const struct secret_ops *sham;

static bool on_fits(const char *password, const char *hash)
{
	w.hashes++;
	return sham->fits(password, hash);
}

static void on_emit(struct log *log, const struct log_event *event)
{
	(void)log;
	if (w.line_count < LINES_MAX)
		(void)snprintf(w.lines[w.line_count++], sizeof(w.lines[0]), "%.*s",
			STR_FMT(event->detail));
}

static void be_client(const char *ip, bool is_trusted)
{
	assert_int_equal(endpoint_parse_ip(&w.client.client, str_from_c(ip)), OK);
	w.client.is_trusted = is_trusted;
}

static int open_world(void **state)
{
	memset(&w, 0, sizeof(w));
	sim_clock_init(&w.clock, 1, NULL);
	sim_env_init(&w.env, &w.clock, 0);
	sham = w.env.env.secret;
	w.secret = *sham;
	w.secret.fits = on_fits;
	w.env.env.secret = &w.secret;
	w.env.log.emit = on_emit;
	w.conf = conf_default();
	w.users[0] = (struct conf_user){ STR("ann"), STR("$sim$one") };
	w.users[1] = (struct conf_user){ STR("bob"), STR("$sim$two") };
	w.conf->users = w.users;
	w.conf->user_count = 2;
	w.client.mechanism = STR("PLAIN");
	be_client("192.0.2.7", false);
	w.auth = auth_new(&w.env.env);
	*state = &w;
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	auth_free(w.auth);
	w.conf->users = NULL;
	conf_unref(w.conf);
	sim_env_fini(&w.env);
	sim_clock_fini(&w.clock);
	return 0;
}

static void on_done(void *user, enum smtp_auth_result result)
{
	(void)user;
	w.good += result == SMTP_AUTH_GOOD;
	w.bad += result == SMTP_AUTH_BAD;
	w.later += result == SMTP_AUTH_LATER;
}

static void ask(const char *name, struct str password)
{
	const struct auth_request q = {
		.conf = w.conf,
		.client = &w.client,
		.name = str_from_c(name),
		.password = password,
		.on_done = on_done,
	};

	auth_check(w.auth, &q);
}

static void settle(void)
{
	while (timers_next(&w.env.timers).ms <= sim_now(&w.clock).ms)
		timers_run(&w.env.timers, sim_now(&w.clock));
}

static void expect(const char *name, const char *password, enum smtp_auth_result result)
{
	unsigned good = w.good, bad = w.bad, later = w.later;

	ask(name, str_from_c(password));
	assert_int_equal(w.good + w.bad + w.later, good + bad + later); /* never within the call */
	settle();
	assert_int_equal(w.good - good, result == SMTP_AUTH_GOOD);
	assert_int_equal(w.bad - bad, result == SMTP_AUTH_BAD);
	assert_int_equal(w.later - later, result == SMTP_AUTH_LATER);
}

static void test_auth_hashes_once_for_what_it_remembers(void **state)
{
	(void)state;
	expect("ann", "one", SMTP_AUTH_GOOD);
	expect("ann", "one", SMTP_AUTH_GOOD);
	assert_int_equal(w.hashes, 1);
	expect("ann", "two", SMTP_AUTH_BAD);
	expect("bob", "one", SMTP_AUTH_BAD);
	expect("bob", "two", SMTP_AUTH_GOOD);
	assert_int_equal(w.hashes, 4);
	w.clock.now_ms += 5 * MINUTE_MS;
	expect("ann", "one", SMTP_AUTH_GOOD);
	assert_int_equal(w.hashes, 5);
}

/* A password that was changed counts from the reload on, and so does a user who is gone. */
static void test_auth_forgets_when_the_hash_has_changed(void **state)
{
	(void)state;
	expect("ann", "one", SMTP_AUTH_GOOD);
	w.users[0].hash = STR("$sim$new");
	expect("ann", "one", SMTP_AUTH_BAD);
	expect("ann", "new", SMTP_AUTH_GOOD);
	w.conf->user_count = 0;
	expect("ann", "new", SMTP_AUTH_BAD);
}

static void test_auth_is_not_deceived(void **state)
{
	(void)state;
	/* the first user's hash stands in for that of an unknown one */
	expect("eve", "one", SMTP_AUTH_BAD);
	expect("eve", "one", SMTP_AUTH_BAD);
	/* the part before a NUL is what crypt(3) would see */
	ask("ann", STR("one\0more"));
	settle();
	assert_int_equal(w.bad, 3);
	assert_int_equal(w.good, 0);
	assert_int_equal(w.hashes, 2);
}

static void test_auth_shuts_out_who_guesses_and_nobody_else(void **state)
{
	(void)state;
	w.conf->auth_failures_max = 3;
	for (unsigned i = 0; i < 3; i++)
		expect("ann", "wrong", SMTP_AUTH_BAD);
	expect("ann", "wrong", SMTP_AUTH_LATER);
	expect("ann", "one", SMTP_AUTH_LATER); /* or it could go on guessing */
	assert_int_equal(w.hashes, 3);
	be_client("192.0.2.8", false);
	expect("ann", "one", SMTP_AUTH_GOOD);
	be_client("192.0.2.7", false);
	expect("ann", "one", SMTP_AUTH_LATER); /* remembered or not */
	w.clock.now_ms += 10 * MINUTE_MS;
	expect("ann", "one", SMTP_AUTH_GOOD);
	assert_int_equal(w.line_count, 4);
	assert_string_equal(w.lines[0],
		"warning: unknown[192.0.2.7]: SASL PLAIN authentication failed: wrong password, "
		"sasl_username=ann");
	assert_string_equal(w.lines[3], "warning: unknown[192.0.2.7]: 3 wrong passwords within ten "
					"minutes: AUTH is answered "
					"454 until they are over");
}

static void test_auth_counts_users_apart_behind_a_trusted_address(void **state)
{
	(void)state;
	w.conf->auth_failures_max = 1;
	be_client("127.0.0.1", true);
	expect("ann", "wrong", SMTP_AUTH_BAD);
	expect("ann", "one", SMTP_AUTH_LATER);
	expect("bob", "two", SMTP_AUTH_GOOD);
}

static void test_auth_does_not_hash_what_waited_for_an_address_that_is_out(void **state)
{
	(void)state;
	w.conf->auth_failures_max = 5;
	for (unsigned i = 0; i < 50; i++)
		ask("ann", STR("wrong"));
	settle();
	assert_int_equal(w.bad + w.later, 50);
	assert_true(w.hashes < 5 + AUTH_RUNNING_MAX);
}

static void test_auth_lets_few_wait(void **state)
{
	(void)state;
	w.conf->auth_failures_max = 0;
	for (unsigned i = 0; i < AUTH_RUNNING_MAX + AUTH_WAITING_MAX + 10; i++)
		ask("ann", STR("wrong"));
	settle();
	assert_int_equal(w.hashes, AUTH_RUNNING_MAX + AUTH_WAITING_MAX);
	assert_int_equal(w.later, 10);
	assert_int_equal(w.bad, AUTH_RUNNING_MAX + AUTH_WAITING_MAX);
	unsigned said = 0;
	for (unsigned i = 0; i < w.line_count; i++)
		said += strstr(w.lines[i], "wait to be checked") != NULL;
	assert_int_equal(said, 1);
}

static void test_auth_may_end_while_some_wait(void **state)
{
	(void)state;
	for (unsigned i = 0; i < AUTH_WAITING_MAX + 10; i++)
		ask("ann", STR("one"));
	settle();
	ask("ann", STR("one")); /* its answer is known */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		TEST(test_auth_hashes_once_for_what_it_remembers),
		TEST(test_auth_forgets_when_the_hash_has_changed),
		TEST(test_auth_is_not_deceived),
		TEST(test_auth_shuts_out_who_guesses_and_nobody_else),
		TEST(test_auth_counts_users_apart_behind_a_trusted_address),
		TEST(test_auth_does_not_hash_what_waited_for_an_address_that_is_out),
		TEST(test_auth_lets_few_wait),
		TEST(test_auth_may_end_while_some_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
