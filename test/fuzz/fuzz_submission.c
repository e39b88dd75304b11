/*
 * fuzz_submission - the cut does not matter; what was mended once stays as it is; no Bcc field is left in front of the
 * empty line; the body passes octet by octet; nothing long is held back.
 */
#include "fuzz.h"

#include <string.h>

#include "mail/submission.h"

#define BYTES_MAX ((size_t)1 << 20)

static void mend(struct str in, size_t piece, struct buf *out)
{
	const struct submission_info info = { .hostname = STR("relay.test"), .id = 1 };
	struct submission s;

	buf_init(out, BYTES_MAX);
	submission_init(&s, &info);
	for (size_t at = 0; at < in.len; at += piece) {
		submission_feed(&s, str_slice(in, at, at + piece), out);
		CHECK(s.held.len <= SUBMISSION_HELD_MAX && !s.held.is_full);
	}
	submission_finish(&s, out);
	submission_fini(&s);
}

/* Where the body begins, behind the empty line; at the end when there is none. */
static struct str body_of(struct str content)
{
	struct str rest = content;

	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');
		if (str_equal(line, STR("\r")))
			return rest;
	}
	return rest;
}

static void check_no_bcc(struct str content)
{
	struct str header = str_slice(content, 0, content.len - body_of(content).len);

	while (header.len > 0) {
		struct str line = str_cut(&header, '\n');
		struct str rest = line;
		struct str name = str_cut(&rest, ':');

		if (name.len < line.len && name.len > 0 && name.len <= SUBMISSION_HELD_MAX &&
			name.data[0] != ' ' && name.data[0] != '\t')
			CHECK(!str_equal_fold(str_trim(name), STR("Bcc")) &&
				!str_equal_fold(str_trim(name), STR("Resent-Bcc")));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of((const char *)data, size);
	struct buf whole, cut, again;

	if (size < 1)
		return 0;
	in = str_slice(in, 1, in.len);
	mend(in, in.len + 1, &whole);
	mend(in, 1 + data[0] % 7, &cut);
	mend(buf_str(&whole), whole.len + 1, &again);
	CHECK(str_equal(buf_str(&whole), buf_str(&cut)));
	CHECK(str_equal(body_of(in), body_of(buf_str(&whole))));
	check_no_bcc(buf_str(&whole));
	CHECK(str_equal(buf_str(&whole), buf_str(&again)));
	buf_fini(&whole);
	buf_fini(&cut);
	buf_fini(&again);
	return 0;
}
