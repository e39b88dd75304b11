/*
 * sts_shelf - MTA-STS policies on disk: SHELF_STS_POLICY, by domain. A value is one line, "1 ID FETCHED USED", and the policy
 * as a policy file. It stays for as long as the policy may bind.
 *
 * The walk: once an hour, from the first key to the last, a page at a time; policies that are used and should be renewed are
 * checked, some at once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/relay_private.h"
#include "relay/sts_private.h"

#define WALK_EVERY_MS HOUR_MS
#define WALK_EVERY_REAL_MS (5 * SECOND_MS)
#define WALK_PAGE 100
#define WALK_AT_ONCE 8
#define FORMAT STR("1")

static void on_got(struct store_op *op);
static void on_put(struct store_op *op);
static void on_page(struct store_op *op);
static void on_walk(struct timer *t);
static void walk_on(struct sts *s);

/* ---- values ---- */

static bool take_wall(struct str *line, struct wall *out)
{
	uint64_t ms = 0;

	if (str_to_u64(str_cut(line, ' '), &ms) != OK || ms > INT64_MAX)
		return false;
	out->ms = (int64_t)ms;
	return true;
}

bool sts_parse_value(struct str value, struct arena *arena, struct sts_policy *policy,
	struct sts_times *times, struct str *id)
{
	const char *reason;
	struct str line = str_cut(&value, '\n');

	if (!str_equal(str_cut(&line, ' '), FORMAT))
		return false;
	*id = str_cut(&line, ' ');
	*times = (struct sts_times){ .has_policy = true };
	if (id->len == 0 || id->len > STS_ID_BYTES_MAX || !take_wall(&line, &times->fetched) ||
		!take_wall(&line, &times->used) ||
		sts_policy_parse(value, arena, policy, &reason) != OK)
		return false;
	times->max_age_ms = policy->max_age_s * SECOND_MS;
	return true;
}

static void print_value(struct buf *out, const struct sts_domain *d)
{
	buf_clear(out);
	if (!d->times.has_policy)
		return;
	buf_printf(out, "1 %s %lld %lld\n", d->id, (long long)d->times.fetched.ms,
		(long long)d->times.used.ms);
	sts_policy_print(out, &d->policy);
	CHECK(!out->is_full);
}

static void take_value(struct sts_domain *d, struct str value)
{
	struct arena arena = { 0 };
	struct sts_policy policy;
	struct sts_times times;
	struct str id;

	if (!sts_parse_value(value, &arena, &policy, &times, &id)) {
		arena_fini(&arena);
		return;
	}
	sts_forget_policy(d);
	d->arena = arena;
	d->policy = policy;
	d->times = times;
	memcpy(d->id, id.data, id.len);
	d->id[id.len] = '\0';
}

/* ---- reading and writing ---- */

void sts_shelf_read(struct sts_domain *d)
{
	struct sts *s = d->sts;

	d->load = STS_READING;
	d->get = (struct store_shelf_get){ .op.on_done = on_got,
		.kind = SHELF_STS_POLICY,
		.key = d->name,
		.now = env_wall(s->params.env) };
	sts_op_begin(s);
	store_submit(s->params.store, &d->get.op, STORE_SHELF_GET);
}

static void on_got(struct store_op *op)
{
	struct sts_domain *d = CONTAINER_OF(op, struct sts_domain, get.op);
	struct sts *s = d->sts;

	d->load = STS_READ;
	if (op->err == OK) {
		take_value(d, d->get.item.value);
	} else if (op->err != ERR_NOT_FOUND) {
		d->load = STS_UNREAD;
		d->problem = "MTA-STS policies on disk cannot be read";
	}
	store_op_fini(op);
	sts_go_on(d);
	sts_op_end(s);
}

/* What changes while it is being written is written once more. */
void sts_shelf_write(struct sts_domain *d)
{
	struct sts *s = d->sts;

	if (d->is_putting) {
		d->is_put_wanted = true;
		return;
	}
	d->is_putting = true;
	print_value(&d->value, d);
	d->put = (struct store_shelf_put){ .op.on_done = on_put,
		.kind = SHELF_STS_POLICY,
		.item = { .key = d->name,
			.value = buf_str(&d->value),
			.until = wall_add(sts_times_until(&d->times), STS_OVERTIME_MS) },
		.now = env_wall(s->params.env) };
	sts_op_begin(s);
	store_submit(s->params.store, &d->put.op, STORE_SHELF_PUT);
}

