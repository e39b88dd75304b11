/* contract_operator - QUERY, SHOW, MODIFY, SWEEP, STATS, a full disk, and counters after
 * anything at all. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "store/contract_parts.h"

static enum err modify(struct world *w, struct store_modify *op, enum modify_action action)
{
	op->action = action;
	op->now = w->fe.wall;
	op->actor = STR("uid 0 (root)");
	op->reason = STR("because");
	if (op->limit == 0)
		op->limit = 1000;
	return world_run(w, &op->op, STORE_MODIFY);
}

/* Five messages that differ in everything a filter can see. */
static void fill(struct world *w, uint64_t ids[5])
{
	static const char *const hops[5][2] = { { "a.example", "b.example" },
		{ "b.example", "b.example" }, { "c.example", "a.example" },
		{ "route:x", "d.example" }, { "a.example", "a.example" } };
	for (uint32_t i = 0; i < 5; i++) {
		struct sample s;
		sample_make(w, &s, hops[i], i == 4 ? 1 : 2);
		ids[i] = s.env.id;
		if (i == 1)
			s.env.reverse_path = STR("");
		if (i == 2)
			s.env.user = STR("bob");
		if (i == 3) {
			s.env.priority = 4;
			s.recipients[0].domain = STR("mail.x.example");
		}
		s.env.size_bytes = 100 * (i + 1);
		CHECK(world_accept(w, &s) == OK);
	}
	CHECK(world_record(w, ids[0], 1, RESULT_RETRY, 3, 50, NULL) == OK);
	CHECK(world_record(w, ids[2], 1, RESULT_RETRY, 1, 20, NULL) == OK);
	CHECK(world_record(w, ids[4], 1, RESULT_DELIVERED, 1, 0, NULL) == OK);
	struct hop_record hop = { .name = STR("b.example"), .site = STR("mx.b.example") };
	struct store_record op = { .at = w->fe.wall, .hops = &hop, .hop_count = 1 };
	CHECK(world_run(w, &op.op, STORE_RECORD) == OK);
}

static void test_query_filters(void **state)
{
	struct world *w = *state;
	uint64_t ids[5], some[2];
	fill(w, ids);
	some[0] = ids[2];
	some[1] = ids[4];
	struct wall middle = queue_id_time(ids[2]);
	unsigned done = RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED);
	const struct {
		struct store_filter f;
		const char *want; /* message index: numbers of the matching recipients */
	} rows[] = {
		{ { 0 }, "0:12 1:12 2:12 3:12 " },
		{ { .is_all = true }, "0:12 1:12 2:12 3:12 " },
		{ { .ids = some, .id_count = 2 }, "2:12 " },
		{ { .ids = some, .id_count = 2, .states = done }, "4:1 " },
		{ { .from = STR("<>") }, "1:12 " },
		{ { .from = STR("SENDER@*") }, "0:12 2:12 3:12 " },
		{ { .to = STR("u2@a*") }, "2:2 " },
		{ { .domain = STR("A.example") }, "0:1 2:2 " },
		{ { .domain = STR("*.x.example") }, "3:1 " },
		{ { .domain = STR("x.example") }, "" },
		{ { .hop = STR("route:x") }, "3:1 " },
		{ { .hop = STR("a.example") }, "0:1 2:2 " },
		{ { .hop = STR("a.example"),
			  .states = done | RECIPIENT_STATE_BIT(RECIPIENT_WAITING) },
			"0:1 4:1 " },
		{ { .site = STR("mx.*") }, "0:2 1:12 " },
		{ { .site = STR("mx.*"), .hop = STR("a.example") }, "" },
		{ { .states = RECIPIENT_STATE_BIT(RECIPIENT_WAITING) }, "0:1 2:1 " },
		{ { .states = done }, "4:1 " },
		{ { .accepted_before = middle }, "0:12 1:12 " },
		{ { .accepted_after = middle }, "2:12 3:12 " },
		{ { .size_min_bytes = 200, .size_max_bytes = 300 }, "1:12 2:12 " },
		{ { .attempts_min = 2 }, "0:1 " },
		{ { .status = STR("4.7.*") }, "0:1 2:1 " },
		{ { .status = STR("5.*") }, "" },
		{ { .user = STR("bob") }, "2:12 " },
		{ { .has_priority = true, .priority = 4 }, "3:12 " },
		{ { .from = STR("*@example.org"), .domain = STR("b.example") }, "0:2 " },
		{ { .user = STR("' OR 1=1 --") }, "" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char got[256] = "";
		size_t len = 0;
		struct store_query op = { .filter = &rows[i].f, .limit = 10 };
		assert_int_equal(world_run(w, &op.op, STORE_QUERY), OK);
		for (uint32_t m = 0; m < op.message_count; m++) {
			int index = 0;
			while (index < 5 && ids[index] != op.messages[m].env.id)
				index++;
			len += (size_t)snprintf(got + len, sizeof(got) - len, "%d:", index);
			for (uint32_t r = 0; r < op.messages[m].recipient_count; r++)
				len += (size_t)snprintf(got + len, sizeof(got) - len, "%u",
					op.messages[m].recipients[r].rcpt.number);
			len += (size_t)snprintf(got + len, sizeof(got) - len, " ");
		}
		store_op_fini(&op.op);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("row %zu: got \"%s\", want \"%s\"", i, got, rows[i].want);
	}
}

