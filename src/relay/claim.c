/*
 * claim - what a next hop has of its mail in memory, and the CLAIMs that bring more of it from the store.
 *
 * A CLAIM reads the queue as it was when it was asked: what is in memory, and what was recorded meanwhile, must not be started
 * a second time. An answer that brings nothing new, or an error, is not followed by the next at once: the hop is stalled until
 * a delivery ends or its pause is over.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/delivery.h"
#include "relay/destination.h"

/* Mail is claimed this much ahead of what is started. */
#define CLAIM_MESSAGES 32
#define CLAIM_LOW_WATER 8
/* With much in memory, what became READY again is looked for this often at most: the urgent of it comes first. Real time. */
#define CLAIM_NEWS_MS (10 * SECOND_MS)
/* A CLAIM that brought nothing new, or an error, is followed by the next not before; real time. */
#define CLAIM_STALL_MS SECOND_MS
#define CLAIM_ERROR_MS MINUTE_MS

static void on_claimed(struct store_op *op);
static bool was_settled(const struct hop *h, uint64_t id);

bool claim_is_wanted(const struct hop *h)
{
	bool is_short = h->relay->pending_count >= PENDING_MAX;

	if (!h->has_more || h->is_claiming || h->is_stalled ||
		h->active_count >= hop_policy(h)->connections_max + HOP_PENDING_MAX)
		return false;
	return h->pending_count < (is_short ? 1 : CLAIM_LOW_WATER) ||
	       (h->is_news && env_now(h->relay->env).ms >= h->news_next.ms);
}

void claim_start(struct hop *h)
{
	/* What is late is in the store too, and more of it will be when this is read. */
	uint32_t in_memory = h->pending_count + h->active_count + 2 * h->late_count;

	if (h->pending_count >= CLAIM_LOW_WATER)
		in_memory = 0; /* for news: the first in drain order */
	h->is_news = false;
	h->news_next = mono_add(env_now(h->relay->env), CLAIM_NEWS_MS);

	h->is_claiming = true;
	hop_claim_begins(h);
	h->claim = (struct store_claim){
		.op.on_done = on_claimed,
		.hop = h->name,
		.message_limit =
			in_memory + (h->relay->pending_count < PENDING_MAX ? CLAIM_MESSAGES : 1),
		.recipients_per_message = hop_policy(h)->recipients_per_message,
	};
	store_submit(h->relay->store, &h->claim.op, STORE_CLAIM);
}

/* ---- its answer ---- */

static bool has_recipient(const struct delivery *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->recipient_count; i++)
		if (d->recipients[i].rcpt.number == number)
			return true;
	return false;
}

/* Recipients of a message that is in memory already, and came due after the others: once that delivery has ended. */
static void note_others(struct delivery *d, const struct queued_message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++)
		d->has_others |= !has_recipient(d, m->recipients[i].rcpt.number);
}

/* More urgent mail than any that waits finds a place also where others do not. */
static bool has_place(const struct hop *h, int priority)
{
	if (h->pending_count < HOP_PENDING_MAX)
		return true;
	return h->pending_count < HOP_PENDING_BURST_MAX &&
	       CONTAINER_OF(h->pending.prev, struct delivery, link)->message->env.priority <
		       priority;
}

/* What was claimed becomes pending, but what is in memory. Then: is there more, and would another CLAIM bring it? */
static void take_claimed(struct hop *h, const struct store_claim *c)
{
	uint32_t taken = 0;
	bool is_cut = false, is_old = h->is_more_noted || h->is_claim_stale, has_settled = false;

	for (uint32_t i = 0; !h->is_claim_stale && i < c->message_count; i++) {
		const struct queued_message *m = &c->messages[i];
		struct delivery *held = hop_find(h, m->env.id);

		/* what is late stays so behind one that there was no room for: it would overtake it */
		if (held) {
			note_others(held, m);
		} else if (was_settled(h, m->env.id)) {
			has_settled = true;
		} else if (!is_cut && (held = late_take(h, m->env.id)) != NULL) {
			note_others(held, m);
			taken++;
		} else if (!has_place(h, m->env.priority)) {
			is_cut = true;
		} else {
			taken += delivery_from_store(h, m);
		}
	}
	h->has_more = c->is_more || is_cut || is_old;
	/* What was recorded meanwhile took places in the answer that others would have had. */
	h->is_stalled = h->has_more && !is_old && !has_settled && taken == 0;
	if (!h->has_more)
		late_admit(h);
}

static void on_claimed(struct store_op *op)
{
	struct hop *h = CONTAINER_OF(op, struct hop, claim.op);
	struct store_claim *c = &h->claim;

	h->is_claiming = false;
	if (op->err == OK) {
		take_claimed(h, c);
	} else {
		log_text(h->relay->env->log, LOG_ERROR, "qmgr",
			"next hop %.*s: cannot read the queue: %s", STR_FMT(h->name),
			err_name(op->err));
		h->is_stalled = true;
	}
	if (h->is_stalled && !timer_is_active(&h->pause))
		env_timer_after(
			h->relay->env, &h->pause, op->err == OK ? CLAIM_STALL_MS : CLAIM_ERROR_MS);
	h->is_more_noted = false;
	if (op->err == OK && c->message_count == 0 && h->health.state == HEALTH_DOWN &&
		h->active_count == 0) {
		/* nothing to probe with: it sleeps until mail for it arrives */
		h->health.next_probe = WALL_NEVER;
		h->is_dirty = true;
		destination_save(h);
	}
	store_op_fini(op);
	hop_claim_ends(h);
	hop_kick(h);
}

/* ---- what is in memory, or was recorded meanwhile ---- */

struct delivery *hop_find(const struct hop *h, uint64_t id)
{
	const struct list *heads[] = { &h->pending, &h->active };

	for (size_t i = 0; i < ARRAY_COUNT(heads); i++)
		LIST_FOR_EACH (link, heads[i]) {
			struct delivery *d = CONTAINER_OF(link, struct delivery, link);

			if (d->message->env.id == id)
				return d;
		}
	return NULL;
}

static bool was_settled(const struct hop *h, uint64_t id)
{
	for (uint32_t i = 0; i < h->settled_count; i++)
		if (h->settled[i] == id)
			return true;
	return false;
}

bool hop_holds(const struct hop *h, uint64_t id)
{
	return hop_find(h, id) || was_settled(h, id);
}

void hop_claim_begins(struct hop *h)
{
	h->claims_out++;
}

void hop_claim_ends(struct hop *h)
{
	if (--h->claims_out > 0)
		return;
	h->settled_count = 0;
	h->is_claim_stale = false;
}

/* A CLAIM reads the queue as it was; what was recorded meanwhile must not be started a second time. */
void hop_note_settled(struct hop *h, uint64_t id)
{
	if (h->claims_out == 0)
		return;
	if (h->settled_count == h->settled_cap) {
		h->settled_cap = h->settled_cap ? 2 * h->settled_cap : 16;
		h->settled = mem_realloc(h->settled, h->settled_cap * sizeof(*h->settled));
	}
	h->settled[h->settled_count++] = id;
}
