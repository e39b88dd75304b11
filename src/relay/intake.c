/*
 * intake - mail comes in: access, limits of the house, ids, and the 250 that is a promise.
 *
 * Happy path: a session asks on_mail, on_rcpt, on_data; content streams to the store when it is large; on_message submits
 * ACCEPT; when that is durable the client hears 250 and the scheduler gets the message. A client that leaves before its
 * 250 changes nothing: the message is stored and will be delivered (RFC 1047: that window is one commit).
 * No space: 452 4.3.1 and nothing is stored.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "deliver/route.h"
#include "mail/trace.h"
#include "queue/class.h"
#include "queue/late_notice.h"
#include "relay/auth.h"
#include "relay/destination.h"
#include "relay/hint.h"
#include "relay/share.h"
#include "smtp/server.h"

struct intake {
	struct relay *relay;
	struct auth *auth;
	struct list sessions; /* of session.link */
	uint32_t session_count;
	uint32_t accept_count; /* messages, chunks and checks under way */
	struct map clients;    /* struct client by address */
	uint64_t next_session;
	bool is_closing, is_ended;
	struct timer replied; /* for the fault point of that name */
	struct smtp_server_handler handler;
};

/* Sessions of one address. */
struct client {
	struct map_entry entry;
	struct endpoint address;
	uint32_t sessions;
};

struct session {
	struct list link;
	struct intake *intake;
	struct smtp_server *server;
	struct client *client;
	struct accept *accept; /* waiting for its commit, or NULL */
	struct spool *spool;
	struct credential *credential;
};

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
};

struct spool {
	struct loose loose;
	struct store_spool op;
	struct intake *intake;
	struct session *session;
	struct smtp_transaction *transaction; /* valid while session is */
	struct buf content;
};

struct discard {
	struct loose loose;
	struct store_discard op;
	struct intake *intake;
};

struct credential {
	struct intake *intake;
	struct session *session;
};

static void done_one(struct intake *in)
{
	in->accept_count--;
	relay_check_stopped(in->relay);
}

static void refuse(struct smtp_answer *answer, unsigned code, struct status status, struct str text)
{
	*answer = (struct smtp_answer){ .code = code, .status = status, .text = text };
}

/* ---- MAIL, RCPT, DATA ---- */

static bool may_relay(const struct session *s)
{
	const struct smtp_server_info *info = smtp_server_info(s->server);

	return info->user.len > 0 || (info->is_trusted && info->allow == ALLOW_TRUSTED);
}

static void on_mail(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	struct session *s = user;
	struct relay *r = s->intake->relay;
	const struct smtp_server_info *info = smtp_server_info(server);

	if (info->allow == ALLOW_AUTHENTICATED && info->user.len == 0)
		refuse(answer, 530, STATUS(5, 7, 0), STR("Authentication required"));
	else if (r->upkeep.is_space_low || r->upkeep.is_full ||
		 (t->declared_bytes > 0 && t->declared_bytes > r->upkeep.disk_free_bytes))
		refuse(answer, 452, STATUS(4, 3, 1),
			STR("Insufficient system storage, try again later"));
	t->env.user = arena_dup(&t->arena, info->user);
	if (hint_may_know(r))
		hint_note_client(r, &info->client);
}

static void on_rcpt(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct recipient *rcpt, const struct address *address, struct smtp_answer *answer)
{
	struct session *s = user;
	const struct conf *conf = s->intake->relay->conf;

	(void)server;
	if (address->domain.len == 0) {
		/* <Postmaster> without a domain is ours, for whoever writes to it (RFC 5321 section 4.5.1) */
		struct address postmaster;

		if (address_parse(conf->postmaster, true, &t->arena, &postmaster) != OK) {
			refuse(answer, 550, STATUS(5, 1, 1),
				STR("No postmaster is configured here"));
			return;
		}
		rcpt->address = postmaster.text;
		rcpt->domain = postmaster.domain;
	} else if (!may_relay(s)) {
		refuse(answer, 550, STATUS(5, 7, 1),
			STR("Relaying denied: client is not in a trusted network and not "
			    "authenticated"));
		return;
	}
	rcpt->hop = route_hop_of(conf, rcpt->domain, t->env.reverse_path, &t->arena);
	if (share_is_over(s->intake->relay, rcpt->hop))
		refuse(answer, 452, STATUS(4, 3, 1),
			STR("Too much mail waits for this destination, which is down; try again "
			    "later"));
}

