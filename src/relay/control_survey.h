/*
 * control_survey - the destinations of the queue summed up by site: for status and sites.
 *
 * Reads next hops page by page and keeps one entry a site, at most SURVEY_SITES_MAX; what is beyond
 * goes to one entry "others". Stops after hop_limit next hops and then says that it is partial.
 * Memory is bounded by both.
 */
#ifndef RELAY_CONTROL_SURVEY_H
#define RELAY_CONTROL_SURVEY_H

#include "base/map.h"
#include "relay/control_call.h"

enum { SURVEY_SITES_MAX = 20000 };

struct survey_site {
	struct map_entry entry;
	struct str name;         /* in the survey's arena; empty: not routed yet */
	struct site_record site; /* strings in the arena; name empty: none */
	struct hop_record worst; /* the next hop in the worst state of its own */
	uint64_t count[RECIPIENT_QUARANTINED + 1];
	uint64_t recipients, bytes, hops, hops_down;
	struct wall oldest;
	bool is_others;
};

struct survey {
	struct map sites;
	struct arena arena;
	struct survey_site others;
	struct survey_site **sorted; /* by survey_sort */
	size_t sorted_count;
	uint64_t hop_limit, hops;
	struct str after;
	char after_text[512];
	bool is_detailed, is_partial;
	verb_step *next;
};

void survey_init(struct survey *s, uint64_t hop_limit, bool is_detailed);
/* survey_start - next runs when it is complete. The survey must live as long as the call. */
void survey_start(struct verb_call *call, struct survey *s, verb_step *next);
void survey_fini(struct survey *s);
/* survey_sort - the sites with the most waiting mail first, those in trouble before those that are
 * up. */
void survey_sort(struct survey *s);
/* survey_json - a row; "limited": messages a minute that go to it while it limits us. */
struct json_t *survey_json(const struct verb_call *call, const struct survey_site *entry);

#endif
