/* inspect - is this a sound queue file? Bounded looks, before and after SQLite opens it; nothing
 * is changed. */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H

#include "base/buf.h"
#include "sql.h"

/*
 * inspect_files - header of the file and checksums of the write-ahead log. SQLite takes a log
 * that it cannot read for an empty one, and so would silently forget mail that was acknowledged:
 * that is refused here. What a power loss may leave behind, an unsynced tail of one transaction,
 * is no damage. Errors: ERR_NOT_FOUND (unless may_be_absent), ERR_CORRUPT, ERR_PERMISSION,
 * ERR_IO; message says what and what to do.
 */
MUST_USE enum err inspect_files(const char *path, bool may_be_absent, struct buf *message);
/* inspect_ends - reads the first and the last rows of the big tables. */
MUST_USE enum err inspect_ends(struct sql *s);

#endif
