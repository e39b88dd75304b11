/* fixture_tls - a small authority and certificates of its, in files of a temporary directory. */
#ifndef FIXTURE_TLS_H
#define FIXTURE_TLS_H

#include <openssl/x509.h>

#include "unit/os/fixture_net.h"

struct tls_authority {
	EVP_PKEY *key;
	X509 *x;
};

struct tls_files {
	char directory[40];
	char certificate[80], key[80]; /* of a leaf, its authority's behind it */
	char authority[80];
	X509 *x; /* the leaf */
};

/* How the leaf is made; zero octets: for mx.test, valid, of the authority. */
struct tls_leaf {
	const char *common_name;
	const char *names; /* of X509V3: "DNS:mx.test"; "": none */
	long from_s, to_s; /* relative to now; 0: an hour before and after */
	bool is_self_signed;
	bool is_for_clients;
};

void tls_files_init(struct tls_files *files);
void tls_files_fini(struct tls_files *files);
void tls_authority_init(struct tls_authority *a, const char *name);
void tls_authority_fini(struct tls_authority *a);
void tls_write_authority(const struct tls_authority *a, const char *path);
/* tls_write_leaf - replaces the files. */
void tls_write_leaf(
	struct tls_files *files, const struct tls_authority *a, const struct tls_leaf *leaf);
/* tls_load - certificate_path and so on of files into the net. */
void tls_load(struct net_fixture *f, const struct os_net_tls *tls);
/* tls_begin - connects; the server has said "go" and begun, the client has not. */
void tls_begin(struct net_fixture *f);
/* tls_shake - both sides to their on_tls. */
void tls_shake(struct net_fixture *f, const struct tls_want *want);

#endif
