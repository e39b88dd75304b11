/* fuzz_command - any line: whatever is accepted keeps the promises of command.h. */
#include "fuzz.h"

#include "mail/command.h"
#include "mail/domain.h"
#include "mail/orcpt.h"

static void check_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		CHECK((unsigned char)s.data[i] >= 0x20 && s.data[i] != 0x7f);
}

static void check_address(const struct address *a)
{
	check_clean(a->text);
	check_clean(a->domain);
	CHECK(str_is_ascii(a->domain));
	CHECK(a->text.len <= 254 && a->local.len <= 64 && a->domain.len <= 253);
	if (a->domain.len > 0)
		CHECK(a->domain.data[0] == '[' || domain_is_hostname(a->domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = fuzz_str(data, size);
	bool utf8_transaction = fuzz_octet(&in) & 1;
	struct arena arena = { 0 };
	struct command c;

	if (command_parse(&c, in, utf8_transaction, &arena) == COMMAND_OK) {
		CHECK(c.verb != COMMAND_UNKNOWN && command_name(c.verb)[0] != '\0');
		check_clean(c.argument);
		check_clean(c.initial);
		check_clean(c.envid);
		check_clean(c.auth_sender);
		check_clean(c.orcpt);
		check_address(&c.address);
		CHECK(c.envid.len <= 100 && c.orcpt.len <= 500);
		CHECK(!(c.notify & NOTIFY_NEVER) || c.notify == NOTIFY_NEVER);
		CHECK(c.orcpt.len == 0 || orcpt_is_valid(c.orcpt));
		CHECK(c.envid.len == 0 || envid_is_valid(c.envid));
		CHECK(utf8_transaction || str_is_ascii(c.orcpt));
		if (c.verb == COMMAND_MAIL)
			CHECK(!c.address.is_utf8 || c.is_smtputf8);
		CHECK(c.priority >= -9 && c.priority <= 9);
		CHECK(c.by_s >= -999999999 && c.by_s <= 999999999);
		CHECK(!c.has_by || c.by_notify || c.by_s > 0);
		CHECK(c.hold_for_s >= 0 && c.hold_for_s <= 999999999 && c.hold_until.ms >= 0);
		if (c.verb == COMMAND_RCPT)
			CHECK(c.address.text.len > 0 && (!c.address.is_utf8 || utf8_transaction));
	}
	arena_fini(&arena);
	return 0;
}
