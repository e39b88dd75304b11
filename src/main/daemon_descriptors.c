/*
 * daemon_descriptors - each client and each delivery is a file descriptor. The usual soft limit, 1024, is below what the
 * shipped configuration may need; the hard one is what the administrator meant. Too low a hard limit is no reason not to
 * start: the listeners keep a reserve for the queue and the deliveries, and clients wait.
 */
#include <sys/resource.h>

#include "main/daemon.h"

/* Queue, journal, log, resolver, helpers, listeners, the loop's own. */
#define OTHERS 256

void daemon_raise_descriptors(const struct conf *conf, struct buf *message)
{
	rlim_t wanted = (rlim_t)conf->smtpd.sessions_max + conf->client.connections_max +
			conf->control.sessions_max + OTHERS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
		limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted
				 ? wanted
				 : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted)
		return;
	buf_printf(message,
		"limits.sessions-max (%u) and delivery.connections-max (%u) may need %llu file "
		"descriptors, and %llu are allowed: clients beyond that wait until others leave. "
		"Raise "
		"the limit (LimitNOFILE= of the service, ulimit -Hn) or lower sessions-max",
		conf->smtpd.sessions_max, conf->client.connections_max, (unsigned long long)wanted,
		(unsigned long long)limit.rlim_cur);
}
