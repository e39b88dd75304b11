/*
 * sim_net - see sim_net.h.
 *
 * One pipe for each direction: segments with their arrival times, one timer for the first. A pipe delivers one segment a
 * turn, so that other events come between. A conn is freed when both ends have closed it and no handler runs.
 */
#include "sim/sim_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum segment_kind { SEGMENT_DATA, SEGMENT_EOF, SEGMENT_RESET, SEGMENT_TLS };

struct segment {
	struct list link;
	int64_t at_ms;
	enum segment_kind kind;
	size_t len;
	char data[];
};

struct pipe {
	struct list segments;
	struct timer timer;
	int64_t last_ms; /* arrival of the last segment */
	size_t waiting;  /* octets */
	uint64_t arrived;
	bool is_stopped; /* the reader does not read */
	bool is_ended;   /* an end was sent */
};

struct conn {
	struct list link;
	struct sim_net *net;
	struct sim_line line;
	struct endpoint relay_at, world_at;
	/* the relay's end */
	const struct conn_handler *handler;
	void *user;
	bool is_relay_closed, is_crashed;
	/* the world's end */
	const struct sim_sock_handler *sock_handler;
	void *sock_user;
	bool is_world_closed;
	struct pipe to_relay, to_world;
	struct timer open_timer;
	int64_t timeout_ms;
	size_t read_limit; /* octets at a time to the relay; 0: any */
	bool is_dialled, is_asked;
	enum tls_check tls_check;
	unsigned busy;
};

struct listener {
	struct list link;
	struct sim_net *net;
	struct endpoint at;
	const struct listener_handler *handler;
	void *user;
	bool is_paused;
};

static void pipe_clear(struct conn *c, struct pipe *p)
{
	struct list *link;

	while ((link = list_pop_front(&p->segments)) != NULL)
		free(CONTAINER_OF(link, struct segment, link));
	p->waiting = 0;
	sim_stop(c->net->clock, &p->timer);
}

static void conn_check(struct conn *c)
{
	if (c->busy > 0 || !c->is_relay_closed || !c->is_world_closed)
		return;
	pipe_clear(c, &c->to_relay);
	pipe_clear(c, &c->to_world);
	sim_stop(c->net->clock, &c->open_timer);
	list_remove(&c->link);
	free(c);
}

/* ---- pipes ---- */

static void pipe_arm(struct conn *c, struct pipe *p)
{
	if (p->is_stopped || list_is_empty(&p->segments)) {
		sim_stop(c->net->clock, &p->timer);
		return;
	}

	int64_t wait_ms =
		CONTAINER_OF(p->segments.next, struct segment, link)->at_ms - c->net->clock->now_ms;

	sim_after(c->net->clock, &p->timer, wait_ms > 0 ? wait_ms : 0);
}

static void push(struct conn *c, struct pipe *p, enum segment_kind kind, const char *data,
	size_t len, int64_t gap_ms)
{
	struct segment *s = mem_alloc(sizeof(*s) + len);
	int64_t at_ms = c->net->clock->now_ms + c->line.latency_ms;

	*s = (struct segment){ .kind = kind, .len = len };
	if (len > 0)
		memcpy(s->data, data, len);
	s->at_ms = at_ms > p->last_ms + gap_ms ? at_ms : p->last_ms + gap_ms;
	p->last_ms = s->at_ms;
	p->waiting += len;
	list_push_back(&p->segments, &s->link);
	if (p->segments.next == &s->link)
		pipe_arm(c, p);
}

static void pipe_write(struct conn *c, struct pipe *p, struct str octets)
{
	bool is_trickle = p == &c->to_relay && c->line.trickle_ms > 0;

	if (p->is_ended)
		return;
	while (octets.len > 0 && octets.data) {
		size_t len = octets.len;

		if (is_trickle)
			len = 1;
		else if (c->line.segment_max > 0 && len > 1)
			len = 1 + (size_t)rng_below(&c->net->clock->rng, c->line.segment_max);
		if (len > octets.len)
			len = octets.len;
		if (len > 65536)
			len = 65536;
		push(c, p, SEGMENT_DATA, octets.data, len, is_trickle ? c->line.trickle_ms : 0);
		octets = str_slice(octets, len, octets.len);
	}
}

static void pipe_end(struct conn *c, struct pipe *p, enum segment_kind kind)
{
	if (p->is_ended)
		return;
	p->is_ended = true;
	push(c, p, kind, NULL, 0, 0);
}

