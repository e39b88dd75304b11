#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "unit/os/fixture_tls.h"

struct world {
	struct tls_authority good, other;
	struct tls_files files;
	struct net_fixture f;
};

static int set_up(void **state)
{
	static struct world w;

	tls_authority_init(&w.good, "Good Authority");
	tls_authority_init(&w.other, "Other Authority");
	tls_files_init(&w.files);
	tls_write_authority(&w.good, w.files.authority);
	net_fixture_init(&w.f, "127.0.0.1:0");
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	net_fixture_fini(&w->f);
	tls_files_fini(&w->files);
	tls_authority_fini(&w->good);
	tls_authority_fini(&w->other);
	return 0;
}

static void serve(struct world *w, const struct tls_leaf *leaf, bool is_of_other)
{
	struct os_net_tls tls = { .certificate_path = w->files.certificate,
		.key_path = w->files.key,
		.authorities_path = w->files.authority };

	tls_write_leaf(&w->files, is_of_other ? &w->other : &w->good, leaf);
	tls_load(&w->f, &tls);
}

struct name_row {
	struct tls_leaf leaf;
	bool is_of_other;
	const char *names[2]; /* none: the host mx.test */
	enum tls_fault fault;
	const char *problem; /* its beginning */
};

static const struct name_row name_rows[] = {
	{ .fault = TLS_FAULT_NONE, .problem = "" },
	{ .names = { "other.test", "MX.test" }, .fault = TLS_FAULT_NONE, .problem = "" },
	{ .names = { "a.test", "b.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for mx.test" },
	/* a pattern of a policy is one label */
	{ .names = { "*.test" }, .fault = TLS_FAULT_NONE, .problem = "" },
	{ .leaf = { .names = "DNS:a.mx.test" },
		.names = { "*.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for a.mx.test" },
	{ .leaf = { .names = "DNS:test" },
		.names = { "*.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch" },
	/* the certificate's own wildcard is one label too, and the whole of it */
	{ .leaf = { .names = "DNS:*.a.test" }, .names = { "mx.a.test" }, .problem = "" },
	{ .leaf = { .names = "DNS:*.a.test" }, .names = { "*.a.test" }, .problem = "" },
	{ .leaf = { .names = "DNS:*.a.test" },
		.names = { "mx.b.a.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch" },
	{ .leaf = { .names = "DNS:m*.mx.test" },
		.names = { "ma.mx.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch" },
	{ .names = { ".test" }, .fault = TLS_FAULT_HANDSHAKE, .problem = "no usable server name" },
	/* RFC 9525: the common name says nothing */
	{ .leaf = { .names = "" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for mx.test" },
	{ .leaf = { .names = "", .common_name = "" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for nobody" },
	{ .leaf = { .names = "DNS:a.test,DNS:b.test,DNS:c.test,DNS:d.test" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for a.test, b.test, c.test" },
	{ .leaf = { .names = "", .common_name = "evil\x1b[2J\nname" },
		.fault = TLS_FAULT_NAME,
		.problem = "hostname mismatch, certificate is for evil\\x1b[2J\\x0aname" },
	{ .leaf = { .from_s = -7200, .to_s = -60 },
		.fault = TLS_FAULT_EXPIRED,
		.problem = "certificate has expired (" },
	{ .leaf = { .from_s = 600, .to_s = 3600 },
		.fault = TLS_FAULT_EXPIRED,
		.problem = "certificate is not yet valid (" },
	{ .leaf = { .is_self_signed = true },
		.fault = TLS_FAULT_UNTRUSTED,
		.problem =
			"self-signed certificate, certificate is for mx.test, issued by mx.test" },
	{ .is_of_other = true,
		.fault = TLS_FAULT_UNTRUSTED,
		.problem =
			"self-signed certificate in certificate chain, certificate is for mx.test, "
			"issued by Other Authority" },
	{ .leaf = { .is_for_clients = true },
		.fault = TLS_FAULT_UNTRUSTED,
		.problem = "unsuitable certificate purpose" },
};

static struct tls_want want_names(const char *const names[2], struct str out[2])
{
	struct tls_want want = {
		.check = TLS_CHECK_NAME, .server_name = STR("mx.test"), .names = out
	};

	for (size_t i = 0; i < 2 && names[i]; i++)
		out[want.name_count++] = str_from_c(names[i]);
	return want;
}

static void test_tls_verify_asks_for_chain_and_one_of_the_names(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_COUNT(name_rows); i++) {
		const struct name_row *r = &name_rows[i];
		bool is_good = r->fault == TLS_FAULT_NONE;
		struct str names[2];
		struct tls_want want = want_names(r->names, names);
		serve(w, &r->leaf, r->is_of_other);
		tls_shake(&w->f, &want);
		if (w->f.client.fault != r->fault)
			print_error("row %zu: %s\n", i, w->f.client.problem);
		assert_int_equal(w->f.client.fault, r->fault);
		assert_int_equal(w->f.client.tls, is_good ? OK : ERR_TLS);
		assert_int_equal(w->f.client.is_verified, is_good);
		assert_memory_equal(w->f.client.problem, r->problem, strlen(r->problem));
		if (is_good)
			assert_string_equal(w->f.client.peer, "mx.test");
	}
}

/* The same with TLS_CHECK_NONE: goes on, and tells what would have stopped it. */
static void test_tls_verify_tells_what_would_have_failed(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_COUNT(name_rows); i++) {
		const struct name_row *r = &name_rows[i];
		struct str names[2];
		struct tls_want want = want_names(r->names, names);
		if (r->fault == TLS_FAULT_HANDSHAKE)
			continue;
		want.check = TLS_CHECK_NONE;
		serve(w, &r->leaf, r->is_of_other);
		tls_shake(&w->f, &want);
		assert_int_equal(w->f.client.tls, OK);
		assert_int_equal(w->f.client.fault, r->fault);
		assert_int_equal(w->f.client.is_verified, r->fault == TLS_FAULT_NONE);
		assert_memory_equal(w->f.client.problem, r->problem, strlen(r->problem));
	}
}

/* Nobody asks: nothing is found, and nothing is vouched for. */
static void test_tls_verify_finds_nothing_unasked(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_COUNT(name_rows); i++) {
		const struct name_row *r = &name_rows[i];
		struct str names[2];
		struct tls_want want = want_names(r->names, names);

		if (r->fault == TLS_FAULT_HANDSHAKE)
			continue;
		want.check = TLS_CHECK_NONE;
		want.is_unjudged = true;
		serve(w, &r->leaf, r->is_of_other);
		tls_shake(&w->f, &want);
		assert_int_equal(w->f.client.tls, OK);
		assert_int_equal(w->f.client.fault, TLS_FAULT_NONE);
		assert_false(w->f.client.is_verified);
		assert_string_equal(w->f.client.problem, "");
		/* It is for TLS_CHECK_NONE alone. */
		want.check = TLS_CHECK_NAME;
		tls_shake(&w->f, &want);
		assert_int_equal(w->f.client.fault, r->fault);
	}
}

/* --- DANE --- */

enum subject { LEAF, GOOD, OTHER };

struct dane_record {
	uint8_t usage, selector, matching;
	enum subject of;
	bool is_damaged, is_cut;
};

static struct str associate(
	struct world *w, const struct dane_record *d, unsigned char *to, size_t cap)
{
	X509 *x = d->of == LEAF ? w->files.x : d->of == GOOD ? w->good.x : w->other.x;
	unsigned char der[2000], *p = der;
	int len = d->selector == 0 ? i2d_X509(x, &p) : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p);
	size_t count = (size_t)len;

	assert_true(len > 0 && count <= cap);
	if (d->matching == 1)
		SHA256(der, count, to), count = 32;
	else if (d->matching == 2)
		SHA512(der, count, to), count = 64;
	else
		memcpy(to, der, count);
	if (d->is_damaged)
		to[count - 1] ^= 1;
	return str_of((const char *)to, d->is_cut ? count - 1 : count);
}

static const struct dane_row {
	struct dane_record records[2];
	unsigned count;
	struct tls_leaf leaf;
	const char *name; /* wanted; NULL: mx.test */
	enum tls_fault fault;
	const char *problem;
} dane_rows[] = {
	{ { { 3, 1, 1, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 0, 1, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 1, 2, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 0, 2, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 1, 0, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 0, 0, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	/* usage 3: neither name nor expiry */
	{ { { 3, 1, 1, LEAF, 0, 0 } }, 1, { .names = "DNS:x.test" }, NULL, TLS_FAULT_NONE, "" },
	{ { { 3, 1, 1, LEAF, 0, 0 } }, 1, { .from_s = -7200, .to_s = -60 }, NULL, TLS_FAULT_NONE,
		"" },
	{ { { 3, 1, 1, LEAF, 0, 0 } }, 1, { .is_self_signed = true }, NULL, TLS_FAULT_NONE, "" },
	/* a key rollover: one of two */
	{ { { 3, 1, 1, OTHER, 0, 0 }, { 3, 1, 1, LEAF, 0, 0 } }, 2, { 0 }, NULL, TLS_FAULT_NONE,
		"" },
	{ { { 3, 1, 1, LEAF, 1, 0 } }, 1, { 0 }, NULL, TLS_FAULT_TLSA,
		"no matching DANE TLSA records, certificate is for mx.test" },
	/* usage 2: chain, name, expiry */
	{ { { 2, 0, 1, GOOD, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 2, 1, 1, GOOD, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 2, 1, 2, GOOD, 0, 0 } }, 1, { .names = "" }, NULL, TLS_FAULT_NONE, "" },
	{ { { 2, 0, 0, GOOD, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_NONE, "" },
	{ { { 2, 0, 1, GOOD, 0, 0 } }, 1, { 0 }, "x.test", TLS_FAULT_NAME, "hostname mismatch" },
	{ { { 2, 0, 1, GOOD, 0, 0 } }, 1, { .from_s = -7200, .to_s = -60 }, NULL, TLS_FAULT_EXPIRED,
		"certificate has expired" },
	{ { { 2, 0, 1, OTHER, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_TLSA, "no matching" },
	/* what cannot be used does not count, and does not stand in the way */
	{ { { 1, 1, 1, LEAF, 0, 0 }, { 3, 1, 1, LEAF, 0, 0 } }, 2, { 0 }, NULL, TLS_FAULT_NONE,
		"" },
	{ { { 3, 1, 1, LEAF, 0, 1 }, { 3, 1, 2, LEAF, 0, 0 } }, 2, { 0 }, NULL, TLS_FAULT_NONE,
		"" },
	{ { { 0, 0, 1, GOOD, 0, 0 }, { 1, 1, 1, LEAF, 0, 0 } }, 2, { 0 }, NULL, TLS_FAULT_TLSA,
		"no usable TLSA record" },
	{ { { 3, 1, 1, LEAF, 0, 1 } }, 1, { 0 }, NULL, TLS_FAULT_TLSA, "no usable TLSA record" },
	{ { { 3, 0, 0, LEAF, 0, 1 } }, 1, { 0 }, NULL, TLS_FAULT_TLSA, "no usable TLSA record" },
	{ { { 3, 1, 3, LEAF, 0, 0 } }, 1, { 0 }, NULL, TLS_FAULT_TLSA, "no usable TLSA record" },
	{ { { 0 } }, 0, { 0 }, NULL, TLS_FAULT_TLSA, "no usable TLSA record" },
};

static void test_tls_verify_dane_follows_the_records(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_COUNT(dane_rows); i++) {
		const struct dane_row *r = &dane_rows[i];
		bool is_good = r->fault == TLS_FAULT_NONE;
		static unsigned char octets[2][2000];
		struct net_tlsa tlsa[2];
		struct tls_want want = { .check = TLS_CHECK_DANE,
			.server_name = str_from_c(r->name ? r->name : "mx.test"),
			.tlsa = tlsa,
			.tlsa_count = r->count };
		serve(w, &r->leaf, false);
		for (unsigned k = 0; k < r->count; k++)
			tlsa[k] = (struct net_tlsa){ r->records[k].usage, r->records[k].selector,
				r->records[k].matching,
				associate(w, &r->records[k], octets[k], sizeof(octets[k])) };
		tls_shake(&w->f, &want);
		if (w->f.client.fault != r->fault)
			print_error("row %zu: %s\n", i, w->f.client.problem);
		assert_int_equal(w->f.client.fault, r->fault);
		assert_int_equal(w->f.client.tls, is_good ? OK : ERR_TLS);
		assert_int_equal(w->f.client.is_verified, is_good);
		assert_memory_equal(w->f.client.problem, r->problem, strlen(r->problem));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_verify_asks_for_chain_and_one_of_the_names),
		cmocka_unit_test(test_tls_verify_tells_what_would_have_failed),
		cmocka_unit_test(test_tls_verify_finds_nothing_unasked),
		cmocka_unit_test(test_tls_verify_dane_follows_the_records),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
