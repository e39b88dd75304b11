/*
 * control_book - the outages of the store, as a verb needs them: which are open, and what they and those of the past
 * take off the lifetime of a destination's mail.
 *
 * Read once a call: those that are open, and all of a pattern or of everything. Those of one next hop or site that ended come
 * with its LOOKUP. Bounded: past BOOK_MAX of a kind the oldest are left out, and the book says that it is partial.
 */
#ifndef RELAY_CONTROL_BOOK_H
#define RELAY_CONTROL_BOOK_H

#include "queue/credit.h"
#include "relay/control_call.h"

enum { BOOK_MAX = 4096 };

struct outage_book {
	struct outage_record *open, *wide; /* greatest id first; strings in the call's arena */
	uint32_t open_count, wide_count;
	bool is_partial;
	verb_step *next;
};

/* book_load - next runs when it is complete. The book must live as long as the call. */
void book_load(struct verb_call *call, struct outage_book *book, verb_step *next);
/* book_about - the open outage that keeps mail for that next hop at that site, NULL: none. Either may be empty. */
const struct outage_record *book_about(
	const struct outage_book *book, struct str hop, struct str site);
/* book_gives_up_at - when the time of that mail is over, with the outages of its destination, as call->lookup knows it.
 * *credited_ms: what of the time up to now did not count. */
struct wall book_gives_up_at(const struct verb_call *call, const struct outage_book *book,
	const struct conf_policy *policy, const struct envelope *env, int64_t *credited_ms);

#endif
