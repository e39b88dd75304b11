/* Tests of os/dns_parse: which replies are believed, and what they say. */
#include "os/dns_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "unit/os/fixture_dns.h"

enum { ID = 0x1234 };

struct judged {
	enum dns_reading reading;
	struct dns_answer answer;
	struct str target;
	unsigned cname_count;
};

static struct judged judge(struct str reply, const char *name, enum dns_type type)
{
	struct judged j = { .cname_count = 0 };

	j.reading = dns_read_reply(
		reply, ID, str_from_c(name), type, &j.answer, &j.cname_count, &j.target);
	return j;
}

static void forget(struct judged *j)
{
	arena_fini(&j->answer.arena);
}

static void build_nxdomain(struct message *m)
{
	message_begin(m, ID, REPLY | NXDOMAIN, "example.com", T_MX);
	message_soa(m, "com", 900, 60);
}
static void build_nxdomain_bare(struct message *m)
{
	message_begin(m, ID, REPLY | NXDOMAIN, "example.com", T_MX);
}
static void build_nxdomain_foreign_soa(struct message *m)
{
	message_begin(m, ID, REPLY | NXDOMAIN, "example.com", T_MX);
	message_soa(m, "le.com", 900, 60); /* a suffix of the text, but no ancestor */
}
static void build_nxdomain_with_records(struct message *m)
{
	message_begin(m, ID, REPLY | NXDOMAIN, "example.com", T_MX);
	message_mx(m, "example.com", 10, "mx.example.com");
	message_soa(m, "com", 900, 60);
}
static void build_nodata(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_soa(m, "example.com", 60, 900);
}
static void build_referral(struct message *m)
{
	struct message ns = { .len = 0 };
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_name(&ns, "ns.example.com");
	message_record(m, AUTHORITY, "example.com", T_NS, 60, &ns);
}
static void build_servfail(struct message *m)
{
	message_begin(m, ID, REPLY | SERVFAIL, "example.com", T_MX);
}
static void build_refused(struct message *m)
{
	message_begin(m, ID, REPLY | REFUSED, "example.com", T_MX);
}
static void build_formerr(struct message *m)
{
	message_begin(m, ID, REPLY | FORMERR, "example.com", T_MX);
}
static void build_formerr_header(struct message *m)
{
	message_begin(m, ID, REPLY | FORMERR, "example.com", T_MX);
	m->data[5] = 0;
	m->len = 12;
}
static void build_badvers(struct message *m)
{
	struct message none = { .len = 0 };
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_record(m, ADDITIONAL, "", T_OPT, 0x01000000, &none);
}
static void build_truncated(struct message *m)
{
	message_begin(m, ID, REPLY | TRUNCATED, "example.com", T_MX);
	message_mx(m, "example.com", 10, "mx.example.com");
}
static void build_wrong_id(struct message *m)
{
	message_begin(m, ID + 1, REPLY, "example.com", T_MX);
	message_mx(m, "example.com", 10, "mx.example.com");
}
static void build_query(struct message *m)
{
	message_begin(m, ID, 0x0100, "example.com", T_MX);
}
static void build_wrong_name(struct message *m)
{
	message_begin(m, ID, REPLY, "example.net", T_MX);
	message_mx(m, "example.com", 10, "mx.example.com");
}
static void build_wrong_type(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_A);
	message_mx(m, "example.com", 10, "mx.example.com");
}
static void build_two_questions(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	m->data[5] = 2;
	message_name(m, "example.com");
	message_u16(m, T_MX);
	message_u16(m, 1);
}
static void build_empty(struct message *m)
{
	m->len = 0;
}
static void build_cut_header(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	m->len = 11;
}
static void build_missing_record(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	m->data[ANSWER + 1] = 3;
}
static void build_cname_loop(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_cname(m, "example.com", "a.example.com");
	message_cname(m, "a.example.com", "example.com");
}
static void build_pointer_loop(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	m->data[ANSWER + 1] = 1;
	message_u16(m, 0xc000 | (unsigned)m->len); /* points to itself */
	for (int i = 0; i < 5; i++)
		message_u16(m, 0);
}
static void build_reserved_label(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	m->data[ANSWER + 1] = 1;
	message_octets(m,
		"\x40"
		"abcdefgh\0\0\0\0\0\0\0\0\0\0\0\0",
		21);
}
static void build_mx_short(struct message *m)
{
	struct message data = { .len = 0 };
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_u16(&data, 10);
	message_record(m, ANSWER, "example.com", T_MX, 60, &data);
}
static void build_mx_overlong(struct message *m)
{
	struct message data = { .len = 0 };
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_u16(&data, 10);
	message_name(&data, "mx.example.com");
	message_octets(&data, "more", 4);
	message_record(m, ANSWER, "example.com", T_MX, 60, &data);
}
static void build_data_past_end(struct message *m)
{
	message_begin(m, ID, REPLY, "example.com", T_MX);
	message_mx(m, "example.com", 10, "mx.example.com");
	m->len -= 3;
}

