/*
 * Whatever the journal holds and whenever it retires: the tables are in the end as if each operation had gone to them at
 * once. Each story is told without a journal, with one, with one so small that it goes round, and with a crash after
 * each of its steps; then everything that can be asked must be answered alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/journal.h"
#include "store/world.h"

enum { IDS_MAX = 1000, RESULTS_MAX = 65, JOURNAL = 1 << 20, CRASHES = 20 };

struct teller {
	struct world w;
	unsigned step, crash_at; /* 0: never */
	uint64_t ids[IDS_MAX];   /* of messages, in order */
	unsigned id_count;
	struct recipient many[RESULTS_MAX];
	struct buf said; /* what operations answered */
};
static struct teller t;

typedef void story_fn(void);

/* ---- telling ---- */

static void step(void)
{
	if (++t.step != t.crash_at)
		return;
	store_sync_abandon(t.w.store);
	t.w.store = NULL;
	world_must_open(&t.w);
}

static unsigned open_count;

static void on_done(struct store_op *op)
{
	(void)op;
	open_count--;
}

/* Until what was submitted is done. */
static void turn(void)
{
	while (open_count > 0) {
		if (t.w.is_fatal || !fake_env_turn(&t.w.fe))
			fail_msg("the store died");
	}
}

static void submit(struct store_op *op, enum store_kind kind)
{
	open_count++;
	op->on_done = on_done;
	store_submit(t.w.store, op, kind);
}

static enum err ask(struct store_op *op, enum store_kind kind)
{
	submit(op, kind);
	turn();
	return op->err;
}

static void run(struct store_op *op, enum store_kind kind)
{
	buf_printf(&t.said, "%d: %s\n", (int)kind, err_name(ask(op, kind)));
}

static void note_id(uint64_t id)
{
	CHECK(t.id_count < IDS_MAX);
	t.ids[t.id_count++] = id;
}

static void accept_sample(struct sample *s)
{
	struct store_accept accept = { .env = &s->env, .content = s->content };
	run(&accept.op, STORE_ACCEPT);
	store_op_fini(&accept.op);
	note_id(s->env.id);
	step();
}

static uint64_t accept_to(const char *const *hops, uint32_t count)
{
	struct sample s;
	sample_make(&t.w, &s, hops, count);
	accept_sample(&s);
	return s.env.id;
}

static uint64_t accept_one(const char *hop)
{
	return accept_to(&hop, 1);
}

/* To n recipients at three next hops. */
static uint64_t accept_many(uint32_t n)
{
	static const char *const hops[] = { "a.example", "b.example", "c.example" };
	struct sample s;
	sample_make(&t.w, &s, hops, 1);
	for (uint32_t i = 0; i < n; i++) {
		t.many[i] = s.recipients[0];
		t.many[i].number = i + 1;
		t.many[i].hop = t.many[i].domain = str_from_c(hops[i % 3]);
	}
	s.env.recipients = t.many;
	s.env.recipient_count = n;
	accept_sample(&s);
	return s.env.id;
}

/* A RECORD of the same result for recipients from..to, with its attempts and what it says of next hop and site. */
struct sketch {
	enum result_kind kind;
	uint32_t from, to, attempt;
	const char *site; /* NULL: nothing is said of places */
	enum health_state health;
	bool is_in_doubt, has_notice, has_no_attempts;
};

static struct sketch of(enum result_kind kind, uint32_t from, uint32_t to, uint32_t attempt)
{
	return (struct sketch){ .kind = kind, .from = from, .to = to, .attempt = attempt };
}

static struct sketch with_health(struct sketch s, enum health_state health)
{
	s.site = "site.example";
	s.health = health;
	return s;
}

struct record {
	struct store_record op;
	struct store_result results[RESULTS_MAX];
	struct attempt_record attempts[RESULTS_MAX];
	struct site_record site;
	struct hop_record hop;
	struct sample dsn;
	struct store_notice notice;
};

