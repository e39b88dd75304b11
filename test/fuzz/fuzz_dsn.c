/*
 * fuzz_dsn - a notice from any words: its lines are sound, its parts and fields are ours alone. The
 * same octets are run through the header scan and the trace field, which take words from the same
 * strangers.
 */
#include "fuzz.h"

#include <string.h>

#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/trace.h"

static void check_lines(struct str text)
{
	while (text.len > 0) {
		struct str before = text;
		struct str line = str_cut(&text, '\n');
		CHECK(line.len < before.len && line.len > 0);
		CHECK(str_find(line, '\r') == line.len - 1 && line.len - 1 <= 998);
		CHECK(str_find(line, '\0') == line.len);
	}
}

static bool starts(struct str s, struct str prefix)
{
	return str_equal(str_slice(s, 0, prefix.len), prefix);
}

/* Counts the boundary lines, and in the second part the fields of the recipient. */
static void check_parts(struct str text, size_t expected_parts)
{
	struct str boundary = { 0 };
	size_t parts = 0;
	size_t recipients = 0;
	size_t actions = 0;

	while (text.len > 0) {
		struct str line = str_cut(&text, '\n');
		struct str mark = STR("\tboundary=\"");
		if (boundary.len == 0 && starts(line, mark)) {
			line = str_slice(line, mark.len, line.len);
			boundary = str_cut(&line, '"');
		} else if (boundary.len > 0 && starts(line, STR("--")) &&
			   starts(str_slice(line, 2, line.len), boundary)) {
			parts++;
		} else if (parts == 2) {
			recipients += starts(line, STR("Final-Recipient:"));
			actions += starts(line, STR("Action:"));
		}
	}
	CHECK(parts == expected_parts && recipients == 1 && actions == 1);
}

static void check_notice(struct str in, unsigned choice)
{
	struct dsn_recipient r = { .action = (enum dsn_action)(choice % 5),
		.status = STATUS(4, 4, 7) };
	struct dsn_params p = { .reporting_mta = STR("mx.example"),
		.postmaster = STR("postmaster@mx.example"),
		.notice_id = 1,
		.original_id = 2,
		.recipients = &r,
		.recipient_count = 1,
		.is_smtputf8 = choice & 128 };
	struct buf out;

	r.diagnostic_code = choice & 64 ? 550 : 0;
	r.final_recipient = str_cut(&in, '|');
	r.orcpt = str_cut(&in, '|');
	r.remote_mta = str_cut(&in, '|');
	r.diagnostic = str_cut(&in, '|');
	p.to = str_cut(&in, '|');
	p.envid = str_cut(&in, '|');
	p.original_headers = str_cut(&in, '|');
	p.original_body = in;
	/* An address is never empty; an empty one would leave its field out. */
	if (r.final_recipient.len == 0)
		r.final_recipient = STR("a@b.example");
	buf_init(&out, (size_t)4 << 20);
	dsn_build(&out, &p);
	CHECK(!out.is_full);
	check_lines(buf_str(&out));
	bool has_original = p.original_body.len > 0 || p.original_headers.len > 0;
	check_parts(buf_str(&out), has_original ? 4 : 3);
	buf_fini(&out);
}

static void check_scan(struct str in, size_t piece)
{
	struct header_scan whole, cut;

	header_scan_init(&whole, STR("mx.example"));
	header_scan_init(&cut, STR("mx.example"));
	header_scan_feed(&whole, in);
	for (size_t at = 0; at < in.len; at += piece)
		header_scan_feed(&cut, str_slice(in, at, at + piece));
	header_scan_finish(&whole);
	header_scan_finish(&cut);
	CHECK(whole.received_count == cut.received_count);
	CHECK(whole.own_received_count == cut.own_received_count);
	CHECK(whole.header_bytes == cut.header_bytes && whole.is_in_body == cut.is_in_body);
	CHECK(whole.has_date == cut.has_date && whole.has_from == cut.has_from);
	CHECK(whole.is_8bit_header == cut.is_8bit_header);
	CHECK(whole.is_8bit_body == cut.is_8bit_body);
	CHECK(str_equal(buf_str(&whole.message_id), buf_str(&cut.message_id)));
	CHECK(header_section(in).len <= whole.header_bytes);
	header_scan_fini(&whole);
	header_scan_fini(&cut);
}

static void check_trace(struct str in)
{
	struct trace_info info = {
		.hostname = STR("mx.example"), .helo = in, .only_recipient = in, .tls = in, .id = 1
	};
	struct header_scan h;
	struct buf out;

	buf_init(&out, 16384);
	trace_received(&out, &info);
	check_lines(buf_str(&out));
	header_scan_init(&h, STR("mx.example"));
	header_scan_feed(&h, buf_str(&out));
	header_scan_finish(&h);
	CHECK(h.received_count == 1 && h.own_received_count == 1 && !h.is_in_body);
	CHECK(h.header_bytes == out.len);
	header_scan_fini(&h);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	unsigned choice = fuzz_octet(&in);

	check_notice(in, choice);
	check_scan(in, choice % 16 + 1);
	check_trace(in);
	return 0;
}