static void test_query_sorts_and_pages(void **state)
{
	struct world *w = *state;
	uint64_t ids[5];
	fill(w, ids);
	static const struct {
		enum store_sort sort;
		uint32_t limit;
		uint64_t offset;
		const char *want;
		bool is_more;
	} rows[] = {
		{ SORT_AGE, 10, 0, "0123", false },
		{ SORT_AGE, 2, 0, "01", true },
		{ SORT_AGE, 2, 2, "23", false },
		{ SORT_AGE, 2, 9, "", false },
		{ SORT_SIZE, 3, 0, "321", true },
		{ SORT_NEXT, 10, 0, "0123", false },
	};
	struct store_filter filter = { .is_all = true };
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char got[16] = "";
		struct store_query op = { .filter = &filter,
			.sort = rows[i].sort,
			.limit = rows[i].limit,
			.offset = rows[i].offset };
		assert_int_equal(world_run(w, &op.op, STORE_QUERY), OK);
		for (uint32_t m = 0; m < op.message_count; m++) {
			for (int index = 0; index < 5; index++)
				got[m] = op.messages[m].env.id == ids[index] ? (char)('0' + index)
									     : got[m];
		}
		assert_string_equal(got, rows[i].want);
		assert_true(op.is_more == rows[i].is_more);
		store_op_fini(&op.op);
	}
	filter = (struct store_filter){ .states = RECIPIENT_STATE_BIT(RECIPIENT_WAITING) };
	struct store_query op = { .filter = &filter, .sort = SORT_NEXT, .limit = 5 };
	assert_int_equal(world_run(w, &op.op, STORE_QUERY), OK);
	assert_int_equal(op.message_count, 2);
	assert_true(op.messages[0].env.id == ids[2] && op.messages[1].env.id == ids[0]);
	store_op_fini(&op.op);
}

static void test_show_gives_attempts_oldest_first(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	for (uint32_t n = 12; n > 0; n--) {
		struct attempt_record attempt = {
			.recipient = 1,
			.attempt = n,
			.at = { n * 10 },
			.duration_ms = 42,
			.host = STR("mx[192.0.2.1]:25"),
			.stage = STR("dot"),
			.disposition = STR("retry"),
			.code = 451,
			.status = STATUS(4, 3, 999),
			.text = STR("later"),
			.tls = STR("TLSv1.3"),
		};
		struct store_record op = {
			.id = id, .at = w->fe.wall, .attempts = &attempt, .attempt_count = 1
		};
		assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	}
	assert_int_equal(world_record(w, id, 1, RESULT_FAILED, 13, 0, NULL), OK);
	struct store_show op = { .id = id };
	assert_int_equal(world_run(w, &op.op, STORE_SHOW), OK);
	assert_int_equal(op.attempt_count, 12);
	for (uint32_t i = 0; i < 12; i++) {
		const struct attempt_record *a = &op.attempts[i];
		assert_true(a->attempt == i + 1 && a->at.ms == (int64_t)(i + 1) * 10 &&
			    a->recipient == 1);
		assert_true(
			a->duration_ms == 42 && a->code == 451 && status_is(a->status, 4, 3, 999));
		assert_true(
			str_equal(a->stage, STR("dot")) && str_equal(a->disposition, STR("retry")));
		assert_true(str_equal(a->text, STR("later")) && str_equal(a->tls, STR("TLSv1.3")));
		assert_true(str_equal(a->host, STR("mx[192.0.2.1]:25")));
	}
	store_op_fini(&op.op);
	op = (struct store_show){ .id = id + 1 };
	assert_int_equal(world_run(w, &op.op, STORE_SHOW), ERR_NOT_FOUND);
	store_op_fini(&op.op);
}

