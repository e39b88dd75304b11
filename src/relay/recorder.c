/*
 * recorder - judges what came of a delivery and writes it down: results, history, health and notice in one RECORD.
 *
 * Happy path: recorder_take, judge, (headers fetched for a notice), RECORD, then the log line of each recipient, the notice
 * offered (or its release noted), the place freed. An earlier notice about the message that still waits is replaced by one that names
 * all; if it left at the same moment, nothing was stored, and the new one is made again without it. Parked recipients get no result: their rows are not touched. A RECORD that finds no space is
 * kept and tried again each second; no new attempts start meanwhile.
 */
#include "queue/retry.h"
#include "relay/delivery.h"
#include "relay/guard.h"
#include "relay/held_notice.h"
#include "relay/outage.h"
#include "relay/receipt.h"

#define RECORD_RETRY_MS SECOND_MS
#define STATUS_BYTES_MAX ((size_t)32)

static void submit(struct delivery *d);
static void make_notice(struct delivery *d);

/* ---- results ---- */

static enum result_kind kind_of(struct delivery *d, uint32_t i, struct store_result *out)
{
	struct relay *r = d->hop->relay;
	const struct attempt_result *res = &d->results[i];
	struct wall now = env_wall(r->env);
	struct retry_decision next;

	switch (res->verdict.disposition) {
	case DISPOSE_DELIVERED:
		return RESULT_DELIVERED;
	case DISPOSE_FAIL:
		return guard_judge(d, i, out);
	case DISPOSE_AGAIN:
	case DISPOSE_PARK:
		return RESULT_READY;
	case DISPOSE_RETRY:
		break;
	}
	next = retry_after_failure(hop_policy(d->hop),
		outage_gives_up_held_at(
			d->hop, &d->message->env, d->recipients[i].held_ms),
		d->recipients[i].attempts + 1, res->verdict.is_in_doubt, now, &r->rng);
	out->due = next.due;
	if (!next.is_expired && pacing_puts_back(d, i)) {
		d->is_put_back = true;
		return RESULT_READY;
	}
	/* RFC 2852 4.1: returned because its time is over, whatever came last. */
	if (next.is_expired && retry_is_past_by_time(&d->message->env, now))
		out->status = STATUS(5, 4, 7);
	return next.is_expired ? RESULT_FAILED : RESULT_RETRY;
}

static const char *disposition_text(enum result_kind kind, bool is_parked)
{
	switch (kind) {
	case RESULT_DELIVERED:
		return "delivered";
	case RESULT_RETRY:
		return "deferred";
	case RESULT_READY:
		return is_parked ? "parked" : "again";
	case RESULT_FAILED:
		return "failed";
	case RESULT_HELD:
		return "held";
	case RESULT_QUARANTINED:
		return "quarantined";
	}
	return "unknown";
}

/* The reply as it stood: with its enhanced code, which the client takes apart from the text. */
static struct str reply_text(struct delivery *d, const struct outcome *outcome)
{
	struct buf text;

	if (outcome->code == 0 || outcome->status.klass == 0)
		return outcome->text;
	buf_init(&text, STATUS_BYTES_MAX + outcome->text.len);
	status_format(&text, outcome->status);
	buf_append_char(&text, ' ');
	buf_append_str(&text, outcome->text);
	struct str kept = arena_dup(&d->arena, buf_str(&text));
	buf_fini(&text);
	return kept;
}

static void add_attempt(
	struct delivery *d, struct attempt_record *out, uint32_t i, enum result_kind kind)
{
	const struct attempt_result *res = &d->results[i];
	bool is_parked = res->verdict.disposition == DISPOSE_PARK;

