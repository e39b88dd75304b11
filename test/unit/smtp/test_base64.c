/* base64 against the vectors of RFC 4648 section 10, and what it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "smtp/base64.h"

static void test_base64_matches_the_vectors(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfb", "//77" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
		struct buf out;
		buf_init(&out, 100);
		base64_encode(&out, str_from_c(vectors[i][0]));
		assert_string_equal(buf_cstr(&out), vectors[i][1]);
		buf_clear(&out);
		assert_int_equal(base64_decode(&out, str_from_c(vectors[i][1])), OK);
		assert_string_equal(buf_cstr(&out), vectors[i][0]);
		buf_fini(&out);
	}
}

static void test_base64_refuses_what_is_irregular(void **state)
{
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "=",
		"====", "Z===", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Z-9v", "Zm=v" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_int_equal(base64_decode(&out, str_from_c(bad[i])), ERR_SYNTAX);
		buf_fini(&out);
	}
}

static void test_base64_keeps_to_the_bound(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 2);
	assert_int_equal(base64_decode(&out, STR("Zm9v")), ERR_LIMIT);
	buf_fini(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_matches_the_vectors),
		cmocka_unit_test(test_base64_refuses_what_is_irregular),
		cmocka_unit_test(test_base64_keeps_to_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
