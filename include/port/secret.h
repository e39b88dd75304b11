/*
 * secret - what is done with passwords, as the core sees it. Adapters: os/secret.c (libcrypt, OpenSSL) and sim/ (a sham).
 *
 * Functions are pure and hold nothing. Thread: any.
 */
#ifndef PORT_SECRET_H
#define PORT_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define SECRET_BYTES 32

struct secret_ops {
	/* fits - password is the one of hash, of crypt(5). Takes as long as the method of hash wants: for env_work. */
	bool (*fits)(const char *password, const char *hash);
	/* mac - HMAC-SHA-256 (RFC 2104): who has not the key can neither make it nor tell of what it is. */
	void (*mac)(const uint8_t key[SECRET_BYTES], struct str octets, uint8_t out[SECRET_BYTES]);
};

#endif
