/*
 * server_mail - MAIL and RCPT: a transaction begins and gathers its recipients.
 *
 * The handler decides who may send to whom; here are form, order and limits. A recipient's strings go to the
 * transaction only once it is accepted, so refused ones cost nothing that lasts.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "session.h"

#define RECIPIENTS_FIRST 4

static void set_client(struct smtp_server *s, struct smtp_transaction *t)
{
	struct buf name;

	buf_init(&name, 512);
	smtp_server_append_client(&name, &s->info);
	t->env.client = arena_dup(&t->arena, buf_str(&name));
	buf_fini(&name);
}

static struct smtp_transaction *begin(struct smtp_server *s, const struct command *c)
{
	struct smtp_transaction *t = mem_zalloc(sizeof(*t));

	t->env.accepted = env_wall(s->env);
	t->env.reverse_path = arena_dup(&t->arena, c->address.text);
	t->env.body = c->body;
	/* What the client claims; what the message needs is known at its end. */
	t->env.is_smtputf8 = c->is_smtputf8;
	t->env.ret = c->ret;
	t->env.envid = arena_dup(&t->arena, c->envid);
	t->env.origin = ORIGIN_SMTP;
	t->env.helo = arena_dup(&t->arena, s->info.helo);
	server_keep_wishes(s, c, &t->env);
	set_client(s, t);
	t->declared_bytes = c->size_bytes;
	header_scan_init(&t->header, arena_dup(&t->arena, s->conf->hostname));
	t->header.watches = s->conf->header_watches;
	t->header.watch_count = s->conf->header_watch_count;
	return t;
}

void server_on_mail(struct smtp_server *s, const struct command *c)
{
	struct smtp_answer answer = { 0 };
	uint32_t messages_max = s->conf->smtpd.messages_per_session;
	const struct smtp_answer too_large = { .code = 552,
		.status = STATUS(5, 3, 4),
		.text = STR("message is larger than limits.message-size-max") };

	if (messages_max > 0 && s->message_count >= messages_max) {
		server_end(s, STATUS(4, 7, 0), "enough messages for one session");
		return;
	}
	if (c->has_size && c->size_bytes > s->conf->smtpd.message_bytes_max) {
		server_log_reject(s, "MAIL", c->address.text, STR(""), &too_large);
		server_refuse(s, 552, STATUS(5, 3, 4), "message is larger than %llu octets",
			(unsigned long long)s->conf->smtpd.message_bytes_max);
		return;
	}
	if (!server_is_qualified(s, c) || !server_may_wish(s, c))
		return;
	s->t = begin(s, c);
	s->handler->on_mail(s->user, s, s->t, &answer);
	if (s->state == SESSION_CLOSED)
		return;
	if (answer.code != 0) {
		server_refuse_mail(s, "MAIL", &answer);
	} else if (server_is_priority_lost(s, c)) {
		/* RFC 6710 10: the new priority comes first. */
		server_say(s, 250, STATUS(2, 3, 6),
			STR("0 is the priority of mail from unknown clients"));
	} else {
		server_say(s, 250, STATUS(2, 1, 0), STR("sender ok"));
	}
}

static struct recipient *next_recipient(struct smtp_transaction *t)
{
	struct envelope *env = &t->env;

	if (env->recipient_count == t->recipient_cap) {
		uint32_t cap = t->recipient_cap > 0 ? 2 * t->recipient_cap : RECIPIENTS_FIRST;
		struct recipient *grown = arena_array(&t->arena, cap, sizeof(*grown));
		if (env->recipient_count > 0)
			memcpy(grown, env->recipients, env->recipient_count * sizeof(*grown));
		env->recipients = grown;
		t->recipient_cap = cap;
	}
	return &env->recipients[env->recipient_count];
}

static void keep_recipient(struct smtp_transaction *t, struct recipient *rcpt)
{
	rcpt->address = arena_dup(&t->arena, rcpt->address);
	rcpt->domain = arena_dup(&t->arena, rcpt->domain);
	rcpt->hop = arena_dup(&t->arena, rcpt->hop);
	rcpt->orcpt = arena_dup(&t->arena, rcpt->orcpt);
	t->env.recipient_count++;
}

void server_on_rcpt(struct smtp_server *s, const struct command *c)
{
	struct smtp_transaction *t = s->t;
	struct smtp_answer answer = { 0 };

	if (t->is_chunked) {
		server_refuse(s, 503, STATUS(5, 5, 1), "RCPT is not allowed after BDAT");
		return;
	}
	if (t->env.recipient_count >= s->conf->smtpd.recipients_max) {
		/* RFC 5321 4.5.3.1.10: the client sends the others the rest. */
		server_reply(s, 452, STATUS(4, 5, 3), "too many recipients, send the others later");
		return;
	}
	if (!server_is_qualified(s, c))
		return;
	struct recipient *rcpt = next_recipient(t);
	*rcpt = (struct recipient){
		.number = t->env.recipient_count + 1,
		.address = c->address.text,
		.domain = c->address.domain,
		.orcpt = c->orcpt,
		.notify = c->notify,
	};
	s->handler->on_rcpt(s->user, s, t, rcpt, &c->address, &answer);
	if (s->state == SESSION_CLOSED)
		return;
	if (answer.is_later)
		server_wait(s, QUESTION_RCPT);
	else
		server_end_rcpt(s, &answer);
}

void server_end_rcpt(struct smtp_server *s, const struct smtp_answer *answer)
{
	struct smtp_transaction *t = s->t;

	if (answer->code != 0) {
		server_log_reject(s, "RCPT", t->env.reverse_path,
			t->env.recipients[t->env.recipient_count].address, answer);
		server_answer(s, answer);
	} else {
		keep_recipient(t, &t->env.recipients[t->env.recipient_count]);
		server_say(s, 250, STATUS(2, 1, 5), STR("recipient ok"));
	}
}

void server_reset(struct smtp_server *s)
{
	struct smtp_transaction *t = s->t;

	s->t = NULL;
	server_forget_forward(s);
	if (!t)
		return;
	if (t->env.id != 0)
		s->handler->on_abort(s->user, s, t);
	smtp_transaction_free(t);
}

void smtp_transaction_free(struct smtp_transaction *t)
{
	if (!t)
		return;
	arena_fini(&t->arena);
	buf_fini(&t->content);
	header_scan_fini(&t->header);
	if (t->submission)
		submission_fini(t->submission);
	free(t->submission);
	free(t);
}
