/*
 * cli_text - how things look: cells, colours, sizes, spans. What comes from peers is escaped before
 * it gets near a terminal. Off a terminal a table is tab-separated, without a heading and without
 * cuts.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/instant.h"
#include "cli.h"

/* A last cell that would have less than so many columns goes into a line of its own. */
enum { CELL_MAX_BYTES = 1 << 20, LAST_CELL_MIN = 16, BELOW_INDENT = 6 };

static size_t take_columns(struct str s, int columns, int *taken);

void cli_say(const char *format, ...)
{
	struct buf text, safe;
	va_list args;

	buf_init(&text, CELL_MAX_BYTES);
	buf_init(&safe, CELL_MAX_BYTES);
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	struct str rest = buf_str(&text);
	while (rest.len) {
		struct str line = str_cut(&rest, '\n');

		buf_clear(&safe);
		buf_append_safe(&safe, line);
		(void)fprintf(stderr, "outlast: %s\n", buf_cstr(&safe));
	}
	buf_fini(&safe);
	buf_fini(&text);
}

struct str cli_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
				     : STR("");
}

int64_t cli_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_real(value) ? (int64_t)json_real_value(value) : json_integer_value(value);
}

double cli_seconds(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

void cli_put_json(const json_t *value)
{
	/* ASCII only: a reply from outside may hold C1 controls, which terminals obey */
	json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(14));
	(void)putchar('\n');
}

void cli_put_text(struct str s)
{
	struct buf safe;

	buf_init(&safe, s.len * 4 + 16);
	buf_append_safe(&safe, s);
	(void)fwrite(buf_str(&safe).data, 1, safe.len, stdout);
	buf_fini(&safe);
}

void cli_append_span(struct buf *out, int64_t seconds)
{
	instant_format_span(out, seconds * SECOND_MS);
}

void cli_append_size(struct buf *out, uint64_t bytes)
{
	static const char units[] = "KMGTP";
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		buf_printf(out, "%" PRIu64, bytes);
		return;
	}
	while (n >= 1023.95 && unit + 2 < sizeof(units)) {
		n /= 1024;
		unit++;
	}
	buf_printf(out, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[unit]);
}

void cli_append_count(struct buf *out, uint64_t n)
{
	char digits[32];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf_append_char(out, ',');
		buf_append_char(out, digits[i]);
	}
}

void cli_append_time(struct buf *out, double seconds)
{
	char text[64];
	struct tm tm;
	time_t t = seconds > 0 && seconds < 1e13 ? (time_t)seconds : 0;

	if (t == 0 || !localtime_r(&t, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		buf_append_str(out, STR("never"));
	else
		buf_append_str(out, str_from_c(text));
}

void cli_color(const struct cli *cli, enum cli_color color)
{
	static const char *const codes[] = { [COLOR_NONE] = "0",
		[COLOR_GOOD] = "32",
		[COLOR_WARN] = "33",
		[COLOR_BAD] = "31",
		[COLOR_DIM] = "2",
		[COLOR_BOLD] = "1" };

	if (cli->has_color)
		printf("\x1b[%sm", codes[color]);
}

enum cli_color cli_state_color(struct str state)
{
	if (str_equal(state, STR("down")) || str_equal(state, STR("failed")))
		return COLOR_BAD;
	if (str_equal(state, STR("suspect")) || str_equal(state, STR("recovering")) ||
		str_equal(state, STR("limited")) ||
		str_equal(state, STR("held")) || str_equal(state, STR("quarantined")))
		return COLOR_WARN;
	if (str_equal(state, STR("up")) || str_equal(state, STR("delivered")))
		return COLOR_GOOD;
	return COLOR_NONE;
}

void cli_cell(struct cli_line *line, struct str s, int width, enum cli_color color)
{
	const struct cli *cli = line->cli;
	struct buf safe;
	int taken = 0;

	buf_init(&safe, CELL_MAX_BYTES);
	buf_append_safe(&safe, str_slice(s, 0, CELL_MAX_BYTES / 4));
	if (!cli->is_tty) {
		if (line->has_cells)
			(void)putchar('\t');
		(void)fwrite(buf_str(&safe).data, 1, safe.len, stdout);
	} else {
		bool is_below = !width && safe.len && cli->columns - line->used - 1 < LAST_CELL_MIN;
		if (is_below) {
			printf("\n%*s", BELOW_INDENT, "");
			line->used = BELOW_INDENT;
		}
		int room = abs(width) ? abs(width) : cli->columns - line->used - 1;
		size_t bytes = take_columns(buf_str(&safe), room > 0 ? room : 0, &taken);

		if (width < 0)
			printf("%*s", room - taken, "");
		if (color != COLOR_NONE)
			cli_color(cli, color);
		(void)fwrite(buf_str(&safe).data, 1, bytes, stdout);
		if (color != COLOR_NONE)
			cli_color(cli, COLOR_NONE);
		if (width)
			printf("%*s", (width > 0 ? width - taken : 0) + 2, "");
		line->used += room + 2;
	}
	line->has_cells = true;
	buf_fini(&safe);
}

void cli_line_end(struct cli_line *line)
{
	(void)putchar('\n');
	line->used = 0;
	line->has_cells = false;
}

void cli_put_line(const struct cli *cli, const char *label, struct buf *text)
{
	struct cli_line line = { .cli = cli };

	if (!cli->is_tty) {
		cli_cell(&line, str_from_c(label), 0, COLOR_NONE);
		cli_cell(&line, buf_str(text), 0, COLOR_NONE);
		cli_line_end(&line);
	} else {
		printf("%-14s%s\n", label, buf_cstr(text));
	}
	buf_clear(text);
}

/* Bytes of s that fit: counts characters, never cuts one. */
static size_t take_columns(struct str s, int columns, int *taken)
{
	size_t i = 0;

	*taken = 0;
	while (i < s.len && *taken < columns) {
		i++;
		while (i < s.len && ((unsigned char)s.data[i] & 0xc0) == 0x80)
			i++;
		++*taken;
	}
	return i;
}
