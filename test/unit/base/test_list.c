/* Lists whose links are embedded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "base/list.h"
#include "fixture_death.h"

struct fixture {
	struct list head;
	struct list links[5];
};

static void assert_order(const struct fixture *f, const int *order, size_t count)
{
	const struct list *at = &f->head;
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(at->next, &f->links[order[i]]);
		assert_ptr_equal(at->next->prev, at);
		at = at->next;
	}
	assert_ptr_equal(at->next, &f->head);
	assert_ptr_equal(f->head.prev, at);
}

static void push_linked(void *arg)
{
	struct fixture *f = arg;
	list_push_back(&f->head, &f->links[0]);
}

static void test_list_keeps_order_through_all_changes(void **state)
{
	(void)state;
	struct fixture f = { 0 }, other = { 0 };
	list_init(&f.head);
	list_init(&other.head);
	assert_true(list_is_empty(&f.head));
	assert_null(list_pop_front(&f.head));
	list_push_back(&f.head, &f.links[0]);
	list_push_back(&f.head, &f.links[1]);
	list_push_front(&f.head, &f.links[2]);
	list_insert_before(&f.links[1], &f.links[3]);
	assert_order(&f, (const int[]){ 2, 0, 3, 1 }, 4);
	list_remove(&f.links[0]);
	list_remove(&f.links[0]);
	assert_false(list_is_linked(&f.links[0]));
	list_push_back(&other.head, &f.links[4]);
	list_push_back(&other.head, &f.links[0]);
	list_splice(&f.head, &other.head);
	list_splice(&f.head, &other.head);
	assert_true(list_is_empty(&other.head));
	assert_order(&f, (const int[]){ 2, 3, 1, 4, 0 }, 5);
	assert_ptr_equal(list_pop_front(&f.head), &f.links[2]);
	assert_order(&f, (const int[]){ 3, 1, 4, 0 }, 4);
	assert_int_equal(death_signal(push_linked, &f, NULL, 0), SIGABRT);
}

static void test_list_safe_walk_allows_removal(void **state)
{
	(void)state;
	struct fixture f = { 0 };
	list_init(&f.head);
	for (size_t i = 0; i < 5; i++)
		list_push_back(&f.head, &f.links[i]);
	LIST_FOR_EACH_SAFE (link, &f.head) {
		if ((link - f.links) % 2 == 0)
			list_remove(link);
	}
	assert_order(&f, (const int[]){ 1, 3 }, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_keeps_order_through_all_changes),
		cmocka_unit_test(test_list_safe_walk_allows_removal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
