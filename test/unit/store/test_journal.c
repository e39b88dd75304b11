/* The journal by itself: what was written is told again in order, whatever a crash left of the last batch; what was lost
 * before it is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rng.h"
#include "store/crash_vfs.h"
#include "store/journal.h"

enum { BLOCK = JOURNAL_BLOCK_BYTES, SECTOR = 512, SIZE = JOURNAL_BYTES_MIN, TOLD_MAX = 4096 };

static char path[64];
static char content[600000];

/* What a replay told. */
struct told {
	struct journal_entry entries[TOLD_MAX];
	uint32_t head_sum[TOLD_MAX]; /* of its head's octets */
	size_t count;
	enum err answer; /* of on_entry, from the entry `stop_at` on */
	uint64_t stop_at;
};
static struct told told;

/* From the oldest entry that is needed to the tail. */
static uint64_t used_bytes(const struct journal *j, const struct journal_entry *oldest)
{
	if (!oldest)
		return 0;
	return oldest->batch_at < j->tail ? j->tail - oldest->batch_at
					  : j->size_bytes - oldest->batch_at + j->tail;
}

static int setup(void **state)
{
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int n = snprintf(path, sizeof(path), "%s/outlast-journal.XXXXXX", root);
	(void)state;
	CHECK(n > 0 && (size_t)n < sizeof(path));
	int fd = mkstemp(path);
	CHECK(fd >= 0);
	close(fd);
	crash_vfs_register();
	crash_vfs_plan(&(struct crash_plan){ 0 });
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 7 + i / 251);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	crash_vfs_plan(&(struct crash_plan){ 0 });
	unlink(path);
	return 0;
}

static void open_journal(struct journal *j, const char *vfs, uint64_t size)
{
	assert_int_equal(journal_open(j, path, vfs, size, false), OK);
}

static uint32_t sum_of(struct str s)
{
	return (uint32_t)str_hash(s, 7);
}

/* Head and content of an entry are made of its number, so that a replay can be judged. */
static struct str head_of(uint64_t number, char *out, size_t size)
{
	int n = snprintf(out, size, "head %llu %.*s", (unsigned long long)number,
		(int)(number % 50), "..................................................");
	CHECK(n > 0 && (size_t)n < size);
	return str_of(out, (size_t)n);
}

static struct str content_of(uint64_t number, size_t len)
{
	return str_of(content + number % 997, len);
}

/* A batch of entries with len octets of content each. False: no room. */
static bool append(struct journal *j, const struct journal_entry *oldest, uint32_t count,
	size_t len, struct journal_entry *out)
{
	char head[128];
	journal_begin(j);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t number = j->next_entry + i;
		out[i] = journal_add(j, 1 + (uint32_t)number % 3,
			head_of(number, head, sizeof(head)), content_of(number, len));
	}
	if (!journal_place(j, oldest, out, count))
		return false;
	assert_int_equal(journal_write(j), OK);
	return true;
}

static enum err on_entry(void *context, const struct journal_entry *entry, struct str head)
{
	struct told *t = context;
	if (t->answer != OK && entry->number >= t->stop_at)
		return t->answer;
	CHECK(t->count < TOLD_MAX);
	t->head_sum[t->count] = sum_of(head);
	t->entries[t->count++] = *entry;
	return OK;
}

static enum err replay(struct journal *j, uint64_t settled)
{
	told = (struct told){ 0 };
	return journal_replay(j, settled, on_entry, &told);
}

/* Opens anew and replays; the journal is closed again. */
static enum err replay_file(uint64_t settled, uint64_t *next_entry)
{
	struct journal j;
	open_journal(&j, NULL, SIZE);
	enum err err = replay(&j, settled);
	if (next_entry)
		*next_entry = j.next_entry;
	journal_close(&j);
	return err;
}

