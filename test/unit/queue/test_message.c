/* test_message - references and content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/message.h"

static void test_message_lives_until_its_last_reference(void **state)
{
	struct message *m = message_new();
	(void)state;

	m->env.reverse_path = arena_dup(&m->arena, STR("a@example.org"));
	assert_ptr_equal(message_ref(m), m);
	assert_int_equal(m->references, 2);
	message_unref(m);
	assert_int_equal(m->references, 1);
	assert_true(str_equal(m->env.reverse_path, STR("a@example.org")));
	message_unref(m);
	message_unref(NULL);
}

static void test_message_drops_content_and_keeps_its_envelope(void **state)
{
	struct message *m = message_new();
	(void)state;

	buf_init(&m->content, 100);
	buf_append_str(&m->content, STR("Subject: x\r\n"));
	m->has_content = true;
	m->env.id = 7;
	message_drop_content(m);
	assert_false(m->has_content);
	assert_null(m->content.data);
	assert_int_equal(m->env.id, 7);
	message_drop_content(m);
	message_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_lives_until_its_last_reference),
		cmocka_unit_test(test_message_drops_content_and_keeps_its_envelope),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
