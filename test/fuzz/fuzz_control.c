/*
 * fuzz_control - any lines on the control socket: every request ends once, with one line of "done" or "error" behind its rows,
 * each line is JSON without a control character that a terminal would obey, and a guest changes nothing.
 *
 * The made-up store of the unit tests is compiled in; it also checks that lines are whole and that nothing follows the end.
 */
#include <string.h>

#include "../unit/relay/fixture_verbs.c"
#include "fuzz.h"

#define ROUNDS_MAX 20000

static void set_up(struct fixture_verbs *f, unsigned options, unsigned failing)
{
	static const struct outage_record outages[] = {
		{ .id = 1,
			.kind = OUTAGE_DOWN,
			.scope = OUTAGE_OF_SITE,
			.name = { "s1", 2 },
			.began = { FIRST_MS } },
		{ .id = 2,
			.kind = OUTAGE_DOWN,
			.scope = OUTAGE_OF_SITE,
			.name = { "s0", 2 },
			.began = { FIRST_MS },
			.ended = { FIRST_MS + HOUR_MS } },
	};

	fixture_verbs_init(f);
	f->message_count = options & 1 ? 7 : 0;
	f->is_ready = options & 2;
	f->hop_count = options & 4 ? 5 : 0;
	f->modify_left = options & 8 ? 3 : 0;
	f->outages = outages;
	f->outage_count = options & 16 ? 2 : 0;
	f->full_after = options & 32 ? 1 : 0;
	f->is_held_back = options & 64;
	f->new_id = 3;
	f->fail_kind = failing < 32 ? (int)failing : -1;
	f->fail_kind_err = failing & 1 ? ERR_NOT_FOUND : ERR_IO;
}

/* Pushes the call on, as a socket that drains and a store that completes would. */
static void finish(struct fixture_verbs *f)
{
	for (unsigned i = 0; !f->is_ended; i++) {
		CHECK(i < ROUNDS_MAX);
		if (f->pending)
			fixture_complete(f);
		else
			fixture_resume(f);
	}
}

static void check_answer(const struct fixture_verbs *f, bool is_guest)
{
	CHECK(f->line_count > 0);
	for (uint32_t i = 0; i < f->line_count; i++) {
		bool is_last = i + 1 == f->line_count;
		char *text = json_dumps(f->lines[i], JSON_COMPACT);

		CHECK((json_object_get(f->lines[i], "row") == NULL) == is_last);
		for (const char *at = text; *at; at++)
			CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
		free(text);
	}
	int code = fixture_error(f);
	CHECK((code == 0) == (fixture_done(f) != NULL));
	CHECK(code == 0 || fixture_error_text(f)[0]);
	CHECK(!is_guest || f->modifies == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture_verbs f;
	struct str in = fuzz_str(data, size);
	unsigned options = fuzz_octet(&in), failing = fuzz_octet(&in);
	bool is_guest = options & 128;

	set_up(&f, options, failing);
	while (in.len > 0) {
		size_t len = str_find(in, '\n');

		fixture_ask_as(&f, in.data, len, is_guest ? &fixture_guest : &fixture_admin);
		finish(&f);
		check_answer(&f, is_guest);
		in = str_slice(in, len + 1, in.len);
	}
	fixture_verbs_fini(&f);
	return 0;
}
