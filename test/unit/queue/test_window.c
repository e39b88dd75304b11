/* test_window - growth, cuts once per window, and bounds that always hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "queue/window.h"

static void succeed(struct window *w, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		window_note_success(w);
}

static void test_window_starts_small(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 0, 20);
	assert_int_equal(w.size, WINDOW_START);
	window_init(&w, 0, 3);
	assert_int_equal(w.size, 3);
	window_init(&w, 0, 0);
	assert_int_equal(w.size, 1);
}

static void test_window_adds_one_per_window_of_successes(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 0, 8);
	succeed(&w, 4);
	assert_int_equal(w.size, 5);
	succeed(&w, 1);
	assert_int_equal(w.size, 6);
	succeed(&w, 6 + 7);
	assert_int_equal(w.size, 8);
	succeed(&w, 100);
	assert_int_equal(w.size, 8);
}

static void test_window_doubles_to_what_it_was_before_the_outage(void **state)
{
	static const uint32_t sizes[] = { 2, 4, 8, 11, 12, 13 };
	struct window w;
	(void)state;

	window_init(&w, 0, 50);
	while (w.size < 11)
		window_note_success(&w);
	window_close_to_one(&w);
	assert_int_equal(w.size, 1);
	window_close_to_one(&w); /* suspect, then down: what was learned stays */
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		succeed(&w, w.size);
		assert_int_equal(w.size, sizes[i]);
	}
}

static void test_window_overload_halves_once_per_window(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 0, 100);
	while (w.size < 20)
		window_note_success(&w);
	/* All 20 under way report the same overload. */
	for (unsigned i = 0; i < 20; i++)
		window_note_overload(&w);
	assert_int_equal(w.size, 10);
	for (unsigned i = 0; i < 10; i++)
		window_note_overload(&w);
	assert_int_equal(w.size, 5);
}

static void test_window_grows_carefully_after_overload(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 40, 100);
	window_note_overload(&w);
	assert_int_equal(w.size, 2);
	succeed(&w, 2);
	assert_int_equal(w.size, 3);
}

static void test_window_refused_extra_lowers_to_those_that_work(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 0, 100);
	while (w.size < 20)
		window_note_success(&w);
	w.in_flight = 13; /* the refused one among them */
	window_note_refused_extra(&w);
	assert_int_equal(w.size, 12);
	w.in_flight = 20; /* others of the old window */
	window_note_refused_extra(&w);
	assert_int_equal(w.size, 12);
	w.in_flight = 1;
	window_note_refused_extra(&w);
	assert_int_equal(w.size, 1);
}

static void test_window_room_is_never_negative(void **state)
{
	struct window w;
	(void)state;

	window_init(&w, 0, 100);
	w.in_flight = 3;
	assert_int_equal(window_room(&w), 2);
	window_close_to_one(&w);
	assert_int_equal(window_room(&w), 0);
}

static void test_window_stays_between_one_and_max(void **state)
{
	struct rng chance;
	struct window w;
	(void)state;

	rng_init(&chance, 1);
	for (unsigned run = 0; run < 300; run++) {
		window_init(&w, (uint32_t)rng_below(&chance, 50), (uint32_t)rng_below(&chance, 60));
		for (unsigned i = 0; i < 2000; i++) {
			uint64_t act = rng_below(&chance, 100);

			w.in_flight = (uint32_t)rng_below(&chance, w.size + 2);
			if (act < 80)
				window_note_success(&w);
			else if (act < 90)
				window_note_overload(&w);
			else if (act < 95)
				window_note_refused_extra(&w);
			else if (act < 98)
				window_close_to_one(&w);
			else
				window_set_max(&w, (uint32_t)rng_below(&chance, 60));
			assert_in_range(w.size, 1, w.max);
		}
	}
}

/* A site that takes so many connections and no more: what is refused gets ever rarer, but a higher limit is found. */
static void test_window_tries_a_refused_connection_ever_later(void **state)
{
	struct window w;
	unsigned refused = 0;
	(void)state;

	window_init(&w, 0, 50);
	for (unsigned i = 0; i < 100000; i++) {
		w.in_flight = w.size;
		if (w.size > 3) {
			window_note_refused_extra(&w);
			refused++;
		} else {
			window_note_success(&w);
		}
		assert_true(w.size <= 5);
	}
	assert_int_equal(w.size, 3);
	assert_in_range(refused, 5, 50);
	for (unsigned i = 0; w.size < 20; i++) {
		assert_true(i < 20000);
		window_note_success(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_starts_small),
		cmocka_unit_test(test_window_adds_one_per_window_of_successes),
		cmocka_unit_test(test_window_doubles_to_what_it_was_before_the_outage),
		cmocka_unit_test(test_window_overload_halves_once_per_window),
		cmocka_unit_test(test_window_grows_carefully_after_overload),
		cmocka_unit_test(test_window_refused_extra_lowers_to_those_that_work),
		cmocka_unit_test(test_window_room_is_never_negative),
		cmocka_unit_test(test_window_tries_a_refused_connection_ever_later),
		cmocka_unit_test(test_window_stays_between_one_and_max),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
