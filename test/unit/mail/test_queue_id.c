/* Tests of mail/queue_id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/queue_id.h"

#define LAST_MS ((INT64_C(1) << 42) - 1)

static void test_next_grows_whatever_the_clock_does(void **state)
{
	static const int64_t clock[] = { 1000, 1000, 1001, 5, -7, 0, 1002, 1002, INT64_MAX,
		INT64_MIN, 1003 };
	struct queue_id_source s = { .node = 3 };
	uint64_t last = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(clock) / sizeof(clock[0]); i++) {
		uint64_t id = queue_id_next(&s, (struct wall){ clock[i] });
		assert_true(id > last);
		last = id;
	}
	assert_int_equal(queue_id_time(last).ms, 1003);
}

static void test_next_borrows_the_next_millisecond_when_the_sequence_is_used_up(void **state)
{
	struct queue_id_source s = { .node = 255 };
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 8192; i++) {
		uint64_t id = queue_id_next(&s, (struct wall){ 42 });
		assert_true(id > last);
		assert_int_equal(queue_id_time(id).ms, 42);
		last = id;
	}
	uint64_t id = queue_id_next(&s, (struct wall){ 42 });
	assert_int_equal(queue_id_time(id).ms, 43);
	assert_int_equal(id >> 13 & 255, 255);
}

static void test_next_keeps_its_node_behind_an_id_of_another(void **state)
{
	static const struct {
		uint8_t other, node;
		int64_t ms;
	} rows[] = { { 9, 3, 101 }, { 3, 9, 100 } };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct queue_id_source a = { .node = rows[i].other };
		uint64_t before = queue_id_next(&a, (struct wall){ 100 });
		struct queue_id_source b = { .last = before, .node = rows[i].node };
		uint64_t id = queue_id_next(&b, (struct wall){ 50 });
		assert_true(id > before);
		assert_int_equal(id >> 13 & 255, rows[i].node);
		assert_int_equal(queue_id_time(id).ms, rows[i].ms);
	}
}

static void test_next_never_is_zero(void **state)
{
	struct queue_id_source s = { 0 };

	(void)state;
	assert_true(queue_id_next(&s, (struct wall){ 0 }) > 0);
}

static void test_format_sorts_like_the_number_and_parses_back(void **state)
{
	static const uint64_t ids[] = { 1, 31, 32, 0x1fff, 0x2000, UINT64_C(1) << 40,
		UINT64_C(0x7ffffffffffffffe), UINT64_C(0x7fffffffffffffff) };
	struct queue_id_text before = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct queue_id_text t = queue_id_format(ids[i]);
		uint64_t back = 0;
		assert_int_equal(strlen(t.text), QUEUE_ID_LEN);
		assert_true(strcmp(before.text, t.text) < 0);
		assert_int_equal(queue_id_parse(str_from_c(t.text), &back), OK);
		assert_int_equal(back, ids[i]);
		before = t;
	}
}

static void test_parse_reads_what_people_write(void **state)
{
	static const struct {
		const char *text;
		enum err err;
		uint64_t id;
	} rows[] = {
		{ "0000000000001", OK, 1 },
		{ "ooooooooooool", OK, 1 },
		{ "OOOOOOOOOOOOI", OK, 1 },
		{ "000000000000z", OK, 31 },
		{ "7ZZZZZZZZZZZZ", OK, UINT64_C(0x7fffffffffffffff) },
		{ "8000000000000", ERR_SYNTAX, 0 },
		{ "0000000000000", ERR_SYNTAX, 0 },
		{ "000000000000U", ERR_SYNTAX, 0 },
		{ "000000000000", ERR_SYNTAX, 0 },
		{ "00000000000001", ERR_SYNTAX, 0 },
		{ "00000000-0001", ERR_SYNTAX, 0 },
		{ "", ERR_SYNTAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t id = 0;
		assert_int_equal(queue_id_parse(str_from_c(rows[i].text), &id), rows[i].err);
		assert_int_equal(id, rows[i].id);
	}
}

static void test_floor_parts_ids_by_time(void **state)
{
	struct queue_id_source s = { .node = 0 };
	uint64_t before = queue_id_next(&s, (struct wall){ 999 });
	uint64_t after = queue_id_next(&s, (struct wall){ 1000 });
	uint64_t floor = queue_id_floor((struct wall){ 1000 });

	(void)state;
	assert_true(before < floor);
	assert_true(after >= floor);
	assert_int_equal(queue_id_floor((struct wall){ -5 }), 0);
	assert_true(queue_id_floor(WALL_NEVER) >= queue_id_floor((struct wall){ LAST_MS }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_grows_whatever_the_clock_does),
		cmocka_unit_test(
			test_next_borrows_the_next_millisecond_when_the_sequence_is_used_up),
		cmocka_unit_test(test_next_keeps_its_node_behind_an_id_of_another),
		cmocka_unit_test(test_next_never_is_zero),
		cmocka_unit_test(test_format_sorts_like_the_number_and_parses_back),
		cmocka_unit_test(test_parse_reads_what_people_write),
		cmocka_unit_test(test_floor_parts_ids_by_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
