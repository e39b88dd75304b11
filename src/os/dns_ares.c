/*
 * dns_ares - queries over c-ares: it does sockets and the change to TCP; asking, judging and
 * fail-over are done here.
 *
 * Each try has a channel of its own with one server in it. That gives it a fresh random port, keeps
 * c-ares 1.18 from remembering one server's FORMERR as "no EDNS" for all queries, and lets a
 * SERVFAIL reach us as a packet (with ARES_FLAG_NOCHECKRESP c-ares hands it out, and leaves
 * fail-over to us). A try ends by a packet, an error or our deadline; what it said is kept, and the
 * next step taken by a deferred call, never inside a callback of c-ares.
 *
 * What fails: every failure is DNS_TEMPORARY with a reason, once all servers have been tried.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dns_parse.h"
#include "env_uv.h"
#include "os/os_dns.h"

/* One descriptor each; the others wait for their turn. */
#define LOOKUPS_MAX 100

struct dns_ares {
	struct os_env *env;
	struct ares_addr_port_node servers[OS_DNS_SERVER_MAX];
	bool has_ad[OS_DNS_SERVER_MAX]; /* whose AD bit counts */
	bool has_some_ad; /* one of them */
	bool trusts_ad;
	size_t server_count;
	size_t first_server; /* where queries begin: moves on when one does not answer */
	int64_t timeout_ms;
	unsigned tries;
	struct list lookups;
	struct list waiting; /* of dns_query.link */
	size_t lookup_count;
	size_t handle_count;
};

struct lookup {
	struct dns_ares *dns;
	struct list link;
	struct dns_query *query;
	ares_channel channel; /* NULL between tries */
	struct list polls;
	struct timer deadline;
	struct deferred step;
	char name[DNS_NAME_MAX + 1]; /* asked for now: the query's name, or an alias' target */
	size_t name_len;
	uint16_t id;
	size_t first_server;
	unsigned try_count;
	unsigned cname_count;
	bool is_plain;       /* without EDNS */
	bool is_unauthentic; /* some alias on the way was */
	bool is_unvouched;   /* some answer on the way was */
	uint32_t ttl_s;      /* least on the way */
	enum dns_reading reading;
	struct str target;
};

/* A socket of a channel, as long as c-ares watches it. */
struct dns_poll {
	uv_poll_t handle;
	struct list link;
	struct lookup *lookup;
	struct dns_ares *dns;
	int fd;
};

static void begin_try(struct lookup *l);

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct dns_poll *p = handle->data;
	bool is_readable = status < 0 || (events & UV_READABLE);
	bool is_writable = status < 0 || (events & UV_WRITABLE);

	ares_process_fd(p->lookup->channel, is_readable ? p->fd : ARES_SOCKET_BAD,
		is_writable ? p->fd : ARES_SOCKET_BAD);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct dns_poll *p = handle->data;

	p->dns->handle_count--;
	free(p);
}

static void poll_close(struct dns_poll *p)
{
	list_remove(&p->link);
	uv_close((uv_handle_t *)&p->handle, on_poll_closed);
}

static struct dns_poll *poll_open(struct lookup *l, int fd)
{
	struct dns_poll *p = mem_zalloc(sizeof(*p));

	if (uv_poll_init(&l->dns->env->uv->loop, &p->handle, fd) < 0) {
		free(p);
		return NULL; /* the deadline ends the try */
	}
	p->handle.data = p;
	p->lookup = l;
	p->dns = l->dns;
	p->fd = fd;
	l->dns->handle_count++;
	list_push_back(&l->polls, &p->link);
	return p;
}

static struct dns_poll *poll_find(struct lookup *l, int fd)
{
	LIST_FOR_EACH (link, &l->polls) {
		struct dns_poll *p = CONTAINER_OF(link, struct dns_poll, link);
		if (p->fd == fd)
			return p;
	}
	return NULL;
}

