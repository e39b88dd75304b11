/*
 * health - see queue/health.h.
 *
 * A run of failures counts from the first failure after a success; three of them over a minute mean
 * down, so that one burst of parallel failures does not. A wall clock that was set back must not
 * keep a destination down for as long as it was set back: instants that lie too far ahead count as
 * reached.
 */
#include "queue/health.h"

#include <string.h>

#include "base/check.h"

#define PROBE_JITTER_PERCENT 10
#define EVIDENCE_BYTES_MAX 2048

void health_init(struct health_record *h, struct wall now)
{
	memset(h, 0, sizeof(*h));
	h->state = HEALTH_UP;
	h->since = now;
	h->next_probe = WALL_NEVER;
}

static void enter(struct health_record *h, enum health_state state, struct wall now)
{
	h->state = state;
	h->since = now;
	h->next_probe = WALL_NEVER;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The first probe after first, each later one after a longer step; never later than the last step,
 * so that the promise "within one probe interval" holds with its jitter. */
static void schedule_probe(
	struct health_record *h, const struct conf_policy *policy, struct wall now, struct rng *rng)
{
	bool is_known_good = health_is_known_good(h, policy, now);
	int64_t first_ms = is_known_good ? policy->probe_first_ms : policy->probe_unknown_first_ms;
	int64_t last_ms = is_known_good ? policy->probe_last_ms : policy->probe_unknown_last_ms;
	int64_t step_ms = h->probe_step_ms;

	if (h->probes == 0)
		step_ms = first_ms;
	else if (is_known_good)
		step_ms += step_ms / 2;
	else
		step_ms *= 2;
	step_ms = least(step_ms < first_ms ? first_ms : step_ms, last_ms);

	int64_t wait_ms = rng_jitter(rng, step_ms, PROBE_JITTER_PERCENT);
	if (wait_ms > last_ms)
		wait_ms = last_ms - (wait_ms - last_ms);
	h->probe_step_ms = step_ms;
	h->next_probe = wall_add(now, wait_ms > 0 ? wait_ms : 1);
}

/* Copies text with control octets escaped; what does not fit is cut, not inside a UTF-8
 * sequence. */
static void set_text(char *out, size_t out_bytes, struct str text)
{
	struct buf safe;
	size_t len;

	buf_init(&safe, EVIDENCE_BYTES_MAX);
	buf_append_safe(&safe, str_slice(text, 0, out_bytes - 1));
	struct str s = buf_str(&safe);
	len = s.len < out_bytes - 1 ? s.len : out_bytes - 1;
	if (len < s.len)
		while (len > 0 && ((unsigned char)s.data[len] & 0xc0) == 0x80)
			len--;
	memcpy(out, s.data, len);
	out[len] = '\0';
	buf_fini(&safe);
}

static void set_evidence(struct health_record *h, const struct outcome *outcome, struct str host)
{
	struct str text =
		outcome->text.len > 0 ? outcome->text : str_from_c(err_name(outcome->err));

	set_text(h->stage, sizeof(h->stage), str_from_c(stage_name(outcome->stage)));
	set_text(h->host, sizeof(h->host), host);
	set_text(h->text, sizeof(h->text), text);
	h->code = outcome->code;
}

static void count_failure(struct health_record *h, struct wall now)
{
	if (h->failures == 0 || h->first_failure.ms > now.ms)
		h->first_failure = now;
	if (h->failures < UINT32_MAX)
		h->failures++;
	h->last_failure = now;
}

bool health_note_failure(struct health_record *h, const struct conf_policy *policy,
	const struct outcome *outcome, struct str host, struct wall now, struct rng *rng)
{
	struct wall due;

	set_evidence(h, outcome, host);
	count_failure(h, now);
	switch (h->state) {
	case HEALTH_UP:
	case HEALTH_RECOVERING:
		enter(h, HEALTH_SUSPECT, now);
		return true;
	case HEALTH_SUSPECT:
		if (h->failures < HEALTH_DOWN_FAILURES ||
			now.ms - h->first_failure.ms < HEALTH_DOWN_SPAN_MS)
			return false;
		enter(h, HEALTH_DOWN, now);
		h->probes = 0;
		schedule_probe(h, policy, now, rng);
		return true;
	case HEALTH_DOWN:
		/* Deliveries that were under way when it went down are no probes and must not
		 * stretch the interval. */
		if (health_may_try(h, now, 0, &due)) {
			h->probes++;
			schedule_probe(h, policy, now, rng);
		}
		return false;
	case HEALTH_STATE_COUNT:
		break;
	}
	check_failed("health state", __FILE__, __LINE__);
}

bool health_note_success(struct health_record *h, struct wall now, bool is_accepted)
{
	if (is_accepted)
		h->last_success = now;
	h->failures = 0;
	switch (h->state) {
	case HEALTH_UP:
	case HEALTH_RECOVERING:
		return false;
	case HEALTH_SUSPECT:
		enter(h, HEALTH_UP, now);
		h->first_failure = WALL_NONE;
		return true;
	case HEALTH_DOWN:
		enter(h, HEALTH_RECOVERING, now);
		return true;
	case HEALTH_STATE_COUNT:
		break;
	}
	check_failed("health state", __FILE__, __LINE__);
}

bool health_forgive(struct health_record *h, struct wall since, struct wall now)
{
	if (h->state != HEALTH_SUSPECT && h->state != HEALTH_DOWN)
		return false;
	if (h->first_failure.ms == WALL_NONE.ms || h->first_failure.ms < since.ms)
		return false;
	enter(h, HEALTH_UP, now);
	h->first_failure = WALL_NONE;
	h->failures = 0;
	h->probes = 0;
	h->probe_step_ms = 0;
	return true;
}

void health_note_recovered(struct health_record *h, struct wall now)
{
	if (h->state != HEALTH_RECOVERING)
		return;
	enter(h, HEALTH_UP, now);
	h->first_failure = WALL_NONE;
	h->probes = 0;
	h->probe_step_ms = 0;
}

bool health_is_known_good(
	const struct health_record *h, const struct conf_policy *policy, struct wall now)
{
	if (h->is_declared)
		return true;
	return h->last_success.ms != WALL_NONE.ms &&
	       now.ms - h->last_success.ms <= policy->known_good_ms;
}

bool health_may_try(
	const struct health_record *h, struct wall now, uint32_t in_flight, struct wall *when)
{
	struct wall due = now;
	int64_t wait_max_ms = 0;

	switch (h->state) {
	case HEALTH_UP:
	case HEALTH_RECOVERING:
	case HEALTH_STATE_COUNT:
		*when = now;
		return true;
	case HEALTH_SUSPECT:
		due = wall_add(h->last_failure, HEALTH_SUSPECT_PAUSE_MS);
		wait_max_ms = HEALTH_SUSPECT_PAUSE_MS;
		break;
	case HEALTH_DOWN:
		due = h->next_probe;
		wait_max_ms = 2 * h->probe_step_ms;
		break;
	}
	if (due.ms < now.ms || (due.ms - now.ms > wait_max_ms && wait_max_ms > 0))
		due = now;
	*when = in_flight > 0 ? WALL_NEVER : due;
	return in_flight == 0 && due.ms <= now.ms;
}

void health_probe_now(struct health_record *h, struct wall now)
{
	/* Asking often must not make the relay ask rarely: a probe by hand that fails leaves the interval about as it was. */
	if (h->state == HEALTH_DOWN) {
		h->next_probe = now;
		h->probe_step_ms /= 2;
	} else if (h->state == HEALTH_SUSPECT) {
		h->last_failure = (struct wall){ now.ms - HEALTH_SUSPECT_PAUSE_MS };
	}
}

void health_put_off_probe(struct health_record *h, struct wall now, int64_t wait_ms)
{
	int64_t step_ms = h->probe_step_ms > SECOND_MS ? h->probe_step_ms : SECOND_MS;

	/* never at once: that would turn without end while there is nothing to probe with */
	if (h->state == HEALTH_DOWN)
		h->next_probe = wall_add(now, least(wait_ms, step_ms));
}

const char *health_state_name(enum health_state s)
{
	switch (s) {
	case HEALTH_UP:
		return "up";
	case HEALTH_SUSPECT:
		return "suspect";
	case HEALTH_DOWN:
		return "down";
	case HEALTH_RECOVERING:
		return "recovering";
	case HEALTH_STATE_COUNT:
		break;
	}
	return "unknown";
}
