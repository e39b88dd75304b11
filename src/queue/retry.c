/*
 * retry - see queue/retry.h.
 *
 * The end of a recipient's time: arrival plus lifetime (notices have their own), plus the time that
 * the sender asked us to wait (RFC 4865), never past a by-time in return mode (RFC 2852).
 */
#include "queue/retry.h"

#include "base/check.h"

#define DOUBTFUL_STEP_MIN_MS (30 * MINUTE_MS)

struct retry_decision retry_after_failure(const struct conf_policy *policy,
	const struct envelope *env, uint32_t attempts, bool is_doubtful, struct wall now,
	struct rng *rng)
{
	struct wall end = retry_gives_up_at(policy, env);
	uint32_t step = attempts > 0 ? attempts - 1 : 0;

	CHECK(policy->retry_count > 0 && policy->retry_count <= CONF_RETRY_STEPS_MAX);
	if (now.ms >= end.ms)
		return (struct retry_decision){ .is_expired = true };
	if (step >= policy->retry_count)
		step = policy->retry_count - 1;

	int64_t wait_ms = rng_jitter(rng, policy->retry_ms[step], policy->retry_jitter_percent);
	struct wall due = wall_add(now, wait_ms > 0 ? wait_ms : 1);
	if (due.ms > end.ms)
		due = end;
	/* Even the last attempt: a copy sent sooner is more likely to be the second one to
	 * arrive. */
	if (is_doubtful && due.ms < wall_add(now, DOUBTFUL_STEP_MIN_MS).ms)
		due = wall_add(now, DOUBTFUL_STEP_MIN_MS);
	return (struct retry_decision){ .due = due };
}

struct wall retry_gives_up_at(const struct conf_policy *policy, const struct envelope *env)
{
	int64_t lifetime_ms =
		env->origin == ORIGIN_DSN ? policy->bounce_lifetime_ms : policy->lifetime_ms;
	struct wall start = env->accepted;

	if (lifetime_ms > policy->lifetime_max_ms)
		lifetime_ms = policy->lifetime_max_ms;
	if (env->hold_until.ms > start.ms)
		start = env->hold_until;

	struct wall end = wall_add(start, lifetime_ms);
	bool must_return = env->deliver_by.ms != WALL_NONE.ms && !env->deliver_by_notify;
	return must_return && env->deliver_by.ms < end.ms ? env->deliver_by : end;
}
