/*
 * control_verbs_outage - outages: those that are open, or all; declare, extend, end: an operator's word on one.
 *
 * A declared outage is a record as those that the engine finds: durable before the answer, then the daemon hears of
 * it; without a daemon it is there when one starts. "since" and "until" are instants (seconds since 1970) or spans ("2h"):
 * so long ago, so long from now. Only what was declared can be extended or ended by hand: what the engine found ends
 * with its cause.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mail/domain.h"
#include "relay/control_call.h"
#include "relay/control_json.h"
#include "relay/control_outage.h"

enum { OUTAGES_PAGE = 200, NAME_MAX_BYTES = 1000, NOTE_MAX_BYTES = 1000 };

struct list_state {
	uint64_t sent;
};

struct declare_state {
	struct outage_record rec;
	bool is_unknown; /* no mail for such a name is remembered: perhaps a slip */
};

static void outages_page(struct verb_call *call);
static void outages_rows(struct verb_call *call);
static bool read_scope(struct verb_call *call, struct outage_record *rec);
static bool read_domain(struct verb_call *call, struct outage_record *rec);
static bool read_when(struct verb_call *call, const char *key, int direction, struct wall *out);
static bool read_note(struct verb_call *call, struct str *out);
static void declare_id(struct verb_call *call);
static void look_for_name(struct verb_call *call);
static void note_name(struct verb_call *call);
static void read_one(struct verb_call *call, verb_step *next);
static bool take_declared(struct verb_call *call);
static void extend_found(struct verb_call *call);
static void end_found(struct verb_call *call);
static void store_record(struct verb_call *call);
static void stored(struct verb_call *call);

/* ---- the list ---- */

void verb_outages(struct verb_call *call)
{
	struct str limit = verb_text(call, "limit");

	call->state = arena_alloc(&call->arena, sizeof(struct list_state));
	if (limit.len && (str_to_u64(limit, &call->limit) != OK || call->limit == 0)) {
		verb_fail(call, VERB_USAGE, "limit: write a number from 1");
		return;
	}
	call->outages.only_open = !verb_flag(call, "all");
	outages_page(call);
}

static void outages_page(struct verb_call *call)
{
	const struct list_state *state = call->state;
	uint64_t left = call->limit - state->sent;

	call->outages.limit = (uint32_t)(left < OUTAGES_PAGE ? left : OUTAGES_PAGE);
	verb_submit(call, &call->outages.op, STORE_OUTAGES, outages_rows);
}

static void outages_rows(struct verb_call *call)
{
	struct list_state *state = call->state;
	const struct store_outages *page = &call->outages;

	for (uint32_t i = 0; i < page->outage_count; i++)
		verb_row(call, json_outage(&page->outages[i], call->now));
	state->sent += page->outage_count;
	if (page->is_more && page->outage_count && state->sent < call->limit) {
		call->outages.before = page->outages[page->outage_count - 1].id;
		verb_continue(call, outages_page);
		return;
	}
	json_t *done = json_object();
	json_put_u64(done, "outages", state->sent);
	json_put(done, "more", json_boolean(page->is_more));
	json_put_wall(done, "now", call->now);
	verb_done(call, done);
}

/* ---- declare ---- */

void verb_outage_declare(struct verb_call *call)
{
	struct declare_state *state = arena_alloc(&call->arena, sizeof(*state));
	struct outage_record *rec = &state->rec;

	call->state = state;
	*rec = (struct outage_record){ .kind = OUTAGE_DECLARED,
		.note = STR(""),
		.stage = STR(""),
		.host = STR(""),
		.text = STR("") };
	rec->began = rec->declared = call->now;
	rec->actor = call->caller.actor;
	if (!read_scope(call, rec) || !read_when(call, "since", -1, &rec->began) ||
		!read_when(call, "until", 1, &rec->until) || !read_note(call, &rec->note))
		return;
	if (rec->began.ms > call->now.ms) {
		verb_fail(call, VERB_USAGE,
			"since: that is still to come; declare it when it has begun");
		return;
	}
	call->outages.only_open = true;
	call->outages.name = rec->name;
	call->outages.limit = OUTAGES_PAGE;
	verb_submit(call, &call->outages.op, STORE_OUTAGES, declare_id);
}

