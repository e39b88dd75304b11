/*
 * exact - a shape played message by message: the relay and its queue in the simulated world; see sim/simulate.h.
 *
 * Contents are small, since what the relay decides does not depend on them; the disk that contents of the wanted size take
 * is added (sim_disk_bytes). The report is made of the ledger, which knows when each message was accepted and arrived, and
 * of the size of the queue file. A promise that did not hold is an error.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "sim/report.h"
#include "sim/sim_world.h"

#define OTHER_DOMAINS 50
#define SITE_HOSTS 2

struct exact {
	struct sim_world world;
	const struct sim_shape *shape;
	struct sim_site *site, *others;
	struct timer away, back, look;
	uint64_t file_bytes_max, connects_before;
	int64_t connect_ms; /* when the destination was last tried while away; looked at each second */
	uint64_t connects_seen, attempts;
	bool is_away;
	int64_t gap_max_ms;
};

/* ---- the world ---- */

static void reach(struct exact *x, enum sim_reach how)
{
	for (uint32_t i = 0; i < x->site->host_count; i++)
		x->site->hosts[i].reach = how;
}

static void on_away(struct timer *t)
{
	struct exact *x = CONTAINER_OF(t, struct exact, away);

	sim_trace(&x->world.clock, "away");
	reach(x, REACH_REFUSE);
	x->is_away = true;
	x->connects_before = x->connects_seen = x->site->connects;
}

static void on_back(struct timer *t)
{
	struct exact *x = CONTAINER_OF(t, struct exact, back);

	sim_trace(&x->world.clock, "back");
	reach(x, REACH_ACCEPT);
	x->is_away = false;
	x->attempts = (x->site->connects - x->connects_before) / SITE_HOSTS;
	x->site->up_ms = x->world.clock.now_ms;
	x->site->recovered_ms = -1;
}

static void note_file(struct exact *x)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/queue.db", x->world.directory);
	if (stat(path, &st) == 0 && (uint64_t)st.st_size > x->file_bytes_max)
		x->file_bytes_max = (uint64_t)st.st_size;
}

/* Each second: when was the destination tried. Each ten minutes: how large is the queue. */
static void on_look(struct timer *t)
{
	struct exact *x = CONTAINER_OF(t, struct exact, look);
	int64_t now_ms = x->world.clock.now_ms;

	if (x->is_away && x->site->connects != x->connects_seen) {
		if (x->connect_ms && now_ms - x->connect_ms > x->gap_max_ms)
			x->gap_max_ms = now_ms - x->connect_ms;
		x->connects_seen = x->site->connects;
		x->connect_ms = now_ms;
	}
	if (now_ms % POINT_MS == 0)
		note_file(x);
	sim_after(&x->world.clock, t, SECOND_MS);
}

static void add_load(struct exact *x, const char *to, uint64_t count, int64_t span_ms,
	int64_t from_ms, int64_t end_ms)
{
	struct sim_load l = {
		.recipients = 1, .body_bytes = SIM_BODY_BYTES, .start_ms = from_ms, .burst = 1
	};

	if (count == 0 || span_ms <= 0)
		return;
	l.every_ms = span_ms / (int64_t)count;
	while (l.every_ms <
		20) { /* a timer for several at once; the rate stays exact to a thousandth */
		l.burst *= 10;
		l.every_ms = span_ms * l.burst / (int64_t)count;
	}
	l.count = (uint32_t)((end_ms - from_ms) / l.every_ms * l.burst);
	(void)snprintf(l.from, sizeof(l.from), "s{n%%%llu}@sender.test",
		(unsigned long long)x->shape->senders);
	(void)snprintf(l.to, sizeof(l.to), "%s", to);
	sim_senders_add(&x->world.senders, &l);
}

