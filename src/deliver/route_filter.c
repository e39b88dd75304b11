/* route_filter - see route_filter.h. */
#include "route_filter.h"

#include "deliver/route.h"

/* A listener on the unspecified address is met on loopback for certain; on the machine's other
 * addresses the loop limit of intake stops it. */
static bool is_own_listener(const struct conf *conf, const struct endpoint *address)
{
	for (uint32_t i = 0; i < conf->listener_count; i++) {
		const struct endpoint *at = &conf->listeners[i].at;

		if (at->port != address->port)
			continue;
		if (endpoint_same_ip(at, address))
			return true;
		if (endpoint_is_unspecified(at) && endpoint_is_loopback(address))
			return true;
	}
	return false;
}

enum address_use route_judge_address(
	const struct conf *conf, const struct endpoint *address, bool is_smarthost)
{
	if (endpoint_is_unspecified(address))
		return ADDRESS_LOCAL;
	if (endpoint_is_multicast(address))
		return ADDRESS_REFUSED;
	if (networks_contain(conf->dns.allow, conf->dns.allow_count, address))
		return ADDRESS_GOOD;
	if (is_own_listener(conf, address))
		return ADDRESS_OURS;
	if (is_smarthost)
		return ADDRESS_GOOD;
	if (endpoint_is_loopback(address))
		return ADDRESS_LOCAL;
	return endpoint_is_private(address) ? ADDRESS_REFUSED : ADDRESS_GOOD;
}

bool route_may_reach(const struct conf *conf, const struct endpoint *address)
{
	return route_judge_address(conf, address, false) == ADDRESS_GOOD;
}

bool route_is_near(const struct conf *conf, const struct endpoint *address)
{
	return (endpoint_is_loopback(address) || endpoint_is_private(address)) &&
	       !networks_contain(conf->dns.allow, conf->dns.allow_count, address);
}
