/* control_book - see relay/control_book.h. A failed page ends the call, as any failed read does. */
#include "relay/control_book.h"

#include "queue/retry.h"
#include "relay/control_outage.h"

enum { BOOK_PAGE = 500 };

static void read_open(struct verb_call *call);
static void take_open(struct verb_call *call);
static void read_wide(struct verb_call *call);
static void take_wide(struct verb_call *call);
static bool take_page(struct verb_call *call, struct outage_record **records, uint32_t *count);

void book_load(struct verb_call *call, struct outage_book *book, verb_step *next)
{
	call->book = book;
	book->next = next;
	call->outages.id = call->outages.before = 0;
	call->outages.name = STR("");
	call->outages.limit = BOOK_PAGE;
	read_open(call);
}

static void read_open(struct verb_call *call)
{
	call->outages.only_open = true;
	call->outages.only_wide = false;
	verb_submit(call, &call->outages.op, STORE_OUTAGES, take_open);
}

static void take_open(struct verb_call *call)
{
	if (take_page(call, &call->book->open, &call->book->open_count)) {
		read_open(call);
		return;
	}
	call->outages.before = 0;
	read_wide(call);
}

static void read_wide(struct verb_call *call)
{
	call->outages.only_open = false;
	call->outages.only_wide = true;
	verb_submit(call, &call->outages.op, STORE_OUTAGES, take_wide);
}

static void take_wide(struct verb_call *call)
{
	if (take_page(call, &call->book->wide, &call->book->wide_count))
		read_wide(call);
	else
		call->book->next(call);
}

/* True: another page is wanted. */
static bool take_page(struct verb_call *call, struct outage_record **records, uint32_t *count)
{
	const struct store_outages *page = &call->outages;

	struct outage_record *grown =
		arena_array(&call->arena, (size_t)*count + page->outage_count + 1, sizeof(*grown));

	for (uint32_t i = 0; i < *count; i++)
		grown[i] = (*records)[i];
	*records = grown;
	for (uint32_t i = 0; i < page->outage_count && *count < BOOK_MAX; i++) {
		struct outage_record *o = &(*records)[(*count)++];

		*o = page->outages[i];
		o->name = arena_dup(&call->arena, o->name);
		o->actor = arena_dup(&call->arena, o->actor);
		o->note = arena_dup(&call->arena, o->note);
		o->stage = arena_dup(&call->arena, o->stage);
		o->host = arena_dup(&call->arena, o->host);
		o->text = arena_dup(&call->arena, o->text);
	}
	if (!page->is_more || !page->outage_count)
		return false;
	call->outages.before = page->outages[page->outage_count - 1].id;
	call->book->is_partial |= *count == BOOK_MAX;
	return *count < BOOK_MAX;
}

const struct outage_record *book_about(
	const struct outage_book *book, struct str hop, struct str site)
{
	for (uint32_t i = 0; i < book->open_count; i++)
		if (outage_is_about(&book->open[i], hop, site))
			return &book->open[i];
	return NULL;
}

/* As the daemon counts: a stop that it could not tell from a clock that was set carries a note. */
static void gather(const struct verb_call *call, const struct outage_book *book,
	struct credit *credit, struct credit *jumps)
{
	const struct store_lookup *l = &call->lookup;

	if (l->op.err == OK) {
		credit_add_all(credit, l->hop_spans, l->hop_span_count);
		credit_add_all(credit, l->site_spans, l->site_span_count);
	}
	for (uint32_t i = 0; i < book->wide_count; i++) {
		const struct outage_record *o = &book->wide[i];
		const struct span span = { o->began, o->ended };

		if (!outage_is_about(o, l->hop, l->op.err == OK ? l->site_out.name : STR("")))
			continue;
		credit_add(credit, span);
		if (o->kind == OUTAGE_STOPPED && o->note.len > 0)
			credit_add(jumps, span);
	}
}

struct wall book_gives_up_at(const struct verb_call *call, const struct outage_book *book,
	const struct conf_policy *policy, const struct envelope *env, int64_t *credited_ms)
{
	struct credit credit = { 0 }, jumps = { 0 };
	const struct retry_clock clock = { .credit = &credit, .jumps = &jumps };

	gather(call, book, &credit, &jumps);
	struct wall end = retry_gives_up_at(policy, env, &clock);
	*credited_ms = credit_between(&credit, env->accepted, call->now);
	credit_fini(&credit);
	credit_fini(&jumps);
	return end;
}
