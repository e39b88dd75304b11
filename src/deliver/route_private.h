/*
 * route_private - what the files of routing share: the work on one request, and the seams between them.
 *
 * route.c begins, asks for MX and ends; route_hosts.c finds the addresses of the hosts and makes targets of them;
 * route_tls.c says how each host must be secured.
 */
#ifndef SRC_DELIVER_ROUTE_PRIVATE_H
#define SRC_DELIVER_ROUTE_PRIVATE_H

#include "deliver/route.h"

struct work;
struct host;

struct family {
	struct work *work;
	struct host *host;
	struct lookup lookup;
	struct endpoint *found; /* those that may be used, in random order */
	uint32_t found_count;
	bool is_temporary;
	bool is_authentic; /* found, and DNSSEC holds */
};

/* What TLSA records say of a host. */
enum tlsa_finding {
	TLSA_NONE, /* nothing binds it: there are none, or nobody vouches for what there is */
	TLSA_UNUSABLE, /* some, none of which a client of SMTP can use: encrypted at least, RFC 7672 section 2.2 */
	TLSA_USABLE,
	TLSA_UNKNOWN /* no answer to rely on: the host is not used */
};

struct host {
	struct str name;
	uint16_t preference;
	struct family ipv4, ipv6;
	bool has_local, has_refused, has_ours;
	struct str
		alias; /* its name at the end of CNAMEs that are all signed, in the route's arena; else empty */
	bool was_bound;   /* what is remembered says that TLSA records bound it */
	bool is_recalled; /* its addresses are remembered ones */
	/* route_tls.c */
	struct work *work;
	struct lookup tlsa_lookup;
	struct str tlsa_base; /* whose records are looked for: the alias first */
	enum tlsa_finding finding;
	struct net_tlsa *tlsa; /* usable ones */
	uint32_t tlsa_count;
	struct tls_rule tls;
	struct str refusal; /* why it is not used; empty: it is */
	bool is_bound;      /* its rule is found */
};

struct work {
	struct env *env;
	struct resolver *resolver;
	struct rng *rng;
	struct route_request *request;
	struct route *route;
	struct arena arena; /* addresses found */
	struct str name;    /* domain, or the smarthost's */
	uint16_t port;
	bool is_implicit; /* no MX: the name itself is the host */
	bool is_unvouched; /* some answer came from a resolver that cannot say whether DNSSEC holds, though another could */
	bool is_signed; /* the way to the names of the hosts: MX or its absence, or our own configuration */
	bool was_recalled; /* what is remembered was made use of, or of no use */
	struct lookup mx;
	struct host *hosts; /* DNS_MX_MAX */
	uint32_t host_count;
	uint32_t pending;    /* look-ups of addresses, then of what binds the hosts */
	const char *problem; /* of a temporary failure */
	struct deferred finish;
	/* route_tls.c */
	const struct conf_policy *policy;
	struct tls_policy_query sts_query;
	bool is_sts_asked;
	bool is_sts_running;
	const char *sts_problem;
	struct sts_policy sts; /* STS_NONE: none; strings in arena */
};

/* route.c */
void route_conclude(struct work *w);
void route_fail(
	struct work *w, enum stage stage, enum err err, struct status status, const char *why);
/* route_fail_temporary - unless what is remembered will do. insecure: why hosts are not used that could be reached; or empty. */
void route_fail_temporary(struct work *w, const char *what, struct str insecure);
struct host *route_add_host(struct work *w, struct str name, uint16_t preference);
void route_order_hosts(struct work *w);
/* route_cut_own_name - ourselves and everything not better than us go; hosts are in order. Returns whether we are one. */
bool route_cut_own_name(struct work *w);
void route_set_site(struct work *w);

/* route_hosts.c */
void route_look_up_addresses(struct work *w);
/* route_take_literal - the one address of the one host. */
void route_take_literal(struct work *w, struct host *h, const struct endpoint *address);
/* route_recall - goes on with what is remembered; false: there is nothing (more). */
bool route_recall(struct work *w);
void route_choose_targets(struct work *w);
void route_hosts_cancel(struct work *w);

/* route_tls.c */
/* route_bind - finds the rules of hosts that have none yet, then route_choose_targets; nothing is looked up for hosts that
 * nobody vouches for. */
void route_bind(struct work *w);
void route_bind_cancel(struct work *w);
/* route_session_key - what the sessions of a target have in common. */
struct str route_session_key(const struct work *w, const struct host *h);

#endif
