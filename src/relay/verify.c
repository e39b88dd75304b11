/*
 * verify - see verify.h.
 *
 * Happy path of a question: what is remembered in memory, else in the store; the route; a place among the questions of
 * that next hop; an attempt that ends before DATA; the word is kept, and those who wait are answered. A word that holds
 * but is no longer fresh is the answer at once, and is asked about behind the client's back. Of recipients that are
 * listed in a file only the route is looked at: mail for a domain that leads nowhere but to ourselves could only come
 * back.
 */
#include "relay/verify.h"

#include <stdlib.h>

#include "base/mem.h"
#include "deliver/attempt.h"
#include "queue/mailboxes.h"
#include "relay/destination.h"
#include "relay/guard.h"
#include "relay/sts.h"
#include "relay/words.h"

#define PLACES_MAX 1000
#define QUESTION_MS (30 * SECOND_MS) /* protocol time, as the next two */
#define REST_MS (60 * SECOND_MS)
#define ROUTE_GOOD_MS (5 * MINUTE_MS)
#define ANSWER_BYTES_MAX 512

enum step { STEP_RECALL, STEP_ROUTE, STEP_WAIT, STEP_ASK };

/* A next hop that is asked, or was lately. */
struct place {
	struct map_entry entry;
	struct str hop;      /* owned */
	struct list waiting; /* of question.wait */
	uint32_t question_count, asking_count;
	struct mono rests_until, route_good_until;
};

struct question {
	struct map_entry entry; /* by key */
	struct verify *verify;
	struct arena arena;
	struct str key;     /* local@domain in lower case */
	struct str address; /* as it was given */
	struct str hop;
	bool is_listed; /* only the route is asked for */
	struct place *place;
	struct list asks;
	enum step step;
	struct vouch old; /* what held before */
	struct timer deadline;
	struct store_shelf_get get;
	struct route_request routing;
	struct list wait;
	struct route *route;
	struct conf *conf; /* held with route */
	struct attempt attempt;
	struct envelope env;
	struct queued_recipient recipient;
};

struct verify {
	struct relay *relay;
	struct words words;
	struct map places, questions;
};

static void recall(struct question *q);
static void find_route(struct question *q);
static void ask_next(struct place *p);
static void ask(struct question *q);

/* ---- places ---- */

static bool is_over(struct relay *r, struct mono when)
{
	return env_now(r->env).ms >= when.ms;
}

static void place_free(struct verify *v, struct place *p)
{
	map_remove(&v->places, &p->entry);
	relay_free_name(&p->hop);
	free(p);
}

static void drop_idle_places(struct verify *v)
{
	struct map_entry *next;

	for (struct map_entry *e = map_first(&v->places); e; e = next) {
		struct place *p = CONTAINER_OF(e, struct place, entry);

		next = map_next(&v->places, e);
		if (p->question_count == 0)
			place_free(v, p);
	}
}

static struct place *place_of(struct verify *v, struct str hop)
{
	struct map_entry *e = map_find(&v->places, hop);
	struct place *p;

	if (e)
		return CONTAINER_OF(e, struct place, entry);
	if (v->places.count >= PLACES_MAX)
		drop_idle_places(v); /* VERIFY_MAX of them are not */
	p = mem_zalloc(sizeof(*p));
	p->hop = relay_copy_name(hop);
	list_init(&p->waiting);
	map_insert(&v->places, &p->entry, p->hop);
	return p;
}

/* Deliveries, or a question of a minute ago, say that nobody is there. */
static bool is_down(struct verify *v, const struct place *p)
{
	struct relay *r = v->relay;
	struct map_entry *e = map_find(&r->hops, p->hop);
	const struct hop *h = e ? CONTAINER_OF(e, struct hop, entry) : NULL;

	return !is_over(r, p->rests_until) ||
	       (h && h->is_loaded && hop_is_parked(h, env_wall(r->env)));
}

/* ---- answers ---- */

static struct smtp_answer good(void)
{
	return (struct smtp_answer){ 0 };
}

static struct smtp_answer bad(struct str text)
{
	return (struct smtp_answer){ .code = 550,
		.status = STATUS(5, 1, 1),
		.text = text.len > 0 ? text : STR("No such recipient here") };
}

static struct smtp_answer unsure(void)
{
	return (struct smtp_answer){ .code = 450,
		.status = STATUS(4, 1, 1),
		.text = STR("Recipient cannot be verified now, try again later") };
}

