/*
 * retry - see queue/retry.h.
 *
 * The end of a recipient's time: arrival, or the end of the wait that its sender asked for (RFC 4865), plus lifetime
 * (notices have their own) of time in which it could have moved, plus holds; at lifetime-max plus holds whatever
 * happened; never past a by-time in return mode (RFC 2852), which nothing extends.
 */
#include "queue/retry.h"

#include "base/check.h"

#define DOUBTFUL_STEP_MIN_MS (30 * MINUTE_MS)

struct retry_decision retry_after_failure(const struct conf_policy *policy,
	struct wall end, uint32_t attempts, bool is_doubtful, struct wall now, struct rng *rng)
{
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

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static bool must_return(const struct envelope *env)
{
	return env->deliver_by.ms != WALL_NONE.ms && !env->deliver_by_notify;
}

struct wall retry_gives_up_at(const struct conf_policy *policy, const struct envelope *env,
	const struct retry_clock *clock)
{
	static const struct retry_clock plain = { 0 };
	static const struct credit none = { 0 };
	struct wall start = env->accepted, end, last;
	int64_t lifetime_ms =
		env->origin != ORIGIN_SMTP ? policy->bounce_lifetime_ms : policy->lifetime_ms;

	clock = clock ? clock : &plain;
	if (env->hold_until.ms > start.ms)
		start = env->hold_until;
	end = credit_reach(
		clock->credit ? clock->credit : &none, start, lifetime_ms + clock->held_ms);
	last = credit_reach(clock->jumps ? clock->jumps : &none, start,
		policy->lifetime_max_ms + clock->held_ms);
	end.ms = least(end.ms, last.ms);
	return must_return(env) && env->deliver_by.ms < end.ms ? env->deliver_by : end;
}

bool retry_is_past_by_time(const struct envelope *env, struct wall now)
{
	return must_return(env) && env->deliver_by.ms <= now.ms;
}

struct wall retry_overdue_before(
	const struct conf_policy *policy, const struct retry_clock *clock, struct wall now)
{
	static const struct credit none = { 0 };
	struct wall by_lifetime =
		credit_origin(clock->credit ? clock->credit : &none, now, policy->lifetime_ms);
	struct wall by_max =
		credit_origin(clock->jumps ? clock->jumps : &none, now, policy->lifetime_max_ms);

	return by_lifetime.ms > by_max.ms ? by_lifetime : by_max;
}
