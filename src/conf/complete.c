/* complete - what a configuration needs between its settings being read and its use. */
#include "complete.h"

#include "hostname.h"

/* Mail without such a rule is not looked at for it. */
static void complete_watches(struct conf *conf)
{
	bool has_header = false;
	for (uint32_t i = 0; i < conf->class_count; i++)
		has_header |= conf->classes[i].header.name.len > 0;
	if (!has_header)
		return;
	conf->header_watches =
		arena_array(&conf->arena, conf->class_count, sizeof(*conf->header_watches));
	conf->header_watch_count = conf->class_count;
	for (uint32_t i = 0; i < conf->class_count; i++)
		conf->header_watches[i] = conf->classes[i].header;
}

void conf_complete(struct conf *conf)
{
	complete_watches(conf);
	if (conf->hostname.len == 0)
		conf->hostname = hostname_of_system(&conf->arena);
	if (conf->postmaster.len == 0)
		conf->postmaster =
			arena_printf(&conf->arena, "postmaster@%.*s", STR_FMT(conf->hostname));
	if (conf->bounce_from.len == 0)
		conf->bounce_from =
			arena_printf(&conf->arena, "MAILER-DAEMON@%.*s", STR_FMT(conf->hostname));
	for (uint32_t i = 0; i < conf->route_count; i++)
		if (conf->routes[i].via == ROUTE_SMARTHOST && conf->routes[i].port == 0)
			conf->routes[i].port = conf->client.port;
}
