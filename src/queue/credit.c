/*
 * credit - see queue/credit.h.
 *
 * The spans are kept sorted, disjoint and apart: two that touch are one. So whatever is added, in whatever order and however
 * often, the same moments make the same array.
 */
#include "queue/credit.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void credit_fini(struct credit *c)
{
	free(c->spans);
	*c = (struct credit){ 0 };
}

/* Where a span ends; an open one never does. */
static int64_t end_of(struct span s)
{
	return s.ended.ms == WALL_NONE.ms ? INT64_MAX : s.ended.ms;
}

static void reserve(struct credit *c, uint32_t count)
{
	if (count <= c->cap)
		return;
	CHECK(count <= UINT32_MAX / 2);
	c->cap = count > 2 * c->cap ? count : 2 * c->cap;
	c->spans = mem_realloc(c->spans, c->cap * sizeof(*c->spans));
}

/* The first span that ends at or after t: a new one that begins at t touches no earlier one. */
static uint32_t first_reaching(const struct credit *c, int64_t t)
{
	uint32_t low = 0, high = c->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (end_of(c->spans[middle]) < t)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void credit_add(struct credit *c, struct span span)
{
	int64_t began = span.began.ms, ended = end_of(span);
	uint32_t from, to;

	if (ended <= began)
		return;
	from = to = first_reaching(c, began);
	for (; to < c->count && c->spans[to].began.ms <= ended; to++) {
		if (c->spans[to].began.ms < began)
			began = c->spans[to].began.ms;
		if (end_of(c->spans[to]) > ended)
			ended = end_of(c->spans[to]);
	}
	reserve(c, c->count + 1);
	/* those from..to become one */
	if (to < c->count)
		memmove(c->spans + from + 1, c->spans + to, (c->count - to) * sizeof(*c->spans));
	c->count = c->count - (to - from) + 1;
	c->spans[from] =
		(struct span){ { began }, ended == INT64_MAX ? WALL_NONE : (struct wall){ ended } };
}

void credit_add_all(struct credit *c, const struct span *spans, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		credit_add(c, spans[i]);
}

void credit_merge(struct credit *c, const struct credit *other)
{
	credit_add_all(c, other->spans, other->count);
}

void credit_forget(struct credit *c, struct wall before)
{
	uint32_t gone = 0;

	while (gone < c->count && end_of(c->spans[gone]) < before.ms)
		gone++;
	if (gone == 0)
		return;
	c->count -= gone;
	memmove(c->spans, c->spans + gone, c->count * sizeof(*c->spans));
}

int64_t credit_between(const struct credit *c, struct wall from, struct wall to)
{
	int64_t sum = 0;

	for (uint32_t i = first_reaching(c, from.ms); i < c->count; i++) {
		int64_t began = c->spans[i].began.ms, ended = end_of(c->spans[i]);

		if (began >= to.ms)
			break;
		if (began < from.ms)
			began = from.ms;
		if (ended > to.ms)
			ended = to.ms;
		if (ended > began)
			sum += ended - began;
	}
	return sum;
}

struct wall credit_reach(const struct credit *c, struct wall from, int64_t spent_ms)
{
	int64_t at = from.ms, left = spent_ms > 0 ? spent_ms : 0;

	for (uint32_t i = first_reaching(c, from.ms); i < c->count; i++) {
		int64_t began = c->spans[i].began.ms, ended = end_of(c->spans[i]);

		if (left == 0)
			break;
		if (began > at) {
			if (began - at >= left)
				break;
			left -= began - at;
		}
		if (ended > at)
			at = ended;
		if (at == INT64_MAX)
			return WALL_NEVER;
	}
	return wall_add((struct wall){ at }, left);
}

struct wall credit_origin(const struct credit *c, struct wall to, int64_t spent_ms)
{
	int64_t at = to.ms, left = spent_ms > 0 ? spent_ms : 0;

	for (uint32_t i = c->count; i > 0; i--) {
		int64_t began = c->spans[i - 1].began.ms, ended = end_of(c->spans[i - 1]);

		if (left == 0)
			break;
		if (began >= at)
			continue;
		if (ended < at) {
			if (at - ended >= left)
				break;
			left -= at - ended;
		}
		at = began;
	}
	return (struct wall){ at > left ? at - left : WALL_NONE.ms };
}
