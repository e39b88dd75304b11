/* sim_recovery - see sim_recovery.h. */
#include "sim/sim_recovery.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BUCKET_MS (10 * SECOND_MS)
#define WINDOW_MINUTES 10
#define MINUTES_MAX (90 * 24 * 60)

void sim_recovery_fini(struct sim_recovery *r)
{
	free(r->minutes);
}

static uint32_t capacity_now(const struct sim_recovery *r)
{
	return r->change_count > 0 ? r->changes[r->change_count - 1].per_min : 0;
}

static double bucket_of(uint32_t per_min)
{
	double room = (double)per_min * BUCKET_MS / MINUTE_MS;

	return room < 1 ? 1 : room;
}

void sim_recovery_set(struct sim_recovery *r, uint32_t per_min, int64_t now_ms)
{
	if (r->change_count == CAPACITY_CHANGES_MAX) {
		memmove(r->changes, r->changes + 1,
			(CAPACITY_CHANGES_MAX - 1) * sizeof(r->changes[0]));
		r->change_count--;
	}
	r->changes[r->change_count++] = (struct sim_capacity){ now_ms, per_min };
	if (r->tokens > bucket_of(per_min) || r->change_count == 1)
		r->tokens = bucket_of(per_min);
	r->tokens_ms = now_ms;
}

void sim_recovery_up(struct sim_recovery *r, int64_t now_ms)
{
	free(r->minutes);
	r->minutes = NULL;
	r->minute_count = 0;
	r->up_ms = now_ms;
}

bool sim_recovery_ask(struct sim_recovery *r, int64_t now_ms)
{
	uint32_t per_min = capacity_now(r);

	if (per_min == 0)
		return true;
	r->tokens += (double)(now_ms - r->tokens_ms) * per_min / MINUTE_MS;
	r->tokens_ms = now_ms;
	if (r->tokens > bucket_of(per_min))
		r->tokens = bucket_of(per_min);
	if (r->tokens < 1)
		return false;
	r->tokens -= 1;
	return true;
}

static void note_rush(struct sim_recovery *r, int64_t now_ms)
{
	r->asked++;
	if (now_ms / BUCKET_MS != r->rush_bin)
		r->rush_now = 0;
	r->rush_bin = now_ms / BUCKET_MS;
	if (++r->rush_now > r->rush_worst)
		r->rush_worst = r->rush_now;
}

void sim_recovery_note(struct sim_recovery *r, int64_t now_ms, bool is_refusal)
{
	int64_t minute = r->up_ms < 0 ? -1 : (now_ms - r->up_ms) / MINUTE_MS;

	if (!is_refusal)
		note_rush(r, now_ms);
	if (minute < 0 || minute >= MINUTES_MAX)
		return;
	if (minute >= r->minute_count) {
		r->minutes = mem_realloc(r->minutes, ((size_t)minute + 1) * sizeof(*r->minutes));
		memset(r->minutes + r->minute_count, 0,
			((size_t)minute + 1 - r->minute_count) * sizeof(*r->minutes));
		r->minute_count = (uint32_t)minute + 1;
	}
	if (is_refusal)
		r->minutes[minute].refusals++;
	else
		r->minutes[minute].attempts++;
}

/* ---- figures ---- */

/* The first ten minutes from the first attempt on may do as they like. */
static double worst_window(const struct sim_recovery *r, double *at_ms)
{
	uint32_t first = 0, attempts = 0, refusals = 0;
	double worst = 0;

	while (first < r->minute_count && r->minutes[first].attempts == 0)
		first++;
	for (uint32_t i = first + WINDOW_MINUTES; i < r->minute_count; i++) {
		attempts += r->minutes[i].attempts;
		refusals += r->minutes[i].refusals;
		if (i >= first + 2 * WINDOW_MINUTES) {
			attempts -= r->minutes[i - WINDOW_MINUTES].attempts;
			refusals -= r->minutes[i - WINDOW_MINUTES].refusals;
		}
		if (i + 1 < first + 2 * WINDOW_MINUTES)
			continue; /* not yet ten */
		if (refusals > 1 && attempts > 0 && 100.0 * refusals / attempts > worst) {
			worst = 100.0 * refusals / attempts;
			*at_ms = (double)(i + 1) * MINUTE_MS;
		}
	}
	return worst;
}

/* What it could have taken from one instant to another. */
static double offered(const struct sim_recovery *r, int64_t from_ms, int64_t to_ms)
{
	double sum = 0;

	for (uint32_t i = 0; i < r->change_count; i++) {
		int64_t begin_ms =
			r->changes[i].from_ms > from_ms ? r->changes[i].from_ms : from_ms;
		int64_t end_ms = i + 1 < r->change_count && r->changes[i + 1].from_ms < to_ms
					 ? r->changes[i + 1].from_ms
					 : to_ms;

		if (end_ms > begin_ms)
			sum += (double)(end_ms - begin_ms) * r->changes[i].per_min / MINUTE_MS;
	}
	return sum;
}

/* Waited when the destination came back, was taken by it afterwards, and was never put off for its mailbox's sake. */
static bool has_waited(
	const struct sim_recovery *r, const struct sim_mail *m, const struct sim_rcpt *to, int site)
{
	return m->fate == FATE_ANSWERED && to->delivered > 0 && to->site == site &&
	       !to->was_put_off && m->answered_ms < r->up_ms && to->first_ms >= r->up_ms;
}

static int compare_waits(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

void sim_recovery_figures(const struct sim_recovery *r, const struct sim_ledger *l, int site,
	struct sim_recovery_figures *out)
{
	int64_t first_ms = INT64_MAX, last_ms = r->up_ms, urgent_ms = last_ms;
	int64_t *waits = mem_array(l->mail_count + 1, sizeof(*waits));
	uint32_t count = 0;
	double taken = 0, could;

	*out = (struct sim_recovery_figures){ 0 };
	out->refused_percent = worst_window(r, &out->refused_at_ms);
	for (uint32_t i = 0; i < l->mail_count; i++) {
		const struct sim_rcpt *to = &l->mails[i].recipients[0];

		if (!has_waited(r, &l->mails[i], to, site))
			continue;
		waits[count++] = to->first_ms - r->up_ms;
		if (to->first_ms > last_ms)
			last_ms = to->first_ms;
		if (to->first_ms < first_ms)
			first_ms = to->first_ms;
		if (l->mails[i].priority > 0 && to->first_ms > urgent_ms)
			urgent_ms = to->first_ms;
	}
	for (uint32_t i = 0; i < l->mail_count; i++) {
		const struct sim_rcpt *to = &l->mails[i].recipients[0];

		taken += to->delivered > 0 && to->site == site && to->first_ms >= first_ms &&
			 to->first_ms <= last_ms;
		out->urgent_behind += has_waited(r, &l->mails[i], to, site) &&
				      l->mails[i].priority <= 0 && to->first_ms < urgent_ms;
	}
	qsort(waits, count, sizeof(*waits), compare_waits);
	out->median_ms = count > 0 ? (double)waits[count / 2] : 0;
	free(waits);
	out->drain_ms = (double)(last_ms - r->up_ms);
	out->urgent_ms = (double)(urgent_ms - r->up_ms);
	could = first_ms < last_ms ? offered(r, first_ms, last_ms) : 0;
	out->used_percent = could > 0 ? 100 * taken / could : 0;
}
