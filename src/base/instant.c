/*
 * instant - dates for mail and logs, spans for people and configuration.
 *
 * Dates are computed here, not by gmtime and strftime: they must not depend on locale or time zone
 * and must hold for any int64_t. Parsing fails on anything but numbers with units.
 */
#include "base/instant.h"

#include "base/buf.h"
#include "base/check.h"

struct civil {
	int64_t year;
	int month, day; /* from 1 */
	int weekday;    /* 0: Sunday */
	int hour, minute, second, ms;
};

struct unit {
	struct str name;
	int64_t ms;
};

/* "ms" stands before "m": the first name that fits is taken. */
static const struct unit units[] = {
	{ { "ms", 2 }, 1 },
	{ { "s", 1 }, SECOND_MS },
	{ { "m", 1 }, MINUTE_MS },
	{ { "h", 1 }, HOUR_MS },
	{ { "d", 1 }, DAY_MS },
	{ { "w", 1 }, 7 * DAY_MS },
};

static void append_part(struct buf *out, struct str before, int number, unsigned digits_min);
static void append_year(struct buf *out, int64_t year);
static struct civil civil_of(struct wall t);
static int64_t divide_down(int64_t a, int64_t b);
static enum err parse_part(struct str *rest, uint64_t *out_ms);

void instant_format_rfc5322(struct buf *out, struct wall t)
{
	static const char weekdays[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct civil c = civil_of(t);
	buf_append(out, weekdays[c.weekday], 3);
	append_part(out, STR(", "), c.day, 1);
	buf_append_char(out, ' ');
	buf_append(out, months[c.month - 1], 3);
	buf_append_char(out, ' ');
	append_year(out, c.year);
	append_part(out, STR(" "), c.hour, 2);
	append_part(out, STR(":"), c.minute, 2);
	append_part(out, STR(":"), c.second, 2);
	buf_append_str(out, STR(" +0000"));
}

void instant_format_iso(struct buf *out, struct wall t)
{
	struct civil c = civil_of(t);
	append_year(out, c.year);
	append_part(out, STR("-"), c.month, 2);
	append_part(out, STR("-"), c.day, 2);
	append_part(out, STR("T"), c.hour, 2);
	append_part(out, STR(":"), c.minute, 2);
	append_part(out, STR(":"), c.second, 2);
	append_part(out, STR("."), c.ms, 3);
	buf_append_char(out, 'Z');
}

void instant_format_span(struct buf *out, int64_t span_ms)
{
	static const struct {
		uint64_t ms;
		const char *name;
	} shown[] = { { DAY_MS, "d" }, { HOUR_MS, "h" }, { MINUTE_MS, "m" }, { SECOND_MS, "s" } };
	const char *sign = span_ms < 0 ? "-" : "";
	uint64_t left = span_ms < 0 ? -(uint64_t)span_ms : (uint64_t)span_ms;
	for (size_t i = 0; i < ARRAY_COUNT(shown); i++) {
		if (left < shown[i].ms)
			continue;
		unsigned long long large = left / shown[i].ms;
		bool has_small = i + 1 < ARRAY_COUNT(shown);
		unsigned long long small = has_small ? left % shown[i].ms / shown[i + 1].ms : 0;
		if (small > 0)
			buf_printf(out, "%s%llu%s %llu%s", sign, large, shown[i].name, small,
				shown[i + 1].name);
		else
			buf_printf(out, "%s%llu%s", sign, large, shown[i].name);
		return;
	}
	buf_printf(out, "%s%llu%s", sign, (unsigned long long)left, left > 0 ? "ms" : "s");
}

/* Exactly count digits, and then what must follow them. */
static bool take_digits(struct str *rest, size_t count, const char *after, int *out)
{
	uint64_t value;

	if (str_to_u64(str_slice(*rest, 0, count), &value) != OK || rest->len < count)
		return false;
	*out = (int)value;
	*rest = str_slice(*rest, count, rest->len);
	if (after[0] == '\0')
		return true;
	if (!str_equal_fold(str_slice(*rest, 0, 1), str_of(after, 1)))
		return false;
	*rest = str_slice(*rest, 1, rest->len);
	return true;
}

/* ".5" and the like; what is beyond milliseconds is dropped. */
static bool take_fraction(struct str *rest, int *out_ms)
{
	size_t digits = 0;
	int ms = 0;

	*out_ms = 0;
	if (rest->len == 0 || rest->data[0] != '.')
		return true;
	*rest = str_slice(*rest, 1, rest->len);
	for (; digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9'; digits++)
		if (digits < 3)
			ms = ms * 10 + (rest->data[digits] - '0');
	for (size_t i = digits; i < 3; i++)
		ms *= 10;
	*rest = str_slice(*rest, digits, rest->len);
	*out_ms = ms;
	return digits > 0;
}

/* Minutes east of UTC, up to the end of the text. */
static bool take_zone(struct str *rest, int *out_minutes)
{
	int hours, minutes;
	char sign = rest->len > 0 ? rest->data[0] : '\0';

	*rest = str_slice(*rest, 1, rest->len);
	*out_minutes = 0;
	if (sign == 'Z' || sign == 'z')
		return rest->len == 0;
	if ((sign != '+' && sign != '-') || !take_digits(rest, 2, ":", &hours) ||
		!take_digits(rest, 2, "", &minutes) || hours > 23 || minutes > 59)
		return false;
	*out_minutes = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
	return rest->len == 0;
}

static int days_in(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

/* The way back of civil_of. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t from_march = month > 2 ? month - 3 : month + 9;
	int64_t y = month > 2 ? year : year - 1; /* never negative here */

	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * from_march + 2) / 5 + day - 1 - 719468;
}

enum err instant_parse_iso(struct str text, struct wall *out)
{
	int year, month, day, hour, minute, second, ms, zone;

	if (!take_digits(&text, 4, "-", &year) || !take_digits(&text, 2, "-", &month) ||
		!take_digits(&text, 2, "T", &day) || !take_digits(&text, 2, ":", &hour) ||
		!take_digits(&text, 2, ":", &minute) || !take_digits(&text, 2, "", &second) ||
		!take_fraction(&text, &ms) || !take_zone(&text, &zone))
		return ERR_SYNTAX;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
		hour > 23 || minute > 59 || second > 60)
		return ERR_SYNTAX;
	second -= second == 60;
	out->ms = days_of(year, month, day) * DAY_MS + hour * HOUR_MS + (minute - zone) * MINUTE_MS +
		  second * SECOND_MS + ms;
	return OK;
}

