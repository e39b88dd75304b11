/* Tests of os/fetch_uv: helpers of all kinds, good and bad, as small shell scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "os/os_fetch.h"
#include "unit/os/fixture_os.h"

struct world {
	struct fixture f;
	struct os_fetch fetch;
	char helper[64];
	size_t done_count;
};

struct ask {
	struct fetch_request request;
	struct endpoint address;
	struct world *world;
};

static struct world w;

static void write_helper(const char *script)
{
	FILE *out = fopen(w.helper, "w");
	assert_non_null(out);
	fprintf(out, "#!/bin/sh\n%s\n", script);
	fclose(out);
	assert_int_equal(chmod(w.helper, 0700), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	fixture_init(&w.f, 1);
	snprintf(w.helper, sizeof(w.helper), "/tmp/outlast-fetch-test.%d", (int)getpid());
	os_fetch_init(&w.fetch, &w.f.os,
		&(struct os_fetch_params){
			.helper = w.helper, .authorities_path = "/ca", .port = 4443 });
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	os_fetch_fini(&w.fetch);
	fixture_fini(&w.f);
	unlink(w.helper);
	return 0;
}

static void on_done(struct fetch_request *f)
{
	CONTAINER_OF(f, struct ask, request)->world->done_count++;
}

static void ask(struct ask *a)
{
	*a = (struct ask){ .world = &w };
	assert_int_equal(endpoint_parse(&a->address, STR("127.0.0.1:1"), 0), OK);
	a->request.url = STR("https://host.example/x");
	a->request.addresses = &a->address;
	a->request.address_count = 1;
	a->request.on_done = on_done;
	fetch_start(&w.fetch.fetch, &a->request);
}

static void test_answers_are_read(void **state)
{
	static const struct {
		const char *script;
		enum err err;
		unsigned status;
		const char *type, *body;
	} rows[] = {
		{ "printf 'outlast-fetch ok 200 Text/Plain\\na\\r\\nb\\n'", OK, 200, "text/plain",
			"a\r\nb\n" },
		{ "printf 'outlast-fetch ok 200 -\\n'", OK, 200, "", "" },
		{ "printf 'outlast-fetch redirect 301 text/html\\n'", ERR_REFUSED, 301, "text/html",
			"" },
		{ "printf 'outlast-fetch certificate-expired 0 -\\n'", ERR_TLS, 0, "", "" },
		{ "printf 'outlast-fetch timeout 0 -\\n'", ERR_TIMEOUT, 0, "", "" },
		/* what keeps to no rule is a failure */
		{ "true", ERR_IO, 0, "", "" },
		{ "exit 3", ERR_IO, 0, "", "" },
		{ "kill -SEGV $$", ERR_IO, 0, "", "" },
		{ "printf 'outlast-fetch ok 200 text/plain'", ERR_IO, 0, "", "" },
		{ "printf 'outlast-fetch fine 200 text/plain\\nx'", ERR_IO, 0, "", "" },
		{ "printf 'outlast-fetch ok 2x0 text/plain\\nx'", ERR_IO, 0, "", "" },
		{ "printf 'HTTP/1.1 200 OK\\nx'", ERR_IO, 0, "", "" },
		{ "printf 'outlast-fetch ok 200 text/plain\\n'; head -c 65537 /dev/zero", ERR_LIMIT,
			200, NULL, "" },
		{ "printf 'outlast-fetch ok 200 text/plain\\n'; cat /dev/zero", ERR_LIMIT, 0, NULL,
			"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ask a;
		write_helper(rows[i].script);
		ask(&a);
		assert_int_equal(w.done_count, i);
		fixture_wait_count(&w.f, &w.done_count, i + 1);
		const struct fetch_request *f = &a.request;
		if (f->err != rows[i].err || (rows[i].type && strcmp(f->type, rows[i].type) != 0) ||
			f->status != rows[i].status ||
			!str_equal(buf_str(&f->body), str_from_c(rows[i].body)))
			fail_msg("%s: %s %u %s", rows[i].script, err_name(f->err), f->status,
				f->type);
		assert_true(f->err == OK || f->reason[0]);
		buf_fini(&a.request.body);
	}
}

