/*
 * directory - the queue's folder: made durably, locked against a second daemon, with a reserve
 * of disk.
 *
 * The lock is flock on the file `lock`, which names the holder's pid. The reserve is the file
 * `reserve`: octets really allocated; released when results or deletions meet a full disk, and
 * taken again when there is twice as much room. While it is released new mail is refused, so
 * that the space serves what is queued.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct directory {
	char *path;
	int lock_fd;    /* -1: not locked */
	int reserve_fd; /* -1: none */
	uint64_t reserve_bytes;
	bool is_released;
};

/* directory_open - makes (when may_create) and locks. Errors: ERR_NOT_FOUND, ERR_LOCKED,
 * ERR_PERMISSION, ERR_NO_SPACE, ERR_IO; message says which file. On errors nothing is left open. */
MUST_USE enum err directory_open(
	struct directory *d, struct str path, bool may_create, struct buf *message);
/* directory_sync - makes new names in it durable. */
MUST_USE enum err directory_sync(const struct directory *d);
/* directory_reserve - sets the size and starts with the reserve released, so that opening the
 * queue finds room on a full disk; directory_retake follows. */
void directory_reserve(struct directory *d, uint64_t bytes);
/* directory_release - gives the reserve back to the disk; false when there is none (left). */
bool directory_release(struct directory *d);
/* directory_retake - true when the reserve is whole (again). */
bool directory_retake(struct directory *d);
void directory_close(struct directory *d);
/* directory_file - "path/name", terminated; the caller frees. */
char *directory_file(const struct directory *d, const char *name);

#endif
