/*
 * outage - outages as the relay knows them: opened, kept up to date, closed, remembered.
 *
 * An outage is a durable record (port/store.h). The spans of those of one site or next hop belong to it and are loaded with
 * it; wide ones (of a pattern, or of all) are all in memory. What is open is in memory too, for as long as it is open: few,
 * whatever the backlog, and never more than OUTAGES_OPEN_MAX. Thread: loop.
 */
#ifndef RELAY_OUTAGE_H
#define RELAY_OUTAGE_H

#include "port/store.h"
#include "queue/credit.h"
#include "relay/relay_private.h"

/* Some 1.5 KiB each. So many known-good sites that are down at once are our own trouble (OUTAGE_OFFLINE). */
#define OUTAGES_OPEN_MAX 8192
#define OUTAGE_JOIN_MS HOUR_MS

struct delivery;

/* outage_begin - opens an outage that began at an instant, or returns the one of that kind, scope and name that is open. The
 * record is borrowed until it ends; it is durable later, with a RECORD of its own. evidence: NULL for none. NULL: there are
 * too many. */
const struct outage_record *outage_begin(struct relay *r, enum outage_kind kind,
	enum outage_scope scope, struct str name, struct wall began,
	const struct health_record *evidence);
/* outage_end - closes it; nothing when none is open. */
void outage_end(struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name,
	struct wall at);
/* outage_seems_over - it ends as of then, unless outage_begin or outage_resume comes within OUTAGE_JOIN_MS. Its "recovered" says
 * so, durably. outage_resume - true: one that seemed over goes on. */
void outage_seems_over(struct relay *r, enum outage_kind kind, enum outage_scope scope,
	struct str name, struct wall at);
bool outage_resume(
	struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name);
/* outage_open - the open one of that kind, scope and name, or NULL. */
const struct outage_record *outage_open(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name);
/* outage_of_hop - an open outage that keeps the mail of h: its own, its site's, or a wide one; NULL: none. */
const struct outage_record *outage_of_hop(const struct relay *r, const struct hop *h);
/* outage_gives_up_at - when the time of that mail behind h is over: lifetime, credit and lifetime-max taken together.
 * WALL_NEVER while it is not known what was an outage. held_ms: an operator's holds, in sum (the recipient's). */
struct wall outage_gives_up_at(const struct hop *h, const struct envelope *env);
struct wall outage_gives_up_held_at(
	const struct hop *h, const struct envelope *env, int64_t held_ms);
/* outage_gives_up_named - for mail of a next hop and site that need not be in memory: what is not is left out, so it is not
 * before this instant. */
struct wall outage_gives_up_named(
	struct relay *r, struct str hop, struct str site, const struct envelope *env);
/* outage_overdue_before - plain mail for that next hop of s (NULL: h alone) that was accepted later cannot be over at now.
 * h: NULL when it is not in memory; then its own outages are left out. */
struct wall outage_overdue_before(struct relay *r, const struct site *s, const struct hop *h,
	struct str hop_name, struct wall now);
/* outage_is_declared - an operator has declared an outage that concerns it: counts as known good. hop: NULL for the site
 * alone; site: NULL. */
bool outage_is_declared(const struct relay *r, const struct hop *h, const struct site *s);

/* outage_new_id - for a record that somebody else writes (an operator's verb); outage_reload - what is stored was changed by
 * somebody else: open and wide ones are read again. */
uint64_t outage_new_id(struct relay *r);
void outage_reload(struct relay *r);

/* ---- the relay's hooks ---- */

struct outages *outages_new(struct relay *r);
void outages_start(struct relay *r);
void outages_stop(struct relay *r); /* the heartbeat, once more, and what was counted */
void outages_free(struct outages *o);

/* outage_take_site, outage_take_hop - loaded: the ended spans of its LOOKUP are its credit now. */
void outage_take_site(struct site *s, enum err err);
void outage_take_hop(struct hop *h, enum err err);
/* outage_attach_* - it came to memory; outage_detach_* - it leaves. */
void outage_attach_site(struct site *s);
void outage_attach_hop(struct hop *h);
void outage_detach_site(struct site *s);
void outage_detach_hop(struct hop *h);
/* outage_note_failure_of_* - evidence against it was taken: long enough down, it is an outage. */
void outage_note_failure_of_site(struct site *s, const struct conf_policy *policy);
void outage_note_failure_of_hop(struct hop *h);
/* outage_note_answer - the destination answered. Costs nothing while there is no outage of it. */
void outage_note_answer(struct hop *h, struct site *s);
/* outage_note_results - a delivery is recorded: counted for the outages of its destination. Costs nothing without one. */
void outage_note_results(const struct delivery *d);
/* outage_inherit - h has left old for another site. */
void outage_inherit(struct hop *h, const struct site *old);

#endif
