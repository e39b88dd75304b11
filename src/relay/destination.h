/*
 * destination - next hops and sites in memory: a bounded cache of their rows, with the work in hand.
 *
 * A hop is busy while it has deliveries pending or active, may have more in the store, or waits for an operation of its
 * own; else it is idle and may be evicted. A site lives as long as a hop in memory points to it. A change of health is
 * durable before it matters: it travels with the next RECORD, or in one of its own (destination_save).
 */
#ifndef RELAY_DESTINATION_H
#define RELAY_DESTINATION_H

#include "deliver/route.h"
#include "deliver/verdict.h"
#include "port/store.h"
#include "queue/blame.h"
#include "queue/credit.h"
#include "queue/fair.h"
#include "queue/grace.h"
#include "queue/health.h"
#include "queue/pace.h"
#include "queue/probe.h"
#include "queue/window.h"
#include "relay/relay_private.h"

struct shared_route {
	unsigned references;
	struct route *route;
	struct conf *conf; /* the configuration it was made under */
	struct mono expires;
};

struct expiry;
struct outage_place;

struct site {
	struct map_entry entry;
	struct relay *relay;
	struct str name; /* owned */
	struct health_record health;
	struct window window;
	struct pace pace;           /* messages per time: pacing.c */
	struct blame blame;         /* whom its limits are about */
	bool is_limited;            /* by signs of overload, and the log says so */
	struct probe_memory probed; /* what its probes took */
	struct wall recovered;      /* when it last came back; WALL_NONE: not in this life */
	bool is_loaded, is_loading, is_dirty;
	struct wall saved_success; /* last_success as stored */
	struct store_lookup lookup;
	struct list members;    /* of hop.member: all hops in memory */
	struct list work;       /* of hop.work: those with deliveries to start, round robin */
	struct list ready;      /* in relay.ready_sites */
	struct timer pause;     /* SUSPECT: until the next try; or its pace: until the next message */
	struct store_hops scan; /* pages of its hops after a recovery, or for a probe */
	struct str scan_cursor; /* owned */
	bool is_scanning, is_scan_wanted, is_probe_scan, is_probe_wanted;
	bool is_scan_restarted;   /* wanted from the start again while a page was being read */
	bool is_expiring;         /* a sweep of overdue mail is under way */
	struct wall expiry_swept; /* when the last one began */
	struct credit credit;     /* its outages that ended */
	struct outage_place *place; /* open ones of that name; NULL: none */
	uint64_t trouble_hop;     /* hash of the hop of the last failure at MAIL or after; 0: none */
	enum stage trouble_stage; /* where it failed; DATA, content and dot are one */
};

struct hop {
	struct map_entry entry;
	struct relay *relay;
	struct str name;   /* owned */
	struct site *site; /* NULL: not routed yet */
	struct list member, work, idle;
	struct health_record health;
	bool is_loaded, is_loading, is_dirty;
	struct wall saved_success;
	struct store_lookup lookup;
	struct shared_route *route;
	struct route_request routing;
	bool is_routing;
	struct mono route_next; /* parked: not before does it ask again where its mail goes */
	/* names.c: */
	struct str remembered; /* owned; the last route that worked */
	struct wall remembered_at;
	const struct shared_route *compared; /* the route that was compared with it last; never followed */
	struct grace grace;
	bool is_recalling; /* DNS gives no answer, and the log knows */
	bool is_leaving_out; /* its route is without a host for the sake of TLS, and the log knows */
	struct store_claim claim;
	bool is_claiming;
	uint32_t claims_out; /* CLAIMs under way, expiry's included */
	bool is_claim_stale; /* an operator held or deleted mail since they were asked for: claim again */
	uint64_t *
		settled; /* messages recorded while a CLAIM was under way: its answer may be older */
	uint32_t settled_count, settled_cap;
	uint64_t claimed_id_max; /* of all deliveries that came from the store */
	bool is_more_noted;      /* hop_note_more came while a CLAIM was under way */
	bool is_news; /* mail became READY that may be more urgent than what waits in memory */
	struct mono news_next;   /* not before is it looked for again */
	bool has_more;           /* the store may hold READY recipients that are not in memory */
	bool is_stalled; /* but a CLAIM brings none now: not before a delivery ends or the pause is over */
	struct mono rests_until; /* nothing is started before: hop_rest */
	bool is_retry_wanted; /* an operator's word, or a probe, that came before it was loaded */
	bool is_retry_told;   /* an operator's word: for its site too */
	struct list pending;  /* of delivery.link, in drain order */
	struct fair fair;     /* its senders' shares */
	struct list
		late; /* the same, fresh mail that waits for the store to have no more: late.c */
	uint32_t late_count;
	uint32_t waiting_count; /* pending and late, for flow.c */
	uint64_t waiting_bytes;
	bool is_slow; /* its mail waits longer than holding back intake could help */
	uint32_t pending_count;
	unsigned turn;      /* of mail that came after a recovery */
	struct list active; /* of delivery.link: attempt or record running */
	uint32_t active_count;
	uint64_t trouble_sender; /* hash of the sender of the last failure at MAIL or after; 0: none */
	enum stage trouble_stage;
	struct timer pause;
	struct deferred advance;
	struct expiry *expiry;    /* a sweep of overdue mail is at this hop, or NULL */
	struct wall expiry_swept; /* when the last one of this hop alone began */
	struct credit credit;     /* its own outages that ended */
	struct outage_place *place; /* open ones of that name; NULL: none */
};

