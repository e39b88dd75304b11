/* guard - see queue/guard.h. */
#include "queue/guard.h"

#define WINDOW_MS (GUARD_MINUTES * MINUTE_MS)
#define FEW_MAILBOXES 3
#define JITTER_PERCENT 10

/* ---- counters of ten minutes ---- */

static void turn_minutes(struct guard *g, struct wall now)
{
	int64_t minute = now.ms / MINUTE_MS;

	/* A clock that was set back goes on in the newest minute. */
	if (minute - g->minute > GUARD_MINUTES)
		g->minute = minute - GUARD_MINUTES;
	while (g->minute < minute) {
		g->minute++;
		g->accepted[g->minute % GUARD_MINUTES] = 0;
		g->refused[g->minute % GUARD_MINUTES] = 0;
	}
}

static uint64_t sum(const uint32_t *counts)
{
	uint64_t total = 0;

	for (int i = 0; i < GUARD_MINUTES; i++)
		total += counts[i];
	return total;
}

/* False: this mailbox was counted within ten minutes. Of a few mailboxes this is exact; of many it need not be. */
static bool is_new_accepted(struct guard *g, uint64_t mailbox)
{
	uint32_t *seen = &g->seen[mailbox % GUARD_SEEN];
	uint32_t minute = (uint32_t)g->minute & 0xff, tag = (uint32_t)(mailbox >> 40) << 8;

	if ((*seen & ~0xffu) == tag && *seen != 0 && ((minute - *seen) & 0xff) < GUARD_MINUTES)
		return false;
	*seen = tag | minute;
	return true;
}

/* ---- who was refused ---- */

static bool is_within(struct wall at, struct wall now, int64_t span_ms)
{
	return at.ms != WALL_NONE.ms && now.ms - at.ms < span_ms;
}

/* GUARD_VICTIMS: it is none. */
static uint32_t find_victim(const struct guard *g, uint64_t mailbox)
{
	uint32_t i = 0;

	while (i < GUARD_VICTIMS &&
		(g->victims[i].at.ms == WALL_NONE.ms || g->victims[i].mailbox != mailbox))
		i++;
	return i;
}

/* False: it was refused within ten minutes already. */
static bool note_victim(struct guard *g, const struct guard_event *e, struct wall now)
{
	uint32_t known = find_victim(g, e->mailbox);
	struct guard_victim *v = &g->victims[known < GUARD_VICTIMS ? known : g->next_victim];
	bool is_counted;

	if (known == GUARD_VICTIMS) {
		g->next_victim = (g->next_victim + 1) % GUARD_VICTIMS;
		*v = (struct guard_victim){ .mailbox = e->mailbox, .sender = e->sender };
	}
	is_counted = is_within(v->at, now, WINDOW_MS);
	if (!is_within(v->at, now, GUARD_MEMORY_MS)) {
		v->first = now;
		v->first_try = g->tries;
		v->has_more_senders = false;
		v->sender = e->sender;
	}
	v->has_more_senders |= v->sender != e->sender;
	v->at = now;
	return !is_counted;
}

static uint32_t count_victims(
	const struct guard *g, struct wall now, int64_t span_ms, bool *has_senders)
{
	const struct guard_victim *first = NULL;
	uint32_t count = 0;

	*has_senders = false;
	for (uint32_t i = 0; i < GUARD_VICTIMS; i++) {
		const struct guard_victim *v = &g->victims[i];

		if (!is_within(v->at, now, span_ms))
			continue;
		count++;
		*has_senders |= v->has_more_senders || (first && first->sender != v->sender);
		first = first ? first : v;
	}
	return count;
}

struct wall guard_began(const struct guard *g, struct wall now)
{
	struct wall first = now;

	for (uint32_t i = 0; i < GUARD_VICTIMS; i++)
		if (is_within(g->victims[i].at, now, WINDOW_MS) && g->victims[i].at.ms < first.ms)
			first = g->victims[i].at;
	return first;
}

/* ---- open and close ---- */

