/*
 * conf - a configuration's life, and the questions that the rest of the program asks it.
 *
 * Made with every default set; the loader then writes over it and conf_complete fills in what
 * depends on other settings. After that it never changes.
 */
#include "conf/conf.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "complete.h"
#include "keys.h"
#include "value.h"

static void set_default(struct conf *conf, const struct key *key, struct value_context *context);
static bool matches_site(struct str site, struct str pattern);

struct conf *conf_default(void)
{
	struct conf *conf = conf_new();
	conf_complete(conf);
	return conf;
}

struct conf *conf_new(void)
{
	struct conf *conf = mem_zalloc(sizeof(*conf));
	struct buf why;
	struct value_context context = { .arena = &conf->arena, .why = &why };
	conf->references = 1;
	buf_init(&why, VALUE_WHY_MAX);
	for (size_t i = 0; i < conf_key_count; i++)
		if (conf_keys[i].initial)
			set_default(conf, &conf_keys[i], &context);
	buf_fini(&why);
	return conf;
}

static void set_default(struct conf *conf, const struct key *key, struct value_context *context)
{
	struct str text = str_from_c(key->initial);
	void *base = conf;
	if (key->kind == KEY_ITEMS) {
		base = value_add_item(key, conf, context);
		key = &key->items->keys[0];
	}
	/* A default that its own key refuses is a defect of the table. */
	CHECK(base && value_set(key, base, text, context));
}

struct conf *conf_ref(struct conf *conf)
{
	CHECK(conf->references > 0);
	conf->references++;
	return conf;
}

void conf_unref(struct conf *conf)
{
	if (!conf)
		return;
	CHECK(conf->references > 0);
	if (--conf->references > 0)
		return;
	struct arena arena = { 0 };
	arena_move(&arena, &conf->arena);
	arena_fini(&arena);
	free(conf);
}

const struct conf_policy *conf_policy_for(
	const struct conf *conf, struct str domain, struct str site)
{
	for (uint32_t i = 0; i < conf->destination_count; i++) {
		const struct conf_destination *d = &conf->destinations[i];
		if (d->is_mx ? matches_site(site, d->pattern) : str_match_glob(domain, d->pattern))
			return &d->policy;
	}
	return &conf->policy;
}

/* A site is called by its configured name, or by its hosts joined by plus signs. */
static bool matches_site(struct str site, struct str pattern)
{
	if (site.len > 0 && str_match_glob(site, pattern))
		return true;
	while (site.len > 0)
		if (str_match_glob(str_trim(str_cut(&site, '+')), pattern))
			return true;
	return false;
}

const struct conf_route *conf_route_for(
	const struct conf *conf, struct str domain, struct str reverse_path)
{
	struct str from = reverse_path.len > 0 ? reverse_path : STR("<>");
	for (uint32_t i = 0; i < conf->route_count; i++) {
		const struct conf_route *route = &conf->routes[i];
		if ((route->to.len == 0 || str_match_glob(domain, route->to)) &&
			(route->from.len == 0 || str_match_glob(from, route->from)))
			return route;
	}
	return NULL;
}

const struct conf_route *conf_route_named(const struct conf *conf, struct str name)
{
	for (uint32_t i = 0; i < conf->route_count; i++)
		if (str_equal(conf->routes[i].name, name))
			return &conf->routes[i];
	return NULL;
}

struct str conf_route_site(const struct conf_route *route, struct arena *arena)
{
	const char *protocol = route->via == ROUTE_LMTP ? "lmtp:" : "";

	CHECK(route->via != ROUTE_MX);
	if (route->path.len > 0)
		return arena_printf(arena, "%sunix:%.*s", protocol, STR_FMT(route->path));
	return arena_printf(arena, "%s[%.*s]:%u", protocol, STR_FMT(route->host), route->port);
}

bool conf_is_trusted(const struct conf *conf, const struct endpoint *client)
{
	/* Who may open a UNIX socket is decided by its mode. */
	return client->family == FAMILY_UNIX ||
	       networks_contain(conf->trusted, conf->trusted_count, client);
}
