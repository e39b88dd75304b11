/* contract_write - ACCEPT, SPOOL, DISCARD, RECORD, PROMOTE, REKEY, PUT. */
#include <string.h>

#include "base/check.h"
#include "store/contract_parts.h"

static const char *const one[] = { "a.example" };
static const char *const three[] = { "a.example", "b.example", "a.example" };

static enum err fetch(struct world *w, uint64_t id, uint32_t chunk, struct str want)
{
	struct store_fetch op = { .id = id, .chunk = chunk };
	enum err err = world_run(w, &op.op, STORE_FETCH);
	if (err == OK)
		assert_true(str_equal(op.content, want));
	store_op_fini(&op.op);
	return err;
}

static enum err spool(struct world *w, uint64_t id, uint32_t chunk, struct str content)
{
	struct store_spool op = { .id = id, .chunk = chunk, .content = content };
	enum err err = world_run(w, &op.op, STORE_SPOOL);
	store_op_fini(&op.op);
	return err;
}

static void stats(struct world *w, struct store_stats *op)
{
	*op = (struct store_stats){ 0 };
	assert_int_equal(world_run(w, &op->op, STORE_STATS), OK);
	store_op_fini(&op->op);
}

static void test_accept_keeps_every_field(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, three, 3);
	s.env.is_smtputf8 = true;
	s.env.priority = -4;
	s.env.deliver_by = (struct wall){ 77 };
	s.env.deliver_by_notify = s.env.deliver_by_is_ours = s.env.is_requiretls = true;
	s.env.late_notice = LATE_NOTICE_OWN;
	s.env.hold_wish = HOLD_WISH_UNTIL;
	s.env.is_tls_optional = true;
	s.env.origin = ORIGIN_RECEIPT;
	s.recipients[1].orcpt = str_of("a\0b", 3);
	s.recipients[1].notify = NOTIFY_NEVER;
	assert_int_equal(world_accept(w, &s), OK);
	struct store_show op = { .id = s.env.id };
	assert_int_equal(world_run(w, &op.op, STORE_SHOW), OK);
	const struct envelope *env = &op.message.env;
	assert_true(env->id == s.env.id && env->accepted.ms == s.env.accepted.ms);
	assert_true(str_equal(env->reverse_path, s.env.reverse_path) && env->body == s.env.body);
	assert_true(
		env->is_smtputf8 && env->ret == s.env.ret && str_equal(env->envid, s.env.envid));
	assert_int_equal(env->priority, -4);
	assert_true(env->deliver_by.ms == 77 && env->deliver_by_notify && env->hold_until.ms == 0);
	assert_true(env->deliver_by_is_ours && !env->deliver_by_trace && env->is_requiretls);
	assert_int_equal(env->origin, ORIGIN_RECEIPT);
	assert_int_equal(env->late_notice, LATE_NOTICE_OWN);
	assert_int_equal(env->hold_wish, HOLD_WISH_UNTIL);
	assert_true(env->is_tls_optional);
	assert_true(str_equal(env->user, s.env.user) && str_equal(env->client, s.env.client));
	assert_true(
		str_equal(env->helo, s.env.helo) && str_equal(env->message_id, s.env.message_id));
	assert_true(env->size_bytes == s.env.size_bytes);
	assert_null(env->recipients);
	assert_int_equal(op.message.recipient_count, 3);
	assert_int_equal(op.message.chunk_count, 1);
	assert_int_equal(op.message.finished.ms, 0);
	for (uint32_t i = 0; i < 3; i++) {
		const struct queued_recipient *r = &op.message.recipients[i];
		const struct recipient *want = &s.recipients[i];
		assert_int_equal(r->rcpt.number, i + 1);
		assert_true(str_equal(r->rcpt.address, want->address) &&
			    str_equal(r->rcpt.domain, want->domain));
		assert_true(
			str_equal(r->rcpt.hop, want->hop) && str_equal(r->rcpt.orcpt, want->orcpt));
		assert_int_equal(r->rcpt.notify, want->notify);
		assert_int_equal(r->state, RECIPIENT_READY);
		assert_true(r->attempts == 0 && r->due.ms == 0 && r->last_attempt.ms == 0 &&
			    r->finished.ms == 0);
	}
	store_op_fini(&op.op);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), OK);
	contract_assert_counts(w);
}

