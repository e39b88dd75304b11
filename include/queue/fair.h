/*
 * fair - the drain order of what waits in memory: priority exactly, then fair shares among the senders' buckets. Pure.
 *
 * Start-time fair queueing by message: each message gets a tag, one more than the one before it of its bucket, but not
 * less than what is being started now; the order within a priority is by tag. A bucket that was idle gains no claim on the
 * past, one with much mail stands behind itself only. CLAIM has the same order for what lies in the store.
 */
#ifndef QUEUE_FAIR_H
#define QUEUE_FAIR_H

#include "port/store.h"

/* Of one priority; zeroed: priority 0, nothing seen. */
struct fair {
	int priority;
	uint64_t now; /* tag of the last one started */
	uint64_t last[STORE_SENDER_BUCKETS];
	struct fair *next; /* of other priorities, made when they are seen; owned */
};

/* fair_fini - also forgets all tags: nothing waits any more. */
void fair_fini(struct fair *f);
uint64_t fair_tag(struct fair *f, int priority, unsigned bucket);
/* fair_tag_again - of one that was started and put back: its old place, or a new one if the tags were forgotten since. */
uint64_t fair_tag_again(struct fair *f, int priority, unsigned bucket, uint64_t tag);
void fair_note_started(struct fair *f, int priority, uint64_t tag);
/* fair_goes_before - strictly: equal tags stay in order of arrival. */
static inline bool fair_goes_before(
	int priority, uint64_t tag, int other_priority, uint64_t other_tag)
{
	return priority != other_priority ? priority > other_priority : tag < other_tag;
}

#endif
