/* Tests of relay/sts: over a real shelf, with scripted DNS and policy hosts. The clock is the simulator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "relay/sts.h"
#include "sim/sim_env.h"
#include "store/store_sqlite.h"

#define POLICY_OF(mx) "version: STSv1\nmode: enforce\nmax_age: 604800\nmx: " mx "\n"

struct world {
	struct sim_clock clock;
	struct sim_env env;
	struct store *store;
	struct store front; /* fails, or hands on */
	struct conf *conf;
	struct resolver *resolver;
	struct dns dns;
	struct fetch fetch;
	struct sts *sts;
	char directory[64];
	/* scripts */
	const char *record; /* TXT of every domain; NULL: none */
	bool is_dns_silent, is_shelf_broken, is_fetch_held;
	enum err fetch_err;
	unsigned fetch_status;
	const char *policy, *type;
	struct fetch_request *held;
	size_t txt_count, address_count, fetch_count, cancel_count;
	/* answers on their way */
	struct list queries; /* of dns_query.link */
	struct deferred dns_step, fetch_step;
	struct list fetches; /* of fetch_request.link */
};

struct ask {
	struct tls_policy_query query;
	bool is_done;
	enum sts_mode mode;
	char mx[64]; /* the first; empty: no policy */
	const char *problem;
};

static struct world w;

/* ---- DNS ---- */

static void on_dns_step(struct deferred *d)
{
	struct list *link;
	(void)d;
	while ((link = list_pop_front(&w.queries))) {
		struct dns_query *q = CONTAINER_OF(link, struct dns_query, link);
		struct dns_answer *a = &q->answer;
		*a = (struct dns_answer){ .result = DNS_NODATA, .ttl_s = 600 };
		a->records = arena_array(&a->arena, 1, sizeof(*a->records));
		if (w.is_dns_silent) {
			a->result = DNS_TEMPORARY;
			a->problem = "timeout";
		} else if (q->type == DNS_TXT && w.record) {
			assert_true(str_starts_fold(q->name, STR("_mta-sts.")));
			a->records[a->count++].text = str_from_c(w.record);
		} else if (q->type == DNS_A) {
			assert_true(str_starts_fold(q->name, STR("mta-sts.")));
			CHECK(endpoint_parse_ip(
				      &a->records[a->count++].address, STR("192.0.2.1")) == OK);
		}
		if (a->count > 0)
			a->result = DNS_FOUND;
		w.txt_count += q->type == DNS_TXT;
		q->on_done(q);
	}
}

static void dns_begin(struct dns *dns, struct dns_query *q)
{
	(void)dns;
	list_push_back(&w.queries, &q->link);
	env_defer(&w.env.env, &w.dns_step);
}

static void dns_drop(struct dns *dns, struct dns_query *q)
{
	(void)dns;
	list_remove(&q->link);
}

static const struct dns_ops dns_ops = { .start = dns_begin, .cancel = dns_drop };

/* ---- HTTPS ---- */

static void finish(struct fetch_request *f)
{
	f->err = w.fetch_err;
	f->status = w.fetch_status;
	f->reason = "scripted";
	snprintf(f->type, sizeof(f->type), "%s", w.type);
	if (f->err == OK)
		buf_append_str(&f->body, str_from_c(w.policy));
	f->on_done(f);
}

static void on_fetch_step(struct deferred *d)
{
	struct list *link;
	(void)d;
	while ((link = list_pop_front(&w.fetches))) {
		struct fetch_request *f = CONTAINER_OF(link, struct fetch_request, link);
		if (w.is_fetch_held)
			w.held = f;
		else
			finish(f);
	}
}

static void fetch_begin(struct fetch *fetch, struct fetch_request *f)
{
	(void)fetch;
	assert_int_equal(f->address_count, 1);
	assert_true(str_ends_fold(f->url, STR("/.well-known/mta-sts.txt")));
	buf_init(&f->body, FETCH_BYTES_MAX);
	w.fetch_count++;
	list_push_back(&w.fetches, &f->link);
	env_defer(&w.env.env, &w.fetch_step);
}

static void fetch_drop(struct fetch *fetch, struct fetch_request *f)
{
	(void)fetch;
	w.cancel_count++;
	if (f == w.held)
		w.held = NULL;
	else
		list_remove(&f->link);
}

