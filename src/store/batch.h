/*
 * batch - several writes in one commit, and what to do when that does not work: shared by the
 * adapters.
 *
 * Happy path: what the engine lets take its short way is appended, one write and one sync; for the others begin, apply
 * each, commit. An operation that cannot be applied takes its error and
 * the others start over without it. When space runs out each is tried alone, in order, so that a
 * small RECORD passes where a large ACCEPT does not; results and deletions may then use the
 * reserve. Thread: the writer's.
 */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "base/fault.h"
#include "base/list.h"
#include "directory.h"
#include "engine.h"

/* Operations that stay in the journal in steady flow: by then most of its mail is delivered. */
enum { BATCH_YOUNG_KEPT = 512 };
enum { BATCH_OPS_MAX = 1000 };

struct batch {
	struct engine *engine;
	struct directory *directory;
	struct fault *fault; /* may be NULL */
	uint32_t wal_limit_pages;
	bool is_checkpoint_each;
	uint32_t wait_pages; /* no checkpoint below this, after one that failed for want of space */
	uint64_t shrunk_bytes; /* given back by SWEEP since the last checkpoint, which cuts them off the file */
	uint64_t commit_count;
	uint32_t log_commits; /* to the tables, since the last checkpoint */
	char alarm[256]; /* for the operator, by batch_rest; the adapter clears it */
};

/* batch_run - applies ops (of store_op.link, all writes, at most BATCH_OPS_MAX); op->err is set. Errors: fatal ones
 * only, then the outcome of those ops is unknown and none may complete. */
MUST_USE enum err batch_run(struct batch *b, struct list *ops);
/* batch_retire - what was appended goes to the tables until no more than keep are left; keep 0: so that reads see
 * all. Errors: ERR_NO_SPACE, else fatal ones. */
MUST_USE enum err batch_retire(struct batch *b, uint32_t keep);
/* batch_rest - between batches: what has been young long enough retires, and a checkpoint when the log is long
 * enough. Errors: fatal ones only. */
MUST_USE enum err batch_rest(struct batch *b);

#endif
