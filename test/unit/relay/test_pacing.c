/*
 * What starts next at a site that is slow, or was dead: urgent mail first, a share for new mail, each sender's share, and
 * for each probe another message. One message a second, so that what was started is in the order of its RECORDs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fixture_relay.h"

#define RECORDED_MAX 4096
#define HOP "dest.test"

struct pacing_world {
	struct fixture_relay f;
	struct store store; /* sees RECORDs, then the counting one */
	struct store *next;
	uint64_t recorded[RECORDED_MAX]; /* messages, as they were attempted */
	uint32_t recorded_count;
};

static struct pacing_world world;

static void on_submit(struct store *store, struct store_op *op)
{
	struct pacing_world *w = CONTAINER_OF(store, struct pacing_world, store);

	if (op->kind == STORE_RECORD) {
		const struct store_record *record = CONTAINER_OF(op, struct store_record, op);

		if (record->id != 0 && w->recorded_count < RECORDED_MAX)
			w->recorded[w->recorded_count++] = record->id;
	}
	store_submit(w->next, op, op->kind);
}

static const struct store_ops seeing = { .submit = on_submit };

static int open_world(void **state)
{
	world = (struct pacing_world){ .store.ops = &seeing };
	fixture_relay_open(&world.f);
	world.next = &world.f.store;
	world.f.conf->policy.rate_max = 60;
	*state = &world;
	return 0;
}

static int close_world(void **state)
{
	struct pacing_world *w = *state;

	fixture_relay_close(&w->f);
	return 0;
}

static void start(struct pacing_world *w)
{
	fixture_relay_start(&w->f);
	w->f.relay->store = &w->store;
}

static uint64_t store_from(struct pacing_world *w, unsigned sender)
{
	char from[32];

	(void)snprintf(from, sizeof(from), "s%u@from.test", sender);
	return fixture_relay_store(&w->f, from, HOP, 1);
}

static uint64_t offer_from(struct pacing_world *w, unsigned sender)
{
	uint64_t id = store_from(w, sender);
	char from[32];

	(void)snprintf(from, sizeof(from), "s%u@from.test", sender);
	fixture_relay_offer(&w->f, id, from, HOP);
	return id;
}

static bool is_recorded(const struct pacing_world *w, uint64_t id)
{
	for (uint32_t i = 0; i < w->recorded_count; i++)
		if (w->recorded[i] == id)
			return true;
	return false;
}

/* A site that was down has so many from the time before; it is back. */
static void recover_with(struct pacing_world *w, uint32_t older)
{
	while (older-- > 0)
		(void)store_from(w, 1);
	fixture_relay_down(&w->f, wall_add(env_wall(&w->f.env.env), SECOND_MS));
	start(w);
	fixture_relay_run(&w->f, 10 * SECOND_MS);
	assert_in_range(w->f.delivered, 5, 20);
}

static void test_pacing_takes_urgent_mail_first(void **state)
{
	struct pacing_world *w = *state;

	recover_with(w, 300);
	for (unsigned i = 0; i < 5; i++) {
		w->f.priority = (int)i + 1;
		uint64_t id = offer_from(w, 1);
		w->f.priority = 0;
		(void)offer_from(w, 1);
		fixture_relay_run(&w->f, 2 * SECOND_MS);
		assert_true(is_recorded(w, id));
	}
}

/* Greylisted once, it is due again while hundreds wait in memory. */
static void test_pacing_takes_an_urgent_retry_first(void **state)
{
	struct pacing_world *w = *state;
	uint64_t id;

	start(w);
	w->f.priority = 5;
	w->f.defer_count = 1;
	id = offer_from(w, 1);
	fixture_relay_run(&w->f, 10 * SECOND_MS);
	assert_true(is_recorded(w, id));
	w->recorded_count = 0;
	w->f.priority = 0;
	for (unsigned i = 0; i < 1000; i++)
		(void)offer_from(w, 1);
	fixture_relay_run(&w->f, 6 * MINUTE_MS);
	assert_true(is_recorded(w, id));
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_WAITING), 0);
	assert_true(fixture_relay_count(&w->f, RECIPIENT_READY) > 500);
}

static void test_pacing_keeps_a_share_for_new_mail(void **state)
{
	struct pacing_world *w = *state;
	uint64_t fresh[40];
	uint32_t got = 0, before;

	recover_with(w, 300);
	before = w->f.delivered;
	for (unsigned i = 0; i < 40; i++) {
		fresh[i] = offer_from(w, 1);
		fixture_relay_run(&w->f, 2 * SECOND_MS);
	}
	for (unsigned i = 0; i < 40; i++)
		got += is_recorded(w, fresh[i]);
	assert_in_range(w->f.delivered - before, 70, 90);
	assert_in_range(got, 15, 25); /* a quarter of 80 */
	fixture_relay_run(&w->f, 10 * MINUTE_MS);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_READY), 0);
}

