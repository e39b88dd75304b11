/* contract_outage - outages with RECORD, OUTAGES, the spans of LOOKUP, the learned rate, and their end with SWEEP. */
#include <string.h>

#include "store/contract_parts.h"

static struct outage_record an_outage(
	uint64_t id, enum outage_scope scope, const char *name, int64_t began, int64_t ended)
{
	return (struct outage_record){ .id = id,
		.kind = OUTAGE_DOWN,
		.scope = scope,
		.name = str_from_c(name),
		.began = { began },
		.declared = { began + 5 },
		.ended = { ended } };
}

static void put(struct world *w, const struct outage_record *outages, uint32_t count)
{
	struct store_record op = { .outages = outages, .outage_count = count };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	store_op_fini(&op.op);
}

/* What LOOKUP and lists are asked about: two sites, a next hop, a pattern, all. */
static void put_some(struct world *w)
{
	const struct outage_record outages[] = {
		an_outage(1, OUTAGE_OF_SITE, "mx.a", 300, 400),
		an_outage(2, OUTAGE_OF_SITE, "mx.a", 100, 200),
		an_outage(3, OUTAGE_OF_SITE, "mx.b", 100, 0),
		an_outage(4, OUTAGE_OF_HOP, "mx.a", 50, 60),
		an_outage(5, OUTAGE_OF_HOP, "a.example", 500, 0),
		an_outage(6, OUTAGE_OF_PATTERN, "*.example", 600, 700),
		an_outage(7, OUTAGE_OF_ALL, "", 800, 900),
	};
	put(w, outages, ARRAY_COUNT(outages));
}

static void test_outage_is_read_as_it_was_written(void **state)
{
	struct world *w = *state;
	const struct outage_record want = {
		.id = 9,
		.kind = OUTAGE_STORM,
		.scope = OUTAGE_OF_PATTERN,
		.name = STR("mx:*.example"),
		.began = { 1 },
		.declared = { 2 },
		.until = { 3 },
		.recovered = { 4 },
		.ended = { 5 },
		.actor = STR("uid 0 (root)"),
		.note = STR("they said so"),
		.stage = STR("connect"),
		.code = 421,
		.host = STR("mx.example[192.0.2.1]:25"),
		.text = STR("gone"),
		.failures = 6,
		.probes = 7,
		.peak_recipients = 8,
		.peak_bytes = 9,
		.peak_at = { 10 },
		.delivered = 11,
		.failed = 12,
		.saved = 13,
	};
	put(w, &want, 1);
	struct store_outages op = { .id = 9 };
	assert_int_equal(world_run(w, &op.op, STORE_OUTAGES), OK);
	assert_int_equal(op.outage_count, 1);
	const struct outage_record *got = &op.outages[0];
	assert_true(got->id == 9 && got->kind == want.kind && got->scope == want.scope);
	assert_true(str_equal(got->name, want.name) && str_equal(got->actor, want.actor));
	assert_true(str_equal(got->note, want.note) && str_equal(got->stage, want.stage));
	assert_true(str_equal(got->host, want.host) && str_equal(got->text, want.text));
	assert_true(got->began.ms == 1 && got->declared.ms == 2 && got->until.ms == 3);
	assert_true(got->recovered.ms == 4 && got->ended.ms == 5 && got->code == 421);
	assert_true(got->failures == 6 && got->probes == 7 && got->peak_recipients == 8);
	assert_true(got->peak_bytes == 9 && got->peak_at.ms == 10 && got->delivered == 11);
	assert_true(got->failed == 12 && got->saved == 13);
	store_op_fini(&op.op);
}

