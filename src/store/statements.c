/*
 * statements - the texts. Parameters are numbered in the order in which the code binds them.
 *
 * INDEXED BY pins the plan: a statement whose index is gone fails at start-up, in
 * sql_prepare_all, and no change of statistics can turn a seek into a scan. A unary plus keeps a
 * column out of the choice of indexes.
 */
#include "statements.h"

#include "port/store.h"
#include "row.h"

#define TEXT_OF(macro) TEXT_OF_VALUE(macro)
#define TEXT_OF_VALUE(value) #value

#define HOP_COLUMNS                                                                                \
	"h.name, coalesce(s.name, ''), h.ready, h.waiting, h.held, h.quarantined, "                \
	"h.bytes, " HEALTH_COLUMNS("h") ", h.route, h.route_at, h.denied, h.denied_at"
#define SITE_COLUMNS "s.name, s.window, s.rate, " HEALTH_COLUMNS("s")
#define HOPS_SELECT(index, condition)                                                              \
	"SELECT h.id, " HOP_COLUMNS ", " SITE_COLUMNS " FROM hop AS h " index                      \
	" LEFT JOIN site AS s ON s.id = h.site WHERE h.name > ?1 AND " condition                   \
	" AND NOT (?2 AND (h.health = 2 OR coalesce(s.health, 0) = 2)) ORDER BY h.name"
#define HEALTH_SET(a, b, c, d, e, f, g, h, i, j, k, l, m, n)                                       \
	"health=" a ", since=" b ", first_failure=" c ", last_failure=" d ", last_success=" e      \
	", next_probe=" f ", probe_step=" g ", failures=" h ", probes=" i ", declared=" j          \
	", stage=" k ", code=" l ", host=" m ", text=" n
#define HEALTH_SET_FROM_3                                                                          \
	HEALTH_SET("?3", "?4", "?5", "?6", "?7", "?8", "?9", "?10", "?11", "?12", "?13", "?14",    \
		"?15", "?16")

#define OUTAGES_SELECT(index, condition)                                                           \
	"SELECT " OUTAGE_COLUMNS " FROM outage " index " WHERE id < ?1 AND " condition             \
	" AND (?2 = 0 OR scope >= 2) AND (?3 = '' OR name = ?3)"                                   \
	" AND (ended = 0 OR ended > ?4) ORDER BY id DESC LIMIT ?5"

/* What an operator holds says nothing to its sender, and must not stand before what does. */
#define SOME_RECIPIENT_WAITS                                                                       \
	" AND EXISTS(SELECT 1 FROM recipient AS r WHERE r.message = m.id AND +r.state IN (0, 1, 3))"

#define ENVELOPE_COLUMNS                                                                           \
	"id, accepted, reverse_path, body, smtputf8, ret, envid, priority, deliver_by,"            \
	" deliver_by_notify, hold_until, origin, user, client, helo, message_id, size, late_notice,"     \
	" by_trace, requiretls"

