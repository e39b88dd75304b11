/* young - see young.h. */
#include "young.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "entry.h"
#include "octets.h"
#include "sqlite_engine.h"

#define STATE_NAME STR("journal")
#define HEAD_BYTES_MAX ((size_t)64 << 20)

enum { STATE_CLOSED, STATE_OPEN };
enum { RETIRE_FOR_ROOM = 32 };

struct young_message {
	struct map_entry by_id;
	uint64_t id;
	bool is_accepted;        /* else only chunks of it have come */
	bool has_stored;         /* some chunk of it may be in the tables */
	bool is_history;         /* its rows are in the tables with all that the records say */
	uint32_t spooled_chunks; /* that have come, from 0 on */
	uint64_t waiting;        /* bits of recipients that are not delivered, by number - 1 */
	struct list parts;       /* of its content: young_entry.of_message */
	struct list records;     /* the same */
	uint32_t entry_count;
};

struct young_entry {
	struct list link;
	struct list of_message; /* a part or a record of message */
	struct journal_entry at;
	uint32_t chunk;                /* of a part */
	struct young_message *message; /* NULL: none, or not young */
};

/* ---- the state in the tables ---- */

static enum err load_state(struct sqlite_engine *e, bool *is_open)
{
	struct query q = sql_prepare(&e->sql, SQL_META_GET);
	bind_text(&q, STATE_NAME);
	*is_open = false;
	if (sql_next(&q)) {
		struct octets in = { .rest = get_blob(&q, &e->scratch) };
		e->young.retired = take_u64(&in);
		*is_open = take_below(&in, STATE_OPEN + 1) == STATE_OPEN;
		if (in.is_bad)
			e->young.retired = 0;
	}
	return sql_done(&q);
}

static enum err save_state(struct sqlite_engine *e, uint64_t retired, uint32_t state)
{
	char octets[12];
	set_u64(octets, retired);
	set_u32(octets + 8, state);
	struct query q = sql_prepare(&e->sql, SQL_META_PUT);
	bind_text(&q, STATE_NAME);
	bind_blob(&q, str_of(octets, sizeof(octets)));
	return sql_run(&q);
}

/* In a transaction of its own. */
static enum err tell_state(struct sqlite_engine *e, uint32_t state)
{
	enum err err = engine_transaction_begin(e);
	if (err == OK)
		err = save_state(e, e->young.retired, state);
	return engine_transaction_end(e, err);
}

/* ---- entries in memory ---- */

static struct young_message *find_message(struct young *y, uint64_t id)
{
	struct map_entry *found = map_find(&y->messages, map_key_u64(&id));
	return found ? CONTAINER_OF(found, struct young_message, by_id) : NULL;
}

static struct young_message *add_message(struct young *y, uint64_t id)
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

static void note_accepted(struct young_message *m, uint32_t recipient_count)
{
	m->is_accepted = true;
	m->waiting = recipient_count == 64 ? UINT64_MAX : (UINT64_C(1) << recipient_count) - 1;
}

static bool is_delivered(const struct young_message *m)
{
	return m->is_accepted && m->waiting == 0;
}

static void add_entry(struct young *y, const struct journal_entry *at, struct young_message *m)
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

static void forget_places(struct young *y);

static void drop_entry(struct young *y, struct young_entry *entry)
{
	struct young_message *m = entry->message;
	list_remove(&entry->link);
	list_remove(&entry->of_message);
	y->count--;
	if (m && --m->entry_count == 0)
		drop_message(y, m);
	free(entry);
}

static struct young_entry *first_entry(struct young *y)
{
	return list_is_empty(&y->entries) ? NULL
					  : CONTAINER_OF(y->entries.next, struct young_entry, link);
}

static const struct journal_entry *oldest(struct young *y)
{
	struct young_entry *first = first_entry(y);
	return first ? &first->at : NULL;
}

static uint64_t bit_of(uint32_t number)
{
	return number >= 1 && number <= YOUNG_RECIPIENTS_MAX ? UINT64_C(1) << (number - 1) : 0;
}

