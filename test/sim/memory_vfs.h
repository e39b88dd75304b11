/*
 * memory_vfs - SQLite's file system of the simulator: a file is in memory while it is open.
 *
 * It is read in when it is first opened and written back when nobody has it open any more, so that what looks at the files of
 * a dead process finds there what a kill -9 leaves; nothing is synced, for here only processes die, never the machine. What a write costs
 * is a copy, without a call of the system. Power loss is the matter of crash_vfs. Thread: one.
 */
#ifndef TEST_SIM_MEMORY_VFS_H
#define TEST_SIM_MEMORY_VFS_H

#include <stdbool.h>

/* memory_vfs_use - as the default file system of this process, or no more; only while no queue is open. */
void memory_vfs_use(bool is_used);

#endif