static void on_data(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	struct session *s = user;
	struct relay *r = s->intake->relay;
	const struct smtp_server_info *info = smtp_server_info(server);

	(void)answer;
	t->env.id = relay_new_id(r);
	t->env.accepted = env_wall(r->env);
	t->env.helo = arena_dup(&t->arena, info->helo);

	const struct trace_info trace = {
		.hostname = r->conf->hostname,
		.helo = info->helo,
		.client = info->client,
		.is_esmtp = info->is_esmtp,
		.is_tls = info->is_tls,
		.is_authenticated = info->user.len > 0,
		.is_smtputf8 = t->env.is_smtputf8,
		.tls = info->tls,
		.id = t->env.id,
		.only_recipient =
			t->env.recipient_count == 1 ? t->env.recipients[0].address : STR(""),
		.at = t->env.accepted,
	};
	trace_received(&t->content, &trace);
}

/* ---- large content ---- */

static void spool_free(struct loose *l)
{
	struct spool *sp = CONTAINER_OF(l, struct spool, loose);

	loose_end(l);
	buf_fini(&sp->content);
	store_op_fini(&sp->op.op);
	free(sp);
}

static void on_spooled(struct store_op *op)
{
	struct spool *sp = CONTAINER_OF(op, struct spool, op.op);
	struct intake *in = sp->intake;

	if (sp->session) {
		if (op->err == OK)
			sp->transaction->spooled_chunks++;
		sp->session->spool = NULL;
		smtp_server_spooled(sp->session->server, op->err);
	}
	spool_free(&sp->loose);
	done_one(in);
}

static void on_spool(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;
	struct spool *sp = mem_zalloc(sizeof(*sp));

	(void)server;
	sp->intake = s->intake;
	sp->session = s;
	sp->transaction = t;
	sp->content = t->content;
	buf_init(&t->content, sp->content.max_bytes);
	sp->op = (struct store_spool){
		.op.on_done = on_spooled,
		.id = t->env.id,
		.chunk = t->spooled_chunks,
		.content = buf_str(&sp->content),
	};
	s->spool = sp;
	loose_begin(s->intake->relay, &sp->loose, spool_free);
	s->intake->accept_count++;
	store_submit(s->intake->relay->store, &sp->op.op, STORE_SPOOL);
}

static void discard_free(struct loose *l)
{
	struct discard *d = CONTAINER_OF(l, struct discard, loose);

	loose_end(l);
	store_op_fini(&d->op.op);
	free(d);
}

static void on_discarded(struct store_op *op)
{
	struct discard *d = CONTAINER_OF(op, struct discard, op.op);
	struct intake *in = d->intake;

	/* what could not be dropped now is swept at the next start */
	discard_free(&d->loose);
	done_one(in);
}

static void discard(struct intake *in, uint64_t id)
{
	struct discard *d;

	if (in->is_ended)
		return; /* there is no store any more; the next start sweeps */
	d = mem_zalloc(sizeof(*d));

	d->intake = in;
	d->op = (struct store_discard){ .op.on_done = on_discarded, .id = id };
	in->accept_count++;
	loose_begin(in->relay, &d->loose, discard_free);
	store_submit(in->relay->store, &d->op.op, STORE_DISCARD);
}

static void on_abort(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;

	(void)server;
	if (s->spool) {
		s->spool->session = NULL;
		s->spool = NULL;
	} else if (t->spooled_chunks == 0) {
		return;
	}
	discard(s->intake, t->env.id);
}

