/* contract_read - CLAIM, FETCH, HOPS, LOOKUP, PROBES; order and visibility. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "store/contract_parts.h"

static uint64_t accept_with(struct world *w, const char *const *hops, uint32_t count, int priority)
{
	struct sample s;
	sample_make(w, &s, hops, count);
	s.env.priority = priority;
	CHECK(world_accept(w, &s) == OK);
	return s.env.id;
}

static void set_health(struct world *w, const char *hop, const char *site,
	enum health_state hop_state, enum health_state site_state, int64_t next_probe)
{
	struct site_record s = { .name = str_from_c(site), .health = { .state = site_state } };
	struct hop_record h = {
		.name = str_from_c(hop), .site = s.name, .health = { .state = hop_state }
	};
	s.health.next_probe = site_state == HEALTH_DOWN ? (struct wall){ next_probe } : WALL_NEVER;
	h.health.next_probe = hop_state == HEALTH_DOWN ? (struct wall){ next_probe } : WALL_NEVER;
	struct store_record op = { .at = w->fe.wall,
		.sites = &s,
		.site_count = site[0] ? 1 : 0,
		.hops = &h,
		.hop_count = hop[0] ? 1 : 0 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
}

static void test_claim_drains_by_priority_then_arrival(void **state)
{
	static const char *const hops[] = { "a.example", "b.example" };
	struct world *w = *state;
	uint64_t ids[4];
	ids[3] = accept_with(w, hops, 1, -9);
	ids[1] = accept_with(w, hops, 1, 0);
	ids[2] = accept_with(w, hops, 2, 0);
	ids[0] = accept_with(w, hops, 1, 9);
	(void)accept_with(w, hops + 1, 1, 9);
	struct store_claim op = {
		.hop = STR("a.example"), .message_limit = 10, .recipients_per_message = 10
	};
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_int_equal(op.message_count, 4);
	assert_false(op.is_more);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(op.messages[i].env.id == ids[i]);
		assert_int_equal(op.messages[i].recipient_count, 1);
		assert_int_equal(op.messages[i].recipients[0].rcpt.number, 1);
	}
	store_op_fini(&op.op);
}

static void test_claim_by_age_takes_only_older_ones_oldest_first(void **state)
{
	static const char *const hops[] = { "a.example" };
	struct world *w = *state;
	uint64_t first = accept_with(w, hops, 1, -5);
	uint64_t second = accept_with(w, hops, 1, 5);
	uint64_t third = accept_with(w, hops, 1, 0);
	struct store_claim op = { .hop = STR("a.example"),
		.accepted_before = queue_id_time(third),
		.message_limit = 10,
		.recipients_per_message = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_int_equal(op.message_count, 2);
	assert_true(op.messages[0].env.id == first && op.messages[1].env.id == second);
	store_op_fini(&op.op);
	op.accepted_before = queue_id_time(first);
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_int_equal(op.message_count, 0);
	store_op_fini(&op.op);
}

static void test_claim_keeps_its_limits(void **state)
{
	static const char *const hops[] = { "a.example", "a.example", "b.example", "a.example" };
	struct world *w = *state;
	uint64_t id = accept_with(w, hops, 4, 0);
	(void)accept_with(w, hops, 1, 0);
	struct store_claim op = {
		.hop = STR("a.example"), .message_limit = 1, .recipients_per_message = 2
	};
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_true(op.message_count == 1 && op.is_more && op.messages[0].env.id == id);
	assert_int_equal(op.messages[0].recipient_count, 2);
	store_op_fini(&op.op);
	op.message_limit = 2;
	op.recipients_per_message = 3;
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_true(op.message_count == 2 && !op.is_more);
	assert_int_equal(op.messages[0].recipient_count, 3);
	assert_int_equal(op.messages[0].recipients[2].rcpt.number, 4);
	store_op_fini(&op.op);
	op.message_limit = 1;
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_true(op.message_count == 1 && op.is_more);
	store_op_fini(&op.op);
	op.hop = STR("nowhere.example");
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_true(op.message_count == 0 && !op.is_more);
	store_op_fini(&op.op);
}

static void test_claim_gives_only_ready_ones(void **state)
{
	static const enum result_kind kinds[] = { RESULT_DELIVERED, RESULT_RETRY, RESULT_FAILED,
		RESULT_HELD, RESULT_QUARANTINED, RESULT_READY };
	struct world *w = *state;
	uint64_t last = 0;
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		last = world_must_accept(w, "a.example");
		assert_int_equal(world_record(w, last, 1, kinds[i], 1, 5000, NULL), OK);
	}
	struct store_claim op = {
		.hop = STR("a.example"), .message_limit = 10, .recipients_per_message = 10
	};
	assert_int_equal(world_run(w, &op.op, STORE_CLAIM), OK);
	assert_int_equal(op.message_count, 1);
	assert_true(op.messages[0].env.id == last);
	assert_int_equal(op.messages[0].recipients[0].attempts, 0);
	assert_true(str_equal(op.messages[0].recipients[0].text, STR("the reply")));
	store_op_fini(&op.op);
}

static void test_fetch_of_unknown_content_is_not_found(void **state)
{
	struct world *w = *state;
	struct store_fetch op = { .id = 5, .chunk = 0 };
	assert_int_equal(world_run(w, &op.op, STORE_FETCH), ERR_NOT_FOUND);
	op.chunk = 3;
	assert_int_equal(world_run(w, &op.op, STORE_FETCH), ERR_NOT_FOUND);
}

static void assert_hops(struct world *w, struct store_hops *op, const char *want)
{
	char got[256] = "";
	size_t len = 0;
	assert_int_equal(world_run(w, &op->op, STORE_HOPS), OK);
	for (uint32_t i = 0; i < op->hop_count; i++) {
		int n = snprintf(got + len, sizeof(got) - len, "%.*s ", STR_FMT(op->hops[i].name));
		len += (size_t)n;
	}
	assert_string_equal(got, want);
	store_op_fini(&op->op);
}

static void test_hops_pages_and_filters(void **state)
{
	struct world *w = *state;
	static const char *const names[] = { "d.example", "b.example", "a.example", "c.example",
		"e.example" };
	uint64_t ids[5];
	for (size_t i = 0; i < 5; i++)
		ids[i] = world_must_accept(w, names[i]);
	set_health(w, "a.example", "s1", HEALTH_UP, HEALTH_UP, 0);
	set_health(w, "b.example", "s1", HEALTH_UP, HEALTH_UP, 0);
	set_health(w, "c.example", "s2", HEALTH_UP, HEALTH_DOWN, 9);
	set_health(w, "d.example", "s1", HEALTH_DOWN, HEALTH_UP, 9);
	assert_int_equal(world_record(w, ids[1], 1, RESULT_RETRY, 1, 99, NULL), OK);
	const struct {
		struct store_hops op;
		const char *want;
		bool is_more;
	} rows[] = {
		{ { .limit = 9 }, "a.example b.example c.example d.example e.example ", false },
		{ { .limit = 2 }, "a.example b.example ", true },
		{ { .limit = 3, .after = STR("b.example") }, "c.example d.example e.example ",
			false },
		{ { .limit = 9, .only_ready = true }, "a.example c.example d.example e.example ",
			false },
		{ { .limit = 9, .only_ready = true, .skip_down = true }, "a.example e.example ",
			false },
		{ { .limit = 1, .only_ready = true, .skip_down = true }, "a.example ", true },
		{ { .limit = 9, .site = STR("s1") }, "a.example b.example d.example ", false },
		{ { .limit = 9, .site = STR("s1"), .only_ready = true }, "a.example d.example ",
			false },
		{ { .limit = 9, .site = STR("s1"), .skip_down = true }, "a.example b.example ",
			false },
		{ { .limit = 9, .site = STR("s2"), .skip_down = true }, "", false },
		{ { .limit = 9, .site = STR("none") }, "", false },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct store_hops op = rows[i].op;
		assert_hops(w, &op, rows[i].want);
		assert_true(op.is_more == rows[i].is_more);
	}
}

static void test_hops_tells_counts_site_and_oldest(void **state)
{
	struct world *w = *state;
	static const char *const hops[] = { "a.example" };
	struct wall first = wall_add(w->fe.wall, SECOND_MS);
	uint64_t id = accept_with(w, hops, 1, -3);
	(void)accept_with(w, hops, 1, 3);
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 1, 99, NULL), OK);
	set_health(w, "a.example", "s1", HEALTH_UP, HEALTH_SUSPECT, 0);
	struct store_hops op = { .limit = 9, .is_detailed = true };
	assert_int_equal(world_run(w, &op.op, STORE_HOPS), OK);
	assert_int_equal(op.hop_count, 1);
	assert_int_equal(op.hops[0].count[RECIPIENT_READY], 1);
	assert_int_equal(op.hops[0].count[RECIPIENT_WAITING], 1);
	assert_int_equal(op.hops[0].oldest.ms, first.ms);
	assert_true(
		str_equal(op.hops[0].site, STR("s1")) && str_equal(op.sites[0].name, STR("s1")));
	assert_int_equal(op.sites[0].health.state, HEALTH_SUSPECT);
	store_op_fini(&op.op);
}

static void test_lookup_finds_hop_or_site(void **state)
{
	struct world *w = *state;
	struct store_lookup op;
	assert_int_equal(contract_lookup(w, &op, "a.example", ""), ERR_NOT_FOUND);
	store_op_fini(&op.op);
	(void)world_must_accept(w, "a.example");
	assert_int_equal(contract_lookup(w, &op, "a.example", ""), OK);
	assert_true(str_equal(op.hop_out.name, STR("a.example")) && op.hop_out.site.len == 0);
	assert_true(op.site_out.name.len == 0 && op.hop_out.health.next_probe.ms == WALL_NEVER.ms);
	store_op_fini(&op.op);
	set_health(w, "", "s9", HEALTH_UP, HEALTH_DOWN, 7);
	assert_int_equal(contract_lookup(w, &op, "", "s9"), OK);
	assert_true(op.hop_out.name.len == 0 && op.site_out.health.state == HEALTH_DOWN);
	store_op_fini(&op.op);
	assert_int_equal(contract_lookup(w, &op, "zz.example", "s9"), OK);
	assert_true(op.hop_out.name.len == 0 && op.site_out.name.len == 2);
	store_op_fini(&op.op);
	assert_int_equal(contract_lookup(w, &op, "", "s8"), ERR_NOT_FOUND);
	store_op_fini(&op.op);
}

static void test_probes_gives_those_due_earliest_first(void **state)
{
	struct world *w = *state;
	set_health(w, "a.example", "s1", HEALTH_UP, HEALTH_DOWN, 300);
	set_health(w, "b.example", "s2", HEALTH_DOWN, HEALTH_DOWN, 100);
	set_health(w, "c.example", "s3", HEALTH_DOWN, HEALTH_UP, 200);
	set_health(w, "d.example", "s4", HEALTH_UP, HEALTH_RECOVERING, 0);
	static const struct {
		int64_t now;
		uint32_t limit, sites, hops;
		int64_t next;
	} rows[] = {
		{ 99, 9, 0, 0, 100 },
		{ 100, 9, 1, 1, 200 },
		{ 200, 9, 1, 2, 300 },
		{ 300, 9, 2, 2, INT64_MAX },
		{ 300, 1, 1, 0, 100 },
		{ 300, 3, 1, 2, 300 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct store_probes op = { .now = { rows[i].now }, .limit = rows[i].limit };
		assert_int_equal(world_run(w, &op.op, STORE_PROBES), OK);
		assert_int_equal(op.site_count + op.hop_count, rows[i].sites + rows[i].hops);
		assert_int_equal(op.next.ms, rows[i].next);
		if (op.site_count > 1)
			assert_true(op.sites[0].health.next_probe.ms <=
				    op.sites[1].health.next_probe.ms);
		if (op.hop_count > 1)
			assert_true(
				op.hops[0].health.next_probe.ms <= op.hops[1].health.next_probe.ms);
		store_op_fini(&op.op);
	}
}

/* ---- order ---- */

