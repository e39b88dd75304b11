/*
 * control_verbs_tls - tls: how mail for a domain is secured: what the configuration asks for, and the MTA-STS policy that is
 * kept on disk, with what the daemon knows of fetching it. Without a domain: all policies there are.
 *
 * TLSA records are looked up for each host when mail goes there; what came of it is in the attempts of a message.
 */
#include <jansson.h>

#include "mail/domain.h"
#include "relay/control_call.h"
#include "relay/control_explain.h"
#include "relay/control_json.h"
#include "relay/sts_private.h"

enum { PAGE = 100 };

static void get_policy(struct verb_call *call);
static void tell_domain(struct verb_call *call);
static void tell_page(struct verb_call *call);
static void next_page(struct verb_call *call);
static void put_rule(struct verb_call *call, json_t *row, struct str domain);
static bool put_policy(struct verb_call *call, json_t *row, const struct shelf_item *item);
static void put_gauges(struct verb_call *call, json_t *row, struct str domain);

void verb_tls(struct verb_call *call)
{
	struct str name = str_trim(verb_text(call, "domain"));
	size_t at = str_find(name, '@');

	if (at < name.len)
		name = str_slice(name, at + 1, name.len);
	call->shelf_get = (struct store_shelf_get){ .kind = SHELF_STS_POLICY, .now = call->now };
	call->shelf_list = (struct store_shelf_list){
		.kind = SHELF_STS_POLICY, .limit = PAGE, .now = call->now
	};
	if (name.len == 0)
		verb_submit(call, &call->shelf_list.op, STORE_SHELF_LIST, tell_page);
	else if (domain_normalize(name, &call->arena, &call->shelf_get.key) != OK)
		verb_fail(call, VERB_USAGE, "tls takes a domain");
	else {
		call->lookup.hop = call->shelf_get.key;
		verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, get_policy);
	}
}

static void get_policy(struct verb_call *call)
{
	verb_submit_lenient(call, &call->shelf_get.op, STORE_SHELF_GET, tell_domain);
}

/* Mail of the domain waits, or waited, for a TLS rule that its hosts did not satisfy. */
static void put_failure(struct verb_call *call, json_t *row)
{
	const struct health_record *h = &call->lookup.hop_out.health;
	struct str text = str_from_c(h->text);

	if (call->lookup.op.err != OK || call->lookup.hop_out.name.len == 0 ||
		h->state == HEALTH_UP || explain_tls_remedy(text).len == 0)
		return;
	json_put_text(row, "host_failure", text);
	json_put_wall(row, "host_failed", h->last_failure);
	json_put_text(row, "remedy", explain_tls_remedy(text));
}

static void tell_domain(struct verb_call *call)
{
	struct str domain = call->shelf_get.key;
	json_t *row = json_object();

	json_put_text(row, "domain", domain);
	put_rule(call, row, domain);
	if (call->shelf_get.op.err == OK)
		(void)put_policy(call, row, &call->shelf_get.item);
	put_gauges(call, row, domain);
	put_failure(call, row);
	verb_row(call, row);
	verb_done(call, json_object());
}

static void tell_page(struct verb_call *call)
{
	const struct store_shelf_list *page = &call->shelf_list;

	for (uint32_t i = 0; i < page->count; i++) {
		json_t *row = json_object();

		json_put_text(row, "domain", page->items[i].key);
		if (put_policy(call, row, &page->items[i]))
			verb_row(call, row);
		else
			json_decref(row);
	}
	if (!page->is_more || page->count == 0) {
		verb_done(call, json_object());
		return;
	}
	/* the page goes when the next one is read */
	call->shelf_list.after = arena_dup(&call->arena, page->items[page->count - 1].key);
	verb_continue(call, next_page);
}

static void next_page(struct verb_call *call)
{
	verb_submit(call, &call->shelf_list.op, STORE_SHELF_LIST, tell_page);
}

/* The rule of the first route that a mail from anybody takes, else of the destination. */
static void put_rule(struct verb_call *call, json_t *row, struct str domain)
{
	static const char *const names[] = { "none", "opportunistic", "require", "verify", "dane" };
	const struct conf_policy *policy = conf_policy_for(call->conf, domain, STR(""));
	const struct conf_route *route = conf_route_for(call->conf, domain, STR(""));
	bool is_by_mx = !route || route->via == ROUTE_MX;
	enum tls_policy tls = route && route->has_tls ? route->tls : policy->tls;

	json_put_text(row, "tls", str_from_c(names[tls]));
	json_put(row, "dane",
		json_boolean(tls == TLS_DANE ||
			     (policy->has_dane && tls != TLS_NONE && tls != TLS_VERIFY)));
	json_put(row, "mta_sts",
		json_boolean(policy->has_sts && is_by_mx && tls != TLS_NONE && tls != TLS_DANE));
	if (!is_by_mx)
		json_put_text(row, "route", route->name);
}

static bool put_policy(struct verb_call *call, json_t *row, const struct shelf_item *item)
{
	struct sts_policy policy;
	struct sts_times times;
	struct str id;
	json_t *mx = json_array(), *out = json_object();

	if (!sts_parse_value(item->value, &call->arena, &policy, &times, &id)) {
		json_decref(mx);
		json_decref(out);
		return false;
	}
	json_put_text(out, "mode", str_from_c(sts_mode_name(policy.mode)));
	json_put_text(out, "id", id);
	for (uint32_t i = 0; i < policy.mx_count; i++)
		json_array_append_new(mx, json_text(policy.mx[i]));
	json_put(out, "mx", mx);
	json_put_wall(out, "fetched", times.fetched);
	json_put_wall(out, "until", sts_times_until(&times));
	json_put(out, "over", json_boolean(sts_times_is_over(&times, call->now)));
	json_put_wall(out, "binds_until", wall_add(sts_times_until(&times), STS_OVERTIME_MS));
	json_put(row, "policy", out);
	return true;
}

static void put_gauges(struct verb_call *call, json_t *row, struct str domain)
{
	const struct verb_daemon_ops *daemon = call->host->daemon;
	struct verb_sts_gauges g;

	if (!daemon || !daemon->sts || !daemon->sts(call->host->user, domain, &g))
		return;
	json_put_wall(row, "next_try", g.next_try);
	if (g.failed.ms == 0)
		return;
	json_put_wall(row, "failed", g.failed);
	json_put_text(row, "failure", str_from_c(g.failure));
}
