/*
 * daemon_vfs - makes the SQLite file systems of the crash tests known to a daemon under test, before main runs.
 *
 * Linked into $(BUILD)/crash/outlastd only. The daemon chooses one by OUTLAST_TEST_VFS: those of crash_vfs.h, or
 *   "failsync"  the default one, of which the N-th sync fails with an I/O error, once, N from OUTLAST_TEST_SYNC_FAILS.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/crash_vfs.h"

static sqlite3_vfs failsync;
static sqlite3_io_methods failing_methods[3]; /* of the file, of its log, of the journal */
static int (*real_sync)(sqlite3_file *, int);
static int (*real_open)(sqlite3_vfs *, sqlite3_filename, sqlite3_file *, int, int *);
static atomic_long syncs_left;

static int on_sync(sqlite3_file *file, int flags)
{
	return atomic_fetch_sub(&syncs_left, 1) == 1 ? SQLITE_IOERR_FSYNC : real_sync(file, flags);
}

/* All files of a sort have the same methods: what two connections write here at a time is equal. */
static int on_open(
	sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
	int rc = real_open(vfs, path, file, flags, out_flags);

	int sort = flags & SQLITE_OPEN_MAIN_DB         ? 0
		   : flags & SQLITE_OPEN_WAL           ? 1
		   : flags & SQLITE_OPEN_SUPER_JOURNAL ? 2
						       : -1;

	if (rc == SQLITE_OK && sort >= 0) {
		sqlite3_io_methods *failing = &failing_methods[sort];

		real_sync = file->pMethods->xSync;
		*failing = *file->pMethods;
		failing->xSync = on_sync;
		file->pMethods = failing;
	}
	return rc;
}

__attribute__((constructor)) static void register_vfs(void)
{
	const char *fails_at = getenv("OUTLAST_TEST_SYNC_FAILS");

	crash_vfs_register();
	syncs_left = fails_at ? strtol(fails_at, NULL, 10) : 0;
	failsync = *sqlite3_vfs_find(NULL);
	real_open = failsync.xOpen;
	failsync.xOpen = on_open;
	failsync.zName = "failsync";
	failsync.pNext = NULL;
	CHECK(sqlite3_vfs_register(&failsync, 0) == SQLITE_OK);
}
