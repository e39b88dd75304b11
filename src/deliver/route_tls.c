/*
 * route_tls - how each host of a route must be secured: DANE (RFC 7672), MTA-STS (RFC 8461), configuration.
 *
 * TLSA records are asked for only where DNSSEC vouches for the name of the host and an address of it, so that zones that are not
 * signed cost nothing. Then: records that can be used bind; records none of which can be used ask for encryption
 * alone; none, or none that anybody vouches for, leave the host to the others; and no answer to rely on (a bogus or a
 * silent zone, or nobody left to vouch for what was bound before) means that the host is not used: to go on without would be just what an attacker wants.
 *
 * A policy of the domain binds the hosts that TLSA records do not. What the operator configured is the least of all, and a
 * rule of his that is stricter stays.
 */
#include <string.h>

#include "base/check.h"
#include "mail/domain.h"
#include "route_private.h"
#include "route_text.h"

#define KEY_BYTES_MAX ((size_t)256 * 1024) /* the records of one reply fit in 64 KiB */
#define BASES_MAX 3

static void on_tlsa(struct lookup *l);
static void on_sts(struct tls_policy_query *q);
static void bind_all(struct work *w);

/* ---- what is asked ---- */

static bool heeds_tlsa(const struct work *w)
{
	switch (w->route->tls) {
	case TLS_NONE:
	case TLS_VERIFY:
		return false;
	case TLS_OPPORTUNISTIC:
	case TLS_REQUIRE:
		return w->policy->has_dane;
	case TLS_DANE:
		return true;
	}
	return false;
}

static bool heeds_sts(const struct work *w)
{
	bool is_literal = w->name.len > 0 && w->name.data[0] == '[';

	return w->request->policies && w->policy->has_sts && !w->route->is_smarthost &&
	       !is_literal && w->route->tls != TLS_NONE && w->route->tls != TLS_DANE;
}

static bool wants_tlsa(const struct work *w, const struct host *h)
{
	if (!heeds_tlsa(w) || h->ipv4.found_count + h->ipv6.found_count == 0)
		return false;
	if (h->is_recalled)
		return h->was_bound;
	return w->is_signed && (h->ipv4.is_authentic || h->ipv6.is_authentic);
}

/* Returns false where there can be no such name. */
static bool look_up_tlsa(struct work *w, struct host *h, struct str base)
{
	struct str name = arena_printf(&w->arena, "_%u._tcp.%.*s", w->port, STR_FMT(base));

	if (name.len > DOMAIN_LEN_MAX)
		return false;
	h->tlsa_base = base;
	h->tlsa_lookup = (struct lookup){ .name = name, .type = DNS_TLSA, .on_done = on_tlsa };
	w->pending++;
	resolver_start(w->resolver, &h->tlsa_lookup);
	return true;
}

/* RFC 7672 section 2.2.2: the name at the end of the aliases comes before the first. */
static void ask_for_tlsa(struct work *w, struct host *h)
{
	if (h->alias.len > 0 && look_up_tlsa(w, h, h->alias))
		return;
	(void)look_up_tlsa(w, h, h->name);
}

static void ask_for_policy(struct work *w)
{
	w->is_sts_asked = w->is_sts_running = true;
	w->sts_query = (struct tls_policy_query){ .domain = w->name, .on_done = on_sts };
	w->pending++;
	w->request->policies->ops->start(w->request->policies, &w->sts_query);
}

static void recall_bonds(struct work *w)
{
	struct route_text_host *from = arena_array(&w->arena, DNS_MX_MAX, sizeof(from[0]));
	uint32_t count = route_text_read(w->request->remembered, from, DNS_MX_MAX);

	for (uint32_t i = 0; i < w->host_count; i++)
		for (uint32_t j = 0; j < count; j++)
			w->hosts[i].was_bound |=
				from[j].is_bound && str_equal_fold(w->hosts[i].name, from[j].name);
}

void route_bind(struct work *w)
{
	CHECK(w->pending == 0);
	if (w->request->remembered.len > 0)
		recall_bonds(w);
	if (!w->is_sts_asked && heeds_sts(w))
		ask_for_policy(w);
	for (uint32_t i = 0; i < w->host_count; i++)
		if (!w->hosts[i].is_bound && wants_tlsa(w, &w->hosts[i]))
			ask_for_tlsa(w, &w->hosts[i]);
	if (w->pending == 0)
		bind_all(w);
}

