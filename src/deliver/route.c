/*
 * route - see deliver/route.h.
 *
 * Happy path: MX of the domain; A and AAAA of all its hosts at once; the addresses that may be used
 * become targets in order of preference. One host that cannot be looked up does not matter while
 * another can; when none can the answer is temporary, and final only if every look-up gave a final
 * answer. A smarthost that does not resolve is our configuration (4.3.5): it never bounces mail.
 *
 * When the answer would be temporary the last route that worked stands in, if the asker has one: all of it when there is no
 * MX answer, else the addresses of those hosts that the MX answer names.
 */
#include "deliver/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "route_filter.h"
#include "route_site.h"
#include "route_text.h"

#define ROUTE_PREFIX STR("route:")
#define ADDRESSES_PER_HOST_MIN 2

struct work;
struct host;

struct family {
	struct work *work;
	struct host *host;
	struct lookup lookup;
	struct endpoint *found; /* those that may be used, in random order */
	uint32_t found_count;
	bool is_temporary;
};

struct host {
	struct str name;
	uint16_t preference;
	struct family ipv4, ipv6;
	bool has_local, has_refused, has_ours;
};

struct work {
	struct env *env;
	struct resolver *resolver;
	struct rng *rng;
	struct route_request *request;
	struct route *route;
	struct arena arena; /* addresses found */
	struct str name;    /* domain, or the smarthost's */
	uint16_t port;
	bool is_implicit; /* no MX: the name itself is the host */
	bool was_recalled; /* what is remembered was made use of, or of no use */
	struct lookup mx;
	struct host *hosts; /* DNS_MX_MAX */
	uint32_t host_count;
	uint32_t pending;    /* address look-ups */
	const char *problem; /* of a temporary failure */
	struct deferred finish;
};

static void on_mx(struct lookup *l);
static void on_address(struct lookup *l);
static void on_finish(struct deferred *d);

/* ---- beginning and end ---- */

static void conclude(struct work *w)
{
	env_defer(w->env, &w->finish);
}

static void fail(
	struct work *w, enum stage stage, enum err err, struct status status, const char *why)
{
	struct outcome *o = &w->request->outcome;

	if (w->route->is_smarthost && status.klass == 5) {
		stage = STAGE_POLICY;
		status = STATUS(4, 3, 5);
	}
	*o = (struct outcome){ .stage = stage, .err = err, .status = status };
	o->text = arena_printf(&w->request->arena, "%.*s: %s", STR_FMT(w->name), why);
	conclude(w);
}

static bool recall(struct work *w);

static void fail_temporary(struct work *w, const char *what)
{
	if (recall(w))
		return;
	struct str why = arena_printf(&w->request->arena, "%s look-up failed: %s", what,
		w->problem ? w->problem : "no answer");

	fail(w, STAGE_DNS, ERR_TIMEOUT, STATUS(4, 4, 3), why.data);
}

static void work_free(struct work *w)
{
	route_free(w->route);
	arena_fini(&w->arena);
	free(w->hosts);
	free(w);
}

static void on_finish(struct deferred *d)
{
	struct work *w = CONTAINER_OF(d, struct work, finish);
	struct route_request *r = w->request;

	r->private_state = NULL;
	if (r->outcome.stage == STAGE_NONE) {
		r->route = w->route;
		w->route = NULL;
	}
	work_free(w);
	r->on_done(r);
}

void route_cancel(struct route_request *r)
{
	struct work *w = r->private_state;

	if (!w)
		return;
	r->private_state = NULL;
	env_undefer(w->env, &w->finish);
	resolver_cancel(w->resolver, &w->mx);
	for (uint32_t i = 0; i < w->host_count; i++) {
		resolver_cancel(w->resolver, &w->hosts[i].ipv4.lookup);
		resolver_cancel(w->resolver, &w->hosts[i].ipv6.lookup);
	}
	work_free(w);
}

void route_free(struct route *route)
{
	if (!route)
		return;
	arena_fini(&route->arena);
	free(route);
}

/* ---- which way ---- */

/* The route of a hop that is a domain: rules with a sender condition have hops of their own. */
static const struct conf_route *route_of_domain(const struct conf *conf, struct str domain)
{
	for (uint32_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = &conf->routes[i];

		if (route->from.len > 0)
			continue;
		if (route->to.len == 0 || str_match_glob(domain, route->to))
			return route;
	}
	return NULL;
}

