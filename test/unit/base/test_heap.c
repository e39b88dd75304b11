/* The heap against an unsorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/check.h"
#include "base/heap.h"
#include "base/rng.h"

enum { ITEM_COUNT = 300 };

struct item {
	struct heap_node node;
	uint64_t value;
	bool is_in;
};

static bool is_less(const struct heap_node *a, const struct heap_node *b)
{
	return CONTAINER_OF(a, struct item, node)->value <
	       CONTAINER_OF(b, struct item, node)->value;
}

static const struct item *smallest(const struct item *items)
{
	const struct item *min = NULL;
	for (size_t i = 0; i < ITEM_COUNT; i++) {
		if (items[i].is_in && (!min || items[i].value < min->value))
			min = &items[i];
	}
	return min;
}

static void test_heap_agrees_with_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		static struct item items[ITEM_COUNT];
		struct heap heap;
		struct rng rng;
		size_t count = 0;
		rng_init(&rng, seed);
		heap_init(&heap, is_less);
		for (size_t i = 0; i < ITEM_COUNT; i++)
			items[i] = (struct item){ 0 };
		for (unsigned step = 0; step < 5000; step++) {
			struct item *item = &items[rng_below(&rng, ITEM_COUNT)];
			if (item->is_in || rng_below(&rng, 8) == 0) {
				count -= item->is_in;
				heap_remove(&heap, &item->node);
				item->is_in = false;
			} else {
				item->value =
					rng_below(&rng, 1000) << 32 | step; /* no two are equal */
				heap_insert(&heap, &item->node);
				item->is_in = true;
				count++;
			}
			const struct item *min = smallest(items);
			assert_ptr_equal(heap_min(&heap), min ? &min->node : NULL);
			assert_int_equal(heap.count, count);
			assert_int_equal(item->node.slot != 0, item->is_in);
		}
		uint64_t last = 0;
		for (struct heap_node *n; (n = heap_min(&heap)) != NULL; heap_remove(&heap, n)) {
			uint64_t value = CONTAINER_OF(n, struct item, node)->value;
			assert_true(value >= last);
			last = value;
		}
		heap_fini(&heap);
	}
}

static void test_heap_empty_has_no_minimum(void **state)
{
	(void)state;
	struct heap heap;
	struct heap_node idle = { 0 };
	heap_init(&heap, is_less);
	assert_null(heap_min(&heap));
	heap_remove(&heap, &idle);
	heap_fini(&heap);
	heap_fini(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_agrees_with_the_model),
		cmocka_unit_test(test_heap_empty_has_no_minimum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
