/*
 * accept - the 250 that is a promise: the transaction becomes a message, and its client hears once it is durable.
 *
 * A client that leaves before its 250 changes nothing: the message is stored and will be delivered (RFC 1047: that
 * window is one commit). No space: 452 4.3.1 and nothing is stored.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "queue/class.h"
#include "queue/late_notice.h"
#include "relay/deadline.h"
#include "relay/intake_private.h"
#include "relay/teller.h"

/* A message on its way into the store. Outlives its session. */
struct accept {
	struct loose loose;
	struct flow_hold hold; /* while the 250 waits */
	struct store_accept op;
	struct intake *intake;
	struct session *session; /* NULL: the client left */
	struct message *message;
	struct recipient *recipients;
	uint32_t recipient_count;
	struct str mechanism;               /* of AUTH; empty: none */
	struct str forwarded, forwarded_id; /* in message->arena; empty: no XFORWARD */
};

/* -9 to 9, RFC 6710. */
static struct str priority_text(int priority, char *text)
{
	size_t len = 0;

	if (priority < 0)
		text[len++] = '-';
	text[len++] = (char)('0' + (priority < 0 ? -priority : priority));
	return str_of(text, len);
}

static void log_accepted(const struct accept *a)
{
	struct log *log = a->intake->relay->env->log;
	const struct envelope *e = &a->message->env;
	struct queue_id_text id = queue_id_format(e->id);
	struct buf size, count;

	buf_init(&size, 32);
	buf_init(&count, 32);
	buf_append_number(&size, e->size_bytes, 1);
	buf_append_number(&count, a->recipient_count, 1);

	struct str forwarded = a->forwarded;
	const struct log_field fields[] = {
		{ "client", e->client, LOG_PLAIN, false },
		{ "sasl_method", a->mechanism, LOG_PLAIN, false },
		{ "sasl_username", e->user, LOG_PLAIN, false },
		{ "orig_queue_id", a->forwarded_id, LOG_PLAIN, false },
		{ "orig_client", str_cut(&forwarded, ' '), LOG_PLAIN, false },
	};
	struct log_field client[ARRAY_COUNT(fields)];
	size_t client_count = 0;

	for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
		if (i == 0 || fields[i].value.len > 0)
			client[client_count++] = fields[i];

	const struct log_field message_id[] = {
		{ "message-id", e->message_id.len ? str_trim(e->message_id) : STR("<>"), LOG_PLAIN,
			false },
	};
	char priority[sizeof("-9")];
	const struct log_field envelope[] = {
		{ "from", e->reverse_path, LOG_BRACKETED, false },
		{ "size", buf_str(&size), LOG_PLAIN, false },
		{ "nrcpt", buf_str(&count), LOG_PLAIN, false },
		{ "priority", priority_text(e->priority, priority), LOG_PLAIN, false },
	};
	size_t envelope_count = e->priority != 0 ? 4 : 3;
	const struct log_event events[] = {
		{ LOG_INFO, "smtpd", str_from_c(id.text), client, client_count, STR("") },
		{ LOG_INFO, "cleanup", str_from_c(id.text), message_id, 1, STR("") },
		{ LOG_INFO, "qmgr", str_from_c(id.text), envelope, envelope_count,
			STR("queue active") },
	};

	for (size_t i = 0; i < ARRAY_COUNT(events); i++)
		log_event(log, &events[i]);
	buf_fini(&size);
	buf_fini(&count);
}

static void count_accepted(const struct accept *a)
{
	struct metrics *m = a->intake->relay->env->metrics;

	metric_add(m, METRIC_messages_accepted_total, 1);
	metric_add(m, METRIC_recipients_accepted_total, a->recipient_count);
	metric_add(m, METRIC_bytes_accepted_total, a->message->env.size_bytes);
}

/* The 250 leaves at the end of the loop's turn; timers due at once, and deferred calls, would come before that. */
void accept_on_replied(struct timer *t)
{
	struct intake *in = CONTAINER_OF(t, struct intake, replied);

	(void)fault_hit(in->relay->env->fault, FAULT_accept_replied);
}

static void answer_accepted(struct accept *a)
{
	struct relay *r = a->intake->relay;
	struct queue_id_text id = queue_id_format(a->message->env.id);
	char text[64] = "Ok: queued as ";
	struct smtp_answer answer = { .code = 250, .status = STATUS(2, 0, 0) };

	memcpy(text + 14, id.text, QUEUE_ID_LEN);
	answer.text = str_of(text, 14 + QUEUE_ID_LEN);
	if (!a->session)
		return;
	a->session->accept = NULL;
	smtp_server_finish(a->session->server, &answer);
	/* Not put off by the next reply: in a burst it would never come. */
	if (r->env->fault && !timer_is_active(&a->intake->replied))
		env_timer_after(r->env, &a->intake->replied, 1);
}

static void refuse_accepted(struct accept *a, enum err err)
{
	struct smtp_answer answer;

	intake_refuse(
		&answer, 452, STATUS(4, 3, 1), STR("Insufficient system storage, try again later"));
	log_text(a->intake->relay->env->log, LOG_ERROR, "smtpd",
		"a message could not be stored and was refused with 452: %s", err_name(err));
	metric_add(a->intake->relay->env->metrics, METRIC_messages_refused_total, 1);
	if (a->op.spooled_chunks > 0)
		spool_discard(a->intake, a->message->env.id);
	if (!a->session)
		return;
	a->session->accept = NULL;
	smtp_server_finish(a->session->server, &answer);
}

