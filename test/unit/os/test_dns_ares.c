/* Tests of os/dns_ares against name servers in this process, on loopback: UDP and TCP, each with a
 * script. */
#include "unit/os/fixture_os.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os_dns.h"
#include "unit/os/fixture_dns.h"

enum act {
	ACT_ANSWER,
	ACT_SILENT,
	ACT_SERVFAIL,
	ACT_EMPTY, /* a datagram without octets */
	ACT_WRONG_ID,
	ACT_TRUNCATE, /* over UDP; the whole over TCP */
	ACT_FORMERR_TO_EDNS,
	ACT_ALIAS,          /* the first question gets a bare CNAME, the next its address */
	ACT_ALIAS_UNSIGNED, /* the same, and only the second reply has AD */
	ACT_UNSIGNED,       /* an answer without AD */
	ACT_ELSEWHERE,      /* the right answer, from another port than the one that was asked */
	ACT_NOT_ASKED       /* an answer of another name, and one of this name behind it: poison */
};

struct server {
	enum act act;
	int udp, tcp, peer;
	struct endpoint at;
	size_t query_count;
	size_t tcp_count;
	uint16_t ports[256]; /* where queries came from */
	uint16_t ids[256];
	size_t last_query_len;
};

struct dns_fixture {
	struct fixture base;
	struct os_dns dns;
	struct server servers[2];
	struct timer tick;
};

struct asking {
	struct dns_query query;
	size_t done_count;
};

static void on_tick(struct timer *t)
{
	(void)t;
}

static void on_done(struct dns_query *q)
{
	CONTAINER_OF(q, struct asking, query)->done_count++;
}

