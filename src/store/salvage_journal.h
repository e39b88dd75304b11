/*
 * salvage_journal - what the journal of a damaged queue still holds: messages that the tables do not know, and deliveries
 * that they have not heard of.
 *
 * Nothing here fails: what cannot be read is not there. Batches that are whole are taken, whatever is missing between
 * them. The file is not changed.
 */
#ifndef STORE_SALVAGE_JOURNAL_H
#define STORE_SALVAGE_JOURNAL_H

#include "base/arena.h"
#include "journal.h"
#include "port/store.h"

struct salvage_part;

struct salvage_journal {
	struct journal journal;
	struct salvage_part *parts; /* by id, then in the order written */
	size_t count, cap;
};

/* salvage_journal_open - settled: number of the last entry that is in the tables; 0: nobody knows. */
void salvage_journal_open(struct salvage_journal *j, const char *db_path, uint64_t settled);
void salvage_journal_close(struct salvage_journal *j);
/* salvage_journal_next_id - of its messages the one that follows id; 0: none does. */
uint64_t salvage_journal_next_id(const struct salvage_journal *j, uint64_t id);
/* salvage_journal_message - false: there is no such message. Its recipients are ready. */
bool salvage_journal_message(
	struct salvage_journal *j, uint64_t id, struct arena *arena, struct queued_message *out);
bool salvage_journal_chunk(struct salvage_journal *j, uint64_t id, uint32_t chunk,
	struct arena *arena, struct str *out);
/* salvage_journal_deliver - marks the recipients that were delivered. True: none of them is queued any more. */
bool salvage_journal_deliver(struct salvage_journal *j, uint64_t id, struct arena *arena,
	struct queued_message *message);

#endif