void route_bind_cancel(struct work *w)
{
	if (w->is_sts_running)
		w->request->policies->ops->cancel(w->request->policies, &w->sts_query);
	for (uint32_t i = 0; i < w->host_count; i++)
		resolver_cancel(w->resolver, &w->hosts[i].tlsa_lookup);
}

static void answered(struct work *w)
{
	if (--w->pending == 0)
		bind_all(w);
}

/* ---- what is answered ---- */

static void take_tlsa(struct work *w, struct host *h, const struct dns_answer *answer)
{
	struct arena *arena = &w->route->arena;

	h->tlsa = arena_array(arena, answer->count + 1, sizeof(h->tlsa[0]));
	h->tlsa_count = 0;
	for (uint32_t i = 0; i < answer->count; i++) {
		const struct net_tlsa *from = &answer->records[i].tlsa;

		if (!net_tlsa_is_usable(from))
			continue;
		h->tlsa[h->tlsa_count] = *from;
		h->tlsa[h->tlsa_count++].data = arena_dup(arena, from->data);
	}
	h->finding = h->tlsa_count > 0 ? TLSA_USABLE : TLSA_UNUSABLE;
}

static void on_tlsa(struct lookup *l)
{
	struct host *h = CONTAINER_OF(l, struct host, tlsa_lookup);
	struct work *w = h->work;
	bool is_first = h->alias.len > 0 && str_equal(h->tlsa_base, h->alias);

	w->is_unvouched |= l->answer->is_unvouched;
	switch (l->answer->result) {
	case DNS_TEMPORARY:
		h->finding = TLSA_UNKNOWN;
		h->refusal = arena_printf(&w->route->arena,
			"%.*s: its TLSA records cannot be looked up: %s", STR_FMT(h->name),
			l->answer->problem);
		break;
	case DNS_FOUND:
		if (l->answer->is_authentic)
			take_tlsa(w, h, l->answer);
		else if (is_first)
			(void)look_up_tlsa(w, h, h->name);
		break;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		if (is_first)
			(void)look_up_tlsa(w, h, h->name);
		break;
	}
	answered(w);
}

static void on_sts(struct tls_policy_query *q)
{
	struct work *w = CONTAINER_OF(q, struct work, sts_query);

	w->is_sts_running = false;
	w->sts_problem = q->problem;
	if (!q->problem && q->policy && q->policy->mode != STS_NONE) {
		w->sts = *q->policy;
		w->sts.mx = arena_array(&w->arena, q->policy->mx_count, sizeof(w->sts.mx[0]));
		for (uint32_t i = 0; i < q->policy->mx_count; i++)
			w->sts.mx[i] = arena_dup(&w->arena, q->policy->mx[i]);
	}
	answered(w);
}

/* ---- what follows ---- */

/* The names a certificate under usage 2 may have, RFC 7672 section 3.2.2; the first is asked for in SNI. */
static void add_name(struct str *names, uint32_t *count, struct str name)
{
	for (uint32_t i = 0; i < *count; i++)
		if (str_equal_fold(names[i], name))
			return;
	names[(*count)++] = name;
}

static void bind_by_dane(struct work *w, struct host *h)
{
	struct str *names = arena_array(&w->route->arena, BASES_MAX, sizeof(names[0]));
	uint32_t count = 0;

	add_name(names, &count, h->tlsa_base);
	add_name(names, &count, h->name);
	if (w->route->mx_count > 0)
		add_name(names, &count, arena_dup(&w->route->arena, w->name));
	h->tls = (struct tls_rule){ .policy = TLS_DANE,
		.authority = TLS_BY_DANE,
		.tlsa = h->tlsa,
		.tlsa_count = h->tlsa_count,
		.names = names,
		.name_count = count };
}

