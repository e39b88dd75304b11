/* sts_times - see queue/sts_times.h. */
#include "queue/sts_times.h"

#define RETRY_JITTER_PERCENT 10

struct wall sts_times_until(const struct sts_times *t)
{
	return t->has_policy ? wall_add(t->fetched, t->max_age_ms) : WALL_NONE;
}

bool sts_times_is_over(const struct sts_times *t, struct wall now)
{
	return t->has_policy && now.ms >= sts_times_until(t).ms;
}

bool sts_times_is_binding(const struct sts_times *t, struct wall now)
{
	return t->has_policy && now.ms < sts_times_until(t).ms + STS_OVERTIME_MS;
}

/* A record is looked at, and a fetch tried, not before; each by itself. */
static bool may_look(const struct sts_times *t, struct wall now)
{
	return now.ms >= t->next_check.ms;
}

static bool may_fetch(const struct sts_times *t, struct wall now)
{
	return now.ms >= t->next_fetch.ms;
}

static bool is_stale(const struct sts_times *t, struct wall now)
{
	int64_t half_ms = t->max_age_ms / 2;

	return now.ms - t->fetched.ms >= (half_ms < STS_REFRESH_MS ? half_ms : STS_REFRESH_MS);
}

enum sts_answer sts_times_ask(struct sts_times *t, struct wall now)
{
	bool is_fetch_wanted = t->retry_ms > 0 || (t->has_policy && is_stale(t, now));

	t->used = now;
	if (!may_look(t, now) && !(is_fetch_wanted && may_fetch(t, now)))
		return STS_ANSWER_NOW;
	return t->has_policy && !sts_times_is_over(t, now) ? STS_ANSWER_CHECK : STS_ANSWER_LATER;
}

bool sts_times_wants_fetch(const struct sts_times *t, struct wall now, bool is_other_id)
{
	return may_fetch(t, now) && (!t->has_policy || is_other_id || is_stale(t, now));
}

bool sts_times_is_due(const struct sts_times *t, struct wall now)
{
	return t->has_policy && is_stale(t, now) && may_fetch(t, now) &&
	       now.ms - t->used.ms < STS_UNUSED_MS;
}

static void recheck_in(struct sts_times *t, struct wall now, uint32_t ttl_s)
{
	int64_t ms = (int64_t)ttl_s * SECOND_MS;

	if (ms < STS_RECHECK_LEAST_MS)
		ms = STS_RECHECK_LEAST_MS;
	if (ms > STS_RECHECK_MOST_MS)
		ms = STS_RECHECK_MOST_MS;
	t->checked = now;
	t->next_check = wall_add(now, ms);
}

void sts_times_note_record(struct sts_times *t, struct wall now, uint32_t ttl_s)
{
	recheck_in(t, now, ttl_s);
}

static void forget(struct sts_times *t)
{
	t->has_policy = false;
	t->fetched = WALL_NONE;
	t->max_age_ms = 0;
}

/* Before max_age is over the record may be gone: that alone says nothing (RFC 8461 section 8.3). */
bool sts_times_note_absent(struct sts_times *t, struct wall now, uint32_t ttl_s)
{
	bool is_over = sts_times_is_over(t, now);

	recheck_in(t, now, ttl_s);
	t->retry_ms = 0;
	t->next_fetch = WALL_NONE;
	if (is_over)
		forget(t);
	else if (t->has_policy && is_stale(t, now))
		t->next_fetch = t->next_check; /* what is stale would ask at once again */
	return is_over;
}

void sts_times_note_silence(struct sts_times *t, struct wall now)
{
	recheck_in(t, now, 0);
	if (t->has_policy && t->next_fetch.ms < t->next_check.ms)
		t->next_fetch = t->next_check;
}

void sts_times_note_policy(struct sts_times *t, struct wall now, int64_t max_age_ms)
{
	t->has_policy = max_age_ms > 0;
	t->fetched = now;
	t->max_age_ms = max_age_ms;
	t->retry_ms = 0;
	t->next_fetch = wall_add(now, STS_RETRY_FIRST_MS);
}

bool sts_times_note_failure(struct sts_times *t, struct wall now, bool is_denied, struct rng *rng)
{
	bool is_over = is_denied && sts_times_is_over(t, now);

	t->retry_ms = t->retry_ms > 0 ? 2 * t->retry_ms : STS_RETRY_FIRST_MS;
	if (t->retry_ms > STS_RETRY_LAST_MS)
		t->retry_ms = STS_RETRY_LAST_MS;
	/* never earlier than the interval */
	int64_t more_ms = t->retry_ms / 100 * RETRY_JITTER_PERCENT;
	t->next_fetch = wall_add(now, t->retry_ms + (int64_t)rng_below(rng, (uint64_t)more_ms + 1));
	if (is_over)
		forget(t);
	return is_over;
}

void sts_times_note_doubt(struct sts_times *t)
{
	struct wall soonest = wall_add(t->checked, STS_RECHECK_LEAST_MS);

	if (soonest.ms < t->next_check.ms)
		t->next_check = soonest;
}