/* The entries first..last were told, in order, whole. */
static void expect_told(struct journal *j, uint64_t first, uint64_t last)
{
	struct buf octets;
	char head[128];
	buf_init(&octets, sizeof(content));
	assert_int_equal(told.count, last + 1 - first);
	for (size_t i = 0; i < told.count; i++) {
		const struct journal_entry *e = &told.entries[i];
		assert_int_equal(e->number, first + i);
		assert_int_equal(e->kind, 1 + e->number % 3);
		struct str want = head_of(e->number, head, sizeof(head));
		assert_int_equal(told.head_sum[i], sum_of(want));
		assert_int_equal(journal_read(j, e->at, e->head_bytes, &octets), OK);
		assert_true(str_equal(buf_str(&octets), want));
		assert_int_equal(
			journal_read(j, e->at + e->head_bytes, e->content_bytes, &octets), OK);
		assert_true(str_equal(buf_str(&octets), content_of(e->number, e->content_bytes)));
	}
	buf_fini(&octets);
}

static void fill_file(unsigned char octet, size_t size)
{
	static unsigned char data[4 << 20];
	CHECK(size <= sizeof(data));
	memset(data, octet, size);
	int fd = open(path, O_WRONLY | O_TRUNC);
	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

static void put(uint64_t at, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY);
	CHECK(fd >= 0 && pwrite(fd, data, len, (off_t)at) == (ssize_t)len);
	close(fd);
}

static void get(uint64_t at, void *data, size_t len)
{
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && pread(fd, data, len, (off_t)at) == (ssize_t)len);
	close(fd);
}

static void test_replay_tells_what_was_appended_in_order(void **state)
{
	static const struct {
		uint32_t count;
		size_t len;
	} batches[] = { { 1, 0 }, { 3, 100 }, { 1, BLOCK }, { 20, 7 }, { 2, BLOCK - 200 } };
	struct journal_entry written[32];
	struct journal j;
	uint64_t last = 0;
	(void)state;
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 0), OK);
	assert_int_equal(told.count, 0);
	for (size_t i = 0; i < ARRAY_COUNT(batches); i++) {
		assert_true(append(&j, NULL, batches[i].count, batches[i].len, written));
		assert_int_equal(written[0].number, last + 1);
		last += batches[i].count;
		assert_int_equal(j.next_entry, last + 1);
	}
	journal_close(&j);
	for (uint64_t settled = 0; settled <= last; settled++) {
		open_journal(&j, NULL, SIZE);
		assert_int_equal(replay(&j, settled), OK);
		expect_told(&j, settled + 1, last);
		assert_int_equal(j.next_entry, last + 1);
		if (settled < last)
			assert_int_equal(told.entries[told.count - 1].at, written[1].at);
		journal_close(&j);
	}
}

static void test_replay_ends_with_the_error_of_its_reader(void **state)
{
	struct journal_entry written[5];
	struct journal j;
	(void)state;
	open_journal(&j, NULL, SIZE);
	assert_true(append(&j, NULL, 2, 10, written) && append(&j, NULL, 5, 10, written));
	told = (struct told){ .answer = ERR_NOT_FOUND, .stop_at = 4 };
	assert_int_equal(journal_replay(&j, 0, on_entry, &told), ERR_NOT_FOUND);
	assert_int_equal(told.count, 3);
	journal_close(&j);
}

/* Three batches; the last of some blocks with a good deal of padding. Its extent, and that of the one before. */
struct extent {
	uint64_t from, to;
};
static struct extent write_three(struct extent *second)
{
	struct journal_entry written[4];
	struct journal j;
	struct extent third;
	fill_file(0xa5, SIZE);
	open_journal(&j, NULL, SIZE);
	assert_true(append(&j, NULL, 2, 50, written));
	second->from = j.tail;
	assert_true(append(&j, NULL, 3, BLOCK, written));
	second->to = third.from = j.tail;
	assert_true(append(&j, NULL, 4, 2100, written));
	third.to = j.tail;
	journal_close(&j);
	assert_true(third.to - third.from == 3 * BLOCK && second->to - second->from == 4 * BLOCK);
	return third;
}

