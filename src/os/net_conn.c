/*
 * net_conn - one connection: connect, read, write, close.
 *
 * Happy path: output gathers in wire (with TLS first in clear) and the conn is put on the dirty
 * list; at the end of the turn one uv_try_write sends it, and uv_write takes what the kernel did
 * not. Input is read into the net's one buffer and handed on during the callback. A user who wants none
 * for now leaves epoll only when some comes: most have asked for it again before. What must reach
 * the user but is found out inside one of its own calls is posted, and told by on_event in the next
 * turn.
 *
 * After conn_close the user is out. A flushed close still sends what waits, says goodbye (FIN, with
 * TLS close_notify) and reads to the peer's end, since closing a socket with unread input would
 * reset it and could lose our last reply. Memory goes in the close callback of the handle, the last
 * one libuv makes.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net_uv.h"

#define LINGER_MS (1 * SECOND_MS)
#define LINGER_BYTES_MAX ((size_t)4 * 1024 * 1024)

static void on_event(struct deferred *d);
static void on_deadline(struct timer *t);

static struct env *env_of(const struct conn *c)
{
	return &c->net->env->env;
}

static struct conn_requests *requests_of(struct conn *c)
{
	if (!c->requests) {
		c->requests = mem_zalloc(sizeof(*c->requests));
		c->requests->write.data = c;
	}
	return c->requests;
}

static struct conn *conn_new(struct net_uv *net, const struct endpoint *peer)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->net = net;
	c->peer.family = peer->family;
	c->peer.port = peer->port;
	memcpy(c->peer.ip, peer->ip, sizeof(c->peer.ip));
	c->peer.path = peer->family == FAMILY_UNIX ? mem_strdup(peer->path) : NULL;
	c->wants_read = true;
	c->event.on_run = on_event;
	c->deadline.on_fire = on_deadline;
	buf_init(&c->clear, NET_OUTPUT_MAX_BYTES);
	buf_init(&c->wire, NET_OUTPUT_MAX_BYTES);
	if (peer->family == FAMILY_UNIX)
		CHECK(uv_pipe_init(&net->env->uv->loop, &c->uv.pipe, 0) == 0);
	else
		CHECK(uv_tcp_init(&net->env->uv->loop, &c->uv.tcp) == 0);
	c->uv.handle.data = c;
	net->handle_count++;
	net->conn_count++;
	list_push_back(&net->conns, &c->link);
	return c;
}

struct conn *conn_accepted(struct net_uv *net, int fd, const struct endpoint *peer)
{
	struct conn *c = conn_new(net, peer);
	int status = peer->family == FAMILY_UNIX ? uv_pipe_open(&c->uv.pipe, fd)
						 : uv_tcp_open(&c->uv.tcp, fd);

	if (status < 0) {
		close(fd);
		c->is_detached = true;
		conn_shut(c);
		return NULL;
	}
	if (peer->family != FAMILY_UNIX)
		uv_tcp_nodelay(&c->uv.tcp, 1);
	c->is_open = true;
	return c;
}

void conn_start_reading(struct conn *c)
{
	CHECK(c->handler || c->is_detached); /* on_accept sets a user or closes */
	conn_update_reading(c);
}

static void finish_open(struct conn *c, enum err err)
{
	c->is_opening = false;
	c->open_err = err;
	env_timer_stop(env_of(c), &c->deadline);
	if (err == OK) {
		c->is_open = true;
		if (c->peer.family != FAMILY_UNIX)
			uv_tcp_nodelay(&c->uv.tcp, 1);
		if (c->wire.len > 0)
			conn_mark_dirty(c);
	}
	conn_post(c, CONN_EVENT_OPEN);
}

static void on_connected(uv_connect_t *request, int status)
{
	struct conn *c = request->data;

	if (c->is_opening && !c->is_closing) /* else it was too late */
		finish_open(c, err_from_uv(status));
}

static int begin_connect(
	struct conn *c, const struct endpoint *to, const struct endpoint *source)
{
	uv_connect_t *request = &requests_of(c)->connect;
	struct sockaddr_storage address;

	request->data = c;
	if (c->peer.family == FAMILY_UNIX) {
		uv_pipe_connect(request, &c->uv.pipe, c->peer.path, on_connected);
		return 0;
	}
	if (source) {
		endpoint_to_sockaddr(source, &address);
		int status = uv_tcp_bind(&c->uv.tcp, (struct sockaddr *)&address, 0);
		if (status < 0)
			return status;
	}
	endpoint_to_sockaddr(to, &address);
	return uv_tcp_connect(request, &c->uv.tcp, (struct sockaddr *)&address, on_connected);
}

