/* contract_revive - content kept for what failed, notices that wait and are replaced, REVIVE. */
#include <string.h>

#include "base/check.h"
#include "store/contract_parts.h"

enum { HOLD_MS = 600000, KEEP_MS = 86400000 };

static const char *const three[] = { "a.example", "b.example", "a.example" };

/* Recipients of id (bits of their numbers) failed together; a notice names them unless it is 0. */
static enum err fail_with_notice(struct world *w, uint64_t id, unsigned numbers, uint32_t attempt,
	uint64_t *notice, uint64_t replaces, bool is_held)
{
	struct store_result results[8];
	struct sample s;
	struct store_notice note;
	static const char *const home[] = { "home.example" };
	uint32_t count = 0;
	sample_make(w, &s, home, 1);
	for (uint32_t number = 1; number <= 8; number++) {
		if ((numbers & 1u << number) == 0)
			continue;
		results[count++] = (struct store_result){
			.number = number,
			.kind = RESULT_FAILED,
			.attempt = attempt,
			.code = 550,
			.status = number == 3 ? STATUS(5, 7, 1) : STATUS(5, 1, 1),
			.text = STR("no such user"),
			.notice = notice ? s.env.id : 0,
		};
	}
	s.env.reverse_path = STR("");
	s.env.hold_until = is_held ? wall_add(w->fe.wall, HOLD_MS) : WALL_NONE;
	note = (struct store_notice){ .env = s.env, .content = s.content };
	struct store_record op = {
		.id = id,
		.at = w->fe.wall,
		.results = results,
		.result_count = count,
		.notices = &note,
		.notice_count = notice ? 1 : 0,
		.replaces = replaces,
		.keep_until = wall_add(w->fe.wall, KEEP_MS),
	};
	enum err err = world_run(w, &op.op, STORE_RECORD);
	store_op_fini(&op.op);
	if (notice)
		*notice = s.env.id;
	return err;
}

static uint64_t accept_three(struct world *w)
{
	struct sample s;
	sample_make(w, &s, three, 3);
	assert_int_equal(world_accept(w, &s), OK);
	return s.env.id;
}

static bool has_content(struct world *w, uint64_t id)
{
	struct store_fetch op = { .id = id };
	enum err err = world_run(w, &op.op, STORE_FETCH);
	store_op_fini(&op.op);
	assert_true(err == OK || err == ERR_NOT_FOUND);
	return err == OK;
}

static uint64_t notice_of(struct world *w, uint64_t id, uint32_t number)
{
	struct store_show op = { .id = id };
	assert_int_equal(world_run(w, &op.op, STORE_SHOW), OK);
	uint64_t notice = op.message.recipients[number - 1].notice;
	store_op_fini(&op.op);
	return notice;
}

static enum err revive(struct world *w, struct store_revive *op)
{
	op->now = w->fe.wall;
	op->actor = STR("uid 0 (root)");
	op->reason = STR("they were wrong");
	op->limit = op->limit ? op->limit : 100;
	return world_run(w, &op->op, STORE_REVIVE);
}

static uint32_t revive_all(struct world *w)
{
	struct store_filter all = { .is_all = true };
	struct store_revive op = { .filter = &all };
	assert_int_equal(revive(w, &op), OK);
	store_op_fini(&op.op);
	contract_assert_counts(w);
	return (uint32_t)op.recipient_count;
}

static void sweep(struct world *w, struct wall kept_before, struct wall history_before)
{
	struct store_sweep op = {
		.limit = 10, .kept_before = kept_before, .history_before = history_before
	};
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	store_op_fini(&op.op);
	contract_assert_counts(w);
}

static void test_content_of_what_failed_is_kept_until_its_time(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), notice;
	assert_int_equal(fail_with_notice(w, id, 0xe, 1, &notice, 0, true), OK);
	contract_assert_counts(w);
	assert_true(has_content(w, id));
	struct wall end = wall_add(w->fe.wall, KEEP_MS);
	sweep(w, wall_add(end, -SECOND_MS), WALL_NONE);
	assert_true(has_content(w, id));
	sweep(w, wall_add(end, SECOND_MS), WALL_NONE);
	assert_false(has_content(w, id));
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_FAILED);
	assert_int_equal(revive_all(w), 0);
}

