/* fuzz_proxy - any octets from a load balancer: a header is read without a step over its end, and the same at any cut. */
#include "fuzz.h"

#include "mail/proxy.h"

static void check_header(const struct proxy_header *h)
{
	bool is_known = h->origin == PROXY_CLIENT;

	CHECK(is_known == (h->client.family != FAMILY_NONE));
	CHECK(is_known == (h->local.family != FAMILY_NONE));
	CHECK(h->client.family != FAMILY_UNIX && h->local.family != FAMILY_UNIX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	struct proxy_header header;
	size_t taken = 0, wanted = 0;
	enum err err = proxy_parse(str_slice(in, 0, 0), &header, &wanted);

	while (err == OK && wanted > 0 && taken + wanted <= in.len) {
		/* octet by octet it is no different: nothing is whole, or wrong, that was not before */
		for (size_t i = 1; i < wanted; i++) {
			size_t less = 0;
			enum err cut = proxy_parse(str_slice(in, 0, taken + i), &header, &less);
			CHECK(cut != OK || less > 0);
		}
		taken += wanted;
		err = proxy_parse(str_slice(in, 0, taken), &header, &wanted);
		CHECK(taken <= PROXY_BYTES_MAX);
	}
	if (err == OK && wanted == 0)
		check_header(&header);
	return 0;
}
