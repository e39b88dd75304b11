/* contract_history - what left the queue in a stretch of time, and the success of next hops that are told to work. */
#include "store/contract_parts.h"

static void finish_at(
	struct world *w, uint64_t id, uint32_t number, enum result_kind kind, int64_t at)
{
	struct store_result result = { .number = number, .kind = kind, .attempt = 1 };
	struct store_record op = { .id = id, .at = { at }, .results = &result, .result_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	store_op_fini(&op.op);
}

static void test_query_finds_what_left_the_queue_in_a_stretch_of_time(void **state)
{
	static const char *const two[] = { "a.example", "b.example" };
	struct world *w = *state;
	struct sample s;
	uint64_t ids[5];
	for (size_t i = 0; i < 4; i++)
		ids[i] = world_must_accept(w, i == 3 ? "b.example" : "a.example");
	sample_make(w, &s, two, 2);
	assert_int_equal(world_accept(w, &s), OK);
	ids[4] = s.env.id;
	int64_t t = w->fe.wall.ms + DAY_MS;
	finish_at(w, ids[2], 1, RESULT_DELIVERED, t);
	finish_at(w, ids[0], 1, RESULT_DELIVERED, t + 10);
	finish_at(w, ids[1], 1, RESULT_FAILED, t + 20);
	finish_at(w, ids[3], 1, RESULT_DELIVERED, t + 20);
	finish_at(w, ids[4], 1, RESULT_DELIVERED, t + 5); /* its other recipient waits */
	static const struct {
		int64_t after, before;
		const char *hop;
		unsigned states;
		uint32_t limit, offset;
		const char *want; /* of ids, in order */
		bool is_more;
	} cases[] = {
		{ 0, 0, "", RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED), 10, 0, "203", false },
		{ 0, 0, "a.example", RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED), 10, 0, "20", false },
		{ 0, 0, "a.example", RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED), 1, 0, "2", true },
		{ 0, 0, "a.example", RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED), 1, 1, "0", false },
		{ 1, 20, "", RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED), 10, 0, "0", false },
		{ 10, 21, "", RECIPIENT_STATE_BIT(RECIPIENT_FAILED), 10, 0, "1", false },
		{ 21, 90, "", ~RECIPIENT_QUEUED_BITS & 0x7f, 10, 0, "", false },
		{ 0, 90, "", RECIPIENT_QUEUED_BITS, 10, 0, "", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_filter filter = { .finished_after = { t + cases[i].after },
			.finished_before = { cases[i].before ? t + cases[i].before : 0 },
			.hop = str_from_c(cases[i].hop),
			.states = cases[i].states };
		struct store_query op = { .filter = &filter,
			.sort = SORT_FINISHED,
			.limit = cases[i].limit,
			.offset = cases[i].offset };
		assert_int_equal(world_run(w, &op.op, STORE_QUERY), OK);
		struct str want = str_from_c(cases[i].want);
		assert_int_equal(op.message_count, want.len);
		assert_int_equal(op.is_more, cases[i].is_more);
		for (uint32_t k = 0; k < op.message_count; k++)
			assert_true(op.messages[k].env.id == ids[want.data[k] - '0']);
		store_op_fini(&op.op);
	}
}

static void test_success_raises_a_hop_and_its_site_and_nothing_else(void **state)
{
	struct world *w = *state;
	struct site_record site = { .name = STR("mx.a"),
		.window = 7,
		.health = { .state = HEALTH_DOWN, .last_success = { 500 }, .next_probe = { 9 } } };
	struct hop_record hop = { .name = STR("a.example"),
		.site = site.name,
		.health = { .state = HEALTH_SUSPECT,
			.last_success = { 300 },
			.next_probe = WALL_NEVER,
			.failures = 2 } };
	struct store_record down = {
		.sites = &site, .site_count = 1, .hops = &hop, .hop_count = 1
	};
	assert_int_equal(world_run(w, &down.op, STORE_RECORD), OK);
	const struct store_success said[] = { { STR("a.example"), { 400 } },
		{ STR("new.example"), { 700 } }, { STR("a.example"), { 100 } } };
	struct store_record op = { .successes = said, .success_count = 3 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	struct store_lookup known = { .hop = STR("a.example") };
	assert_int_equal(world_run(w, &known.op, STORE_LOOKUP), OK);
	assert_int_equal(known.hop_out.health.last_success.ms, 400);
	assert_int_equal(known.hop_out.health.state, HEALTH_SUSPECT);
	assert_int_equal(known.hop_out.health.failures, 2);
	assert_int_equal(known.site_out.health.last_success.ms, 500);
	assert_int_equal(known.site_out.health.state, HEALTH_DOWN);
	assert_int_equal(known.site_out.window, 7);
	store_op_fini(&known.op);
	const struct store_success later = { STR("a.example"), { 600 } };
	struct store_record raise = { .successes = &later, .success_count = 1 };
	assert_int_equal(world_run(w, &raise.op, STORE_RECORD), OK);
	assert_int_equal(world_run(w, &known.op, STORE_LOOKUP), OK);
	assert_int_equal(known.site_out.health.last_success.ms, 600);
	store_op_fini(&known.op);
	struct store_lookup fresh = { .hop = STR("new.example") };
	assert_int_equal(world_run(w, &fresh.op, STORE_LOOKUP), OK);
	assert_int_equal(fresh.hop_out.health.last_success.ms, 700);
	assert_int_equal(fresh.hop_out.health.state, HEALTH_UP);
	store_op_fini(&fresh.op);
}

int contract_run_history(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_query_finds_what_left_the_queue_in_a_stretch_of_time),
		CONTRACT_TEST(test_success_raises_a_hop_and_its_site_and_nothing_else),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
