/*
 * Fresh mail behind older mail of its next hop. The store answers a CLAIM when the test lets it, so that mail comes, and an
 * operator acts, while one is under way. One connection: what is recorded is in the order in which it was sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "fixture_relay.h"

#define LATE_MAX 256
#define RECORDED_MAX 1024
#define FROM "a@from.test"
#define HOP "dest.test"

struct late_world {
	struct fixture_relay f;
	struct store store; /* holds back CLAIMs and sees RECORDs, then the counting one */
	struct store *next;
	bool is_held;
	struct store_op *held; /* answered by the store, the relay does not know yet */
	void (*done)(struct store_op *op);
	uint32_t claims;
	uint64_t ids[RECORDED_MAX]; /* as they came */
	uint32_t id_count;
	uint64_t recorded[RECORDED_MAX]; /* as they were delivered */
	uint32_t recorded_count;
	struct net_ops net_ops;
};

static struct late_world world;

static void keep(struct store_op *op)
{
	world.held = op;
}

static void on_submit(struct store *store, struct store_op *op)
{
	struct late_world *w = CONTAINER_OF(store, struct late_world, store);

	w->claims += op->kind == STORE_CLAIM;
	if (op->kind == STORE_CLAIM && w->is_held) {
		w->done = op->on_done;
		op->on_done = keep;
	} else if (op->kind == STORE_RECORD) {
		const struct store_record *record = CONTAINER_OF(op, struct store_record, op);

		if (record->result_count > 0)
			w->recorded[w->recorded_count++] = record->id;
	}
	store_submit(w->next, op, op->kind);
}

static const struct store_ops holding = { .submit = on_submit };

static void credentials_of_operator(struct conn *c, struct peer_credentials *out)
{
	(void)c;
	*out = (struct peer_credentials){ .is_known = true };
}

static int open_world(void **state)
{
	struct fixture_relay *f = &world.f;

	world = (struct late_world){ .store.ops = &holding };
	fixture_relay_open(f);
	world.next = &f->store;
	world.net_ops = *f->net.net.ops;
	world.net_ops.conn_credentials = credentials_of_operator;
	f->net.net.ops = &world.net_ops;
	f->conf->policy.connections_max = 1;
	f->conf->control.socket = STR("control");
	*state = &world;
	return 0;
}

static int close_world(void **state)
{
	struct late_world *w = *state;

	fixture_relay_run(&w->f, MINUTE_MS);
	fixture_relay_close(&w->f);
	return 0;
}

/* ---- what happens ---- */

static uint64_t store_message(struct late_world *w)
{
	uint64_t id = fixture_relay_store(&w->f, FROM, HOP, 1);

	w->ids[w->id_count++] = id;
	return id;
}

static uint64_t store_and_offer(struct late_world *w)
{
	uint64_t id = store_message(w);

	fixture_relay_offer(&w->f, id, FROM, HOP);
	return id;
}

/* The relay runs over so many older messages; its first CLAIM is answered, but not heard of. */
static struct hop *start_behind(struct late_world *w, uint32_t older)
{
	while (older-- > 0)
		store_message(w);
	w->is_held = true;
	fixture_relay_start(&w->f);
	w->f.relay->store = &w->store;
	fixture_relay_run(&w->f, SECOND_MS);
	assert_non_null(w->held);
	assert_int_equal(w->claims, 1);
	return hop_get(w->f.relay, STR(HOP));
}

static void release(struct late_world *w)
{
	struct store_op *op = w->held;

	w->is_held = false;
	w->held = NULL;
	op->on_done = w->done;
	op->on_done(op);
}

static void expect_empty(struct late_world *w)
{
	const struct relay *r = w->f.relay;

	assert_int_equal(r->late_count, 0);
	assert_int_equal(r->pending_count, 0);
	assert_true(r->flow.waiting_bytes == 0);
	assert_true(relay_is_idle(r));
}

/* All of ids were sent, once each, in the order they came. */
static void expect_all_in_order(struct late_world *w)
{
	fixture_relay_run(&w->f, 10 * MINUTE_MS);
	assert_int_equal(w->recorded_count, w->id_count);
	for (uint32_t i = 0; i < w->id_count; i++)
		assert_true(w->recorded[i] == w->ids[i]);
	assert_int_equal(w->f.delivered, w->id_count);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_DELIVERED), w->id_count);
	expect_empty(w);
}

