/*
 * read_late - LATE: senders that have something to hear.
 *
 * Three lists are walked side by side in order of the sender: who has queued mail (an index of it, from sender to sender
 * by seeks), who was told of late mail, and to whom notices of failure are owed. What is looked at in one operation is
 * bounded whether or not anything comes of it: SENDERS_LOOKED_AT_MAX names, LATE_MESSAGES_MAX messages each. Only what
 * an operator holds is passed over without a bound.
 */
#include <string.h>

#include "base/check.h"
#include "mail/queue_id.h"
#include "row.h"
#include "sqlite_engine.h"

enum { SENDERS_LOOKED_AT_MAX = 2000, SENDERS_MAX = 64, OWN_MAX = 1000 };

#define LATE_STATES (RECIPIENT_QUEUED_BITS & ~RECIPIENT_STATE_BIT(RECIPIENT_HELD))

/* The three lists: the next name of each, known when it was asked for and not passed. */
enum { LIST_LATE, LIST_TOLD, LIST_OWED, LIST_COUNT };
static const enum sql_id next_of[LIST_COUNT] = { SQL_LATE_SENDER, SQL_TOLD_SENDER,
	SQL_OWED_SENDER };

struct walk {
	struct sqlite_engine *e;
	struct store_late *op;
	struct str next[LIST_COUNT];
	bool has_next[LIST_COUNT];
	uint64_t id_end; /* accepted too late to be late */
};

static enum err read_own(struct sqlite_engine *e, struct store_late *op);
static enum err own_of(struct walk *w, enum sql_id statement, int64_t bound);
static enum err seek(struct walk *w, int list, struct str after);
static bool next_sender(const struct walk *w, struct str *out);
static enum err look_at(struct walk *w, struct str name, struct late_sender *out);
static enum err load_told(struct walk *w, struct late_sender *s);
static enum err load_first(struct walk *w, struct str sender, uint64_t after, uint64_t *out);
static enum err load_late(struct walk *w, struct late_sender *s);
static enum err load_owed(struct walk *w, struct late_sender *s);
static enum err count_owed(struct walk *w, struct late_sender *s);
static enum err load_recipients(struct walk *w, struct late_message *m, unsigned states);
static enum err count(struct query *q, uint64_t *out);
static enum err load_places(struct walk *w, struct late_sender *s);
static bool has_place(const struct late_sender *s, struct str hop);
static bool is_worth_telling(const struct late_sender *s);

enum err read_late(struct sqlite_engine *e, struct store_late *op)
{
	uint32_t limit = op->limit < SENDERS_MAX ? op->limit : SENDERS_MAX;
	struct walk w = { .e = e, .op = op, .id_end = queue_id_floor(op->accepted_before) };
	struct str name;
	op->sender_count = 0;
	op->is_more = false;
	op->last = op->after;
	if (op->is_own || op->is_by_time)
		return read_own(e, op);
	op->senders = arena_array(&op->op.arena, limit, sizeof(*op->senders));
	for (int i = 0; i < LIST_COUNT; i++) {
		enum err err = seek(&w, i, op->after);
		if (err != OK)
			return err;
	}
	for (uint32_t looked = 0; next_sender(&w, &name); looked++) {
		if (op->sender_count == limit || looked == SENDERS_LOOKED_AT_MAX) {
			op->is_more = true;
			return OK;
		}
		struct late_sender *s = &op->senders[op->sender_count];
		enum err err = look_at(&w, name, s);
		for (int i = 0; err == OK && i < LIST_COUNT; i++)
			if (w.has_next[i] && str_equal(w.next[i], name))
				err = seek(&w, i, name);
		if (err != OK)
			return err;
		op->last = name;
		op->sender_count += is_worth_telling(s);
	}
	return OK;
}

/* ---- notices for each message ---- */

static enum err read_own(struct sqlite_engine *e, struct store_late *op)
{
	struct walk w = { .e = e, .op = op };
	op->limit = op->limit < OWN_MAX ? op->limit : OWN_MAX;
	op->senders = arena_array(&op->op.arena, op->limit, sizeof(*op->senders));
	enum err err = own_of(&w, op->is_own ? SQL_OWN_AT_TIME : SQL_DEADLINE_PAST, op->now.ms);
	if (err == OK && op->is_own)
		err = own_of(&w, SQL_OWN_NEW, (int64_t)queue_id_floor(op->accepted_before));
	if (err == OK && op->is_own)
		err = own_of(&w, SQL_OWN_AGAIN, op->told_before.ms);
	op->is_more = op->sender_count == op->limit;
	return err;
}

