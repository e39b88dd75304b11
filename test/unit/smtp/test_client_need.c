/* What a message needs of the host it goes to: refused before MAIL, or said in MAIL; and the limits a host states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "fixture_client.h"

#define ALL "REQUIRETLS\nMT-PRIORITY MIXER\nDELIVERBY 60"

struct need {
	const char *name;
	const char *capabilities;
	bool has_tls, is_verified, is_lmtp;
	bool is_requiretls, is_waived, is_user;
	int priority;
	int64_t by_ms; /* from now; 0: none */
	bool by_notify, by_trace, by_is_ours;
	const char *params;   /* in MAIL; NULL: refused */
	struct status status; /* of the refusal */
};

static const struct need needs[] = {
	{ "nothing wished", ALL, .params = " MT-PRIORITY=0" },
	{ "requiretls", ALL, .has_tls = true, .is_verified = true, .is_requiretls = true,
		.params = " REQUIRETLS MT-PRIORITY=0" },
	{ "requiretls not wished", ALL, .has_tls = true, .is_verified = true,
		.params = " MT-PRIORITY=0" },
	{ "requiretls not offered", "DSN", .has_tls = true, .is_verified = true,
		.is_requiretls = true, .status = { 5, 7, 30 } },
	{ "requiretls, any certificate", ALL, .has_tls = true, .is_requiretls = true,
		.status = { 5, 7, 10 } },
	{ "requiretls in clear", ALL, .is_requiretls = true, .status = { 5, 7, 10 } },
	{ "requiretls, waived", ALL, .has_tls = true, .is_requiretls = true, .is_waived = true,
		.params = " MT-PRIORITY=0" },
	{ "requiretls, waived in clear", "DSN", .is_requiretls = true, .is_waived = true,
		.params = "" },
	{ "logged in", "AUTH PLAIN", .is_user = true, .params = " AUTH=<>" },
	{ "priority", ALL, .priority = -3, .params = " MT-PRIORITY=-3" },
	{ "priority not offered", "DSN", .priority = 9, .params = "" },
	{ "by", ALL, .by_ms = 120500, .params = " MT-PRIORITY=0 BY=120;R" },
	{ "by, traced", ALL, .by_ms = 120000, .by_trace = true,
		.params = " MT-PRIORITY=0 BY=120;RT" },
	{ "by, below the least", ALL, .by_ms = 59999, .status = { 5, 4, 7 } },
	{ "by, the least", ALL, .by_ms = 60000, .params = " MT-PRIORITY=0 BY=60;R" },
	{ "by, over", "DELIVERBY", .by_ms = 999, .status = { 5, 4, 7 } },
	{ "by, not offered", "DSN", .by_ms = 120000, .status = { 5, 3, 3 } },
	{ "by, over and not offered", "DSN", .by_ms = -1, .status = { 5, 4, 7 } },
	{ "by, the end of the way", "DSN", .is_lmtp = true, .by_ms = 120000, .params = "" },
	{ "by, of our own rule", ALL, .by_ms = 5000, .by_is_ours = true,
		.params = " MT-PRIORITY=0" },
	{ "by, of our own rule, not offered", "DSN", .by_ms = 5000, .by_is_ours = true,
		.params = "" },
	{ "by, of our own rule, over", ALL, .by_ms = -5000, .by_is_ours = true,
		.status = { 5, 4, 7 } },
	{ "notify", ALL, .by_ms = 120000, .by_notify = true, .params = " MT-PRIORITY=0 BY=120;N" },
	{ "notify, over", ALL, .by_ms = -1500, .by_notify = true, .by_trace = true,
		.params = " MT-PRIORITY=0 BY=-2;NT" },
	{ "notify, over for ever", ALL, .by_ms = -2000000000000, .by_notify = true,
		.params = " MT-PRIORITY=0 BY=-999999999;N" },
	{ "notify, not offered", "DSN", .by_ms = -1, .by_notify = true, .params = "" },
	{ "all", "SIZE\n" ALL, .has_tls = true, .is_verified = true, .is_requiretls = true,
		.priority = 4, .by_ms = 120000,
		.params = " SIZE=14 REQUIRETLS MT-PRIORITY=4 BY=120;R" },
};

