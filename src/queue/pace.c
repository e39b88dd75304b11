/*
 * pace - see queue/pace.h.
 *
 * What a site bears is measured, not guessed: messages taken while others waited, over one to two minutes and at least ten
 * of them. A site that counts by the minute takes its share at once and then nothing; measured over the minute it
 * is the same site as one that counts by the second.
 */
#include "queue/pace.h"

#define MESSAGE INT64_C(1000000000) /* tokens: rate * ms */
#define RATE_MIN (PACE_SECOND / 600)
#define RATE_MAX (100000 * PACE_SECOND)
#define FILL_MAX_MS (3 * HOUR_MS) /* times RATE_MAX it fits */
#define GATHER_MS 50
#define START_RATE PACE_SECOND
#define START_MESSAGES 3
#define DOUBLE_MS 100
#define CUT_PERCENT 85
#define TRUST_PERCENT 108 /* growth runs ahead of what is measured by so much, not more */
#define KNEE_PERCENT 97   /* of the rate that was too much */
#define PAUSE_MAX_MS (10 * MINUTE_MS)
/* When nothing else waits: nothing is lost by it, and a site that counts by ten seconds has forgotten. */
#define IDLE_PAUSE_MS (15 * SECOND_MS)
#define STEP_MESSAGES 70
#define STEP_MS (150 * SECOND_MS)
/* Of the real clock: the wire and the disk are no faster on a fast one. */
#define SLACK_REAL_MS 50 /* a loop does not wake up each millisecond */
#define PAUSE_REAL_MS 30
#define PAUSE_MAX_REAL_MS 500
#define STEP_REAL_MS 100
#define IDLE_REAL_MS 500
#define QUIET_REAL_MS (10 * SECOND_MS)
#define UNFELT_REAL_MS SECOND_MS
#define SPAN_MS MINUTE_MS
#define SPAN_MESSAGES 10
#define MEASURE_MESSAGES 5
#define IDLE_MS MINUTE_MS
#define LIFT_QUIET_MS HOUR_MS
#define LIFT_UNFELT_MS MINUTE_MS
/* Times the lowest, and this much more: a site that answers so slowly has too much to do. Real time. */
#define LATENCY_FACTOR 3
#define LATENCY_MORE_MS 500
#define LATENCY_UNIT 16
#define LATENCY_PAUSE_MS MINUTE_MS

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* On a fast clock a span of wall time may be nothing: the wire and the disk are no faster. */
static int64_t at_least(const struct pace *p, int64_t ms, int64_t real_ms)
{
	return greatest(ms, real_ms * p->clock_rate);
}

static uint64_t clamp(uint64_t rate)
{
	return rate < RATE_MIN ? RATE_MIN : least(rate, RATE_MAX);
}

/* A clock that was set back counts as one that stood still. */
static int64_t between(struct wall from, struct wall to)
{
	return to.ms > from.ms ? to.ms - from.ms : 0;
}

void pace_init(struct pace *p, uint64_t learned, int64_t clock_rate)
{
	*p = (struct pace){ .learned = least(learned, RATE_MAX), .clock_rate = clock_rate };
	p->slack_ms = at_least(p, SECOND_MS, SLACK_REAL_MS);
}

void pace_set_cap(struct pace *p, uint32_t per_minute)
{
	p->cap = per_minute > 0 ? clamp(per_minute * PACE_SECOND / 60) : 0;
}

/* ---- tokens ---- */

static uint64_t effective(const struct pace *p)
{
	return p->rate == 0 || (p->cap > 0 && p->cap < p->rate) ? p->cap : p->rate;
}

/* What a recovery begins with is more than a second's worth. */
static int64_t tokens_max(const struct pace *p)
{
	int64_t slack_ms = p->slack_ms < FILL_MAX_MS ? p->slack_ms : FILL_MAX_MS;
	int64_t max = (int64_t)effective(p) * slack_ms;
	int64_t few = p->knee == 0 && p->rate >= START_RATE && p->cap == 0
			      ? START_MESSAGES * MESSAGE
			      : MESSAGE;

	return max > few ? max : few;
}

static void fill(struct pace *p, struct wall now)
{
	int64_t ms = between(p->filled, now), max = tokens_max(p);

	p->tokens += (int64_t)effective(p) * (ms < FILL_MAX_MS ? ms : FILL_MAX_MS);
	if (p->tokens > max)
		p->tokens = max;
	p->filled = now;
}

static void empty(struct pace *p, struct wall now, int64_t messages)
{
	p->tokens = messages * MESSAGE;
	p->filled = now;
	p->gathered = WALL_NONE;
}

/* A look that comes early changes nothing, else each message that ends would start one. */
static bool is_gathering(struct pace *p, struct wall now, int64_t *left_ms)
{
	*left_ms = p->gathered.ms - now.ms;
	if (p->gathered.ms == WALL_NONE.ms || *left_ms <= 0 || *left_ms > GATHER_MS)
		p->gathered = WALL_NONE;
	return p->gathered.ms != WALL_NONE.ms;
}

