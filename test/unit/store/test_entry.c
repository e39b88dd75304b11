/* Heads of journal entries: every field comes back; whatever else lies there is refused without a look past its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/entry.h"
#include "store/octets.h"

enum { RECIPIENTS = 3, RESULTS = 3, ATTEMPTS = 3, PLACES = 2, CHUNKS = 5, HEAD_MAX = 1 << 16 };

/* ---- samples, of which nothing is zero ---- */

struct accept {
	struct envelope env;
	struct recipient recipients[RECIPIENTS];
	uint32_t spooled_chunks;
};

struct record {
	struct store_record op;
	struct store_result results[RESULTS];
	struct attempt_record attempts[ATTEMPTS];
	struct site_record sites[PLACES];
	struct hop_record hops[PLACES];
};

static void make_accept(struct accept *a)
{
	a->spooled_chunks = CHUNKS;
	a->env = (struct envelope){ .id = 0x0102030405060708,
		.accepted = { 1700000000123 },
		.reverse_path = STR("sender@example.org"),
		.body = BODY_8BITMIME,
		.is_smtputf8 = true,
		.ret = RET_FULL,
		.envid = STR("envelope id"),
		.priority = -5,
		.deliver_by = { 1700000099999 },
		.deliver_by_notify = true,
		.deliver_by_is_ours = true,
		.is_requiretls = true,
		.late_notice = LATE_NOTICE_OWN,
		.hold_until = { 1700000088888 },
		.hold_wish = HOLD_WISH_UNTIL,
		.is_tls_optional = true,
		.origin = ORIGIN_DSN,
		.user = STR("alice"),
		.client = STR("client[192.0.2.1]"),
		.helo = STR("client.example"),
		.message_id = STR("<1@example.org>"),
		.size_bytes = 123456789,
		.recipients = a->recipients,
		.recipient_count = RECIPIENTS };
	for (uint32_t i = 0; i < RECIPIENTS; i++) {
		a->recipients[i] = (struct recipient){ .number = i + 1,
			.address = STR("user@b.example"),
			.domain = STR("b.example"),
			.hop = STR("route:b"),
			.orcpt = STR("rfc822;user@b.example"),
			.notify = NOTIFY_SUCCESS | NOTIFY_DELAY };
	}
}

static struct health_record a_health(void)
{
	return (struct health_record){ .state = HEALTH_DOWN,
		.since = { 11 },
		.first_failure = { 12 },
		.last_failure = { 13 },
		.last_success = { 14 },
		.next_probe = { 15 },
		.probe_step_ms = 16,
		.failures = 17,
		.probes = 18,
		.is_declared = true,
		.stage = "connect",
		.code = 421,
		.host = "mx.example[192.0.2.2]:25",
		.text = "come again" };
}

static void make_record(struct record *r)
{
	for (uint32_t i = 0; i < RESULTS; i++) {
		r->results[i] = (struct store_result){ .number = i + 1,
			.kind = RESULT_RETRY,
			.attempt = 4,
			.due = { 1700000055555 },
			.is_in_doubt = true,
			.code = 451,
			.status = STATUS(4, 7, 1),
			.text = STR("not now"),
			.host = STR("mx.example[192.0.2.2]:25") };
		r->attempts[i] = (struct attempt_record){ .recipient = i + 1,
			.attempt = 4,
			.at = { 1700000044444 },
			.duration_ms = 77,
			.host = STR("mx.example[192.0.2.2]:25"),
			.stage = STR("rcpt"),
			.disposition = STR("retry"),
			.code = 451,
			.status = STATUS(4, 7, 1),
			.text = STR("not now"),
			.tls = STR("TLSv1.3 AES") };
	}
	for (uint32_t i = 0; i < PLACES; i++) {
		r->sites[i] = (struct site_record){
			.name = STR("site.example"), .health = a_health(), .window = 9, .rate = 10
		};
		r->hops[i] = (struct hop_record){ .name = STR("hop.example"),
			.site = STR("site.example"),
			.health = a_health(),
			.route = STR("10 mx.example 192.0.2.2"),
			.route_at = { 21 },
			.denied_ms = 22,
			.denied_last = { 23 } };
	}
	r->op = (struct store_record){ .id = 0x0102030405060708,
		.at = { 1700000033333 },
		.results = r->results,
		.result_count = RESULTS,
		.attempts = r->attempts,
		.attempt_count = ATTEMPTS,
		.sites = r->sites,
		.site_count = PLACES,
		.hops = r->hops,
		.hop_count = PLACES };
}

