/*
 * shape - a scenario in numbers, for worlds that are too large to be written down: see sim/simulate.h.
 *
 * A file is a shape when it has `shape` lines: "shape KEY VALUE...", in which # begins a comment. What is not said is as in
 * January 2023 (sim_shape_default). Errors: a file that cannot be read, an unknown word, a value that is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "sim/simulate.h"

#define FILE_MAX (1u << 20)
#define COUNT_MAX UINT64_C(10000000000)
#define SPAN_MAX_MS (400 * DAY_MS)
#define CONNECTIONS_MAX 100000
#define SIZE_MAX_BYTES (100u << 20)
#define DELAY_MAX_MS (10 * MINUTE_MS)

void sim_shape_default(struct sim_shape *s)
{
	*s = (struct sim_shape){
		.about = "Libero Mail, 23 to 28 January 2023",
		.name = "libero",
		.mailboxes = 9000000,
		.messages = 50000000,
		.others_per_day = 10000000,
		.senders = 1000000,
		.size_bytes = 10240,
		.outage_ms = 140 * HOUR_MS,
		.connections = 100,
		.latency_ms = 20,
		.think_ms = 10,
	};
}

/* "50000000", "50M", "9k": decimal units, as people count messages. */
static bool read_count(struct str text, uint64_t *out)
{
	uint64_t unit = 1, n;

	if (text.len > 1) {
		char last = text.data[text.len - 1];

		unit = last == 'k' || last == 'K' ? 1000 : last == 'M' ? 1000000 : 1;
		if (unit > 1)
			text = str_slice(text, 0, text.len - 1);
	}
	if (str_to_u64(text, &n) != OK || n > COUNT_MAX / unit)
		return false;
	*out = n * unit;
	return true;
}

/* "10K" of size: 1,024 octets. */
static bool read_size(struct str text, uint32_t *out)
{
	uint64_t unit = 1, n;

	if (text.len > 1) {
		char last = text.data[text.len - 1];

		unit = last == 'k' || last == 'K' ? 1024 : last == 'M' ? 1 << 20 : 1;
		if (unit > 1)
			text = str_slice(text, 0, text.len - 1);
	}
	if (str_to_u64(text, &n) != OK || n > SIZE_MAX_BYTES / unit)
		return false;
	*out = (uint32_t)(n * unit);
	return true;
}

static bool read_span(struct str text, int64_t max_ms, int64_t *out)
{
	int64_t ms;

	if (str_equal(text, STR("0")))
		ms = 0;
	else if (instant_parse_span(text, &ms) != OK || ms < 0 || ms > max_ms)
		return false;
	*out = ms;
	return true;
}

static bool set_text(char *out, size_t room, struct str value)
{
	if (value.len == 0 || value.len >= room)
		return false;
	memcpy(out, value.data, value.len);
	out[value.len] = '\0';
	return true;
}

bool sim_shape_set(struct sim_shape *s, struct str key, struct str value, const char **why)
{
	uint64_t n = 0;

	*why = "the value must be a number, like 500000 or 50M";
	if (str_equal(key, STR("mailboxes")))
		return read_count(value, &s->mailboxes) && s->mailboxes > 0;
	if (str_equal(key, STR("messages")))
		return read_count(value, &s->messages);
	if (str_equal(key, STR("others")))
		return read_count(value, &s->others_per_day);
	if (str_equal(key, STR("senders")))
		return read_count(value, &s->senders) && s->senders > 0;
	if (str_equal(key, STR("backlog")))
		return read_count(value, &s->backlog);
	if (str_equal(key, STR("connections"))) {
		bool is_good = read_count(value, &n) && n > 0 && n <= CONNECTIONS_MAX;

		s->connections = is_good ? (uint32_t)n : s->connections;
		return is_good;
	}
	*why = "the value must be a time, like 140h or 6d";
	if (str_equal(key, STR("outage")))
		return read_span(value, SPAN_MAX_MS, &s->outage_ms);
	if (str_equal(key, STR("latency")))
		return read_span(value, DELAY_MAX_MS, &s->latency_ms);
	if (str_equal(key, STR("think")))
		return read_span(value, DELAY_MAX_MS, &s->think_ms);
	*why = "the value must be a size, like 10K";
	if (str_equal(key, STR("size")))
		return read_size(value, &s->size_bytes);
	*why = "the name is too long";
	if (str_equal(key, STR("name")))
		return set_text(s->name, sizeof(s->name), value);
	*why = "a shape has name, mailboxes, messages, outage, others, size, senders, backlog, "
	       "connections, latency and think";
	return false;
}

/* shape KEY VALUE [KEY VALUE]... */
static bool read_line(struct sim_shape *s, struct str line, unsigned number, const char *file,
	struct buf *message)
{
	while (str_trim(line).len > 0) {
		const char *why;
		struct str key, value;

		line = str_trim(line);
		key = str_cut(&line, ' ');
		line = str_trim(line);
		value = str_cut(&line, ' ');
		if (!sim_shape_set(s, key, value, &why)) {
			buf_printf(message, "%s:%u: ", file, number);
			buf_append_safe(message, key);
			buf_printf(message, ": %s", why);
			return false;
		}
	}
	return true;
}

static bool read_text(
	struct sim_shape *s, struct str text, const char *file, bool *is_shape, struct buf *message)
{
	for (unsigned number = 1; text.len > 0; number++) {
		struct str line = str_cut(&text, '\n'), word;

		line = str_trim(str_cut(&line, '#'));
		word = str_cut(&line, ' ');
		if (str_equal(word, STR("about"))) {
			struct str about = str_trim(line);

			(void)set_text(s->about, sizeof(s->about),
				str_slice(about, 0,
					about.len < sizeof(s->about) ? about.len
								     : sizeof(s->about) - 1));
		} else if (str_equal(word, STR("shape"))) {
			*is_shape = true;
			if (!read_line(s, line, number, file, message))
				return false;
		}
	}
	return true;
}

bool sim_shape_read(struct sim_shape *s, const char *file, bool *is_shape, struct buf *message)
{
	FILE *in = fopen(file, "r");
	char *text;
	size_t len;
	bool is_good;

	*is_shape = false;
	if (!in) {
		buf_printf(message, "%s cannot be read", file);
		return false;
	}
	text = mem_alloc(FILE_MAX);
	len = fread(text, 1, FILE_MAX, in);
	(void)fclose(in);
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\t' || text[i] == '\r')
			text[i] = ' ';
	is_good = read_text(s, str_of(text, len), file, is_shape, message);
	free(text);
	return is_good;
}

static uint64_t scaled(uint64_t n, uint64_t numerator, uint64_t denominator)
{
	return n > 0 && n * numerator < denominator ? 1 : n * numerator / denominator;
}

void sim_shape_scale(struct sim_shape *s, uint64_t numerator, uint64_t denominator)
{
	s->mailboxes = scaled(s->mailboxes, numerator, denominator);
	s->messages = scaled(s->messages, numerator, denominator);
	s->others_per_day = scaled(s->others_per_day, numerator, denominator);
	s->senders = scaled(s->senders, numerator, denominator);
	s->backlog = scaled(s->backlog, numerator, denominator);
	s->queue_bytes = scaled(s->queue_bytes, numerator, denominator);
	s->connections = (uint32_t)scaled(s->connections, numerator, denominator);
}

uint64_t sim_shape_messages(const struct sim_shape *s)
{
	uint64_t days = (uint64_t)(s->outage_ms / DAY_MS) + 1;

	return s->backlog + 2 * s->messages + 2 * days * s->others_per_day;
}
