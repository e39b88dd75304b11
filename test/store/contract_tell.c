/* contract_tell - LATE, TELL, and failures that are owed. */
#include "base/check.h"
#include "store/contract_parts.h"

#define LATE_MS (4 * HOUR_MS)

static const char *const hop_a[] = { "a.example" };
static const char *const hops_ab[] = { "a.example", "b.example" };

static uint64_t accept(struct world *w, const char *from, enum late_notice late_notice,
	const char *const *hops, uint32_t count)
{
	struct sample s;
	sample_make(w, &s, hops, count);
	s.env.reverse_path = str_from_c(from);
	s.env.late_notice = late_notice;
	assert_int_equal(world_accept(w, &s), OK);
	return s.env.id;
}

static void late(struct world *w, struct store_late *op, const char *after, uint32_t limit)
{
	*op = (struct store_late){
		.now = w->fe.wall,
		.accepted_before = wall_add(w->fe.wall, -LATE_MS),
		.told_before = wall_add(w->fe.wall, -DAY_MS),
		.owed_before = wall_add(w->fe.wall, -MINUTE_MS),
		.after = str_from_c(after),
		.limit = limit,
	};
	assert_int_equal(world_run(w, &op->op, STORE_LATE), OK);
}

static void own(struct world *w, struct store_late *op)
{
	*op = (struct store_late){
		.now = w->fe.wall,
		.accepted_before = wall_add(w->fe.wall, -LATE_MS),
		.told_before = wall_add(w->fe.wall, -DAY_MS),
		.limit = 10,
		.is_own = true,
	};
	assert_int_equal(world_run(w, &op->op, STORE_LATE), OK);
}

static void pass(struct world *w, int64_t ms)
{
	w->fe.wall = wall_add(w->fe.wall, ms);
}

static void tell(
	struct world *w, const char *sender, uint32_t count, uint64_t up_to, bool has_notice)
{
	struct sample s;
	const struct told_record told = { .sender = str_from_c(sender),
		.first = w->fe.wall,
		.last = w->fe.wall,
		.count = count,
		.up_to = up_to,
		.hops = STR("a.example") };
	sample_make(w, &s, hops_ab, 1);
	s.env.reverse_path = STR("");
	const struct store_notice notice = { s.env, s.content };
	struct store_tell op = { .told = &told, .notice = has_notice ? &notice : NULL };
	assert_int_equal(world_run(w, &op.op, STORE_TELL), OK);
	assert_true(op.is_applied);
	store_op_fini(&op.op);
}

static void test_late_names_senders_of_late_mail_in_order(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t b1 = accept(w, "b@x", LATE_NOTICE_DIGEST, hops_ab, 2);
	uint64_t b2 = accept(w, "b@x", LATE_NOTICE_DIGEST, hop_a, 1);
	accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	accept(w, "", LATE_NOTICE_NONE, hop_a, 1);
	accept(w, "list@x", LATE_NOTICE_NONE, hop_a, 1);
	accept(w, "own@x", LATE_NOTICE_OWN, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	accept(w, "new@x", LATE_NOTICE_DIGEST, hop_a, 1);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 2);
	assert_false(op.is_more);
	assert_true(str_equal(op.senders[0].name, STR("a@x")));
	const struct late_sender *s = &op.senders[1];
	assert_true(str_equal(s->name, STR("b@x")) && s->is_due && !s->is_settled);
	assert_int_equal(s->message_count, 2);
	assert_true(s->messages[0].message.env.id == b1 && s->messages[1].message.env.id == b2);
	assert_int_equal(s->messages[0].message.recipient_count, 2);
	assert_int_equal(s->place_count, 2);
	assert_true(str_equal(s->places[1].hop.name, STR("b.example")));
	store_op_fini(&op.op);
	/* a page of one, and the next behind it */
	late(w, &op, "", 1);
	assert_true(op.is_more && op.sender_count == 1 && str_equal(op.last, STR("a@x")));
	store_op_fini(&op.op);
	late(w, &op, "a@x", 1);
	assert_true(op.sender_count == 1 && str_equal(op.senders[0].name, STR("b@x")));
	store_op_fini(&op.op);
}