static const struct fetch_ops fetch_ops = { .start = fetch_begin, .cancel = fetch_drop };

/* ---- the world ---- */

static void front_submit(struct store *store, struct store_op *op)
{
	(void)store;
	if (w.is_shelf_broken && !store_kind_is_write(op->kind)) {
		op->err = ERR_IO;
		op->on_done(op);
		return;
	}
	w.store->ops->submit(w.store, op);
}

static const struct store_ops front_ops = { .submit = front_submit };

static void open_sts(bool has_fetch)
{
	w.resolver = resolver_new(&w.env.env, &w.dns, w.conf);
	w.sts = sts_new(&(struct sts_params){ .env = &w.env.env,
		.resolver = w.resolver,
		.store = &w.front,
		.fetch = has_fetch ? &w.fetch : NULL,
		.conf = w.conf });
	sts_start(w.sts);
}

static void close_sts(void)
{
	sts_free(w.sts);
	resolver_free(w.resolver);
}

static int setup(void **state)
{
	struct buf message;
	(void)state;
	memset(&w, 0, sizeof(w));
	snprintf(w.directory, sizeof(w.directory), "/tmp/outlast-sts-XXXXXX");
	CHECK(mkdtemp(w.directory));
	sim_clock_init(&w.clock, 1, NULL);
	sim_env_init(&w.env, &w.clock, SIM_EPOCH_MS);
	buf_init(&message, 4096);
	CHECK(store_sync_open(&w.env.env, str_from_c(w.directory),
		      &(struct store_options){ .wal_limit_pages = 1000 }, &w.store,
		      &message) == OK);
	buf_fini(&message);
	w.front.ops = &front_ops;
	w.dns.ops = &dns_ops;
	w.fetch.ops = &fetch_ops;
	list_init(&w.queries);
	list_init(&w.fetches);
	w.dns_step.on_run = on_dns_step;
	w.fetch_step.on_run = on_fetch_step;
	w.conf = conf_default();
	w.type = "text/plain";
	w.fetch_status = 200;
	w.record = "v=STSv1; id=1;";
	w.policy = POLICY_OF("mx.one.test");
	open_sts(true);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	close_sts();
	store_close(w.store);
	conf_unref(w.conf);
	sim_env_fini(&w.env);
	sim_clock_fini(&w.clock);
	snprintf(command, sizeof(command), "rm -rf %s", w.directory);
	return system(command) == 0 ? 0 : -1;
}

/* Lets all that is to be done within ms of time happen. */
static void run(int64_t ms)
{
	int64_t end_ms = w.clock.now_ms + ms;
	for (;;) {
		struct mono own = timers_next(&w.env.timers), world = timers_next(&w.clock.timers);
		int64_t at_ms = (own.ms < world.ms ? own.ms : world.ms) - SIM_MONO_START_MS;
		if (at_ms > end_ms)
			break;
		if (at_ms > w.clock.now_ms)
			w.clock.now_ms = at_ms;
		timers_run(&w.clock.timers, sim_now(&w.clock));
		timers_run(&w.env.timers, sim_now(&w.clock));
	}
	w.clock.now_ms = end_ms;
}

static void on_done(struct tls_policy_query *q)
{
	struct ask *a = CONTAINER_OF(q, struct ask, query);
	a->is_done = true;
	a->problem = q->problem;
	if (!q->policy)
		return;
	a->mode = q->policy->mode;
	if (q->policy->mx_count > 0)
		snprintf(a->mx, sizeof(a->mx), "%.*s", STR_FMT(q->policy->mx[0]));
}

static void start(struct ask *a, const char *domain)
{
	*a = (struct ask){ .query = { .domain = str_from_c(domain), .on_done = on_done } };
	sts_policies(w.sts)->ops->start(sts_policies(w.sts), &a->query);
	assert_false(a->is_done);
}

/* The first mx of the policy, "" for none. */
static const char *ask(const char *domain)
{
	static struct ask a;
	start(&a, domain);
	run(100);
	assert_true(a.is_done);
	assert_null(a.problem);
	return a.mx;
}

static void restart(void)
{
	close_sts();
	open_sts(true);
}

/* ---- tests ---- */

