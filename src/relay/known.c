/*
 * known - the known-good mailboxes of queue/mailboxes.h: read at the start, saved while they change.
 *
 * Saved are the pages that changed, each as a small named value, at most once a minute (wall time) and once in 5 s (real
 * time), and at a stop in good order. After a kill the mailboxes learned since the last save are taken from the history:
 * recipients delivered of messages accepted since ten minutes before it, at most REPLAY_MESSAGES of them. What is still missed (mail that had
 * been queued for longer than that, and was delivered in the last minute before the kill) is learned with the next delivery.
 * A write that fails is done again with the next save.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "queue/mailboxes.h"
#include "relay/guard.h"

#define SAVE_EVERY_MS MINUTE_MS
#define SAVE_EVERY_REAL_MS (5 * SECOND_MS)
/* What was learned of mailboxes that were known already is no reason to save; that the history need not be read is. */
#define MARK_EVERY_MS HOUR_MS
#define REPLAY_PAGE 1000
#define REPLAY_MESSAGES 50000
#define REPLAY_BEFORE_MS (10 * MINUTE_MS)
#define BLOB_BYTES_MAX ((size_t)(MAILBOXES_PAGE_BYTES + 64))
#define KEY_HEAD "mailboxes"
#define KEY_MARK "mailboxes.saved"

/* CUT: half read when the relay stopped. Nothing is saved then: pages would lose what was not read. */
enum step { STEP_HEAD, STEP_PAGES, STEP_MARK, STEP_REPLAY, STEP_DONE, STEP_CUT };

struct known {
	struct relay *relay;
	struct mailboxes boxes;
	enum step step; /* of reading */
	uint32_t page;
	struct store_get get;
	struct store_query replay;
	struct store_filter replay_filter;
	uint32_t replayed;
	bool is_reading; /* an operation of it is under way */
	struct store_put put;
	struct buf blob;
	bool is_saving, has_saved_pages;
	struct wall saving_since, marked;
	bool is_mark_wanted;
	struct timer timer;
};

static void read_on(struct known *k);
static void save_on(struct known *k);

/* ---- learning ---- */

static bool is_dirty(const struct known *k)
{
	return k->boxes.dirty_count > 0 || k->boxes.is_head_dirty;
}

static void want_save(struct known *k)
{
	struct env *env = k->relay->env;

	if (k->is_saving || k->step != STEP_DONE || timer_is_active(&k->timer))
		return;
	if (k->relay->is_stopping)
		env_timer_after(env, &k->timer, 1);
	else
		env_timer_after_wall(env, &k->timer, SAVE_EVERY_MS, SAVE_EVERY_REAL_MS);
}

bool known_learn(struct relay *r, uint64_t mailbox, struct wall now)
{
	struct known *k = r->known;
	bool was_known = mailboxes_add(&k->boxes, mailbox);

	k->is_mark_wanted |= now.ms - k->marked.ms >= MARK_EVERY_MS;
	if (k->boxes.dirty_count > 0 || k->is_mark_wanted)
		want_save(k);
	return was_known;
}

bool known_has(const struct relay *r, uint64_t mailbox, bool if_unsure)
{
	return mailboxes_has(&r->known->boxes, mailbox) ||
	       (if_unsure && r->known->step != STEP_DONE);
}

void guard_note_known(struct relay *r, struct str address, struct wall when)
{
	if (env_wall(r->env).ms - when.ms < MAILBOXES_GENERATION_MS)
		(void)known_learn(r, mailboxes_hash(address), env_wall(r->env));
}

/* ---- reading ---- */

static void take_history(struct known *k)
{
	const struct store_query *q = &k->replay;
	const struct conf *conf = k->relay->conf;

	for (uint32_t i = 0; i < q->message_count; i++)
		for (uint32_t n = 0; n < q->messages[i].recipient_count; n++) {
			const struct recipient *rcpt = &q->messages[i].recipients[n].rcpt;
			const struct conf_route *route =
				conf_route_for(conf, rcpt->domain, q->messages[i].env.reverse_path);

			if (!route || route->via == ROUTE_MX)
				(void)mailboxes_add(&k->boxes, mailboxes_hash(rcpt->address));
		}
}