static void test_history_waits_for_content_that_is_kept(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), notice;
	assert_int_equal(fail_with_notice(w, id, 0xe, 1, &notice, 0, true), OK);
	struct wall later = wall_add(w->fe.wall, SECOND_MS);
	sweep(w, later, later);
	assert_true(has_content(w, id));
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_FAILED);
	sweep(w, WALL_NEVER, later);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE finished > 0"), 0);
	assert_false(has_content(w, id));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM content"), 1); /* the notice's */
}

static void test_delivered_later_is_not_kept_beyond_the_time_of_what_failed(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), notice;
	assert_int_equal(fail_with_notice(w, id, 0x2, 1, &notice, 0, true), OK);
	w->fe.wall = wall_add(w->fe.wall, 2 * KEEP_MS);
	assert_int_equal(world_record(w, id, 2, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_true(has_content(w, id));
	assert_int_equal(world_record(w, id, 3, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_false(has_content(w, id));
	contract_assert_counts(w);
}

/* What has to stay is older than what is to go. */
static void test_history_goes_in_steps_past_what_is_kept(void **state)
{
	struct world *w = *state;
	struct store_sweep op = { .limit = 2, .kept_before = w->fe.wall };
	uint32_t removed = 0, steps = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(fail_with_notice(w, world_must_accept(w, "a.example"), 0x2, 1,
					 NULL, 0, false),
			OK);
	for (int i = 0; i < 5; i++)
		assert_int_equal(world_record(w, world_must_accept(w, "a.example"), 1,
					 RESULT_DELIVERED, 1, 0, NULL),
			OK);
	op.history_before = wall_add(w->fe.wall, SECOND_MS);
	do {
		assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
		removed += op.removed_count;
	} while (op.is_more && ++steps < 10);
	assert_true(removed == 5 && steps == 2);
	op.kept_before = WALL_NEVER;
	op.limit = 10;
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_int_equal(op.removed_count, 3);
	contract_assert_counts(w);
}

static void test_revive_makes_ready_and_takes_the_notice_back(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), notice;
	assert_int_equal(fail_with_notice(w, id, 0xe, 2, &notice, 0, true), OK);
	assert_int_equal(notice_of(w, id, 1), notice);
	struct store_filter filter = { .hop = STR("b.example") };
	struct store_revive op = { .filter = &filter, .is_dry_run = true };
	assert_int_equal(revive(w, &op), OK);
	assert_true(op.recipient_count == 1 && op.message_count == 1 && op.gone_count == 0);
	assert_int_equal(contract_state_of(w, id, 2), RECIPIENT_FAILED);
	op = (struct store_revive){ .filter = &filter, .only_untold = true };
	assert_int_equal(revive(w, &op), OK);
	/* what the same notice named comes along: nobody is left without a word */
	assert_true(op.recipient_count == 3 && op.message_count == 1 && op.told_count == 0);
	assert_int_equal(op.hop_count, 2);
	store_op_fini(&op.op);
	for (uint32_t number = 1; number <= 3; number++) {
		assert_int_equal(contract_state_of(w, id, number), RECIPIENT_READY);
		assert_int_equal(notice_of(w, id, number), 0);
	}
	assert_int_equal(contract_state_of(w, notice, 1), RECIPIENT_DELETED);
	assert_false(has_content(w, notice));
	assert_true(has_content(w, id));
	contract_assert_counts(w);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM audit WHERE action='revive'"), 1);
	/* attempts are kept: the next result counts, an old one does not */
	uint32_t applied;
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 2, 0, &applied), OK);
	assert_int_equal(applied, 0);
	for (uint32_t number = 1; number <= 3; number++)
		assert_int_equal(world_record(w, id, number, RESULT_DELIVERED, 3, 0, NULL), OK);
	assert_false(has_content(w, id));
	contract_assert_counts(w);
}

