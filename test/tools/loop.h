/*
 * loop - an epoll loop and a control socket for the judging tools.
 *
 * A watch is embedded in whoever owns the descriptor. What a handler closes must stay allocated
 * until the end of the round (the tools keep a list of the dead): one round may still hold an event
 * of it. The control socket takes one command a line and answers each with one line: "ok", "error:
 * ..." or what was asked for.
 */
#ifndef TOOLS_LOOP_H
#define TOOLS_LOOP_H

#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tool.h"

struct watch {
	int fd;
	uint32_t events;
	void (*on_ready)(struct watch *watch, uint32_t events);
};

#define owner_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void watch_start(int loop, struct watch *watch, int fd, uint32_t events,
	void (*on_ready)(struct watch *, uint32_t))
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	watch->fd = fd;
	watch->events = events;
	watch->on_ready = on_ready;
	if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static inline void watch_change(int loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->fd < 0 || watch->events == events)
		return;
	watch->events = events;
	if (epoll_ctl(loop, EPOLL_CTL_MOD, watch->fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static inline void watch_close(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
}

/* loop_round - waits up to wait_ms (-1: for ever) and runs the handlers of all that is ready. */
static inline void loop_round(int loop, int wait_ms)
{
	struct epoll_event events[256];
	int count = epoll_wait(loop, events, 256, wait_ms);

	if (count < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;

		if (watch->fd >= 0)
			watch->on_ready(watch, events[i].events);
	}
}

/* Control socket. */

struct control {
	struct watch watch;
	int loop;
	struct control_client *clients;
	/*
	 * Runs one command; adds the answer, without its line end, to out. The line may be changed.
	 */
	void (*on_command)(char *line, struct bytes *out);
};

struct control_client {
	struct watch watch;
	struct control *control;
	struct control_client *next;
	struct bytes in;
};

#define CONTROL_LINE_MAX 65536

static inline void control_answer(struct control_client *client, char *line)
{
	struct bytes out = { 0 };

	client->control->on_command(line, &out);
	bytes_put(&out, "\n");
	if (send(client->watch.fd, out.at, out.len, MSG_NOSIGNAL) != (ssize_t)out.len)
		watch_close(&client->watch);
	bytes_free(&out);
}

static inline void control_on_client(struct watch *watch, uint32_t events)
{
	struct control_client *client = owner_of(watch, struct control_client, watch);
	char chunk[4096];
	char *end;
	ssize_t got = recv(watch->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	(void)events;
	if (got <= 0 || client->in.len > CONTROL_LINE_MAX) {
		watch_close(watch);
		return;
	}
	bytes_add(&client->in, chunk, (size_t)got);
	while (watch->fd >= 0 && (end = memchr(client->in.at, '\n', client->in.len)) != NULL) {
		*end = '\0';
		control_answer(client, client->in.at);
		bytes_consume(&client->in, (size_t)(end + 1 - client->in.at));
	}
}

static inline void control_on_connect(struct watch *watch, uint32_t events)
{
	struct control *control = owner_of(watch, struct control, watch);
	/* The answers are small: a blocking socket for writing is good enough on this side. */
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC);
	struct control_client *client;

	(void)events;
	if (fd < 0)
		return;
	client = allocate(1, sizeof(*client));
	client->control = control;
	client->next = control->clients;
	control->clients = client;
	watch_start(control->loop, &client->watch, fd, EPOLLIN, control_on_client);
}

static inline void control_start(struct control *control, int loop, const char *path,
	void (*on_command)(char *line, struct bytes *out))
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(at.sun_path))
		die_usage("%s: too long for a UNIX socket", path);
	memcpy(at.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0)
		die("%s: %s", path, strerror(errno));
	control->loop = loop;
	control->on_command = on_command;
	watch_start(loop, &control->watch, fd, EPOLLIN, control_on_connect);
}

/* control_sweep - frees the clients that left; called at the end of a round. */
static inline void control_sweep(struct control *control)
{
	struct control_client **link = &control->clients;

	while (*link != NULL) {
		struct control_client *client = *link;

		if (client->watch.fd >= 0) {
			link = &client->next;
			continue;
		}
		*link = client->next;
		bytes_free(&client->in);
		free(client);
	}
}

/* next_word - cuts the next blank-separated word off *line; NULL at the end. */
static inline char *next_word(char **line)
{
	char *word = *line + strspn(*line, " \t\r");
	size_t len = strcspn(word, " \t\r");

	if (len == 0)
		return NULL;
	*line = word + len;
	if (**line != '\0')
		*(*line)++ = '\0';
	return word;
}

static inline char *rest_of(char *line)
{
	return line + strspn(line, " \t");
}

#endif