/* c-ares closes fd right after the call with neither: libuv must have let go of it by then. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	struct lookup *l = data;
	struct dns_poll *p = poll_find(l, fd);
	int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

	if (events == 0) {
		if (p)
			poll_close(p);
		return;
	}
	if (!p)
		p = poll_open(l, fd);
	if (p && uv_poll_start(&p->handle, events, on_poll) < 0)
		poll_close(p);
}

static void end_try(struct lookup *l, enum dns_reading reading, const char *problem)
{
	l->reading = reading;
	if (problem) {
		l->query->answer.result = DNS_TEMPORARY;
		l->query->answer.problem = problem;
	}
	env_timer_stop(&l->dns->env->env, &l->deadline);
	env_defer(&l->dns->env->env, &l->step);
}

/* The one that is asked now. */
static size_t server_of(const struct lookup *l)
{
	return (l->first_server + l->try_count) % l->dns->server_count;
}

static void on_reply(void *data, int status, int timeouts, unsigned char *octets, int len)
{
	struct lookup *l = data;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || list_is_linked(&l->step.link))
		return; /* the try is over already */
	if (!octets || len < 0) {
		end_try(l, DNS_READ_TRY_OTHER,
			status == ARES_ECONNREFUSED ? "connection refused" : ares_strerror(status));
		return;
	}
	unsigned cname_count = l->cname_count;
	enum dns_reading reading = dns_read_reply(str_of((const char *)octets, (size_t)len), l->id,
		str_of(l->name, l->name_len), l->query->type, &l->query->answer, &cname_count,
		&l->target);
	if (!l->dns->has_ad[server_of(l)]) {
		l->query->answer.is_authentic = false;
		l->is_unvouched |= l->dns->has_some_ad;
	}
	if (reading == DNS_READ_FOLLOW) /* aliases of a reply that is not used do not count */
		l->cname_count = cname_count;
	end_try(l, reading, NULL);
}

static void on_try_deadline(struct timer *t)
{
	struct lookup *l = CONTAINER_OF(t, struct lookup, deadline);
	struct dns_ares *dns = l->dns;
	size_t server = server_of(l);

	if (server == dns->first_server)
		dns->first_server = (server + 1) % dns->server_count;
	end_try(l, DNS_READ_TRY_OTHER, "timeout");
}

