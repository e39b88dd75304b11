/* Tests of mail/reply: every row is fed whole and at every cut into two, and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/reply.h"

struct row {
	const char *in;
	size_t len; /* 0: strlen */
	enum reply_result result;
	unsigned code;
	const char *status; /* "" for none */
	const char *text;
	const char *rest; /* what stays unread */
};

static const struct row rows[] = {
	{ "250 ok\r\n", 0, REPLY_DONE, 250, "", "ok", "" },
	{ "250 2.1.5 ok\r\n", 0, REPLY_DONE, 250, "2.1.5", "ok", "" },
	{ "250\r\n", 0, REPLY_DONE, 250, "", "", "" },
	{ "250 \r\n", 0, REPLY_DONE, 250, "", "", "" },
	{ "250 ok\n", 0, REPLY_DONE, 250, "", "ok", "" },
	{ "250 2.0.0\r\n", 0, REPLY_DONE, 250, "2.0.0", "", "" },
	{ "250-a\r\n250-b\r\n250 c\r\n", 0, REPLY_DONE, 250, "", "a\nb\nc", "" },
	{ "250-\r\n250 c\r\n", 0, REPLY_DONE, 250, "", "\nc", "" },
	{ "250-a\r\n250\r\n", 0, REPLY_DONE, 250, "", "a\n", "" },
	{ "550-5.1.1 no\r\n550 5.1.1 body\r\n", 0, REPLY_DONE, 550, "5.1.1", "no\nbody", "" },
	{ "550-no\r\n550 5.1.1 body\r\n", 0, REPLY_DONE, 550, "", "no\n5.1.1 body", "" },
	{ "550 4.1.1 odd\r\n", 0, REPLY_DONE, 550, "", "4.1.1 odd", "" },
	{ "354 go\r\n", 0, REPLY_DONE, 354, "", "go", "" },
	{ "220 a\r\n221 b\r\n", 0, REPLY_DONE, 220, "", "a", "221 b\r\n" },
	{ "220 a\r\nX", 0, REPLY_DONE, 220, "", "a", "X" },
	{ "250 a\0b\x1b[2J\x7f\r\n", 14, REPLY_DONE, 250, "", "a?b?[2J?", "" },
	{ "250 a\rb\r\r\n", 0, REPLY_DONE, 250, "", "a?b?", "" },
	{ "250 \xc3\xbc\r\n", 0, REPLY_DONE, 250, "", "\xc3\xbc", "" },
	{ "599 x\r\n", 0, REPLY_DONE, 599, "", "x", "" },
	{ "", 0, REPLY_MORE, 0, "", "", "" },
	{ "250", 0, REPLY_MORE, 0, "", "", "" },
	{ "250 ok\r", 0, REPLY_MORE, 0, "", "", "" },
	{ "250-a\r\n", 0, REPLY_MORE, 0, "", "", "" },
	{ "\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "ok\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "25\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "25x a\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "2500 a\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "250ok\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "250\tok\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ " 250 ok\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "999 x\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "199 x\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "600 x\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "000 x\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "250-a\r\n251 b\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "250-a\r\nb\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
	{ "HTTP/1.1 400 Bad Request\r\n", 0, REPLY_MALFORMED, 0, "", "", NULL },
};

static void check_row(
	const struct row *row, enum reply_result result, const struct reply *reply, struct str rest)
{
	struct buf status;

	assert_int_equal(result, row->result);
	if (result == REPLY_DONE) {
		buf_init(&status, 20);
		if (reply->status.klass != 0)
			status_format(&status, reply->status);
		assert_int_equal(reply->code, row->code);
		assert_string_equal(buf_cstr(&status), row->status);
		assert_true(str_equal(reply->text, str_from_c(row->text)));
		buf_fini(&status);
	} else {
		assert_int_equal(reply->code, 0);
	}
	if (row->rest)
		assert_true(str_equal(rest, str_from_c(row->rest)));
}

/* Feeds in in two pieces; what the first leaves unread is put before the second. */
static void feed_cut(const struct row *row, struct str in, size_t cut)
{
	struct reply_parser p;
	struct reply reply;

	reply_parser_init(&p);
	struct str piece = str_slice(in, 0, cut);
	enum reply_result result = reply_feed(&p, &piece, &reply);
	size_t used = cut - piece.len;
	struct str rest = str_slice(in, used, in.len);
	if (result == REPLY_MORE) {
		assert_int_equal(piece.len, 0);
		result = reply_feed(&p, &rest, &reply);
	}
	check_row(row, result, &reply, rest);
	reply_parser_fini(&p);
}

static void test_reply_is_the_same_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str in = str_of(rows[i].in, rows[i].len ? rows[i].len : strlen(rows[i].in));
		for (size_t cut = 0; cut <= in.len; cut++)
			feed_cut(&rows[i], in, cut);
	}
}