static void test_dns_reply_is_judged(void **state)
{
	static const struct {
		void (*build)(struct message *m);
		enum dns_reading reading;
		enum dns_result result;
		const char *problem;
	} rows[] = {
		{ build_nxdomain, DNS_READ_ANSWER, DNS_NXDOMAIN, NULL },
		{ build_nxdomain_bare, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "NXDOMAIN without SOA" },
		{ build_nxdomain_foreign_soa, DNS_READ_TRY_OTHER, DNS_TEMPORARY,
			"NXDOMAIN without SOA" },
		{ build_nxdomain_with_records, DNS_READ_TRY_OTHER, DNS_TEMPORARY,
			"NXDOMAIN with records" },
		{ build_nodata, DNS_READ_ANSWER, DNS_NODATA, NULL },
		{ build_referral, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "no records and no SOA" },
		{ build_servfail, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "SERVFAIL" },
		{ build_refused, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "REFUSED" },
		{ build_formerr, DNS_READ_TRY_PLAIN, DNS_TEMPORARY, "FORMERR" },
		{ build_formerr_header, DNS_READ_TRY_PLAIN, DNS_TEMPORARY, "FORMERR" },
		{ build_badvers, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "unexpected rcode" },
		{ build_truncated, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "truncated reply" },
		{ build_wrong_id, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "reply with a wrong id" },
		{ build_query, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "not a reply" },
		{ build_wrong_name, DNS_READ_TRY_OTHER, DNS_TEMPORARY,
			"reply to another question" },
		{ build_wrong_type, DNS_READ_TRY_OTHER, DNS_TEMPORARY,
			"reply to another question" },
		{ build_two_questions, DNS_READ_TRY_OTHER, DNS_TEMPORARY,
			"reply to another question" },
		{ build_empty, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_cut_header, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_missing_record, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_cname_loop, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "too many CNAMEs" },
		{ build_pointer_loop, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_reserved_label, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_mx_short, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_mx_overlong, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
		{ build_data_past_end, DNS_READ_TRY_OTHER, DNS_TEMPORARY, "malformed reply" },
	};
	static struct message m;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		rows[i].build(&m);
		struct judged j = judge(message_str(&m), "example.com", DNS_MX);
		if (j.reading != rows[i].reading || j.answer.result != rows[i].result)
			fail_msg("row %zu: %d %d %s", i, j.reading, j.answer.result,
				j.answer.problem ? j.answer.problem : "");
		if (rows[i].problem)
			assert_string_equal(j.answer.problem, rows[i].problem);
		assert_int_equal(j.answer.count, 0);
		forget(&j);
	}
}

static void test_dns_negative_ttl_is_the_lesser_of_the_soa(void **state)
{
	static struct message m;

	(void)state;
	build_nxdomain(&m);
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.ttl_s, 60);
	forget(&j);
	build_nodata(&m);
	j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.ttl_s, 60);
	forget(&j);
}

