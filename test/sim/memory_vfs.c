/*
 * memory_vfs - see memory_vfs.h.
 *
 * Each path has one node, shared by its connections. Locks are kept as SQLite's own file system for one process keeps them:
 * each connection has a level on the file and two masks on the eight locks of the shared index of the log.
 */
#include "memory_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

enum { SECTOR = 4096, ROOM_MIN = 64 * 1024 };

struct node {
	struct list link, files;
	char *path;   /* NULL: temporary */
	bool is_gone; /* deleted while open */
	bool is_dirty;
	unsigned char *data;
	sqlite3_int64 size, room;
	void **regions; /* the index of the log */
	int region_count;
};

struct file {
	sqlite3_file base;
	struct list link;
	struct node *node;
	int level;
	bool has_chunks, has_index;
	unsigned shared, exclusive;
};

static struct list nodes;
static sqlite3_vfs memory, *disk;

static struct file *self(sqlite3_file *f)
{
	return (struct file *)(void *)f;
}

/* ---- nodes ---- */

static void grow(struct node *n, sqlite3_int64 size)
{
	if (size > n->room) {
		while (n->room < size)
			n->room = n->room ? 2 * n->room : ROOM_MIN;
		n->data = mem_realloc(n->data, (size_t)n->room);
	}
	if (size > n->size) {
		memset(n->data + n->size, 0, (size_t)(size - n->size));
		n->size = size;
		n->is_dirty = true;
	}
}

static struct node *find_node(const char *path)
{
	LIST_FOR_EACH (link, &nodes) {
		struct node *n = CONTAINER_OF(link, struct node, link);

		if (n->path && !n->is_gone && strcmp(n->path, path) == 0)
			return n;
	}
	return NULL;
}

/* Of the real file, if there is one, or may be. */
static struct node *load_node(const char *path, int flags)
{
	struct node *n = mem_zalloc(sizeof(*n));
	struct stat st;

	list_init(&n->files);
	list_push_back(&nodes, &n->link);
	if (!path)
		return n;
	n->path = mem_strdup(path);

	int fd = open(
		path, O_CLOEXEC | (flags & SQLITE_OPEN_CREATE ? O_RDWR | O_CREAT : O_RDONLY), 0600);

	if (fd < 0 || fstat(fd, &st) != 0) {
		list_remove(&n->link);
		free(n->path);
		free(n);
		return NULL;
	}
	grow(n, st.st_size);
	for (sqlite3_int64 at = 0; at < n->size;) {
		ssize_t got = read(fd, n->data + at, (size_t)(n->size - at));

		CHECK(got > 0);
		at += got;
	}
	n->is_dirty = false;
	close(fd);
	return n;
}

static void write_back(struct node *n)
{
	int fd = open(n->path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	CHECK(fd >= 0);
	for (sqlite3_int64 at = 0; at < n->size;) {
		ssize_t put = write(fd, n->data + at, (size_t)(n->size - at));

		CHECK(put > 0);
		at += put;
	}
	close(fd);
}

static void drop_index(struct node *n)
{
	for (int i = 0; i < n->region_count; i++)
		free(n->regions[i]);
	free(n->regions);
	n->regions = NULL;
	n->region_count = 0;
}

static void drop_node(struct node *n)
{
	if (n->path && n->is_dirty && !n->is_gone)
		write_back(n);
	drop_index(n);
	list_remove(&n->link);
	free(n->path);
	free(n->data);
	free(n);
}

/* ---- files ---- */

static int on_shm_unmap(sqlite3_file *base, int is_deleted)
{
	struct file *f = self(base);

	(void)is_deleted; /* it is not kept in any case */
	f->has_index = false;
	f->shared = f->exclusive = 0;
	LIST_FOR_EACH (link, &f->node->files)
		if (CONTAINER_OF(link, struct file, link)->has_index)
			return SQLITE_OK;
	drop_index(f->node);
	return SQLITE_OK;
}

static int on_close(sqlite3_file *base)
{
	struct file *f = self(base);

	if (f->has_index)
		(void)on_shm_unmap(base, 0);
	list_remove(&f->link);
	if (list_is_empty(&f->node->files))
		drop_node(f->node);
	f->base.pMethods = NULL;
	return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
	const struct node *n = self(base)->node;
	sqlite3_int64 left = n->size - offset;
	int known = left <= 0 ? 0 : left < len ? (int)left : len;

	if (known > 0)
		memcpy(out, n->data + offset, (size_t)known);
	if (known == len)
		return SQLITE_OK;
	memset((char *)out + known, 0, (size_t)(len - known));
	return SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
	struct node *n = self(base)->node;

	grow(n, offset + len);
	memcpy(n->data + offset, data, (size_t)len);
	n->is_dirty = true;
	return SQLITE_OK;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct node *n = self(base)->node;

	grow(n, size);
	n->size = size;
	n->is_dirty = true;
	return SQLITE_OK;
}

static int on_sync(sqlite3_file *base, int flags)
{
	(void)base;
	(void)flags;
	return SQLITE_OK;
}

static int on_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
	*size = self(base)->node->size;
	return SQLITE_OK;
}