static void test_modify_acts_on_the_states_it_is_for(void **state)
{
	struct world *w = *state;
	uint64_t ids[5];
	fill(w, ids);
	struct store_filter all = { .is_all = true };
	static const struct {
		enum modify_action action;
		uint64_t recipients, messages, domains;
		uint32_t hops;
	} rows[] = {
		{ MODIFY_RETRY, 2, 2, 2, 2 }, /* the two that wait */
		{ MODIFY_RELEASE, 0, 0, 0, 0 },
		{ MODIFY_HOLD, 8, 4, 5, 0 },
		{ MODIFY_HOLD, 0, 0, 0, 0 },
		{ MODIFY_RELEASE, 8, 4, 5, 5 },
		{ MODIFY_DELETE, 8, 4, 5, 0 },
		{ MODIFY_DELETE, 0, 0, 0, 0 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (int is_dry = 1; is_dry >= 0; is_dry--) {
			struct store_modify op = { .filter = &all, .is_dry_run = is_dry != 0 };
			assert_int_equal(modify(w, &op, rows[i].action), OK);
			assert_int_equal(op.recipient_count, rows[i].recipients);
			assert_int_equal(op.message_count, rows[i].messages);
			assert_int_equal(op.domain_count, rows[i].domains);
			assert_int_equal(op.hop_count, is_dry ? 0 : rows[i].hops);
			assert_true((op.oldest.ms == queue_id_time(ids[0]).ms) ==
				    (rows[i].messages > 0));
			assert_false(op.is_more);
			store_op_fini(&op.op);
			contract_assert_counts(w);
		}
	}
	assert_int_equal(world_sql(w, "SELECT count(*) FROM audit"), 4);
	assert_int_equal(
		world_sql(
			w, "SELECT count(*) FROM audit WHERE actor='uid 0 (root)' AND filter<>''"),
		4);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM content"), 0);
}

static void test_modify_goes_in_steps(void **state)
{
	struct world *w = *state;
	struct store_filter filter = { .hop = STR("a.example") };
	uint64_t sum = 0;
	int calls = 0;
	for (int i = 0; i < 7; i++)
		(void)world_must_accept(w, "a.example");
	(void)world_must_accept(w, "b.example");
	for (bool is_more = true; is_more; calls++) {
		struct store_modify op = { .filter = &filter, .limit = 3 };
		assert_int_equal(modify(w, &op, MODIFY_HOLD), OK);
		sum += op.recipient_count;
		is_more = op.is_more;
		store_op_fini(&op.op);
	}
	assert_int_equal(calls, 3);
	assert_int_equal(sum, 7);
	contract_assert_counts(w);
}

static uint64_t modify_all_steps(
	struct world *w, enum modify_action action, uint32_t limit, int steps)
{
	struct store_filter filter = { .from = STR("*@example.org") };
	uint64_t sum = 0;
	bool is_more = true;
	for (; is_more && steps > 0; steps--) {
		struct store_modify op = { .filter = &filter, .limit = limit };
		assert_int_equal(modify(w, &op, action), OK);
		sum += op.recipient_count;
		is_more = op.is_more;
		store_op_fini(&op.op);
	}
	return sum;
}

static void test_modify_misses_nothing_that_came_to_match_again(void **state)
{
	static const char *const hops[] = { "a.example", "b.example", "c.example" };
	struct world *w = *state;
	for (int i = 0; i < 5; i++) {
		struct sample s;
		sample_make(w, &s, hops, 3);
		assert_int_equal(world_accept(w, &s), OK);
	}
	assert_int_equal(modify_all_steps(w, MODIFY_HOLD, 4, 2), 8);
	assert_int_equal(modify_all_steps(w, MODIFY_RELEASE, 1000, 9), 8);
	assert_int_equal(modify_all_steps(w, MODIFY_HOLD, 4, 99), 15);
	assert_int_equal(modify_all_steps(w, MODIFY_HOLD, 4, 99), 0);
	contract_assert_counts(w);
}

static void test_modify_keeps_the_reason_while_held(void **state)
{
	static const char *const hops[] = { "a.example", "b.example" };
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, hops, 2);
	assert_int_equal(world_accept(w, &s), OK);
	struct store_filter both = { .ids = &s.env.id, .id_count = 1 };
	struct store_filter first = { .ids = &s.env.id, .id_count = 1, .hop = STR("a.example") };
	static const struct {
		bool is_both;
		enum modify_action action;
		const char *reason;
	} rows[] = {
		{ true, MODIFY_HOLD, "because" },
		{ false, MODIFY_RELEASE, "because" },
		{ true, MODIFY_RELEASE, "" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct store_modify op = { .filter = rows[i].is_both ? &both : &first };
		assert_int_equal(modify(w, &op, rows[i].action), OK);
		store_op_fini(&op.op);
		struct store_show show = { .id = s.env.id };
		assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
		assert_true(str_equal(show.message.hold_reason, str_from_c(rows[i].reason)));
		store_op_fini(&show.op);
	}
}

static void test_modify_with_an_empty_filter_does_nothing(void **state)
{
	struct world *w = *state;
	struct store_filter filter = { 0 };
	uint64_t id = world_must_accept(w, "a.example");
	struct store_modify op = { .filter = &filter };
	assert_int_equal(modify(w, &op, MODIFY_DELETE), OK);
	assert_int_equal(op.recipient_count, 0);
	store_op_fini(&op.op);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_READY);
}

