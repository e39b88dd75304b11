/* Replies held back while delivery catches up: the rule over figures of a relay that is not there, then real sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"

#define MIB ((uint64_t)1 << 20)
#define ENOUGH 128
#define ENOUGH_BYTES (16 * MIB)

/* ---- the rule ---- */

struct rule {
	struct sim_clock clock;
	struct sim_env env;
	struct relay relay; /* figures only */
	int order[8];
	uint32_t released;
};

struct reply {
	struct flow_hold hold;
	struct rule *rule;
	int number;
	int64_t at_ms;
};

static int open_rule(void **state)
{
	static struct rule rule;

	rule = (struct rule){ 0 };
	sim_clock_init(&rule.clock, 7, NULL);
	sim_env_init(&rule.env, &rule.clock, 0);
	rule.relay.env = &rule.env.env;
	flow_init(&rule.relay.flow, &rule.relay);
	*state = &rule;
	return 0;
}

static int close_rule(void **state)
{
	struct rule *r = *state;

	flow_fini(&r->relay.flow);
	sim_env_fini(&r->env);
	sim_clock_fini(&r->clock);
	return 0;
}

static void pass(struct rule *r, int64_t ms)
{
	for (; ms > 0; ms--) {
		r->clock.now_ms++;
		for (int turn = 0; turn < 3; turn++)
			timers_run(&r->env.timers, sim_now(&r->clock));
	}
}

static void end_deliveries(struct rule *r, uint32_t count)
{
	while (count-- > 0)
		flow_note_ended(&r->relay.flow);
}

static void on_go(struct flow_hold *h)
{
	struct reply *reply = CONTAINER_OF(h, struct reply, hold);

	reply->at_ms = reply->rule->clock.now_ms;
	reply->rule->order[reply->rule->released++] = reply->number;
}

static void hold(struct rule *r, struct reply *reply, int number)
{
	*reply = (struct reply){ .hold.on_go = on_go, .rule = r, .number = number };
	flow_hold(&r->relay.flow, &reply->hold);
}

static void test_flow_holds_when_it_helps(void **state)
{
	static const struct {
		const char *what;
		uint32_t pending, late;
		uint64_t waiting_bytes;
		uint32_t ended;
		int64_t ago_ms;
		bool is_stopping, must_hold;
	} rows[] = {
		{ "few wait", ENOUGH - 1, 0, 0, 1000, 0, false, false },
		{ "enough wait", ENOUGH, 0, 0, 1000, 0, false, true },
		{ "what is late waits too", 1, ENOUGH - 1, 0, 1000, 0, false, true },
		{ "few octets wait", 1, 0, ENOUGH_BYTES - 1, 1000, 0, false, false },
		{ "enough octets wait", 1, 0, ENOUGH_BYTES, 1000, 0, false, true },
		{ "nothing ended yet", ENOUGH, 0, 0, 0, 0, false, false },
		{ "octets, and nothing ended yet", 1, 0, ENOUGH_BYTES, 0, 0, false, false },
		{ "done within a second", 1000, 0, 0, 100, 0, false, true },
		{ "not done within a second", 1001, 0, 0, 100, 0, false, false },
		{ "not done, with what is late", 501, 500, 0, 100, 0, false, false },
		{ "the pace of the stretch before", 1000, 0, 0, 100, 150, false, true },
		{ "a pace of long ago", 1000, 0, 0, 100, 2 * FLOW_HOLD_MAX_MS, false, false },
		{ "stopping", ENOUGH, 0, 0, 1000, 0, true, false },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rule *r;

		close_rule(state);
		open_rule(state);
		r = *state;
		end_deliveries(r, rows[i].ended);
		pass(r, rows[i].ago_ms);
		r->relay.flow.waiting_count = rows[i].pending + rows[i].late;
		r->relay.flow.waiting_bytes = rows[i].waiting_bytes;
		r->relay.is_stopping = rows[i].is_stopping;
		if (flow_must_hold(&r->relay.flow) != rows[i].must_hold)
			fail_msg("%s", rows[i].what);
	}
}