/* A sector that did not reach the disk holds what it held before; a lost one zeros. */
static void test_torn_last_batch_ends_the_replay(void **state)
{
	unsigned char keep[SECTOR], old[SECTOR], zeros[SECTOR] = { 0 };
	struct extent second, third = write_three(&second);
	uint64_t next;
	(void)state;
	memset(old, 0xa5, sizeof(old));
	for (uint64_t at = third.from; at < third.to; at += SECTOR) {
		get(at, keep, SECTOR);
		put(at, old, SECTOR);
		assert_int_equal(replay_file(0, &next), OK);
		assert_int_equal(told.count, 5);
		assert_int_equal(next, 6);
		/* Padding is zeros: it may be missing without harm. */
		put(at, zeros, SECTOR);
		assert_int_equal(replay_file(0, &next), OK);
		assert_int_equal(told.count, memcmp(keep, zeros, SECTOR) == 0 ? 9 : 5);
		put(at, keep, SECTOR);
	}
	assert_int_equal(replay_file(0, &next), OK);
	assert_int_equal(told.count, 9);
}

static void test_half_written_padding_is_no_batch(void **state)
{
	struct extent second, third = write_three(&second);
	(void)state;
	for (uint64_t at = third.to - 1; at > third.to - 600; at -= 37) {
		put(at, "x", 1);
		assert_int_equal(replay_file(0, NULL), OK);
		assert_int_equal(told.count, 5);
		put(at, "", 1);
	}
	assert_int_equal(replay_file(0, NULL), OK);
	assert_int_equal(told.count, 9);
}

static void test_cut_file_ends_the_replay(void **state)
{
	struct extent second, third = write_three(&second);
	struct journal j;
	(void)state;
	for (uint64_t size = third.to - 1; size >= third.from; size -= 509) {
		CHECK(truncate(path, (off_t)size) == 0);
		assert_int_equal(journal_open(&j, path, NULL, SIZE, true), OK);
		assert_int_equal(replay(&j, 0), OK);
		assert_int_equal(told.count, 5);
		journal_close(&j);
	}
}

static void test_damage_before_a_later_batch_is_an_error(void **state)
{
	unsigned char keep[SECTOR], junk[SECTOR];
	struct extent second, third = write_three(&second);
	(void)state;
	(void)third;
	memset(junk, 0x5a, sizeof(junk));
	for (uint64_t at = 0; at < second.to; at += SECTOR) {
		bool is_second = at >= second.from;
		get(at, keep, SECTOR);
		put(at, junk, SECTOR);
		/* What is settled is not needed any more. */
		for (uint64_t settled = 0; settled <= 9; settled++) {
			bool is_needed = settled < (is_second ? 5 : 2);
			enum err err = replay_file(settled, NULL);
			if (err != (is_needed ? ERR_CORRUPT : OK))
				fail_msg("sector %u, settled %u: %s", (unsigned)(at / SECTOR),
					(unsigned)settled, err_name(err));
			if (!is_needed)
				assert_int_equal(told.count, 9 - settled);
		}
		put(at, keep, SECTOR);
	}
}

static void test_gap_after_settled_is_an_error(void **state)
{
	struct journal_entry written[4];
	struct journal j;
	uint64_t next;
	(void)state;
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 10), OK);
	assert_int_equal(j.next_entry, 11);
	assert_true(append(&j, NULL, 4, 10, written));
	journal_close(&j);
	for (uint64_t settled = 0; settled < 10; settled++)
		assert_int_equal(replay_file(settled, NULL), ERR_CORRUPT);
	for (uint64_t settled = 10; settled < 20; settled++) {
		assert_int_equal(replay_file(settled, &next), OK);
		assert_int_equal(told.count, settled < 14 ? 14 - settled : 0);
		assert_int_equal(next, settled < 14 ? 15 : settled + 1);
	}
}

/* A batch that says it has more entries, or fewer, than it has. */
static void test_batch_whose_entries_do_not_fill_it_is_damaged(void **state)
{
	static const uint32_t says[] = { 1, 3, UINT32_MAX };
	struct journal_entry written[2];
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
		struct journal j;
		fill_file(0, SIZE);
		open_journal(&j, NULL, SIZE);
		journal_begin(&j);
		for (int n = 0; n < 2; n++)
			written[n] = journal_add(&j, 1, STR("head"), STR("content"));
		j.batch_entries = says[i];
		assert_true(journal_place(&j, NULL, written, 2));
		assert_int_equal(journal_write(&j), OK);
		journal_close(&j);
		assert_int_equal(replay_file(0, NULL), ERR_CORRUPT);
	}
}

