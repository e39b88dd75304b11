/* class - see queue/class.h. */
#include "queue/class.h"

static bool has_recipient(const struct envelope *env, struct str glob)
{
	for (uint32_t i = 0; i < env->recipient_count; i++)
		if (str_match_glob(env->recipients[i].address, glob))
			return true;
	return false;
}

static bool matches(const struct conf_class *class, const struct envelope *env, bool has_header)
{
	struct str from = env->reverse_path.len > 0 ? env->reverse_path : STR("<>");

	return (class->from.len == 0 || str_match_glob(from, class->from)) &&
	       (class->user.len == 0 || str_match_glob(env->user, class->user)) &&
	       (class->header.name.len == 0 || has_header) &&
	       (class->to.len == 0 || has_recipient(env, class->to));
}

const struct conf_class *class_of(
	const struct conf *conf, const struct envelope *env, uint64_t header_hits)
{
	for (uint32_t i = 0; i < conf->class_count; i++)
		if (matches(&conf->classes[i], env, (header_hits >> i & 1) != 0))
			return &conf->classes[i];
	return NULL;
}

void class_apply(const struct conf_class *class, struct envelope *env)
{
	if (class->has_priority && env->priority == 0)
		env->priority = class->priority;
	if (class->has_deliver_by && env->deliver_by.ms == WALL_NONE.ms) {
		env->deliver_by = wall_add(env->accepted, class->deliver_by_ms);
		env->deliver_by_notify = class->deliver_by_notify;
		env->deliver_by_is_ours = true;
	}
	if (class->has_hold && env->hold_until.ms == WALL_NONE.ms)
		env->hold_until = wall_add(env->accepted, class->hold_ms);
	for (uint32_t i = 0; class->has_notify && i < env->recipient_count; i++)
		if (env->recipients[i].notify == 0)
			env->recipients[i].notify = class->notify;
}