/* hop_get - the hop of that name, created (not loaded) if need be. NULL: too many busy ones; a scan is noted. */
struct hop *hop_get(struct relay *r, struct str name);
/* hop_kick - looks again, on the next turn of the loop, at what the hop can do now. */
void hop_kick(struct hop *h);
/* hop_note_more - the store may hold READY recipients of it. */
void hop_note_more(struct hop *h);
/* hop_note_news - the same, of mail that may be older or more urgent than what is in memory. */
void hop_note_news(struct hop *h);
/* hop_is_parked - it or its site is DOWN and no probe is due: its mail costs nothing now. */
bool hop_is_parked(const struct hop *h, struct wall now);
/* hop_note_parked - it has mail, and is parked: is there another way for it, and who else can tell that we are offline? */
void hop_note_parked(struct hop *h);
/* hop_rest - we cannot deliver anything of it just now, through no fault of anybody: tried again in a minute. */
void hop_rest(struct hop *h);
void hop_drop_pending(struct hop *h);
void hop_set_site(struct hop *h, struct str site_name);
const struct conf_policy *hop_policy(const struct hop *h);
bool hop_is_known_good(const struct hop *h);
void shared_route_unref(struct shared_route *s);

void site_kick(struct site *s);      /* it may start a delivery */
void site_scan(struct site *s);      /* look for its hops with READY recipients, page by page */
void site_refill(struct site *s);    /* the next page of that, if work in memory runs low */
void site_probe(struct site *s);     /* start the probe that is due */
void site_park(struct site *s);      /* it went DOWN: drop what waits in memory */
void site_release(struct site *s);   /* frees it if nothing needs it any more */
void site_free_all(struct relay *r); /* the relay ends: those without a hop */

/* destination_retry - an operator's word: the hop's mail is looked at now; if it or its site is DOWN its probe is due now. */
void destination_retry(struct relay *r, struct str hop);
/* destination_take_turn - the hop's mail is to be the probe of its site, which is due. */
void destination_take_turn(struct relay *r, struct str hop);
/* destination_probe - the same for a site by name, in memory or not. Later; errors are logged. */
void destination_probe(struct relay *r, struct str site);

/* pacing_limit - messages a minute that go to the site of that name while it limits us; 0: it does not, or is not in memory. */
double pacing_limit(const struct relay *r, struct str site);

/* destination_records - health that changed, for a RECORD; clears the dirty marks. Records live in arena. */
void destination_records(struct hop *h, struct arena *arena, struct store_record *record);
/* destination_save - the same in a RECORD of its own. */
void destination_save(struct hop *h);
void destination_save_site(struct site *s);
void destination_save_unsaved(struct relay *r); /* what found no space */
void destination_reload(struct relay *r);       /* new configuration: routes and limits */
/* destination_cancel_attempts - out of time: drops open attempts, and results that found no space to be written. */
void destination_cancel_attempts(struct relay *r);
void destination_free_all(struct relay *r);

/*
 * claim.c: what the hop has of its mail in memory, and the CLAIMs that bring more.
 */
bool claim_is_wanted(const struct hop *h); /* there may be more, and little is left in memory */
void claim_start(struct hop *h);
/* hop_find - the delivery of that message that is in memory, or NULL. */
struct delivery *hop_find(const struct hop *h, uint64_t id);
/* hop_holds - a delivery of that message is in memory, or was recorded since the CLAIM under way was asked for. */
bool hop_holds(const struct hop *h, uint64_t id);
/* hop_claim_begins, hop_claim_ends - around every CLAIM of its mail; hop_note_settled - a delivery was recorded. */
void hop_claim_begins(struct hop *h);
void hop_claim_ends(struct hop *h);
void hop_note_settled(struct hop *h, uint64_t id);

/*
 * names.c: what DNS says of a next hop, over time.
 */
/* names_load - what the store knows; names_fill - for its record (borrowed from h); names_fini. */
void names_load(struct hop *h, const struct hop_record *rec);
void names_fill(const struct hop *h, struct hop_record *out, struct arena *arena);
void names_fini(struct hop *h);
/* names_recall - text of the last route that worked, if it may still stand in for DNS; empty: none. Copied to arena. */
struct str names_recall(const struct hop *h, struct arena *arena);
/* names_judge - the verdict on a next hop without a route: what DNS denies waits its grace at a known-good one. */
struct verdict names_judge(struct hop *h, const struct outcome *outcome);
void names_note_route(struct hop *h, const struct route *route); /* there is one */
/* names_note_worked - mail went that way. Called for each answer: looks at the pointer alone in most cases. */
void names_note_worked(struct hop *h, const struct shared_route *route);

/* sched.c */
void sched_init(struct relay *r);
void sched_kick(struct relay *r);
/* sched_offer - a fresh message is durable: deliver from memory where there is room, else leave it to the store. */
void sched_offer(
	struct relay *r, struct message *m, const struct recipient *recipients, uint32_t count);

/*
 * expiry.c: after a failed probe, mail that a DOWN destination kept past its lifetime fails with a notice. Looks at most
 * once an hour (wall time) per destination.
 */
void expiry_start_site(struct site *s);
void expiry_start_hop(struct hop *h);
/* expiry_start_by_time - h or its site is DOWN, and mail to be returned by a time that is over is parked there. */
void expiry_start_by_time(struct hop *h, const struct health_record *why);
/* expiry_continue - a hop that a sweep is at has changed. */
void expiry_continue(struct hop *h);

#endif
