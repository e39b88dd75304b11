/*
 * Who is told of a failure, and who is not: never a null reverse-path, nobody who asked for silence, and the postmaster
 * once for a notice of ours that could not be delivered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "mail/envelope.h"
#include "relay/delivery.h"
#include "relay/teller.h"

#define POSTMASTER "postmaster@us.test"

/* A delivery to two recipients that was recorded, as far as the notice looks at it. */
struct bench {
	struct env env;
	struct env_ops ops;
	struct log log;
	struct metrics metrics;
	struct relay relay;
	struct hop hop;
	struct queued_recipient recipients[2];
	struct store_result results[2];
	struct delivery d;
};

static struct wall on_wall(struct env *env)
{
	(void)env;
	return (struct wall){ INT64_C(1700000000000) };
}

static void on_timer_stop(struct env *env, struct timer *t)
{
	(void)env;
	(void)t;
}

static void on_emit(struct log *log, const struct log_event *event)
{
	(void)log;
	(void)event;
}

static void bench_init(struct bench *b)
{
	*b = (struct bench){ .ops = { .wall = on_wall, .timer_stop = on_timer_stop }, .log.emit = on_emit };
	b->env = (struct env){ .ops = &b->ops, .rate = 1, .log = &b->log, .metrics = &b->metrics };
	b->relay.env = &b->env;
	b->relay.conf = conf_default();
	b->relay.teller = teller_new(&b->relay);
	b->relay.conf->postmaster = STR(POSTMASTER);
	b->relay.conf->bounce_from = STR("MAILER-DAEMON@us.test");
	b->hop.relay = &b->relay;
	b->d.hop = &b->hop;
	b->d.message = message_new();
	b->d.message->env = (struct envelope){
		.id = 7, .reverse_path = STR("from@there.test"), .origin = ORIGIN_SMTP
	};
	for (uint32_t i = 0; i < 2; i++) {
		b->recipients[i].rcpt = (struct recipient){
			.number = i + 1,
			.address = i == 0 ? STR("first@to.test") : STR("second@to.test"),
			.domain = STR("to.test"),
		};
		b->results[i] = (struct store_result){ .number = i + 1,
			.kind = RESULT_FAILED,
			.code = 550,
			.status = STATUS(5, 1, 1) };
	}
	b->d.recipients = b->recipients;
	b->d.recipient_count = 2;
	b->d.record.results = b->d.made = b->results;
	b->d.record.result_count = 2;
}

static void bench_fini(struct bench *b)
{
	message_unref(b->d.message);
	message_unref(b->d.notice);
	arena_fini(&b->d.arena);
	teller_free(b->relay.teller);
	conf_unref(b->relay.conf);
}

static bool contains(struct str text, const char *what)
{
	struct str want = str_from_c(what);

	for (size_t at = 0; at + want.len <= text.len; at++)
		if (str_equal(str_slice(text, at, at + want.len), want))
			return true;
	return false;
}

/* Returns where the notice goes, or "" when there is none. */
static struct str notified(struct bench *b)
{
	if (!notice_is_needed(&b->d))
		return STR("");
	notice_build(&b->d, STR("Subject: lost\r\n"));
	assert_non_null(b->d.notice);
	assert_int_equal(b->d.record.notice_count, 1);
	assert_int_equal(b->d.notice->env.reverse_path.len, 0);
	assert_int_equal(b->d.notice->env.origin, ORIGIN_DSN);
	return b->d.notice_recipient.address;
}

