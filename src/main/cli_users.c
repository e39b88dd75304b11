/* cli_users - see cli_users.h. */
#include "cli_users.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define TEXT_BYTES_MAX ((size_t)1024 * 1024) /* as the daemon reads it */

static enum err fail(struct buf *why, const char *what, const char *path)
{
	int number = errno;

	buf_printf(why, "cannot %s %s: %s", what, path, strerror(number));
	return number == EACCES || number == EPERM ? ERR_PERMISSION : ERR_IO;
}

static enum err lock_directory(struct users_file *f, struct buf *why)
{
	char *copy = mem_strdup(f->path);
	const char *directory = dirname(copy);
	enum err err = OK;

	f->lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->lock < 0)
		err = fail(why, "open", directory);
	else if (flock(f->lock, LOCK_EX) != 0)
		err = fail(why, "lock", directory);
	free(copy);
	return err;
}

static enum err read_text(struct users_file *f, int fd, struct buf *why)
{
	char block[8192];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0)
		buf_append(&f->text, block, (size_t)n);
	if (n < 0)
		return fail(why, "read", f->path);
	if (f->text.is_full) {
		buf_printf(why, "%s is larger than 1 MiB", f->path);
		return ERR_LIMIT;
	}
	return OK;
}

static enum err read_file(struct users_file *f, struct buf *why)
{
	struct stat st;
	enum err err;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return errno == ENOENT ? OK : fail(why, "open", f->path);
	if (fstat(fd, &st) != 0) {
		err = fail(why, "examine", f->path);
	} else if (!S_ISREG(st.st_mode)) {
		buf_printf(why, "%s is not a regular file", f->path);
		err = ERR_IO;
	} else {
		f->is_there = true;
		f->owner = st.st_uid;
		f->group = st.st_gid;
		/* What the daemon would refuse is closed by the way. */
		f->mode = st.st_mode & (S_IRWXU | S_IRGRP);
		err = read_text(f, fd, why);
	}
	close(fd);
	return err;
}

enum err users_open(struct users_file *f, const char *path, struct buf *why)
{
	*f = (struct users_file){ .lock = -1, .mode = S_IRUSR | S_IWUSR };
	f->owner = (uid_t)-1;
	f->group = (gid_t)-1;
	buf_init(&f->text, TEXT_BYTES_MAX);
	f->path = realpath(path, NULL);
	if (!f->path)
		f->path = mem_strdup(path);
	enum err err = lock_directory(f, why);
	return err == OK ? read_file(f, why) : err;
}

void users_close(struct users_file *f)
{
	if (f->lock >= 0)
		close(f->lock);
	free(f->path);
	buf_fini(&f->text);
}

static bool is_user(struct str line, struct str *name, struct str *hash)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (str_trim(line).len == 0 || line.data[0] == '#')
		return false;
	*hash = line;
	*name = str_cut(hash, ':');
	return true;
}

bool users_next(struct str *rest, struct str *name, struct str *hash)
{
	while (rest->len > 0)
		if (is_user(str_cut(rest, '\n'), name, hash))
			return true;
	return false;
}

bool users_set(struct users_file *f, struct str name, struct str hash)
{
	struct str rest = buf_str(&f->text), old_name, old_hash;
	bool was_there = false;
	struct buf text;

	buf_init(&text, TEXT_BYTES_MAX);
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		bool is_it = is_user(line, &old_name, &old_hash) && str_equal(old_name, name);

		if (!is_it)
			buf_printf(&text, "%.*s\n", STR_FMT(line));
		else if (!was_there && hash.len > 0)
			buf_printf(&text, "%.*s:%.*s\n", STR_FMT(name), STR_FMT(hash));
		was_there = was_there || is_it;
	}
	if (!was_there && hash.len > 0)
		buf_printf(&text, "%.*s:%.*s\n", STR_FMT(name), STR_FMT(hash));
	buf_fini(&f->text);
	f->text = text;
	return was_there;
}

static bool write_all(int fd, struct str text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.data, text.len);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			text = str_slice(text, (size_t)n, text.len);
	}
	return true;
}

static enum err fill(const struct users_file *f, int fd, const char *path, struct buf *why)
{
	if (f->group != (gid_t)-1 && fchown(fd, f->owner, f->group) != 0)
		return fail(why, "keep the owner of", f->path);
	if (fchmod(fd, f->mode) != 0)
		return fail(why, "keep the mode of", f->path);
	if (!write_all(fd, buf_str(&f->text)) || fsync(fd) != 0)
		return fail(why, "write", path);
	return OK;
}

enum err users_write(struct users_file *f, struct buf *why)
{
	static const char tail[] = ".XXXXXX";
	size_t len = strlen(f->path);
	char *path = mem_alloc(len + sizeof(tail));
	enum err err;
	int fd;

	if (f->text.is_full) {
		buf_printf(why, "%s would be larger than 1 MiB", f->path);
		free(path);
		return ERR_LIMIT;
	}
	memcpy(path, f->path, len);
	memcpy(path + len, tail, sizeof(tail));
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		err = fail(why, "make a file beside", f->path);
		free(path);
		return err;
	}
	err = fill(f, fd, path, why);
	if (close(fd) != 0 && err == OK)
		err = fail(why, "write", path);
	if (err == OK && rename(path, f->path) != 0)
		err = fail(why, "replace", f->path);
	if (err != OK)
		(void)unlink(path);
	else if (fsync(f->lock) != 0)
		err = fail(why, "sync the directory of", f->path);
	free(path);
	return err;
}
