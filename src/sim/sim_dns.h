/*
 * sim_dns - port/dns.h on the virtual clock: zones that the script writes and breaks.
 *
 * Names are MX owners or hosts; a name that was never added is NXDOMAIN. A state set on a name holds for all
 * questions about it until it is set again.
 */
#ifndef SIM_DNS_H
#define SIM_DNS_H

#include "base/map.h"
#include "port/dns.h"
#include "sim/sim_env.h"

enum sim_zone { ZONE_OK, ZONE_SERVFAIL, ZONE_TIMEOUT, ZONE_NXDOMAIN, ZONE_NODATA };

struct sim_dns {
	struct dns dns;
	struct sim_clock *clock;
	struct map names;
	struct list pending;
	int64_t delay_ms;
	uint64_t query_count;
};

void sim_dns_init(struct sim_dns *d, struct sim_clock *clock);
void sim_dns_fini(struct sim_dns *d);
void sim_dns_crash(struct sim_dns *d); /* the relay's process is gone: drops what it asked */
void sim_dns_add_mx(struct sim_dns *d, struct str domain, uint16_t preference, struct str host);
void sim_dns_clear_mx(struct sim_dns *d, struct str domain);
void sim_dns_add_address(struct sim_dns *d, struct str host, const struct endpoint *address);
/* sim_dns_set - the state of every name that matches the glob; the number of them. is_false: it is no cause to return
 * mail that these names seem gone. */
uint32_t sim_dns_set(struct sim_dns *d, struct str glob, enum sim_zone state, bool is_false);
/* sim_dns_was_gone - the name was NXDOMAIN or without records at some time. */
bool sim_dns_was_gone(struct sim_dns *d, struct str name);

#endif
