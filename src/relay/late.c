/*
 * late - fresh mail for a next hop that is still reading its older mail from the store.
 *
 * It must not overtake what the store has, so it waits here, in memory, until a CLAIM says that there is no more: then
 * it follows, without being read back. What a CLAIM brings meanwhile is taken from here. Without this a next
 * hop that had once fallen behind would read every message back for as long as mail comes in faster than a
 * CLAIM takes. Bounded: when too many wait they are forgotten, the store has them all.
 */
#include "relay/delivery.h"

/* Of one hop. */
#define LATE_MAX 256

bool late_add(struct hop *h, struct message *m, const struct recipient *recipients, uint32_t count)
{
	struct relay *r = h->relay;

	if (h->late_count >= LATE_MAX || r->late_count + r->pending_count >= PENDING_SPARE) {
		late_drop(h);
		return false;
	}
	struct delivery *d = delivery_make(h, m, recipients, count);

	list_push_back(&h->late, &d->link);
	h->late_count++;
	r->late_count++;
	d->waits_since = env_now(r->env);
	flow_note_waiting(h, m->env.size_bytes);
	return true;
}

static void leave(struct delivery *d)
{
	list_remove(&d->link);
	d->hop->late_count--;
	d->hop->relay->late_count--;
	flow_note_left(d->hop, d->message->env.size_bytes);
}

struct delivery *late_take(struct hop *h, uint64_t id)
{
	LIST_FOR_EACH (link, &h->late) {
		struct delivery *d = CONTAINER_OF(link, struct delivery, link);

		if (d->message->env.id != id)
			continue;
		leave(d);
		delivery_wait(d);
		return d;
	}
	return NULL;
}

void late_admit(struct hop *h)
{
	while (!list_is_empty(&h->late)) {
		struct delivery *d = CONTAINER_OF(h->late.next, struct delivery, link);

		leave(d);
		delivery_wait(d);
	}
}

void late_drop(struct hop *h)
{
	while (!list_is_empty(&h->late)) {
		struct delivery *d = CONTAINER_OF(h->late.next, struct delivery, link);

		leave(d);
		delivery_free(d);
	}
}
