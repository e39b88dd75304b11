#include <string.h>
#include <unistd.h>

#include "os/net_uv.h"
#include "unit/os/fixture_tls.h"

struct world {
	struct tls_authority good, other;
	struct tls_files files, client;
	struct net_fixture f;
};

static struct os_net_tls paths(struct world *w)
{
	return (struct os_net_tls){ .certificate_path = w->files.certificate,
		.key_path = w->files.key,
		.authorities_path = w->files.authority };
}

static int set_up(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	tls_authority_init(&w.good, "Good Authority");
	tls_authority_init(&w.other, "Other Authority");
	tls_files_init(&w.files);
	tls_files_init(&w.client);
	tls_write_authority(&w.good, w.files.authority);
	tls_write_leaf(&w.files, &w.good, &(struct tls_leaf){ 0 });
	net_fixture_init(&w.f, "127.0.0.1:0");
	struct os_net_tls tls = paths(&w);
	tls_load(&w.f, &tls);
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	net_fixture_fini(&w->f);
	tls_files_fini(&w->files);
	tls_files_fini(&w->client);
	tls_authority_fini(&w->good);
	tls_authority_fini(&w->other);
	return 0;
}

/* A session whose ticket has arrived: with TLS 1.3 it comes with the first data. */
static void talk(struct world *w, const struct tls_want *want)
{
	tls_shake(&w->f, want);
	assert_int_equal(w->f.client.tls, OK);
	assert_int_equal(w->f.client.is_resumed, w->f.server.is_resumed);
	side_write(&w->f.server, "250");
	net_fixture_wait_input(&w->f, &w->f.client, 3);
}

static const struct tls_want base = {
	.check = TLS_CHECK_NAME,
	.server_name = { "mx.test", 7 },
	.session_key = { "mx.test/verify", 14 },
};

static void test_tls_session_is_resumed_and_stays_verified(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		tls_sessions_fini(w->f.net.uv);
		tls_sessions_init(w->f.net.uv);
		SSL_CTX_set_max_proto_version(w->f.net.uv->client_context, versions[i]);
		talk(w, &base);
		assert_false(w->f.client.is_resumed);
		for (int k = 0; k < 6; k++) {
			talk(w, &base);
			assert_true(w->f.client.is_resumed);
			assert_true(w->f.client.is_verified);
			assert_int_equal(w->f.client.fault, TLS_FAULT_NONE);
			assert_string_equal(w->f.client.peer, "mx.test");
			assert_string_equal(w->f.client.protocol, i == 0 ? "TLSv1.2" : "TLSv1.3");
		}
	}
}

static void test_tls_session_of_tls_1_3_is_used_once(void **state)
{
	struct world *w = *state;

	talk(w, &base);
	size_t count = w->f.net.uv->session_count;
	assert_in_range(count, 1, 2);
	tls_begin(&w->f);
	w->f.net.net.ops->conn_start_tls(w->f.client.conn, &base);
	assert_int_equal(w->f.net.uv->session_count, count - 1);
	fixture_wait(&w->f.base, &w->f.server.has_tls);
}

static void test_tls_session_is_not_resumed_under_another_policy(void **state)
{
	struct world *w = *state;
	struct str name = STR("mx.test");
	struct net_tlsa tlsa = { 3, 1, 1, STR("01234567890123456789012345678901") };
	struct tls_want wants[8];

	for (size_t i = 0; i < ARRAY_COUNT(wants); i++)
		wants[i] = base;
	wants[0].session_key = STR("mx.test/require");
	wants[1].session_key = (struct str){ 0 };
	wants[2].check = TLS_CHECK_NONE;
	wants[3].names = &name;
	wants[3].name_count = 1;
	wants[4].tlsa = &tlsa;
	wants[4].tlsa_count = 1;
	wants[5].server_name = STR("other.test");
	wants[5].names = &name;
	wants[5].name_count = 1;
	for (size_t i = 0; i < 6; i++) {
		talk(w, &base);
		talk(w, &wants[i]);
		assert_false(w->f.client.is_resumed);
		talk(w, &base);
		assert_true(w->f.client.is_resumed);
	}
	talk(w, &wants[1]);
	talk(w, &wants[1]);
	assert_false(w->f.client.is_resumed); /* without a key never */
}