/* How far back nothing but refusals was seen. */
static int64_t refusing_ms(const struct guard *g, struct wall now)
{
	int64_t since_ms = now.ms - g->last_accepted.ms;

	return since_ms < GUARD_MEMORY_MS ? since_ms : GUARD_MEMORY_MS;
}

static bool is_storm(const struct guard *g, struct wall now)
{
	uint64_t refused = sum(g->refused), tried = refused + sum(g->accepted);
	int64_t slow_ms = refusing_ms(g, now);
	bool has_senders;

	if (refused * 100 < tried * GUARD_OPEN_PERCENT)
		return false;
	return count_victims(g, now, slow_ms > WINDOW_MS ? slow_ms : WINDOW_MS, &has_senders) >=
		       GUARD_OPEN_MAILBOXES &&
	       has_senders;
}

static void set_parking(struct guard *g)
{
	uint64_t refused = sum(g->refused);

	g->is_parking = g->is_open && refused > sum(g->accepted);
}

/* First tries alone: what is tried again and again must not weigh more. */
static void note_last(struct guard *g, bool is_refused)
{
	g->last = (g->last << 1 | is_refused) & ((UINT64_C(1) << GUARD_LAST) - 1);
	g->last_count += g->last_count < GUARD_LAST;
	g->tries++;
	g->open_count += g->open_count < GUARD_LAST;
}

static uint32_t count_bits(uint64_t bits)
{
	uint32_t count = 0;

	for (; bits; bits &= bits - 1)
		count++;
	return count;
}

static void set_open(struct guard *g, bool is_open, struct wall now)
{
	g->is_open = is_open;
	g->accepted_in_row = g->proven_in_row = g->open_count = 0;
	if (is_open)
		g->opened = now;
	else
		g->closed = now;
	set_parking(g);
}

static enum guard_change note_refused(struct guard *g, const struct guard_event *e, struct wall now)
{
	g->accepted_in_row = g->proven_in_row = 0;
	if (!e->was_refused)
		note_last(g, true);
	if (note_victim(g, e, now))
		g->refused[g->minute % GUARD_MINUTES]++;
	set_parking(g);
	if (g->is_open || !is_storm(g, now))
		return GUARD_SAME;
	set_open(g, true, now);
	return GUARD_OPENED;
}

static bool is_over(const struct guard *g, struct wall now)
{
	bool has_senders;

	if (g->proven_in_row >= GUARD_CLOSE_ACCEPTED ||
		(g->open_count == GUARD_LAST && count_bits(g->last) <= GUARD_LAST_REFUSED_MAX))
		return true;
	return now.ms - g->opened.ms >= GUARD_MEMORY_MS &&
	       count_victims(g, now, GUARD_MEMORY_MS, &has_senders) < FEW_MAILBOXES;
}

static enum guard_change note_accepted(
	struct guard *g, const struct guard_event *e, struct wall now)
{
	uint32_t victim = e->was_refused ? find_victim(g, e->mailbox) : GUARD_VICTIMS;

	g->last_accepted = now;
	if (!e->was_refused)
		note_last(g, false);
	if (victim < GUARD_VICTIMS)
		g->victims[victim] = (struct guard_victim){ 0 };
	if (is_new_accepted(g, e->mailbox))
		g->accepted[g->minute % GUARD_MINUTES]++;
	set_parking(g);
	if (!g->is_open)
		return GUARD_SAME;
	g->accepted_in_row++;
	g->proven_in_row += e->was_refused;
	if (is_over(g, now)) {
		set_open(g, false, now);
		return GUARD_CLOSED;
	}
	if (g->accepted_in_row < GUARD_CLOSE_ACCEPTED || is_within(g->proved, now, WINDOW_MS))
		return GUARD_SAME;
	g->proved = now;
	return GUARD_PROVE;
}

enum guard_change guard_note(struct guard *g, const struct guard_event *e, struct wall now)
{
	turn_minutes(g, now);
	if (e->outcome == GUARD_REFUSED)
		return e->is_known ? note_refused(g, e, now) : GUARD_SAME;
	return e->is_known || e->was_refused ? note_accepted(g, e, now) : GUARD_SAME;
}

