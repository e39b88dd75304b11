/*
 * tls_bio - what OpenSSL reads from and writes to: a connection's octets, not copied on the way.
 *
 * It reads from tls->from, which is the net's read buffer while tls_feed lasts; what it leaves there is held until it is
 * asked for. It writes behind the connection's output. Beside memory BIOs this saves a copy each way, four allocations, and
 * the memory that those keep while a connection is idle. Writing cannot fail; output past its bound is marked and
 * found by conn_flush.
 */
#include <string.h>

#include "tls_private.h"

/* What one feed can leave, and the next one beside it: nothing is fed before what is held was asked for. */
#define HELD_MAX_BYTES (4 * NET_READ_BYTES)

static int on_bio_read(BIO *bio, char *to, int room)
{
	struct conn *c = BIO_get_data(bio);
	struct str *from = &c->tls->from;
	size_t len = from->len < (size_t)room ? from->len : (size_t)room;

	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio); /* "no more yet", not end of file */
		return -1;
	}
	memcpy(to, from->data, len);
	*from = str_slice(*from, len, from->len);
	return (int)len;
}

static int on_bio_write(BIO *bio, const char *data, int len)
{
	struct conn *c = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_append(&c->wire, data, (size_t)len);
	if (c->is_open)
		conn_mark_dirty(c);
	return len;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	struct conn *c = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_PENDING:
		return (long)c->tls->from.len;
	default:
		return 0;
	}
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");

	CHECK(method && BIO_meth_set_read(method, on_bio_read) &&
		BIO_meth_set_write(method, on_bio_write) && BIO_meth_set_ctrl(method, on_bio_ctrl));
	return method;
}

void tls_bio_set(struct conn *c)
{
	BIO *bio = BIO_new(c->net->bio_method);

	CHECK(bio);
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	SSL_set_bio(c->tls->ssl, bio, bio);
	buf_init(&c->tls->held, HELD_MAX_BYTES);
}

void tls_bio_offer(struct tls *tls, const char *data, size_t len)
{
	if (tls->held.len == 0) {
		tls->from = str_of(data, len);
		return;
	}
	buf_append(&tls->held, data, len);
	CHECK(!tls->held.is_full);
	tls->from = buf_str(&tls->held);
}

void tls_bio_hold(struct tls *tls)
{
	if (tls->from.len == 0) {
		buf_fini(&tls->held); /* an idle connection keeps no buffer */
		buf_init(&tls->held, HELD_MAX_BYTES);
	} else if (tls->held.len > 0) {
		buf_consume(&tls->held, tls->held.len - tls->from.len);
	} else {
		buf_append_str(&tls->held, tls->from);
	}
	tls->from = buf_str(&tls->held);
}
