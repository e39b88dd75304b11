/*
 * fixture_dns - port/dns from a script: "example.net MX 10 mx1.example.net" and the like, one
 * answer a name and type.
 *
 * "TYPE+" makes the answer authentic. TLSA: "3 1 1 HEX". An address may have " =NAME" behind it: the end of
 * aliases.
 *
 * Names that no line speaks of are NXDOMAIN; a name with other types only is NODATA. Answers come
 * in the next turn of the loop, or when fixture_dns_release is called if is_held.
 */
#ifndef TEST_UNIT_DELIVER_FIXTURE_DNS_H
#define TEST_UNIT_DELIVER_FIXTURE_DNS_H

#include "fixture_env.h"
#include "port/dns.h"

struct fixture_dns {
	struct dns dns;
	struct fixture_env *env;
	const char *const *
		lines; /* "NAME TYPE VALUE"; VALUE "SERVFAIL", or "BAD" (an ill-formed record) for any type */
	uint32_t ttl_s;
	bool is_held;
	bool is_unvouched; /* all answers */
	struct list pending;
	struct deferred run;
	unsigned started, canceled;
};

void fixture_dns_init(struct fixture_dns *d, struct fixture_env *env, const char *const *lines);
void fixture_dns_release(struct fixture_dns *d);

#endif
