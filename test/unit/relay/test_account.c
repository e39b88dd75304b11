/* What user-rules let a user do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/account.h"
#include "sim/sim_env.h"

static struct world {
	struct sim_clock clock;
	struct sim_env env;
	struct conf *conf;
	struct conf_user_rule rules[2];
	struct str senders[2];
	struct accounts *accounts;
	struct smtp_server_info info;
	struct smtp_transaction *t;
	struct smtp_answer answer;
} w;

static int open_world(void **state)
{
	memset(&w, 0, sizeof(w));
	sim_clock_init(&w.clock, 1, NULL);
	sim_env_init(&w.env, &w.clock, 0);
	w.conf = conf_default();
	w.senders[0] = STR("noreply@shop.test");
	w.senders[1] = STR("*@ann.test");
	w.rules[0] = (struct conf_user_rule){
		.pattern = STR("ann*"), .senders = w.senders, .sender_count = 2
	};
	w.rules[1] = (struct conf_user_rule){
		.pattern = STR("*"), .messages_per_hour = 3, .recipients_per_hour = 10
	};
	w.conf->user_rules = w.rules;
	w.conf->user_rule_count = 2;
	w.accounts = accounts_new(&w.env.env);
	w.t = mem_zalloc(sizeof(*w.t));
	*state = &w;
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	smtp_transaction_free(w.t);
	accounts_free(w.accounts);
	conf_unref(w.conf);
	sim_env_fini(&w.env);
	sim_clock_fini(&w.clock);
	return 0;
}

static unsigned mail(const char *user, const char *sender)
{
	smtp_transaction_free(w.t);
	w.t = mem_zalloc(sizeof(*w.t));
	w.answer = (struct smtp_answer){ 0 };
	w.info.user = str_from_c(user);
	w.t->env.reverse_path = str_from_c(sender);
	w.t->env.user = account_name(&w.info);
	account_on_mail(w.accounts, w.conf, w.t, &w.answer);
	return w.answer.code;
}

static unsigned rcpt(void)
{
	w.answer = (struct smtp_answer){ 0 };
	account_on_rcpt(w.accounts, w.conf, w.t, &w.answer);
	if (w.answer.code == 0)
		w.t->env.recipient_count++;
	return w.answer.code;
}

static unsigned data(void)
{
	w.answer = (struct smtp_answer){ 0 };
	account_on_data(w.accounts, w.conf, w.t, &w.answer);
	return w.answer.code;
}

static void test_account_sends_from_its_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *user, *sender;
		unsigned code;
	} rows[] = {
		{ "ann", "noreply@shop.test", 0 }, { "ann", "NoReply@SHOP.test", 0 },
		{ "annabel", "x@ann.test", 0 }, { "ann", "", 0 }, /* RFC 8098 section 3 */
		{ "ann", "x@shop.test", 553 }, { "ann", "x@ann.test.evil.test", 553 },
		{ "bob", "x@shop.test", 0 },
		{ "", "x@shop.test", 0 }, /* nobody: relaying is for others to judge */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(mail(rows[i].user, rows[i].sender), rows[i].code);
	(void)mail("ann", "x@shop.test");
	assert_true(str_equal(w.answer.text,
		STR("<x@shop.test>: Sender address rejected: not owned by user ann")));
}

static void test_account_is_the_name_of_a_certificate_without_auth(void **state)
{
	(void)state;
	w.info.certificate = STR("ann");
	assert_int_equal(mail("", "x@shop.test"), 553);
	assert_int_equal(mail("bob", "x@shop.test"), 0);
	assert_true(str_equal(account_name(&w.info), STR("bob")));
}

static void test_account_counts_messages_by_the_hour(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mail("bob", "b@b.test"), 0);
		assert_int_equal(rcpt(), 0);
		assert_int_equal(data(), 0);
	}
	assert_int_equal(mail("bob", "b@b.test"), 451);
	assert_int_equal(w.answer.status.klass, 4);
	assert_int_equal(mail("carl", "b@b.test"), 0);
	w.clock.now_ms += 65 * MINUTE_MS;
	assert_int_equal(mail("bob", "b@b.test"), 0);
}

/* What was only begun does not count, and two sessions at a time cannot have more than one. */
static void test_account_counts_at_data(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(mail("bob", "b@b.test"), 0);
	struct smtp_transaction *other = w.t;
	w.t = NULL;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(mail("bob", "b@b.test"), 0);
		assert_int_equal(data(), 0);
	}
	smtp_transaction_free(w.t);
	w.t = other;
	assert_int_equal(data(), 451);
}

static void test_account_counts_recipients_by_the_hour(void **state)
{
	(void)state;
	assert_int_equal(mail("bob", "b@b.test"), 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rcpt(), 0);
	assert_int_equal(rcpt(), 450); /* never in one message, either */
	assert_int_equal(data(), 0);
	assert_int_equal(mail("bob", "b@b.test"), 0);
	assert_int_equal(rcpt(), 450);
}

static void test_account_names_are_bounded(void **state)
{
	(void)state;
	char name[16];

	for (unsigned i = 0; i < ACCOUNTS_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "u%u", i);
		assert_int_equal(mail(name, "b@b.test"), 0);
		assert_int_equal(data(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
		TEST(test_account_sends_from_its_addresses),
		TEST(test_account_is_the_name_of_a_certificate_without_auth),
		TEST(test_account_counts_messages_by_the_hour),
		TEST(test_account_counts_at_data),
		TEST(test_account_counts_recipients_by_the_hour),
		TEST(test_account_names_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