static void test_late_leaves_out_what_does_not_wait(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t done = accept(w, "done@x", LATE_NOTICE_DIGEST, hop_a, 1);
	uint64_t part = accept(w, "part@x", LATE_NOTICE_DIGEST, hops_ab, 2);
	uint64_t held = accept(w, "held@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	assert_int_equal(world_record(w, done, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_int_equal(world_record(w, part, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_int_equal(world_record(w, held, 1, RESULT_HELD, 1, 0, NULL), OK);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 1);
	assert_int_equal(op.senders[0].messages[0].message.recipient_count, 1);
	assert_int_equal(op.senders[0].messages[0].message.recipients[0].rcpt.number, 2);
	store_op_fini(&op.op);
}

static void hold(struct world *w, uint64_t id)
{
	assert_int_equal(world_record(w, id, 1, RESULT_HELD, 1, 0, NULL), OK);
}

/* However much an operator holds. */
static void test_late_finds_what_stands_behind_what_is_held(void **state)
{
	struct world *w = *state;
	struct store_late op;
	for (int i = 0; i < LATE_MESSAGES_MAX; i++)
		hold(w, accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1));
	for (int i = 0; i < 10; i++)
		hold(w, accept(w, "a@x", LATE_NOTICE_OWN, hop_a, 1));
	uint64_t late_id = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	uint64_t own_id = accept(w, "a@x", LATE_NOTICE_OWN, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	late(w, &op, "", 10);
	assert_true(op.sender_count == 1 && op.senders[0].message_count == 1);
	assert_true(op.senders[0].messages[0].message.env.id == late_id);
	store_op_fini(&op.op);
	own(w, &op);
	assert_int_equal(op.sender_count, 1);
	assert_true(op.senders[0].messages[0].message.env.id == own_id);
	store_op_fini(&op.op);
}

static void test_late_names_few_recipients_and_counts_the_rest(void **state)
{
	struct world *w = *state;
	struct store_late op;
	const char *hops[LATE_RECIPIENTS_MAX + 5];
	for (size_t i = 0; i < ARRAY_COUNT(hops); i++)
		hops[i] = i == 0 ? "b.example" : "a.example";
	uint64_t id = accept(w, "a@x", LATE_NOTICE_DIGEST, hops, ARRAY_COUNT(hops));
	hold(w, id); /* number 1 */
	pass(w, LATE_MS + HOUR_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 1);
	const struct late_message *m = &op.senders[0].messages[0];
	assert_int_equal(m->message.recipient_count, LATE_RECIPIENTS_MAX);
	assert_int_equal(m->message.recipients[0].rcpt.number, 2);
	assert_int_equal(m->more_recipients, 4);
	assert_int_equal(op.senders[0].place_count, 1);
	store_op_fini(&op.op);
}

static void test_tell_is_remembered_and_repeated_after_its_time(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t first = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	tell(w, "a@x", 1, first, true);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	/* what is new comes alone */
	uint64_t second = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 1);
	assert_false(op.senders[0].is_due);
	assert_int_equal(op.senders[0].told.count, 1);
	assert_true(str_equal(op.senders[0].told.hops, STR("a.example")));
	assert_int_equal(op.senders[0].message_count, 1);
	assert_true(op.senders[0].messages[0].message.env.id == second);
	store_op_fini(&op.op);
	/* and the rest with it when the time is over */
	pass(w, DAY_MS);
	late(w, &op, "", 10);
	assert_true(op.senders[0].is_due && op.senders[0].message_count == 2);
	store_op_fini(&op.op);
}

static void test_tell_outlives_a_restart(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t id = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	tell(w, "a@x", 1, id, true);
	world_close(w);
	world_must_open(w);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE finished = 0"), 2);
	contract_assert_counts(w);
}

