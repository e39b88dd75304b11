/*
 * attempt - one try to deliver one message to the recipients of one next hop, over the hosts of its route.
 *
 * Happy path: a session from the pool, or a new one to the first good address; a job; per-recipient outcomes. A failure of
 * scope host moves on to the next address, then the next MX (conf client hosts-max), within conf client session_ms in
 * all; a reused session that died untouched is replaced once by a new one to the same address; opportunistic TLS that
 * failed its handshake is tried once more in clear text; a rule that requires TLS never is, and the next host is tried. A
 * host that lacks what the message needs (8BITMIME, SMTPUTF8, SIZE, REQUIRETLS) is passed over for another that may
 * have it; the message fails for that only when all that there are lack it. When every host failed before MAIL the attempt's scope is
 * the site's. Recipients that got 4xx for want of another MX stay with the reply they got: RFC 5321 leaves that
 * to us, and a 4xx to RCPT is the recipient's.
 * Embedded in the caller's delivery. Thread: loop.
 */
#ifndef DELIVER_ATTEMPT_H
#define DELIVER_ATTEMPT_H

#include "conf/conf.h"
#include "deliver/pool.h"
#include "deliver/route.h"
#include "deliver/verdict.h"
#include "port/env.h"
#include "port/net.h"
#include "port/store.h"
#include "smtp/client.h"

#define ATTEMPT_TLS_MAX 4

/* What came of TLS with one host, for reports (RFC 8460): new sessions only. */
enum attempt_tls_result {
	ATTEMPT_TLS_GOOD,
	ATTEMPT_TLS_NOT_OFFERED, /* or refused by a reply to STARTTLS */
	ATTEMPT_TLS_FAILED       /* handshake or certificate */
};
struct attempt_tls {
	const struct route_target *target; /* host, address, and the rule that was asked for: target->tls, unless REQUIRETLS
	                                    * raised it or clear text was tried after a failure, which is not listed */
	enum attempt_tls_result result;
	enum tls_fault fault; /* also with ATTEMPT_TLS_GOOD: what a check would have found */
	struct str problem;   /* escaped; in the attempt's arena */
};

#define ATTEMPT_FAMILY(f) ((f) == FAMILY_IPV6 ? 2u : 1u)

struct attempt_result {
	uint32_t number;        /* recipient */
	struct outcome outcome; /* text in the attempt's arena */
	struct verdict verdict;
};

struct attempt {
	/* in, set by the caller, all else zero; borrowed until on_done */
	struct env *env;
	struct net *net;
	struct pool *pool;
	struct conf *conf;
	const struct conf_policy *policy;
	const struct envelope *message; /* recipients not used */
	const struct queued_recipient *recipients;
	uint32_t recipient_count;
	struct content_reader *content;
	struct route *route; /* borrowed */
	bool is_known_good;
	bool is_limited; /* the site has shown that it limits us: 421 is that, and not the end of an idle session */
	bool is_verify; /* the transaction ends before DATA; content is NULL, and 2xx to RCPT is the outcome */
	bool is_probe; /* a fresh session, no pooled one; every address is tried, one after the other */
	void (*on_done)(struct attempt *a); /* later, once */
	/* out */
	struct arena arena;             /* caller frees with attempt_fini */
	struct attempt_result *results; /* one per recipient, also when no host was reached */
	bool is_site_failure; /* every host failed before MAIL, none for rules of ours: results are PARK */
	struct outcome
		site_outcome; /* no host took a job: the last failure, of scope host, hop or ours */
	struct str host;      /* "name[ip]:port" last talked to, or tried */
	struct str host_name; /* its name alone, for Remote-MTA */
	struct str tls;
	struct attempt_tls tls_tried[ATTEMPT_TLS_MAX]; /* the first ones */
	uint32_t tls_tried_count;
	bool has_dsn, has_deliverby; /* what the host of the job offered in that session */
	int64_t connect_ms, transmit_ms; /* real time: for "delays=" */
	uint32_t hosts_tried;
	/* Of addresses that are not near, by family: connections that were refused to us on the way or not answered at all;
	 * connections that came about; hosts that said something over one. Bits of ATTEMPT_FAMILY. */
	unsigned unconnected, opened, answered;
	struct endpoint reached; /* one of the last */
	/* private */
	struct smtp_job job;
	struct smtp_client *client;
	struct smtp_job_recipient *job_recipients;
	uint8_t order
		[ROUTE_TARGETS_MAX]; /* the route's targets: equal preference rotated by chance, bad ones last */
	uint32_t target,
		next_target; /* the one that is tried; where to look for the next: of order */
	struct tls_rule rule;   /* for the target now */
	struct str session_key; /* the same */
	bool is_lacking; /* a host that was reached lacks what the message needs: job_recipients say what */
	bool is_tls_waived; /* a notice with REQUIRETLS that nobody takes as it should be: the second round */
	bool is_reused;
	bool is_ourselves; /* the host of the job greeted with our own name */
	bool is_running; /* between start and on_done */
	bool is_job_running;
	struct mono started, connected;
	struct timer deadline;
	struct deferred finish;
};

void attempt_start(struct attempt *a);
void attempt_cancel(struct attempt *a); /* shutdown: drops the connection; on_done is not called */
void attempt_fini(struct attempt *a);

#endif