/* ---- the whole message ---- */

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

	const struct log_field client[] = {
		{ "client", e->client, LOG_PLAIN, false },
		{ "sasl_username", e->user, LOG_PLAIN, false },
	};
	const struct log_field message_id[] = {
		{ "message-id", e->message_id.len ? str_trim(e->message_id) : STR("<>"), LOG_PLAIN,
			false },
	};
	const struct log_field envelope[] = {
		{ "from", e->reverse_path, LOG_BRACKETED, false },
		{ "size", buf_str(&size), LOG_PLAIN, false },
		{ "nrcpt", buf_str(&count), LOG_PLAIN, false },
	};
	const struct log_event events[] = {
		{ LOG_INFO, "smtpd", str_from_c(id.text), client, e->user.len ? 2 : 1, STR("") },
		{ LOG_INFO, "cleanup", str_from_c(id.text), message_id, 1, STR("") },
		{ LOG_INFO, "qmgr", str_from_c(id.text), envelope, 3, STR("queue active") },
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
static void on_replied(struct timer *t)
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

	refuse(&answer, 452, STATUS(4, 3, 1), STR("Insufficient system storage, try again later"));
	log_text(a->intake->relay->env->log, LOG_ERROR, "smtpd",
		"a message could not be stored and was refused with 452: %s", err_name(err));
	metric_add(a->intake->relay->env->metrics, METRIC_messages_refused_total, 1);
	if (a->op.spooled_chunks > 0)
		discard(a->intake, a->message->env.id);
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
	done_one(in);
}

