/* fixture_dns - see fixture_dns.h. */
#include "fixture_dns.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static const char *type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_MX:
		return "MX";
	case DNS_AAAA:
		return "AAAA";
	case DNS_TXT:
		return "TXT";
	case DNS_TLSA:
		return "TLSA";
	}
	return "";
}

/* "3 1 1 a1b2..." */
static void read_tlsa(struct arena *arena, struct str value, struct net_tlsa *out)
{
	uint64_t numbers[3] = { 0 };

	for (size_t i = 0; i < 3; i++)
		CHECK(str_to_u64(str_cut(&value, ' '), &numbers[i]) == OK);
	char *data = arena_alloc(arena, value.len / 2 + 1);
	for (size_t i = 0; i + 1 < value.len; i += 2) {
		char pair[3] = { value.data[i], value.data[i + 1], '\0' };

		data[i / 2] = (char)strtoul(pair, NULL, 16);
	}
	*out = (struct net_tlsa){ (uint8_t)numbers[0], (uint8_t)numbers[1], (uint8_t)numbers[2],
		str_of(data, value.len / 2) };
}

static void add_record(struct dns_answer *a, struct str value, enum dns_type type)
{
	struct dns_record *r;
	struct str first;
	uint64_t preference = 0;

	if (str_equal(value, STR("SERVFAIL"))) {
		a->result = DNS_TEMPORARY;
		a->problem = "SERVFAIL";
		return;
	}
	if (a->result != DNS_TEMPORARY)
		a->result = DNS_FOUND;
	if (str_equal(value, STR("BAD"))) {
		a->bad_count++;
		return;
	}
	r = &a->records[a->count++];
	if (type == DNS_TXT) {
		r->text = arena_dup(&a->arena, value);
		return;
	}
	if (type == DNS_TLSA) {
		read_tlsa(&a->arena, value, &r->tlsa);
		return;
	}
	if (type != DNS_MX) {
		size_t at = str_find(value, '=');

		if (at < value.len) {
			a->alias = arena_dup(&a->arena, str_slice(value, at + 1, value.len));
			value = str_slice(value, 0, at - 1);
		}
		CHECK(endpoint_parse_ip(&r->address, value) == OK);
		return;
	}
	first = str_cut(&value, ' ');
	CHECK(str_to_u64(first, &preference) == OK);
	r->preference = (uint16_t)preference;
	r->host = str_equal(value, STR(".")) ? STR("") : arena_dup(&a->arena, value);
}

static void answer(struct fixture_dns *d, struct dns_query *q)
{
	struct dns_answer *a = &q->answer;

	*a = (struct dns_answer){ .result = DNS_NXDOMAIN, .ttl_s = d->ttl_s };
	a->is_unvouched = d->is_unvouched;
	a->records = arena_array(&a->arena, DNS_ADDRESS_MAX, sizeof(a->records[0]));
	for (size_t i = 0; d->lines[i]; i++) {
		struct str rest = str_from_c(d->lines[i]);
		struct str name = str_cut(&rest, ' ');
		struct str type = str_cut(&rest, ' ');

		if (!str_equal_fold(name, q->name))
			continue;
		if (a->result == DNS_NXDOMAIN)
			a->result = DNS_NODATA;
		bool is_signed = type.len > 0 && type.data[type.len - 1] == '+';

		if (str_equal(str_slice(type, 0, type.len - is_signed),
			    str_from_c(type_name(q->type)))) {
			a->is_authentic = is_signed;
			add_record(a, rest, q->type);
		}
	}
	q->on_done(q);
}

void fixture_dns_release(struct fixture_dns *d)
{
	struct list *link, now;

	/* What an answer makes somebody ask waits for the next time. */
	list_init(&now);
	list_splice(&now, &d->pending);
	while ((link = list_pop_front(&now)))
		answer(d, CONTAINER_OF(link, struct dns_query, link));
}

static void on_run(struct deferred *run)
{
	fixture_dns_release(CONTAINER_OF(run, struct fixture_dns, run));
}

static void start(struct dns *dns, struct dns_query *q)
{
	struct fixture_dns *d = CONTAINER_OF(dns, struct fixture_dns, dns);

	d->started++;
	list_push_back(&d->pending, &q->link);
	if (!d->is_held)
		env_defer(&d->env->env, &d->run);
}

static void cancel(struct dns *dns, struct dns_query *q)
{
	struct fixture_dns *d = CONTAINER_OF(dns, struct fixture_dns, dns);

	CHECK(list_is_linked(&q->link));
	list_remove(&q->link);
	d->canceled++;
}

static const struct dns_ops ops = { start, cancel };

void fixture_dns_init(struct fixture_dns *d, struct fixture_env *env, const char *const *lines)
{
	*d = (struct fixture_dns){ .dns = { &ops }, .env = env, .lines = lines, .ttl_s = 300 };
	d->run.on_run = on_run;
	list_init(&d->pending);
}
