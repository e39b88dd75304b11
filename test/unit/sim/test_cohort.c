/* test_cohort - the estimate: against arithmetic where there is some, and against the relay itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/simulate.h"

static void make_shape(struct sim_shape *s)
{
	sim_shape_default(s);
	s->messages = 20000;
	s->mailboxes = 1000;
	s->senders = 100;
	s->others_per_day = 2000;
	s->connections = 4;
	s->outage_ms = 30 * HOUR_MS;
}

static void estimate(const struct sim_shape *s, struct sim_report *r)
{
	struct conf *conf = conf_default();

	sim_estimate(s, conf, 1, r);
	assert_true(r->is_estimate);
	conf_unref(conf);
}

static void assert_near(double got, double wanted, double part)
{
	if (got < wanted * (1 - part) || got > wanted * (1 + part))
		fail_msg("%f is not near %f", got, wanted);
}

/* What waits leaves at the rate of the connections, less what comes in. */
static void test_arithmetic(void **state)
{
	struct sim_shape s;
	struct sim_report r;
	double rate, comes;
	(void)state;

	make_shape(&s);
	estimate(&s, &r);
	rate = 4 * 1000.0 / (4 * 20 + 4 * 10 + 1);
	comes = 20000.0 / (30 * 3600);
	assert_near((double)r.peak_backlog, 20000, 0.02);
	assert_near(r.best_per_s, rate, 0.02);
	assert_near((double)(r.drain_ms - r.first_ms) / 1000,
		(double)r.peak_backlog / (rate - comes), 0.05);
	assert_int_equal(r.expired, 0);
	assert_int_equal(r.queued, 0);
	assert_int_equal(r.accepted, r.delivered);
	assert_true(r.first_ms >= 0 && r.first_ms <= 10 * MINUTE_MS + 30 * SECOND_MS);
	assert_true(r.probe_gap_ms > 5 * MINUTE_MS && r.probe_gap_ms <= 10 * MINUTE_MS + SECOND_MS);
	assert_near((double)r.peak_disk_bytes,
		(double)r.peak_backlog * (double)sim_disk_bytes(10240), 0.01);
	sim_report_fini(&r);
}

/* The whole of January 2023, in a second: nothing is lost. */
static void test_whole_size(void **state)
{
	struct sim_shape s;
	struct sim_report r;
	(void)state;

	sim_shape_default(&s);
	estimate(&s, &r);
	assert_near((double)r.peak_backlog, 50e6, 0.02);
	assert_int_equal(r.expired, 0);
	assert_int_equal(r.queued, 0);
	assert_true(r.drain_ms > 0 && r.point_count > 100);
	sim_report_fini(&r);
}

static void test_lifetimes(void **state)
{
	struct sim_shape s;
	struct sim_report r;
	(void)state;

	make_shape(&s);
	s.outage_ms = 20 * DAY_MS; /* longer than lifetime: credited */
	estimate(&s, &r);
	assert_int_equal(r.expired, 0);
	sim_report_fini(&r);

	s.is_unknown = true; /* no credit: what is older than 14 days at the end */
	estimate(&s, &r);
	assert_near((double)r.expired, 20000 * 6 / 20.0, 0.05);
	assert_int_equal(r.accepted, r.delivered + r.expired);
	sim_report_fini(&r);

	s.is_unknown = false;
	s.outage_ms = 40 * DAY_MS; /* longer than lifetime-max */
	estimate(&s, &r);
	assert_near((double)r.expired, 20000 * 10 / 40.0, 0.05);
	sim_report_fini(&r);
}

/* Today's queue: 25 days away, 10,000 waiting; after 10 days more the first half of them is too old. */
static void test_queue_of_today(void **state)
{
	struct sim_shape s;
	struct sim_report r;
	(void)state;

	make_shape(&s);
	s.is_live = true;
	s.messages = 0;
	s.backlog = 10000;
	s.backlog_age_ms = s.away_ms = 25 * DAY_MS;
	s.outage_ms = 10 * DAY_MS;
	estimate(&s, &r);
	assert_near((double)r.accepted, 10000, 0.001);
	assert_near((double)r.expired, 10000 * 5 / 25.0, 0.03);
	assert_int_equal(r.queued, 0);
	assert_true(r.first_ms <= 10 * MINUTE_MS + 30 * SECOND_MS);
	sim_report_fini(&r);

	s.away_ms = 0; /* up until now, with nothing waiting and nothing coming */
	s.backlog = 0;
	s.backlog_age_ms = 0;
	estimate(&s, &r);
	assert_int_equal(r.accepted, 0);
	assert_int_equal(r.peak_backlog, 0);
	sim_report_fini(&r);
}

static void empty(const char *directory)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm",
		"queue.db.journal", "lock", "reserve" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(directory), 0);
}

/* 5 %, as doc/scale.md says of the sizes for which both can be had. */
static void test_agrees_with_the_relay(void **state)
{
	static const struct {
		uint32_t connections;
		int64_t think_ms;
		uint64_t messages;
	} cases[] = { { 1, 10, 3000 }, { 6, 50, 6000 } };
	struct conf *conf = conf_default();
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char directory[64];
		struct sim_row rows[SIM_ROWS_MAX], others[SIM_ROWS_MAX];
		struct sim_report exact, guess;
		struct sim_shape s;
		struct buf message;

		make_shape(&s);
		s.messages = cases[i].messages;
		s.connections = cases[i].connections;
		s.think_ms = cases[i].think_ms;
		(void)snprintf(directory, sizeof(directory), "%s/outlast-test-cohort-XXXXXX",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
		assert_non_null(mkdtemp(directory));
		buf_init(&message, 4096);
		assert_true(sim_exact(&s, conf, 1, directory, &exact, &message));
		empty(directory);
		sim_estimate(&s, conf, 1, &guess);
		assert_int_equal(exact.queued, 0);
		uint32_t count = sim_report_rows(&exact, rows);

		assert_int_equal(sim_report_rows(&guess, others), count);
		for (uint32_t k = 0; k < count; k++)
			if (rows[k].is_compared && sim_rows_differ(&rows[k], &others[k]) > 0.05)
				fail_msg("%u connections: %s: exactly %f, estimated %f",
					cases[i].connections, rows[k].what, rows[k].value,
					others[k].value);
		assert_true(exact.first_ms <= guess.probe_gap_ms + 30 * SECOND_MS);
		sim_report_fini(&exact);
		sim_report_fini(&guess);
		buf_fini(&message);
	}
	conf_unref(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_whole_size),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_queue_of_today),
		cmocka_unit_test(test_agrees_with_the_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