static void describe_result(
	struct store_result *r, struct attempt_record *a, const struct sketch *s, uint32_t number)
{
	bool is_good = s->kind == RESULT_DELIVERED;
	*r = (struct store_result){ .number = number,
		.kind = s->kind,
		.attempt = s->attempt,
		.due = { is_good ? 0 : t.w.fe.wall.ms + 60000 },
		.is_in_doubt = s->is_in_doubt,
		.code = is_good ? 250 : 451,
		.status = is_good ? STATUS(2, 0, 0) : STATUS(4, 7, 1),
		.text = number % 2 ? STR("the reply") : STR(""),
		.host = STR("mx.example[192.0.2.2]:25") };
	*a = (struct attempt_record){ .recipient = number,
		.attempt = s->attempt,
		.at = t.w.fe.wall,
		.duration_ms = 20 + number,
		.host = r->host,
		.stage = STR("dot"),
		.disposition = is_good ? STR("delivered") : STR("retry"),
		.code = r->code,
		.status = r->status,
		.text = r->text,
		.tls = STR("TLSv1.3") };
}

static void make_record(struct record *r, uint64_t id, const struct sketch *s)
{
	static const char *const postmaster = "dsn.example";
	uint32_t count = s->from ? s->to - s->from + 1 : 0;
	*r = (struct record){ 0 };
	t.w.fe.wall = wall_add(t.w.fe.wall, 1500);
	for (uint32_t i = 0; i < count; i++)
		describe_result(&r->results[i], &r->attempts[i], s, s->from + i);
	r->op = (struct store_record){ .id = id,
		.at = t.w.fe.wall,
		.results = r->results,
		.result_count = count,
		.attempts = r->attempts,
		.attempt_count = s->has_no_attempts ? 0 : count };
	if (s->site) {
		struct health_record health = { .state = s->health,
			.since = t.w.fe.wall,
			.last_success = { 7 },
			.failures = s->health == HEALTH_UP ? 0 : 3,
			.stage = "connect",
			.text = "as it was" };
		r->site = (struct site_record){
			.name = str_from_c(s->site), .health = health, .window = count
		};
		r->hop = (struct hop_record){
			.name = STR("a.example"), .site = str_from_c(s->site), .health = health
		};
		r->op.sites = &r->site;
		r->op.hops = &r->hop;
		r->op.site_count = r->op.hop_count = 1;
	}
	if (s->has_notice) {
		sample_make(&t.w, &r->dsn, &postmaster, 1);
		r->dsn.env.origin = ORIGIN_DSN;
		r->notice = (struct store_notice){ r->dsn.env, r->dsn.content };
		r->op.notices = &r->notice;
		r->op.notice_count = 1;
		note_id(r->dsn.env.id);
	}
}

static void note_record(struct record *r)
{
	buf_printf(
		&t.said, "applied %u finished %d\n", r->op.applied_count, (int)r->op.is_finished);
	store_op_fini(&r->op.op);
}

static void run_record(struct record *r)
{
	run(&r->op.op, STORE_RECORD);
	note_record(r);
	step();
}

static void record(uint64_t id, struct sketch sketch)
{
	static struct record r;
	make_record(&r, id, &sketch);
	run_record(&r);
}

static void deliver(uint64_t id, uint32_t from, uint32_t to)
{
	record(id, with_health(of(RESULT_DELIVERED, from, to, 1), HEALTH_UP));
}

/* Something that nobody may answer before everything is in the tables. */
static void read_now(void)
{
	struct store_stats stats = { 0 };
	CHECK(ask(&stats.op, STORE_STATS) == OK);
	store_op_fini(&stats.op);
}

static void modify(enum modify_action action)
{
	struct store_filter all = { .is_all = true };
	struct store_modify op = { .filter = &all,
		.action = action,
		.now = t.w.fe.wall,
		.actor = STR("test"),
		.reason = STR("a reason"),
		.limit = 100 };
	run(&op.op, STORE_MODIFY);
	buf_printf(&t.said, "%u recipients\n", (unsigned)op.recipient_count);
	store_op_fini(&op.op);
	step();
}

/* ---- several operations at one turn of the loop ---- */

struct together {
	struct store_op *ops[4];
	enum store_kind kinds[4];
	unsigned count;
};

static void run_together(const struct together *all)
{
	for (unsigned i = 0; i < all->count; i++)
		submit(all->ops[i], all->kinds[i]);
	turn();
	for (unsigned i = 0; i < all->count; i++) {
		buf_printf(&t.said, "%d: %s\n", (int)all->kinds[i], err_name(all->ops[i]->err));
		store_op_fini(all->ops[i]);
	}
	step();
}

/* ---- what can be asked ---- */

static void tell_str(struct buf *b, struct str s)
{
	buf_append_json(b, s);
	buf_append_char(b, ' ');
}

