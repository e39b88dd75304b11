/* entry - see entry.h. Every field is written in the order of its declaration. */
#include "entry.h"

#include <string.h>

#include "base/check.h"
#include "octets.h"
#include "row.h"

/* What one of these takes at least: bounds the arrays by the octets that are there. */
enum { RECIPIENT_BYTES_MIN = 24, RESULT_BYTES_MIN = 40, SITE_BYTES_MIN = 60 };

static void put_status(struct buf *b, struct status status);
static struct status take_status(struct octets *in);
static void put_learned(struct buf *b, const struct store_record *op);
static bool has_learned(const struct store_record *op);
static void put_health(struct buf *b, const struct health_record *h);
static void take_health(struct octets *in, struct health_record *out);
static struct wall take_wall(struct octets *in);
static bool take_bool(struct octets *in);
static uint32_t take_count(struct octets *in, size_t bytes_min);
static enum err end_of(const struct octets *in);

void entry_put_accept(struct buf *b, const struct envelope *env, uint32_t spooled_chunks)
{
	put_u64(b, env->id);
	put_i64(b, env->accepted.ms);
	put_text(b, env->reverse_path);
	put_u32(b, (uint32_t)env->body);
	put_u32(b, env->is_smtputf8);
	put_u32(b, (uint32_t)env->ret);
	put_text(b, env->envid);
	put_i64(b, env->priority);
	put_i64(b, env->deliver_by.ms);
	/* In the bits above it, for the journals of old that have no more here. */
	put_u32(b, (uint32_t)env->deliver_by_notify | (uint32_t)env->late_notice << 1 |
			   (uint32_t)env->deliver_by_trace << 3 |
			   (uint32_t)env->is_requiretls << 4 |
			   (uint32_t)env->deliver_by_is_ours << 5 |
			   (uint32_t)env->is_tls_optional << 6 | (uint32_t)env->hold_wish << 7);
	put_i64(b, env->hold_until.ms);
	put_u32(b, (uint32_t)env->origin);
	put_text(b, env->user);
	put_text(b, env->client);
	put_text(b, env->helo);
	put_text(b, env->message_id);
	put_u64(b, env->size_bytes);
	put_u32(b, spooled_chunks);
	put_u32(b, env->recipient_count);
	for (uint32_t i = 0; i < env->recipient_count; i++) {
		const struct recipient *r = &env->recipients[i];
		put_u32(b, r->number);
		put_text(b, r->address);
		put_text(b, r->domain);
		put_text(b, r->hop);
		put_text(b, r->orcpt);
		put_u32(b, r->notify);
	}
}

enum err entry_take_accept(
	struct str head, struct arena *arena, struct envelope *out, uint32_t *spooled_chunks)
{
	struct octets in = { .rest = head };
	*out = (struct envelope){ .id = take_u64(&in) };
	out->accepted = take_wall(&in);
	out->reverse_path = take_text(&in);
	out->body = (enum body_kind)take_below(&in, BODY_8BITMIME + 1);
	out->is_smtputf8 = take_bool(&in);
	out->ret = (enum dsn_ret)take_below(&in, RET_FULL + 1);
	out->envid = take_text(&in);
	out->priority = (int)take_range(&in, -PRIORITY_MAX, PRIORITY_MAX);
	out->deliver_by = take_wall(&in);
	uint32_t bits = take_below(&in, (uint32_t)HOLD_WISH_COUNT << 7);
	out->deliver_by_notify = bits & 1;
	out->late_notice = (enum late_notice)(bits >> 1 & 3);
	out->deliver_by_trace = bits >> 3 & 1;
	out->is_requiretls = bits >> 4 & 1;
	out->deliver_by_is_ours = bits >> 5 & 1;
	out->is_tls_optional = bits >> 6 & 1;
	out->hold_wish = (enum hold_wish)(bits >> 7);
	out->hold_until = take_wall(&in);
	out->origin = (enum message_origin)take_below(&in, ORIGIN_COUNT);
	out->user = take_text(&in);
	out->client = take_text(&in);
	out->helo = take_text(&in);
	out->message_id = take_text(&in);
	out->size_bytes = (uint64_t)take_range(&in, 0, INT64_MAX);
	*spooled_chunks = take_u32(&in);
	out->recipient_count = take_count(&in, RECIPIENT_BYTES_MIN);
	out->recipients = arena_array(arena, out->recipient_count, sizeof(*out->recipients));
	for (uint32_t i = 0; i < out->recipient_count; i++) {
		struct recipient *r = &out->recipients[i];
		r->number = take_u32(&in);
		r->address = take_text(&in);
		r->domain = take_text(&in);
		r->hop = take_text(&in);
		r->orcpt = take_text(&in);
		r->notify = take_below(&in, NOTIFY_BITS_MAX + 1);
	}
	if (out->id == 0 || out->id > INT64_MAX || out->recipient_count == 0)
		in.is_bad = true;
	return end_of(&in);
}

