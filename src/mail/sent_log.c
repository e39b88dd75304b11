/*
 * sent_log - see mail/sent_log.h. The fields are taken in their order; the reply in parentheses, which may hold anything, comes
 * after all that is looked at.
 */
#include "mail/sent_log.h"

#define DOMAIN_MAX_BYTES 255
#define ADDRESS_MAX_BYTES 1024

static bool take_date(struct str *rest, struct sent_date *out);
static bool take_syslog_date(struct str *rest, struct sent_date *out);
static bool take_iso_date(struct str *rest, struct sent_date *out);
static bool take_zone(struct str *rest, struct sent_date *out);
static bool take_program(struct str *rest);
static bool take_recipient(struct str *rest, struct sent_line *out);
static bool is_sent(struct str rest, struct sent_line *out);
static bool is_near(struct str relay);

bool sent_log_read(struct str line, struct sent_line *out)
{
	*out = (struct sent_line){ .relay = STR("") };
	return take_date(&line, &out->date) && take_program(&line) && take_recipient(&line, out) &&
	       is_sent(line, out);
}

/* ---- dates ---- */

static bool take_char(struct str *rest, char c)
{
	if (rest->len == 0 || rest->data[0] != c)
		return false;
	*rest = str_slice(*rest, 1, rest->len);
	return true;
}

/* Exactly so many digits; a leading blank counts as a zero. */
static bool take_digits(struct str *rest, unsigned count, int *out)
{
	int value = 0;

	if (rest->len < count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		char c = rest->data[i];

		if (i == 0 && c == ' ')
			c = '0';
		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*rest = str_slice(*rest, count, rest->len);
	*out = value;
	return true;
}

static bool take_clock(struct str *rest, struct sent_date *out)
{
	return take_digits(rest, 2, &out->hour) && take_char(rest, ':') &&
	       take_digits(rest, 2, &out->minute) && take_char(rest, ':') &&
	       take_digits(rest, 2, &out->second);
}

static bool take_date(struct str *rest, struct sent_date *out)
{
	bool is_iso = rest->len > 4 && rest->data[4] == '-';
	bool is_read = is_iso ? take_iso_date(rest, out) : take_syslog_date(rest, out);

	return is_read && take_char(rest, ' ') && out->month >= 1 && out->month <= 12 &&
	       out->day >= 1 && out->day <= 31 && out->hour <= 23 && out->minute <= 59 &&
	       out->second <= 60;
}

static bool take_syslog_date(struct str *rest, struct sent_date *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12 && rest->len > 3; i++)
		if (str_equal(str_slice(*rest, 0, 3), str_of(names + 3 * i, 3)))
			out->month = i + 1;
	if (!out->month)
		return false;
	*rest = str_slice(*rest, 3, rest->len);
	return take_char(rest, ' ') && take_digits(rest, 2, &out->day) && take_char(rest, ' ') &&
	       take_clock(rest, out);
}

static bool take_iso_date(struct str *rest, struct sent_date *out)
{
	if (!take_digits(rest, 4, &out->year) || !take_char(rest, '-') ||
		!take_digits(rest, 2, &out->month) || !take_char(rest, '-') ||
		!take_digits(rest, 2, &out->day) ||
		!(take_char(rest, 'T') || take_char(rest, ' ')) || !take_clock(rest, out) ||
		out->year < 1970)
		return false;
	if (take_char(rest, '.') || take_char(rest, ','))
		while (rest->len && rest->data[0] >= '0' && rest->data[0] <= '9')
			*rest = str_slice(*rest, 1, rest->len);
	return take_zone(rest, out);
}

static bool take_zone(struct str *rest, struct sent_date *out)
{
	int hours, minutes;
	bool is_west = rest->len && rest->data[0] == '-';

	if (take_char(rest, 'Z')) {
		out->has_zone = true;
		return true;
	}
	if (!take_char(rest, '+') && !take_char(rest, '-'))
		return true;
	if (!take_digits(rest, 2, &hours) || hours > 23)
		return false;
	(void)take_char(rest, ':');
	if (!take_digits(rest, 2, &minutes) || minutes > 59)
		return false;
	out->has_zone = true;
	out->zone_minutes = (hours * 60 + minutes) * (is_west ? -1 : 1);
	return true;
}