static bool was_recorded(const struct late_world *w, uint64_t id)
{
	for (uint32_t i = 0; i < w->recorded_count; i++)
		if (w->recorded[i] == id)
			return true;
	return false;
}

/* ---- the tests ---- */

static void test_late_follows_what_the_store_has(void **state)
{
	struct late_world *w = *state;
	/* more than one CLAIM has room for, and then one that sees old and late ones */
	struct hop *h = start_behind(w, 150);

	for (int i = 0; i < 60; i++)
		store_and_offer(w);
	fixture_relay_run(&w->f, SECOND_MS);
	assert_int_equal(h->late_count, 60);
	assert_int_equal(w->f.delivered, 0);
	release(w);
	expect_all_in_order(w);
}

static void test_late_is_not_read_back_when_the_store_has_no_more(void **state)
{
	struct late_world *w = *state;

	start_behind(w, 5);
	for (int i = 0; i < 3; i++)
		store_and_offer(w);
	release(w);
	expect_all_in_order(w);
	assert_int_equal(w->claims, 1);
}

static void test_late_is_forgotten_when_too_many_wait(void **state)
{
	struct late_world *w = *state;
	struct hop *h = start_behind(w, 5);

	for (int i = 0; i < LATE_MAX; i++)
		store_and_offer(w);
	assert_int_equal(h->late_count, LATE_MAX);
	store_and_offer(w);
	assert_int_equal(h->late_count, 0);
	assert_int_equal(w->f.relay->late_count, 0);
	assert_true(w->f.relay->flow.waiting_bytes == 0);
	release(w);
	expect_all_in_order(w);
}

static void test_late_mail_with_more_recipients_in_the_store_is_sent_to_all(void **state)
{
	struct late_world *w = *state;
	uint64_t id;

	start_behind(w, 40);
	/* the other recipient came to this next hop since it was accepted */
	id = fixture_relay_store(&w->f, FROM, HOP, 2);
	fixture_relay_offer(&w->f, id, FROM, HOP);
	release(w);
	fixture_relay_run(&w->f, 10 * MINUTE_MS);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_DELIVERED), 42);
	expect_empty(w);
}

static void test_late_mail_of_higher_priority_goes_first(void **state)
{
	struct late_world *w = *state;
	uint64_t urgent, slow;

	start_behind(w, 60);
	slow = store_and_offer(w);
	w->f.priority = 5;
	urgent = store_and_offer(w);
	release(w);
	fixture_relay_run(&w->f, 10 * MINUTE_MS);
	assert_int_equal(w->recorded_count, 62);
	assert_true(w->recorded[61] == slow);
	/* at the latest behind what the first CLAIM brought */
	for (uint32_t i = 0; i < 34; i++)
		if (w->recorded[i] == urgent)
			return;
	fail_msg("it waited for the whole backlog");
}

struct operator
{
	struct conn *sock;
	struct buf answer;
};

static void on_answer(void *user, struct str octets)
{
	buf_append_str(&((struct operator*)user)->answer, octets);
}

static void on_hang_up(void *user, enum err err)
{
	(void)user;
	(void)err;
}

static void on_connected(void *user, enum err err)
{
	(void)user;
	assert_int_equal(err, OK);
}

static void command(struct late_world *w, const char *text)
{
	static const struct sim_sock_handler handler = { on_connected, on_answer, on_hang_up };
	const struct sim_line line = { .latency_ms = 1 };
	struct endpoint to = { .family = FAMILY_UNIX, .path = "control" };
	static struct operator o;

	buf_init(&o.answer, 64 << 10);
	o.sock = sim_net_dial(&w->f.net, &to, &to, &line, &handler, &o);
	fixture_relay_run(&w->f, 10);
	sim_sock_write(o.sock, str_from_c(text));
	fixture_relay_run(&w->f, 100);
	assert_non_null(strstr(buf_cstr(&o.answer), "\"done\""));
	sim_sock_close(o.sock, false);
	buf_fini(&o.answer);
}