/* ---- equal, field by field ---- */

static bool health_equal(const struct health_record *a, const struct health_record *b)
{
	return a->state == b->state && a->since.ms == b->since.ms &&
	       a->first_failure.ms == b->first_failure.ms &&
	       a->last_failure.ms == b->last_failure.ms &&
	       a->last_success.ms == b->last_success.ms && a->next_probe.ms == b->next_probe.ms &&
	       a->probe_step_ms == b->probe_step_ms && a->failures == b->failures &&
	       a->probes == b->probes && a->is_declared == b->is_declared &&
	       strcmp(a->stage, b->stage) == 0 && a->code == b->code &&
	       strcmp(a->host, b->host) == 0 && strcmp(a->text, b->text) == 0;
}

static bool status_equal(struct status a, struct status b)
{
	return a.klass == b.klass && a.subject == b.subject && a.detail == b.detail;
}

static bool recipient_equal(const struct recipient *a, const struct recipient *b)
{
	return a->number == b->number && str_equal(a->address, b->address) &&
	       str_equal(a->domain, b->domain) && str_equal(a->hop, b->hop) &&
	       str_equal(a->orcpt, b->orcpt) && a->notify == b->notify;
}

static bool envelope_equal(const struct envelope *a, const struct envelope *b)
{
	if (a->recipient_count != b->recipient_count)
		return false;
	for (uint32_t i = 0; i < a->recipient_count; i++) {
		if (!recipient_equal(&a->recipients[i], &b->recipients[i]))
			return false;
	}
	return a->id == b->id && a->accepted.ms == b->accepted.ms &&
	       str_equal(a->reverse_path, b->reverse_path) && a->body == b->body &&
	       a->is_smtputf8 == b->is_smtputf8 && a->ret == b->ret &&
	       str_equal(a->envid, b->envid) &&
	       a->priority == b->priority &&
	       a->deliver_by.ms == b->deliver_by.ms &&
	       a->deliver_by_notify == b->deliver_by_notify &&
	       a->deliver_by_trace == b->deliver_by_trace &&
	       a->deliver_by_is_ours == b->deliver_by_is_ours &&
	       a->is_requiretls == b->is_requiretls && a->late_notice == b->late_notice &&
	       a->hold_until.ms == b->hold_until.ms &&
	       a->hold_wish == b->hold_wish &&
	       a->is_tls_optional == b->is_tls_optional && a->origin == b->origin &&
	       str_equal(a->user, b->user) && str_equal(a->client, b->client) &&
	       str_equal(a->helo, b->helo) && str_equal(a->message_id, b->message_id) &&
	       a->size_bytes == b->size_bytes;
}

static bool result_equal(const struct store_result *a, const struct store_result *b)
{
	return a->number == b->number && a->kind == b->kind && a->attempt == b->attempt &&
	       a->due.ms == b->due.ms && a->is_in_doubt == b->is_in_doubt && a->code == b->code &&
	       status_equal(a->status, b->status) && str_equal(a->text, b->text) &&
	       str_equal(a->host, b->host);
}

static bool attempt_equal(const struct attempt_record *a, const struct attempt_record *b)
{
	return a->recipient == b->recipient && a->attempt == b->attempt && a->at.ms == b->at.ms &&
	       a->duration_ms == b->duration_ms && str_equal(a->host, b->host) &&
	       str_equal(a->stage, b->stage) && str_equal(a->disposition, b->disposition) &&
	       a->code == b->code && status_equal(a->status, b->status) &&
	       str_equal(a->text, b->text) && str_equal(a->tls, b->tls);
}

