/* own_mail - see own_mail.h. */
#include "relay/own_mail.h"

#include "mail/address.h"

bool own_mail_begin(struct own_mail *m, struct relay *r, struct str to, size_t bytes_max)
{
	struct message *message = message_new();
	struct address address;

	*m = (struct own_mail){ .message = NULL };
	/* What comes back to where our notices come from is of no sender. */
	if (address_parse(to, true, &message->arena, &address) != OK || address.domain.len == 0 ||
		str_equal_fold(to, r->conf->bounce_from)) {
		message_unref(message);
		return false;
	}
	m->message = message;
	m->recipient = (struct recipient){
		.number = 1,
		.address = address.text,
		.domain = address.domain,
		.hop = route_hop_of(r->conf, address.domain, STR(""), &message->arena),
		.notify = NOTIFY_NEVER,
	};
	message->env.id = relay_new_id(r);
	message->env.accepted = env_wall(r->env);
	message->env.origin = ORIGIN_DSN;
	message->env.is_smtputf8 = address.is_utf8;
	message->env.recipients = &m->recipient;
	message->env.recipient_count = 1;
	buf_init(&message->content, bytes_max);
	return true;
}

void own_mail_end(struct own_mail *m, bool is_8bit)
{
	struct message *message = m->message;

	message->has_content = true;
	message->chunk_count = 1;
	message->env.body = is_8bit ? BODY_8BITMIME : BODY_7BIT;
	message->env.size_bytes = message->content.len;
	m->notice = (struct store_notice){ message->env, buf_str(&message->content) };
}

struct dsn_params own_mail_dsn(
	const struct relay *r, const struct envelope *own, const struct envelope *about)
{
	return (struct dsn_params){
		.reporting_mta = r->conf->hostname,
		.to = about->reverse_path,
		.postmaster = r->conf->bounce_from,
		.contact = r->conf->postmaster,
		.notice_id = own->id,
		.original_id = about->id,
		.now = own->accepted,
		.arrival = about->accepted,
		.received_from = about->helo,
		.deliver_by = about->deliver_by_is_ours ? WALL_NONE : about->deliver_by,
		.hold_wish = about->hold_wish,
		.hold_until = about->hold_until,
		.envid = about->envid,
		.is_smtputf8 = about->is_smtputf8,
	};
}

void own_mail_offer(struct own_mail *m, struct relay *r, uint64_t about, const char *text)
{
	struct log *log = r->env->log;
	struct queue_id_text id = queue_id_format(about);
	struct queue_id_text own_id = queue_id_format(m->message->env.id);
	struct buf said, size;

	buf_init(&said, 256);
	buf_init(&size, 32);
	buf_printf(&said, "%s: %s", text, own_id.text);
	buf_append_number(&size, m->message->env.size_bytes, 1);

	const struct log_field envelope[] = {
		{ "from", STR(""), LOG_BRACKETED, false },
		{ "size", buf_str(&size), LOG_PLAIN, false },
		{ "nrcpt", STR("1"), LOG_PLAIN, false },
	};
	const struct log_event events[] = {
		{ LOG_INFO, "bounce", str_from_c(id.text), NULL, 0, buf_str(&said) },
		{ LOG_INFO, "qmgr", str_from_c(own_id.text), envelope, ARRAY_COUNT(envelope),
			STR("queue active") },
	};

	for (size_t i = 0; i < ARRAY_COUNT(events); i++)
		log_event(log, &events[i]);
	m->message->env.recipients = NULL;
	m->message->env.recipient_count = 0;
	sched_offer(r, m->message, &m->recipient, 1);
	buf_fini(&said);
	buf_fini(&size);
	own_mail_drop(m);
}

void own_mail_drop(struct own_mail *m)
{
	message_unref(m->message);
	m->message = NULL;
}
