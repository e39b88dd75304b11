/* Tests of mail/enddata: every row at every cut into two, and octet by octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/enddata.h"

struct row {
	const char *in;
	size_t len; /* 0: strlen */
	bool is_end;
	enum enddata_fault fault;
	const char *out;
	const char *rest;
	size_t line_max_bytes;
};

#define CLEAN ENDDATA_CLEAN
#define CR ENDDATA_BARE_CR
#define LF ENDDATA_BARE_LF
#define NUL ENDDATA_NUL

static const struct row rows[] = {
	{ ".\r\n", 0, true, CLEAN, "", "", 0 },
	{ "a\r\n.\r\n", 0, true, CLEAN, "a\r\n", "", 3 },
	{ "a\r\n.\r\nMAIL", 0, true, CLEAN, "a\r\n", "MAIL", 3 },
	{ "\r\n.\r\n", 0, true, CLEAN, "\r\n", "", 2 },
	{ "\r\n\r\n.\r\n.\r\n", 0, true, CLEAN, "\r\n\r\n", ".\r\n", 2 },
	{ "a\r\nlong line\r\nb\r\n.\r\n", 0, true, CLEAN, "a\r\nlong line\r\nb\r\n", "", 11 },
	{ "..\r\n.\r\n", 0, true, CLEAN, ".\r\n", "", 3 },
	{ "..a\r\n...\r\n.\r\n", 0, true, CLEAN, ".a\r\n..\r\n", "", 4 },
	{ ".a\r\n.\r\n", 0, true, CLEAN, "a\r\n", "", 3 },
	{ "a.\r\n.\r\n", 0, true, CLEAN, "a.\r\n", "", 4 },
	{ "a.b..c\r\n.\r\n", 0, true, CLEAN, "a.b..c\r\n", "", 8 },
	{ "\x80\xff\r\n.\r\n", 0, true, CLEAN, "\x80\xff\r\n", "", 4 },
	/* Not yet the end. */
	{ "", 0, false, CLEAN, "", "", 0 },
	{ "a", 0, false, CLEAN, "a", "", 1 },
	{ "a\r", 0, false, CLEAN, "a", "", 2 },
	{ "a\r\n", 0, false, CLEAN, "a\r\n", "", 3 },
	{ "a\r\n.", 0, false, CLEAN, "a\r\n", "", 3 },
	{ "a\r\n.\r", 0, false, CLEAN, "a\r\n", "", 3 },
	{ "a.\r\n", 0, false, CLEAN, "a.\r\n", "", 4 },
	/* What other servers took for the end. Each is followed by a forged command, then by the
	   real end. */
	{ "a\n.\nQ\r\n.\r\nR", 0, true, LF, "a", "R", 7 },
	{ "a\n.\r\nQ\r\n.\r\nR", 0, true, LF, "a", "R", 5 },
	{ "a\r\n.\nQ\r\n.\r\nR", 0, true, LF, "a\r\n", "R", 4 },
	{ "a\r\n.\rQ\r\n.\r\nR", 0, true, CR, "a\r\n", "R", 4 },
	{ "a\r\n.\r\r\nQ\r\n.\r\nR", 0, true, CR, "a\r\n", "R", 3 },
	{ "a\r.\rQ\r\n.\r\nR", 0, true, CR, "a", "R", 7 },
	{ "a\r.\r\nQ\r\n.\r\nR", 0, true, CR, "a", "R", 5 },
	{ "a\r\n.\0\r\nQ\r\n.\r\nR", 14, true, NUL, "a\r\n", "R", 3 },
	{ "a\r\n\0.\r\nQ\r\n.\r\nR", 14, true, NUL, "a\r\n", "R", 4 },
	{ "a\r\r\n.\r\nR", 0, true, CR, "a", "R", 4 },
	{ "a\r\n.\r\r\n.\r\nR", 0, true, CR, "a\r\n", "R", 3 },
	{ "a\r\n\n.\r\nQ\r\n.\r\nR", 0, true, LF, "a\r\n", "R", 4 },
	{ "a\r\n\r.\r\nQ\r\n.\r\nR", 0, true, CR, "a\r\n", "R", 4 },
	{ "\n.\r\nQ\r\n.\r\nR", 0, true, LF, "", "R", 4 },
	{ "a\n\r\n.\r\nR", 0, true, LF, "a", "R", 4 },
	{ "a\n\n.\n\nQ\r\n.\r\nR", 0, true, LF, "a", "R", 9 },
	{ "a\r\n . \r\nQ\r\n.\r\nR", 0, true, CLEAN, "a\r\n . \r\nQ\r\n", "R", 5 },
	{ "a\r\n. \r\nQ\r\n.\r\nR", 0, true, CLEAN, "a\r\n \r\nQ\r\n", "R", 3 },
	/* The first fault is the one that is told. */
	{ "a\0b\nc\rd\r\n.\r\n", 12, true, NUL, "a", "", 9 },
	{ "a\rb\nc\r\n.\r\n", 0, true, CR, "a", "", 7 },
	{ "a\nb\rc\r\n.\r\n", 0, true, LF, "a", "", 7 },
	{ "\r\r\r\r\r\n.\r\n", 0, true, CR, "", "", 6 },
	{ "a\r\n\0", 4, false, NUL, "a\r\n", "", 3 },
	{ "a\n.\n.\n.\n", 0, false, LF, "a", "", 8 },
};

