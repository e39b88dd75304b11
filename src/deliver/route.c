/*
 * route - see deliver/route.h.
 *
 * Happy path: MX of the domain; A and AAAA of all its hosts at once; what binds each of them in TLS; the addresses that
 * may be used become targets in order of preference. One host that cannot be looked up does not matter while
 * another can; when none can the answer is temporary, and final only if every look-up gave a final
 * answer. A smarthost that does not resolve is our configuration (4.3.5): it never bounces mail.
 *
 * When the answer would be temporary the last route that worked stands in, if the asker has one: all of it when there is no
 * MX answer, else the addresses of those hosts that the MX answer names. Hosts that TLSA records bound then are used only
 * under TLSA records of today: silence of DNS must not become clear text.
 */
#include "route_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "route_site.h"

#define ROUTE_PREFIX STR("route:")

static void on_mx(struct lookup *l);
static void on_finish(struct deferred *d);

/* ---- beginning and end ---- */

void route_conclude(struct work *w)
{
	env_defer(w->env, &w->finish);
}

void route_fail(
	struct work *w, enum stage stage, enum err err, struct status status, const char *why)
{
	struct outcome *o = &w->request->outcome;

	if (w->route->is_smarthost && status.klass == 5) {
		stage = STAGE_POLICY;
		status = STATUS(4, 3, 5);
	}
	*o = (struct outcome){ .stage = stage, .err = err, .status = status };
	o->text = arena_printf(&w->request->arena, "%.*s: %s", STR_FMT(w->name), why);
	route_conclude(w);
}

void route_fail_temporary(struct work *w, const char *what, struct str insecure)
{
	if (route_recall(w))
		return;
	struct str why = arena_printf(&w->request->arena, "%s look-up failed: %s%s%.*s", what,
		w->problem ? w->problem : "no answer", insecure.len > 0 ? "; " : "",
		STR_FMT(insecure));

	route_fail(w, STAGE_DNS, ERR_TIMEOUT, STATUS(4, 4, 3), why.data);
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
	route_hosts_cancel(w);
	route_bind_cancel(w);
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

struct host *route_add_host(struct work *w, struct str name, uint16_t preference)
{
	struct host *h = &w->hosts[w->host_count++];

	h->work = w;
	h->name = arena_lower(&w->route->arena, name);
	h->preference = preference;
	return h;
}

void route_set_site(struct work *w)
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
	w->policy = conf_policy_for(w->request->conf, domain, route->site);
	route->tls = w->policy->tls;
	if (route->conf_route && route->conf_route->has_tls)
		route->tls = route->conf_route->tls;
}

static void resolve_literal(struct work *w, struct str literal)
{
	struct endpoint address;
	struct host *h;

	if (endpoint_parse_ip(&address, strip_literal(literal)) != OK) {
		route_fail(w, STAGE_DNS, ERR_SYNTAX, STATUS(5, 1, 2), "bad address literal");
		return;
	}
	h = route_add_host(w, literal, 0);
	route_set_site(w);
	route_take_literal(w, h, &address);
}

static void look_up_mx(struct work *w)
{
	w->mx = (struct lookup){ .name = w->name, .type = DNS_MX, .on_done = on_mx };
	resolver_start(w->resolver, &w->mx);
}

static void resolve_smarthost(struct work *w, const struct conf_route *route)
{
	w->route->is_smarthost = true;
	w->name = arena_dup(&w->route->arena, route->host);
	w->port = route->port;
	w->is_signed = !route->uses_mx; /* by the operator's hand */
	if (route->is_host_literal)
		resolve_literal(w, w->name);
	else if (route->uses_mx)
		look_up_mx(w);
	else {
		route_add_host(w, w->name, 0);
		route_look_up_addresses(w);
	}
}

/* LMTP on a socket of this host: nothing to look up, nobody to listen. */
static void resolve_socket(struct work *w, const struct conf_route *route)
{
	struct route_target target = { .is_near = true, .is_vouched = true };
	struct str at = arena_printf(&w->arena, "unix:%.*s", STR_FMT(route->path));

	w->route->is_smarthost = true;
	w->name = arena_dup(&w->route->arena, route->path);
	if (endpoint_parse(&target.address, at, 0) != OK) {
		route_fail(w, STAGE_POLICY, ERR_SYNTAX, STATUS(4, 3, 5), "no path of a socket");
		return;
	}
	route_set_site(w);
	w->route->tls = TLS_NONE;
	target.host = arena_dup(&w->route->arena, w->request->conf->hostname);
	target.session_key = route_key_of(
		w->request->conf, route, target.host, &target.tls, &w->route->arena);
	w->route->targets[w->route->target_count++] = target;
	route_conclude(w);
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
		route_fail(w, STAGE_POLICY, ERR_NOT_FOUND, STATUS(4, 3, 5),
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
	route_add_host(w, record->host, record->preference);
}

/* Shuffles, then sorts in a way that keeps equals as they are: RFC 5321 5.1 wants them in random
 * order. */
void route_order_hosts(struct work *w)
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
bool route_cut_own_name(struct work *w)
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
		route_fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 10),
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
		route_fail(w, STAGE_DNS, ERR_SYNTAX, STATUS(5, 4, 4),
			unusable > 0 ? "no usable MX host name" : "no MX host");
		return;
	}
	w->route->mx_count = w->host_count;
	w->route->is_mx_authentic = w->is_signed = answer->is_authentic;
	route_order_hosts(w);
	if (route_cut_own_name(w) && w->host_count == 0) {
		route_fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6), "mail loops back to this host");
		return;
	}
	route_look_up_addresses(w);
}

static void on_mx(struct lookup *l)
{
	struct work *w = CONTAINER_OF(l, struct work, mx);

	w->is_unvouched |= l->answer->is_unvouched;
	switch (l->answer->result) {
	case DNS_FOUND:
		use_mx(w, l->answer);
		return;
	case DNS_NODATA:
		w->is_implicit = true;
		w->is_signed = l->answer->is_authentic;
		route_add_host(w, w->name, 0);
		if (route_cut_own_name(w))
			route_fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6),
				"mail loops back to this host");
		else
			route_look_up_addresses(w);
		return;
	case DNS_NXDOMAIN:
		route_fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 2), "domain not found");
		return;
	case DNS_TEMPORARY:
		w->problem = l->answer->problem;
		route_fail_temporary(w, "MX", STR(""));
		return;
	}
}

