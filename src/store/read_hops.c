/*
 * read_hops - HOPS, LOOKUP, PROBES: health and counts of next hops and sites.
 *
 * HOPS walks an index in order of name: that of next hops with READY recipients, or of a site's
 * next hops, so that a page costs what it shows and what it leaves out for being DOWN.
 */
#include "mail/queue_id.h"
#include "row.h"
#include "sqlite_engine.h"

enum { HOPS_LIMIT_MAX = 10000 };

static enum err find_site(struct sqlite_engine *e, struct str name, uint64_t *out);
static enum err load_hops(
	struct sqlite_engine *e, struct store_hops *op, uint64_t site, uint32_t limit);
static struct query prepare_hops(
	struct sqlite_engine *e, const struct store_hops *op, uint64_t site);
static enum err load_oldest(struct sqlite_engine *e, struct hop_record *hop, uint64_t id);
static enum err lookup_site(struct sqlite_engine *e, struct store_lookup *op, struct str name);
static enum err probe_sites(struct sqlite_engine *e, struct store_probes *op, uint32_t limit);
static enum err probe_hops(struct sqlite_engine *e, struct store_probes *op, uint32_t limit);
static struct query prepare_probes(struct sqlite_engine *e, enum sql_id id, uint32_t limit);
static enum err probe_far(struct sqlite_engine *e, struct store_probes *op, uint32_t limit);
static void keep_earliest(struct store_probes *op, uint32_t limit);
static void note_next(struct store_probes *op, struct wall at);

enum err read_hops(struct sqlite_engine *e, struct store_hops *op)
{
	uint32_t limit = op->limit < HOPS_LIMIT_MAX ? op->limit : HOPS_LIMIT_MAX;
	uint64_t site = 0;
	op->hop_count = 0;
	op->is_more = false;
	op->hops = arena_array(&op->op.arena, limit, sizeof(*op->hops));
	op->sites = arena_array(&op->op.arena, limit, sizeof(*op->sites));
	if (op->site.len > 0) {
		enum err err = find_site(e, op->site, &site);
		if (err != OK || site == 0)
			return err;
	}
	return load_hops(e, op, site, limit);
}

enum err read_lookup(struct sqlite_engine *e, struct store_lookup *op)
{
	struct str site = op->site;
	op->hop_out = (struct hop_record){ 0 };
	op->site_out = (struct site_record){ 0 };
	op->hop_spans = op->site_spans = NULL;
	op->hop_span_count = op->site_span_count = 0;
	if (op->hop.len > 0) {
		struct query q = sql_prepare(&e->sql, SQL_HOP_GET);
		bind_text(&q, op->hop);
		if (sql_next(&q)) {
			get_hop(&q, &op->op.arena, &op->hop_out);
			site = op->hop_out.site.len > 0 ? op->hop_out.site : site;
		}
		enum err err = sql_done(&q);
		if (err != OK)
			return err;
	}
	enum err err = site.len > 0 ? lookup_site(e, op, site) : OK;
	if (err == OK && op->hop.len > 0)
		err = read_spans(e, OUTAGE_OF_HOP, op->hop, &op->op.arena, &op->hop_spans,
			&op->hop_span_count);
	if (err == OK && site.len > 0)
		err = read_spans(e, OUTAGE_OF_SITE, site, &op->op.arena, &op->site_spans,
			&op->site_span_count);
	if (err == OK && op->hop_out.name.len == 0 && op->site_out.name.len == 0)
		err = ERR_NOT_FOUND;
	return err;
}

enum err read_probes(struct sqlite_engine *e, struct store_probes *op)
{
	uint32_t limit = op->limit < HOPS_LIMIT_MAX ? op->limit : HOPS_LIMIT_MAX;
	op->site_count = op->hop_count = 0;
	op->next = WALL_NEVER;
	op->sites = arena_array(&op->op.arena, limit, sizeof(*op->sites));
	op->hops = arena_array(&op->op.arena, limit, sizeof(*op->hops));
	enum err err = probe_sites(e, op, limit);
	if (err == OK)
		err = probe_hops(e, op, limit);
	if (err == OK && op->far.ms > op->now.ms)
		err = probe_far(e, op, limit);
	if (err == OK)
		keep_earliest(op, limit);
	return err;
}

static enum err find_site(struct sqlite_engine *e, struct str name, uint64_t *out)
{
	struct query q = sql_prepare(&e->sql, SQL_SITE_BY_NAME);
	bind_text(&q, name);
	if (sql_next(&q))
		*out = get_u64(&q);
	return sql_done(&q);
}