static void test_accept_with_hold_until_starts_waiting(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	s.env.hold_until = wall_add(s.env.accepted, HOUR_MS);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(contract_state_of(w, s.env.id, 1), RECIPIENT_WAITING);
	struct sample past;
	sample_make(w, &past, one, 1);
	past.env.hold_until = wall_add(past.env.accepted, -HOUR_MS);
	assert_int_equal(world_accept(w, &past), OK);
	assert_int_equal(contract_state_of(w, past.env.id, 1), RECIPIENT_READY);
	struct store_promote op = { .now = s.env.hold_until, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_int_equal(op.promoted_count, 1);
	store_op_fini(&op.op);
	assert_int_equal(contract_state_of(w, s.env.id, 1), RECIPIENT_READY);
}

static void test_accept_refuses_a_known_id(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	assert_int_equal(world_accept(w, &s), OK);
	s.content = STR("other");
	assert_int_equal(world_accept(w, &s), ERR_EXISTS);
	assert_int_equal(fetch(w, s.env.id, 0, STR("Subject: x\r\n\r\nhello\r\n")), OK);
	contract_assert_counts(w);
}

static void test_accept_takes_spooled_chunks(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	assert_int_equal(spool(w, s.env.id, 0, STR("first ")), OK);
	assert_int_equal(spool(w, s.env.id, 1, STR("second ")), OK);
	struct store_accept op = { .env = &s.env, .content = STR("last"), .spooled_chunks = 2 };
	assert_int_equal(world_run(w, &op.op, STORE_ACCEPT), OK);
	assert_int_equal(fetch(w, s.env.id, 0, STR("first ")), OK);
	assert_int_equal(fetch(w, s.env.id, 1, STR("second ")), OK);
	assert_int_equal(fetch(w, s.env.id, 2, STR("last")), OK);
	assert_int_equal(fetch(w, s.env.id, 3, STR("")), ERR_NOT_FOUND);
	struct store_show show = { .id = s.env.id };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
	assert_int_equal(show.message.chunk_count, 3);
	store_op_fini(&show.op);
	world_close(w);
	world_must_open(w);
	assert_int_equal(fetch(w, s.env.id, 1, STR("second ")), OK);
	assert_int_equal(world_record(w, s.env.id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	for (uint32_t chunk = 0; chunk < 3; chunk++)
		assert_int_equal(fetch(w, s.env.id, chunk, STR("")), ERR_NOT_FOUND);
	contract_assert_counts(w);
}

static void test_accept_without_its_chunks_is_refused(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	assert_int_equal(spool(w, s.env.id, 0, STR("first")), OK);
	struct store_accept op = { .env = &s.env, .content = STR("last"), .spooled_chunks = 2 };
	assert_int_equal(world_run(w, &op.op, STORE_ACCEPT), ERR_NOT_FOUND);
	struct store_show show = { .id = s.env.id };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), ERR_NOT_FOUND);
	contract_assert_counts(w);
}

static void test_discard_drops_chunks_but_never_a_message(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	assert_int_equal(spool(w, 4242, 0, STR("x")), OK);
	assert_int_equal(spool(w, 4242, 1, STR("y")), OK);
	struct store_discard op = { .id = 4242 };
	assert_int_equal(world_run(w, &op.op, STORE_DISCARD), OK);
	assert_int_equal(fetch(w, 4242, 0, STR("")), ERR_NOT_FOUND);
	assert_int_equal(fetch(w, 4242, 1, STR("")), ERR_NOT_FOUND);
	assert_int_equal(world_accept(w, &s), OK);
	op = (struct store_discard){ .id = s.env.id };
	assert_int_equal(world_run(w, &op.op, STORE_DISCARD), OK);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), OK);
	assert_int_equal(spool(w, s.env.id, 7, STR("late")), OK);
	op = (struct store_discard){ .id = s.env.id };
	assert_int_equal(world_run(w, &op.op, STORE_DISCARD), OK);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), OK);
}