	*out = (struct attempt_record){
		.recipient = res->number,
		.attempt = d->recipients[i].attempts + (kind == RESULT_READY ? 0 : 1),
		.at = d->started,
		.duration_ms = d->attempt.connect_ms + d->attempt.transmit_ms,
		.host = d->attempt.host,
		.stage = str_from_c(stage_name(res->outcome.stage)),
		.disposition = str_from_c(disposition_text(kind, is_parked)),
		.code = res->outcome.code,
		.status = res->verdict.status,
		.text = reply_text(d, &res->outcome),
		.tls = d->attempt.tls,
	};
}

/* The content could not be read: nothing of it can be delivered until an operator has looked. */
static bool is_unreadable(const struct delivery *d)
{
	return d->content.err == ERR_NOT_FOUND || d->content.err == ERR_CORRUPT;
}

static void fill_record(struct delivery *d)
{
	struct store_record *rec = &d->record;
	struct store_result *results = arena_array(&d->arena, d->recipient_count, sizeof(*results));
	struct attempt_record *attempts =
		arena_array(&d->arena, d->recipient_count, sizeof(*attempts));
	uint32_t count = 0;
	bool has_failed = false;

	for (uint32_t i = 0; i < d->recipient_count; i++) {
		const struct attempt_result *res = &d->results[i];
		struct store_result out = {
			.number = res->number,
			.attempt = d->recipients[i].attempts + 1,
			.is_in_doubt = res->verdict.is_in_doubt,
			.code = res->outcome.code,
			.status = res->verdict.status,
			.text = reply_text(d, &res->outcome),
			.host = d->attempt.host,
		};

		out.kind = kind_of(d, i, &out);
		if (is_unreadable(d) && out.kind != RESULT_DELIVERED) {
			out.kind = RESULT_HELD;
			out.text = STR("corrupt: its content cannot be read from the queue");
		}
		add_attempt(d, &attempts[i], i, out.kind);
		/* back to READY means: the row stays as it is */
		if (out.kind != RESULT_READY)
			results[count++] = out;
		has_failed |= out.kind == RESULT_FAILED;
	}
	rec->id = d->message->env.id;
	rec->at = env_wall(d->hop->relay->env);
	rec->results = d->made = results;
	rec->result_count = count;
	if (has_failed && hop_policy(d->hop)->keep_failed_ms > 0)
		rec->keep_until = wall_add(rec->at, hop_policy(d->hop)->keep_failed_ms);
	rec->attempts = attempts;
	/* A site that fails writes one line of history for its probe, not one per recipient. */
	rec->attempt_count = d->attempt.is_site_failure ? 1 : d->recipient_count;
}

/* ---- the log ---- */

static void append_seconds(struct buf *b, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	buf_append_number(b, (uint64_t)(ms / SECOND_MS), 1);
	if (ms < 100 * SECOND_MS) {
		buf_append_char(b, '.');
		buf_append_number(b, (uint64_t)(ms % SECOND_MS / 10), 2);
	}
}

static const char *log_status(enum result_kind kind)
{
	switch (kind) {
	case RESULT_DELIVERED:
		return "sent";
	case RESULT_FAILED:
		return "bounced";
	case RESULT_RETRY:
	case RESULT_READY:
	case RESULT_HELD:
	case RESULT_QUARANTINED:
		break;
	}
	return "deferred";
}

