/*
 * schema - the tables of the queue.
 *
 * Ids of messages are ours and sort by arrival, so a message's rowid is its queue id and a scan
 * in key order is a scan in order of arrival. What is small and touched together lies together:
 * recipients are clustered by message, content is apart so that lists never read it. Every index
 * is partial: a row costs index entries only while it is in the state that the index serves; a
 * parked recipient sits in recipient_ready and is never touched.
 *
 * Finished rows stay as the history; SWEEP removes them. hop and site carry health and counts;
 * counts are kept by the ledger, so nothing here is ever counted by a scan.
 *
 * Enumerations are those of port/store.h and never renumbered. state: 0 ready, 1 waiting, 2
 * held, 3 quarantined, then final ones. Instants are milliseconds since 1970. status: class *
 * 1000000 + subject * 1000 + detail.
 */
#include "schema.h"

#include <stdio.h>

#include "base/check.h"
#include "sql.h"

#define HEALTH_COLUMN_DEFINITIONS                                                                  \
	"health INTEGER NOT NULL DEFAULT 0, since INTEGER NOT NULL DEFAULT 0,"                     \
	"first_failure INTEGER NOT NULL DEFAULT 0, last_failure INTEGER NOT NULL DEFAULT 0,"       \
	"last_success INTEGER NOT NULL DEFAULT 0,"                                                 \
	"next_probe INTEGER NOT NULL DEFAULT 9223372036854775807,"                                 \
	"probe_step INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"              \
	"probes INTEGER NOT NULL DEFAULT 0, declared INTEGER NOT NULL DEFAULT 0,"                  \
	"stage TEXT NOT NULL DEFAULT '', code INTEGER NOT NULL DEFAULT 0,"                         \
	"host TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT ''"

static const char step_places[] =
	"CREATE TABLE total("
	" id INTEGER PRIMARY KEY CHECK(id = 1),"
	" ready INTEGER NOT NULL, waiting INTEGER NOT NULL, held INTEGER NOT NULL,"
	" quarantined INTEGER NOT NULL, failed INTEGER NOT NULL, delivered INTEGER NOT "
	"NULL,"
	" deleted INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" sites_up INTEGER NOT NULL, sites_suspect INTEGER NOT NULL, sites_down INTEGER "
	"NOT NULL,"
	" sites_recovering INTEGER NOT NULL, last_id INTEGER NOT NULL,"
	" delivered_ever INTEGER NOT NULL, failed_ever INTEGER NOT NULL);"
	"INSERT INTO total VALUES(1, 0,0,0,0, 0,0,0, 0,0, 0,0,0,0, 0, 0,0);"

	"CREATE TABLE site("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	" hops INTEGER NOT NULL DEFAULT 0," /* next hops routed to it */
	" window INTEGER NOT NULL DEFAULT 0," HEALTH_COLUMN_DEFINITIONS ");"
	"CREATE INDEX site_probe ON site(next_probe) WHERE health = 2;"
	"CREATE INDEX site_idle ON site(last_success) WHERE hops = 0;"

	"CREATE TABLE hop("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, site INTEGER NOT NULL DEFAULT "
	"0," /* 0: not routed */
	" ready INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,"
	" held INTEGER NOT NULL DEFAULT 0, quarantined INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0,"
	" finished INTEGER NOT NULL DEFAULT 0," HEALTH_COLUMN_DEFINITIONS
	");" /* rows in the history */
	"CREATE INDEX hop_site ON hop(site, name) WHERE site > 0;"
	"CREATE INDEX hop_ready ON hop(name) WHERE ready > 0;"
	"CREATE INDEX hop_site_ready ON hop(site, name) WHERE ready > 0;"
	"CREATE INDEX hop_probe ON hop(next_probe) WHERE health = 2;"
	"CREATE INDEX hop_idle ON hop(last_success)"
	" WHERE ready = 0 AND waiting = 0 AND held = 0 AND quarantined = 0 AND finished = "
	"0;";

