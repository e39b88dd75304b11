/*
 * expiry - mail parked behind a destination longer than its lifetime, looked for after a failed probe.
 *
 * The failed probe is the attempt that every recipient is owed after its time ran out. Goes over the next hops of the site
 * a page at a time, and over the overdue mail of each (ids sort by arrival: an index range) a claim at a time; the next
 * step waits until what was claimed is recorded. Nothing is read when nothing is overdue.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "queue/retry.h"
#include "relay/delivery.h"
#include "relay/outage.h"

#define EXPIRY_EVERY_MS HOUR_MS
#define EXPIRY_PAGE 64
#define EXPIRY_CLAIM 32
/* So many messages of one next hop that are old enough and yet not over are read past, to find those behind them. */
#define EXPIRY_PASSED_MAX 1024

struct expiry {
	struct loose loose;
	struct relay *relay;
	struct site *site; /* NULL: one hop alone */
	bool is_by_time;   /* that hop's mail with a by-time alone; down is it or its site */
	struct store_hops page;
	bool is_reading, has_page;
	uint32_t position; /* in page */
	struct str cursor; /* owned: last hop of the page */
	struct hop *hop;   /* being worked on */
	struct store_claim claim;
	bool is_claiming, has_more;
	struct arena evidence;
	struct outcome outcome; /* why the mail could not move */
	struct wall probed;     /* when it failed: what is over only since then is owed another */
	uint32_t passed_over;   /* of this hop: older than its lifetime, and not over yet */
};

static void next_hop(struct expiry *x);

static void expiry_free(struct expiry *x)
{
	loose_end(&x->loose);
	store_op_fini(&x->page.op);
	store_op_fini(&x->claim.op);
	arena_fini(&x->evidence);
	relay_free_name(&x->cursor);
	free(x);
}

static void free_loose_expiry(struct loose *l)
{
	struct expiry *x = CONTAINER_OF(l, struct expiry, loose);

	if (x->hop && x->hop->expiry == x)
		x->hop->expiry = NULL;
	expiry_free(x);
}

static void finish(struct expiry *x)
{
	struct relay *r = x->relay;

	if (x->site) {
		x->site->is_expiring = false;
		site_kick(x->site);
		site_release(x->site);
	}
	expiry_free(x);
	r->delivery_count--;
	relay_check_stopped(r);
}

static struct expiry *expiry_new(struct relay *r, const struct health_record *health)
{
	struct expiry *x = mem_zalloc(sizeof(*x));

	x->relay = r;
	x->probed = env_wall(r->env);
	x->cursor = relay_copy_name(STR(""));
	x->outcome = (struct outcome){
		.stage = STAGE_POLICY,
		.status = STATUS(4, 4, 7),
		.text = arena_printf(&x->evidence,
			"delivery time expired; last failure (%s): %s%s%s", health->stage,
			health->host, health->host[0] ? " " : "", health->text),
	};
	loose_begin(r, &x->loose, free_loose_expiry);
	r->delivery_count++;
	return x;
}

/* It may have answered since, or the hop have moved to another site. */
static bool is_still_down(const struct expiry *x)
{
	const struct hop *h = x->hop;

	if (x->is_by_time && h->site && h->site->health.state == HEALTH_DOWN)
		return true;
	if (x->site)
		return h->site == x->site && x->site->health.state == HEALTH_DOWN;
	return h->health.state == HEALTH_DOWN;
}

static int64_t longest_hold(const struct queued_message *m)
{
	int64_t longest_ms = 0;

	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].held_ms > longest_ms)
			longest_ms = m->recipients[i].held_ms;
	return longest_ms;
}

static void on_overdue(struct store_op *op)
{
	struct expiry *x = CONTAINER_OF(op, struct expiry, claim.op);
	const struct verdict fail = { .disposition = DISPOSE_FAIL, .status = STATUS(4, 4, 7) };
	/* RFC 2852 4.1: returned by the time that its sender set */
	const struct verdict past = { .disposition = DISPOSE_FAIL, .status = STATUS(5, 4, 7) };
	uint32_t started = 0;
	uint32_t passed_before = x->passed_over;

	x->is_claiming = false;
	x->passed_over = 0;
	for (uint32_t i = 0; op->err == OK && !x->hop->is_claim_stale && i < x->claim.message_count;
		i++) {
		const struct queued_message *m = &x->claim.messages[i];
		struct hop *h = x->hop;

		if (!is_still_down(x) || hop_holds(h, m->env.id))
			continue;
		if (outage_gives_up_held_at(h, &m->env, longest_hold(m)).ms > x->probed.ms) {
			x->passed_over++; /* a notice, or held back by its sender: it has its own end */
			continue;
		}
		if (!delivery_from_store(h, m))
			continue;
		/* wherever its priority put it among those pending */
		delivery_fail_without_route(hop_find(h, m->env.id), &x->outcome,
			retry_is_past_by_time(&m->env, x->probed) ? &past : &fail);
		started++;
	}
	x->has_more = op->err == OK && is_still_down(x) &&
		      ((x->claim.is_more && x->passed_over < EXPIRY_PASSED_MAX &&
			       (started > 0 || x->passed_over > passed_before)) ||
			      x->hop->is_claim_stale);
	store_op_fini(op);
	hop_claim_ends(x->hop);
	hop_kick(x->hop);
}