static void test_batches_left_from_before_are_not_taken(void **state)
{
	struct journal_entry written[4];
	struct journal j;
	(void)state;
	open_journal(&j, NULL, SIZE);
	for (int i = 0; i < 10; i++)
		assert_true(append(&j, NULL, 2, 10, written));
	journal_rewind(&j);
	assert_true(append(&j, NULL, 4, 10, written));
	assert_int_equal(written[0].batch_at, 0);
	journal_close(&j);
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 20), OK);
	expect_told(&j, 21, 24);
	/* And none before anything was written behind them. */
	journal_close(&j);
	assert_int_equal(replay_file(24, NULL), OK);
	assert_int_equal(told.count, 0);
}

/* The first batch after everything was settled is torn; then mail goes on, and that must be found after the next crash. */
static void test_what_follows_a_torn_batch_is_found(void **state)
{
	struct journal_entry written[2];
	unsigned char old[2 * BLOCK];
	(void)state;
	for (int missing = 0; missing < 2; missing++) {
		struct journal j;
		fill_file(0, SIZE);
		open_journal(&j, NULL, SIZE);
		for (int i = 0; i < 6; i++)
			assert_true(append(&j, NULL, 1, 10, written));
		journal_rewind(&j);
		get(0, old, sizeof(old));
		assert_true(append(&j, NULL, 1, BLOCK, written));
		assert_int_equal(j.tail, 2 * BLOCK);
		journal_close(&j);
		put((uint64_t)missing * BLOCK, old + missing * BLOCK, BLOCK);
		open_journal(&j, NULL, SIZE);
		assert_int_equal(replay(&j, 6), OK);
		assert_int_equal(told.count, 0);
		assert_true(append(&j, NULL, 2, 10, written));
		journal_close(&j);
		open_journal(&j, NULL, SIZE);
		assert_int_equal(replay(&j, 6), OK);
		expect_told(&j, 7, 8);
		journal_close(&j);
	}
}

static void test_full_file_has_no_room_until_the_oldest_goes(void **state)
{
	static struct journal_entry all[64];
	struct journal_entry one;
	struct journal j;
	uint32_t count = 0;
	(void)state;
	open_journal(&j, NULL, SIZE);
	assert_false(append(&j, NULL, 1, SIZE, &one));
	while (append(&j, count ? &all[0] : NULL, 1, 10, &all[count]))
		count++;
	assert_int_equal(count, SIZE / BLOCK);
	assert_int_equal(used_bytes(&j, &all[0]), SIZE);
	assert_int_equal(used_bytes(&j, NULL), 0);
	/* Two blocks do not fit where one was. */
	assert_false(append(&j, &all[1], 1, BLOCK, &one));
	assert_true(append(&j, &all[2], 1, BLOCK, &one));
	assert_int_equal(one.batch_at, 0);
	assert_int_equal(used_bytes(&j, &all[2]), SIZE);
	assert_false(append(&j, &all[2], 1, 10, &one));
	journal_close(&j);
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 2), OK);
	expect_told(&j, 3, count + 1);
	journal_close(&j);
}

