/* fixture_net - see fixture_net.h. */
#include "fixture_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define HEARD_BYTES_MAX 65536
#define OCTETS_MAX ((size_t)1 << 20)

struct conn {
	struct fixture_net *net;
	struct fixture_server *server; /* NULL: nobody is there */
	struct list link;
	const struct conn_handler *handler;
	void *user;
	struct deferred run;
	struct timer timeout;
	struct buf in;  /* from the client, not yet a line */
	struct buf out; /* to the client, not yet read */
	enum err open_err, end_err;
	bool is_opening, is_ending, is_in_data, wants_tls;
};

static const struct fixture_rule usual[] = {
	{ "", "220 mx.example ESMTP", 0 },
	{ "LHLO", "250-mx.example\n250 PIPELINING", 0 },
	{ "EHLO", "250-mx.example\n250-PIPELINING\n250-8BITMIME\n250 ENHANCEDSTATUSCODES", 0 },
	{ "MAIL", "250 2.1.0 Ok", 0 },
	{ "RCPT", "250 2.1.5 Ok", 0 },
	{ "DATA", "354 go on", 0 },
	{ ".", "250 2.0.0 queued", 0 },
	{ "RSET", "250 2.0.0 Ok", 0 },
	{ "STARTTLS", "220 2.0.0 go on", 0 },
	{ "AUTH", "235 2.7.0 Ok", 0 },
	{ "QUIT", "CLOSE", 0 },
};

static void schedule(struct conn *c)
{
	env_defer(&c->net->env->env, &c->run);
}

static void end(struct conn *c, enum err err)
{
	c->is_ending = true;
	c->end_err = err;
	schedule(c);
}

/* The rule's verb must stand at the start; "" and "." must be all. */
static bool fits(const struct fixture_rule *r, struct str line)
{
	struct str verb = str_from_c(r->verb);

	return verb.len > 1 ? str_starts_fold(line, verb) : str_equal(line, verb);
}

static const char *reply_to(struct fixture_server *s, struct str line)
{
	for (size_t i = 0; i < FIXTURE_RULES_MAX; i++) {
		struct fixture_rule *r = &s->rules[i];

		if (!r->verb || !fits(r, line))
			continue;
		if (r->times == 0)
			return r->reply;
		if (--r->times == 0)
			r->verb = NULL;
		return r->reply;
	}
	for (size_t i = 0; i < ARRAY_COUNT(usual); i++)
		if (fits(&usual[i], line))
			return usual[i].reply;
	return "500 5.5.2 what";
}

static void say(struct conn *c, struct str line)
{
	struct str reply = str_from_c(reply_to(c->server, line));

	if (c->is_ending || str_equal(reply, STR("SILENT")))
		return;
	if (str_equal(reply, STR("CLOSE")) || str_equal(reply, STR("RESET"))) {
		end(c, reply.data[0] == 'C' ? ERR_EOF : ERR_RESET);
		return;
	}
	if (str_equal(line, STR("DATA")) && reply.data[0] == '3')
		c->is_in_data = true;
	if (str_equal(line, STR(".")) && reply.data[0] == '2')
		c->server->delivered++;
	bool is_last = str_starts_fold(reply, STR("421"));
	while (reply.len > 0) {
		struct str part = str_cut(&reply, '\n');

		if (str_equal(part, STR("CLOSE"))) {
			is_last = true;
			break;
		}
		buf_append_str(&c->out, part);
		buf_append_str(&c->out, STR("\r\n"));
	}
	schedule(c);
	if (is_last)
		end(c, ERR_EOF);
}

static void hear(struct conn *c, struct str line)
{
	if (c->is_in_data) {
		if (!str_equal(line, STR(".")))
			return;
		c->is_in_data = false;
	} else {
		buf_append_str(&c->server->heard, line);
		buf_append_char(&c->server->heard, '\n');
	}
	say(c, line);
}

static void deliver_event(struct conn *c)
{
	if (c->is_opening) {
		c->is_opening = false;
		if (c->open_err == OK)
			say(c, STR(""));
		c->handler->on_open(c->user, c->open_err);
	} else if (c->out.len > 0) {
		struct buf out = c->out;

		buf_init(&c->out, OCTETS_MAX);
		c->handler->on_read(c->user, buf_str(&out));
		buf_fini(&out);
	} else if (c->wants_tls) {
		struct tls_info info = { .protocol = STR("TLSv1.3"),
			.cipher = STR("TLS_AES_256_GCM_SHA384"),
			.is_verified = c->server->tls_fault == TLS_FAULT_NONE,
			.fault = c->server->tls_fault };

		c->wants_tls = false;
		if (info.fault != TLS_FAULT_NONE)
			info.problem = STR("the certificate is wrong");
		c->handler->on_tls(c->user,
			c->server->wanted != TLS_CHECK_NONE && !info.is_verified
				? ERR_TLS
				: c->server->tls_err,
			&info);
	} else if (c->is_ending) {
		c->is_ending = false;
		c->handler->on_end(c->user, c->end_err);
	}
}

