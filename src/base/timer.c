/*
 * timer - a heap of deadlines and a list of deferred calls.
 *
 * timers_run fires what was there when it began. A timer that is started meanwhile waits for the
 * next run even when it is due at once: otherwise one that always starts itself anew would never
 * let the loop look at its sockets.
 */
#include "base/timer.h"

#include "base/check.h"

static void run_deferred(struct timers *ts);
static struct timer *next_due(struct timers *ts, struct mono now, uint64_t first_new);
static bool is_sooner(const struct heap_node *a, const struct heap_node *b);

void timers_init(struct timers *ts)
{
	*ts = (struct timers){ .next_sequence = 1 };
	heap_init(&ts->heap, is_sooner);
	list_init(&ts->deferred);
}

void timers_fini(struct timers *ts)
{
	heap_fini(&ts->heap);
	*ts = (struct timers){ 0 };
}

void timers_start(struct timers *ts, struct timer *t, struct mono when)
{
	CHECK(t->on_fire != NULL);
	heap_remove(&ts->heap, &t->node);
	t->when = when;
	t->sequence = ts->next_sequence++;
	heap_insert(&ts->heap, &t->node);
}

void timers_stop(struct timers *ts, struct timer *t)
{
	heap_remove(&ts->heap, &t->node);
}

void timers_defer(struct timers *ts, struct deferred *d)
{
	CHECK(d->on_run != NULL);
	if (!list_is_linked(&d->link))
		list_push_back(&ts->deferred, &d->link);
}

void timers_undefer(struct timers *ts, struct deferred *d)
{
	(void)ts; /* d may be in the list that timers_run is working off */
	list_remove(&d->link);
}

struct mono timers_next(const struct timers *ts)
{
	if (!list_is_empty(&ts->deferred))
		return (struct mono){ 0 };
	const struct heap_node *min = heap_min(&ts->heap);
	return min ? CONTAINER_OF(min, struct timer, node)->when : MONO_NEVER;
}

void timers_run(struct timers *ts, struct mono now)
{
	uint64_t first_new = ts->next_sequence;
	run_deferred(ts);
	struct timer *t;
	while ((t = next_due(ts, now, first_new)) != NULL) {
		heap_remove(&ts->heap, &t->node);
		t->on_fire(t);
	}
}

static void run_deferred(struct timers *ts)
{
	struct list batch;
	list_init(&batch);
	list_splice(&batch, &ts->deferred);
	struct list *link;
	while ((link = list_pop_front(&batch)) != NULL) {
		struct deferred *d = CONTAINER_OF(link, struct deferred, link);
		d->on_run(d);
	}
}

/*
 * next_due - the first due timer that is older than this run. New ones that stand before it because
 * they were started for a moment in the past are moved to now, behind all old ones.
 */
static struct timer *next_due(struct timers *ts, struct mono now, uint64_t first_new)
{
	struct heap_node *min;
	while ((min = heap_min(&ts->heap)) != NULL) {
		struct timer *t = CONTAINER_OF(min, struct timer, node);
		if (t->when.ms > now.ms)
			return NULL;
		if (t->sequence < first_new)
			return t;
		if (t->when.ms == now.ms)
			return NULL;
		heap_remove(&ts->heap, &t->node);
		t->when = now;
		heap_insert(&ts->heap, &t->node);
	}
	return NULL;
}

static bool is_sooner(const struct heap_node *a, const struct heap_node *b)
{
	const struct timer *x = CONTAINER_OF(a, struct timer, node);
	const struct timer *y = CONTAINER_OF(b, struct timer, node);
	if (x->when.ms != y->when.ms)
		return x->when.ms < y->when.ms;
	return x->sequence < y->sequence;
}
