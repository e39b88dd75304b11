/* test_outage - outages in memory and in the store: begun, ended, read again, given a number, and what the heartbeat tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_relay.h"
#include "relay/outage_private.h"

#define SITE STR("mx.dest.test")

static int setup(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	fixture_relay_close(*state);
	return 0;
}

static void on_done(struct store_op *op)
{
	CHECK(op->err == OK);
}

static void submit(struct fixture_relay *f, struct store_op *op, enum store_kind kind)
{
	op->on_done = on_done;
	store_submit(f->inner, op, kind);
	fixture_relay_run(f, 1);
}

/* What an operator's verb writes. */
static void put(struct fixture_relay *f, const struct outage_record *rec)
{
	struct store_record op = { .outages = rec, .outage_count = 1 };

	submit(f, &op.op, STORE_RECORD);
	store_op_fini(&op.op);
}

static struct outage_record declared(
	struct fixture_relay *f, uint64_t id, enum outage_scope scope, const char *name)
{
	struct wall now = env_wall(&f->env.env);

	return (struct outage_record){ .id = id,
		.kind = OUTAGE_DECLARED,
		.scope = scope,
		.name = str_from_c(name),
		.began = now,
		.declared = now,
		.actor = STR("uid 0 (root)") };
}

static void beat(struct fixture_relay *f, int64_t ago_ms)
{
	char text[32];
	struct store_put op = { .key = STR("heartbeat") };

	(void)snprintf(text, sizeof(text), "%lld", (long long)(env_wall(&f->env.env).ms - ago_ms));
	op.value = str_from_c(text);
	submit(f, &op.op, STORE_PUT);
	store_op_fini(&op.op);
}

/* Counts what is stored, open or not; *last: the one with the greatest id, its strings not to be looked at. */
static uint32_t stored(struct fixture_relay *f, bool only_open, struct outage_record *last)
{
	struct store_outages op = { .only_open = only_open, .limit = 100 };

	submit(f, &op.op, STORE_OUTAGES);
	if (op.outage_count > 0 && last)
		*last = op.outages[0];
	store_op_fini(&op.op);
	return op.outage_count;
}

static struct hop *load(struct fixture_relay *f, const char *name)
{
	struct hop *h = hop_get(f->relay, str_from_c(name));

	fixture_relay_run(f, 10);
	assert_non_null(h);
	assert_true(h->is_loaded);
	return h;
}

static void test_outage_begun_before_all_is_read_gets_its_number_then(void **state)
{
	struct fixture_relay *f = *state;
	const struct outage_record *rec;
	struct wall now = env_wall(&f->env.env);

	struct outage_record old = declared(f, 41, OUTAGE_OF_SITE, "mx.elsewhere.test");
	put(f, &old);
	fixture_relay_start(f);
	rec = outage_begin(f->relay, OUTAGE_STORM, OUTAGE_OF_SITE, SITE, now, NULL);
	assert_non_null(rec);
	assert_int_equal(rec->id, 0);
	assert_ptr_equal(
		outage_begin(f->relay, OUTAGE_STORM, OUTAGE_OF_SITE, SITE, now, NULL), rec);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(rec->id, 42);
	assert_int_equal(stored(f, true, NULL), 2);
	assert_non_null(
		outage_open(f->relay, OUTAGE_DECLARED, OUTAGE_OF_SITE, STR("mx.elsewhere.test")));
	assert_null(outage_open(f->relay, OUTAGE_DOWN, OUTAGE_OF_SITE, SITE));
}

static void test_outage_is_read_again_after_a_restart(void **state)
{
	struct fixture_relay *f = *state;
	struct wall began = env_wall(&f->env.env);
	const struct outage_record *rec;

	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	(void)outage_begin(f->relay, OUTAGE_STORM, OUTAGE_OF_HOP, STR("dest.test"), began, NULL);
	fixture_relay_run(f, SECOND_MS);
	fixture_relay_end(f);
	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	rec = outage_open(f->relay, OUTAGE_STORM, OUTAGE_OF_HOP, STR("dest.test"));
	assert_non_null(rec);
	assert_int_equal(rec->began.ms, began.ms);
	assert_ptr_equal(outage_of_hop(f->relay, load(f, "dest.test")), rec);
	outage_end(f->relay, OUTAGE_STORM, OUTAGE_OF_HOP, STR("dest.test"), env_wall(&f->env.env));
	assert_null(outage_open(f->relay, OUTAGE_STORM, OUTAGE_OF_HOP, STR("dest.test")));
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(stored(f, true, NULL), 0);
	assert_int_equal(stored(f, false, NULL), 1);
}

