/*
 * notice - the failure notice of a delivery: one message for all recipients that failed together, stored by the same
 * RECORD as their failure. It waits for the end of its hold (notice-hold), in which it can be taken back with the failure;
 * what fails of the same message meanwhile joins it, by a new one that replaces it.
 *
 * Never to a null reverse-path; a notice of ours that fails goes to the postmaster once, and ends there. NOTIFY decides
 * (RFC 3461): NEVER, or a list without FAILURE, gets none. What is not sent is counted and logged.
 */
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "relay/delivery.h"
#include "relay/own_mail.h"
#include "relay/receipt.h"
#include "relay/teller.h"

#define NOTICE_BYTES_MAX (256u << 10)
#define NOTICE_HEADERS_MAX (64u << 10)
/* A larger original is returned by its headers alone, whatever RET says (RFC 3461 4.3 leaves that to us). */
#define NOTICE_FULL_MAX (128u << 10)

/* A notice of ours travels with NOTIFY=NEVER, which is for the hosts behind us: its failure is for the postmaster. */
static bool wants_failure(const struct delivery *d, const struct recipient *rcpt)
{
	return d->message->env.origin == ORIGIN_DSN || rcpt->notify == 0 ||
	       (rcpt->notify & NOTIFY_FAILURE) != 0;
}

static const struct queued_recipient *recipient_of(const struct delivery *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->recipients[i].rcpt.number == number)
			return &d->recipients[i];
	return NULL;
}

/* Where the notice goes: the sender, the postmaster for a failed notice of ours, or nobody (empty). */
static struct str notice_to(const struct delivery *d)
{
	const struct envelope *e = &d->message->env;
	const struct conf *conf = d->hop->relay->conf;

	if (e->reverse_path.len > 0)
		return str_equal_fold(e->reverse_path, conf->bounce_from) ? STR("") : e->reverse_path;
	if (e->origin != ORIGIN_DSN)
		return STR("");
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (str_equal_fold(d->recipients[i].rcpt.address, conf->postmaster))
			return STR("");
	return conf->postmaster;
}

/* The sender wants a notice on this very message, to match it with what he sent: in a message of a stranger he may know nothing
 * of it. */
static bool is_asked(const struct delivery *d)
{
	const struct envelope *e = &d->message->env;
	bool is = e->origin == ORIGIN_SMTP && (e->envid.len > 0 || e->is_requiretls);

	if (e->origin == ORIGIN_SMTP && !receipt_is_of_known_client(d))
		return false;

	for (uint32_t i = 0; i < d->record.result_count && !is; i++) {
		const struct queued_recipient *q = recipient_of(d, d->record.results[i].number);

		is = q && d->record.results[i].kind == RESULT_FAILED &&
		     (q->rcpt.notify & NOTIFY_FAILURE) != 0;
	}
	return is;
}

/* Beyond the number for an hour the sender is owed it, and gets a digest. A flood of failed notices of ours, which nobody can
 * be owed, ends there. */
static bool may_leave(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	bool is_of_ours = d->message->env.reverse_path.len == 0;

	if (teller_may_notify(r->teller, notice_to(d), is_asked(d)))
		return true;
	d->record.is_notice_owed = !is_of_ours;
	metric_add(r->env->metrics,
		is_of_ours ? METRIC_dsn_discarded_total : METRIC_dsn_put_off_total, 1);
	return false;
}

bool notice_is_needed(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	uint32_t failed = 0, wanted = 0;

	for (uint32_t i = 0; i < d->record.result_count; i++) {
		const struct store_result *res = &d->record.results[i];
		const struct queued_recipient *q = recipient_of(d, res->number);

		if (res->kind != RESULT_FAILED || !q)
			continue;
		failed++;
		if (wants_failure(d, &q->rcpt))
			wanted++;
	}
	if (failed > 0 && notice_to(d).len == 0) {
		struct queue_id_text id = queue_id_format(d->message->env.id);
		const struct log_event event = { LOG_NOTICE, "bounce", str_from_c(id.text), NULL, 0,
			STR("failed, and nobody is to be told: the reverse-path is null") };

		log_event(r->env->log, &event);
		metric_add(r->env->metrics, METRIC_dsn_discarded_total, 1);
		return false;
	}
	return wanted > 0 && may_leave(d);
}

static void fill_recipient(const struct delivery *d, const struct store_result *res,
	const struct queued_recipient *q, struct dsn_recipient *out)
{
	*out = (struct dsn_recipient){
		.final_recipient = q->rcpt.address,
		.orcpt = q->rcpt.orcpt,
		.action = DSN_FAILED,
		.status = res->status,
		.remote_mta = res->code ? d->attempt.host_name : STR(""),
		.diagnostic_code = res->code,
		.diagnostic = res->text,
		.last_attempt = d->started,
	};
}

