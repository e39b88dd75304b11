/*
 * os_dns - port/dns.h on c-ares: one channel and one port of ours for each query, fail-over from
 * server to server.
 *
 * An answer is authentic if the server says so (AD, asked for as in RFC 6840 section 5.7) and its word counts: it is on
 * loopback, so that nobody on the way could say it in its place, or the operator trusts the way to it. Behind CNAMEs
 * that took more than one query every one of the replies must say it.
 *
 * A query goes to the first server; whatever is no reliable answer (timeout, SERVFAIL, REFUSED, a
 * malformed reply) goes to the next one, each server tries times at most. Worst case: timeout_ms *
 * tries * servers. Thread: loop.
 */
#ifndef OS_OS_DNS_H
#define OS_OS_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "os/os_env.h"
#include "port/dns.h"

struct dns_ares;

struct os_dns {
	struct dns dns;        /* what the core gets */
	struct dns_ares *ares; /* the adapter's */
};

#define OS_DNS_SERVER_MAX 8
#define OS_DNS_TIMEOUT_MS 2000 /* good defaults */
#define OS_DNS_TRIES 2

struct os_dns_params {
	const struct endpoint
		*servers;    /* port 0 means 53; copied; more than OS_DNS_SERVER_MAX are left out */
	size_t server_count; /* 0: those of /etc/resolv.conf */
	int64_t timeout_ms;  /* of one try at one server; real time */
	unsigned tries;      /* for each server, at least 1 */
	bool trusts_ad;      /* the AD bit of any server counts, not only of those on loopback */
};

/* os_dns_init - Errors: ERR_NOT_FOUND (no server configured anywhere), ERR_LIMIT (c-ares cannot
 * start). */
MUST_USE enum err os_dns_init(
	struct os_dns *d, struct os_env *env, const struct os_dns_params *params);
/* os_dns_fini - queries that are still open are dropped without on_done. Not from on_done. */
void os_dns_fini(struct os_dns *d);

#endif
