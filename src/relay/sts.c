/*
 * sts - see sts.h: who asks, what is in memory, who is told.
 *
 * A domain goes through: read from the shelf, then by queue/sts_times either an answer at once, or a check first. Only one check
 * of a domain runs at a time; whoever comes meanwhile waits for it, unless a policy is there that binds anyway.
 */
#include "relay/sts.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/relay_private.h"
#include "relay/sts_private.h"

static void start(struct tls_policies *p, struct tls_policy_query *q);
static void cancel(struct tls_policies *p, struct tls_policy_query *q);
static void on_step(struct deferred *deferred);

static const struct tls_policies_ops ops = { .start = start, .cancel = cancel };

struct sts *sts_new(const struct sts_params *params)
{
	struct sts *s = mem_zalloc(sizeof(*s));
	uint64_t seed;

	env_random(params->env, &seed, sizeof(seed));
	s->policies.ops = &ops;
	s->params = *params;
	s->conf = conf_ref(params->conf);
	s->web = (struct web){ .env = params->env,
		.resolver = params->resolver,
		.fetch = params->fetch,
		.conf = s->conf };
	rng_init(&s->rng, seed);
	map_init(&s->domains, seed ^ 1);
	list_init(&s->recent);
	return s;
}

void sts_start(struct sts *s)
{
	if (s->params.fetch)
		sts_walk_start(s);
}

void sts_set_conf(struct sts *s, struct conf *conf)
{
	struct conf *old = s->conf;

	s->conf = conf_ref(conf);
	s->web.conf = s->conf;
	conf_unref(old);
}

struct tls_policies *sts_policies(struct sts *s)
{
	return &s->policies;
}

/* ---- domains in memory ---- */

static bool is_in_use(const struct sts_domain *d)
{
	return d->load == STS_READING || d->check || d->is_stepping ||
	       list_is_linked(&d->step.link) || d->is_putting || d->is_walked ||
	       !list_is_empty(&d->waiting);
}

static void domain_free(struct sts_domain *d)
{
	map_remove(&d->sts->domains, &d->entry);
	list_remove(&d->recent);
	arena_fini(&d->arena);
	buf_fini(&d->value);
	store_op_fini(&d->get.op);
	store_op_fini(&d->put.op);
	relay_free_name(&d->name);
	free(d);
}

/* Those in use stay, and there are no more of them than there are next hops to route. */
static void make_room(struct sts *s)
{
	LIST_FOR_EACH_SAFE (link, &s->recent) {
		struct sts_domain *d = CONTAINER_OF(link, struct sts_domain, recent);

		if (s->domains.count < STS_DOMAINS_MAX)
			return;
		if (!is_in_use(d))
			domain_free(d);
	}
}

static struct sts_domain *find(const struct sts *s, struct str name)
{
	struct map_entry *at = map_find(&s->domains, name);

	return at ? CONTAINER_OF(at, struct sts_domain, entry) : NULL;
}

struct sts_domain *sts_find_or_add(struct sts *s, struct str name)
{
	struct sts_domain *d = find(s, name);

	if (!d) {
		make_room(s);
		d = mem_zalloc(sizeof(*d));
		d->sts = s;
		d->name = relay_copy_name(name);
		d->failure = "";
		list_init(&d->waiting);
		buf_init(&d->value, STS_VALUE_BYTES_MAX);
		map_insert(&s->domains, &d->entry, d->name);
	} else {
		list_remove(&d->recent);
	}
	list_push_back(&s->recent, &d->recent);
	return d;
}

void sts_forget_policy(struct sts_domain *d)
{
	arena_fini(&d->arena);
	d->policy = (struct sts_policy){ .mode = STS_NONE };
	d->id[0] = '\0';
}

bool sts_look(const struct sts *s, struct str domain, struct sts_view *out)
{
	const struct sts_domain *d = find(s, domain);

	if (!d || d->load != STS_READ)
		return false;
	*out = (struct sts_view){
		.policy = d->times.has_policy ? &d->policy : NULL,
		.times = d->times,
		.id = str_from_c(d->id),
		.failed = d->failed,
		.failure = d->failure,
		.failure_err = d->failure_err,
		.failure_status = d->failure_status,
		.is_policy_bad = d->is_policy_bad,
	};
	return true;
}

