/* fixture_relay - see fixture_relay.h. The destination speaks just enough SMTP, a line at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixture_relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "deliver/route.h"
#include "store/store_sqlite.h"

#define CONTENT STR("Subject: x\r\n\r\nhello\r\n")
#define SITE STR("mx.dest.test")

/* ---- the destination ---- */

struct peer {
	struct fixture_relay *f;
	struct list link; /* of the fixture's peers */
	struct conn *conn;
	struct buf line;
	struct timer late;
	bool is_data;
};

static void peer_say(struct peer *p, const char *text)
{
	sim_sock_write(p->conn, str_from_c(text));
}

static void on_late(struct timer *t)
{
	peer_say(CONTAINER_OF(t, struct peer, late), "250 ok\r\n");
}

static void peer_end(struct peer *p, bool is_reset)
{
	sim_stop(&p->f->clock, &p->late);
	sim_sock_close(p->conn, is_reset);
	list_remove(&p->link);
	buf_fini(&p->line);
	free(p);
}

static void answer_rcpt(struct peer *p)
{
	struct fixture_relay *f = p->f;

	if (f->defer_count > 0) {
		f->defer_count--;
		peer_say(p, "450 4.2.1 later\r\n");
	} else if (f->rcpt_delay_ms > 0) {
		p->late.on_fire = on_late;
		sim_after(&f->clock, &p->late, f->rcpt_delay_ms);
		f->rcpt_delay_ms = 0;
	} else {
		peer_say(p, "250 ok\r\n");
	}
}

/* False: the connection is gone. */
static bool peer_line(struct peer *p, struct str line)
{
	struct fixture_relay *f = p->f;

	if (!p->is_data && f->drop_at && str_starts_fold(line, str_from_c(f->drop_at))) {
		peer_end(p, true);
		return false;
	}
	if (!p->is_data && f->limit_count > 0 && str_starts_fold(line, str_from_c(f->limit_at))) {
		f->limit_count--;
		f->limited++;
		peer_say(p, "421 4.7.0 slow down\r\n");
		peer_end(p, false);
		return false;
	}
	if (p->is_data) {
		if (!str_equal(line, STR(".")))
			return true;
		p->is_data = false;
		f->delivered++;
		peer_say(p, "250 taken\r\n");
	} else if (f->refuse_at && str_starts_fold(line, str_from_c(f->refuse_at))) {
		f->rcpt_count++;
		peer_say(p, f->refuse_text);
	} else if (str_starts_fold(line, STR("RCPT"))) {
		f->rcpt_count++;
		answer_rcpt(p);
	} else if (str_starts_fold(line, STR("DATA"))) {
		p->is_data = true;
		f->data_count++;
		peer_say(p, "354 go\r\n");
	} else if (str_starts_fold(line, STR("QUIT"))) {
		peer_end(p, false);
		return false;
	} else {
		peer_say(p, "250 ok\r\n");
	}
	return true;
}

static void on_read(void *user, struct str octets)
{
	struct peer *p = user;

	for (size_t i = 0; i < octets.len; i++) {
		buf_append_char(&p->line, octets.data[i]);
		if (octets.data[i] != '\n')
			continue;
		if (!peer_line(p, str_slice(buf_str(&p->line), 0, p->line.len - 2)))
			return;
		p->line.len = 0;
	}
}

static void on_end(void *user, enum err err)
{
	(void)err;
	peer_end(user, false);
}

static const struct sim_sock_handler peer_handler = { .on_read = on_read, .on_end = on_end };

static void on_peer(void *user, const struct endpoint *to, struct conn *c)
{
	struct fixture_relay *f = user;
	struct peer *p = mem_zalloc(sizeof(*p));

	(void)to;
	p->f = f;
	p->conn = c;
	list_push_back(&f->peers, &p->link);
	buf_init(&p->line, 4096);
	sim_sock_use(c, &peer_handler, p);
	peer_say(p, "220 mx.dest.test\r\n");
}

static void ask(void *user, const struct endpoint *to, struct sim_line *line)
{
	struct fixture_relay *f = user;

	(void)to;
	f->connects++;
	line->latency_ms = 5;
	line->reach = f->is_refusing ? REACH_REFUSE : REACH_ACCEPT;
}