static void test_outage_is_replaced_by_id_and_keeps_its_samples(void **state)
{
	struct world *w = *state;
	struct outage_record outage = an_outage(1, OUTAGE_OF_SITE, "mx.a", 100, 0);
	const struct outage_sample samples[] = { { { 20 }, 2, 200, 1 }, { { 10 }, 1, 100, 0 },
		{ { 20 }, 3, 300, 2 }, { WALL_NONE, 9, 9, 9 } };
	for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
		outage.failures = (uint32_t)i;
		struct store_record op = {
			.outages = &outage, .outage_count = 1, .samples = &samples[i]
		};
		assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	}
	struct store_outages op = { .id = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_OUTAGES), OK);
	assert_int_equal(op.outage_count, 1);
	assert_int_equal(op.outages[0].failures, 3);
	assert_int_equal(op.sample_count, 2);
	assert_true(op.samples[0].at.ms == 10 && op.samples[0].bytes == 100);
	assert_true(op.samples[1].at.ms == 20 && op.samples[1].recipients == 3 &&
		    op.samples[1].delivered == 2);
	store_op_fini(&op.op);
}

static void test_outages_are_listed_by_condition(void **state)
{
	struct world *w = *state;
	const struct {
		struct store_outages op;
		const char *want; /* ids */
		bool is_more;
	} rows[] = {
		{ { .limit = 10 }, "7654321", false },
		{ { .limit = 3 }, "765", true },
		{ { .limit = 3, .before = 5 }, "432", true },
		{ { .limit = 3, .before = 2 }, "1", false },
		{ { .limit = 10, .only_open = true }, "53", false },
		{ { .limit = 10, .only_wide = true }, "76", false },
		{ { .limit = 10, .only_wide = true, .only_open = true }, "", false },
		{ { .limit = 10, .name = STR("mx.a") }, "421", false },
		{ { .limit = 10, .ended_after = { 400 } }, "7653", false },
		{ { .id = 4 }, "4", false },
		{ { .id = 44 }, "", false },
	};
	put_some(w);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct store_outages op = rows[i].op;
		char got[16] = { 0 };
		assert_int_equal(world_run(w, &op.op, STORE_OUTAGES), OK);
		assert_true(op.outage_count < sizeof(got));
		for (uint32_t j = 0; j < op.outage_count; j++)
			got[j] = (char)('0' + op.outages[j].id);
		assert_string_equal(got, rows[i].want);
		assert_int_equal(op.is_more, rows[i].is_more);
		assert_int_equal(op.last_id, 7);
		store_op_fini(&op.op);
	}
}

static void assert_spans(const struct span *spans, uint32_t count, const char *want)
{
	struct buf got;
	buf_init(&got, 1024);
	for (uint32_t i = 0; i < count; i++)
		buf_printf(&got, "%d-%d ", (int)spans[i].began.ms, (int)spans[i].ended.ms);
	assert_string_equal(buf_cstr(&got), want);
	buf_fini(&got);
}

static void test_lookup_gives_spans(void **state)
{
	struct world *w = *state;
	const struct hop_record hop = { .name = STR("a.example"), .site = STR("mx.a") };
	struct store_record record = { .hops = &hop, .hop_count = 1 };
	struct store_lookup found;
	put_some(w);
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), OK);
	assert_spans(found.hop_spans, found.hop_span_count, "500-0 ");
	assert_spans(found.site_spans, found.site_span_count, "100-200 300-400 ");
	store_op_fini(&found.op);
	assert_int_equal(contract_lookup(w, &found, "", "mx.a"), OK);
	assert_spans(found.hop_spans, found.hop_span_count, "");
	assert_spans(found.site_spans, found.site_span_count, "100-200 300-400 ");
	store_op_fini(&found.op);
}