static void on_replayed(struct store_op *op)
{
	struct known *k = CONTAINER_OF(op, struct known, replay.op);
	struct wall last = k->replay_filter.accepted_after;

	k->is_reading = false;
	if (op->err == OK && k->replay.message_count > 0) {
		take_history(k);
		k->replayed += k->replay.message_count;
		last = k->replay.messages[k->replay.message_count - 1].env.accepted;
	}
	/* pages go on from the instant of the last message, which is read again */
	if (last.ms <= k->replay_filter.accepted_after.ms)
		last = wall_add(k->replay_filter.accepted_after, 1);
	k->replay_filter.accepted_after = last;
	if (op->err != OK || !k->replay.is_more || k->replayed >= REPLAY_MESSAGES)
		k->step = STEP_DONE;
	store_op_fini(op);
	read_on(k);
}

static void read_history(struct known *k)
{
	k->is_reading = true;
	k->replay = (struct store_query){
		.op.on_done = on_replayed,
		.filter = &k->replay_filter,
		.sort = SORT_AGE,
		.limit = REPLAY_PAGE,
	};
	store_submit(k->relay->store, &k->replay.op, STORE_QUERY);
}

static void take_mark(struct known *k, struct str value, struct wall now)
{
	uint64_t ms;
	struct wall from = wall_add(now, -MAILBOXES_GENERATION_MS);

	if (value.len > 0 && str_to_u64(value, &ms) == OK && ms < (uint64_t)now.ms)
		k->marked.ms = (int64_t)ms;
	if (k->marked.ms - REPLAY_BEFORE_MS > from.ms)
		from.ms = k->marked.ms - REPLAY_BEFORE_MS;
	k->replay_filter = (struct store_filter){
		.states = RECIPIENT_STATE_BIT(RECIPIENT_DELIVERED),
		.accepted_after = from,
	};
	k->step = STEP_REPLAY;
}

static void on_got(struct store_op *op)
{
	struct known *k = CONTAINER_OF(op, struct known, get.op);
	struct str value = op->err == OK ? k->get.value : STR("");

	k->is_reading = false;
	switch (k->step) {
	case STEP_HEAD:
		/* without one, or made for another number of mailboxes: only the history is left */
		k->step = mailboxes_take_head(&k->boxes, value) ? STEP_PAGES : STEP_REPLAY;
		if (k->step == STEP_REPLAY)
			take_mark(k, STR(""), env_wall(k->relay->env));
		break;
	case STEP_PAGES:
		mailboxes_take_page(&k->boxes, k->page++, value);
		if (k->page == mailboxes_pages(&k->boxes))
			k->step = STEP_MARK;
		break;
	case STEP_MARK:
		take_mark(k, value, env_wall(k->relay->env));
		break;
	case STEP_REPLAY:
	case STEP_DONE:
	case STEP_CUT:
		break;
	}
	store_op_fini(op);
	read_on(k);
}

static void read_value(struct known *k)
{
	struct arena *arena = &k->get.op.arena;

	k->is_reading = true;
	k->get = (struct store_get){ .op.on_done = on_got };
	k->get.key = k->step == STEP_PAGES ? arena_printf(arena, KEY_HEAD ".%u", (unsigned)k->page)
					   : str_from_c(k->step == STEP_HEAD ? KEY_HEAD : KEY_MARK);
	store_submit(k->relay->store, &k->get.op, STORE_GET);
}

static void read_on(struct known *k)
{
	if (k->relay->is_stopping && k->step != STEP_DONE) {
		k->step = STEP_CUT;
		relay_check_stopped(k->relay);
	} else if (k->step == STEP_REPLAY) {
		read_history(k);
	} else if (k->step != STEP_DONE) {
		read_value(k);
	} else {
		mailboxes_turn(&k->boxes, env_wall(k->relay->env));
		if (k->boxes.dirty_count > 0)
			want_save(k);
	}
}