const char *const sql_texts[SQL_COUNT] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_BEGIN_READ] = "BEGIN",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_PAGE_BYTES] = "PRAGMA page_size",
	[SQL_PAGES] = "PRAGMA page_count",
	[SQL_PAGES_FREE] = "PRAGMA freelist_count",

	[SQL_TOTAL_ADD] =
		"UPDATE total SET ready=ready+?1, waiting=waiting+?2, held=held+?3,"
		" quarantined=quarantined+?4, failed=failed+?5, delivered=delivered+?6,"
		" deleted=deleted+?7, messages=messages+?8, bytes=bytes+?9, sites_up=sites_up+?10,"
		" sites_suspect=sites_suspect+?11, sites_down=sites_down+?12,"
		" sites_recovering=sites_recovering+?13, last_id=max(last_id, ?14),"
		" delivered_ever=delivered_ever+?15, failed_ever=failed_ever+?16 WHERE id=1",
	[SQL_TOTAL_GET] =
		"SELECT ready, waiting, held, quarantined, failed, delivered, deleted, messages, "
		"bytes,"
		" sites_up, sites_suspect, sites_down, sites_recovering, last_id, delivered_ever,"
		" failed_ever FROM total WHERE id=1",
	[SQL_MESSAGE_OLDEST] = "SELECT id FROM message INDEXED BY message_queued WHERE finished = 0"
			       " ORDER BY id LIMIT 1",

	[SQL_SITE_BY_NAME] = "SELECT id, health FROM site WHERE name=?1",
	[SQL_SITE_INSERT] = "INSERT INTO site(name) VALUES(?1)",
	[SQL_SITE_UPDATE] = "UPDATE site SET window=?2, " HEALTH_SET_FROM_3
			    ", rate=?17 WHERE id=?1",
	[SQL_SITE_ADD_HOPS] = "UPDATE site SET hops=hops+?2 WHERE id=?1",
	[SQL_SITE_SUCCESS] = "UPDATE site SET last_success=max(last_success, ?2) WHERE id=?1",
	[SQL_SITE_GET] = "SELECT " SITE_COLUMNS " FROM site AS s WHERE s.name=?1",
	[SQL_SITE_PROBES] = "SELECT " SITE_COLUMNS " FROM site AS s INDEXED BY site_probe"
			    " WHERE s.health = 2 ORDER BY s.next_probe LIMIT ?1",
	/* Those that sleep have no time at all: WALL_NEVER. */
	[SQL_SITE_PROBES_FAR] = "SELECT " SITE_COLUMNS " FROM site AS s INDEXED BY site_probe"
				" WHERE s.health = 2 AND s.next_probe > ?2"
				" AND s.next_probe < 9223372036854775807"
				" ORDER BY s.next_probe LIMIT ?1",
	[SQL_SITE_IDLE] = "SELECT id, name, health FROM site INDEXED BY site_idle"
			  " WHERE hops = 0 AND last_success < ?1 AND declared = 0 LIMIT ?2",
	[SQL_SITE_DELETE] = "DELETE FROM site WHERE id=?1",

	[SQL_HOP_BY_NAME] = "SELECT id, site, name FROM hop WHERE name=?1",
	[SQL_HOP_BY_ID] = "SELECT id, site, name FROM hop WHERE id=?1",
	[SQL_HOP_INSERT] = "INSERT INTO hop(name) VALUES(?1)",
	[SQL_HOP_ADD] =
		"UPDATE hop SET ready=ready+?2, waiting=waiting+?3, held=held+?4,"
		" quarantined=quarantined+?5, bytes=bytes+?6, finished=finished+?7 WHERE id=?1",
	[SQL_HOP_SUCCESS] = "UPDATE hop SET last_success=max(last_success, ?2) WHERE id=?1",
	[SQL_HOP_UPDATE] = "UPDATE hop SET site=?2, " HEALTH_SET_FROM_3
			   ", route=iif(?17='', route, ?17), route_at=iif(?17='', route_at, ?18),"
			   " denied=?19, denied_at=?20 WHERE id=?1",
	[SQL_HOP_GET] = "SELECT " HOP_COLUMNS " FROM hop AS h LEFT JOIN site AS s ON s.id = h.site"
			" WHERE h.name=?1",
	[SQL_HOP_PROBES] = "SELECT " HOP_COLUMNS " FROM hop AS h INDEXED BY hop_probe"
			   " LEFT JOIN site AS s ON s.id = h.site WHERE h.health = 2"
			   " ORDER BY h.next_probe LIMIT ?1",
	[SQL_HOP_PROBES_FAR] = "SELECT " HOP_COLUMNS " FROM hop AS h INDEXED BY hop_probe"
			       " LEFT JOIN site AS s ON s.id = h.site WHERE h.health = 2"
			       " AND h.next_probe > ?2 AND h.next_probe < 9223372036854775807"
			       " ORDER BY h.next_probe LIMIT ?1",
	/* One seek for each priority, and for each bucket of those that have mail: a plain min() would walk every ready
	 * recipient. */
	[SQL_HOP_OLDEST] =
		"WITH RECURSIVE p(v) AS (VALUES(-9) UNION ALL SELECT v + 1 FROM p WHERE v < 9),"
		" b(v) AS (VALUES(0) UNION ALL SELECT v + 1 FROM b WHERE v + 1 < "
		TEXT_OF(STORE_SENDER_BUCKETS) ") SELECT coalesce(min(m), 0) FROM ("
		"SELECT (SELECT r.message FROM recipient AS r INDEXED BY recipient_ready"
		" WHERE r.state = 0 AND r.hop=?1 AND r.priority = p.v AND r.bucket = b.v"
		" ORDER BY r.message LIMIT 1) AS m FROM p CROSS JOIN b"
		" WHERE EXISTS(SELECT 1 FROM recipient AS r INDEXED BY recipient_ready"
		" WHERE r.state = 0 AND r.hop=?1 AND r.priority = p.v)"
		" UNION ALL SELECT (SELECT r.message FROM recipient AS r"
		" INDEXED BY recipient_parted WHERE r.state IN (1, 2, 3) AND r.hop=?1"
		" ORDER BY r.message LIMIT 1))",
	[SQL_HOP_IDLE] = "SELECT id, name, site FROM hop INDEXED BY hop_idle WHERE ready = 0"
			 " AND waiting = 0 AND held = 0 AND quarantined = 0 AND finished = 0"
			 " AND last_success < ?1 AND declared = 0 LIMIT ?2",
	[SQL_HOP_DELETE] = "DELETE FROM hop WHERE id=?1",
	[SQL_HOPS_ALL] = HOPS_SELECT("", "1"),
	[SQL_HOPS_READY] = HOPS_SELECT("INDEXED BY hop_ready", "h.ready > 0"),
	[SQL_HOPS_SITE] = HOPS_SELECT("INDEXED BY hop_site", "h.site=?3 AND h.site > 0"),
	[SQL_HOPS_SITE_READY] =
		HOPS_SELECT("INDEXED BY hop_site_ready", "h.site=?3 AND h.ready > 0"),

	[SQL_MESSAGE_INSERT] = "INSERT INTO message(" ENVELOPE_COLUMNS ", chunks, queued)"
			       " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,"
			       "?18,?19,?20,?21,?22)",
	[SQL_MESSAGE_INSERT_FINISHED] =
		"INSERT INTO message(" ENVELOPE_COLUMNS ", chunks, queued, finished)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,0,0,?21)",
	[SQL_MESSAGE_LOAD] = "SELECT size, priority, queued, kept FROM message WHERE id=?1",
	[SQL_MESSAGE_GET] = "SELECT " MESSAGE_COLUMNS " FROM message AS m WHERE m.id=?1",
	[SQL_MESSAGE_SET_QUEUED] = "UPDATE message SET queued=?2 WHERE id=?1",
	[SQL_MESSAGE_FINISH] = "UPDATE message SET queued=0, chunks=iif(?3, chunks, 0),"
			       " kept=iif(?3, kept, 0), finished=?2 WHERE id=?1",
	[SQL_MESSAGE_SET_HOLD] = "UPDATE message SET hold_reason=?2 WHERE id=?1",
	[SQL_MESSAGE_CLEAR_HOLD] = "UPDATE message SET hold_reason='' WHERE id=?1 AND NOT EXISTS("
				   "SELECT 1 FROM recipient WHERE message=?1 AND +state = 2)",
	[SQL_MESSAGE_FINISHED_BEFORE] =
		"SELECT id, kept, finished FROM message INDEXED BY message_finished"
		" WHERE finished > 0 AND finished >= ?1 AND finished < ?2 AND owed = 0"
		" AND (kept = 0 OR kept < ?3) ORDER BY finished LIMIT ?4",
	[SQL_MESSAGE_SET_KEPT] = "UPDATE message SET kept=?2 WHERE id=?1",
	[SQL_MESSAGE_NONE_FAILED] = "UPDATE message SET kept=0, owed=0 WHERE id=?1 AND NOT EXISTS("
			       "SELECT 1 FROM recipient WHERE message=?1 AND +state = 4)",
	[SQL_MESSAGE_DROP_KEPT] = "UPDATE message SET kept=0, chunks=0 WHERE id=?1",
	[SQL_MESSAGE_KEPT_BEFORE] =
		"SELECT id FROM message INDEXED BY message_kept"
		" WHERE kept > 0 AND finished > 0 AND kept < ?1 ORDER BY kept LIMIT ?2",
	[SQL_MESSAGE_REOPEN] = "UPDATE message SET finished=0 WHERE id=?1 AND finished > 0",
	[SQL_MESSAGE_DELETE] = "DELETE FROM message WHERE id=?1",

	/* From sender to sender by seeks; the oldest of each first. */
	[SQL_LATE_SENDER] = "SELECT reverse_path FROM message INDEXED BY message_late WHERE finished = 0"
			    " AND late_notice = 1 AND reverse_path > ?1 ORDER BY reverse_path LIMIT 1",
	[SQL_LATE_MESSAGES] =
		"SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_late WHERE m.finished = 0"
		" AND m.late_notice = 1 AND m.reverse_path=?1 AND m.id > ?2 AND m.id < ?3" SOME_RECIPIENT_WAITS
		" ORDER BY m.id LIMIT ?4",
	[SQL_LATE_FIRST] = "SELECT id FROM message INDEXED BY message_late WHERE finished = 0"
			   " AND late_notice = 1 AND reverse_path=?1 AND id > ?2 ORDER BY id LIMIT 1",
	[SQL_LATE_COUNT] =
		"SELECT count(*) FROM (SELECT 1 FROM message INDEXED BY message_late WHERE finished = 0"
		" AND late_notice = 1 AND reverse_path=?1 AND id > ?2 AND id < ?3 LIMIT ?4)",
	[SQL_OWN_NEW] = "SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_own"
			" WHERE m.finished = 0 AND m.late_notice = 2 AND m.told = 0 AND m.id < ?1" SOME_RECIPIENT_WAITS
			" ORDER BY m.id LIMIT ?2",
	[SQL_OWN_AGAIN] = "SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_own"
			  " WHERE m.finished = 0 AND m.late_notice = 2 AND m.told > 0 AND m.told <= ?1" SOME_RECIPIENT_WAITS
			  " ORDER BY m.told, m.id LIMIT ?2",
	[SQL_OWN_AT_TIME] = "SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_by"
			    " WHERE m.finished = 0 AND m.deliver_by > 0 AND +m.late_notice = 3"
			    " AND m.deliver_by <= ?1" SOME_RECIPIENT_WAITS
			    " ORDER BY m.deliver_by, m.id LIMIT ?2",
	[SQL_DEADLINE_PAST] = "SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_by"
			      " WHERE m.finished = 0 AND m.deliver_by > 0 AND +m.deliver_by_notify = 0"
			      " AND m.deliver_by <= ?1" SOME_RECIPIENT_WAITS " ORDER BY m.deliver_by, m.id LIMIT ?2",
	[SQL_DEADLINE_OF_HOP] =
		"SELECT id FROM message INDEXED BY message_by WHERE finished = 0"
		" AND deliver_by > 0 AND +deliver_by_notify = 0 AND deliver_by <= ?1"
		" AND EXISTS(SELECT 1 FROM recipient AS r WHERE r.message = message.id AND +r.hop=?2 AND +r.state = 0)"
		" ORDER BY deliver_by, id LIMIT ?3",
	[SQL_DEADLINE_RECIPIENTS] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient AS r JOIN hop AS h ON h.id = r.hop"
		" WHERE r.message=?1 AND +r.hop=?2 AND +r.state = 0 ORDER BY r.number LIMIT ?3",
	/* ?2: bits of states. */
	[SQL_LATE_RECIPIENTS] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient AS r JOIN hop AS h ON h.id = r.hop"
		" WHERE r.message=?1 AND (1 << r.state) & ?2 ORDER BY r.number LIMIT ?3",
	[SQL_LATE_RECIPIENT_COUNT] =
		"SELECT count(*) FROM recipient WHERE message=?1 AND (1 << state) & ?2",
	/* Told at its by-time, a message is one of those that are told again. */
	[SQL_OWN_TOLD] = "UPDATE message SET told=?2, late_notice=2 WHERE id=?1 AND finished = 0",
	[SQL_OWED_SET] = "UPDATE message SET owed=?2 WHERE id=?1",
	[SQL_OWED_SENDER] = "SELECT reverse_path FROM message INDEXED BY message_owed WHERE owed > 0"
			    " AND reverse_path > ?1 ORDER BY reverse_path LIMIT 1",
	[SQL_OWED_MESSAGES] = "SELECT " MESSAGE_COLUMNS " FROM message AS m INDEXED BY message_owed"
			      " WHERE m.owed > 0 AND +m.owed <= ?2 AND m.reverse_path=?1 ORDER BY m.id LIMIT ?3",
	[SQL_OWED_COUNT] = "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM message"
			   " INDEXED BY message_owed WHERE owed > 0 AND +owed <= ?2 AND reverse_path=?1 AND id > ?3"
			   " ORDER BY id LIMIT ?4)",
	[SQL_OWED_PAID] = "UPDATE message INDEXED BY message_owed SET owed=0"
			  " WHERE owed > 0 AND reverse_path=?1 AND id <= ?2"
			  " AND +owed <= ?3",
	/* Those that the digest names: as of one that has a notice of its own. */
	[SQL_OWED_NAMED] =
		"UPDATE recipient SET notice=?4 WHERE message IN (SELECT id FROM message"
		" INDEXED BY message_owed WHERE owed > 0 AND reverse_path=?1 AND id <= ?2 AND +owed <= ?3)"
		" AND +state = 4 AND notice = 0 AND (notify = 0 OR notify & ?5)",
	[SQL_TOLD_SENDER] = "SELECT sender FROM told WHERE sender > ?1 ORDER BY sender LIMIT 1",
	[SQL_TOLD_GET] = "SELECT first, last, count, up_to, hops FROM told WHERE sender=?1",
	[SQL_TOLD_PUT] = "INSERT INTO told(sender, first, last, count, up_to, hops)"
			 " VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(sender) DO UPDATE SET"
			 " first=excluded.first, last=excluded.last, count=excluded.count,"
			 " up_to=excluded.up_to, hops=excluded.hops",
	[SQL_TOLD_DELETE] = "DELETE FROM told WHERE sender=?1",

	[SQL_CONTENT_INSERT] = "INSERT INTO content(id, data) VALUES(?1, ?2)",
	[SQL_CONTENT_FETCH] = "SELECT data FROM content WHERE id=?1",
	[SQL_CONTENT_DELETE] = "DELETE FROM content WHERE id=?1",
	[SQL_CHUNK_INSERT] = "INSERT INTO chunk(message, chunk, data) VALUES(?1, ?2, ?3)",
	[SQL_CHUNK_FETCH] = "SELECT data FROM chunk WHERE message=?1 AND chunk=?2",
	[SQL_CHUNK_COUNT] = "SELECT (SELECT count(*) FROM content WHERE id=?1)"
			    " + (SELECT count(*) FROM chunk WHERE message=?1)",
	[SQL_CHUNK_DELETE] = "DELETE FROM chunk WHERE message=?1",
	[SQL_SPOOL_INSERT] = "INSERT OR IGNORE INTO spool(id) VALUES(?1)",
	[SQL_SPOOL_FIND] = "SELECT id FROM spool WHERE id=?1",
	[SQL_SPOOL_FIRST] = "SELECT id FROM spool ORDER BY id LIMIT 1",
	[SQL_SPOOL_DELETE] = "DELETE FROM spool WHERE id=?1",

	[SQL_RECIPIENT_INSERT] = "INSERT INTO recipient(message, number, hop, state, priority, "
				 "bucket, due, notify, address, domain,"
				 " orcpt) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
	[SQL_RECIPIENT_INSERT_FINISHED] =
		"INSERT INTO recipient(message, number, hop, state, priority, notify, address, "
		"domain, orcpt, attempts, last_attempt, finished, in_doubt, code, status, text, "
		"host) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?11,?12,?13,?14,?15,?16)",
	[SQL_RECIPIENT_LOAD] =
		"SELECT state, attempts, hop, due FROM recipient WHERE message=?1 AND number=?2",
	/* A delivery that is not charged (RESULT_READY) leaves last_attempt as it was. */
	[SQL_RECIPIENT_RECORD] =
		"UPDATE recipient SET state=?3, last_attempt=iif(attempts < ?4, ?6, last_attempt),"
		" attempts=?4, due=?5, finished=?7, in_doubt=?8, code=?9, status=?10, text=?11, "
		"host=?12, notice=?13"
		" WHERE message=?1 AND number=?2",
	[SQL_RECIPIENT_SET_STATE] =
		"UPDATE recipient SET state=?3, due=?4 WHERE message=?1 AND number=?2",
	[SQL_RECIPIENT_SET_HOP] = "UPDATE recipient SET hop=?3 WHERE message=?1 AND number=?2",
	[SQL_RECIPIENT_ANY_QUEUED] = "SELECT 1 FROM recipient WHERE message=?1 AND +hop=?2"
				     " AND +state <= 3 LIMIT 1",
	/* Held: due is since when, and what that was adds up. ?5: now. */
	[SQL_RECIPIENT_FINISH] =
		"UPDATE recipient SET state=?3, finished=?4, due=iif(?3 = 2, ?5, 0),"
		" held=held + iif(state = 2 AND due > 0 AND due < ?5, ?5 - due, 0)"
		" WHERE message=?1 AND number=?2",
	[SQL_RECIPIENT_FAILED] =
		"SELECT number, hop, notice FROM recipient WHERE message=?1 AND +state = 4 ORDER BY number",
	[SQL_RECIPIENT_REVIVE] = "UPDATE recipient SET state=0, due=0, finished=0, notice=0"
				 " WHERE message=?1 AND number=?2",
	[SQL_RECIPIENT_SET_NOTICE] =
		"UPDATE recipient SET notice=?3 WHERE message=?1 AND notice=?2 AND +state = 4",
	/* One that is READY may be under way: only what waits can be taken back. */
	[SQL_NOTICE_WAITS] = "SELECT hop FROM recipient WHERE message=?1 AND number=1 AND state = 1"
			     " AND attempts = 0",
	[SQL_RECIPIENT_OF_MESSAGE] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient AS r"
		" JOIN hop AS h ON h.id = r.hop WHERE r.message=?1 ORDER BY r.number",
	[SQL_RECIPIENT_STATES] = "SELECT state, hop FROM recipient WHERE message=?1",
	[SQL_RECIPIENT_DELETE] = "DELETE FROM recipient WHERE message=?1",
	/* Priorities, and the senders' buckets within one, that have mail: a seek each. */
	[SQL_READY_PRIORITY] = "SELECT priority FROM recipient INDEXED BY recipient_ready"
			       " WHERE state = 0 AND hop=?1 AND priority < ?2"
			       " ORDER BY priority DESC LIMIT 1",
	[SQL_READY_BUCKET] =
		"SELECT bucket, message FROM recipient INDEXED BY recipient_ready WHERE state = 0"
		" AND hop=?1 AND priority=?2 AND bucket > ?3 ORDER BY bucket, message LIMIT 1",
	[SQL_READY_NEXT] =
		"SELECT message FROM recipient INDEXED BY recipient_ready WHERE state = 0"
		" AND hop=?1 AND priority=?2 AND bucket=?3 AND message > ?4"
		" ORDER BY message LIMIT 1",
	[SQL_READY_RECIPIENTS] =
		"SELECT " RECIPIENT_COLUMNS " FROM recipient AS r"
		" INDEXED BY recipient_ready CROSS JOIN hop AS h ON h.id = r.hop"
		" WHERE r.state = 0 AND r.hop=?1 AND r.priority=?2 AND r.bucket=?3"
		" AND r.message=?4 ORDER BY r.number LIMIT ?5",
	[SQL_DUE_BEFORE] =
		"SELECT message, number, hop, state FROM recipient INDEXED BY recipient_due"
		" WHERE state IN (1, 3) AND due <= ?1 ORDER BY due, message, number LIMIT ?2",
	/* Retries; not the waits that a sender asked for. */
	[SQL_DUE_FAR] =
		"SELECT message, number, hop, state FROM recipient INDEXED BY recipient_due"
		" WHERE state IN (1, 3) AND due > ?1 AND attempts > 0"
		" ORDER BY due, message, number LIMIT ?2",
	[SQL_DUE_FIRST] = "SELECT due FROM recipient INDEXED BY recipient_due WHERE state IN (1, 3)"
			  " ORDER BY due LIMIT 1",

	/* The same delivery may be recorded twice; its history is not. */
	[SQL_ATTEMPT_INSERT] = "INSERT OR IGNORE INTO attempt(message, at, recipient, attempt, "
			       "duration, code, status,"
			       " stage, disposition, host, text, tls) "
			       "VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
	[SQL_ATTEMPT_OF_MESSAGE] =
		"SELECT at, recipient, attempt, duration, code, status, stage, disposition, host, "
		"text,"
		" tls FROM attempt WHERE message=?1 ORDER BY at, recipient, attempt",
	[SQL_ATTEMPT_DELETE] = "DELETE FROM attempt WHERE message=?1",

	[SQL_META_PUT] = "INSERT INTO meta(name, value) VALUES(?1, ?2)"
			 " ON CONFLICT(name) DO UPDATE SET value=excluded.value",
	[SQL_META_GET] = "SELECT value FROM meta WHERE name=?1",
	[SQL_SHELF_PUT] = "INSERT INTO shelf(kind, key, until, value) VALUES(?1, ?2, ?3, ?4)",
	[SQL_SHELF_DELETE] = "DELETE FROM shelf WHERE kind=?1 AND key=?2",
	[SQL_SHELF_DELETE_ENDED] =
		"DELETE FROM shelf WHERE kind=?1 AND key IN (SELECT key FROM shelf INDEXED BY"
		" shelf_until WHERE kind=?1 AND until <= ?2 ORDER BY until LIMIT ?3)",
	[SQL_SHELF_DELETE_FIRST] =
		"DELETE FROM shelf WHERE kind=?1 AND key IN (SELECT key FROM shelf INDEXED BY"
		" shelf_until WHERE kind=?1 ORDER BY until LIMIT ?2)",
	[SQL_SHELF_COUNT] = "SELECT count(*) FROM shelf WHERE kind=?1",
	[SQL_SHELF_GET] =
		"SELECT key, until, value FROM shelf WHERE kind=?1 AND key=?2 AND until > ?3",
	[SQL_SHELF_LIST] = "SELECT key, until, value FROM shelf WHERE kind=?1 AND key > ?2"
			   " AND until > ?3 ORDER BY key LIMIT ?4",
	[SQL_AUDIT_INSERT] =
		"INSERT INTO audit(at, actor, action, reason, filter, recipients, messages)"
		" VALUES(?1,?2,?3,?4,?5,?6,?7)",

	[SQL_OUTAGE_PUT] =
		"INSERT OR REPLACE INTO outage(" OUTAGE_COLUMNS ")"
		" VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,"
		"?21,?22,?23)",
	[SQL_OUTAGE_GET] = "SELECT " OUTAGE_COLUMNS " FROM outage WHERE id=?1",
	[SQL_OUTAGE_LAST_ID] = "SELECT coalesce(max(id), 0) FROM outage",
	[SQL_OUTAGE_SPANS] = "SELECT began, ended FROM outage INDEXED BY outage_name"
			     " WHERE scope=?1 AND name=?2 ORDER BY began DESC LIMIT ?3",
	[SQL_OUTAGES_ALL] = OUTAGES_SELECT("", "1"),
	[SQL_OUTAGES_OPEN] = OUTAGES_SELECT("INDEXED BY outage_open", "ended = 0"),
	/* The greatest id stays: the next one follows it. */
	[SQL_OUTAGES_ENDED_BEFORE] = "SELECT id FROM outage INDEXED BY outage_ended WHERE ended > 0"
				     " AND ended < ?1 AND +id < (SELECT max(id) FROM outage)"
				     " ORDER BY ended LIMIT ?2",
	[SQL_OUTAGE_DELETE] = "DELETE FROM outage WHERE id=?1",
	[SQL_SAMPLE_PUT] = "INSERT OR REPLACE INTO outage_sample(outage, at, recipients, bytes,"
			   " delivered) VALUES(?1,?2,?3,?4,?5)",
	[SQL_SAMPLES_OF_OUTAGE] = "SELECT at, recipients, bytes, delivered FROM outage_sample"
				  " WHERE outage=?1 ORDER BY at",
	[SQL_SAMPLES_DELETE] = "DELETE FROM outage_sample WHERE outage=?1",
};