static void test_opening_sweeps_orphan_chunks_only(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, one, 1);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(spool(w, 99, 0, STR("x")), OK);
	assert_int_equal(spool(w, 99, 1, STR("y")), OK);
	assert_int_equal(spool(w, s.env.id, 7, STR("late")), OK);
	world_close(w);
	world_must_open(w);
	assert_int_equal(fetch(w, 99, 0, STR("")), ERR_NOT_FOUND);
	assert_int_equal(fetch(w, 99, 1, STR("")), ERR_NOT_FOUND);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), OK);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM chunk WHERE message = 99"), 0);
}

static bool record_finishes(struct world *w, uint64_t id, uint32_t number, enum result_kind kind)
{
	struct store_result result = {
		.number = number, .kind = kind, .attempt = 1, .due = { 5000 }
	};
	struct store_record record = {
		.id = id, .at = w->fe.wall, .results = &result, .result_count = 1
	};
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	store_op_fini(&record.op);
	return record.is_finished;
}

static void test_record_tells_when_the_message_is_through(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	assert_false(record_finishes(w, id, 1, RESULT_RETRY));
	assert_false(record_finishes(w, world_must_accept(w, "b.example"), 1, RESULT_HELD));
	assert_true(record_finishes(w, world_must_accept(w, "c.example"), 1, RESULT_FAILED));
	assert_true(record_finishes(w, world_must_accept(w, "d.example"), 1, RESULT_DELIVERED));
}

static void test_record_moves_to_each_state(void **state)
{
	static const struct {
		enum result_kind kind;
		enum recipient_state want;
		uint32_t attempts;
		int64_t due;
		bool is_finished;
	} rows[] = {
		{ RESULT_DELIVERED, RECIPIENT_DELIVERED, 3, 0, true },
		{ RESULT_RETRY, RECIPIENT_WAITING, 3, 5000, false },
		{ RESULT_READY, RECIPIENT_READY, 0, 0, false },
		{ RESULT_FAILED, RECIPIENT_FAILED, 3, 0, true },
		{ RESULT_HELD, RECIPIENT_HELD, 3, 0, false },
		{ RESULT_QUARANTINED, RECIPIENT_QUARANTINED, 3, 5000, false },
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t id = world_must_accept(w, "a.example");
		uint32_t applied = 0;
		assert_int_equal(world_record(w, id, 1, rows[i].kind, 3, 5000, &applied), OK);
		assert_int_equal(applied, 1);
		struct store_show op = { .id = id };
		assert_int_equal(world_run(w, &op.op, STORE_SHOW), OK);
		const struct queued_recipient *r = &op.message.recipients[0];
		assert_int_equal(r->state, rows[i].want);
		assert_int_equal(r->attempts, rows[i].attempts);
		/* held: since when */
		assert_int_equal(r->due.ms,
			rows[i].kind == RESULT_HELD ? w->fe.wall.ms : rows[i].due);
		assert_true((r->finished.ms != 0) == rows[i].is_finished);
		assert_true((op.message.finished.ms != 0) == rows[i].is_finished);
		assert_int_equal(op.message.chunk_count, rows[i].is_finished ? 0 : 1);
		assert_true((r->last_attempt.ms != 0) == (rows[i].attempts > 0));
		assert_true(str_equal(r->text, STR("the reply")));
		assert_true(str_equal(r->host, STR("mx.example[192.0.2.2]:25")));
		assert_true(r->code == 250 || status_is(r->status, 4, 7, 1));
		if (rows[i].kind == RESULT_HELD)
			assert_true(str_equal(op.message.hold_reason, STR("the reply")));
		store_op_fini(&op.op);
		assert_int_equal(fetch(w, id, 0, STR("Subject: x\r\n\r\nhello\r\n")),
			rows[i].is_finished ? ERR_NOT_FOUND : OK);
	}
	contract_assert_counts(w);
}

