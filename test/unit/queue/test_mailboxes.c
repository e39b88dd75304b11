/* test_mailboxes - what took mail is known for 30 to 60 days, others rarely are, and saving loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/rng.h"
#include "queue/mailboxes.h"

#define START ((struct wall){ 1700000000000 })

static uint64_t number(uint64_t n)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "user%llu@example.org", (unsigned long long)n);
	return mailboxes_hash(str_from_c(text));
}

static struct wall after_days(int64_t days)
{
	return wall_add(START, days * DAY_MS);
}

static void test_mailboxes_knows_what_took_mail(void **state)
{
	struct mailboxes m;
	(void)state;

	mailboxes_init(&m, 1000, START);
	assert_false(mailboxes_has(&m, number(1)));
	assert_false(mailboxes_add(&m, number(1)));
	assert_true(mailboxes_has(&m, number(1)));
	assert_true(mailboxes_add(&m, number(1)));
	assert_false(mailboxes_has(&m, number(2)));
	assert_true(mailboxes_hash(STR("User1@Example.ORG")) == number(1));
	mailboxes_fini(&m);
}

static void test_mailboxes_forgets_between_30_and_60_days(void **state)
{
	static const struct {
		int64_t turns[3]; /* days, -1: none */
		bool is_known;
	} rows[] = {
		{ { 29, -1, -1 }, true },
		{ { 30, -1, -1 }, true },
		{ { 30, 59, -1 }, true },
		{ { 30, 60, -1 }, false },
		{ { 60, -1, -1 }, false },
		{ { 1000, -1, -1 }, false },
		{ { -5, 29, -1 }, true }, /* a clock that was set back */
		{ { 31, 31, 31 }, true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mailboxes m;

		mailboxes_init(&m, 1000, START);
		(void)mailboxes_add(&m, number(7));
		for (int t = 0; t < 3 && rows[i].turns[t] != -1; t++)
			mailboxes_turn(&m, after_days(rows[i].turns[t]));
		if (mailboxes_has(&m, number(7)) != rows[i].is_known)
			fail_msg("row %zu", i);
		mailboxes_fini(&m);
	}
}

static void test_mailboxes_is_renewed_by_mail(void **state)
{
	struct mailboxes m;
	(void)state;

	mailboxes_init(&m, 1000, START);
	(void)mailboxes_add(&m, number(7));
	for (int64_t day = 30; day < 400; day += 30) {
		mailboxes_turn(&m, after_days(day));
		assert_true(mailboxes_add(&m, number(7)));
	}
	mailboxes_fini(&m);
}

/* The figure of the header: both generations as full as they were made for. */
static void test_mailboxes_rarely_takes_one_for_another(void **state)
{
	enum { COUNT = 100000, TRIES = 100000 };
	struct mailboxes m;
	unsigned wrong = 0;
	(void)state;

	mailboxes_init(&m, COUNT, START);
	for (uint64_t i = 0; i < COUNT; i++)
		(void)mailboxes_add(&m, number(i));
	mailboxes_turn(&m, after_days(30));
	for (uint64_t i = COUNT; i < 2 * COUNT; i++)
		(void)mailboxes_add(&m, number(i));
	for (uint64_t i = 0; i < 2 * COUNT; i++)
		assert_true(mailboxes_has(&m, number(i)));
	for (uint64_t i = 0; i < TRIES; i++)
		wrong += mailboxes_has(&m, number(10 * COUNT + i));
	print_message("%u of %d others count as known\n", wrong, TRIES);
	assert_in_range(wrong, 1, TRIES / 40);
	mailboxes_fini(&m);
}

struct saved {
	struct buf head;
	struct buf pages[64];
	unsigned writes;
};

static void save(struct mailboxes *m, struct saved *s)
{
	uint32_t page;

	if (m->is_head_dirty) {
		buf_clear(&s->head);
		mailboxes_put_head(m, &s->head);
	}
	while (mailboxes_next_dirty(m, 0, &page)) {
		assert_true(page < ARRAY_COUNT(s->pages));
		buf_clear(&s->pages[page]);
		mailboxes_put_page(m, page, &s->pages[page]);
		s->writes++;
	}
	assert_int_equal(m->dirty_count, 0);
}