void known_start(struct relay *r)
{
	read_on(r->known);
}

/* ---- saving ---- */

static void on_put(struct store_op *op)
{
	struct known *k = CONTAINER_OF(op, struct known, put.op);

	if (op->err != OK) {
		log_text(k->relay->env->log, LOG_WARNING, "qmgr",
			"cannot save which mailboxes are known good: %s", err_name(op->err));
		if (op->err == ERR_NO_SPACE)
			upkeep_note_full(k->relay);
		if (k->page < mailboxes_pages(&k->boxes))
			mailboxes_mark(&k->boxes, k->page);
		k->boxes.is_head_dirty = true;
		k->is_saving = false;
		store_op_fini(op);
		if (!k->relay->is_stopping)
			want_save(k);
		relay_check_stopped(k->relay);
		return;
	}
	store_op_fini(op);
	save_on(k);
}

static void put(struct known *k)
{
	k->put.value = buf_str(&k->blob);
	store_submit(k->relay->store, &k->put.op, STORE_PUT);
}

/* The head, the pages that changed, and last since when the history need not be read. */
static void save_on(struct known *k)
{
	buf_clear(&k->blob);
	k->put = (struct store_put){ .op.on_done = on_put };
	if (k->boxes.is_head_dirty) {
		k->page = UINT32_MAX;
		k->put.key = STR(KEY_HEAD);
		mailboxes_put_head(&k->boxes, &k->blob);
		put(k);
	} else if (mailboxes_next_dirty(&k->boxes, 0, &k->page)) {
		k->put.key = arena_printf(&k->put.op.arena, KEY_HEAD ".%u", (unsigned)k->page);
		mailboxes_put_page(&k->boxes, k->page, &k->blob);
		k->has_saved_pages = true;
		put(k);
	} else if (k->has_saved_pages || k->is_mark_wanted) {
		k->page = UINT32_MAX;
		k->has_saved_pages = k->is_mark_wanted = false;
		k->marked = k->saving_since;
		k->put.key = STR(KEY_MARK);
		buf_printf(&k->blob, "%llu", (unsigned long long)k->marked.ms);
		put(k);
	} else {
		k->is_saving = false;
		relay_check_stopped(k->relay);
	}
}

static void save(struct known *k)
{
	struct wall now = env_wall(k->relay->env);

	if (k->is_saving || k->step != STEP_DONE)
		return;
	mailboxes_turn(&k->boxes, now);
	if (!is_dirty(k) && !k->is_mark_wanted)
		return;
	k->is_saving = true;
	k->saving_since = now;
	save_on(k);
}

static void on_time(struct timer *t)
{
	save(CONTAINER_OF(t, struct known, timer));
}

void known_stop(struct relay *r)
{
	env_timer_stop(r->env, &r->known->timer);
	if (r->known->boxes.dirty_count > 0)
		save(r->known);
}

bool known_is_busy(const struct relay *r)
{
	const struct known *k = r->known;

	return k->is_reading || k->is_saving || (r->is_stopping && timer_is_active(&k->timer));
}

void known_init(struct relay *r)
{
	struct known *k = mem_zalloc(sizeof(*k));

	r->known = k;
	k->relay = r;
	k->timer.on_fire = on_time;
	buf_init(&k->blob, BLOB_BYTES_MAX);
	mailboxes_init(&k->boxes, r->conf->mailboxes_max, env_wall(r->env));
}

void known_free(struct relay *r)
{
	struct known *k = r->known;

	env_timer_stop(r->env, &k->timer);
	store_op_fini(&k->get.op);
	store_op_fini(&k->replay.op);
	store_op_fini(&k->put.op);
	buf_fini(&k->blob);
	mailboxes_fini(&k->boxes);
	free(k);
	r->known = NULL;
}