static void test_record_is_idempotent_by_attempt(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	uint32_t applied = 9;
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 2, 5000, &applied), OK);
	assert_int_equal(applied, 1);
	assert_int_equal(world_record(w, id, 1, RESULT_FAILED, 2, 0, &applied), OK);
	assert_int_equal(applied, 0);
	assert_int_equal(world_record(w, id, 1, RESULT_FAILED, 1, 0, &applied), OK);
	assert_int_equal(applied, 0);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_WAITING);
	assert_int_equal(world_record(w, id, 1, RESULT_DELIVERED, 3, 0, &applied), OK);
	assert_int_equal(applied, 1);
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 4, 9, &applied), OK);
	assert_int_equal(applied, 0);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_DELIVERED);
	contract_assert_counts(w);
}

static void test_record_inserts_a_notice_exactly_once(void **state)
{
	struct world *w = *state;
	struct sample s, dsn;
	sample_make(w, &s, one, 1);
	assert_int_equal(world_accept(w, &s), OK);
	for (int round = 0; round < 2; round++) {
		sample_make(w, &dsn, one, 1);
		struct store_notice notice = { .env = dsn.env, .content = STR("bounce") };
		struct store_result result = { .number = 1, .kind = RESULT_FAILED, .attempt = 1 };
		struct attempt_record attempt = {
			.recipient = 1, .attempt = 1, .at = { 5 }, .stage = STR("rcpt")
		};
		struct store_record op = { .id = s.env.id,
			.at = w->fe.wall,
			.results = &result,
			.result_count = 1,
			.attempts = &attempt,
			.attempt_count = 1,
			.notices = &notice,
			.notice_count = 1 };
		assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
		assert_int_equal(op.applied_count, round == 0 ? 1 : 0);
		assert_int_equal(
			fetch(w, dsn.env.id, 0, STR("bounce")), round == 0 ? OK : ERR_NOT_FOUND);
	}
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE finished=0"), 1);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM attempt"), 1);
	contract_assert_counts(w);
}

/* A message that was never in the tables is delivered, and its sender told, in one. */
static void test_record_of_a_young_message_tells_of_its_success(void **state)
{
	struct world *w = *state;
	struct sample s, dsn, other;
	sample_make(w, &s, one, 1);
	sample_make(w, &other, one, 1);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(world_accept(w, &other), OK);
	sample_make(w, &dsn, one, 1);
	struct store_notice notice = { .env = dsn.env, .content = STR("relayed") };
	struct store_result result = { .number = 1, .kind = RESULT_DELIVERED, .attempt = 1 };
	struct store_record op = { .id = s.env.id,
		.at = w->fe.wall,
		.results = &result,
		.result_count = 1,
		.notices = &notice,
		.notice_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	assert_true(op.applied_count == 1 && op.is_finished);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(fetch(w, dsn.env.id, 0, STR("relayed")), OK);
		assert_int_equal(fetch(w, s.env.id, 0, s.content), ERR_NOT_FOUND);
		assert_int_equal(fetch(w, other.env.id, 0, other.content), OK);
		assert_int_equal(contract_state_of(w, s.env.id, 1), RECIPIENT_DELIVERED);
		assert_int_equal(contract_state_of(w, dsn.env.id, 1), RECIPIENT_READY);
		world_close(w);
		world_must_open(w);
	}
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK); /* again, of a lost reply */
	assert_int_equal(op.applied_count, 0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE finished=0"), 2);
	contract_assert_counts(w);
}

static void test_record_notice_without_results_is_inserted(void **state)
{
	struct world *w = *state;
	struct sample dsn;
	uint64_t id = world_must_accept(w, "a.example");
	sample_make(w, &dsn, one, 1);
	struct store_notice notice = { .env = dsn.env, .content = STR("delayed") };
	struct store_record op = {
		.id = id, .at = w->fe.wall, .notices = &notice, .notice_count = 1
	};
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	assert_int_equal(fetch(w, dsn.env.id, 0, STR("delayed")), OK);
	contract_assert_counts(w);
}

