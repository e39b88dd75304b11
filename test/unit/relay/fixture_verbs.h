/* fixture_verbs - a store with made-up content and a host for verbs, for the tests of
 * relay/control*. */
#ifndef FIXTURE_VERBS_H
#define FIXTURE_VERBS_H

#include <jansson.h>

#include "relay/verbs.h"

#define FIXTURE_LINES_MAX 4096

struct fixture_verbs {
	struct store store;
	struct verb_host host;
	struct metrics metrics;
	struct wall now;
	/* content of the store */
	uint32_t message_count; /* queued, ids of one millisecond each, one recipient each */
	bool is_ready;          /* they are READY, else WAITING */
	uint32_t hop_count;     /* "hNNNN.test" at site "sN", N = hop % site_count */
	uint32_t site_count;
	uint32_t modify_left; /* recipients that MODIFY, or REVIVE, finds */
	const struct outage_record *outages; /* in order of their ids */
	int64_t denied_ms; /* DNS has denied each next hop for so long; 0: never */
	uint32_t outage_count;
	struct outage_sample *samples; /* of each of them */
	uint32_t sample_count;
	uint64_t new_id; /* what the daemon gives */
	enum err fail_kind_err;
	int fail_kind;     /* this kind fails with that; -1: none */
	bool is_held_back; /* operations complete only by fixture_complete */
	struct store_op *pending;
	/* what was asked */
	struct store_filter last_filter;
	uint32_t queries, modifies, lookups;
	struct store_modify last_modify; /* its strings are gone with the call, but for: */
	char last_actor[64];
	bool only_untold; /* of the last REVIVE */
	/* what the daemon was told */
	struct buf told;
	/* answers */
	json_t *lines[FIXTURE_LINES_MAX];
	uint32_t line_count;
	uint32_t full_after; /* is_full once that many lines came since the last resume; 0: never */
	uint32_t lines_since;
	bool is_ended;
	struct verb_call *call;
};

void fixture_verbs_init(struct fixture_verbs *f);
void fixture_verbs_fini(struct fixture_verbs *f);
/* fixture_ask - runs a request to its end or to where it waits. */
void fixture_ask(struct fixture_verbs *f, const char *request);
void fixture_resume(struct fixture_verbs *f);
void fixture_complete(struct fixture_verbs *f);
/* fixture_last - "done" of the last line, NULL when it is an error. */
json_t *fixture_done(const struct fixture_verbs *f);
/* fixture_error - code of the last line, 0 when it is no error. */
int fixture_error(const struct fixture_verbs *f);
const char *fixture_error_text(const struct fixture_verbs *f);
json_t *fixture_row(const struct fixture_verbs *f, uint32_t n);
uint64_t fixture_id(uint32_t n);
/* fixture_restrict - the caller may only read. */
extern const struct verb_caller fixture_admin, fixture_guest;
void fixture_ask_as(
	struct fixture_verbs *f, const char *request, size_t len, const struct verb_caller *caller);

#endif
