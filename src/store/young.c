/* young - what is known of it, appending and reading: see young.h. */
#include "young_private.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

#define HEAD_BYTES_MAX ((size_t)64 << 20)

enum { RETIRE_FOR_ROOM = 32 };

/* ---- what is known ---- */

struct young_message *young_find_message(struct young *y, uint64_t id)
{
	struct map_entry *found = map_find(&y->messages, map_key_u64(&id));
	return found ? CONTAINER_OF(found, struct young_message, by_id) : NULL;
}

struct young_message *young_add_message(struct young *y, uint64_t id)
{
	struct young_message *m = mem_zalloc(sizeof(*m));
	m->id = id;
	m->waiting = UINT64_MAX;
	list_init(&m->parts);
	list_init(&m->records);
	map_insert(&y->messages, &m->by_id, map_key_u64(&m->id));
	if (id > y->last_id)
		y->last_id = id;
	return m;
}

static void drop_message(struct young *y, struct young_message *m)
{
	map_remove(&y->messages, &m->by_id);
	free(m);
}

void young_note_accepted(struct young_message *m, uint32_t recipient_count)
{
	m->is_accepted = true;
	m->waiting = recipient_count == 64 ? UINT64_MAX : (UINT64_C(1) << recipient_count) - 1;
}

bool young_is_delivered(const struct young_message *m)
{
	return m->is_accepted && m->waiting == 0;
}

void young_add_entry(struct young *y, const struct journal_entry *at, struct young_message *m)
{
	struct young_entry *entry = mem_zalloc(sizeof(*entry));
	entry->at = *at;
	entry->message = m;
	list_push_back(&y->entries, &entry->link);
	y->count++;
	if (!m)
		return;
	m->entry_count++;
	if (at->kind == ENTRY_RECORD) {
		list_push_back(&m->records, &entry->of_message);
	} else {
		entry->chunk = m->spooled_chunks;
		m->spooled_chunks += at->kind == ENTRY_SPOOL;
		list_push_back(&m->parts, &entry->of_message);
	}
}

void young_drop_entry(struct young *y, struct young_entry *entry)
{
	struct young_message *m = entry->message;
	list_remove(&entry->link);
	list_remove(&entry->of_message);
	y->count--;
	if (m && --m->entry_count == 0 && m->pin_count == 0)
		drop_message(y, m);
	free(entry);
}

struct young_entry *young_first_entry(struct young *y)
{
	return list_is_empty(&y->entries) ? NULL
					  : CONTAINER_OF(y->entries.next, struct young_entry, link);
}

static const struct journal_entry *oldest(struct young *y)
{
	struct young_entry *first = young_first_entry(y);
	return first ? &first->at : NULL;
}

static uint64_t bit_of(uint32_t number)
{
	return number >= 1 && number <= YOUNG_RECIPIENTS_MAX ? UINT64_C(1) << (number - 1) : 0;
}

uint32_t young_note_delivered(struct young_message *m, const struct store_record *op)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < op->result_count; i++) {
		uint64_t bit = bit_of(op->results[i].number);
		count += (m->waiting & bit) != 0;
		m->waiting &= ~bit;
	}
	return count;
}

void young_init(struct young *y)
{
	map_init(&y->messages, 0x6a6f75726e616c);
	map_init(&y->places, 0x706c61636573);
	list_init(&y->entries);
	buf_init(&y->scratch, HEAD_BYTES_MAX);
}

void young_fini(struct young *y)
{
	struct young_entry *entry;
	while ((entry = young_first_entry(y)))
		young_drop_entry(y, entry);
	young_forget_places(y);
	map_fini(&y->places);
	map_fini(&y->messages);
	buf_fini(&y->scratch);
	journal_close(&y->journal);
}

/* ---- appending ---- */

static enum err way_of_accept(
	struct sqlite_engine *e, const struct store_accept *op, enum engine_way *out)
{
	const struct envelope *env = op->env;
	struct young_message *m = young_find_message(&e->young, env->id);
	*out = m ? WAY_LAST : WAY_TABLE;
	if (env->hold_until.ms > env->accepted.ms || op->content.len > YOUNG_CONTENT_MAX ||
		env->recipient_count > YOUNG_RECIPIENTS_MAX)
		return OK;
	for (uint32_t i = 0; i < env->recipient_count; i++) {
		if (env->recipients[i].number != i + 1)
			return OK;
	}
	if (m || op->spooled_chunks > 0) {
		/* A known id is for the tables to refuse; chunks that have retired, for them to join. */
		if (m && !m->is_accepted && m->spooled_chunks == op->spooled_chunks)
			*out = WAY_YOUNG;
		return OK;
	}
	bool is_known = false;
	enum err err = OK;
	if (env->id <= e->young.last_id)
		err = message_exists(e, env->id, &is_known);
	if (!is_known)
		*out = WAY_YOUNG;
	return err;
}