/* Batches of any size go round and round while some are needed: whenever the process ends, those are told. */
static void test_ring_keeps_what_is_needed(void **state)
{
	enum { ROUNDS = 1500, KEPT_MAX = 4000 };
	static struct journal_entry kept[KEPT_MAX + 64];
	struct journal j;
	struct rng rng;
	size_t first = 0, count = 0, refused = 0;
	uint64_t settled = 0;
	(void)state;
	rng_init(&rng, 19820801);
	open_journal(&j, NULL, SIZE);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t n = 1 + (uint32_t)rng_below(&rng, 12);
		size_t len =
			rng_below(&rng, 4) == 0 ? rng_below(&rng, 3 * BLOCK) : rng_below(&rng, 500);
		if (first + count + n > KEPT_MAX) {
			memmove(kept, kept + first, count * sizeof(kept[0]));
			first = 0;
		}
		while (!append(&j, count ? &kept[first] : NULL, n, len, &kept[first + count])) {
			if (count == 0) {
				refused++;
				n = 0;
				break;
			}
			settled = kept[first++].number;
			count--;
		}
		count += n;
		for (uint64_t gone = rng_below(&rng, 9); gone > 0 && count > 0; gone--) {
			settled = kept[first++].number;
			count--;
		}
		if (count == 0)
			journal_rewind(&j);
		if (rng_below(&rng, 5) > 0)
			continue;
		journal_close(&j);
		open_journal(&j, NULL, SIZE);
		assert_int_equal(replay(&j, settled), OK);
		expect_told(&j, settled + 1, settled + count);
		for (size_t i = 0; i < count; i++)
			assert_memory_equal(
				&told.entries[i].at, &kept[first + i].at, sizeof(uint64_t));
	}
	assert_true(settled > 4000 && refused > 10);
	journal_close(&j);
}

static void test_long_batches_are_whole(void **state)
{
	static const size_t lens[] = { 100, 126000, 131072, 300000, 599000 };
	struct journal_entry written;
	struct journal j;
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		fill_file(0xa5, 1 << 20);
		open_journal(&j, NULL, 1 << 20);
		assert_true(append(&j, NULL, 1, lens[i], &written));
		journal_close(&j);
		open_journal(&j, NULL, 1 << 20);
		assert_int_equal(replay(&j, 0), OK);
		expect_told(&j, 1, 1);
		uint64_t end = j.tail;
		journal_close(&j);
		for (uint64_t at = 0; at < end; at += 31 * BLOCK) {
			unsigned char octet, other;
			get(at, &octet, 1);
			other = octet ^ 0x10;
			put(at, &other, 1);
			assert_int_equal(replay_file(0, NULL), OK);
			assert_int_equal(told.count, 0);
			put(at, &octet, 1);
		}
	}
}

static void test_smaller_size_keeps_what_lies_behind(void **state)
{
	struct journal_entry written;
	struct journal j;
	struct stat st;
	(void)state;
	open_journal(&j, NULL, 1 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	for (int i = 0; i < 5; i++)
		assert_true(append(&j, NULL, 1, 100000, &written));
	journal_close(&j);
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 3), OK);
	expect_told(&j, 4, 5);
	journal_close(&j);
}

static void test_readonly_changes_nothing(void **state)
{
	static unsigned char before[SIZE], after[SIZE];
	struct extent second, third = write_three(&second);
	struct journal j;
	(void)state;
	(void)third;
	get(0, before, SIZE);
	assert_int_equal(journal_open(&j, path, NULL, 4 * SIZE, true), OK);
	assert_int_equal(replay(&j, 4), OK);
	expect_told(&j, 5, 9);
	journal_close(&j);
	struct stat st;
	CHECK(stat(path, &st) == 0 && st.st_size == SIZE);
	get(0, after, SIZE);
	assert_memory_equal(before, after, SIZE);
	unlink(path);
	assert_int_not_equal(journal_open(&j, path, NULL, SIZE, true), OK);
	assert_true(j.problem[0] != '\0');
	journal_close(&j);
	assert_int_not_equal(access(path, F_OK), 0);
}

/* Without room for the whole file what it has can be read. */
static void test_open_without_room_keeps_what_is_there(void **state)
{
	struct rlimit old, small = { 2 * SIZE, 2 * SIZE };
	struct journal_entry written;
	struct journal j;
	struct stat st;
	(void)state;
	open_journal(&j, NULL, SIZE);
	assert_true(append(&j, NULL, 1, 5000, &written));
	journal_close(&j);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	assert_int_equal(journal_open(&j, path, NULL, 8 * SIZE, false), ERR_NO_SPACE);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_true(j.problem[0] != '\0');
	assert_int_equal(replay(&j, 0), OK);
	expect_told(&j, 1, 1);
	journal_close(&j);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
}

