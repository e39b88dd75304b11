/*
 * grace - how long DNS has said that a domain takes no mail (NXDOMAIN, null MX, no usable MX). Pure.
 *
 * A known-good domain that says so may have been forgotten, expired or botched: its mail waits no-domain-grace before that is
 * believed. The time is that between one such answer and the next: time in which DNS gave no answer at all, and time in which
 * nobody asked, prove nothing and do not count.
 */
#ifndef QUEUE_GRACE_H
#define QUEUE_GRACE_H

#include <stdbool.h>

#include "base/instant.h"

struct grace {
	int64_t denied_ms;
	struct wall denied_last; /* WALL_NONE: the last answer was another, or none */
};

/* Asked less often than this, it is not known what DNS would have said meanwhile. Probes are 10 minutes apart. */
#define GRACE_GAP_MAX_MS HOUR_MS

void grace_note_denied(struct grace *g, struct wall now);
void grace_note_silence(struct grace *g); /* a temporary failure */
/* grace_note_route - DNS names hosts. Returns true when that is news. */
bool grace_note_route(struct grace *g);
static inline bool grace_is_over(const struct grace *g, int64_t grace_ms)
{
	return g->denied_ms >= grace_ms;
}

#endif