int64_t pace_wait_ms(struct pace *p, struct wall now, uint32_t in_flight)
{
	uint64_t rate = effective(p);
	int64_t left_ms;

	if (rate == 0)
		return 0;
	if (p->pause_ms > 0) {
		p->felt = now;
		left_ms = p->pause_end.ms - now.ms;
		if (left_ms > 0 && left_ms <= p->pause_ms)
			return left_ms;
		return in_flight > 0 ? INT64_MAX : 0;
	}
	fill(p, now);
	if (!is_gathering(p, now, &left_ms)) {
		if (p->tokens >= MESSAGE)
			return 0;
		left_ms = (MESSAGE - p->tokens + (int64_t)rate - 1) / (int64_t)rate;
		if (left_ms < GATHER_MS) {
			left_ms = GATHER_MS;
			p->gathered = wall_add(now, left_ms);
		}
	}
	p->felt = now;
	return left_ms;
}

void pace_note_start(struct pace *p, struct wall now)
{
	if (!pace_is_limited(p))
		return;
	fill(p, now);
	p->tokens = p->tokens > 0 ? p->tokens - MESSAGE : -MESSAGE;
}

/* ---- what it takes ---- */

static uint64_t rate_of(uint64_t count, int64_t ms)
{
	return count * PACE_SECOND * 1000 / (uint64_t)(ms > SECOND_MS ? ms : SECOND_MS);
}

static uint64_t measure(const struct pace *p, struct wall now)
{
	const struct pace_span *first = p->last_span.count > 0 ? &p->last_span : &p->now_span;
	uint64_t count = p->last_span.count + p->now_span.count;

	return count >= MEASURE_MESSAGES ? rate_of(count, between(first->began, now)) : 0;
}

static void measure_anew(struct pace *p, struct wall now)
{
	p->last_span = (struct pace_span){ 0 };
	p->now_span = (struct pace_span){ .began = now };
}

static void count_taken(struct pace *p, struct wall now, bool is_busy)
{
	bool was_idle = p->rate == 0 && between(p->taken, now) > at_least(p, IDLE_MS, IDLE_REAL_MS);

	p->taken = now;
	if (!is_busy || was_idle || p->now_span.began.ms == WALL_NONE.ms) {
		measure_anew(p, now);
		return;
	}
	p->now_span.count++;
	if (p->now_span.count < SPAN_MESSAGES || between(p->now_span.began, now) < SPAN_MS)
		return;

	uint64_t taken = rate_of(p->now_span.count, between(p->now_span.began, now));

	if (taken > p->learned)
		p->learned = least(taken, RATE_MAX);
	p->last_span = p->now_span;
	p->now_span = (struct pace_span){ .began = now };
}

/* ---- growth ---- */

static void grow_anew(struct pace *p, struct wall now, unsigned steps)
{
	p->grown = steps * STEP_MESSAGES;
	p->grown_ms = steps * at_least(p, STEP_MS, STEP_REAL_MS);
	p->grown_at = p->doubled = now;
}

/* Flat at the knee, one step after the cut; thousandths of steps, so that the cube fits. */
static uint64_t cubic(const struct pace *p)
{
	int64_t by_messages = p->grown < 1000 * STEP_MESSAGES
				      ? (int64_t)p->grown * 1000 / STEP_MESSAGES
				      : 1000000;
	int64_t by_time = p->grown_ms * 1000 / at_least(p, STEP_MS, STEP_REAL_MS);
	int64_t x = (by_messages < by_time ? by_messages : by_time) - 1000;
	int64_t more; /* thousandths of the knee */

	if (x > 20000)
		x = 20000;
	more = (100 - CUT_PERCENT) * 10 * x / 1000 * x / 1000 * x / 1000;
	return clamp(p->knee * (uint64_t)(1000 + more) / 1000);
}

/* What was under way at the last step says nothing of the new rate, nor does mail that did not have to wait for it. */
static void double_rate(struct pace *p, struct wall now, uint32_t in_flight)
{
	if (++p->grown < START_MESSAGES || p->grown <= p->before || p->felt.ms <= p->doubled.ms ||
		between(p->doubled, now) < DOUBLE_MS)
		return;
	grow_anew(p, now, 0);
	p->before = in_flight;
	p->rate = clamp(2 * p->rate);
	/* Less than it began with is no help: it will say so. */
	if (p->learned <= START_RATE || p->rate < p->learned)
		return;
	p->rate = clamp(p->learned);
	p->knee = p->rate;
	grow_anew(p, now, 1);
}

