/*
 * store - the durable queue, as the core sees it: a handful of operations as messages. No SQL, no rows, no cursors.
 *
 * Adapters: store/commit.c (a writer thread with group commit and a reader thread over an engine) and sim/
 * (the same engine, called in virtual time). test/store/contract.c defines the contract and runs on both.
 *
 * Contract
 * - submit() returns at once; on_done fires later on the loop, once. Inputs are borrowed until then.
 * - Writes are applied in the order submitted, each in whole or not at all; OK means durable: committed and synced.
 *   Several writes may share one commit. They complete in order.
 * - Reads see every write that completed before they were submitted, and run beside writes.
 * - Outputs live in the operation's arena, which the caller frees with store_op_fini (legal on a zeroed one).
 * - Errors of any write: ERR_NO_SPACE (rolled back, nothing of it is stored; may be submitted again). An I/O error of
 *   a commit leaves the outcome unknown: on_done does not fire; on_fatal of the adapter ends the process.
 *   Errors of any read: ERR_CORRUPT, ERR_IO. Others as named below.
 * - Ids are made by the caller (mail/queue_id.h). Names (next hop, site) are keys; the engine makes rows as needed.
 *
 * Recipient states and who may change them: READY and WAITING by RECORD, PROMOTE and MODIFY; HELD by MODIFY, or RECORD;
 * DELIVERED, FAILED and DELETED are final: their rows are the history until SWEEP removes them.
 * When no recipient of a message is READY, WAITING, HELD or QUARANTINED, the message counts as finished, and its content
 * is deleted in that same transaction; but that of a message with a FAILED recipient stays until RECORD.keep_until.
 */
#ifndef PORT_STORE_H
#define PORT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/instant.h"
#include "base/list.h"
#include "mail/envelope.h"
#include "mail/status.h"

/* ---- records ---- */

enum recipient_state {
	RECIPIENT_READY,       /* waits only for its next hop or site */
	RECIPIENT_WAITING,     /* for its own retry time, or for hold-until */
	RECIPIENT_HELD,        /* by an operator, or corrupt content */
	RECIPIENT_QUARANTINED, /* a 5xx not believed yet */
	RECIPIENT_FAILED,
	RECIPIENT_DELIVERED,
	RECIPIENT_DELETED, /* by an operator, without notice */
	RECIPIENT_STATE_COUNT
};
#define RECIPIENT_STATE_BIT(s) (1u << (s))
#define RECIPIENT_QUEUED_BITS 0x0fu

/* Senders share a next hop fairly by bucket. Stored with each recipient, so the hash is for ever: SipHash-1-3 under a
 * constant key, of the reverse-path without regard to case. The null sender has one too. */
#define STORE_SENDER_BUCKETS 16
static inline unsigned store_sender_bucket(struct str reverse_path)
{
	return (unsigned)(str_hash_fold(reverse_path, 0x6f75746c617374) % STORE_SENDER_BUCKETS);
}

struct queued_recipient {
	struct recipient rcpt;
	enum recipient_state state;
	uint32_t attempts;        /* charged so far */
	struct wall due;          /* WAITING, QUARANTINED: next attempt; HELD: since when */
	struct wall last_attempt; /* WALL_NONE: none */
	struct wall finished;     /* WALL_NONE: queued */
	bool is_in_doubt;         /* a reply to the final dot was lost */
	unsigned code;            /* last SMTP reply code, 0 without a reply */
	struct status status;     /* last enhanced status */
	int64_t held_ms;          /* by an operator, in sum, up to the last release */
	struct str text;          /* last reply or own reason */
	struct str host;          /* host that said it, "name[ip]:port" */
	uint64_t notice;          /* FAILED: id of the notice or digest that names it, 0: none */
};

struct queued_message {
	struct envelope env; /* env.recipients is NULL: see below */
	struct queued_recipient *recipients;
	uint32_t recipient_count; /* those asked for: claimed, matching or all */
	uint32_t chunk_count;     /* content chunks for FETCH, 0 when deleted */
	struct wall finished;     /* WALL_NONE: some recipient is queued */
	struct str hold_reason;
};

