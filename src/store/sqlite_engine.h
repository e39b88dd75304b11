/* sqlite_engine - the SQLite engine as its own files see it: one function for each operation of
 * port/store.h. */
#ifndef STORE_SQLITE_ENGINE_H
#define STORE_SQLITE_ENGINE_H

#include "engine.h"
#include "ledger.h"
#include "sql.h"
#include "young.h"

struct sqlite_engine {
	struct engine base;
	struct sql sql;
	struct ledger ledger; /* ENGINE_WRITE */
	struct arena scratch; /* of the operation being applied */
	enum engine_mode mode;
	/* Where the last MODIFY of this kind stopped: the next call need not pass over what it did. */
	struct {
		uint64_t hash; /* of filter and action */
		uint64_t id;
	} modify_stop;
	struct {
		uint64_t hash;
		struct wall at; /* what failed before it was done, or did not match */
	} revive_stop;
	/* Entries of each kind, plus one; 0: not counted yet, or a transaction went back. */
	uint64_t shelf_count[SHELF_KIND_COUNT];
	struct wall sweep_stop; /* where the last SWEEP stopped, had it more to do */
	struct young young; /* ENGINE_WRITE; ENGINE_INSPECT: counted */
	uint32_t wal_pages;
	char *path;
	char problem[512];
};

/* engine_transaction_end - commits when err is OK, rolls back otherwise; the error of whichever. */
MUST_USE enum err engine_transaction_begin(struct sqlite_engine *e);
MUST_USE enum err engine_transaction_end(struct sqlite_engine *e, enum err err);

/* Writes: inside a transaction. */
enum err write_accept(struct sqlite_engine *e, struct store_accept *op);
enum err write_spool(struct sqlite_engine *e, struct store_spool *op);
enum err write_discard(struct sqlite_engine *e, struct store_discard *op);
enum err write_record(struct sqlite_engine *e, struct store_record *op);
enum err write_promote(struct sqlite_engine *e, struct store_promote *op);
enum err write_rekey(struct sqlite_engine *e, struct store_rekey *op);
enum err write_modify(struct sqlite_engine *e, struct store_modify *op);
enum err write_sweep(struct sqlite_engine *e, struct store_sweep *op);
enum err write_revive(struct sqlite_engine *e, struct store_revive *op);
enum err write_put(struct sqlite_engine *e, struct store_put *op);
enum err write_shelf_put(struct sqlite_engine *e, struct store_shelf_put *op);
enum err write_tell(struct sqlite_engine *e, struct store_tell *op);

/* Reads: inside a read transaction; outputs in op->op.arena. */
enum err read_claim(struct sqlite_engine *e, struct store_claim *op);
enum err read_fetch(struct sqlite_engine *e, struct store_fetch *op);
enum err read_hops(struct sqlite_engine *e, struct store_hops *op);
enum err read_lookup(struct sqlite_engine *e, struct store_lookup *op);
enum err read_probes(struct sqlite_engine *e, struct store_probes *op);
enum err read_query(struct sqlite_engine *e, struct store_query *op);
enum err read_show(struct sqlite_engine *e, struct store_show *op);
enum err read_stats(struct sqlite_engine *e, struct store_stats *op);
enum err read_get(struct sqlite_engine *e, struct store_get *op);
enum err read_shelf_get(struct sqlite_engine *e, struct store_shelf_get *op);
enum err read_shelf_list(struct sqlite_engine *e, struct store_shelf_list *op);
enum err read_claim_by_time(struct sqlite_engine *e, struct store_claim *op);
enum err read_late(struct sqlite_engine *e, struct store_late *op);
enum err read_outages(struct sqlite_engine *e, struct store_outages *op);

/* message_insert - a message with its recipients and its last part of content. Errors:
 * ERR_EXISTS, ERR_NOT_FOUND (some spooled chunk is not there). */
MUST_USE enum err message_insert(struct sqlite_engine *e, const struct envelope *env,
	struct str content, uint32_t spooled_chunks);
MUST_USE enum err message_exists(struct sqlite_engine *e, uint64_t id, bool *out);
/* notice_take_back - a notice that still waits leaves the queue, unsent. Errors: ERR_NOT_FOUND: it does not wait. */
MUST_USE enum err notice_take_back(struct sqlite_engine *e, uint64_t id, struct wall at);
/* history_insert - a message that these records, together, say was delivered to all: as ACCEPT and the RECORDs would
 * have left it. Their health is not looked at. */
MUST_USE enum err history_insert(struct sqlite_engine *e, const struct envelope *env,
	const struct store_record *records, uint32_t record_count);
/* record_outages - the outages and samples of a RECORD. */
MUST_USE enum err record_outages(struct sqlite_engine *e, const struct store_record *op);
/* sweep_outages - those that ended before op->outages_before, at most limit. */
MUST_USE enum err sweep_outages(struct sqlite_engine *e, struct store_sweep *op, uint32_t limit);
/* read_spans - the outages of one scope and name, oldest first, in arena. */
MUST_USE enum err read_spans(struct sqlite_engine *e, enum outage_scope scope, struct str name,
	struct arena *arena, struct span **out, uint32_t *count);
MUST_USE enum err record_attempt(
	struct sqlite_engine *e, uint64_t id, const struct attempt_record *attempt);
/* late_owe - the failures of a message are to be reported in a digest. */
MUST_USE enum err late_owe(struct sqlite_engine *e, uint64_t id, struct wall at);
/* content_insert - one chunk; content_delete - all of them. */
MUST_USE enum err content_insert(
	struct sqlite_engine *e, uint64_t id, uint32_t chunk, struct str data);
MUST_USE enum err content_delete(struct sqlite_engine *e, uint64_t id);
/* spool_drop - the chunks of a message that no ACCEPT will follow; those of one that is there stay. */
MUST_USE enum err spool_drop(struct sqlite_engine *e, uint64_t id);
/* sqlite_file_size - how much of the file is in use, and how much is not. */
MUST_USE enum err sqlite_file_size(
	struct sqlite_engine *e, uint64_t *used_bytes, uint64_t *free_bytes);
/* spool_sweep - drops the chunks that no ACCEPT followed. Inside a transaction. */
MUST_USE enum err spool_sweep(struct sqlite_engine *e);

#endif
