/*
 * tls_ticket - the keys of the session tickets that we give to clients (RFC 5077; RFC 8446 section 4.6.1).
 *
 * The server keeps nothing about a session: all of it is in the ticket, so however many there are they cost no memory.
 * A key encrypts for TICKET_KEY_MS and decrypts for as long again; no ticket is older than TICKET_LIFETIME_MS (OpenSSL
 * looks). Keys live in this process only: a restart forgets the sessions, and what is stolen later opens nothing old.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "tls_private.h"

#define TICKET_KEY_MS (TICKET_LIFETIME_MS)

static void make_key(struct net_uv *net, struct tls_ticket_key *key)
{
	struct env *env = &net->env->env;

	env_random(env, key->name, sizeof(key->name));
	env_random(env, key->cipher, sizeof(key->cipher));
	env_random(env, key->mac, sizeof(key->mac));
	key->made = env_now(env);
	key->is_made = true;
}

static int64_t age_ms(struct net_uv *net, const struct tls_ticket_key *key)
{
	return env_now(&net->env->env).ms - key->made.ms;
}

static const struct tls_ticket_key *key_to_seal(struct net_uv *net)
{
	struct tls_ticket_key *keys = net->ticket_keys;

	if (keys[0].is_made && age_ms(net, &keys[0]) < TICKET_KEY_MS)
		return &keys[0];
	keys[1] = keys[0];
	make_key(net, &keys[0]);
	return &keys[0];
}

static const struct tls_ticket_key *key_to_open(struct net_uv *net, const unsigned char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(net->ticket_keys); i++) {
		const struct tls_ticket_key *key = &net->ticket_keys[i];
		if (key->is_made && memcmp(key->name, name, sizeof(key->name)) == 0 &&
			age_ms(net, key) < TICKET_KEY_MS + TICKET_LIFETIME_MS)
			return key;
	}
	return NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
	unsigned char octets[sizeof(key->mac)];
	char digest[] = "SHA256";

	memcpy(octets, key->mac, sizeof(octets));
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, octets, sizeof(octets)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	bool is_set = EVP_MAC_CTX_set_params(mac, params) == 1;
	OPENSSL_cleanse(octets, sizeof(octets));
	return is_set;
}

/* 2: good, and a new one is due. TLS 1.3 sends one in any case, each for one use (RFC 8446 section C.4). */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int is_sealing)
{
	struct net_uv *net = ((struct conn *)SSL_get_app_data(ssl))->net;
	const struct tls_ticket_key *key = is_sealing ? key_to_seal(net) : key_to_open(net, name);

	if (!key)
		return 0; /* a handshake in full */
	if (is_sealing) {
		memcpy(name, key->name, sizeof(key->name));
		env_random(&net->env->env, iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, is_sealing) != 1 ||
		!set_mac(mac, key))
		return -1;
	return is_sealing || (key == &net->ticket_keys[0] && SSL_version(ssl) < TLS1_3_VERSION) ? 1
												: 2;
}

bool tls_ticket_set_up(SSL_CTX *server)
{
	SSL_CTX_set_timeout(server, (long)(TICKET_LIFETIME_MS / SECOND_MS));
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(server, on_ticket) == 1;
}
