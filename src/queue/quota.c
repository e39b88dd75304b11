/* quota - see queue/quota.h. */
#include "queue/quota.h"

#include <string.h>

static int64_t slot_of(struct wall t)
{
	return t.ms / QUOTA_SLOT_MS;
}

/* What slot number n holds; what is too old or was not written is empty. */
static uint32_t used_in(const struct quota *q, int64_t n)
{
	return n <= q->slot && n > q->slot - QUOTA_SLOTS ? q->used[n % QUOTA_SLOTS] : 0;
}

int64_t quota_wait_ms(const struct quota *q, uint32_t limit, uint32_t amount, struct wall now)
{
	int64_t slot = slot_of(now);
	uint64_t used = amount;

	if (amount > limit)
		return HOUR_MS;
	for (int64_t n = slot - QUOTA_SLOTS + 1; n <= slot; n++)
		used += used_in(q, n);
	for (int64_t n = slot - QUOTA_SLOTS + 1; used > limit && n <= slot; n++) {
		used -= used_in(q, n);
		if (used <= limit)
			return (n + QUOTA_SLOTS) * QUOTA_SLOT_MS - now.ms;
	}
	return 0;
}

void quota_take(struct quota *q, uint32_t amount, struct wall now)
{
	int64_t slot = slot_of(now);
	uint32_t *used = &q->used[slot % QUOTA_SLOTS];

	if (slot - q->slot >= QUOTA_SLOTS)
		memset(q->used, 0, sizeof(q->used));
	else
		for (int64_t n = q->slot + 1; n <= slot; n++)
			q->used[n % QUOTA_SLOTS] = 0;
	if (slot > q->slot)
		q->slot = slot;
	*used = *used > UINT32_MAX - amount ? UINT32_MAX : *used + amount;
}