/* The notice as a message of its own: envelope and recipient in its arena. False: the address cannot be written to. */
static bool make_envelope(struct delivery *d, struct str to)
{
	struct relay *r = d->hop->relay;
	struct message *m = message_new();
	struct address address;

	if (address_parse(to, true, &m->arena, &address) != OK) {
		message_unref(m);
		return false;
	}
	d->notice = m;
	d->notice_recipient = (struct recipient){
		.number = 1,
		.address = address.text,
		.domain = address.domain,
		.hop = route_hop_of(r->conf, address.domain, STR(""), &m->arena),
		.notify = NOTIFY_NEVER,
	};
	m->env.id = relay_new_id(r);
	m->env.accepted = env_wall(r->env);
	m->env.origin = ORIGIN_DSN;
	if (hop_policy(d->hop)->notice_hold_ms > 0)
		m->env.hold_until =
			wall_add(m->env.accepted, hop_policy(d->hop)->notice_hold_ms);
	m->env.priority = d->message->env.priority;
	m->env.is_smtputf8 = address.is_utf8;
	m->env.recipients = &d->notice_recipient;
	m->env.recipient_count = 1;
	return true;
}

/* Those that an earlier notice names, which this one replaces. */
static size_t fill_earlier(struct delivery *d, struct dsn_recipient *out)
{
	const struct queued_message *m = &d->show.message;
	size_t count = 0;

	for (uint32_t i = 0; d->record.replaces && i < m->recipient_count; i++) {
		const struct queued_recipient *q = &m->recipients[i];

		if (q->state != RECIPIENT_FAILED || q->notice != d->record.replaces)
			continue;
		out[count++] = (struct dsn_recipient){
			.final_recipient = q->rcpt.address,
			.orcpt = q->rcpt.orcpt,
			.action = DSN_FAILED,
			.status = q->status,
			.remote_mta = q->code ? str_slice(q->host, 0, str_find(q->host, '['))
					      : STR(""),
			.diagnostic_code = q->code,
			.diagnostic = q->text,
			.last_attempt = q->last_attempt,
		};
	}
	return count;
}

/* RET=FULL: all of it, where that is in memory and fits. RFC 8689 5: never of a message with REQUIRETLS. */
static struct str returned_whole(const struct envelope *e, struct str content)
{
	bool is_whole = e->ret == RET_FULL && !e->is_requiretls &&
			(e->body == BODY_7BIT || e->body == BODY_8BITMIME) &&
			content.len == e->size_bytes && content.len <= NOTICE_FULL_MAX;

	return is_whole ? content : STR("");
}

void notice_build(struct delivery *d, struct str content)
{
	struct relay *r = d->hop->relay;
	const struct envelope *e = &d->message->env;
	struct str to = notice_to(d);
	struct dsn_recipient *list = arena_array(&d->arena,
		(size_t)d->record.result_count + d->show.message.recipient_count, sizeof(*list));
	size_t count = 0;

	if (!make_envelope(d, to)) {
		metric_add(r->env->metrics, METRIC_dsn_discarded_total, 1);
		return;
	}
	count = fill_earlier(d, list);
	for (uint32_t i = 0; i < d->record.result_count; i++) {
		struct store_result *res = &d->made[i];
		const struct queued_recipient *q = recipient_of(d, res->number);

		if (res->kind != RESULT_FAILED || !q || !wants_failure(d, &q->rcpt))
			continue;
		fill_recipient(d, res, q, &list[count++]);
		res->notice = d->notice->env.id;
	}

	struct dsn_params params = own_mail_dsn(r, &d->notice->env, e);

	params.to = to;
	params.original_headers = str_slice(header_section(content), 0, NOTICE_HEADERS_MAX);
	params.original_body = returned_whole(e, content);
	params.recipients = list;
	params.recipient_count = count;
	struct message *m = d->notice;
	struct store_notice *notice = arena_alloc(&d->arena, sizeof(*notice));

	buf_init(&m->content, NOTICE_BYTES_MAX);
	dsn_build(&m->content, &params);
	m->env.body = dsn_is_8bit(&params) ? BODY_8BITMIME : BODY_7BIT;
	m->env.is_requiretls = e->is_requiretls;
	m->has_content = true;
	m->chunk_count = 1;
	m->env.size_bytes = m->content.len;
	notice->env = m->env;
	notice->content = buf_str(&m->content);
	d->record.notices = notice;
	d->record.notice_count = 1;
}

/* As Postfix does: who caused the notice, and what entered the queue. */
void notice_log(const struct delivery *d)
{
	struct log *log = d->hop->relay->env->log;
	struct queue_id_text id = queue_id_format(d->message->env.id);
	struct queue_id_text notice_id = queue_id_format(d->notice->env.id);
	struct buf text, size;

	buf_init(&text, 128);
	buf_init(&size, 32);
	buf_printf(&text, "sender non-delivery notification: %s", notice_id.text);
	buf_printf(&size, "%llu", (unsigned long long)d->notice->env.size_bytes);

	const struct log_field envelope[] = {
		{ "from", d->notice->env.reverse_path, LOG_BRACKETED, false },
		{ "size", buf_str(&size), LOG_PLAIN, false },
		{ "nrcpt", STR("1"), LOG_PLAIN, false },
	};
	const struct log_event events[] = {
		{ LOG_INFO, "bounce", str_from_c(id.text), NULL, 0, buf_str(&text) },
		{ LOG_INFO, "qmgr", str_from_c(notice_id.text), envelope, ARRAY_COUNT(envelope),
			STR("queue active") },
	};

	for (size_t i = 0; i < ARRAY_COUNT(events); i++)
		log_event(log, &events[i]);
	buf_fini(&text);
	buf_fini(&size);
}
