/*
 * salvage - saves what can be read of a damaged queue: one .eml and one .json for each message.
 *
 * The queue is opened read-only and never changed. Ids are gathered from every table that knows
 * them, each walked from both ends and, past a damaged page, on by growing leaps: an id that any
 * table still shows is tried. For each id every part stands alone: content without envelope is
 * saved, and the other way round. What the tables do not have is looked for in the journal; who they do not know to be
 * delivered, too. Where the tables cannot tell how far the journal is settled, all of it counts: better saved
 * twice than not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "directory.h"
#include "mail/queue_id.h"
#include "octets.h"
#include "row.h"
#include "salvage_journal.h"
#include "sql.h"
#include "store/store_sqlite.h"

/* A damaged file is not migrated: one of an older version is read as it is (schema step 3). */
#define OLDER_MESSAGE "SELECT " MESSAGE_COLUMNS_WITH("0", "0", "0") " FROM message AS m WHERE m.id=?1"
#define OLDER_RECIPIENTS                                                                           \
	"SELECT " RECIPIENT_COLUMNS_WITH("0", "0")                                                 \
	" FROM recipient AS r JOIN hop AS h ON h.id = r.hop WHERE r.message=?1 ORDER BY r.number"

enum { JSON_MAX_BYTES = 64 << 20, IDS_STEP = 1024 };

struct salvage {
	struct sql sql;
	struct salvage_journal journal;
	int out_fd;
	uint64_t *ids;
	size_t id_count, id_cap;
	uint64_t message_count, damaged_count;
	struct buf *message;
};

static enum err open_damaged(struct salvage *s, const struct directory *d);
static enum err save_all(struct salvage *s, struct str out_dir);
static enum err gather(struct salvage *s);
static uint64_t read_settled(struct salvage *s);
static bool walk(struct salvage *s, const char *up, const char *down);
static bool walk_from(
	struct salvage *s, const char *text, uint64_t bound, uint64_t stop, uint64_t *last);
static void add_id(struct salvage *s, uint64_t id);
static void sort_ids(struct salvage *s);
static int compare_ids(const void *a, const void *b);
static enum err save_message(struct salvage *s, uint64_t id);
static enum err save_content(
	struct salvage *s, uint64_t id, uint32_t chunks, bool *is_whole, bool *is_any);
static bool fetch_chunk(
	struct salvage *s, uint64_t id, uint32_t chunk, struct arena *arena, struct str *out);
static bool load_envelope(
	struct salvage *s, uint64_t id, struct arena *arena, struct queued_message *out);
static struct query prepare_of(struct salvage *s, enum sql_id id, struct str older);
static enum err save_envelope(struct salvage *s, uint64_t id, const struct queued_message *message,
	bool has_envelope, bool is_whole);
static void append_recipient(struct buf *json, const struct queued_recipient *r);
static void append_text(struct buf *json, const char *key, struct str value);
static void append_time(struct buf *json, const char *key, struct wall t);
static int create(struct salvage *s, uint64_t id, const char *suffix);
static enum err write_out(struct salvage *s, int fd, struct str data);
static enum err fail(struct salvage *s, const char *what);

enum err store_salvage(struct str directory, struct str out_dir, uint64_t *message_count,
	uint64_t *damaged_count, struct buf *message)
{
	struct salvage s = { .out_fd = -1, .message = message };
	struct directory d;
	enum err err = directory_open(&d, directory, false, message);
	if (err != OK)
		return err;
	err = open_damaged(&s, &d);
	if (err == OK)
		err = save_all(&s, out_dir);
	salvage_journal_close(&s.journal);
	sql_fini(&s.sql);
	sqlite3_close(s.sql.db);
	directory_close(&d);
	free(s.ids);
	if (s.out_fd >= 0)
		close(s.out_fd);
	*message_count = s.message_count;
	*damaged_count = s.damaged_count;
	return err;
}