/* The port that UDP got may be in use for TCP: another one then. */
static bool server_bind(struct server *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	*s = (struct server){ .peer = -1 };
	s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->udp, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(s->udp, (struct sockaddr *)&at, &len), 0);
	s->at = (struct endpoint){ .family = FAMILY_IPV4, .port = ntohs(at.sin_port) };
	memcpy(s->at.ip, &at.sin_addr, 4);
	return bind(s->tcp, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void server_close(struct server *s);

static void server_open(struct server *s)
{
	for (int i = 0; !server_bind(s); i++) {
		assert_true(i < 20);
		server_close(s);
	}
	assert_int_equal(listen(s->tcp, 10), 0);
}

static void server_close(struct server *s)
{
	close(s->udp);
	close(s->tcp);
	if (s->peer >= 0)
		close(s->peer);
}

/* The same port at another address of this machine, UDP alone. */
static void server_rebind(struct server *s, const struct endpoint *to)
{
	struct sockaddr_in at = { .sin_family = AF_INET };

	close(s->udp);
	s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	memcpy(&at.sin_addr, to->ip, 4);
	socklen_t len = sizeof(at);
	assert_int_equal(bind(s->udp, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(s->udp, (struct sockaddr *)&at, &len), 0);
	s->at = *to;
	s->at.port = ntohs(at.sin_port);
}

/* The question's name, from the query's octets. */
static void question_name(const uint8_t *query, char *out)
{
	size_t at = 12, len = 0;

	while (query[at] != 0) {
		if (len > 0)
			out[len++] = '.';
		memcpy(out + len, query + at + 1, query[at]);
		len += query[at];
		at += query[at] + 1u;
	}
	out[len] = '\0';
}

static void build_reply(const struct server *s, const uint8_t *query, struct message *out)
{
	uint16_t id = (uint16_t)(query[0] << 8 | query[1]);
	bool has_edns = query[11] == 1;
	unsigned flags = REPLY | AUTHENTIC;
	char name[256];

	question_name(query, name);
	if (s->act == ACT_SERVFAIL)
		flags |= SERVFAIL;
	if (s->act == ACT_FORMERR_TO_EDNS && has_edns)
		flags |= FORMERR;
	if (s->act == ACT_UNSIGNED || (s->act == ACT_ALIAS_UNSIGNED && s->query_count == 1))
		flags &= ~(unsigned)AUTHENTIC;
	if (s->act == ACT_WRONG_ID)
		id ^= 1;
	message_begin(out, id, flags, s->act == ACT_NOT_ASKED ? "other.example" : name, T_A);
	if ((s->act == ACT_ALIAS || s->act == ACT_ALIAS_UNSIGNED) && s->query_count == 1)
		message_cname(out, name, "target.example");
	else if ((flags & 0xf) == 0)
		message_a(out, name, "\x0a\x01\x02\x03");
}

static void server_poll_udp(struct server *s)
{
	static struct message reply;
	uint8_t query[512];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(s->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

	if (n < 12)
		return;
	s->ports[s->query_count % 256] = from.sin_port;
	s->ids[s->query_count % 256] = (uint16_t)(query[0] << 8 | query[1]);
	s->query_count++;
	s->last_query_len = (size_t)n;
	if (s->act == ACT_SILENT)
		return;
	build_reply(s, query, &reply);
	if (s->act == ACT_TRUNCATE) {
		reply.data[2] |= 0x02;
		reply.len = (size_t)n;
		memset(reply.data + ANSWER, 0, 6);
	}
	if (s->act == ACT_EMPTY)
		reply.len = 0;
	int fd = s->act == ACT_ELSEWHERE ? socket(AF_INET, SOCK_DGRAM, 0) : s->udp;
	sendto(fd, reply.data, reply.len, 0, (struct sockaddr *)&from, from_len);
	if (fd != s->udp)
		close(fd);
}

static void server_poll_tcp(struct server *s)
{
	static struct message reply;
	uint8_t query[512];

	if (s->peer < 0)
		s->peer = accept(s->tcp, NULL, NULL);
	if (s->peer < 0)
		return;
	ssize_t n = recv(s->peer, query, sizeof(query), MSG_DONTWAIT);
	if (n < 14)
		return;
	s->tcp_count++;
	build_reply(s, query + 2, &reply);
	const uint8_t len[2] = { (uint8_t)(reply.len >> 8), (uint8_t)reply.len };
	assert_int_equal(send(s->peer, len, 2, 0), 2);
	assert_int_equal(send(s->peer, reply.data, reply.len, 0), reply.len);
}

static void turn(struct dns_fixture *f)
{
	env_timer_after(f->base.env, &f->tick, 2);
	os_env_run_once(&f->base.os);
	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 0; n < 300; n++)
			server_poll_udp(&f->servers[i]);
		server_poll_tcp(&f->servers[i]);
	}
}

static void dns_fixture_init(struct dns_fixture *f, enum act first, enum act second)
{
	fixture_init(&f->base, 1);
	f->tick = (struct timer){ .on_fire = on_tick };
	server_open(&f->servers[0]);
	server_open(&f->servers[1]);
	f->servers[0].act = first;
	f->servers[1].act = second;
	const struct endpoint servers[] = { f->servers[0].at, f->servers[1].at };
	struct os_dns_params params = {
		.servers = servers, .server_count = 2, .timeout_ms = 200, .tries = 2
	};
	assert_int_equal(os_dns_init(&f->dns, &f->base.os, &params), OK);
}

static void dns_fixture_fini(struct dns_fixture *f)
{
	os_dns_fini(&f->dns);
	env_timer_stop(f->base.env, &f->tick);
	fixture_fini(&f->base);
	server_close(&f->servers[0]);
	server_close(&f->servers[1]);
}

static void start(struct dns_fixture *f, struct asking *a, const char *name)
{
	*a = (struct asking){
		.query = { .name = str_from_c(name), .type = DNS_A, .on_done = on_done }
	};
	dns_start(&f->dns.dns, &a->query);
	assert_int_equal(a->done_count, 0);
}

static void ask(struct dns_fixture *f, struct asking *a, const char *name)
{
	struct mono begin = env_now(f->base.env);

	start(f, a, name);
	while (a->done_count == 0) {
		assert_true(env_now(f->base.env).ms - begin.ms < 10 * SECOND_MS);
		turn(f);
	}
	assert_int_equal(a->done_count, 1);
}

static void assert_found(struct asking *a)
{
	assert_int_equal(a->query.answer.result, DNS_FOUND);
	assert_int_equal(a->query.answer.count, 1);
	assert_memory_equal(a->query.answer.records[0].address.ip, "\x0a\x01\x02\x03", 4);
	assert_true(a->query.answer.is_authentic);
	arena_fini(&a->query.answer.arena);
}

static void test_dns_asks_over_udp(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_ANSWER, ACT_ANSWER);
	ask(&f, &a, "mx.example");
	assert_found(&a);
	assert_int_equal(f.servers[0].query_count, 1);
	assert_int_equal(f.servers[1].query_count, 0);
	dns_fixture_fini(&f);
}

