/*
 * mem - allocation that aborts instead of failing.
 *
 * Zero octets are served as one, so that NULL never means "empty".
 */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SMALL_BYTES_MAX = 1024 };

void *mem_alloc(size_t size_bytes)
{
	void *p = malloc(size_bytes ? size_bytes : 1);
	CHECK(p != NULL);
	return p;
}

void *mem_zalloc(size_t size_bytes)
{
	/* calloc passes by what malloc keeps at hand for small sizes; large ones it need not clear. */
	if (size_bytes <= SMALL_BYTES_MAX)
		return memset(mem_alloc(size_bytes), 0, size_bytes);
	void *p = calloc(1, size_bytes);
	CHECK(p != NULL);
	return p;
}

void *mem_array(size_t count, size_t size_bytes)
{
	CHECK(size_bytes == 0 || count <= SIZE_MAX / size_bytes);
	return mem_zalloc(count * size_bytes);
}

void *mem_realloc(void *p, size_t size_bytes)
{
	void *moved = realloc(p, size_bytes ? size_bytes : 1);
	CHECK(moved != NULL);
	return moved;
}

char *mem_strdup(const char *text)
{
	size_t size_bytes = strlen(text) + 1;
	char *copy = mem_alloc(size_bytes);
	memcpy(copy, text, size_bytes);
	return copy;
}

void mem_wipe(void *p, size_t len_bytes)
{
	if (len_bytes == 0)
		return;
	memset(p, 0, len_bytes);
	/* Without this the memset before the memory goes would be optimized away. */
	__asm__ volatile("" : : "r"(p) : "memory");
}
