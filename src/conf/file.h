/* file - files that the configuration consists of or names. */
#ifndef SRC_CONF_FILE_H
#define SRC_CONF_FILE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct value_context;

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

enum file_access {
	FILE_PUBLIC,
	FILE_SECRET /* refused when others may read it, or the group may write */
};

/*
 * file_read - all of a regular file. On error why says what is wrong with it. Errors:
 * ERR_NOT_FOUND, ERR_PERMISSION, ERR_LIMIT (more than out may hold), ERR_UNSUPPORTED (no regular
 * file), ERR_IO.
 */
MUST_USE enum err file_read(
	const char *path, enum file_access access, struct buf *out, struct buf *why);
/*
 * file_path - name as seen from the directory of the file that names it; terminated, in the
 * context's arena.
 */
struct str file_path(struct str name, struct value_context *context);
/* file_read_named - file_read of a file that a setting names; false: context->why says why. */
bool file_read_named(
	struct str name, enum file_access access, struct value_context *context, struct buf *out);
/* file_directory - the part of path up to its last slash, slash included; empty without one. */
struct str file_directory(struct str path);

#endif
