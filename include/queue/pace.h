/*
 * pace - how many messages in a time a site bears (OUTAGE section 2, Recovery). Pure: time is passed in.
 *
 * Normally there is no limit. It begins with a recovery, or with a sign of overload, and ends when it has not been felt for
 * a minute and no sign of overload came for an hour:
 *
 *   recovery   a few messages at once, then the rate doubles each round trip up to what was learned before
 *   overload   0.85 of the rate at which mail was really taken, once a round trip; a pause; then one message alone, and
 *              another after twice the pause if that is refused as well
 *   growth     quick far below the last cut, flat near it, quicker again the longer it lies behind: by then the site
 *              bears more. Never a cap: what was once learned is where growth turns careful
 *
 * What is short of a message waits for some 50 ms worth of them: they start together, and end in one commit.
 *
 * Only configuration is a cap. A step of growth takes 150 seconds, or seventy messages if that is longer, so that of a hundred
 * attempts a few are refused at most, whether a site bears one message a minute or hundreds a second.
 * Unit of rates: messages in a million seconds of wall time, for the wall clock of a test may run fast.
 */
#ifndef QUEUE_PACE_H
#define QUEUE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define PACE_SECOND UINT64_C(1000000) /* one message a second */
#define PACE_MINUTE (PACE_SECOND / 60)

struct pace_span {         /* messages taken while more of them waited */
	struct wall began; /* WALL_NONE: not */
	uint64_t count;
};

struct pace {
	uint64_t rate;    /* 0: no limit but the cap */
	uint64_t cap;     /* by configuration; 0: none */
	uint64_t learned; /* what it bore; 0: unknown. Durable: site_record.rate */
	uint64_t knee;    /* growth is careful near it; 0: not met yet, the rate doubles */
	int64_t slack_ms; /* what was not used is kept for so long */
	int64_t clock_rate;
	int64_t tokens;   /* billionths of a message */
	struct wall filled;
	struct wall gathered; /* nothing starts before; WALL_NONE: it may */
	uint64_t grown; /* messages since the cut, while they felt the limit */
	int64_t grown_ms;
	struct wall grown_at;
	struct wall doubled;
	uint32_t before;        /* under way when it doubled last */
	struct wall overloaded; /* last sign; WALL_NONE: none since the recovery */
	struct wall felt;       /* something last waited for its turn */
	uint64_t stale;         /* under way when it was cut: say nothing new */
	int64_t pause_ms;       /* not 0: nothing starts, then one alone */
	struct wall pause_end;
	struct pace_span now_span, last_span;
	struct wall taken;            /* last success */
	int64_t latency, latency_low; /* of a transaction, smoothed; 1/16 ms */
};

/* clock_rate: how much faster than real time the wall clock runs. */
void pace_init(struct pace *p, uint64_t learned, int64_t clock_rate);
void pace_set_cap(struct pace *p, uint32_t per_minute); /* 0: none */
/* pace_recover - the site answers after an outage. */
void pace_recover(struct pace *p, struct wall now);
static inline bool pace_is_limited(const struct pace *p)
{
	return p->rate > 0 || p->cap > 0;
}
/* pace_is_overloaded - signs of overload limit it, and not a recovery or the configuration alone. */
static inline bool pace_is_overloaded(const struct pace *p)
{
	return p->rate > 0 && p->overloaded.ms != WALL_NONE.ms;
}
static inline double pace_per_minute(const struct pace *p)
{
	uint64_t rate = p->cap > 0 && (p->rate == 0 || p->cap < p->rate) ? p->cap : p->rate;

	return (double)rate * 60 / (double)PACE_SECOND;
}
/* pace_wait_ms - 0: a message may start now; else look again so much later. INT64_MAX: when one that is under way ends. */
int64_t pace_wait_ms(struct pace *p, struct wall now, uint32_t in_flight);
void pace_note_start(struct pace *p, struct wall now);
/* pace_note_... - a delivery ended; in_flight still counts it. is_busy: more mail waits for the site now.
 * latency_ms: of the transaction, in real time; 0: unknown. refused: a sign of overload. other: said nothing of it. */
void pace_note_success(
	struct pace *p, struct wall now, uint32_t in_flight, bool is_busy, int64_t latency_ms);
void pace_note_refused(struct pace *p, struct wall now, uint32_t in_flight, bool is_busy);
void pace_note_other(struct pace *p, struct wall now);
/* pace_is_recovered - the learned rate is reached, or nothing limits. */
bool pace_is_recovered(const struct pace *p);

#endif
