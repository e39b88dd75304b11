/* control_survey - pages of next hops, summed up by site. A failed page ends the call, as any
 * failed read does. */
#include "relay/control_survey.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/control_json.h"

enum { SURVEY_PAGE = 500 };

static void survey_page(struct verb_call *call);
static void survey_add(struct verb_call *call);
static void add_hop(struct survey *s, const struct hop_record *hop, const struct site_record *site);
static struct survey_site *entry_for(
	struct survey *s, struct str name, const struct site_record *site);
static int compare_sites(const void *a, const void *b);
static int trouble_of(const struct survey_site *entry);

void survey_init(struct survey *s, uint64_t hop_limit, bool is_detailed)
{
	memset(s, 0, sizeof(*s));
	/* Names come from other people's DNS: the address of the survey is a seed they cannot
	 * know. */
	map_init(&s->sites, (uint64_t)(uintptr_t)s * 0x9e3779b97f4a7c15u);
	s->hop_limit = hop_limit;
	s->is_detailed = is_detailed;
	s->others.is_others = true;
}

void survey_fini(struct survey *s)
{
	map_fini(&s->sites);
	arena_fini(&s->arena);
	free(s->sorted);
	s->sorted = NULL;
}

void survey_start(struct verb_call *call, struct survey *s, verb_step *next)
{
	call->survey = s;
	s->next = next;
	survey_page(call);
}

static void survey_page(struct verb_call *call)
{
	struct survey *s = call->survey;

	call->hops.after = s->after;
	call->hops.limit = SURVEY_PAGE;
	call->hops.is_detailed = s->is_detailed;
	verb_submit(call, &call->hops.op, STORE_HOPS, survey_add);
}

static void survey_add(struct verb_call *call)
{
	struct survey *s = call->survey;
	const struct store_hops *page = &call->hops;

	for (uint32_t i = 0; i < page->hop_count; i++)
		add_hop(s, &page->hops[i], &page->sites[i]);
	s->hops += page->hop_count;
	if (!page->is_more || !page->hop_count) {
		s->next(call);
		return;
	}
	struct str last = page->hops[page->hop_count - 1].name;
	if (s->hops >= s->hop_limit || last.len > sizeof(s->after_text)) {
		s->is_partial = true;
		s->next(call);
		return;
	}
	memcpy(s->after_text, last.data, last.len);
	s->after = str_of(s->after_text, last.len);
	survey_page(call);
}

static void add_hop(struct survey *s, const struct hop_record *hop, const struct site_record *site)
{
	struct survey_site *e = entry_for(s, hop->site, site);

	e->hops++;
	e->bytes += hop->bytes;
	e->hops_down += hop->health.state == HEALTH_DOWN;
	for (unsigned i = 0; i <= RECIPIENT_QUARANTINED; i++) {
		e->count[i] += hop->count[i];
		e->recipients += hop->count[i];
	}
	if (hop->oldest.ms && (!e->oldest.ms || hop->oldest.ms < e->oldest.ms))
		e->oldest = hop->oldest;
	bool is_worse = hop->health.state != HEALTH_UP &&
			(!e->worst.name.len || (hop->health.state == HEALTH_DOWN &&
						       e->worst.health.state != HEALTH_DOWN));
	if (is_worse) {
		e->worst = *hop;
		e->worst.name = arena_dup(&s->arena, hop->name);
		e->worst.site = e->name;
	}
}

static struct survey_site *entry_for(
	struct survey *s, struct str name, const struct site_record *site)
{
	struct map_entry *found = map_find(&s->sites, name);

	if (found)
		return CONTAINER_OF(found, struct survey_site, entry);
	if (s->sites.count >= SURVEY_SITES_MAX)
		return &s->others;
	struct survey_site *e = arena_alloc(&s->arena, sizeof(*e));
	e->name = arena_dup(&s->arena, name);
	if (site->name.len) {
		e->site = *site;
		e->site.name = e->name;
	}
	map_insert(&s->sites, &e->entry, e->name);
	return e;
}

void survey_sort(struct survey *s)
{
	free(s->sorted);
	s->sorted = mem_array(s->sites.count + 1, sizeof(struct survey_site *));
	s->sorted_count = 0;
	for (struct map_entry *e = map_first(&s->sites); e; e = map_next(&s->sites, e))
		s->sorted[s->sorted_count++] = CONTAINER_OF(e, struct survey_site, entry);
	qsort(s->sorted, s->sorted_count, sizeof(struct survey_site *), compare_sites);
	if (s->others.hops)
		s->sorted[s->sorted_count++] = &s->others;
}

static int compare_sites(const void *a, const void *b)
{
	const struct survey_site *x = *(struct survey_site *const *)a,
				 *y = *(struct survey_site *const *)b;
	int by_trouble = trouble_of(y) - trouble_of(x);

	if (by_trouble)
		return by_trouble;
	if (x->recipients != y->recipients)
		return x->recipients < y->recipients ? 1 : -1;
	return str_compare(x->name, y->name);
}

/* trouble_of - how much an operator should look: with mail before without, down before suspect
 * before recovering. */
static int trouble_of(const struct survey_site *entry)
{
	static const int by_state[HEALTH_STATE_COUNT] = {
		[HEALTH_UP] = 0, [HEALTH_RECOVERING] = 1, [HEALTH_SUSPECT] = 2, [HEALTH_DOWN] = 3
	};
	int own = entry->site.name.len ? by_state[entry->site.health.state] : 0;
	int hop = entry->worst.name.len ? by_state[entry->worst.health.state] : 0;

	return (own > hop ? own : hop) + (entry->recipients ? 4 : 0);
}

json_t *survey_json(const struct verb_call *call, const struct survey_site *entry)
{
	json_t *o = entry->site.name.len ? json_health(&entry->site.health) : json_object();

	json_put_text(o, "site", entry->is_others ? STR("others") : entry->name);
	if (!entry->site.name.len)
		json_put(o, "state", json_string(entry->is_others ? "various" : "unrouted"));
	else
		json_put_u64(o, "window", entry->site.window);
	double limit = verb_site_limit(call, entry->site.name);
	if (limit > 0)
		json_put(o, "limited", json_real(limit));
	for (unsigned i = 0; i <= RECIPIENT_QUARANTINED; i++)
		json_put_u64(o, recipient_state_name((enum recipient_state)i), entry->count[i]);
	json_put_u64(o, "recipients", entry->recipients);
	json_put_u64(o, "bytes", entry->bytes);
	json_put_u64(o, "hops", entry->hops);
	json_put_u64(o, "hops_down", entry->hops_down);
	json_put_wall(o, "oldest", entry->oldest);
	if (entry->oldest.ms)
		json_put(o, "oldest_age", json_integer((call->now.ms - entry->oldest.ms) / 1000));
	if (entry->worst.name.len) {
		json_t *hop = json_health(&entry->worst.health);

		json_put_text(hop, "hop", entry->worst.name);
		json_put(o, "worst_hop", hop);
	}
	return o;
}
