/* Lines of mail logs: which say that a domain took mail, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "mail/sent_log.h"

#define SYSLOG "Jan 23 15:59:58 mail postfix/smtp[123]: 4Q0aB3: "
#define TAIL                                                                                       \
	"relay=mx.libero.it[192.0.2.1]:25, delay=1.2, delays=0/0/1/0.2, dsn=2.0.0, status=sent "   \
	"(250 ok)"

static void test_read_takes_what_was_sent(void **state)
{
	static const struct {
		const char *line, *address, *domain;
		bool is_near;
	} cases[] = {
		{ SYSLOG "to=<u@libero.it>, " TAIL, "u@libero.it", "libero.it", false },
		{ "Jan  3 15:59:58 mail postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL, "u@a.test",
			"a.test", false },
		{ "2023-01-23T15:59:58.123456+01:00 mail postfix-out/smtp[1]: 4Q: "
		  "to=<u@a.test>, " TAIL,
			"u@a.test", "a.test", false },
		{ "2023-01-23 15:59:58Z mail outlast/smtp[1]: 0ABC: to=<u@a.test>, " TAIL,
			"u@a.test", "a.test", false },
		{ SYSLOG "to=<u@a.test>, orig_to=<root>, " TAIL, "u@a.test", "a.test", false },
		{ SYSLOG "to=<\"a>b, c@d\"@a.test>, " TAIL, "\"a>b, c@d\"@a.test", "a.test",
			false },
		{ SYSLOG "to=<u@a.test>, relay=127.0.0.1[127.0.0.1]:2525, dsn=2.0.0, status=sent "
			 "(250)",
			"u@a.test", "a.test", true },
		{ SYSLOG "to=<u@a.test>, relay=r[172.16.9.9]:25, dsn=2.0.0, status=sent (250)",
			"u@a.test", "a.test", true },
		{ SYSLOG "to=<u@a.test>, relay=r[172.32.9.9]:25, dsn=2.0.0, status=sent (250)",
			"u@a.test", "a.test", false },
		{ SYSLOG "to=<u@a.test>, relay=r[fd00::1]:25, dsn=2.0.0, status=sent (250)",
			"u@a.test", "a.test", true },
		{ SYSLOG "to=<u@a.test>, relay=host[private/scan], dsn=2.0.0, status=sent (250)",
			"u@a.test", "a.test", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct sent_line got;

		assert_true(sent_log_read(str_from_c(cases[i].line), &got));
		assert_true(str_equal(got.address, str_from_c(cases[i].address)));
		assert_true(str_equal(got.domain, str_from_c(cases[i].domain)));
		assert_int_equal(got.is_near, cases[i].is_near);
	}
}

static void test_read_ignores_all_other_lines(void **state)
{
	static const char *const lines[] = {
		"",
		"Jan",
		"nonsense",
		"Jan 23 15:59:58 mail kernel: to=<u@a.test>, " TAIL,
		"Jan 23 15:59:58 mail postfix/lmtp[1]: 4Q: to=<u@a.test>, " TAIL,
		"Jan 23 15:59:58 mail postfix/smtpd[1]: 4Q: to=<u@a.test>, " TAIL,
		"Jan 23 15:59:58 mail postfix/smtp[1]: to=<u@a.test>, " TAIL,
		"Jax 23 15:59:58 mail postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL,
		"Jan 32 15:59:58 mail postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL,
		"Jan 23 25:59:58 mail postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL,
		"0000-01-23T15:59:58Z mail postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL,
		SYSLOG "to=<u@a.test>, relay=mx[192.0.2.1]:25, dsn=4.4.1, status=deferred (sent)",
		SYSLOG "to=<u@a.test>, relay=mx[192.0.2.1]:25, dsn=5.1.1, status=bounced "
		       "(dsn=2.0.0, status=sent (250))",
		SYSLOG "to=<u@a.test>, relay=none, dsn=2.0.0, status=sent (250)",
		SYSLOG "to=<u@a.test>, dsn=2.0.0, status=sent (250)",
		SYSLOG "to=<u@a.test>, relay=mx[192.0.2.1]:25, status=sent (250)",
		SYSLOG "to=<u@a.test>, relay=mx[192.0.2.1]:25, dsn=2.0.0, status=sentinel",
		SYSLOG "to=<root>, " TAIL,
		SYSLOG "to=<@a.test>, " TAIL,
		SYSLOG "to=<u@>, " TAIL,
		SYSLOG "to=<u@[192.0.2.1]>, " TAIL,
		SYSLOG "to=<u@\xff.test>, " TAIL,
		SYSLOG "to=<u@a.test",
		SYSLOG "host said: to=<u@a.test>, " TAIL,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
		struct sent_line got;

		assert_false(sent_log_read(str_from_c(lines[i]), &got));
	}
}

static void test_read_ignores_lines_that_were_cut(void **state)
{
	struct str good = STR(SYSLOG "to=<u@libero.it>, " TAIL);
	struct sent_line got;

	(void)state;
	for (size_t len = 0; len < good.len - strlen(" (250 ok)"); len++)
		assert_false(sent_log_read(str_slice(good, 0, len), &got));
}

static void test_read_takes_the_date_apart(void **state)
{
	struct sent_line got;

	(void)state;
	assert_true(sent_log_read(
		STR("2023-01-23T15:59:58.5-02:30 m postfix/smtp[1]: 4Q: to=<u@a.test>, " TAIL),
		&got));
	assert_int_equal(got.date.year, 2023);
	assert_int_equal(got.date.hour, 15);
	assert_true(got.date.has_zone);
	assert_int_equal(got.date.zone_minutes, -150);
	assert_true(sent_log_read(STR(SYSLOG "to=<u@a.test>, " TAIL), &got));
	assert_int_equal(got.date.year, 0);
	assert_int_equal(got.date.month, 1);
	assert_int_equal(got.date.day, 23);
	assert_int_equal(got.date.second, 58);
	assert_false(got.date.has_zone);
}

static void test_year_is_the_latest_that_is_not_ahead(void **state)
{
	static const struct {
		int month, day, now_month, now_day, year;
	} cases[] = {
		{ 1, 23, 1, 23, 2024 },
		{ 1, 23, 1, 22, 2024 },
		{ 1, 24, 1, 22, 2023 },
		{ 12, 31, 1, 1, 2023 },
		{ 12, 31, 12, 31, 2024 },
		{ 1, 1, 12, 31, 2025 },
		{ 1, 1, 12, 30, 2024 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct sent_date date = { .month = cases[i].month, .day = cases[i].day };

		assert_int_equal(sent_date_year(&date, 2024, cases[i].now_month, cases[i].now_day),
			cases[i].year);
		date.year = 1999;
		assert_int_equal(sent_date_year(&date, 2024, 6, 6), 1999);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_takes_what_was_sent),
		cmocka_unit_test(test_read_ignores_all_other_lines),
		cmocka_unit_test(test_read_ignores_lines_that_were_cut),
		cmocka_unit_test(test_read_takes_the_date_apart),
		cmocka_unit_test(test_year_is_the_latest_that_is_not_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
