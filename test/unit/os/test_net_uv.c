/* Tests of os/net_uv over loopback: clear text, both ends in one loop. */
#include "unit/os/fixture_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/net_uv.h"

static void test_net_echoes_over_loopback(void **state)
{
	static const char *const places[] = { "127.0.0.1:0", "[::1]:0" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		struct net_fixture f;
		struct endpoint peer, local;
		net_fixture_init(&f, places[i]);
		f.server.is_echo = true;
		net_fixture_connect(&f);
		side_write(&f.client, "hello");
		net_fixture_wait_input(&f, &f.client, 5);
		assert_string_equal(buf_cstr(&f.client.input), "hello");
		f.net.net.ops->conn_peer(f.client.conn, &peer);
		f.net.net.ops->conn_local(f.server.conn, &local);
		assert_true(endpoint_equal(&peer, &local));
		net_fixture_fini(&f);
	}
}

static void test_net_gathers_the_output_of_a_turn(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	for (int i = 0; i < 100; i++)
		side_write(&f.client, "NOOP\r\n");
	assert_int_equal(side_unsent(&f.client), 600);
	net_fixture_wait_input(&f, &f.server, 600);
	assert_int_equal(f.server.read_count, 1);
	fixture_wait_count(&f.base, &f.client.drained_count, 1);
	assert_int_equal(f.client.drained_count, 1);
	assert_int_equal(side_unsent(&f.client), 0);
	net_fixture_fini(&f);
}

static void test_net_read_limit_leaves_the_rest(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_limit(f.server.conn, 3);
	side_write(&f.client, "abcdefgh");
	net_fixture_wait_input(&f, &f.server, 8);
	assert_string_equal(buf_cstr(&f.server.input), "abcdefgh");
	assert_int_equal(f.server.read_count, 3); /* abc def gh */
	f.net.net.ops->conn_read_limit(f.server.conn, 0);
	side_write(&f.client, "ijklmnop");
	net_fixture_wait_input(&f, &f.server, 16);
	assert_int_equal(f.server.read_count, 4);
	net_fixture_fini(&f);
}

static void test_net_half_close_leaves_the_other_direction_open(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	side_write(&f.client, "last words");
	side_close(&f.client, true); /* FIN follows the octets; it reads on for a while */
	fixture_wait(&f.base, &f.server.is_ended);
	assert_int_equal(f.server.end, ERR_EOF);
	assert_string_equal(buf_cstr(&f.server.input), "last words");
	side_write(&f.server, "reply after the end of input");
	fixture_wait_count(&f.base, &f.server.drained_count, 1);
	side_close(&f.server, true);
	net_fixture_wait_conns(&f, 0);
	net_fixture_fini(&f);
}

static void test_net_connect_tells_refusal(void **state)
{
	struct net_fixture f;
	struct endpoint closed;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	closed = f.at;
	f.net.net.ops->listener_close(f.listener);
	f.listener = NULL;
	side_connect(&f.client, &f.net.net, &closed, NULL, 5000);
	assert_false(f.client.is_opened); /* never inside the call */
	fixture_wait(&f.base, &f.client.is_opened);
	assert_int_equal(f.client.open, ERR_REFUSED);
	net_fixture_fini(&f);
}

static void test_net_connect_tells_what_cannot_be_tried(void **state)
{
	struct net_fixture f;
	struct endpoint foreign;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	assert_int_equal(endpoint_parse(&foreign, STR("192.0.2.1:0"), 0), OK);
	side_connect(&f.client, &f.net.net, &f.at, &foreign, 5000);
	assert_false(f.client.is_opened);
	fixture_wait(&f.base, &f.client.is_opened);
	assert_int_equal(f.client.open, ERR_UNREACHABLE);
	net_fixture_fini(&f);
}