struct attempt_record {
	uint32_t recipient; /* number */
	uint32_t attempt;   /* 1.. */
	struct wall at;
	int64_t duration_ms;
	struct str host;
	struct str stage;       /* "connect", "rcpt", "dot" ... */
	struct str disposition; /* "delivered", "retry", "failed" ... */
	unsigned code;
	struct status status;
	struct str text;
	struct str tls; /* protocol and cipher, or empty */
};

enum health_state { HEALTH_UP, HEALTH_SUSPECT, HEALTH_DOWN, HEALTH_RECOVERING, HEALTH_STATE_COUNT };

/* Plain data, copied by assignment. queue/health.h holds the rules. */
struct health_record {
	enum health_state state;
	struct wall since;         /* of state */
	struct wall first_failure; /* of the present run of failures; WALL_NONE when up */
	struct wall last_failure;
	struct wall last_success; /* WALL_NONE: never */
	struct wall next_probe;   /* DOWN: when; else WALL_NEVER */
	int64_t probe_step_ms;    /* present interval between probes */
	uint32_t failures;        /* in a row */
	uint32_t probes;          /* since it went down */
	bool is_declared;         /* by an operator */
	char stage[16];           /* evidence: where it failed last */
	unsigned code;            /* reply code, 0 without a reply */
	char host[128];           /* "name[ip]:port" */
	char text[256];           /* reply or reason, escaped, cut */
};

/* An outage: a stretch of time in which mail could not move through no fault of its own, and why. Credit clocks are the
 * union of these (queue/credit.h); reports are made of them. */
enum outage_kind {
	OUTAGE_DOWN,     /* the site or next hop was down: found by the engine */
	OUTAGE_STORM,    /* it refused for good mail that it used to take */
	OUTAGE_DECLARED, /* an operator's word */
	OUTAGE_OFFLINE,  /* our own connection or resolver */
	OUTAGE_STOPPED,  /* this relay did not run */
	OUTAGE_KIND_COUNT
};
enum outage_scope {
	OUTAGE_OF_SITE,
	OUTAGE_OF_HOP,
	OUTAGE_OF_PATTERN, /* name is a glob on next hops, or "mx:GLOB" on sites, as in destinations */
	OUTAGE_OF_ALL,     /* name is empty */
	OUTAGE_SCOPE_COUNT
};

struct outage_sample { /* a point of the backlog and drain curve */
	struct wall at;
	uint64_t recipients; /* queued behind it */
	uint64_t bytes;
	uint64_t delivered; /* recipients delivered there since it began */
};

struct outage_record {
	uint64_t id; /* 1.., made by the caller, in order of declaration; what an operator names it by */
	enum outage_kind kind;
	enum outage_scope scope;
	struct str name;
	struct wall began;     /* first failure: credit runs from here */
	struct wall declared;  /* when it was called an outage */
	struct wall until;     /* an operator's estimate of its end; WALL_NONE: none */
	struct wall recovered; /* first answer after it; WALL_NONE: none yet */
	struct wall ended;     /* what it had parked has been offered once: credit stops; WALL_NONE: open */
	struct str actor;      /* "uid 0 (root)"; empty: the engine */
	struct str note;       /* an operator's words */
	struct str stage;      /* evidence at the declaration */
	unsigned code;
	struct str host, text;
	uint32_t failures, probes;      /* up to now */
	uint64_t peak_recipients, peak_bytes;
	struct wall peak_at;
	uint64_t delivered; /* recipients, since it began */
	uint64_t failed;    /* recipients returned, since it began */
	uint64_t saved;     /* of those delivered: accepted more than 5 days before */
};

/* A piece of time: [began, ended), WALL_NONE: open. */
struct span {
	struct wall began, ended;
};

struct site_record {
	struct str name;
	struct health_record health;
	uint32_t window; /* connections it last worked with */
	uint64_t rate;   /* learned: messages per million seconds of wall time; 0: unknown */
};

