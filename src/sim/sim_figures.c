/* sim_figures - what came of a world, in figures for the script to judge; see sim_world.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/sim_world.h"
#include "store/store_sqlite.h"

#define OUTAGES_LIMIT 1000

/* ---- marks ---- */

static struct sim_cost cost_now(const struct sim_world *w)
{
	return (struct sim_cost){ w->dns.query_count, w->net.connect_count,
		w->log_lines + w->env.log_count, w->reads, w->writes, w->turns };
}

void sim_world_mark(struct sim_world *w)
{
	w->mark = cost_now(w);
}

static void set_figure_of(struct sim_world *w, const char *prefix, const char *name, double value)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s.%s", prefix, name);
	sim_world_set_figure(w, text, value);
}

void sim_world_measure(struct sim_world *w, const char *name)
{
	struct sim_cost now = cost_now(w);

	set_figure_of(w, name, "dns", (double)(now.dns - w->mark.dns));
	set_figure_of(w, name, "connections", (double)(now.connections - w->mark.connections));
	set_figure_of(w, name, "log-lines", (double)(now.log_lines - w->mark.log_lines));
	set_figure_of(w, name, "reads", (double)(now.reads - w->mark.reads));
	set_figure_of(w, name, "writes", (double)(now.writes - w->mark.writes));
	set_figure_of(w, name, "turns", (double)(now.turns - w->mark.turns));
}

/* ---- the end ---- */

void sim_world_set_figure(struct sim_world *w, const char *name, double value)
{
	CHECK(w->figure_count < FIGURES_MAX);
	struct sim_figure *f = &w->figures[w->figure_count++];

	(void)snprintf(f->name, sizeof(f->name), "%s", name);
	f->value = value;
}

const struct sim_figure *sim_world_figure(const struct sim_world *w, struct str name)
{
	for (uint32_t i = 0; i < w->figure_count; i++)
		if (str_equal(str_from_c(w->figures[i].name), name))
			return &w->figures[i];
	return NULL;
}

static int compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* From the 250 to the client until the destination took it. */
static void set_latencies(struct sim_world *w, const struct sim_site *site)
{
	int64_t *times = mem_array(w->ledger.mail_count * 4u + 1, sizeof(*times));
	size_t count = 0, room = w->ledger.mail_count * 4u;

	for (uint32_t i = 0; i < w->ledger.mail_count; i++) {
		const struct sim_mail *m = &w->ledger.mails[i];

		for (uint32_t k = 0; k < m->recipient_count && count < room; k++) {
			const struct sim_rcpt *r = &m->recipients[k];

			if (m->fate == FATE_ANSWERED && r->delivered > 0 && r->site == site->index)
				times[count++] = r->first_ms - m->answered_ms;
		}
	}
	qsort(times, count, sizeof(*times), compare_times);
	set_figure_of(w, site->name, "median", count ? (double)times[count / 2] : 0);
	set_figure_of(w, site->name, "p95", count ? (double)times[count * 95 / 100] : 0);
	set_figure_of(w, site->name, "max", count ? (double)times[count - 1] : 0);
	free(times);
}

struct arrival {
	int64_t at_ms; /* answered; then arrived */
	int64_t arrived_ms;
	uint32_t rank; /* the token; then the place by the 250 */
};

static int compare_arrivals(const void *a, const void *b)
{
	const struct arrival *x = a, *y = b;

	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* By how many places a message that was answered later was ahead when an earlier one arrived. */
static void set_overtaken(struct sim_world *w, const struct sim_site *site)
{
	struct arrival *list = mem_array(w->ledger.mail_count + 1, sizeof(*list));
	uint32_t count = 0, latest = 0, worst = 0;

	for (uint32_t i = 0; i < w->ledger.mail_count; i++) {
		const struct sim_mail *m = &w->ledger.mails[i];
		const struct sim_rcpt *r = &m->recipients[0];

		if (m->fate == FATE_ANSWERED && r->delivered > 0 && r->site == site->index)
			list[count++] = (struct arrival){ m->answered_ms, r->first_ms, i };
	}
	qsort(list, count, sizeof(*list), compare_arrivals);
	for (uint32_t i = 0; i < count; i++)
		list[i] = (struct arrival){ list[i].arrived_ms, 0, i };
	qsort(list, count, sizeof(*list), compare_arrivals);
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].rank > latest)
			latest = list[i].rank;
		else if (latest - list[i].rank > worst)
			worst = latest - list[i].rank;
	}
	set_figure_of(w, site->name, "overtaken", worst);
	free(list);
}

