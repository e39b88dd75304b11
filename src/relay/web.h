/*
 * web - one request by HTTPS to a host that a stranger named: where it is our own resolver says, and it must be a place that
 * mail could go to (dns.allow-addresses); then the helper does it. Thread: loop.
 */
#ifndef RELAY_WEB_H
#define RELAY_WEB_H

#include "deliver/resolver.h"
#include "port/fetch.h"

struct web {
	struct env *env;
	struct resolver *resolver;
	struct fetch *fetch;
	const struct conf *conf;
};

struct web_request {
	/* in; borrowed until on_done or cancel */
	struct str host;                        /* of fetch.url */
	void (*on_done)(struct web_request *w); /* later, once; not after cancel */
	/* in: url, post, post_type; out: err, status, type, body (the asker's to free), reason */
	struct fetch_request fetch;
	/* private */
	struct web *web;
	struct lookup ipv4, ipv6;
	struct endpoint addresses[FETCH_ADDRESSES_MAX];
	unsigned pending;
	bool is_silent, is_refused, is_fetching, is_running;
};

void web_start(struct web *web, struct web_request *w);
void web_cancel(struct web_request *w); /* legal when idle */

#endif
