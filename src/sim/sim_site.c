/* sim_site - the destinations of a world: their hosts, domains and greylists; see sim_peer.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/sim_peer.h"

struct domain {
	struct map_entry entry;
	char *name;
	struct sim_site *site;
};

struct grey {
	struct map_entry entry;
	char *key;
	int64_t first_ms;
};

struct sim_site *sim_site_new(struct sim_peers *p, const char *name, uint32_t host_count)
{
	struct sim_site *s = mem_zalloc(sizeof(*s));

	s->index = (int)p->site_count;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->up_ms = s->recovered_ms = s->recovery.up_ms = -1;
	s->line = (struct sim_line){ .latency_ms = 10 };
	map_init(&s->grey, 1);
	for (uint32_t i = 0; i < host_count && i < SITE_HOSTS_MAX; i++) {
		struct sim_host *h = &s->hosts[s->host_count++];

		(void)snprintf(h->name, sizeof(h->name), "mx%u.%s.test", i + 1, name);
		h->at = (struct endpoint){ .family = FAMILY_IPV4, .port = 25 };
		h->at.ip[0] = 11;
		h->at.ip[1] = (uint8_t)(p->site_count >> 8);
		h->at.ip[2] = (uint8_t)p->site_count;
		h->at.ip[3] = (uint8_t)(i + 1);
		sim_dns_add_address(p->dns, str_from_c(h->name), &h->at);
	}
	p->sites = mem_realloc(p->sites, (p->site_count + 1) * sizeof(struct sim_site *));
	p->sites[p->site_count++] = s;
	return s;
}

struct sim_site *sim_site_find(struct sim_peers *p, struct str name)
{
	for (uint32_t i = 0; i < p->site_count; i++)
		if (str_equal(str_from_c(p->sites[i]->name), name))
			return p->sites[i];
	return NULL;
}

struct sim_site *sim_site_of(struct sim_peers *p, struct str domain)
{
	struct map_entry *e = map_find(&p->domains, domain);

	return e ? CONTAINER_OF(e, struct domain, entry)->site : NULL;
}

bool sim_site_move_domain(struct sim_peers *p, struct sim_site *s, struct str name)
{
	struct map_entry *e = map_find(&p->domains, name);

	if (!e)
		return false;
	CONTAINER_OF(e, struct domain, entry)->site = s;
	sim_dns_clear_mx(p->dns, name);
	for (uint32_t i = 0; i < s->host_count; i++)
		sim_dns_add_mx(
			p->dns, name, (uint16_t)(10 * (i + 1)), str_from_c(s->hosts[i].name));
	return true;
}

void sim_site_add_domain(struct sim_peers *p, struct sim_site *s, struct str name)
{
	struct domain *d = mem_zalloc(sizeof(*d));

	d->name = mem_alloc(name.len + 1);
	memcpy(d->name, name.data, name.len);
	d->name[name.len] = '\0';
	d->site = s;
	map_insert(&p->domains, &d->entry, str_from_c(d->name));
	for (uint32_t i = 0; i < s->host_count; i++)
		sim_dns_add_mx(
			p->dns, name, (uint16_t)(10 * (i + 1)), str_from_c(s->hosts[i].name));
}

bool sim_site_is_grey(struct sim_site *s, const char *from, struct str address, int64_t now_ms)
{
	struct buf key;
	struct map_entry *e;
	struct grey *g;

	if (s->greylist_ms == 0)
		return false;
	buf_init(&key, 1024);
	buf_printf(&key, "%s %.*s", from, STR_FMT(address));
	e = map_find(&s->grey, buf_str(&key));
	if (!e) {
		g = mem_zalloc(sizeof(*g));
		g->key = mem_strdup(buf_cstr(&key));
		g->first_ms = now_ms;
		map_insert(&s->grey, &g->entry, str_from_c(g->key));
	} else {
		g = CONTAINER_OF(e, struct grey, entry);
	}
	buf_fini(&key);
	return now_ms < g->first_ms + s->greylist_ms;
}

void sim_sites_fini(struct sim_peers *p)
{
	struct map_entry *e;

	for (uint32_t i = 0; i < p->site_count; i++) {
		while ((e = map_first(&p->sites[i]->grey)) != NULL) {
			struct grey *g = CONTAINER_OF(e, struct grey, entry);

			map_remove(&p->sites[i]->grey, e);
			free(g->key);
			free(g);
		}
		map_fini(&p->sites[i]->grey);
		sim_recovery_fini(&p->sites[i]->recovery);
		free(p->sites[i]);
	}
	free(p->sites);
	while ((e = map_first(&p->domains)) != NULL) {
		struct domain *d = CONTAINER_OF(e, struct domain, entry);

		map_remove(&p->domains, e);
		free(d->name);
		free(d);
	}
	map_fini(&p->domains);
}
