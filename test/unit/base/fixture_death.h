/* fixture_death - runs code that must not survive. */
#ifndef UNIT_BASE_FIXTURE_DEATH_H
#define UNIT_BASE_FIXTURE_DEATH_H

#include <stddef.h>

/*
 * death_signal - runs body(arg) in a child process; returns the signal that ended it, 0 when it
 * came through. What it printed to stderr goes to said (terminated, cut to size), unless said is NULL.
 */
int death_signal(void (*body)(void *arg), void *arg, char *said, size_t size);

#endif
