/* tls_private - what the TLS files of the net adapter share: net_tls.c shakes hands and moves octets, tls_verify.c
 * judges certificates. */
#ifndef OS_TLS_PRIVATE_H
#define OS_TLS_PRIVATE_H

#include "net_uv.h"

/* tls_verify.c */
/* tls_verify_set - client side: SNI, names, TLSA records. Returns why the handshake need not begin, or NULL.
 * has_names: there is something to check the certificate against. */
const char *tls_verify_set(SSL *ssl, const struct tls_want *want, bool *has_names);
/* tls_verify_fault - of an X509_V_* result. */
enum tls_fault tls_verify_fault(long result);
/* tls_verify_name - appends the common name, or the first DNS name or mail address, escaped; nothing when there is none. */
void tls_verify_name(const X509 *x, struct buf *out);
/* tls_verify_tell - appends what is wrong, and with whose certificate (x may be NULL). */
void tls_verify_tell(const X509 *x, long result, struct buf *out);

#endif
