/* late_notice - see queue/late_notice.h. */
#include "queue/late_notice.h"

bool late_notice_wants(const struct recipient *rcpt)
{
	return rcpt->notify == 0 || (rcpt->notify & NOTIFY_DELAY) != 0;
}

enum late_notice late_notice_of(const struct envelope *env, bool is_bulk)
{
	bool is_wanted = false, is_asked = false;

	for (uint32_t i = 0; i < env->recipient_count; i++) {
		is_wanted |= late_notice_wants(&env->recipients[i]);
		is_asked |= (env->recipients[i].notify & NOTIFY_DELAY) != 0;
	}
	if (env->origin == ORIGIN_DSN || env->reverse_path.len == 0 || !is_wanted)
		return LATE_NOTICE_NONE;
	/* Who asks for it gets it: bulk mail too. */
	if (is_bulk && !is_asked)
		return LATE_NOTICE_NONE;
	if (env->deliver_by.ms != WALL_NONE.ms && env->deliver_by_notify)
		return LATE_NOTICE_AT_TIME;
	return is_asked || env->envid.len > 0 ? LATE_NOTICE_OWN : LATE_NOTICE_DIGEST;
}
