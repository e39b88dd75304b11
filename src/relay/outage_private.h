/* outage_private - what the files of outages share. */
#ifndef RELAY_OUTAGE_PRIVATE_H
#define RELAY_OUTAGE_PRIVATE_H

#include "relay/destination.h"
#include "relay/outage.h"

/* A sender that gives up after five days would have returned it. */
#define OUTAGE_SAVED_MS (5 * DAY_MS)

/* A name that open outages are of: a site's and a next hop's may be the same. */
struct outage_place {
	struct map_entry entry; /* outages.places */
	struct str name;        /* owned */
	struct list outages;    /* of outage.of_place */
};

struct outage {
	struct list link;           /* outages.open */
	struct outage_place *place; /* NULL: wide */
	struct list of_place;       /* place.outages, or outages.wide */
	struct relay *relay;
	struct outage_record rec; /* id 0: not given yet */
	struct arena arena;       /* of rec's strings */
	bool is_dirty, is_saving, is_stored, is_told, is_dropped;
	bool has_news;               /* counts that are not stored yet */
	bool is_seen;                /* by the reload under way */
	bool is_unsure;              /* found open at start: is its destination still down? */
	struct outage_sample sample; /* to be saved; at WALL_NONE: none */
	uint32_t sample_count;
	struct wall next_sample, next_look;
	int64_t look_ms;   /* RECOVERING: until the next sample but one */
	struct str cursor; /* owned; of the look at what it had parked */
	uint32_t pass;     /* of the watch that looked at it last */
};

/* A wide span that ended. */
struct outage_pattern {
	struct str name; /* owned */
	struct span span;
};

struct heartbeat {
	struct store_put put;
	char text[24];
	bool is_putting;
	struct wall wall; /* of the last tick; WALL_NONE: none */
	struct mono mono;
};

/* Reads what is stored, page by page: at start, and for a reload. */
struct outage_load {
	struct store_get get;
	struct store_outages page;
	bool is_running, is_wanted, is_wide;
	bool is_heartbeat_read, has_heartbeat;
	struct wall stopped; /* the last heartbeat */
	struct timer retry;
};

/* One operation at a time, on behalf of one outage. */
struct outage_watch {
	struct timer timer;
	uint32_t pass;
	struct outage *outage; /* NULL: none under way */
	struct store_lookup lookup;
	struct store_hops page;
	struct store_claim claim;
	struct store_stats stats;
	bool is_last; /* the sample at its end */
	uint32_t position;
	uint32_t pages;
	struct str cursor; /* owned; of a sample's walk */
	uint64_t recipients, bytes, hops;
};

struct outages {
	struct relay *relay;
	struct list open; /* of outage.link */
	struct list wide; /* of outage.of_place */
	struct map places;
	uint32_t count;
	bool is_loaded;
	bool is_full; /* it was said that there are too many */
	uint64_t last_id;
	struct credit all;   /* ended, of all */
	struct credit jumps; /* of these: time that was none */
	struct outage_pattern *patterns;
	uint32_t pattern_count, pattern_cap;
	struct heartbeat heartbeat;
	struct outage_load load;
	struct outage_watch watch;
};

/* outage.c */
struct outage *outage_add(struct relay *r, const struct outage_record *rec);
struct outage *outage_find(
	const struct relay *r, enum outage_kind kind, enum outage_scope scope, struct str name);
struct outage *outage_find_id(const struct relay *r, uint64_t id);
void outage_close(struct outage *o, struct wall at);
/* outage_settle - frees it when it has ended, is stored, and nobody is at work on it. */
void outage_settle(struct outage *o);
void outage_take_text(struct outage *o, const struct outage_record *rec);
/* outage_save - it changed; written soon, with its sample. */
void outage_save(struct outage *o);
static inline bool outage_is_wide(const struct outage_record *rec)
{
	return rec->scope == OUTAGE_OF_PATTERN || rec->scope == OUTAGE_OF_ALL;
}
/* outage_describe - "site x", "next hop y", "destinations *.z", "all destinations". */
void outage_describe(struct buf *out, const struct outage_record *rec);
struct outage_place *outage_find_place(const struct relay *r, struct str name);
struct site *outage_find_site(const struct relay *r, struct str name);
struct hop *outage_find_hop(const struct relay *r, struct str name);
struct site *outage_site(const struct outage *o); /* in memory, or NULL */
struct hop *outage_hop(const struct outage *o);

/* outage_clock.c */
/* outage_note_span - a span that ended becomes the credit of whom it concerns. */
void outage_note_span(struct relay *r, const struct outage_record *rec);
bool outage_concerns(const struct outage_record *rec, struct str hop, struct str site);

/* outage_note.c */
/* outage_is_due - a destination that used to work is down for long enough. */
bool outage_is_due(const struct relay *r, const struct health_record *h,
	const struct conf_policy *policy, bool is_good);

/* outage_load.c */
void outage_load_start(struct relay *r);
void outage_load_stop(struct relay *r);
void outage_beat(struct relay *r); /* the heartbeat */
/* outage_note_jump - the clock was set, at `to` by its new time. */
void outage_note_jump(struct relay *r, struct wall from, struct wall to);

/* outage_watch.c */
void outage_watch_start(struct relay *r);
void outage_watch_stop(struct relay *r);
void outage_tell_end(const struct outage *o);

#endif
