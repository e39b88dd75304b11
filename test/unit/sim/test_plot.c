/* test_plot - what is shown of a report: table cells, JSON, blocks and ASCII of a width, SVG that parses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/simulate.h"

#define POINTS 60

/* Up for half the time, down for the other half. */
static void make_report(struct sim_report *r, struct sim_point points[POINTS])
{
	*r = (struct sim_report){ .points = points,
		.point_count = POINTS,
		.peak_backlog = 3000,
		.first_ms = 1000,
		.drain_ms = 90 * MINUTE_MS,
		.drain_per_s = 2.5,
		.accepted = 4000000,
		.others = 5 };
	(void)snprintf(r->shape.about, sizeof(r->shape.about), "a < b & \"c\"\x1b[1m");
	r->shape.outage_ms = 5 * HOUR_MS;
	for (int i = 0; i < POINTS; i++)
		points[i] = (struct sim_point){ i * 10 * MINUTE_MS,
			(uint64_t)(i < POINTS / 2 ? i * 100 : (POINTS - i) * 100),
			i % 7 ? 90 : -1 };
}

static void test_cells(void **state)
{
	static const struct {
		enum sim_unit unit;
		double value;
		const char *text;
	} cases[] = { { SIM_COUNT, 0, "0" }, { SIM_COUNT, 999, "999" },
		{ SIM_COUNT, 50000000, "50,000,000" }, { SIM_BYTES, 1000, "1000 bytes" },
		{ SIM_BYTES, 1536, "1.5 KiB" }, { SIM_BYTES, 585.0 * (1 << 30), "585 GiB" },
		{ SIM_SPAN, 90, "0.09 s" }, { SIM_SPAN, 69240000, "19h 14m" },
		{ SIM_SPAN, -1, "never" }, { SIM_RATE, 8.25, "8.25/s" }, { SIM_RATE, 826, "826/s" },
		{ SIM_COUNT, -1, "-" } };
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sim_row row = { .unit = cases[i].unit, .value = cases[i].value };
		struct buf out;

		buf_init(&out, 128);
		sim_row_format(&row, &out);
		assert_string_equal(buf_cstr(&out), cases[i].text);
		buf_fini(&out);
	}
}

static void test_differences(void **state)
{
	const struct sim_row a = { .value = 200 }, b = { .value = 190 }, none = { .value = 0 },
			     one = { .value = 1 };
	(void)state;

	assert_true(sim_rows_differ(&a, &b) > 0.0499 && sim_rows_differ(&a, &b) < 0.0501);
	assert_true(sim_rows_differ(&none, &none) == 0);
	assert_true(sim_rows_differ(&none, &one) >= 1);
}

static void test_json(void **state)
{
	struct sim_point points[POINTS];
	struct sim_report r;
	struct buf out;
	(void)state;

	make_report(&r, points);
	r.first_ms = r.drain_ms = -1;
	buf_init(&out, 1 << 20);
	sim_report_json(&r, &out);
	assert_non_null(strstr(buf_cstr(&out), "\"mode\":\"exact\""));
	assert_non_null(strstr(buf_cstr(&out), "\"drain_ms\":null"));
	assert_non_null(strstr(buf_cstr(&out), "a < b & \\\"c\\\"\\u001b[1m"));
	assert_non_null(strstr(
		buf_cstr(&out), "{\"at_ms\":600000,\"backlog\":100,\"others_delay_ms\":90}"));
	assert_int_equal(out.data[out.len - 1], '\n');
	buf_fini(&out);
}

/* Columns of a line of UTF-8 */
static size_t width_of(const char *line, size_t len)
{
	size_t width = 0;

	for (size_t i = 0; i < len; i++)
		width += ((unsigned char)line[i] & 0xc0) != 0x80;
	return width;
}

static void test_terminal(void **state)
{
	static const unsigned widths[] = { 40, 80, 133, 300 };
	struct sim_point points[POINTS];
	struct sim_report r;
	(void)state;

	make_report(&r, points);
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
			struct buf out;
			size_t widest = 0;

			buf_init(&out, 1 << 20);
			sim_plot_text(&r, widths[i], is_utf8, &out);
			for (const char *line = buf_cstr(&out); *line;
				line += strcspn(line, "\n") + 1) {
				size_t width = width_of(line, strcspn(line, "\n"));

				widest = width > widest ? width : widest;
			}
			assert_true(widest <= widths[i]);
			assert_true(widest >= (widths[i] < 200 ? widths[i] * 9 / 10 : 200));
			assert_true(is_utf8 || str_is_ascii(buf_str(&out)));
			assert_true(str_is_utf8(buf_str(&out)));
			assert_non_null(strstr(buf_cstr(&out), "5k"));
			buf_fini(&out);
		}
	}
}

/* An empty one must not divide by anything. */
static void test_nothing_to_show(void **state)
{
	struct sim_report r = { .is_estimate = true };
	struct buf out;
	(void)state;

	buf_init(&out, 1 << 20);
	sim_plot_text(&r, 80, true, &out);
	sim_plot_svg(&r, &out);
	sim_report_json(&r, &out);
	assert_false(out.is_full);
	buf_fini(&out);
}

static void test_svg(void **state)
{
	struct sim_point points[POINTS];
	struct sim_report r;
	struct buf out;
	(void)state;

	make_report(&r, points);
	r.is_estimate = true;
	buf_init(&out, 1 << 20);
	sim_plot_svg(&r, &out);
	assert_true(str_starts_fold(buf_str(&out), STR("<svg xmlns=")));
	assert_true(str_ends_fold(buf_str(&out), STR("</svg>\n")));
	assert_non_null(strstr(buf_cstr(&out), "a &lt; b &amp; \"c\"[1m (estimate)"));
	assert_null(strchr(buf_cstr(&out), 0x1b));
	assert_non_null(strstr(buf_cstr(&out), "recipients that wait for it"));
	assert_non_null(strstr(buf_cstr(&out), "delay of other destinations' mail"));
	assert_null(strstr(buf_cstr(&out), "nan"));
	assert_null(strstr(buf_cstr(&out), "inf"));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_nothing_to_show),
		cmocka_unit_test(test_svg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