static void test_a_policy_is_fetched_once_and_kept_on_disk(void **state)
{
	struct ask a, b;
	(void)state;
	start(&a, "one.test");
	start(&b, "one.test");
	run(100);
	assert_string_equal(a.mx, "mx.one.test");
	assert_string_equal(b.mx, "mx.one.test");
	assert_int_equal(a.mode, STS_ENFORCE);
	assert_int_equal(w.fetch_count, 1);
	assert_int_equal(w.txt_count, 1);
	for (int i = 0; i < 100; i++)
		assert_string_equal(ask("one.test"), "mx.one.test");
	assert_int_equal(w.txt_count, 1);
	restart();
	w.is_dns_silent = true;
	assert_string_equal(ask("one.test"), "mx.one.test");
	assert_int_equal(w.fetch_count, 1);
}

static void test_no_record_costs_one_look_up_by_ttl(void **state)
{
	(void)state;
	w.record = NULL;
	for (int i = 0; i < 50; i++)
		assert_string_equal(ask("one.test"), "");
	assert_int_equal(w.txt_count, 1);
	run(600 * SECOND_MS);
	assert_string_equal(ask("one.test"), "");
	assert_int_equal(w.txt_count, 2);
	assert_int_equal(w.fetch_count, 0);
}

static void test_a_new_id_brings_the_new_policy_behind_the_old(void **state)
{
	(void)state;
	assert_string_equal(ask("one.test"), "mx.one.test");
	w.record = "v=STSv1; id=2;";
	w.policy = POLICY_OF("mx.two.test");
	run(601 * SECOND_MS);
	w.is_fetch_held = true;
	assert_string_equal(ask("one.test"), "mx.one.test");
	assert_non_null(w.held);
	finish(w.held);
	w.is_fetch_held = false;
	assert_string_equal(ask("one.test"), "mx.two.test");
	assert_int_equal(w.fetch_count, 2);
	/* and a policy that is gone bad does not take its place */
	w.record = "v=STSv1; id=3;";
	w.policy = "nonsense";
	run(601 * SECOND_MS);
	(void)ask("one.test");
	assert_string_equal(ask("one.test"), "mx.two.test");
	assert_int_equal(w.fetch_count, 3);
	struct sts_view view;
	assert_true(sts_look(w.sts, STR("one.test"), &view));
	assert_true(view.is_policy_bad && view.failed.ms > 0);
}

static void test_an_outage_keeps_the_policy_across_a_restart(void **state)
{
	(void)state;
	assert_string_equal(ask("one.test"), "mx.one.test");
	w.fetch_err = ERR_UNREACHABLE;
	run(8 * DAY_MS); /* a week was its max_age */
	restart();
	assert_string_equal(ask("one.test"), "mx.one.test");
	w.is_dns_silent = true;
	run(10 * DAY_MS);
	assert_string_equal(ask("one.test"), "mx.one.test");
	run(25 * DAY_MS);
	assert_string_equal(ask("one.test"), "");
	/* what DNS itself takes back is over with its time */
	w.is_dns_silent = false;
	w.fetch_err = OK;
	run(DAY_MS);
	assert_string_equal(ask("one.test"), "mx.one.test");
	w.record = NULL;
	w.fetch_err = ERR_UNREACHABLE;
	run(6 * DAY_MS);
	assert_string_equal(ask("one.test"), "mx.one.test");
	run(2 * DAY_MS);
	assert_string_equal(ask("one.test"), "");
	restart();
	assert_string_equal(ask("one.test"), "");
}

static void test_a_failure_leaves_mail_without_and_is_tried_later(void **state)
{
	(void)state;
	w.fetch_err = ERR_TLS;
	for (int i = 0; i < 20; i++)
		assert_string_equal(ask("one.test"), "");
	assert_int_equal(w.fetch_count, 1);
	w.fetch_err = OK;
	w.type = "text/html";
	run(6 * MINUTE_MS);
	assert_string_equal(ask("one.test"), "");
	assert_int_equal(w.fetch_count, 2);
	w.type = "text/plain";
	run(12 * MINUTE_MS);
	assert_string_equal(ask("one.test"), "mx.one.test");
	assert_int_equal(w.fetch_count, 3);
}