static void test_dns_mx_are_sorted_and_lower_case(void **state)
{
	static struct message m;

	(void)state;
	message_begin(&m, ID, REPLY | AUTHENTIC, "EXAMPLE.com", T_MX);
	message_mx(&m, "example.com", 20, "MX2.Example.COM");
	message_mx(&m, "example.COM", 10, "mx1.example.com");
	message_mx(&m, "other.example", 0, "evil.example"); /* not what was asked for */
	message_mx(&m, "example.com", 20, "mx3.example.com");
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.reading, DNS_READ_ANSWER);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_true(j.answer.is_authentic);
	assert_int_equal(j.answer.ttl_s, 600);
	assert_int_equal(j.answer.count, 3);
	assert_true(str_equal(j.answer.records[0].host, STR("mx1.example.com")));
	assert_true(str_equal(j.answer.records[1].host, STR("mx2.example.com")));
	assert_true(str_equal(j.answer.records[2].host, STR("mx3.example.com")));
	assert_int_equal(j.answer.records[2].preference, 20);
	forget(&j);
}

static void test_dns_thousand_mx_are_cut_to_the_best(void **state)
{
	static struct message m;
	char host[32];

	(void)state;
	message_begin(&m, ID, REPLY, "example.com", T_MX);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(host, sizeof(host), "mx%u.example.com", i);
		message_mx(&m, "example.com", 1000 - i, host);
	}
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_int_equal(j.answer.count, DNS_MX_MAX);
	for (unsigned i = 0; i < DNS_MX_MAX; i++)
		assert_int_equal(j.answer.records[i].preference, i + 1);
	assert_true(str_equal(j.answer.records[0].host, STR("mx999.example.com")));
	forget(&j);
}

static void test_dns_addresses_are_cut(void **state)
{
	static struct message m;

	(void)state;
	message_begin(&m, ID, REPLY, "mx.example.com", T_A);
	for (unsigned i = 0; i < 50; i++) {
		const char octets[4] = { 10, 0, 0, (char)i };
		message_a(&m, "mx.example.com", octets);
	}
	struct judged j = judge(message_str(&m), "mx.example.com", DNS_A);
	assert_int_equal(j.answer.count, DNS_ADDRESS_MAX);
	assert_int_equal(j.answer.records[29].address.family, FAMILY_IPV4);
	assert_int_equal(j.answer.records[29].address.ip[3], 29);
	assert_int_equal(j.answer.records[29].address.port, 0);
	forget(&j);
}

static void test_dns_aaaa_is_read(void **state)
{
	static struct message m;
	struct message data = { .len = 0 };

	(void)state;
	message_begin(&m, ID, REPLY, "mx.example.com", T_AAAA);
	message_octets(&data, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x19", 16);
	message_record(&m, ANSWER, "mx.example.com", T_AAAA, 0x80000001, &data);
	struct judged j = judge(message_str(&m), "mx.example.com", DNS_AAAA);
	assert_int_equal(j.answer.count, 1);
	assert_int_equal(j.answer.records[0].address.family, FAMILY_IPV6);
	assert_memory_equal(j.answer.records[0].address.ip, data.data, 16);
	assert_int_equal(j.answer.ttl_s, 0); /* top bit set: RFC 2181 */
	forget(&j);
}

static void test_dns_null_mx_and_bad_names_are_told_apart(void **state)
{
	static struct message m;

	(void)state;
	message_begin(&m, ID, REPLY, "example.com", T_MX);
	message_mx(&m, "example.com", 0, "");
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.count, 1);
	assert_int_equal(j.answer.records[0].host.len, 0);
	assert_int_equal(j.answer.bad_count, 0);
	forget(&j);

	message_begin(&m, ID, REPLY, "example.com", T_MX);
	message_mx(&m, "example.com", 10, "192.0.2.1");
	message_mx(&m, "example.com", 10, "a b.example.com");
	message_mx(&m, "example.com", 10, "mx\xff.example.com");
	message_mx(&m, "example.com", 10, "-x\n.example.com");
	j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_int_equal(j.answer.count, 0);
	assert_int_equal(j.answer.bad_count, 4);
	forget(&j);
}

static void test_dns_dot_inside_a_label_is_no_separator(void **state)
{
	static struct message m;
	struct message data = { .len = 0 };

	(void)state;
	message_begin(&m, ID, REPLY, "example.com", T_MX);
	message_u16(&data, 10);
	message_octets(&data, "\x0emx.example.com\0", 16);
	message_record(&m, ANSWER, "example.com", T_MX, 60, &data);
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.count, 0);
	assert_int_equal(j.answer.bad_count, 1);
	forget(&j);
}

