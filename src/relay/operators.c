/* operators - see operators.h. */
#include "relay/operators.h"

#include <stdlib.h>

#include "base/mem.h"
#include "relay/outage_private.h"
#include "relay/own_mail.h"

#define MAIL_BYTES_MAX ((size_t)16 << 10)
#define NAME_SHOWN_MAX 100

struct operator_mail {
	struct loose loose;
	struct store_accept op;
	struct own_mail mail;
	struct relay *relay;
};

static void mail_free(struct loose *l)
{
	struct operator_mail *m = CONTAINER_OF(l, struct operator_mail, loose);

	loose_end(l);
	store_op_fini(&m->op.op);
	own_mail_drop(&m->mail);
	free(m);
}

static void on_stored(struct store_op *op)
{
	struct operator_mail *m = CONTAINER_OF(op, struct operator_mail, op.op);
	struct relay *r = m->relay;

	r->delivery_count--;
	if (op->err == OK)
		own_mail_offer(&m->mail, r, m->mail.message->env.id, "notification of operators");
	else
		log_text(r->env->log, LOG_WARNING, "bounce", "cannot store a mail to operators: %s",
			err_name(op->err));
	mail_free(&m->loose);
	relay_check_stopped(r);
}

/* ---- text ---- */

/* Names come from DNS and replies from anywhere: one line, ASCII. */
static void put_safe(struct buf *out, struct str text, size_t max)
{
	text = str_slice(text, 0, max);
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		buf_append_char(out, c < ' ' || c >= 0x7f ? '?' : (char)c);
	}
}

static void put_name(struct buf *out, const struct outage_record *rec)
{
	struct buf name;

	buf_init(&name, 4096);
	outage_describe(&name, rec);
	put_safe(out, buf_str(&name), NAME_SHOWN_MAX);
	buf_fini(&name);
}

static const char *what_is(enum outage_kind kind)
{
	switch (kind) {
	case OUTAGE_DOWN:
		return "It cannot be reached.";
	case OUTAGE_STORM:
		return "It refuses for good what it used to take. Such mail is kept and tried "
		       "again.";
	case OUTAGE_DECLARED:
		return "It was declared by an operator.";
	case OUTAGE_OFFLINE:
		return "Nothing can be reached from here: our own connection or resolver seems to "
		       "fail.";
	case OUTAGE_STOPPED:
		return "The relay did not run.";
	case OUTAGE_KIND_COUNT:
		break;
	}
	return "";
}

static void put_date(struct buf *out, const char *label, struct wall at)
{
	if (at.ms == WALL_NONE.ms)
		return;
	buf_printf(out, "%s ", label);
	instant_format_rfc5322(out, at);
	buf_append_str(out, STR("\r\n"));
}

static void put_begin(struct buf *out, const struct outage_record *rec)
{
	buf_printf(out, "%s\r\n\r\n", what_is(rec->kind));
	put_date(out, "Since:", rec->began);
	if (rec->text.len > 0) {
		buf_append_str(out, STR("Reason: "));
		if (rec->code > 0)
			buf_printf(out, "%u ", rec->code);
		put_safe(out, rec->text, 500);
		buf_append_str(out, STR("\r\n"));
	}
	if (rec->host.len > 0) {
		buf_append_str(out, STR("Host: "));
		put_safe(out, rec->host, NAME_SHOWN_MAX * 2);
		buf_append_str(out, STR("\r\n"));
	}
	buf_printf(out, "Recipients that wait: %llu\r\n\r\n",
		(unsigned long long)rec->peak_recipients);
	buf_append_str(
		out, STR("From its beginning on no lifetime is counted for mail that waits there."
			 " There is nothing\r\nthat must be done. You will be told when it is"
			 " over.\r\n"));
}

static void put_end(struct buf *out, const struct outage_record *rec)
{
	struct buf span;

	buf_init(&span, 64);
	instant_format_span(&span, rec->ended.ms - rec->began.ms);
	buf_printf(out, "It is over after %s.\r\n\r\n", buf_cstr(&span));
	buf_fini(&span);
	put_date(out, "Began:", rec->began);
	put_date(out, "First answer:", rec->recovered);
	put_date(out, "Over:", rec->ended);
	buf_printf(out,
		"Recipients that waited at most: %llu\r\nDelivered: %llu\r\nOf these accepted more "
		"than"
		" five days before: %llu\r\nFailed: %llu\r\n",
		(unsigned long long)rec->peak_recipients, (unsigned long long)rec->delivered,
		(unsigned long long)rec->saved, (unsigned long long)rec->failed);
}

static void put_mail(struct buf *out, struct relay *r, const struct outage_record *rec, bool is_end,
	const struct envelope *env, uint32_t left_out)
{
	buf_append_str(out, STR("From: Mail Delivery System <"));
	buf_append_str(out, r->conf->bounce_from);
	buf_append_str(out, STR(">\r\nTo: <"));
	buf_append_str(out, r->conf->notify.operators);
	buf_printf(out, ">\r\nSubject: outage %llu of ", (unsigned long long)rec->id);
	put_name(out, rec);
	buf_printf(out, " %s\r\nDate: ", is_end ? "is over" : "has begun");
	instant_format_rfc5322(out, env->accepted);
	buf_printf(out, "\r\nMessage-ID: <%s.operators@%.*s>\r\n", queue_id_format(env->id).text,
		STR_FMT(r->conf->hostname));
	buf_append_str(out, STR("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
				"Content-Type: text/plain; charset=us-ascii\r\n\r\n"));
	buf_printf(out, "The mail relay %.*s reports outage %llu of ", STR_FMT(r->conf->hostname),
		(unsigned long long)rec->id);
	put_name(out, rec);
	buf_append_str(out, STR(".\r\n\r\n"));
	if (is_end)
		put_end(out, rec);
	else
		put_begin(out, rec);
	if (left_out > 0)
		buf_printf(out,
			"\r\n%u other outages began or ended of which there was no mail: see the"
			" log.\r\n",
			left_out);
}

/* ---- whether and when ---- */

/* Whole regions fail at once: the first few say so as well as all of them. */
static bool may_send(struct relay *r)
{
	struct wall now = env_wall(r->env);

	if (now.ms - r->operators.since.ms >= HOUR_MS) {
		r->operators.since = now;
		r->operators.sent = 0;
	}
	if (r->operators.sent >= OPERATOR_MAILS_PER_HOUR) {
		r->operators.left_out++;
		return false;
	}
	r->operators.sent++;
	return true;
}

void notify_operators(struct relay *r, const struct outage_record *rec, bool is_end)
{
	struct operator_mail *m;

	if (r->conf->notify.operators.len == 0 || rec->kind == OUTAGE_STOPPED || r->is_stopping ||
		!may_send(r))
		return;
	m = mem_zalloc(sizeof(*m));
	m->relay = r;
	if (!own_mail_begin(&m->mail, r, r->conf->notify.operators, MAIL_BYTES_MAX)) {
		free(m);
		return;
	}
	put_mail(&m->mail.message->content, r, rec, is_end, &m->mail.message->env,
		r->operators.left_out);
	r->operators.left_out = 0;
	own_mail_end(&m->mail, !str_is_ascii(r->conf->notify.operators));
	m->op = (struct store_accept){
		.op.on_done = on_stored,
		.env = &m->mail.message->env,
		.content = buf_str(&m->mail.message->content),
	};
	r->delivery_count++;
	loose_begin(r, &m->loose, mail_free);
	store_submit(r->store, &m->op.op, STORE_ACCEPT);
}