enum { BURST = 300 };

struct burst_op {
	struct store_put put;
	struct burst *burst;
	uint32_t number;
};

struct burst {
	struct burst_op ops[BURST];
	uint32_t done_count;
	bool is_ordered, is_done, is_reentrant;
	struct world *w;
};

static void on_burst_done(struct store_op *op)
{
	struct burst_op *b = CONTAINER_OF(op, struct burst_op, put.op);
	struct burst *burst = b->burst;
	burst->is_ordered &= op->err == OK && b->number == burst->done_count;
	burst->done_count++;
	burst->is_done = burst->done_count == BURST;
	/* What a completion submits completes later, not inside. */
	if (burst->is_reentrant && burst->done_count < BURST)
		store_submit(burst->w->store, &burst->ops[burst->done_count].put.op, STORE_PUT);
}

static void run_burst(struct world *w, bool is_reentrant, bool is_closed)
{
	static struct burst burst;
	burst = (struct burst){ .is_ordered = true, .w = w, .is_reentrant = is_reentrant };
	for (uint32_t i = 0; i < BURST; i++) {
		struct burst_op *b = &burst.ops[i];
		*b = (struct burst_op){ .burst = &burst, .number = i };
		b->put.op.on_done = on_burst_done;
		b->put.key = STR("k");
		b->put.value = str_of((const char *)&b->number, sizeof(b->number));
		if (!is_reentrant || i == 0)
			store_submit(w->store, &b->put.op, STORE_PUT);
	}
	assert_int_equal(burst.done_count, 0);
	if (is_closed) {
		world_close(w);
		world_must_open(w);
	} else {
		fake_env_wait(&w->fe, &burst.is_done);
	}
	assert_int_equal(burst.done_count, BURST);
	assert_true(burst.is_ordered);
	struct store_get get = { .key = STR("k") };
	assert_int_equal(world_run(w, &get.op, STORE_GET), OK);
	uint32_t last = BURST - 1;
	assert_true(str_equal(get.value, str_of((const char *)&last, sizeof(last))));
	store_op_fini(&get.op);
}

