/*
 * young - what the journal holds and the tables do not know yet.
 *
 * Happy path: a batch of messages and of good deliveries is appended to the journal and synced once; that is what
 * "durable" means for it. Each message is remembered here, with the recipients that were delivered meanwhile. Some
 * hundred messages later it retires into the tables: as a row of history when it is finished by then, which is the
 * rule, else with its content. Whatever is not as simple (failures, notices) takes the tables; what
 * an operator or a read wants comes after everything young has retired, so that the tables are all that anybody else
 * needs to know.
 *
 * Retiring is idempotent: the number of the last retired entry is written in the same transaction (table meta), and
 * replaying a journal after a crash begins behind it.
 *
 * Memory: some hundred octets for each message that is young, BATCH_YOUNG_KEPT of them in steady flow. Thread: the writer's.
 */
#ifndef STORE_YOUNG_H
#define STORE_YOUNG_H

#include "base/list.h"
#include "base/map.h"
#include "engine.h"
#include "journal.h"

struct sqlite_engine;
struct store_fetch;
struct store_op;
struct store_record;

enum {
	YOUNG_SLICE = 512,           /* entries that retire in one transaction when all do */
	YOUNG_RECIPIENTS_MAX = 64,   /* of a message; more take the tables */
	YOUNG_CONTENT_MAX = 1 << 20, /* octets; more take the tables */
};

struct young {
	struct journal journal;
	bool is_on;          /* batches may be appended */
	struct map messages; /* struct young_message by id */
	struct list entries; /* struct young_entry in order */
	uint32_t count;      /* of entries */
	struct map places;   /* struct young_place by kind and name */
	uint64_t retired;    /* number of the last entry that is in the tables */
	uint64_t last_id;    /* greatest id seen: a greater one is new */
	struct buf scratch;
};

void young_init(struct young *y);
void young_fini(struct young *y);

/* young_open - opens the journal and takes in what it still holds. size_bytes 0: only if there is one. is_readonly: only
 * counts. message: for ERR_CORRUPT. Without room for the file is_on stays false. */
MUST_USE enum err young_open(struct sqlite_engine *e, const char *vfs, uint64_t size_bytes,
	bool is_readonly, struct buf *message);

/* young_way - see engine_ops. */
MUST_USE enum err young_way(struct sqlite_engine *e, struct store_op *op, enum engine_way *out);
/* young_note_places - the tables have newer health of these sites and next hops than what is young. */
void young_note_places(struct young *y, const struct store_record *op);
/* young_append - makes ops (of WAY_YOUNG, those whose err is OK) durable. Errors: ERR_NO_SPACE (nothing was taken), others fatal. */
MUST_USE enum err young_append(struct sqlite_engine *e, struct list *ops);

/* young_retire - at most limit entries into the tables, in one transaction of its own. Errors:
 * ERR_NO_SPACE (nothing changed), others fatal. */
MUST_USE enum err young_retire(struct sqlite_engine *e, uint32_t limit);

/* young_fetch - a chunk of content that is young; else not *is_found. */
MUST_USE enum err young_fetch(struct sqlite_engine *e, struct store_fetch *op, bool *is_found);
/* young_close - everything into the tables, which then say so: a journal that is missing at the next start is no
 * loss. Without room to do so the journal keeps what it has. */
void young_close(struct sqlite_engine *e);

#endif
