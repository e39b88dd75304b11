/* fixture_net - see the header. One turn: deferred calls and due timers, then at most one event for each conn. */
#include "fixture_net.h"

#include <string.h>

#include "base/check.h"

#define BYTES_MAX ((size_t)64 * 1024 * 1024)
#define TURNS_MAX 10000000

static struct fixture *fixture_of(struct env *env)
{
	return CONTAINER_OF(env, struct fixture, env);
}

/* --- env --- */

static struct mono env_op_now(struct env *env)
{
	return fixture_of(env)->now;
}

static struct wall env_op_wall(struct env *env)
{
	return (struct wall){ 1700000000000 + fixture_of(env)->now.ms };
}

static void env_op_random(struct env *env, void *out, size_t len)
{
	(void)env;
	memset(out, 7, len);
}

static void env_op_timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&fixture_of(env)->timers, t, when);
}

static void env_op_timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&fixture_of(env)->timers, t);
}

static void env_op_defer(struct env *env, struct deferred *d)
{
	timers_defer(&fixture_of(env)->timers, d);
}

static void env_op_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&fixture_of(env)->timers, d);
}

static const struct env_ops env_ops = {
	.now = env_op_now,
	.wall = env_op_wall,
	.random = env_op_random,
	.timer_start = env_op_timer_start,
	.timer_stop = env_op_timer_stop,
	.defer = env_op_defer,
	.undefer = env_op_undefer,
};

/* --- net --- */

static struct conn *conn_new(struct fixture *f)
{
	CHECK(f->conn_count < FIXTURE_CONNS_MAX);
	struct conn *c = &f->conns[f->conn_count++];
	c->f = f;
	c->is_reading = true;
	buf_init(&c->input, BYTES_MAX);
	buf_init(&c->output, BYTES_MAX);
	buf_init(&c->all, BYTES_MAX);
	return c;
}

static struct conn *net_op_connect(struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms, const struct conn_handler *handler,
	void *user)
{
	struct fixture *f = CONTAINER_OF(net, struct fixture, net);
	struct conn *c = conn_new(f);

	(void)source;
	c->handler = handler;
	c->user = user;
	c->peer = *to;
	c->is_opening = true;
	c->opens_by = mono_add(f->now, timeout_ms);
	return c;
}

static void net_op_set_user(struct conn *c, const struct conn_handler *handler, void *user)
{
	CHECK(!c->is_closed);
	c->handler = handler;
	c->user = user;
}

static void net_op_peer(struct conn *c, struct endpoint *out)
{
	*out = c->peer;
}

static void net_op_read_start(struct conn *c)
{
	CHECK(!c->is_closed);
	c->is_reading = true;
}

static void net_op_read_stop(struct conn *c)
{
	CHECK(!c->is_closed);
	c->is_reading = false;
}

static void net_op_write(struct conn *c, struct str octets)
{
	CHECK(!c->is_closed && !c->is_opening);
	buf_append_str(&c->output, octets);
	buf_append_str(&c->all, octets);
	c->unsent += octets.len;
}

static size_t net_op_unsent(struct conn *c)
{
	CHECK(!c->is_closed);
	return c->unsent;
}

static void net_op_start_tls(struct conn *c, const struct tls_want *want)
{
	CHECK(!c->is_closed && !c->is_handshaking);
	(void)want;
	c->is_handshaking = true;
}

static void net_op_close(struct conn *c, bool is_flushed)
{
	CHECK(!c->is_closed);
	c->is_closed = true;
	c->is_closed_flushed = is_flushed;
}

static const struct net_ops net_ops = {
	.connect = net_op_connect,
	.conn_set_user = net_op_set_user,
	.conn_peer = net_op_peer,
	.conn_local = net_op_peer,
	.conn_read_start = net_op_read_start,
	.conn_read_stop = net_op_read_stop,
	.conn_write = net_op_write,
	.conn_unsent = net_op_unsent,
	.conn_start_tls = net_op_start_tls,
	.conn_close = net_op_close,
};

/* --- log --- */

static void log_nothing(struct log *log, const struct log_event *event)
{
	(void)log;
	(void)event;
}

/* --- what tests call --- */

void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	timers_init(&f->timers);
	f->now.ms = 1000;
	f->log = (struct log){ LOG_ERROR, log_nothing };
	f->env = (struct env){
		.ops = &env_ops,
		.rate = 1,
		.log = &f->log,
		.metrics = &f->metrics,
		.fault = &f->fault,
	};
	f->net.ops = &net_ops;
}

