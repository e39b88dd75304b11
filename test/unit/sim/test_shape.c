/* test_shape - scenarios in numbers: what is read, what is refused with a reason, what a scale does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/simulate.h"

static bool set(struct sim_shape *s, const char *key, const char *value)
{
	const char *why = NULL;
	bool is_good = sim_shape_set(s, str_from_c(key), str_from_c(value), &why);

	assert_non_null(why);
	return is_good;
}

static void test_values(void **state)
{
	struct sim_shape s;
	(void)state;

	sim_shape_default(&s);
	assert_true(set(&s, "messages", "50M"));
	assert_int_equal(s.messages, 50000000);
	assert_true(set(&s, "mailboxes", "9k"));
	assert_int_equal(s.mailboxes, 9000);
	assert_true(set(&s, "size", "10K"));
	assert_int_equal(s.size_bytes, 10240);
	assert_true(set(&s, "outage", "5d20h"));
	assert_int_equal(s.outage_ms, 140 * HOUR_MS);
	assert_true(set(&s, "think", "0"));
	assert_int_equal(s.think_ms, 0);
	assert_true(set(&s, "connections", "3"));
	assert_int_equal(s.connections, 3);
}

static void test_wrong_values(void **state)
{
	static const char *const wrong[][2] = { { "messages", "" }, { "messages", "many" },
		{ "messages", "M" }, { "messages", "99999999999M" }, { "messages", "-1" },
		{ "mailboxes", "0" }, { "senders", "0" }, { "connections", "0" },
		{ "connections", "1M" }, { "outage", "soon" }, { "outage", "9000d" },
		{ "size", "1T" }, { "size", "5000M" }, { "think", "2h" }, { "colour", "1" },
		{ "", "1" } };
	struct sim_shape s, before;
	(void)state;

	sim_shape_default(&s);
	before = s;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (set(&s, wrong[i][0], wrong[i][1]))
			fail_msg("%s %s was taken", wrong[i][0], wrong[i][1]);
	assert_int_equal(s.messages, before.messages);
	assert_int_equal(s.connections, before.connections);
}

static bool read_text(const char *text, struct sim_shape *s, bool *is_shape, struct buf *message)
{
	char path[] = "/tmp/outlast-test-shape-XXXXXX";
	int fd = mkstemp(path);
	bool is_good;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	buf_clear(message);
	is_good = sim_shape_read(s, path, is_shape, message);
	(void)unlink(path);
	return is_good;
}

static void test_files(void **state)
{
	struct sim_shape s;
	struct buf message;
	bool is_shape;
	(void)state;

	buf_init(&message, 4096);
	sim_shape_default(&s);
	assert_true(read_text("about a test\n# nothing\nshape messages 500k  outage 3d # so "
			      "long\nshape\tsize 1K\n",
		&s, &is_shape, &message));
	assert_true(is_shape);
	assert_string_equal(s.about, "a test");
	assert_int_equal(s.messages, 500000);
	assert_int_equal(s.outage_ms, 3 * DAY_MS);
	assert_int_equal(s.size_bytes, 1024);

	assert_true(read_text(
		"about another\nsite dead\nload from a to b count 1\n", &s, &is_shape, &message));
	assert_false(is_shape);

	assert_false(read_text("\nshape messages 5 colour red\n", &s, &is_shape, &message));
	assert_non_null(strstr(buf_cstr(&message), ":2: colour"));
	buf_clear(&message);
	assert_false(sim_shape_read(&s, "/nonexistent/shape", &is_shape, &message));
	assert_non_null(strstr(buf_cstr(&message), "cannot be read"));
	buf_fini(&message);
}

static void test_scale(void **state)
{
	struct sim_shape s;
	(void)state;

	sim_shape_default(&s);
	sim_shape_scale(&s, 1, 100);
	assert_int_equal(s.messages, 500000);
	assert_int_equal(s.mailboxes, 90000);
	assert_int_equal(s.others_per_day, 100000);
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.outage_ms, 140 * HOUR_MS);
	sim_shape_scale(&s, 1, 1000000000); /* never to nothing */
	assert_int_equal(s.messages, 1);
	assert_int_equal(s.connections, 1);
	s.backlog = 0;
	sim_shape_scale(&s, 1, 2);
	assert_int_equal(s.backlog, 0);
}

/* Against the daemon's queue: doc/scale.md. */
static void test_disk(void **state)
{
	static const struct {
		uint32_t size_bytes;
		uint64_t measured;
	} cases[] = { { 500, 942 }, { 1024, 1628 }, { 2048, 4374 }, { 4096, 4881 },
		{ 10240, 12586 }, { 32768, 33639 }, { 102400, 103439 }, { 1048576, 1053696 } };
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double part =
			(double)sim_disk_bytes(cases[i].size_bytes) / (double)cases[i].measured;

		if (part < 0.95 || part > 1.05)
			fail_msg("%u octets: computed %llu, measured %llu", cases[i].size_bytes,
				(unsigned long long)sim_disk_bytes(cases[i].size_bytes),
				(unsigned long long)cases[i].measured);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
