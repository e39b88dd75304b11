/*
 * fetch - one small document by HTTPS, as the core sees it. Adapters: os/ (an unprivileged helper program) and sim/.
 *
 * GET only, no redirects (RFC 8461 section 3.3), the certificate must verify for the host; at most FETCH_BYTES_MAX octets
 * and FETCH_MS of real time. Completes later, once. Thread: loop.
 */
#ifndef PORT_FETCH_H
#define PORT_FETCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define FETCH_BYTES_MAX ((size_t)64 * 1024)
#define FETCH_MS INT64_C(60000)

struct fetch_request {
	/* in; borrowed until on_done or cancel */
	struct str url;
	struct str post;      /* not empty: POST of this body (TLS-RPT) */
	struct str post_type; /* its Content-Type */
	void (*on_done)(struct fetch_request *f); /* later, once; not after cancel */
	/* out */
	enum err err;       /* OK: a document of status 200; ERR_TLS, ERR_TIMEOUT, ERR_LIMIT, ERR_IO ... */
	unsigned status;    /* of HTTP, 0: none */
	struct str type;    /* Content-Type without parameters, lower case */
	struct buf body;    /* the asker frees it */
	const char *reason; /* why not, static */
	void *adapter;
};

struct fetch;
struct fetch_ops {
	void (*start)(struct fetch *fetch, struct fetch_request *f);
	void (*cancel)(struct fetch *fetch, struct fetch_request *f); /* legal when idle */
};
struct fetch {
	const struct fetch_ops *ops;
};

#endif
