/*
 * settle - one message while some of its recipients change: what follows for the message itself.
 *
 * settle_begin loads it, settle_move for each recipient that changes its state or next hop
 * (after its row was written), settle_end does the rest once: octets per next hop, and when no
 * recipient is queued any more, the content goes and the message is finished.
 */
#ifndef STORE_SETTLE_H
#define STORE_SETTLE_H

#include "sqlite_engine.h"

struct settle {
	struct sqlite_engine *e;
	uint64_t id;
	uint64_t size_bytes;
	int priority;
	int64_t queued;
	struct wall kept; /* content of failed recipients stays until */
	bool is_changed;
	struct hop_entry *
		*left; /* next hops that lost a queued recipient, each once; in e->scratch */
	uint32_t left_count, left_cap;
};

/* settle_begin - Errors: ERR_NOT_FOUND. */
MUST_USE enum err settle_begin(struct settle *s, struct sqlite_engine *e, uint64_t id);
void settle_move(struct settle *s, struct hop_entry *hop, enum recipient_state from,
	enum recipient_state to);
MUST_USE enum err settle_end(struct settle *s, struct wall at);
/* settle_has_queued - whether the message has a queued recipient at that next hop. */
MUST_USE enum err settle_has_queued(struct settle *s, struct hop_entry *hop, bool *out);

#endif
