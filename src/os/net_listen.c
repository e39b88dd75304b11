/*
 * net_listen - listening sockets: made or inherited, watched by uv_poll, accepted by hand.
 *
 * uv_listen is not used because libuv, when descriptors run out, accepts and drops whatever waits;
 * here it keeps waiting in the kernel. On EMFILE the reserve descriptors are given free, for the
 * store and deliveries, and nobody is accepted until a timer has been able to take them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net_uv.h"

#define ACCEPTS_PER_TURN 64
#define STARVED_RETRY_MS 250

struct listener {
	struct net_uv *net;
	struct list link;
	uv_poll_t poll;
	int fd;
	struct endpoint at;
	bool is_inherited; /* the socket file is not ours to remove */
	bool is_paused;    /* by the user */
	bool is_starved;   /* for want of descriptors */
	bool is_closing;
	struct timer retry;
	const struct listener_handler *handler;
	void *user;
};

void net_reserve_release(struct net_uv *net)
{
	while (net->reserve_count > 0)
		close(net->reserve_fds[--net->reserve_count]);
}

bool net_reserve_take(struct net_uv *net)
{
	while (net->reserve_count < NET_RESERVE_COUNT) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			net_reserve_release(net);
			return false;
		}
		net->reserve_fds[net->reserve_count++] = fd;
	}
	return true;
}

static void starve(struct listener *l)
{
	uv_poll_stop(&l->poll);
	net_reserve_release(l->net);
	if (!l->is_starved)
		log_text(l->net->env->env.log, LOG_WARNING, "outlastd",
			"file descriptors are used up: accepting pauses");
	l->is_starved = true;
	env_timer_after(&l->net->env->env, &l->retry, STARVED_RETRY_MS);
}

static void accept_one(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	struct endpoint peer;

	endpoint_from_sockaddr(from, &peer);
	if (peer.family == FAMILY_UNIX) /* peers have no name of their own */
		peer = l->at;
	struct conn *c = conn_accepted(l->net, fd, &peer);
	if (!c)
		return;
	l->handler->on_accept(l->user, c);
	conn_start_reading(c);
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && !l->is_paused && !l->is_closing; i++) {
		struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
		socklen_t len = sizeof(from);
		int fd = accept4(
			l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			accept_one(l, fd, &from);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			starve(l);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} /* else the error is of that one connection: ECONNABORTED and its kind */
	}
	if (status < 0 && !l->is_closing)
		starve(l);
}

static void start_polling(struct listener *l)
{
	if (!l->is_paused && !l->is_starved &&
		uv_poll_start(&l->poll, UV_READABLE, on_acceptable) < 0)
		starve(l);
}

static void on_retry(struct timer *t)
{
	struct listener *l = CONTAINER_OF(t, struct listener, retry);

	if (!net_reserve_take(l->net)) {
		env_timer_after(&l->net->env->env, &l->retry, STARVED_RETRY_MS);
		return;
	}
	l->is_starved = false;
	start_polling(l);
}

static enum err err_from_listen(int number)
{
	switch (number) {
	case EADDRINUSE:
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return ERR_LIMIT;
	default:
		return ERR_NOT_FOUND;
	}
}

/* A socket file that nobody listens on is what a killed process leaves behind. */
static bool is_stale_socket(const struct endpoint *at)
{
	struct sockaddr_storage address;
	struct stat st;

	if (lstat(at->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	socklen_t len = endpoint_to_sockaddr(at, &address);
	bool is_stale = connect(fd, (struct sockaddr *)&address, len) < 0 && errno == ECONNREFUSED;
	close(fd);
	return is_stale;
}

static int bind_socket(int fd, const struct endpoint *at, unsigned mode)
{
	struct sockaddr_storage address;
	socklen_t len = endpoint_to_sockaddr(at, &address);
	int on = 1;

	if (at->family == FAMILY_UNIX) {
		if (is_stale_socket(at))
			unlink(at->path);
		if (bind(fd, (struct sockaddr *)&address, len) < 0)
			return -1;
		/* Nobody can connect before listen(), so the file's first permissions do not
		 * matter. */
		return chmod(at->path, (mode_t)mode);
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	/* :: and 0.0.0.0 are listened on separately, whatever the system's default. */
	if (at->family == FAMILY_IPV6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)&address, len);
}

static enum err make_socket(const struct endpoint *at, unsigned mode, int *out)
{
	int family = at->family == FAMILY_UNIX   ? AF_UNIX
		     : at->family == FAMILY_IPV6 ? AF_INET6
						 : AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_from_listen(errno);
	if (bind_socket(fd, at, mode) < 0 || listen(fd, SOMAXCONN) < 0) {
		int number = errno;
		close(fd);
		return err_from_listen(number);
	}
	*out = fd;
	return OK;
}

static bool fd_endpoint(int fd, struct endpoint *out)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return false;
	endpoint_from_sockaddr(&address, out);
	return true;
}

static bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
	if (a->family != b->family)
		return false;
	if (a->family == FAMILY_UNIX)
		return strncmp(a->path, b->path, sizeof(a->path)) == 0;
	return a->port == b->port && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* A duplicate, so that the address can be closed and listened on again in a reload. */
static int find_inherited(const struct net_uv *net, const struct endpoint *at)
{
	struct endpoint there;

	for (size_t i = 0; i < net->inherited_count; i++) {
		if (fd_endpoint(net->inherited_fds[i], &there) && is_same_place(&there, at))
			return fcntl(net->inherited_fds[i], F_DUPFD_CLOEXEC, 0);
	}
	return -1;
}

enum err listener_open(struct net *net, const struct endpoint *at, unsigned mode,
	const struct listener_handler *handler, void *user, struct listener **out)
{
	struct net_uv *uv = CONTAINER_OF(net, struct os_net, net)->uv;
	int fd = find_inherited(uv, at);
	bool is_inherited = fd >= 0;

	if (!is_inherited) {
		enum err err = make_socket(at, mode, &fd);
		if (err != OK)
			return err;
	}
	struct listener *l = mem_zalloc(sizeof(*l));
	*l = (struct listener){ .net = uv,
		.fd = fd,
		.at = *at,
		.is_inherited = is_inherited,
		.retry.on_fire = on_retry,
		.handler = handler,
		.user = user };
	if (at->family != FAMILY_UNIX)
		(void)fd_endpoint(fd, &l->at);
	if (uv_poll_init(&uv->env->uv->loop, &l->poll, fd) < 0) {
		close(fd);
		free(l);
		return ERR_LIMIT;
	}
	l->poll.data = l;
	uv->handle_count++;
	list_push_back(&uv->listeners, &l->link);
	start_polling(l);
	*out = l;
	return OK;
}

void listener_tell_endpoint(struct listener *l, struct endpoint *out)
{
	*out = l->at;
}

void listener_set_paused(struct listener *l, bool is_paused)
{
	if (l->is_paused == is_paused)
		return;
	l->is_paused = is_paused;
	if (is_paused)
		uv_poll_stop(&l->poll);
	else
		start_polling(l);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	l->net->handle_count--;
	free(l);
}

void listener_shut(struct listener *l)
{
	l->is_closing = true;
	env_timer_stop(&l->net->env->env, &l->retry);
	list_remove(&l->link);
	uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	close(l->fd);
	if (l->at.family == FAMILY_UNIX && !l->is_inherited)
		unlink(l->at.path);
}

void listener_shut_all(struct net_uv *net)
{
	LIST_FOR_EACH_SAFE (link, &net->listeners)
		listener_shut(CONTAINER_OF(link, struct listener, link));
}
