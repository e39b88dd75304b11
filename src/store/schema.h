/* schema - the tables, their versions, and the way from one version to the next. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fault.h"

/* "OutL" at offset 68 of the file: what file(1) and we recognise it by. */
enum { SCHEMA_APPLICATION_ID = 0x4f75744c };

/* schema_steps[n] leads from version n to n + 1. */
extern const char *const schema_steps[];
extern const unsigned schema_version;

/* schema_read_version - Errors: ERR_CORRUPT (not ours), ERR_IO. 0: an empty file. */
MUST_USE enum err schema_read_version(sqlite3 *db, unsigned *out);
/*
 * schema_migrate - brings the file from its version to count, one transaction a step; a crash
 * between two steps leaves a file of the version in between. Passes FAULT_migrate_step after
 * each. Errors: ERR_NEWER (unchanged), ERR_CORRUPT, ERR_NO_SPACE, ERR_IO.
 */
MUST_USE enum err schema_migrate(
	sqlite3 *db, const char *const *steps, unsigned count, struct fault *fault);

#endif
