/*
 * sts - MTA-STS policies of recipient domains (RFC 8461): known, fetched, renewed and kept on disk.
 *
 * Routing asks through tls_policies (deliver/tls_policies.h). What is known answers in the next turn; a domain that was
 * never asked for costs one read of the shelf and one TXT look-up, and a fetch if it has a policy. Afterwards it costs a
 * look-up each time the TTL is over and somebody asks, and a fetch a day (queue/sts_times). Once an hour the shelf is walked
 * for policies that are used and should be renewed.
 *
 * What can fail: the shelf cannot be read (askers are told: mail waits), DNS or the policy host is silent (a policy that was
 * known goes on, see queue/sts_times; without one mail goes on without). Memory is bounded: STS_DOMAINS_MAX, least recently
 * asked first to go. Thread: loop.
 */
#ifndef RELAY_STS_H
#define RELAY_STS_H

#include "base/rng.h"
#include "conf/conf.h"
#include "deliver/resolver.h"
#include "deliver/tls_policies.h"
#include "mail/sts_policy.h"
#include "port/fetch.h"
#include "port/store.h"
#include "queue/sts_times.h"

#define STS_DOMAINS_MAX 4096

struct sts;

struct sts_params {
	struct env *env;
	struct resolver *resolver;
	struct store *store;
	struct fetch *fetch;         /* NULL: nothing is fetched; what is on the shelf counts */
	struct conf *conf;           /* a reference is taken */
	void (*on_idle)(void *user); /* after sts_stop: sts_is_busy became false; may be NULL */
	/* on_failure - no policy came, for this reason; or one that is ill-formed. May be NULL. */
	void (*on_failure)(void *user, struct str domain, enum err err, bool is_policy_bad);
	void *user;
};

struct sts *sts_new(const struct sts_params *params);
void sts_start(struct sts *s);
void sts_set_conf(struct sts *s, struct conf *conf);
struct tls_policies *sts_policies(struct sts *s);
/* sts_doubt - mail for the domain could not be sent for its policy: is there a new one? (RFC 8461 section 5.1) */
void sts_doubt(struct sts *s, struct str domain);
void sts_stop(struct sts *s); /* no new look-ups; whoever waits is told that we are stopping */
bool sts_is_busy(const struct sts *s);
void sts_free(struct sts *s);

/* What is known of a domain, for operators and reports. Strings live until the next turn of the loop. */
struct sts_view {
	const struct sts_policy *policy; /* NULL: none is known */
	struct sts_times times;
	struct str id;       /* of the policy */
	struct wall failed;  /* last failure to fetch; WALL_NONE: none since the last success */
	const char *failure; /* static, "" without one */
	enum err failure_err;
	unsigned failure_status;
	bool is_policy_bad; /* it was fetched, and is ill-formed */
};
/* sts_look - false: it is not in memory. */
bool sts_look(const struct sts *s, struct str domain, struct sts_view *out);

#endif