/* Mail spends no lifetime in an outage of its next hop, of all, or of a pattern that fits; and what ended still counts. */
static void test_outage_moves_the_end_of_lifetime(void **state)
{
	static const struct {
		enum outage_scope scope;
		const char *name;
		bool is_ours;
	} rows[] = {
		{ OUTAGE_OF_HOP, "dest.test", true },
		{ OUTAGE_OF_HOP, "other.test", false },
		{ OUTAGE_OF_PATTERN, "*.test", true },
		{ OUTAGE_OF_PATTERN, "*.example", false },
		{ OUTAGE_OF_ALL, "", true },
	};
	struct fixture_relay *f = *state;
	struct hop *h;

	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	h = load(f, "dest.test");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct wall now = env_wall(&f->env.env);
		const struct envelope env = { .accepted = now };
		int64_t plain = now.ms + f->conf->policy.lifetime_ms;
		int64_t most = now.ms + f->conf->policy.lifetime_max_ms;
		struct str name = str_from_c(rows[i].name);

		assert_int_equal(outage_gives_up_at(h, &env).ms, plain);
		(void)outage_begin(f->relay, OUTAGE_OFFLINE, rows[i].scope, name, now, NULL);
		assert_int_equal(outage_gives_up_at(h, &env).ms, rows[i].is_ours ? most : plain);
		fixture_relay_run(f, HOUR_MS);
		outage_end(f->relay, OUTAGE_OFFLINE, rows[i].scope, name, wall_add(now, HOUR_MS));
		for (int j = 0; j < 2; j++) {
			/* at once, and when it is stored */
			assert_int_equal(outage_gives_up_at(h, &env).ms,
				plain + (rows[i].is_ours ? HOUR_MS : 0));
			fixture_relay_run(f, SECOND_MS);
		}
	}
}

static void test_outage_that_ended_is_loaded_with_its_destination(void **state)
{
	struct fixture_relay *f = *state;
	struct wall now = env_wall(&f->env.env);
	const struct envelope env = { .accepted = now };
	struct outage_record rec = declared(f, 1, OUTAGE_OF_SITE, "mx.dest.test");

	rec.ended = wall_add(now, 2 * HOUR_MS);
	put(f, &rec);
	fixture_relay_down(f, WALL_NEVER);
	fixture_relay_run(f, 2 * HOUR_MS);
	fixture_relay_start(f);
	struct hop *h = hop_get(f->relay, STR("dest.test"));
	/* nothing is over as long as that is not known */
	assert_int_equal(outage_gives_up_at(h, &env).ms, WALL_NEVER.ms);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(
		outage_gives_up_at(h, &env).ms, now.ms + f->conf->policy.lifetime_ms + 2 * HOUR_MS);
}

static void test_outage_declared_while_it_runs_reaches_the_relay(void **state)
{
	struct fixture_relay *f = *state;

	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	struct hop *h = load(f, "dest.test");
	assert_false(hop_is_known_good(h));
	uint64_t id = outage_new_id(f->relay);
	struct outage_record rec = declared(f, id, OUTAGE_OF_PATTERN, "dest.*");
	put(f, &rec);
	outage_reload(f->relay);
	fixture_relay_run(f, SECOND_MS);
	assert_non_null(outage_of_hop(f->relay, h));
	assert_int_equal(outage_of_hop(f->relay, h)->id, id);
	assert_true(hop_is_known_good(h));
	assert_false(hop_is_known_good(load(f, "other.test")));
	rec.ended = wall_add(env_wall(&f->env.env), 1);
	put(f, &rec);
	outage_reload(f->relay);
	fixture_relay_run(f, SECOND_MS);
	assert_null(outage_of_hop(f->relay, h));
	assert_false(hop_is_known_good(h));
	assert_int_equal(stored(f, true, NULL), 0);
}

