/* sim_dns - see sim_dns.h. */
#include "sim/sim_dns.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TIMEOUT_MS 4000 /* two tries of two seconds */
#define TTL_S 300
#define RECORDS_MAX 8 /* of one kind of one name */

struct name {
	struct map_entry entry;
	char *text;
	enum sim_zone state;
	bool was_gone;
	struct dns_record mx[RECORDS_MAX];
	uint32_t mx_count;
	struct dns_record addresses[RECORDS_MAX];
	uint32_t address_count;
};

struct question {
	struct list link;
	struct sim_dns *dns;
	struct dns_query *query; /* NULL: canceled */
	struct timer timer;
};

static struct name *name_find(struct sim_dns *d, struct str text)
{
	struct map_entry *e = map_find(&d->names, text);

	return e ? CONTAINER_OF(e, struct name, entry) : NULL;
}

static struct name *name_get(struct sim_dns *d, struct str text)
{
	struct name *n = name_find(d, text);

	if (n)
		return n;
	n = mem_zalloc(sizeof(*n));
	n->text = mem_alloc(text.len + 1);
	memcpy(n->text, text.data, text.len);
	n->text[text.len] = '\0';
	map_insert(&d->names, &n->entry, str_of(n->text, text.len));
	return n;
}

void sim_dns_add_mx(struct sim_dns *d, struct str domain, uint16_t preference, struct str host)
{
	struct name *n = name_get(d, domain);

	CHECK(n->mx_count < RECORDS_MAX);
	n->mx[n->mx_count++] = (struct dns_record){ .preference = preference,
		.host = str_from_c(name_get(d, host)->text) };
}

void sim_dns_clear_mx(struct sim_dns *d, struct str domain)
{
	name_get(d, domain)->mx_count = 0;
}

void sim_dns_add_address(struct sim_dns *d, struct str host, const struct endpoint *address)
{
	struct name *n = name_get(d, host);

	CHECK(n->address_count < RECORDS_MAX);
	n->addresses[n->address_count++] = (struct dns_record){ .address = *address };
}

uint32_t sim_dns_set(struct sim_dns *d, struct str glob, enum sim_zone state, bool is_false)
{
	uint32_t count = 0;

	for (struct map_entry *e = map_first(&d->names); e; e = map_next(&d->names, e)) {
		struct name *n = CONTAINER_OF(e, struct name, entry);

		if (!str_match_glob(str_from_c(n->text), glob))
			continue;
		n->state = state;
		n->was_gone |= !is_false && (state == ZONE_NXDOMAIN || state == ZONE_NODATA);
		count++;
	}
	return count;
}

bool sim_dns_was_gone(struct sim_dns *d, struct str text)
{
	struct name *n = name_find(d, text);

	return !n || n->was_gone || (n->mx_count == 0 && n->address_count == 0);
}

static void find(const struct name *n, struct dns_query *q)
{
	const struct dns_record *records = q->type == DNS_MX ? n->mx : n->addresses;
	uint32_t count = q->type == DNS_MX ? n->mx_count : q->type == DNS_A ? n->address_count : 0;
	struct dns_answer *a = &q->answer;

	a->result = count > 0 ? DNS_FOUND : DNS_NODATA;
	a->records = arena_array(&a->arena, count > 0 ? count : 1, sizeof(a->records[0]));
	a->count = count;
	for (uint32_t i = 0; i < count; i++) {
		a->records[i] = records[i];
		a->records[i].host = arena_dup(&a->arena, records[i].host);
	}
}

static void on_answer(struct timer *t)
{
	struct question *question = CONTAINER_OF(t, struct question, timer);
	struct sim_dns *d = question->dns;
	struct dns_query *q = question->query;
	struct name *n = name_find(d, q->name);

	list_remove(&question->link);
	free(question);
	q->adapter = NULL;
	q->answer = (struct dns_answer){ .ttl_s = TTL_S };
	if (q->type == DNS_TXT || q->type == DNS_TLSA) /* the worlds have none */
		q->answer.result = DNS_NODATA;
	else if (!n || n->state == ZONE_NXDOMAIN)
		q->answer.result = DNS_NXDOMAIN;
	else if (n->state == ZONE_NODATA)
		q->answer.result = DNS_NODATA;
	else if (n->state == ZONE_OK)
		find(n, q);
	else
		q->answer = (struct dns_answer){ .result = DNS_TEMPORARY,
			.problem = n->state == ZONE_SERVFAIL ? "SERVFAIL" : "timeout" };
	q->on_done(q);
}

static void dns_op_start(struct dns *dns, struct dns_query *q)
{
	struct sim_dns *d = CONTAINER_OF(dns, struct sim_dns, dns);
	struct question *question = mem_zalloc(sizeof(*question));
	struct name *n = name_find(d, q->name);

	question->dns = d;
	question->query = q;
	question->timer.on_fire = on_answer;
	q->adapter = question;
	list_push_back(&d->pending, &question->link);
	d->query_count++;
	sim_trace(d->clock, "dns %.*s %d", STR_FMT(q->name), (int)q->type);
	sim_after(d->clock, &question->timer,
		n && n->state == ZONE_TIMEOUT ? TIMEOUT_MS : d->delay_ms);
}

static void drop(struct sim_dns *d, struct question *question)
{
	sim_stop(d->clock, &question->timer);
	list_remove(&question->link);
	free(question);
}

static void dns_op_cancel(struct dns *dns, struct dns_query *q)
{
	drop(CONTAINER_OF(dns, struct sim_dns, dns), q->adapter);
	q->adapter = NULL;
}

static const struct dns_ops sim_dns_ops = { dns_op_start, dns_op_cancel };

void sim_dns_init(struct sim_dns *d, struct sim_clock *clock)
{
	*d = (struct sim_dns){ .dns.ops = &sim_dns_ops, .clock = clock, .delay_ms = 5 };
	map_init(&d->names, 1);
	list_init(&d->pending);
}

void sim_dns_crash(struct sim_dns *d)
{
	while (!list_is_empty(&d->pending))
		drop(d, CONTAINER_OF(d->pending.next, struct question, link));
}

void sim_dns_fini(struct sim_dns *d)
{
	struct map_entry *e;

	sim_dns_crash(d);
	while ((e = map_first(&d->names)) != NULL) {
		struct name *n = CONTAINER_OF(e, struct name, entry);

		map_remove(&d->names, e);
		free(n->text);
		free(n);
	}
	map_fini(&d->names);
}