static enum err try_append(struct journal *j, size_t len)
{
	struct journal_entry entry;
	char head[128];
	journal_begin(j);
	entry = journal_add(j, 1 + (uint32_t)j->next_entry % 3,
		head_of(j->next_entry, head, sizeof(head)), content_of(j->next_entry, len));
	CHECK(journal_place(j, NULL, &entry, 1));
	return journal_write(j);
}

static void test_full_disk_leaves_nothing_that_counts(void **state)
{
	static const enum crash_kind kinds[] = { CRASH_ENOSPC, CRASH_SHORT };
	(void)state;
	for (size_t kind = 0; kind < ARRAY_COUNT(kinds); kind++) {
		for (uint64_t at = 1; at <= 3; at++) {
			struct journal j;
			fill_file(0, 1 << 20);
			open_journal(&j, "crash", 1 << 20);
			assert_int_equal(try_append(&j, 10), OK);
			crash_vfs_plan(&(struct crash_plan){ .kind = kinds[kind], .at = at });
			assert_int_equal(try_append(&j, 300000), ERR_NO_SPACE);
			crash_vfs_plan(&(struct crash_plan){ 0 });
			assert_int_equal(j.next_entry, 2);
			journal_close(&j);
			assert_int_equal(replay_file(0, NULL), OK);
			assert_int_equal(told.count, 1);
			open_journal(&j, "crash", 1 << 20);
			assert_int_equal(replay(&j, 0), OK);
			assert_int_equal(try_append(&j, 20), OK);
			journal_close(&j);
			open_journal(&j, NULL, SIZE);
			assert_int_equal(replay(&j, 0), OK);
			expect_told(&j, 1, 2);
			journal_close(&j);
		}
	}
}

/* Power loss: durable means synced, and the sync comes before the answer. */
static void test_written_batch_is_synced(void **state)
{
	struct journal j;
	(void)state;
	open_journal(&j, "crash", SIZE);
	assert_int_equal(try_append(&j, 5000), OK);
	crash_vfs_plan(&(struct crash_plan){ .kind = CRASH_POWER, .at = 1 });
	assert_int_not_equal(try_append(&j, 10), OK);
	journal_close(&j);
	crash_vfs_plan(&(struct crash_plan){ 0 });
	open_journal(&j, NULL, SIZE);
	assert_int_equal(replay(&j, 0), OK);
	expect_told(&j, 1, 1);
	journal_close(&j);
}

static void test_failed_calls_are_errors(void **state)
{
	struct journal j;
	(void)state;
	for (uint64_t at = 1; at <= 4; at++) { /* three writes and a sync */
		open_journal(&j, "crash", 1 << 20);
		assert_int_equal(replay(&j, 0), OK);
		crash_vfs_plan(&(struct crash_plan){ .kind = CRASH_EIO, .at = at });
		assert_int_equal(try_append(&j, 300000), ERR_IO);
		assert_true(j.problem[0] != '\0');
		crash_vfs_plan(&(struct crash_plan){ 0 });
		journal_close(&j);
		fill_file(0, 0);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replay_tells_what_was_appended_in_order),
		TEST(test_replay_ends_with_the_error_of_its_reader),
		TEST(test_torn_last_batch_ends_the_replay),
		TEST(test_half_written_padding_is_no_batch),
		TEST(test_cut_file_ends_the_replay),
		TEST(test_damage_before_a_later_batch_is_an_error),
		TEST(test_gap_after_settled_is_an_error),
		TEST(test_batch_whose_entries_do_not_fill_it_is_damaged),
		TEST(test_batches_left_from_before_are_not_taken),
		TEST(test_what_follows_a_torn_batch_is_found),
		TEST(test_full_file_has_no_room_until_the_oldest_goes),
		TEST(test_ring_keeps_what_is_needed),
		TEST(test_long_batches_are_whole),
		TEST(test_smaller_size_keeps_what_lies_behind),
		TEST(test_readonly_changes_nothing),
		TEST(test_open_without_room_keeps_what_is_there),
		TEST(test_full_disk_leaves_nothing_that_counts),
		TEST(test_written_batch_is_synced),
		TEST(test_failed_calls_are_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