static void test_writes_complete_once_in_order(void **state)
{
	run_burst(*state, false, false);
}

static void test_writes_share_commits(void **state)
{
	struct world *w = *state;
	run_burst(w, false, false);
	assert_true(w->fe.metrics.value[METRIC_store_commits_total] < BURST);
	assert_true(w->fe.metrics.value[METRIC_store_ops_total] >= BURST);
}

static void test_completions_may_submit(void **state)
{
	run_burst(*state, true, false);
}

static void test_close_drains(void **state)
{
	run_burst(*state, false, true);
	run_burst(*state, true, true);
}

int contract_run_read(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_claim_drains_by_priority_then_arrival),
		CONTRACT_TEST(test_claim_by_age_takes_only_older_ones_oldest_first),
		CONTRACT_TEST(test_claim_keeps_its_limits),
		CONTRACT_TEST(test_claim_gives_only_ready_ones),
		CONTRACT_TEST(test_fetch_of_unknown_content_is_not_found),
		CONTRACT_TEST(test_hops_pages_and_filters),
		CONTRACT_TEST(test_hops_tells_counts_site_and_oldest),
		CONTRACT_TEST(test_lookup_finds_hop_or_site),
		CONTRACT_TEST(test_probes_gives_those_due_earliest_first),
		CONTRACT_TEST(test_writes_complete_once_in_order),
		CONTRACT_TEST(test_writes_share_commits),
		CONTRACT_TEST(test_completions_may_submit),
		CONTRACT_TEST(test_close_drains),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
