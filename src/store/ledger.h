/*
 * ledger - the counts that nobody may have to count: recipients by state, octets, messages,
 * sites by health.
 *
 * Operations report changes; they gather in memory and reach the rows of hop, site and total
 * once a transaction. With them go the rows of next hops and sites known by name, so that an
 * ACCEPT looks up nothing it has seen before. Bounded: past a number of entries everything is
 * forgotten after a commit. After a rollback call ledger_drop: gathered changes and rows made in
 * the transaction are gone.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "base/map.h"
#include "port/store.h"
#include "sql.h"

enum { QUEUED_STATE_COUNT = RECIPIENT_QUARANTINED + 1 };

struct hop_entry {
	struct map_entry by_name, by_id;
	struct list dirty;
	uint64_t id;
	uint64_t site; /* 0: not routed */
	struct str name;
	int64_t count[QUEUED_STATE_COUNT]; /* changes not written yet, like the next two */
	int64_t bytes;
	int64_t finished;
	uint64_t last_message; /* whose octets an ACCEPT has counted here */
	uint64_t last_listing; /* of ledger.listing */
	char octets[];
};

struct site_entry {
	struct map_entry by_name;
	uint64_t id;
	enum health_state state;
	char octets[];
};

struct totals {
	int64_t recipients[RECIPIENT_STATE_COUNT];
	int64_t messages, bytes;
	int64_t sites[HEALTH_STATE_COUNT];
	int64_t delivered, failed;
	uint64_t last_id;
};

struct ledger {
	struct sql *sql;
	struct map hops_by_name, hops_by_id, sites_by_name;
	struct list dirty; /* of hop_entry.dirty */
	struct totals totals;
	bool is_dirty;
	uint64_t listing; /* of next hops, each once: an operation takes the next number */
};

/* No such recipient row, before it is made or after it is removed. */
#define RECIPIENT_ABSENT RECIPIENT_STATE_COUNT

static inline bool recipient_is_queued(enum recipient_state state)
{
	return state < RECIPIENT_STATE_COUNT &&
	       (RECIPIENT_STATE_BIT(state) & RECIPIENT_QUEUED_BITS);
}

void ledger_init(struct ledger *l, struct sql *sql);
void ledger_fini(struct ledger *l);
/* ledger_hop - the row of a next hop, made when absent. The entry lives until commit or drop. */
MUST_USE enum err ledger_hop(struct ledger *l, struct str name, struct hop_entry **out);
/* ledger_hop_by_id - Errors: ERR_CORRUPT when a row names a next hop that is not there. */
MUST_USE enum err ledger_hop_by_id(struct ledger *l, uint64_t id, struct hop_entry **out);
MUST_USE enum err ledger_site(struct ledger *l, struct str name, struct site_entry **out);
/* ledger_move - one recipient changes its state; either may be RECIPIENT_ABSENT. */
void ledger_move(struct ledger *l, struct hop_entry *hop, enum recipient_state from,
	enum recipient_state to);
void ledger_hop_bytes(struct ledger *l, struct hop_entry *hop, int64_t bytes);
/* ledger_message - messages becoming queued (1) or finished (-1), with their octets. */
void ledger_message(struct ledger *l, int64_t messages, int64_t bytes);
void ledger_site_state(struct ledger *l, struct site_entry *site, enum health_state state);
void ledger_seen_id(struct ledger *l, uint64_t id);
/* ledger_forget_* - the row is being removed. */
void ledger_forget_hop(struct ledger *l, struct str name);
void ledger_forget_site(struct ledger *l, struct str name);
/* ledger_flush - writes what gathered, as part of the transaction. */
MUST_USE enum err ledger_flush(struct ledger *l);
void ledger_committed(struct ledger *l);
void ledger_drop(struct ledger *l);

#endif
