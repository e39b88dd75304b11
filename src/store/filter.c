/* filter - see filter.h. filter_build and filter_bind must name the parameters in the same
 * order. */
#include "filter.h"

#include "mail/queue_id.h"
#include "row.h"

enum { HASHED_TEXT_BYTES = 8192 };

static void append_start(
	struct buf *text, const struct store_filter *f, unsigned states, enum filter_start start);
static void append_hops(struct buf *text, const struct store_filter *f);
static void append_states(struct buf *text, unsigned states);
static void append_ids(struct buf *text, uint32_t count);
static void append_if(struct buf *text, bool is_wanted, const char *condition);
static void bind_hops(struct query *q, const struct store_filter *f);
static bool is_glob(struct str s);
static bool is_null_sender(struct str s);
static void describe_text(struct buf *out, const char *key, struct str value);

unsigned filter_states(const struct store_filter *f)
{
	return f->states ? f->states : RECIPIENT_QUEUED_BITS;
}

bool filter_is_empty(const struct store_filter *f)
{
	return f->id_count == 0 && f->from.len == 0 && f->to.len == 0 && f->domain.len == 0 &&
	       f->site.len == 0 && f->hop.len == 0 && f->states == 0 &&
	       f->accepted_before.ms == 0 && f->accepted_after.ms == 0 &&
	       f->finished_after.ms == 0 && f->finished_before.ms == 0 && f->size_min_bytes == 0 &&
	       f->size_max_bytes == 0 && f->attempts_min == 0 && f->status.len == 0 &&
	       f->user.len == 0 && !f->has_priority;
}

void filter_build(
	struct buf *text, const struct store_filter *f, unsigned states, enum filter_start start)
{
	append_start(text, f, states, start);
	append_states(text, states);
	if (f->id_count > 0)
		append_ids(text, f->id_count);
	append_if(text, is_null_sender(f->from), "m.reverse_path = ''");
	append_if(text, f->from.len > 0 && !is_null_sender(f->from), "wild(m.reverse_path, ?)");
	append_if(text, f->to.len > 0, "wild(r.address, ?)");
	append_if(text, is_glob(f->domain), "wild(r.domain, ?)");
	append_if(text, f->domain.len > 0 && !is_glob(f->domain), "r.domain = lower(?)");
	append_if(text, f->site.len > 0, "s.name IS NOT NULL AND wild(s.name, ?)");
	append_if(text, f->hop.len > 0, "h.name = ?");
	append_if(text, f->accepted_before.ms != 0, "m.id < ?");
	append_if(text, f->accepted_after.ms != 0, "m.id >= ?");
	append_if(text, f->finished_after.ms != 0, "m.finished > 0 AND m.finished >= ?");
	append_if(text, f->finished_before.ms != 0, "m.finished > 0 AND m.finished < ?");
	append_if(text, f->size_min_bytes > 0, "m.size >= ?");
	append_if(text, f->size_max_bytes > 0, "m.size <= ?");
	append_if(text, f->attempts_min > 0, "r.attempts >= ?");
	append_if(text, f->status.len > 0, "wild(status_text(r.status), ?)");
	append_if(text, f->user.len > 0, "m.user = ?");
	append_if(text, f->has_priority, "m.priority = ?");
	append_if(text, start == FILTER_ONE_MESSAGE, "m.id = ?");
}

void filter_bind(
	struct query *q, const struct store_filter *f, enum filter_start start, uint64_t id)
{
	if (start == FILTER_BY_STATE)
		bind_hops(q, f);
	if (start == FILTER_BY_FAILED)
		bind_u64(q, id);
	for (uint32_t i = 0; i < f->id_count; i++)
		bind_u64(q, f->ids[i] <= INT64_MAX ? f->ids[i] : 0);
	if (f->from.len > 0 && !is_null_sender(f->from))
		bind_text(q, f->from);
	if (f->to.len > 0)
		bind_text(q, f->to);
	if (f->domain.len > 0)
		bind_text(q, f->domain);
	if (f->site.len > 0)
		bind_text(q, f->site);
	if (f->hop.len > 0)
		bind_text(q, f->hop);
	if (f->accepted_before.ms != 0)
		bind_u64(q, queue_id_floor(f->accepted_before));
	if (f->accepted_after.ms != 0)
		bind_u64(q, queue_id_floor(f->accepted_after));
	if (f->finished_after.ms != 0)
		bind_wall(q, f->finished_after);
	if (f->finished_before.ms != 0)
		bind_wall(q, f->finished_before);
	if (f->size_min_bytes > 0)
		bind_u64(q, f->size_min_bytes <= INT64_MAX ? f->size_min_bytes : INT64_MAX);
	if (f->size_max_bytes > 0)
		bind_u64(q, f->size_max_bytes <= INT64_MAX ? f->size_max_bytes : INT64_MAX);
	if (f->attempts_min > 0)
		bind_u64(q, f->attempts_min);
	if (f->status.len > 0)
		bind_text(q, f->status);
	if (f->user.len > 0)
		bind_text(q, f->user);
	if (f->has_priority)
		bind_i64(q, f->priority);
	if (start == FILTER_ONE_MESSAGE)
		bind_u64(q, id);
}

