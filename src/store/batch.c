/* batch - see batch.h. */
#include "batch.h"

#include <stdio.h>

#include "base/check.h"

/* Operations that retire in one transaction: between batches, and when someone waits for all of them. */
enum { RETIRE_SLICE = 64, RETIRE_ALL_SLICE = 512 };

/* A checkpoint cuts off what SWEEP gave back: some 5 us for each page, so not too much at once. */
enum { SHRUNK_BYTES = 2 << 20 };

/* A log of many small commits holds a few pages over and over, and who reads one looks through all that hash alike: it is
 * written back early, which is but a few pages. */
enum { SMALL_COMMITS = 64, SMALL_COMMIT_PAGES = 4 };

struct order {
	size_t count;
	struct list *links[BATCH_OPS_MAX];
};

static enum err checkpoint(struct batch *b);
static void order_note(struct order *order, struct list *ops);
static void order_restore(const struct order *order, struct list *ops);
static enum err part(struct batch *b, struct list *ops, struct list *young);
static bool follows_health(struct list *ops, struct store_op *op);
static bool is_of_same_place(const struct store_record *a, const struct store_record *b);
static enum err retire_for(struct batch *b, struct list *ops);
static enum err append(struct batch *b, struct list *ops, struct list *young);
static enum err run_table(struct batch *b, struct list *ops);
static void pass_applied(struct batch *b, struct store_op *op);
static void refuse_new_mail(struct batch *b, struct list *ops);
static enum err run_together(struct batch *b, struct list *ops, bool *is_full);
static enum err apply_all(struct batch *b, struct list *ops, struct store_op **failed);
static enum err run_alone(struct batch *b, struct store_op *op);
static enum err make_room(struct batch *b);
static enum err try_alone(struct batch *b, struct store_op *op);
static enum err apply(struct batch *b, struct store_op *op);
static bool is_about_op(enum err err);
static bool is_new_mail(const struct store_op *op);
static void pass_committed(struct batch *b, struct list *ops);
static void raise_alarm(struct batch *b, const char *text);

enum err batch_run(struct batch *b, struct list *ops)
{
	struct order order;
	struct list young;
	list_init(&young);
	refuse_new_mail(b, ops);
	order_note(&order, ops);
	enum err err = part(b, ops, &young);
	if (err == OK && !list_is_empty(&young))
		err = append(b, ops, &young);
	if (err == OK && !list_is_empty(ops))
		err = run_table(b, ops);
	list_splice(ops, &young);
	order_restore(&order, ops);
	return err;
}

/* Operations complete in the order submitted, whichever way each took. */
static void order_note(struct order *order, struct list *ops)
{
	order->count = 0;
	LIST_FOR_EACH (link, ops) {
		CHECK(order->count < BATCH_OPS_MAX);
		order->links[order->count++] = link;
	}
}

static void order_restore(const struct order *order, struct list *ops)
{
	list_init(ops);
	for (size_t i = 0; i < order->count; i++) {
		*order->links[i] = (struct list){ 0 };
		list_push_back(ops, order->links[i]);
	}
}

/* Moves what may take the short way into a list of its own: nothing, when one operation must see all before it. */
static enum err part(struct batch *b, struct list *ops, struct list *young)
{
	enum engine_way way = WAY_TABLE;
	enum err err = OK;
	LIST_FOR_EACH_SAFE (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (op->err != OK)
			continue;
		err = b->engine->ops->way(b->engine, op, &way);
		if (way == WAY_YOUNG && follows_health(ops, op))
			way = WAY_LAST;
		if (err != OK || way == WAY_LAST)
			break;
		if (way == WAY_YOUNG) {
			list_remove(link);
			list_push_back(young, link);
		}
	}
	if (err != OK || way != WAY_LAST)
		return err;
	list_splice(young, ops);
	list_splice(ops, young);
	return retire_for(b, ops);
}

static const struct store_record *with_places(struct store_op *op)
{
	const struct store_record *record = CONTAINER_OF(op, struct store_record, op);
	bool has = op->kind == STORE_RECORD && record->site_count + record->hop_count > 0;
	return has ? record : NULL;
}

/* Appended before what goes to the tables, its health would be taken for the older one. Rare. */
static bool follows_health(struct list *ops, struct store_op *op)
{
	const struct store_record *record = with_places(op);
	if (!record)
		return false;
	LIST_FOR_EACH (link, ops) {
		struct store_op *before = CONTAINER_OF(link, struct store_op, link);
		const struct store_record *other = with_places(before);
		if (before == op)
			return false;
		if (other && is_of_same_place(other, record))
			return true;
	}
	return false;
}