static void ready(struct fixture_client *fc, const struct need *n)
{
	fixture_client_init(fc);
	fc->params.is_lmtp = n->is_lmtp;
	if (n->is_user) {
		fc->params.user = fc->params.password = STR("user");
		CHECK(endpoint_parse(&fc->params.to, STR("127.0.0.1"), 25) == OK);
		fixture_client_open(fc);
		fixture_client_say(fc, "220 mx\r\n");
		fixture_client_say(fc, "250-mx\r\n250 AUTH PLAIN\r\n");
		fixture_client_say(fc, "235 ok\r\n");
		return;
	}
	if (!n->has_tls) {
		fixture_client_ready(fc, n->capabilities);
		return;
	}
	fc->params.tls.policy = TLS_REQUIRE;
	fc->f.is_tls_verified = n->is_verified;
	fixture_client_open(fc);
	fixture_client_say(fc, "220 mx\r\n");
	fixture_client_say(fc, "250-mx\r\n250 STARTTLS\r\n");
	fixture_client_say(fc, "220 go\r\n");
	/* "250-mx", then a line for each capability */
	struct buf reply;
	struct str lines = str_from_c(n->capabilities);
	buf_init(&reply, 1000);
	buf_append_str(&reply, STR("250-mx\r\n"));
	while (lines.len > 0) {
		struct str line = str_cut(&lines, '\n');
		buf_printf(&reply, "250-%.*s\r\n", STR_FMT(line));
	}
	buf_append_str(&reply, STR("250 HELP\r\n"));
	fixture_client_say(fc, buf_cstr(&reply));
	buf_fini(&reply);
}

static void check_need(const struct need *n)
{
	static struct fixture_client fc;
	char expected[256];

	ready(&fc, n);
	assert_int_equal(fc.readies, 1);
	fixture_client_heard(&fc);
	fc.env.is_requiretls = n->is_requiretls;
	fc.job.is_tls_waived = n->is_waived;
	fc.env.priority = n->priority;
	if (n->by_ms != 0)
		fc.env.deliver_by = (struct wall){ env_wall(&fc.f.env).ms + n->by_ms };
	fc.env.deliver_by_notify = n->by_notify;
	fc.env.deliver_by_trace = n->by_trace;
	fc.env.deliver_by_is_ours = n->by_is_ours;
	fixture_client_deliver(&fc, 1);
	const char *heard = fixture_client_heard(&fc);
	snprintf(expected, sizeof(expected), "MAIL FROM:<a@b.example>%s\r\n",
		n->params ? n->params : "");
	if (strcmp(heard, n->params ? expected : "") != 0)
		print_error("need \"%s\"\n", n->name);
	assert_string_equal(heard, n->params ? expected : "");
	assert_int_equal(fc.dones, !n->params);
	if (!n->params) {
		const struct outcome *o = &fc.recipients[0].outcome;
		assert_int_equal(o->stage, STAGE_POLICY);
		assert_int_equal(o->code, 0);
		assert_true(
			status_is(o->status, n->status.klass, n->status.subject, n->status.detail));
		assert_true(fc.job.is_reusable);
	}
	fixture_client_fini(&fc);
}

static void test_needs_are_said_or_the_message_is_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(needs); i++)
		check_need(&needs[i]);
}

/* RFC 2852 4.1.4.2: DELAY is added for who wants word by a time, of a host with DSN that knows no by-times. */
static void test_word_by_a_time_is_asked_of_hosts_without_deliverby(void **state)
{
	static const struct {
		const char *capabilities;
		unsigned notify;
		bool is_return, is_ours;
		const char *params;
	} rows[] = {
		{ "DSN", 0, false, false, " NOTIFY=FAILURE,DELAY" },
		{ "DSN", NOTIFY_SUCCESS, false, false, " NOTIFY=SUCCESS,DELAY" },
		{ "DSN", NOTIFY_DELAY, false, false, " NOTIFY=DELAY" },
		{ "DSN", NOTIFY_NEVER, false, false, " NOTIFY=NEVER" },
		{ "DSN", 0, false, true, "" },
		{ "DSN", 0, true, true, "" },
		{ "DSN\nDELIVERBY", 0, false, false, "" },
		{ "DSN\nDELIVERBY", 0, true, false, "" },
		{ "SIZE", 0, false, false, "" },
	};
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char expected[256];

		fixture_client_init(&fc);
		fixture_client_ready(&fc, rows[i].capabilities);
		fc.env.deliver_by = (struct wall){ env_wall(&fc.f.env).ms + HOUR_MS };
		fc.env.deliver_by_notify = !rows[i].is_return;
		fc.env.deliver_by_is_ours = rows[i].is_ours;
		fc.rcpts[0].notify = rows[i].notify;
		fixture_client_deliver(&fc, 1);
		fixture_client_heard(&fc);
		snprintf(
			expected, sizeof(expected), "RCPT TO:<r0@d.example>%s\r\n", rows[i].params);
		assert_string_equal(fixture_client_say(&fc, "250 ok\r\n"), expected);
		fixture_client_fini(&fc);
	}
}

