/* adapter - what the adapters of port/store.h have in common: the folder, two engines, the
 * batch. */
#ifndef STORE_ADAPTER_H
#define STORE_ADAPTER_H

#include "batch.h"
#include "store/store_sqlite.h"

struct adapter {
	struct store base;
	void (*close)(struct adapter *a);
	struct env *env; /* NULL: read-only */
	struct directory directory;
	struct engine *writer; /* NULL: read-only */
	struct engine *reader;
	struct batch batch;
	void (*on_fatal)(void *user, struct str message);
	void *on_fatal_user;
};

/* adapter_open - folder, lock, engines. On errors nothing is left open. */
MUST_USE enum err adapter_open(struct adapter *a, struct env *env, struct str directory,
	const struct store_options *options, bool is_readonly, struct buf *message);
/* adapter_close - is_clean: with a last checkpoint. */
void adapter_close(struct adapter *a, bool is_clean);
/* adapter_complete - the end of an operation on the loop: metrics, on_done. op may be gone
 * afterwards. */
void adapter_complete(struct adapter *a, struct store_op *op);
void adapter_tell_alarm(struct adapter *a, const char *text);

#endif
