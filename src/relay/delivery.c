/*
 * delivery - the life of one delivery; what is judged and written down is recorder.c's.
 */
#include "relay/delivery.h"
#include "relay/tls_seen.h"

#include <stdlib.h>

#include "base/mem.h"
#include "relay/receipt.h"

static void on_attempt_done(struct attempt *a);

static void copy_recipient(
	struct arena *arena, struct queued_recipient *to, const struct queued_recipient *from)
{
	*to = *from;
	to->rcpt.address = arena_dup(arena, from->rcpt.address);
	to->rcpt.domain = arena_dup(arena, from->rcpt.domain);
	to->rcpt.hop = arena_dup(arena, from->rcpt.hop);
	to->rcpt.orcpt = arena_dup(arena, from->rcpt.orcpt);
	to->text = arena_dup(arena, from->text);
	to->host = arena_dup(arena, from->host);
}

static struct delivery *delivery_new(struct hop *h, struct message *m, uint32_t recipient_max)
{
	struct delivery *d = mem_zalloc(sizeof(*d));

	d->hop = h;
	d->message = message_ref(m);
	d->recipients = arena_array(&d->arena, recipient_max, sizeof(*d->recipients));
	return d;
}

static bool goes_before(const struct delivery *d, const struct list *link)
{
	const struct delivery *other = CONTAINER_OF(link, struct delivery, link);

	return fair_goes_before(d->message->env.priority, d->tag, other->message->env.priority,
		other->tag);
}

/* Pending mail is kept in drain order. Looked for from both ends: most joins the end, a sender with little mail comes to
 * the front. */
static struct list *place_of(const struct delivery *d)
{
	struct list *head = &d->hop->pending, *front = head->next, *back = head->prev;

	while (back != head && goes_before(d, back)) {
		if (goes_before(d, front))
			return front;
		front = front->next;
		back = back->prev;
	}
	return back->next;
}

void delivery_wait(struct delivery *d)
{
	struct hop *h = d->hop;
	const struct envelope *env = &d->message->env;
	unsigned bucket = store_sender_bucket(env->reverse_path);

	d->tag = d->tag > 0 ? fair_tag_again(&h->fair, env->priority, bucket, d->tag)
			    : fair_tag(&h->fair, env->priority, bucket);
	list_insert_before(place_of(d), &d->link);
	h->pending_count++;
	h->relay->pending_count++;
	flow_note_waiting(h, d->message->env.size_bytes);
	if (d->waits_since.ms == 0)
		d->waits_since = env_now(h->relay->env);
}

void delivery_stop_waiting(struct delivery *d)
{
	struct hop *h = d->hop;

	if (!list_is_linked(&d->link))
		return;
	list_remove(&d->link);
	h->pending_count--;
	h->relay->pending_count--;
	flow_note_left(h, d->message->env.size_bytes);
}

/* A recipient whose sender rule changed since it was accepted moves to the next hop of today's configuration. */
struct rekey {
	struct loose loose;
	struct store_rekey op;
	struct relay *relay;
};

static void rekey_free(struct loose *l)
{
	struct rekey *k = CONTAINER_OF(l, struct rekey, loose);

	loose_end(l);
	store_op_fini(&k->op.op);
	free(k);
}

static void on_rekeyed(struct store_op *op)
{
	struct rekey *k = CONTAINER_OF(op, struct rekey, op.op);
	struct relay *r = k->relay;
	struct hop *h = op->err == OK ? hop_get(k->relay, k->op.hop) : NULL;

	if (h)
		hop_note_more(h);
	r->delivery_count--;
	rekey_free(&k->loose);
	relay_check_stopped(r);
}