static struct conn *on_connect_asked(struct net *net, const struct endpoint *to,
	const struct endpoint *source, int64_t timeout_ms, const struct conn_handler *handler,
	void *user)
{
	struct conn *c = conn_new(CONTAINER_OF(net, struct os_net, net)->uv, to);

	c->handler = handler;
	c->user = user;
	c->is_opening = true;
	int status = begin_connect(c, to, source);
	if (status < 0)
		/* what the kernel refuses to try at all, such as 0.0.0.0/8 or a foreign source
		 * address */
		finish_open(c, status == UV_EINVAL ? ERR_UNREACHABLE : err_from_uv(status));
	else
		env_timer_after(env_of(c), &c->deadline, timeout_ms);
	return c;
}

void conn_post(struct conn *c, enum conn_event event)
{
	if (c->is_detached)
		return;
	c->pending |= event;
	env_defer(env_of(c), &c->event);
}

static void end_input(struct conn *c, enum err err)
{
	if (c->is_ended || c->is_detached)
		return;
	c->is_ended = true;
	c->is_input_done = true;
	conn_update_reading(c);
	c->handler->on_end(c->user, err);
}

void conn_finish_input(struct conn *c, enum err err)
{
	if (tls_is_handshaking(c))
		tls_fail(c, ERR_TLS, "connection closed during the TLS handshake");
	else
		end_input(c, err);
}

/* Output failed in one turn; input that the kernel still has, a last reply perhaps, is read in the
 * next. */
static void tell_broken(struct conn *c)
{
	if (c->is_polling && c->broken_turns++ < 2)
		conn_post(c, CONN_EVENT_BROKEN);
	else
		conn_finish_input(c, ERR_RESET);
}

static void on_event(struct deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, event);
	unsigned pending = c->pending;

	c->pending = 0;
	if (pending & CONN_EVENT_OPEN) {
		conn_update_reading(c);
		c->handler->on_open(c->user, c->open_err);
	}
	if (pending & CONN_EVENT_TLS && !c->is_detached)
		tls_report(c);
	/* What came behind the handshake is not kept waiting for another turn. */
	pending |= c->pending & CONN_EVENT_PUMP;
	c->pending &= ~(unsigned)CONN_EVENT_PUMP;
	if (pending & CONN_EVENT_PUMP && !c->is_detached)
		tls_pump(c);
	if (pending & CONN_EVENT_DRAINED && !c->is_detached && c->handler->on_drained &&
		net_uv_ops.conn_unsent(c) == 0)
		c->handler->on_drained(c->user);
	if (pending & CONN_EVENT_BROKEN && !c->is_detached)
		tell_broken(c);
}

static void on_deadline(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, deadline);

	if (c->is_detached)
		conn_shut(c);
	else if (c->is_opening)
		finish_open(c, ERR_TIMEOUT);
	else if (tls_is_handshaking(c))
		tls_fail(c, ERR_TIMEOUT, "TLS handshake timed out");
}

static bool should_poll(const struct conn *c)
{
	return c->is_open && !c->is_closing && !c->is_input_done && !tls_is_settled(c) &&
	       (c->is_detached || c->wants_read || tls_is_handshaking(c));
}

static unsigned read_bytes(const struct conn *c)
{
	bool is_limited = c->read_limit > 0 && c->read_limit < sizeof(c->net->read_buffer);

	return (unsigned)(is_limited ? c->read_limit : sizeof(c->net->read_buffer));
}

static void on_alloc(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *out)
{
	struct conn *c = handle->data;

	(void)suggested_bytes;
	if (!should_poll(c))
		*out = uv_buf_init(NULL, 0); /* on_octets gets UV_ENOBUFS; nothing is read */
	else
		*out = uv_buf_init(c->net->read_buffer, read_bytes(c));
}

static void on_octets(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct conn *c = stream->data;

	if (count == UV_ENOBUFS && !should_poll(c)) {
		conn_update_reading(c);
	} else if (count < 0) {
		c->is_input_done = true;
		conn_update_reading(c);
		if (c->is_shutting)
			conn_shut(c);
		else if (!c->is_detached)
			conn_finish_input(c, err_from_uv((int)count));
	} else if (count > 0 && c->is_detached) {
		/* Who pours on and on behind our goodbye is not waited for. */
		c->lingered_bytes += (size_t)count;
		if (c->lingered_bytes > LINGER_BYTES_MAX && !c->is_closing)
			conn_shut(c);
	} else if (count > 0) {
		if (c->tls)
			tls_feed(c, buffer->base, (size_t)count);
		else
			c->handler->on_read(c->user, str_of(buffer->base, (size_t)count));
	}
}

