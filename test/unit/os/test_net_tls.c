/* Tests of os/net_tls and os/tls_context: both ends in one loop, with a certificate made here for
 * mx.test. */
#include "unit/os/fixture_net.h"

#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/tls_private.h"

#define CERTIFICATE_NAME "mx.test"

struct files {
	char certificate[64], key[64];
};

static void add_alternative_name(X509 *x)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(
		NULL, NULL, NID_subject_alt_name, "DNS:" CERTIFICATE_NAME ",IP:127.0.0.1");

	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void write_files(const struct files *to, EVP_PKEY *key, X509 *x)
{
	FILE *f = fopen(to->certificate, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, x), 1);
	fclose(f);
	f = fopen(to->key, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

static int make_certificate(void **state)
{
	static struct files files;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	snprintf(files.certificate, sizeof(files.certificate), "/tmp/outlast-cert-%d",
		(int)getpid());
	snprintf(files.key, sizeof(files.key), "/tmp/outlast-key-%d", (int)getpid());
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)CERTIFICATE_NAME, -1, -1, 0);
	X509_set_issuer_name(x, name);
	add_alternative_name(x);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	write_files(&files, key, x);
	X509_free(x);
	EVP_PKEY_free(key);
	*state = &files;
	return 0;
}

static int remove_certificate(void **state)
{
	const struct files *files = *state;

	unlink(files->certificate);
	unlink(files->key);
	return 0;
}

static void load(struct net_fixture *f, const struct files *files, bool is_trusted)
{
	struct os_net_tls tls = { .certificate_path = files->certificate,
		.key_path = files->key,
		.authorities_path = is_trusted ? files->certificate : NULL };
	struct buf problem;

	buf_init(&problem, 200);
	assert_int_equal(os_net_load_tls(&f->net, &tls, &problem), OK);
	buf_fini(&problem);
}

/* The connection after the server's "go", before the first octet of TLS; the server has begun. */
static void begin(struct net_fixture *f, const struct files *files, bool is_trusted)
{
	net_fixture_init(f, "127.0.0.1:0");
	load(f, files, is_trusted);
	net_fixture_connect(f);
	f->server.starts_tls_on_read = true;
	side_write(&f->client, "STARTTLS");
	net_fixture_wait_input(f, &f->client, 2);
	assert_string_equal(buf_cstr(&f->client.input), "go");
	buf_clear(&f->client.input);
	buf_clear(&f->server.input);
}

static void test_tls_handshake_verifies_and_carries_data(void **state)
{
	static const char *const names[] = { CERTIFICATE_NAME, "127.0.0.1", "MX.test" };

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct net_fixture f;
		begin(&f, *state, true);
		side_start_tls(&f.client, false, TLS_CHECK_NAME, names[i]);
		side_write(&f.client, "EHLO"); /* waits for the handshake */
		fixture_wait(&f.base, &f.client.has_tls);
		fixture_wait(&f.base, &f.server.has_tls);
		assert_int_equal(f.client.tls, OK);
		assert_int_equal(f.server.tls, OK);
		assert_true(f.client.is_verified);
		assert_string_equal(f.client.protocol, "TLSv1.3");
		assert_string_equal(f.client.problem, "");
		net_fixture_wait_input(&f, &f.server, 4);
		side_write(&f.server, "250 OK");
		net_fixture_wait_input(&f, &f.client, 6);
		assert_string_equal(buf_cstr(&f.client.input), "250 OK");
		side_close(&f.client, true);
		fixture_wait(&f.base, &f.server.is_ended);
		assert_int_equal(f.server.end, ERR_EOF);
		net_fixture_fini(&f);
	}
}

static void test_tls_1_2_is_spoken_with_those_who_have_no_better(void **state)
{
	struct net_fixture f;

	begin(&f, *state, true);
	SSL_CTX_set_max_proto_version(f.net.uv->client_context, TLS1_2_VERSION);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, OK);
	assert_string_equal(f.client.protocol, "TLSv1.2");
	side_write(&f.client, "EHLO");
	net_fixture_wait_input(&f, &f.server, 4);
	side_write(&f.server, "250 OK");
	net_fixture_wait_input(&f, &f.client, 6);
	net_fixture_fini(&f);
}

