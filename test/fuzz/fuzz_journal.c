/*
 * fuzz_journal - replay of any file: there is an answer, entries come in order without gaps, and lie within the file.
 *
 * The first octet says how the rest is used: as the file; or as batches that are written as they should be, holding
 * entries as the input has them, after which some octets are changed.
 */
#include "fuzz.h"

#include <sqlite3.h>
#include <string.h>

#include "store/journal.h"

enum { FILE_MAX = 64 * JOURNAL_BLOCK_BYTES, SETTLED_MAX = 8, BATCHES_MAX = 12 };

/* A file in memory, as SQLite's VFS has it. */
static struct {
	unsigned char data[FILE_MAX];
	sqlite3_int64 size;
} disk;

static int on_close(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static int on_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
	sqlite3_int64 left = disk.size - at;
	int known = left <= 0 ? 0 : left < len ? (int)left : len;

	(void)file;
	memset(out, 0, (size_t)len);
	if (known > 0)
		memcpy(out, disk.data + at, (size_t)known);
	return known == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	(void)file;
	CHECK(at >= 0 && len > 0 && at + len <= FILE_MAX);
	memcpy(disk.data + at, data, (size_t)len);
	if (disk.size < at + len)
		disk.size = at + len;
	return SQLITE_OK;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file;
	disk.size = size;
	return SQLITE_OK;
}

static int on_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
	(void)file;
	*size = disk.size;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int code, void *argument)
{
	(void)file;
	(void)code;
	(void)argument;
	return SQLITE_OK;
}

static int on_open(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	static const sqlite3_io_methods methods = { .iVersion = 1,
		.xClose = on_close,
		.xRead = on_read,
		.xWrite = on_write,
		.xTruncate = on_truncate,
		.xSync = on_sync,
		.xFileSize = on_size,
		.xFileControl = on_control };

	(void)vfs;
	(void)path;
	(void)flags;
	(void)out_flags;
	file->pMethods = &methods;
	return SQLITE_OK;
}

static void register_vfs(void)
{
	static sqlite3_vfs vfs = { .iVersion = 1,
		.szOsFile = sizeof(sqlite3_file),
		.mxPathname = 64,
		.zName = "fuzz",
		.xOpen = on_open };

	if (!sqlite3_vfs_find("fuzz"))
		CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

struct heard {
	struct journal *journal;
	uint64_t last;
	size_t count;
	bool may_skip;
};

static enum err on_entry(void *context, const struct journal_entry *entry, struct str head)
{
	struct heard *heard = context;
	struct buf octets;

	CHECK(head.len == entry->head_bytes);
	CHECK(entry->number > heard->last);
	CHECK(heard->may_skip || entry->number == heard->last + 1);
	CHECK(entry->batch_at < entry->at);
	CHECK(entry->at + entry->head_bytes + entry->content_bytes <= (uint64_t)disk.size);
	buf_init(&octets, FILE_MAX);
	CHECK(journal_read(heard->journal, entry->at, entry->head_bytes, &octets) == OK);
	CHECK(str_equal(buf_str(&octets), head));
	buf_fini(&octets);
	heard->last = entry->number;
	heard->count++;
	return OK;
}

static void replay(uint64_t settled, bool is_sound, size_t want)
{
	struct journal j;
	struct heard heard = { .journal = &j, .last = settled };

	CHECK(journal_open(&j, "x", "fuzz", JOURNAL_BYTES_MIN, true) == OK);
	enum err err = journal_replay(&j, settled, on_entry, &heard);
	CHECK(err == OK || err == ERR_CORRUPT);
	if (err == OK)
		CHECK(j.next_entry == heard.last + 1 && j.tail <= FILE_MAX);
	if (is_sound)
		CHECK(err == OK && heard.count == want);
	journal_close(&j);
}

/* Batches with octets from the input where their entries should be; how many entries are sound. */
static size_t write_batches(struct journal *j, struct str *in, bool is_free)
{
	size_t count = 0;

	for (unsigned n = fuzz_octet(in) % BATCHES_MAX; n > 0; n--) {
		struct journal_entry entries[4];
		uint32_t entry_count = 1 + fuzz_octet(in) % 4;

		journal_begin(j);
		for (uint32_t i = 0; i < entry_count; i++) {
			size_t head_len = fuzz_octet(in), content_len = fuzz_octet(in) * 32u;
			struct str head = str_slice(*in, 0, head_len);

			*in = str_slice(*in, head.len, in->len);
			entries[i] = journal_add(
				j, fuzz_octet(in), head, str_slice(*in, 0, content_len));
		}
		if (is_free) {
			struct str junk = str_slice(*in, 0, fuzz_octet(in));

			buf_append_str(&j->batch, junk);
			j->batch_entries = fuzz_octet(in) % 8;
			j->batch_entries += !j->batch_entries;
		}
		if (!journal_place(j, NULL, entries, entry_count))
			break;
		/* Nothing is settled here, so nothing may be written over. */
		if (j->tail == 0 && count > 0)
			break;
		CHECK(journal_write(j) == OK);
		count += entry_count;
	}
	return count;
}

static void fuzz_batches(struct str in, bool is_free)
{
	struct journal j;

	CHECK(journal_open(&j, "x", "fuzz", FILE_MAX, false) == OK);
	size_t count = write_batches(&j, &in, is_free);
	journal_close(&j);
	if (!is_free)
		replay(0, true, count);
	while (in.len >= 3 && disk.size > 0) {
		size_t at = fuzz_octet(&in) | (size_t)fuzz_octet(&in) << 8;

		disk.data[(at * 7) % (size_t)disk.size] ^= (unsigned char)fuzz_octet(&in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	unsigned way = fuzz_octet(&in);

	register_vfs();
	memset(disk.data, 0, sizeof(disk.data));
	disk.size = 0;
	if (way % 3 == 0) {
		in = str_slice(in, 0, FILE_MAX);
		if (in.len > 0)
			memcpy(disk.data, in.data, in.len);
		disk.size = (sqlite3_int64)in.len;
	} else {
		fuzz_batches(in, way % 3 == 2);
	}
	for (uint64_t settled = 0; settled < SETTLED_MAX; settled++)
		replay(settled, false, 0);
	struct journal j;
	struct heard heard = { .journal = &j, .may_skip = true };
	CHECK(journal_open(&j, "x", "fuzz", JOURNAL_BYTES_MIN, true) == OK);
	heard.last = 0;
	if (way % 3 != 2)
		journal_scan(&j, 0, on_entry, &heard);
	journal_close(&j);
	return 0;
}
