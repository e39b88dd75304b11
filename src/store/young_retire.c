/* young_retire - from the journal into the tables, oldest first: see young.h. */
#include <stdlib.h>

#include "base/mem.h"
#include "young_private.h"

#define RECORD_BYTES_MAX ((size_t)64 << 20)

/* ---- health that went past us ---- */

struct young_place {
	struct map_entry by_key;
	uint64_t number; /* entries below it are older */
	struct buf key;
};

static void key_of(struct buf *b, char kind, struct str name)
{
	buf_clear(b);
	buf_append_char(b, kind);
	buf_append_str(b, name);
}

static void note_place(struct young *y, char kind, struct str name)
{
	struct young_place *place = mem_zalloc(sizeof(*place));
	buf_init(&place->key, RECORD_BYTES_MAX);
	key_of(&place->key, kind, name);
	struct map_entry *known = map_find(&y->places, buf_str(&place->key));
	if (known) {
		buf_fini(&place->key);
		free(place);
		place = CONTAINER_OF(known, struct young_place, by_key);
	} else {
		map_insert(&y->places, &place->by_key, buf_str(&place->key));
	}
	place->number = y->journal.next_entry;
}

void young_forget_places(struct young *y)
{
	struct map_entry *first;
	while ((first = map_first(&y->places))) {
		struct young_place *place = CONTAINER_OF(first, struct young_place, by_key);
		map_remove(&y->places, first);
		buf_fini(&place->key);
		free(place);
	}
}

void young_note_places(struct young *y, const struct store_record *op)
{
	if (y->count == 0)
		return;
	for (uint32_t i = 0; i < op->site_count; i++)
		note_place(y, 's', op->sites[i].name);
	for (uint32_t i = 0; i < op->hop_count; i++)
		note_place(y, 'h', op->hops[i].name);
}

static bool is_outdated(struct young *y, uint64_t number, char kind, struct str name)
{
	key_of(&y->scratch, kind, name);
	struct map_entry *known = map_find(&y->places, buf_str(&y->scratch));
	return known && CONTAINER_OF(known, struct young_place, by_key)->number > number;
}

/* ---- retiring ---- */

/* In e->scratch, like what is taken from it. */
static enum err read_head(struct sqlite_engine *e, const struct young_entry *entry, struct str *out)
{
	char *octets = arena_alloc(&e->scratch, entry->at.head_bytes);
	*out = str_of(octets, entry->at.head_bytes);
	return journal_read_into(&e->young.journal, entry->at.at, entry->at.head_bytes, octets);
}

static enum err read_record(
	struct sqlite_engine *e, const struct young_entry *entry, struct store_record *out)
{
	struct str head;
	enum err err = read_head(e, entry, &head);
	return err == OK ? entry_take_record(head, &e->scratch, out) : err;
}

/* A message that all were delivered of: its rows as they would be now. */
static enum err retire_finished(
	struct sqlite_engine *e, const struct young_message *m, const struct envelope *env)
{
	struct store_record *records;
	uint32_t count = 0;
	LIST_FOR_EACH (link, &m->records)
		count++;
	records = arena_array(&e->scratch, count, sizeof(*records));
	count = 0;
	LIST_FOR_EACH (link, &m->records) {
		enum err err = read_record(
			e, CONTAINER_OF(link, struct young_entry, of_message), &records[count++]);
		if (err != OK)
			return err;
	}
	return history_insert(e, env, records, count);
}

static enum err read_content(struct sqlite_engine *e, const struct young_entry *entry)
{
	return journal_read(&e->young.journal, entry->at.at + entry->at.head_bytes,
		(size_t)entry->at.content_bytes, &e->young.scratch);
}