struct hop_record {
	struct str name;
	struct str site; /* empty: not routed yet */
	struct health_record
		health; /* what concerns this next hop alone: its DNS, its replies after MAIL */
	struct str route; /* the last one that worked, as deliver/route.h writes it; in: empty leaves what is stored */
	struct wall route_at;    /* when it was written down */
	int64_t denied_ms;       /* for so long DNS has said that it takes no mail: queue/grace.h */
	struct wall denied_last; /* WALL_NONE: the last answer was another */
	uint64_t count[RECIPIENT_QUARANTINED + 1]; /* recipients by queued state; out only */
	uint64_t bytes; /* content of queued messages, once per message and hop; out only */
	struct wall
		oldest; /* arrival of its oldest queued recipient where asked for (store_hops.is_detailed) */
};

/* ---- operations ---- */

enum store_kind {
	/* writes */
	STORE_ACCEPT,
	STORE_SPOOL,
	STORE_DISCARD,
	STORE_RECORD,
	STORE_PROMOTE,
	STORE_REKEY,
	STORE_MODIFY,
	STORE_SWEEP,
	STORE_PUT,
	STORE_SHELF_PUT,
	STORE_REVIVE,
	STORE_TELL,
	/* reads */
	STORE_CLAIM,
	STORE_FETCH,
	STORE_HOPS,
	STORE_LOOKUP,
	STORE_PROBES,
	STORE_QUERY,
	STORE_SHOW,
	STORE_STATS,
	STORE_GET,
	STORE_SHELF_GET,
	STORE_SHELF_LIST,
	STORE_OUTAGES,
	STORE_LATE,
	STORE_KIND_COUNT
};

struct store_op {
	enum store_kind kind;
	enum err err;
	void (*on_done)(struct store_op *op);
	struct arena arena; /* outputs */
	struct list link;   /* the adapter's */
};

static inline bool store_kind_is_write(enum store_kind kind)
{
	return kind < STORE_CLAIM;
}
static inline void store_op_fini(struct store_op *op)
{
	arena_fini(&op->arena);
}

/* ACCEPT - a message with its recipients becomes part of the queue. With hold_until in the future they start WAITING,
 * else READY. content is the last part; earlier parts were SPOOLed under the same id as chunks 0..spooled_chunks-1. */
struct store_accept {
	struct store_op op;
	const struct envelope *env;
	struct str content;
	uint32_t spooled_chunks;
};

/* SPOOL - stores one chunk of a large message that is still arriving. Opening the store sweeps chunks without ACCEPT. */
struct store_spool {
	struct store_op op;
	uint64_t id;
	uint32_t chunk;
	struct str content;
};

/* DISCARD - drops the chunks of a message that will not be accepted. */
struct store_discard {
	struct store_op op;
	uint64_t id;
};

enum result_kind {
	RESULT_DELIVERED,
	RESULT_RETRY, /* WAITING until due */
	RESULT_READY, /* back to READY, attempt not charged */
	RESULT_FAILED,
	RESULT_HELD,
	RESULT_QUARANTINED /* until due */
};

struct store_result {
	uint32_t number;
	enum result_kind kind;
	uint32_t
		attempt; /* the attempt's number; ignored when the row already has a higher or equal one (idempotent) */
	struct wall due;
	bool is_in_doubt;
	unsigned code;
	struct status status;
	struct str text;
	struct str host;
	uint64_t notice; /* FAILED: id of the one of RECORD.notices that names it, 0: none */
};

struct store_success {
	struct str hop;
	struct wall at;
};

struct store_notice {
	struct envelope env;
	struct str content;
};

/* RECORD - what became of one delivery, in one transaction: results, history, notices, health. id 0: only health.
 * A recipient that an operator deleted meanwhile keeps its state. A RECORD whose results were all recorded before
 * inserts no notice again. replaces: an earlier notice about the same message, which the new one takes the place of in that
 * same transaction (the first of notices): those that it named are the new one's. ERR_NOT_FOUND: it is on its way already (it waits no more),
 * and nothing was stored. */