static enum err load_hops(
	struct sqlite_engine *e, struct store_hops *op, uint64_t site, uint32_t limit)
{
	struct query q = prepare_hops(e, op, site);
	while (sql_next(&q)) {
		if (op->hop_count == limit) {
			op->is_more = true;
			break;
		}
		struct hop_record *hop = &op->hops[op->hop_count];
		uint64_t id = get_u64(&q);
		get_hop(&q, &op->op.arena, hop);
		if (hop->site.len > 0)
			get_site(&q, &op->op.arena, &op->sites[op->hop_count]);
		enum err err = op->is_detailed ? load_oldest(e, hop, id) : OK;
		if (err != OK && q.err == OK)
			q.err = err;
		op->hop_count++;
	}
	return sql_done(&q);
}

static struct query prepare_hops(
	struct sqlite_engine *e, const struct store_hops *op, uint64_t site)
{
	enum sql_id id = op->only_ready ? (site ? SQL_HOPS_SITE_READY : SQL_HOPS_READY)
					: (site ? SQL_HOPS_SITE : SQL_HOPS_ALL);
	struct query q = sql_prepare(&e->sql, id);
	bind_text(&q, op->after);
	bind_bool(&q, op->skip_down);
	if (site)
		bind_u64(&q, site);
	return q;
}

static enum err load_oldest(struct sqlite_engine *e, struct hop_record *hop, uint64_t id)
{
	uint64_t oldest = 0;
	struct query q = sql_prepare(&e->sql, SQL_HOP_OLDEST);
	bind_u64(&q, id);
	if (sql_next(&q))
		oldest = get_u64(&q);
	hop->oldest = oldest ? queue_id_time(oldest) : WALL_NONE;
	return sql_done(&q);
}

static enum err lookup_site(struct sqlite_engine *e, struct store_lookup *op, struct str name)
{
	struct query q = sql_prepare(&e->sql, SQL_SITE_GET);
	bind_text(&q, name);
	if (sql_next(&q))
		get_site(&q, &op->op.arena, &op->site_out);
	return sql_done(&q);
}

/* One more than the limit is read: the first left out tells when to ask again. */
static enum err probe_sites(struct sqlite_engine *e, struct store_probes *op, uint32_t limit)
{
	struct query q = prepare_probes(e, SQL_SITE_PROBES, limit);
	while (sql_next(&q)) {
		struct site_record site = { 0 };
		get_site(&q, &op->op.arena, &site);
		if (site.health.next_probe.ms > op->now.ms || op->site_count == limit) {
			note_next(op, site.health.next_probe);
			break;
		}
		op->sites[op->site_count++] = site;
	}
	return sql_done(&q);
}

static enum err probe_hops(struct sqlite_engine *e, struct store_probes *op, uint32_t limit)
{
	struct query q = prepare_probes(e, SQL_HOP_PROBES, limit);
	while (sql_next(&q)) {
		struct hop_record hop = { 0 };
		get_hop(&q, &op->op.arena, &hop);
		if (hop.health.next_probe.ms > op->now.ms || op->hop_count == limit) {
			note_next(op, hop.health.next_probe);
			break;
		}
		op->hops[op->hop_count++] = hop;
	}
	return sql_done(&q);
}

/* What was stored before the clock was set back. What there is no room for is asked for again at once. */
static enum err probe_far(struct sqlite_engine *e, struct store_probes *op, uint32_t limit)
{
	struct query q = prepare_probes(e, SQL_SITE_PROBES_FAR, limit);
	bind_wall(&q, op->far);
	while (sql_next(&q) && op->site_count < limit)
		get_site(&q, &op->op.arena, &op->sites[op->site_count++]);
	if (op->site_count == limit)
		note_next(op, op->now);
	enum err err = sql_done(&q);
	if (err != OK)
		return err;
	q = prepare_probes(e, SQL_HOP_PROBES_FAR, limit);
	bind_wall(&q, op->far);
	while (sql_next(&q) && op->hop_count < limit)
		get_hop(&q, &op->op.arena, &op->hops[op->hop_count++]);
	if (op->hop_count == limit)
		note_next(op, op->now);
	return sql_done(&q);
}

static struct query prepare_probes(struct sqlite_engine *e, enum sql_id id, uint32_t limit)
{
	struct query q = sql_prepare(&e->sql, id);
	bind_u64(&q, (uint64_t)limit + 1);
	return q;
}

/* keep_earliest - the limit holds for sites and next hops together: drop the latest of either. */
static void keep_earliest(struct store_probes *op, uint32_t limit)
{
	while (op->site_count + op->hop_count > limit) {
		struct wall site = op->site_count ? op->sites[op->site_count - 1].health.next_probe
						  : WALL_NONE;
		struct wall hop =
			op->hop_count ? op->hops[op->hop_count - 1].health.next_probe : WALL_NONE;
		bool is_site = op->hop_count == 0 || (op->site_count > 0 && site.ms > hop.ms);
		struct wall at = is_site ? site : hop;
		note_next(op, op->far.ms > op->now.ms && at.ms > op->far.ms ? op->now : at);
		if (is_site)
			op->site_count--;
		else
			op->hop_count--;
	}
}

static void note_next(struct store_probes *op, struct wall at)
{
	if (at.ms < op->next.ms)
		op->next = at;
}
