/*
 * check - invariants that stay compiled in, and the two macros every file needs.
 *
 * CHECK is for facts that only a defect of ours can break; never for data from network, disk,
 * configuration or control socket. A failed CHECK prints the place and aborts: nothing acknowledged
 * is lost by a crash.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

_Noreturn void check_failed(const char *expression, const char *file, int line);

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* By way of uintptr_t, so that a pointer to a const member may be given (comparison functions). */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((uintptr_t)(ptr)-offsetof(type, member)))

#endif
