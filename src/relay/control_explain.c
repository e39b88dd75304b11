/*
 * control_explain - explain: why a message or a domain waits, as one chain of sentences from stored
 * facts.
 *
 * For a message: what it is; then for each next hop it still waits for: the policy with the end of
 * its time, the state of the destination with its evidence, the attempts so far, the next thing
 * that happens, and the earliest thing that could change it. For a domain the same without a
 * message. At most EXPLAIN_HOPS_MAX next hops are told.
 */
#include <inttypes.h>
#include <jansson.h>

#include "mail/queue_id.h"
#include "queue/health.h"
#include "queue/retry.h"
#include "relay/control_book.h"
#include "relay/control_explain.h"
#include "relay/control_json.h"
#include "relay/control_outage.h"

enum { EXPLAIN_HOPS_MAX = 20, EXPLAIN_OUTAGES_MAX = 5, SENTENCE_MAX_BYTES = 16 * 1024 };

struct explain_state {
	struct buf text;
	struct outage_book book;
	bool has_message;
	struct str hops[EXPLAIN_HOPS_MAX];
	uint32_t hop_count, next;
	bool has_more_hops;
};

static void explain_message(struct verb_call *call);
static void explain_domain(struct verb_call *call);
static void tell_message(struct verb_call *call);
static void tell_finished(struct verb_call *call);
static void gather_hops(struct verb_call *call);
static void next_hop(struct verb_call *call);
static void tell_hop(struct verb_call *call);
static void tell_place(struct verb_call *call);
static void tell_hop_found(struct verb_call *call);
static void tell_policy(struct verb_call *call, struct str hop, const struct conf_policy *policy);
static void tell_site(struct verb_call *call, struct str hop);
static void tell_limit(struct verb_call *call, struct str site);
static void tell_outages(struct verb_call *call, struct str hop);
static void tell_outage(struct verb_call *call, const struct outage_record *o);
static void tell_grace(struct verb_call *call, const struct conf_policy *policy);
static void tell_health(
	struct verb_call *call, const char *what, struct str name, const struct health_record *h);
static void tell_remedy(struct verb_call *call, struct str reason);
static void tell_recipients(struct verb_call *call, struct str hop);
static void tell_recipient(struct verb_call *call, const struct queued_recipient *r);
static void tell_next(struct verb_call *call, const struct queued_recipient *r);
static void tell_backlog(struct verb_call *call);
static const struct health_record *obstacle(const struct verb_call *call);
static void append_when(struct verb_call *call, struct wall t);
static void say(struct verb_call *call, const char *topic);
static void explain_fini(void *state);

void verb_explain(struct verb_call *call)
{
	struct explain_state *state = arena_alloc(&call->arena, sizeof(*state));
	struct str target = str_trim(verb_text(call, "target"));

	buf_init(&state->text, SENTENCE_MAX_BYTES);
	call->state = state;
	call->fini = explain_fini;
	if (!target.len || target.len > 255) {
		verb_fail(call, VERB_USAGE, "explain needs the id of a message or a domain");
	} else if (queue_id_parse(target, &call->show.id) == OK) {
		verb_submit_lenient(call, &call->show.op, STORE_SHOW, explain_message);
	} else {
		explain_domain(call);
	}
}

static void explain_message(struct verb_call *call)
{
	struct explain_state *state = call->state;

	if (call->show.op.err != OK) {
		verb_fail(call, VERB_NO_MATCH,
			"there is no message %s, in the queue or the history",
			queue_id_format(call->show.id).text);
		return;
	}
	state->has_message = true;
	tell_message(call);
	tell_finished(call);
	gather_hops(call);
	book_load(call, &state->book, next_hop);
}

static void explain_domain(struct verb_call *call)
{
	struct explain_state *state = call->state;
	struct str name = str_trim(verb_text(call, "target"));
	size_t at = str_find(name, '@');

	if (at < name.len)
		name = str_slice(name, at + 1, name.len);
	state->hops[state->hop_count++] = arena_lower(&call->arena, name);
	book_load(call, &state->book, next_hop);
}

