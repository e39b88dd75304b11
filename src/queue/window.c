/*
 * window - see queue/window.h.
 *
 * A cut is allowed once per window: the deliveries that were under way at the cut report the same
 * overload again and must not halve it anew. After a cut they are at most 2 * size + 1.
 */
#include "queue/window.h"

#include "base/check.h"

static uint32_t clamp(const struct window *w, uint64_t size)
{
	if (size > w->max)
		size = w->max;
	return size > 0 ? (uint32_t)size : 1;
}

static void resize(struct window *w, uint64_t size)
{
	w->size = clamp(w, size);
	w->successes = 0;
}

static void count_completion(struct window *w)
{
	if (w->since_cut < UINT32_MAX)
		w->since_cut++;
}

void window_init(struct window *w, uint32_t learned, uint32_t max)
{
	*w = (struct window){ .max = max > 0 ? max : 1, .since_cut = UINT32_MAX };
	w->learned = learned > 0 ? clamp(w, learned) : 0;
	resize(w, WINDOW_START);
}

void window_set_max(struct window *w, uint32_t max)
{
	w->max = max > 0 ? max : 1;
	w->size = clamp(w, w->size);
}

void window_close_to_one(struct window *w)
{
	if (w->size > w->learned)
		w->learned = w->size;
	w->since_cut = UINT32_MAX;
	resize(w, 1);
}

void window_note_success(struct window *w)
{
	count_completion(w);
	if (++w->successes < w->size)
		return;
	if (w->size >= w->learned)
		resize(w, (uint64_t)w->size + 1);
	else
		resize(w, 2 * (uint64_t)w->size < w->learned ? 2 * (uint64_t)w->size : w->learned);
}

void window_note_overload(struct window *w)
{
	count_completion(w);
	if (w->since_cut / 2 <= w->size)
		return;
	resize(w, w->size / 2);
	w->learned = w->size;
	w->since_cut = 0;
}

void window_note_refused_extra(struct window *w)
{
	uint32_t working = w->in_flight > 0 ? w->in_flight - 1 : 0;

	count_completion(w);
	if (working >= w->size)
		return;
	resize(w, working);
	w->learned = w->size;
}