static void tell_status(struct buf *b, unsigned code, struct status s)
{
	buf_printf(b, "%u %u.%u.%u ", code, (unsigned)s.klass, (unsigned)s.subject,
		(unsigned)s.detail);
}

static void tell_recipient(struct buf *b, const struct queued_recipient *r)
{
	buf_printf(b, "  %u ", r->rcpt.number);
	tell_str(b, r->rcpt.address);
	tell_str(b, r->rcpt.domain);
	tell_str(b, r->rcpt.hop);
	tell_str(b, r->rcpt.orcpt);
	buf_printf(b, "notify %u state %d attempts %u due %lld last %lld finished %lld doubt %d ",
		r->rcpt.notify, (int)r->state, r->attempts, (long long)r->due.ms,
		(long long)r->last_attempt.ms, (long long)r->finished.ms, (int)r->is_in_doubt);
	tell_status(b, r->code, r->status);
	tell_str(b, r->text);
	tell_str(b, r->host);
	buf_printf(b, "held %lld notice %llx\n", (long long)r->held_ms,
		(unsigned long long)r->notice);
}

static void tell_attempt(struct buf *b, const struct attempt_record *a)
{
	buf_printf(b, "  %u attempt %u at %lld for %lld ", a->recipient, a->attempt,
		(long long)a->at.ms, (long long)a->duration_ms);
	tell_status(b, a->code, a->status);
	tell_str(b, a->host);
	tell_str(b, a->stage);
	tell_str(b, a->disposition);
	tell_str(b, a->text);
	tell_str(b, a->tls);
	buf_append_char(b, '\n');
}

static void tell_chunk(struct buf *b, uint64_t id, uint32_t chunk)
{
	struct store_fetch fetch = { .id = id, .chunk = chunk };
	enum err err = ask(&fetch.op, STORE_FETCH);
	buf_printf(b, "  content %s %zu %llx\n", err_name(err), fetch.content.len,
		(unsigned long long)str_hash(fetch.content, 1));
	store_op_fini(&fetch.op);
}

static void tell_message(struct buf *b, uint64_t id)
{
	struct store_show show = { .id = id };
	enum err err = ask(&show.op, STORE_SHOW);
	const struct queued_message *m = &show.message;
	buf_printf(b, "%llx %s\n", (unsigned long long)id, err_name(err));
	if (err == OK) {
		buf_printf(b,
			"  at %lld body %d utf8 %d ret %d priority %d by %lld %d hold %lld origin "
			"%d size %llu chunks %u finished %lld ",
			(long long)m->env.accepted.ms, (int)m->env.body, (int)m->env.is_smtputf8,
			(int)m->env.ret, m->env.priority, (long long)m->env.deliver_by.ms,
			(int)m->env.deliver_by_notify, (long long)m->env.hold_until.ms,
			(int)m->env.origin, (unsigned long long)m->env.size_bytes, m->chunk_count,
			(long long)m->finished.ms);
		struct str texts[] = { m->env.reverse_path, m->env.envid, m->env.user,
			m->env.client, m->env.helo, m->env.message_id, m->hold_reason };
		for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
			tell_str(b, texts[i]);
		buf_append_char(b, '\n');
		for (uint32_t i = 0; i < m->recipient_count; i++)
			tell_recipient(b, &m->recipients[i]);
		for (uint32_t i = 0; i < show.attempt_count; i++)
			tell_attempt(b, &show.attempts[i]);
	}
	store_op_fini(&show.op);
	for (uint32_t chunk = 0; chunk < 5; chunk++)
		tell_chunk(b, id, chunk);
}

static void tell_health(struct buf *b, const struct health_record *h)
{
	buf_printf(b, "health %d since %lld first %lld last %lld good %lld failures %u '%s' '%s'\n",
		(int)h->state, (long long)h->since.ms, (long long)h->first_failure.ms,
		(long long)h->last_failure.ms, (long long)h->last_success.ms, h->failures, h->stage,
		h->text);
}

