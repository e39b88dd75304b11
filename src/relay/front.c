/*
 * front - connections that begin with a PROXY header: a load balancer says for whom it speaks, before anybody's SMTP or TLS.
 *
 * Happy path: the header is read, never an octet more than surely belongs to it, since a TLS hello may follow at once;
 * then the connection becomes a session with the client's own address. Only networks in proxy-from may send headers:
 * whoever else comes to such a listener could claim to be anybody, so he is cut off. So are those who send no header
 * in time, or a wrong one.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/intake_private.h"

/* Protocol time. The balancer sends it first of all, in one segment. */
#define HEADER_MS (10 * SECOND_MS)

struct front {
	struct list link;
	struct intake *intake;
	struct conn *conn;
	struct conf_listener listener;
	struct buf octets;
	size_t wanted; /* octets that are still missing, as far as known */
	struct timer deadline;
};

static void front_free(struct front *f)
{
	struct intake *in = f->intake;

	list_remove(&f->link);
	in->front_count--;
	env_timer_stop(in->relay->env, &f->deadline);
	buf_fini(&f->octets);
	free(f);
	relay_check_stopped(in->relay);
}

static void refuse_conn(struct intake *in, struct conn *conn, const char *reason)
{
	const struct net_ops *net = in->relay->net->ops;
	struct endpoint peer;
	struct buf text;

	net->conn_peer(conn, &peer);
	buf_init(&text, 256);
	endpoint_format(&text, &peer);
	log_text(in->relay->env->log, LOG_WARNING, "smtpd", "connection from %s closed: %s",
		buf_cstr(&text), reason);
	buf_fini(&text);
	metric_add(in->relay->env->metrics, METRIC_smtpd_rejected_connections_total, 1);
	net->conn_close(conn, false);
}

static void front_refuse(struct front *f, const char *reason)
{
	refuse_conn(f->intake, f->conn, reason);
	front_free(f);
}

static void finish(struct front *f, struct proxy_header *header)
{
	struct intake *in = f->intake;
	struct conn *conn = f->conn;
	struct conf_listener listener = f->listener;
	bool is_itself = header->origin == PROXY_ITSELF;

	in->relay->net->ops->conn_read_limit(conn, 0);
	front_free(f);
	intake_begin_session(in, conn, &listener, is_itself ? NULL : header);
}

static void on_read(void *user, struct str octets)
{
	struct front *f = user;
	struct proxy_header header;

	buf_append_str(&f->octets, octets);
	enum err err = f->octets.is_full ? ERR_LIMIT
					 : proxy_parse(buf_str(&f->octets), &header, &f->wanted);
	if (err == ERR_LIMIT)
		front_refuse(f, "its PROXY header is too long");
	else if (err != OK)
		front_refuse(f, "it does not begin with a PROXY header");
	else if (f->wanted > 0)
		f->intake->relay->net->ops->conn_read_limit(f->conn, f->wanted);
	else
		finish(f, &header);
}

static void on_end(void *user, enum err err)
{
	struct front *f = user;

	/* a look whether the port is open, as load balancers take it every few seconds, is no news */
	if (err == ERR_EOF && f->octets.len == 0) {
		f->intake->relay->net->ops->conn_close(f->conn, false);
		front_free(f);
	} else {
		front_refuse(f, "it ended within the PROXY header");
	}
}

static void on_deadline(struct timer *t)
{
	front_refuse(CONTAINER_OF(t, struct front, deadline), "no PROXY header came in time");
}

static void on_drained(void *user)
{
	(void)user;
}

static const struct conn_handler conn_handler = {
	.on_read = on_read,
	.on_end = on_end,
	.on_drained = on_drained,
};

void front_begin(struct intake *in, struct conn *conn, const struct conf_listener *listener)
{
	struct relay *r = in->relay;
	struct endpoint peer;
	struct proxy_header none;
	struct front *f;

	r->net->ops->conn_peer(conn, &peer);
	if (!networks_contain(r->conf->proxies, r->conf->proxy_count, &peer)) {
		refuse_conn(in, conn, "it is not in proxy-from, and this listener takes no others");
		return;
	}
	f = mem_zalloc(sizeof(*f));
	f->intake = in;
	f->conn = conn;
	f->listener = *listener;
	f->deadline.on_fire = on_deadline;
	buf_init(&f->octets, PROXY_BYTES_MAX);
	(void)!proxy_parse(STR(""), &none, &f->wanted);
	list_push_back(&in->fronts, &f->link);
	in->front_count++;
	r->net->ops->conn_set_user(conn, &conn_handler, f);
	r->net->ops->conn_read_limit(conn, f->wanted);
	env_timer_after(r->env, &f->deadline, HEADER_MS);
}

void front_drop_all(struct intake *in)
{
	while (!list_is_empty(&in->fronts)) {
		struct front *f = CONTAINER_OF(in->fronts.next, struct front, link);

		in->relay->net->ops->conn_close(f->conn, false);
		front_free(f);
	}
}
