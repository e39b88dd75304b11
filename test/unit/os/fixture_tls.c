#include "unit/os/fixture_tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void tls_files_init(struct tls_files *files)
{
	*files = (struct tls_files){ .directory = "/tmp/outlast-tls-XXXXXX" };
	assert_non_null(mkdtemp(files->directory));
	snprintf(files->certificate, sizeof(files->certificate), "%s/cert", files->directory);
	snprintf(files->key, sizeof(files->key), "%s/key", files->directory);
	snprintf(files->authority, sizeof(files->authority), "%s/ca", files->directory);
}

void tls_files_fini(struct tls_files *files)
{
	unlink(files->certificate);
	unlink(files->key);
	unlink(files->authority);
	rmdir(files->directory);
	X509_free(files->x);
	files->x = NULL;
}

static void add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509 *make(const char *name, EVP_PKEY *key, long from_s, long to_s)
{
	static long serial = 1;
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), from_s);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_pubkey(x, key);
	if (name[0])
		X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
			(const unsigned char *)name, -1, -1, 0);
	return x;
}

void tls_authority_init(struct tls_authority *a, const char *name)
{
	a->key = EVP_EC_gen("P-256");
	a->x = make(name, a->key, -3600, 3600);
	X509_set_issuer_name(a->x, X509_get_subject_name(a->x));
	add_extension(a->x, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(a->x, NID_key_usage, "critical,keyCertSign,cRLSign");
	assert_true(X509_sign(a->x, a->key, EVP_sha256()) > 0);
}

void tls_authority_fini(struct tls_authority *a)
{
	EVP_PKEY_free(a->key);
	X509_free(a->x);
}

void tls_write_authority(const struct tls_authority *a, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, a->x), 1);
	fclose(f);
}

static void write_leaf(const struct tls_files *files, EVP_PKEY *key, const struct tls_authority *a)
{
	FILE *f = fopen(files->certificate, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, files->x), 1);
	assert_int_equal(PEM_write_X509(f, a->x), 1);
	fclose(f);
	f = fopen(files->key, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

void tls_write_leaf(
	struct tls_files *files, const struct tls_authority *a, const struct tls_leaf *leaf)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	const char *names = leaf->names ? leaf->names : "DNS:mx.test";
	X509 *x = make(leaf->common_name ? leaf->common_name : "mx.test", key,
		leaf->from_s ? leaf->from_s : -3600, leaf->to_s ? leaf->to_s : 3600);

	X509_set_issuer_name(x, X509_get_subject_name(leaf->is_self_signed ? x : a->x));
	if (names[0])
		add_extension(x, NID_subject_alt_name, names);
	add_extension(x, NID_ext_key_usage, leaf->is_for_clients ? "clientAuth" : "serverAuth");
	assert_true(X509_sign(x, leaf->is_self_signed ? key : a->key, EVP_sha256()) > 0);
	X509_free(files->x);
	files->x = x;
	write_leaf(files, key, a);
	EVP_PKEY_free(key);
}

void tls_load(struct net_fixture *f, const struct os_net_tls *tls)
{
	struct buf problem;

	buf_init(&problem, 400);
	enum err err = os_net_load_tls(&f->net, tls, &problem);
	if (err != OK)
		print_error("%s\n", buf_cstr(&problem));
	assert_int_equal(err, OK);
	buf_fini(&problem);
}

void tls_begin(struct net_fixture *f)
{
	side_close(&f->client, true);
	side_close(&f->server, true);
	net_fixture_wait_conns(f, 0);
	f->client.has_tls = f->server.has_tls = false;
	f->client.is_ended = f->server.is_ended = false;
	buf_clear(&f->server.input);
	buf_clear(&f->client.input);
	net_fixture_connect(f);
	f->server.starts_tls_on_read = true;
	side_write(&f->client, "STARTTLS");
	net_fixture_wait_input(f, &f->client, 2);
	buf_clear(&f->client.input);
	buf_clear(&f->server.input);
}

void tls_shake(struct net_fixture *f, const struct tls_want *want)
{
	tls_begin(f);
	f->net.net.ops->conn_start_tls(f->client.conn, want);
	fixture_wait(&f->base, &f->client.has_tls);
	if (f->client.tls != OK)
		side_close(&f->client, true);
	fixture_wait(&f->base, &f->server.has_tls);
}