static void test_dns_cnames_are_followed(void **state)
{
	static struct message m;
	char owner[32], target[32];

	(void)state;
	message_begin(&m, ID, REPLY, "c0.example", T_A);
	message_a(&m, "c10.example", "\x7f\0\0\1");
	for (unsigned i = 10; i-- > 0;) { /* in the wrong order, too */
		snprintf(owner, sizeof(owner), "c%u.example", i);
		snprintf(target, sizeof(target), "C%u.example", i + 1);
		message_cname(&m, owner, target);
	}
	struct judged j = judge(message_str(&m), "c0.example", DNS_A);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_int_equal(j.answer.count, 1);
	assert_int_equal(j.cname_count, 10);
	forget(&j);
	message_cname(&m, "c10.example", "c11.example"); /* one more than is allowed */
	j = judge(message_str(&m), "c0.example", DNS_A);
	assert_int_equal(j.answer.result, DNS_TEMPORARY);
	forget(&j);
}

static void test_dns_open_end_of_a_chain_is_asked_for(void **state)
{
	static struct message m;

	(void)state;
	message_begin(&m, ID, REPLY, "www.example", T_A);
	message_cname(&m, "www.example", "host.example.net");
	struct judged j = judge(message_str(&m), "www.example", DNS_A);
	assert_int_equal(j.reading, DNS_READ_FOLLOW);
	assert_true(str_equal(j.target, STR("host.example.net")));
	assert_int_equal(j.answer.ttl_s, 300);
	forget(&j);
	/* with an SOA the chain ends in nothing */
	message_soa(&m, "example.net", 10, 10);
	j = judge(message_str(&m), "www.example", DNS_A);
	assert_int_equal(j.answer.result, DNS_NODATA);
	forget(&j);
	message_begin(&m, ID, REPLY, "www.example", T_A);
	message_cname(&m, "www.example", "bad name.example.net");
	j = judge(message_str(&m), "www.example", DNS_A);
	assert_int_equal(j.reading, DNS_READ_TRY_OTHER);
	forget(&j);
}

static void test_dns_compressed_names_are_read(void **state)
{
	static struct message m;
	struct message data = { .len = 0 };

	(void)state;
	message_begin(&m, ID, REPLY, "example.com", T_MX);
	message_u16(&data, 10);
	message_octets(&data, "\x02mx\xc0\x0c", 5); /* mx + the question's name */
	message_record(&m, ANSWER, "example.com", T_MX, 60, &data);
	struct judged j = judge(message_str(&m), "example.com", DNS_MX);
	assert_int_equal(j.answer.count, 1);
	assert_true(str_equal(j.answer.records[0].host, STR("mx.example.com")));
	forget(&j);
}

static void test_dns_every_cut_of_a_reply_is_temporary(void **state)
{
	static struct message m;

	(void)state;
	message_begin(&m, ID, REPLY, "example.com", T_MX);
	message_cname(&m, "example.com", "example.net");
	message_mx(&m, "example.net", 10, "mx.example.net");
	message_soa(&m, "example.net", 10, 10);
	for (size_t len = 0; len < m.len; len++) {
		char *copy = test_malloc(
			len + 1); /* exact, so that a sanitizer sees every octet past it */
		memcpy(copy, m.data, len);
		struct judged j = judge(str_of(copy, len), "example.com", DNS_MX);
		assert_int_equal(j.answer.result, DNS_TEMPORARY);
		forget(&j);
		test_free(copy);
	}
}