/* What waits for a slow next hop holds nobody back, from when it shows to be slow until it no longer is. */
static void test_flow_leaves_out_what_is_slow(void **state)
{
	struct rule *r = *state;
	struct hop slow = { .relay = &r->relay }, fast = { .relay = &r->relay };

	end_deliveries(r, 1000);
	for (int i = 0; i < 2 * ENOUGH; i++)
		flow_note_waiting(&slow, 1000);
	flow_note_waiting(&fast, 1);
	assert_true(flow_must_hold(&r->relay.flow));
	flow_note_started(&slow, 1000);
	assert_true(flow_must_hold(&r->relay.flow));
	flow_note_started(&slow, 1001);
	assert_false(flow_must_hold(&r->relay.flow));
	flow_note_left(&slow, 1000);
	flow_note_waiting(&slow, 1000);
	assert_int_equal(r->relay.flow.waiting_count, 1);
	assert_true(r->relay.flow.waiting_bytes == 1);
	flow_note_started(&slow, 10);
	assert_true(flow_must_hold(&r->relay.flow));
	assert_true(r->relay.flow.waiting_bytes == 2 * ENOUGH * 1000 + 1);
}

static void test_flow_holds_no_longer_than_its_time(void **state)
{
	struct rule *r = *state;
	struct reply first, second;

	r->relay.flow.waiting_count = 10 * ENOUGH;
	hold(r, &first, 1);
	pass(r, 40);
	hold(r, &second, 2);
	end_deliveries(r, 10);
	pass(r, FLOW_HOLD_MAX_MS - 41);
	assert_int_equal(r->released, 0);
	pass(r, 2 * FLOW_HOLD_MAX_MS);
	assert_int_equal(r->released, 2);
	assert_int_equal(first.at_ms, FLOW_HOLD_MAX_MS);
	assert_int_equal(second.at_ms, FLOW_HOLD_MAX_MS + 40);
}

static void test_flow_releases_in_order_when_fewer_wait(void **state)
{
	struct rule *r = *state;
	struct reply replies[3];

	r->relay.flow.waiting_count = ENOUGH + 1;
	for (int i = 0; i < 3; i++)
		hold(r, &replies[i], i);
	r->relay.flow.waiting_count--;
	end_deliveries(r, 1);
	pass(r, 1);
	assert_int_equal(r->released, 0);
	r->relay.flow.waiting_count--;
	end_deliveries(r, 1);
	pass(r, 1);
	assert_int_equal(r->released, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(r->order[i], i);
}

static void test_flow_passes_over_one_that_ended_while_it_was_held(void **state)
{
	struct rule *r = *state;
	struct reply gone, kept;

	r->relay.flow.waiting_count = ENOUGH;
	hold(r, &gone, 1);
	pass(r, 30);
	hold(r, &kept, 2);
	list_remove(&gone.hold.link);
	pass(r, 2 * FLOW_HOLD_MAX_MS);
	assert_int_equal(r->released, 1);
	assert_int_equal(kept.at_ms, 30 + FLOW_HOLD_MAX_MS);
}

/* ---- sessions ---- */

/* A client that sends message after message and notes how long the reply to each took. Static in a test: its connection
 * outlives one that fails. */
struct client {
	struct fixture_relay *f;
	struct conn *sock;
	struct buf line;
	uint32_t step, count, taken;
	int64_t sent_ms, longest_ms;
	bool is_closed;
};

static void client_close(struct client *c)
{
	if (!c->is_closed)
		sim_sock_close(c->sock, false);
	c->is_closed = true;
}

static void say(struct client *c, unsigned code)
{
	static const char *const commands[] = { "EHLO c.test\r\n", "MAIL FROM:<a@from.test>\r\n",
		"RCPT TO:<b@dest.test>\r\n", "DATA\r\n", "Subject: x\r\n\r\nx\r\n.\r\n" };

	assert_in_range(code, 200, 399);
	if (c->step == ARRAY_COUNT(commands)) {
		int64_t took_ms = c->f->clock.now_ms - c->sent_ms;

		c->longest_ms = took_ms > c->longest_ms ? took_ms : c->longest_ms;
		if (++c->taken == c->count)
			return;
		c->step = 1;
	}
	c->sent_ms = c->f->clock.now_ms;
	sim_sock_write(c->sock, str_from_c(commands[c->step++]));
}

static void on_read(void *user, struct str octets)
{
	struct client *c = user;

	for (size_t i = 0; i < octets.len; i++) {
		buf_append_char(&c->line, octets.data[i]);
		if (octets.data[i] != '\n')
			continue;
		const char *text = buf_cstr(&c->line);
		unsigned code = (unsigned)(text[0] - '0') * 100;
		bool is_last = text[3] == ' ';

		c->line.len = 0;
		if (is_last && c->taken < c->count)
			say(c, code);
	}
}

static void on_end(void *user, enum err err)
{
	(void)err;
	client_close(user);
}

static void on_open(void *user, enum err err)
{
	(void)user;
	assert_int_equal(err, OK);
}

static const struct sim_sock_handler client_handler = { on_open, on_read, on_end };

static void client_start(struct client *c, struct fixture_relay *f, uint32_t count)
{
	const struct sim_line line = { .latency_ms = 1 };
	struct endpoint from = { .family = FAMILY_IPV4, .ip = { 127, 0, 0, 1 }, .port = 4000 }, to;

	*c = (struct client){ .f = f, .count = count };
	buf_init(&c->line, 4096);
	assert_true(relay_listener(f->relay, 0, &to));
	c->sock = sim_net_dial(&f->net, &from, &to, &line, &client_handler, c);
}

static void client_end(struct client *c)
{
	client_close(c);
	buf_fini(&c->line);
}

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	fixture_relay_start(&f);
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_run(*state, MINUTE_MS); /* the destination sees its connections end */
	fixture_relay_close(*state);
	return 0;
}