static enum engine_way way_of_spool(struct sqlite_engine *e, const struct store_spool *op)
{
	struct young_message *m = young_find_message(&e->young, op->id);
	if (op->content.len > YOUNG_CONTENT_MAX)
		return m ? WAY_LAST : WAY_TABLE;
	if (!m)
		return op->chunk == 0 ? WAY_YOUNG : WAY_TABLE;
	return !m->is_accepted && m->spooled_chunks == op->chunk ? WAY_YOUNG : WAY_LAST;
}

static enum engine_way way_of_record(struct sqlite_engine *e, const struct store_record *op)
{
	/* An entry does not carry them; rare. */
	if (op->outage_count > 0)
		return op->id == 0 ? WAY_TABLE : WAY_LAST;
	/* Health that was appended must not come after what raises it. */
	if (op->success_count > 0)
		return WAY_LAST;
	if (op->id == 0)
		return op->result_count == 0 && op->attempt_count == 0 && op->notice_count == 0
			       ? WAY_YOUNG
			       : WAY_TABLE;
	struct young_message *m = young_find_message(&e->young, op->id);
	/* A message that nobody knows yet comes in this very batch. */
	if (!m)
		return op->id > e->young.last_id ? WAY_LAST : WAY_TABLE;
	if (op->notice_count > 0 || !m->is_accepted)
		return WAY_LAST;
	for (uint32_t i = 0; i < op->result_count; i++) {
		const struct store_result *r = &op->results[i];
		if (r->kind != RESULT_DELIVERED || r->attempt == 0 ||
			(m->waiting & bit_of(r->number)) == 0)
			return WAY_LAST;
	}
	return WAY_YOUNG;
}

enum err young_way(struct sqlite_engine *e, struct store_op *op, enum engine_way *out)
{
	enum err err = OK;
	if (op->kind == STORE_ACCEPT) {
		err = way_of_accept(e, CONTAINER_OF(op, struct store_accept, op), out);
	} else if (op->kind == STORE_RECORD) {
		*out = way_of_record(e, CONTAINER_OF(op, struct store_record, op));
	} else if (op->kind == STORE_SPOOL) {
		*out = way_of_spool(e, CONTAINER_OF(op, struct store_spool, op));
	} else if (op->kind == STORE_TELL) {
		*out = WAY_TABLE; /* what it is about was read from the tables */
	} else if (op->kind == STORE_SWEEP &&
		   CONTAINER_OF(op, struct store_sweep, op)->limit == 0) {
		*out = WAY_TABLE; /* it only moves pages */
	} else if (op->kind == STORE_PUT || op->kind == STORE_SHELF_PUT) {
		*out = WAY_TABLE; /* no mail in it */
	} else {
		*out = WAY_LAST;
	}
	/* Without room at the start some may be young, and no other becomes so. */
	if (*out == WAY_YOUNG && !e->young.is_on)
		*out = e->young.count > 0 ? WAY_LAST : WAY_TABLE;
	return err;
}

static struct journal_entry put_one(struct young *y, struct store_op *op)
{
	struct str content = STR("");
	enum entry_kind kind = ENTRY_RECORD;
	buf_clear(&y->scratch);
	if (op->kind == STORE_ACCEPT) {
		struct store_accept *accept = CONTAINER_OF(op, struct store_accept, op);
		kind = ENTRY_ACCEPT;
		content = accept->content;
		entry_put_accept(&y->scratch, accept->env, accept->spooled_chunks);
	} else if (op->kind == STORE_SPOOL) {
		struct store_spool *spool = CONTAINER_OF(op, struct store_spool, op);
		kind = ENTRY_SPOOL;
		content = spool->content;
		entry_put_spool(&y->scratch, spool->id, spool->chunk);
	} else {
		entry_put_record(&y->scratch, CONTAINER_OF(op, struct store_record, op));
	}
	return journal_add(&y->journal, kind, buf_str(&y->scratch), content);
}

/* The entries of the batch go to `at`, one for each operation whose err is OK. */
static void put_together(struct young *y, struct list *ops, struct journal_entry *at)
{
	journal_begin(&y->journal);
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (op->err == OK)
			*at++ = put_one(y, op);
	}
}

