/* journal - see journal.h. */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "octets.h"

#define MAGIC UINT32_C(0x4a4c544f)
#define BATCH_BYTES_MAX ((size_t)1 << 30)
#define KEEP_BYTES_MAX ((size_t)1 << 20)

/* SQLite's own files never see more than a page at a time, and its VFS passes no more than 128 KiB less one. */
enum { PART_BYTES = 31 * JOURNAL_BLOCK_BYTES };
enum { HEADER_BYTES = 32, CHECKSUM_AT = 24 };

struct batch_header {
	uint64_t at; /* where it lies */
	uint32_t entry_count;
	uint64_t len;
	uint64_t first_entry;
	uint64_t checksum;
};

/* Batches, sorted by the numbers of their entries. */
struct found {
	struct batch_header *batches;
	size_t count, cap;
};

static enum err allocate(struct journal *j);
static enum err find_batches(struct journal *j, uint64_t settled, struct found *out);
static void add_found(struct found *f, const struct batch_header *h);
static int compare_batches(const void *a, const void *b);
static enum err damaged(struct journal *j);
static int write_parts(struct journal *j, const char *octets, uint64_t len);
static bool read_header(struct journal *j, uint64_t at, struct batch_header *out);
static bool read_batch(struct journal *j, const struct batch_header *h, struct buf *out);
static enum err tell_entries(const struct batch_header *h, struct str octets, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context);
static uint64_t checksum_of(const char *octets, size_t len);
static uint64_t blocks(uint64_t len);
static enum err fail(struct journal *j, int rc, const char *what);

enum err journal_open(struct journal *j, const char *path, const char *vfs_name,
	uint64_t size_bytes, bool is_readonly)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(vfs_name);
	int flags = SQLITE_OPEN_SUPER_JOURNAL;
	*j = (struct journal){ .next_entry = 1, .size_bytes = size_bytes };
	buf_init(&j->batch, BATCH_BYTES_MAX);
	CHECK(vfs != NULL);
	flags |= is_readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	j->file = mem_zalloc((size_t)vfs->szOsFile);
	j->path = mem_strdup(path);
	int rc = vfs->xOpen(vfs, j->path, j->file, flags, &flags);
	if (rc == SQLITE_OK)
		return is_readonly ? OK : allocate(j);
	enum err err = fail(j, rc, "open");
	return err == ERR_NO_SPACE ? ERR_IO : err; /* what it has cannot be read */
}

/* A file that is longer than asked for stays so: what it holds may lie behind. */
static enum err allocate(struct journal *j)
{
	sqlite3_int64 size = 0, wanted = (sqlite3_int64)j->size_bytes;
	int chunk = JOURNAL_BLOCK_BYTES;
	int rc = j->file->pMethods->xFileSize(j->file, &size);
	if (rc == SQLITE_OK && size < wanted) {
		(void)j->file->pMethods->xFileControl(j->file, SQLITE_FCNTL_CHUNK_SIZE, &chunk);
		rc = j->file->pMethods->xFileControl(j->file, SQLITE_FCNTL_SIZE_HINT, &wanted);
		if (rc == SQLITE_OK)
			rc = j->file->pMethods->xSync(j->file, SQLITE_SYNC_NORMAL);
		if (rc != SQLITE_OK) {
			(void)j->file->pMethods->xTruncate(j->file, size);
			(void)fail(j, rc, "allocate");
			return ERR_NO_SPACE;
		}
	}
	return rc == SQLITE_OK ? OK : fail(j, rc, "measure");
}

void journal_close(struct journal *j)
{
	if (j->file && j->file->pMethods)
		j->file->pMethods->xClose(j->file);
	free(j->file);
	free(j->path);
	buf_fini(&j->batch);
	j->file = NULL;
	j->path = NULL;
}

enum err journal_replay(struct journal *j, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context)
{
	struct found found = { 0 };
	struct buf octets;
	enum err err = find_batches(j, settled, &found);
	buf_init(&octets, BATCH_BYTES_MAX);
	j->next_entry = settled + 1;
	for (size_t i = 0; err == OK && i < found.count; i++) {
		const struct batch_header *h = &found.batches[i];
		if (i == 0 ? h->first_entry > j->next_entry : h->first_entry != j->next_entry)
			err = damaged(j);
		else if (!read_batch(j, h, &octets))
			err = fail(j, SQLITE_IOERR_READ, "read");
		else
			err = tell_entries(h, buf_str(&octets), settled, on_entry, context);
		j->next_entry = h->first_entry + h->entry_count;
		j->tail = h->at + blocks(h->len);
	}
	buf_fini(&octets);
	free(found.batches);
	return err;
}

void journal_scan(struct journal *j, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context)
{
	struct found found = { 0 };
	struct buf octets;
	(void)find_batches(j, settled, &found);
	buf_init(&octets, BATCH_BYTES_MAX);
	for (size_t i = 0; i < found.count; i++) {
		if (read_batch(j, &found.batches[i], &octets))
			(void)tell_entries(
				&found.batches[i], buf_str(&octets), settled, on_entry, context);
	}
	buf_fini(&octets);
	free(found.batches);
}