static void claim_overdue(struct expiry *x)
{
	struct hop *h = x->hop;

	x->is_claiming = true;
	hop_claim_begins(h);
	x->claim = (struct store_claim){
		.op.on_done = on_overdue,
		.hop = h->name,
		.accepted_before = x->is_by_time ? WALL_NONE
						 : outage_overdue_before(x->relay, h->site, h,
							   h->name, x->probed),
		.due_by = x->is_by_time ? x->probed : WALL_NONE,
		.message_limit = EXPIRY_CLAIM + x->passed_over,
		.recipients_per_message = 1000,
	};
	store_submit(x->relay->store, &x->claim.op, STORE_CLAIM);
}

void expiry_continue(struct hop *h)
{
	struct expiry *x = h->expiry;

	if (x->is_claiming || h->active_count > 0)
		return;
	if (x->is_by_time && h->site && !h->site->is_loaded && !x->relay->is_stopping)
		return; /* its load kicks all members */
	if (x->has_more && is_still_down(x) && !x->relay->is_stopping) {
		claim_overdue(x);
		return;
	}
	h->expiry = NULL;
	x->hop = NULL;
	hop_kick(h);
	next_hop(x);
}

static void on_page(struct store_op *op)
{
	struct expiry *x = CONTAINER_OF(op, struct expiry, page.op);

	x->is_reading = false;
	x->has_page = op->err == OK && x->page.hop_count > 0;
	x->position = 0;
	if (!x->has_page) {
		finish(x);
		return;
	}
	relay_free_name(&x->cursor);
	x->cursor = relay_copy_name(x->page.hops[x->page.hop_count - 1].name);
	next_hop(x);
}

static void read_page(struct expiry *x)
{
	store_op_fini(&x->page.op);
	x->is_reading = true;
	x->page = (struct store_hops){
		.op.on_done = on_page,
		.after = x->cursor,
		.limit = EXPIRY_PAGE,
		.site = x->site->name,
		.only_ready = true,
		.is_detailed = true,
	};
	store_submit(x->relay->store, &x->page.op, STORE_HOPS);
}

static void work_on(struct expiry *x, struct hop *h)
{
	x->hop = h;
	x->has_more = true;
	x->passed_over = 0;
	h->expiry = x;
	hop_kick(
		h); /* not before the probe that failed is recorded: its message may be overdue too */
}

/* Most next hops have nothing overdue, and are left where they are. */
static bool may_be_overdue(const struct expiry *x, const struct hop_record *rec)
{
	return rec->oldest.ms <
	       outage_overdue_before(x->relay, x->site, NULL, rec->name, x->probed).ms;
}

static void next_hop(struct expiry *x)
{
	while (x->site && x->has_page && x->position < x->page.hop_count &&
		!x->relay->is_stopping) {
		const struct hop_record *rec = &x->page.hops[x->position++];
		struct hop *h = may_be_overdue(x, rec) ? hop_get(x->relay, rec->name) : NULL;

		if (h && !h->expiry) {
			work_on(x, h);
			return;
		}
	}
	if (!x->site || x->relay->is_stopping || (x->has_page && !x->page.is_more))
		finish(x);
	else
		read_page(x);
}

void expiry_start_site(struct site *s)
{
	struct wall now = env_wall(s->relay->env);

	if (s->is_expiring || now.ms - s->expiry_swept.ms < EXPIRY_EVERY_MS)
		return;
	s->is_expiring = true;
	s->expiry_swept = now;

	struct expiry *x = expiry_new(s->relay, &s->health);

	x->site = s;
	next_hop(x);
}

void expiry_start_hop(struct hop *h)
{
	struct wall now = env_wall(h->relay->env);

	if (h->expiry || now.ms - h->expiry_swept.ms < EXPIRY_EVERY_MS)
		return;
	h->expiry_swept = now;
	work_on(expiry_new(h->relay, &h->health), h);
}

void expiry_start_by_time(struct hop *h, const struct health_record *why)
{
	struct expiry *x;

	if (h->expiry)
		return; /* the next look finds what it leaves */
	x = expiry_new(h->relay, why);
	x->is_by_time = true;
	work_on(x, h);
}