/* Only mail that felt the limit shows that more would do. */
static void grow(struct pace *p, struct wall now, uint32_t in_flight, bool is_busy)
{
	int64_t gap_ms = between(p->grown_at, now);
	int64_t gap_max_ms = SECOND_MS + 3 * MESSAGE / (int64_t)p->rate;
	int64_t half = tokens_max(p) / 2;

	p->grown_at = now;
	if (!is_busy || p->tokens >= (half > MESSAGE ? half : MESSAGE))
		return;
	if (p->knee == 0) {
		double_rate(p, now, in_flight);
		return;
	}
	p->grown++;
	p->grown_ms += gap_ms < gap_max_ms ? gap_ms : gap_max_ms;
	p->rate = cubic(p);
}

static bool may_lift(const struct pace *p, struct wall now)
{
	if (p->pause_ms > 0 || between(p->felt, now) < at_least(p, LIFT_UNFELT_MS, UNFELT_REAL_MS))
		return false;
	return p->overloaded.ms == WALL_NONE.ms ||
	       between(p->overloaded, now) >= at_least(p, LIFT_QUIET_MS, QUIET_REAL_MS);
}

/* ---- overload ---- */

/* The rate at which it was refused, unless less was really taken. */
static uint64_t borne(const struct pace *p, struct wall now)
{
	uint64_t taken = measure(p, now) / 100 * TRUST_PERCENT;

	return taken > 0 && (p->rate == 0 || taken < p->rate) ? taken : p->rate;
}

static void cut(struct pace *p, struct wall now)
{
	uint64_t base = borne(p, now);

	if (base == p->rate && p->knee == 0)
		base /= 2; /* doubling went past what was borne */
	if (base == 0) {
		p->rate = START_RATE; /* one refusal out of the blue: what it bears is found anew */
		p->knee = 0;
	} else {
		p->knee = p->learned = clamp(base / 100 * KNEE_PERCENT);
		p->rate = clamp(p->knee * CUT_PERCENT / 100);
	}
	grow_anew(p, now, 0);
	empty(p, now, 0);
	p->overloaded = now;
}

static bool note_latency(struct pace *p, struct wall now, int64_t latency_ms)
{
	int64_t ms = (latency_ms < HOUR_MS ? latency_ms : HOUR_MS) * LATENCY_UNIT;

	if (ms <= 0)
		return false;
	p->latency += p->latency == 0 ? ms : (ms - p->latency) / 8;
	if (p->latency_low == 0 || ms < p->latency_low)
		p->latency_low = ms;
	else
		p->latency_low += (ms - p->latency_low) / 1024;
	return p->latency > LATENCY_FACTOR * p->latency_low + LATENCY_MORE_MS * LATENCY_UNIT &&
	       between(p->overloaded, now) >= LATENCY_PAUSE_MS;
}

void pace_recover(struct pace *p, struct wall now)
{
	p->knee = 0;
	p->rate = START_RATE;
	grow_anew(p, now, 0);
	p->doubled = wall_add(now, -DOUBLE_MS);
	empty(p, now, START_MESSAGES);
	p->overloaded = WALL_NONE;
	p->felt = now;
	p->before = 0;
	p->stale = 0;
	p->pause_ms = 0;
	p->latency = 0;
	measure_anew(p, now);
}

void pace_note_success(
	struct pace *p, struct wall now, uint32_t in_flight, bool is_busy, int64_t latency_ms)
{
	count_taken(p, now, is_busy);
	if (p->rate == 0)
		return;
	if (p->stale > 0) {
		p->stale--;
	} else if (p->pause_ms > 0) {
		p->pause_ms = 0;
		empty(p, now, 0);
		grow_anew(p, now, 0);
	}
	if (note_latency(p, now, latency_ms) && is_busy && p->pause_ms == 0)
		cut(p, now);
	else
		grow(p, now, in_flight, is_busy);
	if (may_lift(p, now))
		p->rate = p->knee = 0;
}

void pace_note_refused(struct pace *p, struct wall now, uint32_t in_flight, bool is_busy)
{
	int64_t pause_ms;

	p->overloaded = now;
	if (p->stale > 0) {
		p->stale--;
		return;
	}
	/* One alone that is refused still belongs to the overload that it followed. */
	if (p->pause_ms == 0 || borne(p, now) < p->rate)
		cut(p, now);
	p->stale = in_flight > 0 ? in_flight - 1 : 0;
	pause_ms = p->pause_ms > 0 ? 2 * p->pause_ms : 2 * MESSAGE / (int64_t)p->rate;
	pause_ms =
		greatest(pause_ms, at_least(p, is_busy ? SECOND_MS : IDLE_PAUSE_MS, PAUSE_REAL_MS));
	p->pause_ms = (int64_t)least(
		(uint64_t)pause_ms, (uint64_t)at_least(p, PAUSE_MAX_MS, PAUSE_MAX_REAL_MS));
	p->pause_end = wall_add(now, p->pause_ms);
}

void pace_note_other(struct pace *p, struct wall now)
{
	if (p->stale > 0)
		p->stale--;
	else if (p->pause_ms > 0)
		p->pause_end = wall_add(now, p->pause_ms);
}

bool pace_is_recovered(const struct pace *p)
{
	return p->rate == 0 || p->knee > 0;
}