static void test_tls_required_name_is_enforced(void **state)
{
	static const struct {
		bool is_trusted;
		const char *name;
		const char *problem;
	} rows[] = {
		{ true, "other.test", "hostname mismatch, certificate is for mx.test" },
		{ true, "127.0.0.2", "IP address mismatch, certificate is for mx.test" },
		{ false, CERTIFICATE_NAME,
			"self-signed certificate, certificate is for mx.test, issued by mx.test" },
		{ true, "", "no usable server name" },
		{ true, "a\x01.test", "hostname mismatch, certificate is for mx.test" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct net_fixture f;
		begin(&f, *state, rows[i].is_trusted);
		side_start_tls(&f.client, false, TLS_CHECK_NAME, rows[i].name);
		side_write(&f.client, "secret");
		fixture_wait(&f.base, &f.client.has_tls);
		assert_int_equal(f.client.tls, ERR_TLS);
		assert_string_equal(f.client.problem, rows[i].problem);
		side_close(&f.client, true);
		fixture_wait(&f.base, &f.server.has_tls);
		assert_int_equal(f.server.tls, ERR_TLS);
		assert_int_equal(f.server.input.len, 0);
		assert_false(f.server.is_ended);
		net_fixture_fini(&f);
	}
}

static void test_tls_opportunistic_takes_any_certificate(void **state)
{
	static const struct {
		bool is_trusted;
		const char *name;
		bool is_verified;
	} rows[] = {
		{ false, CERTIFICATE_NAME, false },
		{ true, "other.test", false },
		{ true, "", false },
		{ true, CERTIFICATE_NAME, true },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct net_fixture f;
		begin(&f, *state, rows[i].is_trusted);
		side_start_tls(&f.client, false, TLS_CHECK_NONE, rows[i].name);
		fixture_wait(&f.base, &f.client.has_tls);
		assert_int_equal(f.client.tls, OK);
		assert_int_equal(f.client.is_verified, rows[i].is_verified);
		net_fixture_fini(&f);
	}
}

static void test_tls_injected_command_is_refused(void **state)
{
	struct net_fixture f;

	net_fixture_init(&f, "127.0.0.1:0");
	load(&f, *state, true);
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.server.conn);
	side_write(&f.client, "MAIL FROM:<injected@test>\r\n");
	fixture_wait_count(&f.base, &f.client.drained_count, 1); /* the octets are in the kernel */
	side_write(&f.server, "go");
	side_start_tls(&f.server, true, TLS_CHECK_NONE, "");
	fixture_wait(&f.base, &f.server.has_tls);
	assert_int_equal(f.server.tls, ERR_TLS);
	assert_string_equal(f.server.problem, "clear text after STARTTLS");
	assert_int_equal(f.server.input.len, 0);
	net_fixture_fini(&f);
}

static void test_tls_injected_response_is_refused(void **state)
{
	struct net_fixture f;

	net_fixture_init(&f, "127.0.0.1:0");
	load(&f, *state, true);
	net_fixture_connect(&f);
	f.net.net.ops->conn_read_stop(f.client.conn);
	side_write(&f.server, "250 injected\r\n");
	fixture_wait_count(&f.base, &f.server.drained_count, 1);
	side_start_tls(&f.client, false, TLS_CHECK_NONE, "");
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, ERR_TLS);
	assert_int_equal(f.client.input.len, 0);
	net_fixture_fini(&f);
}

static void test_tls_clear_text_in_place_of_a_handshake_is_refused(void **state)
{
	struct net_fixture f;

	begin(&f, *state, true);
	side_write(&f.client, "MAIL FROM:<injected@test>\r\n");
	fixture_wait(&f.base, &f.server.has_tls);
	assert_int_equal(f.server.tls, ERR_TLS);
	assert_int_equal(f.server.input.len, 0);
	net_fixture_fini(&f);
}

