/*
 * sent_log - a line of a mail log in Postfix's shape that says that mail was taken: by whom, for whom, when.
 *
 * "Jan 23 15:59:59 host postfix/smtp[123]: 4Q0aB: to=<u@libero.it>, relay=mx.libero.it[192.0.2.1]:25, ..., dsn=2.0.0,
 * status=sent (250 ok)". Dates of syslog (no year, local time) and RFC 3339 ones. Pure: what year and which zone a syslog date means is
 * for the caller, who has a clock. The line is data from outside: nothing of it is trusted.
 */
#ifndef MAIL_SENT_LOG_H
#define MAIL_SENT_LOG_H

#include <stdbool.h>

#include "base/str.h"

struct sent_date {
	int year;  /* 0: not said */
	int month; /* 1.. */
	int day, hour, minute, second;
	bool has_zone; /* else local time */
	int zone_minutes;
};

struct sent_line {
	struct sent_date date;
	struct str address, domain; /* borrowed from the line, as written */
	struct str relay;           /* "mx.libero.it[192.0.2.1]:25" */
	bool is_near; /* the relay is this machine or a private address: its yes says nothing of the domain */
};

/* sent_log_read - false for every other line: other programs, other results, nonsense. */
bool sent_log_read(struct str line, struct sent_line *out);
/* sent_date_year - of a date without one: the latest year in which it is not more than a day after (year, month, day). */
int sent_date_year(const struct sent_date *date, int year, int month, int day);

#endif