static struct segment *pop(struct pipe *p)
{
	struct list *link = list_pop_front(&p->segments);
	struct segment *s;

	CHECK(link != NULL); /* the timer runs only while there is one */
	s = CONTAINER_OF(link, struct segment, link);
	p->waiting -= s->len;
	p->arrived += s->len;
	return s;
}

static enum err err_of(enum segment_kind kind)
{
	return kind == SEGMENT_EOF ? ERR_EOF : ERR_RESET;
}

/* The relay wants only so much at a time: the rest of the first segment is the next one. */
static void split(struct pipe *p, size_t len)
{
	struct segment *s, *rest;

	CHECK(!list_is_empty(&p->segments));
	s = CONTAINER_OF(p->segments.next, struct segment, link);
	if (len == 0 || s->kind != SEGMENT_DATA || s->len <= len)
		return;
	rest = mem_alloc(sizeof(*rest) + s->len - len);
	*rest = (struct segment){ .kind = s->kind, .len = s->len - len, .at_ms = s->at_ms };
	memcpy(rest->data, s->data + len, rest->len);
	list_insert_before(s->link.next, &rest->link);
	s->len = len;
}

/* There is no TLS here: octets go on as they are, and what a certificate would be worth the script says. */
static void end_handshake(struct conn *c)
{
	struct tls_info info = { .protocol = STR("TLSv1.3"), .cipher = STR("none") };
	enum err err = OK;

	info.is_verified = c->line.tls == SIM_TLS_GOOD;
	if (c->line.tls == SIM_TLS_NONE) {
		err = ERR_TLS;
		info.fault = TLS_FAULT_HANDSHAKE;
		info.problem = STR("the handshake failed");
	} else if (!info.is_verified) {
		err = c->tls_check == TLS_CHECK_NONE ? OK : ERR_TLS;
		info.fault = TLS_FAULT_EXPIRED;
		info.problem = STR("certificate has expired");
	}
	c->handler->on_tls(c->user, err, &info);
}

static void on_to_relay(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, to_relay.timer);
	struct segment *s;

	split(&c->to_relay, c->read_limit);
	s = pop(&c->to_relay);
	c->busy++;
	if (!c->is_relay_closed && !c->is_crashed) {
		if (s->kind == SEGMENT_DATA)
			c->handler->on_read(c->user, str_of(s->data, s->len));
		else if (s->kind == SEGMENT_TLS)
			end_handshake(c);
		else
			c->handler->on_end(c->user, err_of(s->kind));
	}
	free(s);
	pipe_arm(c, &c->to_relay);
	c->busy--;
	conn_check(c);
}

static void reset_both(struct conn *c)
{
	pipe_clear(c, &c->to_world);
	pipe_clear(c, &c->to_relay);
	c->to_world.is_ended = c->to_relay.is_ended = false;
	c->to_world.is_stopped = false;
	pipe_end(c, &c->to_world, SEGMENT_RESET);
	pipe_end(c, &c->to_relay, SEGMENT_RESET);
}

static void on_to_world(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, to_world.timer);
	struct segment *s = pop(&c->to_world);

	c->busy++;
	if (!c->is_world_closed && c->sock_handler) {
		if (s->kind == SEGMENT_DATA)
			c->sock_handler->on_read(c->sock_user, str_of(s->data, s->len));
		else
			c->sock_handler->on_end(c->sock_user, err_of(s->kind));
	}
	if (c->to_world.waiting == 0 && s->len > 0 && !c->is_relay_closed && !c->is_crashed)
		c->handler->on_drained(c->user);
	free(s);
	if (c->line.reset_after > 0 && c->to_world.arrived >= c->line.reset_after) {
		c->line.reset_after = 0;
		reset_both(c);
	}
	pipe_arm(c, &c->to_world);
	c->busy--;
	conn_check(c);
}

/* ---- opening ---- */

static struct conn *conn_new(struct sim_net *n)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->net = n;
	list_init(&c->to_relay.segments);
	list_init(&c->to_world.segments);
	c->to_relay.timer.on_fire = on_to_relay;
	c->to_world.timer.on_fire = on_to_world;
	list_push_back(&n->conns, &c->link);
	return c;
}

static void tell_open(struct conn *c, enum err err)
{
	c->busy++;
	if (err != OK)
		c->is_world_closed = true;
	else
		c->net->on_peer(c->net->user, &c->world_at, c);
	if (!c->is_relay_closed && !c->is_crashed)
		c->handler->on_open(c->user, err);
	c->busy--;
	conn_check(c);
}