/* A socket whose accept queue is full: the kernel drops further SYNs, so connects hang. */
static int fill_backlog(struct endpoint *out, int *fillers, size_t count)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_storage address;
	struct endpoint any;
	socklen_t len = sizeof(address);

	assert_int_equal(endpoint_parse(&any, STR("127.0.0.1:0"), 0), OK);
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
	memset(&address, 0, sizeof(address));
	v4->sin_family = AF_INET;
	memcpy(&v4->sin_addr, any.ip, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(*v4)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	for (size_t i = 0; i < count; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&address, sizeof(*v4));
	}
	any.port = ntohs(v4->sin_port);
	*out = any;
	return fd;
}

static void test_net_connect_times_out(void **state)
{
	struct net_fixture f;
	struct endpoint silent;
	int fillers[4];

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	int fd = fill_backlog(&silent, fillers, ARRAY_COUNT(fillers));
	struct mono start = env_now(f.base.env);
	side_connect(&f.client, &f.net.net, &silent, NULL, 50);
	fixture_wait(&f.base, &f.client.is_opened);
	assert_int_equal(f.client.open, ERR_TIMEOUT);
	assert_true(env_now(f.base.env).ms - start.ms >= 50);
	side_close(&f.client, false);
	net_fixture_wait_conns(&f, 0);
	for (size_t i = 0; i < ARRAY_COUNT(fillers); i++)
		close(fillers[i]);
	close(fd);
	net_fixture_fini(&f);
}

static void test_net_close_during_connect_leaves_nothing(void **state)
{
	struct net_fixture f;
	struct endpoint silent;
	int fillers[4];

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	int fd = fill_backlog(&silent, fillers, ARRAY_COUNT(fillers));
	side_connect(&f.client, &f.net.net, &silent, NULL, 5000);
	side_close(&f.client, true);
	net_fixture_wait_conns(&f, 0);
	assert_false(f.client.is_opened);
	for (size_t i = 0; i < ARRAY_COUNT(fillers); i++)
		close(fillers[i]);
	close(fd);
	net_fixture_fini(&f);
}

static void test_net_reset_is_told(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.server.conn);
	side_write(&f.client, "never read");
	fixture_wait_count(&f.base, &f.client.drained_count, 1);
	side_close(&f.server, false); /* unread input: the kernel sends RST */
	fixture_wait(&f.base, &f.client.is_ended);
	assert_int_equal(f.client.end, ERR_RESET);
	side_write(&f.client, "ignored");
	net_fixture_fini(&f);
}

