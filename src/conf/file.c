/*
 * file - files that the configuration consists of or names.
 *
 * Opened without blocking and refused unless regular: a pipe or a device in an include must not
 * hang the daemon's reload. Mode and size are those of the open descriptor, so nobody can swap the
 * file in between.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "value.h"

static enum err read_all(int fd, struct buf *out);

static enum err err_of(int number)
{
	switch (number) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	case ENXIO:
		return ERR_UNSUPPORTED;
	default:
		return ERR_IO;
	}
}

static enum err check_stat(
	const char *path, const struct stat *st, enum file_access access, size_t bytes_max,
	struct buf *why)
{
	if (!S_ISREG(st->st_mode)) {
		buf_printf(why, "%s is not a regular file", path);
		return ERR_UNSUPPORTED;
	}
	if (access == FILE_SECRET && (st->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
		buf_printf(why, "%s holds secrets, but others may read or change it: chmod 640 %s",
			path, path);
		return ERR_PERMISSION;
	}
	if (st->st_size > (off_t)bytes_max) {
		buf_printf(why, "%s is larger than %zu MiB", path, bytes_max >> 20);
		return ERR_LIMIT;
	}
	return OK;
}

enum err file_read(const char *path, enum file_access access, struct buf *out, struct buf *why)
{
	struct stat st;
	buf_clear(why);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		enum err err = err_of(errno);
		buf_printf(why, "cannot open %s: %s", path, strerror(errno));
		return err;
	}
	enum err err = OK;
	if (fstat(fd, &st) != 0) {
		buf_printf(why, "cannot examine %s: %s", path, strerror(errno));
		err = ERR_IO;
	}
	if (err == OK)
		err = check_stat(path, &st, access, out->max_bytes, why);
	if (err == OK) {
		err = read_all(fd, out);
		if (err == ERR_LIMIT)
			buf_printf(why, "%s is larger than %zu MiB", path,
				out->max_bytes >> 20);
		else if (err != OK)
			buf_printf(why, "cannot read %s: %s", path, strerror(errno));
	}
	close(fd);
	return err;
}

static enum err read_all(int fd, struct buf *out)
{
	char block[8192];
	for (;;) {
		ssize_t n = read(fd, block, sizeof(block));
		if (n == 0)
			return OK;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_of(errno);
		buf_append(out, block, (size_t)n);
		if (out->is_full)
			return ERR_LIMIT;
	}
}

struct str file_directory(struct str path)
{
	size_t end = path.len;
	while (end > 0 && path.data[end - 1] != '/')
		end--;
	return str_slice(path, 0, end);
}

struct str file_path(struct str name, struct value_context *context)
{
	if (name.len > 0 && name.data[0] == '/')
		return arena_dup(context->arena, name);
	return arena_printf(context->arena, "%.*s%.*s", STR_FMT(context->directory), STR_FMT(name));
}

bool file_read_named(
	struct str name, enum file_access access, struct value_context *context, struct buf *out)
{
	buf_clear(context->why);
	if (!context->may_read_files) {
		buf_append_str(context->why, STR("files cannot be named here"));
		return false;
	}
	if (name.len == 0 || str_find(name, '\0') < name.len) {
		buf_append_str(context->why, STR("needs the name of a file"));
		return false;
	}
	return file_read(file_path(name, context).data, access, out, context->why) == OK;
}
