/*
 * log_sink - formats a line and hands it to the target without ever waiting for it.
 *
 * Lines of the loop gather in backlog until its turn ends: a write for each would cost more than all
 * the rest of it. Only a crash of the process can lose those of one turn; under --fault none gather.
 * Lines wait in backlog, in order, while the target takes none; whoever logs next, or the timer,
 * tries again. A syslog daemon that restarts makes sends fail: the socket is connected anew on the
 * next try. A full disk is waited for like a full pipe. A reader that is gone (EPIPE) is one, too:
 * the backlog fills, then lines drop.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "env_uv.h"
#include "os/os_log.h"

#define BACKLOG_MAX_BYTES ((size_t)1024 * 1024)
#define LINE_MAX_BYTES ((size_t)64 * 1024)
#define GATHERED_MAX_BYTES ((size_t)64 * 1024)
#define RETRY_MS 100
#define FINI_MS 500
#define FACILITY_MAIL (2 << 3)

struct log_sink {
	pthread_mutex_t mutex; /* guards all but the fields set once */
	enum os_log_target target;
	char *path;
	char *tag;
	char host[65];
	bool is_json;
	bool is_socket;  /* send without blocking; others have O_NONBLOCK */
	int fd;          /* -1: syslog is away */
	struct buf line; /* the one being made */
	struct buf backlog;
	time_t stamp_second; /* of stamp */
	char stamp[32];
	long pid;
	uint64_t dropped_count;
	uint64_t published_count; /* of these, in the metric */
	struct os_env *env;       /* NULL: not attached */
	pthread_t loop_thread;
	struct timer retry;
	struct turn_hook turn_end;
	bool is_gathering; /* the loop's: lines wait for the end of its turn */
};

static enum err err_from_open(int number)
{
	switch (number) {
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOENT:
	case ENOTDIR:
	case ENXIO:
		return ERR_NOT_FOUND;
	case EMFILE:
	case ENFILE:
		return ERR_NO_FDS;
	default:
		return ERR_IO;
	}
}

/* O_NONBLOCK belongs to the open file, which a standard stream shares with our parent: open it anew
 * if that goes. */