int sent_date_year(const struct sent_date *date, int year, int month, int day)
{
	/* A day of grace for clocks; the exact length of months does not matter here. */
	int date_days = date->month * 31 + date->day, now_days = month * 31 + day;

	if (date->year)
		return date->year;
	if (date_days > now_days + 1)
		return year - 1;
	/* Mail of the coming year, seen on its eve from a slow clock. */
	return month == 12 && day == 31 && date->month == 1 && date->day == 1 ? year + 1 : year;
}

/* ---- the rest of the line ---- */

/* "host postfix/smtp[123]: 4Q0aB: " - any instance of Postfix, or another that logs alike; lmtp and local deliver here. */
static bool take_program(struct str *rest)
{
	(void)str_cut(rest, ' ');
	struct str program = str_cut(rest, ' ');
	size_t bracket = str_find(program, '[');

	if (!str_ends_fold(str_slice(program, 0, bracket), STR("/smtp")) ||
		!str_ends_fold(program, STR("]:")))
		return false;
	struct str id = str_cut(rest, ' ');
	return id.len > 1 && id.data[id.len - 1] == ':';
}

static bool take_recipient(struct str *rest, struct sent_line *out)
{
	size_t end = 4;

	if (!str_starts_fold(*rest, STR("to=<")))
		return false;
	/* A quoted local part may hold anything: the address ends where ">, " stands. */
	while (end + 2 < rest->len && !(rest->data[end] == '>' && rest->data[end + 1] == ',' &&
					      rest->data[end + 2] == ' '))
		end++;
	if (end + 2 >= rest->len)
		return false;
	out->address = str_slice(*rest, 4, end);
	*rest = str_slice(*rest, end + 3, rest->len);
	size_t at = out->address.len;
	while (at > 0 && out->address.data[at - 1] != '@')
		at--;
	out->domain = str_slice(out->address, at, out->address.len);
	return at > 1 && out->address.len <= ADDRESS_MAX_BYTES && out->domain.len > 0 &&
	       out->domain.len <= DOMAIN_MAX_BYTES && out->domain.data[0] != '[' &&
	       str_is_utf8(out->address) && str_find(out->address, '\0') == out->address.len;
}

/* "relay=..., delay=..., dsn=2.0.0, status=sent (...)" */
static bool is_sent(struct str rest, struct sent_line *out)
{
	bool has_dsn = false;

	while (rest.len) {
		struct str field = str_trim(str_cut(&rest, ','));

		if (str_starts_fold(field, STR("relay="))) {
			out->relay = str_slice(field, 6, field.len);
		} else if (str_starts_fold(field, STR("dsn="))) {
			has_dsn = str_starts_fold(field, STR("dsn=2."));
		} else if (str_starts_fold(field, STR("status="))) {
			out->is_near = is_near(out->relay);
			return has_dsn && out->relay.len > 0 &&
			       !str_equal(out->relay, STR("none")) &&
			       (str_equal(field, STR("status=sent")) ||
				       str_starts_fold(field, STR("status=sent ")));
		}
	}
	return false;
}

/* Loopback, private, link-local: a relay of one's own. */
static bool is_near(struct str relay)
{
	static const char *const starts[] = { "127.", "10.", "192.168.", "169.254.", "::1]", "fc",
		"fd", "fe80:", NULL };
	size_t open = str_find(relay, '[');
	struct str at = str_slice(relay, open + 1, relay.len);
	struct str second = at;
	uint64_t number;

	if (open == relay.len || str_find(at, '/') < at.len)
		return true; /* a socket, not an address */
	if (str_starts_fold(at, STR("IPv6:")))
		at = str_slice(at, 5, at.len);
	for (size_t i = 0; starts[i]; i++)
		if (str_starts_fold(at, str_from_c(starts[i])))
			return true;
	if (!str_equal(str_cut(&second, '.'), STR("172")))
		return false;
	return str_to_u64(str_cut(&second, '.'), &number) == OK && number >= 16 && number <= 31;
}
