/*
 * plot - the backlog over time: in characters for a terminal, as SVG for a report; see sim/simulate.h. Pure.
 *
 * The SVG is a file of its own: no script, no style sheet, no font but the reader's. All text in it is escaped.
 */
#include <inttypes.h>
#include <stdio.h>

#include "sim/simulate.h"

#define LINES 12
#define LABEL_COLUMNS 9
#define COLUMNS_MAX 240

/* ---- scales ---- */

static int64_t begin_of(const struct sim_report *r)
{
	return r->point_count ? r->points[0].at_ms : 0;
}

static int64_t end_of(const struct sim_report *r)
{
	return r->point_count ? r->points[r->point_count - 1].at_ms : 1;
}

/* 1, 2 or 5 times a power of ten, not less than value. */
static double round_up(double value)
{
	double unit = 1;

	while (unit * 10 < value)
		unit *= 10;
	return value <= unit       ? unit
	       : value <= 2 * unit ? 2 * unit
	       : value <= 5 * unit ? 5 * unit
				   : 10 * unit;
}

static void put_short(struct buf *out, double n)
{
	if (n >= 1e6)
		buf_printf(out, "%.4gM", n / 1e6);
	else if (n >= 1e3)
		buf_printf(out, "%.4gk", n / 1e3);
	else
		buf_printf(out, "%.0f", n);
}

static double backlog_between(const struct sim_report *r, int64_t from_ms, int64_t to_ms)
{
	double most = -1;

	for (uint32_t i = 0; i < r->point_count; i++)
		if (r->points[i].at_ms >= from_ms && r->points[i].at_ms < to_ms &&
			(double)r->points[i].backlog > most)
			most = (double)r->points[i].backlog;
	return most;
}

static int64_t tick_of(int64_t span_ms, unsigned ticks)
{
	static const int64_t hours[] = { 1, 2, 3, 6, 12, 24, 48, 72, 120, 240, 480 };

	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++)
		if (span_ms / (hours[i] * HOUR_MS) <= (int64_t)ticks)
			return hours[i] * HOUR_MS;
	return 960 * HOUR_MS;
}

/* ---- characters ---- */

static void put_cell(struct buf *out, double filled, bool is_utf8)
{
	static const char *const eighths[] = { " ", "\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83",
		"\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88" };
	int eighth = filled <= 0 ? 0 : filled >= 1 ? 8 : 1 + (int)(filled * 7.999);

	if (is_utf8)
		buf_append_str(out, str_from_c(eighths[eighth]));
	else
		buf_append_char(out, eighth == 0 ? ' ' : eighth < 5 ? '.' : '#');
}

static void put_times(const struct sim_report *r, unsigned columns, struct buf *out)
{
	int64_t begin_ms = begin_of(r), span_ms = end_of(r) - begin_ms;
	int64_t tick_ms = tick_of(span_ms, columns / 10);
	unsigned at = 0;

	buf_printf(out, "%*s", LABEL_COLUMNS, "");
	for (int64_t t = 0; t <= end_of(r); t += tick_ms) {
		unsigned column =
			(unsigned)((t - begin_ms) * (int64_t)columns / (span_ms ? span_ms : 1));
		char text[32];
		int len = t % DAY_MS == 0
				  ? snprintf(text, sizeof(text), "|%" PRId64 "d", t / DAY_MS)
				  : snprintf(text, sizeof(text), "|%" PRId64 "h", t / HOUR_MS);

		if (column < at || column + (unsigned)len > columns)
			continue;
		buf_printf(out, "%*s%s", (int)(column - at), "", text);
		at = column + (unsigned)len;
	}
	buf_append_char(out, '\n');
}

void sim_plot_text(const struct sim_report *r, unsigned columns, bool is_utf8, struct buf *out)
{
	double top = round_up((double)r->peak_backlog);
	int64_t begin_ms = begin_of(r), span_ms = end_of(r) - begin_ms + 1;
	double values[COLUMNS_MAX];

	columns = columns > COLUMNS_MAX + LABEL_COLUMNS ? COLUMNS_MAX : columns - LABEL_COLUMNS;
	for (unsigned c = 0; c < columns; c++) {
		values[c] = backlog_between(r, begin_ms + span_ms * c / columns,
			begin_ms + span_ms * (c + 1) / columns);
		if (values[c] < 0) /* less points than columns */
			values[c] = c ? values[c - 1] : 0;
	}
	buf_append_str(out, STR("backlog\n"));
	for (int line = LINES - 1; line >= 0; line--) {
		struct buf label;

		buf_init(&label, 32);
		if (line == LINES - 1 || line == LINES / 2 - 1)
			put_short(&label, top * (line + 1) / LINES);
		buf_printf(out, "%*s ", LABEL_COLUMNS - 2, buf_cstr(&label));
		buf_fini(&label);
		buf_append_str(out, is_utf8 ? STR("\xe2\x94\x82") : STR("|"));
		for (unsigned c = 0; c < columns; c++)
			put_cell(out, values[c] * LINES / top - line, is_utf8);
		while (out->len > 0 && out->data[out->len - 1] == ' ')
			out->len--;
		buf_append_char(out, '\n');
	}
	put_times(r, columns, out);
}

/* ---- SVG ---- */

#define WIDTH 860
#define HEIGHT 420
#define LEFT 80
#define RIGHT 780
#define TOP 50
#define BOTTOM 350

