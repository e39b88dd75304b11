/* test_pace - the shares refused and used at simulated sites of many capacities; growth, pauses, no limit in normal times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "queue/pace.h"

enum { WINDOW = 20, BINS_MAX = 2000 };
#define BIN_MS (10 * MINUTE_MS)

/* A site that takes so many messages a minute: counted by the minute of the clock, or with a second's slack. */
struct site {
	double capacity_per_min;
	double doubles_in_ms; /* 0: stays the same */
	bool is_by_minute;
	int64_t rtt_ms;
	/* state */
	int64_t minute, checked_ms;
	double taken, slack;
};

struct run {
	uint64_t attempts[BINS_MAX], refused[BINS_MAX];
	double offered[BINS_MAX];
};

static double capacity_at(const struct site *s, int64_t ms)
{
	double c = s->capacity_per_min;

	for (double t = (double)ms; s->doubles_in_ms > 0 && t >= s->doubles_in_ms;
		t -= s->doubles_in_ms)
		c *= 2;
	return c;
}

static bool takes(struct site *s, int64_t ms)
{
	double capacity = capacity_at(s, ms), slack_max = capacity / 60 > 2 ? capacity / 60 : 2;

	if (s->is_by_minute) {
		if (ms / MINUTE_MS != s->minute)
			s->taken = 0;
		s->minute = ms / MINUTE_MS;
		return ++s->taken <= capacity;
	}
	s->slack += capacity * (double)(ms - s->checked_ms) / (double)MINUTE_MS;
	s->checked_ms = ms;
	if (s->slack > slack_max)
		s->slack = slack_max;
	if (s->slack < 1)
		return false;
	s->slack -= 1;
	return true;
}

/* A backlog without end is offered at its pace, WINDOW at a time. */
static void play(struct site *s, struct pace *p, int64_t until_ms, struct run *r)
{
	struct {
		int64_t end_ms;
		bool is_taken;
	} flight[WINDOW];
	unsigned first = 0, count = 0;
	const int64_t base_ms = 1000000 * MINUTE_MS;

	*r = (struct run){ 0 };
	for (int64_t ms = 0; ms < until_ms;) {
		struct wall now = { base_ms + ms };
		int64_t next_ms = INT64_MAX;

		while (count > 0 && flight[first].end_ms <= ms) {
			if (flight[first].is_taken)
				pace_note_success(p, now, count, true, s->rtt_ms);
			else
				pace_note_refused(p, now, count, true);
			first = (first + 1) % WINDOW;
			count--;
		}
		while (count < WINDOW) {
			int64_t wait_ms = pace_wait_ms(p, now, count);

			if (wait_ms > 0) {
				if (wait_ms != INT64_MAX)
					next_ms = ms + wait_ms;
				break;
			}
			pace_note_start(p, now);
			bool is_taken = takes(s, ms);
			flight[(first + count) % WINDOW].end_ms = ms + s->rtt_ms;
			flight[(first + count) % WINDOW].is_taken = is_taken;
			count++;
			r->attempts[ms / BIN_MS]++;
			r->refused[ms / BIN_MS] += !is_taken;
		}
		if (count > 0 && flight[first].end_ms < next_ms)
			next_ms = flight[first].end_ms;
		assert_true(next_ms != INT64_MAX);
		ms = next_ms > ms ? next_ms : ms + 1;
	}
	for (int64_t bin = 0; bin < until_ms / BIN_MS; bin++)
		r->offered[bin] = capacity_at(s, bin * BIN_MS) * (double)BIN_MS / (double)MINUTE_MS;
}

struct shares {
	double refused, used, refused_worst;
};

/* Without the first ten minutes. In the worst ten minutes two refusals may always be: of ten attempts one is 10 %. */
static struct shares shares_of(const struct run *r, int64_t until_ms)
{
	struct shares s = { 0 };
	double attempts = 0, refused = 0, offered = 0;

	for (int64_t bin = 1; bin < until_ms / BIN_MS; bin++) {
		double share =
			r->attempts[bin] ? (double)r->refused[bin] / (double)r->attempts[bin] : 0;

		attempts += (double)r->attempts[bin];
		refused += (double)r->refused[bin];
		offered += r->offered[bin];
		if (r->refused[bin] > 2 && share > s.refused_worst)
			s.refused_worst = share;
	}
	s.refused = refused / attempts;
	s.used = (attempts - refused) / offered;
	return s;
}