static void test_outage_whose_number_was_taken_moves(void **state)
{
	struct fixture_relay *f = *state;
	const struct outage_record *ours;

	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	ours = outage_begin(
		f->relay, OUTAGE_STORM, OUTAGE_OF_SITE, SITE, env_wall(&f->env.env), NULL);
	struct outage_record theirs = declared(f, ours->id, OUTAGE_OF_HOP, "dest.test");
	put(f, &theirs);
	outage_reload(f->relay);
	fixture_relay_run(f, SECOND_MS);
	assert_int_not_equal(ours->id, theirs.id);
	assert_int_equal(stored(f, true, NULL), 2);
}

static void test_heartbeat_tells_when_the_relay_did_not_run(void **state)
{
	static const struct {
		int64_t ago_ms;
		bool is_outage, is_jump;
	} rows[] = {
		{ MINUTE_MS, false, false },
		{ 2 * MINUTE_MS + 10, true, false },
		{ 6 * DAY_MS, true, false },
		{ 365 * DAY_MS, true, true },
		{ -365 * DAY_MS, false, false },
	};
	struct fixture_relay *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint32_t before = stored(f, false, NULL);
		struct outage_record rec = { 0 };

		beat(f, rows[i].ago_ms);
		struct wall now = env_wall(&f->env.env);
		fixture_relay_start(f);
		fixture_relay_run(f, SECOND_MS);
		assert_int_equal(stored(f, false, &rec), before + rows[i].is_outage);
		if (rows[i].is_outage) {
			assert_int_equal(rec.kind, OUTAGE_STOPPED);
			assert_int_equal(rec.scope, OUTAGE_OF_ALL);
			assert_true(rec.ended.ms - now.ms <= 10);
			assert_true(rec.ended.ms - rec.began.ms - rows[i].ago_ms <= 10);
			assert_int_equal(rec.note.len > 0, rows[i].is_jump);
		}
		fixture_relay_end(f);
	}
}

static void test_heartbeat_goes_on_each_minute_and_at_the_stop(void **state)
{
	struct fixture_relay *f = *state;
	struct store_get op = { .key = STR("heartbeat") };
	char want[32];

	fixture_relay_start(f);
	fixture_relay_run(f, 10 * MINUTE_MS + 30 * SECOND_MS);
	(void)snprintf(want, sizeof(want), "%lld", (long long)(env_wall(&f->env.env).ms));
	fixture_relay_stop(f);
	fixture_relay_run(f, SECOND_MS);
	assert_true(f->is_stopped);
	submit(f, &op.op, STORE_GET);
	assert_true(str_equal(op.value, str_from_c(want)));
	store_op_fini(&op.op);
}

/* The contract of the port forbids it; no mail is to pay when it happens. */
static void test_clock_that_is_set_while_it_runs_is_no_lifetime(void **state)
{
	struct fixture_relay *f = *state;
	struct outage_record rec = { 0 };

	fixture_relay_start(f);
	fixture_relay_run(f, 10 * MINUTE_MS);
	struct envelope env = { .accepted = env_wall(&f->env.env) };
	struct hop *h = load(f, "dest.test");
	int64_t plain = outage_gives_up_at(h, &env).ms;
	f->env.wall_ms += 365 * DAY_MS;
	fixture_relay_run(f, 2 * MINUTE_MS);
	assert_int_equal(stored(f, false, &rec), 1);
	assert_int_equal(rec.kind, OUTAGE_STOPPED);
	assert_int_equal(rec.ended.ms - rec.began.ms, 365 * DAY_MS);
	assert_int_equal(outage_gives_up_at(load(f, "dest.test"), &env).ms - plain, 365 * DAY_MS);
	f->env.wall_ms -= 365 * DAY_MS;
	fixture_relay_run(f, 2 * MINUTE_MS);
	assert_int_equal(stored(f, false, &rec), 1);
}