static void test_mode_none_and_max_age_zero_bind_nobody(void **state)
{
	struct ask a;
	(void)state;
	w.policy = "version: STSv1\nmode: none\nmax_age: 86400\n";
	start(&a, "one.test");
	run(100);
	assert_true(a.is_done && a.mode == STS_NONE && a.mx[0] == '\0');
	run(700 * SECOND_MS);
	w.record = "v=STSv1; id=2;";
	w.policy = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 0\n";
	(void)ask("one.test");
	assert_string_equal(ask("one.test"), "");
	restart();
	w.is_dns_silent = true;
	assert_string_equal(ask("one.test"), "");
}

static void test_a_shelf_that_fails_lets_mail_wait(void **state)
{
	struct ask a;
	(void)state;
	assert_string_equal(ask("one.test"), "mx.one.test");
	restart();
	w.is_shelf_broken = true;
	start(&a, "one.test");
	run(100);
	assert_true(a.is_done && a.problem && a.mx[0] == '\0');
	w.is_shelf_broken = false;
	assert_string_equal(ask("one.test"), "mx.one.test");
}

static void test_the_walk_renews_what_is_used(void **state)
{
	(void)state;
	assert_string_equal(ask("one.test"), "mx.one.test");
	for (int i = 0; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "d%02d.test", i);
		(void)ask(name);
	}
	assert_int_equal(w.fetch_count, 21);
	run(26 * HOUR_MS);
	assert_int_equal(w.fetch_count, 42);
	/* also what only the disk knows; nobody asks again, and after a month it rests */
	restart();
	run(26 * HOUR_MS);
	assert_int_equal(w.fetch_count, 63);
	run(40 * DAY_MS);
	assert_true(w.fetch_count < 21 * 34);
	size_t after = w.fetch_count;
	run(5 * DAY_MS);
	assert_int_equal(w.fetch_count, after);
}

static void test_memory_is_bounded(void **state)
{
	(void)state;
	w.record = NULL;
	for (int i = 0; i < STS_DOMAINS_MAX + 100; i++) {
		char name[32];
		snprintf(name, sizeof(name), "d%d.test", i);
		(void)ask(name);
	}
	struct sts_view view;
	assert_false(sts_look(w.sts, STR("d0.test"), &view));
	assert_true(sts_look(w.sts, STR("d4195.test"), &view));
	uint32_t count = 0;
	for (int i = 0; i < STS_DOMAINS_MAX + 100; i++) {
		char name[32];
		snprintf(name, sizeof(name), "d%d.test", i);
		count += sts_look(w.sts, str_from_c(name), &view);
	}
	assert_int_equal(count, STS_DOMAINS_MAX);
}

static void test_a_stop_answers_and_leaves_nothing_behind(void **state)
{
	struct ask a, b;
	(void)state;
	w.is_fetch_held = true;
	start(&a, "one.test");
	start(&b, "one.test");
	run(100);
	assert_false(a.is_done);
	assert_non_null(w.held);
	sts_policies(w.sts)->ops->cancel(sts_policies(w.sts), &b.query);
	sts_stop(w.sts);
	run(100);
	assert_true(a.is_done && a.problem);
	assert_false(b.is_done);
	assert_int_equal(w.cancel_count, 1);
	assert_false(sts_is_busy(w.sts));
	start(&a, "two.test");
	run(100);
	assert_true(a.is_done && a.problem);
}

static void test_without_a_helper_what_is_kept_still_binds(void **state)
{
	(void)state;
	assert_string_equal(ask("one.test"), "mx.one.test");
	close_sts();
	open_sts(false);
	run(2 * DAY_MS);
	assert_string_equal(ask("one.test"), "mx.one.test");
	assert_string_equal(ask("two.test"), "");
	assert_int_equal(w.txt_count, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_policy_is_fetched_once_and_kept_on_disk),
		T(test_no_record_costs_one_look_up_by_ttl),
		T(test_a_new_id_brings_the_new_policy_behind_the_old),
		T(test_an_outage_keeps_the_policy_across_a_restart),
		T(test_a_failure_leaves_mail_without_and_is_tried_later),
		T(test_mode_none_and_max_age_zero_bind_nobody),
		T(test_a_shelf_that_fails_lets_mail_wait),
		T(test_the_walk_renews_what_is_used),
		T(test_memory_is_bounded),
		T(test_a_stop_answers_and_leaves_nothing_behind),
		T(test_without_a_helper_what_is_kept_still_binds),
	};
#undef T
	return cmocka_run_group_tests(tests, NULL, NULL);
}
