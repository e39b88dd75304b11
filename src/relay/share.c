/* share - see relay/share.h. */
#include "relay/share.h"

#include <stdlib.h>

#include "base/mem.h"
#include "relay/destination.h"

#define PAGE 500
/* Sites that are summed, and next hops that are known, at most; others are accepted. */
#define SITES_MAX 4096
#define HOPS_MAX ((uint32_t)1 << 18)
/* Accepted again below this part of the share. */
#define AGAIN_PERCENT 95

struct share_site {
	struct map_entry entry; /* share.sites */
	struct str name;        /* owned */
	uint64_t bytes;
	bool is_over;
};

static void read_page(struct relay *r, struct str site);

/* ---- how much a site may have ---- */

static uint64_t part_of(uint64_t bytes, uint32_t percent)
{
	return bytes / 100 * percent + bytes % 100 * percent / 100;
}

static uint32_t least_percent(const struct conf *conf)
{
	uint32_t least = conf->policy.site_share_percent;

	for (uint32_t i = 0; i < conf->destination_count; i++)
		if (conf->destinations[i].policy.site_share_percent < least)
			least = conf->destinations[i].policy.site_share_percent;
	return least;
}

static void judge(struct relay *r, struct share_site *s)
{
	const struct conf_policy *policy = conf_policy_for(r->conf, STR(""), s->name);
	uint64_t max = part_of(r->share.usable_bytes, policy->site_share_percent);
	bool was_over = s->is_over;

	s->is_over = s->bytes > (was_over ? part_of(max, AGAIN_PERCENT) : max);
	if (s->is_over && !was_over)
		log_text(r->env->log, LOG_ERROR, "qmgr",
			"site %.*s is down and %llu MiB wait for it, more than %u%% of the usable "
			"disk: more mail for it gets 452, other mail is accepted",
			STR_FMT(s->name), (unsigned long long)(s->bytes >> 20),
			policy->site_share_percent);
	else if (was_over && !s->is_over)
		log_text(r->env->log, LOG_NOTICE, "qmgr", "mail for site %.*s is accepted again",
			STR_FMT(s->name));
}

/* ---- sites and names ---- */

static void site_free(struct relay *r, struct share_site *s)
{
	map_remove(&r->share.sites, &s->entry);
	relay_free_name(&s->name);
	free(s);
}

static struct share_site *site_get(struct relay *r, struct str name)
{
	struct map_entry *e = map_find(&r->share.sites, name);
	struct share_site *s;

	if (e)
		return CONTAINER_OF(e, struct share_site, entry);
	if (r->share.sites.count >= SITES_MAX)
		return NULL;
	s = mem_zalloc(sizeof(*s));
	s->name = relay_copy_name(name);
	map_insert(&r->share.sites, &s->entry, s->name);
	return s;
}

static uint64_t hash_of(struct str hop)
{
	return str_hash_fold(hop, 3);
}

