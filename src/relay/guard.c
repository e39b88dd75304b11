/*
 * guard - storms of the sites in memory: opened and closed by what deliveries bring, and what follows from that.
 *
 * A storm is an outage of its own kind (relay/outage.h): durable, credited, found again after a restart. When one opens,
 * those that had failed just before are taken back with the notices that still wait; once more whenever a failure of that
 * kind is recorded later, having been judged before. While it is open refused recipients are quarantined, and once over half
 * of those tried are refused, refusals count against the site itself: it goes down as for any other reason, its mail is
 * parked, and probes find out when it takes mail again. When it seems to, and when the storm is over, those in quarantine are
 * due at once. Behind a smarthost a recipient domain takes the place of the site, and nothing is parked.
 *
 * Sites are remembered up to GUARDS_MAX, least recently used ones go; what is durable is not lost by that.
 */
#include "relay/guard.h"

#include <stdlib.h>

#include "base/mem.h"
#include "queue/guard.h"
#include "queue/mailboxes.h"
#include "relay/outage.h"

#define GUARDS_MAX 1024
#define STEP_RECIPIENTS 1000
#define EARLY_PART 8 /* a quarantine is over but for so small a part of it */
#define ACTOR STR("storm guard")

struct guarded {
	struct map_entry entry;
	struct list lru;
	struct map *map; /* that it is in */
	struct str name; /* owned */
	struct guard guard;
	bool is_joined; /* its storm has seemed over before */
};

struct guards {
	struct map sites, domains;
	struct list lru; /* least recently used first */
	uint32_t count;
};

/* An act on the recipients of a site or domain, in steps; one of both operations. */
struct act {
	struct loose loose;
	struct relay *relay;
	struct store_filter filter;
	struct store_revive revive;
	struct store_modify modify;
	bool is_one_step;
};

static void rescue(struct relay *r, const struct guarded *g, struct wall failed_after);
static void release(struct relay *r, const struct guarded *g, bool is_proof);

/* ---- memory ---- */

static bool is_site(const struct relay *r, const struct guarded *g)
{
	return g->map == &r->guards->sites;
}

static enum outage_scope scope_of(const struct relay *r, const struct guarded *g)
{
	return is_site(r, g) ? OUTAGE_OF_SITE : OUTAGE_OF_HOP;
}

static void forget(struct relay *r, struct guarded *g)
{
	if (g->guard.is_open)
		metric_sub(r->env->metrics, METRIC_storms_open, 1);
	map_remove(g->map, &g->entry);
	list_remove(&g->lru);
	r->guards->count--;
	relay_free_name(&g->name);
	free(g);
}

static struct guarded *guarded_find(struct relay *r, struct map *map, struct str name)
{
	struct map_entry *e = map_find(map, name);
	struct guarded *g = e ? CONTAINER_OF(e, struct guarded, entry) : NULL;

	if (!g)
		return NULL;
	list_remove(&g->lru);
	list_push_back(&r->guards->lru, &g->lru);
	return g;
}

static bool is_stormy(const struct relay *r, const struct guarded *g)
{
	const struct outage_record *o = outage_open(r, OUTAGE_STORM, scope_of(r, g), g->name);

	return o && o->recovered.ms == WALL_NONE.ms;
}

static struct guarded *guarded_get(struct relay *r, struct map *map, struct str name)
{
	struct guarded *g = guarded_find(r, map, name);

	if (g)
		return g;
	if (r->guards->count >= GUARDS_MAX)
		forget(r, CONTAINER_OF(r->guards->lru.next, struct guarded, lru));
	g = mem_zalloc(sizeof(*g));
	g->map = map;
	g->name = relay_copy_name(name);
	map_insert(map, &g->entry, g->name);
	list_push_back(&r->guards->lru, &g->lru);
	r->guards->count++;
	if (is_stormy(r, g)) {
		guard_reopen(&g->guard, env_wall(r->env));
		metric_add(r->env->metrics, METRIC_storms_open, 1);
	}
	return g;
}

void guard_init(struct relay *r)
{
	struct guards *all = mem_zalloc(sizeof(*all));

	map_init(&all->sites, rng_next(&r->rng));
	map_init(&all->domains, rng_next(&r->rng));
	list_init(&all->lru);
	r->guards = all;
}

void guard_free(struct relay *r)
{
	while (!list_is_empty(&r->guards->lru))
		forget(r, CONTAINER_OF(r->guards->lru.next, struct guarded, lru));
	map_fini(&r->guards->sites);
	map_fini(&r->guards->domains);
	free(r->guards);
	r->guards = NULL;
}

