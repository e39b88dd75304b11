/*
 * crash_vfs - see crash_vfs.h.
 *
 * Each file by its path has one overlay, shared by its connections: the 512-octet sectors that
 * were written and not synced. Reads look there first, then into the real file, which holds what
 * is durable. A truncation that was not synced hides the real file's octets behind
 * `hidden_from`.
 */
#include "store/crash_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

enum { SECTOR = 512, PATH_BYTES = 512 };

enum mode { MODE_CRASH, MODE_UNSYNCED, MODE_NOSYNC };

struct sector {
	struct map_entry entry;
	uint64_t number;
	unsigned char data[SECTOR];
};

struct overlay {
	struct overlay *next;
	char path[PATH_BYTES];
	unsigned users;
	struct map sectors;
	sqlite3_int64 size;        /* as connections see it */
	sqlite3_int64 hidden_from; /* of the real file; INT64_MAX: nothing */
};

struct file {
	sqlite3_file base;
	enum mode mode;
	struct overlay *overlay; /* NULL: passed through */
	bool is_main;            /* the database file itself */
	sqlite3_file *real;
};

/* One disk for the process, as the real one is; the lock makes it safe for connections on other
 * threads. */
static pthread_mutex_t disk_lock = PTHREAD_MUTEX_INITIALIZER;
static struct overlay *overlays;
static struct crash_plan plan;
static struct rng rng;
static uint64_t call_count;
static bool is_dead, has_struck;

static sqlite3_vfs *real_vfs(void)
{
	return sqlite3_vfs_find("unix");
}

static struct file *self(sqlite3_file *f)
{
	return (struct file *)(void *)f;
}

static int real_read(struct file *f, void *out, int len, sqlite3_int64 offset)
{
	int rc = f->real->pMethods->xRead(f->real, out, len, offset);
	return rc == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : rc; /* the rest was zeroed */
}

static struct sector *find_sector(struct overlay *o, uint64_t number)
{
	struct map_entry *e = map_find(&o->sectors, map_key_u64(&number));
	return e ? CONTAINER_OF(e, struct sector, entry) : NULL;
}

static void drop_sector(struct overlay *o, struct sector *s)
{
	map_remove(&o->sectors, &s->entry);
	free(s);
}

/* load_sector - as connections see it. */
static int load_sector(struct file *f, uint64_t number, unsigned char *out)
{
	struct overlay *o = f->overlay;
	struct sector *s = find_sector(o, number);
	sqlite3_int64 start = (sqlite3_int64)number * SECTOR;
	if (s) {
		memcpy(out, s->data, SECTOR);
		return SQLITE_OK;
	}
	memset(out, 0, SECTOR);
	if (start >= o->hidden_from)
		return SQLITE_OK;
	int rc = real_read(f, out, SECTOR, start);
	if (rc == SQLITE_OK && o->hidden_from - start < SECTOR)
		memset(out + (o->hidden_from - start), 0,
			(size_t)(SECTOR - (o->hidden_from - start)));
	return rc;
}

static int apply_sector(struct file *f, struct sector *s)
{
	sqlite3_int64 start = (sqlite3_int64)s->number * SECTOR;
	sqlite3_int64 end = start + SECTOR < f->overlay->size ? start + SECTOR : f->overlay->size;
	if (end <= start)
		return SQLITE_OK;
	return f->real->pMethods->xWrite(f->real, s->data, (int)(end - start), start);
}

/* flush - what a sync does. */
static int flush(struct file *f)
{
	struct overlay *o = f->overlay;
	struct map_entry *e;
	int rc = SQLITE_OK;
	if (o->hidden_from != INT64_MAX)
		rc = f->real->pMethods->xTruncate(f->real, o->hidden_from);
	o->hidden_from = INT64_MAX;
	while ((e = map_first(&o->sectors))) {
		struct sector *s = CONTAINER_OF(e, struct sector, entry);
		if (rc == SQLITE_OK)
			rc = apply_sector(f, s);
		drop_sector(o, s);
	}
	return rc;
}

/* lose_power - some of what was not synced reached the disk, in any order. */
static void lose_power(struct file *f)
{
	struct overlay *o = f->overlay;
	struct map_entry *e, *next;
	if (o->hidden_from != INT64_MAX && rng_below(&rng, 100) < plan.keep_percent)
		(void)f->real->pMethods->xTruncate(f->real, o->hidden_from);
	o->hidden_from = INT64_MAX;
	for (e = map_first(&o->sectors); e; e = next) {
		struct sector *s = CONTAINER_OF(e, struct sector, entry);
		next = map_next(&o->sectors, e);
		if (rng_below(&rng, 100) < plan.keep_percent)
			(void)apply_sector(f, s);
		drop_sector(o, s);
	}
}

