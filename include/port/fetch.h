/*
 * fetch - one small document by HTTPS, as the core sees it. Adapters: os/ (an unprivileged helper program) and sim/.
 *
 * No redirects (RFC 8461 section 3.3), the certificate must verify for the host of the URL; at most FETCH_BYTES_MAX octets
 * and FETCH_MS of real time once it is under way. Some run at a time, some wait; more fail with ERR_BUSY. Completes later,
 * once. Thread: loop.
 */
#ifndef PORT_FETCH_H
#define PORT_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"

#define FETCH_BYTES_MAX ((size_t)64 * 1024)
#define FETCH_MS INT64_C(60000)
#define FETCH_ADDRESSES_MAX 16

struct fetch_request {
	/* in; borrowed until on_done or cancel */
	struct str url; /* "https://host/..." */
	const struct endpoint *
		addresses; /* where its host is, as our own DNS says; ports do not count. None: fails */
	uint32_t address_count;                   /* more than FETCH_ADDRESSES_MAX: those first */
	struct str post;                          /* not empty: POST of this body (TLS-RPT) */
	struct str post_type;                     /* its Content-Type */
	void (*on_done)(struct fetch_request *f); /* later, once; not after cancel */
	/* out */
	enum err
		err; /* OK: status 200 (POST: any 2xx); ERR_TLS, ERR_TIMEOUT, ERR_LIMIT, ERR_REFUSED (another status), ERR_IO ... */
	unsigned status; /* of HTTP, 0: none */
	char type
		[104]; /* Content-Type without parameters, lower case; empty: none that makes sense */
	struct buf body;    /* the asker frees it, once it has started the request */
	const char *reason; /* why not, static */
	struct list link;   /* the adapter's, like the next */
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

static inline void fetch_start(struct fetch *fetch, struct fetch_request *f)
{
	fetch->ops->start(fetch, f);
}
static inline void fetch_cancel(struct fetch *fetch, struct fetch_request *f)
{
	fetch->ops->cancel(fetch, f);
}

#endif