static bool load(struct mailboxes *m, struct saved *s)
{
	if (!mailboxes_take_head(m, buf_str(&s->head)))
		return false;
	for (uint32_t i = 0; i < mailboxes_pages(m); i++)
		mailboxes_take_page(m, i, buf_str(&s->pages[i]));
	return true;
}

static void saved_init(struct saved *s)
{
	*s = (struct saved){ 0 };
	buf_init(&s->head, 100);
	for (size_t i = 0; i < ARRAY_COUNT(s->pages); i++)
		buf_init(&s->pages[i], MAILBOXES_PAGE_BYTES + 8);
}

static void saved_fini(struct saved *s)
{
	buf_fini(&s->head);
	for (size_t i = 0; i < ARRAY_COUNT(s->pages); i++)
		buf_fini(&s->pages[i]);
}

/* Adds, turns, saves and kills by chance: whatever was saved in full is known after the next start. */
static void test_mailboxes_survives_restarts(void **state)
{
	enum { STEPS = 300 };
	(void)state;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rng rng;
		struct saved s;
		struct mailboxes m;
		int64_t day = 0, learned[STEPS * 4];
		uint64_t count = 0, saved_count = 0;

		rng_init(&rng, seed);
		saved_init(&s);
		mailboxes_init(&m, 60000, START);
		for (int step = 0; step < STEPS; step++) {
			day += (int64_t)rng_below(&rng, 4);
			mailboxes_turn(&m, after_days(day));
			for (uint64_t n = rng_below(&rng, 4); n > 0; n--) {
				learned[count] = day;
				(void)mailboxes_add(&m, number(count++));
			}
			if (rng_below(&rng, 3) == 0) {
				save(&m, &s);
				saved_count = count;
			}
			if (rng_below(&rng, 10) != 0)
				continue;
			mailboxes_fini(&m);
			mailboxes_init(&m, 60000, after_days(day));
			(void)mailboxes_add(&m, number(1u << 20)); /* while it is read */
			if (s.head.len > 0) {
				assert_true(load(&m, &s));
				mailboxes_turn(&m, after_days(day));
			}
			assert_true(mailboxes_has(&m, number(1u << 20)));
			for (uint64_t i = 0; i < saved_count; i++)
				if (learned[i] >= day - 29)
					assert_true(mailboxes_has(&m, number(i)));
			count = saved_count;
		}
		mailboxes_fini(&m);
		saved_fini(&s);
	}
}

static void test_mailboxes_saves_what_changed_only(void **state)
{
	struct saved s;
	struct mailboxes m;
	(void)state;

	saved_init(&s);
	mailboxes_init(&m, 200000, START);
	save(&m, &s);
	assert_int_equal(s.writes, 0);
	(void)mailboxes_add(&m, number(1));
	save(&m, &s);
	assert_int_equal(s.writes, 1);
	(void)mailboxes_add(&m, number(1));
	save(&m, &s);
	assert_int_equal(s.writes, 1);
	saved_fini(&s);
	mailboxes_fini(&m);
}

static void test_mailboxes_refuses_what_is_not_its_own(void **state)
{
	struct saved s;
	struct mailboxes m, other;
	(void)state;

	saved_init(&s);
	mailboxes_init(&m, 200000, START);
	mailboxes_init(&other, 20000, START);
	(void)mailboxes_add(&m, number(1));
	save(&m, &s);
	assert_false(load(&other, &s));
	assert_false(mailboxes_take_head(&other, STR("")));
	assert_false(mailboxes_take_head(&other, STR("0123456789abcdef0123456789abcdef")));
	mailboxes_take_page(&other, 0, STR("short"));
	assert_false(mailboxes_has(&other, number(1)));
	saved_fini(&s);
	mailboxes_fini(&m);
	mailboxes_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mailboxes_knows_what_took_mail),
		cmocka_unit_test(test_mailboxes_forgets_between_30_and_60_days),
		cmocka_unit_test(test_mailboxes_is_renewed_by_mail),
		cmocka_unit_test(test_mailboxes_rarely_takes_one_for_another),
		cmocka_unit_test(test_mailboxes_survives_restarts),
		cmocka_unit_test(test_mailboxes_saves_what_changed_only),
		cmocka_unit_test(test_mailboxes_refuses_what_is_not_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