static void test_late_says_when_what_was_told_is_settled(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t id = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	tell(w, "a@x", 2, id, false);
	accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 1);
	assert_true(op.senders[0].is_settled && op.senders[0].message_count == 0);
	store_op_fini(&op.op);
	tell(w, "a@x", 0, 0, true);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM told"), 0);
}

static void test_late_counts_beyond_a_hundred(void **state)
{
	struct world *w = *state;
	struct store_late op;
	for (int i = 0; i < 130; i++)
		accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	pass(w, LATE_MS + HOUR_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.senders[0].message_count, LATE_MESSAGES_MAX);
	assert_int_equal(op.senders[0].more_messages, 30);
	store_op_fini(&op.op);
}

static void tell_own(struct world *w, uint64_t id, bool want_applied)
{
	struct sample s;
	sample_make(w, &s, hops_ab, 1);
	const struct store_notice notice = { s.env, s.content };
	struct store_tell op = { .id = id, .at = w->fe.wall, .notice = &notice };
	assert_int_equal(world_run(w, &op.op, STORE_TELL), OK);
	assert_int_equal(op.is_applied, want_applied);
	store_op_fini(&op.op);
	struct store_show show = { .id = s.env.id };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), want_applied ? OK : ERR_NOT_FOUND);
	store_op_fini(&show.op);
}

static void test_own_notices_come_once_then_rarely(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t id = accept(w, "a@x", LATE_NOTICE_OWN, hop_a, 1);
	accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	own(w, &op);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	pass(w, LATE_MS + HOUR_MS);
	own(w, &op);
	assert_int_equal(op.sender_count, 1);
	assert_true(op.senders[0].messages[0].message.env.id == id);
	assert_int_equal(op.senders[0].messages[0].message.recipient_count, 1);
	store_op_fini(&op.op);
	tell_own(w, id, true);
	own(w, &op);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	pass(w, DAY_MS);
	own(w, &op);
	assert_int_equal(op.sender_count, 1);
	store_op_fini(&op.op);
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	tell_own(w, id, false);
}

static void test_own_notice_at_a_by_time(void **state)
{
	struct world *w = *state;
	struct store_late op;
	struct sample s;
	sample_make(w, &s, hop_a, 1);
	s.env.deliver_by = wall_add(s.env.accepted, DAY_MS);
	s.env.deliver_by_notify = true;
	s.env.late_notice = LATE_NOTICE_AT_TIME;
	assert_int_equal(world_accept(w, &s), OK);
	pass(w, LATE_MS + HOUR_MS);
	own(w, &op);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	pass(w, DAY_MS);
	own(w, &op);
	assert_int_equal(op.sender_count, 1);
	store_op_fini(&op.op);
	tell_own(w, s.env.id, true);
	own(w, &op);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
}

static void fail_owed(struct world *w, uint64_t id)
{
	struct store_result result = { .number = 1,
		.kind = RESULT_FAILED,
		.attempt = 1,
		.code = 550,
		.status = STATUS(5, 1, 1),
		.text = STR("no such user") };
	struct store_record record = { .id = id,
		.at = w->fe.wall,
		.results = &result,
		.result_count = 1,
		.is_notice_owed = true };
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	store_op_fini(&record.op);
}

static enum err pay(struct world *w, uint64_t up_to, uint64_t count)
{
	struct store_tell op = { .owed_to = STR("a@x"),
		.owed_up_to = up_to,
		.owed_count = count,
		.owed_before = w->fe.wall };
	enum err err = world_run(w, &op.op, STORE_TELL);
	store_op_fini(&op.op);
	return err;
}

