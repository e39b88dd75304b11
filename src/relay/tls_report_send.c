/*
 * tls_report_send - reports of days that are over: once an hour the shelf is walked from its first key; one report at a time.
 *
 * A domain's turn comes at a moment of its own within four hours after the day (RFC 8460 section 4.1), so that not all senders of the
 * world report at midnight. The entry goes when the report was handed on, or nobody wants it; a mail may then leave twice after a
 * crash just between, under the same report-id.
 */
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/tls_report_private.h"

#define WALK_EVERY_MS HOUR_MS
#define WALK_EVERY_REAL_MS (5 * SECOND_MS)
#define SPREAD_MS (4 * HOUR_MS)
#define WALK_PAGE 20
#define MAIL_BYTES_MAX ((size_t)512 * 1024)

static void on_walk(struct timer *timer);
static void read_page(struct tls_report *t);
static void on_page(struct store_op *op);
static void walk_on(struct tls_report *t);
static void begin(struct tls_report *t, const struct shelf_item *item);
static void on_txt(struct lookup *l);
static void send_next(struct tls_report *t);
static void on_posted(struct web_request *w);
static void on_stored(struct store_op *op);
static void end(struct tls_report *t, bool is_done);
static void on_dropped(struct store_op *op);

/* ---- the walk ---- */

void tls_report_walk_later(struct tls_report *t)
{
	t->walk_timer.on_fire = on_walk;
	env_timer_after_wall(t->relay->env, &t->walk_timer, WALK_EVERY_MS, WALK_EVERY_REAL_MS);
}

static void sending_free(struct tls_report *t)
{
	struct report_sending *s = t->sending;

	t->sending = NULL;
	own_mail_drop(&s->mail);
	store_op_fini(&s->accept.op);
	tls_tally_fini(&s->tally);
	buf_fini(&s->gzip);
	buf_fini(&s->request.fetch.body);
	arena_fini(&s->arena);
	free(s);
}

/* What waits for the store stays until that has answered. */
void tls_report_walk_stop(struct tls_report *t)
{
	struct report_sending *s = t->sending;

	env_timer_stop(t->relay->env, &t->walk_timer);
	if (!s)
		return;
	resolver_cancel(t->relay->resolver, &s->txt);
	web_cancel(&s->request);
	if (!s->is_storing || t->is_freed)
		sending_free(t);
}

static void on_walk(struct timer *timer)
{
	struct tls_report *t = CONTAINER_OF(timer, struct tls_report, walk_timer);

	if (!tls_report_is_on(t)) {
		tls_report_walk_later(t);
		return;
	}
	relay_free_name(&t->after);
	read_page(t);
}

static void read_page(struct tls_report *t)
{
	t->page = (struct store_shelf_list){ .op.on_done = on_page,
		.kind = SHELF_TLS_REPORT,
		.after = t->after,
		.limit = WALK_PAGE,
		.now = env_wall(t->relay->env) };
	tls_report_op_begin(t);
	store_submit(t->relay->store, &t->page.op, STORE_SHELF_LIST);
}

static void on_page(struct store_op *op)
{
	struct tls_report *t = CONTAINER_OF(op, struct tls_report, page.op);

	t->next = 0;
	if (op->err != OK)
		t->page.count = 0;
	walk_on(t);
	tls_report_op_end(t);
}

static bool is_due(const struct tls_report *t, const struct shelf_item *item)
{
	struct str domain;
	int64_t day = 0;

	if (!tls_report_parse_key(item->key, &day, &domain))
		return false;
	int64_t wait_ms = (int64_t)(str_hash(domain, (uint64_t)day) % (uint64_t)SPREAD_MS);
	return env_wall(t->relay->env).ms >= tls_report_begin_of(day + 1).ms + wait_ms;
}

static void walk_on(struct tls_report *t)
{
	struct store_shelf_list *page = &t->page;

	if (t->is_stopping || t->sending)
		return;
	while (t->next < page->count) {
		const struct shelf_item *item = &page->items[t->next++];

		if (is_due(t, item)) {
			begin(t, item);
			return;
		}
	}
	bool is_more = page->op.err == OK && page->is_more && page->count > 0;
	relay_free_name(&t->after);
	if (is_more)
		t->after = relay_copy_name(page->items[page->count - 1].key);
	store_op_fini(&page->op);
	*page = (struct store_shelf_list){ .count = 0 };
	if (is_more)
		read_page(t);
	else
		tls_report_walk_later(t);
}