static void set_site_figures(struct sim_world *w, struct sim_site *s)
{
	set_latencies(w, s);
	set_overtaken(w, s);
	set_figure_of(w, s->name, "taken", (double)s->taken);
	set_figure_of(w, s->name, "connects", (double)s->connects);
	set_figure_of(w, s->name, "refusals", (double)s->refusals);
	set_figure_of(w, s->name, "attempts", (double)s->recovery.asked);
	set_figure_of(w, s->name, "open-max", s->open_max);
	set_figure_of(w, s->name, "rush", (double)s->recovery.rush_worst);
	if (s->up_ms < 0)
		return;
	set_figure_of(w, s->name, "recovery",
		s->recovered_ms < 0 ? 1e15 : (double)(s->recovered_ms - s->up_ms));
	set_figure_of(w, s->name, "drain", (double)(s->last_ms - s->up_ms));
	struct sim_recovery_figures f;

	sim_recovery_figures(&s->recovery, &w->ledger, s->index, &f);
	set_figure_of(w, s->name, "refused-percent", f.refused_percent);
	set_figure_of(w, s->name, "refused-at", f.refused_at_ms);
	set_figure_of(w, s->name, "used-percent", f.used_percent);
	set_figure_of(w, s->name, "parked-drain", f.drain_ms);
	set_figure_of(w, s->name, "parked-median", f.median_ms);
	set_figure_of(w, s->name, "urgent-drain", f.urgent_ms);
	set_figure_of(w, s->name, "urgent-behind", f.urgent_behind);
}

/* The worst of all sites that came back. */
static void set_recoveries(struct sim_world *w)
{
	double worst = 0;

	for (uint32_t i = 0; i < w->peers.site_count; i++) {
		const struct sim_site *s = w->peers.sites[i];

		if (s->taken == 0)
			continue; /* nobody writes there */
		if (s->up_ms >= 0 && s->recovered_ms < 0)
			worst = 1e15;
		else if (s->up_ms >= 0 && (double)(s->recovered_ms - s->up_ms) > worst)
			worst = (double)(s->recovered_ms - s->up_ms);
	}
	sim_world_set_figure(w, "recovery-max", worst);
}

static void set_counts(struct sim_world *w, const struct sim_counts *c)
{
	const uint64_t *m = w->totals.value;

	sim_world_set_figure(w, "messages", (double)c->messages);
	sim_world_set_figure(w, "answered", (double)c->answered);
	sim_world_set_figure(w, "refused", (double)c->refused);
	sim_world_set_figure(w, "unknown", (double)c->unknown);
	sim_world_set_figure(w, "recipients", (double)c->recipients);
	sim_world_set_figure(w, "delivered", (double)c->delivered);
	sim_world_set_figure(w, "returned", (double)c->returned);
	sim_world_set_figure(w, "return-first", (double)c->return_first_ms);
	sim_world_set_figure(w, "return-last", (double)c->return_last_ms);
	sim_world_set_figure(w, "deleted", (double)c->deleted);
	sim_world_set_figure(w, "queued", (double)c->queued);
	sim_world_set_figure(w, "duplicates", (double)c->duplicates);
	sim_world_set_figure(w, "turned-away", (double)m[METRIC_smtpd_rejected_connections_total]);
	sim_world_set_figure(w, "double-bounces", (double)w->ledger.double_bounces);
	sim_world_set_figure(w, "receipt-notices", (double)m[METRIC_dsn_success_total]);
	sim_world_set_figure(w, "receipts", (double)c->receipts);
	sim_world_set_figure(w, "receipts-missing", (double)c->receipts_missing);
	sim_world_set_figure(w, "delays", (double)w->ledger.delays);
	sim_world_set_figure(w, "digests", (double)w->ledger.digests);
	sim_world_set_figure(w, "digest-parts", (double)w->ledger.digest_parts);
	sim_world_set_figure(w, "closings", (double)w->ledger.closings);
	sim_world_set_figure(w, "operator-mails", (double)w->ledger.operator_mails);
	sim_world_set_figure(w, "put-off", (double)m[METRIC_dsn_put_off_total]);
	sim_world_set_figure(w, "dsn-discarded", (double)m[METRIC_dsn_discarded_total]);
	sim_world_set_figure(w, "in-doubt", (double)m[METRIC_recipients_in_doubt_total]);
	sim_world_set_figure(w, "deferred", (double)m[METRIC_recipients_deferred_total]);
	sim_world_set_figure(w, "probes", (double)m[METRIC_probes_total]);
	sim_world_set_figure(w, "crashes", w->ledger.crash_count);
	sim_world_set_figure(w, "boots", w->boot_count);
	sim_world_set_figure(w, "dns", (double)w->dns.query_count);
	sim_world_set_figure(w, "connections", (double)w->net.connect_count);
	sim_world_set_figure(w, "log-lines", (double)w->log_lines);
	sim_world_set_figure(w, "reads", (double)w->reads);
	sim_world_set_figure(w, "writes", (double)w->writes);
	sim_world_set_figure(w, "turns", (double)w->turns);
	sim_world_set_figure(w, "hops-max", (double)w->hops_max);
	sim_world_set_figure(w, "sites-max", (double)w->sites_max);
	sim_world_set_figure(w, "deliveries-max", (double)w->deliveries_max);
	sim_world_set_figure(w, "in-memory-max", (double)w->pending_max);
	sim_world_set_figure(w, "sockets-max", (double)w->conns_max);
	sim_world_set_figure(w, "hours", (double)w->clock.now_ms / (double)HOUR_MS);
}

