/*
 * control_verbs_sites - sites: every destination with its state, evidence and backlog, worst first;
 * probe: try one now.
 *
 * sites takes "site" (glob on the name), "hop" (a domain: the site that it is routed to), "state" (health states,
 * comma-separated) and "limit".
 * probe takes the name of a site or of a next hop (a domain).
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "queue/health.h"
#include "relay/control_book.h"
#include "relay/control_call.h"
#include "relay/control_json.h"
#include "relay/control_survey.h"

enum { SITES_PAGE = 100, SITES_HOPS_MAX = 2000000 };

struct sites_state {
	struct survey survey;
	struct outage_book book;
	unsigned states; /* bits of health states; 0: all */
	size_t next;
	uint64_t sent;
	char of_hop[512]; /* the only site that is wanted, unless has_hop is false */
	bool has_hop;
};

static bool read_states(struct verb_call *call, unsigned *out);
static void sites_of_hop(struct verb_call *call);
static void sites_survey(struct verb_call *call);
static void sites_begin(struct verb_call *call);
static json_t *site_row(const struct verb_call *call, const struct survey_site *entry);
static void sites_rows(struct verb_call *call);
static bool is_wanted(const struct verb_call *call, const struct survey_site *entry);
static void sites_fini(void *state);
static void probe_site(struct verb_call *call);
static void probe_hop(struct verb_call *call);
static void probe_done(struct verb_call *call, struct str site);

void verb_sites(struct verb_call *call)
{
	struct sites_state *state = mem_zalloc(sizeof(*state));

	survey_init(&state->survey, SITES_HOPS_MAX, true);
	call->state = state;
	call->fini = sites_fini;
	struct str limit = verb_text(call, "limit");
	if (limit.len && (str_to_u64(limit, &call->limit) != OK || call->limit == 0))
		verb_fail(call, VERB_USAGE, "limit: write a number from 1");
	else if (read_states(call, &state->states) && !verb_text(call, "hop").len)
		book_load(call, &state->book, sites_survey);
	else if (!call->is_ended) {
		call->lookup.hop = verb_text(call, "hop");
		call->lookup.site = STR("");
		verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, sites_of_hop);
	}
}

static void sites_of_hop(struct verb_call *call)
{
	struct sites_state *state = call->state;
	const struct store_lookup *l = &call->lookup;
	bool is_found = l->op.err == OK && l->hop_out.name.len &&
			l->site_out.name.len < sizeof(state->of_hop);

	if (is_found)
		(void)snprintf(state->of_hop, sizeof(state->of_hop), "%.*s",
			STR_FMT(l->site_out.name));
	state->has_hop = true;
	if (is_found)
		book_load(call, &state->book, sites_survey);
	else
		sites_begin(call); /* of nothing */
}

static void sites_survey(struct verb_call *call)
{
	struct sites_state *state = call->state;

	survey_start(call, &state->survey, sites_begin);
}

static bool read_states(struct verb_call *call, unsigned *out)
{
	struct str list = verb_text(call, "state");

	while (list.len) {
		struct str word = str_trim(str_cut(&list, ','));
		unsigned s = 0;

		while (s < HEALTH_STATE_COUNT &&
			!str_equal_fold(word, str_from_c(health_state_name((enum health_state)s))))
			s++;
		if (s == HEALTH_STATE_COUNT) {
			verb_fail(call, VERB_USAGE,
				"states of sites are up, suspect, down, recovering");
			return false;
		}
		*out |= 1u << s;
	}
	return true;
}

static void sites_begin(struct verb_call *call)
{
	struct sites_state *state = call->state;

	survey_sort(&state->survey);
	sites_rows(call);
}

static void sites_rows(struct verb_call *call)
{
	struct sites_state *state = call->state;
	const struct survey *s = &state->survey;

	for (unsigned n = 0;
		n < SITES_PAGE && state->next < s->sorted_count && state->sent < call->limit;
		state->next++)
		if (is_wanted(call, s->sorted[state->next])) {
			verb_row(call, site_row(call, s->sorted[state->next]));
			state->sent++;
			n++;
		}
	if (state->next < s->sorted_count && state->sent < call->limit) {
		verb_continue(call, sites_rows);
		return;
	}
	json_t *done = json_object();
	json_put_u64(done, "sites", state->sent);
	json_put_u64(done, "hops", s->hops);
	json_put(done, "partial", json_boolean(s->is_partial));
	verb_done(call, done);
}

/* With the number of the outage that its mail waits for, if there is one. */
static json_t *site_row(const struct verb_call *call, const struct survey_site *entry)
{
	const struct sites_state *state = call->state;
	const struct outage_record *o = book_about(&state->book, entry->worst.name, entry->site.name);
	json_t *row = survey_json(call, entry);

	if (o)
		json_put_u64(row, "outage", o->id);
	return row;
}

static bool is_wanted(const struct verb_call *call, const struct survey_site *entry)
{
	const struct sites_state *state = call->state;
	struct str glob = verb_text(call, "site");

	if (glob.len && !str_match_glob(entry->name, glob))
		return false;
	if (state->has_hop && !str_equal(entry->site.name, str_from_c(state->of_hop)))
		return false;
	return !state->states ||
	       (entry->site.name.len && (state->states & (1u << entry->site.health.state)));
}

static void sites_fini(void *state)
{
	struct sites_state *s = state;

	survey_fini(&s->survey);
	free(s);
}

void verb_probe(struct verb_call *call)
{
	struct str name = verb_text(call, "site");

	if (!name.len || name.len > 255) {
		verb_fail(call, VERB_USAGE, "probe needs the name of a site or domain");
		return;
	}
	call->lookup.hop = STR("");
	call->lookup.site = name;
	verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, probe_site);
}

static void probe_site(struct verb_call *call)
{
	if (call->lookup.op.err == OK && call->lookup.site_out.name.len) {
		call->host->daemon->site_probe(call->host->user, call->lookup.site_out.name);
		probe_done(call, call->lookup.site_out.name);
		return;
	}
	call->lookup.hop = arena_lower(&call->arena, verb_text(call, "site"));
	call->lookup.site = STR("");
	verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, probe_hop);
}

static void probe_hop(struct verb_call *call)
{
	if (call->lookup.op.err != OK || !call->lookup.hop_out.name.len) {
		verb_fail(call, VERB_NO_MATCH, "no mail is known for such a site or domain");
		return;
	}
	call->host->daemon->hop_ready(call->host->user, call->lookup.hop_out.name, true);
	probe_done(call, call->lookup.hop_out.name);
}

static void probe_done(struct verb_call *call, struct str name)
{
	json_t *done = json_object();

	verb_audit(call, "probe of %.*s asked for", STR_FMT(name));
	json_put_text(done, "probing", name);
	verb_done(call, done);
}
