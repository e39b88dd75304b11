/*
 * fuzz_server - a hostile client against a whole session: the cut of its octets must not matter, memory stays bounded,
 * and every command line and every end of data gets exactly one reply.
 *
 * The fixtures of the unit tests are compiled in, so that this stays one program.
 */
#include <string.h>

#include "../unit/smtp/fixture_net.c"
#include "../unit/smtp/fixture_server.c"
#include "fuzz.h"
#include "smtp/session.h"

#define LINE_MAX_BYTES 100
#define MESSAGE_MAX_BYTES 500
#define SPOOL_FROM_BYTES 120

static struct network front;

static void set_up(struct fixture_server *fs, unsigned options, size_t piece)
{
	fixture_server_init(fs);
	fs->f.segment_bytes = piece;
	fs->answers = options & 1 ? ANSWER_AT_ONCE : ANSWER_LATER;
	fs->spool_err = options & 2 ? ERR_NO_SPACE : OK;
	fs->finish.code = options & 4 ? 452 : 0;
	fs->conf->users = fs->users;
	fs->conf->user_count = options & 8 ? 1 : 0;
	fs->from = "127.0.0.1";
	fs->conf->smtpd.line_bytes_max = LINE_MAX_BYTES;
	fs->conf->smtpd.message_bytes_max = MESSAGE_MAX_BYTES;
	fs->conf->smtpd.spool_from_bytes = SPOOL_FROM_BYTES;
	fs->conf->smtpd.recipients_max = 3;
	fs->conf->smtpd.messages_per_session = options & 16 ? 2 : 0;
	CHECK(network_parse(&front, STR("127.0.0.0/8")) == OK);
	fs->conf->xclient = &front;
	fs->conf->xclient_count = options & 32 ? 1 : 0;
	fixture_server_start(fs);
}

static void check_bounds(const struct fixture_server *fs)
{
	const struct smtp_server *s = fs->server;

	if (!s)
		return;
	CHECK(s->line.len <= LINE_MAX_BYTES);
	CHECK(s->input.len <= fs->f.segment_bytes);
	CHECK(!s->t || s->t->content.len <= SPOOL_FROM_BYTES + fs->f.segment_bytes + 64);
	CHECK(!s->t || s->t->env.recipient_count <= 3);
}

/* Feeds piece by piece, so that the bounds can be looked at in between. */
static void run(struct fixture_server *fs, struct str in)
{
	while (in.len > 0 && fs->server) {
		fixture_feed_octets(fs->conn, str_slice(in, 0, fs->f.segment_bytes));
		in = str_slice(in, fs->f.segment_bytes, in.len);
		fixture_settle(&fs->f);
		check_bounds(fs);
	}
}

/* One reply from the front of *out, all its lines; returns its code. */
static unsigned take_reply(struct str *out)
{
	for (;;) {
		size_t len = str_find(*out, '\n');
		CHECK(len < out->len && len >= 5 && len <= 600 && out->data[len - 1] == '\r');
		struct str line = str_slice(*out, 0, len - 1);
		*out = str_slice(*out, len + 1, out->len);
		for (size_t i = 0; i < line.len; i++)
			CHECK(line.data[i] >= 0x20 && line.data[i] < 0x7f);
		CHECK(line.data[0] >= '2' && line.data[0] <= '5');
		CHECK(line.data[3] == ' ' || line.data[3] == '-');
		if (line.data[3] == ' ')
			return (unsigned)(line.data[0] - '0') * 100 +
			       (unsigned)(line.data[1] - '0') * 10 + (unsigned)(line.data[2] - '0');
	}
}

/* The octets that a BDAT announces, when it is one that does not end the session. */
static uint64_t chunk_of(struct str line)
{
	struct arena arena = { 0 };
	struct command c;
	uint64_t bytes = 0;

	if (line.len <= LINE_MAX_BYTES && line.len >= 2 && line.data[line.len - 2] == '\r' &&
		command_parse(&c, str_slice(line, 0, line.len - 2), false, &arena) == COMMAND_OK &&
		c.verb == COMMAND_BDAT && c.chunk_bytes / 2 <= MESSAGE_MAX_BYTES)
		bytes = c.chunk_bytes;
	arena_fini(&arena);
	return bytes;
}

/* What one reply answers: a line, one with its chunk, or after 354 all up to the end of data. Returns false when it is not
 * all there. */
static bool take_cause(struct str *in, unsigned code)
{
	bool is_content = code == 354;
	static const char end[] = "\r\n.\r\n";
	bool is_start = true;

	while (in->len > 0) {
		size_t left = in->len;
		size_t skip = is_start ? 2 : 0; /* content may begin with its end */
		if (!is_content) {
			size_t len = str_find(*in, '\n');
			uint64_t chunk = len < left && code != 334 ? chunk_of(str_slice(*in, 0, len + 1)) : 0;
			bool is_whole = len < left && chunk <= left - len - 1;

			*in = str_slice(*in, is_whole ? len + 1 + (size_t)chunk : left, left);
			return is_whole;
		}
		size_t want = sizeof(end) - 1 - skip;
		if (left >= want && memcmp(in->data, end + skip, want) == 0) {
			*in = str_slice(*in, want, in->len);
			return true;
		}
		if (!is_start || left < 1)
			*in = str_slice(*in, 1, in->len);
		is_start = false;
	}
	return false;
}

static void check_replies(const struct fixture_server *fs, struct str in)
{
	struct str out = buf_str(&fs->conn->all);
	unsigned code = take_reply(&out);

	CHECK(code == 220);
	while (out.len > 0) {
		CHECK(take_cause(&in, code));
		code = take_reply(&out);
	}
	if (!fs->conn->is_closed)
		CHECK(!take_cause(&in, code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture_server whole, cut;
	struct str in = fuzz_str(data, size);
	unsigned options = fuzz_octet(&in);
	size_t piece = fuzz_octet(&in) + 1;

	set_up(&whole, options, in.len + 1);
	run(&whole, in);
	check_replies(&whole, in);
	/* Where storing fails it matters how much came before the end: then only the bounds are compared. */
	set_up(&cut, options, piece);
	run(&cut, in);
	check_replies(&cut, in);
	if (!(options & 2)) {
		CHECK(str_equal(buf_str(&whole.conn->all), buf_str(&cut.conn->all)));
		CHECK(whole.messages == cut.messages);
		CHECK(str_equal(buf_str(&whole.content), buf_str(&cut.content)));
	}
	fixture_server_fini(&whole);
	fixture_server_fini(&cut);
	return 0;
}