void conn_update_reading(struct conn *c)
{
	if (should_poll(c) == c->is_polling)
		return;
	c->is_polling = !c->is_polling;
	if (c->is_polling)
		CHECK(uv_read_start(&c->uv.stream, on_alloc, on_octets) == 0);
	else
		uv_read_stop(&c->uv.stream);
}

static void on_read_start_asked(struct conn *c)
{
	c->wants_read = true;
	if (c->tls)
		conn_post(c, CONN_EVENT_PUMP);
	conn_update_reading(c);
}

static void on_read_stop_asked(struct conn *c)
{
	c->wants_read = false; /* see on_alloc */
}

static void on_read_limit_asked(struct conn *c, size_t octets)
{
	c->read_limit = octets;
}

void conn_mark_dirty(struct conn *c)
{
	if (!list_is_linked(&c->dirty_link))
		list_push_back(&c->net->dirty, &c->dirty_link);
}

void conn_flush_all(struct turn_hook *hook)
{
	struct net_uv *net = CONTAINER_OF(hook, struct net_uv, flush_hook);
	struct list *link;

	while ((link = list_pop_front(&net->dirty)))
		conn_flush(CONTAINER_OF(link, struct conn, dirty_link));
}

static void break_output(struct conn *c)
{
	c->is_broken = true;
	c->was_unsent = false;
	buf_clear(&c->clear);
	buf_clear(&c->wire);
	if (c->is_detached)
		conn_shut(c);
	else
		conn_post(c, CONN_EVENT_BROKEN);
}

static void on_written(uv_write_t *request, int status)
{
	struct conn *c = request->data;

	c->is_writing = false;
	buf_fini(&c->requests->flight);
	if (c->is_closing)
		return;
	if (status < 0)
		break_output(c);
	else
		conn_mark_dirty(c);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct conn *c = request->data;

	if (!c->is_closing && (status < 0 || c->is_input_done))
		conn_shut(c);
}

/* Everything left for the kernel: tell the user, or go on closing. */
static void finish_flush(struct conn *c)
{
	if (c->was_unsent) {
		c->was_unsent = false;
		conn_post(c, CONN_EVENT_DRAINED);
	}
	if (!c->is_detached || c->is_shutting)
		return;
	c->is_shutting = true;
	env_timer_after(env_of(c), &c->deadline, LINGER_MS);
	uv_shutdown_t *request = &requests_of(c)->shutdown;
	request->data = c;
	if (uv_shutdown(request, &c->uv.stream, on_shutdown) < 0)
		conn_shut(c);
}

/* Sends wire. Returns false when some of it waits for the socket, or never will leave. */
static bool send_wire(struct conn *c)
{
	uv_buf_t b = uv_buf_init(c->wire.data, (unsigned)c->wire.len);
	int sent = uv_try_write(&c->uv.stream, &b, 1);

	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent < 0) {
		break_output(c);
		return false;
	}
	bool is_all = (size_t)sent == c->wire.len;
	if (!is_all) {
		struct conn_requests *r = requests_of(c);
		r->flight = c->wire;
		b = uv_buf_init(r->flight.data + sent, (unsigned)(r->flight.len - (size_t)sent));
		c->is_writing = true;
		int status = uv_write(&r->write, &c->uv.stream, &b, 1, on_written);
		if (status < 0) {
			c->is_writing = false;
			break_output(c);
		}
	} else {
		buf_fini(&c->wire); /* an idle connection keeps no buffer */
	}
	buf_init(&c->wire, NET_OUTPUT_MAX_BYTES);
	return is_all;
}

void conn_flush(struct conn *c)
{
	while (c->is_open && !c->is_writing && !c->is_broken && !c->is_closing) {
		if (c->wire.is_full || c->clear.is_full) {
			break_output(c);
			return;
		}
		if (c->tls)
			tls_seal(c);
		if (c->is_closing)
			return; /* by the user, told of an error in sealing */
		if (c->wire.len == 0) {
			/* during a handshake clear text goes on waiting */
			if (c->clear.len == 0)
				finish_flush(c);
			return;
		}
		if (!send_wire(c))
			return;
	}
}