static void test_net_unix_socket_knows_its_peer_and_mode(void **state)
{
	struct net_fixture f;
	struct peer_credentials credentials;
	struct stat st;
	char place[64];

	(void)state;
	snprintf(place, sizeof(place), "unix:/tmp/outlast-test-%d", (int)getpid());
	net_fixture_init(&f, place);
	assert_int_equal(stat(place + 5, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	net_fixture_connect(&f);
	f.net.net.ops->conn_credentials(f.server.conn, &credentials);
	assert_true(credentials.is_known);
	assert_int_equal(credentials.uid, getuid());
	assert_int_equal(credentials.gid, getgid());
	assert_int_equal(credentials.pid, getpid());
	side_write(&f.client, "status\n");
	net_fixture_wait_input(&f, &f.server, 7);
	net_fixture_fini(&f);
	assert_int_equal(stat(place + 5, &st), -1); /* removed with the listener */
}

static void test_net_unix_socket_replaces_only_stale_files(void **state)
{
	struct net_fixture f;
	struct listener *second;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char place[64];

	(void)state;
	snprintf(place, sizeof(place), "unix:/tmp/outlast-stale-%d", (int)getpid());
	memcpy(address.sun_path, place + 5, strlen(place + 5) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* as after kill -9: the file stays */
	net_fixture_init(&f, place);
	/* in use now */
	assert_int_equal(net_listen(&f.net.net, &f.at, 0600, &side_listener, &f.server, &second),
		ERR_EXISTS);
	net_fixture_fini(&f);
	/* no socket at all: left alone */
	fd = open(place + 5, O_CREAT | O_WRONLY, 0600);
	close(fd);
	fixture_init(&f.base, 1);
	os_net_init(&f.net, &f.base.os, NULL, 0);
	assert_int_equal(net_listen(&f.net.net, &f.at, 0600, &side_listener, &f.server, &second),
		ERR_EXISTS);
	os_net_fini(&f.net);
	fixture_fini(&f.base);
	assert_int_equal(unlink(place + 5), 0);
}

static void test_net_listen_tells_why_not(void **state)
{
	static const struct {
		const char *place;
		enum err expected;
	} rows[] = {
		{ "192.0.2.1:0", ERR_NOT_FOUND },
		{ "unix:/nonexistent/socket", ERR_NOT_FOUND },
	};
	struct net_fixture f;
	struct listener *second;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct endpoint at;
		assert_int_equal(endpoint_parse(&at, str_from_c(rows[i].place), 0), OK);
		assert_int_equal(
			net_listen(&f.net.net, &at, 0600, &side_listener, &f.server, &second),
			rows[i].expected);
	}
	assert_int_equal(net_listen(&f.net.net, &f.at, 0600, &side_listener, &f.server, &second),
		ERR_EXISTS);
	net_fixture_fini(&f);
}

static void test_net_paused_reading_holds_octets_back(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.server.conn);
	side_write(&f.client, "wait");
	fixture_wait_count(&f.base, &f.client.drained_count, 1);
	for (int turn = 0; turn < 5; turn++)
		net_fixture_turn(&f);
	assert_int_equal(f.server.input.len, 0);
	f.net.net.ops->conn_read_start(f.server.conn);
	net_fixture_wait_input(&f, &f.server, 4);
	net_fixture_fini(&f);
}

static void test_net_paused_listener_keeps_clients_waiting(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	f.net.net.ops->listener_pause(f.listener, true);
	side_connect(&f.client, &f.net.net, &f.at, NULL, 5000);
	fixture_wait(&f.base, &f.client.is_opened); /* the kernel answers */
	for (int turn = 0; turn < 5; turn++)
		net_fixture_turn(&f);
	assert_null(f.server.conn);
	f.net.net.ops->listener_pause(f.listener, false);
	fixture_wait(&f.base, &f.server.is_opened);
	net_fixture_fini(&f);
}

static void test_net_large_transfer_drains_under_back_pressure(void **state)
{
	enum { TOTAL = 20 * 1000 * 1000 };
	struct net_fixture f;
	char *data = malloc(TOTAL);

	(void)state;
	for (size_t i = 0; i < TOTAL; i++)
		data[i] = (char)(i * 31 >> 3);
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.server.conn);
	f.net.net.ops->conn_write(f.client.conn, str_of(data, TOTAL));
	for (int turn = 0; turn < 20; turn++)
		net_fixture_turn(&f);
	assert_in_range(side_unsent(&f.client), 1, TOTAL - 1);
	assert_int_equal(f.client.drained_count, 0);
	f.net.net.ops->conn_read_start(f.server.conn);
	net_fixture_wait_input(&f, &f.server, TOTAL);
	fixture_wait_count(&f.base, &f.client.drained_count, 1);
	assert_memory_equal(f.server.input.data, data, TOTAL);
	free(data);
	net_fixture_fini(&f);
}

