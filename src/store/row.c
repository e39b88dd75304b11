/* row - see row.h. Every number has its range: a file that breaks one is damaged, not believed. */
#include "row.h"

#include <string.h>

#include "ledger.h"

static uint64_t get_id(struct query *q);

/* What could not be read back would make a message unreadable: out of range becomes "none" here. */
void bind_status(struct query *q, struct status status)
{
	if (status.klass > 5 || status.subject > 999 || status.detail > 999)
		status = STATUS(0, 0, 0);
	bind_i64(q,
		(int64_t)status.klass * 1000000 + (int64_t)status.subject * 1000 + status.detail);
}

struct status get_status(struct query *q)
{
	int64_t value = get_i64(q, 0, 5999999);
	return STATUS((uint8_t)(value / 1000000), (uint16_t)(value / 1000 % 1000),
		(uint16_t)(value % 1000));
}

void bind_code(struct query *q, unsigned code)
{
	bind_i64(q, code <= REPLY_CODE_MAX ? code : 0);
}

void bind_health(struct query *q, const struct health_record *health)
{
	bind_i64(q, health->state);
	bind_wall(q, health->since);
	bind_wall(q, health->first_failure);
	bind_wall(q, health->last_failure);
	bind_wall(q, health->last_success);
	bind_wall(q, health->next_probe);
	bind_i64(q, health->probe_step_ms > 0 ? health->probe_step_ms : 0);
	bind_i64(q, health->failures);
	bind_i64(q, health->probes);
	bind_bool(q, health->is_declared);
	bind_text(q, str_from_c(health->stage));
	bind_code(q, health->code);
	bind_text(q, str_from_c(health->host));
	bind_text(q, str_from_c(health->text));
}

void get_health(struct query *q, struct health_record *out)
{
	out->state = (enum health_state)get_enum(q, HEALTH_STATE_COUNT);
	out->since = get_wall(q);
	out->first_failure = get_wall(q);
	out->last_failure = get_wall(q);
	out->last_success = get_wall(q);
	out->next_probe = get_wall(q);
	out->probe_step_ms = get_i64(q, 0, INT64_MAX);
	out->failures = get_u32(q);
	out->probes = get_u32(q);
	out->is_declared = get_bool(q);
	get_chars(q, out->stage, sizeof(out->stage));
	out->code = get_enum(q, REPLY_CODE_MAX + 1);
	get_chars(q, out->host, sizeof(out->host));
	get_chars(q, out->text, sizeof(out->text));
}

void bind_envelope(struct query *q, const struct envelope *env)
{
	bind_u64(q, env->id);
	bind_wall(q, env->accepted);
	bind_text(q, env->reverse_path);
	bind_i64(q, env->body);
	bind_bool(q, env->is_smtputf8);
	bind_i64(q, env->ret);
	bind_text(q, env->envid);
	bind_i64(q, env->priority);
	bind_wall(q, env->deliver_by);
	bind_bool(q, env->deliver_by_notify);
	bind_wall(q, env->hold_until);
	bind_i64(q, env->origin);
	bind_text(q, env->user);
	bind_text(q, env->client);
	bind_text(q, env->helo);
	bind_text(q, env->message_id);
	bind_u64(q, env->size_bytes);
	bind_i64(q, env->late_notice);
	bind_i64(q, (int)env->deliver_by_trace | (int)env->deliver_by_is_ours << 1 |
			    (int)env->is_tls_optional << 2 | (int)env->hold_wish << 3);
	bind_bool(q, env->is_requiretls);
}

void get_message(struct query *q, struct arena *arena, struct queued_message *out)
{
	struct envelope *env = &out->env;
	env->id = get_id(q);
	env->accepted = get_wall(q);
	env->reverse_path = get_text(q, arena);
	env->body = (enum body_kind)get_enum(q, BODY_8BITMIME + 1);
	env->is_smtputf8 = get_bool(q);
	env->ret = (enum dsn_ret)get_enum(q, RET_FULL + 1);
	env->envid = get_text(q, arena);
	env->priority = (int)get_i64(q, -PRIORITY_MAX, PRIORITY_MAX);
	env->deliver_by = get_wall(q);
	env->deliver_by_notify = get_bool(q);
	env->hold_until = get_wall(q);
	env->origin = (enum message_origin)get_enum(q, ORIGIN_COUNT);
	env->user = get_text(q, arena);
	env->client = get_text(q, arena);
	env->helo = get_text(q, arena);
	env->message_id = get_text(q, arena);
	env->size_bytes = get_u64(q);
	env->late_notice = (enum late_notice)get_enum(q, LATE_NOTICE_COUNT);
	uint32_t bits = (uint32_t)get_i64(q, 0, (HOLD_WISH_COUNT << 3) - 1);
	env->deliver_by_trace = bits & 1;
	env->deliver_by_is_ours = bits >> 1 & 1;
	env->is_tls_optional = bits >> 2 & 1;
	env->hold_wish = (enum hold_wish)(bits >> 3);
	env->is_requiretls = get_bool(q);
	out->chunk_count = get_u32(q);
	out->finished = get_wall(q);
	out->hold_reason = get_text(q, arena);
}