static void tell_message(struct verb_call *call)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct queued_message *m = &call->show.message;

	buf_printf(text, "%s from <", queue_id_format(m->env.id).text);
	buf_append_str(text, m->env.reverse_path);
	buf_printf(text, ">, %" PRIu64 " octets, priority %d, arrived at ", m->env.size_bytes,
		m->env.priority);
	append_when(call, m->env.accepted);
	if (m->env.client.len) {
		buf_append_str(text, STR(" from "));
		buf_append_str(text, m->env.client);
	}
	buf_printf(text, ", for %u recipient%s.", m->recipient_count,
		m->recipient_count == 1 ? "" : "s");
	say(call, "message");
	explain_wishes(text, &m->env);
	if (text->len > 0)
		say(call, "wishes");
}

static void tell_finished(struct verb_call *call)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct queued_message *m = &call->show.message;

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct queued_recipient *r = &m->recipients[i];

		if (RECIPIENT_STATE_BIT(r->state) & RECIPIENT_QUEUED_BITS)
			continue;
		buf_append_char(text, '<');
		buf_append_str(text, r->rcpt.address);
		buf_printf(text, "> is done: %s at ", recipient_state_name(r->state));
		append_when(call, r->finished);
		if (r->text.len) {
			buf_append_str(text, STR("; last word: "));
			buf_append_str(text, r->text);
		}
		buf_append_char(text, '.');
		say(call, "finished");
	}
}

static void gather_hops(struct verb_call *call)
{
	struct explain_state *state = call->state;
	const struct queued_message *m = &call->show.message;

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct str hop = m->recipients[i].rcpt.hop;
		uint32_t at = 0;

		if (!(RECIPIENT_STATE_BIT(m->recipients[i].state) & RECIPIENT_QUEUED_BITS))
			continue;
		while (at < state->hop_count && !str_equal(state->hops[at], hop))
			at++;
		if (at == EXPLAIN_HOPS_MAX)
			state->has_more_hops = true;
		else if (at == state->hop_count)
			state->hops[state->hop_count++] = hop;
	}
}

static void next_hop(struct verb_call *call)
{
	struct explain_state *state = call->state;

	if (state->next < state->hop_count) {
		call->lookup.hop = state->hops[state->next++];
		call->lookup.site = STR("");
		verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, tell_hop);
		return;
	}
	if (state->has_more_hops) {
		buf_append_str(
			&state->text, STR("It waits for more destinations than are told here."));
		say(call, "more");
	}
	json_t *done = json_object();
	json_put_u64(done, "hops", state->hop_count);
	verb_done(call, done);
}

static void tell_hop(struct verb_call *call)
{
	/* What is no domain may be a site: the lists show those. */
	if (call->lookup.op.err != OK && !((struct explain_state *)call->state)->has_message) {
		call->lookup.site = call->lookup.hop;
		call->lookup.hop = STR("");
		verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, tell_place);
		return;
	}
	tell_hop_found(call);
}

static void tell_place(struct verb_call *call)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct site_record *site = &call->lookup.site_out;

	if (call->lookup.op.err != OK || !site->name.len) {
		call->lookup.op.err = ERR_NOT_FOUND;
		call->lookup.hop = call->lookup.site;
		tell_hop_found(call);
		return;
	}
	call->lookup.hop_out = (struct hop_record){ .name = STR("") };
	tell_health(call, "The site", site->name, &site->health);
	tell_outages(call, STR(""));
	if (site->health.state == HEALTH_DOWN) {
		buf_append_str(text, STR("Next: a probe at "));
		append_when(call, site->health.next_probe);
		buf_append_str(text, STR(", sooner by 'outlast probe "));
		buf_append_str(text, site->name);
		buf_append_str(text, STR("'. "));
	}
	buf_append_str(text, STR("What waits for it: 'outlast list --site "));
	buf_append_str(text, site->name);
	buf_append_str(text, STR("'."));
	say(call, "next");
	verb_continue(call, next_hop);
}