static bool read_scope(struct verb_call *call, struct outage_record *rec)
{
	static const struct {
		const char *key;
		enum outage_scope scope;
	} keys[] = { { "hop", OUTAGE_OF_HOP }, { "site", OUTAGE_OF_SITE },
		{ "match", OUTAGE_OF_PATTERN } };
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct str name = str_trim(verb_text(call, keys[i].key));

		if (!name.len)
			continue;
		rec->scope = keys[i].scope;
		rec->name = rec->scope == OUTAGE_OF_SITE ? name : arena_lower(&call->arena, name);
		count++;
	}
	if (count == 1 && rec->name.len <= NAME_MAX_BYTES &&
		str_find(rec->name, '\0') == rec->name.len)
		return rec->scope != OUTAGE_OF_HOP || read_domain(call, rec);
	verb_fail(call, VERB_USAGE, "an outage is of one domain, one site or one pattern");
	return false;
}

/* In the form in which mail names it; other next hops, of routes and address literals, as they are. */
static bool read_domain(struct verb_call *call, struct outage_record *rec)
{
	struct str name = rec->name;

	if (str_starts_fold(name, STR("route:")) || name.data[0] == '[' ||
		domain_normalize(name, &call->arena, &rec->name) == OK)
		return true;
	verb_fail(call, VERB_USAGE, "'%.*s' is not a domain", STR_FMT(name));
	return false;
}

static bool read_when(struct verb_call *call, const char *key, int direction, struct wall *out)
{
	const json_t *value = json_object_get(call->request, key);
	double seconds = json_number_value(value);
	int64_t span_ms = 0;

	if (!value)
		return true;
	if (json_is_number(value) && seconds >= 1 && seconds < 1e11) {
		out->ms = (int64_t)(seconds * 1000.0);
		return true;
	}
	if (json_is_string(value) && instant_parse_span(verb_text(call, key), &span_ms) == OK &&
		span_ms >= 0 && span_ms < call->now.ms) {
		*out = wall_add(call->now, direction * span_ms);
		return true;
	}
	verb_fail(call, VERB_USAGE, "%s: write 30m, 2h, 3d, or an instant", key);
	return false;
}

static bool read_note(struct verb_call *call, struct str *out)
{
	struct str note = verb_text(call, "note");

	if (note.len <= NOTE_MAX_BYTES && str_find(note, '\0') == note.len) {
		if (note.len)
			*out = note;
		return true;
	}
	verb_fail(call, VERB_USAGE, "note: at most 1000 octets of text");
	return false;
}

static void declare_id(struct verb_call *call)
{
	struct outage_record *rec = &((struct declare_state *)call->state)->rec;
	const struct verb_daemon_ops *daemon = call->host->daemon;

	for (uint32_t i = 0; i < call->outages.outage_count; i++) {
		const struct outage_record *o = &call->outages.outages[i];

		if (o->kind != OUTAGE_DECLARED || o->scope != rec->scope)
			continue;
		verb_fail(call, VERB_USAGE,
			"outage %" PRIu64 " of it is open: 'outlast outage extend %" PRIu64
			"' or 'outlast outage end %" PRIu64 "'",
			o->id, o->id, o->id);
		return;
	}
	uint64_t id = daemon && daemon->outage_new_id ? daemon->outage_new_id(call->host->user) : 0;
	rec->id = id > call->outages.last_id ? id : call->outages.last_id + 1;
	if (rec->scope == OUTAGE_OF_HOP || rec->scope == OUTAGE_OF_SITE)
		look_for_name(call);
	else
		store_record(call);
}

static void look_for_name(struct verb_call *call)
{
	const struct outage_record *rec = &((struct declare_state *)call->state)->rec;

	call->lookup.hop = rec->scope == OUTAGE_OF_HOP ? rec->name : STR("");
	call->lookup.site = rec->scope == OUTAGE_OF_SITE ? rec->name : STR("");
	verb_submit_lenient(call, &call->lookup.op, STORE_LOOKUP, note_name);
}

