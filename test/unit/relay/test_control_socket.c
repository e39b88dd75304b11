/* The control socket over a made-up network: sessions, lines, limits, silence. The relay around it
 * is empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fixture_verbs.h"
#include "relay/relay_private.h"

#define PEERS_MAX 4

struct conn {
	const struct conn_handler *handler;
	void *user;
	struct buf out;
	size_t unsent;
	bool is_reading, is_closed, is_flushed;
	uint32_t uid;
};

struct world {
	struct fixture_verbs verbs; /* its store, host and counters */
	struct net net;
	struct env env;
	struct timers timers;
	struct mono now;
	struct log log;
	struct relay relay;
	const struct listener_handler *listener;
	void *listener_user;
	unsigned mode;
	struct conn peers[PEERS_MAX];
	unsigned closed_listeners;
};

static enum err fake_listen(struct net *net, const struct endpoint *at, unsigned mode,
	const struct listener_handler *handler, void *user, struct listener **out)
{
	struct world *w = CONTAINER_OF(net, struct world, net);

	assert_int_equal(at->family, FAMILY_UNIX);
	assert_string_equal(at->path, "/run/test.sock");
	w->listener = handler;
	w->listener_user = user;
	w->mode = mode;
	*out = (struct listener *)(void *)w;
	return OK;
}

static void fake_listener_close(struct listener *l)
{
	((struct world *)(void *)l)->closed_listeners++;
}

static void fake_set_user(struct conn *c, const struct conn_handler *handler, void *user)
{
	c->handler = handler;
	c->user = user;
}

static void fake_credentials(struct conn *c, struct peer_credentials *out)
{
	*out = (struct peer_credentials){ .is_known = true, .uid = c->uid, .gid = c->uid };
}

static void fake_read_start(struct conn *c)
{
	assert_false(c->is_closed);
	c->is_reading = true;
}

static void fake_read_stop(struct conn *c)
{
	assert_false(c->is_closed);
	c->is_reading = false;
}

static void fake_write(struct conn *c, struct str octets)
{
	assert_false(c->is_closed);
	buf_append_str(&c->out, octets);
	c->unsent += octets.len;
}

static size_t fake_unsent(struct conn *c)
{
	return c->unsent;
}

static void fake_close(struct conn *c, bool is_flushed)
{
	assert_false(c->is_closed);
	c->is_closed = true;
	c->is_flushed = is_flushed;
}

static const struct net_ops net_ops = {
	.listen = fake_listen,
	.listener_close = fake_listener_close,
	.conn_set_user = fake_set_user,
	.conn_credentials = fake_credentials,
	.conn_read_start = fake_read_start,
	.conn_read_stop = fake_read_stop,
	.conn_write = fake_write,
	.conn_unsent = fake_unsent,
	.conn_close = fake_close,
};

static struct mono fake_now(struct env *env)
{
	return CONTAINER_OF(env, struct world, env)->now;
}

static struct wall fake_wall(struct env *env)
{
	return CONTAINER_OF(env, struct world, env)->verbs.now;
}

static void fake_timer_start(struct env *env, struct timer *t, struct mono when)
{
	timers_start(&CONTAINER_OF(env, struct world, env)->timers, t, when);
}

static void fake_timer_stop(struct env *env, struct timer *t)
{
	timers_stop(&CONTAINER_OF(env, struct world, env)->timers, t);
}

static void fake_defer(struct env *env, struct deferred *d)
{
	timers_defer(&CONTAINER_OF(env, struct world, env)->timers, d);
}

static void fake_undefer(struct env *env, struct deferred *d)
{
	timers_undefer(&CONTAINER_OF(env, struct world, env)->timers, d);
}

static const struct env_ops env_ops = {
	.now = fake_now,
	.wall = fake_wall,
	.timer_start = fake_timer_start,
	.timer_stop = fake_timer_stop,
	.defer = fake_defer,
	.undefer = fake_undefer,
};

static void no_emit(struct log *log, const struct log_event *event)
{
	(void)log;
	(void)event;
}

static void turn(struct world *w, int64_t ms)
{
	w->now = mono_add(w->now, ms);
	for (unsigned i = 0; i < 50; i++)
		timers_run(&w->timers, w->now);
}

static struct conn *open_peer(struct world *w, unsigned n, uint32_t uid)
{
	w->peers[n].uid = uid;
	buf_init(&w->peers[n].out, 64 << 20);
	w->listener->on_accept(w->listener_user, &w->peers[n]);
	return &w->peers[n];
}

static void type(struct world *w, struct conn *c, const char *octets)
{
	assert_true(c->is_reading);
	c->handler->on_read(c->user, str_from_c(octets));
	turn(w, 1);
}

static unsigned count_lines(const struct conn *c)
{
	unsigned count = 0;

	for (size_t i = 0; i < c->out.len; i++)
		count += c->out.data[i] == '\n';
	return count;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct buf message;

	fixture_verbs_init(&w->verbs);
	timers_init(&w->timers);
	w->net.ops = &net_ops;
	w->env.ops = &env_ops;
	w->env.rate = 1;
	w->log.emit = no_emit;
	w->env.log = &w->log;
	w->env.metrics = &w->verbs.metrics;
	w->relay.env = &w->env;
	w->relay.net = &w->net;
	w->relay.store = &w->verbs.store;
	w->relay.conf = w->verbs.host.conf;
	w->relay.conf->control.socket = STR("/run/test.sock");
	w->relay.conf->control.sessions_max = 2;
	map_init(&w->relay.hops, 1);
	map_init(&w->relay.sites, 1);
	buf_init(&message, 1000);
	w->relay.control = control_new(&w->relay);
	assert_int_equal(control_start(w->relay.control, &message), OK);
	assert_int_equal(w->mode, 0660);
	buf_fini(&message);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	control_free(w->relay.control);
	assert_int_equal(w->closed_listeners, 1);
	for (unsigned i = 0; i < PEERS_MAX; i++)
		buf_fini(&w->peers[i].out);
	map_fini(&w->relay.hops);
	map_fini(&w->relay.sites);
	timers_fini(&w->timers);
	fixture_verbs_fini(&w->verbs);
	free(w);
	return 0;
}

