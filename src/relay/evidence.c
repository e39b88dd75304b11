/*
 * evidence - what the end of a delivery says of its next hop and its site (OUTAGE section 2, Scope).
 *
 * Health changes here and nowhere else, is logged when its state changes, and becomes durable with the RECORD of the
 * delivery that brought it about.
 */
#include "relay/delivery.h"
#include "relay/guard.h"
#include "relay/hint.h"
#include "relay/outage.h"

/* ---- against a destination ---- */

static void log_state(
	struct relay *r, const char *what, struct str name, const struct health_record *health)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b, "%s ", what);
	buf_append_safe(&b, name);
	buf_printf(&b, " is %s after %u failures in a row: %s: ", health_state_name(health->state),
		health->failures, health->stage);
	if (health->code)
		buf_printf(&b, "%u ", health->code);
	buf_append_safe(&b, str_from_c(health->text));
	if (health->host[0]) {
		buf_append_str(&b, STR(" (host "));
		buf_append_safe(&b, str_from_c(health->host));
		buf_append_char(&b, ')');
	}
	if (health->state == HEALTH_DOWN && health->next_probe.ms != INT64_MAX) {
		buf_append_str(&b, STR("; its mail is parked, next probe "));
		instant_format_iso(&b, health->next_probe);
	}
	log_text(r->env->log, LOG_WARNING, "qmgr", "%s", buf_cstr(&b));
	buf_fini(&b);
}

void evidence_against_hop(struct hop *h, const struct outcome *outcome, struct str host)
{
	struct relay *r = h->relay;

	bool was_declared = h->health.is_declared;

	/* for the interval of its probes */
	h->health.is_declared |= outage_is_declared(r, h, h->site);
	if (health_note_failure(
		    &h->health, hop_policy(h), outcome, host, env_wall(r->env), &r->rng))
		log_state(r, "next hop", h->name, &h->health);
	h->health.is_declared = was_declared;
	outage_note_failure_of_hop(h);
	h->is_dirty = true;
	if (h->health.state == HEALTH_DOWN) {
		expiry_start_hop(h);
		hop_kick(h);
	}
}

/* 4.7.x before MAIL: it has had enough of us. We wait for it as for one that is down, but that is no outage. */
static bool is_limit(const struct outcome *outcome)
{
	return outcome->code >= 400 && outcome->code < 500 && outcome->status.klass == 4 &&
	       outcome->status.subject == 7;
}

void evidence_against_site(struct site *s, const struct conf_policy *policy,
	const struct outcome *outcome, struct str host)
{
	struct relay *r = s->relay;
	bool was_down = s->health.state == HEALTH_DOWN, was_declared = s->health.is_declared;

	metric_add(r->env->metrics, METRIC_site_failures_total, 1);
	s->health.is_declared |= outage_is_declared(r, NULL, s);
	if (health_note_failure(&s->health, policy, outcome, host, env_wall(r->env), &r->rng)) {
		log_state(r, "site", s->name, &s->health);
		window_close_to_one(&s->window);
	}
	s->health.is_declared = was_declared;
	if (!is_limit(outcome))
		outage_note_failure_of_site(s, policy);
	s->is_dirty = true;
	if (s->health.state != HEALTH_DOWN)
		return;
	if (!was_down)
		metric_add(r->env->metrics, METRIC_sites_down, 1);
	site_park(s);
	expiry_start_site(s);
}

/* ---- what one delivery says ---- */

static void note_recovered(struct site *s)
{
	struct relay *r = s->relay;

	if (s->health.state != HEALTH_RECOVERING)
		return;
	if ((s->window.size < s->window.learned || !pace_is_recovered(&s->pace)) &&
		!list_is_empty(&s->work))
		return;
	health_note_recovered(&s->health, env_wall(r->env));
	s->is_dirty = true;
	log_text(r->env->log, LOG_NOTICE, "qmgr", "site %.*s is up", STR_FMT(s->name));
}

static void note_answer(struct delivery *d, bool is_accepted)
{
	struct hop *h = d->hop;
	struct site *s = d->site;
	struct relay *r = h->relay;
	struct wall now = env_wall(r->env), since = s->health.since;
	enum health_state site_was = s->health.state, hop_was = h->health.state;
	bool is_smarthost = d->route && d->route->route->is_smarthost;

	s->is_dirty |= health_note_success(&s->health, now, is_accepted);
	if (s->health.state != site_was)
		s->is_dirty = true;
	s->trouble_hop = 0;
	h->is_dirty |= health_note_success(&h->health, now, is_accepted && !is_smarthost);
	h->trouble_sender = 0;
	if (is_accepted && d->route)
		names_note_worked(h, d->route);
	outage_note_answer(h, s);
	if (site_was == HEALTH_DOWN) {
		struct buf b;

		buf_init(&b, 1024);
		buf_append_safe(&b, s->name);
		buf_append_str(&b, STR(" answers again after "));
		instant_format_span(&b, now.ms - since.ms);
		log_text(r->env->log, LOG_NOTICE, "qmgr", "site %s; its mail moves", buf_cstr(&b));
		buf_fini(&b);
		if (r->env->metrics->value[METRIC_sites_down] > 0)
			metric_sub(r->env->metrics, METRIC_sites_down, 1);
		hint_note_up(s);
		pacing_note_recovery(s);
		site_scan(s);
	}
	if (hop_was == HEALTH_DOWN)
		hop_note_more(h);
	if (h->health.state == HEALTH_RECOVERING) {
		health_note_recovered(&h->health, now);
		h->is_dirty = true;
	}
}