/* What is given leaves in order with what is written, behind output that waits and without. */
static void test_net_given_octets_keep_their_place(void **state)
{
	enum { LARGE = 5 * 1000 * 1000 };
	struct net_fixture f;
	struct buf small, large;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	buf_init(&small, 100);
	buf_init(&large, LARGE);
	memset(buf_reserve(&large, LARGE), 'x', LARGE);
	large.len = LARGE;
	f.net.net.ops->conn_give(f.client.conn, &small); /* nothing at all */
	assert_int_equal(side_unsent(&f.client), 0);
	f.net.net.ops->conn_give(f.client.conn, &large);
	assert_int_equal(large.len, 0);
	assert_int_equal(large.max_bytes, LARGE);
	side_write(&f.client, "1");
	buf_append_str(&small, STR("2"));
	f.net.net.ops->conn_give(f.client.conn, &small);
	assert_int_equal(small.len, 0);
	assert_int_equal(side_unsent(&f.client), LARGE + 2);
	net_fixture_turn(&f); /* some of it is with the kernel now, the rest with libuv */
	buf_append_str(&small, STR("3"));
	f.net.net.ops->conn_give(f.client.conn, &small);
	side_write(&f.client, "4");
	net_fixture_wait_input(&f, &f.server, LARGE + 4);
	assert_memory_equal(f.server.input.data + LARGE - 1, "x1234", 5);
	buf_fini(&small);
	buf_fini(&large);
	net_fixture_fini(&f);
}

/* Octets that come while the user wants none wait in the kernel, as does the end; none are lost. */
static void test_net_input_waits_while_it_is_not_wanted(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	for (int round = 0; round < 3; round++) {
		f.net.net.ops->conn_read_stop(f.server.conn);
		f.net.net.ops->conn_read_start(f.server.conn); /* at once: as if nothing had been */
		f.net.net.ops->conn_read_stop(f.server.conn);
		side_write(&f.client, "octets");
		if (round == 2)
			side_close(&f.client, true);
		for (int turn = 0; turn < 5; turn++)
			net_fixture_turn(&f);
		assert_int_equal(f.server.input.len, round * 6);
		assert_false(f.server.is_ended);
		f.net.net.ops->conn_read_start(f.server.conn);
		net_fixture_wait_input(&f, &f.server, (size_t)(round + 1) * 6);
	}
	fixture_wait(&f.base, &f.server.is_ended);
	assert_int_equal(f.server.end, ERR_EOF);
	net_fixture_fini(&f);
}

static void test_net_flushed_close_delivers_the_last_reply(void **state)
{
	enum { TOTAL = 3 * 1000 * 1000 };
	struct net_fixture f;
	char *data = malloc(TOTAL);

	(void)state;
	memset(data, 'x', TOTAL);
	net_fixture_init(&f, "127.0.0.1:0");
	net_fixture_connect(&f);
	/* octets that the closing side never reads must not turn its goodbye into a reset */
	side_write(&f.client, "pipelined commands nobody answers");
	f.net.net.ops->conn_write(f.server.conn, str_of(data, TOTAL));
	side_close(&f.server, true);
	fixture_wait(&f.base, &f.client.is_ended);
	assert_int_equal(f.client.end, ERR_EOF);
	assert_int_equal(f.client.input.len, TOTAL);
	free(data);
	net_fixture_fini(&f);
}

static void test_net_flushed_close_gives_up_on_a_peer_that_takes_nothing(void **state)
{
	enum { TOTAL = 20 * 1000 * 1000 };
	struct net_fixture f;
	char *data = calloc(1, TOTAL);

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	assert_int_equal(f.net.uv->flush_limit_ms, 10000);
	f.net.uv->flush_limit_ms = 40;
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.client.conn);
	f.net.net.ops->conn_write(f.server.conn, str_of(data, TOTAL));
	struct mono start = env_now(f.base.env);
	side_close(&f.server, true);
	net_fixture_wait_conns(&f, 1);
	assert_in_range(env_now(f.base.env).ms - start.ms, 40, 5000);
	f.net.net.ops->conn_read_start(f.client.conn);
	fixture_wait(&f.base, &f.client.is_ended);
	assert_true(f.client.input.len < TOTAL);
	free(data);
	net_fixture_fini(&f);
}