/* Met without a check first: under a rule that verifies, the certificate must be seen. */
static void test_tls_session_unverified_never_counts_as_verified(void **state)
{
	struct world *w = *state;
	struct tls_want lax = base, strict = base;

	lax.check = TLS_CHECK_NONE;
	lax.server_name = strict.server_name = STR("wrong.test");
	talk(w, &lax);
	talk(w, &lax);
	assert_true(w->f.client.is_resumed);
	assert_false(w->f.client.is_verified);
	assert_int_equal(w->f.client.fault, TLS_FAULT_NAME); /* remembered */
	tls_shake(&w->f, &strict);
	assert_int_equal(w->f.client.tls, ERR_TLS);
}

static void test_tls_session_is_forgotten_in_a_reload(void **state)
{
	struct world *w = *state;
	struct os_net_tls tls = paths(w);

	talk(w, &base);
	tls_load(&w->f, &tls);
	assert_int_equal(w->f.net.uv->session_count, 0);
	talk(w, &base);
	assert_false(w->f.client.is_resumed);
}

static void test_tls_session_tickets_outlive_a_reload_of_the_server(void **state)
{
	struct world *w = *state;
	struct os_net_tls tls = paths(w);
	struct os_tls *read;
	struct buf problem;

	buf_init(&problem, 100);
	talk(w, &base);
	assert_int_equal(os_tls_read(&tls, &read, &problem), OK);
	os_tls_free(read); /* read and not used: nothing changes */
	talk(w, &base);
	assert_true(w->f.client.is_resumed);
	buf_fini(&problem);
}

static void test_tls_session_cache_is_bounded(void **state)
{
	struct world *w = *state;
	char key[16];
	struct tls_want want = base;

	for (int i = 0; i < 1010; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		want.session_key = str_from_c(key);
		talk(w, &want);
	}
	assert_in_range(w->f.net.uv->session_count, 990, 1000);
	talk(w, &want);
	assert_true(w->f.client.is_resumed);
	want.session_key = STR("k0"); /* the first have gone */
	talk(w, &want);
	assert_false(w->f.client.is_resumed);
}

static void test_tls_session_of_one_key_is_bounded(void **state)
{
	struct world *w = *state;
	SSL_CTX *server = w->f.net.uv->server_context;

	SSL_CTX_set_num_tickets(server, 50);
	talk(w, &base);
	assert_int_equal(w->f.net.uv->session_count, 32);
	SSL_CTX_set_num_tickets(server, 2);
}

static void age_ticket_keys(struct world *w, int64_t ms)
{
	for (size_t i = 0; i < 2; i++)
		w->f.net.uv->ticket_keys[i].made.ms -= ms;
}

static void test_tls_ticket_keys_are_replaced_and_end(void **state)
{
	struct world *w = *state;
	struct net_uv *net = w->f.net.uv;
	struct tls_ticket_key first;

	talk(w, &base);
	first = net->ticket_keys[0];
	age_ticket_keys(w, HOUR_MS + 1); /* encrypts no more, decrypts still */
	talk(w, &base);
	assert_true(w->f.client.is_resumed);
	assert_memory_not_equal(net->ticket_keys[0].name, first.name, sizeof(first.name));
	assert_memory_equal(net->ticket_keys[1].name, first.name, sizeof(first.name));
	age_ticket_keys(w, 2 * HOUR_MS + 1);
	talk(w, &base);
	assert_false(w->f.client.is_resumed);
	assert_int_equal(w->f.client.tls, OK);
}

/* --- certificates of clients --- */