static void make_world(struct exact *x, int64_t end_ms)
{
	const struct sim_shape *s = x->shape;
	struct sim_world *w = &x->world;
	char text[128];

	x->site = sim_site_new(&w->peers, "away", SITE_HOSTS);
	x->others = sim_site_new(&w->peers, "others", SITE_HOSTS);
	sim_site_add_domain(&w->peers, x->site, STR("away.test"));
	for (unsigned i = 0; i < OTHER_DOMAINS; i++) {
		int len = snprintf(text, sizeof(text), "o%u.test", i);

		sim_site_add_domain(&w->peers, x->others, str_of(text, (size_t)len));
	}
	sim_site_add_domain(&w->peers, sim_site_new(&w->peers, "sender", 1), STR("sender.test"));
	x->site->line.latency_ms = x->others->line.latency_ms = s->latency_ms;
	x->site->think_ms = x->others->think_ms = s->think_ms;
	x->site->connections_max = s->connections;
	w->ledger.think_ms = s->think_ms;
	(void)snprintf(
		text, sizeof(text), "u{n%%%llu}@away.test", (unsigned long long)s->mailboxes);
	add_load(x, text, s->messages, s->outage_ms, 0, end_ms);
	(void)snprintf(text, sizeof(text), "u{n}@o{n%%%u}.test", (unsigned)OTHER_DOMAINS);
	add_load(x, text, s->others_per_day, DAY_MS, 0, end_ms);
	x->away.on_fire = on_away;
	x->back.on_fire = on_back;
	x->look.on_fire = on_look;
	sim_after(&w->clock, &x->away, SIM_WARM_MS);
	sim_after(&w->clock, &x->back, SIM_WARM_MS + s->outage_ms);
	sim_after(&w->clock, &x->look, SECOND_MS);
}

static void set_policy(struct exact *x, const struct conf *conf)
{
	struct conf *c = x->world.conf;

	c->policy = conf->policy;
	c->policy.connections_max = x->shape->connections;
	if (c->client.connections_max < x->shape->connections + 100)
		c->client.connections_max = x->shape->connections + 100;
	c->queue.history_ms = 0;
}

/* ---- what the ledger says ---- */

struct bins {
	double *backlog; /* change in the bin, then the sum */
	double *arrived;
	double *delay_sum, *delay_count; /* of others */
	int64_t *delays[2];              /* of others: until the return, while it drains */
	size_t delay_counts[2];
	size_t count;
};

static size_t bin_of(const struct bins *b, int64_t at_ms)
{
	size_t bin = at_ms > 0 ? (size_t)(at_ms / BIN_MS) : 0;

	return bin < b->count ? bin : b->count - 1;
}

static int compare_times(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int64_t median(int64_t *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_times);
	return count ? values[count / 2] : 0;
}

static void count_site_mail(
	const struct sim_mail *m, const struct sim_rcpt *r, struct bins *b, struct sim_report *out)
{
	out->accepted++;
	b->backlog[bin_of(b, m->answered_ms)] += 1;
	if (r->delivered > 0) {
		out->delivered++;
		b->backlog[bin_of(b, r->first_ms)] -= 1;
		b->arrived[bin_of(b, r->first_ms)] += 1;
	} else if (r->returned > 0) {
		out->expired++;
		b->backlog[bin_of(b, r->returned_ms)] -= 1;
	} else {
		out->queued++;
	}
}

static void count_mail(const struct exact *x, struct bins *b, struct sim_report *out)
{
	int64_t back_ms = SIM_WARM_MS + x->shape->outage_ms;

	for (uint32_t i = 0; i < x->world.ledger.mail_count; i++) {
		const struct sim_mail *m = &x->world.ledger.mails[i];
		const struct sim_rcpt *r = &m->recipients[0];
		const char *at = strchr(r->address, '@');

		if (m->fate != FATE_ANSWERED)
			continue;
		if (at && strcmp(at, "@away.test") == 0) {
			count_site_mail(m, r, b, out);
		} else if (r->delivered > 0) {
			int64_t delay_ms = r->first_ms - m->answered_ms;
			int phase = m->answered_ms >= back_ms;
			size_t bin = bin_of(b, m->answered_ms);

			out->others++;
			b->delay_sum[bin] += (double)delay_ms;
			b->delay_count[bin]++;
			b->delays[phase][b->delay_counts[phase]++] = delay_ms;
		} else {
			out->others_failed++;
		}
	}
}

