/*
 * proxy - the header that a load balancer sends before the client's own octets: PROXY protocol, version 2 (binary) and
 * version 1 (text), as HAProxy's document "The PROXY protocol" has it.
 *
 * The reader asks for no more than surely belongs to the header, so that what follows, a TLS hello perhaps, is left to
 * whoever reads it.
 */
#ifndef MAIL_PROXY_H
#define MAIL_PROXY_H

#include <stddef.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/str.h"

/* Of a whole header, extensions (TLV) included. */
#define PROXY_BYTES_MAX 4096

enum proxy_origin {
	PROXY_ITSELF,  /* LOCAL: the balancer speaks for itself, to see whether we live */
	PROXY_CLIENT,  /* client and local are known */
	PROXY_UNKNOWN, /* UNSPEC, UNKNOWN or a UNIX socket: a client, but nobody knows which */
};

struct proxy_header {
	enum proxy_origin origin;
	struct endpoint client,
		local; /* as the client sees the connection; FAMILY_NONE unless PROXY_CLIENT */
};

/*
 * proxy_parse - octets is what has come so far. *wanted: so many more belong to the header in any case; 0: it is whole,
 * and *out is filled. Fails as soon as it cannot become a header. Errors: ERR_SYNTAX; ERR_LIMIT (too long).
 */
MUST_USE enum err proxy_parse(struct str octets, struct proxy_header *out, size_t *wanted);

#endif
