/* relay_private - what the files of relay/ share: the relay object and the doors between its parts. */
#ifndef RELAY_PRIVATE_H
#define RELAY_PRIVATE_H

#include "base/map.h"
#include "base/rng.h"
#include "deliver/pool.h"
#include "deliver/resolver.h"
#include "mail/queue_id.h"
#include "queue/message.h"
#include "queue/offline.h"
#include "relay/flow.h"
#include "relay/relay.h"

/* Hops held in memory with work to do; beyond it the start-up scan is repeated later (memory is bounded). */
#define HOPS_BUSY_MAX 4096
/* Hops and sites kept in memory without work, for what they know. */
#define HOPS_IDLE_MAX 4096
/* Deliveries of one hop waiting in memory: what each may have, and what it may have while PENDING_SPARE places are taken at
 * most. A burst that fits need not be read back from the store, which costs a delivery half as much again. */
#define HOP_PENDING_MAX 64
#define HOP_PENDING_BURST_MAX 1024
/* Deliveries waiting in memory, of all hops: beyond it each hop has one at a time. */
#define PENDING_MAX 4096
#define PENDING_SPARE (PENDING_MAX / 2)
/* Content of fresh messages held in memory until delivered, in all. */
#define FRESH_BYTES_MAX (32u << 20)

/* An operation under way that belongs to no next hop, site or session. When the relay ends before its store has answered (a
 * second SIGTERM, a crash in simulation) nobody else knows of it. */
struct loose {
	struct list link; /* relay.loose */
	void (*free)(struct loose *l);
};

struct hop;
struct site;
struct delivery;
struct intake;
struct control;
struct known;
struct guards;
struct held_notices;
struct sts;
struct tls_report;
struct teller;
struct deadline;
struct outages;
struct verify;

struct listening {
	struct list link;
	struct relay *relay;
	struct listener *listener;
	struct conf_listener conf;
	bool is_new;   /* opened by the reload under way */
	bool is_stale; /* to be closed by it */
};

/* What turns up at its time: due retries, due probes, pages of hops with work. One timer each, whatever the backlog. */
struct agenda {
	struct timer due_timer;
	struct wall due_next;
	struct store_promote promote;
	bool is_promoting;
	bool is_far_wanted; /* the clock was set back: also what is due too far ahead */
	uint32_t spread; /* not 0: much came due at once, so many are promoted at a time */
	struct timer probe_timer;
	struct wall probe_next;
	struct store_probes probes;
	bool is_reading_probes;
	struct store_hops scan;
	struct arena scan_cursor_arena;
	struct str scan_cursor;
	bool is_scanning, is_scan_wanted;
	bool is_rescan_wanted; /* once more from the start: what is missing may lie before the cursor */
	struct timer scan_timer; /* after an error */
};

struct upkeep {
	struct timer timer;
	struct store_stats stats;
	bool is_reading;
	struct store_sweep sweep;
	bool is_sweeping;
	struct wall swept;
	bool is_clearing; /* history older than queue.history is left */
	bool has_excess;  /* the last look found more free space in the file than it may keep */
	bool is_shrinking;
	uint64_t given_back_bytes; /* since it is */
	struct timer pause;        /* between steps of it */
	struct store_put trial; /* written while is_full, to see whether it can be again */
	bool is_trying;
	uint64_t disk_free_bytes;
	bool is_space_low; /* below min-free: MAIL gets 452 */
	bool is_full;      /* a RECORD found no space: no new attempts either */
};

/* Our own connection: what was tried lately, and whom to ask. */
#define WATCH_LATELY 4
#define WATCH_UNTRIED 4
struct watch_contact {
	uint64_t site; /* hash of its name; 0: free */
	struct endpoint address;
	struct wall at;
	bool has_worked;
};
struct watch {
	struct offline all, ipv4, ipv6;
	bool is_offline;
	struct wall began;
	struct watch_contact lately[WATCH_LATELY];
	char silent[256];  /* a next hop that DNS gave no answer for; empty: none */
	char untried[WATCH_UNTRIED][256]; /* while offline: those with mail that did not fail yet */
	uint32_t untried_count;
	struct timer timer;
	struct list inquiries; /* those under way */
	bool has_reached;      /* somebody, since the start */
};

/* Hosts of sites that are down: hint.c. */
struct hints {
	struct map by_address;
	struct list all;
	uint32_t count;
};