static void test_owed_failures_stay_until_they_are_told(void **state)
{
	struct world *w = *state;
	struct store_late op;
	struct store_sweep sweep;
	uint64_t first = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	uint64_t second = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	fail_owed(w, first);
	fail_owed(w, second);
	/* too new: they may be taken back */
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	pass(w, MINUTE_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 1);
	assert_int_equal(op.senders[0].owed_count, 2);
	assert_int_equal(op.senders[0].owed[0].message.recipients[0].state, RECIPIENT_FAILED);
	assert_true(op.senders[0].owed_up_to == second && op.senders[0].more_owed == 0);
	store_op_fini(&op.op);
	/* the history ends, and these are still there */
	sweep = (struct store_sweep){ .history_before = wall_add(w->fe.wall, DAY_MS), .limit = 10 };
	assert_int_equal(world_run(w, &sweep.op, STORE_SWEEP), OK);
	assert_int_equal(sweep.removed_count, 0);
	store_op_fini(&sweep.op);
	/* one more than was told of: nothing is paid */
	assert_int_equal(pay(w, second, 1), ERR_NOT_FOUND);
	assert_int_equal(pay(w, second, 2), OK);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
	sweep = (struct store_sweep){ .history_before = wall_add(w->fe.wall, DAY_MS), .limit = 10 };
	assert_int_equal(world_run(w, &sweep.op, STORE_SWEEP), OK);
	assert_int_equal(sweep.removed_count, 2);
	store_op_fini(&sweep.op);
	contract_assert_counts(w);
}

static void test_owed_failures_are_counted_beyond_a_hundred(void **state)
{
	struct world *w = *state;
	struct store_late op;
	uint64_t last = 0;
	for (int i = 0; i < 105; i++) {
		last = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
		fail_owed(w, last);
	}
	pass(w, MINUTE_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.senders[0].owed_count, LATE_MESSAGES_MAX);
	assert_int_equal(op.senders[0].more_owed, 5);
	assert_true(op.senders[0].owed_up_to == last && !op.senders[0].has_more_owed);
	store_op_fini(&op.op);
	assert_int_equal(pay(w, last, 105), OK);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE owed > 0"), 0);
}

static void revive(struct world *w, struct store_revive *op, bool only_untold)
{
	static const struct store_filter all = { .is_all = true };
	*op = (struct store_revive){ .filter = &all,
		.only_untold = only_untold,
		.now = w->fe.wall,
		.actor = STR("uid 0 (root)"),
		.limit = 10 };
	assert_int_equal(world_run(w, &op->op, STORE_REVIVE), OK);
	store_op_fini(&op->op);
	contract_assert_counts(w);
}

static void fail_kept(struct world *w, uint64_t id)
{
	const struct store_result result = { .number = 1, .kind = RESULT_FAILED, .attempt = 1 };
	struct store_record record = { .id = id,
		.at = w->fe.wall,
		.results = &result,
		.result_count = 1,
		.keep_until = wall_add(w->fe.wall, DAY_MS),
		.is_notice_owed = true };
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	store_op_fini(&record.op);
}

static void test_owed_failures_that_are_revived_are_not_told(void **state)
{
	struct world *w = *state;
	struct store_late op;
	struct store_revive back;
	fail_kept(w, accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1));
	revive(w, &back, true);
	assert_true(back.recipient_count == 1 && back.told_count == 0);
	pass(w, MINUTE_MS);
	late(w, &op, "", 10);
	assert_int_equal(op.sender_count, 0);
	store_op_fini(&op.op);
}

static void test_owed_failures_that_were_told_are_revived_as_such(void **state)
{
	struct world *w = *state;
	struct sample s;
	struct store_revive back;
	uint64_t id = accept(w, "a@x", LATE_NOTICE_DIGEST, hop_a, 1);
	fail_kept(w, id);
	sample_make(w, &s, hops_ab, 1);
	s.env.reverse_path = STR("");
	const struct store_notice notice = { s.env, s.content };
	struct store_tell tell_op = { .notice = &notice,
		.owed_to = STR("a@x"),
		.owed_up_to = id,
		.owed_count = 1,
		.owed_before = w->fe.wall };
	assert_int_equal(world_run(w, &tell_op.op, STORE_TELL), OK);
	store_op_fini(&tell_op.op);
	revive(w, &back, true);
	assert_int_equal(back.recipient_count, 0);
	revive(w, &back, false);
	assert_true(back.recipient_count == 1 && back.told_count == 1);
}