static void test_pacing_gives_each_sender_a_share(void **state)
{
	struct pacing_world *w = *state;
	uint64_t other[20];
	unsigned sender = 2;
	uint32_t got = 0;

	while (store_sender_bucket(STR("s1@from.test")) ==
		(sender == 2 ? store_sender_bucket(STR("s2@from.test"))
			     : store_sender_bucket(STR("s3@from.test"))))
		sender++;
	start(w);
	for (unsigned i = 0; i < 200; i++)
		(void)offer_from(w, 1);
	for (unsigned i = 0; i < 20; i++)
		other[i] = offer_from(w, sender);
	fixture_relay_run(&w->f, 50 * SECOND_MS);
	for (unsigned i = 0; i < 20; i++)
		got += is_recorded(w, other[i]);
	assert_int_equal(got, 20);
}

static void test_pacing_probes_with_another_message_each_time(void **state)
{
	struct pacing_world *w = *state;
	uint64_t ids[6];

	for (unsigned i = 0; i < 6; i++) {
		w->f.priority = i == 3 ? 5 : 0;
		ids[i] = store_from(w, i / 2);
	}
	w->f.priority = 0;
	w->f.is_refusing = true;
	fixture_relay_down(&w->f, wall_add(env_wall(&w->f.env.env), SECOND_MS));
	start(w);
	fixture_relay_run(&w->f, 2 * DAY_MS);
	assert_true(w->recorded_count >= 12);
	assert_true(w->recorded[0] == ids[3]); /* the urgent one leads once */
	for (unsigned i = 0; i < 6; i++)
		for (unsigned k = 0; k < i; k++)
			assert_true(w->recorded[i] != w->recorded[k]);
}

static void test_pacing_counts_a_refused_connection_as_a_limit_while_others_work(void **state)
{
	struct pacing_world *w = *state;
	const struct site *s;

	w->f.conf->policy.rate_max = 0;
	start(w);
	w->f.rcpt_delay_ms = 20 * SECOND_MS; /* the first is under way */
	(void)offer_from(w, 1);
	fixture_relay_run(&w->f, SECOND_MS);
	w->f.is_refusing = true;
	(void)offer_from(w, 2);
	fixture_relay_run(&w->f, SECOND_MS);
	s = hop_get(w->f.relay, STR(HOP))->site;
	assert_int_equal(s->health.state, HEALTH_UP);
	assert_int_equal(s->window.size, 1);
	assert_false(pace_is_limited(&s->pace));
	w->f.is_refusing = false;
	fixture_relay_run(&w->f, MINUTE_MS);
	assert_int_equal(w->f.delivered, 2);
}

static void test_pacing_puts_back_what_a_limit_refused(void **state)
{
	struct pacing_world *w = *state;

	w->f.conf->policy.rate_max = 0;
	start(w);
	w->f.limit_at = "MAIL";
	w->f.limit_count = 2;
	(void)offer_from(w, 1);
	fixture_relay_run(&w->f, MINUTE_MS); /* its own retry time would be five */
	assert_int_equal(w->f.limited, 2);
	assert_int_equal(w->f.delivered, 1);
	assert_true(pacing_limit(w->f.relay, hop_get(w->f.relay, STR(HOP))->site->name) > 0);
}

/* Nothing turns for ever: three times, then it takes a retry time of its own. */
static void test_pacing_puts_a_message_back_three_times(void **state)
{
	struct pacing_world *w = *state;

	w->f.conf->policy.rate_max = 0;
	start(w);
	w->f.limit_at = "MAIL";
	w->f.limit_count = UINT32_MAX;
	(void)offer_from(w, 1);
	fixture_relay_run(&w->f, 4 * MINUTE_MS);
	assert_int_equal(w->f.limited, 4);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_WAITING), 1);
}

/* One sender's mail is always refused: the others' goes on, without a limit before long. */
static void test_pacing_lets_others_pass_one_that_is_always_refused(void **state)
{
	struct pacing_world *w = *state;
	uint32_t before;

	w->f.conf->policy.rate_max = 0;
	start(w);
	w->f.limit_at = "MAIL FROM:<s7@";
	w->f.limit_count = UINT32_MAX;
	w->f.priority = 5;
	for (unsigned i = 0; i < 20; i++)
		(void)offer_from(w, 7);
	w->f.priority = 0;
	for (unsigned i = 0; i < 50; i++)
		(void)offer_from(w, 1);
	fixture_relay_run(&w->f, 4 * MINUTE_MS);
	assert_int_equal(w->f.delivered, 50);
	assert_int_equal(fixture_relay_count(&w->f, RECIPIENT_WAITING), 20);
	assert_in_range(w->f.limited, 20, 80);
	before = w->f.limited;
	for (unsigned i = 0; i < 50; i++) {
		(void)offer_from(w, 7);
		(void)offer_from(w, 1);
		fixture_relay_run(&w->f, SECOND_MS);
	}
	/* each of its own once, and nobody waits for it */
	assert_true(w->f.delivered >= 95);
	assert_in_range(w->f.limited - before, 45, 90);
	fixture_relay_run(&w->f, MINUTE_MS); /* kept sessions end */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_pacing_takes_urgent_mail_first, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_takes_an_urgent_retry_first, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_keeps_a_share_for_new_mail, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_gives_each_sender_a_share, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_probes_with_another_message_each_time, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_counts_a_refused_connection_as_a_limit_while_others_work,
			open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_puts_back_what_a_limit_refused, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_puts_a_message_back_three_times, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			test_pacing_lets_others_pass_one_that_is_always_refused, open_world,
			close_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
