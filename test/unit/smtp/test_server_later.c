/* A RCPT whose answer comes later: order, cuts, time, and clients that do not wait for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fixture_server.h"

#define BEGIN "HELO c\r\nMAIL FROM:<a@b.example>\r\n"
#define WAIT "RCPT TO:<wait@d.example> NOTIFY=NEVER ORCPT=rfc822;x@d.example\r\n"
#define WAIT_NO "RCPT TO:<waitno@d.example>\r\n"
#define RCPT "RCPT TO:<c@d.example>\r\n"
#define RCPT_REPLY "250 2.1.5 recipient ok\r\n"
#define NO_REPLY "550 5.1.1 not you\r\n"
#define DATA_REPLY "354 send the message, end with a dot on a line of its own\r\n"
#define BYE "221 2.0.0 relay.test closing connection\r\n"

static void start(struct fixture_server *fs, enum fixture_answer answers)
{
	fixture_server_init(fs);
	fs->answers = answers;
	fixture_server_start(fs);
	fixture_server_talk(fs, BEGIN);
}

static void test_server_later_keeps_order_at_any_cut(void **state)
{
	static const size_t cuts[] = { 0, 1, 2, 3, 7, 40 };
	static const char input[] = WAIT RCPT WAIT_NO WAIT "DATA\r\nx\r\n.\r\nQUIT\r\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
		struct fixture_server fs;
		start(&fs, ANSWER_LATER);
		fs.f.segment_bytes = cuts[i];
		assert_string_equal(fixture_server_talk(&fs, input),
			RCPT_REPLY RCPT_REPLY NO_REPLY RCPT_REPLY DATA_REPLY
			"250 2.0.0 ok, queued as 000014D2PF2DB\r\n" BYE);
		assert_int_equal(fs.messages, 1);
		assert_int_equal(fs.t->env.recipient_count, 3);
		const struct recipient *r = &fs.t->env.recipients[0];
		assert_true(str_equal(r->address, STR("wait@d.example")));
		assert_true(str_equal(r->domain, STR("d.example")));
		assert_true(str_equal(r->orcpt, STR("rfc822;x@d.example")));
		assert_int_equal(r->notify, NOTIFY_NEVER);
		assert_true(str_equal(fs.t->env.recipients[1].address, STR("c@d.example")));
		fixture_server_fini(&fs);
	}
}

static void test_server_later_stops_reading(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, ANSWER_NEVER);
	assert_string_equal(fixture_server_talk(&fs, WAIT "NOOP\r\n"), "");
	assert_false(fs.conn->is_reading);
	assert_string_equal(fixture_server_talk(&fs, "NOOP\r\n"), "");
	fixture_advance(&fs.f, MINUTE_MS);
	assert_string_equal(fixture_output(fs.conn), "");
	const struct smtp_answer refusal = {
		.code = 450, .status = STATUS(4, 1, 1), .text = STR("later")
	};
	smtp_server_answer(fs.server, &refusal);
	fixture_settle(&fs.f);
	assert_string_equal(
		fixture_output(fs.conn), "450 4.1.1 later\r\n250 2.0.0 ok\r\n250 2.0.0 ok\r\n");
	/* nothing is asked any more: another answer is nobody's */
	smtp_server_answer(fs.server, &refusal);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), "");
	assert_true(fs.conn->is_reading);
	fixture_server_fini(&fs);
}

static void test_server_later_ends_what_nobody_answers(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, ANSWER_NEVER);
	fixture_server_talk(&fs, WAIT "NOOP\r\n");
	fixture_advance(&fs.f, 2 * MINUTE_MS);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.3.0 relay.test an answer takes too long, closing connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_later_survives_every_end(void **state)
{
	struct fixture_server fs;

	(void)state;
	/* the client is gone: seen once it is read again */
	start(&fs, ANSWER_LATER);
	fixture_feed(fs.conn, WAIT);
	fixture_end(fs.conn, ERR_EOF);
	fixture_settle(&fs.f);
	assert_null(fs.server);
	assert_string_equal(fs.close_reason, "connection closed by the client");
	fixture_server_fini(&fs);
	/* the adapter tells at once that it broke */
	start(&fs, ANSWER_NEVER);
	fixture_server_talk(&fs, WAIT RCPT);
	fs.conn->handler->on_end(fs.conn->user, ERR_RESET);
	fixture_settle(&fs.f);
	assert_null(fs.server);
	fixture_server_fini(&fs);
	/* shutdown */
	start(&fs, ANSWER_NEVER);
	fixture_server_talk(&fs, WAIT);
	smtp_server_shutdown(fs.server);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn),
		"421 4.3.2 relay.test service is shutting down, closing connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
	/* a drop */
	start(&fs, ANSWER_NEVER);
	fixture_server_talk(&fs, WAIT);
	smtp_server_drop(fs.server);
	assert_null(fs.server);
	fixture_server_fini(&fs);
	/* an answer that closes */
	start(&fs, ANSWER_NEVER);
	fixture_server_talk(&fs, WAIT RCPT);
	const struct smtp_answer bye = {
		.code = 421, .status = STATUS(4, 3, 2), .text = STR("bye")
	};
	smtp_server_answer(fs.server, &bye);
	fixture_settle(&fs.f);
	assert_string_equal(fixture_output(fs.conn), "421 4.3.2 bye\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

static void test_server_later_counts_refusals(void **state)
{
	struct fixture_server fs;

	(void)state;
	start(&fs, ANSWER_LATER);
	for (int i = 0; i < 20; i++)
		assert_string_equal(fixture_server_talk(&fs, WAIT_NO), NO_REPLY);
	assert_string_equal(fixture_server_talk(&fs, WAIT_NO),
		"421 4.7.0 relay.test too many errors, closing connection\r\n");
	assert_null(fs.server);
	fixture_server_fini(&fs);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server_later_keeps_order_at_any_cut),
		cmocka_unit_test(test_server_later_stops_reading),
		cmocka_unit_test(test_server_later_ends_what_nobody_answers),
		cmocka_unit_test(test_server_later_survives_every_end),
		cmocka_unit_test(test_server_later_counts_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
