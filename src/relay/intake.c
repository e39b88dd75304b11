/*
 * intake - mail comes in: who may send what to whom, and the sessions.
 *
 * Happy path: a session asks on_mail, on_rcpt, on_data; content streams to the store when it is large (spool.c); on_message
 * submits ACCEPT, and when that is durable the client hears 250 and the scheduler gets the message (accept.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "deliver/route.h"
#include "mail/trace.h"
#include "relay/account.h"
#include "relay/hint.h"
#include "relay/intake_private.h"
#include "relay/share.h"

struct credential {
	struct intake *intake;
	struct session *session;
};

void intake_done_one(struct intake *in)
{
	in->accept_count--;
	relay_check_stopped(in->relay);
}

void intake_refuse(struct smtp_answer *answer, unsigned code, struct status status, struct str text)
{
	*answer = (struct smtp_answer){ .code = code, .status = status, .text = text };
}

/* ---- MAIL, RCPT, DATA ---- */

bool intake_may_relay(const struct smtp_server_info *info)
{
	return account_name(info).len > 0 || (info->is_trusted && info->allow == ALLOW_TRUSTED);
}

static void on_mail(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	struct session *s = user;
	struct relay *r = s->intake->relay;
	const struct smtp_server_info *info = smtp_server_info(server);

	t->env.user = arena_dup(&t->arena, account_name(info));
	if (info->allow == ALLOW_AUTHENTICATED && t->env.user.len == 0)
		intake_refuse(answer, 530, STATUS(5, 7, 0), STR("Authentication required"));
	else if (r->upkeep.is_space_low || r->upkeep.is_full ||
		 (t->declared_bytes > 0 && t->declared_bytes > r->upkeep.disk_free_bytes))
		intake_refuse(answer, 452, STATUS(4, 3, 1),
			STR("Insufficient system storage, try again later"));
	else
		account_on_mail(s->intake->accounts, r->conf, t, answer);
	if (hint_may_know(r))
		hint_note_client(r, &info->client);
}

static void on_rcpt(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct recipient *rcpt, const struct address *address, struct smtp_answer *answer)
{
	struct session *s = user;
	const struct conf *conf = s->intake->relay->conf;
	const struct conf_relay_domain *relay_domain = NULL;

	if (address->domain.len == 0) {
		/* <Postmaster> without a domain is ours, for whoever writes to it (RFC 5321 section 4.5.1) */
		struct address postmaster;

		if (address_parse(conf->postmaster, true, &t->arena, &postmaster) != OK) {
			intake_refuse(answer, 550, STATUS(5, 1, 1),
				STR("No postmaster is configured here"));
			return;
		}
		rcpt->address = postmaster.text;
		rcpt->domain = postmaster.domain;
	} else if (!intake_may_relay(smtp_server_info(server)) &&
		   !(relay_domain = conf_relay_domain_for(conf, rcpt->domain))) {
		intake_refuse(answer, 550, STATUS(5, 7, 1),
			STR("Relaying denied: client is not in a trusted network and not "
			    "authenticated"));
		return;
	}
	rcpt->hop = route_hop_of(conf, rcpt->domain, t->env.reverse_path, &t->arena);
	if (share_is_over(s->intake->relay, rcpt->hop))
		intake_refuse(answer, 452, STATUS(4, 3, 1),
			STR("Too much mail waits for this destination, which is down; try again "
			    "later"));
	else if (relay_domain)
		verify_rcpt(s->intake->relay->verify, relay_domain, address, rcpt->hop, &s->ask,
			answer);
	else
		account_on_rcpt(s->intake->accounts, conf, t, answer);
}

static void on_verified(struct verify_ask *ask, const struct smtp_answer *answer)
{
	smtp_server_answer(CONTAINER_OF(ask, struct session, ask)->server, answer);
}

static void on_data(void *user, struct smtp_server *server, struct smtp_transaction *t,
	struct smtp_answer *answer)
{
	struct session *s = user;
	struct relay *r = s->intake->relay;
	const struct smtp_server_info *info = smtp_server_info(server);

	account_on_data(s->intake->accounts, r->conf, t, answer);
	if (answer->code != 0)
		return;
	struct wall now = env_wall(r->env);
	/* What is told of a hold (RFC 4865 5.1.2) counts from the arrival. */
	if (t->env.hold_wish == HOLD_WISH_FOR)
		t->env.hold_until = wall_add(t->env.hold_until, now.ms - t->env.accepted.ms);
	t->env.id = relay_new_id(r);
	t->env.accepted = now;
	t->env.helo = arena_dup(&t->arena, info->helo);

	const struct trace_info trace = {
		.hostname = r->conf->hostname,
		.helo = info->helo,
		.client = info->client,
		.client_name = info->client_name,
		.forwarded = info->forwarded,
		.is_esmtp = info->is_esmtp,
		.is_tls = info->is_tls,
		.is_authenticated = info->user.len > 0,
		.is_smtputf8 = t->env.is_smtputf8,
		.tls = info->tls,
		.id = t->env.id,
		.only_recipient =
			t->env.recipient_count == 1 ? t->env.recipients[0].address : STR(""),
		.priority = t->env.priority,
		.at = t->env.accepted,
	};
	trace_received(&t->content, &trace);
}

