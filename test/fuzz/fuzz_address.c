/* fuzz_address - paths and domains: what is accepted is stable when it is parsed again. */
#include "fuzz.h"

#include <string.h>

#include "mail/address.h"
#include "mail/domain.h"

static void check_domain(struct str text, struct arena *arena)
{
	struct str once, twice;

	if (domain_normalize(text, arena, &once) != OK)
		return;
	CHECK(domain_is_hostname(once));
	CHECK(domain_normalize(once, arena, &twice) == OK);
	CHECK(str_equal(once, twice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	bool allow_utf8 = fuzz_octet(&in) & 1;
	struct arena arena = { 0 };
	struct address a, again;
	struct str rest;

	check_domain(in, &arena);
	if (address_parse_path(in, allow_utf8, &arena, &a, &rest) == OK) {
		CHECK(rest.len < in.len && rest.data + rest.len == in.data + in.len);
		CHECK(a.is_utf8 == !str_is_ascii(a.text) && (allow_utf8 || !a.is_utf8));
		CHECK(a.text.len + 2 <= 256 && a.local.len <= 64);
		if (a.domain.len > 0) {
			CHECK(address_parse(a.text, allow_utf8, &arena, &again) == OK);
			CHECK(str_equal(a.text, again.text) && str_equal(a.domain, again.domain));
			CHECK(str_equal(a.local, again.local));
			/* Nothing but the text itself goes on to the next hop: it must read the
			 * same there. */
			struct str path = arena_printf(&arena, "<%.*s>", STR_FMT(a.text));
			CHECK(address_parse_path(path, allow_utf8, &arena, &again, &rest) == OK);
			CHECK(rest.len == 0 && str_equal(a.text, again.text));
		}
	}
	arena_fini(&arena);
	return 0;
}
