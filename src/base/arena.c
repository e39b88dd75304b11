/*
 * arena - a chain of blocks, the first of which is being filled.
 *
 * A request that does not fit begins a new block; one that would fill most of a block gets its own,
 * put behind the head so that the rest of the head stays in use. Most arenas hold a few strings: the
 * first block is small, and octets are zeroed only when they are handed out.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum {
	BLOCK_FIRST_BYTES = 1024, /* with its head: the largest that malloc keeps at hand */
	BLOCK_MAX_BYTES = 4096,
	OWN_BLOCK_BYTES = BLOCK_MAX_BYTES / 4
};

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char data[];
};

static char *take(struct arena *a, size_t size_bytes);
static struct arena_block *add_block(struct arena *a, size_t size_bytes);

void *arena_alloc(struct arena *a, size_t size_bytes)
{
	return memset(take(a, size_bytes), 0, size_bytes);
}

void *arena_array(struct arena *a, size_t count, size_t size_bytes)
{
	CHECK(size_bytes == 0 || count <= SIZE_MAX / size_bytes);
	return arena_alloc(a, count * size_bytes);
}

struct str arena_dup(struct arena *a, struct str s)
{
	char *copy = take(a, s.len + 1);
	if (s.len > 0)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return str_of(copy, s.len);
}

struct str arena_lower(struct arena *a, struct str s)
{
	char *copy = take(a, s.len + 1);
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		copy[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	copy[s.len] = '\0';
	return str_of(copy, s.len);
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	CHECK(n >= 0);
	size_t len = (size_t)n;
	char *text = take(a, len + 1);
	vsnprintf(text, len + 1, format, again);
	va_end(again);
	va_end(args);
	return str_of(text, len);
}

void arena_fini(struct arena *a)
{
	while (a->head) {
		struct arena_block *block = a->head;
		a->head = block->next;
		free(block);
	}
	*a = (struct arena){ 0 };
}

void arena_move(struct arena *to, struct arena *from)
{
	CHECK(to->head == NULL);
	*to = *from;
	*from = (struct arena){ 0 };
}

/* As arena_alloc, but what is there is what was there before. */
static char *take(struct arena *a, size_t size_bytes)
{
	CHECK(size_bytes <= SIZE_MAX / 2);
	size_t step = alignof(max_align_t);
	size_t rounded = (size_bytes + step - 1) / step * step;
	if (rounded == 0)
		rounded = step;
	struct arena_block *block = a->head;
	if (!block || rounded > block->size - block->used)
		block = add_block(a, rounded);
	char *p = block->data + block->used;
	block->used += rounded;
	a->used_bytes += size_bytes;
	return p;
}

/* Blocks double. A request that is as large as any may be takes one step more. */
static size_t next_block_bytes(const struct arena *a, size_t size_bytes)
{
	size_t total = BLOCK_FIRST_BYTES;
	if (a->head)
		total = 2 * (sizeof(struct arena_block) + a->head->size);
	if (total - sizeof(struct arena_block) < size_bytes)
		total *= 2;
	if (total > BLOCK_MAX_BYTES)
		total = BLOCK_MAX_BYTES;
	return total - sizeof(struct arena_block);
}

static struct arena_block *add_block(struct arena *a, size_t size_bytes)
{
	bool is_own = size_bytes > OWN_BLOCK_BYTES;
	size_t size = is_own ? size_bytes : next_block_bytes(a, size_bytes);
	struct arena_block *block = mem_alloc(sizeof(*block) + size);
	block->used = 0;
	block->size = size;
	if (is_own && a->head) {
		block->next = a->head->next;
		a->head->next = block;
	} else {
		block->next = a->head;
		a->head = block;
	}
	return block;
}
