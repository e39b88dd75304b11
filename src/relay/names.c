/*
 * names - what DNS says of a next hop, over time: the routing that worked last, and the grace of a domain that is denied.
 *
 * While DNS gives no answer mail goes on to the hosts that took it before, for dns.stale-max at most. Where it answers that a
 * known-good domain takes no mail, the mail waits no-domain-grace (queue/grace.h) until that is believed. Both are durable
 * with the record of the next hop, which is written for them only when the hosts changed, or once a day.
 */
#include "base/mem.h"
#include "relay/destination.h"

/* A route is written again so often though it is the same: it still works. */
#define ROUTE_SAVE_MS DAY_MS
/* Many hosts show another address to each that asks: not worth a write each time. */
#define ROUTE_ADDRESSES_SAVE_MS HOUR_MS

void names_load(struct hop *h, const struct hop_record *rec)
{
	relay_free_name(&h->remembered);
	h->remembered = relay_copy_name(rec->route);
	h->remembered_at = rec->route_at;
	h->grace = (struct grace){ rec->denied_ms, rec->denied_last };
}

void names_fill(const struct hop *h, struct hop_record *out, struct arena *arena)
{
	out->route = h->remembered.len ? arena_dup(arena, h->remembered) : STR("");
	out->route_at = h->remembered_at;
	out->denied_ms = h->grace.denied_ms;
	out->denied_last = h->grace.denied_last;
}

void names_fini(struct hop *h)
{
	relay_free_name(&h->remembered);
}

struct str names_recall(const struct hop *h, struct arena *arena)
{
	int64_t age_ms = env_wall(h->relay->env).ms - h->remembered_at.ms;

	if (h->remembered.len == 0 || age_ms > h->relay->conf->dns.stale_max_ms)
		return STR("");
	return arena_dup(arena, h->remembered);
}

static void log_hop(struct hop *h, const char *what, struct str detail)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_append_str(&b, STR("next hop "));
	buf_append_safe(&b, h->name);
	buf_append_str(&b, str_from_c(what));
	buf_append_safe(&b, detail);
	log_text(h->relay->env->log, LOG_WARNING, "qmgr", "%s", buf_cstr(&b));
	buf_fini(&b);
}

struct verdict names_judge(struct hop *h, const struct outcome *outcome)
{
	bool is_known_good = hop_is_known_good(h), was_over;
	int64_t grace_ms = hop_policy(h)->no_domain_grace_ms;

	if (outcome->status.klass != 5) {
		if (outcome->stage == STAGE_DNS)
			grace_note_silence(&h->grace);
		return verdict_of(outcome, is_known_good);
	}
	was_over = grace_is_over(&h->grace, grace_ms);
	grace_note_denied(&h->grace, env_wall(h->relay->env));
	if (!is_known_good || !grace_is_over(&h->grace, grace_ms))
		return verdict_of(outcome, is_known_good);
	h->is_dirty = true; /* what was waited for is not waited for again after a crash */
	if (!was_over)
		log_hop(h,
			" was known good; outage.no-domain-grace is over, its mail is returned: ",
			outcome->text);
	return verdict_of(outcome, false);
}

/* Once, not with every look-up. */
static void note_left_out(struct hop *h, const struct route *route)
{
	if (route->left_out.len > 0 && !h->is_leaving_out)
		log_hop(h, " goes without a host that cannot be used securely: ", route->left_out);
	h->is_leaving_out = route->left_out.len > 0;
}

void names_note_route(struct hop *h, const struct route *route)
{
	note_left_out(h, route);
	h->compared = NULL; /* the next one may lie where that one lay */
	if (!route->dns_problem) {
		if (h->is_recalling)
			log_hop(h, " is found in DNS again", STR(""));
		h->is_recalling = false;
		h->is_dirty |= grace_note_route(&h->grace);
		return;
	}
	grace_note_silence(&h->grace);
	if (!h->is_recalling)
		log_hop(h,
			" gets no answer from DNS; its mail goes on to the hosts that took it "
			"last: ",
			str_from_c(route->dns_problem));
	h->is_recalling = true;
}

void names_note_worked(struct hop *h, const struct shared_route *shared)
{
	struct str text = shared->route->text;
	struct wall now;
	int64_t age_ms;

	if (h->compared == shared)
		return;
	h->compared = shared;
	if (text.len == 0)
		return;
	now = env_wall(h->relay->env);
	age_ms = now.ms - h->remembered_at.ms;
	if (age_ms >= 0 && age_ms < ROUTE_SAVE_MS && str_equal(text, h->remembered))
		return;
	if (age_ms >= 0 && age_ms < ROUTE_ADDRESSES_SAVE_MS &&
		route_text_same_hosts(text, h->remembered))
		return;
	relay_free_name(&h->remembered);
	h->remembered = relay_copy_name(text);
	h->remembered_at = now;
	h->is_dirty = true;
}