/* The id of a message that op brings, or a part of it; 0: op is a RECORD. */
static uint64_t coming_id(struct store_op *op)
{
	if (op->kind == STORE_ACCEPT)
		return CONTAINER_OF(op, struct store_accept, op)->env->id;
	return op->kind == STORE_SPOOL ? CONTAINER_OF(op, struct store_spool, op)->id : 0;
}

static struct young_message *message_of(struct young *y, struct store_op *op)
{
	return young_find_message(y, op->kind == STORE_RECORD
					     ? CONTAINER_OF(op, struct store_record, op)->id
					     : coming_id(op));
}

/* New messages become known before they are written: one id may come twice in a batch. And what retires to make room must
 * not take a message along that the batch is about. */
static void meet(struct young *y, struct list *ops)
{
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		if (op->err != OK)
			continue;
		struct young_message *m = message_of(y, op);
		if (!m && coming_id(op))
			m = young_add_message(y, coming_id(op));
		else if (m && coming_id(op) && (m->is_accepted || m->entry_count == 0))
			op->err = ERR_EXISTS;
		if (m && op->err == OK)
			m->pin_count++;
	}
}

/* What was met and not written. */
static void part_again(struct young *y, struct list *ops)
{
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		struct young_message *m = op->err == OK ? message_of(y, op) : NULL;
		if (m && --m->pin_count == 0 && m->entry_count == 0)
			drop_message(y, m);
	}
}

static void remember_one(struct young *y, struct store_op *op, const struct journal_entry *at)
{
	struct store_record *record = CONTAINER_OF(op, struct store_record, op);
	bool is_record = op->kind == STORE_RECORD;
	struct young_message *m = message_of(y, op);
	if (m)
		m->pin_count--;
	if (is_record) {
		record->applied_count = m ? young_note_delivered(m, record) : 0;
		record->is_finished = m && young_is_delivered(m);
	} else {
		CHECK(m != NULL); /* it was met */
		if (op->kind == STORE_ACCEPT)
			young_note_accepted(
				m, CONTAINER_OF(op, struct store_accept, op)->env->recipient_count);
	}
	young_add_entry(y, at, m);
}

/* When the journal has no room left the oldest retire, as many as it takes. */
static enum err write_batch(
	struct sqlite_engine *e, struct list *ops, struct journal_entry *at, uint32_t count)
{
	struct young *y = &e->young;
	enum err err = OK;
	put_together(y, ops, at);
	while (!journal_place(&y->journal, oldest(y), at, count)) {
		if (y->count == 0)
			return ERR_NO_SPACE; /* larger than the journal */
		err = young_retire(e, RETIRE_FOR_ROOM);
		if (err != OK)
			return err;
	}
	err = journal_write(&y->journal);
	return err == OK || err == ERR_NO_SPACE ? err : ERR_IO;
}

enum err young_append(struct sqlite_engine *e, struct list *ops)
{
	uint32_t count = 0;
	meet(&e->young, ops);
	LIST_FOR_EACH (link, ops)
		count += CONTAINER_OF(link, struct store_op, link)->err == OK;
	if (count == 0)
		return OK;
	struct journal_entry *at = mem_array(count, sizeof(*at));
	enum err err = write_batch(e, ops, at, count);
	if (err == OK) {
		const struct journal_entry *next = at;
		LIST_FOR_EACH (link, ops) {
			struct store_op *op = CONTAINER_OF(link, struct store_op, link);
			if (op->err == OK)
				remember_one(&e->young, op, next++);
		}
	} else {
		part_again(&e->young, ops);
	}
	free(at);
	return err;
}

/* ---- reading ---- */

enum err young_fetch(struct sqlite_engine *e, struct store_fetch *op, bool *is_found)
{
	struct young_message *m = young_find_message(&e->young, op->id);
	*is_found = false;
	if (!m || !m->is_accepted)
		return OK;
	LIST_FOR_EACH (link, &m->parts) {
		struct young_entry *part = CONTAINER_OF(link, struct young_entry, of_message);
		size_t len = (size_t)part->at.content_bytes;
		if (part->chunk != op->chunk || (len == 0 && op->chunk > 0))
			continue;
		*is_found = true;
		if (young_is_delivered(m))
			return ERR_NOT_FOUND;
		char *octets = arena_alloc(&op->op.arena, len + 1);
		op->content = str_of(octets, len);
		return journal_read_into(
			&e->young.journal, part->at.at + part->at.head_bytes, len, octets);
	}
	return OK;
}
