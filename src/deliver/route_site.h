/* route_site - the name of a site: destinations that share their hosts share one health and one
 * window. */
#ifndef SRC_DELIVER_ROUTE_SITE_H
#define SRC_DELIVER_ROUTE_SITE_H

#include "base/arena.h"
#include "conf/conf.h"

#define ROUTE_SITE_BYTES_MAX 200

/* route_site_name - of a set of hosts (count > 0, any order, duplicates allowed): the first
 * configured site whose pattern matches every one, else the sorted names joined by '+', cut with a
 * hash. hosts is sorted. Result lives in arena. */
struct str route_site_name(
	const struct conf *conf, struct str *hosts, uint32_t count, struct arena *arena);

#endif
