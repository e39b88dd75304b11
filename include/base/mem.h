/*
 * mem - allocation that does not fail: it aborts, since a crash loses nothing acknowledged.
 *
 * Whatever outsiders can make grow is checked against a limit before it gets here. Thread: any.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Owns: the caller frees with free(). Memory of mem_zalloc is zeroed; sizes are in bytes. */
void *mem_alloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size_bytes) __attribute__((malloc, returns_nonnull));
/* mem_array - count * size with overflow check (CHECK), zeroed. */
void *mem_array(size_t count, size_t size_bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size_bytes) __attribute__((returns_nonnull));
/* mem_wipe - overwrites what was secret, also where the compiler sees that nobody reads it again. */
void mem_wipe(void *p, size_t len_bytes);
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));

#endif
