/* The notice of success: whom it names, what it says, and that it goes with the record, beside one of failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay/receipt.h"
#include "relay/teller.h"

/* A delivery to three recipients that was recorded, as far as notices look at it. */
struct bench {
	struct env env;
	struct env_ops ops;
	struct log log;
	struct metrics metrics;
	struct relay relay;
	struct hop hop;
	struct queued_recipient recipients[3];
	struct store_result results[3];
	struct delivery d;
	struct shared_route shared;
	struct route route;
	struct conf_route conf_route;
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
	static const char *const names[] = { "first@to.test", "second@to.test", "third@to.test" };

	*b = (struct bench){ .ops = { .wall = on_wall, .timer_stop = on_timer_stop },
		.log.emit = on_emit };
	b->env = (struct env){ .ops = &b->ops, .rate = 1, .log = &b->log, .metrics = &b->metrics };
	b->relay.env = &b->env;
	b->relay.conf = conf_default();
	b->relay.conf->bounce_from = STR("MAILER-DAEMON@us.test");
	b->relay.teller = teller_new(&b->relay);
	b->hop.relay = &b->relay;
	b->route.conf_route = &b->conf_route;
	b->shared.route = &b->route;
	b->conf_route.via = ROUTE_SMARTHOST;
	b->d.hop = &b->hop;
	b->d.route = &b->shared;
	b->d.attempt.host_name = STR("mx.to.test");
	b->d.message = message_new();
	b->d.message->env = (struct envelope){ .id = 7,
		.reverse_path = STR("from@there.test"),
		.origin = ORIGIN_SMTP,
		.envid = STR("QQ+2B1"),
		.helo = STR("client.test"),
		.priority = 4,
		.accepted = { INT64_C(1699999000000) } };
	for (uint32_t i = 0; i < 3; i++) {
		b->recipients[i].rcpt = (struct recipient){
			.number = i + 1,
			.address = str_from_c(names[i]),
			.domain = STR("to.test"),
			.orcpt = i == 0 ? STR("rfc822;First+40to.test") : STR(""),
			.notify = NOTIFY_SUCCESS | NOTIFY_FAILURE,
		};
		b->results[i] = (struct store_result){ .number = i + 1,
			.kind = RESULT_DELIVERED,
			.code = 250,
			.status = STATUS(2, 1, 5),
			.text = STR("2.1.5 taken") };
	}
	b->d.recipients = b->recipients;
	b->d.recipient_count = 3;
	b->d.record.results = b->d.made = b->results;
	b->d.record.result_count = 3;
}