static bool is_of_same_place(const struct store_record *a, const struct store_record *b)
{
	for (uint32_t i = 0; i < a->site_count; i++) {
		for (uint32_t k = 0; k < b->site_count; k++)
			if (str_equal(a->sites[i].name, b->sites[k].name))
				return true;
	}
	for (uint32_t i = 0; i < a->hop_count; i++) {
		for (uint32_t k = 0; k < b->hop_count; k++)
			if (str_equal(a->hops[i].name, b->hops[k].name))
				return true;
	}
	return false;
}

/* Without room to retire nothing of the batch can be done. */
static enum err retire_for(struct batch *b, struct list *ops)
{
	enum err err = batch_retire(b, 0);
	if (err == ERR_NO_SPACE && (err = make_room(b)) == OK)
		err = batch_retire(b, 0);
	if (err != ERR_NO_SPACE)
		return err;
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (op->err == OK)
			op->err = ERR_NO_SPACE;
	}
	return OK;
}

/* Without room in the journal, and none to retire what it holds, they go with the others. */
static enum err append(struct batch *b, struct list *ops, struct list *young)
{
	LIST_FOR_EACH (link, young)
		pass_applied(b, CONTAINER_OF(link, struct store_op, link));
	enum err err = b->engine->ops->append(b->engine, young);
	if (err == OK) {
		b->commit_count++;
		pass_committed(b, young);
	} else if (err == ERR_NO_SPACE) {
		list_splice(ops, young);
		err = retire_for(b, ops);
	}
	return err;
}

static enum err run_table(struct batch *b, struct list *ops)
{
	bool is_full = false;
	enum err err = run_together(b, ops, &is_full);
	if (err == OK && is_full) {
		LIST_FOR_EACH (link, ops) {
			struct store_op *op = CONTAINER_OF(link, struct store_op, link);
			if (op->err == OK)
				err = run_alone(b, op);
			if (err != OK)
				return err;
		}
	}
	if (err == OK)
		pass_committed(b, ops);
	return err;
}

enum err batch_retire(struct batch *b, uint32_t keep)
{
	enum err err = OK;
	while (err == OK && b->engine->ops->young_count(b->engine) > keep) {
		if (fault_hit(b->fault, FAULT_retire_begin))
			return ERR_IO;
		err = b->engine->ops->retire(b->engine, keep > 0 ? RETIRE_SLICE : RETIRE_ALL_SLICE);
		if (err == OK && fault_hit(b->fault, FAULT_retire_end))
			return ERR_IO;
	}
	return err;
}

enum err batch_rest(struct batch *b)
{
	enum err err = batch_retire(b, BATCH_YOUNG_KEPT);
	return err == OK || err == ERR_NO_SPACE ? checkpoint(b) : err;
}

static enum err checkpoint(struct batch *b)
{
	uint32_t pages = b->engine->ops->wal_pages(b->engine);
	bool is_long = pages >= 2 * b->wal_limit_pages;
	bool is_shrunk = b->shrunk_bytes >= SHRUNK_BYTES && !is_long;
	bool is_scattered = b->log_commits >= SMALL_COMMITS &&
			    pages / SMALL_COMMIT_PAGES < b->log_commits;
	if (pages == 0 || (pages < b->wait_pages && !is_shrunk) ||
		(pages < b->wal_limit_pages && !b->is_checkpoint_each && !is_shrunk &&
			!is_scattered))
		return OK;
	if (fault_hit(b->fault, FAULT_checkpoint_begin))
		return ERR_IO;
	enum err err = b->engine->ops->checkpoint(b->engine, is_long);
	b->wait_pages = 0;
	b->shrunk_bytes = 0;
	b->log_commits = 0;
	if (err == ERR_NO_SPACE) {
		/* The log holds everything; trying again at each commit would only cost. */
		b->wait_pages = pages + b->wal_limit_pages / 8 + 1;
		raise_alarm(b, "the disk is too full to write the queue's log back into its file; "
			       "deliveries go on");
	} else if (err == ERR_BUSY) {
		b->wait_pages = pages + b->wal_limit_pages / 8 + 1;
		if (is_long)
			raise_alarm(b, "the queue's log has passed twice its limit: a reader keeps "
				       "it from starting over");
	} else if (err != OK) {
		return err;
	}
	return fault_hit(b->fault, FAULT_checkpoint_end) ? ERR_IO : OK;
}

/* While the reserve is released, the space serves what is queued. */
static void refuse_new_mail(struct batch *b, struct list *ops)
{
	if (!b->directory->is_released || directory_retake(b->directory))
		return;
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (is_new_mail(op))
			op->err = ERR_NO_SPACE;
	}
}

/* run_together - one transaction for all whose err is OK; *is_full: nothing was stored, for want
 * of space. */
