/* world - see world.h. */
#include "store/world.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

struct waiting {
	struct store_op *op;
	bool is_done;
};

static void on_fatal(void *user, struct str message)
{
	struct world *w = user;
	(void)message;
	w->is_fatal = true;
}

void world_init(struct world *w, world_open_fn *open)
{
	*w = (struct world){ .open = open };
	fake_env_init(&w->fe);
	buf_init(&w->message, 4096);
	const char *root = getenv("TMPDIR");
	/* Syncs cost nothing in memory; what they are for is tested by the crash VFS. */
	if (!root)
		root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int n = snprintf(w->directory, sizeof(w->directory), "%s/outlast-store.XXXXXX", root);
	CHECK(n > 0 && (size_t)n < sizeof(w->directory));
	CHECK(mkdtemp(w->directory) != NULL);
}

void world_fini(struct world *w)
{
	static const char *const names[] = { "queue.db", "queue.db-wal", "queue.db-shm",
		"queue.db-journal", "queue.db.journal", "lock", "reserve" };
	if (w->store)
		world_close(w);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		char *path = world_path(w, names[i]);
		unlink(path);
		free(path);
	}
	rmdir(w->directory);
	buf_fini(&w->message);
	fake_env_fini(&w->fe);
}

enum err world_open(struct world *w)
{
	w->options.on_fatal = on_fatal;
	w->options.on_fatal_user = w;
	buf_clear(&w->message);
	w->is_fatal = false;
	return w->open(&w->fe.env, str_from_c(w->directory), &w->options, &w->store, &w->message);
}

void world_must_open(struct world *w)
{
	enum err err = world_open(w);
	if (err != OK)
		fprintf(stderr, "open: %s: %.*s\n", err_name(err), STR_FMT(buf_str(&w->message)));
	CHECK(err == OK);
}

void world_close(struct world *w)
{
	store_close(w->store);
	w->store = NULL;
}

int64_t world_reserve_size(struct world *w)
{
	struct stat st;
	char *path = world_path(w, "reserve");
	CHECK(stat(path, &st) == 0);
	free(path);
	return st.st_size;
}

char *world_path(struct world *w, const char *name)
{
	size_t size = strlen(w->directory) + strlen(name) + 2;
	char *path = mem_alloc(size);
	(void)snprintf(path, size, "%s/%s", w->directory, name);
	return path;
}

/* The operation stays the test's; completions find their waiter through a list of one. */
static struct waiting *current_wait;

static void on_done(struct store_op *op)
{
	CHECK(current_wait && current_wait->op == op);
	current_wait->is_done = true;
}

enum err world_run(struct world *w, struct store_op *op, enum store_kind kind)
{
	struct waiting waiting = { .op = op };
	CHECK(current_wait == NULL);
	current_wait = &waiting;
	op->on_done = on_done;
	store_submit(w->store, op, kind);
	CHECK(!waiting.is_done);
	fake_env_wait(&w->fe, &waiting.is_done);
	current_wait = NULL;
	return op->err;
}

void sample_make(struct world *w, struct sample *s, const char *const *hops, uint32_t count)
{
	*s = (struct sample){ .content = STR("Subject: x\r\n\r\nhello\r\n") };
	CHECK(count <= ARRAY_COUNT(s->recipients));
	w->fe.wall = wall_add(w->fe.wall, SECOND_MS);
	s->env = (struct envelope){
		.id = queue_id_next(&w->ids, w->fe.wall),
		.accepted = w->fe.wall,
		.reverse_path = STR("sender@example.org"),
		.body = BODY_8BITMIME,
		.ret = RET_HDRS,
		.envid = STR("env"),
		.user = STR("alice"),
		.client = STR("client[192.0.2.1]"),
		.helo = STR("client"),
		.message_id = STR("<1@example.org>"),
		.size_bytes = s->content.len,
		.recipients = s->recipients,
		.recipient_count = count,
	};
	for (uint32_t i = 0; i < count; i++) {
		int n = snprintf(s->text[i], sizeof(s->text[i]), "u%u@%s", i + 1, hops[i]);
		CHECK(n > 0 && (size_t)n < sizeof(s->text[i]));
		s->recipients[i] = (struct recipient){
			.number = i + 1,
			.address = str_from_c(s->text[i]),
			.domain = str_from_c(hops[i]),
			.hop = str_from_c(hops[i]),
			.orcpt = STR("rfc822;someone"),
			.notify = NOTIFY_FAILURE | NOTIFY_DELAY,
		};
	}
}

enum err world_accept(struct world *w, const struct sample *s)
{
	struct store_accept accept = { .env = &s->env, .content = s->content };
	enum err err = world_run(w, &accept.op, STORE_ACCEPT);
	store_op_fini(&accept.op);
	return err;
}

uint64_t world_must_accept(struct world *w, const char *hop)
{
	struct sample s;
	sample_make(w, &s, &hop, 1);
	CHECK(world_accept(w, &s) == OK);
	return s.env.id;
}

enum err world_record(struct world *w, uint64_t id, uint32_t number, enum result_kind kind,
	uint32_t attempt, int64_t due_ms, uint32_t *applied_count)
{
	struct store_result result = {
		.number = number,
		.kind = kind,
		.attempt = attempt,
		.due = { due_ms },
		.code = kind == RESULT_DELIVERED ? 250 : 451,
		.status = kind == RESULT_DELIVERED ? STATUS(2, 0, 0) : STATUS(4, 7, 1),
		.text = STR("the reply"),
		.host = STR("mx.example[192.0.2.2]:25"),
	};
	struct store_record record = {
		.id = id, .at = w->fe.wall, .results = &result, .result_count = 1
	};
	enum err err = world_run(w, &record.op, STORE_RECORD);
	if (applied_count)
		*applied_count = record.applied_count;
	store_op_fini(&record.op);
	return err;
}

