/*
 * mailboxes - which mailboxes took mail in the last 30 days, remembered in a few bits each. Pure.
 *
 * Two generations of a Bloom filter, each of 30 days: what took mail is put into the newer one, and looked for in both, so
 * that it is remembered for 30 to 60 days after it last took mail. A mailbox has 7 bits in one block of 64 octets (one cache line, one
 * page to save). With 10 bits for each of the mailboxes that it was made for, about 1 in 60 of those that never took mail
 * counts as known (both generations full; test_mailboxes measures it): such a one is doubted once more, no more. With more
 * mailboxes than that this grows; nothing is forgotten for it.
 *
 * It is saved as a head and pages, those that changed. A page says of which generation it is: an old one, left behind by a
 * turn, is empty. What differs in size is not read.
 */
#ifndef QUEUE_MAILBOXES_H
#define QUEUE_MAILBOXES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"

#define MAILBOXES_GENERATION_MS (30 * DAY_MS)
#define MAILBOXES_BITS_EACH 10
#define MAILBOXES_PAGE_BYTES 16384u

struct mailboxes {
	uint32_t page_count;  /* of one generation */
	uint64_t generation;  /* number of the newer one; its place is generation % 2 */
	struct wall began;    /* of the newer one */
	unsigned char *bits;  /* owned: both places, one after the other */
	bool *dirty;          /* owned: pages of both */
	uint32_t dirty_count; /* of those */
	bool is_head_dirty;
};

/* mailboxes_init - for about capacity mailboxes. */
void mailboxes_init(struct mailboxes *m, uint64_t capacity, struct wall now);
void mailboxes_fini(struct mailboxes *m); /* legal on a zeroed one */
/* mailboxes_hash - of an address, upper and lower case alike; the same for ever, for what is saved. */
uint64_t mailboxes_hash(struct str address);
/* mailboxes_add - it took mail. True when it was known. */
bool mailboxes_add(struct mailboxes *m, uint64_t hash);
bool mailboxes_has(const struct mailboxes *m, uint64_t hash);
/* mailboxes_turn - begins a new generation when the newer one is old enough. A clock that was set back begins none. */
void mailboxes_turn(struct mailboxes *m, struct wall now);

/* mailboxes_put_head, mailboxes_put_page - what to save; the mark that it changed is taken off. */
void mailboxes_put_head(struct mailboxes *m, struct buf *out);
void mailboxes_put_page(struct mailboxes *m, uint32_t page, struct buf *out);
/* mailboxes_mark - it was not saved after all. */
void mailboxes_mark(struct mailboxes *m, uint32_t page);
/* mailboxes_next_dirty - the first page from `from` on that changed; false: none. */
bool mailboxes_next_dirty(const struct mailboxes *m, uint32_t from, uint32_t *page);
/* mailboxes_take_head - before the pages, on a fresh one. False: it is of another size or no head; nothing is taken. */
bool mailboxes_take_head(struct mailboxes *m, struct str head);
/* mailboxes_take_page - joins what is known. What is no page of a present generation is nothing. */
void mailboxes_take_page(struct mailboxes *m, uint32_t page, struct str blob);
static inline uint32_t mailboxes_pages(const struct mailboxes *m)
{
	return 2 * m->page_count;
}

#endif