static void check_row(const struct row *row, const struct enddata_decoder *d, bool is_end,
	const struct buf *out, struct str in, struct str rest)
{
	assert_int_equal(is_end, row->is_end);
	assert_int_equal(d->fault, row->fault);
	assert_true(str_equal(buf_str(out), str_from_c(row->out)));
	assert_true(str_equal(rest, str_from_c(row->rest)));
	assert_int_equal(d->raw_bytes, in.len - rest.len);
	assert_int_equal(d->line_max_bytes, row->line_max_bytes);
}

static void decode_pieces(const struct row *row, struct str in, size_t first, size_t piece)
{
	struct enddata_decoder d;
	struct buf out;
	bool is_end = false;
	size_t at = 0;

	buf_init(&out, 1000);
	enddata_decoder_init(&d);
	for (size_t len = first; at < in.len && !is_end; len = piece) {
		struct str part = str_slice(in, at, at + len);
		size_t before = part.len;
		is_end = enddata_decode(&d, &part, &out);
		at += before - part.len;
		assert_true(is_end || part.len == 0);
	}
	check_row(row, &d, is_end, &out, in, str_slice(in, at, in.len));
	buf_fini(&out);
}

static void test_decode_is_the_same_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str in = str_of(rows[i].in, rows[i].len ? rows[i].len : strlen(rows[i].in));
		for (size_t cut = 1; cut <= in.len; cut++)
			decode_pieces(&rows[i], in, cut, in.len);
		decode_pieces(&rows[i], in, 1, 1);
	}
}

/*
 * All words over this alphabet, against the definition: a plain reference that looks at the whole
 * input. The end is the first CRLF "." CRLF whose CRLFs are CRLFs, read with a virtual CRLF before
 * the content.
 */
static size_t reference_end(const char *in, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++)
		if (memcmp(in + i, ".\r\n", 3) == 0 &&
			(i == 0 || (i >= 2 && in[i - 2] == '\r' && in[i - 1] == '\n')))
			return i + 3;
	return 0;
}

static enum enddata_fault reference_fault(const char *in, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\0')
			return ENDDATA_NUL;
		if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
			return ENDDATA_BARE_LF;
		if (in[i] == '\r' && i + 1 < len && in[i + 1] != '\n')
			return ENDDATA_BARE_CR;
	}
	return ENDDATA_CLEAN;
}

static void check_word(const char *word, size_t len, size_t cut)
{
	struct enddata_decoder d;
	struct buf out;
	size_t end = reference_end(word, len);
	struct str in = str_of(word, cut);

	buf_init(&out, 100);
	enddata_decoder_init(&d);
	bool is_end = enddata_decode(&d, &in, &out);
	if (!is_end) {
		in = str_of(word + cut, len - cut);
		is_end = enddata_decode(&d, &in, &out);
	}
	assert_int_equal(is_end, end > 0);
	if (is_end)
		assert_int_equal(d.raw_bytes, end);
	assert_int_equal(d.fault, reference_fault(word, is_end ? end : len));
	buf_fini(&out);
}