static void wear(SSL_CTX *client, const struct tls_files *files)
{
	assert_int_equal(SSL_CTX_use_certificate_chain_file(client, files->certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(client, files->key, SSL_FILETYPE_PEM), 1);
}

static void test_tls_client_certificate_is_known_when_good_and_never_demanded(void **state)
{
	static const struct {
		struct tls_leaf leaf;
		bool has, is_of_other;
		const char *peer;
		enum tls_fault fault;
	} rows[] = {
		{ .has = false, .peer = "", .fault = TLS_FAULT_NONE },
		{ .leaf = { .common_name = "alice", .is_for_clients = true },
			.has = true,
			.peer = "alice",
			.fault = TLS_FAULT_NONE },
		{ .leaf = { .common_name = "", .names = "DNS:host.test", .is_for_clients = true },
			.has = true,
			.peer = "host.test",
			.fault = TLS_FAULT_NONE },
		{ .leaf = { .common_name = "mallory", .is_for_clients = true },
			.has = true,
			.is_of_other = true,
			.peer = "",
			.fault = TLS_FAULT_UNTRUSTED },
		{ .leaf = { .common_name = "old",
			  .is_for_clients = true,
			  .from_s = -7200,
			  .to_s = -60 },
			.has = true,
			.peer = "",
			.fault = TLS_FAULT_EXPIRED },
		{ .leaf = { .common_name = "server" },
			.has = true,
			.peer = "",
			.fault = TLS_FAULT_UNTRUSTED },
	};
	struct world *w = *state;
	struct os_net_tls tls = paths(w);

	tls.client_authorities_path = w->files.authority;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		tls_load(&w->f, &tls);
		if (rows[i].has) {
			tls_write_leaf(&w->client, rows[i].is_of_other ? &w->other : &w->good,
				&rows[i].leaf);
			wear(w->f.net.uv->client_context, &w->client);
		}
		for (int k = 0; k < 2; k++) { /* in full, and resumed */
			talk(w, &base);
			assert_int_equal(w->f.server.is_resumed, k);
			assert_string_equal(w->f.server.peer, rows[i].peer);
			assert_int_equal(w->f.server.is_verified, rows[i].peer[0] != '\0');
			assert_int_equal(w->f.server.fault, rows[i].fault);
			assert_int_equal(
				w->f.server.problem[0] != '\0', rows[i].fault != TLS_FAULT_NONE);
		}
	}
}

/* What was verified by the authorities of then is not what the new ones say. The client is a net of its own, so that it
 * keeps its sessions over the server's reload. */
static void test_tls_client_certificate_is_verified_anew_under_other_authorities(void **state)
{
	struct world *w = *state;
	struct os_net_tls tls = paths(w), client = { .authorities_path = w->files.authority };
	struct os_net net;
	struct buf problem;
	char other[96];

	buf_init(&problem, 100);
	os_net_init(&net, &w->f.base.os, NULL, 0);
	w->f.client.net = &net.net;
	assert_int_equal(os_net_load_tls(&net, &client, &problem), OK);
	tls_write_leaf(&w->client, &w->good,
		&(struct tls_leaf){ .common_name = "alice", .is_for_clients = true });
	wear(net.uv->client_context, &w->client);
	tls.client_authorities_path = w->files.authority;
	for (int i = 0; i < 3; i++) { /* the same authorities again change nothing */
		tls_load(&w->f, &tls);
		talk(w, &base);
		assert_int_equal(w->f.server.is_resumed, i > 0);
		assert_string_equal(w->f.server.peer, "alice");
	}
	snprintf(other, sizeof(other), "%s/other", w->client.directory);
	tls_write_authority(&w->other, other);
	tls.client_authorities_path = other;
	tls_load(&w->f, &tls);
	talk(w, &base);
	assert_false(w->f.server.is_resumed);
	assert_string_equal(w->f.server.peer, "");
	assert_int_equal(w->f.server.fault, TLS_FAULT_UNTRUSTED);
	unlink(other);
	buf_fini(&problem);
	side_close(&w->f.client, false);
	w->f.client.net = &w->f.net.net;
	os_net_fini(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_tls_session_is_resumed_and_stays_verified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_of_tls_1_3_is_used_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_is_not_resumed_under_another_policy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_unverified_never_counts_as_verified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_is_forgotten_in_a_reload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_tickets_outlive_a_reload_of_the_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_cache_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_session_of_one_key_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_ticket_keys_are_replaced_and_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_client_certificate_is_known_when_good_and_never_demanded, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			test_tls_client_certificate_is_verified_anew_under_other_authorities,
			set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
