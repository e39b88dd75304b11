/* os_secret - port/secret.h on libcrypt and OpenSSL, and new hashes for the users file. */
#ifndef OS_OS_SECRET_H
#define OS_OS_SECRET_H

#include "base/buf.h"
#include "base/err.h"
#include "port/secret.h"

#define OS_SECRET_PASSWORD_MAX 511 /* octets that crypt(3) takes */

extern const struct secret_ops os_secret;

/* os_secret_hash - appends a hash of password by the best method of the system's libcrypt (yescrypt), with a salt of its
 * own. Errors: ERR_UNSUPPORTED, ERR_LIMIT (out is full). Thread: any. Takes tenths of a second. */
MUST_USE enum err os_secret_hash(struct buf *out, const char *password);

#endif
