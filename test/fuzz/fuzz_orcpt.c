/* fuzz_orcpt - any value of ENVID or ORCPT, also from a damaged queue: what we say of it can end no line and no parameter. */
#include "fuzz.h"

#include "mail/orcpt.h"

#define ROOM 65536

/* esmtp-value: no controls, no blanks, no '='. */
static void check_param(struct buf *out, bool allow_utf8)
{
	for (size_t i = 0; i < out->len; i++) {
		unsigned char octet = (unsigned char)out->data[i];

		CHECK(octet > 0x20 && octet != 0x7f && octet != '=');
		CHECK(octet < 0x80 || allow_utf8);
	}
}

static void check_clean(struct buf *out)
{
	for (size_t i = 0; i < out->len; i++)
		CHECK((unsigned char)out->data[i] >= 0x20 && out->data[i] != 0x7f);
}

static void check_envid(struct str in, struct buf *out)
{
	bool is_valid = envid_is_valid(in);

	envid_param(out, in);
	check_param(out, false);
	CHECK(!is_valid || str_equal(buf_str(out), in));
	buf_clear(out);
	envid_text(out, in);
	CHECK(out->len <= in.len);
	if (is_valid)
		check_clean(out);
	buf_clear(out);
}

static void check_orcpt(struct str in, bool allow_utf8, struct buf *out)
{
	bool is_valid = orcpt_is_valid(in);

	orcpt_param(out, in, allow_utf8);
	check_param(out, allow_utf8);
	CHECK(!is_valid || !(allow_utf8 || str_is_ascii(in)) || str_equal(buf_str(out), in));
	/* What was valid stays so; as \\x{HEX} it may grow past the bound. */
	CHECK(!is_valid || out->len > ORCPT_LEN_MAX || orcpt_is_valid(buf_str(out)));
	buf_clear(out);
	orcpt_text(out, in, allow_utf8);
	if (is_valid) {
		check_clean(out);
		CHECK(allow_utf8 || str_is_ascii(buf_str(out)));
	}
	buf_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	bool allow_utf8 = fuzz_octet(&in) & 1;
	struct buf out;

	if (in.len > 4096)
		return 0;
	buf_init(&out, ROOM);
	check_envid(in, &out);
	check_orcpt(in, allow_utf8, &out);
	utf8_address_text(&out, in, allow_utf8);
	CHECK(str_is_ascii(in) || allow_utf8 || !str_is_utf8(in) || str_is_ascii(buf_str(&out)));
	buf_fini(&out);
	return 0;
}
