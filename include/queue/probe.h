/*
 * probe - which message the next probe of a dead site takes. Pure.
 *
 * Each probe takes another message, so that none of them can keep a site for dead: by urgency, of another sender than the
 * last ones, of at most 64 KiB if there is one. One in doubt would risk a copy at each probe; one that two probes failed
 * with after MAIL would keep them failing (no poison probe): both are taken only when nothing else is there.
 */
#ifndef QUEUE_PROBE_H
#define QUEUE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#define PROBE_SMALL_BYTES ((uint64_t)64 << 10)
#define PROBE_TRIED_MAX 16
#define PROBE_FAILED_MAX 8
#define PROBE_POISON 2

struct probe_candidate {
	uint64_t id;
	uint64_t sender; /* hash of the reverse-path */
	uint64_t size_bytes;
	int priority;
	uint32_t
		attempts; /* charged: what it failed with after MAIL, before this memory began, is among them */
	bool is_in_doubt;
};

/* What a site remembers of its probes; zeroed: nothing. */
struct probe_memory {
	struct {
		uint64_t id, sender;
	} tried[PROBE_TRIED_MAX]; /* a ring */
	uint32_t tried_count;
	struct {
		uint64_t id, sender;
		uint32_t count;
	} failed[PROBE_FAILED_MAX]; /* after MAIL; a ring */
	uint32_t failed_count;
};

/* probe_choose - the index of one of count candidates, given in drain order; count 0: 0. */
uint32_t probe_choose(
	const struct probe_memory *m, const struct probe_candidate *candidates, uint32_t count);
void probe_note_tried(struct probe_memory *m, uint64_t id, uint64_t sender);
/* probe_note_failed - it got past MAIL and brought no answer. */
void probe_note_failed(struct probe_memory *m, uint64_t id, uint64_t sender);

#endif