/* Everything is set, so that c-ares does not read /etc/resolv.conf for each query. */
static bool open_channel(struct lookup *l, struct ares_addr_port_node *server)
{
	struct in_addr unused = { .s_addr = htonl(INADDR_LOOPBACK) };
	char lookups[] = "b";
	struct ares_options options = {
		.flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
			 ARES_FLAG_EDNS,
		.timeout = 60 * 1000, /* ours is shorter */
		.tries = 1,
		.ndots = 1,
		.servers = &unused,
		.nservers = 1,
		.lookups = lookups,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = l,
		.ednspsz = 1232,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |
		   ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ;

	if (ares_init_options(&l->channel, &options, mask) != ARES_SUCCESS) {
		l->channel = NULL;
		return false;
	}
	return ares_set_servers_ports(l->channel, server) == ARES_SUCCESS;
}

static void close_channel(struct lookup *l)
{
	if (l->channel)
		ares_destroy(l->channel);
	l->channel = NULL;
	LIST_FOR_EACH_SAFE (link, &l->polls)
		poll_close(CONTAINER_OF(link, struct dns_poll, link));
}

static void clear_answer(struct dns_query *q)
{
	arena_fini(&q->answer.arena);
	q->answer = (struct dns_answer){ 0 };
}

static void begin_try(struct lookup *l)
{
	struct dns_ares *dns = l->dns;
	uint8_t query[DNS_QUERY_MAX];
	size_t server = server_of(l);

	close_channel(l);
	clear_answer(l->query);
	env_random(&dns->env->env, &l->id, sizeof(l->id));
	size_t len = dns_write_query(
		query, l->id, str_of(l->name, l->name_len), l->query->type, !l->is_plain);
	if (len == 0) {
		end_try(l, DNS_READ_ANSWER, "ill-formed name");
		return;
	}
	if (!open_channel(l, &dns->servers[server])) {
		end_try(l, DNS_READ_TRY_OTHER, "resolver cannot start");
		return;
	}
	env_timer_after(&dns->env->env, &l->deadline, dns->timeout_ms);
	ares_send(l->channel, query, (int)len, on_reply, l);
}

static void lookup_free(struct lookup *l)
{
	env_timer_stop(&l->dns->env->env, &l->deadline);
	close_channel(l);
	env_undefer(&l->dns->env->env, &l->step);
	list_remove(&l->link);
	l->dns->lookup_count--;
	l->query->adapter = NULL;
	free(l);
}

static void lookup_start(struct dns_ares *dns, struct dns_query *q);

static void start_waiting(struct dns_ares *dns)
{
	while (dns->lookup_count < LOOKUPS_MAX) {
		struct list *link = list_pop_front(&dns->waiting);
		if (!link)
			return;
		lookup_start(dns, CONTAINER_OF(link, struct dns_query, link));
	}
}

static void finish(struct lookup *l)
{
	struct dns_query *q = l->query;
	struct dns_ares *dns = l->dns;

	if (l->ttl_s < q->answer.ttl_s)
		q->answer.ttl_s = l->ttl_s;
	if (l->is_unauthentic)
		q->answer.is_authentic = false;
	q->answer.is_unvouched = l->is_unvouched;
	if (l->cname_count > 0 && q->answer.alias.len == 0)
		q->answer.alias = arena_dup(&q->answer.arena, str_of(l->name, l->name_len));
	lookup_free(l);
	start_waiting(dns);
	q->on_done(q);
}

static void on_step(struct deferred *d)
{
	struct lookup *l = CONTAINER_OF(d, struct lookup, step);
	struct dns_answer *answer = &l->query->answer;

	switch (l->reading) {
	case DNS_READ_ANSWER:
		finish(l);
		return;
	case DNS_READ_FOLLOW: /* a bounded number of times: cname_count only grows */
		CHECK(l->target.len < sizeof(l->name));
		memcpy(l->name, l->target.data, l->target.len);
		l->name_len = l->target.len;
		l->is_unauthentic = l->is_unauthentic || !answer->is_authentic;
		l->ttl_s = answer->ttl_s < l->ttl_s ? answer->ttl_s : l->ttl_s;
		l->first_server = server_of(l);
		l->try_count = 0;
		begin_try(l);
		return;
	case DNS_READ_TRY_PLAIN:
		if (!l->is_plain) {
			l->is_plain = true;
			begin_try(l);
			return;
		}
		break;
	case DNS_READ_TRY_OTHER:
		break;
	}
	l->is_plain = false;
	if (++l->try_count < l->dns->tries * l->dns->server_count)
		begin_try(l);
	else
		finish(l);
}

static void lookup_start(struct dns_ares *dns, struct dns_query *q)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->dns = dns;
	l->query = q;
	l->deadline.on_fire = on_try_deadline;
	l->step.on_run = on_step;
	l->ttl_s = UINT32_MAX;
	l->first_server = dns->first_server;
	list_init(&l->polls);
	/* a name that is too long is cut here to one that is still too long: ill-formed */
	l->name_len = q->name.len < DNS_NAME_MAX ? q->name.len : DNS_NAME_MAX;
	memcpy(l->name, q->name.data, l->name_len);
	list_push_back(&dns->lookups, &l->link);
	dns->lookup_count++;
	q->adapter = l;
	begin_try(l);
}

