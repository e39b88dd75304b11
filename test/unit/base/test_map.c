/* The map against an array in order of insertion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/rng.h"
#include "fixture_death.h"

enum { ITEM_COUNT = 500 };

struct item {
	struct map_entry entry;
	char name[8];
	uint64_t inserted_at; /* 0: not in the map */
};

struct fixture {
	struct map map;
	struct item items[ITEM_COUNT];
};

static struct str name_of(const struct item *item)
{
	return str_from_c(item->name);
}

static void assert_same(const struct fixture *f, size_t count)
{
	uint64_t last = 0;
	size_t seen = 0;
	for (struct map_entry *e = map_first(&f->map); e; e = map_next(&f->map, e)) {
		const struct item *item = CONTAINER_OF(e, struct item, entry);
		assert_true(item->inserted_at > last);
		last = item->inserted_at;
		seen++;
	}
	assert_int_equal(seen, count);
	assert_int_equal(f->map.count, count);
	for (size_t i = 0; i < ITEM_COUNT; i++) {
		const struct item *item = &f->items[i];
		assert_ptr_equal(
			map_find(&f->map, name_of(item)), item->inserted_at ? &item->entry : NULL);
	}
}

static void test_map_agrees_with_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		static struct fixture f;
		struct rng rng;
		size_t count = 0;
		f = (struct fixture){ 0 };
		rng_init(&rng, seed);
		map_init(&f.map, rng_next(&rng));
		for (size_t i = 0; i < ITEM_COUNT; i++)
			snprintf(f.items[i].name, sizeof(f.items[i].name), "k%zu", i);
		assert_same(&f, 0);
		for (uint64_t step = 1; step <= 3000; step++) {
			struct item *item = &f.items[rng_below(&rng, ITEM_COUNT)];
			if (item->inserted_at) {
				map_remove(&f.map, &item->entry);
				item->inserted_at = 0;
				count--;
			} else {
				map_insert(&f.map, &item->entry, name_of(item));
				item->inserted_at = step;
				count++;
			}
			if (step % 50 == 0)
				assert_same(&f, count);
		}
		map_fini(&f.map);
	}
}

static void insert_twice(void *arg)
{
	struct fixture *f = arg;
	map_insert(&f->map, &f->items[1].entry, STR("same"));
}

static void test_map_insert_aborts_on_a_second_entry(void **state)
{
	(void)state;
	static struct fixture f;
	map_init(&f.map, 3);
	map_insert(&f.map, &f.items[0].entry, STR("same"));
	assert_int_equal(death_signal(insert_twice, &f, NULL, 0), SIGABRT);
	map_remove(&f.map, &f.items[0].entry);
	assert_int_equal(death_signal(insert_twice, &f, NULL, 0), 0);
	map_fini(&f.map);
	map_fini(&f.map);
}

static void test_map_takes_octet_keys(void **state)
{
	(void)state;
	struct map map;
	struct map_entry a = { 0 }, b = { 0 };
	uint64_t one = 1, two = 256, three = 3;
	map_init(&map, 9);
	map_insert(&map, &a, map_key_u64(&one));
	map_insert(&map, &b, map_key_u64(&two));
	assert_ptr_equal(map_find(&map, map_key_u64(&one)), &a);
	assert_ptr_equal(map_find(&map, map_key_u64(&two)), &b);
	assert_null(map_find(&map, map_key_u64(&three)));
	map_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_agrees_with_the_model),
		cmocka_unit_test(test_map_insert_aborts_on_a_second_entry),
		cmocka_unit_test(test_map_takes_octet_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
