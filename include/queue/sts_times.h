/*
 * sts_times - when an MTA-STS policy (RFC 8461) is looked for, renewed, and no longer binds. Pure: time and chance are
 * passed in.
 *
 * The TXT record of a domain is looked at again when its TTL is over. The policy is fetched when the record has another id,
 * when half of max_age or a day has gone by, and after a failure not before STS_RETRY_FIRST_MS, doubling up to a
 * day. A policy binds until max_age is over; from then on for STS_OVERTIME_MS more as long as nobody can say that it is
 * gone: its record or its host cannot be reached. So an outage that takes the policy host along with the mail, or
 * somebody who makes it look like one, gains nothing (doc/decisions/0014).
 */
#ifndef QUEUE_STS_TIMES_H
#define QUEUE_STS_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"
#include "base/rng.h"

#define STS_RECHECK_LEAST_MS (5 * MINUTE_MS)
#define STS_RECHECK_MOST_MS DAY_MS
#define STS_RETRY_FIRST_MS (5 * MINUTE_MS)
#define STS_RETRY_LAST_MS DAY_MS
#define STS_REFRESH_MS DAY_MS
#define STS_OVERTIME_MS (30 * DAY_MS)
/* What nobody asked for in so long is not renewed any more by itself. */
#define STS_UNUSED_MS (30 * DAY_MS)

/* Plain data; all zero: nothing is known of the domain. */
struct sts_times {
	bool has_policy;
	struct wall fetched;
	int64_t max_age_ms;
	struct wall used;       /* last asked for */
	struct wall checked;    /* the TXT record was looked for */
	struct wall next_check; /* of it: not before */
	struct wall next_fetch; /* after a failure: not before */
	int64_t retry_ms;       /* the last interval after a failure; 0: the last fetch worked */
};

enum sts_answer {
	STS_ANSWER_NOW,   /* by what is known */
	STS_ANSWER_CHECK, /* likewise, and look at the record beside */
	STS_ANSWER_LATER  /* look first: nothing is known that counts */
};

/* sts_times_ask - somebody asks for the policy. */
enum sts_answer sts_times_ask(struct sts_times *t, struct wall now);
struct wall sts_times_until(const struct sts_times *t);             /* WALL_NONE without a policy */
bool sts_times_is_over(const struct sts_times *t, struct wall now); /* past max_age */
/* sts_times_is_binding - the policy counts, in overtime too. */
bool sts_times_is_binding(const struct sts_times *t, struct wall now);
/* sts_times_wants_fetch - after the record was seen: has it another id than the policy? */
bool sts_times_wants_fetch(const struct sts_times *t, struct wall now, bool is_other_id);
/* sts_times_is_due - a policy that is used should be renewed now, though nobody asks. */
bool sts_times_is_due(const struct sts_times *t, struct wall now);

/* What came of it. */
void sts_times_note_record(struct sts_times *t, struct wall now, uint32_t ttl_s);
/* sts_times_note_absent - DNS says that there is no record. True: the policy is over by that, and forgotten here. */
MUST_USE bool sts_times_note_absent(struct sts_times *t, struct wall now, uint32_t ttl_s);
void sts_times_note_silence(struct sts_times *t, struct wall now); /* DNS says nothing */
void sts_times_note_policy(struct sts_times *t, struct wall now, int64_t max_age_ms);
/* sts_times_note_failure - no policy came. is_denied: its host itself says that there is none. True as above. */
MUST_USE bool sts_times_note_failure(
	struct sts_times *t, struct wall now, bool is_denied, struct rng *rng);
/* sts_times_note_doubt - mail could not be sent for the policy: the record is looked at as soon as may be. */
void sts_times_note_doubt(struct sts_times *t);

#endif