void entry_put_spool(struct buf *b, uint64_t id, uint32_t chunk)
{
	put_u64(b, id);
	put_u32(b, chunk);
}

enum err entry_take_spool(struct str head, uint64_t *id, uint32_t *chunk)
{
	struct octets in = { .rest = head };
	*id = (uint64_t)take_range(&in, 1, INT64_MAX);
	*chunk = take_u32(&in);
	return end_of(&in);
}

static void put_result(struct buf *b, const struct store_result *r)
{
	put_u32(b, r->number);
	put_u32(b, (uint32_t)r->kind);
	put_u32(b, r->attempt);
	put_i64(b, r->due.ms);
	put_u32(b, r->is_in_doubt);
	put_u32(b, r->code);
	put_status(b, r->status);
	put_text(b, r->text);
	put_text(b, r->host);
}

static void take_result(struct octets *in, struct store_result *out)
{
	out->number = take_u32(in);
	out->kind = (enum result_kind)take_below(in, RESULT_QUARANTINED + 1);
	out->attempt = take_u32(in);
	out->due = take_wall(in);
	out->is_in_doubt = take_bool(in);
	out->code = take_u32(in);
	out->status = take_status(in);
	out->text = take_text(in);
	out->host = take_text(in);
}

static void put_attempt(struct buf *b, const struct attempt_record *a)
{
	put_u32(b, a->recipient);
	put_u32(b, a->attempt);
	put_i64(b, a->at.ms);
	put_i64(b, a->duration_ms);
	put_text(b, a->host);
	put_text(b, a->stage);
	put_text(b, a->disposition);
	put_u32(b, a->code);
	put_status(b, a->status);
	put_text(b, a->text);
	put_text(b, a->tls);
}

static void take_attempt(struct octets *in, struct attempt_record *out)
{
	out->recipient = take_u32(in);
	out->attempt = take_u32(in);
	out->at = take_wall(in);
	out->duration_ms = take_i64(in);
	out->host = take_text(in);
	out->stage = take_text(in);
	out->disposition = take_text(in);
	out->code = take_u32(in);
	out->status = take_status(in);
	out->text = take_text(in);
	out->tls = take_text(in);
}

void entry_put_record(struct buf *b, const struct store_record *op)
{
	CHECK(op->notice_count == 0);
	put_u64(b, op->id);
	put_i64(b, op->at.ms);
	put_u32(b, op->result_count);
	for (uint32_t i = 0; i < op->result_count; i++)
		put_result(b, &op->results[i]);
	put_u32(b, op->attempt_count);
	for (uint32_t i = 0; i < op->attempt_count; i++)
		put_attempt(b, &op->attempts[i]);
	put_u32(b, op->site_count);
	for (uint32_t i = 0; i < op->site_count; i++) {
		put_text(b, op->sites[i].name);
		put_health(b, &op->sites[i].health);
		put_u32(b, op->sites[i].window);
	}
	put_u32(b, op->hop_count);
	for (uint32_t i = 0; i < op->hop_count; i++) {
		put_text(b, op->hops[i].name);
		put_text(b, op->hops[i].site);
		put_health(b, &op->hops[i].health);
	}
	if (has_learned(op))
		put_learned(b, op);
}

/* Behind all else, and nothing where there is none: a journal of the version before is read, too. */
static void put_learned(struct buf *b, const struct store_record *op)
{
	for (uint32_t i = 0; i < op->site_count; i++)
		put_u64(b, op->sites[i].rate);
	for (uint32_t i = 0; i < op->hop_count; i++) {
		put_text(b, op->hops[i].route);
		put_i64(b, op->hops[i].route_at.ms);
		put_i64(b, op->hops[i].denied_ms);
		put_i64(b, op->hops[i].denied_last.ms);
	}
}

static bool has_learned(const struct store_record *op)
{
	for (uint32_t i = 0; i < op->site_count; i++) {
		if (op->sites[i].rate > 0)
			return true;
	}
	for (uint32_t i = 0; i < op->hop_count; i++) {
		const struct hop_record *hop = &op->hops[i];
		if (hop->route.len > 0 || hop->route_at.ms || hop->denied_ms || hop->denied_last.ms)
			return true;
	}
	return false;
}