static void check(const char *name, struct site *s, uint64_t learned, int64_t until_ms)
{
	static struct run r;
	struct pace p;

	pace_init(&p, learned, 1);
	pace_recover(&p, (struct wall){ 1000000 * MINUTE_MS });
	play(s, &p, until_ms, &r);

	struct shares shares = shares_of(&r, until_ms);

	printf("%-28s %8.0f/min %-9s refused %4.1f %%, worst 10 min %4.1f %%, used %5.1f %%\n",
		name, s->capacity_per_min, s->is_by_minute ? "by minute" : "by second",
		100 * shares.refused, 100 * shares.refused_worst, 100 * shares.used);
	assert_true(shares.refused <= 0.05);
	assert_true(shares.refused_worst <= 0.05);
	assert_true(shares.used >= 0.70);
}

static void test_pace_keeps_refusals_few_and_uses_what_is_there(void **state)
{
	static const double capacities[] = { 1, 3, 10, 60, 600, 6000, 18000 };
	(void)state;

	for (unsigned by_minute = 0; by_minute < 2; by_minute++) {
		for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
			int64_t until_ms = (capacities[i] < 100 ? 24 : 4) * HOUR_MS;
			uint64_t tenfold = (uint64_t)(capacities[i] * 10 * (double)PACE_MINUTE);

			struct site s = { .capacity_per_min = capacities[i],
				.is_by_minute = by_minute,
				.rtt_ms = 50 };
			check("nothing learned", &s, 0, until_ms);
			s = (struct site){ .capacity_per_min = capacities[i],
				.is_by_minute = by_minute,
				.rtt_ms = 50 };
			check("a tenth of what was learned", &s, tenfold, until_ms);
			s = (struct site){ .capacity_per_min = capacities[i],
				.is_by_minute = by_minute,
				.rtt_ms = 50 };
			check("ten times what was learned", &s, tenfold / 100, until_ms);
		}
	}
}

/* The site and the wire of a test run in real time: 60 and 600 messages a second, 5 ms for each. */
static void test_pace_keeps_refusals_few_on_a_fast_clock(void **state)
{
	static const int64_t rates[] = { 100, 1000, 15000 };
	static struct run r;
	(void)state;

	for (size_t i = 0; i < 2 * sizeof(rates) / sizeof(rates[0]); i++) {
		int64_t rate = rates[i / 2], until_ms = 60 * SECOND_MS * rate;
		struct site s = { .capacity_per_min = (i % 2 ? 36000.0 : 3600.0) / (double)rate,
			.rtt_ms = 5 * rate };
		struct pace p;

		pace_init(&p, 0, rate);
		pace_recover(&p, (struct wall){ 1000000 * MINUTE_MS });
		play(&s, &p, until_ms, &r);

		struct shares shares = shares_of(&r, until_ms);

		printf("clock %6lld, %5.0f a second    refused %4.1f %%, used %5.1f %%\n",
			(long long)rate, s.capacity_per_min * (double)rate / 60,
			100 * shares.refused, 100 * shares.used);
		assert_true(shares.refused <= 0.05);
		assert_true(shares.used >= 0.70);
	}
}

static void test_pace_pauses_for_a_while_of_real_time(void **state)
{
	struct wall now = { HOUR_MS };
	struct pace p;
	(void)state;

	pace_init(&p, 0, 1000);
	pace_note_refused(&p, now, 1, true);
	assert_int_equal(pace_wait_ms(&p, now, 0), 30 * SECOND_MS);
	pace_init(&p, 0, 1);
	pace_note_refused(&p, now, 1, false); /* nothing else waits */
	assert_int_equal(pace_wait_ms(&p, now, 0), 15 * SECOND_MS);
}

