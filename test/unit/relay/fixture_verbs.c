/* fixture_verbs - operations are answered from arithmetic, inside submit unless they are held
 * back. */
#include "fixture_verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "mail/queue_id.h"

#define FIRST_MS INT64_C(1700000000000)

const struct verb_caller fixture_admin = { .actor = { "uid 0 (root)", 12 }, .may_change = true };
const struct verb_caller fixture_guest = { .actor = { "uid 7 (guest)", 13 }, .may_change = false };

uint64_t fixture_id(uint32_t n)
{
	return queue_id_floor((struct wall){ FIRST_MS + n / 3 }) + n % 3;
}

static void fill_message(
	const struct fixture_verbs *f, struct arena *arena, struct queued_message *m, uint32_t n)
{
	m->env.id = fixture_id(n);
	m->env.accepted = queue_id_time(m->env.id);
	m->env.reverse_path = STR("from@example.org");
	m->env.size_bytes = 100 + n;
	m->chunk_count = 2;
	m->recipient_count = 1;
	m->recipients = arena_array(arena, 1, sizeof(*m->recipients));
	m->recipients[0].rcpt.number = 1;
	m->recipients[0].rcpt.address = arena_printf(arena, "u%u@h%04u.test", n, n % 4);
	m->recipients[0].rcpt.domain = arena_printf(arena, "h%04u.test", n % 4);
	m->recipients[0].rcpt.hop = m->recipients[0].rcpt.domain;
	m->recipients[0].text = STR("450 4.2.1 \x1b[31mcome\xff again");
	m->recipients[0].state = f->is_ready ? RECIPIENT_READY : RECIPIENT_WAITING;
	m->recipients[0].attempts = 2;
	m->recipients[0].due = (struct wall){ FIRST_MS + HOUR_MS };
	m->recipients[0].last_attempt = (struct wall){ FIRST_MS + MINUTE_MS };
}

static void answer_query(struct fixture_verbs *f, struct store_query *q)
{
	uint64_t floor = q->filter->accepted_after.ms ? queue_id_floor(q->filter->accepted_after)
						      : 0,
		 skipped = 0;

	f->queries++;
	f->last_filter = *q->filter;
	q->message_count = 0;
	q->is_more = false;
	q->messages = arena_array(&q->op.arena, q->limit, sizeof(*q->messages));
	for (uint32_t n = 0; n < f->message_count; n++) {
		char hop[32];

		snprintf(hop, sizeof(hop), "h%04u.test", n % 4);
		if (q->filter->hop.len && !str_equal(q->filter->hop, str_from_c(hop)))
			continue;
		if (fixture_id(n) < floor || skipped++ < q->offset)
			continue;
		if (q->message_count == q->limit) {
			q->is_more = true;
			return;
		}
		fill_message(f, &q->op.arena, &q->messages[q->message_count++], n);
	}
}

static void answer_modify(struct fixture_verbs *f, struct store_modify *m)
{
	static struct str hop = { "h0001.test", 10 };

	f->modifies++;
	f->last_filter = *m->filter;
	f->last_modify = *m;
	snprintf(f->last_actor, sizeof(f->last_actor), "%.*s", STR_FMT(m->actor));
	m->recipient_count = m->is_dry_run || f->modify_left < m->limit ? f->modify_left : m->limit;
	m->message_count = m->recipient_count;
	m->domain_count = 3;
	m->oldest = (struct wall){ FIRST_MS };
	if (!m->is_dry_run)
		f->modify_left -= (uint32_t)m->recipient_count;
	m->is_more = !m->is_dry_run && f->modify_left;
	m->hops = &hop;
	m->hop_count = m->recipient_count ? 1 : 0;
}

static void fill_health(struct health_record *h, bool is_down)
{
	*h = (struct health_record){ .state = is_down ? HEALTH_DOWN : HEALTH_UP,
		.since = { FIRST_MS } };
	if (!is_down)
		return;
	h->failures = 4;
	h->first_failure = h->last_failure = (struct wall){ FIRST_MS };
	h->next_probe = (struct wall){ FIRST_MS + 5 * HOUR_MS };
	memcpy(h->text, "connection refused", 19);
	memcpy(h->stage, "connect", 8);
}

static void fill_hop(struct fixture_verbs *f, struct arena *arena, uint32_t n,
	struct hop_record *hop, struct site_record *site)
{
	uint32_t s = n % f->site_count;