/* Recipients that the record delivers; returns how many were not delivered before. */
static uint32_t note_delivered(struct young_message *m, const struct store_record *op)
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
	while ((entry = first_entry(y)))
		drop_entry(y, entry);
	forget_places(y);
	map_fini(&y->places);
	map_fini(&y->messages);
	buf_fini(&y->scratch);
	journal_close(&y->journal);
}

/* ---- opening ---- */

static enum err take_in_accept(struct sqlite_engine *e, struct str head, struct young_message **out)
{
	struct envelope env;
	uint32_t spooled_chunks;
	enum err err = entry_take_accept(head, &e->scratch, &env, &spooled_chunks);
	if (err != OK)
		return err;
	struct young_message *m = find_message(&e->young, env.id);
	if (env.recipient_count > YOUNG_RECIPIENTS_MAX || (m && m->is_accepted))
		return ERR_CORRUPT;
	if (!m)
		m = add_message(&e->young, env.id);
	m->has_stored = m->has_stored || spooled_chunks > m->spooled_chunks;
	m->spooled_chunks = spooled_chunks;
	note_accepted(m, env.recipient_count);
	*out = m;
	return OK;
}

static enum err take_in_spool(struct sqlite_engine *e, struct str head, struct young_message **out)
{
	uint64_t id;
	uint32_t chunk;
	enum err err = entry_take_spool(head, &id, &chunk);
	if (err != OK)
		return err;
	struct young_message *m = find_message(&e->young, id);
	if (!m)
		m = add_message(&e->young, id);
	/* Chunks before the first that is still young have retired. */
	m->has_stored = m->has_stored || chunk > m->spooled_chunks;
	m->spooled_chunks = chunk;
	*out = m;
	return OK;
}

static enum err take_in(void *context, const struct journal_entry *at, struct str head)
{
	struct sqlite_engine *e = context;
	struct young_message *m = NULL;
	struct store_record op;
	enum err err = ERR_CORRUPT;
	arena_fini(&e->scratch);
	switch (at->kind) {
	case ENTRY_ACCEPT:
		err = take_in_accept(e, head, &m);
		break;
	case ENTRY_SPOOL:
		err = take_in_spool(e, head, &m);
		break;
	case ENTRY_RECORD:
		err = entry_take_record(head, &e->scratch, &op);
		m = err == OK && op.id != 0 ? find_message(&e->young, op.id) : NULL;
		if (m)
			(void)note_delivered(m, &op);
		break;
	default:
		break;
	}
	if (err == OK)
		add_entry(&e->young, at, m);
	return err;
}

static char *journal_path(const struct sqlite_engine *e)
{
	static const char suffix[] = ".journal"; /* queue.db-journal would be SQLite's own */
	size_t len = strlen(e->path);
	char *path = mem_alloc(len + sizeof(suffix));
	memcpy(path, e->path, len);
	memcpy(path + len, suffix, sizeof(suffix));
	return path;
}

static enum err explain(struct sqlite_engine *e, bool is_missing, struct buf *message)
{
	buf_printf(message,
		is_missing
			? "%s.journal is missing: it holds mail that was taken shortly before "
			  "the last end. Restore it; or, to go on without that mail, make an "
			  "empty file of that name"
			: "%s.journal is damaged: it holds mail that was taken shortly before "
			  "the last end. It has not been changed. Restore it, or save what can be "
			  "read with: outlast salvage",
		e->path);
	return ERR_CORRUPT;
}

/* What was there retires at once: the journal begins empty. On a full disk it stays young. */
static enum err retire_all(struct sqlite_engine *e)
{
	enum err err = OK;
	while (err == OK && e->young.count > 0)
		err = young_retire(e, YOUNG_SLICE);
	return err == ERR_NO_SPACE ? OK : err;
}