/* Spooled content, and content beyond what memory may hold, is read back from the store when its turn comes. */
static void offer(struct relay *r, struct accept *a)
{
	if (!a->message->has_content || r->fresh_bytes > FRESH_BYTES_MAX)
		message_drop_content(a->message);
	sched_offer(r, a->message, a->recipients, a->recipient_count);
}

static void accept_free(struct loose *l)
{
	struct accept *a = CONTAINER_OF(l, struct accept, loose);

	loose_end(l);
	list_remove(&a->hold.link);
	message_unref(a->message);
	store_op_fini(&a->op.op);
	free(a);
}

static void finish_accept(struct accept *a)
{
	struct intake *in = a->intake;

	accept_free(&a->loose);
	intake_done_one(in);
}

static void on_go(struct flow_hold *hold)
{
	struct accept *a = CONTAINER_OF(hold, struct accept, hold);

	answer_accepted(a);
	finish_accept(a);
}

/* Who has little time does not wait for the usual look. */
static void note_by_time(struct relay *r, const struct envelope *env)
{
	if (env->deliver_by_notify)
		teller_note(r->teller, env->deliver_by);
	else
		deadline_note(r->deadline, env->deliver_by);
}

static void on_accepted(struct store_op *op)
{
	struct accept *a = CONTAINER_OF(op, struct accept, op.op);
	struct relay *r = a->intake->relay;
	struct message *m = a->message;

	if (op->err != OK) {
		refuse_accepted(a, op->err);
		finish_accept(a);
		return;
	}
	log_accepted(a);
	count_accepted(a);
	bool must_hold = a->session && flow_must_hold(&r->flow);
	if (!must_hold)
		answer_accepted(a);
	m->env.recipients = NULL;
	m->env.recipient_count = 0;
	if (m->env.deliver_by.ms != WALL_NONE.ms)
		note_by_time(r, &m->env);
	if (m->env.hold_until.ms > env_wall(r->env).ms)
		agenda_note_due(r, m->env.hold_until);
	else
		offer(r, a);
	if (must_hold) {
		a->hold.on_go = on_go;
		flow_hold(&r->flow, &a->hold);
	} else {
		finish_accept(a);
	}
}

/* What neither the client nor its user asked for: class rules, and who hears of a delay. */
static void classify(
	struct relay *r, struct smtp_transaction *t, const struct smtp_server_info *info)
{
	const struct header_scan *h = &t->header;
	/* After a reload the marks of the old rules say nothing about the new. */
	uint64_t hits = h->watches == r->conf->header_watches ? h->watch_hits : 0;
	const struct conf_class *class =
		r->conf->class_count > 0 ? class_of(r->conf, &t->env, hits) : NULL;

	if (class)
		class_apply(class, &t->env);
	t->env.is_tls_optional = h->is_tls_optional && !t->env.is_requiretls;
	/* A stranger may have named anybody as its sender, who wants no news of it. */
	t->env.late_notice =
		intake_may_relay(info) ? late_notice_of(&t->env, h->is_bulk) : LATE_NOTICE_NONE;
}

/* The transaction becomes a message: strings and content move, nothing is copied. */
static struct message *message_of(
	struct relay *r, struct smtp_transaction *t, const struct smtp_server_info *info)
{
	struct message *m = message_new();
	struct recipient *recipients =
		arena_array(&t->arena, t->env.recipient_count, sizeof(*recipients));

	classify(r, t, info);
	memcpy(recipients, t->env.recipients, t->env.recipient_count * sizeof(*recipients));
	t->env.message_id = arena_dup(&t->arena, buf_str(&t->header.message_id));
	t->env.size_bytes = t->content_bytes;
	m->env = t->env;
	m->env.recipients = recipients;
	arena_move(&m->arena, &t->arena);
	m->content = t->content;
	buf_init(&t->content, 0);
	m->has_content = t->spooled_chunks == 0;
	m->chunk_count = t->spooled_chunks + 1;
	m->held_bytes = &r->fresh_bytes;
	r->fresh_bytes += m->content.len;
	return m;
}

static void keep_forwarded(struct accept *a, const struct smtp_server_info *info)
{
	if (info->forwarded.len == 0)
		return;
	a->forwarded = arena_dup(&a->message->arena, info->forwarded);
	a->forwarded_id = arena_dup(&a->message->arena, info->forwarded_id);
}

void accept_on_message(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;
	struct intake *in = s->intake;
	struct relay *r = in->relay;
	struct accept *a = mem_zalloc(sizeof(*a));
	uint32_t spooled = t->spooled_chunks;

	a->intake = in;
	a->session = s;
	a->message = message_of(r, t, smtp_server_info(server));
	keep_forwarded(a, smtp_server_info(server));
	if (smtp_server_info(server)->user.len > 0)
		a->mechanism = smtp_server_info(server)->mechanism; /* "PLAIN" or "LOGIN", static */
	a->recipients = a->message->env.recipients;
	a->recipient_count = a->message->env.recipient_count;
	smtp_transaction_free(t);
	s->accept = a;
	a->op = (struct store_accept){
		.op.on_done = on_accepted,
		.env = &a->message->env,
		.content = buf_str(&a->message->content),
		.spooled_chunks = spooled,
	};
	in->accept_count++;
	loose_begin(r, &a->loose, accept_free);
	store_submit(r->store, &a->op.op, STORE_ACCEPT);
}

void accept_forget_session(struct accept *a)
{
	if (a)
		a->session = NULL;
}