static void test_dns_fails_over(void **state)
{
	static const enum act acts[] = { ACT_SILENT, ACT_SERVFAIL, ACT_EMPTY, ACT_WRONG_ID };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(acts); i++) {
		struct dns_fixture f;
		struct asking a;
		dns_fixture_init(&f, acts[i], ACT_ANSWER);
		ask(&f, &a, "mx.example");
		assert_found(&a);
		assert_int_equal(f.servers[0].query_count, 1);
		dns_fixture_fini(&f);
	}
}

static void test_dns_remembers_which_server_is_silent(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_SILENT, ACT_ANSWER);
	for (int i = 0; i < 3; i++) {
		ask(&f, &a, "mx.example");
		assert_found(&a);
	}
	assert_int_equal(f.servers[0].query_count, 1);
	dns_fixture_fini(&f);
}

static void test_dns_gives_up_with_a_reason(void **state)
{
	static const struct {
		enum act act;
		const char *problem;
	} rows[] = {
		{ ACT_SILENT, "timeout" },
		{ ACT_SERVFAIL, "SERVFAIL" },
		{ ACT_WRONG_ID, "timeout" },
		{ ACT_EMPTY, "timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct dns_fixture f;
		struct asking a;
		dns_fixture_init(&f, rows[i].act, rows[i].act);
		ask(&f, &a, "mx.example");
		assert_int_equal(a.query.answer.result, DNS_TEMPORARY);
		assert_string_equal(a.query.answer.problem, rows[i].problem);
		assert_int_equal(f.servers[0].query_count, 2);
		assert_int_equal(f.servers[1].query_count, 2);
		arena_fini(&a.query.answer.arena);
		dns_fixture_fini(&f);
	}
}

static void test_dns_truncated_reply_is_asked_again_over_tcp(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_TRUNCATE, ACT_SILENT);
	ask(&f, &a, "mx.example");
	assert_found(&a);
	assert_int_equal(f.servers[0].tcp_count, 1);
	dns_fixture_fini(&f);
}

static void test_dns_does_without_edns(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_FORMERR_TO_EDNS, ACT_SILENT);
	for (size_t i = 1; i <= 2; i++) {
		ask(&f, &a, "mx.example");
		assert_found(&a);
		/* each query tries EDNS first: one FORMERR does not switch it off */
		assert_int_equal(f.servers[0].query_count, 2 * i);
	}
	dns_fixture_fini(&f);
}

static void test_dns_asks_for_an_alias_target(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_ALIAS, ACT_SILENT);
	ask(&f, &a, "www.example");
	assert_int_equal(a.query.answer.ttl_s, 60);
	assert_found(&a);
	assert_int_equal(f.servers[0].query_count, 2);
	dns_fixture_fini(&f);
}

/* The whole way must be signed: one unsigned alias is enough to lead anywhere. */
static void test_dns_unsigned_alias_makes_the_answer_unsigned(void **state)
{
	static const enum act acts[] = { ACT_ALIAS_UNSIGNED, ACT_UNSIGNED };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(acts); i++) {
		struct dns_fixture f;
		struct asking a;

		dns_fixture_init(&f, acts[i], ACT_SILENT);
		ask(&f, &a, "www.example");
		assert_int_equal(a.query.answer.result, DNS_FOUND);
		assert_false(a.query.answer.is_authentic);
		arena_fini(&a.query.answer.arena);
		dns_fixture_fini(&f);
	}
}

/* The machine's own address is not loopback: nobody vouches for the way to a resolver there unless the operator does. */
static bool own_address(struct endpoint *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9) };
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1: nothing is sent there */
	bool has_way = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		       getsockname(fd, (struct sockaddr *)&at, &len) == 0;
	close(fd);
	out->family = FAMILY_IPV4;
	memcpy(out->ip, &at.sin_addr, 4);
	return has_way && !endpoint_is_loopback(out);
}