static enum err own_of(struct walk *w, enum sql_id statement, int64_t bound)
{
	struct store_late *op = w->op;
	uint32_t first = op->sender_count;
	struct query q = sql_prepare(&w->e->sql, statement);
	bind_i64(&q, bound);
	bind_u64(&q, op->limit - op->sender_count);
	while (sql_next(&q)) {
		struct late_sender *s = &op->senders[op->sender_count++];
		*s = (struct late_sender){ .is_due = true, .message_count = 1 };
		s->messages = arena_array(&op->op.arena, 1, sizeof(*s->messages));
		get_message(&q, &op->op.arena, &s->messages[0].message);
		s->name = s->messages[0].message.env.reverse_path;
	}
	enum err err = sql_done(&q);
	for (uint32_t i = first; err == OK && i < op->sender_count; i++) {
		err = load_recipients(w, &op->senders[i].messages[0], LATE_STATES);
		if (err == OK)
			err = load_places(w, &op->senders[i]);
	}
	return err;
}

/* ---- digests ---- */

static enum err seek(struct walk *w, int list, struct str after)
{
	struct query q = sql_prepare(&w->e->sql, next_of[list]);
	bind_text(&q, after);
	w->has_next[list] = sql_next(&q);
	if (w->has_next[list])
		w->next[list] = get_text(&q, &w->op->op.arena);
	return sql_done(&q);
}

static bool next_sender(const struct walk *w, struct str *out)
{
	bool has = false;
	for (int i = 0; i < LIST_COUNT; i++) {
		if (!w->has_next[i] || (has && str_compare(w->next[i], *out) >= 0))
			continue;
		*out = w->next[i];
		has = true;
	}
	return has;
}

static enum err look_at(struct walk *w, struct str name, struct late_sender *out)
{
	uint64_t oldest = 0;
	*out = (struct late_sender){ .name = name };
	enum err err = load_told(w, out);
	if (err == OK)
		err = load_first(w, name, 0, &oldest);
	if (err != OK)
		return err;
	bool is_told = out->told.count > 0;
	out->is_settled = is_told && (oldest == 0 || oldest > out->told.up_to);
	out->is_due = !is_told || out->told.last.ms <= w->op->told_before.ms;
	/* What was told of is over: what is late now is a new matter. */
	uint64_t after = out->is_due || out->is_settled ? 0 : out->told.up_to;
	if (after > 0)
		err = load_first(w, name, after, &oldest);
	if (err == OK && oldest > 0 && oldest < w->id_end)
		err = load_late(w, out);
	return err == OK ? load_owed(w, out) : err;
}

static bool is_worth_telling(const struct late_sender *s)
{
	return s->message_count > 0 || s->owed_count > 0 || s->is_settled;
}

static enum err load_told(struct walk *w, struct late_sender *s)
{
	struct query q = sql_prepare(&w->e->sql, SQL_TOLD_GET);
	bind_text(&q, s->name);
	if (sql_next(&q)) {
		s->told.sender = s->name;
		s->told.first = get_wall(&q);
		s->told.last = get_wall(&q);
		s->told.count = get_u32(&q);
		s->told.up_to = get_u64(&q);
		s->told.hops = get_text(&q, &w->op->op.arena);
	}
	return sql_done(&q);
}

static enum err load_first(struct walk *w, struct str sender, uint64_t after, uint64_t *out)
{
	struct query q = sql_prepare(&w->e->sql, SQL_LATE_FIRST);
	bind_text(&q, sender);
	bind_u64(&q, after);
	*out = sql_next(&q) ? get_u64(&q) : 0;
	return sql_done(&q);
}

static enum err load_late(struct walk *w, struct late_sender *s)
{
	struct arena *arena = &w->op->op.arena;
	uint64_t after = s->is_due || s->is_settled ? 0 : s->told.up_to, last = 0;
	uint32_t seen = 0;
	s->messages = arena_array(arena, LATE_MESSAGES_MAX, sizeof(*s->messages));
	struct query q = sql_prepare(&w->e->sql, SQL_LATE_MESSAGES);
	bind_text(&q, s->name);
	bind_u64(&q, after);
	bind_u64(&q, w->id_end);
	bind_u64(&q, LATE_MESSAGES_MAX);
	while (sql_next(&q))
		get_message(&q, arena, &s->messages[seen++].message);
	enum err err = sql_done(&q);
	/* Without a recipient that waits there is nothing to say of it: an operator holds it. */
	for (uint32_t i = 0; err == OK && i < seen; i++) {
		struct late_message *m = &s->messages[s->message_count];
		*m = s->messages[i];
		last = m->message.env.id;
		err = load_recipients(w, m, LATE_STATES);
		s->message_count += m->message.recipient_count > 0;
	}
	if (err == OK && seen == LATE_MESSAGES_MAX) {
		q = sql_prepare(&w->e->sql, SQL_LATE_COUNT);
		bind_text(&q, s->name);
		bind_u64(&q, last);
		bind_u64(&q, w->id_end);
		bind_u64(&q, LATE_COUNT_MAX);
		err = count(&q, &s->more_messages);
	}
	return err == OK ? load_places(w, s) : err;
}

