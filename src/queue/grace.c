/* grace - see queue/grace.h. */
#include "queue/grace.h"

void grace_note_denied(struct grace *g, struct wall now)
{
	int64_t gap_ms = now.ms - g->denied_last.ms;

	/* Nothing for a clock that was set back. */
	if (g->denied_last.ms != WALL_NONE.ms && gap_ms > 0 && gap_ms <= GRACE_GAP_MAX_MS)
		g->denied_ms += gap_ms;
	g->denied_last = now;
}

void grace_note_silence(struct grace *g)
{
	g->denied_last = WALL_NONE;
}

bool grace_note_route(struct grace *g)
{
	bool is_news = g->denied_ms > 0 || g->denied_last.ms != WALL_NONE.ms;

	*g = (struct grace){ 0, WALL_NONE };
	return is_news;
}