	*hop = (struct hop_record){ .name = arena_printf(arena, "h%04u.test", n), .bytes = 10 };
	hop->site = arena_printf(arena, "s%u", s);
	hop->count[RECIPIENT_READY] = s + 1;
	hop->oldest = (struct wall){ FIRST_MS + n };
	*site = (struct site_record){ .name = hop->site, .window = 5 };
	fill_health(&hop->health, false);
	fill_health(&site->health, s == 1);
}

static void answer_hops(struct fixture_verbs *f, struct store_hops *h)
{
	uint32_t n = 0;
	char name[32];

	while (n < f->hop_count && h->after.len) {
		snprintf(name, sizeof(name), "h%04u.test", n++);
		if (str_equal(h->after, str_from_c(name)))
			break;
	}
	h->hops = arena_array(&h->op.arena, h->limit, sizeof(*h->hops));
	h->sites = arena_array(&h->op.arena, h->limit, sizeof(*h->sites));
	for (h->hop_count = 0; n < f->hop_count && h->hop_count < h->limit; n++, h->hop_count++)
		fill_hop(f, &h->op.arena, n, &h->hops[h->hop_count], &h->sites[h->hop_count]);
	h->is_more = n < f->hop_count;
}

static void answer_lookup(struct fixture_verbs *f, struct store_lookup *l)
{
	char name[32];

	f->lookups++;
	l->op.err = ERR_NOT_FOUND;
	l->hop_out = (struct hop_record){ .name = { "", 0 } };
	l->site_out = (struct site_record){ .name = { "", 0 } };
	for (uint32_t n = 0; n < f->hop_count; n++) {
		snprintf(name, sizeof(name), "h%04u.test", n);
		bool is_hop = str_equal(l->hop, str_from_c(name));

		snprintf(name, sizeof(name), "s%u", n % f->site_count);
		if (!is_hop && !(l->hop.len == 0 && str_equal(l->site, str_from_c(name))))
			continue;
		fill_hop(f, &l->op.arena, n, &l->hop_out, &l->site_out);
		l->hop_out.denied_ms = f->denied_ms;
		l->hop_out.denied_last.ms = f->denied_ms;
		if (!is_hop)
			l->hop_out.name = STR("");
		l->op.err = OK;
		return;
	}
}

static void answer_show(struct fixture_verbs *f, struct store_show *s)
{
	for (uint32_t n = 0; n < f->message_count; n++)
		if (fixture_id(n) == s->id) {
			fill_message(f, &s->op.arena, &s->message, n);
			s->attempt_count = 250;
			s->attempts = arena_array(&s->op.arena, 250, sizeof(*s->attempts));
			for (uint32_t i = 0; i < 250; i++)
				s->attempts[i] = (struct attempt_record){ .recipient = 1,
					.attempt = i + 1,
					.stage = STR("rcpt"),
					.text = STR("450 no") };
			return;
		}
	s->op.err = ERR_NOT_FOUND;
}

/* modify_left of them failed; of each step one sender was told. */
static void answer_revive(struct fixture_verbs *f, struct store_revive *r)
{
	static struct str hop = { "h0002.test", 10 };

	f->modifies++;
	f->last_filter = *r->filter;
	f->only_untold = r->only_untold;
	snprintf(f->last_actor, sizeof(f->last_actor), "%.*s", STR_FMT(r->actor));
	r->recipient_count = r->is_dry_run || f->modify_left < r->limit ? f->modify_left : r->limit;
	r->message_count = r->recipient_count;
	r->domain_count = 2;
	r->gone_count = 5;
	r->told_count = !r->is_dry_run && r->recipient_count;
	r->oldest = (struct wall){ FIRST_MS };
	if (!r->is_dry_run)
		f->modify_left -= (uint32_t)r->recipient_count;
	r->is_more = !r->is_dry_run && f->modify_left;
	r->hops = &hop;
	r->hop_count = r->recipient_count ? 1 : 0;
}

static void answer_outages(struct fixture_verbs *f, struct store_outages *o)
{
	o->outages = arena_array(&o->op.arena, f->outage_count + 1, sizeof(*o->outages));
	o->outage_count = o->sample_count = 0;
	o->samples = f->samples;
	o->last_id = 0;
	o->is_more = false;
	for (uint32_t i = f->outage_count; i-- > 0;) {
		const struct outage_record *rec = &f->outages[i];
		bool is_wide = rec->scope == OUTAGE_OF_PATTERN || rec->scope == OUTAGE_OF_ALL;

		o->last_id = rec->id > o->last_id ? rec->id : o->last_id;
		if ((o->id && rec->id != o->id) || (o->only_open && rec->ended.ms) ||
			(o->only_wide && !is_wide) || (o->before && rec->id >= o->before) ||
			(o->name.len && !str_equal(o->name, rec->name)))
			continue;
		if (!o->id && o->outage_count == o->limit) {
			o->is_more = true;
			continue;
		}
		o->outages[o->outage_count++] = *rec;
		o->sample_count = o->id ? f->sample_count : 0;
	}
}

