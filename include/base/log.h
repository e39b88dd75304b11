/*
 * log - one event, one line. The program text of the event is the contract with log readers.
 *
 * An event carries fields in order; the text form is Postfix's line shape, so that pflogsumm and its
 * friends read it:  PROGRAM: ID: key=value, key=<value> (detail) extra=...
 * The JSON form is one object: {"time":..,"level":..,"program":..,"id":..,fields..,"detail":..}.
 * Values are escaped here, whatever they hold (RELIABILITY row 45). Where lines go is the sink's affair:
 * a sink may drop lines (it counts them) but must not block. Thread: any, when the sink says so.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

enum log_field_kind {
	LOG_PLAIN,    /* key=value */
	LOG_BRACKETED /* key=<value>: addresses and message ids */
};

struct log_field {
	const char *key;
	struct str value;
	enum log_field_kind kind;
	bool is_extra; /* printed after the closing parenthesis: our own additions to Postfix's shape */
};

struct log_event {
	enum log_level level;
	const char *program; /* "smtpd", "cleanup", "qmgr", "smtp", "bounce", "outlastd" */
	struct str id;       /* queue id, or empty */
	const struct log_field *fields;
	size_t field_count;
	struct str
		detail; /* shown in parentheses after the fields; alone when there are no fields */
};

struct log {
	enum log_level level; /* events above it are not formatted */
	void (*emit)(struct log *log, const struct log_event *event); /* sink */
};

void log_event(struct log *log, const struct log_event *event);
/* log_text - an event with only a detail. */
void log_text(struct log *log, enum log_level level, const char *program, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Formatters for sinks. Neither appends a newline. Text: after "tag/program[pid]: ", which is the sink's. */
void log_format_text(struct buf *out, const struct log_event *event);
void log_format_json(struct buf *out, const struct log_event *event, struct wall at);
const char *log_level_name(enum log_level level);

#endif
