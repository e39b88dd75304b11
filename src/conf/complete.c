/* complete - what a configuration needs between its settings being read and its use. */
#include "complete.h"

#include "hostname.h"

void conf_complete(struct conf *conf)
{
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