enum err instant_parse_span(struct str text, int64_t *out_ms)
{
	uint64_t total = 0;
	bool is_over = false;
	if (text.len == 0)
		return ERR_SYNTAX;
	while (text.len > 0) {
		uint64_t part_ms = 0;
		enum err err = parse_part(&text, &part_ms);
		if (err == ERR_SYNTAX)
			return err;
		if (err != OK || part_ms > (uint64_t)INT64_MAX - total)
			is_over = true; /* read on: what follows may be a syntax error */
		else
			total += part_ms;
	}
	if (is_over)
		return ERR_LIMIT;
	*out_ms = (int64_t)total;
	return OK;
}

static void append_part(struct buf *out, struct str before, int number, unsigned digits_min)
{
	buf_append_str(out, before);
	buf_append_number(out, (uint64_t)number, digits_min);
}

static void append_year(struct buf *out, int64_t year)
{
	if (year < 0)
		buf_append_char(out, '-');
	buf_append_number(out, (uint64_t)(year < 0 ? -year : year), year < 0 ? 3 : 4);
}

/*
 * The calendar repeats every 400 years (146097 days). Years are counted from 1 March, so that the
 * leap day is the last of its year and the months before it have fixed lengths: 153 days in five
 * months.
 */
static struct civil civil_of(struct wall t)
{
	int64_t days = divide_down(t.ms, DAY_MS);
	int64_t in_day = t.ms - days * DAY_MS;
	int64_t from_march = days + 719468; /* 0000-03-01 to 1970-01-01 */
	int64_t era = divide_down(from_march, 146097);
	int64_t in_era = from_march - era * 146097;
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153; /* 0: March */
	bool is_next_year = month >= 10;
	return (struct civil){
		.year = era * 400 + year + (is_next_year ? 1 : 0),
		.month = (int)(is_next_year ? month - 9 : month + 3),
		.day = (int)(in_year - (153 * month + 2) / 5 + 1),
		.weekday =
			(int)(days + 4 - 7 * divide_down(days + 4, 7)), /* day 0 was a Thursday */
		.hour = (int)(in_day / HOUR_MS),
		.minute = (int)(in_day / MINUTE_MS % 60),
		.second = (int)(in_day / SECOND_MS % 60),
		.ms = (int)(in_day % SECOND_MS),
	};
}

static int64_t divide_down(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

static enum err parse_part(struct str *rest, uint64_t *out_ms)
{
	size_t digits = 0;
	while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9')
		digits++;
	uint64_t number = 0;
	enum err err = str_to_u64(str_slice(*rest, 0, digits), &number);
	if (err == ERR_SYNTAX)
		return err;
	*rest = str_slice(*rest, digits, rest->len);
	for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
		struct str name = units[i].name;
		if (!str_equal(str_slice(*rest, 0, name.len), name))
			continue;
		*rest = str_slice(*rest, name.len, rest->len);
		if (err != OK || number > (uint64_t)INT64_MAX / (uint64_t)units[i].ms)
			return ERR_LIMIT;
		*out_ms = number * (uint64_t)units[i].ms;
		return OK;
	}
	return ERR_SYNTAX;
}