static void tell_hops(struct buf *b)
{
	struct store_hops hops = { .limit = 100, .is_detailed = true };
	CHECK(ask(&hops.op, STORE_HOPS) == OK && !hops.is_more);
	for (uint32_t i = 0; i < hops.hop_count; i++) {
		const struct hop_record *h = &hops.hops[i];
		tell_str(b, h->name);
		tell_str(b, h->site);
		for (size_t k = 0; k < ARRAY_COUNT(h->count); k++)
			buf_printf(b, "%llu ", (unsigned long long)h->count[k]);
		buf_printf(b, "bytes %llu oldest %lld ", (unsigned long long)h->bytes,
			(long long)h->oldest.ms);
		tell_health(b, &h->health);
		tell_str(b, hops.sites[i].name);
		buf_printf(b, "window %u ", hops.sites[i].window);
		tell_health(b, &hops.sites[i].health);
	}
	store_op_fini(&hops.op);
}

static void tell_stats(struct buf *b)
{
	struct store_stats s = { 0 };
	CHECK(ask(&s.op, STORE_STATS) == OK);
	for (size_t i = 0; i < RECIPIENT_STATE_COUNT; i++)
		buf_printf(b, "%llu ", (unsigned long long)s.recipients[i]);
	buf_printf(b, "messages %llu bytes %llu oldest %lld sites", (unsigned long long)s.messages,
		(unsigned long long)s.bytes, (long long)s.oldest.ms);
	for (size_t i = 0; i < HEALTH_STATE_COUNT; i++)
		buf_printf(b, " %llu", (unsigned long long)s.sites[i]);
	buf_printf(b, " last %llx delivered %llu failed %llu\n", (unsigned long long)s.last_id,
		(unsigned long long)s.delivered_total, (unsigned long long)s.failed_total);
	store_op_fini(&s.op);
}

/* ---- told again and again ---- */

struct telling {
	uint64_t journal_bytes;
	unsigned crash_at;
};

/* Everything that can be asked in the end, and what was answered meanwhile. The number of steps. */
static unsigned tell(story_fn *story, struct telling how, struct buf *out)
{
	t = (struct teller){ .crash_at = how.crash_at };
	open_count = 0;
	world_init(&t.w, store_sync_open);
	buf_init(&t.said, 1 << 20);
	buf_init(out, 4 << 20);
	t.w.options.journal_bytes = how.journal_bytes;
	world_must_open(&t.w);
	story();
	for (unsigned i = 0; i < t.id_count; i++)
		tell_message(out, t.ids[i]);
	tell_hops(out);
	tell_stats(out);
	buf_append_str(out, buf_str(&t.said));
	const char *wrong = world_recount(&t.w);
	if (wrong)
		fail_msg("crash at %u: %s", how.crash_at, wrong);
	assert_false(out->is_full || t.w.is_fatal);
	buf_fini(&t.said);
	world_fini(&t.w);
	return t.step;
}

static void expect_same(story_fn *story, struct telling how, struct buf *want)
{
	struct buf is;
	(void)tell(story, how, &is);
	struct str a = buf_str(&is), b = buf_str(want);
	while (a.len > 0 || b.len > 0) {
		struct str line = str_cut(&a, '\n'), other = str_cut(&b, '\n');
		if (!str_equal(line, other))
			fail_msg("journal %u, crash at %u: %.*s\ninstead of %.*s",
				(unsigned)how.journal_bytes, how.crash_at, STR_FMT(line),
				STR_FMT(other));
	}
	buf_fini(&is);
}

/* crash_max: after each of so many steps. */
static void compare(story_fn *story, unsigned crash_max)
{
	struct buf want;
	unsigned steps = tell(story, (struct telling){ 0 }, &want);
	expect_same(story, (struct telling){ .journal_bytes = JOURNAL }, &want);
	expect_same(story, (struct telling){ .journal_bytes = JOURNAL_BYTES_MIN }, &want);
	for (unsigned at = 1; at <= steps && at <= crash_max; at++)
		expect_same(story, (struct telling){ JOURNAL, at }, &want);
	buf_fini(&want);
}

#define STORY(name) STORY_OF(name, CRASHES)
#define STORY_OF(name, crashes)                                                                    \
	static void tell_##name(void);                                                             \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		compare(tell_##name, crashes);                                                     \
	}                                                                                          \
	static void tell_##name(void)

/* ---- the stories ---- */

STORY(delivered_messages_are_in_the_history)
{
	for (int i = 0; i < 4; i++)
		deliver(accept_one(i % 2 ? "a.example" : "b.example"), 1, 1);
	(void)accept_one("a.example");
}