static enum err retire_message(struct sqlite_engine *e, struct young_entry *entry)
{
	struct young_message *m = entry->message;
	struct envelope env;
	struct str head;
	uint32_t spooled_chunks;
	enum err err = read_head(e, entry, &head);
	if (err == OK)
		err = entry_take_accept(head, &e->scratch, &env, &spooled_chunks);
	if (err != OK)
		return err;
	if (young_is_delivered(m)) {
		err = m->has_stored ? spool_drop(e, m->id) : OK;
		if (err == OK)
			err = retire_finished(e, m, &env);
		m->is_history = true;
		return err;
	}
	err = read_content(e, entry);
	return err == OK ? message_insert(e, &env, buf_str(&e->young.scratch), spooled_chunks)
			 : err;
}

/* Content of a message that is delivered meanwhile goes nowhere, nor does that of one that never came. */
static enum err retire_chunk(struct sqlite_engine *e, struct young_entry *entry)
{
	struct young_message *m = entry->message;
	if (young_is_delivered(m) || (!m->is_accepted && !e->young.is_on))
		return OK;
	enum err err = read_content(e, entry);
	if (err != OK)
		return err;
	struct store_spool op = {
		.id = m->id, .chunk = entry->chunk, .content = buf_str(&e->young.scratch)
	};
	m->has_stored = true;
	return write_spool(e, &op);
}

/* Health that the tables have learned since is left out. */
static void keep_newest(struct sqlite_engine *e, uint64_t number, struct store_record *op)
{
	struct site_record *sites = arena_array(&e->scratch, op->site_count, sizeof(*sites));
	struct hop_record *hops = arena_array(&e->scratch, op->hop_count, sizeof(*hops));
	uint32_t site_count = 0, hop_count = 0;
	for (uint32_t i = 0; i < op->site_count; i++) {
		if (!is_outdated(&e->young, number, 's', op->sites[i].name))
			sites[site_count++] = op->sites[i];
	}
	for (uint32_t i = 0; i < op->hop_count; i++) {
		if (!is_outdated(&e->young, number, 'h', op->hops[i].name))
			hops[hop_count++] = op->hops[i];
	}
	op->sites = sites;
	op->site_count = site_count;
	op->hops = hops;
	op->hop_count = hop_count;
}

static enum err retire_one(struct sqlite_engine *e, struct young_entry *entry)
{
	struct store_record op;
	arena_fini(&e->scratch);
	if (entry->at.kind == ENTRY_ACCEPT)
		return retire_message(e, entry);
	if (entry->at.kind == ENTRY_SPOOL)
		return retire_chunk(e, entry);
	enum err err = read_record(e, entry, &op);
	if (err != OK)
		return err;
	if (entry->message && entry->message->is_history) {
		op.id = 0;
		op.result_count = op.attempt_count = 0;
	}
	if (e->young.places.count > 0)
		keep_newest(e, entry->at.number, &op);
	return write_record(e, &op);
}

/* A rollback takes the history of this slice back. */
static void forget_history(struct young *y, uint64_t last)
{
	LIST_FOR_EACH (link, &y->entries) {
		struct young_entry *entry = CONTAINER_OF(link, struct young_entry, link);
		if (entry->at.number > last)
			return;
		if (entry->at.kind == ENTRY_ACCEPT)
			entry->message->is_history = false;
	}
}

enum err young_retire(struct sqlite_engine *e, uint32_t limit)
{
	struct young *y = &e->young;
	uint64_t last = 0;
	uint32_t count = 0;
	if (y->count == 0)
		return OK;
	enum err err = engine_transaction_begin(e);
	LIST_FOR_EACH (link, &y->entries) {
		if (err != OK || count == limit)
			break;
		struct young_entry *entry = CONTAINER_OF(link, struct young_entry, link);
		last = entry->at.number;
		err = retire_one(e, entry);
		count++;
	}
	if (err == OK)
		err = young_save_state(e, last, STATE_OPEN);
	err = engine_transaction_end(e, err);
	if (err != OK) {
		forget_history(y, last);
		/* What the journal holds was checked when it was taken. */
		return err == ERR_NO_SPACE || err == ERR_IO ? err : ERR_CORRUPT;
	}
	y->retired = last;
	while (count-- > 0)
		young_drop_entry(y, young_first_entry(y));
	if (y->count == 0) {
		young_forget_places(y);
		journal_rewind(&y->journal);
	}
	return OK;
}
