/* Tests of mail/header: every row at every cut into two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mail/header.h"

struct row {
	const char *content;
	unsigned received, own;
	const char *message_id;
	bool has_date, has_from, is_8bit_header, is_8bit_body, is_in_body;
	uint64_t header_bytes;
};

static const struct row rows[] = {
	{ "", 0, 0, "", 0, 0, 0, 0, 0, 0 },
	{ "\r\n", 0, 0, "", 0, 0, 0, 0, 1, 2 },
	{ "\r\nFrom: x\r\n", 0, 0, "", 0, 0, 0, 0, 1, 2 },
	{ "From: a\r\nDate: b\r\n\r\nbody\r\n", 0, 0, "", 1, 1, 0, 0, 1, 20 },
	{ "from : a\r\nDATE:b\r\n", 0, 0, "", 1, 1, 0, 0, 0, 18 },
	{ "Message-ID:  <a@b> \r\nMessage-Id: <c@d>\r\n\r\n", 0, 0, "<a@b>", 0, 0, 0, 0, 1, 42 },
	{ "Message-ID:\r\n <a@b>\r\n\r\n", 0, 0, "<a@b>", 0, 0, 0, 0, 1, 23 },
	{ "Message-ID: <a@b>", 0, 0, "<a@b>", 0, 0, 0, 0, 0, 17 },
	{ "Subject: x\r\n Message-ID: <a@b>\r\n\r\n", 0, 0, "", 0, 0, 0, 0, 1, 34 },
	{ "Received: a\r\nReceived: b\r\n\tby c\r\nX-Received: d\r\n\r\nReceived: e\r\n", 2, 0, "",
		0, 0, 0, 0, 1, 50 },
	{ "Received: from x by mx.example (Outlast) with SMTP\r\n\r\n", 1, 1, "", 0, 0, 0, 0, 1,
		54 },
	{ "Received: from x\r\n\tby  MX.Example\r\n (Outlast)\twith SMTP\r\n\r\n", 1, 1, "", 0, 0,
		0, 0, 1, 59 },
	{ "Received: by mx.example (Outlast\r)\r\n\r\n", 1, 0, "", 0, 0, 0, 0, 1, 38 },
	{ "Received: by mx.example (Postfix)\r\n\r\n", 1, 0, "", 0, 0, 0, 0, 1, 37 },
	{ "Received: by mx.example.org (Outlast)\r\n\r\n", 1, 0, "", 0, 0, 0, 0, 1, 41 },
	{ "Received: from mx.example (Outlast)\r\n\r\n", 1, 0, "", 0, 0, 0, 0, 1, 39 },
	{ "X: \xc3\xbc\r\n\r\nabc\r\n", 0, 0, "", 0, 0, 1, 0, 1, 9 },
	{ "X: y\r\n\r\nab\xc3\xbc\r\n", 0, 0, "", 0, 0, 0, 1, 1, 8 },
	{ "no field at all\r\nFrom: a\r\n\r\n", 0, 0, "", 0, 1, 0, 0, 1, 28 },
	{ " starts with a space\r\nFrom: a\r\n\r\n", 0, 0, "", 0, 1, 0, 0, 1, 33 },
	{ "X: y\r\n \r\nFrom: a\r\n\r\n", 0, 0, "", 0, 1, 0, 0, 1, 20 },
	{ "From: a\nDate: b\n\nbody", 0, 0, "", 1, 1, 0, 0, 1, 17 },
	{ ":\r\n: x\r\n\r\n", 0, 0, "", 0, 0, 0, 0, 1, 10 },
};

static void check(const struct row *row, const struct header_scan *h)
{
	assert_int_equal(h->received_count, row->received);
	assert_int_equal(h->own_received_count, row->own);
	assert_true(str_equal(buf_str(&h->message_id), str_from_c(row->message_id)));
	assert_int_equal(h->has_date, row->has_date);
	assert_int_equal(h->has_from, row->has_from);
	assert_int_equal(h->is_8bit_header, row->is_8bit_header);
	assert_int_equal(h->is_8bit_body, row->is_8bit_body);
	assert_int_equal(h->is_in_body, row->is_in_body);
	assert_int_equal(h->header_bytes, row->header_bytes);
}

static void test_scan_is_the_same_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str content = str_from_c(rows[i].content);
		for (size_t cut = 0; cut <= content.len; cut++) {
			struct header_scan h;
			header_scan_init(&h, STR("mx.example"));
			header_scan_feed(&h, str_slice(content, 0, cut));
			header_scan_feed(&h, str_slice(content, cut, content.len));
			header_scan_finish(&h);
			check(&rows[i], &h);
			header_scan_fini(&h);
		}
	}
}

static void test_scan_octet_by_octet_gives_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct header_scan h;
		header_scan_init(&h, STR("mx.example"));
		for (size_t k = 0; k < strlen(rows[i].content); k++)
			header_scan_feed(&h, str_of(rows[i].content + k, 1));
		header_scan_finish(&h);
		check(&rows[i], &h);
		header_scan_fini(&h);
	}
}

static void test_scan_cuts_long_values_and_keeps_its_memory(void **state)
{
	struct header_scan h;
	char line[1000];

	(void)state;
	memset(line, 'x', sizeof(line));
	header_scan_init(&h, STR("mx.example"));
	header_scan_feed(&h, STR("Message-ID: "));
	for (int i = 0; i < 1000; i++)
		header_scan_feed(&h, str_of(line, sizeof(line)));
	header_scan_feed(&h, STR("\r\nFrom: a\r\n\r\n"));
	header_scan_finish(&h);
	assert_int_equal(h.message_id.len, 998 - 12);
	assert_true(h.has_from && h.is_in_body);
	assert_true(h.field.cap <= 4096);
	assert_int_equal(h.header_bytes, 12 + 1000000 + 13);
	header_scan_fini(&h);
}

static void test_scan_knows_bulk_mail(void **state)
{
	static const struct {
		const char *content;
		bool is_bulk;
	} table[] = {
		{ "Subject: x\r\n\r\n", false },
		{ "List-Id: <a.example>\r\n\r\n", true },
		{ "LIST-ID: a\r\n\r\n", true },
		{ "List-Post: a\r\n\r\n", false },
		{ "Precedence: bulk\r\n\r\n", true },
		{ "precedence:  List \r\n\r\n", true },
		{ "Precedence: junk", true },
		{ "Precedence: first-class\r\n\r\n", false },
		{ "Auto-Submitted: auto-generated\r\n\r\n", true },
		{ "Auto-Submitted: auto-replied; owner-email=\"a@b\"\r\n\r\n", true },
		{ "Auto-Submitted: no\r\n\r\n", false },
		{ "Auto-Submitted: No (by hand)\r\n\r\n", false },
		{ "Subject: x\r\n\r\nList-Id: <in.the.body>\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct header_scan h;
		header_scan_init(&h, STR("mx.example"));
		header_scan_feed(&h, str_from_c(table[i].content));
		header_scan_finish(&h);
		assert_int_equal(h.is_bulk, table[i].is_bulk);
		header_scan_fini(&h);
	}
}

static void test_scan_knows_that_tls_is_optional(void **state)
{
	static const struct {
		const char *content;
		bool is_optional;
	} table[] = {
		{ "TLS-Required: No\r\n\r\n", true },
		{ "Subject: x\r\ntls-required:\r\n no\r\n\r\n", true },
		{ "TLS-Required: Yes\r\n\r\n", false },
		{ "TLS-Required: No way\r\n\r\n", false },
		{ "TLS-Required:\r\n\r\n", false },
		{ "TLS-Optional: No\r\n\r\n", false },
		{ "Subject: x\r\n\r\nTLS-Required: No\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct header_scan h;
		header_scan_init(&h, STR("mx.example"));
		header_scan_feed(&h, str_from_c(table[i].content));
		header_scan_finish(&h);
		assert_int_equal(h.is_tls_optional, table[i].is_optional);
		header_scan_fini(&h);
	}
}

static void test_scan_watches_fields(void **state)
{
	const struct header_watch watches[] = {
		{ STR("X-Class"), STR("urgent*") },
		{ STR(""), STR("*") },
		{ STR("Subject"), STR("*alarm*") },
	};
	struct header_scan h;

	(void)state;
	header_scan_init(&h, STR("mx.example"));
	h.watches = watches;
	h.watch_count = 3;
	header_scan_feed(&h, STR("x-class: Urgent, now\r\nSubject: an\r\n alarm\r\n: x\r\n\r\n"));
	header_scan_finish(&h);
	assert_true(h.watch_hits == 5);
	header_scan_fini(&h);
	header_scan_init(&h, STR("mx.example"));
	h.watches = watches;
	h.watch_count = 3;
	header_scan_feed(&h, STR("X-Class: not urgent\r\n\r\nSubject: alarm\r\n"));
	header_scan_finish(&h);
	assert_true(h.watch_hits == 0);
	header_scan_fini(&h);
}

static void test_section_ends_before_the_empty_line(void **state)
{
	static const struct {
		const char *content, *section;
	} table[] = {
		{ "", "" },
		{ "\r\nbody", "" },
		{ "A: b\r\n\r\nbody", "A: b\r\n" },
		{ "A: b\r\nC: d\r\n\r\n\r\n", "A: b\r\nC: d\r\n" },
		{ "A: b\r\n", "A: b\r\n" },
		{ "A: b", "A: b" },
		{ "A: b\r\n\r", "A: b\r\n\r" },
		{ "A: b\n\nbody", "A: b\n" },
		{ "A: b\r\n \r\nC: d\r\n\r\nx", "A: b\r\n \r\nC: d\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_true(str_equal(header_section(str_from_c(table[i].content)),
			str_from_c(table[i].section)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_is_the_same_at_every_cut),
		cmocka_unit_test(test_scan_octet_by_octet_gives_the_same),
		cmocka_unit_test(test_scan_cuts_long_values_and_keeps_its_memory),
		cmocka_unit_test(test_scan_knows_bulk_mail),
		cmocka_unit_test(test_scan_knows_that_tls_is_optional),
		cmocka_unit_test(test_scan_watches_fields),
		cmocka_unit_test(test_section_ends_before_the_empty_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
