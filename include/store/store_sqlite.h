/*
 * store_sqlite - opening the durable queue: port/store.h on SQLite.
 *
 * The queue is a directory: queue.db with its -wal, -shm and .journal (store/journal.h), `lock` (held as long as the queue
 * is open) and `reserve` (octets kept back so that results and deletions still fit on a full
 * disk). queue.db and its journal belong together: neither is whole without the other while the queue is open. One process opens it; one connection does all writes and all checkpoints (SQLite before
 * 3.51.3 can corrupt a file otherwise), one more only reads.
 *
 * Nothing is ever recreated: a damaged, truncated or foreign file is refused and left as it is.
 */
#ifndef STORE_STORE_SQLITE_H
#define STORE_STORE_SQLITE_H

#include "base/buf.h"
#include "port/env.h"
#include "port/store.h"

enum { STORE_WAL_LIMIT_PAGES = 8000 };

enum store_checkpoint_policy {
	STORE_CHECKPOINT_AT_LIMIT, /* when the log has reached its limit, and at close */
	STORE_CHECKPOINT_EACH      /* after each commit: tests */
};

struct store_options {
	uint32_t wal_limit_pages; /* pages of 4 KiB; 0: STORE_WAL_LIMIT_PAGES */
	enum store_checkpoint_policy checkpoint;
	uint64_t reserve_bytes; /* 0: no reserve */
	uint64_t journal_bytes; /* size of the journal; 0: none, each message goes to the tables at once */
	const char *vfs;        /* SQLite VFS by name, for tests; NULL: the default */
	bool is_compiled_late;  /* statements at their first use, not at start; for tests that open thousands of queues */
	/* on_fatal - the outcome of a commit is unknown: no on_done fires any more for what was
	 * under way. The process must close its connections without a reply and end. Thread:
	 * loop, once. message is valid during the call. */
	void (*on_fatal)(void *user, struct str message);
	void *on_fatal_user;
};

/*
 * store_open - makes the directory if need be, takes its lock, checks and migrates the file,
 * sweeps chunks without ACCEPT and starts the two threads. Takes env->on_wake and
 * env->wake_context. *message becomes a sentence for the operator on errors: ERR_LOCKED (another
 * process, its pid is named), ERR_CORRUPT, ERR_NEWER (the file is not touched), ERR_PERMISSION,
 * ERR_NO_SPACE, ERR_IO. What is checked is bounded: header, application id, schema, the
 * write-ahead log's checksums, totals, first and last rows; never the whole file. Thread: loop.
 * Owns: *out until store_close; options are copied but for the strings, which are used during
 * the call only.
 */
MUST_USE enum err store_open(struct env *env, struct str directory,
	const struct store_options *options, struct store **out, struct buf *message);

/* store_sync_open - the same without threads: what was submitted is applied, in order, at the
 * next deferred turn of the loop (env_defer), neighbouring writes in one transaction. Same
 * results as store_open. For the simulator. */
MUST_USE enum err store_sync_open(struct env *env, struct str directory,
	const struct store_options *options, struct store **out, struct buf *message);

/* store_sync_abandon - closes a store of store_sync_open as kill -9 would: nothing submitted
 * completes any more, nothing is checkpointed; what had completed is there at the next opening. */
void store_sync_abandon(struct store *store);

/* store_open_readonly - for tools, without a loop, while no daemon has the queue: takes the
 * lock; a read runs and completes inside store_submit; a write completes with ERR_PERMISSION.
 * Nothing is changed, but that a journal left by a crash is taken in. Thread: any one. Errors: as store_open, and ERR_NOT_FOUND (no queue
 * there), ERR_UNSUPPORTED (an older schema). */
MUST_USE enum err store_open_readonly(struct str directory, const struct store_options *options,
	struct store **out, struct buf *message);

/* store_close - completes everything submitted, also what completions submit, then checkpoints,
 * closes and unlocks. After on_fatal nothing completes any more. Thread: loop. */
void store_close(struct store *store);

/*
 * store_salvage - writes every message of a damaged queue that can be read to out_dir as ID.eml
 * (content) and ID.json (envelope, recipients with their states). The queue is opened read-only,
 * under the lock: stop the daemon first. *message_count are those written; *damaged_count those
 * of which some part could not be read. Errors: ERR_NOT_FOUND, ERR_LOCKED, ERR_CORRUPT (not one
 * table can be read), ERR_NO_SPACE, ERR_IO (out_dir).
 */
MUST_USE enum err store_salvage(struct str directory, struct str out_dir, uint64_t *message_count,
	uint64_t *damaged_count, struct buf *message);

#endif