static void on_connecting(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, open_timer);

	if (c->is_asked) {
		tell_open(c, c->line.reach == REACH_ACCEPT        ? OK
			     : c->line.reach == REACH_REFUSE      ? ERR_REFUSED
			     : c->line.reach == REACH_UNREACHABLE ? ERR_UNREACHABLE
								  : ERR_TIMEOUT);
		return;
	}
	c->is_asked = true;
	c->net->ask(c->net->user, &c->world_at, &c->line);
	bool is_lost = c->line.reach == REACH_BLACKHOLE || 2 * c->line.latency_ms > c->timeout_ms;
	if (is_lost)
		c->line.reach = REACH_BLACKHOLE;
	sim_after(c->net->clock, t, is_lost ? c->timeout_ms : 2 * c->line.latency_ms);
}

static struct conn *net_op_connect(struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms, const struct conn_handler *handler,
	void *user)
{
	struct sim_net *n = CONTAINER_OF(net, struct sim_net, net);
	struct conn *c = conn_new(n);

	(void)source;
	c->world_at = *to;
	c->handler = handler;
	c->user = user;
	c->timeout_ms = timeout_ms;
	c->open_timer.on_fire = on_connecting;
	sim_after(n->clock, &c->open_timer, 0);
	n->connect_count++;
	return c;
}

static struct listener *find_listener(struct sim_net *n, const struct endpoint *at)
{
	LIST_FOR_EACH (link, &n->listeners) {
		struct listener *l = CONTAINER_OF(link, struct listener, link);

		if (endpoint_equal(&l->at, at))
			return l;
	}
	return NULL;
}

static void on_dialled(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, open_timer);
	struct listener *l = find_listener(c->net, &c->relay_at);

	c->busy++;
	if (!l || l->is_paused) {
		c->is_relay_closed = true;
		c->to_world.is_ended = true;
		if (!c->is_world_closed)
			c->sock_handler->on_open(c->sock_user, ERR_REFUSED);
	} else {
		l->handler->on_accept(l->user, c);
		if (!c->is_world_closed)
			c->sock_handler->on_open(c->sock_user, OK);
	}
	c->busy--;
	conn_check(c);
}

struct conn *sim_net_dial(struct sim_net *n, const struct endpoint *from, const struct endpoint *to,
	const struct sim_line *line, const struct sim_sock_handler *handler, void *user)
{
	struct conn *c = conn_new(n);

	c->relay_at = *to;
	c->world_at = *from;
	c->line = *line;
	c->is_dialled = true;
	c->sock_handler = handler;
	c->sock_user = user;
	c->open_timer.on_fire = on_dialled;
	sim_after(n->clock, &c->open_timer, line->latency_ms);
	return c;
}

/* ---- the port ---- */

static enum err net_op_listen(struct net *net, const struct endpoint *at, unsigned mode,
	const struct listener_handler *handler, void *user, struct listener **out)
{
	struct sim_net *n = CONTAINER_OF(net, struct sim_net, net);
	struct listener *l;

	(void)mode;
	if (find_listener(n, at))
		return ERR_EXISTS;
	l = mem_zalloc(sizeof(*l));
	l->net = n;
	l->at = *at;
	l->handler = handler;
	l->user = user;
	list_push_back(&n->listeners, &l->link);
	*out = l;
	return OK;
}

static void net_op_listener_endpoint(struct listener *l, struct endpoint *out)
{
	*out = l->at;
}

static void net_op_listener_pause(struct listener *l, bool is_paused)
{
	l->is_paused = is_paused;
}

static void net_op_listener_close(struct listener *l)
{
	list_remove(&l->link);
	free(l);
}

static void net_op_set_user(struct conn *c, const struct conn_handler *handler, void *user)
{
	c->handler = handler;
	c->user = user;
}

static void net_op_peer(struct conn *c, struct endpoint *out)
{
	*out = c->world_at;
}

static void net_op_local(struct conn *c, struct endpoint *out)
{
	*out = c->relay_at;
}

static void net_op_credentials(struct conn *c, struct peer_credentials *out)
{
	(void)c;
	*out = (struct peer_credentials){ 0 };
}

static void net_op_read_start(struct conn *c)
{
	c->to_relay.is_stopped = false;
	pipe_arm(c, &c->to_relay);
}