static void test_tls_handshake_that_stalls_times_out(void **state)
{
	struct net_fixture f;

	net_fixture_init(&f, "127.0.0.1:0");
	assert_int_equal(f.net.uv->handshake_limit_ms, 30000);
	net_fixture_fini(&f);
	begin(&f, *state, true);
	f.net.uv->handshake_limit_ms = 30;
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	f.net.net.ops->conn_close(f.server.conn, false); /* replaced by one that says nothing */
	f.server.conn = NULL;
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, ERR_TLS);
	assert_string_equal(f.client.problem, "connection closed during the TLS handshake");
	side_close(&f.client, false);
	f.client.is_opened = f.client.has_tls = false;
	net_fixture_connect(&f);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, ERR_TIMEOUT);
	net_fixture_fini(&f);
}

static void test_tls_large_transfer_drains_under_back_pressure(void **state)
{
	enum { TOTAL = 5 * 1000 * 1000 };
	struct net_fixture f;
	char *data = malloc(TOTAL);

	for (size_t i = 0; i < TOTAL; i++)
		data[i] = (char)(i * 31 >> 3);
	begin(&f, *state, true);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.server.has_tls);
	f.client.drained_count = f.server.drained_count = 0;
	f.net.net.ops->conn_read_stop(f.server.conn);
	f.net.net.ops->conn_write(f.client.conn, str_of(data, TOTAL));
	f.net.net.ops->conn_write(f.server.conn, str_of(data, TOTAL)); /* both ways at once */
	net_fixture_wait_input(&f, &f.client, TOTAL);
	assert_true(side_unsent(&f.client) > 0);
	assert_int_equal(f.client.drained_count, 0);
	assert_int_equal(f.server.input.len, 0);
	f.net.net.ops->conn_read_start(f.server.conn);
	net_fixture_wait_input(&f, &f.server, TOTAL);
	fixture_wait_count(&f.base, &f.client.drained_count, 1);
	assert_memory_equal(f.server.input.data, data, TOTAL);
	assert_memory_equal(f.client.input.data, data, TOTAL);
	free(data);
	net_fixture_fini(&f);
}

static void test_tls_flushed_close_says_goodbye(void **state)
{
	struct net_fixture f;

	begin(&f, *state, true);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.server.has_tls);
	side_write(&f.server, "221 bye");
	side_close(&f.server, true);
	fixture_wait(&f.base, &f.client.is_ended);
	assert_int_equal(f.client.end, ERR_EOF);
	assert_string_equal(buf_cstr(&f.client.input), "221 bye");
	side_close(&f.client, true);
	net_fixture_wait_conns(&f, 0);
	net_fixture_fini(&f);
}

static void test_tls_user_may_close_in_any_handler(void **state)
{
	static const enum side_event events[] = { ON_READ, ON_END, ON_DRAINED, ON_TLS };

	for (size_t i = 0; i < 2 * ARRAY_COUNT(events); i++) {
		struct net_fixture f;
		begin(&f, *state, true);
		f.server.is_echo = true;
		f.server.closes_on = ON_END;
		f.client.closes_on = events[i / 2];
		f.client.closes_flushed = i % 2;
		side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
		side_write(&f.client, "hello");
		if (events[i / 2] == ON_END) {
			fixture_wait(&f.base, &f.client.has_tls);
			side_close(&f.server, true);
		}
		net_fixture_wait_conns(&f, 0);
		assert_null(f.client.conn);
		net_fixture_fini(&f);
	}
}

static void test_tls_without_set_up_is_unsupported(void **state)
{
	struct net_fixture f;

	(void)state;
	net_fixture_init(&f, "127.0.0.1:0");
	assert_false(os_net_has_certificate(&f.net));
	net_fixture_connect(&f);
	side_start_tls(&f.client, false, TLS_CHECK_NONE, "");
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, ERR_UNSUPPORTED);
	net_fixture_fini(&f);
}