/* What a RECORD says, as text. */
static void take_record(struct fixture_verbs *f, const struct store_record *r)
{
	for (uint32_t i = 0; i < r->success_count; i++)
		buf_printf(&f->told, "success %.*s %lld;", STR_FMT(r->successes[i].hop),
			(long long)r->successes[i].at.ms);
	for (uint32_t i = 0; i < r->outage_count; i++) {
		const struct outage_record *o = &r->outages[i];

		buf_printf(&f->told,
			"outage %llu %d %d %.*s began %lld until %lld ended %lld %.*s: %.*s;",
			(unsigned long long)o->id, (int)o->kind, (int)o->scope, STR_FMT(o->name),
			(long long)(o->began.ms - f->now.ms), (long long)o->until.ms,
			(long long)o->ended.ms, STR_FMT(o->actor), STR_FMT(o->note));
	}
}

static void answer(struct fixture_verbs *f, struct store_op *op)
{
	if (f->fail_kind == (int)op->kind) {
		op->err = f->fail_kind_err;
	} else if (op->kind == STORE_QUERY) {
		answer_query(f, CONTAINER_OF(op, struct store_query, op));
	} else if (op->kind == STORE_MODIFY) {
		answer_modify(f, CONTAINER_OF(op, struct store_modify, op));
	} else if (op->kind == STORE_HOPS) {
		answer_hops(f, CONTAINER_OF(op, struct store_hops, op));
	} else if (op->kind == STORE_LOOKUP) {
		answer_lookup(f, CONTAINER_OF(op, struct store_lookup, op));
	} else if (op->kind == STORE_SHOW) {
		answer_show(f, CONTAINER_OF(op, struct store_show, op));
	} else if (op->kind == STORE_REVIVE) {
		answer_revive(f, CONTAINER_OF(op, struct store_revive, op));
	} else if (op->kind == STORE_OUTAGES) {
		answer_outages(f, CONTAINER_OF(op, struct store_outages, op));
	} else if (op->kind == STORE_RECORD) {
		take_record(f, CONTAINER_OF(op, struct store_record, op));
	} else if (op->kind == STORE_FETCH) {
		struct store_fetch *fetch = CONTAINER_OF(op, struct store_fetch, op);

		fetch->content = fetch->chunk ? STR("\0second\r\n") : STR("first\r\n");
	} else {
		struct store_stats *st = CONTAINER_OF(op, struct store_stats, op);

		CHECK(op->kind == STORE_STATS);
		st->messages = f->message_count;
		st->recipients[RECIPIENT_WAITING] = f->message_count;
		st->oldest = (struct wall){ FIRST_MS };
	}
	op->on_done(op);
}

static void submit(struct store *store, struct store_op *op)
{
	struct fixture_verbs *f = CONTAINER_OF(store, struct fixture_verbs, store);

	if (!f->is_held_back) {
		answer(f, op);
		return;
	}
	CHECK(!f->pending);
	f->pending = op;
}

static const struct store_ops store_ops = { .submit = submit };

void fixture_complete(struct fixture_verbs *f)
{
	struct store_op *op = f->pending;

	CHECK(op);
	f->pending = NULL;
	answer(f, op);
}

static struct wall host_wall(void *user)
{
	return ((struct fixture_verbs *)user)->now;
}

static void on_gauges(void *user, struct verb_gauges *out)
{
	(void)user;
	*out = (struct verb_gauges){ .started = { FIRST_MS }, .clock_rate = 60, .attempts = 7 };
}

static void on_hop_ready(void *user, struct str hop, bool is_urgent)
{
	struct fixture_verbs *f = user;

	buf_printf(&f->told, "%s %.*s;", is_urgent ? "retry" : "ready", STR_FMT(hop));
}

static void on_site_probe(void *user, struct str site)
{
	struct fixture_verbs *f = user;

	buf_printf(&f->told, "probe %.*s;", STR_FMT(site));
}

static void on_forget(void *user)
{
	struct fixture_verbs *f = user;

	buf_append_str(&f->told, STR("forget;"));
}

static enum err on_reload(void *user, struct buf *message)
{
	(void)user;
	buf_append_str(message, STR("outlast.yaml:1:2: wrong"));
	return ERR_SYNTAX;
}