static void tell_hop_found(struct verb_call *call)
{
	struct explain_state *state = call->state;
	struct str hop = call->lookup.hop;
	const struct conf_policy *policy;

	if (call->lookup.op.err != OK) {
		call->lookup.hop_out = (struct hop_record){ .name = STR("") };
		call->lookup.site_out = (struct site_record){ .name = STR("") };
	}
	policy = conf_policy_for(call->conf, hop, call->lookup.site_out.name);
	tell_policy(call, hop, policy);
	tell_site(call, hop);
	tell_grace(call, policy);
	tell_outages(call, hop);
	if (state->has_message)
		tell_recipients(call, hop);
	else
		tell_backlog(call);
	verb_continue(call, next_hop);
}

static void tell_policy(struct verb_call *call, struct str hop, const struct conf_policy *policy)
{
	struct explain_state *state = call->state;
	int64_t credited_ms = 0;
	struct buf *text = &state->text;
	const struct conf_route *route = conf_route_for(call->conf, hop,
		state->has_message ? call->show.message.env.reverse_path : STR("postmaster"));

	buf_append_str(text, STR("Policy for "));
	buf_append_str(text, hop);
	if (route && route->via == ROUTE_LMTP) {
		struct arena scratch = { 0 };

		buf_append_str(text, STR(": by LMTP to "));
		buf_append_str(text, str_slice(conf_route_site(route, &scratch), 5, SIZE_MAX));
		buf_append_str(text, STR(" (route "));
		buf_append_str(text, route->name);
		buf_append_str(text, STR("), retried after"));
		arena_fini(&scratch);
	} else if (route && route->via == ROUTE_SMARTHOST) {
		buf_append_str(text, STR(": by the smarthost "));
		buf_append_str(text, route->host);
		buf_printf(text, " port %u (route ", route->port);
		buf_append_str(text, route->name);
		buf_append_str(text, STR("), retried after"));
	} else {
		buf_append_str(text, STR(": by its MX, retried after"));
	}
	for (uint32_t i = 0; i < policy->retry_count; i++) {
		buf_append_char(text, ' ');
		instant_format_span(text, policy->retry_ms[i]);
	}
	buf_append_str(text, STR(", the last step again and again; lifetime "));
	instant_format_span(text, policy->lifetime_ms);
	if (policy->lifetime_max_ms > policy->lifetime_ms) {
		buf_append_str(text, STR(" and up to "));
		instant_format_span(text, policy->lifetime_max_ms);
		buf_append_str(text, STR(" with outages"));
	}
	if (state->has_message) {
		buf_append_str(text, STR(", so a failure after "));
		append_when(call, book_gives_up_at(call, &state->book, policy,
					  &call->show.message.env, &credited_ms));
		buf_append_str(text, STR(" is final"));
		if (credited_ms > 0) {
			buf_append_str(text, STR("; "));
			instant_format_span(text, credited_ms);
			buf_append_str(text, STR(" in which it could not move did not count so far"));
		}
	}
	buf_append_char(text, '.');
	say(call, "policy");
}

static void tell_site(struct verb_call *call, struct str hop)
{
	struct explain_state *state = call->state;
	const struct store_lookup *l = &call->lookup;

	if (!l->site_out.name.len) {
		buf_append_str(&state->text, hop);
		buf_append_str(&state->text,
			l->hop_out.name.len ? STR(" has not been routed to a site yet.")
					    : STR(" has had no mail here that is remembered."));
		say(call, "site");
	} else {
		tell_health(call, "The site", l->site_out.name, &l->site_out.health);
		tell_limit(call, l->site_out.name);
	}
	if (l->hop_out.name.len && l->hop_out.health.state != HEALTH_UP)
		tell_health(call, "The next hop", l->hop_out.name, &l->hop_out.health);
}