static void rekey(struct relay *r, uint64_t id, uint32_t number, struct str hop)
{
	struct rekey *k = mem_zalloc(sizeof(*k));
	uint32_t *numbers = arena_alloc(&k->op.op.arena, sizeof(*numbers));

	k->relay = r;
	*numbers = number;
	k->op.op.on_done = on_rekeyed;
	k->op.id = id;
	k->op.numbers = numbers;
	k->op.number_count = 1;
	k->op.hop = arena_dup(&k->op.op.arena, hop);
	loose_begin(r, &k->loose, rekey_free);
	r->delivery_count++;
	store_submit(r->store, &k->op.op, STORE_REKEY);
}

static struct message *message_from_store(const struct queued_message *q)
{
	struct message *m = message_new();
	struct envelope *e = &m->env;

	*e = q->env;
	e->recipients = NULL;
	e->recipient_count = 0;
	e->reverse_path = arena_dup(&m->arena, q->env.reverse_path);
	e->envid = arena_dup(&m->arena, q->env.envid);
	e->user = arena_dup(&m->arena, q->env.user);
	e->client = arena_dup(&m->arena, q->env.client);
	e->helo = arena_dup(&m->arena, q->env.helo);
	e->message_id = arena_dup(&m->arena, q->env.message_id);
	m->chunk_count = q->chunk_count;
	return m;
}

bool delivery_from_store(struct hop *h, const struct queued_message *q)
{
	struct relay *r = h->relay;
	struct message *m = message_from_store(q);
	struct delivery *d = delivery_new(h, m, q->recipient_count);

	message_unref(m);
	if (q->env.id > h->claimed_id_max)
		h->claimed_id_max = q->env.id;
	for (uint32_t i = 0; i < q->recipient_count; i++) {
		struct str hop = route_hop_of(
			r->conf, q->recipients[i].rcpt.domain, q->env.reverse_path, &d->arena);

		if (str_equal(hop, h->name))
			copy_recipient(
				&d->arena, &d->recipients[d->recipient_count++], &q->recipients[i]);
		else
			rekey(r, q->env.id, q->recipients[i].rcpt.number, hop);
	}
	if (d->recipient_count == 0) {
		delivery_free(d);
		return false;
	}
	delivery_wait(d);
	return true;
}

struct delivery *delivery_make(
	struct hop *h, struct message *m, const struct recipient *recipients, uint32_t count)
{
	struct delivery *d = delivery_new(h, m, count);

	for (uint32_t i = 0; i < count; i++) {
		if (!str_equal(recipients[i].hop, h->name))
			continue;

		struct queued_recipient fresh = { .rcpt = recipients[i], .state = RECIPIENT_READY };

		copy_recipient(&d->arena, &d->recipients[d->recipient_count++], &fresh);
	}
	CHECK(d->recipient_count > 0);
	return d;
}

void delivery_free(struct delivery *d)
{
	struct relay *r = d->hop->relay;

	if (d->is_attempting) {
		attempt_cancel(&d->attempt);
		r->attempt_count--;
	}
	list_remove(&d->link);
	env_timer_stop(r->env, &d->again);
	content_fini(&d->content);
	attempt_fini(&d->attempt);
	shared_route_unref(d->route);
	message_unref(d->message);
	message_unref(d->notice);
	receipt_drop(d);
	store_op_fini(&d->record.op);
	store_op_fini(&d->headers.op);
	store_op_fini(&d->show.op);
	arena_fini(&d->arena);
	free(d);
}

static void become_active(struct delivery *d, struct site *site)
{
	struct hop *h = d->hop;
	struct relay *r = h->relay;

	delivery_stop_waiting(d);
	list_push_back(&h->active, &d->link);
	h->active_count++;
	d->is_active = true;
	d->site = site;
	if (site)
		site->window.in_flight++;
	d->started = env_wall(r->env);
	r->delivery_count++;
	metric_add(r->env->metrics, METRIC_deliveries_active, 1);
}

