/*
 * flow - intake keeps pace with delivery, when delivery is fast.
 *
 * Accepting a message is less work than delivering it, so a busy relay that took all it can would fall behind its own
 * intake; what it cannot hold in memory it must read back from the store, and gets slower by that. So when more deliveries
 * wait than the relay needs to be busy, and at the present pace they are done within a second, the reply to a
 * message that is stored already is held back until fewer wait, FLOW_HOLD_MAX_MS at the most. A slow destination, where
 * waiting would gain nothing, holds nobody back.
 *
 * Thread: loop.
 */
#ifndef RELAY_FLOW_H
#define RELAY_FLOW_H

#include "base/list.h"
#include "base/timer.h"
#include "port/env.h"

#define FLOW_HOLD_MAX_MS 100

struct relay;

/* One reply held back, embedded in whoever gives it. */
struct flow_hold {
	struct list link;
	struct mono until;
	void (*on_go)(struct flow_hold *h); /* the reply may leave */
};

struct flow {
	struct relay *relay;
	struct list held; /* of flow_hold.link, in order */
	struct timer late;
	struct deferred go;
	struct mono began;                /* of the present stretch of FLOW_HOLD_MAX_MS */
	uint32_t ended_now, ended_before; /* deliveries, in it and in the one before */
};

void flow_init(struct flow *f, struct relay *r);
void flow_fini(struct flow *f);
/* flow_must_hold - whether a reply given now had better wait. */
bool flow_must_hold(struct flow *f);
void flow_hold(struct flow *f, struct flow_hold *h);
void flow_note_ended(struct flow *f); /* a delivery */

#endif