void journal_begin(struct journal *j)
{
	static const char header[HEADER_BYTES];
	if (j->batch.cap > KEEP_BYTES_MAX) {
		buf_fini(&j->batch);
		buf_init(&j->batch, BATCH_BYTES_MAX);
	}
	buf_clear(&j->batch);
	buf_append(&j->batch, header, sizeof(header));
	j->batch_entries = 0;
}

struct journal_entry journal_add(
	struct journal *j, uint32_t kind, struct str head, struct str content)
{
	struct buf *b = &j->batch;
	CHECK(head.len <= UINT32_MAX);
	put_u32(b, kind);
	put_u32(b, (uint32_t)head.len);
	put_u64(b, content.len);
	struct journal_entry entry = {
		.number = j->next_entry + j->batch_entries++,
		.kind = kind,
		.head_bytes = (uint32_t)head.len,
		.content_bytes = content.len,
		.at = b->len,
	};
	buf_append_str(b, head);
	buf_append_str(b, content);
	return entry;
}

bool journal_place(struct journal *j, const struct journal_entry *oldest,
	struct journal_entry *entries, uint32_t entry_count)
{
	uint64_t len = blocks(j->batch.len);
	bool is_round = oldest && oldest->batch_at >= j->tail;
	uint64_t limit = is_round ? oldest->batch_at : j->size_bytes;
	uint64_t at = j->tail;
	if (j->batch.is_full)
		return false;
	if (at + len > limit) {
		at = 0;
		limit = oldest ? oldest->batch_at : j->size_bytes;
		if (is_round || len > limit)
			return false;
	}
	j->tail = at;
	for (uint32_t i = 0; i < entry_count; i++) {
		entries[i].at += at;
		entries[i].batch_at = at;
	}
	return true;
}