static void bench_fini(struct bench *b)
{
	receipt_drop(&b->d);
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

static void test_receipt_says_relayed_field_by_field(void **state)
{
	static const char *const parts[] = {
		"\r\nOriginal-Envelope-Id: QQ+1\r\n",
		"\r\nReceived-From-MTA: dns; client.test\r\n",
		"\r\nOriginal-Recipient: rfc822; First@to.test\r\n"
		"Final-Recipient: rfc822; first@to.test\r\nAction: relayed\r\nStatus: 2.1.5\r\n"
		"Remote-MTA: dns; mx.to.test\r\nDiagnostic-Code: smtp; 250 2.1.5 taken\r\n",
		"\r\nFinal-Recipient: rfc822; third@to.test\r\nAction: relayed\r\n",
		"\r\nSubject: s\r\n",
		"\r\nAuto-Submitted: auto-replied\r\n",
	};
	struct bench b;

	(void)state;
	bench_init(&b);
	b.relay.conf->policy.notice_hold_ms = HOUR_MS;
	b.d.message->env.is_requiretls = true;
	b.recipients[1].rcpt.notify = NOTIFY_FAILURE;
	assert_true(receipt_is_needed(&b.d));
	receipt_build(&b.d, STR("Subject: s\r\n\r\nbody\r\n"));
	assert_int_equal(b.d.record.notice_count, 1);
	const struct store_notice *n = &b.d.record.notices[0];
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
		if (!contains(n->content, parts[i]))
			fail_msg("no %s in\n%.*s", parts[i], STR_FMT(n->content));
	assert_false(contains(n->content, "second@") || contains(n->content, "body\r\n"));
	assert_int_equal(n->env.origin, ORIGIN_RECEIPT);
	assert_int_equal(n->env.reverse_path.len, 0);
	assert_int_equal(n->env.priority, 4);
	assert_int_equal(n->env.hold_until.ms, WALL_NONE.ms); /* nothing takes a delivery back */
	assert_true(n->env.is_requiretls);
	assert_int_equal(n->env.recipients[0].notify, NOTIFY_NEVER);
	assert_true(str_equal(n->env.recipients[0].address, STR("from@there.test")));
	bench_fini(&b);
}

static void test_receipt_is_for_whom_nobody_else_tells(void **state)
{
	static const struct {
		const char *what, *from;
		bool has_dsn, has_deliverby;
		enum route_via via;
		int64_t by_ms;
		bool by_trace;
		const char *action; /* NULL: none */
	} rows[] = {
		{ "no DSN", "a@b.test", false, false, ROUTE_MX, 0, false, "Action: relayed" },
		{ "DSN", "a@b.test", true, false, ROUTE_MX, 0, false, NULL },
		{ "LMTP", "a@b.test", false, false, ROUTE_LMTP, 0, false, "Action: delivered" },
		{ "DSN, a trace", "a@b.test", true, true, ROUTE_MX, 1, true, "Action: relayed" },
		{ "DSN, a time", "a@b.test", true, true, ROUTE_MX, 1, false, NULL },
		{ "null sender", "", false, false, ROUTE_MX, 0, false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;

		bench_init(&b);
		b.d.message->env.reverse_path = str_from_c(rows[i].from);
		b.d.message->env.deliver_by.ms = rows[i].by_ms;
		b.d.message->env.deliver_by_trace = rows[i].by_trace;
		b.d.attempt.has_dsn = rows[i].has_dsn;
		b.d.attempt.has_deliverby = rows[i].has_deliverby;
		b.conf_route.via = rows[i].via;
		if (receipt_is_needed(&b.d) != (rows[i].action != NULL))
			fail_msg("%s", rows[i].what);
		if (rows[i].action) {
			receipt_build(&b.d, STR(""));
			assert_true(contains(b.d.record.notices[0].content, rows[i].action));
		}
		bench_fini(&b);
	}
}

static void test_receipt_is_for_deliveries_alone(void **state)
{
	static const enum result_kind kinds[] = { RESULT_RETRY, RESULT_FAILED, RESULT_HELD,
		RESULT_QUARANTINED };
	struct bench b;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		bench_init(&b);
		for (size_t k = 0; k < 3; k++)
			b.results[k].kind = kinds[i];
		assert_false(receipt_is_needed(&b.d));
		bench_fini(&b);
	}
	bench_init(&b);
	for (size_t k = 0; k < 3; k++)
		b.recipients[k].rcpt.notify = NOTIFY_FAILURE | NOTIFY_DELAY;
	assert_false(receipt_is_needed(&b.d));
	bench_fini(&b);
}

/* Backscatter: with relay-domains anybody may send, in anybody's name. */
static void test_receipt_is_for_known_clients(void **state)
{
	static const struct {
		const char *client, *user;
		bool is_needed;
	} rows[] = {
		{ "localhost[127.0.0.1]", "", true },
		{ "unknown[198.51.100.7]", "", false },
		{ "unknown[2001:db8::7]", "", false },
		{ "unknown[198.51.100.7]", "anna", true },
		{ "localhost[::1]", "", true },
		{ "unknown[unknown]", "", false }, /* PROXY UNKNOWN */
		{ "unknown[unknown]", "anna", true },
		{ "", "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct bench b;

		bench_init(&b);
		b.d.message->env.client = str_from_c(rows[i].client);
		b.d.message->env.user = str_from_c(rows[i].user);
		if (receipt_is_needed(&b.d) != rows[i].is_needed)
			fail_msg("%s", rows[i].client);
		bench_fini(&b);
	}
}

/* What was refused and what was taken are told apart: the first may be taken back. */
static void test_receipt_comes_behind_the_notice_of_failure(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	b.results[1].kind = RESULT_FAILED;
	b.results[1].code = 550;
	b.results[1].status = STATUS(5, 1, 1);
	assert_true(notice_is_needed(&b.d) && receipt_is_needed(&b.d));
	notice_build(&b.d, STR("Subject: s\r\n\r\n"));
	receipt_build(&b.d, STR("Subject: s\r\n\r\n"));
	assert_int_equal(b.d.record.notice_count, 2);
	const struct store_notice *n = b.d.record.notices;
	assert_int_equal(n[0].env.origin, ORIGIN_DSN);
	assert_int_equal(n[1].env.origin, ORIGIN_RECEIPT);
	assert_true(n[0].env.id != n[1].env.id);
	assert_true(contains(n[0].content, "second@to.test") && !contains(n[0].content, "first@"));
	assert_true(contains(n[1].content, "first@to.test") && !contains(n[1].content, "second@"));
	assert_true(b.results[1].notice == n[0].env.id && b.results[0].notice == 0);
	bench_fini(&b);
}

static void test_receipt_to_where_notices_come_from_is_none(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b);
	b.d.message->env.reverse_path = STR("Mailer-Daemon@us.test");
	receipt_build(&b.d, STR(""));
	assert_int_equal(b.d.record.notice_count, 0);
	assert_int_equal(b.metrics.value[METRIC_dsn_discarded_total], 1);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_receipt_says_relayed_field_by_field),
		cmocka_unit_test(test_receipt_is_for_whom_nobody_else_tells),
		cmocka_unit_test(test_receipt_is_for_deliveries_alone),
		cmocka_unit_test(test_receipt_is_for_known_clients),
		cmocka_unit_test(test_receipt_comes_behind_the_notice_of_failure),
		cmocka_unit_test(test_receipt_to_where_notices_come_from_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
