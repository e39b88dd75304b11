/* route_site - see route_site.h. Names do not depend on preferences, so that a rotation of equals
 * is the same site. */
#include "route_site.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"

#define HASH_BYTES 17 /* '~' and 16 hexadecimal digits */
#define JOINED_BYTES_MAX (64 * 1024)

static bool all_match(struct str pattern, const struct str *hosts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!str_match_glob(hosts[i], pattern))
			return false;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

struct str route_site_name(
	const struct conf *conf, struct str *hosts, uint32_t count, struct arena *arena)
{
	struct buf joined;
	struct str name;

	CHECK(count > 0);
	for (uint32_t i = 0; i < conf->site_count; i++)
		if (all_match(conf->sites[i].pattern, hosts, count))
			return arena_dup(arena, conf->sites[i].name);

	qsort(hosts, count, sizeof(hosts[0]), by_name);
	buf_init(&joined, JOINED_BYTES_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && str_equal(hosts[i], hosts[i - 1]))
			continue;
		if (joined.len > 0)
			buf_append_char(&joined, '+');
		buf_append_str(&joined, hosts[i]);
	}
	name = buf_str(&joined);
	if (name.len <= ROUTE_SITE_BYTES_MAX)
		name = arena_dup(arena, name);
	else
		name = arena_printf(arena, "%.*s~%016" PRIx64, ROUTE_SITE_BYTES_MAX - HASH_BYTES,
			name.data, str_hash(name, 0));
	buf_fini(&joined);
	return name;
}