static enum err load_owed(struct walk *w, struct late_sender *s)
{
	struct arena *arena = &w->op->op.arena;
	if (!w->has_next[LIST_OWED] || !str_equal(w->next[LIST_OWED], s->name))
		return OK;
	s->owed = arena_array(arena, LATE_MESSAGES_MAX, sizeof(*s->owed));
	struct query q = sql_prepare(&w->e->sql, SQL_OWED_MESSAGES);
	bind_text(&q, s->name);
	bind_wall(&q, w->op->owed_before);
	bind_u64(&q, LATE_MESSAGES_MAX);
	while (sql_next(&q))
		get_message(&q, arena, &s->owed[s->owed_count++].message);
	enum err err = sql_done(&q);
	for (uint32_t i = 0; err == OK && i < s->owed_count; i++) {
		s->owed_up_to = s->owed[i].message.env.id;
		err = load_recipients(
			w, &s->owed[i], RECIPIENT_STATE_BIT(RECIPIENT_FAILED));
	}
	return err == OK && s->owed_count == LATE_MESSAGES_MAX ? count_owed(w, s) : err;
}

static enum err count_owed(struct walk *w, struct late_sender *s)
{
	struct query q = sql_prepare(&w->e->sql, SQL_OWED_COUNT);
	bind_text(&q, s->name);
	bind_wall(&q, w->op->owed_before);
	bind_u64(&q, s->owed_up_to);
	bind_u64(&q, LATE_COUNT_MAX);
	if (sql_next(&q)) {
		s->more_owed = get_u64(&q);
		uint64_t last = get_u64(&q);
		s->owed_up_to = last > 0 ? last : s->owed_up_to;
		s->has_more_owed = s->more_owed == LATE_COUNT_MAX;
	}
	return sql_done(&q);
}

/* However many a message has, no more are read than are handed out. */
static enum err load_recipients(struct walk *w, struct late_message *m, unsigned states)
{
	struct queued_message *message = &m->message;
	uint64_t all = 0;
	m->more_recipients = 0;
	message->recipients =
		arena_array(&w->op->op.arena, LATE_RECIPIENTS_MAX, sizeof(*message->recipients));
	struct query q = sql_prepare(&w->e->sql, SQL_LATE_RECIPIENTS);
	bind_u64(&q, message->env.id);
	bind_u64(&q, states);
	bind_u64(&q, LATE_RECIPIENTS_MAX);
	while (sql_next(&q))
		get_recipient(&q, &w->op->op.arena,
			&message->recipients[message->recipient_count++]);
	enum err err = sql_done(&q);
	if (err != OK || message->recipient_count < LATE_RECIPIENTS_MAX)
		return err;
	q = sql_prepare(&w->e->sql, SQL_LATE_RECIPIENT_COUNT);
	bind_u64(&q, message->env.id);
	bind_u64(&q, states);
	err = count(&q, &all);
	if (all > LATE_RECIPIENTS_MAX)
		m->more_recipients = (uint32_t)(all - LATE_RECIPIENTS_MAX);
	return err;
}

static enum err count(struct query *q, uint64_t *out)
{
	if (sql_next(q))
		*out = get_u64(q);
	return sql_done(q);
}

/* ---- what they wait for ---- */

static enum err load_place(struct walk *w, struct str hop, struct late_place *out)
{
	struct arena *arena = &w->op->op.arena;
	*out = (struct late_place){ .hop.name = hop };
	struct query q = sql_prepare(&w->e->sql, SQL_HOP_GET);
	bind_text(&q, hop);
	if (sql_next(&q))
		get_hop(&q, arena, &out->hop);
	enum err err = sql_done(&q);
	if (err != OK || out->hop.site.len == 0)
		return err;
	q = sql_prepare(&w->e->sql, SQL_SITE_GET);
	bind_text(&q, out->hop.site);
	if (sql_next(&q))
		get_site(&q, arena, &out->site);
	return sql_done(&q);
}

static enum err load_places(struct walk *w, struct late_sender *s)
{
	enum err err = OK;
	s->places = arena_array(&w->op->op.arena, LATE_PLACES_MAX, sizeof(*s->places));
	for (uint32_t i = 0; i < s->message_count; i++) {
		const struct queued_message *m = &s->messages[i].message;
		for (uint32_t k = 0; err == OK && k < m->recipient_count; k++) {
			struct str hop = m->recipients[k].rcpt.hop;
			if (s->place_count < LATE_PLACES_MAX && !has_place(s, hop))
				err = load_place(w, hop, &s->places[s->place_count++]);
		}
	}
	return err;
}

static bool has_place(const struct late_sender *s, struct str hop)
{
	for (uint32_t i = 0; i < s->place_count; i++)
		if (str_equal(s->places[i].hop.name, hop))
			return true;
	return false;
}