struct store_record {
	struct store_op op;
	uint64_t id;
	struct wall at;
	const struct store_result *results;
	uint32_t result_count;
	const struct attempt_record *attempts;
	uint32_t attempt_count;
	const struct store_notice *notices;
	uint32_t notice_count;
	uint64_t replaces;      /* id of a notice, 0: none */
	struct wall keep_until; /* with FAILED results: content stays until then, the latest counts; WALL_NONE: it goes */
	const struct site_record *sites;
	uint32_t site_count;
	const struct hop_record *hops; /* all but what is out only is written */
	uint32_t hop_count;
	const struct store_success *successes; /* raise last_success of these next hops, and of the sites they are
						* routed to; nothing else of them changes. They come after hops */
	uint32_t success_count;
	const struct outage_record *outages; /* inserted, or replaced by id */
	uint32_t outage_count;
	const struct outage_sample *samples; /* samples[i] is one of outages[i]; at WALL_NONE: none. NULL: none at all */
	bool is_notice_owed; /* its failures are reported later, in a digest: see LATE; SWEEP keeps it until then */
	uint32_t applied_count; /* out: results that changed a row */
	bool is_finished;       /* out: no recipient of id is queued any more */
};

/* PROMOTE - recipients whose due time came become READY (WAITING) again, at most limit. */
struct store_promote {
	struct store_op op;
	struct wall now;
	struct wall far; /* retries due later (not waits that a sender asked for) count as due; WALL_NONE: none does */
	uint32_t limit;
	struct str *hops; /* out: their next hops, each once */
	uint32_t hop_count;
	uint32_t promoted_count;
	struct wall next_due; /* out: the earliest due left, WALL_NEVER when none */
};

/* REKEY - recipients of a message move to another next hop (a changed sender rule). */
struct store_rekey {
	struct store_op op;
	uint64_t id;
	const uint32_t *numbers;
	uint32_t number_count;
	struct str hop;
};

/* Which recipients: all conditions must hold; empty, zero or WALL_NONE conditions do not count. */
struct store_filter {
	const uint64_t *ids;
	uint32_t id_count;
	struct str from;             /* glob on the reverse-path; "<>" is the null sender */
	struct str to;               /* glob on the forward-path */
	struct str domain;           /* recipient domain, exact; "*.x" by glob */
	struct str site;             /* glob on the site name */
	struct str hop;              /* exact */
	unsigned states;             /* bits of RECIPIENT_STATE_BIT; 0: all queued states */
	struct wall accepted_before; /* --older */
	struct wall accepted_after;  /* --newer */
	struct wall finished_after;  /* messages that left the queue at that instant or later: */
	struct wall finished_before; /* all their recipients are final. And before this one */
	uint64_t size_min_bytes, size_max_bytes; /* max 0: none */
	uint32_t attempts_min;
	struct str status; /* glob on the enhanced status, "4.7.*" */
	struct str user;
	bool has_priority;
	int priority;
	bool is_all; /* deliberate: no other condition */
};

enum store_sort { SORT_AGE, SORT_SIZE, SORT_NEXT, SORT_FINISHED /* needs finished_after */ };

enum modify_action {
	MODIFY_HOLD,
	MODIFY_RELEASE, /* HELD becomes READY */
	MODIFY_RETRY,   /* WAITING and QUARANTINED become READY */
	MODIFY_DELETE
};

/* MODIFY - an operator's act on every matching recipient, with an audit row. At most limit recipients a call; is_more
 * says that some are left (call again). With is_dry_run nothing changes and the counts are exact. */
struct store_modify {
	struct store_op op;
	const struct store_filter *filter;
	enum modify_action action;
	struct wall now;
	struct str actor; /* "uid 0 (root)" */
	struct str reason;
	uint32_t limit;
	bool is_dry_run;
	uint64_t recipient_count; /* out */
	uint64_t message_count;
	uint64_t domain_count;
	struct wall oldest;
	bool is_more;
	struct str *hops; /* out: next hops that may have become READY, each once */
	uint32_t hop_count;
};

/* REVIVE - recipients that FAILED become READY again, attempts kept, as long as their content is there; with an audit row. A
 * notice about them that still waits (for the end of its hold) is taken back in the same transaction, with all that it names:
 * those become READY too, whatever the filter says, so that no failure stays unreported and nothing that is reported is
 * delivered. At most limit recipients that match in a call; is_more says that some are left. filter->states does not count, and is no
 * condition. Failures that are still owed and are all revived are owed no more. ERR_LIMIT: too many ids. */