struct str route_hop_of(
	const struct conf *conf, struct str domain, struct str reverse_path, struct arena *arena)
{
	const struct conf_route *route = conf_route_for(conf, domain, reverse_path);

	if (!route || route->from.len == 0)
		return arena_lower(arena, domain);
	if (route->via != ROUTE_MX)
		return arena_printf(arena, "route:%.*s", STR_FMT(route->name));
	/* By MX, but past the rules without a sender condition: the domain has to be in the key. */
	struct str hop =
		arena_printf(arena, "route:%.*s/%.*s", STR_FMT(route->name), STR_FMT(domain));
	return arena_lower(arena, hop);
}

/* A literal's octets between the brackets, "IPv6:" left out. */
static struct str strip_literal(struct str literal)
{
	if (literal.len >= 2 && literal.data[0] == '[' && literal.data[literal.len - 1] == ']')
		literal = str_slice(literal, 1, literal.len - 1);
	if (str_starts_fold(literal, STR("IPv6:")))
		literal = str_slice(literal, 5, literal.len);
	return literal;
}

static struct host *add_host(struct work *w, struct str name, uint16_t preference)
{
	struct host *h = &w->hosts[w->host_count++];

	h->name = arena_lower(&w->route->arena, name);
	h->preference = preference;
	return h;
}

static void set_site(struct work *w)
{
	struct route *route = w->route;
	struct str names[DNS_MX_MAX];
	struct str domain = w->name;

	if (route->is_smarthost) {
		route->site = conf_route_site(route->conf_route, &route->arena);
		domain = STR("");
	} else {
		for (uint32_t i = 0; i < w->host_count; i++)
			names[i] = w->hosts[i].name;
		route->site =
			route_site_name(w->request->conf, names, w->host_count, &route->arena);
	}
	route->tls = conf_policy_for(w->request->conf, domain, route->site)->tls;
	if (route->conf_route && route->conf_route->has_tls)
		route->tls = route->conf_route->tls;
}

static void note_addresses(struct family *family, const struct endpoint *found, uint32_t count);
static void choose_targets(struct work *w);

static void resolve_literal(struct work *w, struct str literal)
{
	struct endpoint address;
	struct host *h;

	if (endpoint_parse_ip(&address, strip_literal(literal)) != OK) {
		fail(w, STAGE_DNS, ERR_SYNTAX, STATUS(5, 1, 2), "bad address literal");
		return;
	}
	h = add_host(w, literal, 0);
	set_site(w);
	h->ipv4 = (struct family){ .work = w, .host = h };
	note_addresses(&h->ipv4, &address, 1);
	choose_targets(w);
}

static void look_up_mx(struct work *w)
{
	w->mx = (struct lookup){ .name = w->name, .type = DNS_MX, .on_done = on_mx };
	resolver_start(w->resolver, &w->mx);
}

static void look_up_family(
	struct work *w, struct host *h, struct family *family, enum dns_type type)
{
	*family = (struct family){ .work = w, .host = h };
	family->lookup = (struct lookup){ .name = h->name, .type = type, .on_done = on_address };
	resolver_start(w->resolver, &family->lookup);
}

static void look_up_addresses(struct work *w)
{
	set_site(w);
	w->pending = 2 * w->host_count;
	for (uint32_t i = 0; i < w->host_count; i++) {
		look_up_family(w, &w->hosts[i], &w->hosts[i].ipv6, DNS_AAAA);
		look_up_family(w, &w->hosts[i], &w->hosts[i].ipv4, DNS_A);
	}
}

static void resolve_smarthost(struct work *w, const struct conf_route *route)
{
	w->route->is_smarthost = true;
	w->name = arena_dup(&w->route->arena, route->host);
	w->port = route->port;
	if (route->is_host_literal)
		resolve_literal(w, w->name);
	else if (route->uses_mx)
		look_up_mx(w);
	else {
		add_host(w, w->name, 0);
		look_up_addresses(w);
	}
}

/* LMTP on a socket of this host: nothing to look up, nobody to listen. */
static void resolve_socket(struct work *w, const struct conf_route *route)
{
	struct route_target target = { .is_near = true };
	struct str at = arena_printf(&w->arena, "unix:%.*s", STR_FMT(route->path));

	w->route->is_smarthost = true;
	w->name = arena_dup(&w->route->arena, route->path);
	if (endpoint_parse(&target.address, at, 0) != OK) {
		fail(w, STAGE_POLICY, ERR_SYNTAX, STATUS(4, 3, 5), "no path of a socket");
		return;
	}
	set_site(w);
	w->route->tls = TLS_NONE;
	target.host = arena_dup(&w->route->arena, w->request->conf->hostname);
	w->route->targets[w->route->target_count++] = target;
	conclude(w);
}

