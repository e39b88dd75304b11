/*
 * route - from a next hop to its site and the hosts to try, RFC 5321 section 5.1, RFC 7505.
 *
 * MX sorted by preference, equals in random order; implicit MX when the domain has an address and no MX; null MX is
 * final; our own name cuts itself and everything not better; a smarthost is one host. Addresses are looked up for
 * all hosts, IPv6 and IPv4 alternating; those the policy refuses are left out (0.0.0.0 and multicast never; loopback,
 * private ranges and our own listeners only if listed in dns.allow-addresses; a smarthost's
 * loopback or private address is the operator's word, our own listeners are refused for it too). The site's name: the configured
 * site whose pattern matches every host, else the sorted host names joined by '+', over 200 octets cut with a hash;
 * a smarthost: "[host]:port".
 *
 * How each host must be secured is found here too: by TLSA records (RFC 7672) where DNSSEC vouches for the names and the
 * addresses, by the MTA-STS policy of the domain, or by configuration. A host about which that cannot be told is left out; when
 * none is left mail waits (4.7.5).
 *
 * A route can be written down (route_describe) and be used again when DNS gives no answer at all: what is written are
 * the hosts and their addresses; which of them may be used, the site and the rest are today's configuration's to say.
 */
#ifndef DELIVER_ROUTE_H
#define DELIVER_ROUTE_H

#include "base/rng.h"
#include "conf/conf.h"
#include "deliver/resolver.h"
#include "deliver/tls_policies.h"
#include "mail/outcome.h"
#include "smtp/tls_rule.h"

#define ROUTE_TARGETS_MAX 30
/* A route whose text would be longer is not remembered. */
#define ROUTE_TEXT_BYTES_MAX 2048

struct route_target {
	struct str host; /* MX host or smarthost name */
	uint16_t preference;
	struct endpoint address; /* with port */
	struct tls_rule tls; /* strings in the route's arena */
	bool is_vouched; /* that this is a host of the next hop: it is its name or the operator's, or DNSSEC or MTA-STS says so */
	struct str session_key; /* sessions to this address may be shared by those of one key only (deliver/pool.h) */
	bool is_near; /* this machine or network, and not listed as an ordinary one: says nothing of the Internet */
};

struct route {
	struct arena arena; /* strings */
	struct str site;
	bool is_smarthost;
	const struct conf_route
		*conf_route; /* NULL by MX; valid as long as the conf that was passed in */
	enum tls_policy tls; /* by configuration; targets[].tls is what binds */
	struct route_target targets[ROUTE_TARGETS_MAX];
	uint32_t target_count;
	uint32_t mx_count;
	bool is_mx_authentic; /* AD bit on the MX answer */
	const char *dns_problem; /* not NULL: DNS gave no answer for this reason, static; made of what is remembered */
	struct str left_out; /* a host that is not used for the sake of TLS, and why; empty: none */
	struct str text;      /* what to remember of it; empty: nothing (an address literal, or remembered already) */
};

struct route_request {
	/* in */
	struct str hop;    /* domain, "[literal]", or "route:NAME"; borrowed */
	struct conf *conf; /* borrowed until on_done */
	struct tls_policies *policies; /* of recipient domains; NULL: none are heeded; borrowed until on_done */
	struct str remembered; /* text of the last route that worked, used when DNS fails temporarily; empty: none; borrowed */
	void (*on_done)(struct route_request *r); /* later, once */
	/* out: err in outcome.stage STAGE_NONE: *route is filled; else why not: STAGE_DNS or STAGE_POLICY
	 * (5.1.2 NXDOMAIN, 5.1.10 null MX, 5.4.4 unusable MX or literal, 5.4.6 loop, 4.4.3 temporary; 4.3.5 our configuration:
	 * no such route, or a smarthost that does not resolve or is ourselves: never a bounce) */
	struct route *route;    /* owned by the asker: route_free */
	struct outcome outcome; /* text is static or lives in *arena below */
	struct arena arena;
	void *private_state;
};

void route_resolve(
	struct env *env, struct resolver *resolver, struct rng *rng, struct route_request *r);
/* route_key_of - what the sessions to a host under one rule have in common beside the address; those of other keys must not
 * be used in their place. Lives in arena. */
struct str route_key_of(const struct conf *conf, const struct conf_route *route, struct str host,
	const struct tls_rule *rule, struct arena *arena);
void route_cancel(struct route_request *r); /* legal when idle */
void route_free(struct route *route);       /* NULL is legal */
/* route_text_same_hosts - two texts name the same hosts with the same preferences, bound or not by TLSA records, whatever
 * their addresses. */
bool route_text_same_hosts(struct str a, struct str b);
/* route_may_reach - an address that a stranger's DNS names may be connected to: not ours, not of this machine or network
 * unless listed in dns.allow-addresses. */
bool route_may_reach(const struct conf *conf, const struct endpoint *address);
/* route_hop_of - the next-hop key of a recipient under conf: "route:NAME" if a rule with a sender condition applies, else
 * its domain. A sender rule that says "by MX" gives "route:NAME/DOMAIN", since other rules of the domain do not
 * apply then. Result lives in arena. */
struct str route_hop_of(
	const struct conf *conf, struct str domain, struct str reverse_path, struct arena *arena);

#endif