static uint64_t accept_by(
	struct world *w, const char *const *hops, uint32_t count, int64_t by_ms, bool is_notify)
{
	struct sample s;
	sample_make(w, &s, hops, count);
	s.env.deliver_by = wall_add(s.env.accepted, by_ms);
	s.env.deliver_by_notify = is_notify;
	assert_int_equal(world_accept(w, &s), OK);
	return s.env.id;
}

static void test_late_and_claim_find_mail_past_its_by_time(void **state)
{
	static const char *const hop_b[] = { "b.example" };
	struct world *w = *state;
	uint64_t later = accept_by(w, hops_ab, 2, 2 * HOUR_MS, false);
	uint64_t sooner = accept_by(w, hop_a, 1, HOUR_MS, false);
	accept_by(w, hop_a, 1, DAY_MS, false);
	accept_by(w, hop_a, 1, HOUR_MS, true);
	accept_by(w, hop_b, 1, HOUR_MS, false);
	world_must_accept(w, "a.example");
	pass(w, 3 * HOUR_MS);
	struct store_late late_op = { .now = w->fe.wall, .is_by_time = true, .limit = 10 };
	assert_int_equal(world_run(w, &late_op.op, STORE_LATE), OK);
	assert_int_equal(late_op.sender_count, 3);
	assert_true(late_op.senders[0].messages[0].message.env.id == sooner);
	assert_int_equal(late_op.senders[2].place_count, 2);
	store_op_fini(&late_op.op);
	struct store_claim claim = { .hop = STR("a.example"),
		.due_by = w->fe.wall,
		.message_limit = 1,
		.recipients_per_message = 10 };
	assert_int_equal(world_run(w, &claim.op, STORE_CLAIM), OK);
	assert_true(claim.message_count == 1 && claim.is_more);
	assert_true(claim.messages[0].env.id == sooner);
	store_op_fini(&claim.op);
	assert_int_equal(world_record(w, sooner, 1, RESULT_FAILED, 1, 0, NULL), OK);
	claim = (struct store_claim){
		.hop = STR("a.example"), .due_by = w->fe.wall, .message_limit = 9
	};
	assert_int_equal(world_run(w, &claim.op, STORE_CLAIM), OK);
	assert_true(claim.message_count == 1 && !claim.is_more);
	assert_true(claim.messages[0].env.id == later && claim.messages[0].recipient_count == 1);
	store_op_fini(&claim.op);
}

int contract_run_tell(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_late_names_senders_of_late_mail_in_order),
		CONTRACT_TEST(test_late_leaves_out_what_does_not_wait),
		CONTRACT_TEST(test_late_finds_what_stands_behind_what_is_held),
		CONTRACT_TEST(test_late_names_few_recipients_and_counts_the_rest),
		CONTRACT_TEST(test_tell_is_remembered_and_repeated_after_its_time),
		CONTRACT_TEST(test_tell_outlives_a_restart),
		CONTRACT_TEST(test_late_says_when_what_was_told_is_settled),
		CONTRACT_TEST(test_late_counts_beyond_a_hundred),
		CONTRACT_TEST(test_own_notices_come_once_then_rarely),
		CONTRACT_TEST(test_own_notice_at_a_by_time),
		CONTRACT_TEST(test_owed_failures_stay_until_they_are_told),
		CONTRACT_TEST(test_owed_failures_are_counted_beyond_a_hundred),
		CONTRACT_TEST(test_owed_failures_that_are_revived_are_not_told),
		CONTRACT_TEST(test_owed_failures_that_were_told_are_revived_as_such),
		CONTRACT_TEST(test_late_and_claim_find_mail_past_its_by_time),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