/* What DNS denies of a known-good domain is believed after its grace: no outage keeps that mail beyond it. */
static void tell_grace(struct verb_call *call, const struct conf_policy *policy)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct hop_record *hop = &call->lookup.hop_out;

	if (!hop->name.len || hop->denied_last.ms == WALL_NONE.ms)
		return;
	buf_append_str(text, STR("DNS says that it takes no mail: for "));
	instant_format_span(text, hop->denied_ms);
	buf_append_str(text, STR(" so far, counted from answer to answer. After "));
	instant_format_span(text, policy->no_domain_grace_ms);
	buf_append_str(text, STR(" of that (outage.no-domain-grace) its mail is returned."));
	say(call, "grace");
}

static void tell_limit(struct verb_call *call, struct str site)
{
	struct explain_state *state = call->state;
	double limit = verb_site_limit(call, site);

	if (limit <= 0)
		return;
	buf_printf(&state->text,
		"The site limits us: %.1f messages a minute go to it for now, in drain order.",
		limit);
	say(call, "site");
}

static void tell_outages(struct verb_call *call, struct str hop)
{
	struct explain_state *state = call->state;
	const struct outage_book *book = &state->book;
	unsigned told = 0;

	for (uint32_t i = 0; i < book->open_count && told < EXPLAIN_OUTAGES_MAX; i++)
		if (outage_is_about(&book->open[i], hop, call->lookup.site_out.name)) {
			tell_outage(call, &book->open[i]);
			told++;
		}
}

static void tell_outage(struct verb_call *call, const struct outage_record *o)
{
	struct buf *text = &((struct explain_state *)call->state)->text;

	buf_printf(text, "Outage %" PRIu64 " (%s", o->id, outage_kind_name(o->kind));
	if (o->actor.len) {
		buf_append_str(text, STR(" by "));
		buf_append_str(text, o->actor);
	}
	buf_append_str(text, STR(") of its mail since "));
	append_when(call, o->began);
	if (o->until.ms) {
		buf_append_str(text, STR(", expected until "));
		append_when(call, o->until);
	}
	if (o->kind == OUTAGE_STORM)
		buf_append_str(text, STR(": it refuses for good what it used to take, which is not"
					 " believed: the mail is kept"));
	buf_append_str(text, STR("; this time is not counted. See 'outlast outage report "));
	buf_printf(text, "%" PRIu64 "'.", o->id);
	say(call, "outage");
}

static void tell_health(
	struct verb_call *call, const char *what, struct str name, const struct health_record *h)
{
	struct buf *text = &((struct explain_state *)call->state)->text;

	buf_printf(text, "%s ", what);
	buf_append_str(text, name);
	buf_printf(text, " is %s", health_state_name(h->state));
	if (h->since.ms) {
		buf_append_str(text, STR(" since "));
		append_when(call, h->since);
	}
	if (h->state == HEALTH_UP || h->state == HEALTH_RECOVERING) {
		buf_append_str(text, STR("; it last took mail: "));
		append_when(call, h->last_success);
	} else {
		buf_printf(text, ": %u failure%s in a row, the last at ", h->failures,
			h->failures == 1 ? "" : "s");
		append_when(call, h->last_failure);
		if (h->stage[0])
			buf_printf(text, " in stage %s", h->stage);
		if (h->host[0])
			buf_printf(text, " of %s", h->host);
		if (h->text[0])
			buf_printf(text, ": %s", h->text);
	}
	buf_append_char(text, '.');
	say(call, "site");
	if (h->state != HEALTH_UP && h->state != HEALTH_RECOVERING)
		tell_remedy(call, str_from_c(h->text));
}

