/* settle - see settle.h. */
#include "settle.h"

#include <string.h>

#include "base/check.h"
#include "row.h"

static void note_left(struct settle *s, struct hop_entry *hop);
static enum err finish(struct settle *s, struct wall at);

enum err settle_begin(struct settle *s, struct sqlite_engine *e, uint64_t id)
{
	*s = (struct settle){ .e = e, .id = id };
	bool is_found = false;
	struct query q = sql_prepare(&e->sql, SQL_MESSAGE_LOAD);
	bind_u64(&q, id);
	if (sql_next(&q)) {
		is_found = true;
		s->size_bytes = get_u64(&q);
		s->priority = (int)get_i64(&q, -PRIORITY_MAX, PRIORITY_MAX);
		s->queued = get_u32(&q);
		s->kept = get_wall(&q);
	}
	enum err err = sql_done(&q);
	return err != OK ? err : is_found ? OK : ERR_NOT_FOUND;
}

void settle_move(
	struct settle *s, struct hop_entry *hop, enum recipient_state from, enum recipient_state to)
{
	ledger_move(&s->e->ledger, hop, from, to);
	if (recipient_is_queued(from) && !recipient_is_queued(to)) {
		s->queued--;
		s->is_changed = true;
		note_left(s, hop);
	} else if (!recipient_is_queued(from) && recipient_is_queued(to)) {
		s->queued++;
		s->is_changed = true;
	}
}

enum err settle_end(struct settle *s, struct wall at)
{
	for (uint32_t i = 0; i < s->left_count; i++) {
		bool has_queued = false;
		enum err err = s->queued > 0 ? settle_has_queued(s, s->left[i], &has_queued) : OK;
		if (err != OK)
			return err;
		if (!has_queued)
			ledger_hop_bytes(&s->e->ledger, s->left[i], -(int64_t)s->size_bytes);
	}
	if (!s->is_changed)
		return OK;
	if (s->queued <= 0)
		return finish(s, at);
	struct query q = sql_prepare(&s->e->sql, SQL_MESSAGE_SET_QUEUED);
	bind_u64(&q, s->id);
	bind_i64(&q, s->queued);
	return sql_run(&q);
}

enum err settle_has_queued(struct settle *s, struct hop_entry *hop, bool *out)
{
	struct query q = sql_prepare(&s->e->sql, SQL_RECIPIENT_ANY_QUEUED);
	bind_u64(&q, s->id);
	bind_u64(&q, hop->id);
	*out = sql_next(&q);
	return sql_done(&q);
}

static void note_left(struct settle *s, struct hop_entry *hop)
{
	for (uint32_t i = 0; i < s->left_count; i++) {
		if (s->left[i] == hop)
			return;
	}
	if (s->left_count == s->left_cap) {
		uint32_t cap = s->left_cap ? s->left_cap * 2 : 4;
		struct hop_entry **grown =
			arena_array(&s->e->scratch, cap, sizeof(struct hop_entry *));
		if (s->left_count > 0)
			memcpy(grown, s->left, s->left_count * sizeof(struct hop_entry *));
		s->left = grown;
		s->left_cap = cap;
	}
	s->left[s->left_count++] = hop;
}

static enum err finish(struct settle *s, struct wall at)
{
	bool is_kept = s->kept.ms > at.ms;
	struct query q = sql_prepare(&s->e->sql, SQL_MESSAGE_FINISH);
	bind_u64(&q, s->id);
	/* 0 would mean "queued". */
	bind_i64(&q, at.ms > 0 ? at.ms : 1);
	bind_bool(&q, is_kept);
	enum err err = sql_run(&q);
	if (err == OK && !is_kept)
		err = content_delete(s->e, s->id);
	if (err == OK)
		ledger_message(&s->e->ledger, -1, -(int64_t)s->size_bytes);
	return err;
}
