/* curve - see queue/curve.h. */
#include "queue/curve.h"

#include "base/check.h"

uint32_t curve_make(const struct outage_sample *samples, uint32_t count, struct curve_point *points,
	uint32_t point_max)
{
	if (count == 0 || point_max == 0)
		return 0;
	int64_t span_ms = samples[count - 1].at.ms - samples[0].at.ms;
	uint32_t point_count = count < point_max ? count : point_max;
	uint32_t next = 0;
	uint64_t waiting = 0, delivered = 0;

	if (span_ms <= 0)
		point_count = 1;
	for (uint32_t i = 0; i < point_count; i++) {
		/* the last step takes what rounding left */
		int64_t end_ms = i + 1 == point_count
					 ? INT64_MAX
					 : samples[0].at.ms + span_ms / point_count * (i + 1);
		struct curve_point *p = &points[i];
		uint64_t before = delivered;

		*p = (struct curve_point){ .at = { samples[0].at.ms + span_ms / point_count * i },
			.recipients = waiting };
		for (uint32_t k = next; k < count && samples[k].at.ms < end_ms; k++) {
			waiting = samples[k].recipients;
			if (k == next || waiting > p->recipients)
				p->recipients = waiting;
			/* The count begins anew if the relay lost some: then nothing was delivered in between. */
			if (samples[k].delivered > delivered)
				delivered = samples[k].delivered;
		}
		while (next < count && samples[next].at.ms < end_ms)
			next++;
		p->delivered = delivered - before;
	}
	return point_count;
}

uint32_t curve_bar(uint64_t value, uint64_t most, uint32_t width)
{
	CHECK(value <= most);
	if (value == 0 || width == 0)
		return 0;
	uint64_t len = most > UINT32_MAX ? value / (most / width + 1) : value * width / most;

	return len > 0 ? (uint32_t)len : 1;
}