static void test_the_helper_is_told_all_and_knows_nothing_else(void **state)
{
	struct ask a;
	struct endpoint addresses[20];

	(void)state;
	write_helper("printf 'outlast-fetch ok 200 -\\n%s\\n' \"$*\"; cat; env | grep -v '^PWD='");
	setenv("https_proxy", "http://127.0.0.1:9", 1);
	a = (struct ask){ .world = &w };
	for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
		assert_int_equal(endpoint_parse(&addresses[i],
					 i == 0 ? STR("[::1]:1") : STR("127.0.0.1:1"), 0),
			OK);
	a.request.url = STR("https://host.example/x?'$(id)");
	a.request.post = STR("body of it");
	a.request.post_type = STR("application/tlsrpt+gzip");
	a.request.addresses = addresses;
	a.request.address_count = 2;
	a.request.on_done = on_done;
	fetch_start(&w.fetch.fetch, &a.request);
	fixture_wait_count(&w.f, &w.done_count, 1);
	assert_int_equal(a.request.err, OK);
	assert_string_equal(buf_cstr(&a.request.body),
		"--post application/tlsrpt+gzip --cacert /ca --port 4443 --connect ::1 "
		"--connect 127.0.0.1 https://host.example/x?'$(id)\nbody of it");
	buf_fini(&a.request.body);
	/* more addresses than it takes: the first */
	a.request.address_count = 20;
	fetch_start(&w.fetch.fetch, &a.request);
	fixture_wait_count(&w.f, &w.done_count, 2);
	assert_int_equal(a.request.err, OK);
	buf_fini(&a.request.body);
	/* none: nowhere to go */
	a.request.address_count = 0;
	fetch_start(&w.fetch.fetch, &a.request);
	fixture_wait_count(&w.f, &w.done_count, 3);
	assert_int_equal(a.request.err, ERR_UNREACHABLE);
	buf_fini(&a.request.body);
	unsetenv("https_proxy");
}

static void test_a_missing_helper_is_an_error(void **state)
{
	struct ask a;

	(void)state;
	ask(&a);
	fixture_wait_count(&w.f, &w.done_count, 1);
	assert_int_equal(a.request.err, ERR_IO);
	buf_fini(&a.request.body);
}

static void test_a_helper_that_hangs_is_killed(void **state)
{
	struct ask a;

	(void)state;
	os_fetch_set(&w.fetch, &(struct os_fetch_params){ .helper = w.helper, .limit_ms = 50 });
	write_helper("printf 'outlast-fetch ok 200 -\\n'; exec sleep 1000");
	ask(&a);
	fixture_wait_count(&w.f, &w.done_count, 1);
	assert_int_equal(a.request.err, ERR_TIMEOUT);
	buf_fini(&a.request.body);
}

static void test_requests_are_bounded_and_canceled(void **state)
{
	enum { COUNT = OS_FETCH_WAITING_MAX + 10 };
	static struct ask asks[COUNT];
	size_t busy_count = 0;

	(void)state;
	write_helper("exec sleep 1000");
	for (size_t i = 0; i < COUNT; i++)
		ask(&asks[i]);
	fixture_wait_count(&w.f, &w.done_count, 10);
	for (size_t i = 0; i < COUNT; i++) {
		busy_count += asks[i].request.err == ERR_BUSY && i >= OS_FETCH_WAITING_MAX;
		/* in the order that frees a place for those that wait, and of those that wait */
		if (i < OS_FETCH_WAITING_MAX)
			fetch_cancel(&w.fetch.fetch, &asks[i].request);
	}
	assert_int_equal(busy_count, 10);
	assert_int_equal(w.done_count, 10);
	/* all places are free again, and the canceled are not told */
	write_helper("printf 'outlast-fetch ok 200 -\\n'");
	struct ask last;
	ask(&last);
	fixture_wait_count(&w.f, &w.done_count, 11);
	assert_int_equal(last.request.err, OK);
	buf_fini(&last.request.body);
	for (size_t i = 0; i < COUNT; i++)
		buf_fini(&asks[i].request.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_helper_is_told_all_and_knows_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_missing_helper_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_helper_that_hangs_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_requests_are_bounded_and_canceled, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