/* ---- the relay ---- */

static void on_submit(struct store *store, struct store_op *op)
{
	struct fixture_relay *f = CONTAINER_OF(store, struct fixture_relay, store);

	f->reads += !store_kind_is_write(op->kind);
	f->inner->ops->submit(f->inner, op);
}

static const struct store_ops counting = { .submit = on_submit };

static void turn(struct fixture_relay *f)
{
	struct mono now = sim_now(&f->clock);

	timers_run(&f->clock.timers, now);
	timers_run(&f->env.timers, now);
}

void fixture_relay_run(struct fixture_relay *f, int64_t ms)
{
	int64_t end_ms = f->clock.now_ms + ms;

	for (;;) {
		struct mono world = timers_next(&f->clock.timers),
			    own = timers_next(&f->env.timers);
		int64_t at_ms = (world.ms < own.ms ? world.ms : own.ms) - SIM_MONO_START_MS;

		if (at_ms > end_ms)
			break;
		if (at_ms > f->clock.now_ms)
			f->clock.now_ms = at_ms;
		turn(f);
	}
	f->clock.now_ms = end_ms;
}

static void open_store(struct fixture_relay *f)
{
	struct buf message;

	sim_env_init(&f->env, &f->clock, SIM_EPOCH_MS + f->clock.now_ms);
	buf_init(&message, 4096);
	CHECK(store_sync_open(&f->env.env, str_from_c(f->directory),
		      &(struct store_options){ .wal_limit_pages = 1000 }, &f->inner,
		      &message) == OK);
	buf_fini(&message);
	f->store.ops = &counting;
}

void fixture_relay_start(struct fixture_relay *f)
{
	const struct relay_params params = { .env = &f->env.env,
		.net = &f->net.net,
		.dns = &f->dns.dns,
		.store = &f->store,
		.conf = f->conf };
	struct buf message;

	buf_init(&message, 4096);
	f->relay = relay_new(&params);
	f->is_stopped = false;
	CHECK(relay_start(f->relay, &message) == OK);
	buf_fini(&message);
}

void fixture_relay_end(struct fixture_relay *f)
{
	sim_net_crash(&f->net);
	sim_dns_crash(&f->dns);
	store_close(f->inner);
	relay_free(f->relay);
	f->relay = NULL;
	sim_env_fini(&f->env);
	open_store(f);
}

static void on_stopped(void *user)
{
	((struct fixture_relay *)user)->is_stopped = true;
}

void fixture_relay_stop(struct fixture_relay *f)
{
	relay_stop(f->relay, on_stopped, f);
}

void fixture_relay_open(struct fixture_relay *f)
{
	struct endpoint address;

	memset(f, 0, sizeof(*f));
	(void)snprintf(f->directory, sizeof(f->directory), "/tmp/outlast-relay-XXXXXX");
	CHECK(mkdtemp(f->directory) != NULL);
	sim_clock_init(&f->clock, 7, NULL);
	sim_net_init(&f->net, &f->clock);
	sim_dns_init(&f->dns, &f->clock);
	list_init(&f->peers);
	f->net.ask = ask;
	f->net.on_peer = on_peer;
	f->net.user = f;
	CHECK(endpoint_parse_ip(&address, STR("203.0.113.9")) == OK);
	sim_dns_add_mx(&f->dns, STR("dest.test"), 10, SITE);
	sim_dns_add_mx(&f->dns, STR("other.test"), 10, SITE);
	sim_dns_add_address(&f->dns, SITE, &address);
	f->conf = conf_default();
	f->conf->hostname = STR("relay.test");
	f->conf->postmaster = STR("postmaster@dest.test");
	f->conf->bounce_from = STR("MAILER-DAEMON@relay.test");
	f->conf->queue.directory = str_from_c(f->directory);
	f->conf->queue.min_free_bytes = 1;
	f->conf->queue.reserve_bytes = 0;
	open_store(f);
}

void fixture_relay_close(struct fixture_relay *f)
{
	char command[128];

	if (f->relay)
		fixture_relay_end(f);
	while (!list_is_empty(&f->peers))
		peer_end(CONTAINER_OF(f->peers.next, struct peer, link), true);
	store_close(f->inner);
	sim_env_fini(&f->env);
	sim_net_fini(&f->net);
	sim_dns_fini(&f->dns);
	conf_unref(f->conf);
	sim_clock_fini(&f->clock);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->directory);
	CHECK(system(command) == 0);
}

