/*
 * fuzz_sts - what a stranger's policy host and DNS say of MTA-STS: a policy that is taken prints as one that parses to the
 * same, and patterns match no host of another depth.
 */
#include "fuzz.h"

#include "mail/sts_policy.h"

static void print(struct buf *out, const struct sts_policy *policy)
{
	buf_init(out, (size_t)1 << 20);
	sts_policy_print(out, policy);
	CHECK(!out->is_full);
}

static void check_policy(struct str text)
{
	struct arena arena = { 0 };
	struct sts_policy policy, again;
	const char *reason;

	if (sts_policy_parse(text, &arena, &policy, &reason) == OK) {
		struct buf first, second;
		CHECK(policy.max_age_s >= 0 && policy.max_age_s <= STS_MAX_AGE_S);
		CHECK(policy.mode == STS_NONE || policy.mx_count > 0);
		print(&first, &policy);
		CHECK(sts_policy_parse(buf_str(&first), &arena, &again, &reason) == OK);
		print(&second, &again);
		CHECK(str_equal(buf_str(&first), buf_str(&second)));
		for (uint32_t i = 0; i < policy.mx_count; i++) {
			bool is_wild = policy.mx[i].data[0] == '*';
			CHECK(is_wild || sts_policy_has_mx(&policy, policy.mx[i]));
		}
		(void)sts_policy_has_mx(&policy, text);
		buf_fini(&first);
		buf_fini(&second);
	} else {
		CHECK(reason[0]);
	}
	arena_fini(&arena);
}

static void check_records(struct str text)
{
	struct str records[4], id;
	uint32_t count = 0;

	while (text.len > 0 && count < 4)
		records[count++] = str_cut(&text, '\n');
	if (sts_record_find(records, count, &id) == OK)
		CHECK(id.len > 0 && id.len <= STS_ID_BYTES_MAX);
	else
		CHECK(id.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_of((const char *)data, size);

	check_policy(in);
	check_records(in);
	return 0;
}
