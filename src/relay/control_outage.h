/* control_outage - what verbs say of outages: names, JSON, and which of those that are open concern a destination. */
#ifndef RELAY_CONTROL_OUTAGE_H
#define RELAY_CONTROL_OUTAGE_H

#include "port/store.h"

struct json_t;

const char *outage_kind_name(
	enum outage_kind kind); /* "down", "storm", "declared", "offline", "stopped" */
const char *outage_scope_name(enum outage_scope scope); /* "site", "hop", "pattern", "all" */
struct json_t *json_outage(const struct outage_record *o, struct wall now);
/* outage_is_about - the outage keeps mail for that next hop at that site. Either may be empty: not known. */
bool outage_is_about(const struct outage_record *o, struct str hop, struct str site);
/* outage_filter - the narrowest condition for recipients of its destinations. Others may match too: outage_is_about decides. */
void outage_filter(const struct outage_record *o, struct store_filter *out);

#endif