static bool record_equal(const struct store_record *a, const struct store_record *b)
{
	bool is_equal = a->id == b->id && a->at.ms == b->at.ms &&
			a->result_count == b->result_count &&
			a->attempt_count == b->attempt_count && a->site_count == b->site_count &&
			a->hop_count == b->hop_count;
	for (uint32_t i = 0; is_equal && i < a->result_count; i++)
		is_equal = result_equal(&a->results[i], &b->results[i]);
	for (uint32_t i = 0; is_equal && i < a->attempt_count; i++)
		is_equal = attempt_equal(&a->attempts[i], &b->attempts[i]);
	for (uint32_t i = 0; is_equal && i < a->site_count; i++)
		is_equal = str_equal(a->sites[i].name, b->sites[i].name) &&
			   a->sites[i].window == b->sites[i].window &&
			   a->sites[i].rate == b->sites[i].rate &&
			   health_equal(&a->sites[i].health, &b->sites[i].health);
	for (uint32_t i = 0; is_equal && i < a->hop_count; i++)
		is_equal = str_equal(a->hops[i].name, b->hops[i].name) &&
			   str_equal(a->hops[i].site, b->hops[i].site) &&
			   str_equal(a->hops[i].route, b->hops[i].route) &&
			   a->hops[i].route_at.ms == b->hops[i].route_at.ms &&
			   a->hops[i].denied_ms == b->hops[i].denied_ms &&
			   a->hops[i].denied_last.ms == b->hops[i].denied_last.ms &&
			   health_equal(&a->hops[i].health, &b->hops[i].health);
	return is_equal;
}

/* ---- there and back ---- */

static enum err take_accept(struct str head, struct arena *arena, struct accept *out)
{
	return entry_take_accept(head, arena, &out->env, &out->spooled_chunks);
}

static void expect_accept_back(const struct accept *a, int which)
{
	struct accept back;
	struct arena arena = { 0 };
	struct buf head;
	buf_init(&head, HEAD_MAX);
	entry_put_accept(&head, &a->env, a->spooled_chunks);
	if (take_accept(buf_str(&head), &arena, &back) != OK)
		fail_msg("accept %d is refused", which);
	if (!envelope_equal(&back.env, &a->env) || back.spooled_chunks != a->spooled_chunks)
		fail_msg("accept %d comes back otherwise", which);
	arena_fini(&arena);
	buf_fini(&head);
}

static void expect_record_back(const struct record *r, int which)
{
	struct store_record back;
	struct arena arena = { 0 };
	struct buf head;
	buf_init(&head, HEAD_MAX);
	entry_put_record(&head, &r->op);
	if (entry_take_record(buf_str(&head), &arena, &back) != OK)
		fail_msg("record %d is refused", which);
	if (!record_equal(&back, &r->op))
		fail_msg("record %d comes back otherwise", which);
	arena_fini(&arena);
	buf_fini(&head);
}

/* One field after the other becomes another than in the sample: each must come back so. */
#define ACCEPT_FIELDS(X)                                                                           \
	X(env.id, 1)                                                                               \
	X(env.id, INT64_MAX)                                                                       \
	X(env.accepted.ms, 0)                                                                      \
	X(env.reverse_path, STR(""))                                                               \
	X(env.body, BODY_7BIT)                                                                     \
	X(env.is_smtputf8, false)                                                                  \
	X(env.ret, RET_UNSET)                                                                      \
	X(env.ret, RET_HDRS)                                                                       \
	X(env.envid, STR(""))                                                                      \
	X(env.priority, 9)                                                                         \
	X(env.priority, -9)                                                                        \
	X(env.priority, 0)                                                                         \
	X(env.deliver_by.ms, 0)                                                                    \
	X(env.deliver_by_notify, false)                                                            \
	X(env.deliver_by_trace, true)                                                              \
	X(env.deliver_by_is_ours, false)                                                           \
	X(env.is_requiretls, false)                                                                \
	X(env.late_notice, LATE_NOTICE_NONE)                                                       \
	X(env.late_notice, LATE_NOTICE_AT_TIME)                                                    \
	X(env.hold_until.ms, INT64_MAX)                                                            \
	X(env.is_tls_optional, false)                                                              \
	X(env.hold_wish, HOLD_WISH_NONE)                                                           \
	X(env.hold_wish, HOLD_WISH_FOR)                                                            \
	X(env.origin, ORIGIN_SMTP)                                                                 \
	X(env.user, STR("b"))                                                                      \
	X(env.client, STR("c"))                                                                    \
	X(env.helo, STR("d\0e"))                                                                   \
	X(env.message_id, STR("f"))                                                                \
	X(env.size_bytes, 0)                                                                       \
	X(env.size_bytes, INT64_MAX)                                                               \
	X(env.recipient_count, 1)                                                                  \
	X(env.recipient_count, 2)                                                                  \
	X(spooled_chunks, 0)                                                                       \
	X(spooled_chunks, UINT32_MAX)                                                              \
	X(recipients[1].number, UINT32_MAX)                                                        \
	X(recipients[1].address, STR("another"))                                                   \
	X(recipients[1].domain, STR("c.example"))                                                  \
	X(recipients[1].hop, STR(""))                                                              \
	X(recipients[1].orcpt, STR(""))                                                            \
	X(recipients[2].notify, 0)                                                                 \
	X(recipients[2].notify, 15)