enum err journal_write(struct journal *j)
{
	struct buf *b = &j->batch;
	uint64_t padded = blocks(b->len), len = b->len;
	char *padding = buf_reserve(b, (size_t)(padded - len));
	CHECK(j->batch_entries > 0 && padding && j->tail + padded <= j->size_bytes);
	if (padded > len)
		memset(padding, 0, (size_t)(padded - len));
	set_u32(b->data, MAGIC);
	set_u32(b->data + 4, j->batch_entries);
	set_u64(b->data + 8, len);
	set_u64(b->data + 16, j->next_entry);
	set_u64(b->data + CHECKSUM_AT, 0);
	set_u64(b->data + CHECKSUM_AT, checksum_of(b->data, (size_t)padded));
	int rc = write_parts(j, b->data, padded);
	if (rc == SQLITE_OK)
		rc = j->file->pMethods->xSync(j->file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
	if (rc != SQLITE_OK)
		return fail(j, rc, "write");
	j->tail += padded;
	j->next_entry += j->batch_entries;
	return OK;
}

enum err journal_read(struct journal *j, uint64_t at, size_t len, struct buf *out)
{
	buf_clear(out);
	char *to = buf_reserve(out, len);
	if (!to)
		return ERR_LIMIT;
	enum err err = journal_read_into(j, at, len, to);
	if (err == OK)
		out->len = len;
	return err;
}

enum err journal_read_into(struct journal *j, uint64_t at, size_t len, char *out)
{
	for (size_t done = 0; done < len;) {
		int part = len - done < PART_BYTES ? (int)(len - done) : PART_BYTES;
		int rc = j->file->pMethods->xRead(
			j->file, out + done, part, (sqlite3_int64)(at + done));
		if (rc != SQLITE_OK)
			return fail(j, rc, "read");
		done += (size_t)part;
	}
	return OK;
}

void journal_rewind(struct journal *j)
{
	j->tail = 0;
}

/* Every block is looked at: a batch may begin at any. */
static enum err find_batches(struct journal *j, uint64_t settled, struct found *out)
{
	struct batch_header h;
	struct buf octets;
	sqlite3_int64 size = 0;
	int rc = j->file->pMethods->xFileSize(j->file, &size);
	if (rc != SQLITE_OK)
		return fail(j, rc, "measure");
	if ((uint64_t)size > j->size_bytes)
		j->size_bytes = (uint64_t)size / JOURNAL_BLOCK_BYTES * JOURNAL_BLOCK_BYTES;
	buf_init(&octets, BATCH_BYTES_MAX);
	for (uint64_t at = 0; at + HEADER_BYTES <= (uint64_t)size; at += JOURNAL_BLOCK_BYTES) {
		if (read_header(j, at, &h) && h.first_entry + h.entry_count > settled + 1 &&
			read_batch(j, &h, &octets))
			add_found(out, &h);
	}
	buf_fini(&octets);
	if (out->count > 1)
		qsort(out->batches, out->count, sizeof(*out->batches), compare_batches);
	return OK;
}

static void add_found(struct found *f, const struct batch_header *h)
{
	if (f->count == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		f->batches = mem_realloc(f->batches, f->cap * sizeof(*f->batches));
	}
	f->batches[f->count++] = *h;
}

static int compare_batches(const void *a, const void *b)
{
	uint64_t x = ((const struct batch_header *)a)->first_entry;
	uint64_t y = ((const struct batch_header *)b)->first_entry;
	return (x > y) - (x < y);
}

static enum err damaged(struct journal *j)
{
	(void)snprintf(j->problem, sizeof(j->problem), "a part of the journal is damaged");
	return ERR_CORRUPT;
}

static int write_parts(struct journal *j, const char *octets, uint64_t len)
{
	for (uint64_t done = 0; done < len;) {
		int part = len - done < PART_BYTES ? (int)(len - done) : PART_BYTES;
		int rc = j->file->pMethods->xWrite(
			j->file, octets + done, part, (sqlite3_int64)(j->tail + done));
		if (rc != SQLITE_OK)
			return rc;
		done += (uint64_t)part;
	}
	return SQLITE_OK;
}

static bool read_header(struct journal *j, uint64_t at, struct batch_header *out)
{
	char octets[HEADER_BYTES];
	if (at + HEADER_BYTES > INT64_MAX || j->file->pMethods->xRead(j->file, octets, HEADER_BYTES,
						     (sqlite3_int64)at) != SQLITE_OK)
		return false;
	struct octets in = { .rest = str_of(octets, sizeof(octets)) };
	uint32_t magic = take_u32(&in);
	out->at = at;
	out->entry_count = take_u32(&in);
	out->len = take_u64(&in);
	out->first_entry = take_u64(&in);
	out->checksum = take_u64(&in);
	return magic == MAGIC && out->entry_count > 0 && out->len > HEADER_BYTES &&
	       out->len <= BATCH_BYTES_MAX && out->first_entry > 0 &&
	       out->first_entry < (uint64_t)1 << 62;
}

/* The octets of a batch, header included; false: not those that were written. */
static bool read_batch(struct journal *j, const struct batch_header *h, struct buf *out)
{
	sqlite3_int64 size = 0;
	size_t padded = (size_t)blocks(h->len);
	if (j->file->pMethods->xFileSize(j->file, &size) != SQLITE_OK ||
		(uint64_t)size < h->at + padded || journal_read(j, h->at, padded, out) != OK)
		return false;
	set_u64(out->data + CHECKSUM_AT, 0);
	bool is_right = checksum_of(out->data, out->len) == h->checksum;
	out->len = (size_t)h->len;
	return is_right;
}

static enum err tell_entries(const struct batch_header *h, struct str octets, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context)
{
	struct octets in = { .rest = str_slice(octets, HEADER_BYTES, octets.len) };
	for (uint32_t i = 0; i < h->entry_count; i++) {
		struct journal_entry entry = { .number = h->first_entry + i };
		entry.kind = take_u32(&in);
		entry.head_bytes = take_u32(&in);
		entry.content_bytes = take_u64(&in);
		entry.batch_at = h->at;
		entry.at = h->at + (octets.len - in.rest.len);
		struct str head = take_octets(&in, entry.head_bytes);
		(void)take_octets(&in, (size_t)entry.content_bytes);
		if (in.is_bad)
			return ERR_CORRUPT;
		enum err err = entry.number > settled ? on_entry(context, &entry, head) : OK;
		if (err != OK)
			return err;
	}
	return in.rest.len == 0 ? OK : ERR_CORRUPT;
}

static uint64_t mix(uint64_t sum, const char *octets)
{
	uint64_t word;
	memcpy(&word, octets, sizeof(word));
	sum = (sum ^ word) * UINT64_C(0xff51afd7ed558ccd);
	return sum ^ sum >> 32;
}

/* Finds torn and foreign writes; not meant against forgery. Four sums side by side keep the processor busy. */
static uint64_t checksum_of(const char *octets, size_t len)
{
	uint64_t sums[4] = { len, 1, 2, 3 };
	for (; len >= 32; len -= 32, octets += 32) {
		for (int i = 0; i < 4; i++)
			sums[i] = mix(sums[i], octets + 8 * i);
	}
	for (; len > 0; len--)
		sums[0] = (sums[0] ^ (unsigned char)*octets++) * UINT64_C(0xc4ceb9fe1a85ec53);
	for (int i = 1; i < 4; i++)
		sums[0] = mix(sums[0], (const char *)&sums[i]);
	return sums[0];
}

static uint64_t blocks(uint64_t len)
{
	return (len + JOURNAL_BLOCK_BYTES - 1) / JOURNAL_BLOCK_BYTES * JOURNAL_BLOCK_BYTES;
}

static enum err fail(struct journal *j, int rc, const char *what)
{
	(void)snprintf(j->problem, sizeof(j->problem), "cannot %s the journal: %s", what,
		sqlite3_errstr(rc));
	return (rc & 0xff) == SQLITE_FULL ? ERR_NO_SPACE
	       : (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_PERM ||
			       (rc & 0xff) == SQLITE_READONLY
		       ? ERR_PERMISSION
		       : ERR_IO;
}