static void log_result(struct delivery *d, const struct store_result *res, struct str address)
{
	struct relay *r = d->hop->relay;
	struct queue_id_text id = queue_id_format(d->message->env.id);
	int64_t queued = d->started.ms - d->message->env.accepted.ms;
	struct buf delay, delays, dsn, detail;

	buf_init(&delay, 64);
	buf_init(&delays, 128);
	buf_init(&dsn, 32);
	buf_init(&detail, 4096);
	append_seconds(&delay, queued + d->attempt.connect_ms + d->attempt.transmit_ms);
	buf_append_str(&delays, STR("0/"));
	append_seconds(&delays, queued);
	buf_append_char(&delays, '/');
	append_seconds(&delays, d->attempt.connect_ms);
	buf_append_char(&delays, '/');
	append_seconds(&delays, d->attempt.transmit_ms);
	status_format(&dsn, res->status);
	if (res->code) {
		buf_append_number(&detail, res->code, 1);
		buf_append_char(&detail, ' ');
	}
	buf_append_str(&detail, res->text);

	struct log_field fields[9] = {
		{ "to", address, LOG_BRACKETED, false },
		{ "relay", d->attempt.host.len ? d->attempt.host : STR("none"), LOG_PLAIN, false },
		{ "delay", buf_str(&delay), LOG_PLAIN, false },
		{ "delays", buf_str(&delays), LOG_PLAIN, false },
		{ "dsn", buf_str(&dsn), LOG_PLAIN, false },
		{ "status", str_from_c(log_status(res->kind)), LOG_PLAIN, false },
	};
	size_t count = 6;

	/* ours, behind the parenthesis */
	if (d->attempt.tls.len)
		fields[count++] = (struct log_field){ "tls", d->attempt.tls, LOG_PLAIN, true };
	if (res->is_in_doubt)
		fields[count++] =
			(struct log_field){ "in-doubt", STR("yes"), LOG_PLAIN, true };
	if (res->kind == RESULT_QUARANTINED)
		fields[count++] = (struct log_field){ "doubted",
			d->is_storm ? STR("storm") : STR("mailbox-took-mail"), LOG_PLAIN, true };
	const struct log_event event = { LOG_INFO, "smtp", str_from_c(id.text), fields, count,
		buf_str(&detail) };

	log_event(r->env->log, &event);
	buf_fini(&delay);
	buf_fini(&delays);
	buf_fini(&dsn);
	buf_fini(&detail);
}

static void count_result(struct metrics *m, const struct store_result *res)
{
	if (res->kind == RESULT_DELIVERED)
		metric_add(m, METRIC_recipients_delivered_total, 1);
	else if (res->kind == RESULT_FAILED)
		metric_add(m, METRIC_recipients_failed_total, 1);
	else
		metric_add(m, METRIC_recipients_deferred_total, 1);
	if (res->is_in_doubt)
		metric_add(m, METRIC_recipients_in_doubt_total, 1);
}

static struct str address_of(const struct delivery *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->recipients[i].rcpt.number == number)
			return d->recipients[i].rcpt.address;
	return STR("");
}

static void tell_log(struct delivery *d)
{
	struct relay *r = d->hop->relay;

	for (uint32_t i = 0; i < d->record.result_count; i++) {
		const struct store_result *res = &d->record.results[i];

		log_result(d, res, address_of(d, res->number));
		count_result(r->env->metrics, res);
		if (res->kind == RESULT_RETRY || res->kind == RESULT_QUARANTINED)
			agenda_note_due(r, res->due);
	}
	if (d->record.is_finished) {
		struct queue_id_text id = queue_id_format(d->message->env.id);
		const struct log_event event = { LOG_INFO, "qmgr", str_from_c(id.text), NULL, 0,
			STR("removed") };

		log_event(r->env->log, &event);
	}
}

/* ---- RECORD ---- */

static void on_again(struct timer *t)
{
	submit(CONTAINER_OF(t, struct delivery, again));
}

static bool has_again(const struct delivery *d)
{
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->results[i].verdict.disposition == DISPOSE_AGAIN)
			return true;
	return false;
}

/* Recipients that stay READY while others of the delivery got a result. */
static bool leaves_ready(const struct delivery *d)
{
	return d->record.result_count < d->recipient_count;
}