static void test_accept_comes_back_in_every_field(void **state)
{
	struct accept base, a;
	int which = 0;
	(void)state;
	make_accept(&base);
	expect_accept_back(&base, which);
#define X(field, value)                                                                            \
	make_accept(&a);                                                                           \
	a.field = value;                                                                           \
	assert_false(                                                                              \
		envelope_equal(&a.env, &base.env) && a.spooled_chunks == base.spooled_chunks);     \
	expect_accept_back(&a, ++which);
	ACCEPT_FIELDS(X)
#undef X
}

#define HEALTH_FIELDS(X, of)                                                                       \
	X(of.health.state, HEALTH_UP)                                                              \
	X(of.health.state, HEALTH_RECOVERING)                                                      \
	X(of.health.since.ms, 21)                                                                  \
	X(of.health.first_failure.ms, 22)                                                          \
	X(of.health.last_failure.ms, 23)                                                           \
	X(of.health.last_success.ms, 24)                                                           \
	X(of.health.next_probe.ms, INT64_MAX)                                                      \
	X(of.health.probe_step_ms, INT64_MAX)                                                      \
	X(of.health.failures, UINT32_MAX)                                                          \
	X(of.health.probes, UINT32_MAX)                                                            \
	X(of.health.is_declared, false)                                                            \
	X(of.health.stage[0], '\0')                                                                \
	X(of.health.code, 0)                                                                       \
	X(of.health.host[3], '\0')                                                                 \
	X(of.health.text[0], 'C')

#define RECORD_FIELDS(X)                                                                           \
	X(op.id, 0)                                                                                \
	X(op.at.ms, 0)                                                                             \
	X(op.result_count, 0)                                                                      \
	X(op.result_count, 2)                                                                      \
	X(op.attempt_count, 0)                                                                     \
	X(op.attempt_count, 2)                                                                     \
	X(op.site_count, 0)                                                                        \
	X(op.hop_count, 1)                                                                         \
	X(results[1].number, UINT32_MAX)                                                           \
	X(results[1].kind, RESULT_DELIVERED)                                                       \
	X(results[1].kind, RESULT_READY)                                                           \
	X(results[1].kind, RESULT_FAILED)                                                          \
	X(results[1].kind, RESULT_HELD)                                                            \
	X(results[1].kind, RESULT_QUARANTINED)                                                     \
	X(results[1].attempt, UINT32_MAX)                                                          \
	X(results[1].due.ms, 0)                                                                    \
	X(results[1].is_in_doubt, false)                                                           \
	X(results[1].code, 0)                                                                      \
	X(results[1].status, STATUS(5, 999, 998))                                                  \
	X(results[1].text, STR(""))                                                                \
	X(results[2].host, STR(""))                                                                \
	X(attempts[1].recipient, UINT32_MAX)                                                       \
	X(attempts[1].attempt, 5)                                                                  \
	X(attempts[1].at.ms, 3)                                                                    \
	X(attempts[1].duration_ms, INT64_MAX)                                                      \
	X(attempts[1].host, STR(""))                                                               \
	X(attempts[1].stage, STR("dot"))                                                           \
	X(attempts[1].disposition, STR(""))                                                        \
	X(attempts[1].code, 250)                                                                   \
	X(attempts[1].status, STATUS(2, 0, 0))                                                     \
	X(attempts[1].text, STR("many words"))                                                     \
	X(attempts[2].tls, STR(""))                                                                \
	X(sites[1].name, STR("other"))                                                             \
	X(sites[1].window, UINT32_MAX)                                                             \
	X(sites[1].rate, 0)                                                                        \
	X(sites[0].rate, INT64_MAX)                                                                \
	HEALTH_FIELDS(X, sites[1])                                                                 \
	X(hops[1].name, STR("other"))                                                              \
	X(hops[1].site, STR(""))                                                                   \
	X(hops[1].route, STR(""))                                                                  \
	X(hops[1].route_at.ms, 5)                                                                  \
	X(hops[0].denied_ms, INT64_MAX)                                                            \
	X(hops[1].denied_last.ms, 6)                                                               \
	HEALTH_FIELDS(X, hops[0])

