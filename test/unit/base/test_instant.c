/* Dates and spans; the calendar against gmtime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/instant.h"
#include "base/rng.h"

static void test_instant_formats_known_dates(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *rfc5322, *iso;
	} rows[] = {
		{ 0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00.000Z" },
		{ 1674551700123, "Tue, 24 Jan 2023 09:15:00 +0000", "2023-01-24T09:15:00.123Z" },
		{ 951782399999, "Mon, 28 Feb 2000 23:59:59 +0000", "2000-02-28T23:59:59.999Z" },
		{ 951782400000, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00.000Z" },
		{ 4107542400000, "Mon, 1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00.000Z" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59.999Z" },
		{ INT64_MAX, "Sun, 17 Aug 292278994 07:12:55 +0000",
			"292278994-08-17T07:12:55.807Z" },
	};
	struct buf b;
	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		instant_format_rfc5322(&b, (struct wall){ rows[i].ms });
		assert_string_equal(buf_cstr(&b), rows[i].rfc5322);
		buf_clear(&b);
		instant_format_iso(&b, (struct wall){ rows[i].ms });
		assert_string_equal(buf_cstr(&b), rows[i].iso);
		buf_clear(&b);
	}
	buf_fini(&b);
}

static void test_instant_agrees_with_gmtime(void **state)
{
	(void)state;
	struct buf b;
	struct rng rng;
	buf_init(&b, 100);
	rng_init(&rng, 3);
	for (unsigned i = 0; i < 50000; i++) {
		/* years 0 to 9999 */
		time_t seconds = (time_t)rng_below(&rng, 315569520000) - 62167219200;
		struct tm tm;
		char expected[80];
		assert_non_null(gmtime_r(&seconds, &tm));
		strftime(expected, sizeof(expected), "%a, %e %b ", &tm);
		size_t skip = expected[5] == ' '; /* %e pads */
		char line[120];
		snprintf(line, sizeof(line), "%.5s%s%04d %02d:%02d:%02d +0000", expected,
			expected + 5 + skip, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		instant_format_rfc5322(&b, (struct wall){ seconds * 1000 });
		assert_string_equal(buf_cstr(&b), line);
		buf_clear(&b);
	}
	buf_fini(&b);
}

static void test_instant_formats_the_two_largest_units(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ 250, "250ms" },
		{ -1, "-1ms" },
		{ 45 * SECOND_MS + 999, "45s" },
		{ 90 * SECOND_MS, "1m 30s" },
		{ HOUR_MS, "1h" },
		{ HOUR_MS + 59 * SECOND_MS, "1h" },
		{ 3 * DAY_MS + 2 * HOUR_MS + 5 * MINUTE_MS, "3d 2h" },
		{ -3 * DAY_MS - HOUR_MS, "-3d 1h" },
		{ INT64_MIN, "-106751991167d 7h" },
	};
	struct buf b;
	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		instant_format_span(&b, rows[i].ms);
		assert_string_equal(buf_cstr(&b), rows[i].text);
		buf_clear(&b);
	}
	buf_fini(&b);
}

static void test_instant_parses_numbers_with_units(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		int64_t ms;
	} rows[] = {
		{ "90s", OK, 90 * SECOND_MS },
		{ "15m", OK, 15 * MINUTE_MS },
		{ "4h", OK, 4 * HOUR_MS },
		{ "14d", OK, 14 * DAY_MS },
		{ "2w", OK, 14 * DAY_MS },
		{ "250ms", OK, 250 },
		{ "0s", OK, 0 },
		{ "1d12h", OK, 36 * HOUR_MS },
		{ "1m1ms", OK, MINUTE_MS + 1 },
		{ "9223372036854775807ms", OK, INT64_MAX },
		{ "9223372036854775808ms", ERR_LIMIT, -1 },
		{ "9223372036854775807ms1ms", ERR_LIMIT, -1 },
		{ "99999999999999999999d", ERR_LIMIT, -1 },
		{ "15250284453w", ERR_LIMIT, -1 },
		{ "15250284453w!", ERR_SYNTAX, -1 },
		{ "", ERR_SYNTAX, -1 },
		{ "5", ERR_SYNTAX, -1 },
		{ "s", ERR_SYNTAX, -1 },
		{ "-5s", ERR_SYNTAX, -1 },
		{ "5 s", ERR_SYNTAX, -1 },
		{ "5y", ERR_SYNTAX, -1 },
		{ "5S", ERR_SYNTAX, -1 },
		{ "1.5h", ERR_SYNTAX, -1 },
		{ "1h30", ERR_SYNTAX, -1 },
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t ms = -1;
		assert_int_equal(instant_parse_span(str_from_c(rows[i].text), &ms), rows[i].err);
		assert_int_equal(ms, rows[i].ms);
	}
}

