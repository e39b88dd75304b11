/* control_outage - see relay/control_outage.h. Pure. */
#include "relay/control_outage.h"

#include <jansson.h>

#include "base/check.h"
#include "relay/control_json.h"

const char *outage_kind_name(enum outage_kind kind)
{
	static const char *const names[OUTAGE_KIND_COUNT] = { [OUTAGE_DOWN] = "down",
		[OUTAGE_STORM] = "storm",
		[OUTAGE_DECLARED] = "declared",
		[OUTAGE_OFFLINE] = "offline",
		[OUTAGE_STOPPED] = "stopped" };

	CHECK(kind < OUTAGE_KIND_COUNT);
	return names[kind];
}

const char *outage_scope_name(enum outage_scope scope)
{
	static const char *const names[OUTAGE_SCOPE_COUNT] = { [OUTAGE_OF_SITE] = "site",
		[OUTAGE_OF_HOP] = "hop",
		[OUTAGE_OF_PATTERN] = "pattern",
		[OUTAGE_OF_ALL] = "all" };

	CHECK(scope < OUTAGE_SCOPE_COUNT);
	return names[scope];
}

json_t *json_outage(const struct outage_record *o, struct wall now)
{
	json_t *out = json_object();
	bool is_open = o->ended.ms == WALL_NONE.ms;
	struct wall end = is_open ? now : o->ended;

	json_put_u64(out, "outage", o->id);
	json_put(out, "kind", json_string(outage_kind_name(o->kind)));
	json_put(out, "scope", json_string(outage_scope_name(o->scope)));
	json_put_text(out, "name", o->name);
	json_put(out, "open", json_boolean(is_open));
	json_put_wall(out, "began", o->began);
	json_put_wall(out, "declared", o->declared);
	json_put_wall(out, "until", o->until);
	json_put_wall(out, "recovered", o->recovered);
	json_put_wall(out, "ended", o->ended);
	json_put(out, "duration",
		json_integer(end.ms > o->began.ms ? (end.ms - o->began.ms) / 1000 : 0));
	json_put_text(out, "actor", o->actor);
	json_put_text(out, "note", o->note);
	json_put_text(out, "stage", o->stage);
	json_put_u64(out, "code", o->code);
	json_put_text(out, "host", o->host);
	json_put_text(out, "reply", o->text);
	json_put_u64(out, "failures", o->failures);
	json_put_u64(out, "probes", o->probes);
	json_put_u64(out, "peak_recipients", o->peak_recipients);
	json_put_u64(out, "peak_bytes", o->peak_bytes);
	json_put_wall(out, "peak_at", o->peak_at);
	json_put_u64(out, "delivered", o->delivered);
	json_put_u64(out, "failed", o->failed);
	json_put_u64(out, "saved", o->saved);
	return out;
}

static bool is_site_pattern(struct str pattern)
{
	return str_starts_fold(pattern, STR("mx:"));
}

/* As in destinations of the configuration: the name of the site, or one of its hosts. */
static bool matches_site(struct str site, struct str glob)
{
	if (site.len > 0 && str_match_glob(site, glob))
		return true;
	while (site.len > 0)
		if (str_match_glob(str_trim(str_cut(&site, '+')), glob))
			return true;
	return false;
}

bool outage_is_about(const struct outage_record *o, struct str hop, struct str site)
{
	switch (o->scope) {
	case OUTAGE_OF_SITE:
		return site.len > 0 && str_equal(o->name, site);
	case OUTAGE_OF_HOP:
		return hop.len > 0 && str_equal(o->name, hop);
	case OUTAGE_OF_PATTERN:
		return is_site_pattern(o->name)
			       ? matches_site(site, str_slice(o->name, 3, o->name.len))
			       : hop.len > 0 && str_match_glob(hop, o->name);
	case OUTAGE_OF_ALL:
		return true;
	case OUTAGE_SCOPE_COUNT:
		break;
	}
	return false;
}

/* What matches a site's name here may yet be another: outage_is_about decides. */
void outage_filter(const struct outage_record *o, struct store_filter *out)
{
	*out = (struct store_filter){ .is_all = true };
	switch (o->scope) {
	case OUTAGE_OF_SITE:
		out->site = o->name;
		break;
	case OUTAGE_OF_HOP:
		out->hop = o->name;
		break;
	case OUTAGE_OF_PATTERN:
	case OUTAGE_OF_ALL:
	case OUTAGE_SCOPE_COUNT:
		break;
	}
}