static void test_sweep_ends_the_history(void **state)
{
	struct world *w = *state;
	uint64_t ids[4];
	struct site_record site = { .name = STR("s"), .health = { .state = HEALTH_SUSPECT } };
	struct hop_record hop = { .name = STR("a.example"), .site = STR("s") };
	struct store_record health = {
		.sites = &site, .site_count = 1, .hops = &hop, .hop_count = 1
	};
	assert_int_equal(world_run(w, &health.op, STORE_RECORD), OK);
	for (int i = 0; i < 4; i++)
		ids[i] = world_must_accept(w, i < 3 ? "a.example" : "b.example");
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_record(w, ids[i], 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	struct wall later = wall_add(w->fe.wall, 1);
	struct store_sweep op = {
		.history_before = w->fe.wall, .forget_before = later, .limit = 2
	};
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_true(op.removed_count == 0 && !op.is_more);
	op.history_before = later;
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_true(op.removed_count == 2 && op.is_more);
	contract_assert_counts(w);
	struct store_lookup found;
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), OK);
	store_op_fini(&found.op);
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_true(op.removed_count == 1 && !op.is_more);
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), ERR_NOT_FOUND);
	store_op_fini(&found.op);
	assert_int_equal(contract_lookup(w, &found, "", "s"), ERR_NOT_FOUND);
	store_op_fini(&found.op);
	assert_int_equal(contract_lookup(w, &found, "b.example", ""), OK);
	store_op_fini(&found.op);
	struct store_show show = { .id = ids[0] };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), ERR_NOT_FOUND);
	assert_int_equal(contract_state_of(w, ids[3], 1), RECIPIENT_READY);
	contract_assert_counts(w);
	(void)world_must_accept(w, "a.example"); /* the names may come back */
	contract_assert_counts(w);
}