static struct smtp_answer lost(void)
{
	return (struct smtp_answer){ .code = 451,
		.status = STATUS(4, 3, 5),
		.text = STR("Mail for this domain has nowhere to go from here, try again later") };
}

static void question_free(struct question *q)
{
	struct verify *v = q->verify;
	struct relay *r = v->relay;

	while (list_pop_front(&q->asks) != NULL)
		; /* at the end of the relay: nobody answers them */
	map_remove(&v->questions, &q->entry);
	list_remove(&q->wait);
	env_timer_stop(r->env, &q->deadline);
	route_cancel(&q->routing);
	arena_fini(&q->routing.arena);
	if (q->step == STEP_ASK) {
		attempt_cancel(&q->attempt);
		attempt_fini(&q->attempt);
		q->place->asking_count--;
	}
	route_free(q->route);
	conf_unref(q->conf);
	store_op_fini(&q->get.op);
	q->place->question_count--;
	arena_fini(&q->arena);
	free(q);
	relay_check_stopped(r);
}

/* The question is over. Those who asked may ask the next one before this returns. */
static void answer_all(struct question *q, const struct smtp_answer *answer)
{
	struct place *p = q->place;
	struct smtp_answer copy = *answer;
	struct list asks, *link;
	struct buf b;

	buf_init(&b, ANSWER_BYTES_MAX);
	buf_append_str(&b, str_slice(answer->text, 0, ANSWER_BYTES_MAX));
	copy.text = buf_str(&b);
	list_init(&asks);
	while ((link = list_pop_front(&q->asks)) != NULL)
		list_push_back(&asks, link);
	p->question_count++; /* it stays while they are answered */
	question_free(q);
	ask_next(p);
	while ((link = list_pop_front(&asks)) != NULL) {
		struct verify_ask *a = CONTAINER_OF(link, struct verify_ask, link);

		a->on_answer(a, &copy);
	}
	p->question_count--;
	buf_fini(&b);
}

/* Nobody can say. What was good lately, or took mail, is good still. */
static void answer_unsure(struct question *q)
{
	struct relay *r = q->verify->relay;
	bool is_known = (q->old.word == VOUCH_GOOD && vouch_holds(&q->old, env_wall(r->env))) ||
			known_has(r, mailboxes_hash(q->address), false);
	struct smtp_answer answer = is_known || q->is_listed ? good() : unsure();

	answer_all(q, &answer);
}

static void on_deadline(struct timer *t)
{
	struct question *q = CONTAINER_OF(t, struct question, deadline);

	if (q->step == STEP_ASK)
		q->place->rests_until = mono_add(env_now(q->verify->relay->env), REST_MS);
	if (q->step == STEP_RECALL) {
		/* the store has its operation still: only the clients are let go */
		struct smtp_answer answer = unsure();
		struct list *link;

		while ((link = list_pop_front(&q->asks)) != NULL) {
			struct verify_ask *a = CONTAINER_OF(link, struct verify_ask, link);
			a->on_answer(a, &answer);
		}
		env_timer_after(q->verify->relay->env, t, QUESTION_MS);
		return;
	}
	answer_unsure(q);
}

/* ---- from memory and store ---- */

static struct question *question_new(
	struct verify *v, struct str key, const struct address *address, struct str hop)
{
	struct question *q = mem_zalloc(sizeof(*q));

	q->verify = v;
	q->key = arena_dup(&q->arena, key);
	q->address = arena_dup(&q->arena, address->text);
	q->hop = arena_dup(&q->arena, hop);
	q->recipient.rcpt = (struct recipient){ .number = 1,
		.address = q->address,
		.domain = arena_dup(&q->arena, address->domain),
		.hop = q->hop };
	q->env.is_smtputf8 = address->is_utf8;
	q->env.accepted = env_wall(v->relay->env);
	q->place = place_of(v, hop);
	q->place->question_count++;
	list_init(&q->asks);
	q->deadline.on_fire = on_deadline;
	env_timer_after(v->relay->env, &q->deadline, QUESTION_MS);
	map_insert(&v->questions, &q->entry, q->key);
	return q;
}