static void take_learned(struct octets *in, struct site_record *sites, uint32_t site_count,
	struct hop_record *hops, uint32_t hop_count)
{
	for (uint32_t i = 0; i < site_count; i++)
		sites[i].rate = (uint64_t)take_range(in, 0, INT64_MAX);
	for (uint32_t i = 0; i < hop_count; i++) {
		hops[i].route = take_text(in);
		hops[i].route_at = take_wall(in);
		hops[i].denied_ms = take_range(in, 0, INT64_MAX);
		hops[i].denied_last = take_wall(in);
	}
}

static void take_places(struct octets *in, struct arena *arena, struct store_record *out)
{
	out->site_count = take_count(in, SITE_BYTES_MIN);
	struct site_record *sites = arena_array(arena, out->site_count, sizeof(*sites));
	for (uint32_t i = 0; i < out->site_count; i++) {
		sites[i].name = take_text(in);
		take_health(in, &sites[i].health);
		sites[i].window = take_u32(in);
	}
	out->hop_count = take_count(in, SITE_BYTES_MIN);
	struct hop_record *hops = arena_array(arena, out->hop_count, sizeof(*hops));
	for (uint32_t i = 0; i < out->hop_count; i++) {
		hops[i].name = take_text(in);
		hops[i].site = take_text(in);
		take_health(in, &hops[i].health);
	}
	out->sites = sites;
	out->hops = hops;
	if (in->rest.len > 0)
		take_learned(in, sites, out->site_count, hops, out->hop_count);
}

enum err entry_take_record(struct str head, struct arena *arena, struct store_record *out)
{
	struct octets in = { .rest = head };
	*out = (struct store_record){ .id = (uint64_t)take_range(&in, 0, INT64_MAX) };
	out->at = take_wall(&in);
	out->result_count = take_count(&in, RESULT_BYTES_MIN);
	struct store_result *results = arena_array(arena, out->result_count, sizeof(*results));
	for (uint32_t i = 0; i < out->result_count; i++)
		take_result(&in, &results[i]);
	out->attempt_count = take_count(&in, RESULT_BYTES_MIN);
	struct attempt_record *attempts = arena_array(arena, out->attempt_count, sizeof(*attempts));
	for (uint32_t i = 0; i < out->attempt_count; i++)
		take_attempt(&in, &attempts[i]);
	out->results = results;
	out->attempts = attempts;
	take_places(&in, arena, out);
	return end_of(&in);
}

static void put_status(struct buf *b, struct status status)
{
	put_u32(b, status.klass);
	put_u32(b, status.subject);
	put_u32(b, status.detail);
}

static struct status take_status(struct octets *in)
{
	uint32_t klass = take_below(in, UINT8_MAX + 1);
	uint32_t subject = take_below(in, UINT16_MAX + 1);
	uint32_t detail = take_below(in, UINT16_MAX + 1);
	return STATUS((uint8_t)klass, (uint16_t)subject, (uint16_t)detail);
}

static void put_health(struct buf *b, const struct health_record *h)
{
	put_u32(b, (uint32_t)h->state);
	put_i64(b, h->since.ms);
	put_i64(b, h->first_failure.ms);
	put_i64(b, h->last_failure.ms);
	put_i64(b, h->last_success.ms);
	put_i64(b, h->next_probe.ms);
	put_i64(b, h->probe_step_ms);
	put_u32(b, h->failures);
	put_u32(b, h->probes);
	put_u32(b, h->is_declared);
	put_text(b, str_from_c(h->stage));
	put_u32(b, h->code);
	put_text(b, str_from_c(h->host));
	put_text(b, str_from_c(h->text));
}

static void take_health(struct octets *in, struct health_record *out)
{
	out->state = (enum health_state)take_below(in, HEALTH_STATE_COUNT);
	out->since = take_wall(in);
	out->first_failure = take_wall(in);
	out->last_failure = take_wall(in);
	out->last_success = take_wall(in);
	out->next_probe = take_wall(in);
	out->probe_step_ms = take_i64(in);
	out->failures = take_u32(in);
	out->probes = take_u32(in);
	out->is_declared = take_bool(in);
	take_chars(in, out->stage, sizeof(out->stage));
	out->code = take_u32(in);
	take_chars(in, out->host, sizeof(out->host));
	take_chars(in, out->text, sizeof(out->text));
}

static struct wall take_wall(struct octets *in)
{
	return (struct wall){ take_i64(in) };
}

static bool take_bool(struct octets *in)
{
	return take_below(in, 2) != 0;
}

static uint32_t take_count(struct octets *in, size_t bytes_min)
{
	return take_below(in, (uint32_t)(in->rest.len / bytes_min) + 1);
}

static enum err end_of(const struct octets *in)
{
	return in->is_bad || in->rest.len > 0 ? ERR_CORRUPT : OK;
}