static void test_sweep_keeps_what_succeeded_or_was_declared(void **state)
{
	struct world *w = *state;
	struct site_record sites[] = {
		{ .name = STR("good"), .health = { .last_success = { 500 } } },
		{ .name = STR("declared"), .health = { .is_declared = true } },
		{ .name = STR("idle"), .health = { .last_success = { 10 } } },
	};
	struct store_record record = { .sites = sites, .site_count = 3 };
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	struct store_sweep op = { .forget_before = { 500 }, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	static const enum err want[] = { OK, OK, ERR_NOT_FOUND };
	static const char *const names[] = { "good", "declared", "idle" };
	for (size_t i = 0; i < 3; i++) {
		struct store_lookup found;
		assert_int_equal(contract_lookup(w, &found, "", names[i]), want[i]);
		store_op_fini(&found.op);
	}
	contract_assert_counts(w);
}

enum { BULKY = 100, BULKY_BYTES = 40000, BULKY_KEPT_EACH = 5, STEP_PAGES_MAX = 512 };

static struct store_stats look(struct world *w)
{
	struct store_stats op = { 0 };
	assert_int_equal(world_run(w, &op.op, STORE_STATS), OK);
	store_op_fini(&op.op);
	return op;
}

/* Content that fills ten pages each; all of it is in the tables, then four of five are delivered. */
static void leave_free_space(struct world *w, char *content, uint64_t *ids)
{
	static const char *const hops[] = { "a.example" };
	for (int i = 0; i < BULKY; i++) {
		struct sample s;
		sample_make(w, &s, hops, 1);
		memset(content, 'a' + i % 26, BULKY_BYTES);
		s.content = str_of(content, BULKY_BYTES);
		s.env.size_bytes = BULKY_BYTES;
		assert_int_equal(world_accept(w, &s), OK);
		ids[i] = s.env.id;
	}
	assert_true(look(w).free_bytes < BULKY_BYTES);
	for (int i = 0; i < BULKY; i++)
		if (i % BULKY_KEPT_EACH != BULKY_KEPT_EACH - 1)
			assert_int_equal(
				world_record(w, ids[i], 1, RESULT_DELIVERED, 1, 0, NULL), OK);
}

static void assert_content(struct world *w, uint64_t id, char letter)
{
	struct store_fetch op = { .id = id };
	assert_int_equal(world_run(w, &op.op, STORE_FETCH), OK);
	assert_int_equal(op.content.len, BULKY_BYTES);
	for (size_t i = 0; i < op.content.len; i++)
		assert_int_equal(op.content.data[i], letter);
	store_op_fini(&op.op);
}

static void test_sweep_gives_back_free_space_in_small_steps(void **state)
{
	static char content[BULKY_BYTES];
	struct world *w = *state;
	uint64_t ids[BULKY];
	leave_free_space(w, content, ids);
	struct store_stats before = look(w);
	int64_t page = world_sql(w, "PRAGMA page_size");
	assert_true(before.free_bytes > (uint64_t)page * STEP_PAGES_MAX);
	assert_int_equal(
		before.used_bytes + before.free_bytes, page * world_sql(w, "PRAGMA page_count"));

	struct store_sweep op = { .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_int_equal(look(w).free_bytes, before.free_bytes);
	uint64_t free_bytes = before.free_bytes;
	int steps = 0;
	do {
		op = (struct store_sweep){ .history_before = WALL_NEVER,
			.forget_before = WALL_NEVER,
			.may_shrink = true };
		assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
		assert_in_range(op.shrunk_bytes, 0, STEP_PAGES_MAX * page);
		assert_int_equal(op.shrunk_bytes, free_bytes - op.free_bytes);
		free_bytes = op.free_bytes;
		steps++;
	} while (op.shrunk_bytes > 0 && steps < 1000);
	assert_in_range(steps, 3, 999);

	assert_int_equal(free_bytes, 0);
	assert_int_equal(op.used_bytes, page * world_sql(w, "PRAGMA page_count"));
	assert_in_range(op.used_bytes, 1, before.used_bytes);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM pragma_integrity_check"
				      " WHERE integrity_check <> 'ok'"),
		0);
	for (int i = 0; i < BULKY; i++) {
		bool is_kept = i % BULKY_KEPT_EACH == BULKY_KEPT_EACH - 1;
		assert_int_equal(contract_state_of(w, ids[i], 1),
			is_kept ? RECIPIENT_READY : RECIPIENT_DELIVERED);
		if (is_kept)
			assert_content(w, ids[i], (char)('a' + i % 26));
	}
	contract_assert_counts(w);
}

