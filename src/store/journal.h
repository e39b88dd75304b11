/*
 * journal - the file that makes a batch durable with one sequential write and one sync.
 *
 * Most mail is delivered within a second of its arrival. Its way through the tables would write each
 * octet of it two or three times over, only to delete it. So a batch goes into this file first, and
 * reaches the tables later (young.h): what is finished by then leaves a row of history and never
 * was in a table with its content.
 *
 * The file has a fixed size, allocated beforehand, and is written round and round: each batch on blocks of its own, behind
 * the one before it or, where that would pass the end, at the beginning; never over a batch of which some entry is
 * still needed. So no synced octet is ever written again while it matters. Entries are numbered without gaps for
 * ever. A batch is valid when its checksum is right; after a crash those are taken that hold entries not known to be in
 * the tables, in the order of their numbers, wherever they lie.
 *
 * A batch (little-endian): magic u32, entries u32, octets u64 (with this header, without padding),
 * number of its first entry u64, checksum u64 (of all, padding included: half a batch is none); then for each entry kind u32, octets of its head u32,
 * octets of its content u64, head, content.
 *
 * It is written through SQLite's VFS, so that whatever tests do to files happens to this one too.
 * Thread: one at a time. Errors: ERR_NO_SPACE, ERR_IO (problem says more).
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { JOURNAL_BLOCK_BYTES = 4096, JOURNAL_BYTES_MIN = 16 * JOURNAL_BLOCK_BYTES };

/* Where an entry lies. */
struct journal_entry {
	uint64_t number;
	uint32_t kind;
	uint32_t head_bytes;
	uint64_t content_bytes;
	uint64_t at;       /* offset of the head; the content follows it */
	uint64_t batch_at; /* of the batch it is part of */
};

struct journal {
	sqlite3_file *file; /* NULL: there is none */
	char *path;         /* the VFS borrows it until the file is closed */
	uint64_t size_bytes;
	uint64_t tail;       /* where the next batch goes, if it fits there */
	uint64_t next_entry; /* number of the next entry, 1.. */
	struct buf batch;    /* being put together */
	uint32_t batch_entries;
	char problem[256];
};

/* journal_open - opens or makes the file of size_bytes (an existing one keeps what it has). ERR_NO_SPACE: it cannot be
 * allocated; what it has can be read. */
MUST_USE enum err journal_open(struct journal *j, const char *path, const char *vfs,
	uint64_t size_bytes, bool is_readonly);
void journal_close(struct journal *j);

/*
 * journal_replay - on_entry for each entry numbered above `settled`, in order; sets tail and next_entry.
 * on_entry's error ends it. ERR_CORRUPT: their numbers do not go on from `settled`, or have a gap: a batch that was
 * synced is damaged, for the next is written only then.
 */
MUST_USE enum err journal_replay(struct journal *j, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context);

/* journal_scan - the same for every batch that is whole, whatever is missing between them: to save what can be saved. */
void journal_scan(struct journal *j, uint64_t settled,
	enum err (*on_entry)(void *context, const struct journal_entry *entry, struct str head),
	void *context);

/*
 * A batch: begin, add for each entry, place, write. Only journal_write touches the file. What journal_add returns
 * counts offsets from the batch; journal_place makes them offsets of the file.
 */
void journal_begin(struct journal *j);
struct journal_entry journal_add(
	struct journal *j, uint32_t kind, struct str head, struct str content);
/* journal_place - finds room for the batch. oldest: the entry whose batch, with all behind it, is still needed; NULL: none is.
 * False: there is no room. */
bool journal_place(struct journal *j, const struct journal_entry *oldest,
	struct journal_entry *entries, uint32_t entry_count);
/* journal_write - durable on OK. ERR_NO_SPACE: nothing was written that counts. Other errors leave the outcome unknown: the
 * process must end. */
MUST_USE enum err journal_write(struct journal *j);

/* journal_read - len octets at an offset, into out (cleared before). */
MUST_USE enum err journal_read(struct journal *j, uint64_t at, size_t len, struct buf *out);
MUST_USE enum err journal_read_into(struct journal *j, uint64_t at, size_t len, char *out);
/* journal_rewind - no entry is needed any more: the next batch goes to the beginning, which is in memory already. */
void journal_rewind(struct journal *j);

#endif