static void on_run(struct deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, run);

	/* Once more for what is left; closing the conn inside undoes it. */
	if (c->is_opening + (c->out.len > 0) + c->wants_tls + c->is_ending > 1 ||
		(c->is_opening && c->server))
		schedule(c);
	deliver_event(c);
}

static void on_timeout(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, timeout);

	c->open_err = ERR_TIMEOUT;
	schedule(c);
}

static struct conn *net_connect_fake(struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms, const struct conn_handler *handler,
	void *user)
{
	struct fixture_net *n = CONTAINER_OF(net, struct fixture_net, net);
	struct conn *c = mem_zalloc(sizeof(*c));

	*c = (struct conn){ .net = n,
		.handler = handler,
		.user = user,
		.is_opening = true,
		.open_err = ERR_UNREACHABLE };
	c->run.on_run = on_run;
	c->timeout.on_fire = on_timeout;
	buf_init(&c->in, OCTETS_MAX);
	buf_init(&c->out, OCTETS_MAX);
	list_push_back(&n->conns, &c->link);
	for (unsigned i = 0; i < n->server_count; i++)
		if (endpoint_equal(&n->servers[i].at, to))
			c->server = &n->servers[i];
	if (c->server) {
		c->server->connects++;
		if (source)
			c->server->source = *source;
		c->server->open++;
		c->open_err = c->server->connect_err;
	}
	if (c->open_err == ERR_TIMEOUT)
		env_timer_after(&n->env->env, &c->timeout, timeout_ms);
	else
		schedule(c);
	return c;
}

static void conn_set_user(struct conn *c, const struct conn_handler *handler, void *user)
{
	c->handler = handler;
	c->user = user;
}

static void conn_read_switch(struct conn *c)
{
	(void)c;
}

static void conn_write(struct conn *c, struct str octets)
{
	struct str all;
	size_t at;

	buf_append_str(&c->in, octets);
	for (;;) {
		all = buf_str(&c->in);
		at = str_find(all, '\n');
		if (at == all.len)
			return;
		CHECK(at > 0 && all.data[at - 1] == '\r');
		hear(c, str_slice(all, 0, at - 1));
		buf_consume(&c->in, at + 1);
	}
}

static size_t conn_unsent(struct conn *c)
{
	(void)c;
	return 0;
}

static void conn_start_tls(struct conn *c, const struct tls_want *want)
{
	c->server->wanted = want->check;
	c->wants_tls = true;
	schedule(c);
}

static void conn_close(struct conn *c, bool is_flushed)
{
	(void)is_flushed;
	if (c->server)
		c->server->open--;
	env_undefer(&c->net->env->env, &c->run);
	env_timer_stop(&c->net->env->env, &c->timeout);
	list_remove(&c->link);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static const struct net_ops ops = {
	.connect = net_connect_fake,
	.conn_set_user = conn_set_user,
	.conn_read_start = conn_read_switch,
	.conn_read_stop = conn_read_switch,
	.conn_write = conn_write,
	.conn_unsent = conn_unsent,
	.conn_start_tls = conn_start_tls,
	.conn_close = conn_close,
};

void fixture_net_init(struct fixture_net *n, struct fixture_env *env)
{
	*n = (struct fixture_net){ .net = { &ops }, .env = env };
	list_init(&n->conns);
}

void fixture_net_fini(struct fixture_net *n)
{
	CHECK(list_is_empty(&n->conns));
	for (unsigned i = 0; i < n->server_count; i++)
		buf_fini(&n->servers[i].heard);
}

struct fixture_server *fixture_net_add(struct fixture_net *n, const char *at)
{
	struct fixture_server *s = &n->servers[n->server_count++];

	CHECK(n->server_count <= FIXTURE_SERVERS_MAX);
	CHECK(endpoint_parse(&s->at, str_from_c(at), 25) == OK);
	buf_init(&s->heard, HEARD_BYTES_MAX);
	return s;
}

void fixture_server_rule(
	struct fixture_server *s, const char *verb, const char *reply, unsigned times)
{
	for (size_t i = 0; i < FIXTURE_RULES_MAX; i++)
		if (!s->rules[i].verb) {
			s->rules[i] = (struct fixture_rule){ verb, reply, times };
			return;
		}
	check_failed("too many rules", __FILE__, __LINE__);
}

void fixture_server_hang_up(struct fixture_net *n, struct fixture_server *s)
{
	LIST_FOR_EACH (link, &n->conns) {
		struct conn *c = CONTAINER_OF(link, struct conn, link);

		if (c->server == s)
			end(c, ERR_EOF);
	}
}