static void test_revive_after_the_notice_left(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), notice;
	assert_int_equal(fail_with_notice(w, id, 0xa, 1, &notice, 0, true), OK);
	struct store_promote due = { .now = wall_add(w->fe.wall, HOLD_MS), .limit = 10 };
	assert_int_equal(world_run(w, &due.op, STORE_PROMOTE), OK);
	store_op_fini(&due.op);
	assert_int_equal(contract_state_of(w, notice, 1), RECIPIENT_READY);
	struct store_filter filter = { .to = STR("u1@*") };
	struct store_revive op = { .filter = &filter, .only_untold = true };
	assert_int_equal(revive(w, &op), OK);
	assert_int_equal(op.recipient_count, 0);
	op.only_untold = false;
	assert_int_equal(revive(w, &op), OK);
	assert_true(op.recipient_count == 1 && op.told_count == 1);
	store_op_fini(&op.op);
	assert_int_equal(contract_state_of(w, id, 3), RECIPIENT_FAILED);
	assert_int_equal(contract_state_of(w, notice, 1), RECIPIENT_READY);
	contract_assert_counts(w);
}

static void test_revive_filters(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w);
	assert_int_equal(fail_with_notice(w, id, 0xe, 1, NULL, 0, false), OK);
	uint64_t delivered = world_must_accept(w, "a.example");
	assert_int_equal(world_record(w, delivered, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	const struct {
		struct store_revive op;
		struct store_filter filter;
		uint32_t want;
	} rows[] = {
		{ { .limit = 0 }, { .is_all = false }, 0 }, /* empty is not all */
		{ { .limit = 0 }, { .is_all = true }, 3 },
		{ { .limit = 0 }, { .ids = &id, .id_count = 1 }, 3 },
		{ { .limit = 0 }, { .ids = &delivered, .id_count = 1 }, 0 },
		{ { .limit = 0 }, { .hop = STR("a.example") }, 2 },
		{ { .limit = 0 }, { .site = STR("*") }, 0 },
		{ { .limit = 0 }, { .status = STR("5.7.*") }, 1 },
		{ { .only_doubted = true }, { .is_all = true }, 2 },
		{ { .only_untold = true }, { .is_all = true }, 3 },
		{ { .failed_after = wall_add(w->fe.wall, 1) }, { .is_all = true }, 0 },
		{ { .failed_after = wall_add(w->fe.wall, -MINUTE_MS) }, { .is_all = true }, 3 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct store_revive op = rows[i].op;
		op.filter = &rows[i].filter;
		op.is_dry_run = true;
		assert_int_equal(revive(w, &op), OK);
		if (op.recipient_count != rows[i].want)
			fail_msg("row %zu: %u", i, (unsigned)op.recipient_count);
		store_op_fini(&op.op);
	}
}

/* States do not count, so they are no condition. */
static void test_revive_of_everything_must_be_said(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	assert_int_equal(fail_with_notice(w, id, 0x2, 1, NULL, 0, false), OK);
	struct store_filter filter = { .states = RECIPIENT_STATE_BIT(RECIPIENT_FAILED) };
	struct store_revive op = { .filter = &filter };
	assert_int_equal(revive(w, &op), OK);
	assert_int_equal(op.recipient_count, 0);
	store_op_fini(&op.op);
}

static void test_revive_goes_in_steps(void **state)
{
	struct world *w = *state;
	struct store_filter filter = { .hop = STR("a.example") };
	uint32_t sum = 0, steps = 0;
	for (int i = 0; i < 14; i++) {
		uint64_t id = world_must_accept(w, i % 2 ? "a.example" : "b.example");
		assert_int_equal(fail_with_notice(w, id, 0x2, 1, NULL, 0, false), OK);
	}
	for (bool is_more = true; is_more && steps < 10; steps++) {
		struct store_revive op = { .filter = &filter, .limit = 3 };
		assert_int_equal(revive(w, &op), OK);
		sum += (uint32_t)op.recipient_count;
		is_more = op.is_more;
		store_op_fini(&op.op);
	}
	assert_true(sum == 7 && steps == 3);
	contract_assert_counts(w);
	/* what failed meanwhile, before the place where the last step stopped */
	struct store_revive op = { .filter = &filter, .limit = 100 };
	w->fe.wall = wall_add(w->fe.wall, -MINUTE_MS);
	uint64_t id = world_must_accept(w, "a.example");
	assert_int_equal(fail_with_notice(w, id, 0x2, 1, NULL, 0, false), OK);
	assert_int_equal(revive(w, &op), OK);
	assert_int_equal(op.recipient_count, 1);
	store_op_fini(&op.op);
	assert_int_equal(revive_all(w), 7);
}

static void test_notices_within_the_hold_become_one(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w), first, second, third;
	assert_int_equal(fail_with_notice(w, id, 0x2, 1, &first, 0, true), OK);
	assert_int_equal(fail_with_notice(w, id, 0x4, 1, &second, first, true), OK);
	assert_int_equal(notice_of(w, id, 1), second);
	assert_int_equal(notice_of(w, id, 2), second);
	assert_int_equal(contract_state_of(w, first, 1), RECIPIENT_DELETED);
	assert_int_equal(contract_state_of(w, second, 1), RECIPIENT_WAITING);
	contract_assert_counts(w);
	/* once it is on its way it cannot be replaced, and nothing is stored */
	struct store_promote due = { .now = wall_add(w->fe.wall, HOLD_MS), .limit = 10 };
	assert_int_equal(world_run(w, &due.op, STORE_PROMOTE), OK);
	store_op_fini(&due.op);
	assert_int_equal(fail_with_notice(w, id, 0x8, 1, &third, second, true), ERR_NOT_FOUND);
	assert_int_equal(contract_state_of(w, id, 3), RECIPIENT_READY);
	contract_assert_counts(w);
}

static void test_quarantined_come_due_and_are_retried(void **state)
{
	struct world *w = *state;
	uint64_t id = accept_three(w);
	int64_t due_ms = w->fe.wall.ms + HOLD_MS;
	assert_int_equal(world_record(w, id, 1, RESULT_QUARANTINED, 1, due_ms, NULL), OK);
	assert_int_equal(world_record(w, id, 2, RESULT_QUARANTINED, 1, due_ms, NULL), OK);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_QUARANTINED);
	struct store_promote due = { .now = { due_ms - 1 }, .limit = 10 };
	assert_int_equal(world_run(w, &due.op, STORE_PROMOTE), OK);
	assert_true(due.promoted_count == 0 && due.next_due.ms == due_ms);
	store_op_fini(&due.op);
	struct store_filter filter = { .hop = STR("b.example") };
	struct store_modify retry = {
		.filter = &filter, .action = MODIFY_RETRY, .now = w->fe.wall, .limit = 10
	};
	assert_int_equal(world_run(w, &retry.op, STORE_MODIFY), OK);
	store_op_fini(&retry.op);
	assert_int_equal(contract_state_of(w, id, 2), RECIPIENT_READY);
	due = (struct store_promote){ .now = { due_ms }, .limit = 10 };
	assert_int_equal(world_run(w, &due.op, STORE_PROMOTE), OK);
	store_op_fini(&due.op);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_READY);
	contract_assert_counts(w);
}

int contract_run_revive(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_content_of_what_failed_is_kept_until_its_time),
		CONTRACT_TEST(test_history_waits_for_content_that_is_kept),
		CONTRACT_TEST(test_history_goes_in_steps_past_what_is_kept),
		CONTRACT_TEST(test_delivered_later_is_not_kept_beyond_the_time_of_what_failed),
		CONTRACT_TEST(test_revive_makes_ready_and_takes_the_notice_back),
		CONTRACT_TEST(test_revive_after_the_notice_left),
		CONTRACT_TEST(test_revive_filters),
		CONTRACT_TEST(test_revive_of_everything_must_be_said),
		CONTRACT_TEST(test_revive_goes_in_steps),
		CONTRACT_TEST(test_notices_within_the_hold_become_one),
		CONTRACT_TEST(test_quarantined_come_due_and_are_retried),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
