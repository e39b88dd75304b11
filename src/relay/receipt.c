/* receipt - see relay/receipt.h. */
#include "relay/receipt.h"

#include "mail/dsn.h"
#include "mail/header.h"
#include "queue/success_notice.h"
#include "relay/own_mail.h"

#define RECEIPT_BYTES_MAX ((size_t)256 << 10)
#define RECEIPT_HEADERS_MAX ((size_t)64 << 10)

static enum success_notice wish_of(const struct delivery *d, const struct store_result *res)
{
	const struct route *route = d->route ? d->route->route : NULL;
	const struct success_hop hop = {
		.has_dsn = d->attempt.has_dsn,
		.has_deliverby = d->attempt.has_deliverby,
		.is_final = route && route->conf_route && route->conf_route->via == ROUTE_LMTP,
		.at = d->started,
	};

	if (res->kind != RESULT_DELIVERED)
		return SUCCESS_NOTICE_NONE;
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->recipients[i].rcpt.number == res->number)
			return success_notice_of(&d->message->env, &d->recipients[i].rcpt, &hop);
	return SUCCESS_NOTICE_NONE;
}

bool receipt_is_of_known_client(const struct delivery *d)
{
	const struct envelope *e = &d->message->env;
	struct str ip = str_slice(e->client, str_find(e->client, '[') + 1, e->client.len);
	struct endpoint client;

	ip = str_slice(ip, 0, str_find(ip, ']'));
	if (e->user.len > 0)
		return true;
	if (endpoint_parse_ip(&client, ip) != OK)
		return !str_equal(ip, STR("unknown")); /* a load balancer's word: anybody */
	return conf_is_trusted(d->hop->relay->conf, &client);
}

bool receipt_is_needed(const struct delivery *d)
{
	bool has_wish = d->message->env.deliver_by.ms != WALL_NONE.ms; /* rare */

	for (uint32_t i = 0; i < d->recipient_count && !has_wish; i++)
		has_wish = (d->recipients[i].rcpt.notify & NOTIFY_SUCCESS) != 0;
	for (uint32_t i = 0; has_wish && i < d->record.result_count; i++)
		if (wish_of(d, &d->record.results[i]) != SUCCESS_NOTICE_NONE)
			return receipt_is_of_known_client(d);
	return false;
}

static const struct recipient *recipient_of(const struct delivery *d, uint32_t number)
{
	uint32_t i = 0;

	while (d->recipients[i].rcpt.number != number)
		i++;
	return &d->recipients[i].rcpt;
}

static size_t fill_recipients(const struct delivery *d, struct dsn_recipient *list)
{
	size_t count = 0;

	for (uint32_t i = 0; i < d->record.result_count; i++) {
		const struct store_result *res = &d->record.results[i];
		enum success_notice wish = wish_of(d, res);

		if (wish == SUCCESS_NOTICE_NONE)
			continue;
		const struct recipient *rcpt = recipient_of(d, res->number);
		list[count++] = (struct dsn_recipient){
			.final_recipient = rcpt->address,
			.orcpt = rcpt->orcpt,
			.action = wish == SUCCESS_NOTICE_DELIVERED ? DSN_DELIVERED : DSN_RELAYED,
			.status = res->status.klass == 2 ? res->status : STATUS(2, 0, 0),
			.remote_mta = d->attempt.host_name,
			.diagnostic_code = res->code,
			.diagnostic = res->text,
			.last_attempt = d->started,
		};
	}
	return count;
}

/* Behind what the record stores already: a notice of failure is its first. */
static void join(struct delivery *d)
{
	struct store_record *rec = &d->record;
	struct store_notice *all =
		arena_array(&d->arena, (size_t)rec->notice_count + 1, sizeof(*all));

	for (uint32_t i = 0; i < rec->notice_count; i++)
		all[i] = rec->notices[i];
	all[rec->notice_count] = d->receipt->notice;
	rec->notices = all;
	rec->notice_count++;
}

void receipt_build(struct delivery *d, struct str content)
{
	struct relay *r = d->hop->relay;
	const struct envelope *e = &d->message->env;
	struct own_mail *mail = arena_alloc(&d->arena, sizeof(*mail));
	struct dsn_recipient *list = arena_array(&d->arena, d->record.result_count, sizeof(*list));

	if (!own_mail_begin(mail, r, e->reverse_path, RECEIPT_BYTES_MAX)) {
		metric_add(r->env->metrics, METRIC_dsn_discarded_total, 1);
		return;
	}
	d->receipt = mail;

	struct dsn_params params = own_mail_dsn(r, &mail->message->env, e);

	params.original_headers = str_slice(header_section(content), 0, RECEIPT_HEADERS_MAX);
	params.recipients = list;
	params.recipient_count = fill_recipients(d, list);

	mail->message->env.origin = ORIGIN_RECEIPT;
	mail->message->env.priority = e->priority;
	mail->message->env.is_requiretls = e->is_requiretls; /* RFC 8689 5 */
	dsn_build(&mail->message->content, &params);
	own_mail_end(mail, dsn_is_8bit(&params));
	join(d);
}

void receipt_offer(struct delivery *d)
{
	if (!d->receipt)
		return;
	metric_add(d->hop->relay->env->metrics, METRIC_dsn_success_total, 1);
	own_mail_offer(d->receipt, d->hop->relay, d->message->env.id,
		"sender delivery status notification");
	d->receipt = NULL;
}

void receipt_drop(struct delivery *d)
{
	if (d->receipt)
		own_mail_drop(d->receipt);
	d->receipt = NULL;
}