void route_resolve(
	struct env *env, struct resolver *resolver, struct rng *rng, struct route_request *r)
{
	struct work *w = mem_zalloc(sizeof(*w));
	const struct conf_route *route;
	struct str hop = r->hop;
	bool is_named = str_starts_fold(hop, ROUTE_PREFIX), has_domain = !is_named;

	*w = (struct work){ .env = env,
		.resolver = resolver,
		.rng = rng,
		.request = r,
		.port = r->conf->client.port };
	w->finish.on_run = on_finish;
	w->route = mem_zalloc(sizeof(*w->route));
	w->hosts = mem_array(DNS_MX_MAX, sizeof(w->hosts[0]));
	r->private_state = w;
	r->route = NULL;
	r->outcome = (struct outcome){ 0 };

	if (is_named) {
		struct str rest = str_slice(hop, ROUTE_PREFIX.len, hop.len);
		struct str name = str_cut(&rest, '/');

		route = conf_route_named(r->conf, name);
		has_domain = rest.len > 0;
		w->name = arena_dup(&w->route->arena, has_domain ? rest : name);
	} else {
		route = route_of_domain(r->conf, hop);
		w->name = arena_lower(&w->route->arena, hop);
	}
	w->route->conf_route = route;
	if (route && route->path.len > 0)
		resolve_socket(w, route);
	else if (route && route->via != ROUTE_MX)
		resolve_smarthost(w, route);
	else if (is_named && (!route || !has_domain))
		fail(w, STAGE_POLICY, ERR_NOT_FOUND, STATUS(4, 3, 5),
			"no such route in the configuration");
	else if (w->name.len > 0 && w->name.data[0] == '[')
		resolve_literal(w, w->name);
	else
		look_up_mx(w);
}

/* ---- MX ---- */

static bool is_usable_name(struct str name)
{
	struct endpoint address;

	return name.len > 0 && endpoint_parse_ip(&address, name) != OK;
}

static void add_mx(struct work *w, const struct dns_record *record)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		struct host *h = &w->hosts[i];

		if (!str_equal_fold(h->name, record->host))
			continue;
		if (record->preference < h->preference)
			h->preference = record->preference;
		return;
	}
	add_host(w, record->host, record->preference);
}

/* Shuffles, then sorts in a way that keeps equals as they are: RFC 5321 5.1 wants them in random
 * order. */
static void order_hosts(struct work *w)
{
	for (uint32_t i = w->host_count; i > 1; i--) {
		uint32_t j = (uint32_t)rng_below(w->rng, i);
		struct host swap = w->hosts[i - 1];

		w->hosts[i - 1] = w->hosts[j];
		w->hosts[j] = swap;
	}
	for (uint32_t i = 1; i < w->host_count; i++) {
		struct host moving = w->hosts[i];
		uint32_t at = i;

		for (; at > 0 && w->hosts[at - 1].preference > moving.preference; at--)
			w->hosts[at] = w->hosts[at - 1];
		w->hosts[at] = moving;
	}
}

/* Ourselves and everything not better than us go: mail sent there would come back. hosts are in
 * order. */
static bool cut_from_own_name(struct work *w)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		if (!str_equal_fold(w->hosts[i].name, w->request->conf->hostname))
			continue;
		uint16_t own = w->hosts[i].preference;
		while (w->host_count > 0 && w->hosts[w->host_count - 1].preference >= own)
			w->host_count--;
		return true;
	}
	return false;
}

static void use_mx(struct work *w, const struct dns_answer *answer)
{
	uint32_t unusable = answer->bad_count;

	if (answer->count == 1 && answer->bad_count == 0 && answer->records[0].host.len == 0) {
		fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 10),
			"domain does not accept mail (null MX)");
		return;
	}
	for (uint32_t i = 0; i < answer->count && w->host_count < DNS_MX_MAX; i++) {
		if (is_usable_name(answer->records[i].host))
			add_mx(w, &answer->records[i]);
		else
			unusable++;
	}
	if (w->host_count == 0) {
		fail(w, STAGE_DNS, ERR_SYNTAX, STATUS(5, 4, 4),
			unusable > 0 ? "no usable MX host name" : "no MX host");
		return;
	}
	w->route->mx_count = w->host_count;
	w->route->is_mx_authentic = answer->is_authentic;
	order_hosts(w);
	if (cut_from_own_name(w) && w->host_count == 0) {
		fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6), "mail loops back to this host");
		return;
	}
	look_up_addresses(w);
}

