/* Hashes that libcrypt and the RFCs know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "os/os_secret.h"

static void test_secret_fits_the_hash_of_each_method(void **state)
{
	(void)state;
	/* of "secret" */
	static const char *const hashes[] = {
		"$6$saltsalt$"
		"TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq."
		"H91p5hVO1",
		"$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
	};

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		assert_true(os_secret.fits("secret", hashes[i]));
		assert_false(os_secret.fits("secreT", hashes[i]));
		assert_false(os_secret.fits("", hashes[i]));
	}
	/* nothing that crypt(3) refuses fits */
	assert_false(os_secret.fits("*0", "*0"));
	assert_false(os_secret.fits("x", "x"));
	assert_false(os_secret.fits("x", ""));
}

static void test_secret_hash_fits_and_has_a_salt_of_its_own(void **state)
{
	(void)state;
	struct buf one, other;

	buf_init(&one, 1000);
	buf_init(&other, 1000);
	assert_int_equal(os_secret_hash(&one, "p\xc3\xa4ss:wort"), OK);
	assert_int_equal(os_secret_hash(&other, "p\xc3\xa4ss:wort"), OK);
	assert_string_not_equal(buf_cstr(&one), buf_cstr(&other));
	assert_memory_equal(one.data, "$y$", 3);
	assert_true(os_secret.fits("p\xc3\xa4ss:wort", buf_cstr(&one)));
	assert_false(os_secret.fits("pass:wort", buf_cstr(&one)));
	buf_fini(&one);
	buf_fini(&other);
}

/* RFC 4231 test case 2 has a short key; its HMAC is that of the key filled up with zeros. */
static void test_secret_mac_is_hmac_sha_256(void **state)
{
	(void)state;
	static const uint8_t wanted[SECRET_BYTES] = { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75,
		0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d,
		0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43 };
	uint8_t key[SECRET_BYTES] = "Jefe";
	uint8_t got[SECRET_BYTES];

	os_secret.mac(key, STR("what do ya want for nothing?"), got);
	assert_memory_equal(got, wanted, sizeof(wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret_fits_the_hash_of_each_method),
		cmocka_unit_test(test_secret_hash_fits_and_has_a_salt_of_its_own),
		cmocka_unit_test(test_secret_mac_is_hmac_sha_256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