/* What the relay counted and what the world saw must agree where nothing was lost in between. */
static void check_counters(struct sim_world *w, const struct sim_counts *c)
{
	const uint64_t *m = w->totals.value;
	uint64_t seen = w->ledger.acceptances - w->ledger.doubt_count;

	if (c->sending > 0)
		sim_violation(&w->ledger, "%llu messages were never answered",
			(unsigned long long)c->sending);
	if (w->ledger.crash_count > 0)
		return;
	if (m[METRIC_messages_accepted_total] != c->answered + c->unknown)
		sim_violation(&w->ledger, "the relay counts %llu messages accepted, clients %llu",
			(unsigned long long)m[METRIC_messages_accepted_total],
			(unsigned long long)(c->answered + c->unknown));
	if (m[METRIC_recipients_delivered_total] > seen ||
		m[METRIC_recipients_delivered_total] + m[METRIC_recipients_in_doubt_total] < seen)
		sim_violation(&w->ledger,
			"the relay counts %llu recipients delivered, the sites took %llu",
			(unsigned long long)m[METRIC_recipients_delivered_total],
			(unsigned long long)seen);
	if (m[METRIC_deliveries_active] != 0 || m[METRIC_connections_open] != 0)
		sim_violation(&w->ledger,
			"after the end the relay counts %llu deliveries active, %llu connections "
			"open",
			(unsigned long long)m[METRIC_deliveries_active],
			(unsigned long long)m[METRIC_connections_open]);
}

static void on_read(struct store_op *op)
{
	(void)op; /* the answer is there when store_submit returns */
}

/* Recipients that the queue still holds. */
static void set_stored(struct sim_world *w, struct store *store)
{
	struct store_stats stats = { .op.on_done = on_read };

	store_submit(store, &stats.op, STORE_STATS);
	if (stats.op.err == OK)
		sim_world_set_figure(w, "stored",
			(double)(stats.recipients[RECIPIENT_READY] +
				 stats.recipients[RECIPIENT_WAITING] +
				 stats.recipients[RECIPIENT_HELD] +
				 stats.recipients[RECIPIENT_QUARANTINED]));
	store_op_fini(&stats.op);
}

/* The outages that are on record, all together. */
static void set_outages(struct sim_world *w, struct store *store)
{
	struct store_outages all = { .op.on_done = on_read, .limit = OUTAGES_LIMIT };
	uint64_t open = 0, saved = 0, delivered = 0, failed = 0, peak = 0;
	double span_ms = 0;

	store_submit(store, &all.op, STORE_OUTAGES);
	for (uint32_t i = 0; all.op.err == OK && i < all.outage_count; i++) {
		const struct outage_record *o = &all.outages[i];
		double ms = (double)(o->recovered.ms - o->began.ms);

		open += o->ended.ms == WALL_NONE.ms;
		saved += o->saved;
		delivered += o->delivered;
		failed += o->failed;
		if (o->peak_recipients > peak)
			peak = o->peak_recipients;
		if (o->recovered.ms != WALL_NONE.ms && ms > span_ms)
			span_ms = ms;
	}
	sim_world_set_figure(w, "outages", all.op.err == OK ? all.outage_count : 1e15);
	sim_world_set_figure(w, "outages-open", (double)open);
	sim_world_set_figure(w, "outages-saved", (double)saved);
	sim_world_set_figure(w, "outages-delivered", (double)delivered);
	sim_world_set_figure(w, "outages-failed", (double)failed);
	sim_world_set_figure(w, "outages-peak", (double)peak);
	sim_world_set_figure(w, "outage-longest", span_ms);
	store_op_fini(&all.op);
}

static void set_queue(struct sim_world *w)
{
	struct store *store;
	struct buf message;

	buf_init(&message, 4096);
	if (store_open_readonly(str_from_c(w->directory), &(struct store_options){ 0 }, &store,
		    &message) == OK) {
		set_stored(w, store);
		set_outages(w, store);
		store_close(store);
	} else {
		sim_violation(&w->ledger, "the queue cannot be read: %s", buf_cstr(&message));
	}
	buf_fini(&message);
}

void sim_figures_fill(struct sim_world *w)
{
	struct sim_counts counts;

	sim_ledger_close(&w->ledger, &counts);
	set_counts(w, &counts);
	if (!w->is_running && !w->is_broken) {
		check_counters(w, &counts);
		set_queue(w);
	}
	for (uint32_t i = 0; i < w->peers.site_count; i++)
		if (!w->peers.sites[i]->is_plain)
			set_site_figures(w, w->peers.sites[i]);
	set_recoveries(w);
	sim_world_set_figure(w, "violations", w->ledger.violation_count);
}