/* ---- one report ---- */

static void begin(struct tls_report *t, const struct shelf_item *item)
{
	struct report_sending *s = mem_zalloc(sizeof(*s));
	struct str domain;
	int64_t day = 0;

	t->sending = s;
	s->report = t;
	CHECK(tls_report_parse_key(item->key, &day, &domain));
	s->domain = arena_dup(&s->arena, domain);
	s->begin = tls_report_begin_of(day);
	buf_init(&s->gzip, REPORT_BYTES_MAX);
	if (!tls_tally_parse(item->value, &s->tally)) {
		end(t, true);
		return;
	}
	s->txt = (struct lookup){
		.name = arena_printf(&s->arena, "_smtp._tls.%.*s", STR_FMT(domain)),
		.type = DNS_TXT,
		.on_done = on_txt,
	};
	resolver_start(t->relay->resolver, &s->txt);
}

static bool compress_into(struct buf *out, struct str text)
{
	z_stream z = { .avail_in = (uInt)text.len };
	bool is_done = false;

	/* 16: with the header of gzip */
	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	uLong bound = deflateBound(&z, (uLong)text.len);
	char *room = buf_reserve(out, bound);
	if (room) {
		z.next_in = (const Bytef *)text.data;
		z.next_out = (Bytef *)room;
		z.avail_out = (uInt)bound;
		is_done = deflate(&z, Z_FINISH) == Z_STREAM_END;
		out->len += z.total_out;
	}
	(void)deflateEnd(&z);
	return is_done;
}

static struct str contact_of(const struct conf *conf)
{
	return conf->tls_report.contact.len > 0 ? conf->tls_report.contact : conf->postmaster;
}

/* RFC 8460 section 5.3: the domain of the contact, or else we are not who the report says. */
static struct str submitter_of(const struct conf *conf)
{
	struct str contact = contact_of(conf);
	size_t at = contact.len;

	while (at > 0 && contact.data[at - 1] != '@')
		at--;
	return at > 0 ? str_slice(contact, at, contact.len) : conf->hostname;
}

static bool make(struct tls_report *t)
{
	struct report_sending *s = t->sending;
	const struct conf *conf = t->relay->conf;
	const struct tally_report report = {
		.domain = s->domain,
		.organization = conf->tls_report.organization.len > 0
					? conf->tls_report.organization
					: conf->hostname,
		.contact = contact_of(conf),
		.submitter = submitter_of(conf),
		.begin = s->begin,
	};
	struct buf text;

	buf_init(&text, REPORT_BYTES_MAX);
	tls_tally_report_id(&text, &report);
	s->report_id = arena_dup(&s->arena, buf_str(&text));
	buf_clear(&text);
	tls_tally_json(&text, &s->tally, &report);
	bool is_made = !text.is_full && compress_into(&s->gzip, buf_str(&text));
	buf_fini(&text);
	return is_made;
}

static void take_record(struct report_sending *s, const struct dns_answer *answer)
{
	struct str records[DNS_TXT_MAX];
	uint32_t count = 0;

	for (; count < answer->count && count < DNS_TXT_MAX; count++)
		records[count] = arena_dup(&s->arena, answer->records[count].text);
	if (tlsrpt_record_find(records, count, s->rua, &s->rua_count) != OK)
		s->rua_count = 0;
}

static void on_txt(struct lookup *l)
{
	struct report_sending *s = CONTAINER_OF(l, struct report_sending, txt);
	struct tls_report *t = s->report;

	switch (l->answer->result) {
	case DNS_FOUND:
		take_record(s, l->answer);
		if (s->rua_count == 0 || !make(t))
			end(t, true);
		else
			send_next(t);
		return;
	case DNS_NODATA:
	case DNS_NXDOMAIN:
		end(t, true);
		return;
	case DNS_TEMPORARY:
		end(t, false);
		return;
	}
}

