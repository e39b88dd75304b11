/* web - see web.h. */
#include "relay/web.h"

#include "base/check.h"
#include "deliver/route.h"

#define HTTPS_PORT 443

static void on_address(struct lookup *l);
static void on_fetched(struct fetch_request *f);
static void end(struct web_request *w);

static void ask(struct web_request *w, struct lookup *l, enum dns_type type)
{
	*l = (struct lookup){ .name = w->host, .type = type, .on_done = on_address };
	w->pending++;
	resolver_start(w->web->resolver, l);
}

void web_start(struct web *web, struct web_request *w)
{
	CHECK(!w->is_running);
	w->web = web;
	w->pending = 0;
	w->is_silent = w->is_refused = w->is_fetching = false;
	w->is_running = true;
	w->fetch.addresses = w->addresses;
	w->fetch.address_count = 0;
	w->fetch.on_done = on_fetched;
	buf_init(&w->fetch.body, 0);
	ask(w, &w->ipv4, DNS_A);
	ask(w, &w->ipv6, DNS_AAAA);
}

void web_cancel(struct web_request *w)
{
	if (!w->is_running)
		return;
	w->is_running = false;
	if (w->is_fetching) {
		fetch_cancel(w->web->fetch, &w->fetch);
		return;
	}
	resolver_cancel(w->web->resolver, &w->ipv4);
	resolver_cancel(w->web->resolver, &w->ipv6);
}

static void take(struct web_request *w, const struct dns_answer *answer)
{
	w->is_silent |= answer->result == DNS_TEMPORARY;
	for (uint32_t i = 0; answer->result == DNS_FOUND && i < answer->count; i++) {
		struct endpoint at = answer->records[i].address;

		at.port = HTTPS_PORT;
		if (!route_may_reach(w->web->conf, &at))
			w->is_refused = true;
		else if (w->fetch.address_count < FETCH_ADDRESSES_MAX)
			w->addresses[w->fetch.address_count++] = at;
	}
}

/* Both are here: one that failed does not matter when the other gave an address. */
static void on_address(struct lookup *l)
{
	struct web_request *w = l->type == DNS_A ? CONTAINER_OF(l, struct web_request, ipv4)
						 : CONTAINER_OF(l, struct web_request, ipv6);

	take(w, l->answer);
	if (--w->pending > 0)
		return;
	if (w->fetch.address_count > 0) {
		w->is_fetching = true;
		fetch_start(w->web->fetch, &w->fetch);
		return;
	}
	w->fetch.err = ERR_UNREACHABLE;
	w->fetch.status = 0;
	w->fetch.reason = w->is_silent    ? "no answer from DNS for its host"
			  : w->is_refused ? "its host has no public address"
					  : "its host has no address";
	end(w);
}

static void on_fetched(struct fetch_request *f)
{
	end(CONTAINER_OF(f, struct web_request, fetch));
}

static void end(struct web_request *w)
{
	w->is_running = w->is_fetching = false;
	w->on_done(w);
}
