/*
 * digest - puts a digest together: head, text for people, a status part for each message. Parts are built first: their
 * number, bounded by the room, is named in the text. Words from outside pass dsn_fill.c, as in dsn.c.
 */
#include "mail/digest.h"

#include "digest_part.h"
#include "mail/queue_id.h"

/* Head and text: their values are cut at 900 octets each, and few. */
#define TEXT_BYTES_MAX ((size_t)96 << 10)

static const char *subject(const struct digest_params *p)
{
	switch (p->kind) {
	case DIGEST_DELAYED:
		return "Your mail is delayed; you need not send it again";
	case DIGEST_SETTLED:
		return "Your delayed mail waits no longer";
	case DIGEST_FAILED:
		return "Some of your messages were not delivered";
	}
	return "";
}

static void put_head(struct buf *out, const struct digest_params *p)
{
	struct queue_id_text id = queue_id_format(p->notice_id);
	const char *encoding = p->is_smtputf8 ? "8bit" : "7bit";
	/* automatic: an answer to no message in particular */
	const struct notice_head head = {
		.from = p->postmaster,
		.to = p->to,
		.host = p->reporting_mta,
		.subject = subject(p),
		.kind = "digest",
		.automatic = "auto-generated",
		.id = p->notice_id,
		.now = p->now,
		.allow_utf8 = p->is_smtputf8,
	};

	notice_head_write(out, &head);
	if (p->message_count > 0)
		buf_printf(out, "Content-Type: multipart/mixed; boundary=\"=_%s\"\r\n", id.text);
	else
		buf_printf(out, "Content-Type: text/plain; charset=%s\r\n",
			p->is_smtputf8 ? "utf-8" : "us-ascii");
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", encoding);
}

/* No line of ours begins with "--": text is indented or words of ours, status fields have names. */
static void put_part(struct buf *out, const struct digest_params *p, const char *type)
{
	buf_printf(out, "\r\n--=_%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n",
		queue_id_format(p->notice_id).text, type, p->is_smtputf8 ? "8bit" : "7bit");
}

static void put_status(
	struct buf *out, const struct digest_params *p, const struct digest_message *m)
{
	const struct dsn_params status = {
		.reporting_mta = p->reporting_mta,
		.original_id = m->id,
		.arrival = m->arrival,
		.envid = m->envid,
		.is_smtputf8 = p->is_smtputf8,
		.recipients = m->recipients,
		.recipient_count = m->recipient_count,
	};

	put_part(out, p,
		p->is_smtputf8 ? "message/global-delivery-status" : "message/delivery-status");
	dsn_write_status(out, &status);
}

/* As many whole parts as there is room for. */
static size_t put_all(struct buf *out, const struct digest_params *p)
{
	struct buf part;
	size_t count = 0;

	buf_init(&part, out->max_bytes);
	for (; count < p->message_count; count++) {
		buf_clear(&part);
		put_status(&part, p, &p->messages[count]);
		if (part.is_full || out->len + part.len > out->max_bytes)
			break;
		buf_append_str(out, buf_str(&part));
	}
	buf_fini(&part);
	return count;
}

void digest_build(struct buf *out, const struct digest_params *params)
{
	struct buf parts;
	size_t count;

	buf_init(&parts, DIGEST_BYTES_MAX - TEXT_BYTES_MAX);
	count = put_all(&parts, params);
	put_head(out, params);
	if (params->message_count > 0)
		put_part(out, params,
			params->is_smtputf8 ? "text/plain; charset=utf-8"
					    : "text/plain; charset=us-ascii");
	digest_write_text(out, params, count);
	buf_append_str(out, buf_str(&parts));
	if (params->message_count > 0)
		buf_printf(out, "\r\n--=_%s--\r\n", queue_id_format(params->notice_id).text);
	buf_fini(&parts);
}
