/* test_class - which rule matches, and that it leaves alone what the sender asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "queue/class.h"

static void test_class_is_the_first_whose_conditions_all_hold(void **state)
{
	struct conf_class classes[] = {
		{ .name = STR("both"), .from = STR("*@news.test"), .to = STR("*@vip.test") },
		{ .name = STR("news"), .from = STR("*@news.test") },
		{ .name = STR("null"), .from = STR("<>") },
		{ .name = STR("user"), .user = STR("batch*") },
		{ .name = STR("header"), .header = { STR("X-Class"), STR("x") } },
	};
	static const struct {
		const char *from, *user;
		uint64_t hits;
		const char *to[2];
		const char *want;
	} rows[] = {
		{ "a@news.test", "", 0, { "b@c.test", "b@vip.test" }, "both" },
		{ "a@NEWS.test", "", 0, { "b@c.test", "b@c.test" }, "news" },
		{ "a@x.test", "", 0, { "b@vip.test", "b@c.test" }, NULL },
		{ "", "", 0, { "b@c.test", "b@c.test" }, "null" },
		{ "a@x.test", "batch7", 0, { "b@c.test", "b@c.test" }, "user" },
		{ "a@x.test", "alice", 1u << 4, { "b@c.test", "b@c.test" }, "header" },
		{ "a@x.test", "alice", 1u << 3, { "b@c.test", "b@c.test" }, NULL },
	};
	const struct conf conf = { .classes = classes, .class_count = ARRAY_COUNT(classes) };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct recipient recipients[2] = { { .address = str_from_c(rows[i].to[0]) },
			{ .address = str_from_c(rows[i].to[1]) } };
		const struct envelope env = { .reverse_path = str_from_c(rows[i].from),
			.user = str_from_c(rows[i].user),
			.recipients = recipients,
			.recipient_count = 2 };
		const struct conf_class *class = class_of(&conf, &env, rows[i].hits);

		if (rows[i].want ? !class || !str_equal(class->name, str_from_c(rows[i].want))
				 : class != NULL)
			fail_msg("row %zu", i);
	}
}

static void test_class_sets_what_is_open(void **state)
{
	const struct conf_class class = { .has_priority = true,
		.priority = -3,
		.has_deliver_by = true,
		.deliver_by_ms = HOUR_MS,
		.deliver_by_notify = true,
		.has_hold = true,
		.hold_ms = MINUTE_MS,
		.has_notify = true,
		.notify = NOTIFY_FAILURE };
	struct recipient recipients[2] = { { .notify = 0 }, { .notify = NOTIFY_NEVER } };
	struct envelope env = {
		.accepted = { 1000 }, .recipients = recipients, .recipient_count = 2
	};
	(void)state;

	class_apply(&class, &env);
	assert_int_equal(env.priority, -3);
	assert_int_equal(env.deliver_by.ms, 1000 + HOUR_MS);
	assert_true(env.deliver_by_notify);
	assert_int_equal(env.hold_until.ms, 1000 + MINUTE_MS);
	assert_int_equal(recipients[0].notify, NOTIFY_FAILURE);
	assert_int_equal(recipients[1].notify, NOTIFY_NEVER);

	struct envelope asked = { .accepted = { 1000 },
		.priority = 4,
		.deliver_by = { 7 },
		.hold_until = { 8 },
		.recipients = recipients,
		.recipient_count = 2 };
	class_apply(&class, &asked);
	assert_int_equal(asked.priority, 4);
	assert_true(asked.deliver_by.ms == 7 && !asked.deliver_by_notify);
	assert_int_equal(asked.hold_until.ms, 8);
}

static void test_class_without_settings_changes_nothing(void **state)
{
	const struct conf_class class = { .name = STR("none") };
	struct recipient recipient = { .notify = 0 };
	struct envelope env = {
		.accepted = { 1000 }, .recipients = &recipient, .recipient_count = 1
	};
	(void)state;

	class_apply(&class, &env);
	assert_true(env.priority == 0 && env.deliver_by.ms == WALL_NONE.ms);
	assert_true(env.hold_until.ms == WALL_NONE.ms && recipient.notify == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_class_is_the_first_whose_conditions_all_hold),
		cmocka_unit_test(test_class_sets_what_is_open),
		cmocka_unit_test(test_class_without_settings_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