static void on_recalled(struct store_op *op)
{
	struct question *q = CONTAINER_OF(op, struct question, get.op);
	struct wall now = env_wall(q->verify->relay->env);
	struct vouch found = { .word = VOUCH_NONE };
	struct smtp_answer answer;

	q->step = STEP_ROUTE;
	if (op->err == OK && vouch_take(&found, q->get.item.value) && vouch_holds(&found, now)) {
		q->old = (struct vouch){ .word = found.word, .at = found.at };
		words_remember(&q->verify->words, q->key, &found);
	}
	if (vouch_is_fresh(&found, now)) {
		answer = found.word == VOUCH_GOOD ? good() : bad(found.text);
		answer_all(q, &answer);
	} else if (q->verify->relay->is_stopping ||
		   (list_is_empty(&q->asks) && q->old.word != VOUCH_GOOD)) {
		answer_unsure(q); /* nobody waits any more */
	} else {
		find_route(q);
	}
}

static void recall(struct question *q)
{
	q->step = STEP_RECALL;
	q->get = (struct store_shelf_get){
		.op.on_done = on_recalled,
		.kind = SHELF_MAILBOX,
		.key = q->key,
		.now = env_wall(q->verify->relay->env),
	};
	store_submit(q->verify->relay->store, &q->get.op, STORE_SHELF_GET);
}

/* ---- the route ---- */

static bool is_temporary(const struct outcome *o)
{
	return o->stage == STAGE_DNS && o->status.klass != 5;
}

static void on_no_route(struct question *q)
{
	const struct outcome *o = &q->routing.outcome;
	struct smtp_answer answer = lost();

	if (is_temporary(o)) {
		answer_unsure(q);
		return;
	}
	log_text(q->verify->relay->env->log, LOG_WARNING, "smtpd",
		"mail for relay-domain %.*s is put off with 451: %.*s. Is this host its only MX? "
		"Then a route must say where its mail goes",
		STR_FMT(q->recipient.rcpt.domain), STR_FMT(o->text));
	answer_all(q, &answer);
}

static void on_routed(struct route_request *req)
{
	struct question *q = CONTAINER_OF(req, struct question, routing);
	struct relay *r = q->verify->relay;
	struct smtp_answer answer = good();

	q->route = req->route;
	req->route = NULL;
	if (req->outcome.stage != STAGE_NONE) {
		on_no_route(q);
		return;
	}
	q->place->route_good_until = mono_add(env_now(r->env), ROUTE_GOOD_MS);
	if (q->is_listed) {
		answer_all(q, &answer);
	} else if (is_down(q->verify, q->place)) {
		answer_unsure(q);
	} else {
		q->step = STEP_WAIT;
		list_push_back(&q->place->waiting, &q->wait);
		ask_next(q->place);
	}
}

static void find_route(struct question *q)
{
	struct relay *r = q->verify->relay;

	q->step = STEP_ROUTE;
	q->conf = conf_ref(r->conf);
	q->routing = (struct route_request){ .hop = q->hop,
		.conf = q->conf,
		.policies = sts_policies(r->sts),
		.on_done = on_routed };
	route_resolve(r->env, r->resolver, &r->rng, &q->routing);
}

/* ---- asking ---- */

static void ask_next(struct place *p)
{
	struct list *link;

	while (p->asking_count < VERIFY_HOP_MAX && (link = list_pop_front(&p->waiting)) != NULL)
		ask(CONTAINER_OF(link, struct question, wait));
}

static void log_word(const struct question *q, enum vouch_word word, const struct outcome *o)
{
	log_text(q->verify->relay->env->log, LOG_INFO, "verify",
		"to=<%.*s>, relay=%.*s, status=%s (%u %.*s)", STR_FMT(q->address),
		STR_FMT(q->attempt.host),
		word == VOUCH_GOOD  ? "deliverable"
		: word == VOUCH_BAD ? "undeliverable"
				    : "unknown",
		o->code, STR_FMT(o->text));
}

static void on_attempted(struct attempt *a)
{
	struct question *q = CONTAINER_OF(a, struct question, attempt);
	struct verify *v = q->verify;
	const struct outcome *outcome = &a->results[0].outcome;
	struct vouch vouch = { vouch_judge(outcome), env_wall(v->relay->env), outcome->text };
	struct smtp_answer answer;

	log_word(q, vouch.word, outcome);
	if (outcome->stage >= STAGE_CONNECT && outcome->stage < STAGE_MAIL)
		q->place->rests_until = mono_add(env_now(v->relay->env), REST_MS);
	if (vouch.word == VOUCH_NONE) {
		answer_unsure(q);
		return;
	}
	words_remember(&v->words, q->key, &vouch);
	words_save(&v->words, q->key, &vouch);
	answer = vouch.word == VOUCH_GOOD ? good() : bad(vouch.text);
	answer_all(q, &answer);
}

