/* blame - see queue/blame.h. */
#include "queue/blame.h"

void blame_note_refused(struct blame *b, uint64_t sender)
{
	if (b->count == 0 || b->sender != sender)
		*b = (struct blame){ .sender = sender };
	if (b->count < UINT32_MAX)
		b->count++;
}

void blame_note_taken(struct blame *b, uint64_t sender)
{
	if (b->count == 0)
		return;
	if (b->sender == sender)
		*b = (struct blame){ 0 };
	else
		b->has_others = true;
}
