/* report - what the two ways of playing a shape share. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "sim/simulate.h"

#define POINT_MS (10 * MINUTE_MS)
#define BIN_MS (10 * SECOND_MS)
/* Contents of exact runs. */
#define SIM_BODY_BYTES 700
#define SIM_CONTENT_BYTES 870 /* with the header fields, in the mean */

void report_add_point(struct sim_report *r, struct sim_point point);

/* It is drained when no more waits than comes in a minute. */
static inline double shape_usual(const struct sim_shape *s)
{
	double usual = s->outage_ms > 0
			       ? (double)s->messages * (double)MINUTE_MS / (double)s->outage_ms
			       : 0;

	return usual > 1 ? usual : 1;
}

/* MX and addresses, one question after the other. */
#define DNS_MS 20

/* How long a message takes on the way to a destination: four replies are waited for in two round trips, on a connection
 * that is there; the greeting and EHLO take two more. From the start until the destination has the final dot. */
static inline int64_t shape_way_ms(const struct sim_shape *s, bool is_new)
{
	return 3 * s->latency_ms + 3 * s->think_ms +
	       (is_new ? 4 * s->latency_ms + 2 * s->think_ms + DNS_MS : 0);
}

/* ... and until the connection is free for the next. */
static inline double shape_turn_ms(const struct sim_shape *s, uint32_t messages_per_connection)
{
	double setup_ms = (double)(4 * s->latency_ms + 2 * s->think_ms);

	return (double)(4 * s->latency_ms + 4 * s->think_ms) +
	       (messages_per_connection ? setup_ms / messages_per_connection : 0);
}

#endif
