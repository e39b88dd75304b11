/* Tests of queue/tls_tally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "queue/tls_tally.h"

static void add(struct tls_tally *t, enum tally_policy type, const char *domain, const char *text,
	enum tally_result result, const char *mx, const char *ip)
{
	const struct tally_event e = { .type = type,
		.domain = str_from_c(domain),
		.text = str_from_c(text),
		.result = result,
		.mx = str_from_c(mx),
		.ip = str_from_c(ip) };
	assert_true(tls_tally_add(t, &e));
}

static const char policy[] =
	"version: STSv1\nmode: testing\nmax_age: 5\nmx: a.test\nmx: *.b.test\n";
static const char json[] =
	"{\"organization-name\":\"Us \\\"x\\\"\",\"date-range\":{\"start-datetime\":"
	"\"2023-01-23T00:00:00Z\",\"end-datetime\":\"2023-01-23T23:59:59Z\"},"
	"\"contact-info\":\"p@us.test\",\"report-id\":\"2023-01-23T00:00:00Z_d.test@us.test\","
	"\"policies\":[{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","
	"\"mode: testing\",\"max_age: 5\",\"mx: a.test\",\"mx: *.b.test\"],\"mx-host\":[\"a.test\","
	"\"*.b.test\"],\"policy-domain\":\"d.test\"},\"summary\":{"
	"\"total-successful-session-count\":2,\"total-failure-session-count\":3},"
	"\"failure-details\":[{\"result-type\":\"certificate-expired\","
	"\"receiving-mx-hostname\":\"a.test\",\"receiving-ip\":\"192.0.2.1\","
	"\"failed-session-count\":2},{\"result-type\":\"sts-policy-fetch-error\","
	"\"failed-session-count\":1}]},{\"policy\":{\"policy-type\":\"no-policy-found\","
	"\"policy-domain\":\"d.test\"},\"summary\":{\"total-successful-session-count\":0,"
	"\"total-failure-session-count\":1},\"failure-details\":[{\"result-type\":"
	"\"starttls-not-supported\",\"receiving-mx-hostname\":\"a.test\",\"receiving-ip\":\"::1\","
	"\"failed-session-count\":1}]}]}\n";

static void test_sessions_are_counted_kept_and_reported(void **state)
{
	const struct tally_report report = { .domain = STR("d.test"),
		.organization = STR("Us \"x\""),
		.contact = STR("p@us.test"),
		.submitter = STR("us.test"),
		.begin = { INT64_C(1674432000000) } };
	struct tls_tally t = { .policy_count = 0 }, again = { .policy_count = 0 };
	struct buf value, text;

	(void)state;
	add(&t, TALLY_STS, "d.test", policy, TALLY_GOOD, "a.test", "192.0.2.1");
	add(&t, TALLY_STS, "d.test", policy, TALLY_EXPIRED, "a.test", "192.0.2.1");
	add(&t, TALLY_STS, "d.test", policy, TALLY_EXPIRED, "a.test", "192.0.2.1");
	add(&t, TALLY_STS, "d.test", policy, TALLY_STS_FETCH_ERROR, "", "");
	add(&t, TALLY_NO_POLICY, "d.test", "", TALLY_STARTTLS_NOT_SUPPORTED, "a.test", "::1");
	buf_init(&value, TALLY_VALUE_BYTES_MAX);
	buf_init(&text, 65536);
	tls_tally_print(&value, &t);
	assert_true(tls_tally_parse(buf_str(&value), &again));
	/* counting goes on where it was */
	add(&again, TALLY_STS, "d.test", policy, TALLY_GOOD, "a.test", "192.0.2.1");
	tls_tally_json(&text, &again, &report);
	assert_string_equal(buf_cstr(&text), json);
	buf_fini(&value);
	buf_fini(&text);
	tls_tally_fini(&t);
	tls_tally_fini(&again);
}

static void test_a_tally_is_bounded(void **state)
{
	struct tls_tally t = { .policy_count = 0 };
	struct buf value;
	char name[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "mx%d.test", i);
		add(&t, TALLY_STS, "d.test", policy, TALLY_EXPIRED, name, "192.0.2.1");
	}
	assert_int_equal(t.policies[0].bad, 100);
	assert_int_equal(t.failure_count, TALLY_FAILURES_MAX);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "mx%d.test", i);
		const struct tally_event e = { .type = TALLY_TLSA,
			.domain = str_from_c(name),
			.text = STR("3 1 1 00\n"),
			.mx = STR(""),
			.ip = STR("") };
		assert_int_equal(tls_tally_add(&t, &e), i < TALLY_POLICIES_MAX - 1);
	}
	buf_init(&value, TALLY_VALUE_BYTES_MAX);
	tls_tally_print(&value, &t);
	assert_false(value.is_full);
	buf_fini(&value);
	tls_tally_fini(&t);
}

static void test_damaged_values_are_no_tallies(void **state)
{
	static const char *const values[] = { "", "2\n", "1\nx\n", "1\np 9 1 1 d\n",
		"1\np 1 -1 1 d\n", "1\nt a\n", "1\nf 0 1 1 a b\n", "1\np 1 1 1 d\nf 1 1 1 a b\n",
		"1\np 1 1 1 d\nf 0 99 1 a b\n", "1\np 1 1\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct tls_tally t = { .policy_count = 0 };
		if (tls_tally_parse(str_from_c(values[i]), &t))
			fail_msg("%s", values[i]);
		assert_int_equal(t.policy_count, 0);
		assert_null(t.arena.head);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sessions_are_counted_kept_and_reported),
		cmocka_unit_test(test_a_tally_is_bounded),
		cmocka_unit_test(test_damaged_values_are_no_tallies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
