/* Octets changed at random in a queue file: whatever they were, opening and reading end with an
 * answer, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rng.h"
#include "store/world.h"

enum { ROUNDS = 150, FILE_MAX = 1 << 21 };

static size_t load(struct world *w, unsigned char *data)
{
	char *path = world_path(w, "queue.db");
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, data, FILE_MAX) : -1;
	CHECK(n > 0 && n < FILE_MAX);
	close(fd);
	free(path);
	return (size_t)n;
}

static void save(struct world *w, const unsigned char *data, size_t len)
{
	static const char *const others[] = { "queue.db-wal", "queue.db-shm" };
	for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
		char *path = world_path(w, others[i]);
		unlink(path);
		free(path);
	}
	char *path = world_path(w, "queue.db");
	int fd = open(path, O_WRONLY | O_TRUNC);
	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
	free(path);
}

static bool is_answer(enum err err)
{
	return err == OK || err == ERR_CORRUPT || err == ERR_NOT_FOUND || err == ERR_IO;
}

static unsigned read_all(struct world *w, uint64_t id)
{
	struct store_filter all = { .is_all = true };
	struct store_claim claim = {
		.hop = STR("a.example"), .message_limit = 50, .recipients_per_message = 5
	};
	struct store_query query = { .filter = &all, .sort = SORT_SIZE, .limit = 50 };
	struct store_hops hops = { .limit = 50, .is_detailed = true };
	struct store_show show = { .id = id };
	struct store_fetch fetch = { .id = id };
	struct store_stats stats = { 0 };
	struct store_probes probes = { .now = { 1 << 30 }, .limit = 50 };
	struct {
		struct store_op *op;
		enum store_kind kind;
	} reads[] = { { &claim.op, STORE_CLAIM }, { &query.op, STORE_QUERY },
		{ &hops.op, STORE_HOPS }, { &show.op, STORE_SHOW }, { &fetch.op, STORE_FETCH },
		{ &stats.op, STORE_STATS }, { &probes.op, STORE_PROBES } };
	unsigned failures = 0;
	for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
		enum err err = world_run(w, reads[i].op, reads[i].kind);
		assert_true(is_answer(err));
		failures += err != OK;
		store_op_fini(reads[i].op);
	}
	return failures;
}

static void test_changed_octets_never_crash(void **state)
{
	static unsigned char sound[FILE_MAX], broken[FILE_MAX];
	struct world w;
	struct rng rng;
	unsigned refused = 0, failed = 0;
	uint64_t id = 0;
	(void)state;
	world_init(&w, store_sync_open);
	world_must_open(&w);
	for (int i = 0; i < 60; i++) {
		id = world_must_accept(&w, i % 2 ? "a.example" : "b.example");
		if (i % 3 == 0)
			assert_int_equal(world_record(&w, id, 1, RESULT_RETRY, 1, 50, NULL), OK);
	}
	world_close(&w);
	size_t len = load(&w, sound);
	rng_init(&rng, 20230123);
	for (int round = 0; round < ROUNDS; round++) {
		memcpy(broken, sound, len);
		for (uint64_t n = 1 + rng_below(&rng, 200); n > 0; n--)
			broken[100 + rng_below(&rng, len - 100)] = (unsigned char)rng_next(&rng);
		save(&w, broken, len);
		enum err err = world_open(&w);
		assert_true(err != ERR_NEWER && (err == OK || w.message.len > 0));
		refused += err != OK;
		if (err != OK)
			continue;
		failed += read_all(&w, id);
		store_sync_abandon(w.store);
		w.store = NULL;
	}
	assert_true(refused > 0 && failed > 0);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_changed_octets_never_crash) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