static void test_tls_reload_with_a_bad_file_changes_nothing(void **state)
{
	const struct files *files = *state;
	const struct os_net_tls rows[] = {
		{ .certificate_path = "/nonexistent/cert", .key_path = files->key },
		{ .certificate_path = files->certificate, .key_path = "/nonexistent/key" },
		{ .certificate_path = files->key, .key_path = files->key },
		{ .authorities_path = "/nonexistent/ca" },
	};
	struct net_fixture f;

	begin(&f, files, true);
	assert_true(os_net_has_certificate(&f.net));
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct buf problem;
		buf_init(&problem, 300);
		assert_int_equal(os_net_load_tls(&f.net, &rows[i], &problem), ERR_TLS);
		assert_true(problem.len > 0);
		buf_fini(&problem);
	}
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.client.has_tls);
	assert_int_equal(f.client.tls, OK);
	net_fixture_fini(&f);
}

/* A client of its own making, for what the adapter would never send. */
static void test_tls_old_protocols_are_refused(void **state)
{
	struct net_fixture f;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	unsigned char hello[1024];

	begin(&f, *state, true);
	SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
	SSL_CTX_set_security_level(context, 0);
	SSL *ssl = SSL_new(context);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_connect(ssl);
	int len = BIO_read(SSL_get_wbio(ssl), hello, sizeof(hello));
	assert_true(len > 0);
	f.net.net.ops->conn_write(f.client.conn, str_of((const char *)hello, (size_t)len));
	fixture_wait(&f.base, &f.server.has_tls);
	assert_int_equal(f.server.tls, ERR_TLS);
	assert_string_equal(f.server.problem, "unsupported protocol");
	SSL_free(ssl);
	SSL_CTX_free(context);
	net_fixture_fini(&f);
}

static void test_tls_damaged_record_ends_the_connection(void **state)
{
	struct net_fixture f;
	static const char garbage[] = "\x17\x03\x03\x00\x20garbage garbage garbage garbage";

	begin(&f, *state, true);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.client.has_tls);
	fixture_wait(&f.base, &f.server.has_tls);
	/* past the client's TLS, as an attacker on the way would */
	buf_append(&f.client.conn->wire, garbage, 37);
	conn_mark_dirty(f.client.conn);
	fixture_wait(&f.base, &f.server.is_ended);
	assert_int_equal(f.server.end, ERR_TLS);
	assert_int_equal(f.server.input.len, 0);
	net_fixture_fini(&f);
}

/* Puts octets on the wire past the TLS of this side, as an attacker on the way would. */
static void inject(struct side *from, const char *octets, size_t len)
{
	buf_append(&from->conn->wire, octets, len);
	conn_mark_dirty(from->conn);
}

static void open_tls(struct net_fixture *f, const struct files *files)
{
	begin(f, files, true);
	side_start_tls(&f->client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f->base, &f->client.has_tls);
	fixture_wait(&f->base, &f->server.has_tls);
	assert_int_equal(f->client.tls, OK);
}

static void test_tls_cut_record_hands_on_nothing(void **state)
{
	static const size_t cuts[] = { 1, 4, 5, 20 };

	for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
		struct net_fixture f;
		char record[64] = "\x17\x03\x03\x00\x30";
		open_tls(&f, *state);
		inject(&f.client, record, cuts[i]);
		net_fixture_turn(&f);
		assert_false(f.server.is_ended); /* the rest may come */
		uv_os_fd_t fd = -1;
		assert_int_equal(uv_fileno(&f.client.conn->uv.handle, &fd), 0);
		shutdown(fd, SHUT_WR);
		fixture_wait(&f.base, &f.server.is_ended);
		assert_int_equal(f.server.input.len, 0);
		net_fixture_fini(&f);
	}
}