/* False: it cannot be written to. */
static bool send_mail(struct tls_report *t, struct str to)
{
	struct report_sending *s = t->sending;
	struct relay *r = t->relay;

	if (!own_mail_begin(&s->mail, r, to, MAIL_BYTES_MAX))
		return false;
	const struct tlsrpt_mail mail = {
		.from = contact_of(r->conf),
		.to = s->mail.recipient.address,
		.submitter = submitter_of(r->conf),
		.domain = s->domain,
		.report_id = s->report_id,
		.id = s->mail.message->env.id,
		.now = s->mail.message->env.accepted,
		.begin_s = s->begin.ms / SECOND_MS,
		.end_s = (s->begin.ms + DAY_MS) / SECOND_MS - 1,
		.gzip = buf_str(&s->gzip),
	};
	/* RFC 8460 section 5.3.1: what the report is about must not be in its way. */
	s->mail.message->env.is_tls_optional = true;
	tlsrpt_mail_build(&s->mail.message->content, &mail);
	CHECK(!s->mail.message->content.is_full);
	own_mail_end(&s->mail, false);
	s->is_storing = true;
	s->accept = (struct store_accept){
		.op.on_done = on_stored,
		.env = &s->mail.message->env,
		.content = buf_str(&s->mail.message->content),
	};
	tls_report_op_begin(t);
	store_submit(r->store, &s->accept.op, STORE_ACCEPT);
	return true;
}

static bool post(struct tls_report *t, const struct tlsrpt_rua *rua)
{
	struct report_sending *s = t->sending;
	struct relay *r = t->relay;

	if (!r->params.fetch)
		return false;
	s->web = (struct web){
		.env = r->env, .resolver = r->resolver, .fetch = r->params.fetch, .conf = r->conf
	};
	buf_fini(&s->request.fetch.body);
	s->request = (struct web_request){
		.host = rua->host,
		.on_done = on_posted,
		.fetch = { .url = rua->target,
			.post = buf_str(&s->gzip),
			.post_type = STR("application/tlsrpt+gzip") },
	};
	web_start(&s->web, &s->request);
	return true;
}

/* To each that the record names; one that took it is enough for it not to be tried again. */
static void send_next(struct tls_report *t)
{
	struct report_sending *s = t->sending;

	while (s->next < s->rua_count) {
		const struct tlsrpt_rua *rua = &s->rua[s->next++];

		if (rua->scheme == TLSRPT_MAILTO ? send_mail(t, rua->target) : post(t, rua))
			return;
	}
	end(t, s->is_sent);
}

static void on_posted(struct web_request *w)
{
	struct report_sending *s = CONTAINER_OF(w, struct report_sending, request);
	struct tls_report *t = s->report;

	s->is_sent |= w->fetch.err == OK;
	if (w->fetch.err != OK)
		log_text(t->relay->env->log, LOG_NOTICE, "tls-report",
			"%.*s: report cannot be sent by HTTPS: %s", STR_FMT(s->domain),
			w->fetch.reason);
	send_next(t);
}

static void on_stored(struct store_op *op)
{
	struct report_sending *s = CONTAINER_OF(op, struct report_sending, accept.op);
	struct tls_report *t = s->report;
	enum err err = op->err;

	s->is_storing = false;
	store_op_fini(op);
	if (err == OK) {
		s->is_sent = true;
		own_mail_offer(&s->mail, t->relay, s->mail.message->env.id, "TLS report");
	} else {
		own_mail_drop(&s->mail);
	}
	if (t->is_stopping)
		end(t, s->is_sent);
	else
		send_next(t);
	tls_report_op_end(t);
}

static void end(struct tls_report *t, bool is_done)
{
	bool was_sent = t->sending->is_sent;

	if (was_sent)
		log_text(t->relay->env->log, LOG_INFO, "tls-report", "%.*s: report sent",
			STR_FMT(t->sending->domain));
	sending_free(t);
	if (!is_done) {
		walk_on(t);
		return;
	}
	const struct shelf_item *item = &t->page.items[t->next - 1];
	t->drop = (struct store_shelf_put){ .op.on_done = on_dropped,
		.kind = SHELF_TLS_REPORT,
		.item = { .key = item->key, .value = STR(""), .until = item->until },
		.now = env_wall(t->relay->env) };
	tls_report_op_begin(t);
	store_submit(t->relay->store, &t->drop.op, STORE_SHELF_PUT);
}

static void on_dropped(struct store_op *op)
{
	struct tls_report *t = CONTAINER_OF(op, struct tls_report, drop.op);

	store_op_fini(op);
	walk_on(t);
	tls_report_op_end(t);
}