/*
 * pass - counts a call; SQLITE_OK: go on. When the power goes, each file loses what it loses at
 * its next call or close: nothing can reach a disk in between, so that is the same as losing it
 * now.
 */
static int pass(struct file *f, int error, bool is_space)
{
	if (f && f->mode != MODE_CRASH)
		return SQLITE_OK;
	if (is_dead)
		return error;
	if (plan.is_file_only && (!f || !f->is_main))
		return SQLITE_OK;
	call_count++;
	bool is_now = plan.kind != CRASH_NONE &&
		      (call_count == plan.at || (plan.is_for_ever && call_count > plan.at));
	if (!is_now)
		return SQLITE_OK;
	switch (plan.kind) {
	case CRASH_POWER:
		has_struck = is_dead = true;
		return error;
	case CRASH_EIO:
		has_struck = true;
		return error;
	case CRASH_ENOSPC:
	case CRASH_SHORT:
		has_struck |= is_space;
		return is_space ? SQLITE_FULL : SQLITE_OK;
	case CRASH_NONE:
		break;
	}
	return SQLITE_OK;
}

static int write_overlay(struct file *f, const unsigned char *data, int len, sqlite3_int64 offset)
{
	struct overlay *o = f->overlay;
	while (len > 0) {
		uint64_t number = (uint64_t)offset / SECTOR;
		int at = (int)(offset % SECTOR), part = SECTOR - at < len ? SECTOR - at : len;
		struct sector *s = find_sector(o, number);
		if (!s) {
			s = mem_zalloc(sizeof(*s));
			int rc = load_sector(f, number, s->data);
			if (rc != SQLITE_OK) {
				free(s);
				return rc;
			}
			s->number = number;
			map_insert(&o->sectors, &s->entry, map_key_u64(&s->number));
		}
		memcpy(s->data + at, data, (size_t)part);
		data += part;
		len -= part;
		offset += part;
		if (offset > o->size)
			o->size = offset;
	}
	return SQLITE_OK;
}

static int read_overlay(struct file *f, unsigned char *out, int len, sqlite3_int64 offset)
{
	sqlite3_int64 left = f->overlay->size - offset;
	int known = left <= 0 ? 0 : left < len ? (int)left : len;
	for (int done = 0; done < known;) {
		unsigned char data[SECTOR];
		int at = (int)((offset + done) % SECTOR);
		int part = SECTOR - at < known - done ? SECTOR - at : known - done;
		int rc = load_sector(f, (uint64_t)(offset + done) / SECTOR, data);
		if (rc != SQLITE_OK)
			return rc;
		memcpy(out + done, data + at, (size_t)part);
		done += part;
	}
	if (known == len)
		return SQLITE_OK;
	memset(out + known, 0, (size_t)(len - known));
	return SQLITE_IOERR_SHORT_READ;
}

static void truncate_overlay(struct overlay *o, sqlite3_int64 size)
{
	struct map_entry *e, *next;
	for (e = map_first(&o->sectors); e; e = next) {
		struct sector *s = CONTAINER_OF(e, struct sector, entry);
		sqlite3_int64 start = (sqlite3_int64)s->number * SECTOR;
		next = map_next(&o->sectors, e);
		if (start >= size)
			drop_sector(o, s);
		else if (size - start < SECTOR)
			memset(s->data + (size - start), 0, (size_t)(SECTOR - (size - start)));
	}
	if (size < o->hidden_from)
		o->hidden_from = size;
	o->size = size;
}

/* ---- methods ---- */

static int on_close(sqlite3_file *base)
{
	struct file *f = self(base);
	pthread_mutex_lock(&disk_lock);
	struct overlay *o = f->overlay;
	if (o && --o->users == 0) {
		if (f->mode == MODE_CRASH && is_dead)
			lose_power(f);
		else
			(void)flush(f);
		struct overlay **link = &overlays;
		while (*link != o)
			link = &(*link)->next;
		*link = o->next;
		map_fini(&o->sectors);
		free(o);
	}
	int rc = f->real->pMethods ? f->real->pMethods->xClose(f->real) : SQLITE_OK;
	pthread_mutex_unlock(&disk_lock);
	free(f->real);
	return rc;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
	struct file *f = self(base);
	pthread_mutex_lock(&disk_lock);
	int rc = f->mode == MODE_CRASH && is_dead ? SQLITE_IOERR_READ
		 : f->overlay                     ? read_overlay(f, out, len, offset)
			      : f->real->pMethods->xRead(f->real, out, len, offset);
	pthread_mutex_unlock(&disk_lock);
	return rc;
}

