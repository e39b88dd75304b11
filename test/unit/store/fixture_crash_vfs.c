/* Linked into each test program of the folder. */
#include "../../store/crash_vfs.c"