struct store_revive {
	struct store_op op;
	const struct store_filter *filter;
	struct wall failed_after; /* only what failed then or later; WALL_NONE: all */
	bool only_untold;         /* only those whose notice still waits, or who have none */
	bool only_doubted;        /* only after replies that speak of mailboxes or routes: 5.1.x, 5.2.1, 5.4.x, 5.0.0, 5.3.0 */
	struct wall now;
	struct str actor;
	struct str reason;
	uint32_t limit;
	bool is_dry_run;          /* counts what matches; told_count stays 0 */
	uint64_t recipient_count; /* out: made READY */
	uint64_t message_count;
	uint64_t domain_count;
	uint64_t told_count; /* of these: their sender has been told of the failure */
	uint64_t gone_count; /* with is_dry_run: match, but their content is gone */
	struct wall oldest;
	bool is_more;
	struct str *hops; /* out: next hops with what became READY, each once */
	uint32_t hop_count;
};

/* SWEEP - removes finished messages older than history_before, next hops and sites nobody needs (no recipient, no
 * success since forget_before), and old outages, in steps of limit messages; limit 0: none of that. Content that was
 * kept for failed recipients goes when its time ended before kept_before; until then, and while its failures are owed, a
 * message stays however old it is. may_shrink: also gives back free space at
 * the end of the file, as much as takes a few milliseconds; what is in the way moves. */
struct store_sweep {
	struct store_op op;
	struct wall history_before;
	struct wall forget_before;
	struct wall kept_before;
	struct wall outages_before; /* outages that ended before; WALL_NONE: none */
	uint32_t limit;
	bool may_shrink;
	uint32_t removed_count; /* out */
	bool is_more;
	uint64_t shrunk_bytes;           /* 0: there is nothing to give back */
	uint64_t used_bytes, free_bytes; /* of the file after it; with may_shrink only */
};

/* PUT, GET - small named values: clock origin, heartbeat, ... GET of an absent key: ERR_NOT_FOUND. */
struct store_put {
	struct store_op op;
	struct str key;
	struct str value;
};
struct store_get {
	struct store_op op;
	struct str key;
	struct str value; /* out */
};

/* SHELF_PUT, SHELF_GET, SHELF_LIST - small things learned from outsiders, each kept until its time and found by its key:
 * policies, counts of TLS failures, mailboxes that a next hop vouched for. SHELF_PUT replaces, an empty value removes, and
 * each takes away up to 100 of its kind whose time is over at now. A kind holds at most SHELF_MAX: then those that end
 * first go. SHELF_GET of an absent or ended key: ERR_NOT_FOUND. SHELF_LIST: in the order of keys, ended ones left out; at
 * most 10000 a call. Keys and values are octets; keys of at most SHELF_KEY_MAX (CHECK). */
enum shelf_kind { SHELF_STS_POLICY, SHELF_TLS_REPORT, SHELF_MAILBOX, SHELF_KIND_COUNT };
#define SHELF_MAX 100000
#define SHELF_KEY_MAX 1024
struct shelf_item {
	struct str key, value;
	struct wall until;
};
struct store_shelf_put {
	struct store_op op;
	enum shelf_kind kind;
	struct shelf_item item;
	struct wall now;
};
struct store_shelf_get {
	struct store_op op;
	enum shelf_kind kind;
	struct str key;
	struct wall now;
	struct shelf_item item; /* out */
};
struct store_shelf_list {
	struct store_op op;
	enum shelf_kind kind;
	struct str after; /* empty: from the start */
	uint32_t limit;
	struct wall now;
	struct shelf_item *items; /* out */
	uint32_t count;
	bool is_more;
};

/* CLAIM - READY recipients of one next hop in drain order, grouped by message: priority, highest first, exactly; within a
 * priority fair shares among the senders' buckets: the oldest message of each before the second of any, and so on, and
 * by arrival among those. A plain read: the caller leaves out what it already has in flight, which counts, so that
 * one CLAIM goes on where the one before it ended. accepted_before: only older ones (expiry), oldest first of all.
 * due_by: only those to be returned by a time (RFC 2852, mode R) that is not after it, by that time; accepted_before
 * does not count then. */
