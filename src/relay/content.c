/*
 * content - hands out a message's content part by part, each on a later turn of the loop.
 *
 * A read of the store outlives its reader when the session breaks: it is an object of its own and frees itself.
 */
#include "relay/content.h"

#include <stdlib.h>

#include "base/mem.h"

struct content_fetch {
	struct store_fetch op;
	struct content *owner; /* NULL: nobody waits */
	bool is_done;
};

static void drop_fetch(struct content *c)
{
	struct content_fetch *f = c->fetch;

	c->fetch = NULL;
	if (!f)
		return;
	f->owner = NULL;
	if (f->is_done) {
		store_op_fini(&f->op.op);
		free(f);
	}
}

static void give(struct content *c, enum err err, struct str part, bool is_last)
{
	if (err != OK)
		c->err = err;
	if (c->reader.on_part)
		c->reader.on_part(&c->reader, err, part, is_last);
}

static void on_fetched(struct store_op *op)
{
	struct content_fetch *f = CONTAINER_OF(op, struct content_fetch, op.op);
	struct content *c = f->owner;

	f->is_done = true;
	if (!c) {
		store_op_fini(op);
		free(f);
		return;
	}
	c->next_chunk++;
	c->read_bytes += f->op.content.len;
	bool is_last = c->next_chunk >= c->message->chunk_count;
	/* Content that lost a part in the queue must not go out as if it were whole. */
	if (op->err == OK && is_last && c->read_bytes != c->message->env.size_bytes)
		give(c, ERR_CORRUPT, STR(""), true);
	else
		give(c, op->err, f->op.content, is_last);
}

static void on_deliver(struct deferred *d)
{
	struct content *c = CONTAINER_OF(d, struct content, deliver);

	give(c, OK, buf_str(&c->message->content), true);
}

static void content_next(struct content_reader *r)
{
	struct content *c = CONTAINER_OF(r, struct content, reader);

	if (c->message->has_content) {
		env_defer(c->env, &c->deliver);
		return;
	}
	drop_fetch(c);
	c->fetch = mem_zalloc(sizeof(*c->fetch));
	c->fetch->owner = c;
	c->fetch->op = (struct store_fetch){
		.op.on_done = on_fetched,
		.id = c->message->env.id,
		.chunk = c->next_chunk,
	};
	store_submit(c->store, &c->fetch->op.op, STORE_FETCH);
}

static void content_rewind(struct content_reader *r)
{
	struct content *c = CONTAINER_OF(r, struct content, reader);

	drop_fetch(c);
	c->next_chunk = 0;
	c->read_bytes = 0;
}

void content_init(struct content *c, struct env *env, struct store *store, struct message *message)
{
	*c = (struct content){
		.reader = { .next = content_next, .rewind = content_rewind },
		.env = env,
		.store = store,
		.message = message,
		.deliver.on_run = on_deliver,
	};
}

void content_fini(struct content *c)
{
	if (!c->env)
		return;
	env_undefer(c->env, &c->deliver);
	drop_fetch(c);
}
