/*
 * arena - memory that is freed all at once: the strings of one transaction, one reply, one query.
 *
 * Blocks of 1 KiB, then of 2 and 4; larger requests get their own. There is no limit here: callers check limits on what
 * outsiders send before they copy it. A zeroed arena is ready for use. Thread: one at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used_bytes; /* handed out in all */
};

void *arena_alloc(struct arena *a, size_t size_bytes); /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size_bytes);
struct str arena_dup(
	struct arena *a, struct str s); /* the copy is followed by a NUL that len does not count */
struct str arena_lower(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void arena_fini(struct arena *a); /* frees all; leaves it zeroed */
/* arena_move - *to (which must be empty) takes over all memory of *from. */
void arena_move(struct arena *to, struct arena *from);

#endif
