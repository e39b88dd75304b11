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
	if (env->origin != ORIGIN_SMTP || env->reverse_path.len == 0 || !is_wanted)
		return LATE_NOTICE_NONE;
	/* Who asks for it gets it, bulk mail too: by NOTIFY, or by a time (RFC 2852 4.1.3). */
	bool is_timed = env->deliver_by.ms != WALL_NONE.ms && env->deliver_by_notify;
	if (is_bulk && !is_asked && (!is_timed || env->deliver_by_is_ours))
		return LATE_NOTICE_NONE;
	if (is_timed)
		return LATE_NOTICE_AT_TIME;
	/* RFC 8689 5: a notice of it has to travel as it did, and a digest is of other mail too. */
	return is_asked || env->envid.len > 0 || env->is_requiretls ? LATE_NOTICE_OWN
								    : LATE_NOTICE_DIGEST;
}
