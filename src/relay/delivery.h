/*
 * delivery - one message on its way to the recipients of one next hop: pending, attempted, recorded, gone.
 *
 * Owned by its hop's pending list, then by its active list, until delivery_free. The message is shared.
 */
#ifndef RELAY_DELIVERY_H
#define RELAY_DELIVERY_H

#include "deliver/attempt.h"
#include "relay/content.h"
#include "relay/destination.h"

struct delivery {
	struct list link; /* hop.pending or hop.active */
	struct hop *hop;
	struct site *site; /* while active: its window counts this */
	struct message *message;
	struct queued_recipient *recipients;
	uint32_t recipient_count;
	struct arena arena; /* recipients' strings, then results and notices of the record */
	struct content content;
	struct shared_route *route;
	bool is_active, is_attempting, is_probe;
	bool has_others; /* the store has more READY recipients of it for this hop */
	uint64_t tag; /* its place in drain order: queue/fair.h */
	bool is_put_back;  /* refused by a limit of the site: back to where it was, uncharged */
	uint8_t put_backs; /* so often before */
	struct mono waits_since;
	struct wall started; /* of the attempt */
	struct attempt attempt;
	/* what there is to record: the attempt's, or made without one */
	struct attempt_result *results;
	struct store_record record;
	struct store_fetch headers; /* first chunk, for a notice */
	struct timer again;         /* RECORD found no space: try again */
	struct store_result *made; /* record.results, while they are made */
	bool needs_notice, needs_receipt;
	bool is_storm;             /* some recipient was refused in a storm */
	bool is_parking;           /* one that leaves the site no mail at all, and none was accepted */
	struct store_show show;    /* the message, for an earlier notice that still waits */
	struct message *notice;     /* made by this record, offered once it is durable */
	struct recipient notice_recipient;
	struct own_mail *receipt; /* the notice of success, likewise; in the arena. NULL: none */
};

/* delivery_from_store - what CLAIM gave becomes pending; false when nothing of it belongs to this hop any more. */
bool delivery_from_store(struct hop *h, const struct queued_message *m);
/* delivery_make - of those recipients of a fresh message that are the hop's, in no list yet; delivery_wait - it is pending now. */
struct delivery *delivery_make(
	struct hop *h, struct message *m, const struct recipient *recipients, uint32_t count);
void delivery_wait(struct delivery *d);
void delivery_stop_waiting(struct delivery *d); /* in no list; legal when it was in none */
void delivery_free(struct delivery *d);
/* delivery_start - from pending to active: the attempt. */
void delivery_start(struct delivery *d);
/* delivery_fail_without_route - the next hop has no route for good: recorded as the outcome of the mail. */
void delivery_fail_without_route(
	struct delivery *d, const struct outcome *outcome, const struct verdict *v);
/* delivery_finish - recorded: leaves the active list, frees its place. */
void delivery_finish(struct delivery *d);
/* delivery_requeue - untouched: back to the end of the pending list (or dropped to the store when it is full). */
void delivery_requeue(struct delivery *d);

/* offline.c: is it our own connection? Before a failure is held against anybody. */
/* offline_take - what the delivery says of it. True: it is our own fault, and says nothing of its destination. */
bool offline_take(struct delivery *d);
/* offline_take_silence - DNS gave no answer for a next hop. True: likewise. */
bool offline_take_silence(struct hop *h);
/* offline_note_waiting - it has mail, which waits because we are offline: whom else to ask. */
void offline_note_waiting(const struct hop *h);

/* evidence.c: what a delivery says of its destination. */
void evidence_take(struct delivery *d);
/* evidence_against_hop, evidence_against_site - a failure of that scope, logged when the state changes. */
void evidence_against_hop(struct hop *h, const struct outcome *outcome, struct str host);
void evidence_against_site(struct site *s, const struct conf_policy *policy,
	const struct outcome *outcome, struct str host);

/* pacing.c: the pace of a site. */
/* pacing_may_start - of a site that health and window allow; else its pause timer is set, or what is under way wakes it. */
bool pacing_may_start(struct site *s);
/* pacing_pick - which of the hop's pending mail starts; there is some. */
struct delivery *pacing_pick(struct hop *h);
/* pacing_takes_refusal - no host took the job, but others work, or it is a limit: no failure of the site. */
bool pacing_takes_refusal(struct delivery *d);
/* pacing_note_end - is_overload: a sign of it came; returns whether it is the site's, and not one sender's alone. */
bool pacing_note_end(struct delivery *d, bool answers, bool is_overload);
/* pacing_puts_back - after that: recipient i was refused by a limit that is not its fault, and waits for its turn again. */
bool pacing_puts_back(const struct delivery *d, uint32_t i);
void pacing_note_recovery(struct site *s);

/* recorder.c: judges the results, writes them down, tells the log; delivery_finish when durable. */
void recorder_take(struct delivery *d);

/* notice.c: the failure notice for the results that need one, as part of the record. content: of the original, its first part or
 * nothing. receipt.c has that of success. */
bool notice_is_needed(struct delivery *d);
void notice_build(struct delivery *d, struct str content);
void notice_log(const struct delivery *d); /* once it is durable */

/* late.c: fresh mail behind older mail in the store. */
/* late_add - false: there is no room, and all that waited is forgotten; the store has it. */
bool late_add(struct hop *h, struct message *m, const struct recipient *recipients, uint32_t count);
/* late_take - a CLAIM saw it: it becomes pending. NULL: it was not there. */
struct delivery *late_take(struct hop *h, uint64_t id);
void late_admit(struct hop *h); /* there is no more in the store: all become pending */
void late_drop(struct hop *h);

#endif
