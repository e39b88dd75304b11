/* flow - see flow.h. */
#include "relay/flow.h"

#include "relay/destination.h"

/* Deliveries waiting in memory, or their size, that keep every connection busy. */
#define WAITING_ENOUGH 128
#define BYTES_ENOUGH ((uint64_t)16 << 20)
/* What takes longer than this at the present pace is a backlog: holding replies back would only move it to the clients. */
#define WORTH_WAITING_MS 1000

static bool is_enough(const struct flow *f)
{
	return f->waiting_count >= WAITING_ENOUGH || f->waiting_bytes >= BYTES_ENOUGH;
}

static void turn_over(struct flow *f)
{
	struct mono now = env_now(f->relay->env);
	int64_t passed_ms = now.ms - f->began.ms;

	if (passed_ms < FLOW_HOLD_MAX_MS)
		return;
	f->ended_before = passed_ms < 2 * FLOW_HOLD_MAX_MS ? f->ended_now : 0;
	f->ended_now = 0;
	f->began = now;
}

static void wait_until(struct flow *f, struct mono until)
{
	struct env *env = f->relay->env;

	env_timer_after(env, &f->late, until.ms - env_now(env).ms);
}

static void on_late(struct timer *t)
{
	struct flow *f = CONTAINER_OF(t, struct flow, late);

	env_defer(f->relay->env, &f->go);
}

static void on_go(struct deferred *d)
{
	struct flow *f = CONTAINER_OF(d, struct flow, go);
	struct env *env = f->relay->env;

	while (!list_is_empty(&f->held)) {
		struct flow_hold *h = CONTAINER_OF(f->held.next, struct flow_hold, link);
		bool is_late = h->until.ms <= env_now(env).ms;

		if (!is_late && is_enough(f)) {
			wait_until(f, h->until);
			return;
		}
		list_remove(&h->link);
		h->on_go(h);
	}
	env_timer_stop(env, &f->late);
}

void flow_init(struct flow *f, struct relay *r)
{
	*f = (struct flow){ .relay = r, .late.on_fire = on_late, .go.on_run = on_go };
	list_init(&f->held);
}

void flow_fini(struct flow *f)
{
	env_timer_stop(f->relay->env, &f->late);
	env_undefer(f->relay->env, &f->go);
}

bool flow_must_hold(struct flow *f)
{
	turn_over(f);
	/* What ended lately is what will end in as much time again. */
	uint64_t pace = f->ended_now > f->ended_before ? f->ended_now : f->ended_before;

	return !f->relay->is_stopping && is_enough(f) &&
	       f->waiting_count <= pace * (WORTH_WAITING_MS / FLOW_HOLD_MAX_MS);
}

void flow_hold(struct flow *f, struct flow_hold *h)
{
	struct env *env = f->relay->env;

	h->until = (struct mono){ env_now(env).ms + FLOW_HOLD_MAX_MS };
	list_push_back(&f->held, &h->link);
	if (f->held.next == &h->link)
		wait_until(f, h->until);
}

void flow_note_ended(struct flow *f)
{
	turn_over(f);
	f->ended_now++;
	if (!list_is_empty(&f->held))
		env_defer(f->relay->env, &f->go);
}

void flow_note_waiting(struct hop *h, uint64_t size_bytes)
{
	struct flow *f = &h->relay->flow;

	h->waiting_count++;
	h->waiting_bytes += size_bytes;
	if (h->is_slow)
		return;
	f->waiting_count++;
	f->waiting_bytes += size_bytes;
}

void flow_note_left(struct hop *h, uint64_t size_bytes)
{
	struct flow *f = &h->relay->flow;

	h->waiting_count--;
	h->waiting_bytes -= size_bytes;
	if (h->is_slow)
		return;
	f->waiting_count--;
	f->waiting_bytes -= size_bytes;
}

void flow_note_started(struct hop *h, int64_t waited_ms)
{
	struct flow *f = &h->relay->flow;
	bool is_slow = waited_ms > WORTH_WAITING_MS;

	if (is_slow == h->is_slow)
		return;
	h->is_slow = is_slow;
	f->waiting_count += is_slow ? -h->waiting_count : h->waiting_count;
	f->waiting_bytes += is_slow ? -h->waiting_bytes : h->waiting_bytes;
}
