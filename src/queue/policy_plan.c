/*
 * policy_plan - see queue/policy_plan.h. The arithmetic is that of queue/retry.c and queue/health.c without chance; the unit
 * test holds them together.
 */
#include "queue/policy_plan.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/instant.h"
#include "queue/health.h"

/* How long the mail servers of others usually try, and how long the outage of January 2023 lasted. */
#define USUAL_LIFETIME_MS (5 * DAY_MS)
#define LONG_OUTAGE_MS (140 * HOUR_MS)
#define PROBE_WAIT_MAX_MS HOUR_MS

static void plan_retries(struct policy_plan *plan, const struct conf_policy *policy);
static void plan_probes(
	struct plan_times *times, int64_t first_ms, int64_t last_ms, bool is_known_good);
static unsigned find_warnings(const struct policy_plan *plan, const struct conf_policy *policy);
static int64_t longest_step(const struct conf_policy *policy);

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void policy_plan_make(struct policy_plan *plan, const struct conf_policy *policy)
{
	*plan = (struct policy_plan){ 0 };
	plan->gives_up_ms = least(policy->lifetime_ms, policy->lifetime_max_ms);
	plan->kept_max_ms = policy->lifetime_max_ms;
	plan->notice_gives_up_ms = least(policy->bounce_lifetime_ms, policy->lifetime_max_ms);
	plan_retries(plan, policy);
	plan_probes(&plan->probes_known, policy->probe_first_ms, policy->probe_last_ms, true);
	plan_probes(&plan->probes_other, policy->probe_unknown_first_ms,
		policy->probe_unknown_last_ms, false);
	plan->refused_ms = policy->has_storm_guard ? policy->notice_hold_ms : 0;
	if (policy->has_storm_guard)
		plan->unknown_user_known_ms = policy->quarantine_ms + policy->notice_hold_ms;
	plan->warnings = find_warnings(plan, policy);
}

/* The pause after the attempt that fails as the lifetime ends is cut to that end: the last attempt. */
static void plan_retries(struct policy_plan *plan, const struct conf_policy *policy)
{
	struct plan_times *times = &plan->retries;
	int64_t at_ms = 0;

	CHECK(policy->retry_count > 0 && policy->retry_count <= CONF_RETRY_STEPS_MAX);
	for (uint32_t i = 0; i < policy->retry_count; i++) {
		if (policy->retry_ms[i] >= plan->gives_up_ms - at_ms) {
			times->total = times->count;
			return;
		}
		at_ms += policy->retry_ms[i];
		times->at_ms[times->count++] = at_ms;
	}
	times->total = times->count;
	times->repeat_ms = policy->retry_ms[policy->retry_count - 1];
	int64_t left_ms = plan->gives_up_ms - at_ms;
	if (times->repeat_ms < left_ms)
		times->total += (uint64_t)((left_ms - 1) / times->repeat_ms);
	else
		times->repeat_ms = 0;
}

static void plan_probes(
	struct plan_times *times, int64_t first_ms, int64_t last_ms, bool is_known_good)
{
	int64_t step_ms = least(first_ms, last_ms), at_ms = step_ms;

	times->at_ms[times->count++] = at_ms;
	while (step_ms < last_ms && times->count < PLAN_INSTANTS_MAX) {
		step_ms = least(is_known_good ? step_ms + step_ms / 2 : step_ms * 2, last_ms);
		at_ms += step_ms;
		times->at_ms[times->count++] = at_ms;
	}
	times->repeat_ms = last_ms;
}

static unsigned find_warnings(const struct policy_plan *plan, const struct conf_policy *policy)
{
	int64_t room_ms = plan->kept_max_ms - plan->gives_up_ms;
	int64_t probe_ms = policy->probe_last_ms;
	const bool is_wrong[PLAN_WARNING_COUNT] = {
		[PLAN_STEP_BEYOND_LIFETIME] = longest_step(policy) > plan->gives_up_ms,
		[PLAN_LIFETIME_SHORT] =
			plan->gives_up_ms<USUAL_LIFETIME_MS, [PLAN_OUTAGES_COUNT] = room_ms <= 0,
				[PLAN_OUTAGE_ROOM_SHORT] = room_ms> 0 &&
			room_ms<LONG_OUTAGE_MS, [PLAN_NOTICE_LATE] = policy->delay_notice_ms> 0 &&
			policy->delay_notice_ms >= plan->gives_up_ms,
		[PLAN_PROBES_RARE] = probe_ms > PROBE_WAIT_MAX_MS,
		[PLAN_NOTHING_KNOWN_GOOD] = policy->known_good_ms == 0,
		[PLAN_OUTAGE_LATE] =
			policy->known_good_ms > 0 && policy->outage_after_ms >= plan->gives_up_ms,
		[PLAN_REFUSED_LOST] = policy->has_storm_guard && policy->keep_failed_ms == 0,
		[PLAN_HOLD_NONE] = policy->has_storm_guard && policy->notice_hold_ms == 0,
		[PLAN_QUARANTINE_LONG] =
			policy->has_storm_guard && policy->quarantine_ms >= plan->gives_up_ms,
	};
	unsigned bits = 0;

	for (unsigned i = 0; i < PLAN_WARNING_COUNT; i++)
		bits |= is_wrong[i] ? 1u << i : 0;
	return bits;
}

