/* world - a store in a folder of its own, and short ways to do things with it, for tests. */
#ifndef TEST_STORE_WORLD_H
#define TEST_STORE_WORLD_H

#include "mail/queue_id.h"
#include "store/fake_env.h"
#include "store/store_sqlite.h"

typedef enum err world_open_fn(struct env *env, struct str directory,
	const struct store_options *options, struct store **out, struct buf *message);

struct world {
	struct fake_env fe;
	world_open_fn *open;
	struct store_options options;
	struct store *store; /* NULL: closed */
	char directory[128];
	struct buf message; /* of the last open */
	struct queue_id_source ids;
	bool is_fatal;
};

/* A message to accept: recipients are given as "address hop" pairs. */
struct sample {
	struct envelope env;
	struct recipient recipients[64];
	char text[64][64];
	struct str content;
};

void world_init(struct world *w, world_open_fn *open);
void world_fini(struct world *w); /* closes, removes the folder */
MUST_USE enum err world_open(struct world *w);
void world_must_open(struct world *w);
void world_close(struct world *w);
char *world_path(struct world *w, const char *name); /* the caller frees */
int64_t world_reserve_size(struct world *w);

/* world_run - submits and waits; returns op->err. */
enum err world_run(struct world *w, struct store_op *op, enum store_kind kind);

/* sample_make - a message accepted now, one second after the one before, to u0@hop0, u1@hop1,
 * ... */
void sample_make(struct world *w, struct sample *s, const char *const *hops, uint32_t count);
enum err world_accept(struct world *w, const struct sample *s);
uint64_t world_must_accept(struct world *w, const char *hop); /* one recipient; its id */
/* world_record - one result for recipient `number`. */
enum err world_record(struct world *w, uint64_t id, uint32_t number, enum result_kind kind,
	uint32_t attempt, int64_t due_ms, uint32_t *applied_count);
/* world_recount - compares every counter of the file with a count of its rows; NULL when equal,
 * else what differs. The store must be idle; reads the file by its own connection. */
const char *world_recount(struct world *w);
/* world_sql - a number asked of the file by an own connection. */
int64_t world_sql(struct world *w, const char *text);

#endif