static void net_op_read_stop(struct conn *c)
{
	c->to_relay.is_stopped = true;
	pipe_arm(c, &c->to_relay);
}

static void net_op_read_limit(struct conn *c, size_t octets)
{
	c->read_limit = octets;
}

static void net_op_write(struct conn *c, struct str octets)
{
	if (!c->is_crashed)
		pipe_write(c, &c->to_world, octets);
}

static size_t net_op_unsent(struct conn *c)
{
	return c->to_world.waiting;
}

static void net_op_start_tls(struct conn *c, const struct tls_want *want)
{
	c->tls_check = want->check;
	push(c, &c->to_relay, SEGMENT_TLS, NULL, 0, 0);
}

static void net_op_close(struct conn *c, bool is_flushed)
{
	CHECK(!c->is_relay_closed);
	c->is_relay_closed = true;
	sim_stop(c->net->clock, &c->open_timer);
	pipe_clear(c, &c->to_relay);
	c->to_world.is_stopped = false;
	if (!c->is_crashed)
		pipe_end(c, &c->to_world, is_flushed ? SEGMENT_EOF : SEGMENT_RESET);
	pipe_arm(c, &c->to_world);
	if (!c->sock_handler)
		c->is_world_closed = true; /* closed before the peer knew of it */
	conn_check(c);
}

static const struct net_ops sim_net_ops = {
	.listen = net_op_listen,
	.listener_endpoint = net_op_listener_endpoint,
	.listener_pause = net_op_listener_pause,
	.listener_close = net_op_listener_close,
	.connect = net_op_connect,
	.conn_set_user = net_op_set_user,
	.conn_peer = net_op_peer,
	.conn_local = net_op_local,
	.conn_credentials = net_op_credentials,
	.conn_read_start = net_op_read_start,
	.conn_read_stop = net_op_read_stop,
	.conn_read_limit = net_op_read_limit,
	.conn_write = net_op_write,
	.conn_unsent = net_op_unsent,
	.conn_start_tls = net_op_start_tls,
	.conn_close = net_op_close,
};

/* ---- the world's end ---- */

void sim_sock_use(struct conn *c, const struct sim_sock_handler *handler, void *user)
{
	c->sock_handler = handler;
	c->sock_user = user;
}

void sim_sock_write(struct conn *c, struct str octets)
{
	if (!c->is_relay_closed && !c->is_crashed)
		pipe_write(c, &c->to_relay, octets);
}

void sim_sock_hang(struct conn *c)
{
	c->to_world.is_stopped = true;
	pipe_arm(c, &c->to_world);
}

void sim_sock_close(struct conn *c, bool is_reset)
{
	CHECK(!c->is_world_closed);
	c->is_world_closed = true;
	if (!c->is_relay_closed && !c->is_crashed)
		pipe_end(c, &c->to_relay, is_reset ? SEGMENT_RESET : SEGMENT_EOF);
	conn_check(c);
}

void sim_net_crash(struct sim_net *n)
{
	LIST_FOR_EACH (link, &n->conns) {
		struct conn *c = CONTAINER_OF(link, struct conn, link);

		if (c->is_relay_closed)
			continue;
		c->is_crashed = true;
		pipe_clear(c, &c->to_relay);
		c->to_world.is_stopped = false;
		pipe_end(c, &c->to_world, SEGMENT_RESET);
	}
}

void sim_net_reset_all(struct sim_net *n)
{
	LIST_FOR_EACH (link, &n->conns) {
		struct conn *c = CONTAINER_OF(link, struct conn, link);

		if (!c->is_relay_closed && !c->is_world_closed && c->sock_handler && !c->is_crashed)
			reset_both(c);
	}
}

uint32_t sim_net_open_count(const struct sim_net *n)
{
	uint32_t count = 0;

	LIST_FOR_EACH (link, &n->conns)
		count++;
	return count;
}

void sim_net_init(struct sim_net *n, struct sim_clock *clock)
{
	*n = (struct sim_net){ .net.ops = &sim_net_ops, .clock = clock };
	list_init(&n->conns);
	list_init(&n->listeners);
}

void sim_net_fini(struct sim_net *n)
{
	LIST_FOR_EACH_SAFE (link, &n->conns) {
		struct conn *c = CONTAINER_OF(link, struct conn, link);

		c->is_relay_closed = c->is_world_closed = true;
		conn_check(c);
	}
}