static void test_record_finishes_a_message_with_its_last_recipient(void **state)
{
	struct world *w = *state;
	struct sample s;
	struct store_lookup hop;
	sample_make(w, &s, three, 3);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(world_record(w, s.env.id, 1, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_int_equal(contract_lookup(w, &hop, "a.example", ""), OK);
	assert_int_equal(hop.hop_out.bytes, s.content.len);
	store_op_fini(&hop.op);
	assert_int_equal(world_record(w, s.env.id, 3, RESULT_FAILED, 1, 0, NULL), OK);
	assert_int_equal(contract_lookup(w, &hop, "a.example", ""), OK);
	assert_int_equal(hop.hop_out.bytes, 0);
	store_op_fini(&hop.op);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), OK);
	contract_assert_counts(w);
	assert_int_equal(world_record(w, s.env.id, 2, RESULT_DELIVERED, 1, 0, NULL), OK);
	assert_int_equal(fetch(w, s.env.id, 0, s.content), ERR_NOT_FOUND);
	struct store_stats now;
	stats(w, &now);
	assert_true(now.messages == 0 && now.bytes == 0 && now.oldest.ms == 0);
	assert_true(
		now.recipients[RECIPIENT_DELIVERED] == 2 && now.recipients[RECIPIENT_FAILED] == 1);
	assert_true(now.delivered_total == 2 && now.failed_total == 1 && now.last_id == s.env.id);
	contract_assert_counts(w);
}

static void test_record_keeps_what_an_operator_did_meanwhile(void **state)
{
	static const struct {
		enum modify_action action;
		enum result_kind kind;
		enum recipient_state want;
		uint32_t applied;
	} rows[] = {
		{ MODIFY_DELETE, RESULT_RETRY, RECIPIENT_DELETED, 0 },
		{ MODIFY_DELETE, RESULT_DELIVERED, RECIPIENT_DELETED, 0 },
		{ MODIFY_HOLD, RESULT_RETRY, RECIPIENT_HELD, 1 },
		{ MODIFY_HOLD, RESULT_DELIVERED, RECIPIENT_DELIVERED, 1 },
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t id = world_must_accept(w, "a.example");
		uint32_t applied = 9;
		struct store_filter filter = { .ids = &id, .id_count = 1 };
		struct store_modify op = {
			.filter = &filter, .action = rows[i].action, .now = w->fe.wall, .limit = 9
		};
		assert_int_equal(world_run(w, &op.op, STORE_MODIFY), OK);
		store_op_fini(&op.op);
		assert_int_equal(world_record(w, id, 1, rows[i].kind, 1, 5000, &applied), OK);
		assert_int_equal(applied, rows[i].applied);
		assert_int_equal(contract_state_of(w, id, 1), rows[i].want);
	}
	contract_assert_counts(w);
}

static void test_record_of_unknown_message_or_recipient_changes_nothing(void **state)
{
	struct world *w = *state;
	uint32_t applied = 9;
	uint64_t id = world_must_accept(w, "a.example");
	assert_int_equal(world_record(w, id + 1, 1, RESULT_DELIVERED, 1, 0, &applied), OK);
	assert_int_equal(applied, 0);
	assert_int_equal(world_record(w, id, 7, RESULT_DELIVERED, 1, 0, &applied), OK);
	assert_int_equal(applied, 0);
	contract_assert_counts(w);
}

