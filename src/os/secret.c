/*
 * secret - passwords by libcrypt, message codes by OpenSSL: no cryptography of our own. The work space of crypt(3) holds
 * the password, so it is wiped.
 */
#include <crypt.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "os/os_secret.h"

/* Without a difference in time that would tell how much of it is right. */
static bool is_same(const char *a, const char *b)
{
	size_t len = strlen(a);

	return strlen(b) == len && CRYPTO_memcmp(a, b, len) == 0;
}

static bool on_fits(const char *password, const char *hash)
{
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	const char *got = crypt_r(password, hash, data);
	bool fits = got && got[0] != '*' && is_same(got, hash);

	mem_wipe(data, sizeof(*data));
	free(data);
	return fits;
}

static void on_mac(const uint8_t key[SECRET_BYTES], struct str octets, uint8_t out[SECRET_BYTES])
{
	unsigned len = SECRET_BYTES;

	CHECK(HMAC(EVP_sha256(), key, SECRET_BYTES, (const unsigned char *)octets.data, octets.len,
		out, &len));
	CHECK(len == SECRET_BYTES);
}

const struct secret_ops os_secret = { .fits = on_fits, .mac = on_mac };

enum err os_secret_hash(struct buf *out, const char *password)
{
	/* NULL: the preferred method, its usual cost, octets of the system's generator */
	char *salt = crypt_gensalt_ra(NULL, 0, NULL, 0);
	struct crypt_data *data = mem_zalloc(sizeof(*data));
	const char *hash = salt ? crypt_r(password, salt, data) : NULL;
	enum err err = ERR_UNSUPPORTED;

	if (hash && hash[0] != '*') {
		buf_append_str(out, str_from_c(hash));
		err = out->is_full ? ERR_LIMIT : OK;
	}
	mem_wipe(data, sizeof(*data));
	free(data);
	free(salt);
	return err;
}