/* Written under a clock that was ahead: it would give credit for time that is still to come. */
static void test_outage_that_lies_ahead_is_set_right(void **state)
{
	struct fixture_relay *f = *state;
	struct wall now = env_wall(&f->env.env);
	struct outage_record rec = { .id = 1,
		.kind = OUTAGE_STOPPED,
		.scope = OUTAGE_OF_ALL,
		.name = STR(""),
		.began = now,
		.ended = wall_add(now, 365 * DAY_MS) };

	put(f, &rec);
	fixture_relay_run(f, MINUTE_MS);
	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	assert_int_equal(stored(f, false, &rec), 1);
	assert_true(rec.ended.ms <= env_wall(&f->env.env).ms);
	struct envelope env = { .accepted = now };
	assert_true(outage_gives_up_at(load(f, "dest.test"), &env).ms <=
		    now.ms + f->conf->policy.lifetime_ms + 2 * MINUTE_MS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_outage_of_a_pattern_is_kept_once_however_often_it_is_read(void **state)
{
	struct fixture_relay *f = *state;
	struct outage_record rec = declared(f, 5, OUTAGE_OF_PATTERN, "*.dest.test");

	rec.began = wall_add(rec.began, -DAY_MS);
	rec.ended = wall_add(rec.began, HOUR_MS);
	put(f, &rec);
	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	for (int i = 0; i < 3; i++) {
		outage_reload(f->relay);
		fixture_relay_run(f, SECOND_MS);
	}
	assert_int_equal(f->relay->outages->pattern_count, 1);
}

static void test_outage_of_all_leaves_so_many_spans_at_most(void **state)
{
	struct fixture_relay *f = *state;
	struct outage_record rec = { .kind = OUTAGE_STOPPED, .scope = OUTAGE_OF_ALL };
	struct wall now = env_wall(&f->env.env);

	fixture_relay_start(f);
	for (int i = 20000; i > 0; i--) {
		rec.began = wall_add(now, -i * HOUR_MS);
		rec.ended = wall_add(rec.began, 3 * MINUTE_MS);
		outage_note_span(f->relay, &rec);
	}
	assert_in_range(f->relay->outages->all.count, 1000, 5000);
	/* it is the old ones that go */
	assert_int_equal(credit_between(&f->relay->outages->all, wall_add(now, -DAY_MS), now),
		24 * 3 * MINUTE_MS);
}

/* Behind OUTAGES_OPEN_MAX others. */
static void test_outage_without_room_for_a_record_spends_no_lifetime_while_it_lasts(void **state)
{
	struct fixture_relay *f = *state;
	struct wall now = env_wall(&f->env.env);
	struct envelope env = { .accepted = wall_add(now, -20 * DAY_MS) };
	struct hop *h;

	fixture_relay_start(f);
	fixture_relay_run(f, SECOND_MS);
	h = load(f, "dest.test");
	h->health.last_success = wall_add(now, -21 * DAY_MS);
	h->health.first_failure = wall_add(now, -20 * DAY_MS);
	h->health.failures = 3;
	h->health.state = HEALTH_DOWN;
	assert_true(outage_gives_up_at(h, &env).ms < now.ms);
	f->relay->outages->count += OUTAGES_OPEN_MAX;
	assert_null(outage_begin(
		f->relay, OUTAGE_DOWN, OUTAGE_OF_HOP, h->name, h->health.first_failure, NULL));
	assert_int_equal(outage_gives_up_at(h, &env).ms, wall_add(env.accepted, 30 * DAY_MS).ms);
	f->relay->outages->count -= OUTAGES_OPEN_MAX;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_outage_begun_before_all_is_read_gets_its_number_then),
		TEST(test_outage_is_read_again_after_a_restart),
		TEST(test_outage_moves_the_end_of_lifetime),
		TEST(test_outage_that_ended_is_loaded_with_its_destination),
		TEST(test_outage_declared_while_it_runs_reaches_the_relay),
		TEST(test_outage_whose_number_was_taken_moves),
		TEST(test_heartbeat_tells_when_the_relay_did_not_run),
		TEST(test_heartbeat_goes_on_each_minute_and_at_the_stop),
		TEST(test_clock_that_is_set_while_it_runs_is_no_lifetime),
		TEST(test_outage_that_lies_ahead_is_set_right),
		TEST(test_outage_of_a_pattern_is_kept_once_however_often_it_is_read),
		TEST(test_outage_of_all_leaves_so_many_spans_at_most),
		TEST(test_outage_without_room_for_a_record_spends_no_lifetime_while_it_lasts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
