/* tls_report - see tls_report.h: what is counted, and the shelf. */
#include "relay/tls_report.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/tls_report_private.h"

#define SAVE_EVERY_MS MINUTE_MS
#define SAVE_EVERY_REAL_MS (5 * SECOND_MS)
#define LOAD_PAGE 100
#define DAY_DIGITS 8

static void on_page(struct store_op *op);
static void on_put(struct store_op *op);
static void on_save(struct timer *timer);
static void read_page(struct tls_report *t);

struct wall tls_report_begin_of(int64_t day)
{
	return (struct wall){ day * DAY_MS };
}

static int64_t today(const struct tls_report *t)
{
	return env_wall(t->relay->env).ms / DAY_MS;
}

struct tls_report *tls_report_new(struct relay *r)
{
	struct tls_report *t = mem_zalloc(sizeof(*t));

	t->relay = r;
	t->save_timer.on_fire = on_save;
	map_init(&t->entries, rng_next(&r->rng));
	return t;
}

bool tls_report_is_on(const struct tls_report *t)
{
	return t->relay->conf->tls_report.is_on;
}

void tls_report_op_begin(struct tls_report *t)
{
	t->op_count++;
}

void tls_report_op_end(struct tls_report *t)
{
	t->op_count--;
	relay_check_stopped(t->relay);
}

/* ---- entries ---- */

static void make_key(struct buf *out, int64_t day, struct str domain)
{
	buf_init(out, 512);
	buf_append_number(out, (uint64_t)day, DAY_DIGITS);
	buf_append_char(out, ' ');
	buf_append_str(out, domain);
}

bool tls_report_parse_key(struct str key, int64_t *day, struct str *domain)
{
	uint64_t number = 0;
	struct str first = str_cut(&key, ' ');

	*domain = key;
	if (first.len != DAY_DIGITS || str_to_u64(first, &number) != OK || key.len == 0)
		return false;
	*day = (int64_t)number;
	return true;
}

static struct tally_entry *entry_new(struct tls_report *t, struct str key)
{
	struct tally_entry *e = mem_zalloc(sizeof(*e));

	e->report = t;
	e->key = relay_copy_name(key);
	buf_init(&e->value, TALLY_VALUE_BYTES_MAX);
	map_insert(&t->entries, &e->entry, e->key);
	return e;
}

static void entry_free(struct tally_entry *e)
{
	map_remove(&e->report->entries, &e->entry);
	tls_tally_fini(&e->tally);
	store_op_fini(&e->put.op);
	buf_fini(&e->value);
	relay_free_name(&e->key);
	free(e);
}

/* Those of a day that is over go once they are saved. */
static void forget_past(struct tls_report *t)
{
	struct map_entry *at = map_first(&t->entries);

	while (at) {
		struct tally_entry *e = CONTAINER_OF(at, struct tally_entry, entry);
		struct str domain;
		int64_t day = 0;

		at = map_next(&t->entries, at);
		if (!e->is_dirty && !e->is_putting &&
			(!tls_report_parse_key(e->key, &day, &domain) || day < t->day))
			entry_free(e);
	}
}

static void want_save(struct tls_report *t)
{
	if (!timer_is_active(&t->save_timer))
		env_timer_after_wall(
			t->relay->env, &t->save_timer, SAVE_EVERY_MS, SAVE_EVERY_REAL_MS);
}

void tls_report_note(struct tls_report *t, struct str domain, const struct tally_event *event)
{
	struct map_entry *at;
	struct buf key;

	if (!tls_report_is_on(t) || !t->is_loaded || t->is_stopping)
		return;
	t->day = today(t);
	make_key(&key, t->day, domain);
	at = map_find(&t->entries, buf_str(&key));
	if (at || t->entries.count < TLS_REPORT_DOMAINS_MAX) {
		struct tally_entry *e = at ? CONTAINER_OF(at, struct tally_entry, entry)
					   : entry_new(t, buf_str(&key));
		e->is_dirty |= tls_tally_add(&e->tally, event);
		want_save(t);
	}
	buf_fini(&key);
}

/* ---- saving ---- */