static void tell_remedy(struct verb_call *call, struct str reason)
{
	struct str remedy = explain_tls_remedy(reason);

	buf_append_str(&((struct explain_state *)call->state)->text, remedy);
	if (remedy.len > 0)
		say(call, "tls");
}

static void tell_recipients(struct verb_call *call, struct str hop)
{
	const struct queued_message *m = &call->show.message;

	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (str_equal(m->recipients[i].rcpt.hop, hop) &&
			(RECIPIENT_STATE_BIT(m->recipients[i].state) & RECIPIENT_QUEUED_BITS)) {
			tell_recipient(call, &m->recipients[i]);
			tell_next(call, &m->recipients[i]);
		}
}

static void tell_recipient(struct verb_call *call, const struct queued_recipient *r)
{
	struct buf *text = &((struct explain_state *)call->state)->text;

	buf_append_char(text, '<');
	buf_append_str(text, r->rcpt.address);
	buf_printf(text, "> is %s; ", recipient_state_name(r->state));
	if (!r->attempts && !r->last_attempt.ms) {
		buf_append_str(text, STR("no attempt was charged to it so far."));
	} else {
		buf_printf(text, "%u attempt%s so far, the last at ", r->attempts,
			r->attempts == 1 ? "" : "s");
		append_when(call, r->last_attempt);
		if (r->host.len) {
			buf_append_str(text, STR(" by "));
			buf_append_str(text, r->host);
		}
		if (r->text.len) {
			buf_append_str(text, STR(": "));
			buf_append_str(text, r->text);
		}
		buf_append_char(text, '.');
	}
	if (r->is_in_doubt)
		buf_append_str(text,
			STR(" The reply to its final dot was lost: it may have arrived already."));
	say(call, "attempts");
	tell_remedy(call, r->text);
}

/* tell_next - what happens next, and what could make it happen sooner. */
static void tell_next(struct verb_call *call, const struct queued_recipient *r)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct queued_message *m = &call->show.message;
	const struct health_record *h = obstacle(call);
	const char *id = queue_id_format(m->env.id).text;
	bool is_down = h && h->state == HEALTH_DOWN;

	if (r->state == RECIPIENT_HELD) {
		buf_append_str(text, STR("Next: nothing, it is held"));
		if (m->hold_reason.len) {
			buf_append_str(text, STR(" ("));
			buf_append_str(text, m->hold_reason);
			buf_append_char(text, ')');
		}
		buf_printf(text, " until 'outlast release %s'.", id);
	} else if (r->state == RECIPIENT_QUARANTINED || r->state == RECIPIENT_WAITING) {
		bool is_wish = m->env.hold_until.ms > call->now.ms && !r->attempts;

		buf_printf(text, "Next: %s at ",
			r->state == RECIPIENT_QUARANTINED
				? "the refusal is not believed yet, so another attempt"
			: is_wish && m->env.origin != ORIGIN_SMTP
				? "a notice of failure can be taken back for a while; it leaves"
			: is_wish ? "its sender asked to wait; the first attempt"
				  : "an attempt");
		append_when(call, r->due);
		if (is_down)
			buf_append_str(text, STR(", if the destination is back by then"));
		buf_printf(text, "; sooner by 'outlast retry %s'", id);
		if (is_down) {
			buf_append_str(text, STR(", or when a probe succeeds, the next at "));
			append_when(call, h->next_probe);
		}
		buf_append_char(text, '.');
	} else if (is_down) {
		buf_append_str(text, STR("Next: it waits for the destination, at no cost; the next "
					 "probe is at "));
		append_when(call, h->next_probe);
		buf_printf(text, ", sooner by 'outlast retry %s'. It goes as soon as one succeeds.",
			id);
	} else if (!call->host->daemon) {
		buf_append_str(text, STR("Next: it goes when the daemon runs."));
	} else if (h) {
		buf_append_str(text, STR("Next: the destination is tried with one delivery at a "
					 "time; this one goes"
					 " when it is its turn."));
	} else {
		buf_append_str(text,
			STR("Next: it is due now and goes as soon as the destination has room."));
	}
	say(call, "next");
}