static void bind_by_sts(struct work *w, struct host *h)
{
	bool is_listed = sts_policy_has_mx(&w->sts, h->name);

	h->tls.authority = TLS_BY_STS;
	if (w->sts.mode == STS_TESTING) {
		h->tls.is_testing = true;
		h->tls.is_unlisted = !is_listed;
		return;
	}
	h->tls.policy = TLS_VERIFY;
	if (!is_listed)
		h->refusal = arena_printf(&w->route->arena,
			"%.*s: not among the mx of the MTA-STS policy of %.*s", STR_FMT(h->name),
			STR_FMT(w->name));
}

static void bind_host(struct work *w, struct host *h)
{
	h->tls = (struct tls_rule){ .policy = w->route->tls };
	if (h->finding == TLSA_UNKNOWN)
		return;
	if (h->finding == TLSA_USABLE) {
		bind_by_dane(w, h);
		return;
	}
	if (h->was_bound && (h->is_recalled || w->is_unvouched) && h->finding == TLSA_NONE &&
		heeds_tlsa(w)) {
		h->finding = TLSA_UNKNOWN;
		h->refusal = arena_printf(&w->route->arena,
			"%.*s: TLSA records bound it, and there are none to be had now",
			STR_FMT(h->name));
	} else if (w->route->tls == TLS_DANE) {
		h->refusal = arena_printf(&w->route->arena,
			"%.*s: has no usable TLSA record, and tls is dane", STR_FMT(h->name));
	} else if (h->finding == TLSA_UNUSABLE && w->sts.mode != STS_ENFORCE) {
		h->tls = (struct tls_rule){ .policy = TLS_REQUIRE, .authority = TLS_BY_DANE };
	} else if (w->sts_problem) {
		h->refusal = arena_printf(&w->route->arena,
			"%.*s: whether an MTA-STS policy binds it cannot be told: %s",
			STR_FMT(h->name), w->sts_problem);
	} else if (w->sts.mode != STS_NONE) {
		bind_by_sts(w, h);
	}
}

static void bind_all(struct work *w)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		struct host *h = &w->hosts[i];

		if (h->is_bound || h->ipv4.found_count + h->ipv6.found_count == 0)
			continue;
		h->is_bound = true;
		bind_host(w, h);
		if (h->refusal.len > 0 && w->route->left_out.len == 0)
			w->route->left_out = h->refusal;
	}
	route_choose_targets(w);
}

/* ---- what may be shared ---- */

static void append_rule(struct buf *key, const struct tls_rule *rule)
{
	buf_printf(key, "%d %d %d %d ", rule->policy, rule->authority, rule->is_testing,
		rule->is_unlisted);
	for (uint32_t i = 0; i < rule->name_count; i++)
		buf_append_counted(key, rule->names[i]);
	for (uint32_t i = 0; i < rule->tlsa_count; i++) {
		const struct net_tlsa *t = &rule->tlsa[i];

		buf_printf(key, " %u %u %u ", t->usage, t->selector, t->matching);
		buf_append_counted(key, t->data);
	}
}

/* Parts that somebody else chose have their length before them: no two keys are alike by a trick. */
struct str route_key_of(const struct conf *conf, const struct conf_route *route, struct str host,
	const struct tls_rule *rule, struct arena *arena)
{
	struct str key;
	struct buf b;

	buf_init(&b, KEY_BYTES_MAX);
	append_rule(&b, rule);
	buf_append_counted(&b, host);
	buf_append_counted(&b, route && route->hostname.len > 0 ? route->hostname : conf->hostname);
	for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++) {
		struct endpoint ours =
			is_ipv6 ? conf->client.source_ipv6 : conf->client.source_ipv4;
		struct endpoint own = { .family = FAMILY_NONE };

		if (route)
			own = is_ipv6 ? route->source_ipv6 : route->source_ipv4;
		buf_append_char(&b, ' ');
		endpoint_format(&b, own.family == FAMILY_NONE ? &ours : &own);
	}
	if (route) {
		buf_printf(&b, " %d ", route->via);
		buf_append_counted(&b, route->name);
		buf_append_counted(&b, route->user);
		buf_append_counted(&b, route->path);
	}
	key = arena_dup(arena, buf_str(&b));
	CHECK(!b.is_full);
	buf_fini(&b);
	return key;
}

struct str route_session_key(const struct work *w, const struct host *h)
{
	return route_key_of(
		w->request->conf, w->route->conf_route, h->name, &h->tls, &w->route->arena);
}
