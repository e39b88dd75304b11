/*
 * relay - builds the parts, opens the listeners, reloads, stops.
 *
 * Stop: listeners close and idle sessions hear 421 at once; open deliveries get 30 s, then their connections are dropped
 * (their rows are READY: nothing is lost); when the last record is durable on_stopped fires.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/deadline.h"
#include "relay/destination.h"
#include "relay/guard.h"
#include "relay/held_notice.h"
#include "relay/hint.h"
#include "relay/outage.h"
#include "relay/share.h"
#include "relay/sts.h"
#include "relay/teller.h"
#include "relay/tls_report.h"
#include "relay/tls_seen.h"
#include "relay/verify.h"

#define STOP_GRACE_MS (30 * SECOND_MS)

static void on_stop_check(struct deferred *d);
static void on_stop_grace(struct timer *t);

uint64_t relay_new_id(struct relay *r)
{
	return queue_id_next(&r->ids, env_wall(r->env));
}

struct str relay_copy_name(struct str name)
{
	char *copy = mem_alloc(name.len + 1);

	memcpy(copy, name.data, name.len);
	copy[name.len] = '\0';
	return str_of(copy, name.len);
}

void relay_free_name(struct str *name)
{
	free((char *)(uintptr_t)name->data);
	*name = str_of(NULL, 0);
}

void loose_begin(struct relay *r, struct loose *l, void (*free)(struct loose *l))
{
	l->free = free;
	list_push_back(&r->loose, &l->link);
}

void loose_end(struct loose *l)
{
	list_remove(&l->link);
}

static void free_loose(struct relay *r)
{
	struct list *link;

	while ((link = list_pop_front(&r->loose)) != NULL) {
		struct loose *l = CONTAINER_OF(link, struct loose, link);

		l->free(l);
	}
}

static void on_sts_failure(void *user, struct str domain, enum err err, bool is_policy_bad)
{
	tls_seen_no_policy(user, domain, err, is_policy_bad);
}

static void on_sts_idle(void *user)
{
	relay_check_stopped(user);
}

struct relay *relay_new(const struct relay_params *params)
{
	struct relay *r = mem_zalloc(sizeof(*r));
	uint64_t seed;

	r->params = *params;
	r->env = params->env;
	r->net = params->net;
	r->dns = params->dns;
	r->store = params->store;
	r->conf = conf_ref(params->conf);
	r->started = env_wall(r->env);
	env_random(r->env, &seed, sizeof(seed));
	rng_init(&r->rng, seed);
	map_init(&r->hops, seed ^ 1);
	map_init(&r->sites, seed ^ 2);
	list_init(&r->idle_hops);
	list_init(&r->listeners);
	list_init(&r->saving);
	list_init(&r->loose);
	r->ids.node = r->conf->queue.node;
	r->stop_check.on_run = on_stop_check;
	r->stop_timer.on_fire = on_stop_grace;
	r->resolver = resolver_new(r->env, r->dns, r->conf);
	r->pool = pool_new(r->env, r->net, r->conf);
	sched_init(r);
	flow_init(&r->flow, r);
	agenda_init(r);
	upkeep_init(r);
	offline_init(r);
	hint_init(r);
	share_init(r);
	known_init(r);
	guard_init(r);
	held_notice_init(r);
	r->outages = outages_new(r);
	r->verify = verify_new(r);
	r->intake = intake_new(r);
	r->teller = teller_new(r);
	r->deadline = deadline_new(r);
	r->tls_report = tls_report_new(r);
	r->sts = sts_new(&(struct sts_params){ .env = r->env,
		.resolver = r->resolver,
		.store = r->store,
		.fetch = params->fetch,
		.conf = r->conf,
		.on_idle = on_sts_idle,
		.on_failure = on_sts_failure,
		.user = r });
	r->control = control_new(r);
	metric_set(r->env->metrics, METRIC_reload_ok, 1);
	return r;
}

/* ---- listeners ---- */

static void on_accept(void *user, struct conn *conn)
{
	struct listening *l = user;

	intake_accept_conn(l->relay->intake, conn, &l->conf);
}

static const struct listener_handler smtp_listener = { .on_accept = on_accept };

static struct listening *find_listening(struct relay *r, const struct conf_listener *conf)
{
	LIST_FOR_EACH (link, &r->listeners) {
		struct listening *l = CONTAINER_OF(link, struct listening, link);

		if (endpoint_equal(&l->conf.at, &conf->at))
			return l;
	}
	return NULL;
}

static enum err open_listener(
	struct relay *r, const struct conf_listener *conf, struct buf *message)
{
	struct listening *l = mem_zalloc(sizeof(*l));
	enum err err;