static void test_parser_goes_on_with_the_next_reply(void **state)
{
	struct reply_parser p;
	struct reply reply;
	struct str in = STR("550-5.1.1 a\r\n550 5.1.1 b\r\n250 ok\r\n354 go\r\n");

	(void)state;
	reply_parser_init(&p);
	assert_int_equal(reply_feed(&p, &in, &reply), REPLY_DONE);
	assert_int_equal(reply.code, 550);
	assert_int_equal(reply_feed(&p, &in, &reply), REPLY_DONE);
	assert_int_equal(reply.code, 250);
	assert_int_equal(reply.status.klass, 0);
	assert_true(str_equal(reply.text, STR("ok")));
	assert_int_equal(reply_feed(&p, &in, &reply), REPLY_DONE);
	assert_int_equal(reply.code, 354);
	assert_int_equal(in.len, 0);
	reply_parser_fini(&p);
}

static void test_parser_stays_malformed(void **state)
{
	struct reply_parser p;
	struct reply reply;
	struct str in = STR("nonsense\r\n250 ok\r\n");

	(void)state;
	reply_parser_init(&p);
	assert_int_equal(reply_feed(&p, &in, &reply), REPLY_MALFORMED);
	assert_int_equal(reply_feed(&p, &in, &reply), REPLY_MALFORMED);
	reply_parser_fini(&p);
}

static enum reply_result feed_lines(
	const char *line_start, size_t filler, size_t lines, size_t piece)
{
	struct reply_parser p;
	struct reply reply;
	struct buf in;
	enum reply_result result = REPLY_MORE;

	buf_init(&in, (size_t)4 << 20);
	for (size_t i = 0; i < lines; i++) {
		buf_append_str(&in, str_from_c(line_start));
		for (size_t k = 0; k < filler; k++)
			buf_append_char(&in, 'x');
		buf_append_str(&in, STR("\r\n"));
	}
	buf_append_str(&in, STR("250 end\r\n"));
	reply_parser_init(&p);
	struct str all = buf_str(&in);
	for (size_t at = 0; at < all.len && result == REPLY_MORE; at += piece) {
		struct str part = str_slice(all, at, at + piece);
		result = reply_feed(&p, &part, &reply);
		assert_true(p.line.cap <= 16384 && p.text.cap <= 32768);
	}
	reply_parser_fini(&p);
	buf_fini(&in);
	return result;
}

static void test_reply_is_bounded(void **state)
{
	static const struct {
		size_t filler, lines;
		enum reply_result result;
	} limits[] = {
		{ 1, 99, REPLY_DONE },
		{ 1, 100, REPLY_MALFORMED },
		{ 1, 10000, REPLY_MALFORMED },
		{ 4092, 1, REPLY_DONE },
		{ 4093, 1, REPLY_MALFORMED },
		{ 4092, 3, REPLY_DONE },
		{ 4092, 4, REPLY_DONE },
		{ 4092, 5, REPLY_MALFORMED },
		{ 1 << 20, 1, REPLY_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		size_t pieces[] = { 1, 1000, 65536, SIZE_MAX / 2 };
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(
				feed_lines("250-", limits[i].filler, limits[i].lines, pieces[k]),
				limits[i].result);
	}
}

static void test_format_writes_clean_lines(void **state)
{
	static const struct {
		unsigned code;
		struct status status;
		const char *text, *out;
	} table[] = {
		{ 250, { 2, 1, 0 }, "ok", "250 2.1.0 ok\r\n" },
		{ 220, { 0, 0, 0 }, "mx ESMTP", "220 mx ESMTP\r\n" },
		{ 250, { 0, 0, 0 }, "mx\nSIZE 1\nDSN", "250-mx\r\n250-SIZE 1\r\n250 DSN\r\n" },
		{ 550, { 5, 1, 1 }, "a\nb", "550-5.1.1 a\r\n550 5.1.1 b\r\n" },
		{ 550, { 0, 0, 0 }, "", "550 \r\n" },
		{ 550, { 0, 0, 0 }, "a\r\tb\x7f\xc3\xbc", "550 a??b???\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf out;
		buf_init(&out, 1000);
		reply_format(&out, table[i].code, table[i].status, str_from_c(table[i].text));
		assert_string_equal(buf_cstr(&out), table[i].out);
		buf_fini(&out);
	}
}

static void test_format_keeps_to_512_octets_a_line(void **state)
{
	char text[2000];
	struct buf out;

	(void)state;
	memset(text, 'x', sizeof(text));
	buf_init(&out, 4000);
	reply_format(&out, 250, STATUS(2, 0, 0), str_of(text, sizeof(text)));
	assert_int_equal(out.len, 512);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_is_the_same_at_every_cut),
		cmocka_unit_test(test_parser_goes_on_with_the_next_reply),
		cmocka_unit_test(test_parser_stays_malformed),
		cmocka_unit_test(test_reply_is_bounded),
		cmocka_unit_test(test_format_writes_clean_lines),
		cmocka_unit_test(test_format_keeps_to_512_octets_a_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
