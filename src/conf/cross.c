/*
 * cross - what settings owe each other. Each problem says where, what would go wrong, and what to
 * do.
 */
#include "loader.h"

static void check_policy(
	struct loader *l, const struct conf_policy *policy, const struct place *item);
static void check_listener(struct loader *l, const struct conf_listener *listener, struct place at);
static void check_route(struct loader *l, const struct conf_route *route, struct place at);
static void check_class(struct loader *l, const struct conf_class *class, struct place at);
static void check_user_rule(
	struct loader *l, const struct conf_user_rule *rule, struct place at);
static void check_relay_domain(
	struct loader *l, const struct conf_relay_domain *item, struct place at);
static void check_networks(struct loader *l);

void cross_check(struct loader *l)
{
	const struct conf *c = l->conf;
	check_policy(l, &c->policy, NULL);
	check_networks(l);
	if (c->listener_count == 0 && l->problems.count == 0)
		problem_add(&l->problems, loader_place(l, NULL, "listeners", NULL),
			"without a listener no mail can come in");
	if (c->dns.ttl_min_ms > c->dns.ttl_max_ms)
		problem_add(&l->problems, loader_place(l, "dns", "ttl-min", "ttl-max"),
			"dns.ttl-min must not be more than dns.ttl-max");
	if (c->tls.certificate.len > 0 && c->tls.key.len == 0)
		problem_add(&l->problems, loader_place(l, "tls", "certificate", NULL),
			"tls.certificate needs tls.key, the file with its private key");
	if (c->tls.key.len > 0 && c->tls.certificate.len == 0)
		problem_add(&l->problems, loader_place(l, "tls", "key", NULL),
			"tls.key needs tls.certificate");
	if (c->tls.client_authorities.len > 0 && c->tls.certificate.len == 0)
		problem_add(&l->problems, loader_place(l, "tls", "client-authorities", NULL),
			"tls.client-authorities needs tls.certificate: without TLS nobody can show "
			"a certificate");
}

void cross_check_item(
	struct loader *l, const struct key_items *items, const void *item, struct place at)
{
	const struct conf *c = l->conf;
	if (items == keys_find(NULL, STR("listeners"))->items) {
		check_listener(l, item, at);
	} else if (items == keys_find(NULL, STR("routes"))->items) {
		check_route(l, item, at);
	} else if (items == keys_find(NULL, STR("destinations"))->items) {
		check_policy(l, &((const struct conf_destination *)item)->policy, &at);
	} else if (items == keys_find(NULL, STR("relay-domains"))->items) {
		check_relay_domain(l, item, at);
	} else if (items == &class_items) {
		check_class(l, item, at);
	} else if (items == keys_find(NULL, STR("user-rules"))->items) {
		check_user_rule(l, item, at);
	} else {
		const struct conf_site *site = item;
		for (uint32_t i = 0; &c->sites[i] != site; i++)
			if (str_equal(c->sites[i].name, site->name))
				problem_add(&l->problems, at, "there is a site '%.*s' already",
					STR_FMT(site->name));
	}
}

/* A policy that is wrong everywhere is reported once, not for each destination that inherits it. */
static void check_order(struct loader *l, const struct place *item, const char *section,
	const char *low, const char *high, bool is_wrong, bool is_wrong_everywhere)
{
	if (!is_wrong || (item && is_wrong_everywhere))
		return;
	problem_add(&l->problems, item ? *item : loader_place(l, section, low, high),
		"%s must not be more than %s", low, high);
}

static void check_policy(struct loader *l, const struct conf_policy *p, const struct place *item)
{
	const struct conf_policy *all = &l->conf->policy;
	check_order(l, item, "queue", "lifetime", "lifetime-max",
		p->lifetime_ms > p->lifetime_max_ms, all->lifetime_ms > all->lifetime_max_ms);
	check_order(l, item, "queue", "bounce-lifetime", "lifetime-max",
		p->bounce_lifetime_ms > p->lifetime_max_ms,
		all->bounce_lifetime_ms > all->lifetime_max_ms);
	check_order(l, item, "outage", "probe-first", "probe-last",
		p->probe_first_ms > p->probe_last_ms, all->probe_first_ms > all->probe_last_ms);
	check_order(l, item, "outage", "probe-unknown-first", "probe-unknown-last",
		p->probe_unknown_first_ms > p->probe_unknown_last_ms,
		all->probe_unknown_first_ms > all->probe_unknown_last_ms);
	if (p->retry_count == 0)
		problem_add(&l->problems, item ? *item : loader_place(l, "retry", "schedule", NULL),
			"the retry schedule is empty, it needs at least one pause like 5m");
}

