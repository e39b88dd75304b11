/* fair - see queue/fair.h. At most one object for each of the 19 priorities. */
#include "queue/fair.h"

#include <stdlib.h>

#include "base/mem.h"

static struct fair *find(struct fair *f, int priority, bool is_wanted)
{
	for (;; f = f->next) {
		if (f->priority == priority)
			return f;
		if (!f->next)
			break;
	}
	if (!is_wanted)
		return NULL;
	f->next = mem_zalloc(sizeof(*f));
	f->next->priority = priority;
	return f->next;
}

void fair_fini(struct fair *f)
{
	for (struct fair *next = f->next; next;) {
		struct fair *after = next->next;

		free(next);
		next = after;
	}
	*f = (struct fair){ 0 };
}

uint64_t fair_tag(struct fair *f, int priority, unsigned bucket)
{
	struct fair *of = find(f, priority, true);
	uint64_t *last = &of->last[bucket % STORE_SENDER_BUCKETS];

	*last = (*last > of->now ? *last : of->now) + 1;
	return *last;
}

uint64_t fair_tag_again(struct fair *f, int priority, unsigned bucket, uint64_t tag)
{
	const struct fair *of = find(f, priority, false);

	return of && tag <= of->now ? tag : fair_tag(f, priority, bucket);
}

void fair_note_started(struct fair *f, int priority, uint64_t tag)
{
	struct fair *of = find(f, priority, false);

	if (of && tag > of->now)
		of->now = tag;
}