static int on_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
	struct file *f = self(base);
	pthread_mutex_lock(&disk_lock);
	int rc = f->overlay ? pass(f, SQLITE_IOERR_WRITE, true) : SQLITE_OK;
	if (rc == SQLITE_OK && f->mode == MODE_CRASH && plan.size_max > 0 &&
		offset + len > plan.size_max)
		rc = SQLITE_FULL;
	if (rc == SQLITE_FULL && plan.kind == CRASH_SHORT)
		(void)write_overlay(f, data, len / 2, offset);
	if (rc == SQLITE_OK)
		rc = f->overlay ? write_overlay(f, data, len, offset)
				: f->real->pMethods->xWrite(f->real, data, len, offset);
	pthread_mutex_unlock(&disk_lock);
	return rc;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct file *f = self(base);
	pthread_mutex_lock(&disk_lock);
	int rc = f->overlay ? pass(f, SQLITE_IOERR_TRUNCATE, false) : SQLITE_OK;
	if (rc == SQLITE_OK && f->overlay)
		truncate_overlay(f->overlay, size);
	else if (rc == SQLITE_OK)
		rc = f->real->pMethods->xTruncate(f->real, size);
	pthread_mutex_unlock(&disk_lock);
	return rc;
}

static int on_sync(sqlite3_file *base, int flags)
{
	struct file *f = self(base);
	(void)flags;
	pthread_mutex_lock(&disk_lock);
	int rc = f->overlay ? pass(f, SQLITE_IOERR_FSYNC, false) : SQLITE_OK;
	/* The real file needs no sync of its own: only this process is going to die. */
	if (rc == SQLITE_OK && f->overlay && !(f->mode == MODE_CRASH && plan.is_sync_ignored))
		rc = flush(f);
	pthread_mutex_unlock(&disk_lock);
	return rc;
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
	struct file *f = self(base);
	if (!f->overlay)
		return f->real->pMethods->xFileSize(f->real, size);
	pthread_mutex_lock(&disk_lock);
	*size = f->overlay->size;
	pthread_mutex_unlock(&disk_lock);
	return SQLITE_OK;
}

static int on_lock(sqlite3_file *base, int level)
{
	return self(base)->real->pMethods->xLock(self(base)->real, level);
}

static int on_unlock(sqlite3_file *base, int level)
{
	return self(base)->real->pMethods->xUnlock(self(base)->real, level);
}

static int on_check_lock(sqlite3_file *base, int *out)
{
	return self(base)->real->pMethods->xCheckReservedLock(self(base)->real, out);
}

static int on_control(sqlite3_file *base, int code, void *argument)
{
	/* Hints would change the real file behind the overlay. */
	if (code == SQLITE_FCNTL_SIZE_HINT || code == SQLITE_FCNTL_CHUNK_SIZE ||
		code == SQLITE_FCNTL_MMAP_SIZE)
		return SQLITE_OK;
	return self(base)->real->pMethods->xFileControl(self(base)->real, code, argument);
}

static int on_sector_size(sqlite3_file *base)
{
	return self(base)->real->pMethods->xSectorSize(self(base)->real);
}

static int on_characteristics(sqlite3_file *base)
{
	return self(base)->real->pMethods->xDeviceCharacteristics(self(base)->real);
}

static int on_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out)
{
	return self(base)->real->pMethods->xShmMap(self(base)->real, page, size, extend, out);
}

static int on_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
	return self(base)->real->pMethods->xShmLock(self(base)->real, offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *base)
{
	self(base)->real->pMethods->xShmBarrier(self(base)->real);
}

static int on_shm_unmap(sqlite3_file *base, int delete_flag)
{
	return self(base)->real->pMethods->xShmUnmap(self(base)->real, delete_flag);
}

static const sqlite3_io_methods methods = { 2, on_close, on_read, on_write, on_truncate, on_sync,
	on_file_size, on_lock, on_unlock, on_check_lock, on_control, on_sector_size,
	on_characteristics, on_shm_map, on_shm_lock, on_shm_barrier, on_shm_unmap, NULL, NULL };