static void on_put(struct store_op *op)
{
	struct sts_domain *d = CONTAINER_OF(op, struct sts_domain, put.op);
	struct sts *s = d->sts;

	if (op->err != OK)
		log_text(s->params.env->log, LOG_WARNING, "mta-sts",
			"%.*s: policy cannot be kept on disk: %s", STR_FMT(d->name),
			err_name(op->err));
	store_op_fini(op);
	buf_fini(&d->value);
	buf_init(&d->value, STS_VALUE_BYTES_MAX);
	d->is_putting = false;
	if (d->is_put_wanted) {
		d->is_put_wanted = false;
		sts_shelf_write(d);
	}
	sts_op_end(s);
}

/* ---- the walk ---- */

static void walk_later(struct sts *s)
{
	s->walk.timer.on_fire = on_walk;
	env_timer_after_wall(s->params.env, &s->walk.timer, WALK_EVERY_MS, WALK_EVERY_REAL_MS);
}

void sts_walk_start(struct sts *s)
{
	walk_later(s);
}

void sts_walk_stop(struct sts *s)
{
	env_timer_stop(s->params.env, &s->walk.timer);
}

static void read_page(struct sts *s)
{
	struct sts_walk *w = &s->walk;

	w->is_reading = true;
	w->page = (struct store_shelf_list){ .op.on_done = on_page,
		.kind = SHELF_STS_POLICY,
		.after = w->after,
		.limit = WALK_PAGE,
		.now = env_wall(s->params.env) };
	sts_op_begin(s);
	store_submit(s->params.store, &w->page.op, STORE_SHELF_LIST);
}

static void on_walk(struct timer *t)
{
	struct sts *s = CONTAINER_OF(t, struct sts, walk.timer);

	relay_free_name(&s->walk.after);
	s->walk.is_on = true;
	read_page(s);
}

static void on_page(struct store_op *op)
{
	struct sts *s = CONTAINER_OF(op, struct sts, walk.page.op);

	s->walk.is_reading = false;
	s->walk.next = 0;
	if (op->err != OK)
		s->walk.page.count = 0;
	walk_on(s);
	sts_op_end(s);
}

static bool is_due(struct sts *s, const struct shelf_item *item)
{
	struct arena arena = { 0 };
	struct sts_policy policy;
	struct sts_times times;
	struct str id;
	bool is_it = sts_parse_value(item->value, &arena, &policy, &times, &id) &&
		     sts_times_is_due(&times, env_wall(s->params.env));

	arena_fini(&arena);
	return is_it && conf_policy_for(s->conf, item->key, STR(""))->has_sts;
}

/* A domain that is in memory knows better than the shelf. */
static void check(struct sts *s, const struct shelf_item *item)
{
	struct sts_domain *d = sts_find_or_add(s, item->key);

	if (d->load == STS_UNREAD) {
		take_value(d, item->value);
		d->load = STS_READ;
	}
	if (d->load != STS_READ || d->check || d->is_walked ||
		!sts_times_is_due(&d->times, env_wall(s->params.env)))
		return;
	d->is_walked = true;
	s->walk.pending++;
	sts_check_start(d);
}

static void walk_on(struct sts *s)
{
	struct sts_walk *w = &s->walk;

	if (w->is_reading || !w->is_on || s->is_stopping)
		return;
	for (; w->next < w->page.count && w->pending < WALK_AT_ONCE; w->next++) {
		if (is_due(s, &w->page.items[w->next]))
			check(s, &w->page.items[w->next]);
	}
	if (w->next < w->page.count || w->pending > 0)
		return;
	bool is_more = w->page.op.err == OK && w->page.is_more && w->page.count > 0;
	relay_free_name(&w->after);
	if (is_more)
		w->after = relay_copy_name(w->page.items[w->page.count - 1].key);
	store_op_fini(&w->page.op);
	w->page = (struct store_shelf_list){ 0 };
	if (is_more) {
		read_page(s);
		return;
	}
	w->is_on = false;
	walk_later(s);
}

void sts_walk_note_done(struct sts *s)
{
	s->walk.pending--;
	walk_on(s);
}