static void on_start_asked(struct dns *dns, struct dns_query *q)
{
	struct dns_ares *ares = CONTAINER_OF(dns, struct os_dns, dns)->ares;

	q->answer = (struct dns_answer){ 0 };
	q->adapter = NULL;
	q->link = (struct list){ 0 };
	if (ares->lookup_count < LOOKUPS_MAX)
		lookup_start(ares, q);
	else
		list_push_back(&ares->waiting, &q->link);
}

static void on_cancel_asked(struct dns *dns, struct dns_query *q)
{
	struct dns_ares *ares = CONTAINER_OF(dns, struct os_dns, dns)->ares;

	list_remove(&q->link);
	if (q->adapter)
		lookup_free(q->adapter);
	clear_answer(q);
	start_waiting(ares);
}

static const struct dns_ops dns_ares_ops = {
	.start = on_start_asked,
	.cancel = on_cancel_asked,
};

static void add_server(struct dns_ares *dns, const struct endpoint *e)
{
	if (dns->server_count == OS_DNS_SERVER_MAX)
		return;
	dns->has_ad[dns->server_count] = dns->trusts_ad || endpoint_is_loopback(e);
	dns->has_some_ad |= dns->has_ad[dns->server_count];
	struct ares_addr_port_node *to = &dns->servers[dns->server_count++];
	int port = e->port ? e->port : 53;

	*to = (struct ares_addr_port_node){ .udp_port = port, .tcp_port = port };
	if (e->family == FAMILY_IPV4) {
		to->family = AF_INET;
		memcpy(&to->addr.addr4, e->ip, 4);
	} else {
		CHECK(e->family == FAMILY_IPV6);
		to->family = AF_INET6;
		memcpy(&to->addr.addr6, e->ip, 16);
	}
}

static enum err add_system_servers(struct dns_ares *dns)
{
	ares_channel channel;
	struct ares_addr_port_node *servers = NULL;

	if (ares_init(&channel) != ARES_SUCCESS)
		return ERR_LIMIT;
	if (ares_get_servers_ports(channel, &servers) == ARES_SUCCESS) {
		for (const struct ares_addr_port_node *s = servers; s; s = s->next) {
			struct endpoint e = { .port = (uint16_t)s->udp_port };
			e.family = s->family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
			memcpy(e.ip, &s->addr, s->family == AF_INET ? 4 : 16);
			add_server(dns, &e);
		}
		ares_free_data(servers);
	}
	ares_destroy(channel);
	return dns->server_count > 0 ? OK : ERR_NOT_FOUND;
}

enum err os_dns_init(struct os_dns *d, struct os_env *env, const struct os_dns_params *params)
{
	enum err err = OK;

	CHECK(params->timeout_ms > 0 && params->tries > 0);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return ERR_LIMIT;
	struct dns_ares *dns = mem_zalloc(sizeof(*dns));
	dns->env = env;
	dns->timeout_ms = params->timeout_ms;
	dns->tries = params->tries;
	dns->trusts_ad = params->trusts_ad;
	list_init(&dns->lookups);
	list_init(&dns->waiting);
	for (size_t i = 0; i < params->server_count; i++)
		add_server(dns, &params->servers[i]);
	if (params->server_count == 0)
		err = add_system_servers(dns);
	if (err != OK) {
		ares_library_cleanup();
		free(dns);
		return err;
	}
	*d = (struct os_dns){ .dns.ops = &dns_ares_ops, .ares = dns };
	return OK;
}

void os_dns_fini(struct os_dns *d)
{
	struct dns_ares *dns = d->ares;

	if (!dns)
		return;
	LIST_FOR_EACH_SAFE (link, &dns->lookups) {
		struct lookup *l = CONTAINER_OF(link, struct lookup, link);
		struct dns_query *q = l->query;
		lookup_free(l);
		clear_answer(q);
	}
	while (list_pop_front(&dns->waiting))
		;
	env_uv_drain(dns->env, &dns->handle_count);
	ares_library_cleanup();
	free(dns);
	d->ares = NULL;
}
