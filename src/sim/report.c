/* report - what is told of a run, once for the table, JSON and the comparison; see sim/simulate.h. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "sim/report.h"

#include "base/mem.h"

#define PAGE 4096
#define PAGE_ROOM 4088     /* of a leaf, for rows */
#define PAGE_LOCAL 4061    /* of a row, in its leaf */
#define PAGE_LOCAL_MIN 489 /* ... when the tail is elsewhere */
#define PAGE_TAIL 4092
#define CELL 8
#define OWN_FIELDS 168 /* Received: and the row's head */
#define OTHER_ROWS 267 /* message, recipient and the indexes that lead to them */

void sim_report_fini(struct sim_report *r)
{
	free(r->points);
	r->points = NULL;
	r->point_count = r->point_room = 0;
}

void report_add_point(struct sim_report *r, struct sim_point point)
{
	if (r->point_count == r->point_room) {
		r->point_room = r->point_room ? 2 * r->point_room : 256;
		r->points = mem_realloc(r->points, r->point_room * sizeof(*r->points));
	}
	r->points[r->point_count++] = point;
}

/* Pages of 4 KiB as SQLite fills them: a row of content up to PAGE_LOCAL octets shares a leaf with others, of a larger one
 * the tail lies in pages of its own. Measured against the daemon's queue in doc/scale.md. */
uint64_t sim_disk_bytes(uint32_t size_bytes)
{
	uint64_t row = (uint64_t)size_bytes + OWN_FIELDS, tail_pages = 0, local = row;

	if (row > PAGE_LOCAL) {
		local = PAGE_LOCAL_MIN + (row - PAGE_LOCAL_MIN) % PAGE_TAIL;
		if (local > PAGE_LOCAL)
			local = PAGE_LOCAL_MIN;
		tail_pages = (row - local + PAGE_TAIL - 1) / PAGE_TAIL;
	}
	return OTHER_ROWS + PAGE * tail_pages + PAGE / (PAGE_ROOM / (local + CELL));
}

uint32_t sim_report_rows(const struct sim_report *r, struct sim_row rows[SIM_ROWS_MAX])
{
	const struct sim_row all[] = {
		{ "accepted", "messages accepted for it", SIM_COUNT, (double)r->accepted, true },
		{ "delivered", "delivered to it", SIM_COUNT, (double)r->delivered, false },
		{ "expired", "expired, returned to their senders", SIM_COUNT, (double)r->expired,
			true },
		{ "queued", "still waiting at the end", SIM_COUNT, (double)r->queued, false },
		{ "peak_backlog", "largest backlog", SIM_COUNT, (double)r->peak_backlog, true },
		{ "peak_disk_bytes", "disk then", SIM_BYTES, (double)r->peak_disk_bytes, true },
		{ "probes", "probes while it was away", SIM_COUNT, (double)r->probes, true },
		{ "first_delivery_max_ms", "first delivery after its return, at most", SIM_SPAN,
			(double)r->probe_gap_ms, true },
		{ "first_delivery_ms", "first delivery in this run", SIM_SPAN, (double)r->first_ms,
			false },
		{ "drain_ms", "drained after that in", SIM_SPAN,
			r->drain_ms < 0 || r->first_ms < 0 ? -1
							   : (double)(r->drain_ms - r->first_ms),
			true },
		{ "drain_per_s", "rate meanwhile", SIM_RATE, r->drain_per_s, true },
		{ "best_per_s", "rate in the best minute", SIM_RATE, r->best_per_s, true },
		{ "others", "other messages delivered", SIM_COUNT, (double)r->others, false },
		{ "others_failed", "other messages not delivered", SIM_COUNT,
			(double)r->others_failed, true },
		{ "others_delay_ms", "their delay in the outage, median", SIM_SPAN,
			r->others ? (double)r->others_ms : -1, true },
		{ "others_drain_delay_ms", "their delay in the drain, median", SIM_SPAN,
			r->others ? (double)r->others_drain_ms : -1, true },
	};
	uint32_t count = (uint32_t)(sizeof(all) / sizeof(all[0]));

	for (uint32_t i = 0; i < count; i++)
		rows[i] = all[i];
	return count;
}