static void test_pace_follows_a_capacity_that_rises_over_days(void **state)
{
	static const double starts[] = { 2, 60, 600 };
	(void)state;

	for (unsigned by_minute = 0; by_minute < 2; by_minute++) {
		for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
			struct site s = { .capacity_per_min = starts[i],
				.doubles_in_ms = (double)DAY_MS / (starts[i] < 100 ? 1 : 4),
				.is_by_minute = by_minute,
				.rtt_ms = 80 };
			check("doubles each day or 6 h", &s, 0, (starts[i] < 100 ? 5 : 1) * DAY_MS);
		}
	}
}

static void test_pace_is_no_limit_in_normal_times(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	(void)state;

	pace_init(&p, 5 * PACE_SECOND, 1);
	assert_false(pace_is_limited(&p));
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(pace_wait_ms(&p, now, 20), 0);
		pace_note_start(&p, now);
		pace_note_success(&p, now, 20, true, 10);
		now.ms += i % 2;
	}
	assert_false(pace_is_limited(&p));
}

/* The limit that a recovery brought goes when it is not felt; that of an overload an hour later. */
static void test_pace_limit_ends(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	(void)state;

	pace_init(&p, 0, 1);
	pace_recover(&p, now);
	assert_true(pace_is_limited(&p));
	for (unsigned i = 0; i < 61; i++) {
		now.ms += SECOND_MS;
		assert_int_equal(pace_wait_ms(&p, now, 0), 0);
		pace_note_start(&p, now);
		pace_note_success(&p, now, 1, false, 10);
	}
	assert_false(pace_is_limited(&p));
	pace_note_refused(&p, now, 1, true);
	assert_true(pace_is_limited(&p));
	for (unsigned i = 0; i < 62; i++) {
		now.ms += MINUTE_MS;
		assert_true(i < 59 ? pace_is_limited(&p) : true);
		assert_int_equal(pace_wait_ms(&p, now, 0), 0);
		pace_note_start(&p, now);
		pace_note_success(&p, now, 1, false, 10);
	}
	assert_false(pace_is_limited(&p));
}

/* What was under way when it was cut says nothing new; then one alone, each time after twice the pause. */
static void test_pace_cuts_once_a_round_trip_and_tries_with_one(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	uint64_t rate;
	(void)state;

	pace_init(&p, 0, 1);
	for (unsigned i = 0; i < 1000; i++) { /* 100 a second */
		now.ms += 10;
		pace_note_success(&p, now, 10, true, 10);
	}
	pace_note_refused(&p, now, 10, true);
	rate = p.rate;
	assert_true(rate > 80 * PACE_SECOND && rate < 90 * PACE_SECOND);
	assert_true(p.learned > 95 * PACE_SECOND && p.learned < 105 * PACE_SECOND);
	for (uint32_t left = 9; left > 0; left--)
		pace_note_refused(&p, now, left, true);
	assert_true(p.rate == rate);
	assert_int_equal(pace_wait_ms(&p, now, 0), SECOND_MS);
	now.ms += SECOND_MS;
	assert_int_equal(pace_wait_ms(&p, now, 0), 0);
	pace_note_start(&p, now);
	assert_true(pace_wait_ms(&p, now, 1) == INT64_MAX);
	pace_note_refused(&p, now, 1, true);
	assert_int_equal(pace_wait_ms(&p, now, 0), 2 * SECOND_MS);
	now.ms += 2 * SECOND_MS;
	pace_note_success(&p, now, 1, true, 10);
	assert_true(pace_wait_ms(&p, now, 0) < SECOND_MS);
}

static void test_pace_cap_holds_and_learns_nothing(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	unsigned started = 0;
	(void)state;

	pace_init(&p, 0, 1);
	pace_set_cap(&p, 120);
	for (int64_t ms = 0; ms < HOUR_MS; ms += 100, now.ms += 100) {
		if (pace_wait_ms(&p, now, 0) > 0)
			continue;
		pace_note_start(&p, now);
		pace_note_success(&p, now, 1, true, 10);
		started++;
	}
	assert_in_range(started, 7190, 7210);
}

