/*
 * engine - what lies below the adapters of port/store.h: a synchronous transactional store of
 * the same operations.
 *
 * The short way of a write is append; what was appended retires into the tables later.
 *
 * An adapter (commit.c with threads, sync.c without) opens one writing engine and one reading
 * engine. Happy path of a write: begin, apply for each operation of a batch, commit. Reads are
 * self-contained. No engine is used by two threads at once. Completion, order and group commit
 * are the adapters' affair (batch.c).
 *
 * Errors of apply: ERR_NO_SPACE, ERR_EXISTS, ERR_NOT_FOUND, ERR_LIMIT are about that operation:
 * the caller rolls back and may go on with others. Any other error of apply, and any error of
 * commit but ERR_NO_SPACE, is fatal: the outcome is unknown and the process must end. After
 * ERR_NO_SPACE of commit nothing is stored; call rollback.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "port/store.h"

struct engine;

/* How an operation becomes durable. */
enum engine_way {
	WAY_YOUNG, /* append */
	WAY_TABLE, /* a transaction */
	WAY_LAST   /* a transaction, after everything that was appended has retired */
};

struct engine_ops {
	enum err (*begin)(struct engine *e);
	enum err (*apply)(struct engine *e, struct store_op *op);
	enum err (*commit)(struct engine *e);
	void (*rollback)(struct engine *e);
	enum err (*read)(struct engine *e, struct store_op *op);
	/* way - how an operation becomes durable. Errors: fatal. */
	enum err (*way)(struct engine *e, struct store_op *op, enum engine_way *out);
	/* append - makes ops (of store_op.link, all of WAY_YOUNG, those whose err is OK) durable
	 * without a transaction. What it took is not in the tables before it retires, and reads do not see it. Errors:
	 * ERR_NO_SPACE (it took none), others fatal. */
	enum err (*append)(struct engine *e, struct list *ops);
	/* retire - at most limit of what was appended becomes visible. Outside a transaction. Errors:
	 * ERR_NO_SPACE (nothing changed), others fatal. */
	enum err (*retire)(struct engine *e, uint32_t limit);
	/* fetch - content that did not retire, which need not for that: else not *is_found. */
	enum err (*fetch)(struct engine *e, struct store_fetch *op, bool *is_found);
	uint32_t (*young_count)(struct engine *e); /* operations that did not retire */
	/* checkpoint - is_full: waits a little for readers, so that the log can start over.
	 * Errors: ERR_BUSY (readers; try later), ERR_NO_SPACE (the log goes on), others fatal. */
	enum err (*checkpoint)(struct engine *e, bool is_full);
	uint32_t (*wal_pages)(struct engine *e); /* in the log since it started over */
	/* problem - text of the last error, for the operator; valid until the next call. */
	const char *(*problem)(struct engine *e);
	/* close - is_clean: a writer checkpoints first; else the log stays for the next start,
	 * as after a crash. */
	void (*close)(struct engine *e, bool is_clean);
};

struct engine {
	const struct engine_ops *ops;
};

enum engine_mode {
	ENGINE_WRITE,
	ENGINE_READ,   /* beside an ENGINE_WRITE of this process */
	ENGINE_INSPECT /* alone, read-only: tools */
};

struct engine_options {
	const char *path; /* of the database file */
	const char *vfs;  /* NULL: the default */
	bool is_compiled_late;
	enum engine_mode mode;
	uint64_t journal_bytes; /* ENGINE_WRITE: 0: none */
	struct fault *fault;    /* may be NULL */
};

/* engine_sqlite_open - message: see store_open. */
MUST_USE enum err engine_sqlite_open(
	const struct engine_options *options, struct engine **out, struct buf *message);

#endif