static void put_count(struct buf *out, double value)
{
	struct buf digits;
	size_t len;

	buf_init(&digits, 64);
	buf_printf(&digits, "%.0f", value);
	len = digits.len;
	for (size_t i = 0; i < len; i++) {
		buf_append_char(out, digits.data[i]);
		if (len - i > 1 && (len - i - 1) % 3 == 0)
			buf_append_char(out, ',');
	}
	buf_fini(&digits);
}

static void put_bytes(struct buf *out, double value)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned unit = 0;

	for (; value >= 1024 && unit < 5; unit++)
		value /= 1024;
	buf_printf(out, value < 10 && unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void sim_row_format(const struct sim_row *row, struct buf *out)
{
	if (row->value < 0 || isnan(row->value)) {
		buf_append_str(out, row->unit == SIM_SPAN ? STR("never") : STR("-"));
		return;
	}
	switch (row->unit) {
	case SIM_COUNT:
		put_count(out, row->value);
		break;
	case SIM_BYTES:
		put_bytes(out, row->value);
		break;
	case SIM_SPAN:
		if (row->value < 10 * SECOND_MS)
			buf_printf(out, "%.2f s", row->value / (double)SECOND_MS);
		else
			instant_format_span(out, (int64_t)row->value);
		break;
	case SIM_RATE:
		buf_printf(out, row->value < 10 ? "%.2f/s" : "%.0f/s", row->value);
		break;
	}
}

double sim_rows_differ(const struct sim_row *exact, const struct sim_row *estimate)
{
	if (exact->value == estimate->value)
		return 0;
	double size = fabs(exact->value);

	return fabs(estimate->value - exact->value) / (size > 1 ? size : 1);
}

static void put_shape(const struct sim_shape *s, struct buf *out)
{
	buf_append_str(out, STR("{\"about\":"));
	buf_append_json(out, str_from_c(s->about));
	buf_append_str(out, STR(",\"name\":"));
	buf_append_json(out, str_from_c(s->name));
	buf_printf(out,
		",\"mailboxes\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"others_per_day\":%" PRIu64
		",\"senders\":%" PRIu64 ",\"backlog\":%" PRIu64 ",\"size_bytes\":%" PRIu32
		",\"outage_ms\":%" PRId64 ",\"connections\":%" PRIu32 ",\"latency_ms\":%" PRId64
		",\"think_ms\":%" PRId64 "}",
		s->mailboxes, s->messages, s->others_per_day, s->senders, s->backlog, s->size_bytes,
		s->outage_ms, s->connections, s->latency_ms, s->think_ms);
}

void sim_report_json(const struct sim_report *r, struct buf *out)
{
	struct sim_row rows[SIM_ROWS_MAX];
	uint32_t count = sim_report_rows(r, rows);

	buf_printf(out, "{\"mode\":\"%s\",\"shape\":", r->is_estimate ? "estimate" : "exact");
	put_shape(&r->shape, out);
	for (uint32_t i = 0; i < count; i++) {
		buf_printf(out, ",\"%s\":", rows[i].key);
		if (rows[i].value < 0 || isnan(rows[i].value))
			buf_append_str(out, STR("null"));
		else
			buf_printf(out, rows[i].unit == SIM_RATE ? "%.3f" : "%.0f", rows[i].value);
	}
	buf_printf(out, ",\"peak_at_ms\":%" PRId64 ",\"end_ms\":%" PRId64 ",\"curve\":[",
		r->peak_at_ms, r->end_ms);
	for (uint32_t i = 0; i < r->point_count; i++) {
		const struct sim_point *p = &r->points[i];

		buf_printf(out, "%s{\"at_ms\":%" PRId64 ",\"backlog\":%" PRIu64, i ? "," : "",
			p->at_ms, p->backlog);
		if (p->others_ms >= 0)
			buf_printf(out, ",\"others_delay_ms\":%" PRId64, p->others_ms);
		buf_append_char(out, '}');
	}
	buf_append_str(out, STR("]}\n"));
}
