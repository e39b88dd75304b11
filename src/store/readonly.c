/* readonly - the store for tools: no loop, no threads; a read is done when store_submit returns. */
#include <stdlib.h>

#include "adapter.h"
#include "base/check.h"
#include "base/mem.h"

static enum err open_settled(struct adapter *a, struct str directory,
	const struct store_options *options, struct buf *message);
static void submit(struct store *store, struct store_op *op);
static void readonly_close(struct adapter *a);

static const struct store_ops readonly_ops = { .submit = submit };

enum err store_open_readonly(struct str directory, const struct store_options *options,
	struct store **out, struct buf *message)
{
	struct adapter *a = mem_zalloc(sizeof(*a));
	a->base.ops = &readonly_ops;
	a->close = readonly_close;
	enum err err = open_settled(a, directory, options, message);
	if (err != OK) {
		free(a);
		return err;
	}
	*out = &a->base;
	return OK;
}

/* After a crash the journal holds what the tables do not know. A reader cannot go without it, so it is taken in first, as
 * the next start of the daemon would. */
static enum err open_settled(struct adapter *a, struct str directory,
	const struct store_options *options, struct buf *message)
{
	enum err err = adapter_open(a, NULL, directory, options, true, message);
	if (err != OK || a->reader->ops->young_count(a->reader) == 0)
		return err;
	adapter_close(a, true);
	err = adapter_open(a, NULL, directory, options, false, message);
	if (err != OK)
		return err;
	adapter_close(a, true);
	return adapter_open(a, NULL, directory, options, true, message);
}

static void submit(struct store *store, struct store_op *op)
{
	struct adapter *a = CONTAINER_OF(store, struct adapter, base);
	op->err = store_kind_is_write(op->kind) ? ERR_PERMISSION
						: a->reader->ops->read(a->reader, op);
	adapter_complete(a, op);
}

static void readonly_close(struct adapter *a)
{
	adapter_close(a, false);
	free(a);
}