void filter_describe(struct buf *out, const struct store_filter *f)
{
	for (uint32_t i = 0; i < f->id_count && i < 100; i++)
		buf_printf(out, "id=%s ", queue_id_format(f->ids[i]).text);
	if (f->id_count > 100)
		buf_printf(out, "(%u ids in all) ", f->id_count);
	describe_text(out, "from", f->from);
	describe_text(out, "to", f->to);
	describe_text(out, "domain", f->domain);
	describe_text(out, "site", f->site);
	describe_text(out, "hop", f->hop);
	describe_text(out, "status", f->status);
	describe_text(out, "user", f->user);
	if (f->states)
		buf_printf(out, "states=%x ", f->states);
	if (f->accepted_before.ms)
		buf_printf(out, "before=%lld ", (long long)f->accepted_before.ms);
	if (f->accepted_after.ms)
		buf_printf(out, "after=%lld ", (long long)f->accepted_after.ms);
	if (f->finished_after.ms || f->finished_before.ms)
		buf_printf(out, "finished=%lld..%lld ", (long long)f->finished_after.ms,
			(long long)f->finished_before.ms);
	if (f->size_min_bytes || f->size_max_bytes)
		buf_printf(out, "size=%llu..%llu ", (unsigned long long)f->size_min_bytes,
			(unsigned long long)f->size_max_bytes);
	if (f->attempts_min)
		buf_printf(out, "attempts=%u ", f->attempts_min);
	if (f->has_priority)
		buf_printf(out, "priority=%d ", f->priority);
	if (f->is_all)
		buf_append_str(out, STR("all "));
}

uint64_t filter_hash(const struct store_filter *f, unsigned salt)
{
	struct buf text;
	buf_init(&text, HASHED_TEXT_BYTES);
	filter_describe(&text, f);
	uint64_t hash = str_hash(buf_str(&text), salt);
	buf_fini(&text);
	return hash;
}

static void append_start(
	struct buf *text, const struct store_filter *f, unsigned states, enum filter_start start)
{
	switch (start) {
	case FILTER_BY_STATE:
		/* READY first: with a limit the others are not looked at until those are done. */
		buf_append_str(text, STR(" FROM (SELECT message, number FROM recipient"
					 " INDEXED BY recipient_ready WHERE state = 0"));
		append_hops(text, f);
		buf_append_str(text, STR(" UNION ALL SELECT message, number FROM recipient"
					 " INDEXED BY recipient_parted WHERE state IN (1, 2, 3)"));
		append_hops(text, f);
		buf_append_str(text,
			STR(") AS k CROSS JOIN recipient AS r ON r.message = k.message AND"
			    " r.number = k.number CROSS JOIN message AS m ON m.id = r.message"));
		break;
	case FILTER_BY_FAILED:
		buf_append_str(text, STR(" FROM recipient AS r INDEXED BY recipient_failed"
					 " CROSS JOIN message AS m ON m.id = r.message"));
		break;
	case FILTER_BY_MESSAGE:
	case FILTER_BY_FINISH:
	case FILTER_ONE_MESSAGE:
		buf_append_str(text, STR(" FROM message AS m"));
		if (start == FILTER_BY_FINISH)
			buf_append_str(text, STR(" INDEXED BY message_finished"));
		else if ((states & ~RECIPIENT_QUEUED_BITS) == 0 && f->id_count == 0 &&
			 start == FILTER_BY_MESSAGE)
			buf_append_str(text, STR(" INDEXED BY message_queued"));
		buf_append_str(text, STR(" CROSS JOIN recipient AS r ON r.message = m.id"));
		break;
	}
	buf_append_str(text,
		STR(" CROSS JOIN hop AS h ON h.id = r.hop LEFT JOIN site AS s ON s.id = h.site"));
	buf_append_str(text, STR(" WHERE 1"));
	append_if(text, start == FILTER_BY_FAILED, "r.state = 4 AND r.finished >= ?");
	append_if(text, (states & ~RECIPIENT_QUEUED_BITS) == 0, "m.finished = 0");
}

static void append_hops(struct buf *text, const struct store_filter *f)
{
	if (f->hop.len > 0)
		buf_append_str(text, STR(" AND hop IN (SELECT id FROM hop WHERE name = ?)"));
	else if (f->site.len > 0)
		buf_append_str(text, STR(" AND hop IN (SELECT hop.id FROM site CROSS JOIN hop"
					 " ON hop.site = site.id WHERE wild(site.name, ?))"));
}

static void append_states(struct buf *text, unsigned states)
{
	const char *separator = "";
	buf_append_str(text, STR(" AND r.state IN ("));
	for (unsigned i = 0; i < RECIPIENT_STATE_COUNT; i++) {
		if ((states & RECIPIENT_STATE_BIT(i)) == 0)
			continue;
		buf_printf(text, "%s%u", separator, i);
		separator = ",";
	}
	buf_append_char(text, ')');
}

static void append_ids(struct buf *text, uint32_t count)
{
	buf_append_str(text, STR(" AND m.id IN (?"));
	for (uint32_t i = 1; i < count; i++)
		buf_append_str(text, STR(",?"));
	buf_append_char(text, ')');
}

static void append_if(struct buf *text, bool is_wanted, const char *condition)
{
	if (is_wanted)
		buf_printf(text, " AND %s", condition);
}

static void bind_hops(struct query *q, const struct store_filter *f)
{
	struct str name = f->hop.len > 0 ? f->hop : f->site;
	if (name.len == 0)
		return;
	bind_text(q, name);
	bind_text(q, name);
}

static bool is_glob(struct str s)
{
	return str_find(s, '*') < s.len || str_find(s, '?') < s.len;
}

static bool is_null_sender(struct str s)
{
	return str_equal(s, STR("<>"));
}

static void describe_text(struct buf *out, const char *key, struct str value)
{
	if (value.len == 0)
		return;
	buf_printf(out, "%s=", key);
	buf_append_safe(out, value);
	buf_append_char(out, ' ');
}