static struct overlay *use_overlay(struct file *f, const char *path)
{
	struct overlay *o = overlays;
	while (o && strcmp(o->path, path) != 0)
		o = o->next;
	if (!o) {
		o = mem_zalloc(sizeof(*o));
		CHECK(strlen(path) < sizeof(o->path));
		memcpy(o->path, path, strlen(path) + 1);
		map_init(&o->sectors, 1);
		o->hidden_from = INT64_MAX;
		(void)f->real->pMethods->xFileSize(f->real, &o->size);
		o->next = overlays;
		overlays = o;
	}
	o->users++;
	return o;
}

static int on_open(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out_flags)
{
	struct file *f = self(base);
	sqlite3_vfs *real = real_vfs();
	memset(f, 0, sizeof(*f));
	f->mode = *(const enum mode *)vfs->pAppData;
	f->is_main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	f->real = mem_zalloc((size_t)real->szOsFile);
	pthread_mutex_lock(&disk_lock);
	bool is_durable =
		path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL |
					 SQLITE_OPEN_SUPER_JOURNAL));
	int rc = is_durable ? pass(f, SQLITE_CANTOPEN, true) : SQLITE_OK;
	if (rc == SQLITE_OK)
		rc = real->xOpen(real, path, f->real, flags, out_flags);
	if (rc == SQLITE_OK) {
		f->base.pMethods = &methods;
		if (is_durable && f->mode != MODE_NOSYNC)
			f->overlay = use_overlay(f, path);
	}
	pthread_mutex_unlock(&disk_lock);
	if (rc != SQLITE_OK)
		free(f->real);
	return rc;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int is_dir_synced)
{
	const enum mode *mode = vfs->pAppData;
	pthread_mutex_lock(&disk_lock);
	struct file f = { .mode = *mode };
	int rc = pass(&f, SQLITE_IOERR_DELETE, false);
	pthread_mutex_unlock(&disk_lock);
	return rc == SQLITE_OK ? real_vfs()->xDelete(real_vfs(), path, is_dir_synced) : rc;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	(void)vfs;
	return real_vfs()->xAccess(real_vfs(), path, flags, out);
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	(void)vfs;
	return real_vfs()->xFullPathname(real_vfs(), path, size, out);
}

static int on_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	return real_vfs()->xRandomness(real_vfs(), len, out);
}

static int on_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return real_vfs()->xSleep(real_vfs(), us);
}

static int on_time(sqlite3_vfs *vfs, double *out)
{
	(void)vfs;
	return real_vfs()->xCurrentTime(real_vfs(), out);
}

static int on_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	return real_vfs()->xGetLastError(real_vfs(), len, out);
}

void crash_vfs_register(void)
{
	static enum mode modes[] = { MODE_CRASH, MODE_UNSYNCED, MODE_NOSYNC };
	static const char *const names[] = { "crash", "unsynced", "nosync" };
	static sqlite3_vfs vfses[3];
	CHECK(sqlite3_initialize() == SQLITE_OK);
	for (size_t i = 0; i < ARRAY_COUNT(vfses); i++) {
		if (vfses[i].zName)
			continue;
		vfses[i] = (sqlite3_vfs){
			.iVersion = 1,
			.szOsFile = (int)sizeof(struct file),
			.mxPathname = real_vfs()->mxPathname,
			.zName = names[i],
			.pAppData = &modes[i],
			.xOpen = on_open,
			.xDelete = on_delete,
			.xAccess = on_access,
			.xFullPathname = on_full_path,
			.xRandomness = on_randomness,
			.xSleep = on_sleep,
			.xCurrentTime = on_time,
			.xGetLastError = on_last_error,
		};
		CHECK(sqlite3_vfs_register(&vfses[i], 0) == SQLITE_OK);
	}
}

void crash_vfs_plan(const struct crash_plan *wanted)
{
	pthread_mutex_lock(&disk_lock);
	plan = *wanted;
	rng_init(&rng, plan.seed);
	call_count = 0;
	is_dead = has_struck = false;
	pthread_mutex_unlock(&disk_lock);
}

uint64_t crash_vfs_calls(void)
{
	pthread_mutex_lock(&disk_lock);
	uint64_t calls = call_count;
	pthread_mutex_unlock(&disk_lock);
	return calls;
}

bool crash_vfs_has_struck(void)
{
	pthread_mutex_lock(&disk_lock);
	bool is_true = has_struck;
	pthread_mutex_unlock(&disk_lock);
	return is_true;
}