static int64_t longest_step(const struct conf_policy *policy)
{
	int64_t longest_ms = 0;

	for (uint32_t i = 0; i < policy->retry_count; i++)
		if (policy->retry_ms[i] > longest_ms)
			longest_ms = policy->retry_ms[i];
	return longest_ms;
}

const char *plan_warning_name(enum plan_warning w)
{
	static const char *const names[PLAN_WARNING_COUNT] = {
		[PLAN_STEP_BEYOND_LIFETIME] = "step-beyond-lifetime",
		[PLAN_LIFETIME_SHORT] = "lifetime-short",
		[PLAN_OUTAGES_COUNT] = "outages-count",
		[PLAN_OUTAGE_ROOM_SHORT] = "outage-room-short",
		[PLAN_NOTICE_LATE] = "delay-notice-late",
		[PLAN_PROBES_RARE] = "probes-rare",
		[PLAN_NOTHING_KNOWN_GOOD] = "nothing-known-good",
		[PLAN_OUTAGE_LATE] = "outage-after-late",
		[PLAN_REFUSED_LOST] = "refused-lost",
		[PLAN_HOLD_NONE] = "notice-hold-none",
		[PLAN_QUARANTINE_LONG] = "quarantine-long",
	};

	CHECK(w < PLAN_WARNING_COUNT);
	return names[w];
}

/* A pattern with one or two spans in it: %1 and %2. */
static void fill(struct buf *out, const char *pattern, int64_t one_ms, int64_t two_ms)
{
	for (; *pattern; pattern++) {
		if (*pattern == '%' && (pattern[1] == '1' || pattern[1] == '2')) {
			instant_format_span(out, pattern[1] == '1' ? one_ms : two_ms);
			pattern++;
		} else {
			buf_append_char(out, *pattern);
		}
	}
}

void plan_warning_text(struct buf *out, enum plan_warning w, const struct conf_policy *policy)
{
	int64_t lifetime_ms = least(policy->lifetime_ms, policy->lifetime_max_ms);

	switch (w) {
	case PLAN_STEP_BEYOND_LIFETIME:
		fill(out,
			"the retry step of %1 is longer than the lifetime of %2: it is cut short "
			"by the last "
			"attempt",
			longest_step(policy), lifetime_ms);
		break;
	case PLAN_LIFETIME_SHORT:
		fill(out, "the lifetime of %1 is shorter than the five days that senders expect",
			lifetime_ms, 0);
		break;
	case PLAN_OUTAGES_COUNT:
		fill(out,
			"lifetime-max is no longer than lifetime (%1): the time of an outage "
			"counts after "
			"all",
			lifetime_ms, 0);
		break;
	case PLAN_OUTAGE_ROOM_SHORT:
		fill(out,
			"lifetime-max leaves %1 for outages beyond the lifetime; that of January "
			"2023 took "
			"%2",
			policy->lifetime_max_ms - lifetime_ms, LONG_OUTAGE_MS);
		break;
	case PLAN_NOTICE_LATE:
		fill(out,
			"the delay notice (after %1) comes no sooner than the end (after %2): "
			"senders hear "
			"of it only when it is too late",
			policy->delay_notice_ms, lifetime_ms);
		break;
	case PLAN_PROBES_RARE:
		fill(out, "after an outage the first mail may wait %1 for the next probe",
			policy->probe_last_ms, 0);
		break;
	case PLAN_NOTHING_KNOWN_GOOD:
		fill(out,
			"known-good is 0: no outage is ever found, and no permanent refusal is "
			"doubted",
			0, 0);
		break;
	case PLAN_OUTAGE_LATE:
		fill(out,
			"outage-after (%1) is no shorter than the lifetime (%2): mail is given up "
			"before "
			"its outage is found",
			policy->outage_after_ms, lifetime_ms);
		break;
	case PLAN_REFUSED_LOST:
		fill(out,
			"storm-guard is on but keep-failed is 0: what was refused wrongly cannot "
			"be "
			"revived",
			0, 0);
		break;
	case PLAN_HOLD_NONE:
		fill(out,
			"storm-guard is on but notice-hold is 0: the first victims of a storm are "
			"told "
			"before it is seen",
			0, 0);
		break;
	case PLAN_QUARANTINE_LONG:
		fill(out,
			"quarantine (%1) is no shorter than the lifetime (%2): a doubted refusal "
			"is given "
			"up before it is tried again",
			policy->quarantine_ms, lifetime_ms);
		break;
	case PLAN_WARNING_COUNT:
		break;
	}
}

void plan_times_text(struct buf *out, const struct plan_times *times)
{
	enum { SHOWN_MAX = 12, SHOWN_ENDS = 5 };
	uint32_t skipped = times->count > SHOWN_MAX ? times->count - 2 * SHOWN_ENDS : 0;

	for (uint32_t i = 0; i < times->count; i++) {
		if (skipped && i == SHOWN_ENDS) {
			buf_printf(out, ", %u more", skipped);
			i += skipped - 1;
			continue;
		}
		buf_append_str(out, i ? STR(", +") : STR("+"));
		instant_format_span(out, times->at_ms[i]);
	}
	if (!times->repeat_ms)
		return;
	buf_append_str(out, times->count ? STR(", then every ") : STR("every "));
	instant_format_span(out, times->repeat_ms);
}