static void build_tlsa_digest(struct message *m)
{
	message_begin(m, ID, REPLY | AUTHENTIC, "_25._tcp.mx.example", T_TLSA);
	message_data(m, "_25._tcp.mx.example", T_TLSA, "\3\1\1\xab\xcd", 5);
	message_data(m, "_25._tcp.mx.example", T_TLSA, "\3\1\1", 3); /* nothing to match */
	message_data(m, "_25._tcp.mx.example", T_TLSA,
		"\2\0\2"
		"\0x",
		5);
}
static void build_tlsa_alias(struct message *m)
{
	message_begin(m, ID, REPLY, "_25._tcp.mx.example", T_TLSA);
	message_cname(m, "_25._tcp.mx.example", "_dane.example");
	message_data(m, "_dane.example", T_TLSA, "\3\1\1\xab\xcd", 5);
	message_data(m, "mx.example", T_TLSA, "\3\1\1\xee\xee", 5); /* not asked for */
}

static void test_dns_tlsa_is_read(void **state)
{
	static struct message m;
	const struct net_tlsa *tlsa;

	(void)state;
	build_tlsa_digest(&m);
	struct judged j = judge(message_str(&m), "_25._tcp.mx.example", DNS_TLSA);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_true(j.answer.is_authentic);
	assert_int_equal(j.answer.count, 2);
	assert_int_equal(j.answer.bad_count, 1);
	tlsa = &j.answer.records[0].tlsa;
	assert_true(tlsa->usage == 3 && tlsa->selector == 1 && tlsa->matching == 1);
	assert_true(str_equal(tlsa->data, STR("\xab\xcd")));
	tlsa = &j.answer.records[1].tlsa;
	assert_true(tlsa->usage == 2 && tlsa->selector == 0 && tlsa->matching == 2);
	assert_true(str_equal(tlsa->data, STR("\0x")));
	forget(&j);

	build_tlsa_alias(&m);
	j = judge(message_str(&m), "_25._tcp.mx.example", DNS_TLSA);
	assert_int_equal(j.answer.result, DNS_FOUND);
	assert_false(j.answer.is_authentic);
	assert_int_equal(j.answer.count, 1);
	forget(&j);
}

static void test_dns_tlsa_alias_may_have_underscores(void **state)
{
	static const struct {
		const char *target;
		enum dns_type type;
		enum dns_reading reading;
	} rows[] = {
		{ "_dane.example", DNS_TLSA, DNS_READ_FOLLOW },
		{ "_policy.example", DNS_TXT, DNS_READ_FOLLOW },
		{ "a b.example", DNS_TLSA, DNS_READ_TRY_OTHER },
	};
	static struct message m;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		message_begin(&m, ID, REPLY, "_25._tcp.mx.example", (unsigned)rows[i].type);
		message_cname(&m, "_25._tcp.mx.example", rows[i].target);
		struct judged j = judge(message_str(&m), "_25._tcp.mx.example", rows[i].type);
		assert_int_equal(j.reading, rows[i].reading);
		forget(&j);
	}
}

static void test_dns_txt_is_joined(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		enum dns_result result;
		const char *text;
	} rows[] = {
		{ "\x04v=ST\x0aSv1; id=1;", 16, DNS_FOUND, "v=STSv1; id=1;" },
		{ "\x00", 1, DNS_FOUND, "" },
		{ "\x05v=ST", 5, DNS_TEMPORARY, NULL }, /* a string past the end of the record */
	};
	static struct message m;
	static char data[10 * 256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		message_begin(&m, ID, REPLY, "_mta-sts.example", T_TXT);
		message_data(&m, "_mta-sts.example", T_TXT, rows[i].data, rows[i].len);
		struct judged j = judge(message_str(&m), "_mta-sts.example", DNS_TXT);
		assert_int_equal(j.answer.result, rows[i].result);
		if (rows[i].text)
			assert_true(str_equal(j.answer.records[0].text, str_from_c(rows[i].text)));
		forget(&j);
	}
	/* longer than anybody needs: passed over, and counted */
	for (size_t i = 0; i < sizeof(data); i += 256)
		data[i] = (char)255;
	message_begin(&m, ID, REPLY, "_mta-sts.example", T_TXT);
	message_data(&m, "_mta-sts.example", T_TXT, data, sizeof(data));
	message_data(&m, "_mta-sts.example", T_TXT, "\1a", 2);
	struct judged j = judge(message_str(&m), "_mta-sts.example", DNS_TXT);
	assert_int_equal(j.answer.bad_count, 1);
	assert_int_equal(j.answer.count, 1);
	assert_true(str_equal(j.answer.records[0].text, STR("a")));
	forget(&j);
}