static void test_record_comes_back_in_every_field(void **state)
{
	struct record base, r;
	int which = 0;
	(void)state;
	make_record(&base);
	expect_record_back(&base, which);
#define X(field, value)                                                                            \
	make_record(&r);                                                                           \
	r.field = value;                                                                           \
	assert_false(record_equal(&r.op, &base.op));                                               \
	expect_record_back(&r, ++which);
	RECORD_FIELDS(X)
#undef X
	make_record(&r);
	memset(r.sites[0].health.stage, 's', sizeof(r.sites[0].health.stage) - 1);
	memset(r.sites[0].health.host, 'h', sizeof(r.sites[0].health.host) - 1);
	memset(r.sites[0].health.text, 't', sizeof(r.sites[0].health.text) - 1);
	expect_record_back(&r, ++which);
}

static void put_old_health(struct buf *b)
{
	put_u32(b, HEALTH_DOWN);
	for (int64_t ms = 11; ms <= 16; ms++)
		put_i64(b, ms);
	put_u32(b, 17);
	put_u32(b, 18);
	put_u32(b, true);
	put_text(b, STR("connect"));
	put_u32(b, 421);
	put_text(b, STR("mx.example[192.0.2.2]:25"));
	put_text(b, STR("come again"));
}

/* A crash, then a new version: what the one before had written is read. */
static void test_record_of_the_version_before_is_read(void **state)
{
	const struct health_record health = a_health();
	struct arena arena = { 0 };
	struct store_record op;
	struct buf head;
	(void)state;
	buf_init(&head, HEAD_MAX);
	put_u64(&head, 0);  /* id */
	put_i64(&head, 77); /* at */
	put_u32(&head, 0);  /* results */
	put_u32(&head, 0);  /* attempts */
	put_u32(&head, 1);
	put_text(&head, STR("site.example"));
	put_old_health(&head);
	put_u32(&head, 9); /* window */
	put_u32(&head, 1);
	put_text(&head, STR("hop.example"));
	put_text(&head, STR("site.example"));
	put_old_health(&head);
	assert_int_equal(entry_take_record(buf_str(&head), &arena, &op), OK);
	assert_true(op.at.ms == 77 && op.site_count == 1 && op.hop_count == 1);
	assert_true(op.sites[0].window == 9 && op.sites[0].rate == 0);
	assert_true(health_equal(&op.sites[0].health, &health));
	assert_true(str_equal(op.hops[0].name, STR("hop.example")));
	assert_true(health_equal(&op.hops[0].health, &health) && op.hops[0].route.len == 0);
	arena_fini(&arena);
	buf_fini(&head);
}

