/*
 * tls_rule - how a session to one host must be secured, on whose word. Plain data.
 */
#ifndef SMTP_TLS_RULE_H
#define SMTP_TLS_RULE_H

#include "base/arena.h"
#include "conf/conf.h"
#include "port/net.h"

enum tls_authority {
	TLS_BY_CONF,
	TLS_BY_DANE,      /* TLSA records of the host, RFC 7672 */
	TLS_BY_STS,       /* a policy of the recipient's domain, RFC 8461 */
	TLS_BY_REQUIRETLS /* the message asks for it, RFC 8689 */
};

/* A rule of all zero octets asks for nothing (TLS_NONE). Borrowed by whoever is given one, unless it says otherwise. */
struct tls_rule {
	enum tls_policy policy; /* TLS_DANE: tlsa binds; TLS_VERIFY: chain, and one of names */
	enum tls_authority authority;
	const struct net_tlsa *tlsa;
	uint32_t tlsa_count;
	const struct str *
		names; /* that the certificate may have; none: the host's name. "*.example" matches one label */
	uint32_t name_count;
	bool is_unlisted; /* STS mode testing: no pattern of the policy names the host */
	bool is_testing;  /* STS mode testing: checked and reported, never held against the host */
};

/* tls_rule_is_required - nothing but EHLO and STARTTLS is said in clear text. */
bool tls_rule_is_required(const struct tls_rule *rule);
/* tls_rule_copy - with all that it points to. */
struct tls_rule tls_rule_copy(const struct tls_rule *rule, struct arena *arena);
/* tls_rule_name - whose word it is, for people: "DANE", "MTA-STS", "REQUIRETLS", "tls verify"; static. */
const char *tls_rule_name(const struct tls_rule *rule);

#endif