static enum err open_damaged(struct salvage *s, const struct directory *d)
{
	int is_on = 0;
	char *path = directory_file(d, "queue.db");
	enum err err = access(path, R_OK) == 0 ? OK : fail(s, path);
	if (err == OK && sqlite3_open_v2(path, &s->sql.db,
				 SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
		buf_printf(s->message, "%s: %s", path, sqlite3_errmsg(s->sql.db));
		err = ERR_CORRUPT;
	}
	if (err == OK) {
		sqlite3_db_config(s->sql.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &is_on);
		sqlite3_db_config(s->sql.db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &is_on);
		err = sql_exec(&s->sql,
			"PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA query_only=ON");
		if (err != OK)
			buf_printf(s->message, "%s: %s", path, sqlite3_errmsg(s->sql.db));
	}
	if (err == OK)
		salvage_journal_open(&s->journal, path, read_settled(s));
	free(path);
	return err;
}

/* 0: the tables do not tell. */
static uint64_t read_settled(struct salvage *s)
{
	struct arena arena = { 0 };
	struct octets in = { .is_bad = true };
	struct query q = sql_prepare(&s->sql, SQL_META_GET);
	bind_text(&q, STR("journal"));
	if (sql_next(&q))
		in = (struct octets){ .rest = get_blob(&q, &arena) };
	uint64_t settled = take_u64(&in);
	if (sql_done(&q) != OK || in.is_bad)
		settled = 0;
	arena_fini(&arena);
	return settled;
}

static enum err save_all(struct salvage *s, struct str out_dir)
{
	char *path = mem_alloc(out_dir.len + 1);
	memcpy(path, out_dir.data, out_dir.len);
	path[out_dir.len] = '\0';
	enum err err = gather(s);
	if (err == OK && mkdir(path, 0700) != 0 && errno != EEXIST)
		err = fail(s, path);
	if (err == OK) {
		s->out_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = s->out_fd >= 0 ? OK : fail(s, path);
	}
	for (size_t i = 0; err == OK && i < s->id_count; i++)
		err = save_message(s, s->ids[i]);
	free(path);
	return err;
}

/* gather - Errors: ERR_CORRUPT when no table at all can be read, and the journal has nothing. */
static enum err gather(struct salvage *s)
{
	static const char *const walks[][2] = {
		{ "SELECT id FROM message NOT INDEXED WHERE finished = 0 AND id >= ? ORDER BY id",
			"SELECT id FROM message NOT INDEXED WHERE finished = 0 AND id <= ? ORDER "
			"BY id DESC" },
		{ "SELECT id FROM message INDEXED BY message_queued WHERE finished = 0 AND id >= ? "
		  "ORDER BY id",
			"SELECT id FROM message INDEXED BY message_queued WHERE finished = 0 AND "
			"id <= ?"
			" ORDER BY id DESC" },
		{ "SELECT id FROM content WHERE id >= ? ORDER BY id",
			"SELECT id FROM content WHERE id <= ? ORDER BY id DESC" },
		{ "SELECT message FROM recipient WHERE +state <= 3 AND message >= ? ORDER BY "
		  "message",
			"SELECT message FROM recipient WHERE +state <= 3 AND message <= ? ORDER BY "
			"message DESC" },
	};
	unsigned readable = 0;
	for (size_t i = 0; i < ARRAY_COUNT(walks); i++)
		readable += walk(s, walks[i][0], walks[i][1]);
	for (uint64_t id = 0; (id = salvage_journal_next_id(&s->journal, id)) != 0;)
		add_id(s, id);
	sort_ids(s);
	if (readable > 0 || s->id_count > 0)
		return OK;
	buf_printf(s->message, "no table of the queue can be read: %s", sqlite3_errmsg(s->sql.db));
	return ERR_CORRUPT;
}

/*
 * walk - upwards; where that breaks, seeks further up by leaps that double until a seek works,
 * takes what lies below that point by walking down to the break, and goes on. False when nothing
 * could be read.
 */
static bool walk(struct salvage *s, const char *up, const char *down)
{
	uint64_t from = 1, last = 0;
	bool is_any = false;
	for (;;) {
		if (walk_from(s, up, from, INT64_MAX, &last))
			return true;
		is_any |= last != 0;
		uint64_t broken = last > from ? last : from, at = broken, leap = 1, ignored;
		do {
			if (leap > INT64_MAX / 2 - at) {
				/* Nothing seeks from below any more: the upper end, from above. */
				(void)walk_from(s, down, INT64_MAX, broken, &last);
				return is_any || last != 0;
			}
			at += leap;
			leap *= 2;
			last = 0;
		} while (!walk_from(s, up, at, at, &last) && last == 0);
		(void)walk_from(s, down, at, broken, &ignored);
		from = at;
	}
}

/* walk_from - ids from bound until stop (reached: true); false when it broke. *last: the last id
 * read, 0 for none. */
static bool walk_from(
	struct salvage *s, const char *text, uint64_t bound, uint64_t stop, uint64_t *last)
{
	struct query q = sql_prepare_text(&s->sql, str_from_c(text));
	bool is_up = stop >= bound;
	*last = 0;
	bind_u64(&q, bound);
	while (sql_next(&q)) {
		uint64_t id = get_u64(&q);
		if (id != *last)
			add_id(s, id);
		*last = id;
		if (is_up ? id >= stop : id <= stop)
			break;
	}
	return sql_done(&q) == OK;
}

static void add_id(struct salvage *s, uint64_t id)
{
	if (id == 0)
		return;
	if (s->id_count == s->id_cap) {
		s->id_cap += s->id_cap + IDS_STEP;
		s->ids = mem_realloc(s->ids, s->id_cap * sizeof(*s->ids));
	}
	s->ids[s->id_count++] = id;
}

static void sort_ids(struct salvage *s)
{
	size_t kept = 0;
	if (s->id_count > 0)
		qsort(s->ids, s->id_count, sizeof(*s->ids), compare_ids);
	for (size_t i = 0; i < s->id_count; i++) {
		if (kept == 0 || s->ids[kept - 1] != s->ids[i])
			s->ids[kept++] = s->ids[i];
	}
	s->id_count = kept;
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static enum err save_message(struct salvage *s, uint64_t id)
{
	struct arena arena = { 0 };
	struct queued_message message = { 0 };
	bool is_whole = true, is_any = false;
	bool has_envelope = load_envelope(s, id, &arena, &message);
	struct queued_message young;
	bool is_finished = has_envelope && message.finished.ms > 0;
	if (!has_envelope && salvage_journal_message(&s->journal, id, &arena, &young)) {
		has_envelope = true;
		message = young;
	}
	is_finished |= has_envelope && salvage_journal_deliver(&s->journal, id, &arena, &message);
	enum err err = OK;
	if (!is_finished)
		err = save_content(s, id, message.chunk_count, &is_whole, &is_any);
	if (err == OK && !is_finished && (is_any || has_envelope || message.recipient_count > 0)) {
		err = save_envelope(s, id, &message, has_envelope, is_whole);
		s->message_count += err == OK;
		s->damaged_count += !is_whole || !has_envelope;
	}
	arena_fini(&arena);
	return err;
}

static enum err save_content(
	struct salvage *s, uint64_t id, uint32_t chunks, bool *is_whole, bool *is_any)
{
	enum err err = OK;
	int fd = -1;
	/* Without an envelope nobody says how many chunks there are: take them while they come. */
	for (uint32_t chunk = 0; err == OK && (chunks == 0 || chunk < chunks); chunk++) {
		struct arena arena = { 0 };
		struct str data = { 0 };
		bool is_there = fetch_chunk(s, id, chunk, &arena, &data);
		if (is_there && fd < 0) {
			fd = create(s, id, "eml");
			err = fd >= 0 ? OK : fail(s, "cannot write a message");
		}
		if (is_there && err == OK)
			err = write_out(s, fd, data);
		*is_any |= is_there;
		arena_fini(&arena);
		if (!is_there) {
			*is_whole = chunks == 0 && chunk > 0;
			break;
		}
	}
	if (fd >= 0 && close(fd) != 0 && err == OK)
		err = fail(s, "cannot write a message");
	return err;
}

static bool fetch_chunk(
	struct salvage *s, uint64_t id, uint32_t chunk, struct arena *arena, struct str *out)
{
	bool is_found = false;
	struct query q = sql_prepare(&s->sql, chunk == 0 ? SQL_CONTENT_FETCH : SQL_CHUNK_FETCH);
	bind_u64(&q, id);
	if (chunk > 0)
		bind_u64(&q, chunk);
	if (sql_next(&q)) {
		is_found = true;
		*out = get_blob(&q, arena);
	}
	bool is_read = sql_done(&q) == OK && is_found;
	return is_read || salvage_journal_chunk(&s->journal, id, chunk, arena, out);
}

/* load_envelope - false when the message's own row cannot be read; recipients are taken as far
 * as they go. */
static bool load_envelope(
	struct salvage *s, uint64_t id, struct arena *arena, struct queued_message *out)
{
	bool is_found = false;
	uint32_t cap = 0;
	struct query q = prepare_of(s, SQL_MESSAGE_GET, STR(OLDER_MESSAGE));
	bind_u64(&q, id);
	if (sql_next(&q)) {
		is_found = true;
		get_message(&q, arena, out);
	}
	bool is_read = sql_done(&q) == OK && is_found;
	if (!is_read)
		*out = (struct queued_message){ 0 };
	q = prepare_of(s, SQL_RECIPIENT_OF_MESSAGE, STR(OLDER_RECIPIENTS));
	bind_u64(&q, id);
	while (sql_next(&q))
		get_recipient(&q, arena, recipients_add(arena, out, &cap));
	return sql_done(&q) == OK && is_read;
}

static struct query prepare_of(struct salvage *s, enum sql_id id, struct str older)
{
	struct query q = sql_prepare(&s->sql, id);
	return q.stmt ? q : sql_prepare_text(&s->sql, older);
}

static enum err save_envelope(struct salvage *s, uint64_t id, const struct queued_message *message,
	bool has_envelope, bool is_whole)
{
	struct buf json;
	const struct envelope *env = &message->env;
	buf_init(&json, JSON_MAX_BYTES);
	buf_printf(&json, "{\"id\":\"%s\",\"envelope_complete\":%s,\"content_complete\":%s",
		queue_id_format(id).text, has_envelope ? "true" : "false",
		is_whole ? "true" : "false");
	append_time(&json, "accepted", has_envelope ? env->accepted : queue_id_time(id));
	append_text(&json, "from", env->reverse_path);
	append_text(&json, "envid", env->envid);
	append_text(&json, "user", env->user);
	append_text(&json, "client", env->client);
	append_text(&json, "helo", env->helo);
	append_text(&json, "message_id", env->message_id);
	buf_printf(&json,
		",\"priority\":%d,\"size\":%llu,\"smtputf8\":%s,\"body\":\"%s\",\"ret\":\"%s\"",
		env->priority, (unsigned long long)env->size_bytes,
		env->is_smtputf8 ? "true" : "false",
		env->body == BODY_8BITMIME ? "8BITMIME" : "7BIT",
		env->ret == RET_FULL   ? "FULL"
		: env->ret == RET_HDRS ? "HDRS"
				       : "");
	buf_append_str(&json, STR(",\"recipients\":["));
	for (uint32_t i = 0; i < message->recipient_count; i++) {
		buf_append_str(&json, i > 0 ? STR(",") : STR(""));
		append_recipient(&json, &message->recipients[i]);
	}
	buf_append_str(&json, STR("]}\n"));
	int fd = create(s, id, "json");
	enum err err = fd >= 0 && !json.is_full ? write_out(s, fd, buf_str(&json))
						: fail(s, "cannot write an envelope");
	if (fd >= 0 && close(fd) != 0 && err == OK)
		err = fail(s, "cannot write an envelope");
	buf_fini(&json);
	return err;
}

static void append_recipient(struct buf *json, const struct queued_recipient *r)
{
	static const char *const names[RECIPIENT_STATE_COUNT] = { "ready", "waiting", "held",
		"quarantined", "failed", "delivered", "deleted" };
	buf_printf(json, "{\"number\":%u,\"state\":\"%s\",\"attempts\":%u,\"notify\":%u",
		r->rcpt.number, names[r->state], r->attempts, r->rcpt.notify);
	append_text(json, "to", r->rcpt.address);
	append_text(json, "next_hop", r->rcpt.hop);
	append_text(json, "orcpt", r->rcpt.orcpt);
	append_text(json, "reply", r->text);
	buf_append_char(json, '}');
}

static void append_text(struct buf *json, const char *key, struct str value)
{
	buf_printf(json, ",\"%s\":", key);
	buf_append_json(json, value);
}

static void append_time(struct buf *json, const char *key, struct wall t)
{
	buf_printf(json, ",\"%s\":\"", key);
	instant_format_iso(json, t);
	buf_append_char(json, '"');
}

static int create(struct salvage *s, uint64_t id, const char *suffix)
{
	struct buf name;
	buf_init(&name, 64);
	buf_printf(&name, "%s.%s", queue_id_format(id).text, suffix);
	int fd = openat(s->out_fd, buf_cstr(&name),
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	buf_fini(&name);
	return fd;
}

static enum err write_out(struct salvage *s, int fd, struct str data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(s, "cannot write");
		data = str_slice(data, (size_t)n, data.len);
	}
	return OK;
}

static enum err fail(struct salvage *s, const char *what)
{
	int number = errno;
	buf_printf(s->message, "%s: %s", what, strerror(number));
	return number == ENOSPC || number == EDQUOT ? ERR_NO_SPACE
	       : number == ENOENT                   ? ERR_NOT_FOUND
						    : ERR_IO;
}