static void on_mx(struct lookup *l)
{
	struct work *w = CONTAINER_OF(l, struct work, mx);

	switch (l->answer->result) {
	case DNS_FOUND:
		use_mx(w, l->answer);
		return;
	case DNS_NODATA:
		w->is_implicit = true;
		add_host(w, w->name, 0);
		if (cut_from_own_name(w))
			fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6),
				"mail loops back to this host");
		else
			look_up_addresses(w);
		return;
	case DNS_NXDOMAIN:
		fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 2), "domain not found");
		return;
	case DNS_TEMPORARY:
		w->problem = l->answer->problem;
		fail_temporary(w, "MX");
		return;
	}
}

/* ---- addresses ---- */

static void note_addresses(struct family *family, const struct endpoint *found, uint32_t count)
{
	struct work *w = family->work;

	family->found = arena_array(&w->arena, count, sizeof(family->found[0]));
	for (uint32_t i = 0; i < count; i++) {
		struct endpoint address = found[i];

		address.port = w->port;
		switch (route_judge_address(w->request->conf, &address, w->route->is_smarthost)) {
		case ADDRESS_GOOD:
			family->found[family->found_count++] = address;
			break;
		case ADDRESS_OURS:
			family->host->has_ours = true;
			break;
		case ADDRESS_LOCAL:
			family->host->has_local = true;
			break;
		case ADDRESS_REFUSED:
			family->host->has_refused = true;
			break;
		}
	}
	for (uint32_t i = family->found_count; i > 1; i--) {
		uint32_t j = (uint32_t)rng_below(w->rng, i);
		struct endpoint swap = family->found[i - 1];

		family->found[i - 1] = family->found[j];
		family->found[j] = swap;
	}
}

static void on_address(struct lookup *l)
{
	struct family *family = CONTAINER_OF(l, struct family, lookup);
	struct work *w = family->work;

	if (l->answer->result == DNS_TEMPORARY) {
		family->is_temporary = true;
		w->problem = l->answer->problem;
	} else if (l->answer->result == DNS_FOUND) {
		struct endpoint *found = arena_array(&w->arena, l->answer->count, sizeof(found[0]));

		for (uint32_t i = 0; i < l->answer->count; i++)
			found[i] = l->answer->records[i].address;
		note_addresses(family, found, l->answer->count);
	}
	if (--w->pending == 0)
		choose_targets(w);
}

/* ---- targets ---- */

static void add_target(struct work *w, const struct host *h, const struct endpoint *address)
{
	struct route *route = w->route;

	if (route->target_count == ROUTE_TARGETS_MAX)
		return;
	/* Two names of one address are one machine: trying it twice tells nothing. */
	for (uint32_t i = 0; i < route->target_count; i++)
		if (endpoint_equal(&route->targets[i].address, address))
			return;
	route->targets[route->target_count++] = (struct route_target){
		.host = h->name,
		.preference = h->preference,
		.address = *address,
		.is_near = route_is_near(w->request->conf, address),
	};
}

/* Families alternate, so that one that does not work here costs one try, not all. */
static void add_host_targets(struct work *w, const struct host *h, uint32_t max)
{
	bool prefer_ipv4 = w->request->conf->client.prefer_ipv4;
	const struct family *first = prefer_ipv4 ? &h->ipv4 : &h->ipv6;
	const struct family *second = prefer_ipv4 ? &h->ipv6 : &h->ipv4;

	for (uint32_t i = 0; i < DNS_ADDRESS_MAX && 2 * i < max; i++) {
		if (i < first->found_count)
			add_target(w, h, &first->found[i]);
		if (i < second->found_count)
			add_target(w, h, &second->found[i]);
	}
}

static void cut_from_own_address(struct work *w, bool *is_cut)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		if (!w->hosts[i].has_ours)
			continue;
		*is_cut = true;
		while (w->host_count > 0 &&
			w->hosts[w->host_count - 1].preference >= w->hosts[i].preference)
			w->host_count--;
		return;
	}
}

