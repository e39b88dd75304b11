/* Memory that is freed all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

static void fill_an_arena(void)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 100, 1000, 1024, 1025, 4000, 4096, 70000 };
	struct arena a = { 0 };
	unsigned char *pieces[ARRAY_COUNT(sizes) * 20];
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		size_t size = sizes[i % ARRAY_COUNT(sizes)];
		pieces[i] = arena_alloc(&a, size);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		for (size_t at = 0; at < size; at++)
			assert_int_equal(pieces[i][at], 0);
		if (size > 0)
			memset(pieces[i], (int)(i % 251) + 1, size);
	}
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		for (size_t at = 0; at < sizes[i % ARRAY_COUNT(sizes)]; at++)
			assert_int_equal(pieces[i][at], i % 251 + 1);
	}
	arena_fini(&a);
	assert_null(a.head);
	assert_int_equal(a.used_bytes, 0);
}

static void test_arena_pieces_are_aligned_zeroed_and_apart(void **state)
{
	(void)state;
	fill_an_arena();
	fill_an_arena(); /* gets memory that was used */
}

static void test_arena_strings_are_copied_and_terminated(void **state)
{
	(void)state;
	struct arena a = { 0 };
	char source[] = "Mixed-Case@Example.ORG";
	struct str copy = arena_dup(&a, str_from_c(source));
	struct str lower = arena_lower(&a, str_from_c(source));
	struct str empty = arena_dup(&a, str_of(NULL, 0));
	struct str text = arena_printf(&a, "%s-%05d", "n", 42);
	memset(source, 'x', sizeof(source) - 1);
	assert_string_equal(copy.data, "Mixed-Case@Example.ORG");
	assert_string_equal(lower.data, "mixed-case@example.org");
	assert_string_equal(empty.data, "");
	assert_string_equal(text.data, "n-00042");
	assert_int_equal(text.len, 7);
	assert_int_equal(empty.len, 0);
	arena_fini(&a);
}

static void test_arena_move_takes_all(void **state)
{
	(void)state;
	struct arena from = { 0 }, to = { 0 };
	struct str kept = arena_dup(&from, STR("kept"));
	size_t used = from.used_bytes;
	arena_move(&to, &from);
	assert_null(from.head);
	assert_int_equal(to.used_bytes, used);
	arena_fini(&from);
	assert_string_equal(kept.data, "kept");
	arena_fini(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_pieces_are_aligned_zeroed_and_apart),
		cmocka_unit_test(test_arena_strings_are_copied_and_terminated),
		cmocka_unit_test(test_arena_move_takes_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
