/* sim_world - see sim_world.h. */
#include "sim/sim_world.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/destination.h"
#include "store/store_sqlite.h"

#define SETTLED_MS (2 * HOUR_MS) /* goes on so long after everything is settled: late mistakes */
#define LOOK_MS (10 * MINUTE_MS + 7919) /* out of step with what the relay does each minute */
#define SAMPLE_MS 47111
#define SPIN_TURNS_MAX 200000

/* ---- the store, counted ---- */

static void on_refuse(struct deferred *d)
{
	struct sim_store *s = CONTAINER_OF(d, struct sim_store, refuse);
	struct list refused, *link;

	list_init(&refused);
	list_splice(&refused, &s->refused);
	while ((link = list_pop_front(&refused)) != NULL) {
		struct store_op *op = CONTAINER_OF(link, struct store_op, link);

		op->err = ERR_NO_SPACE;
		op->on_done(op);
	}
}

static void on_submit(struct store *store, struct store_op *op)
{
	struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);

	if (!store_kind_is_write(op->kind)) {
		s->world->reads++;
	} else if (s->world->is_store_full) {
		list_push_back(&s->refused, &op->link);
		env_defer(&s->world->env.env, &s->refuse);
		return;
	} else {
		s->world->writes++;
	}
	s->inner->ops->submit(s->inner, op);
}

static const struct store_ops counting_ops = { .submit = on_submit };

/* ---- boot, crash, restart ---- */

static void on_fatal(void *user, struct str message)
{
	struct sim_world *w = user;

	sim_violation(&w->ledger, "the store gave up: %.*s", STR_FMT(message));
	w->is_broken = true;
}

static void on_boot(struct timer *t)
{
	sim_world_boot(CONTAINER_OF(t, struct sim_world, boot));
}

void sim_world_boot(struct sim_world *w)
{
	const struct store_options options = { .wal_limit_pages = w->conf->queue.wal_pages,
		.journal_bytes = 1 << 20,
		.on_fatal = on_fatal,
		.on_fatal_user = w };
	struct buf message;

	buf_init(&message, 4096);
	sim_env_init(&w->env, &w->clock, w->wall_ms);
	w->store = (struct sim_store){
		.store.ops = &counting_ops, .world = w, .refuse.on_run = on_refuse
	};
	list_init(&w->store.refused);
	sim_trace(&w->clock, "boot %u", ++w->boot_count);
	if (store_sync_open(&w->env.env, str_from_c(w->directory), &options, &w->store.inner,
		    &message) != OK) {
		sim_violation(&w->ledger, "the queue cannot be opened: %s", buf_cstr(&message));
		w->is_broken = true;
		buf_fini(&message);
		return;
	}

	const struct relay_params params = {
		.env = &w->env.env,
		.net = &w->net.net,
		.dns = &w->dns.dns,
		.store = &w->store.store,
		.conf = w->conf,
	};

	w->relay = relay_new(&params);
	w->is_running = true;
	w->is_stopped = false;
	if (relay_start(w->relay, &message) != OK) {
		sim_violation(&w->ledger, "the relay does not start: %s", buf_cstr(&message));
		w->is_broken = true;
	} else if (!relay_listener(w->relay, 0, &w->senders.listener)) {
		w->is_broken = true;
	}
	buf_fini(&message);
}

static void end_life(struct sim_world *w)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		w->totals.value[i] += w->env.metrics.value[i];
	w->log_lines += w->env.log_count;
	w->env.log_count = 0;
	w->relay = NULL;
	w->is_running = false;
	sim_dns_crash(&w->dns);
	sim_env_fini(&w->env);
}

void sim_world_crash(struct sim_world *w, int64_t down_ms)
{
	if (!w->is_running)
		return;
	sim_trace(&w->clock, "crash");
	sim_ledger_note_crash(&w->ledger);
	sim_net_crash(&w->net);
	relay_free(w->relay);
	store_sync_abandon(w->store.inner);
	end_life(w);
	w->boot.on_fire = on_boot;
	sim_after(&w->clock, &w->boot, down_ms);
}

static void on_stopped(void *user)
{
	struct sim_world *w = user;

	w->is_stopped = true;
}

void sim_world_restart(struct sim_world *w, int64_t down_ms)
{
	if (!w->is_running)
		return;
	sim_trace(&w->clock, "stop");
	w->down_ms = down_ms;
	relay_stop(w->relay, on_stopped, w);
}

static void finish_stop(struct sim_world *w)
{
	store_close(w->store.inner);
	relay_free(w->relay);
	end_life(w);
	if (w->down_ms < 0)
		return;
	w->boot.on_fire = on_boot;
	sim_after(&w->clock, &w->boot, w->down_ms);
}

/* ---- an operator ---- */