/* The server's record is damaged on the way: the client says so by an alert, which ends the server's side too. */
static void test_tls_alert_ends_the_session(void **state)
{
	struct net_fixture f;
	char record[37] = "\x17\x03\x03\x00\x20";

	open_tls(&f, *state);
	inject(&f.server, record, sizeof(record));
	fixture_wait(&f.base, &f.client.is_ended);
	assert_int_equal(f.client.end, ERR_TLS);
	fixture_wait(&f.base, &f.server.is_ended);
	assert_int_equal(f.server.end, ERR_TLS);
	net_fixture_fini(&f);
}

static void test_tls_renegotiation_is_refused(void **state)
{
	struct net_fixture f;

	begin(&f, *state, true);
	SSL_CTX_set_max_proto_version(f.net.uv->client_context, TLS1_2_VERSION);
	side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
	fixture_wait(&f.base, &f.server.has_tls);
	fixture_wait(&f.base, &f.client.has_tls);
	SSL *client = f.client.conn->tls->ssl, *server = f.server.conn->tls->ssl;
	SSL_clear_options(client, SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(SSL_renegotiate(client), 1);
	side_write(&f.client, "NOOP"); /* the new handshake goes first */
	fixture_wait(&f.base, &f.client.is_ended);
	assert_int_equal(f.client.end, ERR_TLS);
	net_fixture_turn(&f);
	assert_int_equal(SSL_total_renegotiations(server), 0);
	assert_true(SSL_is_init_finished(server));
	assert_in_range(
		f.server.conn->wire.len, 0, 100); /* "no_renegotiation", and nothing begun */
	side_close(&f.client, false);
	fixture_wait(&f.base, &f.server.is_ended);
	assert_int_equal(f.server.input.len, 0);
	net_fixture_fini(&f);
}

/* RELIABILITY row 30: the limit is for the whole handshake, not for each octet. */
static void test_tls_handshake_octet_by_octet_times_out(void **state)
{
	struct net_fixture f;

	begin(&f, *state, true);
	env_timer_after(f.base.env, &f.server.conn->deadline, 60);
	struct mono start = env_now(f.base.env);
	inject(&f.client, "\x16\x03\x01\x3f", 4);
	struct mono last = start;
	while (!f.server.has_tls) { /* one each millisecond: the record is never whole */
		struct mono now = env_now(f.base.env);
		assert_true(now.ms - start.ms < 10 * SECOND_MS);
		if (now.ms > last.ms)
			inject(&f.client, "\x01", 1);
		last = now;
		net_fixture_turn(&f);
	}
	assert_int_equal(f.server.tls, ERR_TIMEOUT);
	net_fixture_fini(&f);
}

static void test_tls_reload_says_what_is_wrong(void **state)
{
	const struct files *files = *state;
	const struct {
		struct os_net_tls tls;
		const char *problem;
	} rows[] = {
		{ { .certificate_path = "/nonexistent/cert", .key_path = files->key },
			"tls.certificate /nonexistent/cert: No such file or directory" },
		{ { .certificate_path = files->certificate, .key_path = "/nonexistent/key" },
			"tls.key /nonexistent/key: No such file or directory" },
		{ { .certificate_path = files->certificate, .key_path = files->certificate },
			"tls.key " },
		{ { .certificate_path = files->key, .key_path = files->key }, "tls.certificate " },
		{ { .authorities_path = "/nonexistent/ca" },
			"tls.authorities /nonexistent/ca: No such file or directory" },
		{ { .certificate_path = files->certificate,
			  .key_path = files->key,
			  .client_authorities_path = "/nonexistent/clients" },
			"tls.client-authorities /nonexistent/clients: No such file or directory" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct os_tls *read;
		struct buf problem;
		buf_init(&problem, 400);
		assert_int_equal(os_tls_read(&rows[i].tls, &read, &problem), ERR_TLS);
		assert_null(read);
		if (strncmp(buf_cstr(&problem), rows[i].problem, strlen(rows[i].problem)) != 0)
			print_error("%s\n", buf_cstr(&problem));
		assert_memory_equal(buf_cstr(&problem), rows[i].problem, strlen(rows[i].problem));
		buf_fini(&problem);
	}
}

/* What doc/performance.md says of it; both sides are here, so twice. */
static void test_tls_idle_connections_are_small(void **state)
{
	enum { COUNT = 50, LIMIT_KIB = 60 };
	struct net_fixture f;
	struct side clients[COUNT], servers[COUNT];
	struct mallinfo2 before;

	open_tls(&f, *state);
	before = mallinfo2();
	if (before.uordblks == 0) { /* a sanitizer's */
		net_fixture_fini(&f);
		skip();
	}
	for (int i = 0; i < COUNT; i++) {
		clients[i] = f.client;
		servers[i] = f.server;
		f.client.conn->user = &clients[i];
		f.server.conn->user = &servers[i];
		f.client.has_tls = f.server.has_tls = false;
		f.client.conn = f.server.conn = NULL;
		memset(&f.client.input, 0, sizeof(f.client.input));
		memset(&f.server.input, 0, sizeof(f.server.input));
		buf_init(&f.client.input, 1000);
		buf_init(&f.server.input, 1000);
		net_fixture_connect(&f);
		f.server.starts_tls_on_read = true;
		side_write(&f.client, "STARTTLS");
		net_fixture_wait_input(&f, &f.client, 2);
		buf_clear(&f.client.input);
		buf_clear(&f.server.input);
		side_start_tls(&f.client, false, TLS_CHECK_NAME, CERTIFICATE_NAME);
		fixture_wait(&f.base, &f.client.has_tls);
		fixture_wait(&f.base, &f.server.has_tls);
		side_write(&f.client, "EHLO");
		net_fixture_wait_input(&f, &f.server, 4);
		side_write(&f.server, "250");
		net_fixture_wait_input(&f, &f.client, 3);
	}
	size_t kib = (mallinfo2().uordblks - before.uordblks) / COUNT / 1024;
	print_message("an idle TLS connection, both sides of it: %zu KiB\n", kib);
	assert_in_range(kib, 1, LIMIT_KIB);
	for (int i = 0; i < COUNT; i++) {
		buf_fini(&clients[i].input);
		buf_fini(&servers[i].input);
	}
	net_fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_handshake_verifies_and_carries_data),
		cmocka_unit_test(test_tls_1_2_is_spoken_with_those_who_have_no_better),
		cmocka_unit_test(test_tls_required_name_is_enforced),
		cmocka_unit_test(test_tls_opportunistic_takes_any_certificate),
		cmocka_unit_test(test_tls_injected_command_is_refused),
		cmocka_unit_test(test_tls_injected_response_is_refused),
		cmocka_unit_test(test_tls_clear_text_in_place_of_a_handshake_is_refused),
		cmocka_unit_test(test_tls_handshake_that_stalls_times_out),
		cmocka_unit_test(test_tls_large_transfer_drains_under_back_pressure),
		cmocka_unit_test(test_tls_flushed_close_says_goodbye),
		cmocka_unit_test(test_tls_user_may_close_in_any_handler),
		cmocka_unit_test(test_tls_without_set_up_is_unsupported),
		cmocka_unit_test(test_tls_reload_with_a_bad_file_changes_nothing),
		cmocka_unit_test(test_tls_old_protocols_are_refused),
		cmocka_unit_test(test_tls_damaged_record_ends_the_connection),
		cmocka_unit_test(test_tls_cut_record_hands_on_nothing),
		cmocka_unit_test(test_tls_alert_ends_the_session),
		cmocka_unit_test(test_tls_renegotiation_is_refused),
		cmocka_unit_test(test_tls_handshake_octet_by_octet_times_out),
		cmocka_unit_test(test_tls_reload_says_what_is_wrong),
		cmocka_unit_test(test_tls_idle_connections_are_small),
	};
	return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
