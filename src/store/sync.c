/*
 * sync - the store without threads, for the simulator: all is done at the next deferred turn of
 * the loop.
 *
 * Neighbouring writes of a turn share a transaction, as they would under load; a read after them
 * sees them. Completions run when the whole turn has been applied, in the order submitted; what
 * they submit waits for the next turn.
 */
#include <stdlib.h>

#include "adapter.h"
#include "base/check.h"
#include "base/mem.h"

struct sync_store {
	struct adapter a;
	struct list submitted, done;
	struct deferred turn;
	bool is_dead;
};

static void submit(struct store *store, struct store_op *op);
static void on_turn(struct deferred *d);
static enum err apply_turn(struct sync_store *s);
static enum err apply_writes(struct sync_store *s, struct list *turn, struct list *writes);
static enum err read_one(struct sync_store *s, struct store_op *op);
static bool is_write(struct list *link);
static void complete_all(struct sync_store *s);
static void die(struct sync_store *s, enum err err);
static void sync_close(struct adapter *a);

static const struct store_ops sync_ops = { .submit = submit };

enum err store_sync_open(struct env *env, struct str directory, const struct store_options *options,
	struct store **out, struct buf *message)
{
	struct sync_store *s = mem_zalloc(sizeof(*s));
	s->a.base.ops = &sync_ops;
	s->a.close = sync_close;
	s->turn.on_run = on_turn;
	list_init(&s->submitted);
	list_init(&s->done);
	enum err err = adapter_open(&s->a, env, directory, options, false, message);
	if (err != OK) {
		free(s);
		return err;
	}
	*out = &s->a.base;
	return OK;
}

void store_sync_abandon(struct store *store)
{
	struct sync_store *s = CONTAINER_OF(store, struct sync_store, a.base);
	CHECK(store->ops == &sync_ops);
	env_undefer(s->a.env, &s->turn);
	adapter_close(&s->a, false);
	free(s);
}

static void submit(struct store *store, struct store_op *op)
{
	struct sync_store *s = CONTAINER_OF(store, struct sync_store, a.base);
	list_push_back(&s->submitted, &op->link);
	if (!s->is_dead)
		env_defer(s->a.env, &s->turn);
}

static void on_turn(struct deferred *d)
{
	struct sync_store *s = CONTAINER_OF(d, struct sync_store, turn);
	uint64_t commits = s->a.batch.commit_count;
	enum err err = apply_turn(s);
	metric_add(
		s->a.env->metrics, METRIC_store_commits_total, s->a.batch.commit_count - commits);
	complete_all(s);
	if (err == OK)
		err = batch_rest(&s->a.batch);
	adapter_tell_alarm(&s->a, s->a.batch.alarm);
	s->a.batch.alarm[0] = '\0';
	if (err != OK)
		die(s, err);
}

static enum err apply_turn(struct sync_store *s)
{
	struct list turn;
	list_init(&turn);
	list_splice(&turn, &s->submitted);
	while (!list_is_empty(&turn)) {
		struct list part;
		list_init(&part);
		enum err err = is_write(turn.next) ? apply_writes(s, &turn, &part) : OK;
		if (err != OK)
			return err;
		if (list_is_empty(&part)) {
			struct list *link = turn.next;
			list_remove(link);
			struct store_op *op = CONTAINER_OF(link, struct store_op, link);
			list_push_back(&part, link);
			err = read_one(s, op);
			if (err != OK)
				return err;
		}
		list_splice(&s->done, &part);
	}
	return OK;
}

/* Errors: fatal ones. */
static enum err read_one(struct sync_store *s, struct store_op *op)
{
	bool is_found = false;
	enum err err = OK;
	if (op->kind == STORE_FETCH)
		op->err = s->a.writer->ops->fetch(
			s->a.writer, CONTAINER_OF(op, struct store_fetch, op), &is_found);
	else
		err = batch_retire(&s->a.batch, 0);
	if (err != OK && err != ERR_NO_SPACE)
		return err;
	if (!is_found)
		op->err = err == OK ? s->a.reader->ops->read(s->a.reader, op) : err;
	return OK;
}

static enum err apply_writes(struct sync_store *s, struct list *turn, struct list *writes)
{
	for (int count = 0; count < BATCH_OPS_MAX && !list_is_empty(turn) && is_write(turn->next);
		count++) {
		struct list *link = turn->next;
		list_remove(link);
		list_push_back(writes, link);
	}
	return batch_run(&s->a.batch, writes);
}

static bool is_write(struct list *link)
{
	return store_kind_is_write(CONTAINER_OF(link, struct store_op, link)->kind);
}

static void complete_all(struct sync_store *s)
{
	struct list done, *link;
	list_init(&done);
	list_splice(&done, &s->done);
	while ((link = list_pop_front(&done)))
		adapter_complete(&s->a, CONTAINER_OF(link, struct store_op, link));
}

static void die(struct sync_store *s, enum err err)
{
	struct buf problem;
	s->is_dead = true;
	env_undefer(s->a.env, &s->turn);
	buf_init(&problem, 1024);
	buf_printf(&problem, "the queue cannot go on (%s): %s", err_name(err),
		s->a.writer->ops->problem(s->a.writer));
	if (s->a.on_fatal)
		s->a.on_fatal(s->a.on_fatal_user, buf_str(&problem));
	buf_fini(&problem);
}

static void sync_close(struct adapter *a)
{
	struct sync_store *s = CONTAINER_OF(a, struct sync_store, a);
	env_undefer(a->env, &s->turn);
	while (!s->is_dead && !list_is_empty(&s->submitted))
		on_turn(&s->turn);
	env_undefer(a->env, &s->turn);
	adapter_close(a, !s->is_dead);
	free(s);
}
