/*
 * tls_tally - what came of TLS with the hosts of one recipient domain in one day, counted as RFC 8460 reports it. Pure.
 *
 * Bounded: TALLY_POLICIES_MAX policies, TALLY_FAILURES_MAX kinds of failure; more count in the sums alone.
 */
#ifndef QUEUE_TLS_TALLY_H
#define QUEUE_TLS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"

#define TALLY_POLICIES_MAX 8
#define TALLY_FAILURES_MAX 24
#define TALLY_VALUE_BYTES_MAX ((size_t)64 * 1024)

enum tally_policy { TALLY_NO_POLICY, TALLY_STS, TALLY_TLSA, TALLY_POLICY_COUNT };

/* Section 4.3. */
enum tally_result {
	TALLY_GOOD,
	TALLY_STARTTLS_NOT_SUPPORTED,
	TALLY_HOST_MISMATCH,
	TALLY_EXPIRED,
	TALLY_NOT_TRUSTED,
	TALLY_VALIDATION_FAILURE,
	TALLY_TLSA_INVALID,
	TALLY_STS_FETCH_ERROR,
	TALLY_STS_INVALID,
	TALLY_STS_WEBPKI_INVALID,
	TALLY_RESULT_COUNT
};

struct tally_failure {
	uint32_t policy; /* of tls_tally.policies */
	enum tally_result result;
	struct str mx, ip; /* empty: none was met */
	uint64_t count;
};

struct tally_line { /* a policy with its sums */
	enum tally_policy type;
	struct str domain; /* that the policy is of: the recipient domain, or a host under DANE */
	struct str text;   /* the policy, lines that end with LF; empty: not known */
	uint64_t good, bad;
};

struct tls_tally { /* zeroed: nothing was seen */
	struct arena arena;
	struct tally_line policies[TALLY_POLICIES_MAX];
	uint32_t policy_count;
	struct tally_failure failures[TALLY_FAILURES_MAX];
	uint32_t failure_count;
};

struct tally_event {
	enum tally_policy type;
	struct str domain, text;
	enum tally_result result;
	struct str mx, ip;
};

/* tls_tally_add - false: there was no room for its policy. Strings are copied. */
bool tls_tally_add(struct tls_tally *t, const struct tally_event *event);
void tls_tally_fini(struct tls_tally *t);

/* tls_tally_print, tls_tally_parse - as it lies on the shelf. parse: *t is zeroed before. False: damaged, *t is zeroed. */
void tls_tally_print(struct buf *out, const struct tls_tally *t);
bool tls_tally_parse(struct str value, struct tls_tally *t);

struct tally_report {
	struct str domain; /* of the recipients */
	struct str organization, contact, submitter;
	struct wall begin; /* of the day, UTC */
};
/* tls_tally_report_id - the same for the same day, domain and submitter. */
void tls_tally_report_id(struct buf *out, const struct tally_report *r);
/* tls_tally_json - the report, section 4.4. */
void tls_tally_json(struct buf *out, const struct tls_tally *t, const struct tally_report *r);

#endif