struct store_claim {
	struct store_op op;
	struct str hop;
	struct wall accepted_before; /* WALL_NONE: all */
	struct wall due_by;          /* WALL_NONE: all */
	uint32_t message_limit;
	uint32_t recipients_per_message; /* at most, of this hop */
	struct queued_message *messages; /* out */
	uint32_t message_count;
	bool is_more; /* limits cut it */
};

/* FETCH - one chunk of content. ERR_NOT_FOUND: no such chunk (then the message is held as corrupt). */
struct store_fetch {
	struct store_op op;
	uint64_t id;
	uint32_t chunk;
	struct str content; /* out */
};

/* HOPS - a page of next hops by name, after a name. */
struct store_hops {
	struct store_op op;
	struct str after;
	uint32_t limit;
	struct str site;           /* only of this site; empty: all */
	bool only_ready;           /* only those with READY recipients */
	bool skip_down;            /* leave out those that are, or whose site is, DOWN */
	bool is_detailed;          /* fill oldest */
	struct hop_record *hops;   /* out */
	struct site_record *sites; /* out: of hops[i], name empty when not routed */
	uint32_t hop_count;
	bool is_more;
};

/* LOOKUP - one next hop and its site, or a site alone (hop empty). ERR_NOT_FOUND when neither is there. */
struct store_lookup {
	struct store_op op;
	struct str hop;
	struct str site;
	struct hop_record hop_out;   /* out; name empty when absent */
	struct site_record site_out; /* out; name empty when absent */
	struct span *hop_spans;      /* out: outages of that next hop, the newest 4096, oldest first; may overlap */
	struct span *site_spans;     /* out: of that site (of the hop's site when only a hop was asked for) */
	uint32_t hop_span_count, site_span_count;
};

/* OUTAGES - outages by id, greatest first. Conditions that are zero or empty do not count. */
struct store_outages {
	struct store_op op;
	uint64_t id;       /* that one alone, with its samples */
	uint64_t before;   /* only ids below: the next page */
	bool only_open;    /* not ended */
	bool only_wide;    /* of a pattern or of all: what concerns destinations that it does not name */
	struct str name;   /* exact */
	struct wall ended_after; /* ended later, or open */
	uint32_t limit;
	struct outage_record *outages; /* out */
	uint32_t outage_count;
	struct outage_sample *samples; /* out, oldest first; with id only */
	uint32_t sample_count;
	uint64_t last_id; /* out: greatest id ever given */
	bool is_more;
};

/* PROBES - sites and next hops that are DOWN and whose next_probe is at or before now, earliest first. */
struct store_probes {
	struct store_op op;
	struct wall now;
	struct wall far; /* a next_probe later than this counts as due; WALL_NONE: none does */
	uint32_t limit;
	struct site_record *sites; /* out */
	uint32_t site_count;
	struct hop_record *hops;
	uint32_t hop_count;
	struct wall
		next; /* out: the earliest next_probe later than now, or not returned; WALL_NEVER when none */
};

/* QUERY - matching messages, a page at a time; recipients are those that match. */
struct store_query {
	struct store_op op;
	const struct store_filter *filter;
	enum store_sort sort;
	uint32_t limit;
	uint64_t offset;                 /* messages to pass over */
	struct queued_message *messages; /* out */
	uint32_t message_count;
	bool is_more;
};

/* SHOW - one message with all its recipients and every attempt, queued or in the history. ERR_NOT_FOUND. */
struct store_show {
	struct store_op op;
	uint64_t id;
	struct queued_message message;   /* out */
	struct attempt_record *attempts; /* out, oldest first */
	uint32_t attempt_count;
};

/* STATS - totals, kept by the engine: no scan of the queue. */
struct store_stats {
	struct store_op op;
	uint64_t recipients
		[RECIPIENT_STATE_COUNT]; /* queued states exact; final ones: in the history now */
	uint64_t messages;               /* queued */
	uint64_t bytes;                  /* content queued */
	struct wall oldest; /* arrival of the oldest queued message, WALL_NONE when empty */
	uint64_t sites[HEALTH_STATE_COUNT];
	uint64_t disk_free_bytes; /* of the file system that holds the queue */
	uint64_t file_bytes, wal_bytes;
	uint64_t used_bytes, free_bytes; /* of the file; free space is used again, or given back by SWEEP */
	uint64_t last_id;                       /* greatest id ever stored */
	uint64_t delivered_total, failed_total; /* since the queue was created */
};

