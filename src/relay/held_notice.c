/* held_notice - see relay/held_notice.h. */
#include "relay/held_notice.h"

#include <stdlib.h>

#include "base/mem.h"

#define HINTS 4096

struct hint {
	uint64_t message, notice;
	struct wall release;
};

struct held_notices {
	struct hint hints[HINTS];
};

/* Ids differ in their upper bits by time, in the lower ones by count and node: all of them matter. */
static struct hint *hint_of(const struct relay *r, uint64_t message)
{
	return &r->held_notices->hints[(message * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

void held_notice_init(struct relay *r)
{
	r->held_notices = mem_zalloc(sizeof(*r->held_notices));
}

void held_notice_free(struct relay *r)
{
	free(r->held_notices);
	r->held_notices = NULL;
}

void held_notice_note(struct relay *r, uint64_t message, uint64_t notice, struct wall release)
{
	*hint_of(r, message) = (struct hint){ message, notice, release };
}

uint64_t held_notice_of(const struct relay *r, uint64_t message, struct wall now)
{
	const struct hint *h = hint_of(r, message);

	return h->message == message && h->release.ms > now.ms ? h->notice : 0;
}
