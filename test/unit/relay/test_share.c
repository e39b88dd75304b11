/* One dead site gets no more than its share of the disk. Sizes of the disk are scripted; what waits for a site is real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"
#include "relay/share.h"

#define MESSAGES 20
#define LOOK_MS (31 * SECOND_MS)

/* A store that says of its disk what the test wants. */
struct script {
	struct store store;
	struct fixture_relay *f;
	uint64_t message_bytes;
	uint64_t usable_messages; /* the disk has room for so many like those that wait */
	uint32_t pages;           /* of next hops, read for the sums */
	void (*stats_done)(struct store_op *op);
};

static struct script script;

static void on_stats(struct store_op *op)
{
	struct store_stats *stats = CONTAINER_OF(op, struct store_stats, op);

	script.message_bytes = stats->messages > 0 ? stats->bytes / stats->messages : 1;
	stats->file_bytes = 100 * script.message_bytes;
	stats->wal_bytes = 0;
	stats->disk_free_bytes = (script.usable_messages - 100) * script.message_bytes;
	script.stats_done(op);
}

static void on_submit(struct store *store, struct store_op *op)
{
	(void)store;
	if (op->kind == STORE_STATS) {
		script.stats_done = op->on_done;
		op->on_done = on_stats;
	}
	script.pages += op->kind == STORE_HOPS && op == &script.f->relay->share.page.op;
	script.f->store.ops->submit(&script.f->store, op);
}

static const struct store_ops scripted = { .submit = on_submit };

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	f.is_refusing = true;
	fixture_relay_down(&f, wall_add(env_wall(&f.env.env), DAY_MS));
	for (int i = 0; i < MESSAGES; i++)
		(void)fixture_relay_store(&f, "s@sender.test", "dest.test", 1);
	(void)fixture_relay_store(&f, "s@sender.test", "other.test", 1);
	script = (struct script){ .store.ops = &scripted, .f = &f, .usable_messages = 100000 };
	fixture_relay_start(&f);
	f.relay->store = &script.store;
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static void test_mail_for_a_site_with_too_much_finds_no_room(void **state)
{
	struct fixture_relay *f = *state;

	script.usable_messages = 2 * MESSAGES - 4 + 100;
	f->relay->conf->policy.site_share_percent = 10; /* of 136: 13 */
	fixture_relay_run(f, LOOK_MS);
	assert_true(share_is_over(f->relay, STR("dest.test")));
	assert_false(share_is_over(f->relay, STR("elsewhere.test")));
}

static void test_room_comes_back_below_the_share_with_some_distance(void **state)
{
	/* a share of a tenth, in messages; one more than MESSAGES wait, for two domains of the site */
	static const struct {
		uint64_t usable;
		bool is_over;
	} steps[] = { { 222, false }, { 205, true }, { 213, true }, { 218, true }, { 240, false },
		{ 214, false }, { 205, true } };
	struct fixture_relay *f = *state;

	f->relay->conf->policy.site_share_percent = 10;
	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		script.usable_messages = steps[i].usable;
		fixture_relay_run(f, LOOK_MS);
		if (share_is_over(f->relay, STR("dest.test")) != steps[i].is_over)
			fail_msg("step %zu", i);
	}
}

static void test_nothing_is_read_while_the_queue_is_small(void **state)
{
	struct fixture_relay *f = *state;

	fixture_relay_run(f, 10 * LOOK_MS);
	assert_int_equal(script.pages, 0);
	script.usable_messages = 150;
	f->relay->conf->policy.site_share_percent = 10;
	fixture_relay_run(f, LOOK_MS);
	assert_int_equal(script.pages, 2); /* sums, and the names of one site */
}

static void test_a_site_that_is_up_may_have_it_all(void **state)
{
	struct fixture_relay *f = *state;

	f->is_refusing = false;
	destination_probe(f->relay, STR("mx.dest.test"));
	fixture_relay_run(f, SECOND_MS);
	for (int i = 0; i < MESSAGES; i++) {
		f->defer_count = 1; /* each has its own retry time */
		(void)fixture_relay_store(f, "s@sender.test", "dest.test", 1);
	}
	script.usable_messages = 101;
	f->relay->conf->policy.site_share_percent = 1;
	fixture_relay_run(f, LOOK_MS);
	assert_false(share_is_over(f->relay, STR("dest.test")));
}

/* ---- what a client hears ---- */

static struct buf heard;

static void on_open(void *user, enum err err)
{
	(void)user;
	assert_int_equal(err, OK);
}

static void on_read(void *user, struct str octets)
{
	(void)user;
	buf_append_str(&heard, octets);
}

static void on_end(void *user, enum err err)
{
	(void)user;
	(void)err;
}

static void test_rcpt_hears_452_and_others_are_accepted(void **state)
{
	static const struct sim_sock_handler handler = { on_open, on_read, on_end };
	struct fixture_relay *f = *state;
	struct endpoint from = { .family = FAMILY_IPV4, .port = 4000, .ip = { 127, 0, 0, 1 } };
	struct endpoint to;
	struct sim_line line = { 0 };
	struct conn *c;

	f->relay->conf->policy.site_share_percent = 10;
	script.usable_messages = 150;
	fixture_relay_run(f, LOOK_MS);
	buf_init(&heard, 8192);
	assert_true(relay_listener(f->relay, 0, &to));
	c = sim_net_dial(&f->net, &from, &to, &line, &handler, NULL);
	fixture_relay_run(f, SECOND_MS);
	sim_sock_write(c, STR("EHLO client.test\r\n"));
	fixture_relay_run(f, SECOND_MS);
	buf_clear(&heard);
	sim_sock_write(c, STR("MAIL FROM:<s@sender.test>\r\nRCPT TO:<u@DEST.test>\r\n"
			      "RCPT TO:<u@elsewhere.test>\r\n"));
	fixture_relay_run(f, SECOND_MS);
	assert_true(str_match_glob(buf_str(&heard), STR("250*\r\n452 4.3.1 *\r\n250 2.1.5*")));
	sim_sock_close(c, false);
	buf_fini(&heard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_mail_for_a_site_with_too_much_finds_no_room, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(
			test_room_comes_back_below_the_share_with_some_distance, open_fixture,
			close_fixture),
		cmocka_unit_test_setup_teardown(
			test_nothing_is_read_while_the_queue_is_small, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(
			test_a_site_that_is_up_may_have_it_all, open_fixture, close_fixture),
		cmocka_unit_test_setup_teardown(
			test_rcpt_hears_452_and_others_are_accepted, open_fixture, close_fixture),
	};
	return cmocka_run_group_tests_name("relay/share", tests, NULL, NULL);
}
