/*
 * cli_users - the users file as `outlast passwd` changes it: one line name:hash each, others stay as they are.
 *
 * A change is a new file in the place of the old one, synced before and after: whoever reads meanwhile, and after a
 * crash, sees one or the other whole. Two changes at a time take turns by a lock on the directory.
 */
#ifndef MAIN_CLI_USERS_H
#define MAIN_CLI_USERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct users_file {
	char *path; /* links followed */
	int lock;   /* directory */
	bool is_there;
	uid_t owner;
	gid_t group;
	mode_t mode;
	struct buf text;
};

/* users_open - reads it; one that is not there is empty. Errors, with the reason in why: ERR_PERMISSION, ERR_IO, ERR_LIMIT. */
MUST_USE enum err users_open(struct users_file *f, const char *path, struct buf *why);
void users_close(struct users_file *f);
/* users_next - the next user of *rest; false at the end. */
bool users_next(struct str *rest, struct str *name, struct str *hash);
/* users_set - the line of name gets hash (at the end when there is none), or goes when hash is empty. Returns whether there
 * was one. */
bool users_set(struct users_file *f, struct str name, struct str hash);
/* users_write - in the place of the old file, with its owner and mode. Errors as users_open. */
MUST_USE enum err users_write(struct users_file *f, struct buf *why);

#endif
