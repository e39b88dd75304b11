/* directory - see directory.h. */
#include "directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

static enum err make(const char *path, struct buf *message);
static void open_reserve(struct directory *d);
static enum err sync_parent(const char *path);
static enum err sync_path(const char *path);
static enum err take_lock(struct directory *d, struct buf *message);
static void tell_holder(int fd, const char *path, struct buf *message);
static enum err fail(struct buf *message, const char *what, const char *path);
static enum err error_of(int number);

enum err directory_open(struct directory *d, struct str path, bool may_create, struct buf *message)
{
	struct stat st;
	*d = (struct directory){ .lock_fd = -1, .reserve_fd = -1 };
	d->path = mem_alloc(path.len + 1);
	memcpy(d->path, path.data, path.len);
	d->path[path.len] = '\0';
	enum err err = OK;
	if (stat(d->path, &st) != 0)
		err = errno == ENOENT && may_create
			      ? make(d->path, message)
			      : fail(message, "cannot open the queue directory", d->path);
	else if (!S_ISDIR(st.st_mode))
		err = (errno = ENOTDIR, fail(message, "cannot open the queue directory", d->path));
	if (err == OK)
		err = take_lock(d, message);
	if (err != OK)
		directory_close(d);
	return err;
}

enum err directory_sync(const struct directory *d)
{
	/* Whoever made the folder for us, or we ourselves in a start that was cut short, may not
	 * have synced its name. A parent that we may not read was not ours to make. */
	enum err err = sync_path(d->path);
	enum err above = sync_parent(d->path);
	return err != OK || above == ERR_PERMISSION ? err : above;
}

void directory_reserve(struct directory *d, uint64_t bytes)
{
	d->reserve_bytes = bytes;
	d->is_released = bytes > 0;
	open_reserve(d);
}

bool directory_release(struct directory *d)
{
	if (d->is_released || d->reserve_bytes == 0 || d->reserve_fd < 0)
		return false;
	d->is_released = true;
	return ftruncate(d->reserve_fd, 0) == 0;
}

bool directory_retake(struct directory *d)
{
	struct statvfs fs;
	if (!d->is_released)
		return true;
	if (d->reserve_fd < 0)
		open_reserve(d);
	if (fstatvfs(d->reserve_fd, &fs) != 0 ||
		(uint64_t)fs.f_bavail * fs.f_frsize < 2 * d->reserve_bytes)
		return false;
	if (posix_fallocate(d->reserve_fd, 0, (off_t)d->reserve_bytes) != 0) {
		if (ftruncate(d->reserve_fd, 0) != 0)
			return false;
		return false;
	}
	d->is_released = false;
	return true;
}

void directory_close(struct directory *d)
{
	if (d->reserve_fd >= 0)
		close(d->reserve_fd);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	free(d->path);
	*d = (struct directory){ .lock_fd = -1, .reserve_fd = -1 };
}

char *directory_file(const struct directory *d, const char *name)
{
	size_t size = strlen(d->path) + strlen(name) + 2;
	char *path = mem_alloc(size);
	int n = snprintf(path, size, "%s/%s", d->path, name);
	CHECK(n >= 0 && (size_t)n < size);
	return path;
}

/* A directory that is not synced, nor its parent, may be gone after a power loss with all that
 * we said 250 for. */
static enum err make(const char *path, struct buf *message)
{
	if (mkdir(path, 0700) != 0)
		return fail(message, "cannot make the queue directory", path);
	if (sync_path(path) != OK || sync_parent(path) != OK)
		return fail(message, "cannot sync the queue directory", path);
	return OK;
}

static void open_reserve(struct directory *d)
{
	char *path = directory_file(d, "reserve");
	d->reserve_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
}

static enum err sync_parent(const char *path)
{
	char *parent = mem_strdup(path);
	size_t len = strlen(parent);
	while (len > 1 && parent[len - 1] == '/')
		len--;
	while (len > 0 && parent[len - 1] != '/')
		len--;
	while (len > 1 && parent[len - 1] == '/')
		len--;
	parent[len] = '\0';
	enum err err = sync_path(len > 0 ? parent : ".");
	free(parent);
	return err;
}

static enum err sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_of(errno);
	enum err err = fsync(fd) == 0 ? OK : error_of(errno);
	close(fd);
	return err;
}

static enum err take_lock(struct directory *d, struct buf *message)
{
	enum err err = OK;
	char *path = directory_file(d, "lock");
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->lock_fd < 0) {
		err = fail(message, "cannot open the lock file", path);
	} else if (flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		char text[24];
		int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
		/* The pid is for people; a disk too full for it holds the lock all the same. */
		if (ftruncate(d->lock_fd, 0) != 0 || pwrite(d->lock_fd, text, (size_t)n, 0) != n)
			err = OK;
	} else if (errno == EWOULDBLOCK) {
		tell_holder(d->lock_fd, d->path, message);
		err = ERR_LOCKED;
	} else {
		err = fail(message, "cannot lock", path);
	}
	free(path);
	return err;
}

static void tell_holder(int fd, const char *path, struct buf *message)
{
	char text[24] = "";
	uint64_t pid = 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	struct str line = str_of(text, n > 0 ? (size_t)n : 0);
	buf_printf(message, "the queue %s is in use by another process", path);
	if (str_to_u64(str_cut(&line, '\n'), &pid) == OK)
		buf_printf(message, " (pid %llu)", (unsigned long long)pid);
}

static enum err fail(struct buf *message, const char *what, const char *path)
{
	int number = errno;
	buf_printf(message, "%s %s: %s", what, path, strerror(number));
	return error_of(number);
}

static enum err error_of(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case EMFILE:
	case ENFILE:
		return ERR_NO_FDS;
	default:
		return ERR_IO;
	}
}