static void test_dns_ad_of_a_distant_resolver_is_only_its_word(void **state)
{
	(void)state;
	for (int trusts_ad = 0; trusts_ad <= 1; trusts_ad++) {
		struct dns_fixture f;
		struct asking a;
		struct endpoint own;

		if (!own_address(&own))
			skip();
		dns_fixture_init(&f, ACT_ANSWER, ACT_SILENT);
		server_rebind(&f.servers[0], &own);
		os_dns_fini(&f.dns);
		struct os_dns_params params = { .servers = &f.servers[0].at,
			.server_count = 1,
			.timeout_ms = 200,
			.tries = 2,
			.trusts_ad = trusts_ad };
		assert_int_equal(os_dns_init(&f.dns, &f.base.os, &params), OK);
		ask(&f, &a, "mx.example");
		assert_int_equal(a.query.answer.result, DNS_FOUND);
		assert_int_equal(a.query.answer.is_authentic, trusts_ad);
		assert_false(a.query.answer.is_unvouched); /* there is no better one */
		arena_fini(&a.query.answer.arena);
		dns_fixture_fini(&f);
	}
}

/* Whoever knows id and port, but cannot send as the resolver, is not heard. */
static void test_dns_reply_from_elsewhere_is_not_heard(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_ELSEWHERE, ACT_ELSEWHERE);
	ask(&f, &a, "mx.example");
	assert_int_equal(a.query.answer.result, DNS_TEMPORARY);
	assert_string_equal(a.query.answer.problem, "timeout");
	arena_fini(&a.query.answer.arena);
	dns_fixture_fini(&f);
}

/* The one on this host is silent: what the other one says of DNSSEC is nothing, and that is said. */
static void test_dns_distant_resolver_in_place_of_ours_is_told_apart(void **state)
{
	struct dns_fixture f;
	struct asking a;
	struct endpoint own;

	(void)state;
	if (!own_address(&own))
		skip();
	dns_fixture_init(&f, ACT_SILENT, ACT_ANSWER);
	server_rebind(&f.servers[1], &own);
	os_dns_fini(&f.dns);
	const struct endpoint servers[] = { f.servers[0].at, f.servers[1].at };
	struct os_dns_params params = {
		.servers = servers, .server_count = 2, .timeout_ms = 200, .tries = 1
	};
	assert_int_equal(os_dns_init(&f.dns, &f.base.os, &params), OK);
	ask(&f, &a, "mx.example");
	assert_int_equal(a.query.answer.result, DNS_FOUND);
	assert_false(a.query.answer.is_authentic);
	assert_true(a.query.answer.is_unvouched);
	arena_fini(&a.query.answer.arena);
	dns_fixture_fini(&f);
}

/* A reply to another question, which a blind forger or a confused cache may send, is none. */
static void test_dns_reply_to_another_question_is_no_answer(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_NOT_ASKED, ACT_NOT_ASKED);
	ask(&f, &a, "mx.example");
	assert_int_equal(a.query.answer.result, DNS_TEMPORARY);
	assert_int_equal(a.query.answer.count, 0);
	arena_fini(&a.query.answer.arena);
	dns_fixture_fini(&f);
}

static void test_dns_ids_and_ports_differ(void **state)
{
	enum { COUNT = 40 };
	struct dns_fixture f;
	struct asking a[COUNT];
	size_t same_ports = 0, same_ids = 0;

	(void)state;
	dns_fixture_init(&f, ACT_ANSWER, ACT_SILENT);
	for (size_t i = 0; i < COUNT; i++) {
		ask(&f, &a[i], "mx.example");
		assert_found(&a[i]);
		if (i > 0) {
			same_ports += f.servers[0].ports[i] == f.servers[0].ports[i - 1];
			same_ids += f.servers[0].ids[i] == f.servers[0].ids[i - 1];
		}
	}
	assert_true(same_ports <= 3);
	assert_true(same_ids <= 3);
	dns_fixture_fini(&f);
}

