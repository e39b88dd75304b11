/*
 * window - how many deliveries a site bears at once. Pure.
 *
 * UP starts at WINDOW_START and adds one for each window of successes, up to the policy's connections-max. SUSPECT and
 * DOWN: 1. After a recovery it doubles for each window of successes, until the size it had before the outage, then
 * grows by one. A sign of overload (421, 4.3/4.4/4.7 at MAIL, DATA or final dot, timeouts) halves it, once per window.
 * A refused extra connection while others work lowers it to those that work; the next one is tried ever later, else one
 * message in a window would be refused for ever.
 */
#ifndef QUEUE_WINDOW_H
#define QUEUE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_START 5

struct window {
	uint32_t size;      /* deliveries allowed at once, >= 1 */
	uint32_t in_flight; /* deliveries now; maintained by the caller */
	uint32_t successes; /* since the last change */
	uint32_t since_cut; /* completions since the last cut */
	uint32_t patience;  /* windows of successes that one more takes, beyond one: it was refused before */
	bool is_trying;     /* has grown since it was refused */
	uint32_t learned;   /* size before the outage: doubling ends there */
	uint32_t max;
};

void window_init(struct window *w, uint32_t learned, uint32_t max); /* learned 0: unknown */
void window_set_max(struct window *w, uint32_t max);
void window_close_to_one(
	struct window *w); /* suspect, down: remembers size as learned if it was larger */
void window_note_success(struct window *w);
void window_note_overload(struct window *w);
void window_note_refused_extra(struct window *w); /* in_flight still counts the refused one */
static inline uint32_t window_room(const struct window *w)
{
	return w->in_flight < w->size ? w->size - w->in_flight : 0;
}

#endif