/* The relay looks busy; its next reply is held. */
static void make_busy(struct fixture_relay *f)
{
	f->relay->flow.waiting_bytes += ENOUGH_BYTES;
	for (int i = 0; i < 100; i++)
		flow_note_ended(&f->relay->flow);
}

static void wait_until_held(struct fixture_relay *f)
{
	for (int i = 0; i < 50 && list_is_empty(&f->relay->flow.held); i++)
		fixture_relay_run(f, 1);
	assert_false(list_is_empty(&f->relay->flow.held));
}

static void test_flow_sends_the_reply_late(void **state)
{
	struct fixture_relay *f = *state;
	static struct client c;

	make_busy(f);
	client_start(&c, f, 1);
	wait_until_held(f);
	fixture_relay_run(f, FLOW_HOLD_MAX_MS - 10);
	assert_int_equal(c.taken, 0);
	fixture_relay_run(f, 20);
	assert_int_equal(c.taken, 1);
	assert_int_equal(f->delivered, 1);
	client_end(&c);
	f->relay->flow.waiting_bytes -= ENOUGH_BYTES;
}

static void test_flow_delivers_mail_whose_client_left_while_held(void **state)
{
	struct fixture_relay *f = *state;
	static struct client c;

	make_busy(f);
	client_start(&c, f, 1);
	wait_until_held(f);
	client_end(&c);
	fixture_relay_run(f, SECOND_MS);
	assert_true(list_is_empty(&f->relay->flow.held));
	assert_int_equal(f->delivered, 1);
	assert_true(relay_is_idle(f->relay));
	f->relay->flow.waiting_bytes -= ENOUGH_BYTES;
}

static void test_flow_answers_before_a_stop_ends(void **state)
{
	struct fixture_relay *f = *state;
	static struct client c;

	make_busy(f);
	client_start(&c, f, 1);
	wait_until_held(f);
	fixture_relay_stop(f);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(c.taken, 1);
	assert_true(f->is_stopped);
	client_end(&c);
}

static void test_flow_is_dropped_with_its_relay(void **state)
{
	struct fixture_relay *f = *state;
	static struct client c;

	make_busy(f);
	client_start(&c, f, 1);
	wait_until_held(f);
	fixture_relay_run(f, FLOW_HOLD_MAX_MS / 2);
	assert_false(list_is_empty(&f->relay->flow.held));
	fixture_relay_end(f);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(c.taken, 0);
	assert_int_equal(fixture_relay_count(f, RECIPIENT_READY) +
				 fixture_relay_count(f, RECIPIENT_DELIVERED),
		1);
	client_end(&c);
}

static void test_flow_holds_nobody_for_a_dead_destination(void **state)
{
	struct fixture_relay *f = *state;
	static struct client c;

	f->is_refusing = true;
	client_start(&c, f, 2 * ENOUGH);
	fixture_relay_run(f, 10 * SECOND_MS);
	assert_int_equal(c.taken, 2 * ENOUGH);
	assert_in_range(f->relay->flow.waiting_count, ENOUGH, 2 * ENOUGH);
	assert_in_range(c.longest_ms, 1, 10);
	client_end(&c);
}

int main(void)
{
#define RULE(name) cmocka_unit_test_setup_teardown(name, open_rule, close_rule)
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
	const struct CMUnitTest tests[] = {
		RULE(test_flow_holds_when_it_helps),
		RULE(test_flow_leaves_out_what_is_slow),
		RULE(test_flow_holds_no_longer_than_its_time),
		RULE(test_flow_releases_in_order_when_fewer_wait),
		RULE(test_flow_passes_over_one_that_ended_while_it_was_held),
		TEST(test_flow_sends_the_reply_late),
		TEST(test_flow_delivers_mail_whose_client_left_while_held),
		TEST(test_flow_answers_before_a_stop_ends),
		TEST(test_flow_is_dropped_with_its_relay),
		TEST(test_flow_holds_nobody_for_a_dead_destination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