/* ---- the queue behind its back ---- */

static void on_done(struct store_op *op)
{
	CHECK(op->err == OK);
}

static void apply(struct fixture_relay *f, struct store_op *op, enum store_kind kind)
{
	op->on_done = on_done;
	store_submit(f->inner, op, kind);
	turn(f);
}

uint64_t fixture_relay_store(
	struct fixture_relay *f, const char *from, const char *domain, uint32_t count)
{
	static uint64_t n;
	struct arena arena = { 0 };
	struct recipient *list = arena_array(&arena, count, sizeof(*list));
	struct envelope env = { .id = queue_id_floor(env_wall(&f->env.env)) + ++n % 1000,
		.accepted = env_wall(&f->env.env),
		.reverse_path = str_from_c(from),
		.priority = f->priority,
		.recipients = list,
		.recipient_count = count };
	struct store_accept accept = { .env = &env, .content = CONTENT };

	env.size_bytes = accept.content.len;
	for (uint32_t i = 0; i < count; i++)
		list[i] = (struct recipient){ .number = i + 1,
			.address = arena_printf(&arena, "u%u@%s", i, domain),
			.domain = str_from_c(domain),
			.hop = str_from_c(domain) };
	apply(f, &accept.op, STORE_ACCEPT);
	store_op_fini(&accept.op);
	arena_fini(&arena);
	return env.id;
}

void fixture_relay_offer(struct fixture_relay *f, uint64_t id, const char *from, const char *domain)
{
	struct message *m = message_new();
	struct recipient rcpt = {
		.number = 1, .domain = str_from_c(domain), .hop = str_from_c(domain)
	};

	rcpt.address = arena_printf(&m->arena, "u0@%s", domain);
	m->env.id = id;
	m->env.accepted = env_wall(&f->env.env);
	m->env.priority = f->priority;
	m->env.reverse_path = arena_dup(&m->arena, str_from_c(from));
	m->env.size_bytes = CONTENT.len;
	m->chunk_count = 1;
	sched_offer(f->relay, m, &rcpt, 1);
	message_unref(m);
}

void fixture_relay_down(struct fixture_relay *f, struct wall next_probe)
{
	struct wall now = env_wall(&f->env.env);
	struct site_record site = { .name = SITE, .window = 5 };
	struct hop_record hop = { .name = STR("dest.test"), .site = SITE };
	struct store_record record = {
		.at = now, .sites = &site, .site_count = 1, .hops = &hop, .hop_count = 1
	};

	health_init(&site.health, now);
	health_init(&hop.health, now);
	site.health.state = HEALTH_DOWN;
	site.health.first_failure = site.health.last_failure = now;
	site.health.failures = HEALTH_DOWN_FAILURES;
	site.health.probe_step_ms = 5 * MINUTE_MS;
	site.health.next_probe = next_probe;
	apply(f, &record.op, STORE_RECORD);
	store_op_fini(&record.op);
}

uint64_t fixture_relay_count(struct fixture_relay *f, enum recipient_state state)
{
	struct store_stats stats = { 0 };

	apply(f, &stats.op, STORE_STATS);
	store_op_fini(&stats.op);
	return stats.recipients[state];
}

int fixture_relay_open_asleep(void **state)
{
	static struct fixture_relay f;

	fixture_relay_open(&f);
	f.conf->policy.probe_unknown_last_ms = f.conf->policy.probe_unknown_first_ms = DAY_MS;
	f.is_refusing = true;
	fixture_relay_down(&f, wall_add(env_wall(&f.env.env), SECOND_MS));
	(void)fixture_relay_store(&f, "s@sender.test", "dest.test", 1);
	fixture_relay_start(&f);
	fixture_relay_run(&f, 10 * SECOND_MS);
	assert_int_equal(f.connects, 1);
	f.is_refusing = false;
	*state = &f;
	return 0;
}

int fixture_relay_close_asleep(void **state)
{
	fixture_relay_run(*state, MINUTE_MS); /* idle sessions end */
	fixture_relay_close(*state);
	return 0;
}
