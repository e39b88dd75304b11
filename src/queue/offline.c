/*
 * offline - see queue/offline.h.
 *
 * One success wipes everything: what failed before it was not our connection. So the hot path, a delivery while all is
 * well, writes two words; the table is only looked at while nothing but failures comes in.
 */
#include "queue/offline.h"

static bool is_recent(struct wall at, struct wall now)
{
	/* of a clock that was set back nothing is known */
	return at.ms <= now.ms && now.ms - at.ms < OFFLINE_WINDOW_MS;
}

static struct offline_tried *find(struct offline *o, uint64_t hash)
{
	struct offline_tried *oldest = &o->tried[0];

	for (uint32_t i = 0; i < o->tried_count; i++) {
		if (o->tried[i].hash == hash)
			return &o->tried[i];
		if (o->tried[i].at.ms < oldest->at.ms)
			oldest = &o->tried[i];
	}
	return o->tried_count < OFFLINE_TRIED_MAX ? &o->tried[o->tried_count++] : oldest;
}

void offline_note(struct offline *o, uint64_t hash, enum offline_try what, struct wall now)
{
	struct offline_tried *t;

	if (what == OFFLINE_REACHED) {
		o->reached = now;
		o->first_failure = WALL_NONE;
		o->tried_count = 0;
		return;
	}
	if (what == OFFLINE_FAILED && o->first_failure.ms == WALL_NONE.ms)
		o->first_failure = now;
	t = find(o, hash);
	*t = (struct offline_tried){ hash, now, what == OFFLINE_FAILED };
}

bool offline_has_failed(const struct offline *o, uint64_t hash)
{
	for (uint32_t i = 0; i < o->tried_count; i++)
		if (o->tried[i].hash == hash)
			return o->tried[i].has_failed;
	return false;
}

enum offline_suspicion offline_judge(const struct offline *o, struct wall now)
{
	uint32_t tried = 0, failed = 0;

	if (o->reached.ms != WALL_NONE.ms && is_recent(o->reached, now))
		return OFFLINE_NO;
	for (uint32_t i = 0; i < o->tried_count; i++) {
		if (!is_recent(o->tried[i].at, now))
			continue;
		tried++;
		failed += o->tried[i].has_failed;
	}
	if (failed == 0 || failed * 100 < tried * OFFLINE_FAILED_PERCENT)
		return OFFLINE_NO;
	return failed >= OFFLINE_FAILED_MIN ? OFFLINE_MANY : OFFLINE_FEW;
}