static void test_spool_comes_back(void **state)
{
	static const struct {
		uint64_t id;
		uint32_t chunk;
	} rows[] = { { 1, 0 }, { INT64_MAX, UINT32_MAX }, { 0x0102030405060708, 5 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint64_t id;
		uint32_t chunk;
		struct buf head;
		buf_init(&head, 64);
		entry_put_spool(&head, rows[i].id, rows[i].chunk);
		assert_int_equal(entry_take_spool(buf_str(&head), &id, &chunk), OK);
		assert_true(id == rows[i].id && chunk == rows[i].chunk);
		buf_fini(&head);
	}
}

/* ---- what is not trusted ---- */

enum sort { ACCEPT, RECORD, SPOOL, SORTS };

/* From memory of its own size, so that a look past the end is found. */
static enum err take(enum sort sort, struct str head)
{
	char *copy = mem_alloc(head.len + !head.len);
	struct arena arena = { 0 };
	struct accept accept;
	struct store_record record;
	uint64_t id;
	uint32_t chunk;
	enum err err = ERR_CORRUPT;
	if (head.len > 0)
		memcpy(copy, head.data, head.len);
	if (sort == ACCEPT)
		err = take_accept(str_of(copy, head.len), &arena, &accept);
	else if (sort == RECORD)
		err = entry_take_record(str_of(copy, head.len), &arena, &record);
	else
		err = entry_take_spool(str_of(copy, head.len), &id, &chunk);
	assert_true(err == OK || err == ERR_CORRUPT);
	arena_fini(&arena);
	free(copy);
	return err;
}

static void put_sample(enum sort sort, struct buf *out)
{
	struct accept accept;
	struct record record;
	make_accept(&accept);
	make_record(&record);
	buf_init(out, HEAD_MAX);
	if (sort == ACCEPT)
		entry_put_accept(out, &accept.env, accept.spooled_chunks);
	else if (sort == RECORD)
		entry_put_record(out, &record.op);
	else
		entry_put_spool(out, 77, 3);
}

/* Where a RECORD may end: entries of the version before do not have the rest. */
static size_t end_without_learned(void)
{
	struct record r;
	struct buf head;
	make_record(&r);
	for (uint32_t i = 0; i < PLACES; i++) {
		r.sites[i].rate = 0;
		r.hops[i].route = STR("");
		r.hops[i].route_at = r.hops[i].denied_last = WALL_NONE;
		r.hops[i].denied_ms = 0;
	}
	buf_init(&head, HEAD_MAX);
	entry_put_record(&head, &r.op);
	size_t len = head.len;
	buf_fini(&head);
	return len;
}

static void test_every_truncation_is_refused(void **state)
{
	const size_t end = end_without_learned();
	(void)state;
	for (enum sort sort = 0; sort < SORTS; sort++) {
		struct buf head;
		put_sample(sort, &head);
		assert_int_equal(take(sort, buf_str(&head)), OK);
		for (size_t len = 0; len < head.len; len++)
			assert_int_equal(take(sort, str_of(head.data, len)),
				sort == RECORD && len == end ? OK : ERR_CORRUPT);
		buf_append_char(&head, '\0');
		assert_int_equal(take(sort, buf_str(&head)), ERR_CORRUPT);
		buf_fini(&head);
	}
}

static void set_number(char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (char)(unsigned char)(value >> 8 * i);
}

/* Where the number begins in which two heads differ first; its low octet comes first. */
static size_t first_difference(const struct buf *a, const struct buf *b)
{
	size_t at = 0;
	while (at < a->len && at < b->len && a->data[at] == b->data[at])
		at++;
	return at;
}

static void expect_count_refused(enum sort sort, struct buf *head, size_t at, uint32_t count)
{
	const uint32_t wrong[] = { 0, count - 1, count + 1, 2 * count + 100, 0x7fffffff,
		UINT32_MAX };
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		set_number(head->data + at, wrong[i]);
		if (take(sort, buf_str(head)) != ERR_CORRUPT)
			fail_msg("a count of %u at %u instead of %u is taken", wrong[i],
				(unsigned)at, count);
	}
	set_number(head->data + at, count);
	assert_int_equal(take(sort, buf_str(head)), OK);
}

