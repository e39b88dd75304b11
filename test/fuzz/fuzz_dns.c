/*
 * fuzz_dns - a hostile name server. The first octet chooses the type asked for; the id of the reply
 * is put right, so that the rest is looked at. The parser alone is compiled in: the other files of
 * os/ want their libraries.
 */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "mail/domain.h"
#include "os/dns_parse.c"

#include <stdlib.h>

static void check_records(const struct dns_answer *answer, enum dns_type type)
{
	CHECK(answer->count <= records_max(type));
	for (uint32_t i = 0; i < answer->count; i++) {
		const struct dns_record *r = &answer->records[i];
		CHECK(i == 0 || answer->records[i - 1].preference <= r->preference);
		if (type == DNS_MX)
			CHECK(r->host.len == 0 || domain_is_hostname(r->host));
		else if (type == DNS_TLSA)
			CHECK(r->tlsa.data.len > 0);
		else if (type == DNS_TXT)
			CHECK(r->text.len <= DNS_TEXT_BYTES_MAX);
		else
			CHECK(r->address.family == (type == DNS_A ? FAMILY_IPV4 : FAMILY_IPV6));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = { DNS_MX, DNS_A, DNS_AAAA, DNS_TLSA, DNS_TXT };
	struct str in = fuzz_str(data, size);
	enum dns_type type = types[fuzz_octet(&in) % 5];
	struct dns_answer answer = { .count = 0 };
	struct str target = { 0 };
	unsigned cname_count = 0;
	char *reply = mem_alloc(in.len); /* exact, for the sanitizer */

	if (in.len > 0)
		memcpy(reply, in.data, in.len);
	if (in.len >= 2)
		memcpy(reply, "\x12\x34", 2);
	enum dns_reading reading = dns_read_reply(str_of(reply, in.len), 0x1234, STR("example.com"),
		type, &answer, &cname_count, &target);
	check_records(&answer, type);
	if (reading == DNS_READ_FOLLOW)
		CHECK(domain_is_hostname(target) && cname_count > 0);
	else
		CHECK((answer.result == DNS_TEMPORARY) == (answer.problem != NULL));
	if (reading == DNS_READ_TRY_OTHER || reading == DNS_READ_TRY_PLAIN)
		CHECK(answer.result == DNS_TEMPORARY && answer.count == 0);
	if (reading == DNS_READ_ANSWER)
		CHECK(answer.result != DNS_TEMPORARY && cname_count <= DNS_CNAME_MAX);
	arena_fini(&answer.arena);
	free(reply);
	return 0;
}