/* ---- of one delivery ---- */

static bool is_smarthost(const struct delivery *d)
{
	return d->route && d->route->route->is_smarthost;
}

/* Only what a host said for good is judged here: not our own rules, nor what DNS says. */
static bool is_refusal(const struct attempt_result *res)
{
	return res->verdict.disposition == DISPOSE_FAIL && res->outcome.code >= 500;
}

/* The last reply to it was a refusal that was not believed; 552 was put off as a full mailbox or too many recipients. */
static bool was_refused(const struct queued_recipient *q)
{
	return q->code >= 500 && q->code <= 599 && q->code != 552;
}

static struct guarded *guarded_of(struct delivery *d, uint32_t i, bool is_new_wanted)
{
	struct relay *r = d->hop->relay;
	struct map *map = is_smarthost(d) ? &r->guards->domains : &r->guards->sites;
	struct str name = is_smarthost(d) ? d->recipients[i].rcpt.domain : d->site->name;

	return is_new_wanted ? guarded_get(r, map, name) : guarded_find(r, map, name);
}

static void open_storm(struct delivery *d, struct guarded *g, const struct outcome *outcome)
{
	struct relay *r = d->hop->relay;
	struct wall now = env_wall(r->env), began = guard_began(&g->guard, now);
	const struct conf_policy *policy = hop_policy(d->hop);
	struct health_record evidence;
	struct buf b;

	health_init(&evidence, now);
	(void)health_note_failure(&evidence, policy, outcome, d->attempt.host, now, &r->rng);
	metric_add(r->env->metrics, METRIC_storms_open, 1);
	/* Who was refused since it seemed over is in quarantine: there is nobody to take back. */
	g->is_joined = outage_resume(r, OUTAGE_STORM, scope_of(r, g), g->name);
	if (g->is_joined)
		return;
	(void)outage_begin(r, OUTAGE_STORM, scope_of(r, g), g->name, began, &evidence);
	metric_add(r->env->metrics, METRIC_storms_total, 1);
	buf_init(&b, 2048);
	buf_append_safe(&b, g->name);
	buf_append_str(
		&b, STR(" refuses for good mailboxes that it used to take; it is not believed, "
			"and their mail is kept until it takes them again: "));
	buf_printf(&b, "%u ", outcome->code);
	buf_append_safe(&b, outcome->text);
	log_text(r->env->log, LOG_WARNING, "qmgr", "%s %s", is_site(r, g) ? "site" : "domain",
		buf_cstr(&b));
	buf_fini(&b);
	rescue(r, g, wall_add(began, -policy->notice_hold_ms));
}

static void close_storm(struct relay *r, struct guarded *g)
{
	struct wall now = env_wall(r->env);
	struct buf b;

	outage_seems_over(r, OUTAGE_STORM, scope_of(r, g), g->name, now);
	metric_sub(r->env->metrics, METRIC_storms_open, 1);
	release(r, g, false);
	if (g->is_joined)
		return; /* said before; in the end the outage says that it is over */
	buf_init(&b, 1024);
	buf_append_safe(&b, g->name);
	log_text(r->env->log, LOG_NOTICE, "qmgr",
		"%s %s takes again the mailboxes that it had refused",
		is_site(r, g) ? "site" : "domain", buf_cstr(&b));
	buf_fini(&b);
}

static void note(struct delivery *d, uint32_t i, enum guard_outcome outcome, bool is_known,
	uint64_t mailbox, struct wall now)
{
	struct relay *r = d->hop->relay;
	const struct guard_event event = {
		.outcome = outcome,
		.mailbox = mailbox,
		.sender = outcome == GUARD_REFUSED ? str_hash_fold(d->message->env.reverse_path, 1)
						   : 0,
		.is_known = is_known,
		.was_refused = was_refused(&d->recipients[i]),
	};
	struct guarded *g = guarded_of(d, i, is_known);

	if (!g)
		return;
	switch (guard_note(&g->guard, &event, now)) {
	case GUARD_SAME:
		break;
	case GUARD_OPENED:
		open_storm(d, g, &d->results[i].outcome);
		break;
	case GUARD_CLOSED:
		close_storm(r, g);
		break;
	case GUARD_PROVE:
		release(r, g, true);
		break;
	}
}

