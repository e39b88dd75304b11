/* young_private - what the files of the young generation share: young.c (what is known, appending, reading), young_open.c
 * (start and end), young_retire.c (into the tables). */
#ifndef STORE_YOUNG_PRIVATE_H
#define STORE_YOUNG_PRIVATE_H

#include "entry.h"
#include "sqlite_engine.h"
#include "young.h"

/* What the tables say of the journal: whether it may be missing at the next start. */
enum { STATE_CLOSED, STATE_OPEN };

struct young_message {
	struct map_entry by_id;
	uint64_t id;
	bool is_accepted;        /* else only chunks of it have come */
	bool has_stored;         /* some chunk of it may be in the tables */
	bool is_history;         /* its rows are in the tables with all that the records say */
	uint32_t spooled_chunks; /* that have come, from 0 on */
	uint64_t waiting;        /* bits of recipients that are not delivered, by number - 1 */
	struct list parts;       /* of its content: young_entry.of_message */
	struct list records;     /* the same */
	uint32_t entry_count;
	uint32_t pin_count; /* operations about it that are being appended */
};

struct young_entry {
	struct list link;
	struct list of_message; /* a part or a record of message */
	struct journal_entry at;
	uint32_t chunk;                /* of a part */
	struct young_message *message; /* NULL: none, or not young */
};

struct young_message *young_find_message(struct young *y, uint64_t id);
struct young_message *young_add_message(struct young *y, uint64_t id);
void young_note_accepted(struct young_message *m, uint32_t recipient_count);
bool young_is_delivered(const struct young_message *m);
/* young_note_delivered - the recipients that op says were delivered; returns how many were not before. */
uint32_t young_note_delivered(struct young_message *m, const struct store_record *op);

void young_add_entry(struct young *y, const struct journal_entry *at, struct young_message *m);
/* young_drop_entry - and its message, with its last entry. */
void young_drop_entry(struct young *y, struct young_entry *entry);
struct young_entry *young_first_entry(struct young *y); /* NULL: none */

/* young_save_state - in the transaction at hand. */
MUST_USE enum err young_save_state(struct sqlite_engine *e, uint64_t retired, uint32_t state);
void young_forget_places(struct young *y);

#endif
