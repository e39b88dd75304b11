/*
 * os_log - where log lines go: standard error or output, a file, or the syslog socket.
 *
 * A sink never blocks: what the target does not take at once waits in memory, 1 MiB at most; lines
 * that do not fit are dropped and counted in METRIC_log_dropped_total. What the loop logs in one of its
 * turns leaves at the end of the turn, before the replies of that turn, in one piece; warnings and
 * errors, and lines of other threads, leave at once with all that stands before them. Text lines have the shape of
 * syslog files, "Nov  2 01:02:03 host outlast/smtp[123]: ...", JSON lines are as log_format_json
 * makes them.
 *
 * Threads: emitting from any; everything else on the loop's.
 */
#ifndef OS_OS_LOG_H
#define OS_OS_LOG_H

#include <stdbool.h>

#include "base/err.h"
#include "base/log.h"
#include "os/os_env.h"

struct log_sink;

struct os_log {
	struct log log; /* what everybody gets */
	struct log_sink *sink;
};

enum os_log_target { OS_LOG_STDERR, OS_LOG_STDOUT, OS_LOG_FILE, OS_LOG_SYSLOG };

struct os_log_params {
	enum os_log_target target;
	const char *path; /* OS_LOG_FILE; OS_LOG_SYSLOG: the socket, NULL for /dev/log. Copied. */
	const char *tag;  /* before "/program"; NULL for "outlast". Copied. */
	bool is_json;
	enum log_level level;
};

/* os_log_init - a syslog socket may be missing: it is tried again. Errors: ERR_PERMISSION,
 * ERR_NOT_FOUND, ERR_NO_FDS, ERR_IO. */
MUST_USE enum err os_log_init(struct os_log *l, const struct os_log_params *params);

/* os_log_attach - from now on lines carry env's time, waiting lines are retried by its timer, drops
 * are counted. */
void os_log_attach(struct os_log *l, struct os_env *env);
/* os_log_detach - before os_env_fini. */
void os_log_detach(struct os_log *l);

/* os_log_reopen - opens the file or socket anew (log rotation). On error the old one stays. Errors:
 * as os_log_init. */
MUST_USE enum err os_log_reopen(struct os_log *l);

/* os_log_fini - gives waiting lines half a second to leave. */
void os_log_fini(struct os_log *l);

#endif