static void test_instant_parses_dates_of_rfc3339(void **state)
{
	static const struct {
		const char *text;
		enum err err;
		int64_t ms;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", OK, 0 },
		{ "1970-01-02T00:00:01.5z", OK, DAY_MS + 1500 },
		{ "2000-02-29t12:00:00.123456Z", OK, INT64_C(951825600123) },
		{ "2026-11-22T09:15:30Z", OK, INT64_C(1795338930000) },
		{ "2026-11-22T10:45:30+01:30", OK, INT64_C(1795338930000) },
		{ "2026-11-21T23:15:30-10:00", OK, INT64_C(1795338930000) },
		{ "2016-12-31T23:59:60Z", OK, INT64_C(1483228799000) },
		{ "9999-12-31T23:59:59Z", OK, INT64_C(253402300799000) },
		{ "1969-12-31T23:59:59Z", ERR_SYNTAX, 0 },
		{ "2026-02-29T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2100-02-29T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-13-01T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-00-01T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-01-00T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-01-01T24:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:60:00Z", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:61Z", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:00", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:00.Z", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:00+24:00", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:00+1:00", ERR_SYNTAX, 0 },
		{ "2026-01-01T00:00:00Zx", ERR_SYNTAX, 0 },
		{ "2026-01-01 00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026\r01-01T00:00:00Z", ERR_SYNTAX, 0 },
		{ "26-01-01T00:00:00Z", ERR_SYNTAX, 0 },
		{ "+026-01-01T00:00:00Z", ERR_SYNTAX, 0 },
		{ "2026-01-01", ERR_SYNTAX, 0 },
		{ "", ERR_SYNTAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct wall t = { -1 };

		if (instant_parse_iso(str_from_c(rows[i].text), &t) != rows[i].err)
			fail_msg("%s", rows[i].text);
		assert_int_equal(t.ms, rows[i].err == OK ? rows[i].ms : -1);
	}
}

/* What is written is read back, over all months and leap years. */
static void test_instant_reads_what_it_writes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	for (int64_t day = 0; day < 366 * 150; day += 13) {
		struct wall t = { day * DAY_MS + day % 86399999 }, back;

		buf_clear(&b);
		instant_format_iso(&b, t);
		assert_int_equal(instant_parse_iso(buf_str(&b), &back), OK);
		assert_int_equal(back.ms, t.ms);
	}
	buf_fini(&b);
}

static void test_instant_addition_saturates(void **state)
{
	(void)state;
	assert_int_equal(mono_add((struct mono){ 5 }, -7).ms, -2);
	assert_int_equal(mono_add((struct mono){ INT64_MAX - 1 }, 2).ms, MONO_NEVER.ms);
	assert_int_equal(wall_add(WALL_NEVER, DAY_MS).ms, WALL_NEVER.ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instant_formats_known_dates),
		cmocka_unit_test(test_instant_agrees_with_gmtime),
		cmocka_unit_test(test_instant_formats_the_two_largest_units),
		cmocka_unit_test(test_instant_parses_numbers_with_units),
		cmocka_unit_test(test_instant_parses_dates_of_rfc3339),
		cmocka_unit_test(test_instant_reads_what_it_writes),
		cmocka_unit_test(test_instant_addition_saturates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