static void on_go(struct flow_hold *hold)
{
	struct accept *a = CONTAINER_OF(hold, struct accept, hold);

	answer_accepted(a);
	finish_accept(a);
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
static void classify(struct relay *r, struct smtp_transaction *t)
{
	const struct header_scan *h = &t->header;
	/* After a reload the marks of the old rules say nothing about the new. */
	uint64_t hits = h->watches == r->conf->header_watches ? h->watch_hits : 0;
	const struct conf_class *class =
		r->conf->class_count > 0 ? class_of(r->conf, &t->env, hits) : NULL;

	if (class)
		class_apply(class, &t->env);
	t->env.late_notice = late_notice_of(&t->env, h->is_bulk);
}

/* The transaction becomes a message: strings and content move, nothing is copied. */
static struct message *message_of(struct relay *r, struct smtp_transaction *t)
{
	struct message *m = message_new();
	struct recipient *recipients =
		arena_array(&t->arena, t->env.recipient_count, sizeof(*recipients));

	classify(r, t);
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

static void on_message(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;
	struct intake *in = s->intake;
	struct relay *r = in->relay;
	struct accept *a = mem_zalloc(sizeof(*a));
	uint32_t spooled = t->spooled_chunks;

	(void)server;
	a->intake = in;
	a->session = s;
	a->message = message_of(r, t);
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

/* ---- AUTH ---- */

static void on_checked(void *user, bool is_good)
{
	struct credential *c = user;
	struct intake *in = c->intake;

	if (c->session) {
		c->session->credential = NULL;
		smtp_server_auth_done(c->session->server, is_good);
	}
	free(c);
	done_one(in);
}

static void on_auth(void *user, struct smtp_server *server, struct str name, struct str password)
{
	struct session *s = user;
	struct credential *c = mem_zalloc(sizeof(*c));

	(void)server;
	c->intake = s->intake;
	c->session = s;
	s->credential = c;
	s->intake->accept_count++;
	auth_check(s->intake->auth, s->intake->relay->conf, name, password, on_checked, c);
}

/* ---- sessions ---- */

static struct client *client_get(struct intake *in, const struct endpoint *address)
{
	struct str key = str_of((const char *)address->ip, sizeof(address->ip));
	struct map_entry *e = map_find(&in->clients, key);
	struct client *c;

	if (e)
		return CONTAINER_OF(e, struct client, entry);
	c = mem_zalloc(sizeof(*c));
	c->address = *address;
	map_insert(&in->clients, &c->entry,
		str_of((const char *)c->address.ip, sizeof(c->address.ip)));
	return c;
}

static void client_put(struct intake *in, struct client *c)
{
	if (c->sessions > 0)
		return;
	map_remove(&in->clients, &c->entry);
	free(c);
}

static void on_close(void *user, struct smtp_server *server, const char *reason)
{
	struct session *s = user;
	struct intake *in = s->intake;
	const struct smtp_server_info *info = smtp_server_info(server);
	struct buf b;

	buf_init(&b, 256);
	buf_append_str(&b, STR("disconnect from unknown["));
	endpoint_format_ip(&b, &info->client);
	buf_printf(&b, "] (%s)", reason);
	log_text(in->relay->env->log, LOG_INFO, "smtpd", "%s", buf_cstr(&b));
	buf_fini(&b);
	if (s->accept)
		s->accept->session = NULL;
	if (s->spool)
		s->spool->session = NULL;
	if (s->credential)
		s->credential->session = NULL;
	s->client->sessions--;
	client_put(in, s->client);
	list_remove(&s->link);
	in->session_count--;
	metric_set(in->relay->env->metrics, METRIC_smtpd_connections, in->session_count);
	free(s);
	relay_check_stopped(in->relay);
}

static void turn_away(struct intake *in, struct conn *conn, struct str reply)
{
	const struct net_ops *net = in->relay->net->ops;

	metric_add(in->relay->env->metrics, METRIC_smtpd_rejected_connections_total, 1);
	net->conn_write(conn, reply);
	net->conn_close(conn, true);
}

void intake_accept_conn(struct intake *in, struct conn *conn, const struct conf_listener *listener)
{
	struct relay *r = in->relay;
	struct endpoint peer;
	struct client *client;
	struct session *s;

	r->net->ops->conn_peer(conn, &peer);
	metric_add(r->env->metrics, METRIC_smtpd_connections_total, 1);
	if (in->is_closing || in->session_count >= r->conf->smtpd.sessions_max) {
		turn_away(in, conn, STR("421 4.3.2 Too many sessions, try again later\r\n"));
		return;
	}
	client = client_get(in, &peer);
	if (client->sessions >= r->conf->smtpd.sessions_per_client) {
		turn_away(in, conn,
			STR("421 4.7.0 Too many sessions from your address, try again later\r\n"));
		client_put(in, client);
		return;
	}
	s = mem_zalloc(sizeof(*s));
	s->intake = in;
	s->client = client;
	client->sessions++;
	list_push_back(&in->sessions, &s->link);
	in->session_count++;
	metric_set(r->env->metrics, METRIC_smtpd_connections, in->session_count);
	s->server = smtp_server_new(r->env, r->conf, conn, r->net->ops, listener, r->params.has_tls,
		++in->next_session, &in->handler, s);
}

struct intake *intake_new(struct relay *r)
{
	struct intake *in = mem_zalloc(sizeof(*in));
	uint64_t seed;

	in->relay = r;
	in->auth = auth_new(r->env);
	in->replied.on_fire = on_replied;
	list_init(&in->sessions);
	env_random(r->env, &seed, sizeof(seed));
	map_init(&in->clients, seed);
	in->handler = (struct smtp_server_handler){
		.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_data = on_data,
		.on_spool = on_spool,
		.on_message = on_message,
		.on_abort = on_abort,
		.on_auth = on_auth,
		.on_close = on_close,
	};
	return in;
}

void intake_shutdown(struct intake *in)
{
	in->is_closing = true;
	LIST_FOR_EACH_SAFE (link, &in->sessions)
		smtp_server_shutdown(CONTAINER_OF(link, struct session, link)->server);
}

void intake_drop_all(struct intake *in)
{
	in->is_closing = true;
	while (!list_is_empty(&in->sessions))
		smtp_server_drop(CONTAINER_OF(in->sessions.next, struct session, link)->server);
}

uint32_t intake_session_count(const struct intake *in)
{
	return in->session_count;
}

bool intake_is_idle(const struct intake *in)
{
	return in->session_count == 0 && in->accept_count == 0;
}

void intake_free(struct intake *in)
{
	in->is_ended = true;
	intake_drop_all(in);
	env_timer_stop(in->relay->env, &in->replied);
	map_fini(&in->clients);
	auth_free(in->auth);
	free(in);
}
