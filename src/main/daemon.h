/* daemon - what the files of outlastd share. */
#ifndef MAIN_DAEMON_H
#define MAIN_DAEMON_H

#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "conf/conf.h"

/* sysexits(3), which service managers and scripts know. */
enum exit_code {
	EXIT_USAGE = 64,
	EXIT_DATA = 65, /* bad configuration, or a queue that cannot be read */
	EXIT_UNAVAILABLE = 69,
	EXIT_OS = 71,        /* the disk failed: the outcome of a commit is unknown */
	EXIT_TEMPORARY = 75, /* another daemon has the queue; no space */
	EXIT_NOT_PERMITTED = 77
};

struct daemon_options {
	const char *config_file;
	bool only_check;
	int64_t clock_rate;
	struct fault fault;
};

/* daemon_options_read - returns 0 to go on, else the exit status plus 1 (help and version print and ask for 0). */
int daemon_options_read(struct daemon_options *o, int argc, char **argv);

/* daemon_become_user - from root to conf->user, keeping only the right to bind low ports; makes the queue directory and
 * the control socket's directory that user's. Nothing to do when not root or no user is named. */
MUST_USE enum err daemon_become_user(const struct conf *conf, struct buf *message);

/* daemon_raise_descriptors - as many file descriptors as the configuration may need, or as many as are allowed: then *message
 * says what that means. */
void daemon_raise_descriptors(const struct conf *conf, struct buf *message);

/* daemon_warn - what will silently not work on this machine as configured: a line for each, appended to *warnings. */
void daemon_warn(const struct conf *conf, struct buf *warnings);

/* daemon_look_as_user - for a check alone: from root to conf->user, who will have to read the files. */
void daemon_look_as_user(const struct conf *conf);

/* daemon_notify - tells the service manager (sd_notify(3) protocol), if there is one. */
void daemon_notify(const char *state);
/* daemon_watchdog_ms - how often the service manager wants to hear of us; 0: it does not. */
int64_t daemon_watchdog_ms(void);
/* daemon_inherited_fds - listening sockets passed by the service manager; *first is the first of them. */
unsigned daemon_inherited_fds(int *first);

#endif
