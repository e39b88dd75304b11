/*
 * words - see words.h.
 *
 * The text of a refusal is only in the store: in memory many addresses are to fit. What could not be stored is asked
 * about again after a restart.
 */
#include "relay/words.h"

#include <stdlib.h>

#include "base/mem.h"

#define REMEMBERED_MAX 10000
#define VALUE_BYTES_MAX 512

/* What is known of an address, without the text. */
struct memory {
	struct map_entry entry; /* by address */
	struct str address;     /* owned */
	struct vouch vouch;
};

struct saving {
	struct loose loose;
	struct words *words;
	struct store_shelf_put put;
};

static void forget(struct words *w, struct memory *m)
{
	map_remove(&w->memories, &m->entry);
	relay_free_name(&m->address);
	free(m);
}

void words_remember(struct words *w, struct str key, const struct vouch *vouch)
{
	struct map_entry *e = map_find(&w->memories, key);
	struct memory *m;

	if (e)
		forget(w, CONTAINER_OF(e, struct memory, entry));
	if (w->memories.count >= REMEMBERED_MAX)
		forget(w, CONTAINER_OF(map_first(&w->memories), struct memory, entry));
	m = mem_zalloc(sizeof(*m));
	m->address = relay_copy_name(key);
	m->vouch = (struct vouch){ .word = vouch->word, .at = vouch->at };
	map_insert(&w->memories, &m->entry, m->address);
}

static void saving_free(struct loose *l)
{
	struct saving *s = CONTAINER_OF(l, struct saving, loose);

	loose_end(l);
	store_op_fini(&s->put.op);
	free(s);
}

static void on_saved(struct store_op *op)
{
	struct saving *s = CONTAINER_OF(op, struct saving, put.op);
	struct relay *r = s->words->relay;

	s->words->saving_count--;
	saving_free(&s->loose);
	relay_check_stopped(r);
}

void words_save(struct words *w, struct str key, const struct vouch *vouch)
{
	struct saving *s = mem_zalloc(sizeof(*s));
	struct arena *arena = &s->put.op.arena;
	struct buf value;

	buf_init(&value, VALUE_BYTES_MAX);
	vouch_put(&value, vouch);
	s->words = w;
	s->put.op.on_done = on_saved;
	s->put.kind = SHELF_MAILBOX;
	s->put.item = (struct shelf_item){ arena_dup(arena, key), arena_dup(arena, buf_str(&value)),
		vouch_until(vouch) };
	s->put.now = env_wall(w->relay->env);
	buf_fini(&value);
	w->saving_count++;
	loose_begin(w->relay, &s->loose, saving_free);
	store_submit(w->relay->store, &s->put.op, STORE_SHELF_PUT);
}

const struct vouch *words_find(const struct words *w, struct str key)
{
	struct map_entry *e = map_find(&w->memories, key);

	return e ? &CONTAINER_OF(e, struct memory, entry)->vouch : NULL;
}

void words_init(struct words *w, struct relay *r, uint64_t seed)
{
	w->relay = r;
	map_init(&w->memories, seed);
}

void words_fini(struct words *w)
{
	struct map_entry *e;

	while ((e = map_first(&w->memories)) != NULL)
		forget(w, CONTAINER_OF(e, struct memory, entry));
	map_fini(&w->memories);
}
