/* relay-domains: whose mail is taken from anybody, and the files that say which recipients exist. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture_conf.h"

static void test_recipients_are_found_whatever_their_case(void **state)
{
	static const struct {
		const char *local, *domain;
		bool is_listed;
	} rows[] = {
		{ "anna", "example.org", true },
		{ "ANNA", "example.org", true },
		{ "Otto", "example.org", true },
		{ "ann", "example.org", false },
		{ "annaa", "example.org", false },
		{ "anna", "example.net", false },
		{ "anna", "xn--bcher-kva.example", true },
		{ "whoever", "all.example", true },
		{ "whoever", "sub.all.example", false },
		{ "\"a b\"", "example.org", true },
		{ "", "example.org", false },
	};
	struct folder folder;
	struct conf *conf;
	struct buf message;

	(void)state;
	folder_init(&folder);
	buf_init(&message, 4096);
	folder_write(&folder, "list", 0644,
		"# people\n\nzoe@example.org\n  Anna@Example.ORG  \r\notto@example.org\n"
		"anna@example.org\n\"a b\"@example.org\n@all.example\nanna@b\xc3\xbc"
		"cher.example");
	folder_write(&folder, "a.yaml", 0644,
		"relay-domains:\n  - {domain: '*.EXAMPLE.org', recipients: list}\n  - "
		"example.net\n");
	assert_int_equal(folder_load(&folder, "a.yaml", &conf, &message), OK);
	assert_int_equal(conf->relay_domain_count, 2);
	const struct conf_relay_domain *d = conf_relay_domain_for(conf, STR("mail.example.org"));
	assert_ptr_equal(d, &conf->relay_domains[0]);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(conf_relay_domain_lists(
					 d, str_from_c(rows[i].local), str_from_c(rows[i].domain)),
			rows[i].is_listed);
	assert_ptr_equal(conf_relay_domain_for(conf, STR("example.net")), &conf->relay_domains[1]);
	assert_int_equal(conf->relay_domains[1].recipients.len, 0);
	assert_null(conf_relay_domain_for(conf, STR("example.org")));
	assert_null(conf_relay_domain_for(conf, STR("x.example.net")));
	/* printed, it means the same */
	struct buf text;
	buf_init(&text, 65536);
	conf_print(&text, conf);
	assert_non_null(strstr(buf_cstr(&text), "  - domain: \"*.example.org\"\n    recipients: "));
	assert_non_null(strstr(buf_cstr(&text), "  - domain: example.net\n"));
	buf_fini(&text);
	conf_unref(conf);
	buf_fini(&message);
	folder_fini(&folder);
}

static void test_recipients_name_file_and_line_of_what_is_wrong(void **state)
{
	static const struct {
		const char *list, *why;
	} rows[] = {
		{ "a@b.example\n\nno address\n", "line 3 of list is not an address" },
		{ "a@b.example\na\n", "line 2 of list is not an address" },
		{ "@\n", "line 1 of list is not an address" },
		{ "@-\n", "line 1 of list is not an address" },
		{ "a@b.example c@d.example\n", "line 1 of list is not an address" },
	};
	struct folder folder;
	struct conf *conf;

	(void)state;
	folder_init(&folder);
	folder_write(&folder, "a.yaml", 0644,
		"relay-domains:\n  - {domain: example.org, recipients: list}\n");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct buf message;
		buf_init(&message, 4096);
		folder_write(&folder, "list", 0644, rows[i].list);
		assert_int_equal(folder_load(&folder, "a.yaml", &conf, &message), ERR_SYNTAX);
		if (!strstr(buf_cstr(&message), rows[i].why))
			fail_msg("%s", buf_cstr(&message));
		assert_non_null(strstr(buf_cstr(&message), "a.yaml:2:"));
		buf_fini(&message);
	}
	struct buf message;
	buf_init(&message, 4096);
	folder_write(&folder, "b.yaml", 0644,
		"relay-domains:\n  - {domain: example.org, recipients: none}\n");
	assert_int_equal(folder_load(&folder, "b.yaml", &conf, &message), ERR_SYNTAX);
	assert_non_null(strstr(buf_cstr(&message), "none"));
	buf_fini(&message);
	folder_fini(&folder);
}

static void test_doors_for_everybody_are_refused(void **state)
{
	(void)state;
	assert_refused("relay-domains: ['*']\n", "test.yaml:1:17: this takes mail for the whole "
						 "Internet, which makes an open relay; "
						 "name your own domains\n");
	assert_refused("xclient-from: 0.0.0.0/0\n", "test.yaml:1:1: this lets anybody claim to be "
						    "a trusted client, which makes an open "
						    "relay; name your own servers\n");
	assert_refused("proxy-from: '::/0'\n", "test.yaml:1:1: this lets anybody claim to be a "
					       "trusted client, which makes an open "
					       "relay; name your own servers\n");
	assert_refused("listeners: [{address: '127.0.0.1:1', proxy: yes}]\n",
		"test.yaml:1:13: nobody could connect: 'proxy: yes' needs proxy-from, the networks "
		"of "
		"the load balancers\n");
	assert_refused("proxy-from: 10.0.0.1\nlisteners: [{address: 'unix:/x', proxy: yes}]\n",
		"test.yaml:2:13: a UNIX socket takes no PROXY header\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recipients_are_found_whatever_their_case),
		cmocka_unit_test(test_recipients_name_file_and_line_of_what_is_wrong),
		cmocka_unit_test(test_doors_for_everybody_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