static void test_lookup_gives_many_spans_in_order(void **state)
{
	struct world *w = *state;
	const struct site_record site = { .name = STR("mx.a") };
	struct store_record record = { .sites = &site, .site_count = 1 };
	struct store_lookup found;
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	for (uint64_t i = 1; i <= 100; i++) {
		/* declared out of order */
		int64_t began = (int64_t)(i * 37 % 101) * 10;
		struct outage_record one = an_outage(i, OUTAGE_OF_SITE, "mx.a", began, began + 5);
		put(w, &one, 1);
	}
	assert_int_equal(contract_lookup(w, &found, "", "mx.a"), OK);
	assert_int_equal(found.site_span_count, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(found.site_spans[i].began.ms, 10 * (i + 1));
	store_op_fini(&found.op);
}

static void test_outage_comes_with_a_delivery(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	struct outage_record outage = an_outage(1, OUTAGE_OF_HOP, "a.example", 100, 0);
	const struct store_result result = { .number = 1, .kind = RESULT_DELIVERED, .attempt = 1 };
	struct store_record op = { .id = id,
		.at = w->fe.wall,
		.results = &result,
		.result_count = 1,
		.outages = &outage,
		.outage_count = 1 };
	assert_int_equal(world_run(w, &op.op, STORE_RECORD), OK);
	assert_int_equal(op.applied_count, 1);
	assert_true(op.is_finished);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage WHERE ended = 0"), 1);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_DELIVERED);
	contract_assert_counts(w);
}

static void test_learned_rate_is_kept(void **state)
{
	struct world *w = *state;
	const struct site_record site = { .name = STR("mx.a"), .window = 7, .rate = 1234567890123 };
	struct store_record record = { .sites = &site, .site_count = 1 };
	struct store_lookup found;
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	assert_int_equal(contract_lookup(w, &found, "", "mx.a"), OK);
	assert_true(found.site_out.rate == site.rate && found.site_out.window == 7);
	store_op_fini(&found.op);
}

static void test_sweep_ends_old_outages(void **state)
{
	struct world *w = *state;
	const struct outage_sample sample = { { 150 }, 1, 1, 1 };
	struct outage_record old = an_outage(2, OUTAGE_OF_SITE, "mx.a", 100, 200);
	struct store_record record = { .outages = &old, .outage_count = 1, .samples = &sample };
	put_some(w);
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	struct store_sweep op = { .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage"), 7);
	op.outages_before = (struct wall){ 400 };
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage WHERE id IN (2, 4)"), 0);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage"), 5);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage_sample"), 0);
	/* open ones stay, and the greatest id, which the next follows */
	op.outages_before = (struct wall){ 100000 };
	assert_int_equal(world_run(w, &op.op, STORE_SWEEP), OK);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage WHERE id IN (3, 5, 7)"), 3);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM outage"), 3);
}

/* ---- the clock ---- */

static void act(struct world *w, uint64_t id, enum modify_action action, int64_t after_ms)
{
	const struct store_filter filter = { .ids = &id, .id_count = 1 };
	struct store_modify op = { .filter = &filter,
		.action = action,
		.now = wall_add(w->fe.wall, after_ms),
		.actor = STR("uid 0 (root)"),
		.reason = STR("because"),
		.limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_MODIFY), OK);
	assert_int_equal(op.recipient_count, 1);
	store_op_fini(&op.op);
}

static int64_t held_ms(struct world *w, uint64_t id)
{
	struct store_show show = { .id = id };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
	int64_t ms = show.message.recipients[0].held_ms;
	store_op_fini(&show.op);
	return ms;
}

static void test_holds_add_up(void **state)
{
	struct world *w = *state;
	uint64_t id = world_must_accept(w, "a.example");
	act(w, id, MODIFY_HOLD, 1000);
	assert_int_equal(held_ms(w, id), 0);
	act(w, id, MODIFY_RELEASE, 4000);
	assert_int_equal(held_ms(w, id), 3000);
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 1, 5000, NULL), OK);
	act(w, id, MODIFY_RETRY, 9000);
	assert_int_equal(held_ms(w, id), 3000);
	act(w, id, MODIFY_HOLD, 10000);
	/* a delivery that was under way does not begin the hold anew */
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 2, 5000, NULL), OK);
	act(w, id, MODIFY_RELEASE, 14000);
	assert_int_equal(held_ms(w, id), 7000);
	/* the clock was set back meanwhile */
	act(w, id, MODIFY_HOLD, 20000);
	act(w, id, MODIFY_RELEASE, 15000);
	assert_int_equal(held_ms(w, id), 7000);
	contract_assert_counts(w);
}