static void save(struct tally_entry *e)
{
	struct tls_report *t = e->report;
	struct str domain;
	int64_t day = 0;

	CHECK(tls_report_parse_key(e->key, &day, &domain));
	buf_clear(&e->value);
	tls_tally_print(&e->value, &e->tally);
	CHECK(!e->value.is_full);
	e->is_dirty = false;
	e->is_putting = true;
	e->put = (struct store_shelf_put){ .op.on_done = on_put,
		.kind = SHELF_TLS_REPORT,
		.item = { .key = e->key,
			.value = buf_str(&e->value),
			.until = wall_add(tls_report_begin_of(day), REPORT_KEPT_MS) },
		.now = env_wall(t->relay->env) };
	tls_report_op_begin(t);
	store_submit(t->relay->store, &e->put.op, STORE_SHELF_PUT);
}

static void on_put(struct store_op *op)
{
	struct tally_entry *e = CONTAINER_OF(op, struct tally_entry, put.op);
	struct tls_report *t = e->report;

	e->is_putting = false;
	if (op->err != OK && !t->is_stopping) {
		e->is_dirty = true; /* with the next save */
		want_save(t);
	}
	store_op_fini(op);
	tls_report_op_end(t);
}

static void save_all(struct tls_report *t)
{
	for (struct map_entry *at = map_first(&t->entries); at; at = map_next(&t->entries, at)) {
		struct tally_entry *e = CONTAINER_OF(at, struct tally_entry, entry);

		if (e->is_dirty && !e->is_putting)
			save(e);
	}
}

static void on_save(struct timer *timer)
{
	struct tls_report *t = CONTAINER_OF(timer, struct tls_report, save_timer);

	save_all(t);
	forget_past(t);
}

/* ---- start and end ---- */

/* What was counted of today before the start; until it is here nothing is counted. */
void tls_report_start(struct tls_report *t)
{
	struct buf key;

	t->day = today(t);
	make_key(&key, t->day, STR(""));
	t->after = relay_copy_name(buf_str(&key));
	buf_fini(&key);
	read_page(t);
}

static void read_page(struct tls_report *t)
{
	t->page = (struct store_shelf_list){ .op.on_done = on_page,
		.kind = SHELF_TLS_REPORT,
		.after = t->after,
		.limit = LOAD_PAGE,
		.now = env_wall(t->relay->env) };
	tls_report_op_begin(t);
	store_submit(t->relay->store, &t->page.op, STORE_SHELF_LIST);
}

static void take_page(struct tls_report *t)
{
	for (uint32_t i = 0; i < t->page.count; i++) {
		struct tls_tally tally = { .policy_count = 0 };
		const struct shelf_item *item = &t->page.items[i];

		if (t->entries.count >= TLS_REPORT_DOMAINS_MAX ||
			!tls_tally_parse(item->value, &tally))
			continue;
		if (map_find(&t->entries, item->key))
			tls_tally_fini(&tally);
		else
			entry_new(t, item->key)->tally = tally;
	}
}

static void on_page(struct store_op *op)
{
	struct tls_report *t = CONTAINER_OF(op, struct tls_report, page.op);
	bool is_more = op->err == OK && t->page.is_more && t->page.count > 0;

	if (op->err == OK)
		take_page(t);
	relay_free_name(&t->after);
	if (is_more)
		t->after = relay_copy_name(t->page.items[t->page.count - 1].key);
	store_op_fini(op);
	if (is_more && !t->is_stopping) {
		read_page(t);
	} else if (!t->is_stopping) {
		t->is_loaded = true;
		tls_report_walk_later(t);
	}
	tls_report_op_end(t);
}

void tls_report_stop(struct tls_report *t)
{
	t->is_stopping = true;
	env_timer_stop(t->relay->env, &t->save_timer);
	tls_report_walk_stop(t);
	save_all(t);
}

bool tls_report_is_busy(const struct tls_report *t)
{
	return t->op_count > 0;
}

void tls_report_free(struct tls_report *t)
{
	struct map_entry *at;

	if (!t)
		return;
	t->is_freed = true;
	env_timer_stop(t->relay->env, &t->save_timer);
	tls_report_walk_stop(t);
	while ((at = map_first(&t->entries)))
		entry_free(CONTAINER_OF(at, struct tally_entry, entry));
	store_op_fini(&t->page.op);
	store_op_fini(&t->drop.op);
	relay_free_name(&t->after);
	map_fini(&t->entries);
	free(t);
}
