/* young_open - the journal at start and end: what it still holds is taken in, and the tables say how far they are. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "octets.h"
#include "young_private.h"

#define STATE_NAME STR("journal")

static enum err load_state(struct sqlite_engine *e, bool *is_open)
{
	bool is_bad = false;
	struct query q = sql_prepare(&e->sql, SQL_META_GET);
	bind_text(&q, STATE_NAME);
	*is_open = false;
	if (sql_next(&q)) {
		struct octets in = { .rest = get_blob(&q, &e->scratch) };
		e->young.retired = take_u64(&in);
		*is_open = take_below(&in, STATE_OPEN + 1) == STATE_OPEN;
		is_bad = in.is_bad;
	}
	enum err err = sql_done(&q);
	return err == OK && is_bad ? ERR_CORRUPT : err;
}

enum err young_save_state(struct sqlite_engine *e, uint64_t retired, uint32_t state)
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
		err = young_save_state(e, e->young.retired, state);
	return engine_transaction_end(e, err);
}

static enum err take_in_accept(struct sqlite_engine *e, struct str head, struct young_message **out)
{
	struct envelope env;
	uint32_t spooled_chunks;
	enum err err = entry_take_accept(head, &e->scratch, &env, &spooled_chunks);
	if (err != OK)
		return err;
	struct young_message *m = young_find_message(&e->young, env.id);
	if (env.recipient_count > YOUNG_RECIPIENTS_MAX || (m && m->is_accepted))
		return ERR_CORRUPT;
	if (!m)
		m = young_add_message(&e->young, env.id);
	m->has_stored = m->has_stored || spooled_chunks > m->spooled_chunks;
	m->spooled_chunks = spooled_chunks;
	young_note_accepted(m, env.recipient_count);
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
	struct young_message *m = young_find_message(&e->young, id);
	if (!m)
		m = young_add_message(&e->young, id);
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
		m = err == OK && op.id != 0 ? young_find_message(&e->young, op.id) : NULL;
		if (m)
			(void)young_note_delivered(m, &op);
		break;
	default:
		break;
	}
	if (err == OK)
		young_add_entry(&e->young, at, m);
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

void young_close(struct sqlite_engine *e)
{
	if (e->young.journal.file && retire_all(e) == OK && e->young.count == 0)
		(void)tell_state(e, STATE_CLOSED);
}