static void on_audit(void *user, struct str text)
{
	struct fixture_verbs *f = user;

	buf_printf(&f->told, "log %.*s;", STR_FMT(text));
}

static void on_hop_known(void *user, struct str hop, struct wall at)
{
	struct fixture_verbs *f = user;

	buf_printf(&f->told, "known %.*s %lld;", STR_FMT(hop), (long long)at.ms);
}

static void on_mailbox_known(void *user, struct str address, struct wall at)
{
	struct fixture_verbs *f = user;

	buf_printf(&f->told, "mailbox %.*s %lld;", STR_FMT(address), (long long)at.ms);
}

static uint64_t on_outage_new_id(void *user)
{
	return ((struct fixture_verbs *)user)->new_id;
}

static void on_outages_changed(void *user)
{
	struct fixture_verbs *f = user;

	buf_append_str(&f->told, STR("changed;"));
}

static double on_site_limit(void *user, struct str site)
{
	(void)user;
	return str_equal(site, STR("s2")) ? 12.5 : 0;
}

static const struct verb_daemon_ops daemon_ops = { .gauges = on_gauges,
	.hop_ready = on_hop_ready,
	.site_probe = on_site_probe,
	.forget_pending = on_forget,
	.reload = on_reload,
	.audit = on_audit,
	.hop_known = on_hop_known,
	.mailbox_known = on_mailbox_known,
	.outage_new_id = on_outage_new_id,
	.outages_changed = on_outages_changed,
	.site_limit = on_site_limit };

static void on_line(void *user, struct str line)
{
	struct fixture_verbs *f = user;

	CHECK(line.len && line.data[line.len - 1] == '\n' && str_find(line, '\n') == line.len - 1);
	CHECK(!f->is_ended && f->line_count < FIXTURE_LINES_MAX);
	f->lines[f->line_count] = json_loadb(line.data, line.len, 0, NULL);
	CHECK(f->lines[f->line_count]);
	f->line_count++;
	f->lines_since++;
}

static bool is_full(void *user)
{
	struct fixture_verbs *f = user;

	return f->full_after && f->lines_since >= f->full_after;
}

static void on_end(void *user)
{
	struct fixture_verbs *f = user;

	CHECK(!f->is_ended);
	f->is_ended = true;
	f->call = NULL;
}

static const struct verb_sink sink = { on_line, is_full, on_end };

void fixture_verbs_init(struct fixture_verbs *f)
{
	memset(f, 0, sizeof(*f));
	f->store.ops = &store_ops;
	f->now = (struct wall){ FIRST_MS + 2 * HOUR_MS };
	f->fail_kind = -1;
	f->site_count = 2;
	f->host = (struct verb_host){ .store = &f->store,
		.conf = conf_default(),
		.wall = host_wall,
		.daemon = &daemon_ops,
		.metrics = &f->metrics,
		.user = f };
	buf_init(&f->told, 1 << 20);
}

static void forget_lines(struct fixture_verbs *f)
{
	while (f->line_count)
		json_decref(f->lines[--f->line_count]);
}

void fixture_verbs_fini(struct fixture_verbs *f)
{
	forget_lines(f);
	buf_fini(&f->told);
	conf_unref(f->host.conf);
}

void fixture_ask_as(
	struct fixture_verbs *f, const char *request, size_t len, const struct verb_caller *caller)
{
	forget_lines(f);
	buf_clear(&f->told);
	f->queries = f->modifies = f->lookups = 0;
	f->is_ended = false;
	f->call = verb_new(&f->host, str_of(request, len), caller, &sink, f);
	fixture_resume(f);
}

void fixture_ask(struct fixture_verbs *f, const char *request)
{
	fixture_ask_as(f, request, strlen(request), &fixture_admin);
}

void fixture_resume(struct fixture_verbs *f)
{
	f->lines_since = 0;
	verb_resume(f->call);
}

static json_t *last_member(const struct fixture_verbs *f, const char *key)
{
	return f->line_count ? json_object_get(f->lines[f->line_count - 1], key) : NULL;
}

json_t *fixture_done(const struct fixture_verbs *f)
{
	return last_member(f, "done");
}

int fixture_error(const struct fixture_verbs *f)
{
	return (int)json_integer_value(json_object_get(last_member(f, "error"), "code"));
}

const char *fixture_error_text(const struct fixture_verbs *f)
{
	return json_string_value(json_object_get(last_member(f, "error"), "text"));
}

json_t *fixture_row(const struct fixture_verbs *f, uint32_t n)
{
	return n < f->line_count ? json_object_get(f->lines[n], "row") : NULL;
}