static void check_listener(struct loader *l, const struct conf_listener *listener, struct place at)
{
	const struct conf *c = l->conf;
	bool is_local = listener->at.family == FAMILY_UNIX || endpoint_is_loopback(&listener->at);
	for (uint32_t i = 0; &c->listeners[i] != listener; i++)
		if (endpoint_equal(&c->listeners[i].at, &listener->at))
			problem_add(
				&l->problems, at, "there is a listener at this address already");
	if (listener->tls != LISTENER_PLAIN && c->tls.certificate.len == 0)
		problem_add(
			&l->problems, at, "a listener with TLS needs tls.certificate and tls.key");
	if (listener->is_proxied && c->proxy_count == 0)
		problem_add(&l->problems, at,
			"nobody could connect: 'proxy: yes' needs proxy-from, the networks of the load "
			"balancers");
	if (listener->is_proxied && listener->at.family == FAMILY_UNIX)
		problem_add(&l->problems, at, "a UNIX socket takes no PROXY header");
	if (listener->allow != ALLOW_AUTHENTICATED)
		return;
	if (c->user_count == 0 && c->tls.client_authorities.len == 0)
		problem_add(&l->problems, at,
			"'allow: authenticated' needs users: set auth.users to their file");
	if (listener->tls == LISTENER_PLAIN && !is_local && !c->auth_without_tls)
		problem_add(&l->problems, at,
			"nobody could log in: AUTH needs TLS here, set 'tls: starttls' or "
			"auth.without-tls");
}

static bool is_at_home(const struct conf_route *route)
{
	struct endpoint at;
	if (route->path.len > 0)
		return true;
	if (!route->is_host_literal)
		return str_equal(route->host, STR("localhost"));
	return endpoint_parse_ip(&at, route->host) == OK && endpoint_is_loopback(&at);
}

static void check_route(struct loader *l, const struct conf_route *route, struct place at)
{
	const struct conf *c = l->conf;
	enum tls_policy tls = route->has_tls ? route->tls : c->policy.tls;
	for (uint32_t i = 0; &c->routes[i] != route; i++)
		if (str_equal(c->routes[i].name, route->name))
			problem_add(&l->problems, at, "there is a route '%.*s' already",
				STR_FMT(route->name));
	if (route->path.len > 0 && route->has_tls && route->tls != TLS_NONE)
		problem_add(&l->problems, at, "a socket of this host needs no TLS");
	if (route->path.len > 0 && (route->source_ipv4.family || route->source_ipv6.family))
		problem_add(&l->problems, at, "a socket of this host has no source address");
	if (route->user.len == 0)
		return;
	if (route->via == ROUTE_MX)
		problem_add(&l->problems, at,
			"'auth' needs a smarthost: 'via: mx' may lead to anybody");
	else if ((tls == TLS_NONE || tls == TLS_OPPORTUNISTIC) && !is_at_home(route))
		problem_add(&l->problems, at,
			"the password could go out in clear text: set 'tls: verify' or 'tls: "
			"require'");
}

static void check_class(struct loader *l, const struct conf_class *class, struct place at)
{
	const struct conf *c = l->conf;
	for (uint32_t i = 0; &c->classes[i] != class; i++)
		if (str_equal(c->classes[i].name, class->name))
			problem_add(&l->problems, at, "there is a class '%.*s' already",
				STR_FMT(class->name));
	if (!class->has_priority && !class->has_deliver_by && !class->has_hold && !class->has_notify)
		problem_add(&l->problems, at,
			"this class changes nothing: set priority, deliver-by, hold or notify");
	if (class->has_hold && class->has_deliver_by && class->hold_ms >= class->deliver_by_ms)
		problem_add(&l->problems, at, "hold must be less than deliver-by");
}

static void check_user_rule(
	struct loader *l, const struct conf_user_rule *rule, struct place at)
{
	const struct conf *c = l->conf;
	if (rule->sender_count == 0 && rule->messages_per_hour == 0 && rule->recipients_per_hour == 0)
		return; /* for whom the rules behind it do not hold */
	if (c->user_count == 0 && c->tls.client_authorities.len == 0)
		problem_add(&l->problems, at,
			"user-rules need users: set auth.users to their file");
}

static void check_relay_domain(
	struct loader *l, const struct conf_relay_domain *item, struct place at)
{
	if (str_match_glob(STR("a.example"), item->pattern) &&
		str_match_glob(STR("b.test"), item->pattern))
		problem_add(&l->problems, at,
			"this takes mail for the whole Internet, which makes an open relay; name your "
			"own domains");
}

static void check_claimants(
	struct loader *l, const char *name, const struct network *networks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (networks[i].prefix_bits == 0)
			problem_add(&l->problems, loader_place(l, NULL, name, NULL),
				"this lets anybody claim to be a trusted client, which makes an open "
				"relay; name your own servers");
}

static void check_networks(struct loader *l)
{
	const struct conf *c = l->conf;
	check_claimants(l, "proxy-from", c->proxies, c->proxy_count);
	check_claimants(l, "xclient-from", c->xclient, c->xclient_count);
	for (uint32_t i = 0; i < c->trusted_count; i++) {
		if (c->trusted[i].prefix_bits > 0)
			continue;
		problem_add(&l->problems, loader_place(l, NULL, "trusted", NULL),
			"this trusts the whole Internet, which makes an open relay; name your own "
			"networks");
	}
}