/* The configuration has changed: nobody looks for its end any more. */
static void drop_storm(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	struct guarded *g;

	if (is_smarthost(d) || !outage_open(r, OUTAGE_STORM, OUTAGE_OF_SITE, d->site->name))
		return;
	g = guarded_get(r, &r->guards->sites, d->site->name);
	if (g->guard.is_open)
		close_storm(r, g);
	outage_end(r, OUTAGE_STORM, OUTAGE_OF_SITE, g->name, env_wall(r->env));
	g->guard = (struct guard){ 0 };
}

void guard_take(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	struct wall now = env_wall(r->env);
	bool is_on, accepts = false, refuses = false;

	if (!d->site || d->attempt.is_site_failure)
		return;
	is_on = hop_policy(d->hop)->has_storm_guard;
	if (!is_on)
		drop_storm(d);
	for (uint32_t i = 0; i < d->recipient_count; i++) {
		const struct attempt_result *res = &d->results[i];
		bool is_accepted = res->verdict.disposition == DISPOSE_DELIVERED, is_known;
		uint64_t mailbox;

		if (!is_accepted && !(is_on && is_refusal(res)))
			continue;
		mailbox = mailboxes_hash(d->recipients[i].rcpt.address);
		/* a smarthost's word makes no mailbox known */
		is_known = is_accepted && !is_smarthost(d) ? known_learn(r, mailbox, now)
							   : known_has(r, mailbox, false);
		accepts |= is_accepted;
		refuses |= !is_accepted;
		if (is_on && (is_accepted || res->verdict.is_doubted_fail))
			note(d, i, is_accepted ? GUARD_ACCEPTED : GUARD_REFUSED, is_known, mailbox,
				now);
	}
	for (uint32_t i = 0; refuses && !d->is_storm && i < d->recipient_count; i++) {
		struct guarded *g = is_refusal(&d->results[i]) ? guarded_of(d, i, true) : NULL;

		d->is_storm = g && g->guard.is_open;
		d->is_parking = d->is_storm && !accepts && !is_smarthost(d) && g->guard.is_parking;
	}
}

const struct outcome *guard_parks(const struct delivery *d)
{
	for (uint32_t i = 0; d->is_parking && i < d->recipient_count; i++)
		if (is_refusal(&d->results[i]))
			return &d->results[i].outcome;
	return NULL;
}

enum result_kind guard_judge(struct delivery *d, uint32_t i, struct store_result *out)
{
	struct relay *r = d->hop->relay;
	const struct attempt_result *res = &d->results[i];
	const struct queued_recipient *q = &d->recipients[i];
	const struct conf_policy *policy = hop_policy(d->hop);
	struct wall now = env_wall(r->env);
	struct wall end = outage_gives_up_held_at(d->hop, &d->message->env, q->held_ms);

	if (!d->site || !policy->has_storm_guard || !is_refusal(res) || now.ms >= end.ms)
		return RESULT_FAILED;

	struct guarded *g = guarded_of(d, i, false);
	struct guard_question question = {
		.mailbox = mailboxes_hash(q->rcpt.address),
		.is_doubted = res->verdict.is_doubted_fail,
		.was_refused = was_refused(q),
	};

	/* refused once, less than its quarantine ago: released, or rescued */
	int64_t since_ms = now.ms - q->last_attempt.ms;

	question.is_early = question.was_refused && q->attempts <= 1 && since_ms >= 0 &&
			    since_ms < policy->quarantine_ms - policy->quarantine_ms / EARLY_PART;
	/* before RCPT nobody asked for the mailbox: the next hop has to be known good */
	question.is_known = known_has(r, question.mailbox, true) ||
			    (res->outcome.stage == STAGE_MAIL && hop_is_known_good(d->hop));
	if (!guard_doubts(g ? &g->guard : NULL, &question, now))
		return RESULT_FAILED;
	out->due = wall_add(
		now, guard_step(policy->quarantine_ms, question.was_refused && question.is_known,
			     q->attempts + 1, &r->rng));
	if (question.is_early && !question.is_known)
		out->due.ms -= since_ms; /* what is left of it */
	if (out->due.ms > end.ms)
		out->due = end;
	out->status.klass = 4;
	metric_add(r->env->metrics, METRIC_recipients_quarantined_total, 1);
	return RESULT_QUARANTINED;
}

void guard_note_recorded(struct delivery *d)
{
	struct relay *r = d->hop->relay;
	const struct conf_policy *policy = hop_policy(d->hop);
	struct wall now = env_wall(r->env);

	if (!d->site || !policy->has_storm_guard || policy->notice_hold_ms == 0)
		return;
	for (uint32_t i = 0; i < d->recipient_count; i++) {
		struct guarded *g =
			is_refusal(&d->results[i]) && d->results[i].verdict.is_doubted_fail
				? guarded_of(d, i, false)
				: NULL;

		if (g && g->guard.is_open && !g->is_joined && !d->is_storm) {
			rescue(r, g, wall_add(now, -policy->notice_hold_ms));
			return;
		}
	}
}