static void test_notice_goes_to_whom_it_concerns(void **state)
{
	static const struct {
		const char *what, *from, *first_to;
		enum message_origin origin;
		unsigned notify;
		const char *to;
	} rows[] = {
		{ "a sender", "from@there.test", "first@to.test", ORIGIN_SMTP, 0,
			"from@there.test" },
		{ "who wants failures", "from@there.test", "first@to.test", ORIGIN_SMTP,
			NOTIFY_FAILURE, "from@there.test" },
		{ "who wants delays alone", "from@there.test", "first@to.test", ORIGIN_SMTP,
			NOTIFY_DELAY, "" },
		{ "who wants none", "from@there.test", "first@to.test", ORIGIN_SMTP, NOTIFY_NEVER,
			"" },
		{ "a null reverse-path", "", "first@to.test", ORIGIN_SMTP, 0, "" },
		{ "a null reverse-path that wants one", "", "first@to.test", ORIGIN_SMTP,
			NOTIFY_FAILURE, "" },
		{ "a notice of ours", "", "first@to.test", ORIGIN_DSN, NOTIFY_NEVER, POSTMASTER },
		{ "a notice of ours to the postmaster", "", POSTMASTER, ORIGIN_DSN, NOTIFY_NEVER,
			"" },
		{ "a notice of success", "", "first@to.test", ORIGIN_RECEIPT, NOTIFY_NEVER, "" },
		{ "where notices come from", "mailer-daemon@US.test", "first@to.test", ORIGIN_SMTP,
			NOTIFY_FAILURE, "" },
		{ "the same in capitals", "", "Postmaster@US.test", ORIGIN_DSN, NOTIFY_NEVER, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;

		bench_init(&b);
		b.d.message->env.reverse_path = str_from_c(rows[i].from);
		b.d.message->env.origin = rows[i].origin;
		b.recipients[0].rcpt.address = str_from_c(rows[i].first_to);
		b.recipients[0].rcpt.notify = b.recipients[1].rcpt.notify = rows[i].notify;
		struct str to = notified(&b);
		if (!str_equal(to, str_from_c(rows[i].to)))
			fail_msg("%s: the notice goes to '%.*s'", rows[i].what, STR_FMT(to));
		bench_fini(&b);
	}
}

static void test_notice_names_those_that_failed_and_want_it(void **state)
{
	static const struct {
		enum result_kind kind;
		unsigned notify;
		bool is_named;
	} rows[] = {
		{ RESULT_FAILED, 0, true },
		{ RESULT_FAILED, NOTIFY_NEVER, false },
		{ RESULT_DELIVERED, 0, false },
		{ RESULT_RETRY, 0, false },
		{ RESULT_QUARANTINED, 0, false },
		{ RESULT_HELD, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;

		bench_init(&b);
		b.results[1].kind = rows[i].kind;
		b.recipients[1].rcpt.notify = rows[i].notify;
		assert_true(notified(&b).len > 0);
		struct str text = b.d.record.notices[0].content;
		assert_true(contains(text, "first@to.test"));
		assert_int_equal(contains(text, "second@to.test"), rows[i].is_named);
		assert_true(b.results[0].notice == b.d.notice->env.id);
		assert_int_equal(b.results[1].notice != 0, rows[i].is_named);
		bench_fini(&b);
	}
}

static void test_notice_is_for_failures_alone(void **state)
{
	static const enum result_kind kinds[] = { RESULT_DELIVERED, RESULT_RETRY, RESULT_HELD,
		RESULT_QUARANTINED };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		struct bench b;

		bench_init(&b);
		b.results[0].kind = b.results[1].kind = kinds[i];
		assert_false(notice_is_needed(&b.d));
		assert_int_equal(b.metrics.value[METRIC_dsn_discarded_total], 0);
		bench_fini(&b);
	}
}

/* RFC 3461 4.3; RFC 8689 5. */
static void test_notice_returns_what_was_asked_for(void **state)
{
#define HEAD "Subject: lost\r\n\r\n"
	static const struct {
		const char *what;
		enum dsn_ret ret;
		bool is_requiretls;
		uint64_t missing; /* octets that are not in memory */
		const char *body;
		bool is_whole, is_8bit;
	} rows[] = {
		{ "no RET", RET_UNSET, false, 0, "body\r\n", false, false },
		{ "HDRS", RET_HDRS, false, 0, "body\r\n", false, false },
		{ "FULL", RET_FULL, false, 0, "body\r\n", true, false },
		{ "FULL, 8-bit", RET_FULL, false, 0, "body \xe4\r\n", true, true },
		{ "HDRS, 8-bit", RET_HDRS, false, 0, "body \xe4\r\n", false, false },
		{ "FULL, but in parts", RET_FULL, false, 1, "body\r\n", false, false },
		{ "FULL, but REQUIRETLS", RET_FULL, true, 0, "body\r\n", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		struct str content;
		char text[200];

		bench_init(&b);
		snprintf(text, sizeof(text), HEAD "%s", rows[i].body);
		content = str_from_c(text);
		b.d.message->env.ret = rows[i].ret;
		b.d.message->env.is_requiretls = rows[i].is_requiretls;
		b.d.message->env.size_bytes = content.len + rows[i].missing;
		assert_true(notice_is_needed(&b.d));
		notice_build(&b.d, content);
		const struct store_notice *n = &b.d.record.notices[0];
		if (contains(n->content, "\r\nbody") != rows[i].is_whole ||
			contains(n->content, "Content-Type: message/rfc822\r\n") != rows[i].is_whole ||
			contains(n->content, "text/rfc822-headers") == rows[i].is_whole)
			fail_msg("%s", rows[i].what);
		assert_true(contains(n->content, "Subject: lost"));
		assert_int_equal(n->env.body, rows[i].is_8bit ? BODY_8BITMIME : BODY_7BIT);
		assert_int_equal(n->env.is_requiretls, rows[i].is_requiretls);
		bench_fini(&b);
	}
}

/* What asks for a notice of its own is counted apart, and bounded too. */
static void test_notice_that_was_asked_for_is_not_summed_up_so_soon(void **state)
{
	static const struct {
		const char *what, *envid;
		unsigned notify;
		const char *client, *user;
		uint32_t most;
	} rows[] = {
		{ "nothing asked", "", 0, "", "", 2 },
		{ "NOTIFY=FAILURE", "", NOTIFY_FAILURE, "", "", 20 },
		{ "an envelope id", "1", 0, "", "", 20 },
		{ "of a user", "1", 0, "unknown[198.51.100.7]", "anna", 20 },
		/* who may have named anybody as the sender */
		{ "of a stranger", "1", NOTIFY_FAILURE, "unknown[198.51.100.7]", "", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;
		uint32_t count = 0;

		bench_init(&b);
		b.relay.conf->notify.failures_per_hour = 2;
		b.d.message->env.envid = str_from_c(rows[i].envid);
		b.d.message->env.client = str_from_c(rows[i].client);
		b.d.message->env.user = str_from_c(rows[i].user);
		b.recipients[0].rcpt.notify = rows[i].notify;
		while (count < 100 && notice_is_needed(&b.d))
			count++;
		if (count != rows[i].most)
			fail_msg("%s: %u", rows[i].what, (unsigned)count);
		assert_true(b.d.record.is_notice_owed);
		bench_fini(&b);
	}
}

static void test_notice_waits_for_the_end_of_its_hold(void **state)
{
	static const int64_t holds[] = { 0, 10 * MINUTE_MS };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(holds); i++) {
		struct bench b;

		bench_init(&b);
		b.relay.conf->policy.notice_hold_ms = holds[i];
		assert_true(notified(&b).len > 0);
		const struct envelope *e = &b.d.record.notices[0].env;
		assert_int_equal(
			e->hold_until.ms, holds[i] ? e->accepted.ms + holds[i] : WALL_NONE.ms);
		bench_fini(&b);
	}
}

/* Number 5 failed before and is named by notice 99, 6 by another, 7 is queued. */
static void test_notice_names_those_of_the_one_that_it_replaces(void **state)
{
	struct queued_recipient earlier[] = {
		{ .rcpt = { .number = 5, .address = STR("fifth@to.test") },
			.state = RECIPIENT_FAILED,
			.notice = 99,
			.code = 550,
			.status = STATUS(5, 1, 1),
			.host = STR("mx.to.test[192.0.2.1]:25") },
		{ .rcpt = { .number = 6, .address = STR("sixth@to.test") },
			.state = RECIPIENT_FAILED,
			.notice = 98 },
		{ .rcpt = { .number = 7, .address = STR("seventh@to.test") },
			.state = RECIPIENT_READY },
	};
	struct bench b;

	(void)state;
	bench_init(&b);
	b.d.record.replaces = 99;
	b.d.show.message.recipients = earlier;
	b.d.show.message.recipient_count = ARRAY_COUNT(earlier);
	assert_true(notified(&b).len > 0);
	struct str text = b.d.record.notices[0].content;
	assert_true(contains(text, "first@to.test") && contains(text, "fifth@to.test"));
	assert_true(contains(text, "Remote-MTA: dns; mx.to.test\r\n"));
	assert_false(contains(text, "sixth@to.test") || contains(text, "seventh@to.test"));
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notice_goes_to_whom_it_concerns),
		cmocka_unit_test(test_notice_names_those_that_failed_and_want_it),
		cmocka_unit_test(test_notice_is_for_failures_alone),
		cmocka_unit_test(test_notice_returns_what_was_asked_for),
		cmocka_unit_test(test_notice_that_was_asked_for_is_not_summed_up_so_soon),
		cmocka_unit_test(test_notice_waits_for_the_end_of_its_hold),
		cmocka_unit_test(test_notice_names_those_of_the_one_that_it_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