static int open_stream(int stream, bool *is_socket)
{
	struct stat st;
	char path[32];

	if (fstat(stream, &st) == 0 && S_ISSOCK(st.st_mode)) {
		*is_socket = true;
		return fcntl(stream, F_DUPFD_CLOEXEC, 3);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", stream);
	int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		return fd;
	fd = fcntl(stream, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static int open_syslog(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len >= sizeof(address.sun_path)) {
		errno = ENOENT;
		return -1;
	}
	memcpy(address.sun_path, path, len);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int number = errno;
		close(fd);
		errno = number;
		return -1;
	}
	return fd;
}

static int open_target(const struct log_sink *s, bool *is_socket)
{
	*is_socket = false;
	switch (s->target) {
	case OS_LOG_STDERR:
		return open_stream(STDERR_FILENO, is_socket);
	case OS_LOG_STDOUT:
		return open_stream(STDOUT_FILENO, is_socket);
	case OS_LOG_FILE:
		return open(s->path,
			O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
	case OS_LOG_SYSLOG:
		*is_socket = true;
		return open_syslog(s->path);
	}
	return -1;
}

/* Returns how many octets left; 0 when the target takes none now. One line, if the target is
 * syslog. */
static size_t write_some(struct log_sink *s, struct str octets)
{
	ssize_t n;

	if (s->fd < 0 && s->target == OS_LOG_SYSLOG)
		s->fd = open_syslog(s->path);
	if (s->fd < 0)
		return 0;
	do {
		n = s->is_socket ? send(s->fd, octets.data, octets.len, MSG_DONTWAIT | MSG_NOSIGNAL)
				 : write(s->fd, octets.data, octets.len);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (s->target == OS_LOG_SYSLOG && errno == EMSGSIZE) {
		s->dropped_count++;
		return octets.len; /* never will */
	}
	if (s->target == OS_LOG_SYSLOG && errno != EAGAIN && errno != ENOBUFS) {
		close(s->fd); /* the daemon has gone; its successor has another socket */
		s->fd = -1;
	}
	return 0;
}

static void flush(struct log_sink *s)
{
	size_t at = 0;

	while (at < s->backlog.len) {
		struct str rest = str_slice(buf_str(&s->backlog), at, s->backlog.len);
		size_t n;
		if (s->target == OS_LOG_SYSLOG) {
			size_t len = str_find(rest, '\n');
			n = write_some(s, str_slice(rest, 0, len));
			n = n > 0 ? len + 1 : 0;
		} else {
			n = write_some(s, rest);
		}
		if (n == 0)
			break;
		at += n;
	}
	buf_consume(&s->backlog, at);
}

static void put_line(struct log_sink *s, struct str line)
{
	if (s->backlog.len + line.len > GATHERED_MAX_BYTES)
		flush(s);
	buf_append_str(&s->backlog, line);
	if (s->backlog.is_full) {
		s->backlog.is_full = false;
		s->dropped_count++;
	}
}

static bool is_on_loop(const struct log_sink *s)
{
	return s->env && pthread_equal(s->loop_thread, pthread_self());
}

/* What may be the last line before a crash does not wait. */
static bool may_gather(const struct log_sink *s, enum log_level level)
{
	return level > LOG_WARNING && is_on_loop(s) && s->env->uv->is_turning && !s->env->env.fault;
}

/* Metrics and timers are the loop's; a line from another thread leaves this to the next one from
 * the loop. */
static void settle_on_loop(struct log_sink *s)
{
	if (!is_on_loop(s))
		return;
	metric_add(s->env->env.metrics, METRIC_log_dropped_total,
		s->dropped_count - s->published_count);
	s->published_count = s->dropped_count;
	if (s->backlog.len > 0 && !timer_is_active(&s->retry))
		env_timer_after(&s->env->env, &s->retry, RETRY_MS);
}

static void flush_on_loop(struct log_sink *s)
{
	pthread_mutex_lock(&s->mutex);
	flush(s);
	settle_on_loop(s);
	pthread_mutex_unlock(&s->mutex);
}

static void on_retry(struct timer *t)
{
	flush_on_loop(CONTAINER_OF(t, struct log_sink, retry));
}

static void on_turn_end(struct turn_hook *hook)
{
	struct log_sink *s = CONTAINER_OF(hook, struct log_sink, turn_end);

	if (!s->is_gathering)
		return;
	s->is_gathering = false;
	flush_on_loop(s);
}

static int severity(enum log_level level)
{
	switch (level) {
	case LOG_ERROR:
		return 3;
	case LOG_WARNING:
		return 4;
	case LOG_NOTICE:
		return 5;
	case LOG_INFO:
		return 6;
	case LOG_DEBUG:
		break;
	}
	return 7;
}

/* Made once a second. */
static void append_stamp(struct log_sink *s, struct buf *out, struct wall at)
{
	time_t second = (time_t)(at.ms / 1000);
	struct tm local;

	if (second != s->stamp_second || s->stamp[0] == '\0') {
		s->stamp_second = second;
		if (!localtime_r(&second, &local) ||
			strftime(s->stamp, sizeof(s->stamp), "%b %e %H:%M:%S ", &local) == 0)
			s->stamp[0] = '\0';
	}
	buf_append_str(out, str_from_c(s->stamp));
}

static void format_line(struct log_sink *s, const struct log_event *event, struct buf *out)
{
	struct wall now = s->env ? os_env_stamp(&s->env->env) : (struct wall){ os_real_ms() };

	if (s->target == OS_LOG_SYSLOG)
		buf_printf(out, "<%d>", FACILITY_MAIL + severity(event->level));
	if (s->target == OS_LOG_SYSLOG || !s->is_json) {
		append_stamp(s, out, now);
		if (s->target != OS_LOG_SYSLOG) {
			buf_append_str(out, str_from_c(s->host));
			buf_append_char(out, ' ');
		}
		buf_append_str(out, str_from_c(s->tag));
		buf_append_char(out, '/');
		buf_append_str(out, str_from_c(event->program));
		buf_append_char(out, '[');
		buf_append_number(out, (uint64_t)s->pid, 1);
		buf_append_str(out, STR("]: "));
	}
	if (s->is_json)
		log_format_json(out, event, now);
	else
		log_format_text(out, event);
}

static void on_emit(struct log *log, const struct log_event *event)
{
	struct log_sink *s = CONTAINER_OF(log, struct os_log, log)->sink;

	pthread_mutex_lock(&s->mutex);
	buf_clear(&s->line);
	format_line(s, event, &s->line);
	/* A field that does not fit is left out by the formatter; the line end must be there. */
	if (s->line.len == LINE_MAX_BYTES)
		s->line.len--;
	buf_append_char(&s->line, '\n');
	put_line(s, buf_str(&s->line));
	if (may_gather(s, event->level)) {
		s->is_gathering = true;
	} else {
		flush(s);
		settle_on_loop(s);
	}
	pthread_mutex_unlock(&s->mutex);
}

enum err os_log_init(struct os_log *l, const struct os_log_params *params)
{
	struct log_sink *s = mem_zalloc(sizeof(*s));

	CHECK(params->target != OS_LOG_FILE || params->path);
	*s = (struct log_sink){ .target = params->target,
		.path = mem_strdup(params->path ? params->path : "/dev/log"),
		.tag = mem_strdup(params->tag ? params->tag : "outlast"),
		.is_json = params->is_json,
		.pid = (long)getpid(),
		.retry.on_fire = on_retry,
		.turn_end.on_turn_end = on_turn_end };
	CHECK(pthread_mutex_init(&s->mutex, NULL) == 0);
	buf_init(&s->line, LINE_MAX_BYTES);
	buf_init(&s->backlog, BACKLOG_MAX_BYTES);
	if (gethostname(s->host, sizeof(s->host) - 1) < 0 || s->host[0] == '\0')
		snprintf(s->host, sizeof(s->host), "localhost");
	*l = (struct os_log){ .log = { .level = params->level, .emit = on_emit }, .sink = s };
	s->fd = open_target(s, &s->is_socket);
	if (s->fd < 0 && s->target != OS_LOG_SYSLOG) {
		enum err err = err_from_open(errno);
		os_log_fini(l);
		return err;
	}
	return OK;
}

void os_log_attach(struct os_log *l, struct os_env *env)
{
	pthread_mutex_lock(&l->sink->mutex);
	l->sink->env = env;
	l->sink->loop_thread = pthread_self();
	settle_on_loop(l->sink);
	pthread_mutex_unlock(&l->sink->mutex);
	list_push_front(&env->uv->turn_hooks, &l->sink->turn_end.link);
}

void os_log_detach(struct os_log *l)
{
	struct log_sink *s = l->sink;

	pthread_mutex_lock(&s->mutex);
	if (s->env) {
		flush(s);
		list_remove(&s->turn_end.link);
		env_timer_stop(&s->env->env, &s->retry);
	}
	s->env = NULL;
	pthread_mutex_unlock(&s->mutex);
}

enum err os_log_reopen(struct os_log *l)
{
	struct log_sink *s = l->sink;
	enum err err = OK;
	bool is_socket;

	pthread_mutex_lock(&s->mutex);
	int fd = open_target(s, &is_socket);
	if (fd < 0) {
		err = err_from_open(errno);
	} else {
		flush(s); /* what was logged before belongs into the old one */
		if (s->fd >= 0)
			close(s->fd);
		s->fd = fd;
		s->is_socket = is_socket;
		flush(s);
	}
	pthread_mutex_unlock(&s->mutex);
	return err;
}

static void flush_at_end(struct log_sink *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLOUT };

	flush(s);
	for (int waited_ms = 0; s->backlog.len > 0 && waited_ms < FINI_MS; waited_ms += RETRY_MS) {
		(void)poll(&p, 1, RETRY_MS);
		flush(s);
	}
}

void os_log_fini(struct os_log *l)
{
	struct log_sink *s = l->sink;

	if (!s)
		return;
	os_log_detach(l);
	if (s->fd >= 0) {
		flush_at_end(s);
		close(s->fd);
	}
	buf_fini(&s->line);
	buf_fini(&s->backlog);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s->tag);
	free(s);
	l->sink = NULL;
}