static void on_write_asked(struct conn *c, struct str octets)
{
	if (c->is_broken || octets.len == 0)
		return;
	buf_append_str(c->tls ? &c->clear : &c->wire, octets);
	c->was_unsent = true;
	if (c->is_open)
		conn_mark_dirty(c);
}

static void on_give_asked(struct conn *c, struct buf *octets)
{
	struct buf *output = c->tls ? &c->clear : &c->wire;
	size_t max_bytes = octets->max_bytes;

	if (output->len > 0 || octets->len == 0 || c->is_broken) {
		on_write_asked(c, buf_str(octets));
		buf_clear(octets);
		return;
	}
	buf_fini(output);
	*output = *octets;
	output->max_bytes = NET_OUTPUT_MAX_BYTES;
	buf_init(octets, max_bytes);
	c->was_unsent = true;
	if (c->is_open)
		conn_mark_dirty(c);
}

static size_t on_unsent_asked(struct conn *c)
{
	size_t flying = c->is_writing ? uv_stream_get_write_queue_size(&c->uv.stream) : 0;

	return c->clear.len + c->wire.len + flying;
}

static void on_conn_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;
	struct net_uv *net = c->net;

	CHECK(!c->is_writing);
	tls_free(c);
	buf_fini(&c->clear);
	buf_fini(&c->wire);
	if (c->requests)
		buf_fini(&c->requests->flight);
	free(c->requests);
	free(c->peer.path);
	net->handle_count--;
	net->conn_count--;
	free(c);
}

void conn_shut(struct conn *c)
{
	if (c->is_closing)
		return;
	c->is_closing = true;
	c->is_detached = true;
	c->is_polling = false;
	c->pending = 0;
	env_undefer(env_of(c), &c->event);
	env_timer_stop(env_of(c), &c->deadline);
	list_remove(&c->link);
	list_remove(&c->dirty_link);
	uv_close(&c->uv.handle, on_conn_closed);
}

static void on_close_asked(struct conn *c, bool is_flushed)
{
	CHECK(!c->is_detached);
	c->is_detached = true;
	c->handler = NULL;
	c->pending = 0;
	env_undefer(env_of(c), &c->event);
	if (!is_flushed || !c->is_open || c->is_broken || (c->tls && !tls_is_open(c))) {
		conn_shut(c);
		return;
	}
	env_timer_after(env_of(c), &c->deadline, c->net->flush_limit_ms);
	conn_update_reading(c);
	conn_mark_dirty(c);
}

static void on_set_user_asked(struct conn *c, const struct conn_handler *handler, void *user)
{
	c->handler = handler;
	c->user = user;
}

static void on_peer_asked(struct conn *c, struct endpoint *out)
{
	*out = (struct endpoint){ .family = c->peer.family, .port = c->peer.port };
	memcpy(out->ip, c->peer.ip, sizeof(out->ip));
	if (c->peer.path)
		memcpy(out->path, c->peer.path, strlen(c->peer.path) + 1);
}

static int conn_fd(const struct conn *c)
{
	uv_os_fd_t fd = -1;

	return uv_fileno(&c->uv.handle, &fd) == 0 ? fd : -1;
}

static void on_local_asked(struct conn *c, struct endpoint *out)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(address);

	(void)getsockname(conn_fd(c), (struct sockaddr *)&address, &len);
	endpoint_from_sockaddr(&address, out);
}

static void on_credentials_asked(struct conn *c, struct peer_credentials *out)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*out = (struct peer_credentials){ .is_known = false };
	if (c->peer.family != FAMILY_UNIX ||
		getsockopt(conn_fd(c), SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	*out = (struct peer_credentials){
		.is_known = true, .uid = peer.uid, .gid = peer.gid, .pid = peer.pid
	};
}

const struct net_ops net_uv_ops = {
	.listen = listener_open,
	.listener_endpoint = listener_tell_endpoint,
	.listener_pause = listener_set_paused,
	.listener_close = listener_shut,
	.connect = on_connect_asked,
	.conn_set_user = on_set_user_asked,
	.conn_peer = on_peer_asked,
	.conn_local = on_local_asked,
	.conn_credentials = on_credentials_asked,
	.conn_read_start = on_read_start_asked,
	.conn_read_stop = on_read_stop_asked,
	.conn_read_limit = on_read_limit_asked,
	.conn_write = on_write_asked,
	.conn_give = on_give_asked,
	.conn_unsent = on_unsent_asked,
	.conn_start_tls = tls_start,
	.conn_close = on_close_asked,
};