STORY(records_in_parts_finish_a_message)
{
	static const char *const hops[] = { "a.example", "b.example", "a.example" };
	uint64_t first = accept_to(hops, 3), second = accept_to(hops, 3);
	deliver(first, 1, 2);
	deliver(second, 3, 3);
	deliver(first, 3, 3);
	deliver(second, 1, 1);
	uint64_t third = accept_to(hops, 3);
	deliver(third, 2, 2);
}

STORY(messages_of_many_recipients)
{
	uint64_t most = accept_many(64), more = accept_many(65), parts = accept_many(64);
	deliver(most, 1, 64);
	record(more, of(RESULT_DELIVERED, 1, 65, 1));
	deliver(parts, 2, 63);
	deliver(parts, 64, 64);
	deliver(parts, 1, 1);
	record(accept_many(65), of(RESULT_DELIVERED, 1, 64, 1));
}

STORY(retry_before_delivery)
{
	static const char *const hops[] = { "a.example", "b.example" };
	uint64_t first = accept_to(hops, 2), second = accept_to(hops, 2),
		 third = accept_to(hops, 2);
	record(first, of(RESULT_RETRY, 1, 2, 1));
	deliver(second, 1, 1);
	record(second, of(RESULT_RETRY, 2, 2, 1));
	record(third, (struct sketch){ RESULT_READY, 1, 1, 1, .site = "site.example" });
	record(first, of(RESULT_DELIVERED, 1, 2, 2));
	record(second, (struct sketch){ RESULT_DELIVERED, 2, 2, 2, .is_in_doubt = true });
	deliver(third, 1, 2);
}

STORY(failure_leaves_its_notice)
{
	static const char *const hops[] = { "a.example", "b.example" };
	uint64_t id = accept_to(hops, 2), other = accept_one("a.example");
	deliver(other, 1, 1);
	deliver(id, 1, 1);
	record(id, (struct sketch){ RESULT_FAILED, 2, 2, 1, .has_notice = true });
	id = accept_one("b.example");
	record(id, (struct sketch){ RESULT_DELIVERED, 1, 1, 1, .has_notice = true });
}

STORY(other_results)
{
	static const char *const hops[] = { "a.example", "b.example", "c.example" };
	uint64_t id = accept_to(hops, 3);
	record(id, of(RESULT_HELD, 1, 1, 1));
	record(id, of(RESULT_QUARANTINED, 2, 2, 1));
	record(id, (struct sketch){ RESULT_DELIVERED, 3, 3, 3, .is_in_doubt = true,
			   .has_no_attempts = true });
	record(accept_one("a.example"), of(RESULT_DELIVERED, 1, 1, 0));
	record(accept_one("a.example"), of(RESULT_DELIVERED, 2, 9, 1));
	record(12345, of(RESULT_DELIVERED, 1, 1, 1));
	record(0, (struct sketch){ .site = "other.example", .health = HEALTH_DOWN });
}

STORY(record_repeated)
{
	static const char *const hops[] = { "a.example", "b.example" };
	static struct record r;
	struct sketch sketch = with_health(of(RESULT_DELIVERED, 1, 1, 1), HEALTH_UP);
	uint64_t id = accept_to(hops, 2);
	make_record(&r, id, &sketch);
	run_record(&r);
	run_record(&r);
	deliver(id, 2, 2);
	run_record(&r);
	sketch.attempt = 2;
	make_record(&r, id, &sketch);
	run_record(&r);
}

STORY(duplicate_id_is_refused)
{
	static const char *const hop = "a.example";
	static char large[(1 << 20) + 1];
	struct sample s, other;
	memset(large, 'x', sizeof(large));
	sample_make(&t.w, &s, &hop, 1);
	other = s;
	accept_sample(&s);
	accept_sample(&s);
	/* Those that would go to the tables by themselves. */
	s.env.hold_until = wall_add(s.env.accepted, HOUR_MS);
	accept_sample(&s);
	other.content = str_of(large, sizeof(large));
	other.env.recipients = other.recipients;
	accept_sample(&other);
	deliver(s.env.id, 1, 1);
	accept_sample(&s);
	read_now();
	accept_sample(&s);
}

/* An id that went to the tables is not new to the journal. */
STORY(duplicate_of_a_message_in_the_tables_is_refused)
{
	static const char *const hop = "a.example";
	struct sample s;
	sample_make(&t.w, &s, &hop, 1);
	struct wall hold = wall_add(s.env.accepted, HOUR_MS);
	s.env.hold_until = hold;
	accept_sample(&s);
	s.env.hold_until = WALL_NONE;
	accept_sample(&s);
	deliver(s.env.id, 1, 1);
}