void delivery_start(struct delivery *d)
{
	struct hop *h = d->hop;
	struct relay *r = h->relay;

	flow_note_started(h, env_now(r->env).ms - d->waits_since.ms);
	fair_note_started(&h->fair, d->message->env.priority, d->tag);
	become_active(d, h->site);
	d->is_probe = h->site->health.state == HEALTH_DOWN || h->health.state == HEALTH_DOWN;
	if (d->is_probe)
		metric_add(r->env->metrics, METRIC_probes_total, 1);
	d->route = h->route;
	d->route->references++;
	content_init(&d->content, r->env, r->store, d->message);
	d->attempt = (struct attempt){
		.env = r->env,
		.net = r->net,
		.pool = r->pool,
		.conf = d->route->conf,
		.policy = conf_policy_for(d->route->conf, h->name, h->site->name),
		.message = &d->message->env,
		.recipients = d->recipients,
		.recipient_count = d->recipient_count,
		.content = &d->content.reader,
		.route = d->route->route,
		.is_known_good = hop_is_known_good(h),
		.is_limited = pace_is_overloaded(&h->site->pace),
		.is_probe = d->is_probe,
		.on_done = on_attempt_done,
	};
	d->is_attempting = true;
	r->attempt_count++;
	metric_add(r->env->metrics, METRIC_deliveries_started_total, 1);
	attempt_start(&d->attempt);
}

static void on_attempt_done(struct attempt *a)
{
	struct delivery *d = CONTAINER_OF(a, struct delivery, attempt);

	d->is_attempting = false;
	d->hop->relay->attempt_count--;
	d->results = a->results;
	tls_seen_attempt(d->hop, a);
	content_fini(&d->content);
	recorder_take(d);
}

void delivery_fail_without_route(
	struct delivery *d, const struct outcome *outcome, const struct verdict *v)
{
	become_active(d, NULL);
	d->results = arena_array(&d->arena, d->recipient_count, sizeof(*d->results));
	for (uint32_t i = 0; i < d->recipient_count; i++) {
		struct attempt_result *res = &d->results[i];

		*res = (struct attempt_result){ d->recipients[i].rcpt.number, *outcome, *v };
		res->outcome.text = arena_dup(&d->arena, outcome->text);
	}
	recorder_take(d);
}

static void leave_active(struct delivery *d)
{
	struct hop *h = d->hop;
	struct relay *r = h->relay;

	list_remove(&d->link);
	h->active_count--;
	h->is_stalled = false;
	hop_note_settled(h, d->message->env.id);
	d->is_active = false;
	if (d->site)
		d->site->window.in_flight--;
	r->delivery_count--;
	metric_sub(r->env->metrics, METRIC_deliveries_active, 1);
}

void delivery_finish(struct delivery *d)
{
	struct hop *h = d->hop;
	struct relay *r = h->relay;
	struct site *site = d->site;

	leave_active(d);
	flow_note_ended(&r->flow);
	if (d->has_others)
		hop_note_more(h);
	delivery_free(d);
	hop_kick(h);
	if (site) {
		site_kick(site);
		site_refill(site);
		site_release(site);
	}
	sched_kick(r);
	relay_check_stopped(r);
}

void delivery_requeue(struct delivery *d)
{
	struct hop *h = d->hop;
	struct site *site = d->site;
	struct relay *r = h->relay;

	leave_active(d);
	if (d->has_others)
		hop_note_more(h);
	if (h->pending_count < (d->is_put_back ? HOP_PENDING_BURST_MAX : HOP_PENDING_MAX) &&
		!hop_is_parked(h, env_wall(r->env))) {
		/* a fresh object: nothing of the attempt remains */
		struct delivery *again = delivery_new(h, d->message, d->recipient_count);

		for (uint32_t i = 0; i < d->recipient_count; i++)
			copy_recipient(&again->arena, &again->recipients[again->recipient_count++],
				&d->recipients[i]);
		if (d->is_put_back) {
			again->tag = d->tag;
			again->put_backs = d->put_backs + 1;
		}
		delivery_wait(again);
	} else {
		hop_note_more(h);
	}
	delivery_free(d);
	hop_kick(h);
	if (site) {
		site_kick(site);
		site_release(site);
	}
	sched_kick(r);
	relay_check_stopped(r);
}
