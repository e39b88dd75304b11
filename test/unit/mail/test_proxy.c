/* Tests of mail/proxy: what a header says, that no octet behind it is asked for, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "mail/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x07\xcb\x00\x71\x01\x13\x88\x00\x19" /* 192.0.2.7:5000 to 203.0.113.1:25 */
#define V6                                                                                         \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"     \
	"\x13\x88\x01\xd1"
#define MAPPED                                                                                     \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x01"     \
	"\x13\x88\0\x19"
#define OCTETS(text)                                                                               \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* Reads as a reader does: never more than is asked for. Returns how much was taken. */
static enum err read_all(struct str octets, struct proxy_header *out, size_t *taken)
{
	size_t wanted = 0;
	enum err err = proxy_parse(str_slice(octets, 0, 0), out, &wanted);

	*taken = 0;
	while (err == OK && wanted > 0 && *taken + wanted <= octets.len) {
		*taken += wanted;
		err = proxy_parse(str_slice(octets, 0, *taken), out, &wanted);
	}
	if (err == OK && wanted > 0)
		err = ERR_EOF;
	return err;
}

static void assert_endpoint(const struct endpoint *e, const char *expected)
{
	struct buf text;

	buf_init(&text, 200);
	endpoint_format(&text, e);
	assert_string_equal(buf_cstr(&text), expected);
	buf_fini(&text);
}

static void test_proxy_reads_headers_and_nothing_behind_them(void **state)
{
	static const struct {
		struct str octets;
		enum proxy_origin origin;
		const char *client, *local;
	} rows[] = {
		{ OCTETS(SIGNATURE "\x21\x11\0\x0c" V4), PROXY_CLIENT, "192.0.2.7:5000",
			"203.0.113.1:25" },
		{ OCTETS(SIGNATURE "\x21\x21\0\x24" V6), PROXY_CLIENT, "[2001:db8::7]:5000",
			"[2001:db8::1]:465" },
		{ OCTETS(SIGNATURE "\x21\x21\0\x24" MAPPED), PROXY_CLIENT, "192.0.2.7:5000",
			"203.0.113.1:25" },
		/* TLVs are skipped */
		{ OCTETS(SIGNATURE "\x21\x11\0\x13" V4 "\x02\0\x04test"), PROXY_CLIENT,
			"192.0.2.7:5000", "203.0.113.1:25" },
		{ OCTETS(SIGNATURE "\x20\0\0\0"), PROXY_ITSELF, "none", "none" },
		{ OCTETS(SIGNATURE "\x20\x11\0\x0c" V4), PROXY_ITSELF, "none", "none" },
		{ OCTETS(SIGNATURE "\x20\xff\0\x01x"), PROXY_ITSELF, "none", "none" },
		{ OCTETS(SIGNATURE "\x21\0\0\0"), PROXY_UNKNOWN, "none", "none" },
		{ OCTETS(SIGNATURE "\x21\0\0\x04"
				   "abcd"),
			PROXY_UNKNOWN, "none", "none" },
		{ OCTETS("PROXY TCP4 192.0.2.7 203.0.113.1 5000 25\r\n"), PROXY_CLIENT,
			"192.0.2.7:5000", "203.0.113.1:25" },
		{ OCTETS("PROXY TCP6 2001:db8::7 2001:db8::1 5000 465\r\n"), PROXY_CLIENT,
			"[2001:db8::7]:5000", "[2001:db8::1]:465" },
		{ OCTETS("PROXY UNKNOWN\r\n"), PROXY_UNKNOWN, "none", "none" },
		{ OCTETS("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), PROXY_UNKNOWN, "none",
			"none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct proxy_header header;
		struct buf all;
		size_t taken;
		buf_init(&all, 1000);
		buf_append_str(&all, rows[i].octets);
		buf_append_str(&all, STR("\x16\x03\x01 a TLS hello\r\nEHLO x\r\n"));
		assert_int_equal(read_all(buf_str(&all), &header, &taken), OK);
		assert_int_equal(taken, rows[i].octets.len);
		assert_int_equal(header.origin, rows[i].origin);
		assert_endpoint(&header.client, rows[i].client);
		assert_endpoint(&header.local, rows[i].local);
		/* at any other cut, too, and never done early */
		for (size_t len = 0; len < rows[i].octets.len; len++) {
			size_t wanted;
			assert_int_equal(
				proxy_parse(str_slice(rows[i].octets, 0, len), &header, &wanted),
				OK);
			assert_in_range(wanted, 1, rows[i].octets.len - len);
		}
		buf_fini(&all);
	}
}

static void test_proxy_refuses_what_is_none(void **state)
{
	static const struct {
		struct str octets;
		enum err err;
	} rows[] = {
		{ OCTETS("EHLO client.example\r\n"), ERR_SYNTAX },
		{ OCTETS("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0\0"), ERR_SYNTAX },
		{ OCTETS("\r\n\r\n\0\r\nQUIX\n\x21\x11"), ERR_SYNTAX },
		{ OCTETS(SIGNATURE "\x11\x11\0\x0c" V4), ERR_SYNTAX }, /* version 1 in binary */
		{ OCTETS(SIGNATURE "\x22\x11\0\x0c" V4), ERR_SYNTAX }, /* no such command */
		{ OCTETS(SIGNATURE "\x21\x11\0\x0b" V4),
			ERR_SYNTAX }, /* too short for its family */
		{ OCTETS(SIGNATURE "\x21\x21\0\x0c" V4), ERR_SYNTAX },
		{ OCTETS(SIGNATURE "\x21\x31\0\x0c" V4), ERR_SYNTAX },
		{ OCTETS(SIGNATURE "\x21\x12\0\x0c" V4), ERR_SYNTAX }, /* UDP */
		{ OCTETS(SIGNATURE "\x21\x41\0\x0c" V4), ERR_SYNTAX },
		{ OCTETS(SIGNATURE "\x21\x11\xff\xff"), ERR_LIMIT },
		{ OCTETS("PROXY TCP4 192.0.2.7 203.0.113.1 5000 465\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 192.0.2.7 203.0.113.1 5000\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 192.0.2.7 203.0.113.1 5000 65536\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 192.0.2.7 203.0.113.1 5000 25 1\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 192.0.2 203.0.113.1 5000 25\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 2001:db8::7 2001:db8::1 5000 25\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY UDP4 192.0.2.7 203.0.113.1 5000 25\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 192.0.2.7\rx203.0.113.1 5000 25\r\n"), ERR_SYNTAX },
		{ OCTETS("PROXY TCP4 x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x "
			 "x "
			 "x x x x x x x x x x x x x x x x x x x x x x\r\n"),
			ERR_LIMIT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct proxy_header header;
		size_t taken;
		assert_int_equal(read_all(rows[i].octets, &header, &taken), rows[i].err);
	}
}

static void test_proxy_takes_unix_sockets_for_unknown(void **state)
{
	char octets[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/client";
	struct proxy_header header;
	size_t taken;

	(void)state;
	assert_int_equal(read_all(str_of(octets, sizeof(octets)), &header, &taken), OK);
	assert_int_equal(taken, sizeof(octets));
	assert_int_equal(header.origin, PROXY_UNKNOWN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proxy_reads_headers_and_nothing_behind_them),
		cmocka_unit_test(test_proxy_refuses_what_is_none),
		cmocka_unit_test(test_proxy_takes_unix_sockets_for_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