STORY(held_until_later)
{
	static const char *const hop = "a.example";
	struct sample s;
	sample_make(&t.w, &s, &hop, 1);
	s.env.hold_until = wall_add(s.env.accepted, HOUR_MS);
	accept_sample(&s);
	sample_make(&t.w, &s, &hop, 1);
	s.env.hold_until = s.env.accepted;
	s.env.deliver_by = wall_add(s.env.accepted, HOUR_MS);
	s.env.priority = -3;
	accept_sample(&s);
	deliver(s.env.id, 1, 1);
}

STORY(large_content)
{
	static char large[(1 << 20) + 1];
	static const char *const hop = "a.example";
	struct sample s;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i % 251);
	for (size_t len = sizeof(large); len >= sizeof(large) - 2; len--) {
		sample_make(&t.w, &s, &hop, 1);
		s.content = str_of(large, len);
		s.env.size_bytes = len;
		accept_sample(&s);
	}
	deliver(t.ids[0], 1, 1);
	deliver(t.ids[1], 1, 1);
}

/* Large messages come in chunks; content is read back before the tables know it. */
STORY(content_in_chunks)
{
	static char large[200000];
	static const char *const hops[] = { "a.example", "b.example" };
	struct sample s;
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)(i % 239);
	for (uint32_t n = 0; n < 4; n++) {
		sample_make(&t.w, &s, hops, 2);
		for (uint32_t chunk = 0; chunk < n; chunk++) {
			struct store_spool spool = { .id = s.env.id,
				.chunk = chunk,
				.content = str_of(large + chunk, sizeof(large) - n) };
			run(&spool.op, STORE_SPOOL);
			store_op_fini(&spool.op);
		}
		struct store_accept accept = {
			.env = &s.env, .content = s.content, .spooled_chunks = n
		};
		s.env.size_bytes += n * (sizeof(large) - n);
		run(&accept.op, STORE_ACCEPT);
		store_op_fini(&accept.op);
		note_id(s.env.id);
		for (uint32_t chunk = 0; chunk < 4; chunk++)
			tell_chunk(&t.said, s.env.id, chunk);
		step();
		deliver(s.env.id, 1, 1);
		if (n < 3)
			deliver(s.env.id, 2, 2);
	}
}

STORY(operator_speaks_to_all)
{
	static const char *const hops[] = { "a.example", "b.example" };
	uint64_t id = accept_to(hops, 2);
	deliver(accept_one("a.example"), 1, 1);
	deliver(id, 1, 1);
	modify(MODIFY_HOLD);
	deliver(id, 2, 2);
	(void)accept_to(hops, 2);
	modify(MODIFY_DELETE);
	deliver(t.ids[t.id_count - 1], 1, 2);
}

STORY(reads_between)
{
	static const char *const hops[] = { "a.example", "b.example" };
	for (int i = 0; i < 4; i++) {
		uint64_t id = accept_to(hops, 2);
		if (i == 0)
			read_now();
		deliver(id, 2, 2);
		if (i == 1)
			read_now();
		deliver(id, 1, 1);
		if (i == 2)
			read_now();
	}
}

/* What the tables hear past the journal is newer than what lies in it, and older than what comes after. */
STORY_OF(newest_health_stays, 0)
{
	uint64_t old = accept_one("a.example");
	record(old, with_health(of(RESULT_RETRY, 1, 1, 1), HEALTH_SUSPECT));
	deliver(accept_one("a.example"), 1, 1);
	record(old, with_health(of(RESULT_RETRY, 1, 1, 2), HEALTH_DOWN));
	deliver(accept_one("b.example"), 1, 1);
	record(old, with_health(of(RESULT_RETRY, 1, 1, 3), HEALTH_DOWN));
}

STORY(health_after_the_tables_heard_stays)
{
	uint64_t old = accept_one("a.example");
	record(old, with_health(of(RESULT_RETRY, 1, 1, 1), HEALTH_SUSPECT));
	deliver(accept_one("a.example"), 1, 1);
	record(old, with_health(of(RESULT_RETRY, 1, 1, 2), HEALTH_DOWN));
	deliver(accept_one("a.example"), 1, 1);
}

