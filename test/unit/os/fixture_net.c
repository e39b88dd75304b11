#include "unit/os/fixture_net.h"

#include <string.h>

/* The last thing a handler of ours does. */
static void close_if_asked(struct side *s, unsigned events)
{
	if (s->closes_on & events)
		side_close(s, s->closes_flushed);
}

static void on_open(void *user, enum err err)
{
	struct side *s = user;

	assert_false(s->is_opened);
	s->is_opened = true;
	s->open = err;
	close_if_asked(s, ON_OPEN);
}

static void on_read(void *user, struct str octets)
{
	struct side *s = user;

	assert_false(s->is_ended);
	assert_in_range(octets.len, 1, 64 * 1024);
	s->read_count++;
	buf_append_str(&s->input, octets);
	if (s->is_echo)
		s->net->ops->conn_write(s->conn, octets);
	if (s->starts_tls_on_read) {
		s->starts_tls_on_read = false;
		side_write(s, "go");
		side_start_tls(s, true, TLS_CHECK_NONE, "");
	}
	close_if_asked(s, ON_READ);
}

static void on_end(void *user, enum err err)
{
	struct side *s = user;

	assert_false(s->is_ended);
	s->is_ended = true;
	s->end = err;
	close_if_asked(s, ON_END);
}

static void on_drained(void *user)
{
	struct side *s = user;

	assert_int_equal(side_unsent(s), 0);
	s->drained_count++;
	close_if_asked(s, ON_DRAINED);
}

static void on_tls(void *user, enum err err, const struct tls_info *info)
{
	struct side *s = user;

	assert_false(s->has_tls);
	s->has_tls = true;
	s->tls = err;
	s->is_verified = info->is_verified;
	s->is_resumed = info->is_resumed;
	s->fault = info->fault;
	snprintf(s->peer, sizeof(s->peer), "%.*s", STR_FMT(info->peer));
	snprintf(s->protocol, sizeof(s->protocol), "%.*s", STR_FMT(info->protocol));
	snprintf(s->problem, sizeof(s->problem), "%.*s", STR_FMT(info->problem));
	/* after a failed handshake no end is told */
	close_if_asked(s, err == OK ? ON_TLS : ON_TLS | ON_END);
}

static const struct conn_handler side_handler = {
	.on_open = on_open,
	.on_read = on_read,
	.on_end = on_end,
	.on_drained = on_drained,
	.on_tls = on_tls,
};

static void on_accept(void *user, struct conn *conn)
{
	struct side *s = user;

	s->conn = conn;
	s->is_opened = true;
	s->net->ops->conn_set_user(conn, &side_handler, s);
}

const struct listener_handler side_listener = { .on_accept = on_accept };

static void side_init(struct side *s, struct net *net)
{
	*s = (struct side){ .net = net };
	buf_init(&s->input, 1u << 30);
}

void side_connect(struct side *s, struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms)
{
	s->conn = net_connect(net, to, source, timeout_ms, &side_handler, s);
	assert_non_null(s->conn);
}

void side_write(struct side *s, const char *text)
{
	s->net->ops->conn_write(s->conn, str_from_c(text));
}

size_t side_unsent(struct side *s)
{
	return s->net->ops->conn_unsent(s->conn);
}

void side_close(struct side *s, bool is_flushed)
{
	if (s->conn)
		s->net->ops->conn_close(s->conn, is_flushed);
	s->conn = NULL;
}

void side_start_tls(struct side *s, bool is_server, enum tls_check check, const char *name)
{
	struct tls_want want = {
		.is_server = is_server, .check = check, .server_name = str_from_c(name)
	};

	s->net->ops->conn_start_tls(s->conn, &want);
	assert_false(s->has_tls);
}

static void on_tick(struct timer *t)
{
	(void)t;
}

static void init_sides(struct net_fixture *f)
{
	f->listener = NULL;
	f->tick = (struct timer){ .on_fire = on_tick };
	side_init(&f->client, &f->net.net);
	side_init(&f->server, &f->net.net);
}

void net_fixture_init(struct net_fixture *f, const char *place)
{
	fixture_init(&f->base, 1);
	os_net_init(&f->net, &f->base.os, NULL, 0);
	init_sides(f);
	assert_int_equal(endpoint_parse(&f->at, str_from_c(place), 0), OK);
	assert_int_equal(
		net_listen(&f->net.net, &f->at, 0660, &side_listener, &f->server, &f->listener),
		OK);
	f->net.net.ops->listener_endpoint(f->listener, &f->at);
}

void net_fixture_init_inherited(struct net_fixture *f, const struct endpoint *at, int fd)
{
	fixture_init(&f->base, 1);
	os_net_init(&f->net, &f->base.os, &fd, 1);
	init_sides(f);
	f->at = *at;
}

void net_fixture_fini(struct net_fixture *f)
{
	side_close(&f->client, false);
	side_close(&f->server, false);
	os_net_fini(&f->net);
	env_timer_stop(f->base.env, &f->tick);
	fixture_fini(&f->base);
	buf_fini(&f->client.input);
	buf_fini(&f->server.input);
}

void net_fixture_connect(struct net_fixture *f)
{
	f->client.is_opened = f->server.is_opened = false;
	side_connect(&f->client, f->client.net, &f->at, NULL, 5000);
	fixture_wait(&f->base, &f->client.is_opened);
	assert_int_equal(f->client.open, OK);
	fixture_wait(&f->base, &f->server.is_opened);
}

void net_fixture_wait_input(struct net_fixture *f, const struct side *s, size_t count)
{
	fixture_wait_count(&f->base, &s->input.len, count);
	assert_int_equal(s->input.len, count);
}

void net_fixture_turn(struct net_fixture *f)
{
	env_timer_after(f->base.env, &f->tick, 2);
	os_env_run_once(&f->base.os);
}

void net_fixture_wait_conns(struct net_fixture *f, size_t count)
{
	struct mono start = env_now(f->base.env);

	while (os_net_conn_count(&f->net) != count) {
		assert_true(env_now(f->base.env).ms - start.ms < 10 * SECOND_MS);
		net_fixture_turn(f);
	}
}
