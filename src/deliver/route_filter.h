/* route_filter - which addresses mail may be sent to, whatever DNS says. Pure. */
#ifndef SRC_DELIVER_ROUTE_FILTER_H
#define SRC_DELIVER_ROUTE_FILTER_H

#include "conf/conf.h"

enum address_use {
	ADDRESS_GOOD,
	ADDRESS_OURS, /* one of our listeners: a loop */
	ADDRESS_LOCAL, /* loopback or unspecified: whoever published it means himself, and so would be us: a loop */
	ADDRESS_REFUSED /* private, link-local, multicast */
};

/* route_judge_address - address with its port. A smarthost's private or loopback address is the
 * operator's own word. */
enum address_use route_judge_address(
	const struct conf *conf, const struct endpoint *address, bool is_smarthost);
/* route_is_near - loopback or private, and not among dns.allow-addresses, where mail goes like elsewhere. */
bool route_is_near(const struct conf *conf, const struct endpoint *address);

#endif
