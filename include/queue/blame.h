/*
 * blame - whom a limit (421, throttling by name) is about: the site, or one sender alone (OUTAGE section 2, "limited"). Pure.
 *
 * A rate limit is not the message's fault: it is put back, and the site's pace is lowered. But one sender whose mail alone is
 * refused time and again, while that of others is taken, is that sender's matter: it must not slow the others down. Of the
 * refusals in a row one sender is remembered; another one's refusal, or an answer to that sender, begins anew.
 */
#ifndef QUEUE_BLAME_H
#define QUEUE_BLAME_H

#include <stdbool.h>
#include <stdint.h>

/* A message is put back so often; so many refusals in a row make one sender suspect. */
#define BLAME_REFUSALS 3

struct blame {
	uint64_t sender; /* hash, of the last refusals in a row */
	uint32_t count;  /* 0: none */
	bool has_others; /* mail of others was taken since the first of them */
};

void blame_note_refused(struct blame *b, uint64_t sender);
void blame_note_taken(struct blame *b, uint64_t sender);
/* blame_is_suspect - it alone was refused lately, often: somebody else's mail would show whose matter it is. */
static inline bool blame_is_suspect(const struct blame *b, uint64_t sender)
{
	return b->count >= BLAME_REFUSALS && b->sender == sender;
}
/* blame_is_own - after blame_note_refused: the limit is this sender's own. */
static inline bool blame_is_own(const struct blame *b, uint64_t sender)
{
	return b->count > BLAME_REFUSALS && b->sender == sender && b->has_others;
}

#endif
