/* success_notice - see queue/success_notice.h. */
#include "queue/success_notice.h"

/* RFC 2852 4.1.4: a trace is of each relay; without DELIVERBY nobody behind it will say that the time is over, unless it was
 * over already and has been said. A delivery is no relay (4.1.1). */
static bool is_due_by_time(const struct envelope *env, const struct success_hop *hop)
{
	if (env->deliver_by.ms == WALL_NONE.ms || env->deliver_by_is_ours || hop->is_final)
		return false;
	return env->deliver_by_trace ||
	       (env->deliver_by_notify && !hop->has_deliverby && hop->at.ms < env->deliver_by.ms);
}

enum success_notice success_notice_of(
	const struct envelope *env, const struct recipient *rcpt, const struct success_hop *hop)
{
	bool is_asked = (rcpt->notify & NOTIFY_SUCCESS) != 0;
	enum success_notice kind =
		hop->is_final ? SUCCESS_NOTICE_DELIVERED : SUCCESS_NOTICE_RELAYED;

	if (env->origin != ORIGIN_SMTP || env->reverse_path.len == 0 ||
		(rcpt->notify & NOTIFY_NEVER))
		return SUCCESS_NOTICE_NONE;
	if (is_asked && !hop->has_dsn)
		return kind;
	return is_due_by_time(env, hop) ? kind : SUCCESS_NOTICE_NONE;
}