static void test_late_mail_that_an_operator_stops_is_not_sent(void **state)
{
	static const struct {
		const char *verb;
		enum recipient_state ends;
	} rows[] = { { "delete", RECIPIENT_DELETED }, { "hold", RECIPIENT_HELD } };

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct late_world *w;
		struct queue_id_text claimed, late;
		struct buf line;
		uint64_t stopped;

		close_world(state);
		open_world(state);
		w = *state;
		struct hop *h = start_behind(w, 5);
		store_and_offer(w);
		stopped = store_and_offer(w);
		store_and_offer(w);
		assert_int_equal(h->late_count, 3);
		claimed = queue_id_format(w->ids[2]);
		late = queue_id_format(stopped);
		buf_init(&line, 1024);
		buf_printf(&line, "{\"verb\":\"%s\",\"filter\":{\"ids\":[\"%s\",\"%s\"]}}\n",
			rows[i].verb, claimed.text, late.text);
		command(w, buf_cstr(&line));
		buf_fini(&line);
		release(w);
		fixture_relay_run(&w->f, 10 * MINUTE_MS);
		assert_int_equal(w->f.delivered, 6);
		assert_false(was_recorded(w, stopped));
		assert_false(was_recorded(w, w->ids[2]));
		assert_int_equal(fixture_relay_count(&w->f, rows[i].ends), 2);
		expect_empty(w);
	}
}

static void test_late_mail_takes_the_route_of_a_reload(void **state)
{
	struct late_world *w = *state;
	struct hop *h = start_behind(w, 5);
	struct conf_route route = {
		.to = STR("*"), .via = ROUTE_SMARTHOST, .host = STR("other.test"), .uses_mx = true
	};
	struct conf *conf = conf_default();
	struct buf message;

	for (int i = 0; i < 3; i++)
		store_and_offer(w);
	conf->hostname = w->f.conf->hostname;
	conf->postmaster = w->f.conf->postmaster;
	conf->bounce_from = w->f.conf->bounce_from;
	conf->queue = w->f.conf->queue;
	conf->policy.connections_max = 1;
	conf->routes = &route;
	conf->route_count = 1;
	buf_init(&message, 4096);
	assert_int_equal(relay_reload(w->f.relay, conf, &message), OK);
	assert_int_equal(h->late_count, 0);
	release(w);
	fixture_relay_run(&w->f, 10 * MINUTE_MS);
	assert_int_equal(w->f.delivered, 8);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_DELIVERED), 8);
	expect_empty(w);
	buf_fini(&message);
	conf_unref(conf);
}

static void test_late_is_forgotten_when_its_hop_is_parked(void **state)
{
	struct late_world *w = *state;
	struct hop *h = start_behind(w, 5);
	struct relay *r = w->f.relay;

	for (int i = 0; i < 3; i++)
		store_and_offer(w);
	h->health.state = HEALTH_DOWN;
	h->health.next_probe = wall_add(env_wall(r->env), HOUR_MS);
	agenda_note_probe(r, h->health.next_probe);
	h->is_dirty = true;
	hop_kick(h);
	release(w);
	fixture_relay_run(&w->f, MINUTE_MS);
	assert_int_equal(w->f.delivered, 0);
	assert_int_equal(r->late_count, 0);
	assert_int_equal(r->pending_count, 0);
	assert_true(r->flow.waiting_bytes == 0);
	store_and_offer(w);
	assert_int_equal(r->late_count, 0);
	fixture_relay_run(&w->f, 2 * HOUR_MS);
	assert_int_equal(w->f.delivered, 9);
	expect_empty(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
	const struct CMUnitTest tests[] = {
		TEST(test_late_follows_what_the_store_has),
		TEST(test_late_is_not_read_back_when_the_store_has_no_more),
		TEST(test_late_is_forgotten_when_too_many_wait),
		TEST(test_late_mail_with_more_recipients_in_the_store_is_sent_to_all),
		TEST(test_late_mail_of_higher_priority_goes_first),
		TEST(test_late_mail_that_an_operator_stops_is_not_sent),
		TEST(test_late_mail_takes_the_route_of_a_reload),
		TEST(test_late_is_forgotten_when_its_hop_is_parked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
