/*
 * fuzz_client - a hostile next hop against a whole session: whatever it says, and wherever it stops, each job ends once with
 * an outcome for every recipient, nobody counts as delivered without a 2xx to the dot, and all that we say is lines.
 */
#include <string.h>

#include "../unit/smtp/fixture_client.c"
#include "../unit/smtp/fixture_net.c"
#include "fuzz.h"

#define RECIPIENTS 3

static void check_done(const struct fixture_client *fc)
{
	for (uint32_t i = 0; i < RECIPIENTS; i++) {
		const struct smtp_job_recipient *r = &fc->recipients[i];
		CHECK(r->outcome.stage != STAGE_NONE);
		CHECK((r->outcome.code == 0) == (r->outcome.err != OK));
		bool is_good = r->outcome.stage == STAGE_DOT && r->outcome.code / 100 == 2;
		CHECK(r->is_delivered == is_good);
		CHECK(!r->is_delivered || fc->job.is_dot_sent);
		CHECK(r->outcome.code / 100 != 2 || r->is_delivered);
		for (size_t k = 0; k < r->outcome.text.len; k++)
			CHECK((unsigned char)r->outcome.text.data[k] >= 0x20);
	}
}

static void check_said(const struct fixture_client *fc)
{
	struct str said = buf_str(&fc->conn->all);

	for (size_t i = 0; i < said.len; i++) {
		CHECK(said.data[i] != '\n' || (i > 0 && said.data[i - 1] == '\r'));
		CHECK(said.data[i] != '\r' || i + 1 == said.len || said.data[i + 1] == '\n');
	}
}

static void set_up(struct fixture_client *fc, unsigned options, size_t piece)
{
	fixture_client_init(fc);
	fc->f.segment_bytes = piece;
	fc->part_bytes = options & 1 ? 3 : 0;
	fc->params.tls.policy = (enum tls_policy)(options >> 1 & 3);
	fc->f.is_tls_verified = options & 8;
	fc->params.user = options & 16 ? STR("user") : STR("");
	fc->params.password = STR("secret");
	fc->env.body = options & 32 ? BODY_8BITMIME : BODY_7BIT;
	fixture_client_open(fc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture_client fc;
	struct str in = fuzz_str(data, size);
	unsigned options = fuzz_octet(&in);
	size_t piece = fuzz_octet(&in) + 1;
	unsigned jobs = 0;

	set_up(&fc, options, piece);
	while (fc.client && in.len > 0) {
		/* a line at a time, as a peer that waits for its turn */
		size_t len = str_find(in, '\n') + 1;
		fixture_feed_octets(fc.conn, str_slice(in, 0, len));
		in = str_slice(in, len, in.len);
		fixture_settle(&fc.f);
		if (fc.client && fc.readies == 1 && fc.dones == jobs && jobs < 4) {
			jobs++;
			fixture_client_deliver(&fc, RECIPIENTS);
			fixture_settle(&fc.f);
		}
		if (jobs > 0 && fc.dones == jobs)
			check_done(&fc);
	}
	if (fc.client) {
		fixture_end(fc.conn, ERR_EOF);
		fixture_settle(&fc.f);
	}
	CHECK(!fc.client);
	CHECK(fc.dones == jobs);
	if (jobs > 0)
		check_done(&fc);
	CHECK(fc.fails <= 1);
	check_said(&fc);
	fixture_client_fini(&fc);
	return 0;
}