/* The backlog at each bin's end: how high, until when, how fast. */
static void read_curve(const struct exact *x, struct bins *b, struct sim_report *out)
{
	const struct sim_shape *s = x->shape;
	int64_t away_ms = SIM_WARM_MS, back_ms = away_ms + s->outage_ms;
	double backlog = 0, served = 0, minute = 0, delay_sum = 0, delay_count = 0;

	for (size_t i = 0; i < b->count; i++) {
		int64_t end_ms = (int64_t)(i + 1) * BIN_MS;

		backlog += b->backlog[i];
		delay_sum += b->delay_sum[i];
		delay_count += b->delay_count[i];
		if (backlog > (double)out->peak_backlog) {
			out->peak_backlog = (uint64_t)backlog;
			out->peak_at_ms = end_ms - away_ms;
		}
		if (end_ms > back_ms && out->drain_ms < 0) {
			served += b->arrived[i];
			minute += b->arrived[i];
			if (end_ms % MINUTE_MS == 0) {
				double per_s = minute * (double)SECOND_MS / (double)MINUTE_MS;

				out->best_per_s = per_s > out->best_per_s ? per_s : out->best_per_s;
				minute = 0;
			}
			if (backlog <= shape_usual(s))
				out->drain_ms = end_ms - back_ms;
		}
		if (end_ms % POINT_MS == 0) {
			report_add_point(
				out, (struct sim_point){ end_ms - away_ms, (uint64_t)backlog,
					     delay_count > 0 ? (int64_t)(delay_sum / delay_count)
							     : -1 });
			delay_sum = delay_count = 0;
		}
	}
	if (out->drain_ms > out->first_ms && out->first_ms >= 0)
		out->drain_per_s =
			served * (double)SECOND_MS / (double)(out->drain_ms - out->first_ms);
}

static void make_report(struct exact *x, struct sim_report *out)
{
	const struct sim_world *w = &x->world;
	size_t mails = w->ledger.mail_count + 1;
	struct bins b = { .count = (size_t)(w->clock.now_ms / BIN_MS) + 1 };

	b.backlog = mem_array(b.count, sizeof(double));
	b.arrived = mem_array(b.count, sizeof(double));
	b.delay_sum = mem_array(b.count, sizeof(double));
	b.delay_count = mem_array(b.count, sizeof(double));
	b.delays[0] = mem_array(mails, sizeof(int64_t));
	b.delays[1] = mem_array(mails, sizeof(int64_t));
	out->end_ms = w->clock.now_ms - SIM_WARM_MS;
	out->first_ms = x->site->recovered_ms < 0 ? -1 : x->site->recovered_ms - x->site->up_ms;
	out->probe_gap_ms = x->gap_max_ms;
	out->probes = x->attempts;
	count_mail(x, &b, out);
	read_curve(x, &b, out);
	out->others_ms = median(b.delays[0], b.delay_counts[0]);
	out->others_drain_ms = median(b.delays[1], b.delay_counts[1]);
	out->peak_disk_bytes =
		x->file_bytes_max + out->peak_backlog * (sim_disk_bytes(x->shape->size_bytes) -
								sim_disk_bytes(SIM_CONTENT_BYTES));
	free(b.backlog);
	free(b.arrived);
	free(b.delay_sum);
	free(b.delay_count);
	free(b.delays[0]);
	free(b.delays[1]);
}

/* ---- the run ---- */

bool sim_exact(const struct sim_shape *s, const struct conf *conf, uint64_t seed,
	const char *directory, struct sim_report *out, struct buf *message)
{
	struct sim_report guess;
	struct exact *x = mem_zalloc(sizeof(*x));
	int64_t end_ms;
	bool is_good;

	*out = (struct sim_report){ .shape = *s, .first_ms = -1, .drain_ms = -1 };
	/* Mail comes in until some time after the end that the estimate expects. */
	sim_estimate(s, conf, seed, &guess);
	end_ms = SIM_WARM_MS + s->outage_ms + HOUR_MS +
		 (guess.drain_ms < 0 ? conf->policy.lifetime_max_ms
				     : guess.drain_ms + guess.drain_ms / 5);
	sim_report_fini(&guess);
	x->shape = s;
	sim_world_init(&x->world, seed, directory, NULL);
	set_policy(x, conf);
	make_world(x, end_ms);
	sim_world_boot(&x->world);
	sim_world_run(&x->world, end_ms + DAY_MS);
	sim_world_close(&x->world);
	make_report(x, out);
	is_good = x->world.ledger.violation_count == 0 && !x->world.is_broken;
	if (!is_good)
		buf_printf(message,
			"the simulated relay broke %u promises, which were written above",
			x->world.ledger.violation_count);
	sim_world_fini(&x->world);
	free(x);
	return is_good;
}
