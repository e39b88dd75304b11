/*
 * credit - the lifetime clock (OUTAGE section 2): only time in which mail could have moved counts. Pure.
 *
 * A credit is a union of spans, sorted and disjoint: the outages of a next hop, of its site, of our own connection, and the
 * time in which the relay did not run. Being a union it cannot count a moment twice, in whatever order, and however
 * often, spans are added. The time that a message spent is what of [accepted, now) no span covers. A few spans a month:
 * everything here is linear in their number, whatever the backlog.
 */
#ifndef QUEUE_CREDIT_H
#define QUEUE_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "port/store.h"

struct credit {
	struct span *spans; /* owned; sorted by began, disjoint, only the last may be open (ended WALL_NONE) */
	uint32_t count, cap;
};

void credit_fini(struct credit *c); /* legal on a zeroed one */
/* credit_add - a span joins the union. Empty and reversed ones are nothing. */
void credit_add(struct credit *c, struct span span);
void credit_add_all(struct credit *c, const struct span *spans, uint32_t count);
void credit_merge(struct credit *c, const struct credit *other);
/* credit_forget - spans that ended before an instant leave. */
void credit_forget(struct credit *c, struct wall before);
/* credit_between - milliseconds of [from, to) that are covered. An open span reaches to any to. */
int64_t credit_between(const struct credit *c, struct wall from, struct wall to);
/* credit_reach - the instant at which spent_ms of uncovered time have passed since from; WALL_NEVER while an open span
 * stands in the way. */
struct wall credit_reach(const struct credit *c, struct wall from, int64_t spent_ms);
/* credit_origin - the way back: the latest instant since which spent_ms of uncovered time have passed at `to`; WALL_NONE:
 * before 1970. What was accepted later has spent less. */
struct wall credit_origin(const struct credit *c, struct wall to, int64_t spent_ms);
static inline bool credit_is_running(const struct credit *c)
{
	return c->count > 0 && c->spans[c->count - 1].ended.ms == WALL_NONE.ms;
}

#endif
