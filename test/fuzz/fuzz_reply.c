/* fuzz_reply - a hostile next hop: the cut of the input must not matter, and texts come out clean.
 */
#include "fuzz.h"

#include "mail/reply.h"

#define REPLIES_MAX 32

struct seen {
	enum reply_result result;
	unsigned code;
	struct status status;
	uint64_t text_hash;
};

static void check_text(const struct reply *r)
{
	CHECK(r->code >= 200 && r->code <= 599);
	CHECK(r->status.klass == 0 || r->status.klass == r->code / 100);
	for (size_t i = 0; i < r->text.len; i++) {
		unsigned char c = (unsigned char)r->text.data[i];
		CHECK((c >= 0x20 && c != 0x7f) || c == '\n');
	}
	CHECK(r->text.len <= (size_t)16 * 1024);
}

/* What reply_format makes of a reply is one reply with the same code. */
static void check_round_trip(const struct reply *r)
{
	struct buf out;
	struct reply_parser p;
	struct reply again;

	buf_init(&out, (size_t)1 << 20);
	reply_parser_init(&p);
	reply_format(&out, r->code, r->status, r->text);
	struct str in = buf_str(&out);
	CHECK(reply_feed(&p, &in, &again) == REPLY_DONE);
	CHECK(in.len == 0 && again.code == r->code);
	CHECK(r->status.klass == 0 || again.status.klass == r->status.klass);
	reply_parser_fini(&p);
	buf_fini(&out);
}

static size_t run(struct str in, size_t piece, struct seen *seen)
{
	struct reply_parser p;
	struct reply r;
	size_t count = 0;
	size_t at = 0;
	enum reply_result result = REPLY_MORE;

	reply_parser_init(&p);
	while (at < in.len && count < REPLIES_MAX && result != REPLY_MALFORMED) {
		struct str part = str_slice(in, at, at + piece);
		size_t before = part.len;
		result = reply_feed(&p, &part, &r);
		at += before - part.len;
		CHECK(result != REPLY_MORE || part.len == 0);
		if (result == REPLY_MORE)
			continue;
		if (result == REPLY_DONE) {
			check_text(&r);
			check_round_trip(&r);
		}
		seen[count++] = (struct seen){ result, r.code, r.status, str_hash(r.text, 1) };
	}
	reply_parser_fini(&p);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	size_t piece = fuzz_octet(&in) + 1;
	struct seen whole[REPLIES_MAX], cut[REPLIES_MAX];
	size_t count = run(in, in.len + 1, whole);

	CHECK(run(in, piece, cut) == count);
	for (size_t i = 0; i < count; i++) {
		CHECK(whole[i].result == cut[i].result && whole[i].code == cut[i].code);
		CHECK(whole[i].text_hash == cut[i].text_hash);
		CHECK(whole[i].status.klass == cut[i].status.klass);
	}
	return 0;
}
