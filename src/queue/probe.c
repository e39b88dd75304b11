/* probe - see queue/probe.h. */
#include "queue/probe.h"

#include <stddef.h>

/* How many probes ago a message, or its sender, was tried; 0: not in memory. */
static uint32_t tried_ago(const struct probe_memory *m, uint64_t id, bool is_sender)
{
	for (uint32_t ago = 1; ago <= PROBE_TRIED_MAX && ago <= m->tried_count; ago++) {
		uint32_t at = (m->tried_count - ago) % PROBE_TRIED_MAX;

		if ((is_sender ? m->tried[at].sender : m->tried[at].id) == id)
			return ago;
	}
	return 0;
}

static uint32_t failures_of(const struct probe_memory *m, uint64_t id)
{
	for (uint32_t i = 0; i < PROBE_FAILED_MAX && i < m->failed_count; i++)
		if (m->failed[i].id == id)
			return m->failed[i].count;
	return 0;
}

static uint32_t failures_of_sender(const struct probe_memory *m, uint64_t sender)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PROBE_FAILED_MAX && i < m->failed_count; i++)
		if (m->failed[i].sender == sender)
			count += m->failed[i].count;
	return count;
}

/* What speaks against it, the weightiest first; the lowest of all is chosen, drain order decides among equals. */
enum { POISON, DOUBT, SENDER_FAILED, WORN, TRIED, LARGE, NOT_URGENT, SENDER_TRIED, REASON_COUNT };

static void weigh(const struct probe_memory *m, const struct probe_candidate *c, int64_t *against)
{
	uint32_t tried = tried_ago(m, c->id, false), sender = tried_ago(m, c->sender, true);

	against[POISON] = failures_of(m, c->id) >= PROBE_POISON;
	against[DOUBT] = c->is_in_doubt;
	against[SENDER_FAILED] = failures_of_sender(m, c->sender) >= PROBE_POISON;
	against[WORN] = c->attempts >= PROBE_POISON;
	against[TRIED] = tried ? PROBE_TRIED_MAX + 1 - tried : 0;
	against[LARGE] = c->size_bytes > PROBE_SMALL_BYTES;
	against[NOT_URGENT] = -c->priority;
	against[SENDER_TRIED] = sender ? PROBE_TRIED_MAX + 1 - sender : 0;
}

static bool is_better(const int64_t *a, const int64_t *b)
{
	for (size_t i = 0; i < REASON_COUNT; i++)
		if (a[i] != b[i])
			return a[i] < b[i];
	return false;
}

uint32_t probe_choose(
	const struct probe_memory *m, const struct probe_candidate *candidates, uint32_t count)
{
	int64_t best_against[REASON_COUNT], against[REASON_COUNT];
	uint32_t best = 0;

	for (uint32_t i = 0; i < count; i++) {
		weigh(m, &candidates[i], against);
		if (i > 0 && !is_better(against, best_against))
			continue;
		best = i;
		for (size_t k = 0; k < REASON_COUNT; k++)
			best_against[k] = against[k];
	}
	return best;
}

void probe_note_tried(struct probe_memory *m, uint64_t id, uint64_t sender)
{
	uint32_t at = m->tried_count++ % PROBE_TRIED_MAX;

	m->tried[at].id = id;
	m->tried[at].sender = sender;
	if (m->tried_count == 2 * PROBE_TRIED_MAX)
		m->tried_count = PROBE_TRIED_MAX; /* the same place in the ring */
}

void probe_note_failed(struct probe_memory *m, uint64_t id, uint64_t sender)
{
	uint32_t at;

	for (at = 0; at < PROBE_FAILED_MAX && at < m->failed_count; at++) {
		if (m->failed[at].id == id) {
			m->failed[at].count++;
			return;
		}
	}
	at = m->failed_count++ % PROBE_FAILED_MAX;
	m->failed[at].id = id;
	m->failed[at].sender = sender;
	m->failed[at].count = 1;
	if (m->failed_count == 2 * PROBE_FAILED_MAX)
		m->failed_count = PROBE_FAILED_MAX;
}