static void test_session_answers_lines_in_pieces_and_in_a_row(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	type(w, c, "{\"verb\":");
	assert_int_equal(c->out.len, 0);
	type(w, c, "\"ping\"}\n{\"verb\":\"nonsense\"}\n{\"verb\":\"pi");
	assert_int_equal(count_lines(c), 2);
	assert_non_null(strstr(buf_cstr(&c->out), "{\"error\":{\"code\":64"));
	type(w, c, "ng\"}\n");
	assert_int_equal(count_lines(c), 3);
	assert_false(c->is_closed);
}

static void test_session_answers_what_came_before_the_end(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	type(w, c, "{\"verb\":\"ping\"}\n{\"verb\":\"ping\"}\n{\"verb\"");
	c->handler->on_end(c->user, ERR_EOF);
	turn(w, 1);
	assert_int_equal(count_lines(c), 2);
	assert_true(c->is_closed && c->is_flushed);
}

static void test_session_reads_nothing_while_a_verb_runs(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	w->verbs.message_count = 3;
	w->verbs.is_held_back = true;
	type(w, c, "{\"verb\":\"list\"}\n");
	assert_false(c->is_reading);
	turn(w, 10 * MINUTE_MS); /* a slow store is not an idle session */
	assert_false(c->is_closed);
	fixture_complete(&w->verbs);
	turn(w, 1);
	assert_int_equal(count_lines(c), 4);
	assert_true(c->is_reading);
}

static void test_session_that_goes_away_cancels_its_verb(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	w->verbs.is_held_back = true;
	type(w, c, "{\"verb\":\"list\"}\n");
	c->handler->on_end(c->user, ERR_RESET);
	assert_true(c->is_closed);
	fixture_complete(&w->verbs);
	turn(w, 1);
	assert_int_equal(c->out.len, 0);
}

static void test_session_stops_for_a_reader_that_takes_nothing(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	w->verbs.message_count = 5000;
	type(w, c, "{\"verb\":\"list\"}\n");
	assert_in_range(c->unsent, 256 << 10, 512 << 10);
	unsigned before = count_lines(c);
	c->unsent = 0;
	c->handler->on_drained(c->user);
	assert_true(count_lines(c) > before && count_lines(c) < 5000);
	turn(w, 61 * SECOND_MS);
	assert_true(c->is_closed && !c->is_flushed);
}

static void test_session_refuses_an_endless_line(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);
	char *chunk = mem_alloc(65536);
	unsigned chunks = 0;

	memset(chunk, 'x', 65536);
	while (!c->is_closed && chunks++ < 40)
		c->handler->on_read(c->user, str_of(chunk, 65536));
	assert_true(c->is_flushed && chunks <= 18);
	assert_non_null(strstr(buf_cstr(&c->out), "\"code\":64"));
	free(chunk);
}

static void test_silent_session_is_closed_after_a_minute(void **state)
{
	struct world *w = *state;
	struct conn *c = open_peer(w, 0, 0);

	turn(w, 59 * SECOND_MS);
	assert_false(c->is_closed);
	turn(w, 2 * SECOND_MS);
	assert_true(c->is_closed);
}

static void test_sessions_are_bounded(void **state)
{
	struct world *w = *state;
	struct conn *first = open_peer(w, 0, 0), *third;

	open_peer(w, 1, 0);
	third = open_peer(w, 2, 0);
	assert_true(third->is_closed && third->is_flushed);
	assert_non_null(strstr(buf_cstr(&third->out), "\"code\":75"));
	first->handler->on_end(first->user, ERR_RESET);
	assert_false(open_peer(w, 3, 0)->is_closed);
}

static void test_only_root_and_ourselves_change_without_a_group(void **state)
{
	struct world *w = *state;

	w->verbs.modify_left = 1;
	w->relay.conf->control.admin_group = STR("no-such-group-here");
	struct conn *stranger = open_peer(w, 0, 4242424), *root = open_peer(w, 1, 0);
	type(w, stranger, "{\"verb\":\"hold\",\"filter\":{\"all\":true}}\n");
	assert_non_null(strstr(buf_cstr(&stranger->out), "\"code\":77"));
	assert_int_equal(w->verbs.modifies, 0);
	type(w, stranger, "{\"verb\":\"list\"}\n");
	assert_non_null(strstr(buf_cstr(&stranger->out), "\"done\""));
	type(w, root, "{\"verb\":\"hold\",\"filter\":{\"all\":true}}\n");
	assert_non_null(strstr(buf_cstr(&root->out), "\"recipients\":1"));
	assert_memory_equal(w->verbs.last_actor, "uid 0 (", 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_session_answers_lines_in_pieces_and_in_a_row),
		TEST(test_session_answers_what_came_before_the_end),
		TEST(test_session_reads_nothing_while_a_verb_runs),
		TEST(test_session_that_goes_away_cancels_its_verb),
		TEST(test_session_stops_for_a_reader_that_takes_nothing),
		TEST(test_session_refuses_an_endless_line),
		TEST(test_silent_session_is_closed_after_a_minute),
		TEST(test_sessions_are_bounded),
		TEST(test_only_root_and_ourselves_change_without_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
