/*
 * dns - one question, one answer, as the core sees them. Adapters: os/ (c-ares) and sim/.
 *
 * What counts as an answer (OUTAGE section 2): NXDOMAIN and NODATA only with rcode and SOA from the configured resolver;
 * SERVFAIL, REFUSED, timeout, truncation, lameness, malformed and mismatching replies are temporary. CNAMEs (at most
 * 10) are followed inside. Bounds: 20 MX, 30 addresses; more are cut, best preferences first. Names are
 * checked as host names; bad ones are dropped and counted in bad_count. No cache here: deliver/resolver has it.
 */
#ifndef PORT_DNS_H
#define PORT_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/endpoint.h"
#include "base/list.h"
#include "base/str.h"
#include "port/net.h"

enum dns_type { DNS_A = 1, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

enum dns_result {
	DNS_FOUND,
	DNS_NODATA, /* the name exists, no record of the type */
	DNS_NXDOMAIN,
	DNS_TEMPORARY /* no answer to rely on; problem says why */
};

struct dns_record {
	uint16_t preference;     /* MX */
	struct str host;         /* MX: lower case; "" for the null MX (RFC 7505) */
	struct endpoint address; /* A, AAAA; port 0 */
	struct net_tlsa tlsa;    /* TLSA; ill-formed ones are dropped and counted */
	struct str text;         /* TXT: the strings joined */
};

#define DNS_MX_MAX 20
#define DNS_ADDRESS_MAX 30
#define DNS_TLSA_MAX 20
#define DNS_TXT_MAX 20
#define DNS_TEXT_BYTES_MAX 2048

struct dns_answer {
	enum dns_result result;
	const char *problem; /* DNS_TEMPORARY: "SERVFAIL", "timeout", ... static */
	bool is_authentic;   /* AD bit, of a resolver whose word counts (on this host, or dns.trust-ad) */
	struct str alias;    /* whose records they are, when CNAMEs led elsewhere; else empty */
	bool is_unvouched;   /* of a resolver whose AD bit does not count, while that of another one would */
	uint32_t ttl_s;      /* least of the records, or of the SOA for negative answers */
	struct dns_record *records;
	uint32_t count;
	uint32_t bad_count; /* records dropped: ill-formed names, ill-formed TLSA, TXT that is too long */
	struct arena arena; /* holds the above */
};

/* Embedded in whoever asks. Owns: after on_done the asker owns answer.arena (arena_fini). */
struct dns_query {
	struct str name; /* borrowed until on_done or cancel */
	enum dns_type type;
	void (*on_done)(struct dns_query *q); /* later, once; not after dns_cancel */
	struct dns_answer answer;
	struct list link; /* the adapter's */
	void *adapter;    /* the adapter's */
};

struct dns;
struct dns_ops {
	void (*start)(struct dns *dns, struct dns_query *q);
	void (*cancel)(
		struct dns *dns, struct dns_query *q); /* legal only between start and on_done */
};
struct dns {
	const struct dns_ops *ops;
};

static inline void dns_start(struct dns *dns, struct dns_query *q)
{
	dns->ops->start(dns, q);
}
static inline void dns_cancel(struct dns *dns, struct dns_query *q)
{
	dns->ops->cancel(dns, q);
}

#endif
