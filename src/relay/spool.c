/*
 * spool - large content goes to the store while it comes in, a chunk at a time; what belongs to no message in the end is
 * dropped there again, now or by the sweep at the next start.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/intake_private.h"

struct spool {
	struct loose loose;
	struct store_spool op;
	struct intake *intake;
	struct session *session;
	struct smtp_transaction *transaction; /* valid while session is */
	struct buf content;
};

struct discard {
	struct loose loose;
	struct store_discard op;
	struct intake *intake;
};

static void spool_free(struct loose *l)
{
	struct spool *sp = CONTAINER_OF(l, struct spool, loose);

	loose_end(l);
	buf_fini(&sp->content);
	store_op_fini(&sp->op.op);
	free(sp);
}

static void on_spooled(struct store_op *op)
{
	struct spool *sp = CONTAINER_OF(op, struct spool, op.op);
	struct intake *in = sp->intake;

	if (sp->session) {
		if (op->err == OK)
			sp->transaction->spooled_chunks++;
		sp->session->spool = NULL;
		smtp_server_spooled(sp->session->server, op->err);
	}
	spool_free(&sp->loose);
	intake_done_one(in);
}

void spool_on_spool(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;
	struct spool *sp = mem_zalloc(sizeof(*sp));

	(void)server;
	sp->intake = s->intake;
	sp->session = s;
	sp->transaction = t;
	sp->content = t->content;
	buf_init(&t->content, sp->content.max_bytes);
	sp->op = (struct store_spool){
		.op.on_done = on_spooled,
		.id = t->env.id,
		.chunk = t->spooled_chunks,
		.content = buf_str(&sp->content),
	};
	s->spool = sp;
	loose_begin(s->intake->relay, &sp->loose, spool_free);
	s->intake->accept_count++;
	store_submit(s->intake->relay->store, &sp->op.op, STORE_SPOOL);
}

static void discard_free(struct loose *l)
{
	struct discard *d = CONTAINER_OF(l, struct discard, loose);

	loose_end(l);
	store_op_fini(&d->op.op);
	free(d);
}

static void on_discarded(struct store_op *op)
{
	struct discard *d = CONTAINER_OF(op, struct discard, op.op);
	struct intake *in = d->intake;

	/* what could not be dropped now is swept at the next start */
	discard_free(&d->loose);
	intake_done_one(in);
}

void spool_discard(struct intake *in, uint64_t id)
{
	struct discard *d;

	if (in->is_ended)
		return; /* there is no store any more; the next start sweeps */
	d = mem_zalloc(sizeof(*d));

	d->intake = in;
	d->op = (struct store_discard){ .op.on_done = on_discarded, .id = id };
	in->accept_count++;
	loose_begin(in->relay, &d->loose, discard_free);
	store_submit(in->relay->store, &d->op.op, STORE_DISCARD);
}

void spool_on_abort(void *user, struct smtp_server *server, struct smtp_transaction *t)
{
	struct session *s = user;

	(void)server;
	if (s->spool) {
		s->spool->session = NULL;
		s->spool = NULL;
	} else if (t->spooled_chunks == 0) {
		return;
	}
	spool_discard(s->intake, t->env.id);
}

void spool_forget_session(struct spool *sp)
{
	if (sp)
		sp->session = NULL;
}