static void test_record_writes_health(void **state)
{
	struct world *w = *state;
	struct health_record health = {
		.state = HEALTH_DOWN,
		.since = { 10 },
		.first_failure = { 9 },
		.last_failure = { 12 },
		.last_success = { 3 },
		.next_probe = { 500 },
		.probe_step_ms = 60000,
		.failures = 4,
		.probes = 2,
		.is_declared = true,
		.stage = "connect",
		.code = 421,
		.host = "mx[192.0.2.1]:25",
		.text = "no",
	};
	struct site_record site = { .name = STR("mx.example"), .health = health, .window = 7 };
	struct hop_record hop = {
		.name = STR("a.example"), .site = STR("mx.example"), .health = health
	};
	hop.health.state = HEALTH_SUSPECT;
	hop.route = STR("10 mx.example 192.0.2.1");
	hop.route_at = (struct wall){ 70 };
	hop.denied_ms = 71;
	hop.denied_last = (struct wall){ 72 };
	struct store_record op = {
		.at = w->fe.wall, .sites = &site, .site_count = 1, .hops = &hop, .hop_count = 1
	};
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	world_close(w);
	world_must_open(w);
	struct store_lookup found;
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), OK);
	assert_true(str_equal(found.hop_out.site, site.name) &&
		    str_equal(found.site_out.name, site.name));
	assert_int_equal(found.site_out.window, 7);
	const struct health_record *h = &found.site_out.health;
	assert_true(h->state == HEALTH_DOWN && h->since.ms == 10 && h->first_failure.ms == 9);
	assert_true(h->last_failure.ms == 12 && h->last_success.ms == 3 && h->next_probe.ms == 500);
	assert_true(
		h->probe_step_ms == 60000 && h->failures == 4 && h->probes == 2 && h->is_declared);
	assert_string_equal(h->stage, "connect");
	assert_int_equal(h->code, 421);
	assert_string_equal(h->host, "mx[192.0.2.1]:25");
	assert_string_equal(h->text, "no");
	assert_int_equal(found.hop_out.health.state, HEALTH_SUSPECT);
	assert_true(str_equal(found.hop_out.route, hop.route) && found.hop_out.route_at.ms == 70);
	assert_true(found.hop_out.denied_ms == 71 && found.hop_out.denied_last.ms == 72);
	store_op_fini(&found.op);
	struct store_stats now;
	stats(w, &now);
	assert_true(now.sites[HEALTH_DOWN] == 1 && now.sites[HEALTH_UP] == 0);
	hop.site = STR("other.example");
	hop.route = STR(""); /* leaves what is stored */
	hop.denied_ms = 0;
	hop.denied_last = WALL_NONE;
	op = (struct store_record){ .at = w->fe.wall, .hops = &hop, .hop_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	contract_assert_counts(w);
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), OK);
	assert_true(str_equal(found.hop_out.route, STR("10 mx.example 192.0.2.1")) &&
		    found.hop_out.route_at.ms == 70);
	assert_true(found.hop_out.denied_ms == 0 && found.hop_out.denied_last.ms == WALL_NONE.ms);
	store_op_fini(&found.op);
}

static void test_record_with_failing_part_changes_nothing(void **state)
{
	struct world *w = *state;
	struct sample dsn;
	uint64_t id = world_must_accept(w, "a.example");
	sample_make(w, &dsn, one, 1);
	dsn.env.id = id; /* taken: the notice cannot be stored */
	struct store_notice notice = { .env = dsn.env, .content = STR("bounce") };
	struct store_result result = { .number = 1, .kind = RESULT_FAILED, .attempt = 1 };
	struct store_record op = { .id = id,
		.at = w->fe.wall,
		.results = &result,
		.result_count = 1,
		.notices = &notice,
		.notice_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), ERR_EXISTS);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_READY);
	contract_assert_counts(w);
}

