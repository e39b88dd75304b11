/*
 * crash_vfs - SQLite file systems that lose what was not synced. For tests; never linked into
 * the product.
 *
 * crash_vfs_register adds three VFSes over the default one:
 *   "crash"     a model of power loss and failing system calls, steered by struct crash_plan;
 *   "unsynced"  writes stay in memory until they are synced, so that kill -9 of the process
 *              loses them as a power loss would: for a daemon under test;
 *   "nosync"    syncs do nothing: speed for simulations that never crash.
 *
 * The model counts the calls that change a disk (open, write, truncate, sync, delete). At the
 * planned call it either fails that call, or the power goes: each 512-octet sector written since
 * the last sync of its file is kept or lost by itself (torn and reordered writes), and every
 * later call fails. After that, close the store and open it with the default VFS. Thread: any;
 * change the plan only while no call is under way.
 */
#ifndef TEST_STORE_CRASH_VFS_H
#define TEST_STORE_CRASH_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum crash_kind {
	CRASH_NONE,
	CRASH_POWER,  /* the power goes before the call */
	CRASH_EIO,    /* the call fails */
	CRASH_ENOSPC, /* a write, truncate or open fails for want of space */
	CRASH_SHORT   /* half of a write is done, then ENOSPC */
};

struct crash_plan {
	enum crash_kind kind;
	uint64_t at;           /* 1..: which call */
	bool is_for_ever;      /* and all later ones of its sort */
	bool is_file_only;     /* spares the log and the journal: hits checkpoints */
	bool is_sync_ignored;  /* planted defect: as with synchronous=OFF */
	int64_t size_max;      /* writes past this size of a file find the disk full; 0: none */
	unsigned keep_percent; /* CRASH_POWER: how likely an unsynced sector is kept */
	uint64_t seed;
};

void crash_vfs_register(void);
/* crash_vfs_plan - restarts the count. */
void crash_vfs_plan(const struct crash_plan *plan);
uint64_t crash_vfs_calls(void); /* since the plan */
bool crash_vfs_has_struck(void);

#endif