static void test_limits_are_read_with_care(void **state)
{
	static const struct {
		const char *line;
		uint32_t mail_max, rcpt_max;
	} rows[] = {
		{ "LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1", 5, 20 },
		{ "limits rcptmax=1", 0, 1 },
		{ "LIMITS", 0, 0 },
		{ "LIMITS RCPTMAX=0 MAILMAX=0", 0, 0 },
		{ "LIMITS RCPTMAX=-1 MAILMAX=x", 0, 0 },
		{ "LIMITS RCPTMAX=9999999 MAILMAX=999999", 999999, 0 },
		{ "LIMITS RCPTMAX RCPTMAX= MAILMAX=3", 3, 0 },
	};
	static struct fixture_client fc;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		fixture_client_init(&fc);
		fixture_client_ready(&fc, rows[i].line);
		assert_int_equal(smtp_client_info(fc.client)->mail_max, rows[i].mail_max);
		assert_int_equal(smtp_client_info(fc.client)->rcpt_max, rows[i].rcpt_max);
		fixture_client_fini(&fc);
	}
}

/* RCPTMAX=2: two go, the third waits for another transaction, and is not charged with anything. */
static void test_no_more_recipients_than_the_host_takes(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fixture_client_ready(&fc, "PIPELINING\nLIMITS RCPTMAX=2");
	fixture_client_heard(&fc);
	fixture_client_deliver(&fc, 3);
	assert_string_equal(fixture_client_heard(&fc),
		"MAIL FROM:<a@b.example>\r\nRCPT TO:<r0@d.example>\r\nRCPT "
		"TO:<r1@d.example>\r\nDATA\r\n");
	fixture_client_say(&fc, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	fixture_client_say(&fc, "250 taken\r\n");
	assert_int_equal(fc.dones, 1);
	assert_true(fc.recipients[0].is_delivered && fc.recipients[1].is_delivered);
	assert_false(fc.recipients[2].is_delivered);
	assert_int_equal(fc.recipients[2].outcome.stage, STAGE_POLICY);
	assert_true(status_is(fc.recipients[2].outcome.status, 4, 5, 3));
	fixture_client_fini(&fc);
}

static void test_no_more_messages_than_the_host_takes(void **state)
{
	static struct fixture_client fc;

	(void)state;
	fixture_client_init(&fc);
	fixture_client_ready(&fc, "PIPELINING\nLIMITS MAILMAX=2");
	for (unsigned i = 1; i <= 2; i++) {
		fixture_client_deliver(&fc, 1);
		fixture_client_say(&fc, "250 ok\r\n250 ok\r\n354 go\r\n");
		const char *heard = fixture_client_say(&fc, "250 taken\r\n");
		assert_int_equal(fc.dones, i);
		assert_true(fc.recipients[0].is_delivered);
		assert_int_equal(fc.job.is_reusable, i < 2);
		assert_string_equal(heard, i < 2 ? "" : "QUIT\r\n");
	}
	assert_null(fc.client);
	fixture_client_fini(&fc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_are_said_or_the_message_is_not),
		cmocka_unit_test(test_word_by_a_time_is_asked_of_hosts_without_deliverby),
		cmocka_unit_test(test_limits_are_read_with_care),
		cmocka_unit_test(test_no_more_recipients_than_the_host_takes),
		cmocka_unit_test(test_no_more_messages_than_the_host_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
