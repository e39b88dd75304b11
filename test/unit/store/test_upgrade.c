/*
 * A queue that the version before left (schema step 3), with mail in all states: what becomes of it when the daemon
 * starts, when a tool only reads it, and when it is saved because it is damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "store/contract_parts.h"
#include "store/schema.h"

enum { STEPS_BEFORE = 3, HELD_DAYS = 10 };

static struct world world;
static uint64_t ids[RECIPIENT_STATE_COUNT]; /* a message with one recipient in each state */

static const char hop_and_site[] =
	"INSERT INTO site(id, name, hops, window, health, last_success) VALUES(1, 'mx.a', 1, 7, 2, "
	"5);"
	"INSERT INTO hop(id, name, site, ready, waiting, held, quarantined, bytes, finished, "
	"last_success)"
	" VALUES(1, 'a.example', 1, 1, 1, 1, 1, 84, 3, 6);"
	"UPDATE total SET ready=1, waiting=1, held=1, quarantined=1, failed=1, delivered=1, "
	"deleted=1,"
	" messages=4, bytes=84, sites_down=1, delivered_ever=1, failed_ever=1;";

static void exec(sqlite3 *db, const char *text)
{
	char *problem = NULL;
	if (sqlite3_exec(db, text, NULL, NULL, &problem) != SQLITE_OK)
		fail_msg("%s: %s", text, problem);
}

static void insert_message(sqlite3 *db, enum recipient_state state)
{
	bool is_queued = state <= RECIPIENT_QUARANTINED;
	long long id = (long long)ids[state], at = queue_id_time(ids[state]).ms;
	bool is_due = state == RECIPIENT_WAITING || state == RECIPIENT_QUARANTINED;
	char *text =
		sqlite3_mprintf("INSERT INTO message VALUES(%lld, %lld, 'sender@example.org', 0, "
				"0, 0, '', 0, 0, 0, 0, 0,"
				" '', '', '', '', 21, %d, %d, %lld, '');"
				"INSERT INTO recipient VALUES(%lld, 1, 1, %d, 0, %lld, 2, %lld, "
				"%lld, 0, 451, 4007001, 6,"
				" 'u1@a.example', 'a.example', '', 'later', 'mx.a[192.0.2.1]:25');"
				"UPDATE total SET last_id=%lld;",
			id, at, is_queued, is_queued, is_queued ? 0LL : at + 1, id, (int)state,
			is_due ? at + HOUR_MS : 0LL, at + 1, is_queued ? 0LL : at + 1, id);
	exec(db, text);
	sqlite3_free(text);
	if (!is_queued)
		return;
	text = sqlite3_mprintf("INSERT INTO content VALUES(%lld,"
			       " cast('Subject: x' || char(13, 10, 13, 10) || 'hello' AS blob))",
		id);
	exec(db, text);
	sqlite3_free(text);
}