/* Refused for now before any recipient was named: of the message or its sender, so far. */
static bool is_refused_at_mail(const struct attempt_result *res)
{
	return res->outcome.stage == STAGE_MAIL && res->outcome.code >= 400 &&
	       res->outcome.code < 500 && !res->verdict.is_rate_limit;
}

static enum stage trouble_stage(const struct outcome *outcome)
{
	return outcome->stage > STAGE_DATA ? STAGE_DATA : outcome->stage;
}

/* A failure at MAIL or after says something of the destination only when another sender's mail fails at the same stage with no
 * success between; of the site, when another next hop's does. */
static void note_trouble(struct delivery *d, const struct outcome *outcome)
{
	struct hop *h = d->hop;
	struct site *s = d->site;
	uint64_t sender = str_hash_fold(d->message->env.reverse_path, 1) | 1;
	uint64_t hop = str_hash_fold(h->name, 1) | 1;
	enum stage stage = trouble_stage(outcome);

	if (h->trouble_sender && h->trouble_sender != sender && h->trouble_stage == stage) {
		evidence_against_hop(h, outcome, d->attempt.host);
		if (s->trouble_hop && s->trouble_hop != hop && s->trouble_stage == stage)
			evidence_against_site(s, hop_policy(h), outcome, d->attempt.host);
		s->trouble_hop = hop;
		s->trouble_stage = stage;
	}
	h->trouble_sender = sender;
	h->trouble_stage = stage;
}

/* A probe that brought no answer for any recipient has failed, however far it came: the next one waits its time. */
static void note_failed_probe(struct delivery *d)
{
	const struct outcome *outcome = &d->results[d->recipient_count - 1].outcome;

	if (d->site->health.state == HEALTH_DOWN)
		evidence_against_site(d->site, hop_policy(d->hop), outcome, d->attempt.host);
	else if (d->hop->health.state == HEALTH_DOWN)
		evidence_against_hop(d->hop, outcome, d->attempt.host);
}

/* We lack something, or a smarthost refuses us: an alarm, and never a bounce. A smarthost is one site, whatever the domains
 * behind it. Descriptors that are used up, or a firewall of ours, say nothing of anybody: a pause is all. */
static void note_own_fault(struct delivery *d, const struct attempt_result *res)
{
	struct hop *h = d->hop;
	struct relay *r = h->relay;

	if (res->outcome.code == 0 &&
		(res->outcome.err == ERR_NO_FDS || res->outcome.err == ERR_PERMISSION)) {
		log_text(r->env->log, LOG_ERROR, "smtp",
			"next hop %.*s: we cannot connect (%s); its mail waits a minute, nothing is "
			"held against it",
			STR_FMT(h->name), err_name(res->outcome.err));
		hop_rest(h);
		return;
	}
	log_text(r->env->log, LOG_ERROR, "smtp",
		"next hop %.*s refuses us, its mail is parked, nothing is returned: %.*s",
		STR_FMT(h->name), STR_FMT(res->outcome.text));
	if (d->route && d->route->route->is_smarthost)
		evidence_against_site(d->site, hop_policy(h), &res->outcome, d->attempt.host);
	else
		evidence_against_hop(h, &res->outcome, d->attempt.host);
}

void evidence_take(struct delivery *d)
{
	const struct attempt_result *trouble = NULL, *refused = NULL, *parked = NULL;
	bool answers = false, accepted = false, overload = false;

	if (offline_take(d))
		return;
	if (d->attempt.is_site_failure) {
		if (pacing_takes_refusal(d))
			return;
		evidence_against_site(
			d->site, hop_policy(d->hop), &d->attempt.site_outcome, d->attempt.host);
		hint_note_failed(d);
		return;
	}
	if (guard_parks(d)) {
		evidence_against_site(
			d->site, hop_policy(d->hop), guard_parks(d), d->attempt.host);
		return;
	}
	for (uint32_t i = 0; i < d->recipient_count; i++) {
		const struct attempt_result *res = &d->results[i];

		answers |= res->verdict.answers;
		accepted |= res->verdict.disposition == DISPOSE_DELIVERED;
		overload |= res->verdict.is_overload;
		if (res->verdict.is_suspect)
			trouble = res;
		if (is_refused_at_mail(res))
			refused = res;
		if (res->verdict.disposition == DISPOSE_PARK)
			parked = res;
	}
	if (!d->site)
		return;
	if (answers)
		note_answer(d, accepted);
	overload = pacing_note_end(d, answers, overload);
	if (overload || (trouble && !answers))
		window_note_overload(&d->site->window);
	else if (answers)
		window_note_success(&d->site->window);
	if (d->is_probe && !answers && !parked)
		note_failed_probe(d);
	else if ((trouble || refused) && !answers)
		note_trouble(d, trouble ? &trouble->outcome : &refused->outcome);
	if (parked && parked->verdict.scope == SCOPE_OURS)
		note_own_fault(d, parked);
	else if (parked)
		evidence_against_hop(d->hop, &parked->outcome, d->attempt.host);
	note_recovered(d->site);
}