static void test_every_wrong_count_is_refused(void **state)
{
	struct accept accept;
	struct record record;
	struct buf head, other;
	(void)state;
	put_sample(ACCEPT, &head);
	make_accept(&accept);
	accept.env.recipient_count--;
	buf_init(&other, HEAD_MAX);
	entry_put_accept(&other, &accept.env, accept.spooled_chunks);
	expect_count_refused(ACCEPT, &head, first_difference(&head, &other), RECIPIENTS);
	buf_fini(&head);
	put_sample(RECORD, &head);
	for (int which = 0; which < 4; which++) {
		make_record(&record);
		uint32_t *counts[] = { &record.op.result_count, &record.op.attempt_count,
			&record.op.site_count, &record.op.hop_count };
		uint32_t count = (*counts[which])--;
		buf_clear(&other);
		entry_put_record(&other, &record.op);
		expect_count_refused(RECORD, &head, first_difference(&head, &other), count);
	}
	buf_fini(&head);
	buf_fini(&other);
}

static void test_numbers_out_of_range_are_refused(void **state)
{
	struct accept a;
	struct record r;
	struct buf head;
	int which = 0;
	(void)state;
	buf_init(&head, HEAD_MAX);
#define X(field, value)                                                                            \
	make_accept(&a);                                                                           \
	a.field = value;                                                                           \
	buf_clear(&head);                                                                          \
	entry_put_accept(&head, &a.env, a.spooled_chunks);                                         \
	which++;                                                                                   \
	if (take(ACCEPT, buf_str(&head)) != ERR_CORRUPT)                                           \
		fail_msg("number %d is taken", which);
	X(env.id, 0)
	X(env.id, (uint64_t)INT64_MAX + 1)
	X(env.body, (enum body_kind)2)
	X(env.ret, (enum dsn_ret)3)
	X(env.priority, 10)
	X(env.priority, -10)
	X(env.hold_wish, HOLD_WISH_COUNT)
	X(env.origin, ORIGIN_COUNT)
	X(env.size_bytes, (uint64_t)INT64_MAX + 1)
	X(env.recipient_count, 0)
#undef X
#define X(field, value)                                                                            \
	make_record(&r);                                                                           \
	r.field = value;                                                                           \
	buf_clear(&head);                                                                          \
	entry_put_record(&head, &r.op);                                                            \
	which++;                                                                                   \
	if (take(RECORD, buf_str(&head)) != ERR_CORRUPT)                                           \
		fail_msg("number %d is taken", which);
	X(op.id, (uint64_t)INT64_MAX + 1)
	X(results[0].kind, (enum result_kind)(RESULT_QUARANTINED + 1))
	X(sites[0].health.state, HEALTH_STATE_COUNT)
	X(hops[1].health.state, HEALTH_STATE_COUNT)
#undef X
	buf_fini(&head);
}

/* One octet after the other, and several at random: an answer, no more is asked. */
static void test_changed_octets_give_an_answer(void **state)
{
	struct rng rng;
	unsigned refused = 0, taken = 0;
	(void)state;
	rng_init(&rng, 5321);
	for (enum sort sort = 0; sort < SORTS; sort++) {
		struct buf head;
		put_sample(sort, &head);
		for (size_t at = 0; at < head.len; at++) {
			static const char flips[] = { 1, (char)0x80, (char)0xff };
			for (size_t i = 0; i < ARRAY_COUNT(flips); i++) {
				head.data[at] = (char)(head.data[at] ^ flips[i]);
				enum err err = take(sort, buf_str(&head));
				refused += err != OK;
				taken += err == OK;
				head.data[at] = (char)(head.data[at] ^ flips[i]);
			}
		}
		for (int round = 0; round < 3000; round++) {
			struct buf broken;
			buf_init(&broken, HEAD_MAX);
			buf_append_str(&broken, buf_str(&head));
			for (uint64_t n = 1 + rng_below(&rng, 6); n > 0; n--)
				broken.data[rng_below(&rng, head.len)] = (char)rng_next(&rng);
			(void)take(sort, str_of(broken.data, 1 + rng_below(&rng, head.len)));
			buf_fini(&broken);
		}
		buf_fini(&head);
	}
	assert_true(refused > 100 && taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept_comes_back_in_every_field),
		cmocka_unit_test(test_record_comes_back_in_every_field),
		cmocka_unit_test(test_record_of_the_version_before_is_read),
		cmocka_unit_test(test_spool_comes_back),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_wrong_count_is_refused),
		cmocka_unit_test(test_numbers_out_of_range_are_refused),
		cmocka_unit_test(test_changed_octets_give_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