/* ---- askers ---- */

static void start(struct tls_policies *p, struct tls_policy_query *q)
{
	struct sts *s = CONTAINER_OF(p, struct sts, policies);

	q->policy = NULL;
	q->problem = NULL;
	struct sts_domain *d = sts_find_or_add(s, q->domain);
	q->adapter = d;
	list_push_back(&d->waiting, &q->link);
	sts_go_on(d);
}

static void cancel(struct tls_policies *p, struct tls_policy_query *q)
{
	(void)p;
	if (!q->adapter)
		return;
	q->adapter = NULL;
	list_remove(&q->link);
}

void sts_go_on(struct sts_domain *d)
{
	d->step.on_run = on_step;
	env_defer(d->sts->params.env, &d->step);
}

/* Whoever asks again from inside is told in another turn. */
static void tell_all(struct sts_domain *d, const char *problem)
{
	struct wall now = env_wall(d->sts->params.env);
	bool is_binding = sts_times_is_binding(&d->times, now);
	struct list told, *link;

	list_init(&told);
	list_splice(&told, &d->waiting);
	while ((link = list_pop_front(&told))) {
		struct tls_policy_query *q = CONTAINER_OF(link, struct tls_policy_query, link);
		q->policy = is_binding ? &d->policy : NULL;
		q->problem = problem;
		q->adapter = NULL;
		q->on_done(q);
	}
}

/* A check that ran answers all who waited for it, whatever the clock says by now. */
static void answer(struct sts_domain *d)
{
	struct sts *s = d->sts;
	enum sts_answer how = STS_ANSWER_NOW;

	if (!d->was_checked && s->params.fetch)
		how = sts_times_ask(&d->times, env_wall(s->params.env));
	if (how != STS_ANSWER_NOW && !d->check)
		sts_check_start(d);
	if (how != STS_ANSWER_LATER)
		tell_all(d, NULL);
}

static void on_step(struct deferred *deferred)
{
	struct sts_domain *d = CONTAINER_OF(deferred, struct sts_domain, step);
	struct sts *s = d->sts;
	const char *problem = s->is_stopping ? "stopping" : d->problem;

	d->problem = NULL;
	d->is_stepping = true;
	if (problem)
		tell_all(d, problem);
	else if (d->load == STS_UNREAD && !list_is_empty(&d->waiting))
		sts_shelf_read(d);
	else if (d->load == STS_READ && !list_is_empty(&d->waiting))
		answer(d);
	d->was_checked = false;
	d->is_stepping = false;
	if (d->is_walked && !d->check && d->load != STS_READING) {
		d->is_walked = false;
		sts_walk_note_done(s);
	}
}

void sts_doubt(struct sts *s, struct str domain)
{
	struct sts_domain *d = find(s, domain);

	if (d && d->load == STS_READ && d->times.has_policy)
		sts_times_note_doubt(&d->times);
}

/* ---- the end ---- */

void sts_op_begin(struct sts *s)
{
	s->op_count++;
}

void sts_op_end(struct sts *s)
{
	s->op_count--;
	if (s->is_stopping && s->op_count == 0 && s->params.on_idle)
		s->params.on_idle(s->params.user);
}

bool sts_is_busy(const struct sts *s)
{
	return s->op_count > 0;
}

void sts_stop(struct sts *s)
{
	s->is_stopping = true;
	sts_walk_stop(s);
	for (struct map_entry *e = map_first(&s->domains); e; e = map_next(&s->domains, e)) {
		struct sts_domain *d = CONTAINER_OF(e, struct sts_domain, entry);

		sts_check_cancel(d);
		sts_go_on(d);
	}
}

void sts_free(struct sts *s)
{
	struct map_entry *e;

	if (!s)
		return;
	sts_walk_stop(s);
	while ((e = map_first(&s->domains))) {
		struct sts_domain *d = CONTAINER_OF(e, struct sts_domain, entry);

		sts_check_cancel(d);
		env_undefer(s->params.env, &d->step);
		domain_free(d);
	}
	store_op_fini(&s->walk.page.op);
	relay_free_name(&s->walk.after);
	map_fini(&s->domains);
	conf_unref(s->conf);
	free(s);
}
