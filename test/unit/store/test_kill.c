/*
 * kill -9 at each named point, of a process whose unsynced writes die with it: the rows of the
 * crash table, and RELIABILITY rows 1 to 5. The child tells through a pipe what it was told is
 * durable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "store/crash_vfs.h"
#include "store/world.h"

enum { JOURNAL = 64 << 10 };
enum { MESSAGES = 6 };

struct word {
	uint64_t id;
	enum recipient_state state;
};

static void say(int fd, uint64_t id, enum recipient_state state)
{
	struct word word = { id, state };
	CHECK(write(fd, &word, sizeof(word)) == (ssize_t)sizeof(word));
}

static void live(struct world *w, int fd)
{
	static const char *const hop = "a.example";
	for (int i = 0; i < MESSAGES; i++) {
		struct sample s;
		sample_make(w, &s, &hop, 1);
		struct store_accept accept = { .env = &s.env, .content = s.content };
		struct store_spool spool = { .id = s.env.id, .content = STR("first part") };
		if (i % 2) {
			CHECK(world_run(w, &spool.op, STORE_SPOOL) == OK);
			accept.spooled_chunks = 1;
		}
		CHECK(world_run(w, &accept.op, STORE_ACCEPT) == OK);
		say(fd, s.env.id, RECIPIENT_READY);
		CHECK(world_record(w, s.env.id, 1, i % 3 ? RESULT_DELIVERED : RESULT_RETRY, 1, 99,
			      NULL) == OK);
		say(fd, s.env.id, i % 3 ? RECIPIENT_DELIVERED : RECIPIENT_WAITING);
	}
}

static _Noreturn void run_child(struct world *w, int fd, const char *point)
{
	crash_vfs_register();
	w->options.vfs = "unsynced";
	w->options.checkpoint = STORE_CHECKPOINT_EACH;
	CHECK(fault_parse(&w->fe.fault, str_from_c(point)) == OK);
	world_must_open(w);
	live(w, fd);
	kill(getpid(), SIGKILL);
	_exit(1);
}

static unsigned check_words(struct world *w, int fd)
{
	struct word word, next;
	unsigned count = 0;
	bool has_next = read(fd, &next, sizeof(next)) == (ssize_t)sizeof(next);
	while (has_next) {
		word = next;
		has_next = read(fd, &next, sizeof(next)) == (ssize_t)sizeof(next);
		struct store_show show = { .id = word.id };
		assert_int_equal(world_run(w, &show.op, STORE_SHOW), OK);
		enum recipient_state is = show.message.recipients[0].state;
		store_op_fini(&show.op);
		bool is_last_word = !has_next || next.id != word.id;
		/* A later result may have become durable before it could be told. */
		if (is_last_word && word.state != RECIPIENT_READY)
			assert_int_equal(is, word.state);
		if (is <= RECIPIENT_QUARANTINED) {
			struct store_fetch fetch = { .id = word.id };
			assert_int_equal(world_run(w, &fetch.op, STORE_FETCH), OK);
			store_op_fini(&fetch.op);
		}
		count++;
	}
	return count;
}

static void test_kill_at_each_point(void **state)
{
	/* Without a journal there are more transactions, so that the higher counts are reached. */
	static const struct {
		const char *point;
		uint64_t journal_bytes;
	} points[] = { { "accept_applied", 0 }, { "accept_applied:4", 0 },
		{ "accept_applied", JOURNAL }, { "accept_applied:4", JOURNAL },
		{ "accept_committed", 0 }, { "accept_committed:4", 0 },
		{ "accept_committed", JOURNAL }, { "accept_committed:4", JOURNAL },
		{ "accept_spooled", 0 }, { "accept_spooled:2", 0 }, { "accept_spooled:2", JOURNAL },
		{ "record_applied", 0 }, { "record_applied:5", 0 }, { "record_applied", JOURNAL },
		{ "record_applied:5", JOURNAL }, { "record_committed", 0 },
		{ "record_committed:5", 0 }, { "record_committed", JOURNAL },
		{ "record_committed:5", JOURNAL }, { "retire_begin", JOURNAL },
		{ "retire_end", JOURNAL }, { "checkpoint_begin", 0 }, { "checkpoint_begin:7", 0 },
		{ "checkpoint_begin", JOURNAL }, { "checkpoint_end", 0 }, { "checkpoint_end:7", 0 },
		{ "checkpoint_end", JOURNAL }, { "migrate_step", 0 }, { "migrate_step:2", 0 },
		{ "migrate_step:3", JOURNAL }, { "accept_in_data", JOURNAL } };
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
		struct world w;
		int ends[2], status = 0;
		world_init(&w, store_open);
		w.options.journal_bytes = points[i].journal_bytes;
		CHECK(pipe(ends) == 0);
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			run_child(&w, ends[1], points[i].point);
		close(ends[1]);
		CHECK(waitpid(pid, &status, 0) == pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		world_must_open(&w);
		unsigned words = check_words(&w, ends[0]);
		/* The last row is a point that the store does not pass: the child ends at the
		 * end of its story. */
		bool is_whole = i == ARRAY_COUNT(points) - 1;
		if ((words == 2 * MESSAGES) != is_whole)
			fail_msg("%s, journal of %u: %u words", points[i].point,
				(unsigned)points[i].journal_bytes, words);
		assert_null(world_recount(&w));
		assert_int_equal(world_sql(&w, "SELECT count(*) FROM spool"), 0);
		close(ends[0]);
		world_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kill_at_each_point) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
