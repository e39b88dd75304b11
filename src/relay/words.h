/*
 * words - what next hops have said of mailboxes (queue/vouch.h): the last 10,000 in memory, all that hold on the shelf of
 * the store. Keys are addresses in lower case. Thread: loop.
 */
#ifndef RELAY_WORDS_H
#define RELAY_WORDS_H

#include "queue/vouch.h"
#include "relay/relay_private.h"

struct words {
	struct relay *relay;
	struct map memories;
	uint32_t saving_count; /* writes under way */
};

void words_init(struct words *w, struct relay *r, uint64_t seed);
void words_fini(struct words *w);
/* words_find - NULL: not in memory. Its text is empty. Valid until the next words_remember. */
const struct vouch *words_find(const struct words *w, struct str key);
void words_remember(struct words *w, struct str key, const struct vouch *vouch);
/* words_save - copied; later durable, or not: nobody waits for it. */
void words_save(struct words *w, struct str key, const struct vouch *vouch);

#endif