static void test_stats_tells_oldest_and_sizes(void **state)
{
	struct world *w = *state;
	uint64_t first = world_must_accept(w, "a.example"),
		 second = world_must_accept(w, "a.example");
	struct store_stats op = { 0 };
	assert_int_equal(world_run(w, &op.op, STORE_STATS), OK);
	assert_true(op.messages == 2 && op.recipients[RECIPIENT_READY] == 2 && op.bytes > 0);
	assert_true(op.oldest.ms == queue_id_time(first).ms && op.last_id == second);
	assert_true(op.disk_free_bytes > 0 && op.file_bytes > 0 && op.wal_bytes > 0);
	store_op_fini(&op.op);
	assert_int_equal(world_record(w, first, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	op = (struct store_stats){ 0 };
	assert_int_equal(world_run(w, &op.op, STORE_STATS), OK);
	assert_true(op.oldest.ms == queue_id_time(second).ms);
	store_op_fini(&op.op);
}

static void test_a_full_disk_fails_the_operation_and_leaves_nothing(void **state)
{
	static const char *const hops[] = { "a.example" };
	struct world *w = *state;
	struct sample s;
	uint32_t applied = 0;
	sample_make(w, &s, hops, 1);
	w->fe.fault = (struct fault){ FAULT_accept_applied, FAULT_FAIL, 1 };
	assert_int_equal(world_accept(w, &s), ERR_NO_SPACE);
	contract_assert_counts(w);
	assert_int_equal(world_accept(w, &s), OK); /* may be submitted again */
	w->fe.fault = (struct fault){ FAULT_record_applied, FAULT_FAIL, 1 };
	assert_int_equal(
		world_record(w, s.env.id, 1, RESULT_DELIVERED, 1, 0, &applied), ERR_NO_SPACE);
	assert_int_equal(contract_state_of(w, s.env.id, 1), RECIPIENT_READY);
	assert_int_equal(world_record(w, s.env.id, 1, RESULT_DELIVERED, 1, 0, &applied), OK);
	assert_int_equal(applied, 1);
	assert_int_equal(w->fe.metrics.value[METRIC_store_full_total], 2);
	assert_false(w->is_fatal);
	contract_assert_counts(w);
}

/* ---- any sequence of operations leaves counters that equal a recount ---- */

enum { STEPS = 250, KNOWN_MAX = 64 };

static void step_record(struct world *w, struct rng *rng, uint64_t id)
{
	static const char *const names[] = { "s1", "s2", "s3" };
	uint32_t count = 1 + (uint32_t)rng_below(rng, 3);
	struct store_result results[3];
	for (uint32_t i = 0; i < count; i++)
		results[i] = (struct store_result){ .number = 1 + (uint32_t)rng_below(rng, 5),
			.kind = (enum result_kind)rng_below(rng, RESULT_QUARANTINED + 1),
			.attempt = 1 + (uint32_t)rng_below(rng, 4),
			.due = { 1 + (int64_t)rng_below(rng, 100) } };
	struct site_record site = { .name = str_from_c(names[rng_below(rng, 3)]),
		.health = { .state = (enum health_state)rng_below(rng, HEALTH_STATE_COUNT) } };
	struct hop_record hop = { .name = STR("a.example"),
		.site = rng_below(rng, 3) ? site.name : STR("") };
	struct store_record op = { .id = id,
		.at = w->fe.wall,
		.results = results,
		.result_count = count,
		.sites = &site,
		.site_count = 1,
		.hops = &hop,
		.hop_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
}

static void step_other(struct world *w, struct rng *rng, uint64_t id)
{
	struct store_filter filter = { .hop = rng_below(rng, 2) ? STR("a.example")
								: STR("b.example") };
	static const uint32_t numbers[] = { 1, 3 };
	if (rng_below(rng, 3) == 0) {
		struct store_modify op = { .filter = &filter,
			.limit = 1 + (uint32_t)rng_below(rng, 4) };
		assert_int_equal(modify(w, &op, (enum modify_action)rng_below(rng, 4)), OK);
		store_op_fini(&op.op);
	} else if (rng_below(rng, 3) == 0) {
		struct store_rekey op = {
			.id = id, .numbers = numbers, .number_count = 2, .hop = filter.hop
		};
		enum err err = world_run(w, &op.op, STORE_REKEY);
		assert_true(err == OK || err == ERR_NOT_FOUND);
	} else if (rng_below(rng, 3) == 0) {
		struct store_sweep op = { .history_before = w->fe.wall,
			.forget_before = w->fe.wall,
			.limit = (uint32_t)rng_below(rng, 4),
			.may_shrink = rng_below(rng, 2) > 0 };
		assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	} else {
		struct store_promote op = { .now = { (int64_t)rng_below(rng, 100) }, .limit = 4 };
		assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
		store_op_fini(&op.op);
	}
}

static void run_seed(struct world *w, uint64_t seed)
{
	static const char *const pool[] = { "a.example", "b.example", "c.example" };
	uint64_t known[KNOWN_MAX] = { 1 };
	uint32_t known_count = 1;
	struct rng rng;
	rng_init(&rng, seed);
	for (int step = 0; step < STEPS; step++) {
		uint64_t dice = rng_below(&rng, 10);
		uint64_t id = known[rng_below(&rng, known_count)];
		if (dice < 3) {
			const char *hops[5];
			struct sample s;
			uint32_t count = 1 + (uint32_t)rng_below(&rng, 5);
			for (uint32_t i = 0; i < count; i++)
				hops[i] = pool[rng_below(&rng, 3)];
			sample_make(w, &s, hops, count);
			s.env.priority = (int)rng_below(&rng, 19) - 9;
			bool is_failing = rng_below(&rng, 8) == 0;
			if (is_failing)
				w->fe.fault = (struct fault){ FAULT_accept_applied, FAULT_FAIL, 1 };
			assert_int_equal(world_accept(w, &s), is_failing ? ERR_NO_SPACE : OK);
			known[known_count < KNOWN_MAX ? known_count++
						      : rng_below(&rng, KNOWN_MAX)] = s.env.id;
		} else if (dice < 8) {
			step_record(w, &rng, id);
		} else {
			step_other(w, &rng, id);
		}
		if (step % 50 == 49) {
			const char *wrong = world_recount(w);
			if (wrong)
				fail_msg("seed %llu step %d: %s", (unsigned long long)seed, step,
					wrong);
		}
	}
}

static void test_counters_equal_a_recount_after_anything(void **state)
{
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_seed(*state, seed);
}

int contract_run_operator(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_query_filters),
		CONTRACT_TEST(test_query_sorts_and_pages),
		CONTRACT_TEST(test_show_gives_attempts_oldest_first),
		CONTRACT_TEST(test_modify_acts_on_the_states_it_is_for),
		CONTRACT_TEST(test_modify_goes_in_steps),
		CONTRACT_TEST(test_modify_misses_nothing_that_came_to_match_again),
		CONTRACT_TEST(test_modify_keeps_the_reason_while_held),
		CONTRACT_TEST(test_modify_with_an_empty_filter_does_nothing),
		CONTRACT_TEST(test_sweep_ends_the_history),
		CONTRACT_TEST(test_sweep_keeps_what_succeeded_or_was_declared),
		CONTRACT_TEST(test_sweep_gives_back_free_space_in_small_steps),
		CONTRACT_TEST(test_stats_tells_oldest_and_sizes),
		CONTRACT_TEST(test_a_full_disk_fails_the_operation_and_leaves_nothing),
		CONTRACT_TEST(test_counters_equal_a_recount_after_anything),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