static void note_name(struct share *sh, struct str hop)
{
	if (sh->fresh_count == HOPS_MAX)
		return;
	if (sh->fresh_count == sh->fresh_cap) {
		sh->fresh_cap = sh->fresh_cap ? 2 * sh->fresh_cap : PAGE;
		sh->fresh = mem_realloc(sh->fresh, sh->fresh_cap * sizeof(*sh->fresh));
	}
	sh->fresh[sh->fresh_count++] = hash_of(hop);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void drop_fresh(struct share *sh)
{
	free(sh->fresh);
	sh->fresh = NULL;
	sh->fresh_count = sh->fresh_cap = 0;
}

/* What was gathered is what counts from now on. */
static void use_fresh(struct share *sh)
{
	free(sh->names);
	if (sh->fresh_count > 0)
		qsort(sh->fresh, sh->fresh_count, sizeof(*sh->fresh), by_value);
	sh->names = sh->fresh;
	sh->name_count = sh->fresh_count;
	sh->fresh = NULL;
	sh->fresh_count = sh->fresh_cap = 0;
}

bool share_is_over(const struct relay *r, struct str hop)
{
	const struct share *sh = &r->share;
	uint64_t hash;

	if (sh->name_count == 0)
		return false;
	hash = hash_of(hop);
	return bsearch(&hash, sh->names, sh->name_count, sizeof(hash), by_value) != NULL;
}

/* ---- the walk: sums of all, then the names of those that have too much ---- */

static void forget_sums(struct relay *r)
{
	for (struct map_entry *e = map_first(&r->share.sites); e;
		e = map_next(&r->share.sites, e))
		CONTAINER_OF(e, struct share_site, entry)->bytes = 0;
}

static void judge_all(struct relay *r)
{
	struct map_entry *e = map_first(&r->share.sites);

	while (e) {
		struct share_site *s = CONTAINER_OF(e, struct share_site, entry);

		e = map_next(&r->share.sites, e);
		judge(r, s);
		if (!s->is_over)
			site_free(r, s);
	}
}

static void set_cursor(struct share *sh, struct str name)
{
	relay_free_name(&sh->cursor);
	sh->cursor = relay_copy_name(name);
}

/* All that are left are over: their names one after the other, none twice. */
static void next_site(struct relay *r)
{
	struct share *sh = &r->share;
	struct map_entry *e = sh->named ? map_next(&sh->sites, sh->named) : map_first(&sh->sites);

	set_cursor(sh, STR(""));
	sh->named = e;
	if (e)
		read_page(r, CONTAINER_OF(e, struct share_site, entry)->name);
	else
		use_fresh(sh);
}

static void take_page(struct relay *r)
{
	struct share *sh = &r->share;

	for (uint32_t i = 0; i < sh->page.hop_count; i++) {
		const struct hop_record *hop = &sh->page.hops[i];
		struct share_site *s;

		if (sh->named) {
			note_name(sh, hop->name);
		} else if (sh->page.sites[i].name.len > 0 &&
			   sh->page.sites[i].health.state == HEALTH_DOWN) {
			s = site_get(r, sh->page.sites[i].name);
			if (s)
				s->bytes += hop->bytes;
		}
	}
}

static void on_page(struct store_op *op)
{
	struct relay *r = CONTAINER_OF(op, struct relay, share.page.op);
	struct share *sh = &r->share;
	bool is_more = op->err == OK && sh->page.is_more && sh->page.hop_count > 0;

	sh->is_reading = false;
	if (op->err != OK) {
		log_text(r->env->log, LOG_ERROR, "qmgr", "cannot sum up what waits for sites: %s",
			err_name(op->err));
	} else {
		take_page(r);
		set_cursor(sh, is_more ? sh->page.hops[sh->page.hop_count - 1].name : STR(""));
	}
	enum err err = op->err;
	store_op_fini(op);
	if (err != OK || r->is_stopping) {
		drop_fresh(sh); /* what was known stands until the next look */
		relay_check_stopped(r);
		return;
	}
	if (is_more) {
		read_page(r, sh->named ? CONTAINER_OF(sh->named, struct share_site, entry)->name
				       : STR(""));
		return;
	}
	if (!sh->named)
		judge_all(r);
	next_site(r);
}

static void read_page(struct relay *r, struct str site)
{
	struct share *sh = &r->share;

	sh->is_reading = true;
	sh->page = (struct store_hops){
		.op.on_done = on_page,
		.after = sh->cursor,
		.limit = PAGE,
		.site = site,
		.only_ready = true,
	};
	store_submit(r->store, &sh->page.op, STORE_HOPS);
}

void share_look(struct relay *r, const struct store_stats *stats)
{
	struct share *sh = &r->share;
	uint64_t usable = stats->disk_free_bytes + stats->file_bytes + stats->wal_bytes;
	uint64_t least = part_of(part_of(usable, least_percent(r->conf)), AGAIN_PERCENT);

	if (sh->is_reading || r->is_stopping)
		return;
	sh->usable_bytes = usable;
	forget_sums(r);
	if (stats->bytes < least) {
		judge_all(r); /* none has that much */
		use_fresh(sh);
		return;
	}
	sh->named = NULL;
	drop_fresh(sh);
	set_cursor(sh, STR(""));
	read_page(r, STR(""));
}

bool share_is_busy(const struct relay *r)
{
	return r->share.is_reading;
}

void share_init(struct relay *r)
{
	uint64_t seed;

	env_random(r->env, &seed, sizeof(seed));
	map_init(&r->share.sites, seed);
}

void share_fini(struct relay *r)
{
	struct map_entry *e;

	while ((e = map_first(&r->share.sites)) != NULL)
		site_free(r, CONTAINER_OF(e, struct share_site, entry));
	map_fini(&r->share.sites);
	store_op_fini(&r->share.page.op);
	relay_free_name(&r->share.cursor);
	free(r->share.names);
	free(r->share.fresh);
}