static void fail_without_target(struct work *w, bool is_cut)
{
	bool is_temporary = false, is_local = is_cut, is_refused = false;

	for (uint32_t i = 0; i < w->host_count; i++) {
		const struct host *h = &w->hosts[i];

		is_temporary |= h->ipv4.is_temporary || h->ipv6.is_temporary;
		is_local |= h->has_local;
		is_refused |= h->has_refused;
	}
	if (is_temporary || w->route->dns_problem)
		fail_temporary(w, "address");
	else if (is_local)
		fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6), "mail loops back to this host");
	else if (is_refused)
		fail(w, STAGE_POLICY, ERR_PERMISSION, STATUS(5, 4, 4),
			"all addresses are in ranges refused by policy");
	else if (w->is_implicit)
		fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 2),
			"domain has neither MX nor address");
	else
		fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 4, 4), "no MX host has an address");
}

/* ---- the last route that worked ---- */

static void recall_addresses(struct work *w, struct host *h, const struct route_text_host *from)
{
	h->ipv4 = (struct family){ .work = w, .host = h };
	h->ipv6 = (struct family){ .work = w, .host = h };
	for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++) {
		struct endpoint found[ROUTE_TEXT_ADDRESSES_MAX];
		uint32_t count = 0;

		for (uint32_t i = 0; i < from->address_count; i++)
			if ((from->addresses[i].family == FAMILY_IPV6) == (is_ipv6 == 1))
				found[count++] = from->addresses[i];
		note_addresses(is_ipv6 ? &h->ipv6 : &h->ipv4, found, count);
	}
}

/* Without an MX answer all hosts are those of the text. */
static void recall_hosts(struct work *w, const struct route_text_host *from, uint32_t count)
{
	for (uint32_t i = 0; i < count && w->host_count < DNS_MX_MAX; i++)
		recall_addresses(w, add_host(w, from[i].name, from[i].preference), &from[i]);
	w->route->mx_count = w->host_count;
	order_hosts(w);
	/* the hosts have moved */
	for (uint32_t i = 0; i < w->host_count; i++)
		w->hosts[i].ipv4.host = w->hosts[i].ipv6.host = &w->hosts[i];
	(void)cut_from_own_name(w);
	if (w->host_count > 0)
		set_site(w);
}

static bool recall(struct work *w)
{
	struct route_text_host *from;
	uint32_t count;

	if (w->was_recalled || w->request->remembered.len == 0)
		return false;
	w->was_recalled = true;
	from = arena_array(&w->arena, DNS_MX_MAX, sizeof(from[0]));
	count = route_text_read(w->request->remembered, from, DNS_MX_MAX);
	if (w->host_count == 0)
		recall_hosts(w, from, count);
	else
		for (uint32_t i = 0; i < w->host_count; i++)
			for (uint32_t j = 0; j < count; j++)
				if (str_equal_fold(w->hosts[i].name, from[j].name))
					recall_addresses(w, &w->hosts[i], &from[j]);
	if (w->host_count == 0)
		return false;
	w->route->dns_problem = w->problem ? w->problem : "no answer";
	choose_targets(w);
	return true;
}

/* Not when we are one of its hosts: what is cut for that is not in the text. */
static void write_down(struct work *w)
{
	struct route_text_host *hosts;

	if (w->route->dns_problem || (w->name.len > 0 && w->name.data[0] == '['))
		return;
	hosts = arena_array(&w->arena, w->host_count + 1, sizeof(hosts[0]));
	for (uint32_t i = 0; i < w->host_count; i++) {
		const struct host *h = &w->hosts[i];
		const struct family *families[] = { &h->ipv4, &h->ipv6 };

		hosts[i] = (struct route_text_host){ .name = h->name, .preference = h->preference };
		for (size_t k = 0; k < ARRAY_COUNT(families); k++)
			for (uint32_t j = 0; j < families[k]->found_count &&
					     hosts[i].address_count < ROUTE_TEXT_ADDRESSES_MAX;
				j++)
				hosts[i].addresses[hosts[i].address_count++] =
					families[k]->found[j];
	}
	w->route->text = route_text_write(hosts, w->host_count, &w->route->arena);
}

/* ---- targets, chosen ---- */

static void choose_targets(struct work *w)
{
	bool is_cut = false;
	uint32_t max;

	cut_from_own_address(w, &is_cut);
	max = w->host_count > 0 ? ROUTE_TARGETS_MAX / w->host_count : 0;
	if (max < ADDRESSES_PER_HOST_MIN)
		max = ADDRESSES_PER_HOST_MIN;
	for (uint32_t i = 0; i < w->host_count; i++)
		add_host_targets(w, &w->hosts[i], max);
	if (w->route->target_count == 0) {
		fail_without_target(w, is_cut);
		return;
	}
	if (!is_cut)
		write_down(w);
	conclude(w);
}