/* Row 21: records beside the question, in any section, are none of its business, whatever they would tell. */
static void test_dns_records_beside_the_question_are_not_used(void **state)
{
	static struct message m;
	struct message forged = { .len = 0 };

	(void)state;
	message_octets(&forged, "\x7f\0\0\x66", 4);
	message_begin(&m, ID, REPLY, "mx.example", T_A);
	message_a(&m, "mx.example", "\x0a\x01\x02\x03");
	message_a(&m, "victim.example", "\x7f\0\0\x66");
	message_record(&m, AUTHORITY, "mx.example", T_A, 60, &forged);
	message_record(&m, ADDITIONAL, "mx.example", T_A, 60, &forged);
	struct judged j = judge(message_str(&m), "mx.example", DNS_A);
	assert_int_equal(j.answer.count, 1);
	assert_memory_equal(j.answer.records[0].address.ip, "\x0a\x01\x02\x03", 4);
	forget(&j);

	/* an address in the additional section alone answers nothing */
	message_begin(&m, ID, REPLY, "mx.example", T_A);
	message_record(&m, ADDITIONAL, "mx.example", T_A, 60, &forged);
	j = judge(message_str(&m), "mx.example", DNS_A);
	assert_int_equal(j.answer.result, DNS_TEMPORARY);
	assert_int_equal(j.answer.count, 0);
	forget(&j);
}

static void test_dns_query_is_written(void **state)
{
	static const uint8_t expected[] = { 0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 2, 'm',
		'x', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 28, 0, 1, 0, 0, 41, 0x04, 0xd0, 0,
		0, 0, 0, 0, 0 };
	uint8_t out[DNS_QUERY_MAX];

	(void)state;
	assert_int_equal(
		dns_write_query(out, 0xabcd, STR("mx.example"), DNS_AAAA, true), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(dns_write_query(out, 0xabcd, STR("mx.example"), DNS_AAAA, false),
		sizeof(expected) - 11);
	assert_int_equal(out[11], 0);
}

static void test_dns_query_refuses_ill_formed_names(void **state)
{
	static const char *const names[] = { "", ".", "a..b", ".a", "a.",
		"0123456789012345678901234567890123456789012345678901234567890123.example" };
	uint8_t out[DNS_QUERY_MAX];
	char name[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		assert_int_equal(dns_write_query(out, 1, str_from_c(names[i]), DNS_A, true), 0);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 10 == 9 ? '.' : 'a';
	assert_true(dns_write_query(out, 1, str_of(name, 253), DNS_A, true) > 0);
	assert_int_equal(dns_write_query(out, 1, str_of(name, 254), DNS_A, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns_reply_is_judged),
		cmocka_unit_test(test_dns_negative_ttl_is_the_lesser_of_the_soa),
		cmocka_unit_test(test_dns_mx_are_sorted_and_lower_case),
		cmocka_unit_test(test_dns_thousand_mx_are_cut_to_the_best),
		cmocka_unit_test(test_dns_addresses_are_cut),
		cmocka_unit_test(test_dns_aaaa_is_read),
		cmocka_unit_test(test_dns_null_mx_and_bad_names_are_told_apart),
		cmocka_unit_test(test_dns_dot_inside_a_label_is_no_separator),
		cmocka_unit_test(test_dns_cnames_are_followed),
		cmocka_unit_test(test_dns_open_end_of_a_chain_is_asked_for),
		cmocka_unit_test(test_dns_compressed_names_are_read),
		cmocka_unit_test(test_dns_every_cut_of_a_reply_is_temporary),
		cmocka_unit_test(test_dns_tlsa_is_read),
		cmocka_unit_test(test_dns_tlsa_alias_may_have_underscores),
		cmocka_unit_test(test_dns_txt_is_joined),
		cmocka_unit_test(test_dns_records_beside_the_question_are_not_used),
		cmocka_unit_test(test_dns_query_is_written),
		cmocka_unit_test(test_dns_query_refuses_ill_formed_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