static void test_dns_many_queries_wait_for_their_turn(void **state)
{
	enum { COUNT = 250 };
	static struct asking a[COUNT];
	struct dns_fixture f;
	size_t done_count = 0;

	(void)state;
	dns_fixture_init(&f, ACT_ANSWER, ACT_ANSWER);
	for (size_t i = 0; i < COUNT; i++)
		start(&f, &a[i], "mx.example");
	dns_cancel(&f.dns.dns, &a[0].query);         /* under way */
	dns_cancel(&f.dns.dns, &a[COUNT - 1].query); /* waiting */
	for (int turns = 0; turns < 5000 && done_count < COUNT - 2; turns++) {
		turn(&f);
		done_count = 0;
		for (size_t i = 0; i < COUNT; i++)
			done_count += a[i].done_count;
	}
	assert_int_equal(done_count, COUNT - 2);
	assert_int_equal(a[0].done_count, 0);
	assert_int_equal(a[COUNT - 1].done_count, 0);
	for (size_t i = 1; i < COUNT - 1; i++)
		assert_found(&a[i]);
	dns_fixture_fini(&f);
}

static void test_dns_ill_formed_name_is_no_answer(void **state)
{
	static char name[400];
	struct dns_fixture f;
	struct asking a;

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	dns_fixture_init(&f, ACT_ANSWER, ACT_ANSWER);
	ask(&f, &a, name);
	assert_int_equal(a.query.answer.result, DNS_TEMPORARY);
	assert_string_equal(a.query.answer.problem, "ill-formed name");
	assert_int_equal(f.servers[0].query_count, 0);
	arena_fini(&a.query.answer.arena);
	dns_fixture_fini(&f);
}

static void test_dns_closed_port_fails_fast(void **state)
{
	struct dns_fixture f;
	struct asking a;

	(void)state;
	dns_fixture_init(&f, ACT_ANSWER, ACT_ANSWER);
	close(f.servers[0].udp);
	f.servers[0].udp = -1;
	struct mono begin = env_now(f.base.env);
	ask(&f, &a, "mx.example");
	assert_found(&a);
	assert_true(env_now(f.base.env).ms - begin.ms < 200);
	dns_fixture_fini(&f);
}

static void test_dns_fini_drops_open_queries(void **state)
{
	struct dns_fixture f;
	static struct asking a[150];

	(void)state;
	dns_fixture_init(&f, ACT_SILENT, ACT_SILENT);
	for (size_t i = 0; i < 150; i++)
		start(&f, &a[i], "mx.example");
	turn(&f);
	dns_fixture_fini(&f);
	for (size_t i = 0; i < 150; i++)
		assert_int_equal(a[i].done_count, 0);
}

static void test_dns_system_servers_are_used_by_default(void **state)
{
	struct fixture f;
	struct os_dns dns;
	struct os_dns_params params = { .timeout_ms = OS_DNS_TIMEOUT_MS, .tries = OS_DNS_TRIES };

	(void)state;
	fixture_init(&f, 1);
	assert_int_equal(os_dns_init(&dns, &f.os, &params), OK);
	os_dns_fini(&dns);
	fixture_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns_asks_over_udp),
		cmocka_unit_test(test_dns_fails_over),
		cmocka_unit_test(test_dns_remembers_which_server_is_silent),
		cmocka_unit_test(test_dns_gives_up_with_a_reason),
		cmocka_unit_test(test_dns_truncated_reply_is_asked_again_over_tcp),
		cmocka_unit_test(test_dns_does_without_edns),
		cmocka_unit_test(test_dns_asks_for_an_alias_target),
		cmocka_unit_test(test_dns_unsigned_alias_makes_the_answer_unsigned),
		cmocka_unit_test(test_dns_ad_of_a_distant_resolver_is_only_its_word),
		cmocka_unit_test(test_dns_distant_resolver_in_place_of_ours_is_told_apart),
		cmocka_unit_test(test_dns_reply_from_elsewhere_is_not_heard),
		cmocka_unit_test(test_dns_reply_to_another_question_is_no_answer),
		cmocka_unit_test(test_dns_ids_and_ports_differ),
		cmocka_unit_test(test_dns_many_queries_wait_for_their_turn),
		cmocka_unit_test(test_dns_ill_formed_name_is_no_answer),
		cmocka_unit_test(test_dns_closed_port_fails_fast),
		cmocka_unit_test(test_dns_fini_drops_open_queries),
		cmocka_unit_test(test_dns_system_servers_are_used_by_default),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
