/*
 * late_digest - what a look at late mail says, sorted into what a digest needs: which messages, which recipients, where they
 * wait, since when and until when. Decides nothing about when.
 */
#ifndef RELAY_LATE_DIGEST_H
#define RELAY_LATE_DIGEST_H

#include "mail/digest.h"
#include "port/store.h"
#include "relay/relay_private.h"

struct late_digest {
	struct digest_message *messages; /* those with something late */
	size_t message_count;
	struct digest_place *places;
	size_t place_count;
	bool has_utf8;
	bool has_requiretls; /* some of it does, of failures that are owed */
	struct str hops; /* next hops that the sender knows of with it, parted by blanks */
};

/* late_digest_make - of s->messages; all in arena. now: when it was looked. known: next hops that the sender was told
 * of, parted by blanks. only_news: messages that wait for none but those are left out. */
void late_digest_make(struct relay *r, const struct late_sender *s, struct wall now,
	struct str known, bool only_news, struct arena *arena, struct late_digest *out);
/* late_digest_owed - the same of s->owed. */
void late_digest_owed(const struct late_sender *s, struct arena *arena, struct late_digest *out);
/* late_digest_delay_min - the least delay that any destination is reported after; 0: none is. */
int64_t late_digest_delay_min(const struct conf *conf);

#endif
