/*
 * log - from events to lines.
 *
 * Keys and program names are ours and go out as they are; every value may come from outside and is
 * escaped. A plain value is only as unambiguous as its alphabet: what outsiders word freely
 * belongs in a bracketed field or in the detail.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

enum { LOG_TEXT_BYTES = 2048 };

static void format_field(struct buf *out, const struct log_field *field);
static void append_bracketed(struct buf *out, struct str value);
static void append_json_member(struct buf *out, const char *key, struct str value);

void log_event(struct log *log, const struct log_event *event)
{
	if (event->level <= log->level)
		log->emit(log, event);
}

void log_text(struct log *log, enum log_level level, const char *program, const char *format, ...)
{
	if (level > log->level)
		return;
	char text[LOG_TEXT_BYTES]; /* what is longer is cut */
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	CHECK(n >= 0);
	size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
	struct log_event event = {
		.level = level, .program = program, .detail = str_of(text, len)
	};
	log_event(log, &event);
}

void log_format_text(struct buf *out, const struct log_event *event)
{
	if (event->id.len > 0) {
		buf_append_safe(out, event->id);
		buf_append_str(out, STR(": "));
	}
	const char *separator = "";
	for (size_t i = 0; i < event->field_count; i++) {
		if (event->fields[i].is_extra)
			continue;
		buf_append_str(out, str_from_c(separator));
		format_field(out, &event->fields[i]);
		separator = ", ";
	}
	if (event->detail.len > 0) {
		bool is_alone = event->field_count == 0;
		buf_append_str(out, is_alone ? STR("") : *separator ? STR(" (") : STR("("));
		buf_append_safe(out, event->detail);
		buf_append_str(out, is_alone ? STR("") : STR(")"));
		separator = " ";
	}
	for (size_t i = 0; i < event->field_count; i++) {
		if (!event->fields[i].is_extra)
			continue;
		buf_append_str(out, *separator ? STR(" ") : STR(""));
		format_field(out, &event->fields[i]);
		separator = " ";
	}
}

void log_format_json(struct buf *out, const struct log_event *event, struct wall at)
{
	buf_append_str(out, STR("{\"time\":\""));
	instant_format_iso(out, at);
	buf_append_char(out, '"');
	append_json_member(out, "level", str_from_c(log_level_name(event->level)));
	append_json_member(out, "program", str_from_c(event->program));
	if (event->id.len > 0)
		append_json_member(out, "id", event->id);
	for (size_t i = 0; i < event->field_count; i++)
		append_json_member(out, event->fields[i].key, event->fields[i].value);
	if (event->detail.len > 0)
		append_json_member(out, "detail", event->detail);
	buf_append_char(out, '}');
}

const char *log_level_name(enum log_level level)
{
	switch (level) {
	case LOG_ERROR:
		return "error";
	case LOG_WARNING:
		return "warning";
	case LOG_NOTICE:
		return "notice";
	case LOG_INFO:
		return "info";
	case LOG_DEBUG:
		return "debug";
	}
	return "unknown";
}

static void format_field(struct buf *out, const struct log_field *field)
{
	buf_append_str(out, str_from_c(field->key));
	buf_append_char(out, '=');
	switch (field->kind) {
	case LOG_PLAIN:
		buf_append_safe(out, field->value);
		break;
	case LOG_BRACKETED:
		append_bracketed(out, field->value);
		break;
	}
}

/* A quoted local part may hold '<' and '>'; bare ones would let a sender end the field early. */
static void append_bracketed(struct buf *out, struct str value)
{
	buf_append_char(out, '<');
	while (value.len > 0) {
		size_t plain = 0;
		while (plain < value.len && value.data[plain] != '<' && value.data[plain] != '>')
			plain++;
		buf_append_safe(out, str_slice(value, 0, plain));
		if (plain < value.len)
			buf_append_str(out, value.data[plain] == '<' ? STR("\\x3c") : STR("\\x3e"));
		value = str_slice(value, plain + 1, value.len);
	}
	buf_append_char(out, '>');
}

static void append_json_member(struct buf *out, const char *key, struct str value)
{
	buf_append_char(out, ',');
	buf_append_json(out, str_from_c(key));
	buf_append_char(out, ':');
	buf_append_json(out, value);
}