struct deletion {
	struct store_modify op;
	struct store_filter filter;
	char from[128];
};

static void on_deleted(struct store_op *op)
{
	struct deletion *d = CONTAINER_OF(op, struct deletion, op.op);

	store_op_fini(op);
	free(d);
}

void sim_world_delete(struct sim_world *w, const char *from)
{
	struct deletion *d = mem_zalloc(sizeof(*d));

	if (!w->is_running) {
		free(d);
		return;
	}
	(void)snprintf(d->from, sizeof(d->from), "%s", from);
	d->filter.from = str_from_c(d->from);
	d->op = (struct store_modify){
		.op.on_done = on_deleted,
		.filter = &d->filter,
		.action = MODIFY_DELETE,
		.now = env_wall(&w->env.env),
		.actor = STR("script"),
		.reason = STR("test"),
		.limit = 1000000,
	};
	store_submit(&w->store.store, &d->op.op, STORE_MODIFY);
	for (uint32_t i = 0; i < w->ledger.mail_count; i++)
		if (str_match_glob(str_from_c(w->ledger.mails[i].from), str_from_c(from)))
			w->ledger.mails[i].is_deleted = true;
}

/* ---- running ---- */

#define KEEP_MAX(max, now) (max) = (now) > (max) ? (now) : (max)

/* Each turn: what costs nothing to look at. */
static void look_at_counts(struct sim_world *w)
{
	const struct relay *r = w->relay;

	KEEP_MAX(w->hops_max, r->hops.count);
	KEEP_MAX(w->sites_max, r->sites.count);
	KEEP_MAX(w->deliveries_max, r->delivery_count);
}

static void take_sample(struct sim_world *w)
{
	struct relay *r = w->relay;
	uint64_t pending = 0, conns = sim_net_open_count(&w->net);

	if (!w->is_running)
		return;
	for (struct map_entry *e = map_first(&r->hops); e; e = map_next(&r->hops, e)) {
		const struct hop *h = CONTAINER_OF(e, struct hop, entry);

		pending += h->pending_count + h->active_count;
	}
	KEEP_MAX(w->pending_max, pending);
	KEEP_MAX(w->conns_max, conns);
}

static void on_sample(struct timer *t)
{
	struct sim_world *w = CONTAINER_OF(t, struct sim_world, sample);

	take_sample(w);
	sim_after(&w->clock, t, SAMPLE_MS);
}

static bool is_mail_settled(const struct sim_mail *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].delivered == 0 && m->recipients[i].returned == 0)
			return m->is_deleted;
	return true;
}

static bool is_settled(const struct sim_world *w)
{
	if (!sim_senders_done(&w->senders) || w->pending_events > 0 || w->crash_in_turns > 0 ||
		!w->is_running)
		return false;
	for (uint32_t i = 0; i < w->ledger.mail_count; i++)
		if (w->ledger.mails[i].fate == FATE_ANSWERED &&
			!is_mail_settled(&w->ledger.mails[i]))
			return false;
	return w->relay->delivery_count == 0;
}

static struct mono next_event(const struct sim_world *w)
{
	struct mono world = timers_next(&w->clock.timers);
	struct mono relay = w->is_running ? timers_next(&w->env.timers) : MONO_NEVER;

	return world.ms < relay.ms ? world : relay;
}

static void check_spin(struct sim_world *w)
{
	if (w->clock.now_ms != w->same_time_ms) {
		w->same_time_ms = w->clock.now_ms;
		w->same_time_turns = 0;
	} else if (++w->same_time_turns > SPIN_TURNS_MAX) {
		sim_violation(&w->ledger, "the relay turns without end, and time stands still");
		w->is_broken = true;
	}
}

static void turn(struct sim_world *w)
{
	struct mono now = sim_now(&w->clock);

	w->turns++;
	check_spin(w);
	timers_run(&w->clock.timers, now);
	if (w->is_running)
		timers_run(&w->env.timers, now);
	if (w->is_running)
		look_at_counts(w);
	if (w->is_stopped && w->is_running)
		finish_stop(w);
	if (w->crash_in_turns > 0 && w->is_running && --w->crash_in_turns == 0)
		sim_world_crash(w, (int64_t)rng_below(&w->clock.rng, 60) * SECOND_MS);
}

void sim_world_run(struct sim_world *w, int64_t end_ms)
{
	int64_t look_ms = 0, settled_ms = -1;

	w->sample.on_fire = on_sample;
	sim_after(&w->clock, &w->sample, MINUTE_MS);
	while (!w->is_broken) {
		struct mono next = next_event(w);
		int64_t at_ms = next.ms - SIM_MONO_START_MS;

		if (at_ms > end_ms)
			break;
		if (at_ms > w->clock.now_ms)
			w->clock.now_ms = at_ms;
		turn(w);
		if (w->clock.now_ms < look_ms)
			continue;
		look_ms = w->clock.now_ms + LOOK_MS;
		if (!is_settled(w))
			settled_ms = -1;
		else if (settled_ms < 0)
			settled_ms = w->clock.now_ms;
		else if (w->clock.now_ms - settled_ms >= SETTLED_MS)
			break;
	}
}