/* ---- acts ---- */

static void act_free(struct loose *l)
{
	struct act *a = CONTAINER_OF(l, struct act, loose);

	loose_end(l);
	store_op_fini(&a->revive.op);
	store_op_fini(&a->modify.op);
	relay_free_name(&a->filter.site);
	relay_free_name(&a->filter.domain);
	free(a);
}

static struct act *act_new(struct relay *r, const struct guarded *g)
{
	struct act *a = mem_zalloc(sizeof(*a));

	a->relay = r;
	if (is_site(r, g))
		a->filter.site = relay_copy_name(g->name);
	else
		a->filter.domain = relay_copy_name(g->name);
	loose_begin(r, &a->loose, act_free);
	r->delivery_count++;
	return a;
}

static void act_end(struct act *a)
{
	struct relay *r = a->relay;

	r->delivery_count--;
	act_free(&a->loose);
	relay_check_stopped(r);
}

static void wake(struct relay *r, const struct str *hops, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct hop *h = hop_get(r, hops[i]);

		if (h)
			hop_note_more(h);
	}
}

static void on_failed_act(struct relay *r, const char *what, enum err err)
{
	log_text(r->env->log, LOG_ERROR, "qmgr", "cannot %s: %s", what, err_name(err));
	if (err == ERR_NO_SPACE)
		upkeep_note_full(r);
}

static void on_rescued(struct store_op *op)
{
	struct act *a = CONTAINER_OF(op, struct act, revive.op);
	struct relay *r = a->relay;
	bool is_more = op->err == OK && a->revive.is_more;

	if (op->err != OK)
		on_failed_act(r, "take back what failed before a storm", op->err);
	else if (a->revive.recipient_count > 0)
		log_text(r->env->log, LOG_NOTICE, "qmgr",
			"storm guard: %llu recipients that had failed are queued again, their "
			"notices are taken back",
			(unsigned long long)a->revive.recipient_count);
	if (op->err == OK) {
		metric_add(r->env->metrics, METRIC_recipients_revived_total,
			a->revive.recipient_count);
		wake(r, a->revive.hops, a->revive.hop_count);
	}
	store_op_fini(op);
	if (is_more && !r->is_stopping)
		store_submit(r->store, op, STORE_REVIVE);
	else
		act_end(a);
}

static void rescue(struct relay *r, const struct guarded *g, struct wall failed_after)
{
	struct act *a = act_new(r, g);

	a->revive = (struct store_revive){
		.op.on_done = on_rescued,
		.filter = &a->filter,
		.failed_after = failed_after,
		.only_untold = true,
		.only_doubted = true,
		.now = env_wall(r->env),
		.actor = ACTOR,
		.reason = STR("failed just before a storm"),
		.limit = STEP_RECIPIENTS,
	};
	store_submit(r->store, &a->revive.op, STORE_REVIVE);
}

static void on_released(struct store_op *op)
{
	struct act *a = CONTAINER_OF(op, struct act, modify.op);
	struct relay *r = a->relay;
	bool is_more = op->err == OK && a->modify.is_more && !a->is_one_step;

	if (op->err != OK)
		on_failed_act(r, "try again what is in quarantine", op->err);
	else
		wake(r, a->modify.hops, a->modify.hop_count);
	store_op_fini(op);
	if (is_more && !r->is_stopping)
		store_submit(r->store, op, STORE_MODIFY);
	else
		act_end(a);
}

/* What is not released comes due by itself. For a proof a step is enough: in half a storm there is one every ten minutes, and
 * most of what it takes from quarantine is refused once more. */
static void release(struct relay *r, const struct guarded *g, bool is_proof)
{
	struct act *a = act_new(r, g);

	a->is_one_step = is_proof;
	a->filter.states = RECIPIENT_STATE_BIT(RECIPIENT_QUARANTINED);
	a->modify = (struct store_modify){
		.op.on_done = on_released,
		.filter = &a->filter,
		.action = MODIFY_RETRY,
		.now = env_wall(r->env),
		.actor = ACTOR,
		.reason = STR("it takes mail again"),
		.limit = STEP_RECIPIENTS,
	};
	store_submit(r->store, &a->modify.op, STORE_MODIFY);
}