static void make_old_queue(struct world *w)
{
	sqlite3 *db = NULL;
	char *path = world_path(w, "queue.db");
	CHECK(sqlite3_open(path, &db) == SQLITE_OK && chmod(path, 0600) == 0);
	exec(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL");
	CHECK(schema_migrate(db, schema_steps, STEPS_BEFORE, NULL) == OK);
	exec(db, hop_and_site);
	for (enum recipient_state state = 0; state < RECIPIENT_STATE_COUNT; state++) {
		w->fe.wall = wall_add(w->fe.wall, SECOND_MS);
		ids[state] = queue_id_next(&w->ids, w->fe.wall);
		insert_message(db, state);
	}
	CHECK(sqlite3_close(db) == SQLITE_OK);
	free(path);
}

static int setup(void **state)
{
	world_init(&world, store_sync_open);
	make_old_queue(&world);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	world_fini(*state);
	return 0;
}

/* ---- the daemon ---- */

static void test_mail_in_every_state_comes_along(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	assert_null(world_recount(w));
	for (enum recipient_state s = 0; s < RECIPIENT_STATE_COUNT; s++) {
		struct store_show show = { .id = ids[s] };
		assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
		assert_int_equal(show.message.recipient_count, 1);
		const struct queued_recipient *r = &show.message.recipients[0];
		assert_true(r->state == s && r->attempts == 2 && r->code == 451);
		assert_true(str_equal(r->rcpt.address, STR("u1@a.example")));
		store_op_fini(&show.op);
	}
	struct store_lookup found;
	assert_int_equal(contract_lookup(w, &found, "a.example", ""), OK);
	assert_true(found.site_out.window == 7 && found.site_out.health.state == HEALTH_DOWN);
	store_op_fini(&found.op);
}

static void test_mail_in_every_state_is_delivered(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	w->fe.wall = wall_add(w->fe.wall, DAY_MS);
	struct store_promote promote = { .now = w->fe.wall, .limit = 10 };
	assert_int_equal(world_run(w, &promote.op, STORE_PROMOTE), OK);
	assert_int_equal(promote.promoted_count, 2);
	store_op_fini(&promote.op);
	const struct store_filter all = { .is_all = true };
	struct store_modify release = { .filter = &all,
		.action = MODIFY_RELEASE,
		.now = w->fe.wall,
		.actor = STR("uid 0 (root)"),
		.limit = 10 };
	assert_int_equal(world_run(w, &release.op, STORE_MODIFY), OK);
	assert_int_equal(release.recipient_count, 1);
	store_op_fini(&release.op);
	struct store_claim claim = { .hop = STR("a.example"), .message_limit = 10 };
	assert_int_equal(world_run(w, &claim.op, STORE_CLAIM), OK);
	assert_int_equal(claim.message_count, 4);
	for (uint32_t i = 0; i < claim.message_count; i++) {
		struct store_fetch fetch = { .id = claim.messages[i].env.id };
		assert_int_equal(world_run(w, &fetch.op, STORE_FETCH), OK);
		assert_memory_equal(fetch.content.data, "Subject: x", 10);
		store_op_fini(&fetch.op);
		assert_int_equal(world_record(w, fetch.id, 1, RESULT_DELIVERED, 3, 0, NULL), OK);
	}
	store_op_fini(&claim.op);
	contract_assert_counts(w);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM message WHERE finished = 0"), 0);
}

/* The version before did not write down since when: its time must not count as time in which it could have moved. */
static void test_time_that_it_was_held_does_not_count(void **state)
{
	struct world *w = *state;
	world_must_open(w);
	w->fe.wall = wall_add(queue_id_time(ids[RECIPIENT_HELD]), HELD_DAYS * DAY_MS);
	const struct store_filter all = { .is_all = true };
	struct store_modify release = {
		.filter = &all, .action = MODIFY_RELEASE, .now = w->fe.wall, .limit = 10
	};
	assert_int_equal(world_run(w, &release.op, STORE_MODIFY), OK);
	store_op_fini(&release.op);
	struct store_show show = { .id = ids[RECIPIENT_HELD] };
	assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
	assert_true(show.message.recipients[0].held_ms == HELD_DAYS * DAY_MS);
	store_op_fini(&show.op);
}

/* ---- tools ---- */

static void test_tool_says_that_the_file_is_older_and_changes_nothing(void **state)
{
	struct world *w = *state;
	struct store *tool = NULL;
	assert_int_equal(
		store_open_readonly(str_from_c(w->directory), &w->options, &tool, &w->message),
		ERR_UNSUPPORTED);
	assert_non_null(strstr(buf_cstr(&w->message), "older version"));
	assert_int_equal(world_sql(w, "PRAGMA user_version"), STEPS_BEFORE);
}

static void load(const char *folder, uint64_t id, const char *suffix, char *out, size_t size)
{
	char path[256];
	int n = snprintf(path, sizeof(path), "%s/%s.%s", folder, queue_id_format(id).text, suffix);
	CHECK(n > 0 && (size_t)n < sizeof(path));
	int fd = open(path, O_RDONLY);
	ssize_t len = fd >= 0 ? read(fd, out, size - 1) : 0;
	if (fd >= 0)
		close(fd);
	out[len > 0 ? len : 0] = '\0';
}

static void test_salvage_saves_envelopes_too(void **state)
{
	struct world *w = *state;
	char folder[160], data[4096], command[200];
	uint64_t saved = 0, damaged = 0;
	int n = snprintf(folder, sizeof(folder), "%s.out", w->directory);
	CHECK(n > 0 && (size_t)n < sizeof(folder));
	assert_int_equal(store_salvage(str_from_c(w->directory), str_from_c(folder), &saved,
				 &damaged, &w->message),
		OK);
	assert_int_equal(saved, 4);
	assert_int_equal(damaged, 0);
	for (enum recipient_state s = 0; s <= RECIPIENT_QUARANTINED; s++) {
		load(folder, ids[s], "eml", data, sizeof(data));
		assert_non_null(strstr(data, "Subject: x"));
		load(folder, ids[s], "json", data, sizeof(data));
		assert_non_null(strstr(data, "\"envelope_complete\":true"));
		assert_non_null(strstr(data, "\"from\":\"sender@example.org\""));
		assert_non_null(strstr(data, "\"to\":\"u1@a.example\""));
	}
	n = snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	CHECK(n > 0 && (size_t)n < sizeof(command) && system(command) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_mail_in_every_state_comes_along, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_mail_in_every_state_is_delivered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_time_that_it_was_held_does_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_tool_says_that_the_file_is_older_and_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_salvage_saves_envelopes_too, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