static enum err run_together(struct batch *b, struct list *ops, bool *is_full)
{
	const struct engine_ops *engine = b->engine->ops;
	for (;;) {
		struct store_op *failed = NULL;
		enum err err = engine->begin(b->engine);
		if (err != OK)
			return err;
		err = apply_all(b, ops, &failed);
		if (err == OK) {
			err = engine->commit(b->engine);
			b->commit_count += err == OK;
			b->log_commits += err == OK;
		}
		if (err == OK)
			return OK;
		engine->rollback(b->engine);
		if (!is_about_op(err) || (!failed && err != ERR_NO_SPACE))
			return err;
		if (!failed || (err == ERR_NO_SPACE && failed->err == OK)) {
			*is_full = true;
			return OK;
		}
		failed->err = err;
	}
}

static enum err apply_all(struct batch *b, struct list *ops, struct store_op **failed)
{
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		enum err err = op->err == OK ? apply(b, op) : OK;
		if (err != OK) {
			*failed = op;
			return err;
		}
	}
	return OK;
}

static enum err run_alone(struct batch *b, struct store_op *op)
{
	enum err err = try_alone(b, op);
	if (err == ERR_NO_SPACE && op->err == OK && !is_new_mail(op)) {
		err = make_room(b);
		if (err == OK)
			err = try_alone(b, op);
	}
	if (err != OK && !is_about_op(err))
		return err;
	op->err = err;
	return OK;
}

/* A log that is written back starts over in the space it has. The reserve is for what the file must
 * grow by for that, and for what follows: without this the log alone would soon have eaten it. */
static enum err make_room(struct batch *b)
{
	bool is_new_space = directory_release(b->directory);
	uint32_t pages = b->engine->ops->wal_pages(b->engine);
	if (!is_new_space && (pages == 0 || pages < b->wait_pages))
		return ERR_NO_SPACE;
	if (is_new_space)
		raise_alarm(b, "the disk is full: the reserve is in use, so that deliveries go on; "
			       "new mail is refused");
	enum err err = b->engine->ops->checkpoint(b->engine, false);
	b->wait_pages = err == OK ? 0 : pages + b->wal_limit_pages / 8 + 1;
	return err == ERR_BUSY || (err == ERR_NO_SPACE && is_new_space) ? OK : err;
}

static enum err try_alone(struct batch *b, struct store_op *op)
{
	const struct engine_ops *engine = b->engine->ops;
	enum err err = engine->begin(b->engine);
	if (err != OK)
		return err;
	err = apply(b, op);
	if (err == OK) {
		err = engine->commit(b->engine);
		b->commit_count += err == OK;
		b->log_commits += err == OK;
		/* An error of COMMIT other than a full disk leaves the outcome open, whatever
		 * its name. */
		if (err != OK && err != ERR_NO_SPACE)
			err = ERR_IO;
	}
	if (err != OK)
		engine->rollback(b->engine);
	return err;
}

/* apply - with the fault points: one that fails acts as a full disk, for this operation, for
 * good. */
static enum err apply(struct batch *b, struct store_op *op)
{
	enum err err = b->engine->ops->apply(b->engine, op);
	if (err == OK)
		pass_applied(b, op);
	return err == OK ? op->err : err;
}

static void pass_applied(struct batch *b, struct store_op *op)
{
	if ((op->kind == STORE_ACCEPT && fault_hit(b->fault, FAULT_accept_applied)) ||
		(op->kind == STORE_RECORD && fault_hit(b->fault, FAULT_record_applied)))
		op->err = ERR_NO_SPACE;
}

static bool is_about_op(enum err err)
{
	return err == ERR_NO_SPACE || err == ERR_EXISTS || err == ERR_NOT_FOUND || err == ERR_LIMIT;
}

static bool is_new_mail(const struct store_op *op)
{
	return op->kind == STORE_ACCEPT || op->kind == STORE_SPOOL;
}

static void pass_committed(struct batch *b, struct list *ops)
{
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (op->err != OK)
			continue;
		if (op->kind == STORE_ACCEPT)
			(void)fault_hit(b->fault, FAULT_accept_committed);
		else if (op->kind == STORE_SPOOL)
			(void)fault_hit(b->fault, FAULT_accept_spooled);
		else if (op->kind == STORE_RECORD)
			(void)fault_hit(b->fault, FAULT_record_committed);
		else if (op->kind == STORE_SWEEP)
			b->shrunk_bytes += CONTAINER_OF(op, struct store_sweep, op)->shrunk_bytes;
	}
}

static void raise_alarm(struct batch *b, const char *text)
{
	int n = snprintf(b->alarm, sizeof(b->alarm), "%s", text);
	CHECK(n >= 0);
}