void fixture_fini(struct fixture *f)
{
	for (size_t i = 0; i < f->conn_count; i++) {
		CHECK(f->conns[i].is_closed); /* else a session leaked */
		buf_fini(&f->conns[i].input);
		buf_fini(&f->conns[i].output);
		buf_fini(&f->conns[i].all);
	}
	CHECK(timers_next(&f->timers).ms == MONO_NEVER.ms);
	timers_fini(&f->timers);
}

struct conn *fixture_accept(struct fixture *f, const char *from)
{
	struct conn *c = conn_new(f);

	CHECK(endpoint_parse(&c->peer, str_from_c(from), 4242) == OK);
	return c;
}

void fixture_feed_octets(struct conn *c, struct str octets)
{
	buf_append_str(&c->input, octets);
}

void fixture_feed(struct conn *c, const char *text)
{
	fixture_feed_octets(c, str_from_c(text));
}

void fixture_end(struct conn *c, enum err err)
{
	c->has_end = true;
	c->end = err;
}

static void tell_tls(struct conn *c)
{
	enum err err = c->input.len > 0 ? ERR_TLS : c->f->tls_err;
	struct tls_info info = {
		.protocol = STR("TLSv1.3"),
		.cipher = STR("TEST"),
		.is_verified = c->f->is_tls_verified,
		.peer = c->f->tls_peer,
		.fault = c->f->is_tls_verified ? TLS_FAULT_NONE : TLS_FAULT_UNTRUSTED,
		.problem = err == OK ? STR("") : STR("bad handshake"),
	};

	c->is_handshaking = false;
	c->handler->on_tls(c->user, err, &info);
}

static void tell_input(struct conn *c)
{
	char octets[64 * 1024];
	size_t len = c->f->segment_bytes > 0 ? c->f->segment_bytes : sizeof(octets);

	if (len > c->input.len)
		len = c->input.len;
	memcpy(octets, c->input.data, len);
	buf_consume(&c->input, len);
	c->handler->on_read(c->user, str_of(octets, len));
}

static bool may_open(const struct conn *c)
{
	return c->is_opening && (!c->f->does_connect_hang || c->opens_by.ms <= c->f->now.ms);
}

/* One event at most. Returns whether there was one. */
static bool step_conn(struct conn *c)
{
	if (c->is_closed || !c->handler)
		return false;
	if (c->is_opening) {
		if (!may_open(c))
			return false;
		c->is_opening = false;
		c->handler->on_open(
			c->user, c->f->does_connect_hang ? ERR_TIMEOUT : c->f->connect_err);
	} else if (c->unsent > 0 && !c->is_stalled) {
		c->unsent = 0;
		c->handler->on_drained(c->user);
	} else if (c->is_handshaking) {
		tell_tls(c);
	} else if (c->input.len > 0 && c->is_reading) {
		tell_input(c);
	} else if (c->has_end && c->input.len == 0 && c->is_reading) {
		c->has_end = false;
		c->handler->on_end(c->user, c->end);
	} else {
		return false;
	}
	return true;
}

void fixture_settle(struct fixture *f)
{
	bool is_busy = true;

	for (long turn = 0; is_busy; turn++) {
		CHECK(turn < TURNS_MAX);
		is_busy = timers_next(&f->timers).ms <= f->now.ms;
		timers_run(&f->timers, f->now);
		for (size_t i = 0; i < f->conn_count; i++)
			is_busy = step_conn(&f->conns[i]) || is_busy;
	}
}

void fixture_advance(struct fixture *f, int64_t ms)
{
	int64_t end = f->now.ms + ms;

	fixture_settle(f);
	while (timers_next(&f->timers).ms <= end) {
		if (timers_next(&f->timers).ms > f->now.ms)
			f->now = timers_next(&f->timers);
		fixture_settle(f);
	}
	f->now.ms = end;
	fixture_settle(f);
}

const char *fixture_output(struct conn *c)
{
	static char text[1024 * 1024];
	size_t len = c->output.len < sizeof(text) ? c->output.len : sizeof(text) - 1;

	memcpy(text, c->output.data ? c->output.data : "", len);
	text[len] = '\0';
	buf_clear(&c->output);
	return text;
}
