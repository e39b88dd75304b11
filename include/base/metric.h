/*
 * metric - counters and gauges of one relay; plain numbers, written on the loop thread only.
 *
 * The list below is the whole set: no labels from outside, all start at zero. Prometheus names are
 * outlast_<name>; those ending in _total are counters, others gauges.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#define METRIC_LIST(X)                                                                             \
	X(smtpd_connections_total)                                                                 \
	X(smtpd_connections)                                                                       \
	X(smtpd_rejected_connections_total)                                                        \
	X(smtpd_crowded_out_total)                                                                 \
	X(smtpd_errors_total)                                                                      \
	X(smtpd_auth_failures_total)                                                               \
	X(messages_accepted_total)                                                                 \
	X(recipients_accepted_total)                                                               \
	X(bytes_accepted_total)                                                                    \
	X(messages_refused_total)                                                                  \
	X(deliveries_started_total)                                                                \
	X(deliveries_active)                                                                       \
	X(recipients_delivered_total)                                                              \
	X(recipients_deferred_total)                                                               \
	X(recipients_failed_total)                                                                 \
	X(recipients_in_doubt_total)                                                               \
	X(recipients_quarantined_total)                                                            \
	X(recipients_revived_total)                                                                \
	X(storms_total)                                                                            \
	X(storms_open)                                                                             \
	X(site_failures_total)                                                                     \
	X(sites_down)                                                                              \
	X(probes_total)                                                                            \
	X(dsn_failure_total)                                                                       \
	X(dsn_success_total)                                                                       \
	X(dsn_discarded_total)                                                                     \
	X(dsn_delay_total)                                                                         \
	X(dsn_digest_total)                                                                        \
	X(dsn_closing_total)                                                                       \
	X(dsn_failure_digest_total)                                                                \
	X(dsn_put_off_total)                                                                       \
	X(connections_opened_total)                                                                \
	X(connections_reused_total)                                                                \
	X(connections_open)                                                                        \
	X(dns_queries_total)                                                                       \
	X(dns_cache_hits_total)                                                                    \
	X(store_commits_total)                                                                     \
	X(store_ops_total)                                                                         \
	X(store_full_total)                                                                        \
	X(log_dropped_total)                                                                       \
	X(reload_ok)                                                                               \
	X(clock_jumps_total)

enum metric {
#define X(name) METRIC_##name,
	METRIC_LIST(X)
#undef X
		METRIC_COUNT
};

struct metrics {
	uint64_t value[METRIC_COUNT];
};

static inline void metric_add(struct metrics *m, enum metric which, uint64_t n)
{
	m->value[which] += n;
}
static inline void metric_sub(struct metrics *m, enum metric which, uint64_t n)
{
	m->value[which] -= n;
}
static inline void metric_set(struct metrics *m, enum metric which, uint64_t n)
{
	m->value[which] = n;
}
const char *metric_name(enum metric which); /* without the prefix; static */

#endif