static void test_decode_agrees_with_the_definition_on_all_short_inputs(void **state)
{
	static const char alphabet[] = { '\r', '\n', '.', 'a', '\0' };
	char word[7];

	(void)state;
	for (size_t len = 1; len <= sizeof(word); len++) {
		size_t count = 1;
		for (size_t i = 0; i < len; i++)
			count *= sizeof(alphabet);
		for (size_t n = 0; n < count; n++) {
			size_t rest = n;
			for (size_t i = 0; i < len; i++, rest /= sizeof(alphabet))
				word[i] = alphabet[rest % sizeof(alphabet)];
			check_word(word, len, n % (len + 1));
		}
	}
}

/* Content long enough to be looked at by blocks: a row of the table lies across each place of their edges. */
#define LONG_BEFORE_MAX 150
#define LONG_BEHIND 150

static struct str long_content(struct buf *content, const char *row, size_t row_len, size_t before)
{
	buf_clear(content);
	for (size_t i = 0; i < before; i++)
		buf_append_char(content, i % 37 == 35 ? '\r' : i % 37 == 36 ? '\n' : 'x');
	buf_append(content, row, row_len);
	for (size_t i = 0; i < LONG_BEHIND; i++)
		buf_append_char(content, i % 41 == 39 ? '\r' : i % 41 == 40 ? '\n' : '.');
	return buf_str(content);
}

static void decode_by(size_t piece, struct str in, struct enddata_decoder *d, struct buf *out)
{
	bool is_end = false;

	buf_init(out, 1000);
	enddata_decoder_init(d);
	while (in.len > 0 && !is_end) {
		struct str part = str_slice(in, 0, piece);
		size_t before = part.len;
		is_end = enddata_decode(d, &part, out);
		in = str_slice(in, before - part.len, in.len);
	}
}

static void test_decode_of_long_content_is_that_of_its_octets(void **state)
{
	struct buf content;

	(void)state;
	buf_init(&content, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t before = 0; before < LONG_BEFORE_MAX; before++) {
			size_t len = rows[i].len ? rows[i].len : strlen(rows[i].in);
			struct str in = long_content(&content, rows[i].in, len, before);
			struct enddata_decoder whole, octets;
			struct buf out_whole, out_octets;

			decode_by(in.len, in, &whole, &out_whole);
			decode_by(1, in, &octets, &out_octets);
			assert_int_equal(whole.state, octets.state);
			assert_int_equal(whole.fault, octets.fault);
			assert_int_equal(whole.raw_bytes, octets.raw_bytes);
			assert_int_equal(whole.line_bytes, octets.line_bytes);
			assert_int_equal(whole.line_max_bytes, octets.line_max_bytes);
			assert_true(str_equal(buf_str(&out_whole), buf_str(&out_octets)));
			buf_fini(&out_whole);
			buf_fini(&out_octets);
		}
	buf_fini(&content);
}

static enum err encode_by(size_t piece, struct str in, struct buf *out)
{
	struct enddata_encoder e;
	enum err err = OK;

	buf_init(out, 1000);
	enddata_encoder_init(&e);
	for (; in.len > 0 && err == OK; in = str_slice(in, piece, in.len))
		err = enddata_encode(&e, str_slice(in, 0, piece), out);
	return err != OK ? err : enddata_finish(&e, out);
}

static void test_encode_of_long_content_is_that_of_its_octets(void **state)
{
	struct buf content;

	(void)state;
	buf_init(&content, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t before = 0; before < LONG_BEFORE_MAX; before++) {
			size_t len = rows[i].len ? rows[i].len : strlen(rows[i].in);
			struct str in = long_content(&content, rows[i].in, len, before);
			struct buf out_whole, out_octets;
			enum err err = encode_by(1, in, &out_octets);

			assert_int_equal(encode_by(in.len, in, &out_whole), err);
			if (err == OK)
				assert_true(str_equal(buf_str(&out_whole), buf_str(&out_octets)));
			buf_fini(&out_whole);
			buf_fini(&out_octets);
		}
	buf_fini(&content);
}

static void test_decode_goes_on_when_out_is_full(void **state)
{
	struct enddata_decoder d;
	struct buf out;
	struct str in = STR("0123456789\r\nabc\r\n.\r\nX");

	(void)state;
	buf_init(&out, 4);
	enddata_decoder_init(&d);
	assert_true(enddata_decode(&d, &in, &out));
	assert_true(out.is_full);
	assert_true(out.len <= 4);
	assert_int_equal(d.fault, ENDDATA_CLEAN);
	assert_true(str_equal(in, STR("X")));
	assert_int_equal(d.line_max_bytes, 12);
	buf_fini(&out);
}

