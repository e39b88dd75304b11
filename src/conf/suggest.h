/* suggest - the name that was probably meant. */
#ifndef SRC_CONF_SUGGEST_H
#define SRC_CONF_SUGGEST_H

#include "base/str.h"

struct suggest {
	struct str wanted;
	const char *best; /* NULL: nothing near enough */
	unsigned distance;
};

void suggest_init(struct suggest *s, struct str wanted);
/* suggest_offer - candidate becomes best when it is nearer than all before. */
void suggest_offer(struct suggest *s, const char *candidate);
/*
 * suggest_distance - insertions, deletions, replacements and swaps of neighbours from a to b; both
 * at most 40 octets.
 */
unsigned suggest_distance(struct str a, struct str b);

#endif
