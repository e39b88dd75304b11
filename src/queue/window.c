/*
 * window - see queue/window.h.
 *
 * A cut is allowed once per window: the deliveries that were under way at the cut report the same
 * overload again and must not halve it anew. After a cut they are at most 2 * size + 1.
 */
#include "queue/window.h"

#include "base/check.h"

#define PATIENCE_MIN 32
#define PATIENCE_MAX 1024

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

static void add_one(struct window *w)
{
	if (w->successes / (w->patience + 1) < w->size)
		return;
	if (w->is_trying) /* the last one more was not refused */
		w->patience /= 2;
	w->is_trying = true;
	resize(w, (uint64_t)w->size + 1);
}

void window_note_success(struct window *w)
{
	count_completion(w);
	if (++w->successes < w->size)
		return;
	if (w->size >= w->learned)
		add_one(w);
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
	w->patience = w->patience == 0 ? PATIENCE_MIN : 2 * w->patience;
	if (w->patience > PATIENCE_MAX)
		w->patience = PATIENCE_MAX;
	w->is_trying = false;
	resize(w, working);
	w->learned = w->size;
}