static const char step_messages[] =
	"CREATE TABLE message("
	" id INTEGER PRIMARY KEY, accepted INTEGER NOT NULL, reverse_path TEXT NOT NULL,"
	" body INTEGER NOT NULL, smtputf8 INTEGER NOT NULL, ret INTEGER NOT NULL, envid TEXT NOT "
	"NULL,"
	" priority INTEGER NOT NULL, deliver_by INTEGER NOT NULL, deliver_by_notify INTEGER NOT "
	"NULL,"
	" hold_until INTEGER NOT NULL, origin INTEGER NOT NULL, user TEXT NOT NULL, client TEXT "
	"NOT NULL,"
	" helo TEXT NOT NULL, message_id TEXT NOT NULL, size INTEGER NOT NULL, chunks INTEGER NOT "
	"NULL,"
	" queued INTEGER NOT NULL," /* recipients not final */
	" finished INTEGER NOT NULL DEFAULT 0, hold_reason TEXT NOT NULL DEFAULT '');"
	"CREATE INDEX message_queued ON message(id) WHERE finished = 0;"
	"CREATE INDEX message_finished ON message(finished) WHERE finished > 0;"

	"CREATE TABLE content(id INTEGER PRIMARY KEY, data BLOB NOT NULL);" /* chunk 0 */
	"CREATE TABLE chunk("
	" id INTEGER PRIMARY KEY, message INTEGER NOT NULL, chunk INTEGER NOT NULL, data BLOB NOT "
	"NULL,"
	" UNIQUE(message, chunk));"
	"CREATE TABLE spool(id INTEGER PRIMARY KEY);" /* messages with chunks and no ACCEPT yet */

	"CREATE TABLE recipient("
	" message INTEGER NOT NULL, number INTEGER NOT NULL, hop INTEGER NOT NULL,"
	" state INTEGER NOT NULL, priority INTEGER NOT NULL, due INTEGER NOT NULL DEFAULT 0,"
	" attempts INTEGER NOT NULL DEFAULT 0, last_attempt INTEGER NOT NULL DEFAULT 0,"
	" finished INTEGER NOT NULL DEFAULT 0, in_doubt INTEGER NOT NULL DEFAULT 0,"
	" code INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0,"
	" notify INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL, orcpt TEXT NOT "
	"NULL,"
	" text TEXT NOT NULL DEFAULT '', host TEXT NOT NULL DEFAULT '',"
	" PRIMARY KEY(message, number)) WITHOUT ROWID;"
	"CREATE INDEX recipient_ready ON recipient(hop, priority DESC, message, number) WHERE "
	"state = 0;"
	"CREATE INDEX recipient_parted ON recipient(hop, message, number) WHERE state IN (1, 2, 3);"
	"CREATE INDEX recipient_due ON recipient(due, message, number) WHERE state IN (1, 3);"

	"CREATE TABLE attempt("
	" message INTEGER NOT NULL, at INTEGER NOT NULL, recipient INTEGER NOT NULL,"
	" attempt INTEGER NOT NULL, duration INTEGER NOT NULL, code INTEGER NOT NULL,"
	" status INTEGER NOT NULL, stage TEXT NOT NULL, disposition TEXT NOT NULL, host TEXT NOT "
	"NULL,"
	" text TEXT NOT NULL, tls TEXT NOT NULL,"
	" PRIMARY KEY(message, at, recipient, attempt)) WITHOUT ROWID;";

static const char step_operator[] =
	"CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE audit("
	" id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
	" reason TEXT NOT NULL, filter TEXT NOT NULL, recipients INTEGER NOT NULL,"
	" messages INTEGER NOT NULL);";

/* Outages, drain order by sender, mail kept after it failed. recipient.notice: id of the notice of its failure;
 * held: milliseconds that it was held by an operator, up to the last release. */