static void test_pace_takes_slow_answers_for_overload(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	uint64_t before;
	(void)state;

	pace_init(&p, 0, 1);
	pace_recover(&p, now);
	for (unsigned i = 0; i < 200; i++) {
		now.ms += SECOND_MS;
		p.tokens = 0;
		p.felt = now;
		pace_note_success(&p, now, 1, true, 100);
	}
	before = p.rate;
	for (unsigned i = 0; i < 60; i++) {
		now.ms += SECOND_MS;
		pace_note_success(&p, now, 1, true, 3000);
	}
	assert_true(p.rate < before);
}

static void test_pace_starts_a_recovery_with_a_few(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	unsigned at_once = 0;
	(void)state;

	pace_init(&p, 1000 * PACE_SECOND, 1);
	pace_recover(&p, now);
	while (pace_wait_ms(&p, now, at_once) == 0) {
		pace_note_start(&p, now);
		at_once++;
	}
	assert_in_range(at_once, 2, 5);
	assert_false(pace_is_recovered(&p));
}

/* Messages that start within ten seconds of a recovery at a site that takes all: so many under way at most, each for so long. */
static unsigned started_in_ten_seconds(unsigned window, unsigned trip_ms, uint64_t *rate)
{
	unsigned ends[1000] = { 0 }, count = 0;
	uint32_t in_flight = 0;
	struct wall now = { HOUR_MS };
	struct pace p;

	pace_init(&p, 0, 1);
	pace_recover(&p, now);
	for (int i = 0; i < 10 * SECOND_MS; i++, now.ms++) {
		for (unsigned *n = &ends[now.ms % 1000]; *n > 0; (*n)--, in_flight--)
			pace_note_success(&p, now, in_flight, true, trip_ms);
		for (; in_flight < window && pace_wait_ms(&p, now, in_flight) == 0; count++) {
			pace_note_start(&p, now);
			in_flight++;
			ends[(now.ms + trip_ms) % 1000]++;
		}
	}
	*rate = p.rate;
	return count;
}

static void test_pace_finds_a_quick_site_in_seconds_and_asks_for_no_more_than_it_feels(void **state)
{
	uint64_t rate;
	(void)state;

	assert_in_range(started_in_ten_seconds(20, 2, &rate), 20000, 100000);
	assert_in_range(rate, 5000 * PACE_SECOND, 40000 * PACE_SECOND);
	/* a slow one: once a round trip */
	assert_in_range(started_in_ten_seconds(1000, 900, &rate), 3, 2000);
	assert_in_range(rate, PACE_SECOND, 1024 * PACE_SECOND);
}

static void test_pace_starts_several_together(void **state)
{
	struct pace p;
	struct wall now = { HOUR_MS };
	unsigned looks = 0, count = 0;
	(void)state;

	pace_init(&p, 0, 1);
	pace_set_cap(&p, 6000);
	for (; now.ms < HOUR_MS + MINUTE_MS; looks++) {
		int64_t wait_ms = pace_wait_ms(&p, now, 0);

		if (wait_ms == 0) {
			pace_note_start(&p, now);
			count++;
		} else {
			/* one that ends meanwhile starts none */
			assert_true(pace_wait_ms(&p, wall_add(now, wait_ms - 1), 0) > 0);
			now = wall_add(now, wait_ms);
		}
	}
	assert_in_range(count, 5900, 6110);
	assert_in_range(looks - count, 1, count / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pace_keeps_refusals_few_and_uses_what_is_there),
		cmocka_unit_test(test_pace_keeps_refusals_few_on_a_fast_clock),
		cmocka_unit_test(test_pace_pauses_for_a_while_of_real_time),
		cmocka_unit_test(test_pace_follows_a_capacity_that_rises_over_days),
		cmocka_unit_test(test_pace_is_no_limit_in_normal_times),
		cmocka_unit_test(test_pace_limit_ends),
		cmocka_unit_test(test_pace_cuts_once_a_round_trip_and_tries_with_one),
		cmocka_unit_test(test_pace_cap_holds_and_learns_nothing),
		cmocka_unit_test(test_pace_takes_slow_answers_for_overload),
		cmocka_unit_test(test_pace_starts_a_recovery_with_a_few),
		cmocka_unit_test(
			test_pace_finds_a_quick_site_in_seconds_and_asks_for_no_more_than_it_feels),
		cmocka_unit_test(test_pace_starts_several_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