	l->relay = r;
	l->conf = *conf;
	l->is_new = true;
	err = net_listen(r->net, &conf->at, 0, &smtp_listener, l, &l->listener);
	if (err != OK) {
		buf_append_str(message, STR("cannot listen on "));
		endpoint_format(message, &conf->at);
		buf_printf(message, ": %s%s\n", err_name(err),
			err == ERR_EXISTS ? " (address in use: is another mail server, or another "
					    "outlastd, on this port?)"
			: err == ERR_PERMISSION
				? " (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
				: "");
		free(l);
		return err;
	}
	list_push_back(&r->listeners, &l->link);
	return OK;
}

static void close_listener(struct relay *r, struct listening *l)
{
	list_remove(&l->link);
	r->net->ops->listener_close(l->listener);
	free(l);
}

static const struct conf_listener *find_wanted(const struct conf *conf, const struct endpoint *at)
{
	for (uint32_t i = 0; i < conf->listener_count; i++)
		if (endpoint_equal(&conf->listeners[i].at, at))
			return &conf->listeners[i];
	return NULL;
}

static void close_stale(struct relay *r)
{
	LIST_FOR_EACH_SAFE (link, &r->listeners) {
		struct listening *l = CONTAINER_OF(link, struct listening, link);

		if (l->is_stale)
			close_listener(r, l);
	}
}

/* On error those that were opened here close again: all of the new set, or the old one. */
static enum err open_listeners(struct relay *r, const struct conf *conf, struct buf *message)
{
	LIST_FOR_EACH (link, &r->listeners)
		CONTAINER_OF(link, struct listening, link)->is_new = false;
	for (uint32_t i = 0; i < conf->listener_count; i++) {
		struct listening *l = find_listening(r, &conf->listeners[i]);
		enum err err;

		err = l ? OK : open_listener(r, &conf->listeners[i], message);
		if (err == OK)
			continue;
		LIST_FOR_EACH (link, &r->listeners) {
			l = CONTAINER_OF(link, struct listening, link);
			l->is_stale = l->is_new;
		}
		close_stale(r);
		return err;
	}
	LIST_FOR_EACH (link, &r->listeners) {
		struct listening *l = CONTAINER_OF(link, struct listening, link);
		const struct conf_listener *wanted = find_wanted(conf, &l->conf.at);

		l->is_stale = !wanted;
		if (wanted)
			l->conf = *wanted;
	}
	close_stale(r);
	return OK;
}

bool relay_listener(struct relay *r, uint32_t n, struct endpoint *out)
{
	LIST_FOR_EACH (link, &r->listeners) {
		if (n-- > 0)
			continue;
		r->net->ops->listener_endpoint(
			CONTAINER_OF(link, struct listening, link)->listener, out);
		return true;
	}
	return false;
}

/* ---- start, reload ---- */

enum err relay_start(struct relay *r, struct buf *message)
{
	enum err err = open_listeners(r, r->conf, message);

	if (err == OK)
		err = control_start(r->control, message);
	if (err != OK)
		return err;
	upkeep_start(r);
	known_start(r);
	outages_start(r);
	agenda_start(r);
	teller_start(r->teller);
	deadline_start(r->deadline);
	sts_start(r->sts);
	tls_report_start(r->tls_report);
	return OK;
}

enum err relay_reload(struct relay *r, struct conf *conf, struct buf *message)
{
	enum err err;

	if (!str_equal(conf->queue.directory, r->conf->queue.directory) ||
		!str_equal(conf->user, r->conf->user)) {
		buf_append_str(message, STR("queue.directory and user cannot change while running: "
					    "restart outlastd\n"));
		metric_set(r->env->metrics, METRIC_reload_ok, 0);
		return ERR_UNSUPPORTED;
	}
	err = open_listeners(r, conf, message);
	if (err != OK) {
		metric_set(r->env->metrics, METRIC_reload_ok, 0);
		return err;
	}
	conf_ref(conf);
	conf_unref(r->conf);
	r->conf = conf;
	resolver_set_conf(r->resolver, conf);
	resolver_flush(r->resolver);
	pool_set_conf(r->pool, conf);
	pool_close_idle(r->pool); /* what was verified under other authorities, or asked for nothing */
	sts_set_conf(r->sts, conf);
	destination_reload(r);
	hint_reload(r);
	sched_kick(r);
	metric_set(r->env->metrics, METRIC_reload_ok, 1);
	return OK;
}

void relay_set_tls(struct relay *r, bool has_tls)
{
	r->params.has_tls = has_tls;
}