void sim_world_fill_store(struct sim_world *w, bool is_full)
{
	w->is_store_full = is_full;
	sim_ledger_note_space(&w->ledger, is_full);
}

/* Connections to the outside do not outlast it. */
void sim_world_sleep(struct sim_world *w, int64_t ms)
{
	sim_trace(&w->clock, "sleep");
	sim_net_reset_all(&w->net);
	w->clock.now_ms += ms;
}

/* ---- the end ---- */

void sim_world_close(struct sim_world *w)
{
	int64_t limit_ms = w->clock.now_ms + 2 * MINUTE_MS;

	if (w->is_running && !w->is_broken) {
		sim_world_restart(w, -1);
		while (w->is_running && !w->is_broken && w->clock.now_ms < limit_ms) {
			struct mono next = next_event(w);

			if (next.ms - SIM_MONO_START_MS > w->clock.now_ms)
				w->clock.now_ms = next.ms - SIM_MONO_START_MS;
			turn(w);
		}
		if (w->is_running)
			sim_violation(&w->ledger, "the relay does not stop");
	}
	sim_figures_fill(w);
}

/* ---- init ---- */

/* Its sender's class has a time after which it is to be returned, and that is over: no failure need come after it. */
static bool is_past_its_time(const struct sim_world *w, const struct sim_mail *m, struct str address)
{
	for (uint32_t i = 0; i < w->conf->class_count; i++) {
		const struct conf_class *k = &w->conf->classes[i];

		if (k->has_deliver_by && !k->deliver_by_notify &&
			(k->from.len == 0 || str_match_glob(str_from_c(m->from), k->from)) &&
			(k->to.len == 0 || str_match_glob(address, k->to)) &&
			w->clock.now_ms >= m->answered_ms + k->deliver_by_ms - SECOND_MS)
			return true;
	}
	return false;
}

static bool confirms(void *user, int site)
{
	const struct sim_world *w = user;

	return w->peers.sites[site]->has_no_dsn;
}

/* Returned for want of a domain, or because its time was over and its site still did not take it then. */
static bool may_return(void *user, const struct sim_mail *m, const struct sim_rcpt *r)
{
	struct sim_world *w = user;
	struct str address = str_from_c(r->address);
	struct str domain = str_slice(address, str_find(address, '@') + 1, address.len);
	const struct sim_site *site = sim_site_of(&w->peers, domain);
	int64_t end_ms = m->answered_ms + w->conf->policy.lifetime_ms - SECOND_MS;

	if (sim_dns_was_gone(&w->dns, domain) || is_past_its_time(w, m, address))
		return true;
	return w->clock.now_ms >= end_ms && site && site->failed_ms >= end_ms;
}

void sim_world_init(struct sim_world *w, uint64_t seed, const char *directory, FILE *trace)
{
	memset(w, 0, sizeof(*w));
	(void)snprintf(w->directory, sizeof(w->directory), "%s", directory);
	sim_clock_init(&w->clock, seed, trace);
	sim_net_init(&w->net, &w->clock);
	sim_dns_init(&w->dns, &w->clock);
	sim_ledger_init(&w->ledger, &w->clock);
	w->ledger.may_return = may_return;
	w->ledger.confirms = confirms;
	w->ledger.user = w;
	sim_peers_init(&w->peers, &w->clock, &w->net, &w->ledger, &w->dns);
	sim_senders_init(&w->senders, &w->clock, &w->net, &w->ledger);
	w->conf = conf_default();
	w->conf->hostname = STR("relay.sim.test");
	w->conf->postmaster = STR("postmaster@sender.test");
	w->conf->bounce_from = STR("MAILER-DAEMON@relay.sim.test");
	w->conf->queue.directory = str_from_c(w->directory);
	w->conf->queue.min_free_bytes = 1;
	w->conf->queue.reserve_bytes = 0;
	w->conf->notify.failures_per_hour = 0;
}

void sim_world_fini(struct sim_world *w)
{
	if (w->is_running)
		sim_world_crash(w, 0);
	sim_senders_fini(&w->senders);
	sim_peers_fini(&w->peers);
	sim_net_fini(&w->net);
	sim_dns_fini(&w->dns);
	sim_ledger_fini(&w->ledger);
	conf_unref(w->conf);
	sim_clock_fini(&w->clock);
}