static sqlite3 *open_own(struct world *w)
{
	sqlite3 *db = NULL;
	char *path = world_path(w, "queue.db");
	CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
	int is_on = 0;
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &is_on);
	sqlite3_busy_timeout(db, 5000);
	free(path);
	return db;
}

static int64_t ask(sqlite3 *db, const char *text)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", text, sqlite3_errmsg(db));
	CHECK(rc == SQLITE_OK);
	CHECK(sqlite3_step(stmt) == SQLITE_ROW);
	int64_t value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

int64_t world_sql(struct world *w, const char *text)
{
	sqlite3 *db = open_own(w);
	int64_t value = ask(db, text);
	sqlite3_close(db);
	return value;
}

/* Each query counts rows whose kept number differs from the counted one. */
const char *world_recount(struct world *w)
{
	static const struct {
		const char *what, *text;
	} checks[] = {
		{ "total by state",
			"SELECT count(*) FROM total WHERE"
			" ready <> (SELECT count(*) FROM recipient WHERE +state=0) OR"
			" waiting <> (SELECT count(*) FROM recipient WHERE +state=1) OR"
			" held <> (SELECT count(*) FROM recipient WHERE +state=2) OR"
			" quarantined <> (SELECT count(*) FROM recipient WHERE +state=3) OR"
			" failed <> (SELECT count(*) FROM recipient WHERE +state=4) OR"
			" delivered <> (SELECT count(*) FROM recipient WHERE +state=5) OR"
			" deleted <> (SELECT count(*) FROM recipient WHERE +state=6)" },
		{ "total messages and bytes",
			"SELECT count(*) FROM total WHERE"
			" messages <> (SELECT count(*) FROM message WHERE +finished=0) OR"
			" bytes <> (SELECT coalesce(sum(size), 0) FROM message WHERE "
			"+finished=0)" },
		{ "total sites",
			"SELECT count(*) FROM total WHERE"
			" sites_up <> (SELECT count(*) FROM site WHERE +health=0) OR"
			" sites_suspect <> (SELECT count(*) FROM site WHERE +health=1) OR"
			" sites_down <> (SELECT count(*) FROM site WHERE +health=2) OR"
			" sites_recovering <> (SELECT count(*) FROM site WHERE +health=3)" },
		{ "hop counts",
			"SELECT count(*) FROM hop AS h WHERE"
			" ready <> (SELECT count(*) FROM recipient WHERE +hop=h.id AND +state=0) OR"
			" waiting <> (SELECT count(*) FROM recipient WHERE +hop=h.id AND +state=1) "
			"OR"
			" held <> (SELECT count(*) FROM recipient WHERE +hop=h.id AND +state=2) OR"
			" quarantined <> (SELECT count(*) FROM recipient WHERE +hop=h.id AND "
			"+state=3) OR"
			" finished <> (SELECT count(*) FROM recipient WHERE +hop=h.id AND "
			"+state>3)" },
		{ "hop bytes", "SELECT count(*) FROM hop AS h WHERE bytes <> (SELECT "
			       "coalesce(sum(size), 0) FROM message"
			       " AS m WHERE EXISTS(SELECT 1 FROM recipient AS r WHERE "
			       "r.message=m.id AND +r.hop=h.id"
			       " AND +r.state<=3))" },
		{ "site hops", "SELECT count(*) FROM site AS s WHERE hops <> (SELECT count(*) FROM "
			       "hop WHERE +site=s.id)" },
		{ "message queued", "SELECT count(*) FROM message AS m WHERE queued <> (SELECT "
				    "count(*) FROM recipient AS r"
				    " WHERE r.message=m.id AND +r.state<=3)" },
		{ "message finished",
			"SELECT count(*) FROM message WHERE (queued=0) <> (finished>0)" },
		{ "content of finished messages", "SELECT count(*) FROM content AS c WHERE NOT "
						  "EXISTS(SELECT 1 FROM message AS m"
						  " WHERE m.id=c.id AND (+m.finished=0 OR +m.kept>0)) AND NOT "
						  "EXISTS(SELECT 1 FROM spool WHERE id=c.id)" },
		{ "queued messages without content",
			"SELECT count(*) FROM message AS m WHERE +finished=0 AND NOT EXISTS("
			"SELECT 1 FROM content AS c WHERE c.id=m.id)" },
		{ "kept for nobody, or without content",
			"SELECT count(*) FROM message AS m WHERE +finished>0 AND +kept>0 AND ("
			" chunks = 0 OR NOT EXISTS(SELECT 1 FROM content AS c WHERE c.id=m.id) OR NOT"
			" EXISTS(SELECT 1 FROM recipient AS r WHERE r.message=m.id AND +r.state=4))" },
		{ "chunks of finished messages",
			"SELECT count(*) FROM chunk AS c WHERE NOT EXISTS(SELECT 1 FROM message AS "
			"m"
			" WHERE m.id=c.message AND (+m.finished=0 OR +m.kept>0)) AND NOT EXISTS("
			"SELECT 1 FROM spool WHERE id=c.message)" },
		{ "attempts without message", "SELECT count(*) FROM attempt AS a WHERE NOT EXISTS("
					      "SELECT 1 FROM message AS m WHERE m.id=a.message)" },
		{ "integrity", "SELECT integrity_check <> 'ok' FROM pragma_integrity_check" },
	};
	const char *wrong = NULL;
	sqlite3 *db = open_own(w);
	for (size_t i = 0; i < ARRAY_COUNT(checks) && !wrong; i++) {
		if (ask(db, checks[i].text) != 0)
			wrong = checks[i].what;
	}
	sqlite3_close(db);
	return wrong;
}
