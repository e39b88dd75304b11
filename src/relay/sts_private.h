/* sts_private - what sts.c (who asks, what is kept), sts_check.c (DNS and HTTPS) and sts_shelf.c (the disk) share. */
#ifndef RELAY_STS_PRIVATE_H
#define RELAY_STS_PRIVATE_H

#include "base/map.h"
#include "relay/sts.h"
#include "relay/web.h"

#define STS_VALUE_BYTES_MAX (STS_TEXT_BYTES_MAX + 512)

struct sts_check;

enum sts_load { STS_UNREAD, STS_READING, STS_READ };

struct sts_domain {
	struct map_entry entry;
	struct sts *sts;
	struct list recent; /* in sts.recent */
	struct str name;    /* owned */
	enum sts_load load;
	struct sts_times times;
	char id[STS_ID_BYTES_MAX + 1];
	struct arena arena; /* of policy */
	struct sts_policy policy;
	struct wall failed;
	const char *failure;
	enum err failure_err;
	unsigned failure_status;
	bool is_policy_bad;
	struct list waiting;     /* of tls_policy_query.link */
	struct sts_check *check; /* under way; NULL: none */
	struct store_shelf_get get;
	struct store_shelf_put put;
	struct buf value; /* of put */
	bool is_putting, is_put_wanted;
	struct deferred step;
	const char *problem; /* to be told; static */
	bool is_stepping, was_checked;
	bool is_walked; /* the walk waits for it */
};

struct sts_walk {
	struct timer timer;
	struct store_shelf_list page;
	struct str after; /* owned */
	uint32_t next;    /* of page.items */
	uint32_t pending; /* domains under way */
	bool is_reading, is_on;
};

struct sts {
	struct tls_policies policies;
	struct sts_params params;
	struct conf *conf;
	struct web web;
	struct rng rng;
	struct map domains;
	struct list recent; /* least recently asked first */
	struct sts_walk walk;
	uint32_t op_count; /* at the store */
	bool is_stopping;
};

/* sts.c */
struct sts_domain *sts_find_or_add(struct sts *s, struct str name);
/* sts_go_on - something came to its end: whoever waits for it is answered, and the walk goes on. */
void sts_go_on(struct sts_domain *d);
void sts_op_begin(struct sts *s);
void sts_op_end(struct sts *s);
void sts_forget_policy(struct sts_domain *d);

/* sts_check.c */
void sts_check_start(struct sts_domain *d);
void sts_check_cancel(struct sts_domain *d);

/* sts_shelf.c */
/* sts_parse_value - what lies on the shelf. False: damaged, or of another format: as though it were not there. id points
 * into value, strings of policy live in arena. */
bool sts_parse_value(struct str value, struct arena *arena, struct sts_policy *policy,
	struct sts_times *times, struct str *id);
void sts_shelf_read(struct sts_domain *d);
void sts_shelf_write(struct sts_domain *d); /* what is known now; no policy: removes it */
void sts_walk_start(struct sts *s);
void sts_walk_note_done(struct sts *s);
void sts_walk_stop(struct sts *s);

#endif
