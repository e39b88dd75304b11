/* A row of a next hop or a site that cannot be read: nothing is known of it, so nothing is tried until it can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"

/* A store that cannot read health for a while. */
struct script {
	struct store store;
	struct fixture_relay *f;
	bool fails_hop, fails_site;
	uint32_t failed;
	void (*done)(struct store_op *op);
};

static struct script script;

static void on_failed(struct store_op *op)
{
	op->err = ERR_IO;
	script.failed++;
	script.done(op);
}

static void on_submit(struct store *store, struct store_op *op)
{
	const struct store_lookup *l = CONTAINER_OF(op, struct store_lookup, op);

	(void)store;
	if (op->kind == STORE_LOOKUP &&
		((l->hop.len > 0 && script.fails_hop) || (l->site.len > 0 && script.fails_site))) {
		script.done = op->on_done;
		op->on_done = on_failed;
	}
	script.f->store.ops->submit(&script.f->store, op);
}

static const struct store_ops scripted = { .submit = on_submit };

static int open_fixture(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	/* down, and its probe is some minutes away */
	fixture_relay_down(&f, wall_add(env_wall(&f.env.env), 8 * MINUTE_MS));
	script = (struct script){ .store.ops = &scripted, .f = &f };
	fixture_relay_start(&f);
	fixture_relay_run(&f, SECOND_MS);
	f.relay->store = &script.store;
	*state = &f;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_relay_run(*state, MINUTE_MS);
	fixture_relay_close(*state);
	return 0;
}

static void offer(struct fixture_relay *f)
{
	uint64_t id = fixture_relay_store(f, "s@sender.test", "dest.test", 1);

	fixture_relay_offer(f, id, "s@sender.test", "dest.test");
}

static void test_a_next_hop_that_cannot_be_read_is_not_taken_for_up(void **state)
{
	struct fixture_relay *f = *state;

	script.fails_hop = true;
	offer(f);
	fixture_relay_run(f, 3 * MINUTE_MS + SECOND_MS);
	assert_int_equal(script.failed, 4);
	assert_int_equal(f->connects, 0);
	script.fails_hop = false;
	fixture_relay_run(f, 2 * MINUTE_MS);
	assert_int_equal(f->connects, 0); /* now it is known to be down */
	assert_int_equal(fixture_relay_count(f, RECIPIENT_READY), 1);
}

static void test_a_site_that_cannot_be_read_is_not_taken_for_up(void **state)
{
	struct fixture_relay *f = *state;

	script.fails_site = true;
	offer(f);
	fixture_relay_run(f, 3 * MINUTE_MS + SECOND_MS);
	assert_int_equal(script.failed, 4);
	assert_int_equal(f->connects, 0);
	script.fails_site = false;
	fixture_relay_run(f, 2 * MINUTE_MS);
	assert_int_equal(f->connects, 0);
}

static void test_what_can_be_read_again_is_delivered(void **state)
{
	struct fixture_relay *f = *state;
	uint64_t id = fixture_relay_store(f, "s@sender.test", "dest.test", 1);

	script.fails_hop = true;
	fixture_relay_offer(f, id, "s@sender.test", "dest.test");
	fixture_relay_run(f, SECOND_MS);
	script.fails_hop = false;
	fixture_relay_run(f, 2 * MINUTE_MS);
	destination_retry(f->relay, STR("dest.test"));
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(f->delivered, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_next_hop_that_cannot_be_read_is_not_taken_for_up, open_fixture,
			close_fixture),
		cmocka_unit_test_setup_teardown(
			test_a_site_that_cannot_be_read_is_not_taken_for_up, open_fixture,
			close_fixture),
		cmocka_unit_test_setup_teardown(
			test_what_can_be_read_again_is_delivered, open_fixture, close_fixture),
	};
	return cmocka_run_group_tests_name("relay/unreadable", tests, NULL, NULL);
}
