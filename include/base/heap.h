/* heap - binary min-heap of nodes embedded in their owners; O(log n) insert and removal anywhere. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
	size_t slot; /* 1-based; 0: in no heap */
};

typedef bool heap_less_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {
	struct heap_node **slots;
	size_t count;
	size_t cap;
	heap_less_fn *less;
};

void heap_init(struct heap *h, heap_less_fn *less);
void heap_fini(struct heap *h); /* the nodes are not touched */
void heap_insert(struct heap *h, struct heap_node *n);
void heap_remove(struct heap *h, struct heap_node *n); /* legal for a node that is in no heap */
struct heap_node *heap_min(const struct heap *h);      /* NULL when empty */

#endif