/* What a sender was last told of late mail. */
struct told_record {
	struct str sender;
	struct wall first;   /* when told for the first time since nothing of it was late; WALL_NONE: not told */
	struct wall last;    /* when told last */
	uint32_t count;      /* how often since first */
	uint64_t up_to;      /* greatest id that was looked at then */
	struct str hops;     /* next hops that the sender was told of, parted by blanks */
};

struct late_place { /* a next hop that late mail waits for, and its site; names empty when not known */
	struct hop_record hop;
	struct site_record site;
};

struct late_message {
	struct queued_message message; /* recipients: late: those READY, WAITING or QUARANTINED; owed: those FAILED */
	uint32_t more_recipients;      /* left out */
};

struct late_sender {
	struct str name;
	struct told_record told;
	bool is_due;           /* never told, or told before told_before: messages begin with the oldest */
	bool is_settled;       /* told, and nothing up to told.up_to is queued any more */
	struct late_message *messages; /* late, oldest first; those behind told.up_to alone unless is_due */
	uint32_t message_count;
	uint64_t more_messages; /* late, and left out; LATE_COUNT_MAX: that many or more */
	struct late_place *places; /* of the messages, LATE_PLACES_MAX at most */
	uint32_t place_count;
	struct late_message *owed; /* whose notices of failure are owed, oldest first */
	uint32_t owed_count;
	uint64_t more_owed;  /* left out */
	uint64_t owed_up_to; /* greatest id of all these */
	bool has_more_owed;  /* behind it */
};

enum { LATE_COUNT_MAX = 10000, LATE_PLACES_MAX = 32, LATE_MESSAGES_MAX = 100, LATE_RECIPIENTS_MAX = 20 };

/* LATE - what senders are to be told: a page of them by name, after a name, each with its late mail (of
 * LATE_NOTICE_DIGEST, accepted before a time, queued and not held), with what was settled, and with failures that are owed.
 * Those with nothing to tell are left out; costs a few seeks a sender, whatever the backlog. With is_own: messages
 * that get a notice of their own (LATE_NOTICE_OWN, LATE_NOTICE_AT_TIME) and are due for one, as one sender each. With
 * is_by_time: messages to be returned by a time that is over, likewise. */
struct store_late {
	struct store_op op;
	struct wall now;
	struct wall accepted_before;
	struct wall told_before;
	struct wall owed_before; /* failures recorded later can still be taken back: they come another time */
	bool is_own, is_by_time;
	struct str after;
	uint32_t limit;               /* senders (messages with is_own) */
	struct late_sender *senders;  /* out */
	uint32_t sender_count;
	struct str last; /* out: where the page ended: the next one's after */
	bool is_more;
};

/* TELL - a notice enters the queue, and that its reader was told is noted, in one transaction. With id: the message that
 * it is about; when that is not queued any more nothing happens (is_applied). What is paid counts as named by the notice. */
struct store_tell {
	struct store_op op;
	const struct store_notice *notice; /* NULL: none */
	const struct told_record *told;    /* written; count 0: forgotten. NULL: untouched */
	uint64_t id;                       /* 0: none */
	struct wall at;                    /* of id */
	struct str owed_to;                /* with owed_up_to: what that sender is owed up to that id is paid; */
	uint64_t owed_up_to;               /* 0: nothing. ERR_NOT_FOUND when that is not */
	uint64_t owed_count;               /* exactly so many messages: look again */
	struct wall owed_before;           /* as in LATE */
	bool is_applied;                   /* out */
};

struct store;
struct store_ops {
	void (*submit)(struct store *store, struct store_op *op);
};
struct store {
	const struct store_ops *ops;
};

static inline void store_submit(struct store *store, struct store_op *op, enum store_kind kind)
{
	op->kind = kind;
	op->err = OK;
	store->ops->submit(store, op);
}

#endif