/* Sites that are down and have too much of the disk: share.c. */
struct share {
	struct map sites; /* struct share_site by name: summed, or over */
	uint64_t usable_bytes;
	struct store_hops page;
	struct str cursor; /* owned */
	bool is_reading;
	struct map_entry *named; /* the site whose next hops are read; NULL: all are summed */
	uint64_t *names; /* hashes of next hops that are over, sorted */
	uint32_t name_count;
	uint64_t *fresh; /* those of the walk under way */
	uint32_t fresh_count, fresh_cap;
};

struct relay {
	struct env *env;
	struct net *net;
	struct dns *dns;
	struct store *store;
	struct conf *conf;
	struct relay_params params;
	struct rng rng;
	struct queue_id_source ids;
	struct resolver *resolver;
	struct pool *pool;
	struct list listeners;
	struct wall started;

	struct intake *intake;
	struct control *control;
	struct verify *verify; /* verify.h */
	struct teller *teller;
	struct deadline *deadline;
	struct outages *outages; /* outage.h */
	struct { /* mails to operators in the hour since */
		struct wall since;
		uint32_t sent, left_out;
	} operators;
	struct agenda agenda;
	struct upkeep upkeep;
	struct flow flow;
	struct watch watch;
	struct hints hints;
	struct share share;
	struct known *known;               /* known.c */
	struct guards *guards;             /* guard.c */
	struct held_notices *held_notices; /* held_notice.c */
	struct sts *sts;                   /* sts.h */
	struct tls_report *tls_report;     /* tls_report.h */

	struct map hops;       /* struct hop by name */
	struct map sites;      /* struct site by name */
	struct list idle_hops; /* least recently used first */
	uint32_t idle_hop_count;
	struct list ready_sites; /* sites that may start a delivery: round robin */
	struct deferred sched;
	uint32_t delivery_count; /* attempts and records in flight */
	uint32_t attempt_count;  /* attempts in flight: connections-max */
	uint32_t pending_count;  /* deliveries waiting in memory */
	uint32_t late_count;     /* the same, behind older mail in the store */
	uint64_t fresh_bytes;    /* content held in memory */
	struct list saving;      /* records without a message: struct save */
	struct list loose;       /* of loose.link */

	bool is_stopping, is_out_of_time;
	void (*on_stopped)(void *user);
	void *stop_user;
	struct timer stop_timer;
	struct deferred stop_check;
};

/* relay.c */
void relay_check_stopped(struct relay *r);
uint64_t relay_new_id(struct relay *r);
/* loose_begin, loose_end - around such an operation; free is called between them if the relay ends. */
void loose_begin(struct relay *r, struct loose *l, void (*free)(struct loose *l));
void loose_end(struct loose *l);
/* relay_copy_name - a name on the heap, for a map key; relay_free_name frees it. */
struct str relay_copy_name(struct str name);
void relay_free_name(struct str *name);

/* agenda.c */
void agenda_init(struct relay *r);
void agenda_start(struct relay *r);
void agenda_stop(struct relay *r);
void agenda_note_due(struct relay *r, struct wall due);
void agenda_note_probe(struct relay *r, struct wall next);
/* agenda_want_scan - some hop with READY recipients is not in memory: look for it when there is room. */
void agenda_want_scan(struct relay *r);
/* agenda_want_scan_later - the same in a minute: after an error. */
void agenda_want_scan_later(struct relay *r);
void agenda_continue_scan(struct relay *r);
/* agenda_look_far - the clock was set back: what is due too far ahead is due now. */
void agenda_look_far(struct relay *r);

/* offline.c */
void offline_init(struct relay *r);
void offline_stop(struct relay *r);
void offline_look_now(struct relay *r); /* an operator's word: if it is offline, is it still? */

/* upkeep.c */
void upkeep_init(struct relay *r);
void upkeep_start(struct relay *r);
void upkeep_stop(struct relay *r);
void upkeep_note_full(struct relay *r);  /* a write found no space */
void upkeep_note_space(struct relay *r); /* a write went through */

/* intake.c */
struct intake *intake_new(struct relay *r);
void intake_accept_conn(struct intake *in, struct conn *conn, const struct conf_listener *listener);
void intake_shutdown(struct intake *in);
void intake_drop_all(struct intake *in);
uint32_t intake_session_count(const struct intake *in);
bool intake_is_idle(const struct intake *in);
void intake_free(struct intake *in);

/* control.c */
struct control *control_new(struct relay *r);
enum err control_start(struct control *c, struct buf *message);
void control_free(struct control *c);

#endif
