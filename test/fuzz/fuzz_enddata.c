/*
 * fuzz_enddata - both directions: the cut does not matter; what the encoder sends has no bare CR,
 * LF or NUL and no end but its own; the decoder gives back what was encoded.
 */
#include "fuzz.h"

#include <string.h>

#include "mail/enddata.h"

struct result {
	struct enddata_decoder d;
	struct buf out;
	size_t used;
	bool is_end;
};

static void decode(struct str in, size_t piece, struct result *r)
{
	buf_init(&r->out, (size_t)1 << 20);
	enddata_decoder_init(&r->d);
	r->used = 0;
	r->is_end = false;
	while (r->used < in.len && !r->is_end) {
		struct str part = str_slice(in, r->used, r->used + piece);
		size_t before = part.len;
		r->is_end = enddata_decode(&r->d, &part, &r->out);
		r->used += before - part.len;
		CHECK(r->is_end || part.len == 0);
	}
	CHECK(r->d.raw_bytes == r->used);
}

static void check_decode(struct str in, size_t piece)
{
	struct result whole, cut;

	decode(in, in.len + 1, &whole);
	decode(in, piece, &cut);
	CHECK(whole.is_end == cut.is_end && whole.used == cut.used);
	CHECK(whole.d.fault == cut.d.fault);
	CHECK(whole.d.line_max_bytes == cut.d.line_max_bytes);
	CHECK(str_equal(buf_str(&whole.out), buf_str(&cut.out)));
	if (whole.is_end) {
		CHECK(whole.used >= 3 && memcmp(in.data + whole.used - 3, ".\r\n", 3) == 0);
		CHECK(whole.used == 3 || memcmp(in.data + whole.used - 5, "\r\n", 2) == 0);
	}
	buf_fini(&whole.out);
	buf_fini(&cut.out);
}

static bool is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char before = i > 0 ? s.data[i - 1] : '\0';
		char after = i + 1 < s.len ? s.data[i + 1] : '\0';
		if (s.data[i] == '\0' || (s.data[i] == '\n' && before != '\r') ||
			(s.data[i] == '\r' && after != '\n'))
			return false;
	}
	return true;
}

static enum err encode(struct str in, size_t piece, struct buf *out)
{
	struct enddata_encoder e;
	enum err err = OK;

	enddata_encoder_init(&e);
	for (size_t at = 0; at < in.len && err == OK; at += piece)
		err = enddata_encode(&e, str_slice(in, at, at + piece), out);
	return err == OK ? enddata_finish(&e, out) : err;
}

static void check_encode(struct str in, size_t piece)
{
	struct buf out;
	struct result back;

	buf_init(&out, (size_t)1 << 20);
	enum err err = encode(in, piece, &out);
	CHECK((err == OK) == is_clean(in));
	if (err == OK) {
		CHECK(is_clean(buf_str(&out)));
		decode(buf_str(&out), piece, &back);
		CHECK(back.is_end && back.used == out.len && back.d.fault == ENDDATA_CLEAN);
		bool is_open = in.len > 0 && in.data[in.len - 1] != '\n';
		CHECK(back.out.len == in.len + (is_open ? 2 : 0));
		CHECK(str_equal(str_slice(buf_str(&back.out), 0, in.len), in));
		buf_fini(&back.out);
	} else {
		/* What was sent before the refusal may not contain an end. */
		decode(buf_str(&out), piece, &back);
		CHECK(!back.is_end && back.d.fault == ENDDATA_CLEAN);
		buf_fini(&back.out);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	size_t piece = fuzz_octet(&in) + 1;

	check_decode(in, piece);
	check_encode(in, piece);
	return 0;
}