/* In one batch too. */
STORY_OF(health_in_one_batch, 0)
{
	static struct record good, bad;
	uint64_t old = accept_one("a.example");
	record(old, of(RESULT_RETRY, 1, 1, 1));
	deliver(accept_one("c.example"), 1, 1);
	uint64_t young = accept_one("a.example");
	struct sketch first = with_health(of(RESULT_DELIVERED, 1, 1, 1), HEALTH_UP);
	struct sketch then = with_health(of(RESULT_RETRY, 1, 1, 2), HEALTH_DOWN);
	make_record(&good, young, &first);
	make_record(&bad, old, &then);
	run_together(&(struct together){
		{ &good.op.op, &bad.op.op }, { STORE_RECORD, STORE_RECORD }, 2 });
}

/* What goes to the tables was submitted before what goes to the journal. */
STORY_OF(older_health_in_one_batch, 0)
{
	static struct record good, bad, only;
	uint64_t old = accept_one("a.example");
	record(old, of(RESULT_RETRY, 1, 1, 1));
	deliver(accept_one("c.example"), 1, 1);
	uint64_t young = accept_one("a.example");
	struct sketch first = with_health(of(RESULT_RETRY, 1, 1, 2), HEALTH_DOWN);
	struct sketch then = with_health(of(RESULT_DELIVERED, 1, 1, 1), HEALTH_UP);
	struct sketch last = with_health((struct sketch){ 0 }, HEALTH_SUSPECT);
	make_record(&bad, old, &first);
	make_record(&good, young, &then);
	run_together(&(struct together){
		{ &bad.op.op, &good.op.op }, { STORE_RECORD, STORE_RECORD }, 2 });
	read_now();
	first.attempt++;
	make_record(&bad, old, &first);
	make_record(&only, 0, &last);
	run_together(&(struct together){
		{ &bad.op.op, &only.op.op }, { STORE_RECORD, STORE_RECORD }, 2 });
}

/* Fails, its content kept; the notice waits, or the failure is owed. */
static void fail_for(uint64_t id, uint32_t from, uint32_t to, bool is_owed)
{
	static struct record r;
	struct sketch sketch = of(RESULT_FAILED, from, to, 1);
	sketch.has_notice = !is_owed;
	make_record(&r, id, &sketch);
	r.op.keep_until = wall_add(t.w.fe.wall, DAY_MS);
	r.op.is_notice_owed = is_owed;
	r.notice.env.hold_until = wall_add(r.notice.env.accepted, HOUR_MS);
	for (uint32_t i = 0; !is_owed && i < r.op.result_count; i++)
		r.results[i].notice = r.notice.env.id;
	run_record(&r);
}

static void revive(void)
{
	struct store_filter all = { .is_all = true };
	struct store_revive op = {
		.filter = &all, .now = t.w.fe.wall, .actor = STR("test"), .limit = 100
	};
	run(&op.op, STORE_REVIVE);
	buf_printf(&t.said, "%u revived, %u told\n", (unsigned)op.recipient_count,
		(unsigned)op.told_count);
	store_op_fini(&op.op);
	step();
}

STORY(what_failed_comes_back)
{
	static const char *const hops[] = { "a.example", "b.example" };
	uint64_t some = accept_to(hops, 2), all = accept_to(hops, 2);
	deliver(some, 1, 1);
	fail_for(some, 2, 2, false);
	deliver(accept_one("a.example"), 1, 1);
	fail_for(all, 1, 2, false);
	(void)accept_one("b.example");
	revive();
	deliver(accept_one("b.example"), 1, 1);
	record(some, of(RESULT_DELIVERED, 2, 2, 2));
	record(all, of(RESULT_DELIVERED, 1, 2, 2));
}

STORY(digest_pays_what_is_owed)
{
	static const char *const home = "dsn.example";
	struct sample s;
	uint64_t first = accept_one("a.example"), second = accept_one("b.example");
	fail_for(first, 1, 1, true);
	deliver(accept_one("a.example"), 1, 1);
	fail_for(second, 1, 1, true);
	(void)accept_one("a.example");
	sample_make(&t.w, &s, &home, 1);
	const struct store_notice digest = { s.env, s.content };
	struct store_tell op = { .notice = &digest,
		.owed_to = STR("sender@example.org"),
		.owed_up_to = second,
		.owed_count = 2,
		.owed_before = t.w.fe.wall };
	run(&op.op, STORE_TELL);
	note_id(s.env.id);
	step();
	record(s.env.id, of(RESULT_DELIVERED, 1, 1, 1));
	revive();
}