static enum err sweep_spool(struct sqlite_engine *e)
{
	enum err err = engine_transaction_begin(e);
	if (err == OK)
		err = spool_sweep(e);
	return engine_transaction_end(e, err);
}

static enum err start(struct sqlite_engine *e, bool has_room)
{
	struct store_stats stats = { 0 };
	enum err err = retire_all(e);
	if (err == OK)
		err = read_stats(e, &stats);
	arena_fini(&stats.op.arena);
	if (stats.last_id > e->young.last_id)
		e->young.last_id = stats.last_id;
	e->young.is_on = has_room && e->young.count == 0;
	/* Chunks without a message: only now, when every message is in the tables. */
	if (err == OK && e->young.count == 0)
		err = sweep_spool(e);
	if (err == OK && e->young.count == 0)
		err = tell_state(e, e->young.is_on ? STATE_OPEN : STATE_CLOSED);
	return err == ERR_NO_SPACE ? OK : err;
}

enum err young_open(struct sqlite_engine *e, const char *vfs, uint64_t size_bytes, bool is_readonly,
	struct buf *message)
{
	struct young *y = &e->young;
	bool was_open = false;
	char *path = journal_path(e);
	bool is_there = access(path, F_OK) == 0;
	bool is_wanted = size_bytes >= JOURNAL_BYTES_MIN && !is_readonly;
	enum err err = load_state(e, &was_open);
	if (err == OK && !is_there && was_open)
		err = explain(e, true, message);
	if (err != OK || (!is_there && !is_wanted)) {
		free(path);
		return err == OK && !is_readonly ? start(e, false) : err;
	}
	if (!is_there) {
		/* Made here for its mode, which SQLite would take from the umask. */
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0)
			close(fd);
	}
	err = journal_open(&y->journal, path, vfs, size_bytes, !is_wanted);
	free(path);
	bool has_room = is_wanted && err == OK;
	if (err == OK || err == ERR_NO_SPACE)
		err = journal_replay(&y->journal, y->retired, take_in, e);
	if (err == ERR_CORRUPT)
		return explain(e, false, message);
	return err == OK && !is_readonly ? start(e, has_room) : err;
}

/* ---- appending ---- */

static enum err way_of_accept(
	struct sqlite_engine *e, const struct store_accept *op, enum engine_way *out)
{
	const struct envelope *env = op->env;
	struct young_message *m = find_message(&e->young, env->id);
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
	struct young_message *m = find_message(&e->young, op->id);
	if (op->content.len > YOUNG_CONTENT_MAX)
		return m ? WAY_LAST : WAY_TABLE;
	if (!m)
		return op->chunk == 0 ? WAY_YOUNG : WAY_TABLE;
	return !m->is_accepted && m->spooled_chunks == op->chunk ? WAY_YOUNG : WAY_LAST;
}

static enum engine_way way_of_record(struct sqlite_engine *e, const struct store_record *op)
{
	if (op->id == 0)
		return op->result_count == 0 && op->attempt_count == 0 && op->notice_count == 0
			       ? WAY_YOUNG
			       : WAY_TABLE;
	struct young_message *m = find_message(&e->young, op->id);
	if (!m)
		return WAY_TABLE;
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
	} else {
		*out = WAY_LAST;
	}
	if (*out == WAY_YOUNG && !e->young.is_on)
		*out = WAY_TABLE;
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

/* New messages become known before they are written: one id may come twice in a batch. */
static void meet(struct young *y, struct list *ops)
{
	LIST_FOR_EACH (link, ops) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);
		uint64_t id = op->err == OK ? coming_id(op) : 0;
		if (id == 0)
			continue;
		struct young_message *m = find_message(y, id);
		if (!m)
			m = add_message(y, id);
		else if (m->is_accepted || m->entry_count == 0)
			op->err = ERR_EXISTS;
	}
}

/* What was met and not written. */
static void part_again(struct young *y, struct list *ops)
{
	LIST_FOR_EACH (link, ops) {
		uint64_t id = coming_id(CONTAINER_OF(link, struct store_op, link));
		struct young_message *m = id ? find_message(y, id) : NULL;
		if (m && m->entry_count == 0)
			drop_message(y, m);
	}
}