static void test_net_user_may_close_in_any_handler(void **state)
{
	static const enum side_event events[] = { ON_OPEN, ON_READ, ON_END, ON_DRAINED };

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_COUNT(events); i++) {
		struct net_fixture f;
		net_fixture_init(&f, "127.0.0.1:0");
		f.server.is_echo = true;
		f.server.closes_on = ON_END;
		f.client.closes_on = events[i / 2];
		f.client.closes_flushed = i % 2;
		side_connect(&f.client, &f.net.net, &f.at, NULL, 5000);
		side_write(&f.client, "hello");
		fixture_wait(&f.base, &f.server.is_opened);
		if (events[i / 2] == ON_END)
			side_close(&f.server, false);
		net_fixture_wait_conns(&f, 0);
		assert_null(f.client.conn);
		net_fixture_fini(&f);
	}
}

static void test_net_inherited_socket_is_used_and_reused(void **state)
{
	struct net_fixture f;
	struct endpoint at;
	int fillers[1];

	(void)state;
	int fd = fill_backlog(&at, fillers, 0);
	net_fixture_init_inherited(&f, &at, fd);
	for (int round = 0; round < 2; round++) {
		struct listener *l;
		assert_int_equal(net_listen(&f.net.net, &at, 0, &side_listener, &f.server, &l), OK);
		net_fixture_connect(&f);
		side_close(&f.client, false);
		side_close(&f.server, false);
		f.net.net.ops->listener_close(l);
		net_fixture_wait_conns(&f, 0);
	}
	net_fixture_fini(&f);
}

static void test_net_accepting_pauses_without_descriptors_and_recovers(void **state)
{
	struct net_fixture f;
	struct rlimit limit, low;
	int hoard[256];
	size_t count = 0;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	side_connect(&f.client, &f.net.net, &f.at, NULL, 5000);
	while (count < ARRAY_COUNT(hoard) && (hoard[count] = open("/dev/null", O_RDONLY)) >= 0)
		count++;
	size_t logged_before = f.base.log_count;
	fixture_wait(&f.base, &f.client.is_opened);
	while (f.base.log_count == logged_before)
		net_fixture_turn(&f);
	assert_null(f.server.conn);
	/* the reserve is free for others now */
	int fd = open("/dev/null", O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
	/* waiting, not spinning: the loop sleeps until the retry */
	struct mono start = env_now(f.base.env);
	for (int turn = 0; turn < 3; turn++)
		net_fixture_turn(&f);
	assert_true(env_now(f.base.env).ms - start.ms >= 3);
	while (count > 0)
		close(hoard[--count]);
	fixture_wait(&f.base, &f.server.is_opened);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	net_fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_net_echoes_over_loopback),
		cmocka_unit_test(test_net_gathers_the_output_of_a_turn),
		cmocka_unit_test(test_net_read_limit_leaves_the_rest),
		cmocka_unit_test(test_net_half_close_leaves_the_other_direction_open),
		cmocka_unit_test(test_net_connect_tells_refusal),
		cmocka_unit_test(test_net_connect_tells_what_cannot_be_tried),
		cmocka_unit_test(test_net_connect_times_out),
		cmocka_unit_test(test_net_close_during_connect_leaves_nothing),
		cmocka_unit_test(test_net_reset_is_told),
		cmocka_unit_test(test_net_unix_socket_knows_its_peer_and_mode),
		cmocka_unit_test(test_net_unix_socket_replaces_only_stale_files),
		cmocka_unit_test(test_net_listen_tells_why_not),
		cmocka_unit_test(test_net_paused_reading_holds_octets_back),
		cmocka_unit_test(test_net_paused_listener_keeps_clients_waiting),
		cmocka_unit_test(test_net_large_transfer_drains_under_back_pressure),
		cmocka_unit_test(test_net_given_octets_keep_their_place),
		cmocka_unit_test(test_net_input_waits_while_it_is_not_wanted),
		cmocka_unit_test(test_net_flushed_close_delivers_the_last_reply),
		cmocka_unit_test(test_net_flushed_close_gives_up_on_a_peer_that_takes_nothing),
		cmocka_unit_test(test_net_user_may_close_in_any_handler),
		cmocka_unit_test(test_net_inherited_socket_is_used_and_reused),
		cmocka_unit_test(test_net_accepting_pauses_without_descriptors_and_recovers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
