/* picked - see picked.h. */
#include "picked.h"

#include <stdlib.h>

#include "base/map.h"
#include "filter.h"

enum { AUDIT_TEXT_BYTES = 8192 };

struct domain_entry {
	struct map_entry entry;
};

static int compare_picked(const void *a, const void *b)
{
	const struct picked *x = a, *y = b;
	if (x->message != y->message)
		return x->message < y->message ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

void picked_sort(struct picked *rows, uint32_t count)
{
	qsort(rows, count, sizeof(*rows), compare_picked);
}

uint64_t picked_count_domains(
	struct sqlite_engine *e, const struct picked *rows, uint32_t count, struct wall *oldest)
{
	struct map domains;
	map_init(&domains, 0);
	*oldest = rows[0].accepted;
	for (uint32_t i = 0; i < count; i++) {
		if (rows[i].accepted.ms < oldest->ms)
			*oldest = rows[i].accepted;
		if (!map_find(&domains, rows[i].domain)) {
			struct domain_entry *domain = arena_alloc(&e->scratch, sizeof(*domain));
			map_insert(&domains, &domain->entry, rows[i].domain);
		}
	}
	uint64_t domain_count = domains.count;
	map_fini(&domains);
	return domain_count;
}

enum err audit_write(struct sqlite_engine *e, struct wall at, struct str actor, const char *action,
	struct str reason, const struct store_filter *filter, uint64_t recipient_count,
	uint64_t message_count)
{
	struct buf text;
	buf_init(&text, AUDIT_TEXT_BYTES);
	filter_describe(&text, filter);
	struct query q = sql_prepare(&e->sql, SQL_AUDIT_INSERT);
	bind_wall(&q, at);
	bind_text(&q, actor);
	bind_text(&q, str_from_c(action));
	bind_text(&q, reason);
	bind_text(&q, buf_str(&text));
	bind_u64(&q, recipient_count);
	bind_u64(&q, message_count);
	enum err err = sql_run(&q);
	buf_fini(&text);
	return err;
}