static void test_far_retries_are_due(void **state)
{
	struct world *w = *state;
	struct sample s;
	static const char *const hops[] = { "a.example" };
	uint64_t id = world_must_accept(w, "a.example");
	sample_make(w, &s, hops, 1);
	s.env.hold_until = wall_add(w->fe.wall, 400 * DAY_MS);
	assert_int_equal(world_accept(w, &s), OK);
	int64_t due = w->fe.wall.ms + 365 * DAY_MS;
	assert_int_equal(world_record(w, id, 1, RESULT_RETRY, 1, due, NULL), OK);
	struct store_promote op = { .now = w->fe.wall, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_int_equal(op.promoted_count, 0);
	store_op_fini(&op.op);
	op.far = wall_add(w->fe.wall, DAY_MS);
	assert_int_equal(world_run(w, &op.op, STORE_PROMOTE), OK);
	assert_int_equal(op.promoted_count, 1);
	store_op_fini(&op.op);
	assert_int_equal(contract_state_of(w, id, 1), RECIPIENT_READY);
	assert_int_equal(contract_state_of(w, s.env.id, 1), RECIPIENT_WAITING);
	contract_assert_counts(w);
}

static void test_far_probes_are_due(void **state)
{
	struct world *w = *state;
	struct site_record sites[] = {
		{ .name = STR("near"), .health = { .state = HEALTH_DOWN, .next_probe = { 50 } } },
		{ .name = STR("soon"), .health = { .state = HEALTH_DOWN, .next_probe = { 150 } } },
		{ .name = STR("far"), .health = { .state = HEALTH_DOWN, .next_probe = { 9999 } } },
		{ .name = STR("asleep"),
			.health = { .state = HEALTH_DOWN, .next_probe = WALL_NEVER } },
	};
	struct hop_record hop = { .name = STR("a.example"),
		.health = { .state = HEALTH_DOWN, .next_probe = { 9998 } } };
	struct store_record record = {
		.sites = sites, .site_count = ARRAY_COUNT(sites), .hops = &hop, .hop_count = 1
	};
	assert_int_equal(world_run(w, &record.op, STORE_RECORD), OK);
	struct store_probes op = { .now = { 100 }, .limit = 10 };
	assert_int_equal(world_run(w, &op.op, STORE_PROBES), OK);
	assert_int_equal(op.site_count + op.hop_count, 1);
	store_op_fini(&op.op);
	op.far = (struct wall){ 1000 };
	assert_int_equal(world_run(w, &op.op, STORE_PROBES), OK);
	assert_true(op.site_count == 2 && op.hop_count == 1);
	assert_true(str_equal(op.sites[0].name, STR("near")));
	assert_true(str_equal(op.sites[1].name, STR("far")));
	store_op_fini(&op.op);
	op.limit = 2;
	assert_int_equal(world_run(w, &op.op, STORE_PROBES), OK);
	assert_int_equal(op.site_count + op.hop_count, 2);
	assert_int_equal(op.next.ms, 100);
	store_op_fini(&op.op);
}

int contract_run_outage(const char *name)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TEST(test_outage_is_read_as_it_was_written),
		CONTRACT_TEST(test_outage_is_replaced_by_id_and_keeps_its_samples),
		CONTRACT_TEST(test_outages_are_listed_by_condition),
		CONTRACT_TEST(test_lookup_gives_spans),
		CONTRACT_TEST(test_lookup_gives_many_spans_in_order),
		CONTRACT_TEST(test_outage_comes_with_a_delivery),
		CONTRACT_TEST(test_learned_rate_is_kept),
		CONTRACT_TEST(test_sweep_ends_old_outages),
		CONTRACT_TEST(test_holds_add_up),
		CONTRACT_TEST(test_far_retries_are_due),
		CONTRACT_TEST(test_far_probes_are_due),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