static void note_name(struct verb_call *call)
{
	((struct declare_state *)call->state)->is_unknown = call->lookup.op.err != OK;
	store_record(call);
}

/* ---- extend, end ---- */

void verb_outage_extend(struct verb_call *call)
{
	read_one(call, extend_found);
}

void verb_outage_end(struct verb_call *call)
{
	read_one(call, end_found);
}

static void read_one(struct verb_call *call, verb_step *next)
{
	json_int_t id = json_integer_value(json_object_get(call->request, "outage"));

	call->state = arena_alloc(&call->arena, sizeof(struct declare_state));
	if (id < 1) {
		verb_fail(call, VERB_USAGE, "which outage? 'outlast outages' shows their numbers");
		return;
	}
	call->outages.id = (uint64_t)id;
	verb_submit(call, &call->outages.op, STORE_OUTAGES, next);
}

static bool take_declared(struct verb_call *call)
{
	struct outage_record *rec = &((struct declare_state *)call->state)->rec;

	if (!call->outages.outage_count) {
		verb_fail(call, VERB_NO_MATCH, "there is no outage %" PRIu64, call->outages.id);
		return false;
	}
	*rec = call->outages.outages[0];
	if (rec->ended.ms != WALL_NONE.ms) {
		verb_fail(call, VERB_NO_MATCH, "outage %" PRIu64 " has ended already", rec->id);
		return false;
	}
	if (rec->kind != OUTAGE_DECLARED) {
		verb_fail(call, VERB_USAGE,
			"outage %" PRIu64 " was found, not declared: it ends when its cause does. "
			"'outlast probe' tries the "
			"destination now",
			rec->id);
		return false;
	}
	return true;
}

static void extend_found(struct verb_call *call)
{
	struct outage_record *rec = &((struct declare_state *)call->state)->rec;

	if (!take_declared(call) || !read_when(call, "until", 1, &rec->until) ||
		!read_note(call, &rec->note))
		return;
	if (!json_object_get(call->request, "until") && !json_object_get(call->request, "note")) {
		verb_fail(call, VERB_USAGE, "extend until when? --until 2d, or a new --note");
		return;
	}
	store_record(call);
}

static void end_found(struct verb_call *call)
{
	struct outage_record *rec = &((struct declare_state *)call->state)->rec;

	if (!take_declared(call) || !read_note(call, &rec->note))
		return;
	rec->ended = call->now.ms > rec->began.ms ? call->now : wall_add(rec->began, 1);
	if (rec->recovered.ms == WALL_NONE.ms)
		rec->recovered = rec->ended;
	store_record(call);
}

/* The strings live in the answer of OUTAGES, or in the request: both outlive the write. */
static void store_record(struct verb_call *call)
{
	const struct outage_record *rec = &((struct declare_state *)call->state)->rec;

	if (rec->until.ms != WALL_NONE.ms && rec->ended.ms == WALL_NONE.ms &&
		rec->until.ms <= call->now.ms) {
		verb_fail(call, VERB_USAGE, "until: that has passed");
		return;
	}
	call->record.at = call->now;
	call->record.outages = rec;
	call->record.outage_count = 1;
	verb_submit(call, &call->record.op, STORE_RECORD, stored);
}

static void stored(struct verb_call *call)
{
	const struct declare_state *state = call->state;
	const struct outage_record *rec = &state->rec;
	const struct verb_daemon_ops *daemon = call->host->daemon;
	struct str verb = verb_text(call, "verb");
	struct buf safe;

	if (daemon && daemon->outages_changed)
		daemon->outages_changed(call->host->user);
	buf_init(&safe, 8192);
	buf_append_safe(&safe, rec->name);
	verb_audit(call, "%.*s: outage %" PRIu64 " of %s %s", STR_FMT(verb), rec->id,
		outage_scope_name(rec->scope), buf_cstr(&safe));
	buf_fini(&safe);
	json_t *done = json_outage(rec, call->now);
	json_put(done, "unknown", json_boolean(state->is_unknown));
	verb_done(call, done);
}