static void on_recorded(struct store_op *op)
{
	struct delivery *d = CONTAINER_OF(op, struct delivery, record.op);
	struct hop *h = d->hop;
	struct relay *r = h->relay;

	if (op->err == ERR_NOT_FOUND && d->record.replaces != 0) {
		store_op_fini(op);
		d->record.replaces = 0;
		message_unref(d->notice);
		d->notice = NULL;
		receipt_drop(d);
		d->record.notice_count = 0;
		make_notice(d);
		return;
	}
	if (op->err != OK) {
		log_text(r->env->log, LOG_ERROR, "qmgr",
			"cannot record a delivery, trying again: %s", err_name(op->err));
		upkeep_note_full(r);
		store_op_fini(op);
		if (r->is_out_of_time) {
			delivery_finish(d);
			return;
		}
		d->again.on_fire = on_again;
		env_timer_after(r->env, &d->again, RECORD_RETRY_MS);
		return;
	}
	upkeep_note_space(r);
	tell_log(d);
	guard_note_recorded(d);
	outage_note_results(d);
	/* Not stored when no result was: an operator has deleted the recipients meanwhile. */
	if (d->notice && d->record.applied_count > 0) {
		notice_log(d);
		metric_add(r->env->metrics, METRIC_dsn_failure_total, 1);
		if (d->notice->env.hold_until.ms > d->notice->env.accepted.ms) {
			held_notice_note(r, d->record.id, d->notice->env.id,
				d->notice->env.hold_until);
			agenda_note_due(r, d->notice->env.hold_until);
		} else {
			sched_offer(r, d->notice, &d->notice_recipient, 1);
		}
	}
	if (d->record.applied_count > 0)
		receipt_offer(d);
	if (d->record.result_count == 0 && !has_again(d)) {
		delivery_requeue(d);
		return;
	}
	if (leaves_ready(d))
		hop_note_more(h);
	delivery_finish(d);
}

static void submit(struct delivery *d)
{
	d->record.op.on_done = on_recorded;
	store_submit(d->hop->relay->store, &d->record.op, STORE_RECORD);
}

static void build_notices(struct delivery *d, struct str content)
{
	if (d->needs_notice)
		notice_build(d, content);
	if (d->needs_receipt)
		receipt_build(d, content);
	submit(d);
}

static void on_headers(struct store_op *op)
{
	struct delivery *d = CONTAINER_OF(op, struct delivery, headers.op);

	/* Without the original a notice still says what became of it. */
	build_notices(d, op->err == OK ? d->headers.content : STR(""));
}

static void make_notice(struct delivery *d)
{
	struct message *m = d->message;

	if (m->has_content || m->chunk_count == 0) {
		build_notices(d, m->has_content ? buf_str(&m->content) : STR(""));
		return;
	}
	store_op_fini(&d->headers.op);
	d->headers =
		(struct store_fetch){ .op.on_done = on_headers, .id = m->env.id, .chunk = 0 };
	store_submit(d->hop->relay->store, &d->headers.op, STORE_FETCH);
}

static void on_shown(struct store_op *op)
{
	struct delivery *d = CONTAINER_OF(op, struct delivery, show.op);

	/* without knowing what it names it stays, and there are two */
	if (op->err != OK) {
		d->record.replaces = 0;
		d->show.message.recipient_count = 0;
	}
	make_notice(d);
}

void recorder_take(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	struct message *m = d->message;

	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->results[i].verdict.disposition == DISPOSE_DELIVERED)
			(void)fault_hit(r->env->fault, FAULT_attempt_delivered);
	guard_take(d);
	evidence_take(d);
	fill_record(d);
	destination_records(d->hop, &d->arena, &d->record);
	if (d->site && d->site != d->hop->site && d->site->is_dirty)
		destination_save_site(d->site); /* the hop has moved meanwhile */
	d->needs_notice = notice_is_needed(d);
	d->needs_receipt = receipt_is_needed(d);
	if (!d->needs_notice) {
		if (d->needs_receipt)
			make_notice(d);
		else
			submit(d);
		return;
	}
	d->record.replaces = held_notice_of(r, m->env.id, env_wall(r->env));
	if (d->record.replaces == 0) {
		make_notice(d);
		return;
	}
	d->show = (struct store_show){ .op.on_done = on_shown, .id = m->env.id };
	store_submit(r->store, &d->show.op, STORE_SHOW);
}