static void tell_backlog(struct verb_call *call)
{
	struct buf *text = &((struct explain_state *)call->state)->text;
	const struct hop_record *hop = &call->lookup.hop_out;
	const struct health_record *h = obstacle(call);
	uint64_t waiting = 0;

	for (unsigned i = 0; i <= RECIPIENT_QUARANTINED; i++)
		waiting += hop->count[i];
	if (!hop->name.len || !waiting) {
		buf_append_str(text, STR("No mail waits for it."));
		say(call, "next");
		return;
	}
	buf_printf(text, "%" PRIu64 " recipients wait for it:", waiting);
	for (unsigned i = 0; i <= RECIPIENT_QUARANTINED; i++)
		if (hop->count[i])
			buf_printf(text, "%s %" PRIu64 " %s",
				text->data[text->len - 1] == ':' ? "" : ",", hop->count[i],
				recipient_state_name((enum recipient_state)i));
	buf_append_str(text, STR(". "));
	if (h && h->state == HEALTH_DOWN) {
		buf_append_str(text, STR("Next: a probe at "));
		append_when(call, h->next_probe);
		buf_append_str(text, STR(", sooner by 'outlast probe "));
		buf_append_str(text, hop->name);
		buf_append_str(text, STR("'. All of it goes, paced, once a probe succeeds."));
	} else if (h && call->host->daemon) {
		buf_append_str(text,
			STR("Next: the destination is tried with one delivery at a time; after more"
			    " failures it counts as down, after a success all of it goes."));
	} else if (!call->host->daemon) {
		buf_append_str(text, STR("Next: it goes when the daemon runs."));
	} else {
		buf_append_str(text, STR("Next: what is ready goes now; what waits goes at its own "
					 "time, sooner by"
					 " 'outlast retry --hop "));
		buf_append_str(text, hop->name);
		buf_append_str(text, STR("'."));
	}
	say(call, "next");
}

/* obstacle - what keeps mail from going freely: the next hop's own trouble, else its site's; NULL:
 * nothing. */
static const struct health_record *obstacle(const struct verb_call *call)
{
	const struct store_lookup *l = &call->lookup;
	const struct health_record *hop = l->hop_out.name.len ? &l->hop_out.health : NULL;
	const struct health_record *site = l->site_out.name.len ? &l->site_out.health : NULL;

	if (site && site->state == HEALTH_DOWN)
		return site;
	if (hop && hop->state != HEALTH_UP)
		return hop;
	return site && site->state != HEALTH_UP ? site : NULL;
}

static void append_when(struct verb_call *call, struct wall t)
{
	struct buf *text = &((struct explain_state *)call->state)->text;

	if (t.ms == WALL_NONE.ms || t.ms == WALL_NEVER.ms) {
		buf_append_str(text, t.ms ? STR("no set time") : STR("never"));
		return;
	}
	instant_format_iso(text, (struct wall){ t.ms - t.ms % SECOND_MS });
	text->len -= 5; /* ".000Z" */
	buf_append_str(text, STR("Z ("));
	if (t.ms > call->now.ms) {
		buf_append_str(text, STR("in "));
		instant_format_span(text, t.ms - call->now.ms);
		buf_append_char(text, ')');
	} else {
		instant_format_span(text, call->now.ms - t.ms);
		buf_append_str(text, STR(" ago)"));
	}
}

static void say(struct verb_call *call, const char *topic)
{
	struct explain_state *state = call->state;
	json_t *row = json_object();

	json_put(row, "topic", json_string(topic));
	json_put_text(row, "text", buf_str(&state->text));
	buf_clear(&state->text);
	verb_row(call, row);
}

static void explain_fini(void *state)
{
	struct explain_state *s = state;

	buf_fini(&s->text);
}