void guard_reopen(struct guard *g, struct wall now)
{
	set_open(g, true, now);
	g->is_parking = true; /* until something is known */
}

bool guard_is_idle(const struct guard *g, struct wall now)
{
	bool has_senders;

	return !g->is_open && !is_within(g->closed, now, GUARD_MEMORY_MS) &&
	       count_victims(g, now, GUARD_MEMORY_MS, &has_senders) == 0;
}

/* ---- what is believed ---- */

static uint64_t last_tries(const struct guard *g, uint32_t count)
{
	return count < GUARD_LAST ? g->last & ((UINT64_C(1) << count) - 1) : g->last;
}

/* Of that many first tries, the last ones. */
static bool is_often_refused(const struct guard *g, uint32_t count)
{
	uint64_t last = last_tries(g, count);

	count = count < GUARD_LAST ? count : GUARD_LAST;
	return count_bits(last) * 100 >= count * GUARD_OPEN_PERCENT;
}

/* It was refused again. The site was seen to work, or nobody but this one was refused. */
static bool is_healthy(const struct guard *g, uint64_t mailbox, struct wall now)
{
	uint32_t victim = g ? find_victim(g, mailbox) : GUARD_VICTIMS;
	bool has_senders;

	if (g && is_within(g->closed, now, GUARD_MEMORY_MS))
		return false;
	if (victim == GUARD_VICTIMS)
		return true;

	struct wall first = g->victims[victim].first;

	if (now.ms - first.ms >= GUARD_UNSURE_MS)
		return true;
	if ((is_often_refused(g, g->last_count) ||
		    is_often_refused(g, g->tries - g->victims[victim].first_try)) &&
		count_victims(g, now, GUARD_MEMORY_MS, &has_senders) >= GUARD_OPEN_MAILBOXES)
		return false;
	return g->last_accepted.ms >= first.ms ||
	       count_victims(g, now, refusing_ms(g, now), &has_senders) < 2;
}

/* Over half of those tried are refused, lately and since it opened. */
static bool is_everywhere(const struct guard *g)
{
	uint32_t count =
		g->open_count > GUARD_OPEN_MAILBOXES ? g->open_count : GUARD_OPEN_MAILBOXES;

	if (!g->is_open || !g->is_parking)
		return false;
	if (count > g->last_count)
		return true; /* found open: nothing is known */
	return 2 * count_bits(last_tries(g, count)) > count;
}

static bool doubts_stranger(const struct guard *g, const struct guard_question *q)
{
	return !q->was_refused || q->is_early || is_everywhere(g);
}

bool guard_doubts(const struct guard *g, const struct guard_question *q, struct wall now)
{
	/* A mailbox that worked until the storm is not judged by it, whatever the reply; one that nobody knew only when
	 * the reply is of its kind. */
	if (g && g->is_open && q->is_known)
		return true;
	if (g && !q->is_known && q->is_doubted &&
		(g->is_open || is_within(g->closed, now, GUARD_JOIN_MS)))
		return doubts_stranger(g, q);
	if (!q->is_known || !q->is_doubted)
		return false;
	return !q->was_refused || !is_healthy(g, q->mailbox, now);
}

int64_t guard_step(int64_t quarantine_ms, bool was_refused, uint32_t attempts, struct rng *rng)
{
	int64_t max_ms = quarantine_ms > GUARD_STEP_MAX_MS ? quarantine_ms : GUARD_STEP_MAX_MS;
	int64_t step_ms = quarantine_ms;

	for (uint32_t i = 1; was_refused && i < attempts && step_ms < max_ms; i++)
		step_ms *= 2;
	step_ms = step_ms < max_ms ? step_ms : max_ms;
	return step_ms - (int64_t)rng_below(rng, (uint64_t)(step_ms * JITTER_PERCENT / 100) + 1);
}