static void ask(struct question *q)
{
	struct relay *r = q->verify->relay;

	q->step = STEP_ASK;
	q->place->asking_count++;
	q->attempt = (struct attempt){
		.env = r->env,
		.net = r->net,
		.pool = r->pool,
		.conf = q->conf,
		.policy = conf_policy_for(q->conf, q->recipient.rcpt.domain, q->route->site),
		.message = &q->env,
		.recipients = &q->recipient,
		.recipient_count = 1,
		.route = q->route,
		.is_verify = true,
		.on_done = on_attempted,
	};
	attempt_start(&q->attempt);
}

/* ---- the door ---- */

static struct str key_of(struct arena *arena, const struct address *address)
{
	struct str local = arena_lower(arena, address->local);

	return arena_printf(arena, "%.*s@%.*s", STR_FMT(local), STR_FMT(address->domain));
}

/* Joins the question about that address, or begins it. ask: NULL: nobody waits for it. */
static bool inquire(struct verify *v, struct str key, const struct address *address, struct str hop,
	bool is_listed, struct verify_ask *waiter)
{
	struct map_entry *e = map_find(&v->questions, key);
	struct question *q = e ? CONTAINER_OF(e, struct question, entry) : NULL;

	if (!q && v->questions.count >= VERIFY_MAX)
		return false;
	if (!q) {
		q = question_new(v, key, address, hop);
		q->is_listed = is_listed;
		if (is_listed)
			find_route(q);
		else
			recall(q);
	}
	if (waiter)
		list_push_back(&q->asks, &waiter->link);
	return true;
}

static void verify_listed(struct verify *v, const struct address *address, struct str key,
	struct str hop, struct verify_ask *waiter, struct smtp_answer *answer)
{
	struct map_entry *e = map_find(&v->places, hop);
	bool is_good =
		e && !is_over(v->relay, CONTAINER_OF(e, struct place, entry)->route_good_until);

	*answer = good();
	if (!is_good)
		answer->is_later = inquire(v, key, address, hop, true, waiter);
}

void verify_rcpt(struct verify *v, const struct conf_relay_domain *domain,
	const struct address *address, struct str hop, struct verify_ask *waiter,
	struct smtp_answer *answer)
{
	struct wall now = env_wall(v->relay->env);
	struct arena arena = { 0 };
	struct str key = key_of(&arena, address);
	const struct vouch *word = words_find(&v->words, key);

	if (domain->recipients.len > 0) {
		if (conf_relay_domain_lists(domain, address->local, address->domain))
			verify_listed(v, address, key, hop, waiter, answer);
		else
			*answer = bad(STR(""));
	} else if (word && vouch_holds(word, now)) {
		*answer = word->word == VOUCH_GOOD ? good() : bad(STR(""));
		if (!vouch_is_fresh(word, now))
			(void)inquire(v, key, address, hop, false, NULL);
	} else if (inquire(v, key, address, hop, false, waiter)) {
		*answer = (struct smtp_answer){ .is_later = true };
	} else {
		*answer = unsure();
	}
	arena_fini(&arena);
}

void verify_forget(struct verify_ask *waiter)
{
	list_remove(&waiter->link);
}

/* ---- life ---- */

struct verify *verify_new(struct relay *r)
{
	struct verify *v = mem_zalloc(sizeof(*v));
	uint64_t seed;

	v->relay = r;
	env_random(r->env, &seed, sizeof(seed));
	words_init(&v->words, r, seed);
	map_init(&v->places, seed);
	map_init(&v->questions, seed);
	return v;
}

/* The clients have gone, or hear 421. What the store has under way comes back. */
void verify_stop(struct verify *v)
{
	struct map_entry *next;

	for (struct map_entry *e = map_first(&v->questions); e; e = next) {
		struct question *q = CONTAINER_OF(e, struct question, entry);

		next = map_next(&v->questions, e);
		if (q->step != STEP_RECALL)
			question_free(q);
	}
}

bool verify_is_busy(const struct verify *v)
{
	return v->questions.count > 0 || v->words.saving_count > 0;
}

void verify_free(struct verify *v)
{
	struct map_entry *e;

	while ((e = map_first(&v->questions)) != NULL)
		question_free(CONTAINER_OF(e, struct question, entry));
	while ((e = map_first(&v->places)) != NULL)
		place_free(v, CONTAINER_OF(e, struct place, entry));
	map_fini(&v->questions);
	map_fini(&v->places);
	words_fini(&v->words);
	free(v);
}
