/*
 * flow - intake keeps pace with delivery, when delivery is fast.
 *
 * Accepting a message is less work than delivering it, so a busy relay that took all it can would fall behind its own
 * intake; what it cannot hold in memory it must read back from the store, and gets slower by that. So when more deliveries
 * wait than the relay needs to be busy, and at the present pace they are done within a second, the reply to a
 * message that is stored already is held back until fewer wait, FLOW_HOLD_MAX_MS at the most. A slow destination, where
 * waiting would gain nothing, holds nobody back: what waits for a next hop whose mail was started only after a second does not
 * count.
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
struct hop;

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
	struct mono began; /* of the present stretch of FLOW_HOLD_MAX_MS */
	uint32_t
		waiting_count; /* deliveries in memory that wait for their start, but for those of slow next hops */
	uint64_t waiting_bytes;           /* their content */
	uint32_t ended_now, ended_before; /* deliveries, in it and in the one before */
};

void flow_init(struct flow *f, struct relay *r);
void flow_fini(struct flow *f);
/* flow_must_hold - whether a reply given now had better wait. */
bool flow_must_hold(struct flow *f);
void flow_hold(struct flow *f, struct flow_hold *h);
void flow_note_ended(struct flow *f); /* a delivery */
/* A delivery of the next hop began to wait; waits no more; was started after it had waited. */
void flow_note_waiting(struct hop *h, uint64_t size_bytes);
void flow_note_left(struct hop *h, uint64_t size_bytes);
void flow_note_started(struct hop *h, int64_t waited_ms);

#endif