static const char step_outages[] =
	"ALTER TABLE site ADD COLUMN rate INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE hop ADD COLUMN route TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE hop ADD COLUMN route_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE hop ADD COLUMN denied INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE hop ADD COLUMN denied_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE recipient ADD COLUMN bucket INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE recipient ADD COLUMN held INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE recipient ADD COLUMN notice INTEGER NOT NULL DEFAULT 0;"
	/* Since when one is held was not written down before: all its time counts as held, so that none expires for it. */
	"UPDATE recipient SET due = coalesce((SELECT accepted FROM message WHERE id = recipient.message), 0)"
	" WHERE state = 2 AND due = 0;"
	"CREATE INDEX recipient_failed ON recipient(finished, message, number) WHERE state = 4;"
	"ALTER TABLE message ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;" /* content of failed ones stays until */
	"CREATE INDEX message_kept ON message(kept) WHERE kept > 0 AND finished > 0;"
	"DROP INDEX recipient_ready;"
	"CREATE INDEX recipient_ready ON recipient(hop, priority DESC, bucket, message, number)"
	" WHERE state = 0;"
	/* What senders hear: message.told: when this one's own notice left last; owed: since when its failures are to be reported in a
	 * digest. The indexes hold nothing of mail that is delivered before it leaves the journal. */
	"ALTER TABLE message ADD COLUMN late_notice INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE message ADD COLUMN told INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE message ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX message_late ON message(reverse_path, id) WHERE finished = 0 AND late_notice = 1;"
	"CREATE INDEX message_own ON message(told, id) WHERE finished = 0 AND late_notice = 2;"
	"CREATE INDEX message_by ON message(deliver_by, id) WHERE finished = 0 AND deliver_by > 0;"
	"CREATE INDEX message_owed ON message(reverse_path, id) WHERE owed > 0;"
	"CREATE TABLE told("
	" sender TEXT PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,"
	" up_to INTEGER NOT NULL, hops TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE outage("
	" id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, scope INTEGER NOT NULL, name TEXT NOT NULL,"
	" began INTEGER NOT NULL, declared INTEGER NOT NULL, until INTEGER NOT NULL,"
	" recovered INTEGER NOT NULL, ended INTEGER NOT NULL,"
	" actor TEXT NOT NULL, note TEXT NOT NULL, stage TEXT NOT NULL, code INTEGER NOT NULL,"
	" host TEXT NOT NULL, text TEXT NOT NULL, failures INTEGER NOT NULL, probes INTEGER NOT NULL,"
	" peak_recipients INTEGER NOT NULL, peak_bytes INTEGER NOT NULL, peak_at INTEGER NOT NULL,"
	" delivered INTEGER NOT NULL, failed INTEGER NOT NULL, saved INTEGER NOT NULL);"
	"CREATE INDEX outage_name ON outage(scope, name, began, ended);" /* all that a span is: LOOKUP reads no row */
	"CREATE INDEX outage_open ON outage(id) WHERE ended = 0;"
	"CREATE INDEX outage_ended ON outage(ended) WHERE ended > 0;"
	"CREATE TABLE outage_sample("
	" outage INTEGER NOT NULL, at INTEGER NOT NULL, recipients INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, delivered INTEGER NOT NULL, PRIMARY KEY(outage, at)) WITHOUT ROWID;";

/* What SMTP extensions ask for, and small things of outsiders that are kept for a time (STORE_SHELF). */
static const char step_extensions[] =
	"ALTER TABLE message ADD COLUMN by_trace INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE message ADD COLUMN requiretls INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE shelf("
	" kind INTEGER NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, value BLOB NOT NULL,"
	" PRIMARY KEY(kind, key)) WITHOUT ROWID;"
	"CREATE INDEX shelf_until ON shelf(kind, until);";

const char *const schema_steps[] = { step_places, step_messages, step_operator, step_outages,
	step_extensions };
const unsigned schema_version = ARRAY_COUNT(schema_steps);

static enum err run(sqlite3 *db, const char *text);
static enum err read_pragma(sqlite3 *db, const char *text, int64_t *out);

enum err schema_read_version(sqlite3 *db, unsigned *out)
{
	int64_t application = 0, version = 0, tables = 0;
	*out = 0;
	enum err err = read_pragma(db, "PRAGMA application_id", &application);
	if (err == OK)
		err = read_pragma(db, "PRAGMA user_version", &version);
	if (err == OK)
		err = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err != OK)
		return err;
	if (application == 0 && version == 0 && tables == 0)
		return OK;
	if (application != SCHEMA_APPLICATION_ID || version < 1 || version > INT32_MAX)
		return ERR_CORRUPT;
	*out = (unsigned)version;
	return OK;
}

enum err schema_migrate(sqlite3 *db, const char *const *steps, unsigned count, struct fault *fault)
{
	unsigned version;
	enum err err = schema_read_version(db, &version);
	if (err != OK)
		return err;
	if (version > count)
		return ERR_NEWER;
	for (; version < count; version++) {
		char stamp[96];
		int n = snprintf(stamp, sizeof(stamp),
			"PRAGMA application_id=%d; PRAGMA user_version=%u; COMMIT",
			SCHEMA_APPLICATION_ID, version + 1);
		CHECK(n > 0 && (size_t)n < sizeof(stamp));
		err = run(db, "BEGIN IMMEDIATE");
		if (err == OK)
			err = run(db, steps[version]);
		if (err == OK)
			err = run(db, stamp);
		if (err != OK) {
			if (!sqlite3_get_autocommit(db))
				sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return err;
		}
		if (fault_hit(fault, FAULT_migrate_step))
			return ERR_IO;
	}
	return OK;
}

static enum err run(sqlite3 *db, const char *text)
{
	return sql_error(db, sqlite3_exec(db, text, NULL, NULL, NULL));
}

static enum err read_pragma(sqlite3 *db, const char *text, int64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, text, -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return sql_error(db, rc);
}
