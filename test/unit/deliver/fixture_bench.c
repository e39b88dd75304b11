/* fixture_bench - see fixture_bench.h. */
#include "fixture_bench.h"

#include <string.h>

#include "base/check.h"

#define LONGEST_MS (8 * HOUR_MS)

static const char *const addresses[BENCH_RECIPIENTS] = { "a@example.net", "b@example.net",
	"c@example.net" };

static void on_part(struct deferred *d)
{
	struct bench *b = CONTAINER_OF(d, struct bench, part);
	struct str part = STR("Subject: x\r\n\r\nHello\r\n");

	b->parts++;
	b->content.on_part(&b->content, b->is_content_missing ? ERR_NOT_FOUND : OK, part, true);
}

static void next_part(struct content_reader *r)
{
	struct bench *b = CONTAINER_OF(r, struct bench, content);

	env_defer(&b->env.env, &b->part);
}

static void rewind_content(struct content_reader *r)
{
	(void)r;
}

void bench_setup(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	fixture_env_init(&b->env);
	fixture_net_init(&b->net, &b->env);
	b->conf = conf_default();
	b->pool = pool_new(&b->env.env, &b->net.net, b->conf);
	b->route.site = STR("example.net");
	b->route.tls = TLS_OPPORTUNISTIC;
	b->message = (struct envelope){
		.id = 1, .reverse_path = STR("s@example.org"), .size_bytes = 20
	};
	b->content.next = next_part;
	b->content.rewind = rewind_content;
	b->part.on_run = on_part;
	for (uint32_t i = 0; i < BENCH_RECIPIENTS; i++) {
		b->recipients[i].rcpt.number = i + 1;
		b->recipients[i].rcpt.address = str_from_c(addresses[i]);
	}
}

static void end_attempt(struct bench *b)
{
	attempt_cancel(&b->attempt);
	attempt_fini(&b->attempt);
}

void bench_teardown(struct bench *b)
{
	end_attempt(b);
	pool_free(b->pool);
	fixture_env_settle(&b->env);
	CHECK(b->env.metrics.value[METRIC_connections_open] == 0);
	fixture_net_fini(&b->net);
	arena_fini(&b->route.arena);
	conf_unref(b->conf);
	fixture_env_fini(&b->env);
}

struct fixture_server *bench_add_server(struct bench *b, const char *ip)
{
	static const struct str names[FIXTURE_SERVERS_MAX] = { { "mx0", 3 }, { "mx1", 3 },
		{ "mx2", 3 }, { "mx3", 3 }, { "mx4", 3 }, { "mx5", 3 }, { "mx6", 3 },
		{ "mx7", 3 } };
	struct fixture_server *s = fixture_net_add(&b->net, ip);
	uint32_t i = b->route.target_count++;

	b->route.targets[i] = (struct route_target){
		.host = names[i],
		.preference = (uint16_t)(10 * i),
		.address = s->at,
		.is_vouched = true,
	};
	return s;
}

static void on_done(struct attempt *a)
{
	CONTAINER_OF(a, struct bench, attempt)->done++;
}

void bench_start(struct bench *b, uint32_t recipient_count)
{
	end_attempt(b);
	for (uint32_t i = 0; i < b->route.target_count; i++) {
		struct route_target *t = &b->route.targets[i];

		if (t->tls.authority == TLS_BY_CONF)
			t->tls.policy = b->route.tls;
		t->session_key = route_key_of(
			b->conf, b->route.conf_route, t->host, &t->tls, &b->route.arena);
	}
	b->attempt = (struct attempt){
		.env = &b->env.env,
		.net = &b->net.net,
		.pool = b->pool,
		.conf = b->conf,
		.policy = &b->conf->policy,
		.message = &b->message,
		.recipients = b->recipients,
		.recipient_count = recipient_count,
		.content = &b->content,
		.route = &b->route,
		.is_probe = b->is_probe,
		.is_known_good = b->is_known_good,
		.is_limited = b->is_limited,
		.on_done = on_done,
	};
	b->done = 0;
	attempt_start(&b->attempt);
	CHECK(b->done == 0);
}

void bench_run(struct bench *b, uint32_t recipient_count)
{
	bench_start(b, recipient_count);
	for (int64_t ms = 0; b->done == 0 && ms < LONGEST_MS; ms += SECOND_MS) {
		fixture_env_settle(&b->env);
		if (b->done == 0)
			fixture_env_advance(&b->env, SECOND_MS);
	}
	CHECK(b->done == 1);
}
