/*
 * net_uv - the net adapter as a whole: init, fini, and what all connections share.
 *
 * net_listen.c accepts, net_conn.c moves octets, net_tls.c encrypts them, tls_verify.c
 * judges certificates, tls_session.c and tls_ticket.c resume, tls_context.c reads files. Nothing here can fail but for want of memory.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls_private.h"

void os_net_init(
	struct os_net *n, struct os_env *env, const int *inherited_fds, size_t inherited_count)
{
	struct net_uv *net = mem_zalloc(sizeof(*net));

	net->env = env;
	net->handshake_limit_ms = NET_HANDSHAKE_LIMIT_MS;
	net->flush_limit_ms = NET_FLUSH_LIMIT_MS;
	net->flush_hook.on_turn_end = conn_flush_all;
	list_init(&net->conns);
	list_init(&net->listeners);
	list_init(&net->dirty);
	list_push_back(&env->uv->turn_hooks, &net->flush_hook.link);
	if (inherited_count > 0) {
		net->inherited_fds = mem_array(inherited_count, sizeof(*inherited_fds));
		memcpy(net->inherited_fds, inherited_fds, inherited_count * sizeof(*inherited_fds));
		net->inherited_count = inherited_count;
	}
	net->bio_method = tls_bio_method();
	tls_sessions_init(net);
	(void)net_reserve_take(net); /* tried again before the first accept after a shortage */
	*n = (struct os_net){ .net.ops = &net_uv_ops, .uv = net };
}

void os_net_fini(struct os_net *n)
{
	struct net_uv *net = n->uv;

	if (!net)
		return;
	listener_shut_all(net);
	LIST_FOR_EACH_SAFE (link, &net->conns)
		conn_shut(CONTAINER_OF(link, struct conn, link));
	env_uv_drain(net->env, &net->handle_count);
	list_remove(&net->flush_hook.link);
	net_reserve_release(net);
	for (size_t i = 0; i < net->inherited_count; i++)
		close(net->inherited_fds[i]);
	free(net->inherited_fds);
	SSL_CTX_free(net->client_context);
	SSL_CTX_free(net->lax_context);
	SSL_CTX_free(net->server_context);
	BIO_meth_free(net->bio_method);
	tls_sessions_fini(net);
	OPENSSL_cleanse(net->ticket_keys, sizeof(net->ticket_keys));
	free(net);
	n->uv = NULL;
}

size_t os_net_conn_count(const struct os_net *n)
{
	return n->uv->conn_count;
}

bool os_net_has_certificate(const struct os_net *n)
{
	return n->uv->server_context != NULL;
}