static void test_encode_doubles_dots_and_refuses_bare_octets(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		enum err err, end;
		const char *out;
	} table[] = {
		{ "", 0, OK, OK, ".\r\n" },
		{ "a\r\n", 0, OK, OK, "a\r\n.\r\n" },
		{ "a", 0, OK, OK, "a\r\n.\r\n" },
		{ "\r\n", 0, OK, OK, "\r\n.\r\n" },
		{ ".\r\n", 0, OK, OK, "..\r\n.\r\n" },
		{ ".", 0, OK, OK, "..\r\n.\r\n" },
		{ "..\r\n", 0, OK, OK, "...\r\n.\r\n" },
		{ "a.\r\n.b\r\n", 0, OK, OK, "a.\r\n..b\r\n.\r\n" },
		{ "a\r", 0, OK, ERR_SYNTAX, "a" },
		{ "\r", 0, OK, ERR_SYNTAX, "" },
		{ "a\n", 0, ERR_SYNTAX, OK, "" },
		{ "\n", 0, ERR_SYNTAX, OK, "" },
		{ "a\rb", 0, ERR_SYNTAX, OK, "" },
		{ "a\r\r\n", 0, ERR_SYNTAX, OK, "" },
		{ "a\0b", 3, ERR_SYNTAX, OK, "" },
		{ "a\r\n\n.\r\n", 0, ERR_SYNTAX, OK, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct str in =
			str_of(table[i].in, table[i].len ? table[i].len : strlen(table[i].in));
		for (size_t cut = 0; cut <= in.len; cut++) {
			struct enddata_encoder e;
			struct buf out;
			buf_init(&out, 100);
			enddata_encoder_init(&e);
			enum err err = enddata_encode(&e, str_slice(in, 0, cut), &out);
			if (err == OK)
				err = enddata_encode(&e, str_slice(in, cut, in.len), &out);
			assert_int_equal(err, table[i].err);
			if (err == OK) {
				assert_int_equal(enddata_finish(&e, &out), table[i].end);
				assert_string_equal(buf_cstr(&out), table[i].out);
			}
			buf_fini(&out);
		}
	}
}

static void test_encode_sends_nothing_of_a_refused_call(void **state)
{
	struct enddata_encoder e;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	enddata_encoder_init(&e);
	assert_int_equal(enddata_encode(&e, STR("a\r\n"), &out), OK);
	assert_int_equal(enddata_encode(&e, STR("b\r\nc\nd"), &out), ERR_SYNTAX);
	assert_string_equal(buf_cstr(&out), "a\r\n");
	buf_fini(&out);
}

static void test_encode_can_be_repeated_when_there_was_no_room(void **state)
{
	struct enddata_encoder e;
	struct buf out;

	(void)state;
	buf_init(&out, 8);
	enddata_encoder_init(&e);
	assert_int_equal(enddata_encode(&e, STR(".abc\r\n"), &out), OK);
	assert_int_equal(enddata_encode(&e, STR(".d\r\n"), &out), ERR_LIMIT);
	assert_string_equal(buf_cstr(&out), "..abc\r\n");
	buf_clear(&out);
	assert_int_equal(enddata_encode(&e, STR(".d\r\n"), &out), OK);
	assert_string_equal(buf_cstr(&out), "..d\r\n");
	assert_int_equal(enddata_finish(&e, &out), OK);
	assert_int_equal(enddata_finish(&e, &out), ERR_LIMIT);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_is_the_same_at_every_cut),
		cmocka_unit_test(test_decode_agrees_with_the_definition_on_all_short_inputs),
		cmocka_unit_test(test_decode_of_long_content_is_that_of_its_octets),
		cmocka_unit_test(test_encode_of_long_content_is_that_of_its_octets),
		cmocka_unit_test(test_decode_goes_on_when_out_is_full),
		cmocka_unit_test(test_encode_doubles_dots_and_refuses_bare_octets),
		cmocka_unit_test(test_encode_sends_nothing_of_a_refused_call),
		cmocka_unit_test(test_encode_can_be_repeated_when_there_was_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
