/* tls_seen - see tls_seen.h. */
#include "relay/tls_seen.h"

#include "relay/sts.h"

/* "route:NAME/DOMAIN" is a domain by MX too (deliver/route.h). */
static struct str domain_of(struct str hop)
{
	size_t slash = str_find(hop, '/');

	return slash < hop.len ? str_slice(hop, slash + 1, hop.len) : hop;
}

void tls_seen_route(struct hop *h)
{
	sts_doubt(h->relay->sts, domain_of(h->name));
}

void tls_seen_attempt(struct hop *h, const struct attempt *a)
{
	for (uint32_t i = 0; i < a->tls_tried_count; i++) {
		const struct attempt_tls *t = &a->tls_tried[i];

		if (t->result != ATTEMPT_TLS_GOOD && t->target->tls.authority == TLS_BY_STS)
			tls_seen_route(h);
	}
}
