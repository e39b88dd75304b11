/*
 * tls_verify - what a peer's certificate must show, told to OpenSSL before the handshake, and what came of it in
 * words afterwards.
 *
 * TLS_CHECK_NAME: a chain to one of our authorities and one of the wanted names among the certificate's DNS names
 * (RFC 9525: the common name does not count). TLS_CHECK_DANE: RFC 7672. TLS_CHECK_NONE goes through with anything, yet
 * its result is read the same way: reports (RFC 8460) and policies in testing want to know what would have failed.
 *
 * The result of a resumed session is that of its handshake in full; tls_session.c sees to it that the two had to show
 * the same. Text that comes from certificates is escaped here.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "tls_private.h"

#define HOST_NAME_MAX_BYTES 253
#define TOLD_NAMES_MAX 3
#define NAME_MAX_BYTES 256

/* --- before --- */

/* "*.example" to OpenSSL's ".example", which with X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS is one label and no more. */
static bool to_reference(struct str name, char out[HOST_NAME_MAX_BYTES + 1])
{
	if (name.len > 2 && name.data[0] == '*' && name.data[1] == '.')
		name = str_slice(name, 1, name.len);
	else if (name.len > 0 && name.data[0] == '.')
		return false;
	if (name.len == 0 || name.len > HOST_NAME_MAX_BYTES || memchr(name.data, '\0', name.len))
		return false;
	memcpy(out, name.data, name.len);
	out[name.len] = '\0';
	return true;
}

static bool add_name(SSL *ssl, struct str name)
{
	char reference[HOST_NAME_MAX_BYTES + 1];
	struct endpoint literal;

	if (!to_reference(name, reference))
		return false;
	if (endpoint_parse_ip(&literal, name) == OK)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), reference) == 1;
	return SSL_add1_host(ssl, reference) == 1;
}

static uint32_t add_names(SSL *ssl, const struct tls_want *want)
{
	uint32_t count = 0;

	if (want->name_count == 0)
		return want->server_name.len > 0 && add_name(ssl, want->server_name) ? 1 : 0;
	for (uint32_t i = 0; i < want->name_count; i++)
		count += add_name(ssl, want->names[i]);
	return count;
}

static bool set_server_name(SSL *ssl, struct str host)
{
	char name[HOST_NAME_MAX_BYTES + 1];
	struct endpoint literal;

	if (host.len == 0 || endpoint_parse_ip(&literal, host) == OK)
		return true; /* RFC 6066: no literals */
	return to_reference(host, name) && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* Records that OpenSSL cannot use either (a full key that is none) are passed over. */
static const char *add_tlsa(SSL *ssl, const struct tls_want *want)
{
	uint32_t count = 0;

	if (SSL_dane_enable(ssl, NULL) != 1)
		return "DANE is not available";
	/* RFC 7672 section 3.1.1: with usage 3 neither name nor expiry counts. */
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (uint32_t i = 0; i < want->tlsa_count; i++) {
		const struct net_tlsa *r = &want->tlsa[i];
		if (net_tlsa_is_usable(r) &&
			SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
				(const unsigned char *)r->data.data, r->data.len) > 0)
			count++;
	}
	ERR_clear_error();
	return count > 0 ? NULL : "no usable TLSA record";
}

const char *tls_verify_set(SSL *ssl, const struct tls_want *want, bool *has_names)
{
	unsigned flags =
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS;
	const char *problem = NULL;

	/* RFC 7672 section 3.2.3 lets DANE look at the common name of certificates without a DNS name; nobody else. */
	if (want->check != TLS_CHECK_DANE)
		flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	if (!set_server_name(ssl, want->server_name))
		return "no usable server name";
	if (want->check == TLS_CHECK_DANE)
		problem = add_tlsa(ssl, want);
	SSL_set_hostflags(ssl, flags);
	*has_names = add_names(ssl, want) > 0;
	if (!*has_names && want->check != TLS_CHECK_NONE)
		return "no usable server name";
	SSL_set_verify(
		ssl, want->check == TLS_CHECK_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	return problem;
}

int tls_verify_chain(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct conn *c = SSL_get_app_data(ssl);
	X509 *x = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	if (c->tls->is_unjudged || X509_verify_cert(store) == 1)
		return 1;
	if (X509_STORE_CTX_get_error(store) == X509_V_OK) /* out of memory, and the like */
		X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
	if (SSL_is_server(ssl) || c->tls->check == TLS_CHECK_NONE)
		return 1;
	if (x && !c->tls->rejected && X509_up_ref(x))
		c->tls->rejected = x;
	return 0;
}

/* --- after --- */

enum tls_fault tls_verify_fault(long result)
{
	switch (result) {
	case X509_V_OK:
		return TLS_FAULT_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_FAULT_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAULT_NAME;
	case X509_V_ERR_DANE_NO_MATCH:
		return TLS_FAULT_TLSA;
	default:
		return TLS_FAULT_UNTRUSTED;
	}
}

/* A name with a NUL in it is a lie to somebody: none at all. */
static bool append_asn1(struct buf *out, const ASN1_STRING *text)
{
	unsigned char *utf8 = NULL;
	int len = text ? ASN1_STRING_to_UTF8(&utf8, text) : -1;
	bool is_good = len > 0 && len <= NAME_MAX_BYTES && !memchr(utf8, '\0', (size_t)len);

	if (is_good)
		buf_append_safe(out, str_of((const char *)utf8, (size_t)len));
	OPENSSL_free(utf8);
	return is_good;
}

static bool append_common_name(struct buf *out, const X509_NAME *name)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

	return at >= 0 && append_asn1(out, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

/* The first few DNS names, comma between them. */
static bool append_alternative_names(struct buf *out, const X509 *x, unsigned count_max)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	unsigned count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && count < count_max; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		size_t before = out->len;
		if (name->type != GEN_DNS && name->type != GEN_EMAIL)
			continue;
		if (count > 0)
			buf_append_str(out, STR(", "));
		if (append_asn1(out, name->d.ia5))
			count++;
		else
			out->len = before;
	}
	GENERAL_NAMES_free(names);
	return count > 0;
}

void tls_verify_name(const X509 *x, struct buf *out)
{
	if (!append_common_name(out, X509_get_subject_name(x)))
		(void)append_alternative_names(out, x, 1);
}

static void append_date(struct buf *out, const ASN1_TIME *at)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) == 1)
		buf_printf(out, " (%04d-%02d-%02d)", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

void tls_verify_tell(const X509 *x, long result, struct buf *out)
{
	buf_printf(out, "%s", X509_verify_cert_error_string(result));
	if (!x)
		return;
	if (result == X509_V_ERR_CERT_HAS_EXPIRED)
		append_date(out, X509_get0_notAfter(x));
	else if (result == X509_V_ERR_CERT_NOT_YET_VALID)
		append_date(out, X509_get0_notBefore(x));
	buf_append_str(out, STR(", certificate is for "));
	if (!append_alternative_names(out, x, TOLD_NAMES_MAX) &&
		!append_common_name(out, X509_get_subject_name(x)))
		buf_append_str(out, STR("nobody"));
	if (tls_verify_fault(result) != TLS_FAULT_UNTRUSTED)
		return;
	size_t before = out->len;
	buf_append_str(out, STR(", issued by "));
	if (!append_common_name(out, X509_get_issuer_name(x)))
		out->len = before;
}