/* ---- AUTH ---- */

static void on_checked(void *user, enum smtp_auth_result result)
{
	struct credential *c = user;
	struct intake *in = c->intake;

	if (c->session) {
		c->session->credential = NULL;
		smtp_server_auth_done(c->session->server, result);
	}
	free(c);
	intake_done_one(in);
}

static void on_auth(void *user, struct smtp_server *server, struct str name, struct str password)
{
	struct session *s = user;
	struct credential *c = mem_zalloc(sizeof(*c));
	const struct auth_request request = {
		.conf = s->intake->relay->conf,
		.client = smtp_server_info(server),
		.name = name,
		.password = password,
		.on_done = on_checked,
		.user = c,
	};

	c->intake = s->intake;
	c->session = s;
	s->credential = c;
	s->intake->accept_count++;
	auth_check(s->intake->auth, &request);
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

	buf_init(&b, 512);
	buf_append_str(&b, STR("disconnect from "));
	smtp_server_append_client(&b, info);
	buf_printf(&b, " (%s)", reason);
	log_text(in->relay->env->log, LOG_INFO, "smtpd", "%s", buf_cstr(&b));
	buf_fini(&b);
	accept_forget_session(s->accept);
	spool_forget_session(s->spool);
	if (s->credential)
		s->credential->session = NULL;
	verify_forget(&s->ask);
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

static void on_client(void *user, struct smtp_server *server, struct smtp_answer *answer)
{
	struct session *s = user;
	struct intake *in = s->intake;
	struct client *client = client_get(in, &smtp_server_info(server)->client);

	if (client == s->client)
		return;
	client->sessions++;
	if (client->sessions > in->relay->conf->smtpd.sessions_per_client) {
		*answer = (struct smtp_answer){ .code = 421,
			.status = STATUS(4, 7, 0),
			.text = STR("Too many sessions from your address, try again later") };
		/* counted until it has ended */
	}
	s->client->sessions--;
	client_put(in, s->client);
	s->client = client;
}

void intake_accept_conn(struct intake *in, struct conn *conn, const struct conf_listener *listener)
{
	struct relay *r = in->relay;

	metric_add(r->env->metrics, METRIC_smtpd_connections_total, 1);
	if (in->is_closing || in->session_count + in->front_count >= r->conf->smtpd.sessions_max)
		turn_away(in, conn, STR("421 4.3.2 Too many sessions, try again later\r\n"));
	else if (listener->is_proxied)
		front_begin(in, conn, listener);
	else
		intake_begin_session(in, conn, listener, NULL);
}

void intake_begin_session(struct intake *in, struct conn *conn,
	const struct conf_listener *listener, const struct proxy_header *header)
{
	struct relay *r = in->relay;
	struct endpoint peer;
	struct client *client;
	struct session *s;

	r->net->ops->conn_peer(conn, &peer);
	client = client_get(in, header ? &header->client : &peer);
	if (client->sessions >= r->conf->smtpd.sessions_per_client) {
		turn_away(in, conn,
			STR("421 4.7.0 Too many sessions from your address, try again later\r\n"));
		client_put(in, client);
		return;
	}
	s = mem_zalloc(sizeof(*s));
	s->intake = in;
	s->ask.on_answer = on_verified;
	s->client = client;
	client->sessions++;
	list_push_back(&in->sessions, &s->link);
	in->session_count++;
	metric_set(r->env->metrics, METRIC_smtpd_connections, in->session_count);
	s->server = smtp_server_new(r->env, r->conf, conn, r->net->ops, listener, r->params.has_tls,
		++in->next_session, &in->handler, s);
	crowd_note(in);
	if (header)
		smtp_server_set_origin(s->server, &header->client);
}

struct intake *intake_new(struct relay *r)
{
	struct intake *in = mem_zalloc(sizeof(*in));
	uint64_t seed;

	in->relay = r;
	in->auth = auth_new(r->env);
	in->accounts = accounts_new(r->env);
	in->replied.on_fire = accept_on_replied;
	crowd_init(in);
	list_init(&in->sessions);
	list_init(&in->fronts);
	env_random(r->env, &seed, sizeof(seed));
	map_init(&in->clients, seed);
	in->handler = (struct smtp_server_handler){
		.on_mail = on_mail,
		.on_rcpt = on_rcpt,
		.on_data = on_data,
		.on_spool = spool_on_spool,
		.on_message = accept_on_message,
		.on_abort = spool_on_abort,
		.on_auth = on_auth,
		.on_etrn = etrn_on_etrn,
		.on_client = on_client,
		.on_close = on_close,
	};
	return in;
}

void intake_shutdown(struct intake *in)
{
	in->is_closing = true;
	front_drop_all(in);
	LIST_FOR_EACH_SAFE (link, &in->sessions)
		smtp_server_shutdown(CONTAINER_OF(link, struct session, link)->server);
}

void intake_drop_all(struct intake *in)
{
	in->is_closing = true;
	front_drop_all(in);
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
	env_timer_stop(in->relay->env, &in->crowd);
	map_fini(&in->clients);
	auth_free(in->auth);
	accounts_free(in->accounts);
	free(in);
}