/* An outage goes to the tables, with health, past what is young. */
STORY(outage_between)
{
	static struct record r;
	struct sketch down = with_health((struct sketch){ 0 }, HEALTH_DOWN);
	struct outage_record outage = { .id = 1, .name = STR("site.example"), .began = { 5 } };
	deliver(accept_one("a.example"), 1, 1);
	make_record(&r, 0, &down);
	r.op.outages = &outage;
	r.op.outage_count = 1;
	run_record(&r);
	uint64_t id = accept_one("a.example");
	struct sketch up = with_health(of(RESULT_DELIVERED, 1, 1, 1), HEALTH_RECOVERING);
	make_record(&r, id, &up);
	outage.recovered = t.w.fe.wall;
	r.op.outages = &outage;
	r.op.outage_count = 1;
	run_record(&r);
	deliver(accept_one("a.example"), 1, 1);
}

/* Writes are applied in the order submitted, also those of one turn. */
STORY(accept_and_record_at_once)
{
	static const char *const hop = "a.example";
	static struct record r;
	struct sample s;
	for (int i = 0; i < 2; i++) {
		sample_make(&t.w, &s, &hop, 1);
		note_id(s.env.id);
		struct store_accept accept = { .env = &s.env, .content = s.content };
		struct sketch sketch = of(i ? RESULT_RETRY : RESULT_DELIVERED, 1, 1, 1);
		make_record(&r, s.env.id, &sketch);
		run_together(&(struct together){
			{ &accept.op, &r.op.op }, { STORE_ACCEPT, STORE_RECORD }, 2 });
		note_record(&r);
	}
}

STORY(one_id_twice_at_once)
{
	static const char *const hop = "a.example";
	struct sample s;
	sample_make(&t.w, &s, &hop, 1);
	note_id(s.env.id);
	struct store_accept one = { .env = &s.env, .content = s.content }, two = one;
	run_together(&(struct together){ { &one.op, &two.op }, { STORE_ACCEPT, STORE_ACCEPT }, 2 });
	(void)accept_one(hop);
}

/* More than the journal keeps: the oldest retire while others come. */
STORY_OF(steady_flow, 0)
{
	enum { FLOW = 700, LAG = 20 };
	static const char *const hops[] = { "a.example", "b.example" };
	uint64_t ids[FLOW];
	for (uint32_t i = 0; i < FLOW; i++) {
		ids[i] = accept_to(hops, 1 + i % 2);
		if (i >= LAG && i % 50 == 0)
			record(ids[i - LAG], of(RESULT_RETRY, 1, 1, 1));
		else if (i >= LAG)
			deliver(ids[i - LAG], 1, 1 + (i - LAG) % 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivered_messages_are_in_the_history),
		cmocka_unit_test(test_records_in_parts_finish_a_message),
		cmocka_unit_test(test_messages_of_many_recipients),
		cmocka_unit_test(test_retry_before_delivery),
		cmocka_unit_test(test_failure_leaves_its_notice),
		cmocka_unit_test(test_other_results),
		cmocka_unit_test(test_record_repeated),
		cmocka_unit_test(test_duplicate_id_is_refused),
		cmocka_unit_test(test_duplicate_of_a_message_in_the_tables_is_refused),
		cmocka_unit_test(test_held_until_later),
		cmocka_unit_test(test_large_content),
		cmocka_unit_test(test_content_in_chunks),
		cmocka_unit_test(test_operator_speaks_to_all),
		cmocka_unit_test(test_reads_between),
		cmocka_unit_test(test_newest_health_stays),
		cmocka_unit_test(test_health_after_the_tables_heard_stays),
		cmocka_unit_test(test_health_in_one_batch),
		cmocka_unit_test(test_older_health_in_one_batch),
		cmocka_unit_test(test_what_failed_comes_back),
		cmocka_unit_test(test_digest_pays_what_is_owed),
		cmocka_unit_test(test_outage_between),
		cmocka_unit_test(test_accept_and_record_at_once),
		cmocka_unit_test(test_one_id_twice_at_once),
		cmocka_unit_test(test_steady_flow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
