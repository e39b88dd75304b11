/*
 * route_hosts - the hosts of a route become addresses, and these targets: see deliver/route.h.
 *
 * Which addresses may be used is route_filter.c's to say; what is remembered of the last route stands in for those that DNS
 * does not tell.
 */
#include "route_private.h"

#include <string.h>

#include "base/check.h"
#include "route_filter.h"
#include "route_text.h"

#define ADDRESSES_PER_HOST_MIN 2

static void on_address(struct lookup *l);

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

static void note_signature(struct family *family, const struct dns_answer *answer)
{
	struct host *h = family->host;

	family->is_authentic = answer->is_authentic;
	if (answer->is_authentic && answer->alias.len > 0 && h->alias.len == 0 &&
		!str_equal_fold(answer->alias, h->name))
		h->alias = arena_lower(&family->work->route->arena, answer->alias);
}

static void on_address(struct lookup *l)
{
	struct family *family = CONTAINER_OF(l, struct family, lookup);
	struct work *w = family->work;

	w->is_unvouched |= l->answer->is_unvouched;
	if (l->answer->result == DNS_TEMPORARY) {
		family->is_temporary = true;
		w->problem = l->answer->problem;
	} else if (l->answer->result == DNS_FOUND) {
		struct endpoint *found = arena_array(&w->arena, l->answer->count, sizeof(found[0]));

		for (uint32_t i = 0; i < l->answer->count; i++)
			found[i] = l->answer->records[i].address;
		note_addresses(family, found, l->answer->count);
		note_signature(family, l->answer);
	}
	if (--w->pending == 0)
		route_bind(w);
}

void route_take_literal(struct work *w, struct host *h, const struct endpoint *address)
{
	h->ipv4 = (struct family){ .work = w, .host = h };
	note_addresses(&h->ipv4, address, 1);
	route_bind(w);
}

static void look_up_family(
	struct work *w, struct host *h, struct family *family, enum dns_type type)
{
	*family = (struct family){ .work = w, .host = h };
	family->lookup = (struct lookup){ .name = h->name, .type = type, .on_done = on_address };
	resolver_start(w->resolver, &family->lookup);
}

void route_look_up_addresses(struct work *w)
{
	route_set_site(w);
	w->pending = 2 * w->host_count;
	for (uint32_t i = 0; i < w->host_count; i++) {
		look_up_family(w, &w->hosts[i], &w->hosts[i].ipv6, DNS_AAAA);
		look_up_family(w, &w->hosts[i], &w->hosts[i].ipv4, DNS_A);
	}
}

void route_hosts_cancel(struct work *w)
{
	for (uint32_t i = 0; i < w->host_count; i++) {
		resolver_cancel(w->resolver, &w->hosts[i].ipv4.lookup);
		resolver_cancel(w->resolver, &w->hosts[i].ipv6.lookup);
	}
}

/* ---- targets ---- */

static bool is_vouched(const struct work *w, const struct host *h)
{
	return w->is_signed || str_equal_fold(h->name, w->name) ||
	       (h->tls.authority == TLS_BY_STS && !h->tls.is_unlisted);
}

static void add_target(
	struct work *w, const struct host *h, const struct endpoint *address, struct str key)
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
		.tls = h->tls,
		.is_vouched = is_vouched(w, h),
		.session_key = key,
		.is_near = route_is_near(w->request->conf, address),
	};
}

/* Families alternate, so that one that does not work here costs one try, not all. */
static void add_host_targets(struct work *w, const struct host *h, uint32_t max)
{
	bool prefer_ipv4 = w->request->conf->client.prefer_ipv4;
	const struct family *first = prefer_ipv4 ? &h->ipv4 : &h->ipv6;
	const struct family *second = prefer_ipv4 ? &h->ipv6 : &h->ipv4;
	struct str key = route_session_key(w, h);

	for (uint32_t i = 0; i < DNS_ADDRESS_MAX && 2 * i < max; i++) {
		if (i < first->found_count)
			add_target(w, h, &first->found[i], key);
		if (i < second->found_count)
			add_target(w, h, &second->found[i], key);
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
	struct str insecure = STR("");

	for (uint32_t i = 0; i < w->host_count; i++) {
		const struct host *h = &w->hosts[i];

		is_temporary |= h->ipv4.is_temporary || h->ipv6.is_temporary;
		is_local |= h->has_local;
		is_refused |= h->has_refused;
		if (insecure.len == 0)
			insecure = h->refusal;
	}
	if (is_temporary || w->route->dns_problem)
		route_fail_temporary(w, "address", insecure);
	else if (insecure.len > 0)
		route_fail(w, STAGE_POLICY, ERR_TLS, STATUS(4, 7, 5), insecure.data);
	else if (is_local)
		route_fail(w, STAGE_POLICY, ERR_EXISTS, STATUS(5, 4, 6),
			"mail loops back to this host");
	else if (is_refused)
		route_fail(w, STAGE_POLICY, ERR_PERMISSION, STATUS(5, 4, 4),
			"all addresses are in ranges refused by policy");
	else if (w->is_implicit)
		route_fail(w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 1, 2),
			"domain has neither MX nor address");
	else
		route_fail(
			w, STAGE_DNS, ERR_NOT_FOUND, STATUS(5, 4, 4), "no MX host has an address");
}

/* ---- the last route that worked ---- */

static void recall_addresses(struct work *w, struct host *h, const struct route_text_host *from)
{
	h->ipv4 = (struct family){ .work = w, .host = h };
	h->ipv6 = (struct family){ .work = w, .host = h };
	h->is_recalled = true;
	h->is_bound = false;
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
		recall_addresses(w, route_add_host(w, from[i].name, from[i].preference), &from[i]);
	w->route->mx_count = w->host_count;
	route_order_hosts(w);
	/* the hosts have moved */
	for (uint32_t i = 0; i < w->host_count; i++)
		w->hosts[i].ipv4.host = w->hosts[i].ipv6.host = &w->hosts[i];
	(void)route_cut_own_name(w);
	if (w->host_count > 0)
		route_set_site(w);
}

bool route_recall(struct work *w)
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
	route_bind(w);
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

		hosts[i] = (struct route_text_host){ .name = h->name,
			.preference = h->preference,
			.is_bound = h->finding != TLSA_NONE };
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

void route_choose_targets(struct work *w)
{
	bool is_cut = false;
	uint32_t max;

	cut_from_own_address(w, &is_cut);
	max = w->host_count > 0 ? ROUTE_TARGETS_MAX / w->host_count : 0;
	if (max < ADDRESSES_PER_HOST_MIN)
		max = ADDRESSES_PER_HOST_MIN;
	for (uint32_t i = 0; i < w->host_count; i++)
		if (w->hosts[i].refusal.len == 0)
			add_host_targets(w, &w->hosts[i], max);
	if (w->route->target_count == 0) {
		fail_without_target(w, is_cut);
		return;
	}
	if (!is_cut)
		write_down(w);
	route_conclude(w);
}