void get_recipient(struct query *q, struct arena *arena, struct queued_recipient *out)
{
	out->rcpt.number = get_u32(q);
	out->rcpt.address = get_text(q, arena);
	out->rcpt.domain = get_text(q, arena);
	out->rcpt.hop = get_text(q, arena);
	out->rcpt.orcpt = get_text(q, arena);
	out->rcpt.notify = get_enum(q, NOTIFY_BITS_MAX + 1);
	out->state = (enum recipient_state)get_enum(q, RECIPIENT_STATE_COUNT);
	out->attempts = get_u32(q);
	out->due = get_wall(q);
	out->last_attempt = get_wall(q);
	out->finished = get_wall(q);
	out->is_in_doubt = get_bool(q);
	out->code = get_enum(q, REPLY_CODE_MAX + 1);
	out->status = get_status(q);
	out->text = get_text(q, arena);
	out->host = get_text(q, arena);
	out->held_ms = get_i64(q, 0, INT64_MAX);
	out->notice = get_u64(q);
}

void get_attempt(struct query *q, struct arena *arena, struct attempt_record *out)
{
	out->at = get_wall(q);
	out->recipient = get_u32(q);
	out->attempt = get_u32(q);
	out->duration_ms = get_i64(q, 0, INT64_MAX);
	out->code = get_enum(q, REPLY_CODE_MAX + 1);
	out->status = get_status(q);
	out->stage = get_text(q, arena);
	out->disposition = get_text(q, arena);
	out->host = get_text(q, arena);
	out->text = get_text(q, arena);
	out->tls = get_text(q, arena);
}

void bind_outage(struct query *q, const struct outage_record *outage)
{
	bind_u64(q, outage->id);
	bind_i64(q, outage->kind);
	bind_i64(q, outage->scope);
	bind_text(q, outage->name);
	bind_wall(q, outage->began);
	bind_wall(q, outage->declared);
	bind_wall(q, outage->until);
	bind_wall(q, outage->recovered);
	bind_wall(q, outage->ended);
	bind_text(q, outage->actor);
	bind_text(q, outage->note);
	bind_text(q, outage->stage);
	bind_code(q, outage->code);
	bind_text(q, outage->host);
	bind_text(q, outage->text);
	bind_u64(q, outage->failures);
	bind_u64(q, outage->probes);
	bind_u64(q, outage->peak_recipients);
	bind_u64(q, outage->peak_bytes);
	bind_wall(q, outage->peak_at);
	bind_u64(q, outage->delivered);
	bind_u64(q, outage->failed);
	bind_u64(q, outage->saved);
}

void get_outage(struct query *q, struct arena *arena, struct outage_record *out)
{
	out->id = get_id(q);
	out->kind = (enum outage_kind)get_enum(q, OUTAGE_KIND_COUNT);
	out->scope = (enum outage_scope)get_enum(q, OUTAGE_SCOPE_COUNT);
	out->name = get_text(q, arena);
	out->began = get_wall(q);
	out->declared = get_wall(q);
	out->until = get_wall(q);
	out->recovered = get_wall(q);
	out->ended = get_wall(q);
	out->actor = get_text(q, arena);
	out->note = get_text(q, arena);
	out->stage = get_text(q, arena);
	out->code = get_enum(q, REPLY_CODE_MAX + 1);
	out->host = get_text(q, arena);
	out->text = get_text(q, arena);
	out->failures = get_u32(q);
	out->probes = get_u32(q);
	out->peak_recipients = get_u64(q);
	out->peak_bytes = get_u64(q);
	out->peak_at = get_wall(q);
	out->delivered = get_u64(q);
	out->failed = get_u64(q);
	out->saved = get_u64(q);
}

void get_hop(struct query *q, struct arena *arena, struct hop_record *out)
{
	out->name = get_text(q, arena);
	out->site = get_text(q, arena);
	for (size_t i = 0; i < QUEUED_STATE_COUNT; i++)
		out->count[i] = get_u64(q);
	out->bytes = get_u64(q);
	get_health(q, &out->health);
	out->route = get_text(q, arena);
	out->route_at = get_wall(q);
	out->denied_ms = get_i64(q, 0, INT64_MAX);
	out->denied_last = get_wall(q);
}

void get_site(struct query *q, struct arena *arena, struct site_record *out)
{
	out->name = get_text(q, arena);
	out->window = get_u32(q);
	out->rate = get_u64(q);
	get_health(q, &out->health);
}

struct queued_recipient *recipients_add(
	struct arena *arena, struct queued_message *message, uint32_t *cap)
{
	if (message->recipient_count == *cap) {
		*cap = *cap ? *cap * 2 : 1;
		struct queued_recipient *grown = arena_array(arena, *cap, sizeof(*grown));
		if (message->recipient_count > 0)
			memcpy(grown, message->recipients,
				message->recipient_count * sizeof(*grown));
		message->recipients = grown;
	}
	return &message->recipients[message->recipient_count++];
}

static uint64_t get_id(struct query *q)
{
	return (uint64_t)get_i64(q, 1, INT64_MAX);
}
