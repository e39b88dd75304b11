/*
 * heap - binary min-heap over an array of pointers; each node knows its slot.
 *
 * Slot i has its children at 2i and 2i + 1; slots are counted from 1.
 */
#include "base/heap.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { CAP_MIN = 16 };

static void sift_up(struct heap *h, size_t slot);
static void sift_down(struct heap *h, size_t slot);
static void place(struct heap *h, size_t slot, struct heap_node *n);
static struct heap_node *at(const struct heap *h, size_t slot);

void heap_init(struct heap *h, heap_less_fn *less)
{
	*h = (struct heap){ .less = less };
}

void heap_fini(struct heap *h)
{
	free(h->slots);
	*h = (struct heap){ 0 };
}

void heap_insert(struct heap *h, struct heap_node *n)
{
	CHECK(n->slot == 0);
	if (h->count == h->cap) {
		h->cap = h->cap ? h->cap * 2 : CAP_MIN;
		CHECK(h->cap <= SIZE_MAX / sizeof(struct heap_node *));
		h->slots = mem_realloc(h->slots, h->cap * sizeof(struct heap_node *));
	}
	h->count++;
	place(h, h->count, n);
	sift_up(h, h->count);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	size_t slot = n->slot;
	if (slot == 0)
		return;
	CHECK(slot <= h->count && at(h, slot) == n);
	struct heap_node *last = at(h, h->count);
	h->count--;
	n->slot = 0;
	if (last == n)
		return;
	place(h, slot, last);
	sift_up(h, slot);
	sift_down(h, last->slot);
}

struct heap_node *heap_min(const struct heap *h)
{
	return h->count > 0 ? at(h, 1) : NULL;
}

static void sift_up(struct heap *h, size_t slot)
{
	struct heap_node *n = at(h, slot);
	while (slot > 1 && h->less(n, at(h, slot / 2))) {
		place(h, slot, at(h, slot / 2));
		slot /= 2;
	}
	place(h, slot, n);
}

static void sift_down(struct heap *h, size_t slot)
{
	struct heap_node *n = at(h, slot);
	while (slot * 2 <= h->count) {
		size_t child = slot * 2;
		if (child < h->count && h->less(at(h, child + 1), at(h, child)))
			child++;
		if (!h->less(at(h, child), n))
			break;
		place(h, slot, at(h, child));
		slot = child;
	}
	place(h, slot, n);
}

static void place(struct heap *h, size_t slot, struct heap_node *n)
{
	h->slots[slot - 1] = n;
	n->slot = slot;
}

static struct heap_node *at(const struct heap *h, size_t slot)
{
	return h->slots[slot - 1];
}