static void remember_one(struct young *y, struct store_op *op, const struct journal_entry *at)
{
	struct store_record *record = CONTAINER_OF(op, struct store_record, op);
	bool is_record = op->kind == STORE_RECORD;
	struct young_message *m = find_message(y, is_record ? record->id : coming_id(op));
	if (is_record) {
		record->applied_count = m ? note_delivered(m, record) : 0;
		record->is_finished = m && is_delivered(m);
	} else {
		CHECK(m != NULL); /* it was met */
		if (op->kind == STORE_ACCEPT)
			note_accepted(
				m, CONTAINER_OF(op, struct store_accept, op)->env->recipient_count);
	}
	add_entry(y, at, m);
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
	buf_init(&place->key, HEAD_BYTES_MAX);
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

static void forget_places(struct young *y)
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

static enum err read_head(struct sqlite_engine *e, const struct young_entry *entry)
{
	return journal_read(
		&e->young.journal, entry->at.at, entry->at.head_bytes, &e->young.scratch);
}

static enum err read_record(
	struct sqlite_engine *e, const struct young_entry *entry, struct store_record *out)
{
	struct buf octets;
	buf_init(&octets, HEAD_BYTES_MAX);
	enum err err = journal_read(&e->young.journal, entry->at.at, entry->at.head_bytes, &octets);
	if (err == OK)
		err = entry_take_record(arena_dup(&e->scratch, buf_str(&octets)), &e->scratch, out);
	buf_fini(&octets);
	return err;
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
	uint32_t spooled_chunks;
	enum err err = read_head(e, entry);
	if (err == OK)
		err = entry_take_accept(arena_dup(&e->scratch, buf_str(&e->young.scratch)),
			&e->scratch, &env, &spooled_chunks);
	if (err != OK)
		return err;
	if (is_delivered(m)) {
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
	if (is_delivered(m) || (!m->is_accepted && !e->young.is_on))
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
		if (err != OK || (limit > 0 && count == limit))
			break;
		struct young_entry *entry = CONTAINER_OF(link, struct young_entry, link);
		last = entry->at.number;
		err = retire_one(e, entry);
		count++;
	}
	if (err == OK)
		err = save_state(e, last, STATE_OPEN);
	err = engine_transaction_end(e, err);
	if (err != OK) {
		forget_history(y, last);
		/* What the journal holds was checked when it was taken. */
		return err == ERR_NO_SPACE || err == ERR_IO ? err : ERR_CORRUPT;
	}
	y->retired = last;
	while (count-- > 0)
		drop_entry(y, first_entry(y));
	if (y->count == 0) {
		forget_places(y);
		journal_rewind(&y->journal);
	}
	return OK;
}

void young_close(struct sqlite_engine *e)
{
	if (e->young.journal.file && retire_all(e) == OK && e->young.count == 0)
		(void)tell_state(e, STATE_CLOSED);
}

/* ---- reading ---- */

enum err young_fetch(struct sqlite_engine *e, struct store_fetch *op, bool *is_found)
{
	struct young_message *m = find_message(&e->young, op->id);
	*is_found = false;
	if (!m || !m->is_accepted)
		return OK;
	LIST_FOR_EACH (link, &m->parts) {
		struct young_entry *part = CONTAINER_OF(link, struct young_entry, of_message);
		size_t len = (size_t)part->at.content_bytes;
		if (part->chunk != op->chunk || (len == 0 && op->chunk > 0))
			continue;
		*is_found = true;
		if (is_delivered(m))
			return ERR_NOT_FOUND;
		char *octets = arena_alloc(&op->op.arena, len + 1);
		op->content = str_of(octets, len);
		return journal_read_into(
			&e->young.journal, part->at.at + part->at.head_bytes, len, octets);
	}
	return OK;
}