static void put_escaped(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '<')
			buf_append_str(out, STR("&lt;"));
		else if (c == '&')
			buf_append_str(out, STR("&amp;"));
		else if ((unsigned char)c >= ' ' && c != 0x7f)
			buf_append_char(out, c);
	}
}

static double x_of(const struct sim_report *r, int64_t at_ms)
{
	double span_ms = (double)(end_of(r) - begin_of(r));

	return LEFT + (RIGHT - LEFT) * (double)(at_ms - begin_of(r)) / (span_ms > 0 ? span_ms : 1);
}

static double y_of(double value, double top)
{
	return BOTTOM - (BOTTOM - TOP) * value / top;
}

static double longest_delay_s(const struct sim_report *r)
{
	double most = 0.01;

	for (uint32_t i = 0; i < r->point_count; i++)
		if ((double)r->points[i].others_ms / 1000 > most)
			most = (double)r->points[i].others_ms / 1000;
	return most;
}

/* 1, 2, 5 times a power of ten of milliseconds */
static double delay_top_s(const struct sim_report *r)
{
	return round_up(longest_delay_s(r) * 1000 * 1.5) / 1000;
}

static void put_axes(const struct sim_report *r, double top, struct buf *out)
{
	int64_t tick_ms = tick_of(end_of(r) - begin_of(r), 12);

	for (int i = 0; i <= 4; i++) {
		double value = top * i / 4, y = y_of(value, top);

		buf_printf(out,
			"<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" "
			"text-anchor=\"end\">",
			LEFT, y, RIGHT, LEFT - 6, y + 4);
		put_short(out, value);
		buf_printf(out, "</text><text x=\"%d\" y=\"%.1f\" fill=\"#b45309\">%.3g s</text>\n",
			RIGHT + 6, y + 4, delay_top_s(r) * i / 4);
	}
	for (int64_t t = 0; t <= end_of(r); t += tick_ms)
		buf_printf(out,
			"<path d=\"M%.1f %dv5\" stroke=\"#333\"/><text x=\"%.1f\" y=\"%d\" "
			"text-anchor=\"middle\">%" PRId64 " h</text>\n",
			x_of(r, t), BOTTOM, x_of(r, t), BOTTOM + 20, t / HOUR_MS);
	buf_printf(out, "<path d=\"M%d %dV%dH%dV%d\" fill=\"none\" stroke=\"#333\"/>\n", LEFT, TOP,
		BOTTOM, RIGHT, TOP);
	buf_printf(out,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">time since the destination went "
		"away</text>\n",
		(LEFT + RIGHT) / 2, BOTTOM + 42);
	buf_printf(out,
		"<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\" "
		"fill=\"#1d4ed8\">recipients that wait for it</text>\n",
		(TOP + BOTTOM) / 2);
	buf_printf(out,
		"<text transform=\"translate(%d %d) rotate(90)\" text-anchor=\"middle\" "
		"fill=\"#b45309\">delay of other destinations' mail</text>\n",
		WIDTH - 14, (TOP + BOTTOM) / 2);
}

static void put_curves(const struct sim_report *r, double top, struct buf *out)
{
	double delay_top = delay_top_s(r);
	bool is_first = true;

	buf_printf(out, "<path d=\"M%d %d", LEFT, BOTTOM);
	for (uint32_t i = 0; i < r->point_count; i++)
		buf_printf(out, "L%.1f %.1f", x_of(r, r->points[i].at_ms),
			y_of((double)r->points[i].backlog, top));
	buf_printf(
		out, "V%dZ\" fill=\"#1d4ed8\" fill-opacity=\"0.2\" stroke=\"#1d4ed8\"/>\n", BOTTOM);
	buf_append_str(out, STR("<path d=\""));
	for (uint32_t i = 0; i < r->point_count; i++) {
		if (r->points[i].others_ms < 0)
			continue;
		buf_printf(out, "%c%.1f %.1f", is_first ? 'M' : 'L', x_of(r, r->points[i].at_ms),
			y_of((double)r->points[i].others_ms / 1000, delay_top));
		is_first = false;
	}
	buf_append_str(out, STR("\" fill=\"none\" stroke=\"#b45309\"/>\n"));
}

void sim_plot_svg(const struct sim_report *r, struct buf *out)
{
	double top = round_up((double)r->peak_backlog);
	double from = x_of(r, 0), to = x_of(r, r->shape.outage_ms);

	buf_printf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
		"height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n<title>",
		WIDTH, HEIGHT, WIDTH, HEIGHT);
	put_escaped(out, str_from_c(r->shape.about));
	buf_printf(
		out, "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT);
	buf_printf(out,
		"<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#f3f4f6\"/>\n", from,
		TOP, to > from ? to - from : 0, BOTTOM - TOP);
	buf_printf(out, "<text x=\"%d\" y=\"24\" font-size=\"15\">", LEFT);
	put_escaped(out, str_from_c(r->shape.about));
	buf_printf(out, "%s</text><text x=\"%.1f\" y=\"%d\" fill=\"#666\">away</text>\n",
		r->is_estimate ? " (estimate)" : "", from + 4, TOP + 14);
	put_axes(r, top, out);
	put_curves(r, top, out);
	buf_append_str(out, STR("</svg>\n"));
}