/* The highest level that another connection has. */
static int others_level(const struct file *f)
{
	int level = SQLITE_LOCK_NONE;

	LIST_FOR_EACH (link, &f->node->files) {
		const struct file *other = CONTAINER_OF(link, struct file, link);

		if (other != f && other->level > level)
			level = other->level;
	}
	return level;
}

static int on_lock(sqlite3_file *base, int level)
{
	struct file *f = self(base);
	int others = others_level(f);

	if (f->level >= level)
		return SQLITE_OK;
	if (level == SQLITE_LOCK_SHARED ? others >= SQLITE_LOCK_PENDING
					: others >= SQLITE_LOCK_RESERVED)
		return SQLITE_BUSY;
	if (level == SQLITE_LOCK_EXCLUSIVE && others > SQLITE_LOCK_NONE) {
		f->level = SQLITE_LOCK_PENDING; /* no new reader comes */
		return SQLITE_BUSY;
	}
	f->level = level;
	return SQLITE_OK;
}

static int on_unlock(sqlite3_file *base, int level)
{
	if (self(base)->level > level)
		self(base)->level = level;
	return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *base, int *out)
{
	struct file *f = self(base);

	*out = f->level >= SQLITE_LOCK_RESERVED || others_level(f) >= SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int code, void *argument)
{
	struct file *f = self(base);

	switch (code) {
	case SQLITE_FCNTL_CHUNK_SIZE:
		f->has_chunks = true;
		return SQLITE_OK;
	case SQLITE_FCNTL_SIZE_HINT:
		if (f->has_chunks)
			grow(f->node, *(sqlite3_int64 *)argument);
		return SQLITE_OK;
	case SQLITE_FCNTL_HAS_MOVED:
		*(int *)argument = f->node->is_gone;
		return SQLITE_OK;
	default:
		return SQLITE_NOTFOUND;
	}
}

static int on_sector_size(sqlite3_file *base)
{
	(void)base;
	return SECTOR;
}

static int on_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- the index of the log ---- */

static int on_shm_map(sqlite3_file *base, int region, int size, int may_extend, void volatile **out)
{
	struct node *n = self(base)->node;

	self(base)->has_index = true;
	*out = NULL;
	if (region >= n->region_count && !may_extend)
		return SQLITE_OK;
	if (region >= n->region_count)
		n->regions = mem_realloc(n->regions, ((size_t)region + 1) * sizeof(*n->regions));
	while (n->region_count <= region)
		n->regions[n->region_count++] = mem_zalloc((size_t)size);
	*out = n->regions[region];
	return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
	struct file *f = self(base);
	unsigned mask = ((1u << count) - 1) << offset, theirs = 0;

	if (flags & SQLITE_SHM_UNLOCK) {
		f->shared &= ~mask;
		f->exclusive &= ~mask;
		return SQLITE_OK;
	}
	LIST_FOR_EACH (link, &f->node->files) {
		const struct file *other = CONTAINER_OF(link, struct file, link);

		if (other != f)
			theirs |= other->exclusive |
				  (flags & SQLITE_SHM_EXCLUSIVE ? other->shared : 0);
	}
	if (theirs & mask)
		return SQLITE_BUSY;
	if (flags & SQLITE_SHM_EXCLUSIVE)
		f->exclusive |= mask;
	else
		f->shared |= mask;
	return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *base)
{
	(void)base;
}

static const sqlite3_io_methods methods = { 2, on_close, on_read, on_write, on_truncate, on_sync,
	on_file_size, on_lock, on_unlock, on_check_lock, on_control, on_sector_size,
	on_characteristics, on_shm_map, on_shm_lock, on_shm_barrier, on_shm_unmap, NULL, NULL };

/* ---- the file system ---- */

static int on_open(
	sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *out_flags)
{
	struct file *f = self(base);
	struct node *n = path ? find_node(path) : NULL;

	(void)vfs;
	memset(f, 0, sizeof(*f));
	if (!n)
		n = load_node(path, flags);
	if (!n)
		return SQLITE_CANTOPEN;
	f->base.pMethods = &methods;
	f->node = n;
	list_push_back(&n->files, &f->link);
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int is_dir_synced)
{
	struct node *n = find_node(path);

	(void)vfs;
	(void)is_dir_synced;
	if (n)
		n->is_gone = true;
	return disk->xDelete(disk, path, 0);
}

/* As SQLite's own: an empty file is as good as none. */
static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	const struct node *n = find_node(path);

	(void)vfs;
	if (!n)
		return disk->xAccess(disk, path, flags, out);
	*out = flags != SQLITE_ACCESS_EXISTS || n->size > 0;
	return SQLITE_OK;
}

void memory_vfs_use(bool is_used)
{
	if (!disk && !is_used)
		return;
	if (!disk) {
		/* as the store does, which comes too late after this: without a lock at each allocation */
		(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
		CHECK(sqlite3_initialize() == SQLITE_OK);
		list_init(&nodes);
		disk = sqlite3_vfs_find(NULL);
		memory = *disk;
		memory.zName = "memory";
		memory.pNext = NULL;
		memory.szOsFile = (int)sizeof(struct file);
		memory.xOpen = on_open;
		memory.xDelete = on_delete;
		memory.xAccess = on_access;
	}
	CHECK(list_is_empty(&nodes));
	CHECK(sqlite3_vfs_register(is_used ? &memory : disk, 1) == SQLITE_OK);
}