void relay_log_state(struct relay *r)
{
	const uint64_t *m = r->env->metrics->value;

	log_text(r->env->log, LOG_NOTICE, "outlastd",
		"state: %u sessions, %u deliveries, %u attempts, %zu next hops and %zu sites in "
		"memory, %llu KiB of content "
		"held, %llu messages accepted, %llu recipients delivered, %llu failed",
		intake_session_count(r->intake), r->delivery_count, r->attempt_count, r->hops.count,
		r->sites.count, (unsigned long long)(r->fresh_bytes >> 10),
		(unsigned long long)m[METRIC_messages_accepted_total],
		(unsigned long long)m[METRIC_recipients_delivered_total],
		(unsigned long long)m[METRIC_recipients_failed_total]);
}

/* ---- stop ---- */

static bool has_ops(const struct relay *r)
{
	const struct agenda *a = &r->agenda;

	if (a->is_promoting || a->is_reading_probes || a->is_scanning || r->upkeep.is_reading ||
		r->upkeep.is_sweeping || r->upkeep.is_trying || share_is_busy(r) ||
		!list_is_empty(&r->saving) || known_is_busy(r) || teller_is_busy(r->teller) ||
		deadline_is_busy(r->deadline) || sts_is_busy(r->sts) ||
		tls_report_is_busy(r->tls_report) || verify_is_busy(r->verify))
		return true;
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		const struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (h->is_loading || h->is_claiming || h->is_routing)
			return true;
	}
	for (struct map_entry *e = map_first(&r->sites); e; e = map_next(&r->sites, e)) {
		const struct site *s = CONTAINER_OF(e, struct site, entry);

		if (s->is_loading || s->is_scanning)
			return true;
	}
	return false;
}

bool relay_is_idle(const struct relay *r)
{
	if (r->delivery_count > 0 || !intake_is_idle(r->intake) || has_ops(r))
		return false;
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		const struct hop *h = CONTAINER_OF(e, struct hop, entry);

		if (h->pending_count > 0 || h->has_more)
			return false;
	}
	return true;
}

static void on_stop_check(struct deferred *d)
{
	struct relay *r = CONTAINER_OF(d, struct relay, stop_check);

	if (!r->on_stopped || r->delivery_count > 0 || !intake_is_idle(r->intake) || has_ops(r))
		return;

	void (*on_stopped)(void *user) = r->on_stopped;

	r->on_stopped = NULL;
	env_timer_stop(r->env, &r->stop_timer);
	pool_close_idle(r->pool);
	on_stopped(r->stop_user);
}

void relay_check_stopped(struct relay *r)
{
	if (r->is_stopping && r->on_stopped)
		env_defer(r->env, &r->stop_check);
}

static void on_stop_grace(struct timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, stop_timer);

	log_text(r->env->log, LOG_NOTICE, "outlastd",
		"stopping: dropping what did not end within 30 s");
	r->is_out_of_time = true;
	intake_drop_all(r->intake);
	destination_cancel_attempts(r);
	relay_check_stopped(r);
}

void relay_stop(struct relay *r, void (*on_stopped)(void *user), void *user)
{
	r->is_stopping = true;
	r->on_stopped = on_stopped;
	r->stop_user = user;
	while (!list_is_empty(&r->listeners))
		close_listener(r, CONTAINER_OF(r->listeners.next, struct listening, link));
	agenda_stop(r);
	upkeep_stop(r);
	offline_stop(r);
	known_stop(r);
	teller_stop(r->teller);
	deadline_stop(r->deadline);
	sts_stop(r->sts);
	tls_report_stop(r->tls_report);
	outages_stop(r);
	intake_shutdown(r->intake);
	verify_stop(r->verify);
	env_timer_after(r->env, &r->stop_timer, STOP_GRACE_MS);
	relay_check_stopped(r);
}

void relay_drop_sessions(struct relay *r)
{
	intake_drop_all(r->intake);
}

void relay_free(struct relay *r)
{
	r->is_stopping = true;
	r->on_stopped = NULL;
	while (!list_is_empty(&r->listeners))
		close_listener(r, CONTAINER_OF(r->listeners.next, struct listening, link));
	agenda_stop(r);
	upkeep_stop(r);
	offline_stop(r);
	env_timer_stop(r->env, &r->stop_timer);
	control_free(r->control);
	teller_free(r->teller);
	deadline_free(r->deadline);
	intake_free(r->intake);
	verify_free(r->verify);
	free_loose(r);
	flow_fini(&r->flow);
	destination_free_all(r);
	hint_fini(r);
	share_fini(r);
	sts_free(r->sts);
	tls_report_free(r->tls_report);
	held_notice_free(r);
	guard_free(r);
	known_free(r);
	outages_free(r->outages);
	env_undefer(r->env, &r->stop_check);
	env_undefer(r->env, &r->sched);
	pool_free(r->pool);
	resolver_free(r->resolver);
	relay_free_name(&r->agenda.scan_cursor);
	map_fini(&r->hops);
	map_fini(&r->sites);
	conf_unref(r->conf);
	free(r);
}