static void test_promote_takes_due_ones_up_to_limit(void **state)
{
	static const char *const hops[] = { "a.example", "b.example", "a.example", "c.example" };
	static const int64_t dues[] = { 3000, 1000, 2000, 9000 };
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, hops, 4);
	assert_int_equal(world_accept(w, &s), OK);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(
			world_record(w, s.env.id, i + 1, i == 1 ? RESULT_QUARANTINED : RESULT_RETRY,
				1, dues[i], NULL),
			OK);
	struct store_promote op = { .now = { 999 }, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_true(op.promoted_count == 0 && op.hop_count == 0 && op.next_due.ms == 1000);
	store_op_fini(&op.op);
	op = (struct store_promote){ .now = { 3000 }, .limit = 2 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_true(op.promoted_count == 2 && op.hop_count == 2 && op.next_due.ms == 3000);
	store_op_fini(&op.op);
	op = (struct store_promote){ .now = { 9000 }, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_true(op.promoted_count == 2 && op.hop_count == 2 && op.next_due.ms == WALL_NEVER.ms);
	store_op_fini(&op.op);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(contract_state_of(w, s.env.id, i + 1), RECIPIENT_READY);
	contract_assert_counts(w);
}

static void test_promote_names_each_hop_once(void **state)
{
	struct world *w = *state;
	struct sample s;
	sample_make(w, &s, three, 3);
	assert_int_equal(world_accept(w, &s), OK);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(world_record(w, s.env.id, i, RESULT_RETRY, 1, 5, NULL), OK);
	struct store_promote op = { .now = { 5 }, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_int_equal(op.promoted_count, 3);
	assert_int_equal(op.hop_count, 2);
	assert_false(str_equal(op.hops[0], op.hops[1]));
	store_op_fini(&op.op);
}

static void test_rekey_moves_queued_recipients(void **state)
{
	struct world *w = *state;
	struct sample s;
	struct store_lookup hop;
	static const uint32_t numbers[] = { 1, 2, 3, 9 };
	sample_make(w, &s, three, 3);
	assert_int_equal(world_accept(w, &s), OK);
	assert_int_equal(world_record(w, s.env.id, 2, RESULT_DELIVERED, 1, 0, NULL), OK);
	struct store_rekey op = {
		.id = s.env.id, .numbers = numbers, .number_count = 4, .hop = STR("route:x")
	};
	assert_int_equal(world_run(w, &op.op, STORE_REKEY), OK);
	assert_int_equal(contract_lookup(w, &hop, "route:x", ""), OK);
	assert_int_equal(hop.hop_out.count[RECIPIENT_READY], 2);
	assert_int_equal(hop.hop_out.bytes, s.content.len);
	store_op_fini(&hop.op);
	assert_int_equal(contract_lookup(w, &hop, "a.example", ""), OK);
	assert_true(hop.hop_out.count[RECIPIENT_READY] == 0 && hop.hop_out.bytes == 0);
	store_op_fini(&hop.op);
	contract_assert_counts(w);
}

static void test_put_and_get(void **state)
{
	struct world *w = *state;
	struct store_get get = { .key = STR("clock") };
	assert_int_equal(world_run(w, &get.op, STORE_GET), ERR_NOT_FOUND);
	store_op_fini(&get.op);
	for (int round = 0; round < 2; round++) {
		struct str value = round == 0 ? str_of("a\0b", 3) : STR("");
		struct store_put put = { .key = STR("clock"), .value = value };
		assert_int_equal(world_run(w, &put.op, STORE_PUT), OK);
		get = (struct store_get){ .key = STR("clock") };
		assert_int_equal(world_run(w, &get.op, STORE_GET), OK);
		assert_true(str_equal(get.value, value));
		store_op_fini(&get.op);
	}
}

int contract_run_write(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_accept_keeps_every_field),
		CONTRACT_TEST(test_accept_with_hold_until_starts_waiting),
		CONTRACT_TEST(test_accept_refuses_a_known_id),
		CONTRACT_TEST(test_accept_takes_spooled_chunks),
		CONTRACT_TEST(test_accept_without_its_chunks_is_refused),
		CONTRACT_TEST(test_discard_drops_chunks_but_never_a_message),
		CONTRACT_TEST(test_opening_sweeps_orphan_chunks_only),
		CONTRACT_TEST(test_record_tells_when_the_message_is_through),
		CONTRACT_TEST(test_record_moves_to_each_state),
		CONTRACT_TEST(test_record_is_idempotent_by_attempt),
		CONTRACT_TEST(test_record_inserts_a_notice_exactly_once),
		CONTRACT_TEST(test_record_of_a_young_message_tells_of_its_success),
		CONTRACT_TEST(test_record_notice_without_results_is_inserted),
		CONTRACT_TEST(test_record_finishes_a_message_with_its_last_recipient),
		CONTRACT_TEST(test_record_keeps_what_an_operator_did_meanwhile),
		CONTRACT_TEST(test_record_of_unknown_message_or_recipient_changes_nothing),
		CONTRACT_TEST(test_record_writes_health),
		CONTRACT_TEST(test_record_with_failing_part_changes_nothing),
		CONTRACT_TEST(test_promote_takes_due_ones_up_to_limit),
		CONTRACT_TEST(test_promote_names_each_hop_once),
		CONTRACT_TEST(test_rekey_moves_queued_recipients),
		CONTRACT_TEST(test_put_and_get),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
